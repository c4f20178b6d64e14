//! The revision log as the database itself keeps it: what is refused, what is numbered, what is written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sizhi::store::follow::{self, Told, Written};
use sizhi::store::{self, PoolLimits, revision};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::watch;

use crate::support::Database;

const TRACKED: [&str; 6] = ["division", "park", "park_block", "directory_version", "directory_entry", "park_event"];

/// Runs statements that must fail in a transaction of their own; gives the SQLSTATE of the last.
async fn refused(database: &Database, before: &str, sql: &str) -> String {
    let mut transaction = database.pool.begin().await.expect("transaction");
    sqlx::raw_sql(AssertSqlSafe(before.to_owned())).execute(&mut *transaction).await.expect(before);
    let outcome = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    let error = outcome.expect_err(&format!("not refused: {before}; {sql}"));
    error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned()
}

/// Rows that no foreign key holds, so that the missing revision alone stands in the way; none where all are held.
fn unreferenced(table: &str) -> &'static str {
    match table {
        "division" => "level = 'county'",
        "park" | "directory_version" => "false",
        _ => "true",
    }
}

#[tokio::test]
async fn a_write_without_an_open_revision_is_refused_for_every_tracked_table() {
    let db = Database::with_sample().await;
    let withheld = [
        ("nothing opened", "SELECT 1"),
        ("a forged setting", "SELECT set_config('sizhi.revision', '1', true)"),
        ("a forged number to come", "SELECT set_config('sizhi.revision', '2', true)"),
        ("sealed before its end", "SELECT open_revision('a', 'r', ''); SET CONSTRAINTS revision_seal IMMEDIATE"),
        (
            "opened in a savepoint that was rolled back",
            "SAVEPOINT s; SELECT open_revision('a', 'r', ''); ROLLBACK TO s",
        ),
    ];
    for table in TRACKED {
        for (what, before) in withheld {
            for sql in [
                // No row: a copy of one would be refused for its key before the log is asked.
                format!("INSERT INTO {table} SELECT * FROM {table} LIMIT 0"),
                format!("UPDATE {table} SET source = 'x'"),
                format!("UPDATE {table} SET source = 'x' WHERE false"),
                format!("DELETE FROM {table} WHERE {}", unreferenced(table)),
            ] {
                // directory_entry has no source of its own
                let sql = if table == "directory_entry" { sql.replace("source = 'x'", "name = 'x'") } else { sql };
                assert_eq!(refused(&db, before, &sql).await, "25000", "{what}: {sql}");
            }
        }
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn log_and_register_cannot_be_emptied_or_altered_by_their_owner() {
    let db = Database::with_sample().await;
    assert_eq!(db.value::<String>("SELECT current_user::text").await, "sizhi");
    let owner: String = db.value("SELECT tableowner::text FROM pg_tables WHERE tablename = 'revision'").await;
    assert_eq!(owner, "sizhi");
    let open = "SELECT open_revision('a', 'r', '')";
    for before in ["SELECT 1", open] {
        for sql in [
            "UPDATE revision SET reason = 'other'",
            "UPDATE revision SET hash = hash WHERE number = 1",
            "DELETE FROM revision WHERE number = 1",
            "UPDATE change SET after = '{}' WHERE revision = 1 AND ordinal = 1",
            "DELETE FROM change WHERE revision = 1 AND ordinal = 1",
            "TRUNCATE change",
            "TRUNCATE revision CASCADE",
        ] {
            // The open revision waits for its seal, which PostgreSQL itself does not let be truncated.
            let waits = before == open && sql.starts_with("TRUNCATE revision");
            assert_eq!(refused(&db, before, sql).await, if waits { "55006" } else { "42501" }, "{sql}");
        }
        for table in TRACKED {
            assert_eq!(refused(&db, before, &format!("TRUNCATE {table} CASCADE")).await, "42501", "{table}");
        }
    }
    assert_eq!(refused(&db, open, "SELECT open_revision('a', 'second', '')").await, "55006");
    assert_eq!(refused(&db, "SELECT 1", "SELECT open_revision('', 'r', '')").await, "23514", "an actor is named");
    assert_eq!(db.audit().await, None);
}

/// A small generator, so that a failing run can be had again by its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Revision numbers as one reader sees them now.
async fn numbers(connection: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("SELECT number FROM revision ORDER BY number").fetch_all(connection).await.expect("numbers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_gap_free_in_commit_order_under_eight_writers() {
    const WRITERS: u64 = 8;
    const DEEDS: u64 = 12;
    let seed = u64::from(std::process::id());
    let db = Arc::new(Database::with_sample().await);
    let done = Arc::new(AtomicBool::new(false));
    // Watches from outside the whole time: at no moment may a number be missing below one that is there.
    let observer = tokio::spawn({
        let (db, done) = (Arc::clone(&db), Arc::clone(&done));
        async move {
            let mut looks = 0;
            let mut before = 0;
            while !done.load(Ordering::SeqCst) {
                let seen = numbers(&mut db.pool.acquire().await.expect("connection")).await;
                assert_eq!(seen, (1..=seen.len() as i64).collect::<Vec<_>>(), "seed {seed}");
                assert!(seen.len() >= before, "seed {seed}");
                (before, looks) = (seen.len(), looks + 1);
            }
            looks
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let db = Arc::clone(&db);
            tokio::spawn(async move {
                let mut dice = Dice(seed * 100 + writer);
                let mut committed = Vec::new();
                for deed in 0..DEEDS {
                    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
                    let reason = format!("{writer}/{deed}");
                    let number = revision::open(&mut transaction, "test", &reason, "").await.expect("revision");
                    sqlx::query("UPDATE park SET administrator = $1 WHERE code = (SELECT min(code) FROM park)")
                        .bind(&reason)
                        .execute(&mut *transaction)
                        .await
                        .expect("updated");
                    if dice.next(4) == 0 {
                        transaction.rollback().await.expect("rolled back");
                    } else {
                        transaction.commit().await.expect("committed");
                        committed.push((number, reason));
                    }
                }
                committed
            })
        })
        .collect();
    let mut committed = Vec::new();
    for writer in writers {
        committed.extend(writer.await.expect("writer"));
    }
    done.store(true, Ordering::SeqCst);
    assert!(observer.await.expect("observer") > 0);
    committed.sort();
    assert!(committed.len() < (WRITERS * DEEDS) as usize && committed.len() > 8, "seed {seed}: nobody rolled back");
    let stored: Vec<(i64, String)> = sqlx::query_as("SELECT number, reason FROM revision WHERE number > 1 ORDER BY 1")
        .fetch_all(&db.pool)
        .await
        .expect("revisions");
    assert_eq!(stored, committed, "seed {seed}: a number was told to a writer and belongs to another deed");
    assert_eq!(committed.first().map(|c| c.0), Some(2));
    assert_eq!(committed.last().map(|c| c.0), Some(committed.len() as i64 + 1), "seed {seed}");
    // Each update found what the revision before it had left: the log is the order of the writes.
    let broken: i64 = db
        .value(
            "SELECT count(*) FROM (SELECT before ->> 'administrator' AS b,
                lag(after ->> 'administrator') OVER (ORDER BY revision) AS a, row_number() OVER (ORDER BY revision) AS n
             FROM change WHERE revision > 1) t WHERE n > 1 AND a IS DISTINCT FROM b",
        )
        .await;
    assert_eq!(broken, 0, "seed {seed}");
    assert_eq!(db.audit().await, None, "seed {seed}");
}

type Logged = (i32, String, String, String, Option<Value>, Option<Value>);

/// A block's row with the geometry as exact bytes, by SQL of this test.
const BLOCK_JSON: &str = "SELECT to_jsonb(b) || jsonb_build_object('geom', encode(ST_AsEWKB(b.geom), 'hex'))
    FROM park_block b WHERE id = $1";

async fn block(connection: &mut PgConnection, id: &str) -> Value {
    sqlx::query_scalar(BLOCK_JSON).bind(id).fetch_one(connection).await.expect(id)
}

#[tokio::test]
async fn every_changed_row_is_logged_as_it_was_and_as_it_is() {
    let db = Database::with_sample().await;
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM park_block ORDER BY id LIMIT 3").fetch_all(&db.pool).await.expect("ids");
    let (updated, deleted, copied) = (&ids[0], &ids[1], &ids[2]);
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    let updated_before = block(&mut transaction, updated).await;
    let deleted_before = block(&mut transaction, deleted).await;
    let number = revision::open(&mut transaction, "谁", "为何", "从何").await.expect("revision");
    for sql in [
        format!("UPDATE park_block SET name = '改\"名', geom = ST_Translate(geom, 1e-9, 0) WHERE id = '{updated}'"),
        format!("DELETE FROM park_block WHERE id = '{deleted}'"),
        format!(
            "INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
             SELECT park_code || '-新', park_code, '新', geom, area_m2, 's' FROM park_block WHERE id = '{copied}'"
        ),
        "UPDATE park SET name = name || '（新）' WHERE left(code, 1) = 'G'".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *transaction).await.expect(&sql);
    }
    let inserted = format!("{}-新", &copied[..7]);
    let updated_after = block(&mut transaction, updated).await;
    let inserted_after = block(&mut transaction, &inserted).await;
    let parks: i64 = sqlx::query_scalar("SELECT count(*) FROM park WHERE name LIKE '%（新）'")
        .fetch_one(&mut *transaction)
        .await
        .expect("n");
    transaction.commit().await.expect("committed");
    let logged: Vec<Logged> = sqlx::query_as(
        "SELECT ordinal, layer, feature_id, operation,
                before::jsonb || jsonb_build_object('geom', encode(before_geom, 'hex')), after::jsonb || jsonb_build_object('geom', encode(after_geom, 'hex'))
         FROM change WHERE revision = $1 ORDER BY ordinal",
    )
    .bind(number)
    .fetch_all(&db.pool)
    .await
    .expect("changes");
    let own = |text: &str| text.to_owned();
    assert_eq!(updated_after["revision"], number);
    assert_eq!(updated_before["revision"], 1);
    assert_eq!(
        logged[..3],
        [
            (1, own("park_block"), updated.clone(), own("update"), Some(updated_before), Some(updated_after)),
            (2, own("park_block"), deleted.clone(), own("delete"), Some(deleted_before), None),
            (3, own("park_block"), inserted, own("insert"), None, Some(inserted_after)),
        ]
    );
    assert!(parks > 1);
    assert_eq!(logged.len() as i64, 3 + parks);
    for (at, (ordinal, layer, code, operation, before, after)) in logged.iter().enumerate().skip(3) {
        assert_eq!((*ordinal, layer.as_str(), operation.as_str()), (at as i32 + 1, "park", "update"));
        let (before, after) = (before.as_ref().expect("before"), after.as_ref().expect("after"));
        assert_eq!(before["code"], code.as_str());
        assert_eq!(after["name"], format!("{}（新）", before["name"].as_str().expect("name")));
    }
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn an_update_of_a_key_is_refused() {
    let db = Database::with_sample().await;
    let open = "SELECT open_revision('a', 'r', '')";
    let sql = "UPDATE division SET code = '439999' WHERE code = (SELECT max(code) FROM division WHERE parent_code LIKE '43%')";
    assert_eq!(refused(&db, open, sql).await, "23000");
}

#[tokio::test]
async fn digests_and_hashes_are_what_the_columns_give() {
    let db = Database::with_sample().await;
    for reason in ["first \\ \"quoted\"\n\u{7f}", "第二\t𠮷 …"] {
        let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
        revision::open(&mut transaction, "actor / é", reason, "").await.expect("revision");
        sqlx::query("UPDATE park SET administrator = $1 WHERE level = '国家级'")
            .bind(reason)
            .execute(&mut *transaction)
            .await
            .expect("updated");
        transaction.commit().await.expect("committed");
    }
    let mut superuser = db.superuser().await;
    // Put together from its parts by this test, with Rust's own SHA-256.
    type Parts =
        (i64, i32, String, String, String, Option<String>, Option<String>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);
    let changes: Vec<Parts> = sqlx::query_as(
        "SELECT revision, ordinal, layer, feature_id, operation, before::text, after::text, before_geom, after_geom, digest FROM change",
    )
    .fetch_all(&mut superuser)
    .await
    .expect("changes");
    assert!(changes.len() > 600, "{}", changes.len());
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| b.len().to_string()).unwrap_or_default();
    for (revision, ordinal, layer, id, operation, before, after, before_geom, after_geom, digest) in changes {
        let head = format!(
            "{revision}|{ordinal}|{}|{layer}|{}|{id}|{operation}|{}|{}|{}\n{}\n{}\n",
            layer.chars().count(),
            id.chars().count(),
            length(&before_geom),
            length(&after_geom),
            before.as_ref().map(|b| b.len().to_string()).unwrap_or_default(),
            before.unwrap_or_default(),
            after.unwrap_or_default(),
        );
        let computed = Sha256::new()
            .chain_update(head)
            .chain_update(before_geom.unwrap_or_default())
            .chain_update(after_geom.unwrap_or_default())
            .finalize();
        assert_eq!(digest, computed.to_vec(), "digest of {revision}, {ordinal}");
    }
    type Head = (i64, i64, String, String, String, Vec<u8>, Vec<u8>, i32, Vec<u8>);
    let heads: Vec<Head> = sqlx::query_as(
        "SELECT number, round(extract(epoch FROM made_at) * 1000000)::bigint, actor, reason, source, previous_hash, hash, change_count,
                (SELECT string_agg(digest, ''::bytea ORDER BY ordinal) FROM change WHERE revision = number)
         FROM revision ORDER BY number",
    )
    .fetch_all(&mut superuser)
    .await
    .expect("revisions");
    assert_eq!(heads.len(), 3);
    let mut previous = Sha256::digest("sizhi").to_vec();
    let quoted = |text: &str| serde_json::to_string(text).expect("JSON");
    for (number, micros, actor, reason, source, previous_hash, hash, count, digests) in heads {
        assert_eq!(previous_hash, previous, "chain at {number}");
        assert_eq!(digests.len(), 32 * count as usize);
        let head =
            format!("[{number}, {micros}, {}, {}, {}, {count}]", quoted(&actor), quoted(&reason), quoted(&source));
        let computed = Sha256::new().chain_update(&previous).chain_update(head).chain_update(&digests).finalize();
        assert_eq!(hash, computed.to_vec(), "hash of {number}");
        previous = hash;
    }
}

/// The register by itself, whoever writes: a coordinate that is no number, in the middle of a ring where no box shows it;
/// one at infinity; one a hair outside; an empty geometry. The good control on the margin's very edge passes.
#[tokio::test]
async fn coordinates_that_are_not_finite_or_not_in_the_province_are_refused_by_the_table() {
    let database = Database::with_sample().await;
    let polygon = |points: &[(f64, f64)]| {
        let mut wkb: Vec<u8> = vec![1, 6, 0, 0, 0x20];
        wkb.extend(4490_u32.to_le_bytes());
        wkb.extend(1_u32.to_le_bytes());
        wkb.extend([1, 3, 0, 0, 0]);
        wkb.extend(1_u32.to_le_bytes());
        wkb.extend((points.len() as u32).to_le_bytes());
        wkb.extend(points.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()]).flatten());
        wkb
    };
    let ring = |third: (f64, f64)| polygon(&[(110.0, 26.0), (111.0, 26.0), third, (110.5, 27.0), (110.0, 26.0)]);
    let empty = [&[1_u8, 6, 0, 0, 0x20][..], &4490_u32.to_le_bytes(), &[0; 4]].concat();
    for (name, boundary, constraint) in [
        ("NaN", ring((f64::NAN, 26.5)), Some("park_block_geom_finite")),
        ("NaN", ring((111.5, f64::NAN)), Some("park_block_geom_finite")),
        ("infinite", ring((f64::INFINITY, 26.5)), Some("park_block_geom_in_province")),
        ("outside", ring((115.000_000_1, 26.5)), Some("park_block_geom_in_province")),
        ("outside", ring((111.0, 31.000_000_1)), Some("park_block_geom_in_province")),
        ("empty", empty, Some("park_block_geom_finite")),
        ("on the edge", ring((115.0, 31.0)), None),
        ("a hair inside", ring((114.999_999_9, 30.999_999_9)), None),
    ] {
        let mut transaction = database.pool.begin().await.expect("transaction");
        sqlx::query("SELECT open_revision('a', 'r', '')").execute(&mut *transaction).await.expect("revision");
        let outcome = sqlx::query(
            "INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
             VALUES ('G431176-edge', 'G431176', 'edge', ST_GeomFromEWKB($1), 1000, 'test')",
        )
        .bind(boundary)
        .execute(&mut *transaction)
        .await;
        assert_eq!(outcome.is_ok(), constraint.is_none(), "{name}: {outcome:?}");
        let told = outcome.err().and_then(|e| e.as_database_error().and_then(|d| d.constraint().map(str::to_owned)));
        assert_eq!(told.as_deref(), constraint, "{name}");
    }
}

#[tokio::test]
async fn what_a_constraint_refuses_has_its_own_word() {
    let db = Database::with_sample().await;
    for (sql, code) in [
        ("UPDATE park_block SET stated_area_ha = 0 WHERE id = 'G431176-1'", "stated_area_invalid"),
        ("UPDATE park_block SET area_m2 = 'NaN' WHERE id = 'G431176-1'", "area_invalid"),
        ("UPDATE park SET approved_area_ha = 0 WHERE code = 'G431176'", "area_invalid"),
        ("UPDATE park SET approved_area_ha = 1e9 WHERE code = 'G431176'", "number_out_of_range"),
        ("UPDATE park SET level = '省级' WHERE code = 'G431176'", "level_contradicts_code"),
        ("UPDATE park SET prefecture_code = '439999' WHERE code = 'G431176'", "division_unknown"),
        (
            "UPDATE division SET geom = ST_GeomFromText('MULTIPOLYGON(((112 28,113 29,113 28,112 29,112 28)))', 4490) WHERE code = '430100'",
            "geometry_invalid",
        ),
        ("UPDATE division SET geom = ST_Translate(geom, 10, 0) WHERE code = '430100'", "outside_province"),
        ("INSERT INTO park SELECT * FROM park WHERE code = 'G431176'", "park_exists"),
        ("INSERT INTO division SELECT * FROM division WHERE code = '430100'", "division_exists"),
        ("INSERT INTO park_block SELECT * FROM park_block WHERE id = 'G431176-1'", "block_exists"),
        (
            "INSERT INTO park_block (id, park_code, number, geom, area_m2, source, valid_from)
             SELECT id, park_code, number, geom, area_m2, source, '2020-01-01' FROM park_block WHERE id = 'G431176-1'",
            "block_exists",
        ),
        ("UPDATE park_event SET area_after_ha = 1 WHERE park_code = 'G431177'", "event_area_arithmetic"),
    ] {
        let mut transaction = db.pool.begin().await.expect("transaction");
        revision::open(&mut transaction, "test", "test", "").await.expect("revision");
        let Err(refused) = sqlx::query(sql).execute(&mut *transaction).await else { panic!("taken: {sql}") };
        assert_eq!(sizhi::error::Error::from(refused).code(), code, "{sql}");
    }
}

#[tokio::test]
async fn what_the_server_says_has_its_own_word() {
    let db = Database::empty().await;
    for (state, code) in [
        ("57014", "query_timeout"),
        ("55P03", "register_busy"),
        ("40P01", "register_busy"),
        ("53100", "storage_full"),
        ("25006", "read_only_replica"),
        ("57P03", "database_unavailable"),
        ("XX000", "internal"),
    ] {
        let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$");
        let Err(refused) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&db.pool).await else { panic!("{state}") };
        assert_eq!(sizhi::error::Error::from(refused).code(), code, "{state}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    for (sql, code) in [
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'to come', true, '', 0)",
            "migration_newer",
        ),
        (
            "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
            "migration_mismatch",
        ),
    ] {
        let db = Database::empty().await;
        sqlx::query(sql).execute(&db.pool).await.expect(sql);
        assert_eq!(store::migrate(&db.pool).await.expect_err(code).code(), code);
    }
}

/// Without the bell a write is found within two seconds: of five in a row, each told at once, at most one can have been found so.
#[tokio::test]
async fn every_revision_is_told_by_the_bell() {
    let db = Database::with_sample().await;
    let (newest, mut told) = watch::channel(0);
    let (access, layers, looks) = (watch::channel(0).0, watch::channel(Written::default()).0, watch::channel(None).0);
    let following = tokio::spawn(follow::follow(db.application.clone(), Told { newest, access, layers, looks }));
    told.wait_for(|revision| *revision == 1).await.expect("told of the sample");
    // Whoever listens has looked once more.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for revision in 2..=6 {
        db.write(&format!("UPDATE park SET name = name || '{revision}' WHERE code = 'S437001'")).await;
        let soon = tokio::time::timeout(Duration::from_millis(900), told.wait_for(|told| *told == revision));
        soon.await.expect("told at once").expect("told");
    }
    following.abort();
}

/// Somebody who goes away while a transaction begins leaves it open; the next one on the connection is in none of it.
#[tokio::test]
async fn a_connection_comes_back_without_the_transaction_that_nobody_ended() {
    let db = Database::with_sample().await;
    let pool = store::connect(
        db.pool.connect_options().as_ref().clone(),
        PoolLimits { connections: 1, ..PoolLimits::default() },
    );
    let whose =
        async || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool).await.expect("process");
    assert_eq!(whose().await, whose().await, "a sound connection stays");
    for left in ["BEGIN READ ONLY; SET LOCAL sizhi.jurisdiction = '430100'", "BEGIN; SELECT 1 / 0"] {
        let mut connection = pool.acquire().await.expect("connection");
        let _ = sqlx::raw_sql(left).execute(&mut *connection).await;
        drop(connection);
        let (writes, whom): (bool, Option<String>) =
            sqlx::query_as("SELECT current_setting('transaction_read_only') = 'off', nullif(current_setting('sizhi.jurisdiction', true), '')")
                .fetch_one(&pool)
                .await
                .expect(left);
        assert_eq!((writes, whom), (true, None), "{left}");
    }
}
