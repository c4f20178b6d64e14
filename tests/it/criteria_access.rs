//! Who may read and write criteria, by the service and by the database alone.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use sizhi::domain::access::Role;

use crate::support::Database;
use crate::support::accounts::{add, from_page, login};
use crate::support::criteria::{judged, stopped};
use crate::support::http::{Answer, call, get, get_authorised};

/// A request of this person.
async fn by(db: &Database, name: &str, request: TestRequest) -> Answer {
    let cookie = login(db, name).await;
    call(db, request.insert_header(("cookie", cookie)).insert_header(("sec-fetch-site", "same-origin"))).await
}

#[actix_web::test]
async fn sets_are_read_by_all_who_read_ledgers_and_written_by_their_own_division() {
    let db = judged().await;
    for (name, role, division) in [
        ("clerk", Role::Staff, "430121"),
        ("county", Role::Editor, "430121"),
        ("city", Role::Editor, "430100"),
        ("other", Role::Editor, "430202"),
        ("province", Role::Editor, "430000"),
    ] {
        add(&db, name, role, &[division]).await;
    }
    let put = |key: &str| {
        TestRequest::put()
            .uri(&format!("/api/criteria/{key}"))
            .insert_header(("if-none-match", "*"))
            .set_json(json!({"criteria": [stopped(1)]}))
    };
    for key in ["430121/2025", "430100/2025", "430000/2025"] {
        let path = format!("/api/criteria/{key}");
        for name in ["clerk", "county", "other"] {
            let cookie = login(&db, name).await;
            let shown = call(&db, from_page(Method::GET, &path, &cookie)).await;
            assert_eq!(shown.status, 200, "{name} {path}: {}", shown.text());
        }
        get(&db, &path).await.assert_problem(401, "token_missing");
    }
    get(&db, "/api/criteria").await.assert_problem(401, "token_missing");
    for (name, key, code) in [
        ("clerk", "430121/2030", Some("role_insufficient")),
        ("county", "430121/2030", None),
        ("county", "430100/2030", Some("outside_jurisdiction")),
        ("county", "430122/2030", Some("outside_jurisdiction")),
        ("other", "430121/2031", Some("outside_jurisdiction")),
        ("city", "430121/2031", None),
        ("city", "430100/2030", None),
        ("city", "430000/2030", Some("outside_jurisdiction")),
        ("city", "430202/2030", Some("outside_jurisdiction")),
        ("province", "430000/2030", None),
        ("province", "430202/2030", None),
    ] {
        let answer = by(&db, name, put(key)).await;
        match code {
            None => assert_eq!(answer.status, 201, "{name} {key}: {}", answer.text()),
            Some(code) => drop(answer.assert_problem(403, code)),
        }
    }
    let tag = get_authorised(&db, "/api/criteria/430121/2030").await.header("etag").expect("etag").to_owned();
    let end = || TestRequest::delete().uri("/api/criteria/430121/2030").insert_header(("if-match", tag.clone()));
    by(&db, "other", end()).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!(by(&db, "county", end()).await.status, 204);
    // A parcel of another county is not there for them.
    let verdict =
        |id: &str| TestRequest::get().uri(&format!("/api/collections/low_efficiency_parcels/items/{id}/criteria"));
    by(&db, "other", verdict("430121-A")).await.assert_problem(404, "item_not_found");
    let own = by(&db, "other", verdict("430202-N")).await.json();
    assert_eq!(own["set"]["division"], "430000", "the province's set is read to judge by");
    get(&db, "/api/collections/low_efficiency_parcels/items/430121-A/criteria")
        .await
        .assert_problem(401, "token_missing");
}

#[actix_web::test]
async fn the_database_itself_keeps_sets_from_those_who_may_not_write_them() {
    let db = judged().await;
    let count = "SELECT (SELECT count(*) FROM low_efficiency_criteria_set) * 100 + (SELECT count(*) FROM low_efficiency_criterion)";
    let past = "SELECT count(*) FROM as_of.low_efficiency_criterion";
    let log = "SELECT count(*) FROM change WHERE layer LIKE 'low_efficiency_crit%'";
    let mut session = db.application.acquire().await.expect("a session");
    for (setting, sets, logged, touched) in
        [("", 0, 0, 0), ("430202", 408, 12, 0), ("430121", 408, 12, 5), ("4301", 408, 12, 7), ("*", 408, 12, 8)]
    {
        let mut transaction = sqlx::Connection::begin(&mut *session).await.expect("transaction");
        sqlx::query("SELECT set_config('sizhi.jurisdiction', $1, true), set_config('sizhi.as_of', '999', true)")
            .bind(setting)
            .execute(&mut *transaction)
            .await
            .expect("set");
        for (sql, expected) in [(count, sets), (past, sets % 100), (log, logged)] {
            let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut *transaction).await.expect(sql);
            assert_eq!(found, expected, "{setting}: {sql}");
        }
        sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
        let done = sqlx::query("DELETE FROM low_efficiency_criterion").execute(&mut *transaction).await.expect("done");
        assert_eq!(done.rows_affected(), touched, "{setting}");
    }
}
