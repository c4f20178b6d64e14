//! One move for many records over HTTP: a verdict for each, all or nothing unless asked otherwise.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::http::{Answer, authorised, call, get_authorised};
use crate::support::{Database, accounts};

const TURNOVER: &str = "/api/collections/turnover_parcels";

async fn send(db: &Database, layer: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = authorised(Method::POST, &format!("/api/collections/{layer}/transitions"));
    if let Some(key) = key {
        request = request.insert_header(("idempotency-key", key.to_owned()));
    }
    call(db, request.set_json(body)).await
}

async fn newest(db: &Database) -> i64 {
    db.value("SELECT max(number) FROM revision").await
}

async fn ids(db: &Database, filter: &str) -> Vec<String> {
    db.column(&format!("SELECT id FROM turnover_parcel WHERE valid_to = 'infinity' AND {filter} ORDER BY id")).await
}

async fn drawn() -> Database {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 3_000, &Silent).await.expect("drawn");
    db
}

#[actix_web::test]
async fn a_selection_moves_as_one_revision_by_one_paper() {
    let db = drawn().await;
    let list = get_authorised(&db, &format!("{TURNOVER}/items?state=approved&limit=1000")).await;
    let seen: i64 = list.header("sizhi-revision").expect("revision").parse().expect("number");
    let chosen: Vec<String> = list.json()["features"]
        .as_array()
        .expect("list")
        .iter()
        .map(|f| f["id"].as_str().expect("id").to_owned())
        .collect();
    assert!(chosen.len() > 50, "{}", chosen.len());
    let body = json!({"to": "已征收", "effective_on": "2026-11-20", "document_no": "湘政地〔2026〕9号", "reason": "批次征收完成", "ids": chosen, "seen_revision": seen});
    let done = send(&db, "turnover_parcels", Some("k"), &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let told = done.json();
    let revision = newest(&db).await;
    assert_eq!(
        (&told["to"], &told["revision"], &told["moving"], &told["refused"], &told["dry_run"]),
        (
            &json!({"code": "acquired", "label": "已征收"}),
            &json!(revision),
            &json!(chosen.len()),
            &json!(0),
            &json!(false)
        )
    );
    assert_eq!((revision, done.header("sizhi-revision")), (seen + 1, Some(revision.to_string().as_str())));
    // Exactly those, each with its move.
    let moved: Vec<String> = db
        .column(
            "SELECT record_id FROM parcel_transition WHERE to_state = 'acquired' AND from_state = 'approved' AND effective_on = '2026-11-20'
             AND document_no = '湘政地〔2026〕9号' AND reason = '批次征收完成' AND ordinal = 1 ORDER BY record_id",
        )
        .await;
    let mut expected = chosen.clone();
    expected.sort_unstable();
    assert_eq!(moved, expected);
    assert_eq!(
        ids(&db, "state = 'acquired' AND state_on = '2026-11-20' AND valid_from = '2026-11-20'").await,
        expected
    );
    assert_eq!(db.audit().await, None);

    // The same request again does nothing and tells the same.
    let again = send(&db, "turnover_parcels", Some("k"), &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!((newest(&db).await, &again.json()["moving"]), (revision, &told["moving"]));

    // And back, as one.
    let undone =
        call(&db, authorised(Method::POST, &format!("/api/revisions/{revision}/undo")).set_json(json!({}))).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(ids(&db, "state = 'approved'").await, expected);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_transition").await, 0);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn one_record_that_may_not_move_keeps_all_unless_it_is_skipped() {
    let db = drawn().await;
    let may = ids(&db, "state = 'listed'").await[..3].to_vec();
    let may_not = ids(&db, "state = 'started'").await[..2].to_vec();
    let seen = newest(&db).await;
    let mixed = json!([may[0], may_not[0], may[1], "430121-没有这宗", may_not[1], may[2]]);
    let mut body = json!({"to": "supplied", "ids": mixed, "seen_revision": seen});
    let problem = send(&db, "turnover_parcels", None, &body).await.assert_problem(409, "transitions_refused");
    let findings: Vec<(u64, &str)> = problem["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|f| (f["row"].as_u64().expect("row"), f["code"].as_str().expect("code")))
        .collect();
    assert_eq!(
        findings,
        [(2, "transition_not_allowed"), (4, "item_not_found"), (5, "transition_not_allowed")],
        "{problem}"
    );
    assert!(problem["findings"][0]["message"].as_str().expect("text").contains("可以转为"), "{problem}");
    assert_eq!(newest(&db).await, seen);

    body["dry_run"] = json!(true);
    let tried = send(&db, "turnover_parcels", None, &body).await;
    assert_eq!(tried.status, 200, "{}", tried.text());
    let verdicts = |told: &Value| -> Vec<(String, bool)> {
        let one = |r: &Value| (r["id"].as_str().expect("id").to_owned(), r["moves"].as_bool().expect("verdict"));
        told["records"].as_array().expect("records").iter().map(one).collect()
    };
    let expected: Vec<(String, bool)> = mixed
        .as_array()
        .expect("ids")
        .iter()
        .map(|id| (id.as_str().expect("id").to_owned(), may.iter().any(|m| m == id.as_str().expect("id"))))
        .collect();
    let told = tried.json();
    assert_eq!(verdicts(&told), expected);
    assert_eq!((&told["moving"], &told["refused"], &told["revision"]), (&json!(3), &json!(3), &Value::Null));
    assert_eq!((&told["records"][1]["from"], &told["records"][3]["from"]), (&json!("started"), &Value::Null));
    assert_eq!(newest(&db).await, seen, "a trial writes nothing");

    body["dry_run"] = json!(false);
    body["skip_refused"] = json!(true);
    let done = send(&db, "turnover_parcels", None, &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(verdicts(&done.json()), expected);
    assert_eq!(db.column::<String>("SELECT record_id FROM parcel_transition ORDER BY record_id").await, may);
    assert_eq!(ids(&db, &format!("state = 'started' AND id IN ('{}', '{}')", may_not[0], may_not[1])).await, may_not);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_selection_that_is_not_what_was_seen_is_refused() {
    let db = drawn().await;
    let listed = ids(&db, "state = 'listed'").await;
    let seen = newest(&db).await;
    let body = |ids: Value, seen: i64| json!({"to": "supplied", "ids": ids, "seen_revision": seen});
    // Somebody moves one of them meanwhile.
    assert_eq!(send(&db, "turnover_parcels", None, &body(json!([listed[0]]), seen)).await.status, 200);
    let after = newest(&db).await;
    let stale = send(
        &db,
        "turnover_parcels",
        None,
        &json!({"to": "frozen", "ids": [listed[1], listed[0]], "seen_revision": seen}),
    )
    .await;
    let problem = stale.assert_problem(412, "version_stale");
    assert!(problem["detail"].as_str().expect("detail").contains(&listed[0]), "{problem}");
    let many: Vec<String> = (0..10_001).map(|n| format!("430121-{n}")).collect();
    for (what, body, status, code) in [
        ("none", body(json!([]), after), 400, "member_invalid"),
        ("too many", body(json!(many), after), 400, "member_invalid"),
        ("twice", body(json!([listed[1], listed[1]]), after), 400, "member_invalid"),
        ("no texts", body(json!([1]), after), 400, "member_invalid"),
        ("no ids", json!({"to": "supplied", "seen_revision": after}), 400, "member_missing"),
        ("no revision", json!({"to": "supplied", "ids": [listed[1]]}), 428, "version_missing"),
        ("before all", body(json!([listed[1]]), -1), 400, "member_invalid"),
        ("no state", json!({"ids": [listed[1]], "seen_revision": after}), 400, "member_missing"),
        ("an unknown state", json!({"to": "sold", "ids": [listed[1]], "seen_revision": after}), 400, "feature_refused"),
        (
            "no day",
            json!({"to": "supplied", "effective_on": "x", "ids": [listed[1]], "seen_revision": after}),
            400,
            "value_invalid",
        ),
        (
            "a day to come",
            json!({"to": "supplied", "effective_on": "2099-01-01", "ids": [listed[1]], "seen_revision": after}),
            409,
            "transitions_refused",
        ),
    ] {
        let refused = send(&db, "turnover_parcels", None, &body).await;
        assert_eq!(refused.status, status, "{what}: {}", refused.text());
        refused.assert_problem(status, code);
    }
    send(&db, "park_blocks", None, &body(json!(["x"]), after)).await.assert_problem(404, "address_not_found");
    assert_eq!(newest(&db).await, after);
}

#[actix_web::test]
async fn what_a_state_rests_on_is_asked_of_each_record() {
    let db = drawn().await;
    // Drawn parcels that are implementing have approved plans; none is accepted yet.
    let parcels: Vec<String> =
        db.column("SELECT id FROM low_efficiency_parcel WHERE state = 'implementing' ORDER BY id LIMIT 3").await;
    let plans: Vec<String> = db
        .column(&format!("SELECT id FROM redevelopment_plan WHERE parcel_id IN ('{}', '{}') AND state = 'approved' ORDER BY parcel_id", parcels[0], parcels[1]))
        .await;
    assert_eq!((parcels.len(), plans.len()), (3, 2));
    let seen = newest(&db).await;
    let body = json!({"to": "accepted", "ids": parcels, "seen_revision": seen, "dry_run": true});
    let told = send(&db, "low_efficiency_parcels", None, &body).await.json();
    let codes: Vec<&Value> =
        told["records"].as_array().expect("records").iter().map(|r| &r["finding"]["code"]).collect();
    assert_eq!(codes, vec![&json!("plan_required"); 3], "{told}");
    // Open steps hold a plan up.
    db.write(&format!("UPDATE plan_step SET done_on = '2026-01-01' WHERE plan_id = '{}'; UPDATE plan_step SET done_on = NULL WHERE plan_id = '{}'", plans[0], plans[1])).await;
    let body = json!({"to": "accepted", "ids": plans, "seen_revision": newest(&db).await, "skip_refused": true});
    let told = send(&db, "redevelopment_plans", None, &body).await.json();
    assert_eq!(
        (&told["moving"], &told["records"][0]["moves"], &told["records"][1]["finding"]["code"]),
        (&json!(1), &json!(true), &json!("plan_steps_open")),
        "{told}"
    );
    let body = json!({"to": "accepted", "ids": parcels, "seen_revision": newest(&db).await, "skip_refused": true});
    let told = send(&db, "low_efficiency_parcels", None, &body).await.json();
    let moves: Vec<&Value> = told["records"].as_array().expect("records").iter().map(|r| &r["moves"]).collect();
    assert_eq!(moves, [&json!(true), &json!(false), &json!(false)], "{told}");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn another_countys_records_are_as_if_they_were_not() {
    let db = drawn().await;
    let county: String =
        db.value("SELECT county_code FROM turnover_parcel WHERE state = 'listed' ORDER BY id LIMIT 1").await;
    let own = ids(&db, &format!("state = 'listed' AND county_code = '{county}'")).await;
    let others = ids(&db, &format!("state = 'listed' AND county_code <> '{county}'")).await;
    accounts::add(&db, "clerk", Role::Editor, &[county.as_str()]).await;
    let issued = accounts::issue(&db, json!({"account": "clerk", "name": "t"})).await;
    let token = issued["token"].as_str().expect("token");
    let body =
        json!({"to": "supplied", "ids": [own[0], others[0]], "seen_revision": newest(&db).await, "skip_refused": true});
    let path = format!("{TURNOVER}/transitions");
    let answer = call(&db, accounts::with_token(Method::POST, &path, token).set_json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(
        (&told["records"][0]["moves"], &told["records"][1]["finding"]["code"], &told["records"][1]["from"]),
        (&json!(true), &json!("item_not_found"), &Value::Null),
        "{told}"
    );
    assert_eq!(db.column::<String>("SELECT record_id FROM parcel_transition").await, own[..1]);
}

/// Right after a large write the planner knows nothing of it: an undo that trusted it read the log once a record, for minutes.
#[actix_web::test]
async fn an_undo_reads_the_log_by_its_keys_however_new_the_rows_are() {
    let db = Database::with_sample().await;
    // Nobody tells the planner what comes.
    for table in ["turnover_parcel", "change", "revision", "parcel_transition"] {
        let off = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(off)).execute(&db.pool).await.expect("off");
    }
    sample::seed_parcels(&db.pool, "test", 3_000, &Silent).await.expect("drawn");
    let chosen = ids(&db, "state = 'approved'").await;
    let body = json!({"to": "acquired", "ids": chosen, "seen_revision": newest(&db).await});
    assert_eq!(send(&db, "turnover_parcels", None, &body).await.status, 200);
    let revision = newest(&db).await;
    let before = read_of_log(&db).await;
    let path = format!("/api/revisions/{revision}/undo");
    let undone = call(&db, authorised(Method::POST, &path).set_json(json!({}))).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    let read = read_of_log(&db).await - before;
    let log: i64 = db.value("SELECT count(*) FROM change").await;
    // A few looks at the whole of it and some at each row; once a record would be hundreds of times the whole.
    assert!(read > 0 && read < 40 * log, "{read} rows of a log of {log} for {} records", chosen.len());
}

/// Rows of the log that were read so far, by scans and by its indexes.
async fn read_of_log(db: &Database) -> i64 {
    // A session reports what it has done when it has been idle for a while, or now.
    for _ in 0..40 {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
            .execute(&db.pool)
            .await
            .expect("flushed");
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    db.value("SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'change' AND schemaname = 'public'").await
}
