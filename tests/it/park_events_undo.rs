//! Who may undo what was done to parks, and what is told of what stands in the way.

use serde_json::json;
use sizhi::domain::access::Role;

use crate::support::consolidation::{contents, happen, undo};
use crate::support::http::{Answer, call};
use crate::support::land::{Land, TURNOVER, approved, newest};
use crate::support::{Database, accounts};

/// Undoes a revision as somebody with a login.
async fn undo_as(db: &Database, name: &str, revision: i64) -> Answer {
    let cookie = accounts::login(db, name).await;
    let path = format!("/api/revisions/{revision}/undo");
    call(db, accounts::from_page(actix_web::http::Method::POST, &path, &cookie).set_json(json!({}))).await
}

/// To undo the undoing of an establishment is to establish: where the park no longer stands, the log says whose it was.
#[actix_web::test]
async fn a_park_that_stands_no_more_is_still_whose_it_was() {
    let db = Database::with_sample().await;
    accounts::add(&db, "changsha", Role::Editor, &["430100"]).await;
    accounts::add(&db, "zhuzhou", Role::Editor, &["430200"]).await;
    let park = json!({"code": "S439998", "name": "示意新区", "prefecture": "430100", "counties": ["430102"], "approved_area_ha": "210.5"});
    let done = happen(&db, &json!({"kind": "established", "park": park, "on": "2026-01-05"})).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let established = newest(&db).await;
    let with_park = contents(&db).await;
    assert_eq!(undo(&db, established).await.status, 200);
    let (at, before) = (newest(&db).await, contents(&db).await);
    assert_ne!(before, with_park);
    undo_as(&db, "zhuzhou", at).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!((newest(&db).await, contents(&db).await), (at, before));
    let again = undo_as(&db, "changsha", at).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(contents(&db).await, with_park);
}

/// A proposal for S437001 that puts it under adjustment, as one revision with what else is written; its number.
async fn proposal_with(db: &Database, more: &str) -> i64 {
    db.write(&format!(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor, notice_from, notice_until, park_status_before)
         VALUES ('BC-2026-0001', 'S437001', '430100', '{{430103}}', '示意', 'extended', 'public_notice', '2026-02-10', 443.98, 0, 10, 453.98, 1,
                 'test', '2026-02-10', '2026-03-20', 'active');
         INSERT INTO boundary_change_step (change_id, ordinal, division_codes, to_state, happened_on, base_revision, actor)
         VALUES ('BC-2026-0001', 1, '{{430103}}', 'proposed', '2026-02-01', 1, 'test');
         UPDATE park SET status = 'under_adjustment' WHERE code = 'S437001'; {more}"
    ))
    .await;
    newest(db).await
}

/// Row-level security hides a boundary change from others: what is left of its revision looks like an edit of a park.
#[actix_web::test]
async fn whoever_may_not_undo_a_boundary_change_is_told_so_and_not_to_import_again() {
    let db = Database::with_sample().await;
    accounts::add(&db, "tianxin", Role::Editor, &["430103"]).await;
    accounts::add(&db, "zhuzhou", Role::Editor, &["430200"]).await;
    let before = contents(&db).await;
    let revision = proposal_with(&db, "").await;
    undo_as(&db, "zhuzhou", revision).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!(newest(&db).await, revision);
    let undone = undo_as(&db, "tianxin", revision).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(contents(&db).await, before);
}

#[actix_web::test]
async fn what_stands_in_an_undos_way_in_other_counties_is_counted_and_not_named() {
    let db = Database::with_sample().await;
    accounts::add(&db, "tianxin", Role::Editor, &["430103"]).await;
    let land = Land::of(&db).await;
    land.enter(&db, TURNOVER, "GEHEIM", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let note = |text: &str| format!("UPDATE turnover_parcel SET note = '{text}' WHERE number = 'GEHEIM'");
    let revision = proposal_with(&db, &note("随界线")).await;
    db.write(&note("后来的备注")).await;
    let refused = undo_as(&db, "tianxin", revision).await;
    let problem = refused.assert_problem(409, "undo_conflict");
    assert_eq!(problem["findings"].as_array().map(Vec::len), Some(1), "{problem}");
    assert_eq!(problem["findings"][0]["code"], "changed_since", "{problem}");
    assert!(problem["findings"][0]["message"].as_str().expect("text").contains("1 行"), "{problem}");
    assert!(!refused.text().contains("GEHEIM"), "{problem}");
    // Who is responsible for the parcel's county too is told which.
    let refused = undo(&db, revision).await;
    refused.assert_problem(409, "undo_conflict");
    assert!(refused.text().contains("GEHEIM"), "{}", refused.text());
}
