//! Backup and restore by the real binary: equal row by row, careful with what stands.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use sizhi::domain::ParkCode;
use sizhi::domain::access::Role;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::store::export_log::{ExportEntry, log_export};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::data_folder::DataFolder;
use crate::support::process::{run, sizhi};
use crate::support::{Database, accounts, files, parcels, scratch};

/// Every table of ours: rows, and a digest of them all.
async fn contents(pool: &PgPool) -> Vec<(String, i64, Option<String>)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'spatial_ref_sys' ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    let mut all = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT count(*), md5(string_agg(j, E'\\n' ORDER BY j)) FROM (SELECT to_jsonb(t)::text AS j FROM {table} t) rows"
        );
        let (count, digest) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(pool).await.expect(&table);
        all.push((table, count, digest));
    }
    all
}

/// The sample, one import and one upload that waits for its commit.
async fn filled(name: &str) -> Database {
    let db = Database::with_sample().await;
    import(&db, name, 300.0).await;
    let path = files::write(&format!("staged-{name}"), boundaries(250.0));
    let mut request = crate::support::import_request(&path);
    request.park = ParkCode::parse("G431176").ok();
    sizhi::inventory::import::stage(&db.pool, &request).await.expect("staged");
    accounts::add(&db, "zhang", Role::Editor, &["430100"]).await;
    accounts::issue(&db, json!({"account": "zhang", "name": "x"})).await;
    accounts::login(&db, "zhang").await;
    accounts::try_login(&db, "zhang", "wrong").await.assert_problem(401, "login_failed");
    sqlx::query("INSERT INTO protected_table VALUES ('later', 'county_code')").execute(&db.pool).await.expect("row");
    sample::seed_parcels(&db.pool, "test", 200, &Silent).await.expect("parcels");
    sqlx::raw_sql(
        "INSERT INTO idempotency_key (actor, key, digest, record_id, created) VALUES ('test', 'k', 'd', 'r', true);
         INSERT INTO extra_layer (layer, relation, key_column) VALUES ('gone', 'public.gone', 'id');
         INSERT INTO extra_change (layer, key) VALUES ('gone', '1')",
    )
    .execute(&db.pool)
    .await
    .expect("key");
    parcels::leave_traces(&db).await;
    db.write(
        "INSERT INTO low_efficiency_criteria_set (id, division_code, year, criteria_count, source) VALUES ('430121-2025', '430121', 2025, 1, '示意');
         INSERT INTO low_efficiency_criterion (id, set_id, division_code, number, title, kind, combination, field, comparison, threshold_flag)
         VALUES ('430121-2025@1', '430121-2025', '430121', 1, '停产（示意）', '部分闲置类', 'any', 'production_stopped', 'eq', true)",
    )
    .await;
    db.write(
        "INSERT INTO control_zone_kind VALUES ('water_source', '水源地（示意）', 'Water', 'keep_out', 'block', 'warn', '', '', '示意');
         INSERT INTO control_zone (id, kind, number, division_code, geom, area_m2, source)
         SELECT 'water_source-1', 'water_source', '1', '430121', geom, area_m2, '示意' FROM park_block LIMIT 1",
    )
    .await;
    db.write(
        "INSERT INTO block_lineage (event_id, parent_id, child_id, effective_on, common_area_m2)
         SELECT min(id), 'S437001-1', 'S437001-2', '2020-01-01', 1 FROM park_event;
         INSERT INTO directory_publication (version_id, register_on, register_revision, actor)
         SELECT min(id), '2020-01-01', 1, 'test' FROM directory_version",
    )
    .await;
    db.write(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor)
         VALUES ('BC-2025-0001', 'G431176', '430100', '{430100}', '调区扩区（示意）', 'extended', 'proposed', '2025-01-02', 1, 0, 1, 2, 1, 'test');
         INSERT INTO boundary_change_block (change_id, number, division_codes, geom, area_m2, stated_area_ha)
         VALUES ('BC-2025-0001', '1', '{430100}', ST_Multi(ST_MakeEnvelope(112, 28, 112.1, 28.1, 4490)), 1, 2);
         INSERT INTO boundary_change_step (change_id, ordinal, division_codes, to_state, happened_on, base_revision, actor)
         VALUES ('BC-2025-0001', 1, '{430100}', 'proposed', '2025-01-02', 1, 'test')",
    )
    .await;
    let entry = ExportEntry { actor: "test", layer: "x", filter: "", format: "csv", rows: 1, address: "" };
    log_export(&db.pool, &entry).await.expect("logged");
    sqlx::raw_sql(
        "INSERT INTO webhook (url, layers, secret, planned_revision) VALUES ('http://127.0.0.1:9/', '{parks}', 'a secret of this test', 1);
         INSERT INTO webhook_delivery SELECT id, 1, 'parks' FROM webhook;
         INSERT INTO conflict (id, opened_revision, opened_at, changed_revision, changed_at, layer_a, feature_a, layer_b, feature_b, illustrative,
             class, weight, area_m2, share_a, share_b) VALUES ('0', 1, now(), 1, now(), 'park_blocks', 'x', 'park_blocks', 'y', false, 'overlap', 'block', 1, 1, 1);
         INSERT INTO scenario (name, actor, jurisdiction, operations, base_revision) VALUES ('方案', 'test', '{*}', '[]', 1);
         INSERT INTO conflict_audit (revision, revision_hash) VALUES (1, '');
         INSERT INTO conflict_mark (conflict, verdict, actor) VALUES ('0', 'to_fix', 'test');
         INSERT INTO overlap_check (title, actor, jurisdiction, request) VALUES ('检查', 'test', '{*}', '{}');
         INSERT INTO overlap_subject (check_id, number, label, area_m2, geom)
         SELECT id, 1, '图形', 1, ST_Multi(ST_MakeEnvelope(112, 28, 112.1, 28.1, 4490)) FROM overlap_check;
         INSERT INTO overlap_finding (check_id, number, subject, layer, feature_id, illustrative, class, weight, area_m2, share_of_subject, share_of_feature, shared_edge_m)
         SELECT id, 1, 1, 'park_blocks', 'x', false, 'overlap', 'block', 1, 1, 1, 0 FROM overlap_check;
         INSERT INTO overlap_mark (check_id, finding, verdict, actor) SELECT id, 1, 'to_fix', 'test' FROM overlap_check;",
    )
    .execute(&db.pool)
    .await
    .expect("webhook");
    db
}

fn boundaries(side: f64) -> String {
    files::txt(&[("甲", files::square(2_900_000.0, 38_480_000.0, side), side * side / 10_000.0)])
}

/// Gives batch and revision.
async fn import(db: &Database, name: &str, side: f64) -> (Option<i64>, Option<i64>) {
    let path = files::write(name, boundaries(side));
    let imported = db.import(&path, |request| request.park = ParkCode::parse("G431176").ok()).await.expect("imported");
    (imported.batch, imported.revision)
}

fn target(name: &str) -> PathBuf {
    let folder = scratch().join("backups").join(std::process::id().to_string());
    std::fs::create_dir_all(&folder).expect("folder");
    let path = folder.join(name);
    for left in [path.clone(), safety_of(&path)] {
        let _ = std::fs::remove_file(left);
    }
    path
}

fn safety_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.before-restore", file.display()))
}

async fn db_command(db: &Database, verb: &str, file: &Path, more: &[&str]) -> Output {
    let mut command: Command = sizhi(&["db", verb]);
    command.arg(file).args(more).env("DATABASE_URL", db.url().await);
    run(command, b"")
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn assert_refused(output: &Output, exit_code: i32, code: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{text}");
    assert!(text.contains(&format!("（{code}）")), "{text}");
}

#[tokio::test]
async fn a_restored_register_equals_the_one_backed_up_and_goes_on() {
    let db = filled("backup-equal.txt").await;
    let before = contents(&db.pool).await;
    let names: Vec<&str> = before.iter().map(|t| t.0.as_str()).collect();
    assert_eq!(
        names,
        [
            "_sqlx_migrations",
            "account",
            "account_event",
            "api_token",
            "attachment",
            "attachment_content",
            "block_lineage",
            "boundary_change",
            "boundary_change_block",
            "boundary_change_step",
            "calendar_day",
            "change",
            "conflict",
            "conflict_audit",
            "conflict_mark",
            "control_zone",
            "control_zone_default",
            "control_zone_kind",
            "directory_entry",
            "directory_publication",
            "directory_version",
            "division",
            "export_log",
            "extra_change",
            "extra_layer",
            "idempotency_key",
            "import_batch",
            "login_failure",
            "low_efficiency_criteria_set",
            "low_efficiency_criterion",
            "low_efficiency_parcel",
            "overlap_check",
            "overlap_finding",
            "overlap_mark",
            "overlap_subject",
            "parcel_lineage",
            "parcel_transition",
            "park",
            "park_block",
            "park_event",
            "plan_step",
            "protected_table",
            "redevelopment_plan",
            "revision",
            "scenario",
            "session",
            "tracked_table",
            "turnover_parcel",
            "webhook",
            "webhook_delivery"
        ]
    );
    assert!(before.iter().all(|t| t.1 > 0), "every table has rows to lose: {before:?}");
    let file = target("equal.dump");
    assert_done(&db_command(&db, "backup", &file, &[]).await);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let other = Database::bare().await;
    assert_done(&db_command(&other, "restore", &file, &[]).await);
    assert_eq!(contents(&other.pool).await, before);
    assert_eq!(other.audit().await, None);
    // What is not a row came along too: numbers go on, the log is still append only, the views stand.
    let last: (i64, i64) = sqlx::query_as("SELECT max(id), (SELECT max(number) FROM revision) FROM import_batch")
        .fetch_one(&db.pool)
        .await
        .expect("last");
    assert_eq!(import(&other, "backup-equal.txt", 350.0).await, (Some(last.0 + 1), Some(last.1 + 1)));
    let refused = sqlx::query("DELETE FROM change").execute(&other.pool).await.expect_err("append only");
    assert_eq!(refused.as_database_error().and_then(|e| e.code()).as_deref(), Some("42501"));
    assert_eq!(other.value::<i64>("SELECT count(*) FROM layer_parks").await, 129);
    let migrated = sizhi::store::migrate(&other.pool).await;
    assert!(migrated.is_ok(), "{migrated:?}");
    assert_eq!(other.audit().await, None);
}

#[tokio::test]
async fn replace_keeps_a_copy_of_what_stood() {
    let old = filled("backup-old.txt").await;
    let file = target("replace.dump");
    assert_done(&db_command(&old, "backup", &file, &[]).await);
    let present = Database::with_sample().await;
    import(&present, "backup-present.txt", 123.0).await;
    let before = contents(&present.pool).await;
    // Without the word nothing is touched, not even by a copy.
    assert_refused(&db_command(&present, "restore", &file, &[]).await, 3, "register_not_empty");
    assert_eq!(contents(&present.pool).await, before);
    assert!(!safety_of(&file).exists());
    assert_done(&db_command(&present, "restore", &file, &["--replace"]).await);
    assert_eq!(contents(&present.pool).await, contents(&old.pool).await);
    assert_eq!(present.audit().await, None);
    // A second time the copy is in the way: it may be the only one of what stood.
    assert_refused(&db_command(&present, "restore", &file, &["--replace"]).await, 3, "file_exists");
    assert_eq!(contents(&present.pool).await, contents(&old.pool).await);
    let back = Database::bare().await;
    assert_done(&db_command(&back, "restore", &safety_of(&file), &[]).await);
    assert_eq!(contents(&back.pool).await, before);
    assert_eq!(back.audit().await, None);
}

#[tokio::test]
async fn files_that_are_no_whole_backup_change_nothing() {
    let db = filled("backup-broken.txt").await;
    let before = contents(&db.pool).await;
    let whole = target("whole.dump");
    assert_done(&db_command(&db, "backup", &whole, &[]).await);
    let bytes = std::fs::read(&whole).expect("backup");
    let empty = Database::bare().await;
    for (name, content, code, exit) in [
        ("text.dump", b"no backup".to_vec(), "not_a_backup", 3),
        ("empty.dump", Vec::new(), "not_a_backup", 3),
        ("head.dump", bytes[..100].to_vec(), "not_a_backup", 3),
        // Its table of contents is whole, its data end in the middle.
        ("cut.dump", bytes[..bytes.len() * 2 / 3].to_vec(), "internal", 1),
    ] {
        let file = target(name);
        std::fs::write(&file, content).expect("written");
        assert_refused(&db_command(&db, "restore", &file, &["--replace"]).await, exit, code);
        assert_eq!(contents(&db.pool).await, before, "{name}");
        assert_refused(&db_command(&empty, "restore", &file, &[]).await, exit, code);
        assert_eq!(contents(&empty.pool).await, [], "{name}");
    }
    assert_refused(&db_command(&db, "restore", &target("none.dump"), &["--replace"]).await, 1, "file_not_found");
}

#[tokio::test]
async fn a_backup_overwrites_no_file_and_leaves_no_half_one() {
    let db = Database::with_sample().await;
    let file = target("there.dump");
    std::fs::write(&file, "precious").expect("written");
    assert_refused(&db_command(&db, "backup", &file, &[]).await, 3, "file_exists");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "precious");
    // A database that is away: no file, and nothing beside it.
    let folder = target("away").with_extension("folder");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("folder");
    let mut command = sizhi(&["db", "backup"]);
    command.arg(folder.join("away.dump")).env("DATABASE_URL", "postgres://sizhi@localhost/none?host=/nowhere");
    assert_eq!(run(command, b"").status.code(), Some(1));
    assert_eq!(std::fs::read_dir(&folder).expect("folder").count(), 0);
    let unwritable = db_command(&db, "backup", &folder.join("none/x.dump"), &[]).await;
    assert_refused(&unwritable, 3, "file_not_writable");
}

#[tokio::test]
async fn a_backup_goes_into_an_embedded_cluster_and_back() {
    let db = filled("backup-embedded.txt").await;
    let before = contents(&db.pool).await;
    let (out, back) = (target("out.dump"), target("back.dump"));
    assert_done(&db_command(&db, "backup", &out, &[]).await);
    let folder = DataFolder::new("restored");
    folder.must(&["db", "restore", out.to_str().expect("path")]);
    assert_eq!(folder.json(&["audit", "verify", "--json"])["ok"], true);
    // The second time it is not empty any more.
    assert_refused(&folder.run(&["db", "restore", out.to_str().expect("path")]), 3, "register_not_empty");
    folder.must(&["db", "restore", out.to_str().expect("path"), "--replace"]);
    folder.must(&["db", "backup", back.to_str().expect("path")]);
    folder.assert_stopped();
    let again = Database::bare().await;
    assert_done(&db_command(&again, "restore", &back, &[]).await);
    assert_eq!(contents(&again.pool).await, before);
    assert_eq!(again.audit().await, None);
}

#[tokio::test]
async fn a_dump_of_another_database_is_no_backup() {
    let other = Database::bare().await;
    sqlx::raw_sql("CREATE TABLE park (code text); CREATE TABLE change (n int); INSERT INTO park VALUES ('x')")
        .execute(&other.pool)
        .await
        .expect("another's tables");
    let file = target("foreign.dump");
    let mut dump = Command::new(sizhi::store::embedded::binaries().expect("programs").join("pg_dump"));
    dump.args(["--format=custom", "--dbname", &other.url().await, "--file"]).arg(&file);
    assert!(dump.status().expect("run").success());
    let db = Database::with_sample().await;
    let before = contents(&db.pool).await;
    assert_refused(&db_command(&db, "restore", &file, &["--replace"]).await, 3, "not_a_backup");
    assert_eq!(contents(&db.pool).await, before);
    assert!(!safety_of(&file).exists());
}

/// A write that is under way when the restore begins is in the copy of what stood, and none falls between.
#[tokio::test]
async fn a_restore_waits_for_the_write_before_it() {
    let db = Database::with_sample().await;
    let file = target("waits.dump");
    assert_done(&db_command(&db, "backup", &file, &[]).await);
    let mut writing = sizhi::store::begin_write(&db.pool).await.expect("transaction");
    sizhi::store::revision::open(&mut writing, "test", "under way", "").await.expect("revision");
    sqlx::query("UPDATE park SET name = '改名' WHERE code = 'G431176'").execute(&mut *writing).await.expect("updated");
    let mut command = sizhi(&["db", "restore", "--replace"]);
    let mut child = command.arg(&file).env("DATABASE_URL", db.url().await).spawn().expect("started");
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = 7226041";
    while db.value::<i64>(waits).await == 0 {
        assert!(child.try_wait().expect("alive").is_none(), "it did not wait");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    writing.commit().await.expect("committed");
    assert!(child.wait().expect("ended").success());
    let name = "SELECT name FROM park WHERE code = 'G431176'";
    assert_ne!(db.value::<String>(name).await, "改名");
    let back = Database::bare().await;
    assert_done(&db_command(&back, "restore", &safety_of(&file), &[]).await);
    assert_eq!(back.value::<String>(name).await, "改名");
}

#[tokio::test]
async fn a_backup_of_a_tampered_register_is_told_at_its_restore() {
    let db = filled("backup-tampered.txt").await;
    sqlx::raw_sql("SET session_replication_role = replica; UPDATE park SET name = 'x' WHERE code = 'G431176'")
        .execute(&mut db.superuser().await)
        .await
        .expect("tampered");
    let file = target("tampered.dump");
    assert_done(&db_command(&db, "backup", &file, &[]).await);
    let other = Database::bare().await;
    assert_refused(&db_command(&other, "restore", &file, &[]).await, 3, "restored_not_sound");
}
