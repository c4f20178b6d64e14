//! Imports over HTTP: dry run, commit, undo, and who may do it. What was written is judged by SQL and PostGIS.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::config::HttpArgs;

use crate::support::http::{Answer, authorised, call, call_with, get, get_authorised, link, path_of, post, upload};
use crate::support::{Database, TOKEN, files, http_args};

/// North and east of the square of most tests, in zone 38.
const CORNER: (f64, f64) = (3_120_000.0, 38_400_000.0);
const FIELDS: [(&str, &str); 2] = [("layer", "park_blocks"), ("park", "G431176")];

/// A file of one square of 100 ha.
fn square(number: &str) -> String {
    files::txt(&[(number, files::square(CORNER.0, CORNER.1, 1_000.0), 100.0)])
}

async fn stage(db: &Database, fields: &[(&str, &str)], file: &str) -> Answer {
    call(db, upload("/api/imports", fields, "边界.txt", file.as_bytes())).await
}

/// Stages a file that has no fault; the address of its batch.
async fn staged(db: &Database, fields: &[(&str, &str)], file: &str) -> String {
    let answer = stage(db, fields, file).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (201, &json!("checked")), "{}", answer.text());
    path_of(&json!(answer.header("location").expect("location")))
}

/// The blocks of a park as the layer shows them.
async fn shown(db: &Database, park: &str) -> Value {
    get(db, &format!("/api/collections/park_blocks/items?park_code={park}")).await.json()["features"].clone()
}

#[actix_web::test]
async fn writing_is_closed_without_a_configured_token() {
    let db = Database::empty().await;
    for token in [None, Some(String::new())] {
        let state = || State::new(db.pool.clone(), HttpArgs { admin_token: token.clone(), ..http_args() });
        for request in [
            authorised(Method::GET, "/api/imports"),
            authorised(Method::GET, "/api/imports/1"),
            authorised(Method::POST, "/api/imports/1/commit"),
            authorised(Method::POST, "/api/imports/1/undo"),
            authorised(Method::POST, "/api/imports").insert_header(("authorization", "Bearer ")),
            upload("/api/imports", &FIELDS, "边界.txt", square("9").as_bytes()),
        ] {
            let answer = call_with(state(), request).await;
            // Without the operator's token set, it is nobody's.
            answer.assert_problem(401, "token_wrong");
        }
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM import_batch").await, 0);
}

#[actix_web::test]
async fn only_the_holder_of_the_token_may_read_and_write() {
    let db = Database::with_sample().await;
    staged(&db, &FIELDS, &square("9")).await;
    let basic = format!("Basic {TOKEN}");
    let longer = format!("Bearer {TOKEN}x");
    for (authorization, code) in [
        (None, "token_missing"),
        (Some(basic.as_str()), "token_missing"),
        (Some(TOKEN), "token_missing"),
        (Some("Bearer"), "token_missing"),
        (Some("Bearer "), "token_wrong"),
        (Some("Bearer a-token"), "token_wrong"),
        (Some(longer.as_str()), "token_wrong"),
    ] {
        for (method, path) in [
            (Method::GET, "/api/imports"),
            (Method::HEAD, "/api/imports"),
            (Method::POST, "/api/imports"),
            (Method::GET, "/api/imports/1"),
            (Method::GET, "/api/imports/999"),
            (Method::POST, "/api/imports/1/commit"),
            (Method::POST, "/api/imports/1/undo"),
        ] {
            let mut request = TestRequest::default().method(method.clone()).uri(path);
            if let Some(value) = authorization {
                request = request.insert_header(("authorization", value));
            }
            let answer = call(&db, request).await;
            answer.assert_problem(401, code);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"sizhi\""), "{method} {path}");
        }
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1, "nothing written");
    let lower_case = TestRequest::get().uri("/api/imports").insert_header(("authorization", format!("bearer {TOKEN}")));
    assert_eq!(call(&db, lower_case).await.status, 200);
}

#[actix_web::test]
async fn a_dry_run_tells_all_and_writes_nothing() {
    let db = Database::with_sample().await;
    let before = shown(&db, "G431176").await;
    let drawn: i64 = db.value("SELECT count(*) FROM park_block WHERE park_code = 'G431176'").await;
    let file = square("9");
    let answer = stage(&db, &FIELDS, &file).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("http://localhost:8080/api/imports/1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let batch = answer.json();
    let sha256: String = sqlx::query_scalar("SELECT encode(sha256($1), 'hex')")
        .bind(file.as_bytes())
        .fetch_one(&db.pool)
        .await
        .expect("hash");
    for (key, expected) in [
        ("id", json!(1)),
        ("status", json!("checked")),
        ("layer", json!("park_blocks")),
        ("file_name", json!("边界.txt")),
        ("file_size", json!(file.len())),
        ("file_sha256", json!(sha256)),
        ("actor", json!("http:admin")),
        ("revision", json!(null)),
        ("undone_revision", json!(null)),
        (
            "options",
            json!({"crs": null, "encoding": null, "source_layer": null, "park": "G431176", "county": null, "zone_kind": null, "attributes": null, "repair": false, "allow": []}),
        ),
    ] {
        assert_eq!(batch[key], expected, "{key}");
    }
    let report = &batch["report"];
    assert_eq!(report["status"], "ready");
    assert_eq!(
        report["counts"],
        json!({"candidates": 1, "candidates_listed": 1, "insert": 1, "update": 0, "unchanged": 0, "errors": 0, "warnings": 0, "findings_listed": 1})
    );
    assert_eq!(report["file"], json!({"name": "边界.txt", "size": file.len(), "sha256": sha256}));
    let candidate = &report["candidates"][0];
    assert_eq!(
        (&candidate["id"], &candidate["parts"], &candidate["rings"]),
        (&json!("G431176-9"), &json!(1), &json!(1))
    );
    assert_eq!((&candidate["crs"], &candidate["stated_area"]), (&json!("EPSG:4526"), &json!(1_000_000.0)));
    // The same square as PostGIS transforms it.
    let (west, south, area): (f64, f64, f64) = sqlx::query_as(
        "SELECT ST_XMin(g), ST_YMin(g), ST_Area(g::geography)
         FROM (SELECT ST_Transform(ST_MakeEnvelope(38400000, 3120000, 38401000, 3121000, 4526), 4490) AS g) x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("judged");
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number: {candidate}"));
    assert!(
        (number(&candidate["bbox"][0]) - west).abs() < 1e-8 && (number(&candidate["bbox"][1]) - south).abs() < 1e-8,
        "{candidate}"
    );
    assert!((number(&candidate["area_m2"]) / area - 1.0).abs() < 1e-7, "{candidate}");
    let replaced =
        report["findings"].as_array().expect("findings").iter().find(|f| f["code"] == "illustrative_replaced");
    let said = replaced.and_then(|f| f["message"].as_str()).unwrap_or_default();
    assert!(said.contains(&format!("现有 {drawn} 个示意区块")), "{report}");
    assert_eq!(get_authorised(&db, "/api/imports/1").await.json(), batch, "fetched again, the same");
    assert_eq!(shown(&db, "G431176").await, before);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
}

#[actix_web::test]
async fn a_commit_shows_at_once_and_an_undo_brings_the_former_state_back() {
    let db = Database::with_sample().await;
    let before = shown(&db, "G431176").await;
    let url = staged(&db, &FIELDS, &square("9")).await;
    let committed = post(&db, &format!("{url}/commit")).await;
    assert_eq!(committed.status, 200, "{}", committed.text());
    let batch = committed.json();
    assert_eq!(
        (&batch["status"], &batch["revision"], &batch["undone_revision"]),
        (&json!("committed"), &json!(2), &json!(null))
    );
    let now = shown(&db, "G431176").await;
    assert_eq!(now.as_array().map(Vec::len), Some(1), "real blocks end the drawing: {now}");
    let properties = &now[0]["properties"];
    assert_eq!(now[0]["id"], "G431176-9");
    assert_eq!((&properties["illustrative"], &properties["source"]), (&json!(false), &json!("导入文件 边界.txt")));
    assert_eq!((&properties["stated_area_ha"], &properties["source_crs"]), (&json!(100), &json!("EPSG:4526")));
    let (far, actor, source): (f64, String, String) = sqlx::query_as(
        "SELECT ST_HausdorffDistance(geom, ST_Transform(ST_MakeEnvelope(38400000, 3120000, 38401000, 3121000, 4526), 4490)), actor, r.source
         FROM park_block b JOIN revision r ON r.number = b.revision WHERE id = 'G431176-9'",
    )
    .fetch_one(&db.pool)
    .await
    .expect("stored");
    assert!(far < 1e-8, "{far:e}°");
    assert_eq!((actor.as_str(), source.as_str()), ("http:admin", "import_batch 1: 边界.txt"));
    assert_eq!(get(&db, "/api/parks/G431176").await.json()["areas"]["stated"]["ha"], 100.0);
    assert!(db.value::<bool>("SELECT content IS NULL FROM import_batch WHERE id = 1").await, "the upload is let go");
    post(&db, &format!("{url}/commit")).await.assert_problem(409, "import_status");
    let undone = post(&db, &format!("{url}/undo")).await.json();
    assert_eq!(
        (&undone["status"], &undone["revision"], &undone["undone_revision"]),
        (&json!("undone"), &json!(2), &json!(3))
    );
    assert_eq!(shown(&db, "G431176").await, before);
    post(&db, &format!("{url}/undo")).await.assert_problem(409, "import_status");
    post(&db, &format!("{url}/commit")).await.assert_problem(409, "import_status");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 3);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn the_same_file_again_changes_nothing() {
    let db = Database::with_sample().await;
    let first = staged(&db, &FIELDS, &square("9")).await;
    post(&db, &format!("{first}/commit")).await;
    let again = staged(&db, &FIELDS, &square("9")).await;
    let report = get_authorised(&db, &again).await.json()["report"].clone();
    assert_eq!((&report["status"], &report["counts"]["unchanged"]), (&json!("unchanged"), &json!(1)));
    let batch = post(&db, &format!("{again}/commit")).await.json();
    assert_eq!((&batch["status"], &batch["revision"]), (&json!("unchanged"), &json!(null)));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
    post(&db, &format!("{again}/undo")).await.assert_problem(409, "import_status");
}

#[actix_web::test]
async fn a_batch_links_to_what_can_be_done_with_it() {
    let db = Database::with_sample().await;
    let mut url = staged(&db, &FIELDS, &square("9")).await;
    // Following what is offered leads from checked to committed to undone, and every offer holds.
    for (offers, status) in
        [(vec!["self", "commit"], "checked"), (vec!["self", "undo"], "committed"), (vec!["self"], "undone")]
    {
        let batch = get_authorised(&db, &url).await.json();
        let rels: Vec<&str> =
            batch["links"].as_array().expect("links").iter().filter_map(|l| l["rel"].as_str()).collect();
        assert_eq!((batch["status"].as_str(), rels), (Some(status), offers.clone()));
        url = path_of(link(&batch, "self").expect("self"));
        if let Some(deed) = offers.get(1) {
            assert_eq!(post(&db, &path_of(link(&batch, deed).expect("offered"))).await.status, 200, "{deed}");
        }
    }
}

#[actix_web::test]
async fn a_refused_file_says_where_and_why_and_cannot_be_committed() {
    let db = Database::with_sample().await;
    let apart = |n: f64| files::square(CORNER.0, CORNER.1 + n * 2_000.0, 1_000.0);
    let bow_tie = vec![apart(2.0)[0], apart(2.0)[2], apart(2.0)[1], apart(2.0)[3]];
    // The first has no fault, the second's paper says ten times its land, the third crosses itself.
    let file = files::txt(&[("7", apart(0.0), 100.0), ("8", apart(1.0), 1_000.0), ("9", bow_tie, 100.0)]);
    let answer = stage(&db, &FIELDS, &file).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let batch = answer.json();
    assert_eq!(
        (&batch["status"], &batch["report"]["status"], &batch["report"]["counts"]["insert"]),
        (&json!("refused"), &json!("refused"), &json!(null))
    );
    let findings = batch["report"]["findings"].as_array().expect("findings");
    let errors: Vec<(&Value, &Value)> =
        findings.iter().filter(|f| f["severity"] == "error").map(|f| (&f["row"], &f["code"])).collect();
    // The lines where the second and the third begin: a head of 8, then 1 and 5 points a block.
    let expected = [(15, "area_mismatch_gross"), (21, "area_mismatch_gross"), (21, "ring_self_intersection")];
    assert_eq!(json!(errors), json!(expected));
    assert_eq!(batch["links"].as_array().map(Vec::len), Some(1), "nothing can follow");
    let url = path_of(link(&batch, "self").expect("self"));
    assert_eq!(get_authorised(&db, &url).await.json(), batch);
    post(&db, &format!("{url}/commit")).await.assert_problem(409, "import_status");
    post(&db, &format!("{url}/undo")).await.assert_problem(409, "import_status");
    assert!(db.value::<bool>("SELECT content IS NULL FROM import_batch").await, "a refused upload is not kept");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
}

#[actix_web::test]
async fn what_may_be_allowed_is_waved_through_and_stays_in_the_report() {
    let db = Database::with_sample().await;
    let file = files::txt(&[("9", files::square(CORNER.0, CORNER.1, 1_000.0), 1_000.0)]);
    let fields =
        [&FIELDS[..], &[("allow", "area_mismatch_gross"), ("allow", "overlap_within_file,overlap_with_register")]]
            .concat();
    let url = staged(&db, &fields, &file).await;
    let batch = get_authorised(&db, &url).await.json();
    assert_eq!(
        batch["options"]["allow"],
        json!(["area_mismatch_gross", "overlap_within_file", "overlap_with_register"])
    );
    let findings = batch["report"]["findings"].as_array().expect("findings");
    let waved = findings.iter().find(|f| f["code"] == "area_mismatch_gross").expect("still told");
    assert_eq!(waved["severity"], "warning");
    assert!(waved["message"].as_str().is_some_and(|m| m.contains("已按要求放行")), "{waved}");
    assert_eq!(post(&db, &format!("{url}/commit")).await.json()["status"], "committed");
    let never = [&FIELDS[..], &[("allow", "outside_province")]].concat();
    stage(&db, &never, &file).await.assert_problem(400, "allow_not_possible");
}

#[actix_web::test]
async fn the_list_is_newest_first_and_pages() {
    let db = Database::with_sample().await;
    assert_eq!(get_authorised(&db, "/api/imports").await.json()["numberReturned"], 0);
    for number in ["7", "8", "9"] {
        staged(&db, &FIELDS, &square(number)).await;
    }
    let ids = |page: &Value| -> Vec<i64> {
        page["imports"].as_array().expect("imports").iter().filter_map(|b| b["id"].as_i64()).collect()
    };
    let first = get_authorised(&db, "/api/imports?limit=2").await.json();
    assert_eq!((ids(&first), &first["numberReturned"]), (vec![3, 2], &json!(2)));
    assert!(first["imports"][0].get("report").is_none(), "reports may be long: {first}");
    let second = get_authorised(&db, &path_of(link(&first, "next").expect("more"))).await.json();
    assert_eq!((ids(&second), link(&second, "next")), (vec![1], None));
    let whole = get_authorised(&db, "/api/imports?limit=3").await.json();
    assert_eq!((ids(&whole), link(&whole, "next")), (vec![3, 2, 1], None));
    for (query, code) in [
        ("limit=0", "limit_invalid"),
        ("limit=x", "limit_invalid"),
        ("before=0", "value_invalid"),
        ("before=x", "value_invalid"),
        ("before=-1", "value_invalid"),
        ("offset=1", "parameter_unknown"),
    ] {
        get_authorised(&db, &format!("/api/imports?{query}")).await.assert_problem(400, code);
    }
}
