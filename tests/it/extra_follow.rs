//! Following the operator's tables: whatever is committed by whomever, a reader that goes from mark to mark misses none of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sizhi::domain::layer::Layer;
use sizhi::store::extra::follow::{self, Mark, Touched};
use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::support::Database;
use crate::support::extra::{layer, make};

const TABLE: &str = "CREATE TABLE plots (id int PRIMARY KEY, n int NOT NULL, g geometry(Point, 4490))";
const FILE: &str = "[[layer]]\nid = \"plots\"\ntable = \"plots\"";

/// A transaction of a reader: one state.
async fn reading(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut transaction = pool.begin().await.expect("transaction");
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await
        .expect("set");
    transaction
}

async fn mark(pool: &PgPool, layer: &Layer) -> Mark {
    follow::mark_now(&mut *reading(pool).await, layer).await.expect("mark")
}

async fn touched(pool: &PgPool, layer: &Layer, mark: &Mark) -> Touched {
    let mut touched = follow::touched_since(&mut *reading(pool).await, layer, mark).await.expect("touched");
    if let Touched::Ids(ids, _) = &mut touched {
        ids.sort_unstable();
    }
    touched
}

#[track_caller]
fn ids(touched: Touched) -> Vec<String> {
    match touched {
        Touched::Nothing => Vec::new(),
        Touched::Ids(ids, _) => ids,
        Touched::Everything(_) => panic!("everything"),
    }
}

#[tokio::test]
async fn every_kind_of_write_is_told_by_its_keys() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let begin = mark(&db.application, layer).await;
    assert_eq!(touched(&db.application, layer, &begin).await, Touched::Nothing);
    for (sql, expected) in [
        ("INSERT INTO plots VALUES (1, 1), (2, 2), (3, 3)", &["1", "2", "3"][..]),
        ("UPDATE plots SET n = 9 WHERE id = 2", &["2"]),
        ("UPDATE plots SET id = 7 WHERE id = 3", &["3", "7"]),
        ("DELETE FROM plots WHERE id = 1", &["1"]),
        ("UPDATE plots SET n = 1 WHERE id = 99", &[]),
        ("INSERT INTO plots VALUES (2, 5), (8, 8) ON CONFLICT (id) DO UPDATE SET n = excluded.n", &["2", "8"]),
        (
            "BEGIN; INSERT INTO plots VALUES (20, 1); SAVEPOINT a; INSERT INTO plots VALUES (21, 1); ROLLBACK TO a; COMMIT",
            &["20"],
        ),
        ("BEGIN; INSERT INTO plots VALUES (30, 1); ROLLBACK", &[]),
        (
            "WITH gone AS (DELETE FROM plots WHERE id = 20 RETURNING n) UPDATE plots SET n = 4 WHERE id = 7",
            &["20", "7"],
        ),
    ] {
        let before = mark(&db.application, layer).await;
        make(&db, sql).await;
        assert_eq!(ids(touched(&db.application, layer, &before).await), expected, "{sql}");
    }
    let before = mark(&db.application, layer).await;
    make(&db, "TRUNCATE plots").await;
    assert!(matches!(touched(&db.application, layer, &before).await, Touched::Everything(_)));
    let before = mark(&db.application, layer).await;
    make(&db, "INSERT INTO plots SELECT n, n FROM generate_series(1, 10001) n").await;
    assert!(matches!(touched(&db.application, layer, &before).await, Touched::Everything(_)), "more than can be named");
}

#[tokio::test]
async fn a_transaction_that_writes_early_and_commits_late_is_not_stepped_over() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let mut late = db.pool.begin().await.expect("transaction");
    sqlx::query("INSERT INTO plots VALUES (1, 1)").execute(&mut *late).await.expect("written");
    make(&db, "INSERT INTO plots VALUES (2, 2)").await;
    let between = mark(&db.application, layer).await;
    make(&db, "INSERT INTO plots VALUES (3, 3)").await;
    assert_eq!(ids(touched(&db.application, layer, &between).await), ["3"]);
    late.commit().await.expect("committed");
    assert_eq!(ids(touched(&db.application, layer, &between).await), ["1", "3"]);
}

/// What a reader holds: the table as it read it.
async fn rows(connection: &mut PgConnection, keys: Option<&[String]>) -> BTreeMap<String, i32> {
    let rows: Vec<(String, i32)> =
        sqlx::query_as("SELECT id::text, n FROM plots WHERE $1::text[] IS NULL OR id::text = ANY($1)")
            .bind(keys)
            .fetch_all(connection)
            .await
            .expect("rows");
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_among_many_writers_holds_the_table_at_every_mark() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4_i32 {
        let pool = db.pool.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..60_i32 {
                let mut transaction = pool.begin().await.expect("transaction");
                for step in 0..3 {
                    // Own keys for each writer: no one waits for another, so commits overtake each other.
                    let id = writer * 1000 + (round * 7 + step * 13) % 40;
                    let sql = match (round + step) % 3 {
                        0 => "INSERT INTO plots VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                        1 => "UPDATE plots SET n = $2 WHERE id = $1",
                        _ => "DELETE FROM plots WHERE id = $1 AND $2 >= 0",
                    };
                    sqlx::query(sql).bind(id).bind(round).execute(&mut *transaction).await.expect("written");
                    tokio::task::yield_now().await;
                }
                if round % 5 == 4 {
                    transaction.rollback().await.expect("rolled back");
                } else {
                    transaction.commit().await.expect("committed");
                }
            }
        }));
    }
    let reader = {
        let (pool, done) = (db.application.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut first = reading(&pool).await;
            let mut mark = follow::mark_now(&mut first, layer).await.expect("mark");
            let mut held = rows(&mut first, None).await;
            drop(first);
            let (mut looks, mut told) = (0, 0);
            loop {
                let last = done.load(Ordering::Acquire);
                let mut transaction = reading(&pool).await;
                match follow::touched_since(&mut transaction, layer, &mark).await.expect("touched") {
                    Touched::Nothing => {}
                    Touched::Ids(ids, now) => {
                        let fresh = rows(&mut transaction, Some(&ids)).await;
                        held.retain(|id, _| !ids.contains(id));
                        held.extend(fresh);
                        mark = now;
                        told += ids.len();
                    }
                    Touched::Everything(_) => panic!("everything"),
                }
                assert_eq!(held, rows(&mut transaction, None).await, "look {looks}");
                looks += 1;
                if last {
                    return (looks, told);
                }
            }
        })
    };
    for writer in writers {
        writer.await.expect("a writer");
    }
    done.store(true, Ordering::Release);
    let (looks, told) = reader.await.expect("the reader");
    assert!(looks > 5 && told > 100, "{looks} looks, {told} keys: it would pass on nothing");
}

#[tokio::test]
async fn what_was_thrown_away_or_not_written_down_is_everything() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let is_everything =
        async |mark: &Mark| matches!(touched(&db.application, layer, mark).await, Touched::Everything(_));
    let before = mark(&db.application, layer).await;
    make(&db, "INSERT INTO plots VALUES (1, 1)").await;
    // A mark that may still lack an older transaction is on the safe side: those of other tests are waited for.
    let settled = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > (SELECT max(transaction) FROM extra_change)";
    for _ in 0..600 {
        if db.value::<bool>(settled).await {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let between = mark(&db.application, layer).await;
    make(&db, "UPDATE extra_change SET made_at = made_at - interval '2 days'").await;
    follow::prune(&mut db.pool.acquire().await.expect("connection")).await.expect("pruned");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM extra_change").await, 0);
    assert!(is_everything(&before).await, "what it has missed is gone");
    assert_eq!(touched(&db.application, layer, &between).await, Touched::Nothing, "it has seen what is gone");
    for breach in
        ["ALTER TABLE plots DISABLE TRIGGER \"sizhi_update_plots\"", "DROP TRIGGER \"sizhi_insert_plots\" ON plots"]
    {
        let before = mark(&db.application, layer).await;
        make(&db, breach).await;
        assert!(is_everything(&before).await, "{breach}");
        let again = self::layer(&db, FILE).await;
        assert!(is_everything(&before).await, "{breach}: what went by meanwhile is not known");
        let now = mark(&db.application, again).await;
        make(&db, "INSERT INTO plots VALUES (5, 5); DELETE FROM plots WHERE id = 5").await;
        assert_eq!(ids(touched(&db.application, again, &now).await), ["5"], "{breach}");
    }
    let before = mark(&db.application, layer).await;
    make(&db, "INSERT INTO plots VALUES (6, 6)").await;
    self::layer(&db, FILE).await;
    assert_eq!(ids(touched(&db.application, layer, &before).await), ["6"], "another server's start changes nothing");
}

#[tokio::test]
async fn a_layer_of_another_table_takes_its_triggers_along() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    make(&db, "CREATE TABLE \"Other's\" (\"Key\" text PRIMARY KEY, g geometry(Point, 4490))").await;
    let first = layer(&db, FILE).await;
    let before = mark(&db.application, first).await;
    let second = layer(&db, "[[layer]]\nid = \"plots\"\ntable = \"Other's\"").await;
    assert!(matches!(touched(&db.application, second, &before).await, Touched::Everything(_)));
    let on = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'note_extra_change'";
    assert_eq!(db.column::<String>(on).await, ["\"Other's\""]);
    let now = mark(&db.application, second).await;
    make(&db, "INSERT INTO \"Other's\" VALUES ('a''b'), ('甲')").await;
    assert_eq!(ids(touched(&db.application, second, &now).await), ["a'b", "甲"]);
}

#[tokio::test]
async fn the_bell_rings_with_the_layers_name_and_writers_need_no_rights_of_ours() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let mut bell = PgListener::connect_with(&db.application).await.expect("listener");
    bell.listen(follow::CHANNEL).await.expect("listening");
    let mut superuser = db.superuser().await;
    let role = format!("writer_{}", db.name);
    let before = mark(&db.application, layer).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "CREATE ROLE {role}; GRANT SELECT, INSERT ON plots TO {role}; SET ROLE {role}; INSERT INTO plots VALUES (1, 1); RESET ROLE;
         REVOKE ALL ON plots FROM {role}; DROP ROLE {role}"
    )))
    .execute(&mut superuser)
    .await
    .expect("written");
    assert_eq!(bell.recv().await.expect("a bell").payload(), "plots");
    assert_eq!(ids(touched(&db.application, layer, &before).await), ["1"]);
}

#[tokio::test]
async fn a_view_is_followed_by_comparing_it() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    make(&db, "INSERT INTO plots VALUES (1, 1), (2, 2); CREATE VIEW shown AS SELECT * FROM plots WHERE n < 100").await;
    let layer = layer(&db, "[[layer]]\nid = \"shown\"\ntable = \"shown\"\nkey = \"id\"").await;
    for (sql, changed) in [
        ("UPDATE plots SET n = 3 WHERE id = 2", true),
        ("UPDATE plots SET n = 3 WHERE id = 2", false),
        ("UPDATE plots SET g = 'SRID=4490;POINT(112 28)' WHERE id = 1", true),
        ("INSERT INTO plots VALUES (9, 100)", false),
        ("DELETE FROM plots WHERE id = 1", true),
        ("UPDATE plots SET n = CASE id WHEN 2 THEN 7 ELSE n END", true),
    ] {
        let before = mark(&db.application, layer).await;
        make(&db, sql).await;
        match touched(&db.application, layer, &before).await {
            Touched::Everything(now) => assert!(changed && now != before, "{sql}"),
            Touched::Nothing => assert!(!changed, "{sql}"),
            Touched::Ids(..) => panic!("{sql}: ids"),
        }
    }
}

#[tokio::test]
async fn a_register_that_is_replaced_gives_the_triggers_back() {
    let db = Database::with_sample().await;
    let place = crate::support::tools::folder("extra_backup");
    let file = place.join("register.dump");
    let url = db.url().await;
    let command = |args: &[&str]| {
        let mut command = crate::support::process::sizhi(args);
        command.env("DATABASE_URL", &url);
        let output = crate::support::process::run(command, b"");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    command(&["db", "backup", file.to_str().expect("a path")]);
    // Made after the backup: not in it, and in the way of what it replaces.
    make(&db, TABLE).await;
    let layer = layer(&db, FILE).await;
    let before = mark(&db.application, layer).await;
    command(&["db", "restore", "--replace", file.to_str().expect("a path")]);
    assert!(matches!(touched(&db.application, layer, &before).await, Touched::Everything(_)));
    let again = self::layer(&db, FILE).await;
    let now = mark(&db.application, again).await;
    make(&db, "INSERT INTO plots VALUES (1, 1)").await;
    assert_eq!(ids(touched(&db.application, again, &now).await), ["1"]);
}
