//! Edits of the ledgers undone by their revision: what stood before stands again, or the refusal says what is in the way.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::accounts::{token_of, with_token};
use crate::support::consolidation::contents;
use crate::support::http::{authorised, call, get_authorised};
use crate::support::land::{LOW, Land, PLANS, TURNOVER, approved, etag, id, items, newest, send};
use crate::support::parcels::COUNTY;

#[actix_web::test]
async fn what_cannot_be_undone_is_refused_with_its_reason() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let seeded = newest(&db).await;
    let undo = |number: i64, body: Value| {
        let db = &db;
        async move { send(db, &format!("/api/revisions/{number}/undo"), &[], &body).await }
    };
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let entered = newest(&db).await;
    undo(seeded, json!({})).await.assert_problem(409, "undo_not_possible");
    undo(9_999, json!({})).await.assert_problem(404, "revision_not_found");
    send(&db, "/api/revisions/x/undo", &[], &json!({})).await.assert_problem(404, "revision_not_found");
    undo(entered, json!({"why": 1})).await.assert_problem(400, "member_unknown");
    // A move since then stands in the way; that it stands is told by a trial too.
    let moved = send(
        &db,
        &format!("{}/transitions", items(TURNOVER, "A")),
        &[("if-match", &tag)],
        &json!({"to": "acquired", "effective_on": "2025-01-01"}),
    )
    .await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let last = newest(&db).await;
    undo(entered, json!({"dry_run": true})).await.assert_problem(409, "undo_conflict");
    let tried = undo(last, json!({"dry_run": true})).await;
    assert_eq!(
        (tried.status.as_u16(), tried.json()),
        (200, json!({"undone": last, "revision": null, "dry_run": true}))
    );
    assert_eq!(newest(&db).await, last, "a trial writes nothing");
    assert_eq!(undo(last, json!({})).await.status, 200);
    assert_eq!(get_authorised(&db, &items(TURNOVER, "A")).await.json()["properties"]["state"], "approved");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_transition").await, 0);

    // A plan under which its parcel would lose what it stands on.
    land.enter(&db, LOW, "L", [30.0, 0.0, 40.0, 10.0], json!({"state": "recognised", "state_on": "2024-05-06"})).await;
    let plan = json!({"type": "Feature", "properties": {"county_code": COUNTY, "number": "P", "parcel_id": id("L")}});
    assert_eq!(send(&db, &format!("{PLANS}/items"), &[], &plan).await.status, 201);
    let planned = newest(&db).await;
    let to = send(
        &db,
        &format!("{}/transitions", items(LOW, "L")),
        &[("if-match", &etag(&db, LOW, "L").await)],
        &json!({"to": "planned"}),
    )
    .await;
    assert_eq!(to.status, 200, "{}", to.text());
    let problem = undo(planned, json!({})).await.assert_problem(409, "undo_conflict");
    assert!(problem["findings"][0]["message"].as_str().expect("text").contains(&id("L")), "{problem}");
    // An import is undone as a batch, which then says so.
    let file = crate::support::parcels::file(
        "undo_import.geojson",
        &[(json!({"地块编号": "I"}), land.polygon([50.0, 0.0, 52.0, 2.0]))],
    );
    let imported = db.import(&file, crate::support::parcels::into("turnover_parcels")).await.expect("imported");
    undo(imported.revision.expect("revision"), json!({})).await.assert_problem(409, "undo_by_import");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_request_that_was_undone_is_not_told_as_done() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let body = json!({"parts": [land.part("A-1", [0.0, 0.0, 12.0, 10.0]), land.part("A-2", [12.0, 0.0, 20.0, 10.0])]});
    let path = format!("{}/split", items(TURNOVER, "A"));
    let key = [("if-match", tag.as_str()), ("idempotency-key", "k")];
    assert_eq!(send(&db, &path, &key, &body).await.status, 201);
    let undo = format!("/api/revisions/{}/undo", newest(&db).await);
    assert_eq!(send(&db, &undo, &[], &json!({})).await.status, 200);
    send(&db, &path, &key, &body).await.assert_problem(409, "undone_since");
    // By another key it is another request, and the numbers are free again.
    let tag = etag(&db, TURNOVER, "A").await;
    let again = send(&db, &path, &[("if-match", tag.as_str()), ("idempotency-key", "k2")], &body).await;
    assert_eq!(again.status, 201, "{}", again.text());
}

/// While a parcel does not stand, blocks are changed without it.
#[actix_web::test]
async fn what_an_undo_brings_back_lies_where_the_blocks_are_now() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let block = get_authorised(&db, &items(TURNOVER, "A")).await.json()["properties"]["block_id"].clone();
    assert!(block.is_string());
    let ended = call(&db, authorised(Method::DELETE, &items(TURNOVER, "A")).insert_header(("if-match", tag))).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    let end = newest(&db).await;
    db.write(&format!("DELETE FROM park_block WHERE id = {}", block.to_string().replace('"', "'"))).await;
    let undone = send(&db, &format!("/api/revisions/{end}/undo"), &[], &json!({})).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    let p = get_authorised(&db, &items(TURNOVER, "A")).await.json()["properties"].clone();
    assert_eq!((&p["block_id"], &p["park_code"], &p["inside_share"]), (&Value::Null, &Value::Null, &Value::Null));
}

/// What lived for less than a day leaves no row; its papers stay, and nobody else gets its number.
#[actix_web::test]
async fn papers_of_a_record_that_ended_on_its_first_day_stay_its_own() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land
        .enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], json!({"state_on": "2026-11-26", "state": "approved"}))
        .await;
    let files = format!("{}/attachments", items(TURNOVER, "A"));
    let bytes = crate::support::images::jpeg();
    let added = call(&db, crate::support::http::upload(&files, &[("kind", "photo")], "现场.jpg", &bytes)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let attached = newest(&db).await;
    send(&db, &format!("/api/revisions/{attached}/undo"), &[], &json!({}))
        .await
        .assert_problem(409, "undo_not_possible");
    let end = format!("{}?effective_on=2026-11-26", items(TURNOVER, "A"));
    let ended = call(&db, authorised(Method::DELETE, &end).insert_header(("if-match", tag))).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
    assert_eq!(get_authorised(&db, &format!("{files}/1")).await.body, bytes);
    let mut again = land.part("A", [0.0, 0.0, 20.0, 10.0]);
    again["properties"]["county_code"] = json!(COUNTY);
    send(&db, &format!("{TURNOVER}/items"), &[], &again).await.assert_problem(409, "number_used_before");
}

#[actix_web::test]
async fn an_undo_leaves_no_plan_without_its_parcel_and_nothing_of_a_record_that_is_gone() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let undo = |number: i64| {
        let db = &db;
        async move { send(db, &format!("/api/revisions/{number}/undo"), &[], &json!({})).await }
    };
    land.enter(&db, LOW, "L", [0.0, 0.0, 20.0, 10.0], json!({"state": "recognised", "state_on": "2024-05-06"})).await;
    let plan = |number: &str| json!({"type": "Feature", "properties": {"county_code": COUNTY, "number": number, "parcel_id": id("L")}});
    assert_eq!(send(&db, &format!("{PLANS}/items"), &[], &plan("P")).await.status, 201);
    let entered = newest(&db).await;
    let steps = json!({"steps": [{"task": "签订协议"}]});
    let put = authorised(Method::PUT, &format!("{}/steps", items(PLANS, "P")))
        .insert_header(("if-match", etag(&db, PLANS, "P").await));
    assert_eq!(call(&db, put.set_json(&steps)).await.status, 200);
    undo(entered).await.assert_problem(409, "undo_conflict");
    // Cancelled, and its parcel split: the plan does not come back on land that is no more.
    let path = format!("{}/transitions", items(PLANS, "P"));
    let moved = send(&db, &path, &[("if-match", &etag(&db, PLANS, "P").await)], &json!({"to": "cancelled"})).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let cancelled = newest(&db).await;
    let parts = json!({"parts": [land.part("L-1", [0.0, 0.0, 12.0, 10.0]), land.part("L-2", [12.0, 0.0, 20.0, 10.0])]});
    let split = format!("{}/split", items(LOW, "L"));
    assert_eq!(send(&db, &split, &[("if-match", &etag(&db, LOW, "L").await)], &parts).await.status, 201);
    let problem = undo(cancelled).await.assert_problem(409, "undo_conflict");
    assert!(problem["findings"][0]["message"].as_str().expect("text").contains(&id("L")), "{problem}");
    // The split first, then the cancelling.
    assert_eq!(undo(newest(&db).await).await.status, 200);
    assert_eq!(undo(cancelled).await.status, 200);
    assert_eq!(db.audit().await, None);
}

/// A value that somebody has changed and somebody else has set again is somebody else's.
#[actix_web::test]
async fn an_undo_takes_nothing_that_was_written_later() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let name = |name: Value| {
        let db = &db;
        async move {
            let patch = authorised(Method::PATCH, &items(TURNOVER, "A"))
                .insert_header(("if-match", etag(db, TURNOVER, "A").await));
            let done = call(db, patch.set_json(json!({"type": "Feature", "properties": {"name": name}}))).await;
            assert_eq!(done.status, 200, "{}", done.text());
            newest(db).await
        }
    };
    let first = name(json!("甲")).await;
    let second = name(Value::Null).await;
    let third = name(json!("甲")).await;
    let undo = |number: i64| {
        let db = &db;
        async move { send(db, &format!("/api/revisions/{number}/undo"), &[], &json!({})).await }
    };
    for number in [first, second] {
        undo(number).await.assert_problem(409, "undo_conflict");
    }
    // From the last one back, all of it goes.
    for number in [third, second, first] {
        let done = undo(number).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    assert_eq!(get_authorised(&db, &items(TURNOVER, "A")).await.json()["properties"]["name"], "整宗");
}

/// Row-level security would pass over the rows of another county, and an undoing of nothing would be called done.
#[actix_web::test]
async fn what_another_county_wrote_is_not_undone_and_not_told() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let (entered, before) = (newest(&db).await, contents(&db).await);
    let undo = async |token: &str, dry_run: bool| {
        let path = format!("/api/revisions/{entered}/undo");
        call(&db, with_token(Method::POST, &path, token).set_json(json!({"dry_run": dry_run}))).await
    };
    let far = token_of(&db, "far.editor", &["430111"]).await;
    for dry_run in [true, false] {
        let refused = undo(&far, dry_run).await;
        refused.assert_problem(403, "outside_jurisdiction");
        assert!(!refused.text().contains(&id("A")), "{}", refused.text());
    }
    assert_eq!((newest(&db).await, contents(&db).await), (entered, before));
    let own = token_of(&db, "own.editor", &[COUNTY]).await;
    let undone = undo(&own, false).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
}
