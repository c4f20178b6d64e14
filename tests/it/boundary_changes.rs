//! Boundary changes over HTTP: who may, what is refused, two at once, what an approval moves, the way back.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::accounts::{add, issue, token_of, with_token};
use crate::support::boundary::{
    CHANGES, SCENARIOS, approval, assessment, block, change_of, codes, noticed, park_of_two, post, proposal, proposed,
    rectangle, square, step, stepped, tried,
};
use crate::support::http::{Answer, authorised, call, encode, get, get_authorised};
use crate::support::land::{TURNOVER, id as parcel_id, items, newest};
use crate::support::parcels::PARK;
use crate::support::process::{run, sizhi};
use crate::support::{Database, files};

async fn status(db: &Database) -> String {
    db.value(&format!("SELECT status FROM park WHERE code = '{PARK}'")).await
}

/// The park's block rows: id, life, revision, area in whole m².
async fn rows(db: &Database) -> Vec<String> {
    db.column(&format!(
        "SELECT id || ' ' || valid_from || ' ' || valid_to || ' ' || revision || ' ' || round(area_m2) FROM park_block WHERE park_code = '{PARK}' ORDER BY id, valid_from"
    ))
    .await
}

#[actix_web::test]
async fn an_approval_ends_what_changed_keeps_what_did_not_and_moves_the_parcels() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    for (number, place) in
        [("GONE", [140., 10., 150., 20.]), ("COMES", [140., 100., 150., 110.]), ("STAYS", [10., 10., 20., 20.])]
    {
        land.enter(&db, TURNOVER, number, place, json!({"state": "approved"})).await;
    }
    let blocks = async |number: &str| {
        let item = get_authorised(&db, &items(TURNOVER, number)).await.json();
        item["properties"]["block_id"].clone()
    };
    assert_eq!((blocks("GONE").await, blocks("COMES").await), (json!(format!("{PARK}-2")), Value::Null));
    let before = rows(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    let foreseen = assessment(&db, &id).await;
    let told = stepped(&db, &id, approval()).await;
    let revision = told["revision"].as_i64().expect("revision");
    // What it meant is told of what the approval found, not of what it made.
    let looked_back = assessment(&db, &id).await;
    assert_eq!(looked_back["revision"], json!(revision - 1));
    for member in ["computed", "parcels", "land_classes", "extremes", "four_extents"] {
        assert_eq!(looked_back[member], foreseen[member], "{member}");
    }
    let counts = json!({"falls_out": 1, "comes_in": 1, "partly_out": 0, "partly_in": 0, "out_and_in": 0});
    assert_eq!(foreseen["parcels"]["counts"], counts);
    let after = rows(&db).await;
    assert_eq!(after.len(), 3, "{after:?}");
    assert_eq!(after[0], before[0], "the west block was not touched");
    assert!(after[1].contains(&format!("{PARK}-2 -infinity 2024-11-11 {revision}")), "{after:?}");
    assert!(after[2].contains(&format!("{PARK}-2 2024-11-11 infinity {revision}")), "{after:?}");
    // Parcels follow in the same revision.
    assert_eq!((blocks("GONE").await, blocks("COMES").await), (Value::Null, json!(format!("{PARK}-2"))));
    assert_eq!(blocks("STAYS").await, json!(format!("{PARK}-1")));
    let touched: Vec<String> = db
        .column(&format!("SELECT DISTINCT layer || ' ' || feature_id FROM change WHERE revision = {revision} AND layer LIKE '%parcel' ORDER BY 1"))
        .await;
    assert_eq!(
        touched,
        [format!("turnover_parcel {}", parcel_id("COMES")), format!("turnover_parcel {}", parcel_id("GONE"))]
    );
    // What applied then and what the register said then.
    let words = async |query: &str| {
        let item = get(&db, &format!("/api/collections/park_blocks/items/{PARK}-2?{query}")).await.json();
        (item["properties"]["east"].clone(), item["properties"]["north"].clone())
    };
    let (old, new) = ((json!("星沙大道"), Value::Null), (Value::Null, json!("捞刀河、新址")));
    assert_eq!((words("datetime=2024-11-10").await, words("datetime=2024-11-11").await), (old.clone(), new.clone()));
    assert_eq!((words(&format!("revision={}", revision - 1)).await, words("f=json").await), (old, new));
    assert_eq!(db.audit().await, None);

    // Back: the very rows as they stood, parcels too; the change is on notice again.
    let undo = format!("/api/revisions/{revision}/undo");
    let tried = post(&db, &undo, &json!({"dry_run": true})).await;
    assert_eq!((tried.status.as_u16(), &tried.json()["revision"]), (200, &Value::Null), "{}", tried.text());
    let undone = post(&db, &undo, &json!({"reason": "批复有误"})).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    let strip = |rows: Vec<String>| {
        rows.into_iter()
            .map(|r| r.split(' ').enumerate().filter(|(n, _)| *n != 3).map(|(_, w)| w.to_owned()).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    assert_eq!(strip(rows(&db).await), strip(before));
    assert_eq!((blocks("GONE").await, blocks("COMES").await), (json!(format!("{PARK}-2")), Value::Null));
    let again = get_authorised(&db, &format!("{CHANGES}/{id}")).await.json();
    assert_eq!((&again["state"], again["steps"].as_array().map(Vec::len)), (&json!("public_notice"), Some(3)));
    assert_eq!(status(&db).await, "under_adjustment");
    assert_eq!(db.value::<i64>(&format!("SELECT count(*) FROM park_event WHERE id = '{id}'")).await, 0);
    assert_eq!(db.audit().await, None);
    // And forward once more.
    stepped(&db, &id, approval()).await;
    assert_eq!((rows(&db).await.len(), status(&db).await.as_str()), (3, "active"));
}

#[actix_web::test]
async fn an_approval_is_not_undone_under_what_came_after_it() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    let revision = stepped(&db, &id, approval()).await["revision"].as_i64().expect("revision");
    db.write(&format!("UPDATE park_block SET name = '东区（更名）' WHERE id = '{PARK}-2' AND valid_to = 'infinity'"))
        .await;
    let refused = post(&db, &format!("/api/revisions/{revision}/undo"), &json!({})).await;
    let problem = refused.assert_problem(409, "undo_conflict");
    assert_eq!(codes(&problem["findings"]), ["changed_since"], "{problem}");
    // Nor by whoever looks after another prefecture, whatever came after it.
    db.write(&format!("UPDATE park_block SET name = '东区' WHERE id = '{PARK}-2' AND valid_to = 'infinity'")).await;
    let other = token_of(&db, "other", &["430200"]).await;
    let foreign = with_token(Method::POST, &format!("/api/revisions/{revision}/undo"), &other).set_json(json!({}));
    call(&db, foreign).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!(rows(&db).await.len(), 3);
}

#[actix_web::test]
async fn a_base_that_moved_is_looked_at_again_before_the_approval() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    db.write(&format!("UPDATE park_block SET west = '更正的四至' WHERE id = '{PARK}-2'")).await;
    let moved = newest(&db).await;
    let problem = step(&db, &id, approval()).await.assert_problem(409, "base_moved");
    assert_eq!(codes(&problem["findings"]), ["changed_since"]);
    let told = assessment(&db, &id).await;
    assert!(codes(&told["findings"]).contains(&"base_moved"), "{}", told["findings"]);
    assert_eq!(told["revision"], json!(moved));
    // An assessment of before the move will not do, one to come is none.
    for (assessed, status, code) in [(moved - 1, 409, "base_moved"), (moved + 9, 400, "revision_unknown")] {
        let mut body = approval();
        body["assessed_revision"] = json!(assessed);
        step(&db, &id, body).await.assert_problem(status, code);
    }
    let mut body = approval();
    body["assessed_revision"] = told["revision"].clone();
    let approved = stepped(&db, &id, body).await;
    assert_eq!((&approved["state"], &approved["base_revision"]), (&json!("approved"), &json!(moved)));
    assert_eq!(approved["steps"][3]["base_revision"], json!(moved));
}

#[actix_web::test]
async fn of_two_people_one_decides() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let path = format!("{CHANGES}/{id}");
    let tag = get_authorised(&db, &path).await.header("etag").expect("etag").to_owned();
    let send = |path: String, tag: Option<String>, body: Value| {
        let request = authorised(Method::POST, &path);
        let request = tag.into_iter().fold(request, |r, tag| r.insert_header(("if-match", tag)));
        request.set_json(body)
    };
    let transitions = format!("{path}/transitions");
    let review = json!({"to": "joint_review", "on": "2024-10-15"});
    call(&db, send(transitions.clone(), None, review.clone())).await.assert_problem(428, "version_missing");
    let first = call(&db, send(transitions.clone(), Some(tag.clone()), review.clone())).await;
    assert_eq!(first.status, 200, "{}", first.text());
    // Whoever decided on what stood before is told.
    let withdraw = json!({"to": "withdrawn", "on": "2024-10-16", "note": "改日再报"});
    call(&db, send(transitions.clone(), Some(tag), withdraw.clone())).await.assert_problem(412, "version_stale");
    let seen = first.json()["revision"].as_i64().expect("revision");
    for (number, status, code) in [(seen - 1, 412, "version_stale"), (seen + 100, 412, "version_stale")] {
        let mut body = withdraw.clone();
        body["seen_revision"] = json!(number);
        call(&db, send(transitions.clone(), None, body)).await.assert_problem(status, code);
    }
    // The same request twice is one step.
    let mut body = withdraw.clone();
    body["seen_revision"] = json!(seen);
    let keyed = || send(transitions.clone(), None, body.clone()).insert_header(("idempotency-key", "einmal"));
    let (one, two) = (call(&db, keyed()).await, call(&db, keyed()).await);
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200), "{}", two.text());
    assert_eq!((two.header("idempotency-replayed"), &two.json()["steps"]), (Some("true"), &one.json()["steps"]));
    assert_eq!((one.json()["state"].as_str(), status(&db).await.as_str()), (Some("withdrawn"), "active"));

    // Two proposals at once for one park: one stands.
    let body = change_of(&land);
    let request = || authorised(Method::POST, CHANGES).set_json(&body);
    let (a, b) = futures_util::future::join(call(&db, request()), call(&db, request())).await;
    let mut answers: Vec<(u16, Option<String>)> =
        [a, b].iter().map(|a: &Answer| (a.status.as_u16(), a.json()["code"].as_str().map(str::to_owned))).collect();
    answers.sort();
    assert_eq!(answers, [(201, None), (409, Some("change_open".to_owned()))]);
}

#[actix_web::test]
async fn steps_are_taken_by_the_table_with_their_papers_and_days() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let refused = async |body: Value, status: u16, code: &str, finding: &str| {
        let revision = newest(&db).await;
        let problem = step(&db, &id, body).await.assert_problem(status, code);
        assert_eq!(codes(&problem["findings"]).first().copied().unwrap_or_default(), finding, "{problem}");
        assert_eq!(newest(&db).await, revision);
    };
    refused(json!({"to": "公示"}), 409, "transition_not_allowed", "transition_not_allowed").await;
    refused(json!({"to": "nowhere"}), 400, "state_unknown", "state_unknown").await;
    refused(json!({"to": "joint_review", "on": "2024-10-07"}), 400, "value_invalid", "transition_before_last").await;
    refused(json!({"to": "joint_review", "on": "2999-01-01"}), 400, "value_invalid", "transition_in_future").await;
    refused(json!({"to": "withdrawn", "on": "2024-10-09"}), 400, "value_invalid", "member_missing").await;
    refused(
        json!({"to": "joint_review", "on": "2024-10-09", "effective_on": "2024-10-09"}),
        400,
        "value_invalid",
        "member_unknown",
    )
    .await;
    refused(json!({"to": "joint_review", "note": "a\u{202e}b"}), 400, "value_invalid", "text_control_character").await;
    refused(json!({"to": "joint_review", "colour": 1}), 400, "member_unknown", "").await;
    // Sent back, the proposal can be changed; while it is reviewed it cannot.
    stepped(&db, &id, json!({"to": "joint_review", "on": "2024-10-15"})).await;
    let put = async |body: &Value| {
        let mut body = body.clone();
        body.as_object_mut().expect("object").remove("park");
        body.as_object_mut().expect("object").remove("proposed_on");
        let path = format!("{CHANGES}/{id}");
        let tag = get_authorised(&db, &path).await.header("etag").expect("etag").to_owned();
        call(&db, authorised(Method::PUT, &path).insert_header(("if-match", tag)).set_json(body)).await
    };
    let mut other = change_of(&land);
    other["title"] = json!("第二稿");
    put(&other).await.assert_problem(409, "change_not_proposed");
    refused(json!({"to": "proposed", "on": "2024-10-16"}), 400, "value_invalid", "member_missing").await;
    stepped(&db, &id, json!({"to": "proposed", "on": "2024-10-16", "note": "四至不清，退回修改"})).await;
    assert_eq!(status(&db).await, "active");
    let replaced = put(&other).await;
    assert_eq!((replaced.status.as_u16(), &replaced.json()["title"]), (200, &json!("第二稿")), "{}", replaced.text());
    // What GET gives as GeoJSON is what PUT takes: nothing is different but the revision.
    let given = get_authorised(&db, &format!("{CHANGES}/{id}?f=geojson")).await.json();
    let same = put(&given).await;
    assert_eq!(same.status, 200, "{}", same.text());
    assert_eq!((&same.json()["blocks"], &same.json()["area"]), (&replaced.json()["blocks"], &replaced.json()["area"]));
    let shapes: i64 = db
        .value(&format!(
            "SELECT count(*) FROM boundary_change_block p JOIN park_block b ON b.number = p.number AND b.park_code = '{PARK}'
             WHERE p.change_id = '{id}' AND p.number = '1' AND ST_AsEWKB(ST_Normalize(b.geom)) = ST_AsEWKB(ST_Normalize(p.geom))"
        ))
        .await;
    assert_eq!(shapes, 1, "to the last bit");
    // Over a notice of days that nobody has entered, weekends alone are left out, and that is said.
    stepped(&db, &id, json!({"to": "joint_review", "on": "2024-10-17"})).await;
    sqlx::raw_sql("DELETE FROM calendar_day").execute(&db.pool).await.expect("cleared");
    let told = stepped(&db, &id, json!({"to": "public_notice", "on": "2024-10-18"})).await;
    assert_eq!((&told["notice_until"], codes(&told["warnings"])), (&json!("2024-10-25"), vec!["calendar_unknown"]));
    refused(
        json!({"to": "rejected", "on": "2024-10-28", "note": "不符合规划"}),
        400,
        "value_invalid",
        "member_missing",
    )
    .await;
    let rejected =
        json!({"to": "rejected", "on": "2024-10-28", "note": "不符合规划", "document_no": "湘园区办〔2024〕7号"});
    let told = stepped(&db, &id, rejected).await;
    assert_eq!((&told["allowed"], status(&db).await.as_str()), (&json!([]), "active"));
    refused(json!({"to": "proposed", "note": "再来"}), 409, "transition_not_allowed", "transition_not_allowed").await;
}

#[actix_web::test]
async fn every_step_can_be_taken_back_and_so_can_the_proposal() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let made = proposed(&db, &change_of(&land)).await;
    let id = made["id"].as_str().expect("id").to_owned();
    let undo = async |revision: &Value| post(&db, &format!("/api/revisions/{revision}/undo"), &json!({})).await;
    let reviewed = stepped(&db, &id, json!({"to": "joint_review", "on": "2024-10-15"})).await;
    let withdrawn = stepped(&db, &id, json!({"to": "withdrawn", "on": "2024-10-16", "note": "改日再报"})).await;
    // The last one first.
    undo(&reviewed["revision"]).await.assert_problem(409, "undo_conflict");
    assert_eq!(undo(&withdrawn["revision"]).await.status, 200);
    let state = async || get_authorised(&db, &format!("{CHANGES}/{id}")).await.json()["state"].clone();
    assert_eq!((state().await, status(&db).await.as_str()), (json!("joint_review"), "under_adjustment"));
    assert_eq!(undo(&reviewed["revision"]).await.status, 200);
    assert_eq!((state().await, status(&db).await.as_str()), (json!("proposed"), "active"));
    // An end is not taken back under another open change.
    let withdrawn = stepped(&db, &id, json!({"to": "withdrawn", "on": "2024-10-16", "note": "改日再报"})).await;
    let second = proposed(&db, &change_of(&land)).await;
    assert_eq!(second["id"], "BC-2024-0002");
    undo(&withdrawn["revision"]).await.assert_problem(409, "change_open");
    assert_eq!(undo(&second["revision"]).await.status, 200);
    get_authorised(&db, &format!("{CHANGES}/BC-2024-0002")).await.assert_problem(404, "change_not_found");
    assert_eq!(proposed(&db, &change_of(&land)).await["id"], "BC-2024-0003", "a number is not used again");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn drawn_blocks_stay_drawn_unless_they_were_surveyed_and_too_young_ones_stay() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    db.write(&format!("UPDATE park_block SET illustrative = true, source = '示意' WHERE park_code = '{PARK}'")).await;
    let mut body = change_of(&land);
    body["features"][0]["properties"]["surveyed"] = json!(true);
    body["features"][0]["properties"]["name"] = json!("西区（实测）");
    let id = proposed(&db, &body).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    stepped(&db, &id, approval()).await;
    let now: Vec<String> = db
        .column(&format!(
            "SELECT number || ' ' || illustrative || ' ' || source FROM park_block WHERE park_code = '{PARK}' AND valid_to = 'infinity' ORDER BY number"
        ))
        .await;
    assert_eq!(
        now,
        [
            format!("1 false 调区扩区 {id}（湘政函〔2024〕99号）"),
            format!("2 true 调区扩区 {id}（湘政函〔2024〕99号），示意")
        ]
    );
    // The next change cannot be in force before this one's day.
    let mut body = change_of(&land);
    body["features"][1]["geometry"] = square(land.x + 0.01, land.y, 69.7);
    let id = proposed(&db, &body).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    let problem = step(&db, &id, approval()).await.assert_problem(409, "block_younger");
    assert_eq!(codes(&problem["findings"]).len(), 2, "{problem}");
    let mut later = approval();
    later["effective_on"] = json!("2024-11-12");
    assert_eq!(stepped(&db, &id, later).await["effective_on"], "2024-11-12");
}

#[actix_web::test]
async fn surveyed_land_of_another_park_is_not_approved() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = 'G431176';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
         SELECT 'G431176-1', 'G431176', '1', ST_Multi(ST_MakeEnvelope({0} + 0.012, {1} + 0.01, {0} + 0.03, {1} + 0.013, 4490)), 1000, '实测（试验）'",
        land.x, land.y
    ))
    .await;
    let problem = step(&db, &id, approval()).await.assert_problem(409, "boundary_conflict");
    assert_eq!(codes(&problem["findings"]), ["overlap_with_register"]);
    assert_eq!(rows(&db).await.len(), 2, "nothing was written");
}

#[actix_web::test]
async fn who_sees_proposes_and_approves() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let mut tokens = std::collections::BTreeMap::new();
    for (name, role, division) in [
        ("staff", Role::Staff, "430100"),
        ("planner", Role::Planner, "430100"),
        ("editor", Role::Editor, "430100"),
        ("county", Role::Editor, "430121"),
        ("other", Role::Editor, "430200"),
    ] {
        add(&db, name, role, &[division]).await;
        let token =
            issue(&db, json!({"account": name, "name": "x"})).await["token"].as_str().expect("token").to_owned();
        tokens.insert(name, token);
    }
    db.write(&format!("UPDATE park SET county_codes = '{{430121}}' WHERE code = '{PARK}'")).await;
    let as_ = async |name: &str, method: Method, path: &str, body: Option<&Value>| {
        let request = with_token(method, path, &tokens[name]);
        call(&db, body.into_iter().fold(request, |request, body| request.set_json(body))).await
    };
    let body = change_of(&land);
    as_("staff", Method::POST, CHANGES, Some(&body)).await.assert_problem(403, "role_insufficient");
    as_("other", Method::POST, CHANGES, Some(&body)).await.assert_problem(403, "outside_jurisdiction");
    let dry = as_("planner", Method::POST, &format!("{CHANGES}?dry_run=true"), Some(&body)).await;
    assert_eq!(
        (dry.status.as_u16(), &dry.json()["id"], &dry.json()["dry_run"]),
        (200, &Value::Null, &json!(true)),
        "{}",
        dry.text()
    );
    assert!(
        dry.json()["assessment"]["computed"]["out"]["m2"].as_f64().is_some_and(|m2| m2 > 300_000.0),
        "{}",
        dry.text()
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM boundary_change").await, 0);
    let made = as_("planner", Method::POST, CHANGES, Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().expect("id").to_owned();
    assert!(made.header("location").expect("location").ends_with(&format!("{CHANGES}/{id}")));
    let path = format!("{CHANGES}/{id}");
    for (name, status) in [("staff", 200), ("planner", 200), ("county", 200), ("other", 404)] {
        assert_eq!(as_(name, Method::GET, &path, None).await.status.as_u16(), status, "{name}");
        let list = as_(name, Method::GET, CHANGES, None).await.json();
        assert_eq!(list["numberReturned"], json!(i32::from(status == 200)), "{name}");
    }
    get(&db, &path).await.assert_problem(401, "token_missing");
    as_("other", Method::GET, &format!("{path}/assessment"), None).await.assert_problem(404, "change_not_found");
    as_("staff", Method::GET, &format!("{path}/assessment"), None).await.assert_problem(403, "role_insufficient");
    let moved = async |name: &str, mut body: Value| {
        body["seen_revision"] = json!(newest(&db).await);
        as_(name, Method::POST, &format!("{path}/transitions"), Some(&body)).await
    };
    moved("other", json!({"to": "joint_review"})).await.assert_problem(404, "change_not_found");
    assert_eq!(moved("planner", json!({"to": "joint_review", "on": "2024-10-15"})).await.status, 200);
    assert_eq!(moved("planner", json!({"to": "public_notice", "on": "2024-11-01"})).await.status, 200);
    moved("planner", approval()).await.assert_problem(403, "role_insufficient");
    moved("other", approval()).await.assert_problem(404, "change_not_found");
    let approved = moved("county", approval()).await;
    assert_eq!((approved.status.as_u16(), &approved.json()["state"]), (200, &json!("approved")), "{}", approved.text());
    // The log's images are as secret as the rows.
    let images = async |divisions: &str| {
        let mut transaction = db.application.begin().await.expect("begun");
        sqlx::query("SELECT set_config('sizhi.jurisdiction', $1, true)")
            .bind(divisions)
            .execute(&mut *transaction)
            .await
            .expect("set");
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM change WHERE layer LIKE 'boundary_change%'")
            .fetch_one(&mut *transaction)
            .await
            .expect("count");
        count
    };
    assert_eq!((images("4302").await, images("").await), (0, 0));
    assert!(images("430121").await > 5);
}

#[actix_web::test]
async fn lists_go_by_park_and_state_and_page_on() {
    let db = Database::with_sample().await;
    let parks: Vec<String> = db.column("SELECT code FROM park ORDER BY code LIMIT 3").await;
    for park in &parks {
        let body = proposal(park, ["10", "1", "1", "10"], vec![block("1", "10", square(112.9, 28.2, 10.0))]);
        proposed(&db, &body).await;
    }
    stepped(&db, "BC-2024-0002", json!({"to": "withdrawn", "on": "2024-10-09", "note": "重报"})).await;
    let list = async |query: &str| {
        let document = get_authorised(&db, &format!("{CHANGES}?{query}")).await.json();
        let ids: Vec<String> = document["changes"]
            .as_array()
            .unwrap_or_else(|| panic!("{document}"))
            .iter()
            .map(|c| c["id"].as_str().expect("id").to_owned())
            .collect();
        (ids.join(" "), document)
    };
    assert_eq!(list("").await.0, "BC-2024-0003 BC-2024-0002 BC-2024-0001");
    assert_eq!(list("state=proposed").await.0, "BC-2024-0003 BC-2024-0001");
    assert_eq!(list(&format!("state={},approved", encode("撤回"))).await.0, "BC-2024-0002");
    assert_eq!(list(&format!("park={}", parks[0])).await.0, "BC-2024-0001");
    let (first, page) = list("limit=2").await;
    let next = page["links"].as_array().expect("links").iter().find(|l| l["rel"] == "next").expect("more");
    assert_eq!(first, "BC-2024-0003 BC-2024-0002");
    assert!(next["href"].as_str().expect("href").contains("before=BC-2024-0002"), "{next}");
    assert_eq!(list("limit=2&before=BC-2024-0002").await.0, "BC-2024-0001");
    for (query, code) in [
        ("state=nowhere", "value_invalid"),
        ("park=x", "value_invalid"),
        ("limit=0", "limit_invalid"),
        ("x=1", "parameter_unknown"),
    ] {
        get_authorised(&db, &format!("{CHANGES}?{query}")).await.assert_problem(400, code);
    }
    get_authorised(&db, &format!("{CHANGES}/BC-2024-0001?f=pdf")).await.assert_problem(400, "value_invalid");
    get_authorised(&db, &format!("{CHANGES}/nichts")).await.assert_problem(404, "change_not_found");
}

#[actix_web::test]
async fn bad_proposals_are_refused_with_their_places_and_keep_nothing() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let good = change_of(&land);
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("pointer");
        let parent = if parent.is_empty() { Some(&mut body) } else { body.pointer_mut(parent) };
        match parent.expect("there") {
            Value::Array(list) => list[name.parse::<usize>().expect("index")] = value,
            other => other[name] = value,
        }
        body
    };
    let bow = json!({"type": "Polygon", "coordinates": [[[112.9, 28.2], [112.91, 28.21], [112.91, 28.2], [112.9, 28.21], [112.9, 28.2]]]});
    let far = rectangle([100.0, 20.0, 100.1, 20.1]);
    let line = json!({"type": "LineString", "coordinates": [[112.9, 28.2], [112.91, 28.2]]});
    let cases = [
        (with("/park", json!("S439999")), "park_unknown", ""),
        (with("/park", json!("长沙")), "value_invalid", ""),
        (with("/title", json!("")), "proposal_invalid", "member_missing"),
        (with("/title", json!("x".repeat(201))), "proposal_invalid", "text_too_long"),
        (with("/title", json!(7)), "member_invalid", ""),
        (with("/proposed_on", json!("2999-01-01")), "value_invalid", "transition_in_future"),
        (with("/proposed_on", json!("0204-10-08")), "value_invalid", "transition_before_last"),
        (with("/features", json!([])), "proposal_without_blocks", ""),
        (with("/features", json!({})), "member_invalid", ""),
        (with("/type", json!("Feature")), "member_invalid", ""),
        (with("/area", json!([])), "member_invalid", ""),
        (with("/area/out_ha", json!(-1)), "proposal_invalid", "area_invalid"),
        (with("/area/out_ha", json!(0.00001)), "proposal_invalid", "area_invalid"),
        (with("/area/out_ha", json!("1e3")), "proposal_invalid", "area_invalid"),
        (with("/area/out_ha", Value::Null), "proposal_invalid", "member_missing"),
        (with("/area/colour", json!(1)), "proposal_invalid", "member_unknown"),
        (with("/features/0/properties/number", json!("")), "proposal_invalid", "id_invalid"),
        (with("/features/0/properties/number", json!("a/b")), "proposal_invalid", "id_invalid"),
        (with("/features/1/properties/number", json!("1")), "proposal_invalid", "id_duplicate"),
        (with("/features/0/properties/stated_area_ha", json!(0)), "proposal_invalid", "stated_area_invalid"),
        (with("/features/0/properties/stated_area_ha", json!(8700)), "proposal_invalid", "area_mismatch_gross"),
        (with("/features/0/properties/surveyed", json!("yes")), "proposal_invalid", "property_invalid"),
        (with("/features/0/properties/east", json!("a\u{0007}b")), "proposal_invalid", "text_control_character"),
        (with("/features/0/properties/colour", json!("red")), "proposal_invalid", "property_unknown"),
        (with("/features/0/geometry", Value::Null), "proposal_invalid", "geometry_missing"),
        (with("/features/0/geometry", bow), "proposal_invalid", "ring_self_intersection"),
        (with("/features/0/geometry", far), "proposal_invalid", "outside_province"),
        (with("/features/0/geometry", line), "proposal_invalid", "geometry_type_unsupported"),
        (with("/features/0", json!(1)), "proposal_invalid", "feature_type"),
        (with("/landmarks", json!([{"name": "x"}])), "proposal_invalid", "landmark_invalid"),
        (
            with("/landmarks", json!([{"name": "", "geometry": {"type": "Point", "coordinates": [112.9, 28.2]}}])),
            "proposal_invalid",
            "landmark_invalid",
        ),
        (
            with("/landmarks", json!([{"name": "x", "geometry": {"type": "Point", "coordinates": [28.2, 112.9]}}])),
            "proposal_invalid",
            "landmark_invalid",
        ),
        (with("/landmarks", json!([1])), "proposal_invalid", "landmark_invalid"),
        (with("/colour", json!(1)), "member_unknown", ""),
    ];
    for (body, code, finding) in cases {
        let answer = post(&db, CHANGES, &body).await;
        let problem = answer.assert_problem(400, code);
        let found = codes(&problem["findings"]);
        assert!(finding.is_empty() || found.contains(&finding), "{finding}: {problem}");
        if finding.starts_with("ring") {
            assert_eq!(problem["findings"][0]["row"], 1, "{problem}");
        }
    }
    let many: Vec<Value> = (0..201).map(|n| block(&n.to_string(), "1", square(112.0, 28.0, 1.0))).collect();
    post(&db, CHANGES, &with("/features", json!(many))).await.assert_problem(413, "proposal_too_large");
    for raw in ["", "[]", "{", "{\"park\": \"a\", \"park\": \"b\"}"] {
        let request = authorised(Method::POST, CHANGES).insert_header(("content-type", "application/json"));
        call(&db, request.set_payload(raw)).await.assert_problem(400, "json_invalid");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM boundary_change").await, 0);
    db.write(&format!("UPDATE park SET status = 'revoked' WHERE code = '{PARK}'")).await;
    post(&db, CHANGES, &good).await.assert_problem(409, "event_not_allowed");
}

#[tokio::test]
async fn the_operator_loads_the_days_of_a_year() {
    let db = Database::empty().await;
    let file = files::write(
        "calendar.csv",
        "day,is_working,name,source\n2027-01-01,false,元旦,国办通知\n2025-01-01,false,元旦,国办通知\n",
    );
    let command = async |args: &[&str]| {
        let mut command = sizhi(&["calendar"]);
        command.args(args).env("DATABASE_URL", db.url().await);
        let output = run(command, b"");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let path = file.to_str().expect("path");
    let (code, told) = command(&["load", path, "--dry-run"]).await;
    assert!(code == Some(0) && told.contains("2 天，将替换同年份原有的 23 天"), "{told}");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM calendar_day WHERE day >= '2027-01-01'").await, 0);
    let (code, told) = command(&["load", path]).await;
    assert!(code == Some(0) && told.contains("已载入 2 天，替换原有的 23 天"), "{told}");
    // 2025 is what the file says of it; other years are as they were.
    assert_eq!(db.value::<i64>("SELECT count(*) FROM calendar_day WHERE extract(year FROM day) = 2025").await, 1);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM calendar_day WHERE extract(year FROM day) = 2024").await, 27);
    assert!(command(&["list", "--year", "2027"]).await.1.contains("2027-01-01 放假 元旦"));
    let bad = files::write("calendar-bad.csv", "day,is_working,name,source\n2027-01-02,false,元旦,x\n");
    let (code, told) = command(&["load", bad.to_str().expect("path"), "--json"]).await;
    let told: Value = serde_json::from_str(&told).expect("json");
    assert_eq!((code, codes(&told["findings"])), (Some(3), vec!["calendar_row_invalid"]), "{told}");
    assert_eq!(
        (&told["findings"][0]["row"], &told["findings"][0]["field"]),
        (&json!(2), &json!("is_working")),
        "{told}"
    );
    let empty = files::write("calendar-empty.csv", "day,is_working,name,source\n");
    let (code, _) = command(&["load", empty.to_str().expect("path")]).await;
    assert_ne!(code, Some(0));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM calendar_day WHERE extract(year FROM day) = 2024").await, 27);
    // As a spreadsheet of a bureau saves it: 2028-01-03,false,元旦,国办 in GBK.
    let gbk =
        [&b"day,is_working,name,source\r\n2028-01-03,false,"[..], b"\xd4\xaa\xb5\xa9,\xb9\xfa\xb0\xec\r\n"].concat();
    let gbk = files::write("calendar-gbk.csv", gbk);
    assert_eq!(command(&["load", gbk.to_str().expect("path")]).await.0, Some(0));
    assert!(command(&["list", "--year", "2028"]).await.1.contains("2028-01-03 放假 元旦  国办"));
}

#[actix_web::test]
async fn an_id_with_a_nul_is_nobodys() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let mut body = change_of(&land);
    for member in ["park", "proposed_on"] {
        body.as_object_mut().expect("object").remove(member);
    }
    body["seen_revision"] = json!(newest(&db).await);
    let step = json!({"to": "joint_review", "seen_revision": newest(&db).await});
    for wrong in ["%00".to_owned(), format!("{id}%00"), format!("%00{id}")] {
        let path = format!("{CHANGES}/{wrong}");
        get_authorised(&db, &path).await.assert_problem(404, "change_not_found");
        get_authorised(&db, &format!("{path}/assessment")).await.assert_problem(404, "change_not_found");
        let replaced = call(&db, authorised(Method::PUT, &path).set_json(&body)).await;
        replaced.assert_problem(404, "change_not_found");
        post(&db, &format!("{path}/transitions"), &step).await.assert_problem(404, "change_not_found");
    }
    // The same asked of the change itself is done.
    let path = format!("{CHANGES}/{id}");
    assert_eq!(call(&db, authorised(Method::PUT, &path).set_json(&body)).await.status, 200);
}

#[actix_web::test]
async fn a_closed_change_is_never_supposed_to_be_approved() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let (near, far) = (token_of(&db, "near.editor", &["430100"]).await, token_of(&db, "far.editor", &["430200"]).await);
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let decision = json!({"op": "boundary_change", "id": id});
    let before = rows(&db).await;
    let open = tried(&db, &near, decision.clone()).await;
    assert_eq!((&open["possible"], &open["supposed"]), (&json!(true), &json!(true)), "{open}");
    assert_eq!(open["revision"], json!(newest(&db).await), "{open}");

    // Steps that end it otherwise are done as they are: no block moves.
    let mut ended = decision.clone();
    ended["steps"] = json!([{"to": "withdrawn", "on": "2024-10-20", "note": "不再申请"}]);
    let told = tried(&db, &near, ended).await;
    assert_eq!((&told["possible"], &told["supposed"]), (&json!(true), &json!(false)), "{told}");
    assert_eq!(told["changes"]["park_blocks"], json!({"added": 0, "changed": 0, "removed": 0}), "{told}");

    stepped(&db, &id, json!({"to": "withdrawn", "on": "2024-10-20", "note": "不再申请"})).await;
    let closed = tried(&db, &near, decision).await;
    assert_eq!(closed["operations"][0]["code"], "transition_not_allowed", "{closed}");
    assert_eq!(closed["supposed"], false, "{closed}");
    assert_eq!(rows(&db).await, before);

    // One that is approved is nothing to do for those who look after it, and unknown to others.
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    stepped(&db, &id, approval()).await;
    let decision = json!({"op": "boundary_change", "id": id});
    assert_eq!(tried(&db, &near, decision.clone()).await["possible"], true);
    assert_eq!(tried(&db, &far, decision).await["operations"][0]["code"], "change_not_found");
}

#[actix_web::test]
async fn a_scenario_keeps_no_nul_and_is_rebased_on_what_was_seen() {
    let db = Database::with_sample().await;
    let feature = |name: &str, key: &str| {
        let mut properties = json!({"county_code": "430121", "number": "NUL-1", "name": name});
        properties[key] = json!("x");
        json!({
            "op": "parcel", "collection": "turnover_parcels",
            "feature": {"type": "Feature", "properties": properties, "geometry": square(112.9, 28.2, 1.0)},
        })
    };
    let body = |operation: Value| json!({"name": "试验", "operations": [operation]});
    let rename = json!({"op": "park_event", "kind": "renamed", "park": PARK, "name": "a\u{0}"});
    for wrong in [rename, feature("a\u{0}b", "note"), feature("a", "no\u{0}te")] {
        let problem = post(&db, SCENARIOS, &body(wrong)).await.assert_problem(400, "text_control_character");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("第 1 项")), "{problem}");
    }
    let made = post(&db, SCENARIOS, &body(feature("ab", "note"))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{SCENARIOS}/{}", made.json()["id"]);
    let put = authorised(Method::PUT, &path).insert_header(("if-match", "\"v1\""));
    call(&db, put.set_json(body(feature("a\u{0}", "note")))).await.assert_problem(400, "text_control_character");

    // Somebody writes; who has seen what stood before accepts that alone.
    let base = made.json()["base_revision"].as_i64().expect("revision");
    park_of_two(&db).await;
    let newest = newest(&db).await;
    assert!(newest > base, "{newest} {base}");
    let rebased = async |seen: i64, tag: &'static str| {
        let address = format!("{path}/rebase?seen_revision={seen}");
        call(&db, authorised(Method::POST, &address).insert_header(("if-match", tag))).await
    };
    rebased(newest + 1, "\"v1\"").await.assert_problem(400, "revision_unknown");
    rebased(base - 1, "\"v1\"").await.assert_problem(400, "value_invalid");
    assert_eq!(rebased(base, "\"v1\"").await.json()["base_revision"], json!(base));
    assert_eq!(rebased(newest, "\"v2\"").await.json()["base_revision"], json!(newest));
    let listed = get_authorised(&db, SCENARIOS).await.json();
    assert_eq!(listed["scenarios"][0]["operation_count"], 1, "{listed}");
    assert!(listed["scenarios"][0].get("operations").is_none(), "{listed}");
}
