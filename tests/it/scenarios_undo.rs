//! What an applied scenario did is taken back as one, by whom it concerns; then the scenario is open again.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::accounts::{add, issue, with_token};
use crate::support::consolidation::{contents, undo};
use crate::support::http::{authorised, call, get_authorised, upload};
use crate::support::land::{PLANS, newest, send};
use crate::support::scenarios::{PARK, SCENARIOS, applied, boundary, created, deed, parcel, rows, steps};
use crate::support::{Database, images, parcels};

/// The parcel of these tests, entered into the ledger of low-efficiency land.
async fn low_efficiency(db: &Database) -> Value {
    let (x, y, _) = parcels::inside(db, parcels::PARK).await;
    let mut feature = parcel(x, y);
    (feature["properties"]["state"], feature["properties"]["state_on"]) = (json!("recognised"), json!("2024-05-06"));
    json!({"op": "parcel", "collection": "low_efficiency_parcels", "feature": feature})
}

#[actix_web::test]
async fn an_applied_scenario_is_undone_by_those_whose_parcels_it_wrote() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let revision = applied(&db, json!([entry])).await;
    add(&db, "far.county", Role::Editor, &["430111"]).await;
    add(&db, "own.county", Role::Editor, &[parcels::COUNTY]).await;
    let undo_as = |name: &'static str, revision: i64| {
        let db = &db;
        async move {
            let token = issue(db, json!({"account": name, "name": "test"})).await["token"].clone();
            let path = format!("/api/revisions/{revision}/undo");
            call(db, with_token(Method::POST, &path, token.as_str().expect("token")).set_json(json!({}))).await
        }
    };
    let before = contents(&db).await;
    undo_as("far.county", revision).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!((newest(&db).await, contents(&db).await), (revision, before.clone()));
    let back = undo_as("own.county", revision).await;
    assert_eq!(back.status, 200, "{}", back.text());
    let standing = format!("SELECT count(*) FROM turnover_parcel WHERE id = '{}-TY-1'", parcels::COUNTY);
    assert_eq!(db.value::<i64>(&standing).await, 0);
    // To undo that is to enter the parcel again: theirs too.
    undo_as("far.county", revision + 1).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!(newest(&db).await, revision + 1);
    let again = undo_as("own.county", revision + 1).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(contents(&db).await, before);
}

#[actix_web::test]
async fn an_applied_scenario_is_not_undone_under_a_plan_of_its_parcel() {
    let db = Database::with_sample().await;
    let revision = applied(&db, json!([low_efficiency(&db).await])).await;
    let plan = json!({"type": "Feature", "properties": {
        "county_code": parcels::COUNTY, "number": "F", "parcel_id": format!("{}-TY-1", parcels::COUNTY),
    }});
    let filed = send(&db, &format!("{PLANS}/items"), &[], &plan).await;
    assert_eq!(filed.status, 201, "{}", filed.text());
    let (at, before) = (newest(&db).await, contents(&db).await);
    let refused = undo(&db, revision).await.assert_problem(409, "undo_conflict");
    assert_eq!(refused["findings"][0]["code"], "plan_in_use", "{refused}");
    assert_eq!((newest(&db).await, contents(&db).await), (at, before));
    // Without the plan it goes.
    assert_eq!(undo(&db, at).await.status, 200);
    let back = undo(&db, revision).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(db.value::<i64>("SELECT count(*) FROM low_efficiency_parcel WHERE number = 'TY-1'").await, 0);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn an_applied_scenario_is_not_undone_under_papers_and_edits_of_its_parcel() {
    let db = Database::with_sample().await;
    let revision = applied(&db, json!([low_efficiency(&db).await])).await;
    let path = format!("/api/collections/low_efficiency_parcels/items/{}-TY-1", parcels::COUNTY);
    let bytes = images::jpeg();
    let added = call(&db, upload(&format!("{path}/attachments"), &[("kind", "photo")], "现场.jpg", &bytes)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let (at, before) = (newest(&db).await, contents(&db).await);
    let refused = undo(&db, revision).await.assert_problem(409, "undo_conflict");
    assert_eq!(refused["findings"][0]["code"], "attachments_left", "{refused}");
    assert_eq!((newest(&db).await, contents(&db).await), (at, before));
    // A name that somebody changed and somebody else set again looks untouched, and is not.
    for name in ["改名", "推演地块"] {
        let tag = get_authorised(&db, &path).await.header("etag").expect("etag").to_owned();
        let request = authorised(Method::PATCH, &path)
            .insert_header(("if-match", tag))
            .insert_header(("content-type", "application/merge-patch+json"))
            .set_payload(json!({"properties": {"name": name}}).to_string());
        let answer = call(&db, request).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    let (at, before) = (newest(&db).await, contents(&db).await);
    let refused = undo(&db, revision).await.assert_problem(409, "undo_conflict");
    assert_eq!(refused["findings"][0]["code"], "changed_since", "{refused}");
    assert_eq!((newest(&db).await, contents(&db).await), (at, before));
}

#[actix_web::test]
async fn what_was_undone_since_is_not_told_as_done() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let id = created(&db, json!([entry])).await["id"].clone();
    let apply = || {
        let request = authorised(Method::POST, &format!("{SCENARIOS}/{id}/apply"));
        call(&db, request.insert_header(("if-match", "\"v1\"")).insert_header(("idempotency-key", "apply-1")))
    };
    let done = apply().await;
    assert_eq!(done.status, 200, "{}", done.text());
    let again = apply().await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")), "{}", again.text());
    let revision = newest(&db).await;
    assert_eq!(undo(&db, revision).await.status, 200);
    apply().await.assert_problem(409, "undone_since");
    // Undone too, the undoing leaves it done.
    assert_eq!(undo(&db, revision + 1).await.status, 200);
    assert_eq!(apply().await.status, 200);
    assert_eq!(newest(&db).await, revision + 2);
}

/// A park that lies elsewhere when its change is approved is no longer for those to undo who proposed the change.
#[actix_web::test]
async fn an_approval_in_a_scenario_is_undone_by_those_whose_park_it_is_now() {
    let db = Database::with_sample().await;
    let proposed = send(&db, "/api/boundary-changes", &[], &boundary(&db).await).await;
    assert_eq!(proposed.status, 201, "{}", proposed.text());
    let divisions: Vec<String> =
        db.column(&format!("SELECT unnest(division_codes) FROM boundary_change WHERE park_code = '{PARK}'")).await;
    assert!(!divisions.is_empty());
    // Of the parcel's county too, which is in the same revision.
    let mut before: Vec<&str> = divisions.iter().map(String::as_str).collect();
    before.push(parcels::COUNTY);
    add(&db, "before.editor", Role::Editor, &before).await;
    add(&db, "now.editor", Role::Editor, &[&before[..], &["430200"]].concat()).await;
    db.write(&format!("UPDATE park SET prefecture_code = '430200', county_codes = '{{430211}}' WHERE code = '{PARK}'"))
        .await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let decision = json!({"op": "boundary_change", "id": proposed.json()["id"], "steps": steps()});
    let standing = rows(&db).await;
    let revision = applied(&db, json!([decision, entry])).await;
    let undo_as = async |name: &str| {
        let token = issue(&db, json!({"account": name, "name": "test"})).await["token"].clone();
        let path = format!("/api/revisions/{revision}/undo");
        call(&db, with_token(Method::POST, &path, token.as_str().expect("token")).set_json(json!({}))).await
    };
    undo_as("before.editor").await.assert_problem(403, "outside_jurisdiction");
    assert_eq!(newest(&db).await, revision);
    let undone = undo_as("now.editor").await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(rows(&db).await, standing);
}

/// Whoever takes an application back may think again with the same scenario.
#[actix_web::test]
async fn a_scenario_whose_application_was_undone_is_open_again_once_it_is_looked_at() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let id = created(&db, json!([entry])).await["id"].clone();
    let path = format!("{SCENARIOS}/{id}");
    assert_eq!(deed(&db, &id, "apply").await.status, 200);
    let (revision, applied) = (newest(&db).await, rows(&db).await);
    let shown = get_authorised(&db, &path).await.json();
    assert_eq!((&shown["applied_revision"], &shown["undone"]), (&json!(revision), &json!(false)), "{shown}");
    let undoes = |shown: &Value| shown["links"].as_array().expect("links").iter().any(|link| link["rel"] == "undo");
    assert!(undoes(&shown), "{shown}");

    assert_eq!(undo(&db, revision).await.status, 200);
    let shown = get_authorised(&db, &path).await.json();
    assert_eq!((&shown["applied_revision"], &shown["undone"]), (&json!(revision), &json!(true)), "{shown}");
    assert!(!undoes(&shown), "{shown}");
    // The undoing is a change of the register that the owner has not looked at.
    deed(&db, &id, "apply").await.assert_problem(409, "base_moved");
    let rebased = deed(&db, &id, "rebase").await;
    assert_eq!(rebased.status, 200, "{}", rebased.text());
    let shown = rebased.json();
    assert_eq!((&shown["applied_revision"], &shown["undone"]), (&Value::Null, &json!(false)), "{shown}");
    assert_eq!(shown["base_revision"], json!(revision + 1), "{shown}");
    let again = deed(&db, &id, "apply").await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json()["applied_revision"], json!(revision + 2));
    assert_eq!(rows(&db).await, applied);
}
