//! Tampering with full rights: `audit verify` names the row, in the library and by the real binary.

use serde_json::Value;
use sizhi::store::audit::BadRow;
use sizhi::store::{self, revision};
use sqlx::AssertSqlSafe;

use crate::support::Database;
use crate::support::process::{run, sizhi};

/// Four revisions: divisions and parks; three blocks; two of them changed and one event; one block gone, one park renamed.
const HISTORY: [&str; 4] = [
    "INSERT INTO division (code, name, level, source) VALUES ('430000', '湖南省', 'province', 's'), ('430100', '长沙市', 'prefecture', 's');
     INSERT INTO park (code, name, level, type, prefecture_code, source)
     VALUES ('G431001', '甲园', '国家级', 't', '430100', 's'), ('S437001', '乙园', '省级', 't', '430100', 's')",
    "INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
     SELECT 'S437001-' || n, 'S437001', n::text, ST_Multi(ST_MakeEnvelope(112 + n * 0.1, 28, 112.05 + n * 0.1, 28.05, 4490)), 1000, 's'
     FROM generate_series(1, 3) n",
    "UPDATE park_block SET name = '改' WHERE number IN ('1', '2');
     INSERT INTO park_event (id, park_code, kind, source) VALUES ('e1', 'S437001', 'established', 's')",
    "DELETE FROM park_block WHERE number = '3'; UPDATE park SET name = '丙园' WHERE code = 'S437001'",
];

async fn with_history() -> Database {
    let db = Database::empty().await;
    for (at, sql) in HISTORY.into_iter().enumerate() {
        let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
        let number = revision::open(&mut transaction, "test", &format!("reason {at}"), "").await.expect("revision");
        assert_eq!(number, at as i64 + 1);
        sqlx::raw_sql(sql).execute(&mut *transaction).await.expect(sql);
        transaction.commit().await.expect("committed");
    }
    db
}

async fn tamper(db: &Database, sql: &str) {
    let mut superuser = db.superuser().await;
    let sql = format!("SET session_replication_role = replica; {sql}");
    sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut superuser).await.expect(&sql);
}

/// What the real binary says: exit code and JSON.
async fn verify(db: &Database) -> (Option<i32>, Value) {
    let mut command = sizhi(&["audit", "verify", "--json"]);
    command.env("DATABASE_URL", db.url().await);
    let output = run(command, b"");
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

fn bad(revision: Option<i64>, ordinal: Option<i32>, row: Option<(&str, &str)>, what: &str) -> BadRow {
    BadRow {
        revision,
        ordinal,
        layer: row.map(|r| r.0.to_owned()),
        feature_id: row.map(|r| r.1.to_owned()),
        what: what.to_owned(),
    }
}

/// Tampers in a history of its own each time and compares what both doors say.
async fn check(cases: &[(&str, BadRow)]) {
    for (sql, expected) in cases {
        let db = with_history().await;
        tamper(&db, sql).await;
        assert_eq!(db.audit().await.as_ref(), Some(expected), "{sql}");
        let (code, json) = verify(&db).await;
        assert_eq!(code, Some(1), "{sql}: {json}");
        let told = &json["first_bad"];
        assert_eq!(json["ok"], false, "{sql}: {json}");
        assert_eq!(told["revision"], serde_json::json!(expected.revision), "{sql}: {json}");
        assert_eq!(told["ordinal"], serde_json::json!(expected.ordinal), "{sql}: {json}");
        assert_eq!(told["layer"], serde_json::json!(expected.layer), "{sql}: {json}");
        assert_eq!(told["feature_id"], serde_json::json!(expected.feature_id), "{sql}: {json}");
        assert_eq!(told["what"], expected.what, "{sql}: {json}");
        assert_eq!(told["message"], expected.message(), "{sql}: {json}");
    }
}

#[tokio::test]
async fn an_untouched_history_is_ok() {
    let db = with_history().await;
    assert_eq!(db.audit().await, None);
    let (code, json) = verify(&db).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        json,
        serde_json::json!({"ok": true, "revisions": 4, "changes": 12, "contents": 0, "first_bad": null, "broken_contents": []})
    );
    let empty = Database::empty().await;
    let (code, json) = verify(&empty).await;
    assert_eq!((code, &json["ok"], &json["revisions"]), (Some(0), &true.into(), &0.into()));
}

#[tokio::test]
async fn altered_changes_are_named_by_revision_and_ordinal() {
    let block = |n| Some(("park_block", n));
    let first = bad(Some(3), Some(1), block("S437001-1"), "change_altered");
    let second = bad(Some(3), Some(2), block("S437001-2"), "change_altered");
    check(&[
        (
            "UPDATE change SET after = jsonb_set(after::jsonb, '{name}', '\"x\"') WHERE revision = 3 AND ordinal = 2",
            second.clone(),
        ),
        (
            "UPDATE change SET before = jsonb_set(before::jsonb, '{area_m2}', '1') WHERE revision = 3 AND ordinal = 2",
            second.clone(),
        ),
        ("UPDATE change SET digest = sha256('x') WHERE revision = 3 AND ordinal = 1", first.clone()),
        // Other digits of the same number are another text.
        (
            "UPDATE change SET after = jsonb_set(after::jsonb, '{area_m2}', '1000.0') WHERE revision = 3 AND ordinal = 1",
            first.clone(),
        ),
        (
            "UPDATE change SET feature_id = 'S437001-9' WHERE revision = 3 AND ordinal = 1",
            bad(Some(3), Some(1), block("S437001-9"), "change_altered"),
        ),
        (
            "UPDATE change SET ordinal = 99 WHERE revision = 3 AND ordinal = 1;
          UPDATE change SET ordinal = 1 WHERE revision = 3 AND ordinal = 2;
          UPDATE change SET ordinal = 2 WHERE revision = 3 AND ordinal = 99",
            bad(Some(3), Some(1), block("S437001-2"), "change_altered"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn altered_revisions_are_named() {
    let altered = |number| bad(Some(number), None, None, "revision_altered");
    check(&[
        ("UPDATE revision SET reason = 'other' WHERE number = 2", altered(2)),
        ("UPDATE revision SET actor = 'other' WHERE number = 4", altered(4)),
        ("UPDATE revision SET source = 'other' WHERE number = 1", altered(1)),
        ("UPDATE revision SET made_at = made_at + interval '1 microsecond' WHERE number = 3", altered(3)),
        ("UPDATE revision SET made_at = 'infinity' WHERE number = 3", altered(3)),
        ("UPDATE revision SET hash = sha256('x') WHERE number = 2", altered(2)),
        ("UPDATE revision SET hash = sha256('x') WHERE number = 4", altered(4)),
        ("UPDATE revision SET hash = NULL WHERE number = 4", bad(Some(4), None, None, "not_sealed")),
        ("UPDATE revision SET previous_hash = sha256('x') WHERE number = 1", bad(Some(1), None, None, "chain_broken")),
        ("UPDATE revision SET change_count = NULL WHERE number = 2", altered(2)),
        // The forger recomputes the digest of the change, and even the hash of its revision: the next one tells.
        ("UPDATE change SET after = jsonb_set(after::jsonb, '{name}', '\"x\"') WHERE revision = 3 AND ordinal = 1;
          UPDATE change SET digest = change_digest(revision, ordinal, layer, feature_id, operation, before, after, before_geom, after_geom) WHERE revision = 3", altered(3)),
        ("UPDATE revision SET reason = 'other' WHERE number = 2;
          UPDATE revision SET hash = revision_hash(number, made_at, actor, reason, source, previous_hash, change_count,
              (SELECT string_agg(digest, ''::bytea ORDER BY ordinal) FROM change WHERE revision = 2)) WHERE number = 2",
            bad(Some(3), None, None, "chain_broken")),
    ])
    .await;
}

#[tokio::test]
async fn missing_and_added_entries_are_named() {
    let missing = |number| bad(Some(number), None, None, "changes_missing");
    check(&[
        ("DELETE FROM change WHERE revision = 2 AND ordinal = 2", missing(2)),
        ("DELETE FROM change WHERE revision = 4 AND ordinal = 2", missing(4)),
        ("INSERT INTO change SELECT revision, 4, layer, feature_id, operation, before, after, before_geom, after_geom,
              change_digest(revision, 4, layer, feature_id, operation, before, after, before_geom, after_geom) FROM change WHERE revision = 2 AND ordinal = 3", missing(2)),
        ("DELETE FROM revision WHERE number = 4", bad(Some(4), None, None, "changes_orphaned")),
        ("DELETE FROM revision WHERE number = 2", bad(Some(2), None, None, "changes_orphaned")),
        // Gone with its changes: the number after the gap is the first that is there to name.
        ("DELETE FROM change WHERE revision = 2; DELETE FROM revision WHERE number = 2", bad(Some(3), None, None, "number_gap")),
        ("DELETE FROM change WHERE revision = 1; DELETE FROM revision WHERE number = 1", bad(Some(2), None, None, "number_gap")),
        // The newest one gone with its changes, the register left as it stands.
        ("DELETE FROM change WHERE revision = 4; DELETE FROM revision WHERE number = 4",
            bad(Some(1), Some(4), Some(("park", "S437001")), "row_differs_from_log")),
    ])
    .await;
}

#[tokio::test]
async fn rows_behind_the_logs_back_are_named() {
    let differs = |revision, ordinal, row| bad(revision, ordinal, Some(row), "row_differs_from_log");
    check(&[
        ("UPDATE park_block SET area_m2 = 1001 WHERE number = '2'", differs(Some(3), Some(2), ("park_block", "S437001-2"))),
        ("UPDATE park_block SET geom = ST_Reverse(geom) WHERE number = '1'", differs(Some(3), Some(1), ("park_block", "S437001-1"))),
        ("UPDATE park SET revision = 3 WHERE code = 'S437001'", differs(Some(4), Some(2), ("park", "S437001"))),
        ("UPDATE division SET name = '湘' WHERE code = '430000'", differs(Some(1), Some(1), ("division", "430000"))),
        ("DELETE FROM park_event", differs(Some(3), Some(3), ("park_event", "e1"))),
        ("UPDATE park_block SET valid_to = '2030-01-01' WHERE number = '1'", differs(Some(3), Some(1), ("park_block", "S437001-1"))),
        ("INSERT INTO directory_version (id, title, source, revision) VALUES ('d', 't', 's', 1)",
            differs(None, None, ("directory_version", "d"))),
        ("INSERT INTO directory_entry (version_id, park_code, name, revision) VALUES ('d', 'S437001', 'n', 1)",
            differs(None, None, ("directory_entry", "d@S437001"))),
        // Put back as it was before the deletion that the log knows of.
        ("INSERT INTO park_block SELECT (jsonb_populate_record(NULL::park_block, before::jsonb || jsonb_build_object('geom', encode(before_geom, 'hex')))).* FROM change WHERE revision = 4 AND operation = 'delete'",
            differs(Some(4), Some(1), ("park_block", "S437001-3"))),
    ])
    .await;
}

#[tokio::test]
async fn guards_switched_off_or_altered_are_named() {
    for (sql, table, guard) in [
        ("ALTER TABLE park_block DISABLE TRIGGER park_block_log_update", "park_block", "park_block_log_update"),
        ("DROP TRIGGER park_stamp ON park", "park", "park_stamp"),
        ("ALTER TABLE change ENABLE REPLICA TRIGGER change_append_only", "change", "change_append_only"),
        (
            "CREATE OR REPLACE FUNCTION log_changes_of_park_block() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
             SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off AS $$ BEGIN RETURN NULL; END $$",
            "pg_proc",
            "log_changes_of_park_block",
        ),
        (
            "CREATE OR REPLACE FUNCTION log_function_body(table_name text, feature_id text, keys text[]) RETURNS text LANGUAGE sql AS
             $$ SELECT prosrc FROM pg_proc WHERE proname = 'log_changes_of_' || table_name $$",
            "pg_proc",
            "log_function_body",
        ),
        (
            "CREATE FUNCTION silent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE OR REPLACE TRIGGER park_log_delete AFTER DELETE ON park REFERENCING OLD TABLE AS old_rows
             FOR EACH STATEMENT EXECUTE FUNCTION silent()",
            "park",
            "park_log_delete",
        ),
        (
            "CREATE OR REPLACE TRIGGER park_log_update AFTER UPDATE ON park REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
             FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION log_changes_of_park()",
            "park",
            "park_log_update",
        ),
        (
            "CREATE FUNCTION lenient() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER change_append_only BEFORE UPDATE OR DELETE ON change FOR EACH ROW EXECUTE FUNCTION lenient()",
            "change",
            "change_append_only",
        ),
        // A migration that forgot to tell the log of its column.
        ("ALTER TABLE park ADD COLUMN remark text", "pg_proc", "log_changes_of_park"),
        ("ALTER FUNCTION change_digest RENAME TO other_digest", "pg_proc", "change_digest"),
    ] {
        let db = with_history().await;
        assert_eq!(db.audit().await, None);
        tamper(&db, sql).await;
        assert_eq!(db.audit().await, Some(bad(None, None, Some((table, guard)), "guard_altered")), "{sql}");
    }
}

#[tokio::test]
async fn every_trigger_that_is_switched_off_is_named() {
    let db = with_history().await;
    let all: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
               -- A bell guards nothing: who does not hear it looks by itself.
               AND t.tgfoid <> 'ring_access'::regproc ORDER BY 1, 2",
    )
    .fetch_all(&db.pool)
    .await
    .expect("triggers");
    assert_eq!(all.len(), 22 * 5 + 18);
    for (table, trigger) in &all {
        tamper(&db, &format!("ALTER TABLE {table} DISABLE TRIGGER {trigger}")).await;
        assert_eq!(db.audit().await, Some(bad(None, None, Some((table, trigger)), "guard_altered")));
        tamper(&db, &format!("ALTER TABLE {table} ENABLE TRIGGER {trigger}")).await;
    }
}

/// What the database says of itself is not believed: its functions and its list of tables may have been altered first.
#[tokio::test]
async fn an_altered_row_is_named_by_an_altered_database_too() {
    let db = with_history().await;
    tamper(
        &db,
        "CREATE OR REPLACE FUNCTION change_digest(revision bigint, ordinal integer, layer text, feature_id text, operation text,
             before json, after json, before_geom bytea, after_geom bytea) RETURNS bytea LANGUAGE sql AS $$
             SELECT digest FROM change c WHERE c.revision = $1 AND c.ordinal = $2 $$;
         DELETE FROM tracked_table WHERE name = 'park';
         UPDATE park SET name = '改' WHERE code = 'S437001'",
    )
    .await;
    let renamed = bad(Some(4), Some(2), Some(("park", "S437001")), "row_differs_from_log");
    assert_eq!(db.audit().await, Some(renamed));
    tamper(&db, "UPDATE change SET after = '{}' WHERE revision = 1 AND ordinal = 3").await;
    assert_eq!(
        db.audit().await.map(|b| (b.revision, b.ordinal, b.what)),
        Some((Some(1), Some(3), "change_altered".into()))
    );
}

/// A later migration may add a column; rows that were logged before it are as they were.
#[tokio::test]
async fn a_column_added_since_is_no_difference() {
    let db = with_history().await;
    tamper(&db, "ALTER TABLE park ADD COLUMN remark text; SELECT write_log_function('park')").await;
    assert_eq!(db.audit().await, None);
    tamper(&db, "UPDATE park SET remark = 'x' WHERE code = 'G431001'").await;
    assert_eq!(
        db.audit().await.map(|b| (b.feature_id, b.what)),
        Some((Some("G431001".into()), "row_differs_from_log".into()))
    );
}
