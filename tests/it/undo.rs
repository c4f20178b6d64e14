//! Undo: what stood before comes back in every column, and nothing later is overwritten.

use std::path::PathBuf;

use sizhi::domain::ParkCode;
use sizhi::domain::access::Viewer;
use sizhi::error::Error;
use sizhi::inventory::import;
use sizhi::store::{self, revision, undo};
use sqlx::AssertSqlSafe;

use crate::support::process::{run, sizhi};
use crate::support::{Database, files};

/// A park of the sample with several drawn blocks, far from where the tests draw theirs.
const PARK: &str = "SELECT park_code FROM park_block WHERE number = '1' AND illustrative
    AND park_code IN (SELECT park_code FROM park_block GROUP BY 1 HAVING count(*) >= 3) ORDER BY park_code LIMIT 1";

/// Every row of every tracked table but for the revision that wrote it; geometry by its bytes.
async fn standing(db: &Database) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT 'division', (to_jsonb(t) - 'revision' || jsonb_build_object('geom', encode(ST_AsEWKB(geom), 'hex')))::text FROM division t
         UNION ALL SELECT 'park', (to_jsonb(t) - 'revision')::text FROM park t
         UNION ALL SELECT 'park_block', (to_jsonb(t) - 'revision' || jsonb_build_object('geom', encode(ST_AsEWKB(geom), 'hex')))::text FROM park_block t
         UNION ALL SELECT 'directory_version', (to_jsonb(t) - 'revision')::text FROM directory_version t
         UNION ALL SELECT 'directory_entry', (to_jsonb(t) - 'revision')::text FROM directory_entry t
         UNION ALL SELECT 'park_event', (to_jsonb(t) - 'revision')::text FROM park_event t
         ORDER BY 1, 2",
    )
    .fetch_all(&db.pool)
    .await
    .expect("rows")
}

/// Fails with the rows that differ, not with the whole register.
#[track_caller]
fn assert_same(now: &[(String, String)], before: &[(String, String)]) {
    let only = |a: &[(String, String)], b: &[(String, String)]| -> Vec<String> {
        a.iter().filter(|row| !b.contains(row)).map(|row| row.1.chars().take(300).collect()).collect()
    };
    assert_eq!((only(now, before), only(before, now)), (Vec::new(), Vec::new()));
    assert_eq!(now.len(), before.len());
}

/// A file of square blocks: number, metres east of a corner near 114° E, side.
fn boundaries(name: &str, blocks: &[(&str, f64, f64)]) -> PathBuf {
    let parcels: Vec<_> = blocks
        .iter()
        .map(|(number, east, side)| {
            (*number, files::square(2_900_000.0, 38_480_000.0 + east, *side), side * side / 10_000.0)
        })
        .collect();
    files::write(name, files::txt(&parcels))
}

/// Imports blocks of this park and gives batch and revision.
async fn import(db: &Database, park: &str, name: &str, blocks: &[(&str, f64, f64)]) -> (i64, i64) {
    let imported = db
        .import(&boundaries(name, blocks), |request| request.park = ParkCode::parse(park).ok())
        .await
        .expect("imported");
    let report = &imported.report;
    (imported.batch.unwrap_or_else(|| panic!("{:?}", report.findings)), imported.revision.expect("a revision"))
}

async fn count(db: &Database, sql: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&db.pool).await.expect("count")
}

/// One statement as a revision of its own.
async fn write(db: &Database, sql: &str) -> i64 {
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    let number = revision::open(&mut transaction, "test", "write", "").await.expect("revision");
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await.expect(sql);
    assert!(done.rows_affected() > 0, "{sql}");
    transaction.commit().await.expect("committed");
    number
}

async fn undo_now(db: &Database, target: i64) -> Result<i64, Error> {
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    let number = undo::undo_revision(&mut transaction, target, "test", "undo").await?;
    transaction.commit().await.expect("committed");
    Ok(number)
}

#[tokio::test]
async fn an_import_with_inserts_updates_and_replaced_drawings_is_restored_in_every_column() {
    let db = Database::with_sample().await;
    let before = standing(&db).await;
    let park: String = db.value(PARK).await;
    // Number 1 becomes real in place, the other drawings end, two are new.
    let (batch, revision) =
        import(&db, &park, "undo-all.txt", &[("1", 0.0, 300.0), ("新A", 1000.0, 200.0), ("新B", 2000.0, 250.0)]).await;
    for (operation, expected) in [("insert", 2), ("update", 1)] {
        let sql = format!("SELECT count(*) FROM change WHERE revision = {revision} AND operation = '{operation}'");
        assert_eq!(count(&db, sql).await, expected, "{operation}");
    }
    let deleted = format!("SELECT count(*) FROM change WHERE revision = {revision} AND operation = 'delete'");
    assert!(count(&db, deleted).await >= 2, "the drawings are replaced");
    let after = standing(&db).await;
    assert_ne!(after, before);
    let told = import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect("undone");
    assert_eq!((told["status"].as_str(), told["undone_revision"].as_i64()), (Some("undone"), Some(revision + 1)));
    assert_same(&standing(&db).await, &before);
    assert_eq!(db.audit().await, None);
    let head: (String, String, String) = sqlx::query_as("SELECT actor, reason, source FROM revision WHERE number = $1")
        .bind(revision + 1)
        .fetch_one(&db.pool)
        .await
        .expect("head");
    assert_eq!(
        head,
        (
            "undoer".to_owned(),
            format!("撤销导入批次 {batch}（修订 {revision}）"),
            format!("undo of revision {revision}")
        )
    );
    // Twice is refused, and the same file can be imported anew.
    let again = import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect_err("undone twice");
    assert_eq!(again.code(), "import_status");
    let blocks = [("1", 0.0, 300.0), ("新A", 1000.0, 200.0), ("新B", 2000.0, 250.0)];
    let (_, anew) = import(&db, &park, "undo-all.txt", &blocks).await;
    assert_eq!(anew, revision + 2);
    assert_same(&standing(&db).await, &after);
    // And an undo of the undo brings the import back as well.
    assert_eq!(undo_now(&db, anew).await.expect("undone"), revision + 3);
    assert_same(&standing(&db).await, &before);
    assert_eq!(undo_now(&db, revision + 3).await.expect("the undo is undone"), revision + 4);
    assert_same(&standing(&db).await, &after);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn a_row_changed_since_stops_the_undo_and_is_named() {
    let db = Database::with_sample().await;
    let park: String = db.value(PARK).await;
    let (batch, revision) =
        import(&db, &park, "undo-conflict.txt", &[("A", 0.0, 300.0), ("B", 1000.0, 200.0), ("C", 2000.0, 100.0)]).await;
    let later = write(&db, &format!("UPDATE park_block SET name = '改' WHERE id = '{park}-B'")).await;
    let gone = write(&db, &format!("DELETE FROM park_block WHERE id = '{park}-C'")).await;
    let before = standing(&db).await;
    let error =
        import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect_err("a later change would be lost");
    assert_eq!(error.code(), "undo_conflict");
    let findings: Vec<(String, String)> =
        error.findings().iter().map(|f| (f.code.to_string(), f.message.clone())).collect();
    let named = |id: &str, revision: i64| {
        ("changed_since".to_owned(), format!("park_block 的 {park}-{id} 在修订 {revision} 中又被修改"))
    };
    assert_eq!(findings, [named("B", later), named("C", gone)]);
    // Nothing of it was written.
    assert_same(&standing(&db).await, &before);
    assert_eq!(count(&db, "SELECT max(number) FROM revision".to_owned()).await, gone);
    assert_eq!(count(&db, "SELECT count(*) FROM import_batch WHERE status = 'committed'".to_owned()).await, 1);
    // A change that was taken back since stands in nobody's way.
    undo_now(&db, gone).await.expect("undone");
    undo_now(&db, later).await.expect("undone");
    import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect("undone");
    assert_eq!(count(&db, format!("SELECT count(*) FROM change WHERE revision = {revision}")).await, {
        count(&db, "SELECT count(*) FROM change WHERE revision = (SELECT max(number) FROM revision)".to_owned()).await
    });
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn undos_chain_from_the_newest_back() {
    let db = Database::with_sample().await;
    let park: String = db.value(PARK).await;
    let mut states = vec![standing(&db).await];
    let steps: [&[(&str, f64, f64)]; 3] =
        [&[("A", 0.0, 300.0), ("B", 1000.0, 200.0)], &[("A", 0.0, 310.0), ("C", 2000.0, 50.0)], &[("A", 0.0, 320.0)]];
    let mut batches = Vec::new();
    for (at, blocks) in steps.into_iter().enumerate() {
        batches.push(import(&db, &park, &format!("undo-chain-{at}.txt"), blocks).await.0);
        states.push(standing(&db).await);
    }
    // Out of order it is refused.
    for at in [0, 1] {
        let error =
            import::undo(&db.pool, batches[at], &Viewer::operator("undoer")).await.expect_err("a newer one stands");
        assert_eq!(error.code(), "undo_conflict", "batch {at}");
    }
    for at in [2, 1, 0] {
        import::undo(&db.pool, batches[at], &Viewer::operator("undoer")).await.unwrap_or_else(|e| panic!("{at}: {e}"));
        assert_same(&standing(&db).await, &states[at]);
    }
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn the_seed_can_be_taken_back_whole_and_again_brought_back() {
    let db = Database::with_sample().await;
    let seeded = standing(&db).await;
    undo_now(&db, 1).await.expect("undone");
    assert_same(&standing(&db).await, &[]);
    assert_eq!(db.audit().await, None);
    undo_now(&db, 2).await.expect("the undo is undone");
    assert_same(&standing(&db).await, &seeded);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn a_seed_with_later_work_on_it_is_not_taken_back() {
    let db = Database::with_sample().await;
    let park: String = db.value(PARK).await;
    import(&db, &park, "undo-seed.txt", &[("新", 0.0, 300.0)]).await;
    let error = undo_now(&db, 1).await.expect_err("real blocks stand on it");
    assert_eq!(error.code(), "undo_conflict");
    assert_eq!(undo_now(&db, 99).await.expect_err("unknown").code(), "revision_not_found");
}

#[tokio::test]
async fn a_directory_import_is_taken_back_unless_blocks_stand_on_it() {
    let db = Database::with_sample().await;
    let before = standing(&db).await;
    let csv = "园区代码,名称,市州,批准面积（公顷）,主导产业\n\
               G431176,改名园区,长沙市,123.45,电子、食品\n\
               S437999,新建园区,长沙市,200,机械\n";
    let path = files::write("undo-directory.csv", csv);
    let imported = db.import(&path, |request| request.layer = "parks".to_owned()).await.expect("imported");
    let batch = imported.batch.unwrap_or_else(|| panic!("{:?}", imported.report.findings));
    let after = standing(&db).await;
    assert_eq!(after.len(), before.len() + 1);
    let (blocks, _) = import(&db, "S437999", "undo-directory.txt", &[("1", 0.0, 300.0)]).await;
    let error = import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect_err("a park with blocks stays");
    assert_eq!(error.code(), "park_unknown", "{error}");
    import::undo(&db.pool, blocks, &Viewer::operator("undoer")).await.expect("undone");
    assert_same(&standing(&db).await, &after);
    import::undo(&db.pool, batch, &Viewer::operator("undoer")).await.expect("undone");
    assert_same(&standing(&db).await, &before);
    assert_eq!(db.audit().await, None);
}

/// What a revision deleted and a later one brought anew: the first later change is an insert, which the log's index of
/// features leaves out and which is found by what came after it.
#[tokio::test]
async fn a_deleted_row_that_came_anew_stops_the_undo_and_its_insert_is_named() {
    let db = Database::with_sample().await;
    let park: String = sqlx::query_scalar(PARK).fetch_one(&db.pool).await.expect("a park");
    let id = format!("{park}-1");
    let boundary: String =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT geom::text FROM park_block WHERE id = '{id}'")))
            .fetch_one(&db.pool)
            .await
            .expect("the block");
    let gone = write(&db, &format!("DELETE FROM park_block WHERE id = '{id}'")).await;
    let insert = format!(
        "INSERT INTO park_block (id, park_code, number, geom, area_m2, source) VALUES ('{id}', '{park}', '1', '{boundary}', 1000, 'test')"
    );
    let anew = write(&db, &insert).await;
    let named = async |later: i64| {
        let conflict = undo_now(&db, gone).await.expect_err("stands otherwise");
        let Error::Conflict { code, findings, .. } = conflict else { panic!("{conflict}") };
        let messages: Vec<&str> = findings.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(
            (code, messages),
            ("undo_conflict", vec![format!("park_block 的 {id} 在修订 {later} 中又被修改").as_str()])
        );
    };
    named(anew).await;
    write(&db, &format!("UPDATE park_block SET name = '新' WHERE id = '{id}'")).await;
    named(anew).await;
    let again = write(&db, &format!("DELETE FROM park_block WHERE id = '{id}'")).await;
    assert!(undo_now(&db, gone).await.expect("as the revision left it") > again);
}

#[tokio::test]
async fn the_command_line_undoes_a_batch_and_tries_it_first() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let before = standing(&db).await;
    let park: String = db.value(PARK).await;
    let (batch, revision) = import(&db, &park, "undo-cli.txt", &[("A", 0.0, 100.0)]).await;
    let command = |args: &[&str]| {
        let mut command = sizhi(&[&["import", "--undo"], args].concat());
        command.env("DATABASE_URL", &url);
        let output = run(command, b"");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let id = batch.to_string();
    let imported = standing(&db).await;
    let (code, told, _) = command(&[&id, "--dry-run"]);
    assert_eq!((code, told.as_str()), (Some(0), format!("✓ 批次 {batch} 可以撤销（未写入）").as_str()));
    assert_same(&standing(&db).await, &imported);
    let (code, told, _) = command(&[&id, "--actor", "撤销人"]);
    assert_eq!((code, told), (Some(0), format!("✓ 已撤销批次 {batch}，修订 {}", revision + 1)));
    assert_same(&standing(&db).await, &before);
    let actor: String = db.value("SELECT actor FROM revision ORDER BY number DESC LIMIT 1").await;
    assert_eq!(actor, "撤销人");
    let (code, _, told) = command(&[&id]);
    assert!(code == Some(3) && told.contains("已撤销"), "twice: {code:?} {told}");
    let (code, _, told) = command(&["999999"]);
    assert!(code == Some(1) && told.contains("999999"), "no such batch: {code:?} {told}");
    let (code, _, _) = command(&[&id, "a.txt"]);
    assert_eq!(code, Some(2), "a file and an undo");
    assert_eq!(db.audit().await, None);
}
