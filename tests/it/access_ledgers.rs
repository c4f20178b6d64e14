//! The six tables of the ledgers as the database shows them to the service's role: the rows, their past, and their images in the
//! log, to each jurisdiction its own.

use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::Database;
use crate::support::parcels::{self, COUNTY};

const TABLES: [&str; 7] = [
    "turnover_parcel",
    "low_efficiency_parcel",
    "redevelopment_plan",
    "plan_step",
    "parcel_transition",
    "parcel_lineage",
    "attachment",
];

/// Rows of each table, of every county and of one; `{}` stands for the table.
async fn counts(session: &mut PgConnection, sql: &str) -> Vec<i64> {
    let mut found = Vec::new();
    for table in TABLES {
        let sql = sql.replace("{}", table);
        let count = sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(&mut *session).await;
        found.push(count.unwrap_or_else(|e| panic!("{sql}: {e}")));
    }
    found
}

/// What a session of the service's role counts that speaks for this jurisdiction, with the past as of this revision.
async fn seen(session: &mut PgConnection, jurisdiction: Option<&str>, as_of: i64, sql: &str) -> Vec<i64> {
    let mut transaction = session.begin().await.expect("transaction");
    let settings =
        [Some(("sizhi.as_of", as_of.to_string())), jurisdiction.map(|j| ("sizhi.jurisdiction", j.to_owned()))];
    for (name, value) in settings.into_iter().flatten() {
        sqlx::query("SELECT set_config($1, $2, true)")
            .bind(name)
            .bind(value)
            .execute(&mut *transaction)
            .await
            .expect("set");
    }
    let found = counts(&mut transaction, sql).await;
    transaction.rollback().await.expect("ended");
    found
}

#[tokio::test]
async fn a_session_sees_of_the_ledgers_what_its_jurisdiction_covers_now_and_then_and_in_the_log() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 1_500, &Silent).await.expect("parcels");
    // The drawn ones have made no moves and have no papers.
    parcels::leave_traces(&db).await;
    let drawn: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut owner = db.pool.acquire().await.expect("connection").detach();
    let all = counts(&mut owner, "SELECT count(*) FROM {}").await;
    let own = counts(&mut owner, &format!("SELECT count(*) FROM {{}} WHERE county_code = '{COUNTY}'")).await;
    for (at, table) in TABLES.iter().enumerate() {
        assert!(0 < own[at] && own[at] < all[at], "{table}: {own:?} of {all:?}");
    }
    // Then everything goes, so that the past stands in the log alone.
    db.write("DELETE FROM attachment; DELETE FROM parcel_lineage; DELETE FROM parcel_transition; DELETE FROM plan_step; DELETE FROM redevelopment_plan; DELETE FROM low_efficiency_parcel; DELETE FROM turnover_parcel").await;
    let logged = counts(&mut owner, "SELECT count(*) FROM change WHERE layer = '{}'").await;
    assert!(logged.iter().zip(&all).all(|(logged, rows)| logged == &(2 * rows)), "{logged:?} {all:?}");
    owner.close().await.expect("closed");

    let mut session = db.application.acquire().await.expect("connection").detach();
    let twice = |rows: &[i64]| rows.iter().map(|n| 2 * n).collect::<Vec<_>>();
    let none = vec![0; TABLES.len()];
    for (jurisdiction, expected) in [
        (None, &none),
        (Some(""), &none),
        (Some("4"), &none),
        (Some("44"), &none),
        (Some(COUNTY), &own),
        (Some("43"), &all),
        (Some("*"), &all),
    ] {
        let past = seen(&mut session, jurisdiction, drawn, "SELECT count(*) FROM as_of.{}").await;
        assert_eq!(&past, expected, "as of {drawn}, {jurisdiction:?}");
        let images = seen(&mut session, jurisdiction, drawn, "SELECT count(*) FROM change WHERE layer = '{}'").await;
        assert_eq!(images, twice(expected), "in the log, {jurisdiction:?}");
        for (as_of, what) in [(1, "before they were drawn"), (drawn + 1, "after they went")] {
            let past = seen(&mut session, jurisdiction, as_of, "SELECT count(*) FROM as_of.{}").await;
            assert_eq!(past, none, "{what}, {jurisdiction:?}");
        }
    }
    // Undone, they stand again; the same rows are hidden.
    undo(&db).await;
    for (jurisdiction, expected) in [(None, &none), (Some(COUNTY), &own), (Some("*"), &all)] {
        let rows = seen(&mut session, jurisdiction, drawn, "SELECT count(*) FROM {}").await;
        assert_eq!(&rows, expected, "{jurisdiction:?}");
        let others = format!("SELECT count(*) FROM {{}} WHERE county_code <> '{COUNTY}'");
        let others = seen(&mut session, jurisdiction.filter(|j| *j != "*"), drawn, &others).await;
        assert_eq!(others, none, "{jurisdiction:?}");
        let standing = seen(&mut session, jurisdiction, drawn + 2, "SELECT count(*) FROM as_of.{}").await;
        assert_eq!(&standing, expected, "as they stand, {jurisdiction:?}");
    }
    session.close().await.expect("closed");
    assert_eq!(db.audit().await, None);
}

/// Takes the newest revision back.
async fn undo(db: &Database) {
    let newest: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::undo::undo_revision(&mut transaction, newest, "test", "test").await.expect("undone");
    transaction.commit().await.expect("committed");
}
