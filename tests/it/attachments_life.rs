//! Attachments over HTTP: whose they are, how they end, and what they hold up.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use sizhi::domain::access::Role;

use crate::attachments::{FILES, PHOTO, RECORD, attach, counts, with_records};
use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{authorised, call, encode, get, get_authorised, path_of, post, upload};
use crate::support::{Database, images};

async fn token_of(db: &Database, name: &str, role: Role, divisions: &[&str]) -> String {
    add(db, name, role, divisions).await;
    issue(db, json!({"account": name, "name": "files"})).await["token"].as_str().expect("token").to_owned()
}

#[actix_web::test]
async fn the_same_bytes_stand_once_on_a_record_and_once_in_a_county() {
    let db = with_records().await;
    let bytes = images::jpeg();
    assert_eq!(attach(&db, "一.jpg", &bytes).await.status, 201);
    let before = counts(&db).await;
    let twice = attach(&db, "二.jpg", &bytes).await.assert_problem(409, "attachment_exists");
    assert!(twice["detail"].as_str().is_some_and(|detail| detail.contains("附件 1“一.jpg”")), "{twice}");
    assert_eq!(counts(&db).await, before);
    for ledger in ["low_efficiency_parcels", "redevelopment_plans"] {
        let path = FILES.replace("turnover_parcels", ledger);
        let added = call(&db, upload(&path, &[("kind", "验收")], "三.jpg", &bytes)).await;
        assert_eq!((added.status.as_u16(), &added.json()["id"]), (201, &json!(1)), "{}", added.text());
        assert_eq!(get_authorised(&db, &format!("{path}/1")).await.body, bytes);
    }
    assert_eq!(counts(&db).await, [before[0] + 2, 3, 1], "stored once");
    assert_eq!(call(&db, authorised(Method::DELETE, &format!("{FILES}/1"))).await.status, 204);
    assert_eq!(attach(&db, "二.jpg", &bytes).await.json()["id"], 2, "what was removed stands in nobody's way");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn what_was_removed_is_for_those_who_may_remove() {
    let db = with_records().await;
    let staff = token_of(&db, "staff", Role::Staff, &["430100"]).await;
    let bytes = images::jpeg();
    attach(&db, "误传.jpg", &bytes).await;
    let path = format!("{FILES}/1");
    let reason = format!("{path}?reason={}", encode("传错地块"));
    let gone = call(&db, authorised(Method::DELETE, &reason)).await;
    let [revision, ..] = counts(&db).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    assert_eq!(gone.header("sizhi-revision"), Some(revision.to_string().as_str()));
    for request in
        [authorised(Method::GET, &path), with_token(Method::GET, &path, &staff), authorised(Method::DELETE, &path)]
    {
        call(&db, request).await.assert_problem(404, "attachment_not_found");
    }
    assert_eq!(get_authorised(&db, FILES).await.json()["attachments"], json!([]));
    let all = format!("{FILES}?removed=true");
    let told = get_authorised(&db, &all).await.json();
    let told = &told["attachments"][0];
    assert!(told["removed"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    assert_eq!(
        (&told["removed"]["by"], &told["removed"]["reason"], &told["removed"]["revision"]),
        (&json!("http:admin"), &json!("传错地块"), &json!(revision))
    );
    let href = path_of(&told["links"][0]["href"]);
    assert_eq!(get_authorised(&db, &href).await.body, bytes);
    // Staff are told that there was one, and do not get it.
    let listed = call(&db, with_token(Method::GET, &all, &staff)).await.json();
    assert_eq!((&listed["numberReturned"], &listed["attachments"][0]["links"]), (&json!(1), &json!([])));
    call(&db, with_token(Method::GET, &href, &staff)).await.assert_problem(403, "role_insufficient");
    let told: String = db.value("SELECT reason FROM revision ORDER BY number DESC LIMIT 1").await;
    assert_eq!(told, "周转用地 430121-001：移除附件 1“误传.jpg”：传错地块");
    for bad in ["0", "-1", "x", "99999999999", "1.0", "%E4%B8%80"] {
        get_authorised(&db, &format!("{FILES}/{bad}")).await.assert_problem(404, "attachment_not_found");
    }
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_record_that_ended_keeps_its_papers_and_gets_no_more() {
    let db = with_records().await;
    let bytes = images::jpeg();
    attach(&db, "a.jpg", &bytes).await;
    let etag = get_authorised(&db, RECORD).await.header("etag").expect("etag").to_owned();
    let ended = call(&db, authorised(Method::DELETE, RECORD).insert_header(("if-match", etag))).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert_eq!(get_authorised(&db, &format!("{FILES}/1")).await.body, bytes);
    assert_eq!(get_authorised(&db, FILES).await.json()["numberReturned"], 1);
    attach(&db, "b.jpg", &images::jpeg_of(1)).await.assert_problem(404, "item_not_found");
    // What should never have been there can be taken away still.
    assert_eq!(call(&db, authorised(Method::DELETE, &format!("{FILES}/1"))).await.status, 204);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM attachment_content").await, 1);
}

#[actix_web::test]
async fn a_repeated_request_adds_nothing() {
    let db = with_records().await;
    let keyed = |bytes: &[u8], note: &str| {
        upload(FILES, &[("kind", "photo"), ("note", note)], "a.jpg", bytes).insert_header(("idempotency-key", "k1"))
    };
    let first = call(&db, keyed(&images::jpeg(), "一")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, None));
    let before = counts(&db).await;
    let again = call(&db, keyed(&images::jpeg(), "一")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!((again.json(), again.header("location")), (first.json(), first.header("location")));
    for other in [keyed(&images::jpeg_of(1), "一"), keyed(&images::jpeg(), "二")] {
        call(&db, other).await.assert_problem(409, "idempotency_key_reused");
    }
    assert_eq!(counts(&db).await, before);
    let path = format!("{FILES}/1");
    let remove = || authorised(Method::DELETE, &path).insert_header(("idempotency-key", "k2"));
    assert_eq!(call(&db, remove()).await.status, 204);
    let again = call(&db, remove()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (204, Some("true")));
}

#[actix_web::test]
async fn attachments_are_for_those_for_whom_the_record_is() {
    let db = with_records().await;
    let bytes = images::jpeg();
    let own = token_of(&db, "own", Role::Editor, &["430121"]).await;
    let other = token_of(&db, "other", Role::Editor, &["430200"]).await;
    let reader = token_of(&db, "reader", Role::Planner, &["430100"]).await;
    let by = |token: &str, request: TestRequest| request.insert_header(("authorization", format!("Bearer {token}")));
    assert_eq!(
        call(&db, by(&own, upload(FILES, &PHOTO, "机要.jpg", &bytes))).await.json()["added"]["by"],
        "token:own/files"
    );
    let before = counts(&db).await;
    let one = format!("{FILES}/1");
    let absent = FILES.replace("-001", "-999");
    for (method, path, other_path) in [
        (Method::GET, FILES, absent.as_str()),
        (Method::GET, &one, &format!("{absent}/1")),
        (Method::POST, FILES, &absent),
    ] {
        let mut told = Vec::new();
        for path in [path, other_path] {
            let request = if method == Method::POST {
                upload(path, &PHOTO, "a.jpg", &bytes)
            } else {
                with_token(method.clone(), path, "")
            };
            let mut problem = call(&db, by(&other, request)).await.assert_problem(404, "item_not_found");
            problem["instance"].take();
            told.push(problem.to_string().replace("-001", "-999"));
        }
        assert_eq!(told[0], told[1], "{method} {path}: hidden is absent");
    }
    call(&db, with_token(Method::DELETE, &one, &other)).await.assert_problem(404, "attachment_not_found");
    call(&db, by(&reader, upload(FILES, &PHOTO, "b.jpg", &images::jpeg_of(1))))
        .await
        .assert_problem(403, "role_insufficient");
    call(&db, with_token(Method::DELETE, &one, &reader)).await.assert_problem(403, "role_insufficient");
    assert_eq!(call(&db, with_token(Method::GET, &one, &reader)).await.body, bytes);
    for path in [FILES, &one] {
        get(&db, path).await.assert_problem(401, "token_missing");
    }
    // What is no ledger has no such address, whatever is asked of it.
    for tail in ["attachments", "attachments/1"] {
        let path = format!("/api/collections/parks/items/G431033/{tail}");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            call(&db, authorised(method, &path)).await.assert_problem(404, "address_not_found");
        }
    }
    let refused = call(&db, authorised(Method::PUT, &one)).await;
    refused.assert_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, HEAD, DELETE"));
    get_authorised(&db, &format!("{FILES}?limit=1")).await.assert_problem(400, "parameter_unknown");
    assert_eq!(counts(&db).await, before);
}

#[actix_web::test]
async fn an_import_whose_records_have_papers_is_not_undone() {
    let db = with_records().await;
    attach(&db, "a.jpg", &images::jpeg()).await;
    let batch: i64 = db.value("SELECT min(id) FROM import_batch WHERE layer = 'turnover_parcels'").await;
    let undo = format!("/api/imports/{batch}/undo");
    let before = counts(&db).await;
    let refused = post(&db, &undo).await.assert_problem(409, "undo_conflict");
    assert_eq!(refused["findings"][0]["code"], "attachments_left");
    assert_eq!(refused["findings"][0]["message"], "周转用地 430121-001 有附件，撤销后记录不复存在");
    assert_eq!(counts(&db).await, before);
    assert_eq!(call(&db, authorised(Method::DELETE, &format!("{FILES}/1"))).await.status, 204);
    let undone = post(&db, &undo).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    // The record is no more; what was removed from it is still there for those who may remove.
    get_authorised(&db, RECORD).await.assert_problem(404, "item_not_found");
    let told = get_authorised(&db, &format!("{FILES}?removed=true")).await.json();
    assert_eq!(told["attachments"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(db.audit().await, None);
}
