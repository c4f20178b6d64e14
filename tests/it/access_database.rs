//! The database as second line: what the service's role may and may not, whatever a handler forgets.
//!
//! A table like those of the ledgers is made here, for the rules alone; then the ledgers themselves are tried.

use sizhi::domain::DivisionCode;
use sizhi::domain::access::{Jurisdiction, Role, Viewer};
use sizhi::domain::items_query::ItemsQuery;
use sizhi::domain::layer::{Layer, Property, PropertyKind, Titles, Visibility};
use sizhi::store::audit::BadRow;
use sizhi::store::backup::{self, Address};
use sizhi::store::roles::Standing;
use sizhi::store::{self, PoolLimits, features, revision, undo};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::support::{Database, scratch};

/// As migration 0005 makes them.
const LEDGER: &str = "
    CREATE TABLE trial_parcel (
        id text COLLATE \"C\" NOT NULL, county_code text NOT NULL, geom geometry(MultiPolygon, 4490) NOT NULL,
        valid_from date NOT NULL DEFAULT '-infinity', valid_to date NOT NULL DEFAULT 'infinity', revision bigint NOT NULL,
        CONSTRAINT trial_parcel_pkey PRIMARY KEY (id, valid_from));
    CREATE INDEX trial_parcel_geom_idx ON trial_parcel USING gist (geom);
    SELECT track_table('trial_parcel', 'n.id', 'id', 'valid_from');
    SELECT protect_by_jurisdiction('trial_parcel', 'county_code');
    SELECT as_of_table('trial_parcel');
    SELECT publish_layer_view('layer_trial_parcels', $$SELECT id AS feature_id, geom, NULL::date AS valid_from, NULL::date AS valid_to, id FROM trial_parcel$$)";

static LAYER: Layer = Layer {
    id: "trial_parcels",
    title: Titles { zh: "地块", en: "Parcels" },
    description: Titles { zh: "", en: "" },
    sources: &[],
    relation: "layer_trial_parcels",
    current_only: false,
    visibility: Visibility::Internal,
    properties: &[Property::new("id", PropertyKind::Text, Titles { zh: "标识", en: "Id" }).queryable()],
    ..Layer::OF_REGISTER
};

fn viewer(role: Role, divisions: &[&str]) -> Viewer {
    let codes: Vec<String> = divisions.iter().map(|code| (*code).to_owned()).collect();
    Viewer { actor: "account:test".to_owned(), role, jurisdiction: Jurisdiction::parse(&codes).expect("codes") }
}

fn rows(first: i32, county: &str, count: i32) -> String {
    format!(
        "INSERT INTO trial_parcel (id, county_code, geom)
         SELECT 'p' || n, '{county}', ST_Multi(ST_MakeEnvelope(112 + n * 1e-5, 28, 112.00001 + n * 1e-5, 28.00001, 4490))
         FROM generate_series({first}, {first} + {count} - 1) n"
    )
}

async fn written(pool: &PgPool, viewer: &Viewer, sql: &str) -> Result<i64, sqlx::Error> {
    let mut transaction = store::begin_write_as(pool, viewer).await.expect("transaction");
    let number = revision::open(&mut transaction, &viewer.actor, "test", "").await.expect("revision");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(number)
}

/// Three parcels in Changsha's counties, two in Zhuzhou's.
async fn with_ledger() -> Database {
    let db = Database::empty().await;
    sqlx::raw_sql(LEDGER).execute(&db.pool).await.expect("ledger");
    // As after any migration: what is new is granted.
    store::migrate(&db.pool).await.expect("granted");
    let all = viewer(Role::Admin, &["*"]);
    let sql = [rows(1, "430102", 2), rows(3, "430181", 1), rows(4, "430202", 2)].join(";");
    assert_eq!(written(&db.application, &all, &sql).await.expect("written"), 1);
    db
}

async fn raw(db: &Database) -> PgConnection {
    let mut connection = db.application.acquire().await.expect("connection").detach();
    let role: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut connection).await.expect("role");
    assert_eq!(role, "sizhi_app");
    connection
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// SQLSTATE of what must fail.
async fn refused(connection: &mut PgConnection, sql: &str) -> String {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    let error = outcome.map(|_| ()).expect_err(sql);
    error.as_database_error().and_then(|e| e.code()).unwrap_or_else(|| panic!("{sql}: {error}")).into_owned()
}

#[actix_web::test]
async fn a_raw_session_without_a_jurisdiction_sees_no_row_of_a_protected_table() {
    let db = with_ledger().await;
    let mut session = raw(&db).await;
    let parcels = "SELECT count(*) FROM trial_parcel";
    let images = "SELECT count(*) FROM change WHERE layer = 'trial_parcel'";
    let shown = "SELECT count(*) FROM layer_trial_parcels";
    assert_eq!(db.value::<i64>(parcels).await, 5, "the owner sees them");
    for (setting, expected) in [
        (None, 0),
        (Some(""), 0),
        (Some("4301"), 3),
        (Some("430102"), 2),
        (Some("430181,4302"), 3),
        (Some("43"), 5),
        (Some("*"), 5),
        (Some("4"), 0),
        (Some("430"), 0),
        (Some("44"), 0),
        (Some("%"), 0),
    ] {
        let mut transaction = session.begin().await.expect("transaction");
        if let Some(setting) = setting {
            sqlx::query("SELECT set_config('sizhi.jurisdiction', $1, true)")
                .bind(setting)
                .execute(&mut *transaction)
                .await
                .expect("set");
        }
        for sql in [parcels, images, shown] {
            assert_eq!(count(&mut transaction, sql).await, expected, "{setting:?}: {sql}");
        }
        transaction.commit().await.expect("committed");
    }
    // The setting ended with its transaction, and RESET ROLE leads to no other rights.
    sqlx::raw_sql("RESET ROLE; RESET ALL").execute(&mut session).await.expect("reset");
    for sql in [parcels, images, shown] {
        assert_eq!(count(&mut session, sql).await, 0, "{sql}");
    }
    session.close().await.expect("closed");
}

/// The same rule stands in Rust, in a function, and in the policies: they say the same of every code.
#[actix_web::test]
async fn the_database_and_the_program_agree_on_what_a_jurisdiction_covers() {
    let db = Database::empty().await;
    let codes = ["430000", "430100", "430102", "430112", "430200", "430202", "431102", "440000", "440100", "110000"];
    let jurisdictions: [&[&str]; 7] =
        [&["*"], &[], &["430000"], &["430100"], &["430102"], &["430102", "430200"], &["440000", "431102"]];
    for divisions in jurisdictions {
        let who = viewer(Role::Staff, divisions);
        let mut transaction = store::begin_read_as(&db.application, &who).await.expect("transaction");
        for code in codes {
            let covered = who.jurisdiction.covers(&DivisionCode::parse(code).expect("code"));
            let condition: String = sqlx::query_scalar("SELECT jurisdiction_condition('code')")
                .fetch_one(&mut *transaction)
                .await
                .expect("condition");
            let sql =
                format!("SELECT in_jurisdiction(code), coalesce({condition}, false) FROM (SELECT $1::text AS code) c");
            let said: (Option<bool>, bool) =
                sqlx::query_as(AssertSqlSafe(sql)).bind(code).fetch_one(&mut *transaction).await.expect("judged");
            assert_eq!((said.0.unwrap_or(false), said.1), (covered, covered), "{divisions:?} {code}");
        }
    }
}

#[actix_web::test]
async fn the_services_role_changes_neither_tables_nor_the_log() {
    let db = with_ledger().await;
    let mut session = raw(&db).await;
    for sql in [
        "UPDATE change SET operation = 'delete'",
        "DELETE FROM change",
        "INSERT INTO change SELECT * FROM change",
        "TRUNCATE change",
        "UPDATE revision SET actor = 'x'",
        "DELETE FROM revision",
        "INSERT INTO revision (number, made_at, actor, reason, previous_hash) VALUES (99, now(), 'x', 'x', '')",
        "TRUNCATE revision",
        "DELETE FROM tracked_table",
        "UPDATE protected_table SET division = '''430102'''",
        "DELETE FROM account_event",
        "UPDATE account_event SET actor = 'x'",
        "SELECT * FROM _sqlx_migrations",
        "CREATE TABLE public.mine (x int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE trial_parcel DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE trial_parcel DISABLE TRIGGER ALL",
        "DROP POLICY trial_parcel_jurisdiction ON trial_parcel",
        "CREATE OR REPLACE FUNCTION log_changes_of_park() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "DROP TABLE trial_parcel",
        "TRUNCATE trial_parcel",
        "SET session_replication_role = replica",
        // A table of one's own named like one of the register's, with the log's trigger on it, would forge the log.
        "CREATE TEMPORARY TABLE park AS SELECT * FROM public.park;
         CREATE TRIGGER forge AFTER INSERT ON pg_temp.park REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_changes_of_park()",
    ] {
        assert_eq!(refused(&mut session, sql).await, "42501", "{sql}");
    }
    // Rows yes, but never outside a revision.
    assert_eq!(refused(&mut session, "UPDATE park SET name = 'x'; INSERT INTO division (code, name, level, source) VALUES ('430000', 'x', 'province', 's')").await, "25000");
    session.close().await.expect("closed");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_write_by_the_services_role_is_logged_sealed_and_undone() {
    let db = with_ledger().await;
    let changsha = viewer(Role::Editor, &["430100"]);
    let changed =
        "UPDATE trial_parcel SET county_code = '430103' WHERE id = 'p1'; DELETE FROM trial_parcel WHERE id = 'p2'";
    let number = written(&db.application, &changsha, changed).await.expect("written");
    assert_eq!(
        db.column::<String>("SELECT operation || ' ' || feature_id FROM change WHERE revision = 2 ORDER BY ordinal")
            .await,
        ["update p1", "delete p2"]
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision WHERE hash IS NOT NULL").await, 2);
    let mut transaction = store::begin_write_as(&db.application, &changsha).await.expect("transaction");
    undo::undo_revision(&mut transaction, number, "account:test", "test").await.expect("undone");
    transaction.commit().await.expect("committed");
    assert_eq!(
        db.column::<String>("SELECT id || ' ' || county_code FROM trial_parcel ORDER BY id").await,
        ["p1 430102", "p2 430102", "p3 430181", "p4 430202", "p5 430202"]
    );
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn rows_outside_the_jurisdiction_are_not_written() {
    let db = with_ledger().await;
    let changsha = viewer(Role::Editor, &["430100"]);
    for sql in [rows(10, "430202", 1).as_str(), "UPDATE trial_parcel SET county_code = '430202' WHERE id = 'p1'"] {
        let error = written(&db.application, &changsha, sql).await.expect_err(sql);
        assert_eq!(sizhi::error::Error::from(error).code(), "outside_jurisdiction", "{sql}");
    }
    // What is not seen is not hit.
    let hidden = "UPDATE trial_parcel SET valid_to = '2020-01-01'; DELETE FROM trial_parcel WHERE id = 'p5'";
    written(&db.application, &changsha, hidden).await.expect("written");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM trial_parcel WHERE valid_to = '2020-01-01'").await, 3);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM trial_parcel WHERE id = 'p5'").await, 1);
    // The public writes nowhere, whatever its viewer says.
    let public = Viewer { jurisdiction: Jurisdiction::Everywhere, ..Viewer::public() };
    let error = written(&db.application, &Viewer { actor: "x".into(), ..public }, &rows(11, "430102", 1))
        .await
        .expect_err("public");
    assert_eq!(sizhi::error::Error::from(error).code(), "outside_jurisdiction");
}

#[actix_web::test]
async fn a_revision_that_is_partly_hidden_is_not_undone_in_part() {
    let db = with_ledger().await;
    let mut transaction =
        store::begin_write_as(&db.application, &viewer(Role::Editor, &["430100"])).await.expect("transaction");
    let error = undo::undo_revision(&mut transaction, 1, "account:test", "test").await.expect_err("partly hidden");
    assert_eq!(error.code(), "outside_jurisdiction");
    transaction.rollback().await.expect("rolled back");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM trial_parcel").await, 5);
}

#[actix_web::test]
async fn a_row_that_moved_is_logged_for_those_who_may_see_both_places() {
    let db = with_ledger().await;
    let all = viewer(Role::Admin, &["*"]);
    written(&db.application, &all, "UPDATE trial_parcel SET county_code = '430202' WHERE id = 'p1'")
        .await
        .expect("moved");
    for (divisions, expected) in [(["430100"], 0), (["430200"], 0), (["430000"], 1)] {
        let mut transaction =
            store::begin_read_as(&db.application, &viewer(Role::Staff, &divisions)).await.expect("transaction");
        assert_eq!(
            count(&mut transaction, "SELECT count(*) FROM change WHERE revision = 2").await,
            expected,
            "{divisions:?}"
        );
    }
    // What is logged of open tables stays open.
    db.write("INSERT INTO division (code, name, level, source) VALUES ('430000', '湖南省', 'province', 's')").await;
    let mut transaction = store::begin_read_as(&db.application, &Viewer::public()).await.expect("transaction");
    assert_eq!(count(&mut transaction, "SELECT count(*) FROM change").await, 1);
}

#[actix_web::test]
async fn a_layer_shows_each_viewer_the_own_jurisdiction() {
    let db = with_ledger().await;
    let query = ItemsQuery { limit: 100, boxes: vec![[111.0, 27.0, 113.0, 29.0]], ..ItemsQuery::default() };
    for (who, expected) in [
        (viewer(Role::Staff, &["430100"]), vec!["p1", "p2", "p3"]),
        (viewer(Role::Planner, &["430202"]), vec!["p4", "p5"]),
        (viewer(Role::Admin, &["*"]), vec!["p1", "p2", "p3", "p4", "p5"]),
        (Viewer::public(), vec![]),
    ] {
        let page = features::list_items(&db.application, &who, &LAYER, &query).await.expect("page");
        let ids: Vec<&str> = page.features.iter().map(|feature| feature.id.as_str()).collect();
        assert_eq!((ids.as_slice(), page.matched), (expected.as_slice(), expected.len() as i64), "{who:?}");
        let hidden =
            features::find_item(&db.application, &who, &LAYER, "p4", &ItemsQuery::default()).await.expect("looked");
        assert_eq!(hidden.0.is_some(), expected.contains(&"p4"));
        let extent = features::extent(&db.application, &who, &LAYER).await.expect("extent");
        assert_eq!(extent.bbox.is_some(), !expected.is_empty(), "the extent tells of hidden rows: {extent:?}");
    }
}

#[actix_web::test]
async fn a_box_query_under_row_level_security_asks_the_spatial_index() {
    let db = with_ledger().await;
    let all = viewer(Role::Admin, &["*"]);
    written(&db.application, &all, &rows(1_000, "430102", 20_000)).await.expect("written");
    sqlx::raw_sql("ANALYZE trial_parcel").execute(&db.pool).await.expect("analysed");
    let mut transaction =
        store::begin_read_as(&db.application, &viewer(Role::Staff, &["430100"])).await.expect("transaction");
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT * FROM layer_trial_parcels WHERE geom && ST_MakeEnvelope(112.05, 28, 112.0501, 28.1, 4490)
           AND ST_Intersects(geom, ST_MakeEnvelope(112.05, 28, 112.0501, 28.1, 4490))",
    )
    .fetch_all(&mut *transaction)
    .await
    .expect("plan");
    let plan = plan.join("\n");
    assert!(plan.contains("trial_parcel_geom_idx") && plan.contains("Index Cond: (geom &&"), "{plan}");
    // The setting is read once a statement, not once a row.
    assert!(plan.contains("InitPlan") && !plan.contains("Filter: (current_setting"), "{plan}");
}

#[actix_web::test]
async fn the_audit_names_a_guard_that_was_loosened() {
    for (deed, table, name) in [
        ("ALTER FUNCTION log_changes_of_park() SECURITY INVOKER", "pg_proc", "log_changes_of_park"),
        ("ALTER FUNCTION log_changes_of_plan_step() RESET enable_nestloop", "pg_proc", "log_changes_of_plan_step"),
        ("ALTER FUNCTION open_revision(text, text, text) RESET ALL", "pg_proc", "open_revision"),
        ("ALTER FUNCTION seal_revision() SET search_path = pg_temp, public", "pg_proc", "seal_revision"),
        ("ALTER FUNCTION refuse_log_change() SECURITY DEFINER", "pg_proc", "refuse_log_change"),
        ("ALTER FUNCTION log_changes_of_attachment() OWNER TO postgres", "pg_proc", "log_changes_of_attachment"),
        ("ALTER FUNCTION log_changes_of_park() SET enable_hashjoin = off", "pg_proc", "log_changes_of_park"),
        ("GRANT EXECUTE ON FUNCTION log_changes_of_park() TO sizhi_app", "revision", "sizhi_app"),
        ("GRANT UPDATE ON change TO sizhi_app", "change", "sizhi_app"),
        ("GRANT INSERT ON revision TO PUBLIC", "revision", "sizhi_app"),
        ("ALTER TABLE change DISABLE ROW LEVEL SECURITY", "change", "sizhi_app"),
        ("ALTER TABLE trial_parcel DISABLE ROW LEVEL SECURITY", "trial_parcel", "sizhi_app"),
    ] {
        let db = with_ledger().await;
        assert_eq!(db.audit().await, None);
        let mut superuser = db.superuser().await;
        sqlx::raw_sql(AssertSqlSafe(deed.to_owned())).execute(&mut superuser).await.expect(deed);
        let expected = BadRow {
            revision: None,
            ordinal: None,
            layer: Some(table.to_owned()),
            feature_id: Some(name.to_owned()),
            what: "guard_altered".to_owned(),
        };
        assert_eq!(db.audit().await, Some(expected), "{deed}");
        superuser.close().await.expect("closed");
    }
}

/// A backup brings policies and accounts along, but no grants: those are made anew.
#[actix_web::test]
async fn a_restored_register_is_closed_as_before() {
    let db = with_ledger().await;
    let file = scratch().join(format!("access-{}.dump", std::process::id()));
    let _ = std::fs::remove_file(&file);
    backup::backup(&Address::of_url(&db.url().await), &file).expect("backed up");
    let restored = Database::bare().await;
    let done =
        backup::restore(&restored.pool, &Address::of_url(&restored.url().await), &file, false).await.expect("restored");
    assert_eq!(done.audit.first_bad, None);
    let mut session = raw(&restored).await;
    assert_eq!(count(&mut session, "SELECT count(*) FROM trial_parcel").await, 0);
    assert_eq!(count(&mut session, "SELECT count(*) FROM change WHERE layer = 'trial_parcel'").await, 0);
    assert_eq!(refused(&mut session, "UPDATE change SET operation = 'delete'").await, "42501");
    assert_eq!(refused(&mut session, "CREATE TABLE public.mine (x int)").await, "42501");
    session.close().await.expect("closed");
    let changsha = viewer(Role::Editor, &["430100"]);
    written(&restored.application, &changsha, &rows(20, "430102", 1)).await.expect("goes on");
    assert_eq!(restored.audit().await, None);
    std::fs::remove_file(file).expect("removed");
}

#[actix_web::test]
async fn what_the_role_may_is_put_right_at_every_start() {
    let db = with_ledger().await;
    sqlx::raw_sql(
        "GRANT UPDATE ON change TO sizhi_app; REVOKE SELECT ON park FROM sizhi_app; CREATE TABLE later (x int)",
    )
    .execute(&db.pool)
    .await
    .expect("put wrong");
    assert_eq!(store::migrate(&db.pool).await.expect("granted"), Standing::Ready);
    let mut session = raw(&db).await;
    assert_eq!(refused(&mut session, "UPDATE change SET operation = 'delete'").await, "42501");
    assert_eq!(count(&mut session, "SELECT count(*) FROM park").await, 0);
    sqlx::raw_sql("INSERT INTO later VALUES (1); DELETE FROM later")
        .execute(&mut session)
        .await
        .expect("granted by default");
    session.close().await.expect("closed");
}

#[actix_web::test]
async fn a_database_user_who_may_not_take_the_role_on_is_told_the_remedy() {
    let db = Database::bare().await;
    let stranger = format!("stranger_{}", db.name);
    let mut superuser = db.superuser().await;
    let own = format!("CREATE ROLE {stranger} LOGIN; ALTER DATABASE {} OWNER TO {stranger}", db.name);
    sqlx::raw_sql(AssertSqlSafe(own)).execute(&mut superuser).await.expect("stranger");
    let options = (*db.pool.connect_options()).clone().username(&stranger);
    let pool = store::connect(options.clone(), PoolLimits::default());
    let Standing::Missing { remedy } = store::migrate(&pool).await.expect("migrated all the same") else {
        panic!("nobody let the stranger in");
    };
    assert_eq!(remedy, format!("GRANT sizhi_app TO \"{stranger}\";"));
    sqlx::raw_sql(AssertSqlSafe(remedy)).execute(&mut superuser).await.expect("the remedy is a statement");
    assert_eq!(store::migrate(&pool).await.expect("granted"), Standing::Ready);
    let application = store::connect_as_application(options, PoolLimits::default());
    let role: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&application).await.expect("role");
    assert_eq!(role, "sizhi_app");
    application.close().await;
    pool.close().await;
    // Roles outlive databases.
    let gone = format!("ALTER DATABASE {} OWNER TO sizhi; DROP OWNED BY {stranger}; DROP ROLE {stranger}", db.name);
    sqlx::raw_sql(AssertSqlSafe(gone)).execute(&mut superuser).await.expect("gone");
    superuser.close().await.expect("closed");
}
