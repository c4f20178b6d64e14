//! Imports that meet another write, or that are not there: refused whole, and the register stays as it is.

use serde_json::json;

use crate::support::http::{call, get, get_authorised, path_of, post, upload};
use crate::support::{Database, files};

/// A file of one square of 100 ha in zone 38, so many metres east of where all of these lie.
fn square(number: &str, east: f64) -> String {
    files::txt(&[(number, files::square(3_120_000.0, 38_400_000.0 + east, 1_000.0), 100.0)])
}

async fn staged(db: &Database, park: &str, file: &str) -> String {
    let answer =
        call(db, upload("/api/imports", &[("layer", "park_blocks"), ("park", park)], "边界.txt", file.as_bytes()))
            .await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (201, &json!("checked")), "{}", answer.text());
    path_of(&json!(answer.header("location").expect("location")))
}

#[actix_web::test]
async fn a_batch_that_is_not_there_is_a_404() {
    let db = Database::empty().await;
    for id in [
        "1",
        "999",
        "9223372036854775807",
        "9223372036854775808",
        "0",
        "-1",
        "abc",
        "1.0",
        "1%00",
        "%FF",
        "%EF%BC%91",
        "1%2F2",
    ] {
        get_authorised(&db, &format!("/api/imports/{id}")).await.assert_problem(404, "import_not_found");
        post(&db, &format!("/api/imports/{id}/commit")).await.assert_problem(404, "import_not_found");
        post(&db, &format!("/api/imports/{id}/undo")).await.assert_problem(404, "import_not_found");
    }
}

#[actix_web::test]
async fn a_commit_is_judged_by_the_register_of_now() {
    let db = Database::with_sample().await;
    let url = staged(&db, "G431176", &square("9", 0.0)).await;
    // Meanwhile another park gets real land there.
    let other = files::write("imports_conflicts_other.txt", square("1", 500.0));
    let imported = db
        .import(&other, |request| request.park = sizhi::domain::ParkCode::parse("G431033").ok())
        .await
        .expect("imported");
    assert_eq!(imported.revision, Some(2), "{:?}", imported.report.findings);
    let problem = post(&db, &format!("{url}/commit")).await.assert_problem(409, "import_refused_now");
    let findings = problem["findings"].as_array().expect("findings");
    let overlap = findings.iter().find(|f| f["code"] == "overlap_with_register").unwrap_or_else(|| panic!("{problem}"));
    assert_eq!(overlap["severity"], "error");
    let said = overlap["message"].as_str().expect("message");
    assert!(said.contains("G431176-9") && said.contains("G431033-1"), "{said}");
    assert_eq!(get_authorised(&db, &url).await.json()["status"], "checked", "it may be tried again");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE id = 'G431176-9'").await, 0);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
    // Once the other is gone, it goes in.
    let batch = imported.batch.expect("a batch");
    assert_eq!(post(&db, &format!("/api/imports/{batch}/undo")).await.status, 200);
    assert_eq!(post(&db, &format!("{url}/commit")).await.json()["status"], "committed");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn of_two_commits_of_one_batch_exactly_one_wins() {
    let db = Database::with_sample().await;
    let url = format!("{}/commit", staged(&db, "G431176", &square("9", 0.0)).await);
    let (a, b, c) = tokio::join!(post(&db, &url), post(&db, &url), post(&db, &url));
    let (won, lost): (Vec<_>, Vec<_>) = [a, b, c].into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 2));
    assert_eq!(won[0].json()["status"], "committed");
    for answer in lost {
        // Not “expired, upload it again”: the upload is in the register.
        answer.assert_problem(409, "import_status");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn of_two_batches_on_the_same_land_exactly_one_wins() {
    let db = Database::with_sample().await;
    let one = format!("{}/commit", staged(&db, "G431176", &square("9", 0.0)).await);
    let two = format!("{}/commit", staged(&db, "G431033", &square("9", 300.0)).await);
    let (a, b) = tokio::join!(post(&db, &one), post(&db, &two));
    let (won, lost): (Vec<_>, Vec<_>) = [a, b].into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 1));
    let problem = lost[0].assert_problem(409, "import_refused_now");
    assert_eq!(problem["findings"][0]["code"], "overlap_with_register", "{problem}");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT illustrative").await, 1);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
}

#[actix_web::test]
async fn of_two_undos_exactly_one_wins() {
    let db = Database::with_sample().await;
    let url = staged(&db, "G431176", &square("9", 0.0)).await;
    assert_eq!(post(&db, &format!("{url}/commit")).await.status, 200);
    let undo = format!("{url}/undo");
    let (a, b) = tokio::join!(post(&db, &undo), post(&db, &undo));
    let (won, lost): (Vec<_>, Vec<_>) = [a, b].into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 1));
    lost[0].assert_problem(409, "import_status");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 3);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn an_undo_does_not_take_a_later_change_with_it() {
    let db = Database::with_sample().await;
    let url = staged(&db, "G431176", &square("9", 0.0)).await;
    assert_eq!(post(&db, &format!("{url}/commit")).await.status, 200);
    db.write("UPDATE park_block SET name = '后来的名称' WHERE id = 'G431176-9'").await;
    let problem = post(&db, &format!("{url}/undo")).await.assert_problem(409, "undo_conflict");
    let finding = &problem["findings"][0];
    assert_eq!(finding["code"], "changed_since", "{problem}");
    assert!(finding["message"].as_str().is_some_and(|m| m.contains("G431176-9") && m.contains('3')), "{finding}");
    assert_eq!(get_authorised(&db, &url).await.json()["status"], "committed");
    let item = get(&db, "/api/collections/park_blocks/items/G431176-9").await.json();
    assert_eq!(item["properties"]["name"], "后来的名称");
}

#[actix_web::test]
async fn a_batch_whose_upload_is_gone_asks_for_it_again() {
    let db = Database::with_sample().await;
    let url = staged(&db, "G431176", &square("9", 0.0)).await;
    sqlx::query("UPDATE import_batch SET content = NULL").execute(&db.pool).await.expect("dropped");
    post(&db, &format!("{url}/commit")).await.assert_problem(409, "import_expired");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
}

#[actix_web::test]
async fn uploads_older_than_a_day_are_let_go_by_the_next_one() {
    let db = Database::with_sample().await;
    let old = staged(&db, "G431176", &square("7", 0.0)).await;
    sqlx::query("UPDATE import_batch SET created_at = created_at - interval '25 hours'")
        .execute(&db.pool)
        .await
        .expect("aged");
    let new = staged(&db, "G431176", &square("9", 0.0)).await;
    post(&db, &format!("{old}/commit")).await.assert_problem(409, "import_expired");
    assert_eq!(post(&db, &format!("{new}/commit")).await.status, 200);
}

#[actix_web::test]
async fn a_directory_table_goes_the_same_road() {
    let db = Database::with_sample().await;
    let table = "园区代码,园区名称,级别,所在市州,核准面积（公顷）,主导产业\nG431176,望城经济技术开发区,国家级,长沙市,640.5,食品、电子信息\n";
    let answer = call(&db, upload("/api/imports", &[("layer", "parks")], "名录.csv", table.as_bytes())).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (201, &json!("checked")), "{}", answer.text());
    let url = path_of(&json!(answer.header("location").expect("location")));
    assert_eq!(post(&db, &format!("{url}/commit")).await.status, 200);
    let card = get(&db, "/api/parks/G431176").await.json();
    assert_eq!(
        (&card["areas"]["approved"]["ha"], &card["leading_industries"]),
        (&json!(640.5), &json!(["食品", "电子信息"]))
    );
    assert_eq!(post(&db, &format!("{url}/undo")).await.status, 200);
    assert_eq!(get(&db, "/api/parks/G431176").await.json()["areas"]["approved"]["ha"], 633.3);
    assert_eq!(db.audit().await, None);
}
