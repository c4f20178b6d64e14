//! What migrations and layer declarations must agree on, so that no table's past or changes are forgotten: judged by the database's catalogue.

use std::collections::BTreeSet;

use sizhi::domain::layer::{Shows, Visibility};
use sizhi::layers::declaration::LAYERS;
use sqlx::AssertSqlSafe;

use crate::support::Database;

#[tokio::test]
async fn every_tracked_table_has_its_past_with_the_same_columns() {
    let db = Database::empty().await;
    let columns = |schema: &str| {
        format!(
            "SELECT t.name || '.' || a.attname || ' ' || format_type(a.atttypid, NULL) FROM tracked_table t
             JOIN pg_attribute a ON a.attrelid = to_regclass('{schema}.' || t.name) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1"
        )
    };
    let of = async |schema: &str| -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(columns(schema))).fetch_all(&db.pool).await.expect("columns")
    };
    let (present, past) = (of("public").await, of("as_of").await);
    assert!(present.len() > 60, "{present:?}");
    assert_eq!(past, present);
}

#[tokio::test]
async fn what_protects_a_table_protects_its_past() {
    let db = Database::empty().await;
    let open: Vec<String> = db
        .column(
            "SELECT t.name FROM tracked_table t JOIN pg_class c ON c.oid = format('public.%I', t.name)::regclass
             WHERE c.relrowsecurity AND pg_get_viewdef(format('as_of.%I', t.name)::regclass) !~ 'current_setting[(]''sizhi.jurisdiction''|in_any_jurisdiction[(]'",
        )
        .await;
    assert_eq!(open, [""; 0], "as_of_table goes after protect_by_jurisdiction");
    // That the condition hides what it should is tried with rows: `access_ledgers`.
    let protected: i64 = db.value("SELECT count(*) FROM protected_table").await;
    assert_eq!(
        protected, 15,
        "the ledgers, their attachments, the criteria, the boundary changes and the control lines; else the line above proves nothing"
    );
    for layer in LAYERS.iter().filter(|layer| layer.visibility == Visibility::Internal) {
        let own = &layer.sources[0];
        assert!(own.division.is_some(), "{}: whose rows are they?", layer.id);
    }
    // (Rows that all of the staff see are kept from the public, and no division decides.)
    let by_division = LAYERS.iter().filter(|layer| layer.visibility != Visibility::Staff);
    for source in by_division.flat_map(|layer| layer.sources) {
        let protected: bool = sqlx::query_scalar("SELECT relrowsecurity FROM pg_class WHERE oid = $1::regclass")
            .bind(source.table)
            .fetch_one(&db.pool)
            .await
            .expect(source.table);
        assert_eq!(source.division.is_some(), protected, "{}", source.table);
    }
}

#[tokio::test]
async fn a_layer_declares_the_very_tables_that_its_view_reads() {
    let db = Database::empty().await;
    for layer in LAYERS.iter() {
        for schema in ["public", "as_of"] {
            let sql = format!(
                "SELECT DISTINCT c.relname::text FROM pg_rewrite r
                 JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
                 JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE r.ev_class = '{schema}.{0}'::regclass AND c.relname <> '{0}' AND n.nspname = '{schema}'
                   AND c.relname IN (SELECT name FROM tracked_table)",
                layer.relation
            );
            let read: BTreeSet<String> =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&db.pool).await.expect("tables").into_iter().collect();
            let declared: BTreeSet<String> = layer.sources.iter().map(|s| s.table.to_owned()).collect();
            assert_eq!(read, declared, "{schema}.{}", layer.relation);
        }
        assert_eq!(layer.sources[0].shows, Shows::AsItself, "{}: its own table stands first", layer.id);
        for source in layer.sources {
            if let Shows::InFeatureOf(column) = source.shows {
                let index = format!("change_{}_{column}_idx", source.table);
                let known: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
                    .bind(&index)
                    .fetch_one(&db.pool)
                    .await
                    .expect("asked");
                assert!(known, "as_of_table('{}', '{column}')", source.table);
            }
        }
    }
}

#[tokio::test]
async fn a_view_over_a_table_without_a_past_is_not_published() {
    let db = Database::empty().await;
    let mut owner = db.superuser().await;
    let outcome = sqlx::raw_sql(
        "CREATE TABLE plot (id text PRIMARY KEY, revision bigint NOT NULL);
         SELECT track_table('plot', 'n.id', 'id');
         SELECT publish_layer_view('layer_plots', 'SELECT id FROM plot');",
    )
    .execute(&mut owner)
    .await;
    let error = outcome.expect_err("not refused").to_string();
    assert!(error.contains("layer_plots reads plot, which as_of_table does not know yet"), "{error}");
}
