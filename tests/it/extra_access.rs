//! Who sees which rows of an operator's table: through every door the same, and the service's role may read what is declared and no more.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::Database;
use crate::support::accounts::{add, issue, with_token};
use crate::support::extra::{get, get_authorised, make, serve};
use crate::support::http::call_with;

const TABLES: &str = "
CREATE TABLE divided (id text PRIMARY KEY, county int, g geometry(Point, 4490));
INSERT INTO divided VALUES ('a', 430102, 'SRID=4490;POINT(112 28)'), ('b', 430202, 'SRID=4490;POINT(113 28)'), ('c', 430000, NULL), ('d', NULL, NULL);
CREATE TABLE undivided (id text PRIMARY KEY); INSERT INTO undivided VALUES ('a');
CREATE TABLE open (id text PRIMARY KEY); INSERT INTO open VALUES ('a');
";
const FILE: &str = r#"
[[layer]]
id = "divided"
table = "divided"
division = "county"
[[layer]]
id = "undivided"
table = "undivided"
geometry = false
[[layer]]
id = "open"
table = "open"
geometry = false
visibility = "public"
"#;

fn ids(page: &Value) -> Vec<&str> {
    page["features"].as_array().expect("features").iter().map(|f| f["id"].as_str().expect("id")).collect()
}

#[tokio::test]
async fn rows_are_seen_by_jurisdiction_through_every_door() {
    let db = Database::with_sample().await;
    make(&db, TABLES).await;
    let (state, _) = serve(&db, FILE).await;
    let mut tokens = Vec::new();
    for (name, divisions) in
        [("changsha", &["430100"][..]), ("zhuzhou", &["430202"]), ("hunan", &["430000"]), ("all", &[])]
    {
        add(&db, name, Role::Staff, divisions).await;
        let token = issue(&db, json!({"account": name, "name": "test", "days": 1})).await;
        tokens.push((name, token["token"].as_str().expect("a token").to_owned()));
    }
    let expected: [(&str, &[&str], bool); 4] = [
        ("changsha", &["a"], false),
        ("zhuzhou", &["b"], false),
        ("hunan", &["a", "b", "c"], false),
        ("all", &["a", "b", "c", "d"], true),
    ];
    for ((name, token), (_, seen, boundless)) in tokens.iter().zip(expected) {
        let ask = async |path: &str| call_with(state.clone(), with_token(Method::GET, path, token)).await;
        let page = ask("/api/collections/divided/items").await.json();
        assert_eq!((ids(&page), &page["numberMatched"]), (seen.to_vec(), &json!(seen.len())), "{name}");
        for id in ["a", "b", "c", "d"] {
            let item = ask(&format!("/api/collections/divided/items/{id}")).await;
            assert_eq!(item.status == 200, seen.contains(&id), "{name} {id}");
        }
        let facets = ask("/api/collections/divided/facets?properties=county").await.json();
        assert_eq!(facets["numberMatched"], seen.len(), "{name}");
        let csv = ask("/api/collections/divided/items?f=csv").await.text();
        assert_eq!(csv.lines().count() - 1, seen.len(), "{name}: {csv}");
        let extent = ask("/api/collections/divided").await.json();
        let west = &extent["extent"]["spatial"]["bbox"][0][0];
        assert_eq!(west, &if seen.contains(&"a") { json!(112.0) } else { json!(113.0) }, "{name}");
        // A table that says nothing of where its rows lie is for those without bounds.
        let undivided = ask("/api/collections/undivided/items").await;
        match boundless {
            true => assert_eq!(ids(&undivided.json()), ["a"]),
            false => drop(undivided.assert_problem(404, "collection_not_found")),
        }
        let listed = ask("/api/collections").await.text();
        assert_eq!(listed.contains("undivided"), boundless, "{name}");
    }
    for id in ["divided", "undivided"] {
        let answer = get(&state, &format!("/api/collections/{id}/items")).await;
        let problem = answer.assert_problem(404, "collection_not_found");
        assert!(!problem["detail"].as_str().expect("detail").contains("divided"));
    }
    assert_eq!(ids(&get(&state, "/api/collections/open/items").await.json()), ["a"]);
    let document = get(&state, "/api/openapi.json").await.text();
    assert!(
        document.contains("/collections/open/items") && !document.contains("divided"),
        "what is internal is not told of"
    );
    let whole = get_authorised(&state, "/api/collections/divided/items").await.json();
    assert_eq!(ids(&whole), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn the_condition_on_rows_is_that_of_row_level_security() {
    let db = Database::empty().await;
    make(&db, TABLES).await;
    for setting in ["*", "", "43", "4301", "430102,4302", "430102", "44"] {
        let seen = |condition: &str| {
            let condition = condition.to_owned();
            let pool = db.pool.clone();
            async move {
                let mut transaction = pool.begin().await.expect("transaction");
                sqlx::query("SELECT set_config('sizhi.jurisdiction', $1, true)")
                    .bind(setting)
                    .execute(&mut *transaction)
                    .await
                    .expect("set");
                let sql = format!("SELECT id FROM divided t WHERE {condition} ORDER BY id");
                let ids: Vec<String> =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *transaction).await.expect("rows");
                ids
            }
        };
        let policy: String = db.value("SELECT jurisdiction_condition('t.county')").await;
        let layer = crate::support::extra::layer(
            &db,
            "[[layer]]\nid = \"divided\"\ntable = \"divided\"\ndivision = \"county\"",
        )
        .await;
        let relation = sizhi::store::as_of::relation(layer, None);
        let (_, own) = relation.split_once(" WHERE ").expect("a condition");
        let own = own.strip_suffix(") AS extra").expect("the end");
        assert_eq!(seen(own).await, seen(&policy).await, "{setting}");
    }
}

#[tokio::test]
async fn the_services_role_may_read_what_is_declared_and_no_more() {
    let db = Database::empty().await;
    make(&db, "CREATE SCHEMA apart; CREATE TABLE apart.shown (id int PRIMARY KEY); CREATE TABLE apart.hidden (id int PRIMARY KEY)").await;
    serve(&db, "[[layer]]\nid = \"shown\"\ntable = \"apart.shown\"\ngeometry = false").await;
    let rights: Vec<bool> = db
        .column("SELECT has_table_privilege('sizhi_app', t, p) FROM unnest(ARRAY['apart.shown', 'apart.hidden']) t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p")
        .await;
    assert_eq!(rights, [true, false, false, false, false, false, false, false, false, false]);
}

#[tokio::test]
async fn a_table_of_somebody_else_is_told_with_what_its_owner_must_run() {
    let db = Database::empty().await;
    let mut superuser = db.superuser().await;
    sqlx::raw_sql(
        "CREATE SCHEMA theirs; CREATE TABLE theirs.plots (id int PRIMARY KEY); INSERT INTO theirs.plots VALUES (1)",
    )
    .execute(&mut superuser)
    .await
    .expect("made");
    let file = "[[layer]]\nid = \"plots\"\ntable = \"theirs.plots\"\ngeometry = false\nvisibility = \"public\"";
    let error = sizhi::inventory::extra_layers::open(&db.pool, &db.application, file).await.expect_err("refused");
    let told = &error.findings()[0];
    assert_eq!(told.code, "layer_table_unreadable");
    let remedy = "GRANT USAGE ON SCHEMA theirs TO sizhi; GRANT SELECT ON theirs.plots TO sizhi;";
    assert!(told.message.contains(remedy), "{}", told.message);
    sqlx::raw_sql(remedy).execute(&mut superuser).await.expect("granted");
    let error = sizhi::inventory::extra_layers::open(&db.pool, &db.application, file).await.expect_err("refused");
    let told = &error.findings()[0];
    let remedy = "GRANT USAGE ON SCHEMA theirs TO sizhi_app; GRANT SELECT ON theirs.plots TO sizhi_app;";
    assert!(told.code == "layer_table_unreadable" && told.message.contains(remedy), "{told:?}");
    sqlx::raw_sql(remedy).execute(&mut superuser).await.expect("granted");
    let (state, told) = serve(&db, file).await;
    assert_eq!(told, ["warning layer_follow_by_polling"], "nor may it put triggers there");
    assert_eq!(ids(&get(&state, "/api/collections/plots/items").await.json()), ["1"]);
}
