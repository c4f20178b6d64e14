//! What-if: deeds tried together never touch the register, and applied are what they would have been by hand.

use std::sync::Arc;

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::domain::access::Role;

use crate::support::accounts::{add, issue, with_token};
use crate::support::boundary::{block, proposal, proposed, square, stepped};
use crate::support::consolidation::{MERGED, SURVIVOR, contents, happen, merger, settle, undo};
use crate::support::http::{authorised, call, call_with, get, get_authorised};
use crate::support::land::{newest, send};
use crate::support::scenarios::{PARK, SCENARIOS, applied, boundary, created, deed, evaluated, parcel, rows, steps};
use crate::support::{Database, http_args, parcels};

/// Ten edits by somebody else: six of parcels of the parks that merge, four of others.
async fn foreign_edits(db: &Database) {
    for n in 0..10 {
        let id =
            if n < 6 { format!("{}-P{}-{n}", parcels::COUNTY, n % 2) } else { format!("{}-Z-{n}", parcels::COUNTY) };
        let path = format!("/api/collections/turnover_parcels/items/{id}");
        let request = if n < 6 {
            let item = get_authorised(db, &path).await;
            let tag = item.header("etag").unwrap_or_else(|| panic!("{}", item.text())).to_owned();
            let request = authorised(Method::PATCH, &path).insert_header(("if-match", tag));
            request
                .insert_header(("content-type", "application/merge-patch+json"))
                .set_payload(json!({"properties": {"name": format!("改{n}")}}).to_string())
        } else {
            let feature = json!({
                "type": "Feature", "properties": {"county_code": parcels::COUNTY, "number": format!("Z-{n}")},
                "geometry": parcels::square(113.5 + f64::from(n) * 0.01, 28.5, 0.001),
            });
            authorised(Method::POST, "/api/collections/turnover_parcels/items").set_json(feature)
        };
        let answer = call(db, request).await;
        assert!(answer.status.is_success(), "{id}: {}", answer.text());
    }
}

#[actix_web::test]
async fn three_changes_applied_over_ten_foreign_edits_are_what_they_are_by_hand() {
    let (db, by_hand) = (Database::with_sample().await, Database::with_sample().await);
    settle(&db, "scenario").await;
    settle(&by_hand, "scenario-by-hand").await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let mut event = merger(0);
    event.as_object_mut().expect("object").remove("seen_revision");
    let mut merge = event.clone();
    merge["op"] = json!("park_event");
    let mut change = boundary(&db).await;
    (change["op"], change["steps"]) = (json!("boundary_change"), json!(steps()));
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let scenario = created(&db, json!([merge, change, entry])).await;
    let id = &scenario["id"];
    let before = contents(&db).await;
    let told = evaluated(&db, id).await;
    assert_eq!(
        (&told["possible"], &told["applicable"], &told["supposed"]),
        (&json!(true), &json!(true), &json!(false)),
        "{told}"
    );
    let subjects: Vec<&Value> =
        told["operations"].as_array().expect("operations").iter().map(|o| &o["subject"]).collect();
    assert_eq!(subjects[0], SURVIVOR);
    assert_eq!(subjects[2], &json!(format!("{}-TY-1", parcels::COUNTY)));
    assert_eq!(contents(&db).await, before, "a trial touches nothing");
    // What would be: five hundred parcels of the survivor, the parks merged, the new boundary to the digit.
    let park = |code: &str| {
        let found = told["totals"].as_array().expect("totals").iter().find(|park| park["park_code"] == code);
        found.unwrap_or_else(|| panic!("{code} of {told}")).clone()
    };
    let survivor = park(SURVIVOR);
    let of = |side: &str, ledger: &str| survivor[side]["parcels"][ledger]["count"].as_i64().unwrap_or(0);
    assert_eq!(of("after", "turnover_parcels") - of("before", "turnover_parcels"), 300);
    assert_eq!(of("after", "low_efficiency_parcels") - of("before", "low_efficiency_parcels"), 200);
    assert_eq!(survivor["after"]["approved_area_ha"], 3174.69);
    assert_eq!(
        (&park(MERGED[0])["before"]["status"], &park(MERGED[0])["after"]["status"]),
        (&json!("under_adjustment"), &json!("merged"))
    );
    assert_eq!(
        (
            &park(PARK)["before"]["approved_area_ha"],
            &park(PARK)["after"]["approved_area_ha"],
            &park(PARK)["after"]["block_count"]
        ),
        (&json!(580.32), &json!(2113.1), &json!(3))
    );
    assert_eq!(told["changes"]["turnover_parcels"]["added"], 1);
    let map = get_authorised(&db, &format!("{SCENARIOS}/{id}/features")).await.json();
    let new = map["features"]
        .as_array()
        .expect("features")
        .iter()
        .find(|f| f["id"] == format!("{}-TY-1", parcels::COUNTY))
        .expect("the parcel");
    assert_eq!(
        (&new["properties"]["change"], &new["properties"]["collection"]),
        (&json!("added"), &json!("turnover_parcels"))
    );
    // Everybody else sees the base.
    get_authorised(&db, &format!("/api/collections/turnover_parcels/items/{}-TY-1", parcels::COUNTY))
        .await
        .assert_problem(404, "item_not_found");

    foreign_edits(&db).await;
    foreign_edits(&by_hand).await;
    let told = evaluated(&db, id).await;
    assert_eq!((&told["possible"], &told["applicable"]), (&json!(true), &json!(false)));
    let moved: Vec<&str> =
        told["moved"].as_array().expect("moved").iter().map(|row| row["id"].as_str().expect("id")).collect();
    assert_eq!(
        moved,
        (0..6)
            .map(|n| format!("{}-P{}-{n}", parcels::COUNTY, n % 2))
            .collect::<std::collections::BTreeSet<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    );
    let refused = deed(&db, id, "apply").await.assert_problem(409, "base_moved");
    assert_eq!(refused["findings"].as_array().map(Vec::len), Some(6));
    assert_eq!(deed(&db, id, "rebase").await.status, 200);
    let standing = rows(&db).await;
    let at = newest(&db).await;
    let applied = deed(&db, id, "apply").await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!((newest(&db).await, &applied.json()["applied_revision"]), (at + 1, &json!(at + 1)), "one revision");
    assert_eq!(applied.header("sizhi-revision"), Some((at + 1).to_string().as_str()));

    event["seen_revision"] = json!(newest(&by_hand).await);
    let done = happen(&by_hand, &event).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let change = proposed(&by_hand, &boundary(&by_hand).await).await;
    for step in steps() {
        stepped(&by_hand, change["id"].as_str().expect("id"), step).await;
    }
    let entered =
        call(&by_hand, authorised(Method::POST, "/api/collections/turnover_parcels/items").set_json(parcel(x, y)))
            .await;
    assert_eq!(entered.status, 201, "{}", entered.text());
    let (ours, theirs) = (rows(&db).await, rows(&by_hand).await);
    for ((table, a), (_, b)) in ours.iter().zip(&theirs) {
        assert_eq!(a, b, "{table}");
    }
    assert_ne!(ours, standing);

    // It is done once, and taken back as one.
    deed(&db, id, "apply").await.assert_problem(409, "scenario_applied");
    deed(&db, id, "rebase").await.assert_problem(409, "scenario_applied");
    let back = undo(&db, at + 1).await;
    assert_eq!(back.status, 200, "{}", back.text());
    for ((table, a), (_, b)) in rows(&db).await.iter().zip(&standing) {
        assert_eq!(a, b, "{table}");
    }
}

#[actix_web::test]
async fn a_boundary_may_be_supposed_and_is_not_applied_so() {
    let db = Database::with_sample().await;
    let mut change = boundary(&db).await;
    let corner = &change["features"][0]["geometry"]["coordinates"][0][0];
    let at = |n: usize| corner[n].as_f64().expect("degrees") + 0.002;
    // A red line in the middle of the new land.
    let line = json!({"编号": "R1", "县区代码": "430182"});
    let red = parcels::file("scenario-red.geojson", &[(line, parcels::square(at(0), at(1), 0.004))]);
    let imported = db
        .import(&red, |request| {
            request.layer = "control_zones".to_owned();
            request.zone_kind = Some("ecological_red_line".to_owned());
        })
        .await
        .expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    change["op"] = json!("boundary_change");
    let before = contents(&db).await;
    let scenario = created(&db, json!([change])).await;
    let told = evaluated(&db, &scenario["id"]).await;
    let verdicts = [&told["possible"], &told["supposed"], &told["applicable"]];
    assert_eq!(verdicts, [&json!(true), &json!(true), &json!(false)], "{told}");
    let total = told["totals"].as_array().expect("totals").iter().find(|park| park["park_code"] == PARK);
    assert_eq!(total.expect("the park")["after"]["approved_area_ha"], 2113.1, "{told}");
    let red: Vec<[&Value; 4]> = told["conflicts"]
        .as_array()
        .expect("conflicts")
        .iter()
        .filter(|c| c["b"]["id"] == "ecological_red_line-R1")
        .map(|c| [&c["a"]["id"], &c["class"], &c["weight"], &c["known"]])
        .collect();
    assert_eq!(red, [[&json!(format!("{PARK}-1")), &json!("contains"), &json!("block"), &json!(false)]], "{told}");
    deed(&db, &scenario["id"], "apply").await.assert_problem(409, "scenario_undecided");
    assert_eq!(contents(&db).await, before);
    let empty = created(&db, json!([])).await;
    deed(&db, &empty["id"], "apply").await.assert_problem(409, "scenario_empty");
}

/// What others did in counties that are not one's own stands in one's way without being shown.
#[actix_web::test]
async fn rows_of_other_counties_that_moved_are_counted_and_not_named() {
    let db = Database::with_sample().await;
    settle(&db, "scenario-elsewhere").await;
    // All three parks are 芙蓉区's, whose editor may merge them; their parcels are 长沙县's.
    let county = "430102";
    assert_ne!(county, parcels::COUNTY);
    let parks = format!("'{}', '{}', '{SURVIVOR}'", MERGED[0], MERGED[1]);
    db.write(&format!("UPDATE park SET county_codes = ARRAY['{county}'] WHERE code IN ({parks})")).await;
    add(&db, "park.editor", Role::Editor, &[county]).await;
    let token = issue(&db, json!({"account": "park.editor", "name": "test"})).await["token"].clone();
    let token = token.as_str().expect("token");
    let mut merge = merger(0);
    merge.as_object_mut().expect("object").remove("seen_revision");
    merge["op"] = json!("park_event");
    let body = json!({"name": "合并", "operations": [merge]});
    let made = call(&db, with_token(Method::POST, SCENARIOS, token).set_json(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{SCENARIOS}/{}", made.json()["id"]);
    foreign_edits(&db).await;
    let told = call(&db, with_token(Method::GET, &format!("{path}/evaluation"), token)).await;
    let trial = told.json();
    assert_eq!((&trial["possible"], &trial["applicable"]), (&json!(true), &json!(false)), "{trial}");
    assert_eq!((&trial["moved"], &trial["moved_elsewhere"]), (&json!([]), &json!(6)), "{trial}");
    assert!(!told.text().contains(&format!("{}-P", parcels::COUNTY)), "{trial}");
    let apply = with_token(Method::POST, &format!("{path}/apply"), token).insert_header(("if-match", "\"v1\""));
    let refused = call(&db, apply).await;
    let problem = refused.assert_problem(409, "base_moved");
    assert!(!refused.text().contains(&format!("{}-P", parcels::COUNTY)), "{problem}");
}

#[actix_web::test]
async fn what_cannot_be_done_is_named_and_the_rest_is_not_tried() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let rename = json!({"op": "park_event", "kind": "renamed", "park": "S437001", "name": "天心产业开发区"});
    let unknown = json!({"op": "park_event", "kind": "revoked", "park": "S439999"});
    let decided = json!({"op": "boundary_change", "id": "BC-2020-0001"});
    let scenario = created(&db, json!([rename, entry, unknown, decided])).await;
    let before = contents(&db).await;
    let told = evaluated(&db, &scenario["id"]).await;
    assert_eq!(contents(&db).await, before);
    let ok: Vec<&Value> = told["operations"].as_array().expect("operations").iter().map(|o| &o["ok"]).collect();
    assert_eq!(ok, [&json!(true), &json!(true), &json!(false)], "{told}");
    assert_eq!((&told["possible"], &told["applicable"]), (&json!(false), &json!(false)));
    let refused = deed(&db, &scenario["id"], "apply").await.assert_problem(409, "scenario_not_applicable");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("第 3 项")), "{refused}");
    assert_eq!(contents(&db).await, before);
    // Twice the same number: the second entry finds the first one.
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": parcel(x, y)});
    let twice = created(&db, json!([entry, entry])).await;
    let told = evaluated(&db, &twice["id"]).await;
    assert_eq!(told["operations"][1]["code"], "record_exists", "{told}");
    // One on the other: a conflict that the register does not have yet.
    let mut other = entry.clone();
    other["feature"]["properties"]["number"] = json!("TY-2");
    other["allow"] = json!(["overlap_within_file"]);
    let over = created(&db, json!([entry, other])).await;
    let told = evaluated(&db, &over["id"]).await;
    assert_eq!(told["possible"], true, "{told}");
    let conflicts: Vec<(&Value, &Value)> =
        told["conflicts"].as_array().expect("conflicts").iter().map(|c| (&c["class"], &c["known"])).collect();
    assert_eq!(conflicts, [(&json!("identical"), &json!(false))], "{told}");
}

#[actix_web::test]
async fn a_scenario_is_its_owners() {
    let db = Database::with_sample().await;
    for (name, role, divisions) in [
        ("own.planner", Role::Planner, &["430100"][..]),
        ("same.planner", Role::Planner, &["430100"]),
        ("far.editor", Role::Editor, &["430200"]),
        ("own.staff", Role::Staff, &["430100"]),
    ] {
        add(&db, name, role, divisions).await;
    }
    let ask = |name: &'static str, method: Method, path: String, body: Option<Value>, tag: Option<&'static str>| {
        let db = &db;
        async move {
            let token =
                issue(db, json!({"account": name, "name": "test"})).await["token"].as_str().expect("token").to_owned();
            let mut request = with_token(method, &path, &token);
            if let Some(tag) = tag {
                request = request.insert_header(("if-match", tag));
            }
            call(
                db,
                match body {
                    Some(body) => request.set_json(body),
                    None => request,
                },
            )
            .await
        }
    };
    get(&db, SCENARIOS).await.assert_problem(401, "token_missing");
    ask("own.staff", Method::GET, SCENARIOS.into(), None, None).await.assert_problem(403, "role_insufficient");
    let rename = json!({"op": "park_event", "kind": "renamed", "park": "S437001", "name": "天心产业开发区"});
    let body = json!({"name": "改名", "operations": [rename]});
    let made = ask("own.planner", Method::POST, SCENARIOS.into(), Some(body.clone()), None).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{SCENARIOS}/{}", made.json()["id"]);
    for name in ["same.planner", "far.editor"] {
        ask(name, Method::GET, path.clone(), None, None).await.assert_problem(404, "scenario_not_found");
        assert_eq!(ask(name, Method::GET, SCENARIOS.into(), None, None).await.json()["numberReturned"], 0);
    }
    // A planner tries; applying is for editors.
    let told = ask("own.planner", Method::GET, format!("{path}/evaluation"), None, None).await.json();
    assert_eq!(told["possible"], true, "{told}");
    ask("own.planner", Method::POST, format!("{path}/apply"), None, Some("\"v1\""))
        .await
        .assert_problem(403, "role_insufficient");
    // Another county's park is nobody else's to try.
    let far = ask("far.editor", Method::POST, SCENARIOS.into(), Some(body.clone()), None).await.json();
    let told = ask("far.editor", Method::GET, format!("{SCENARIOS}/{}/evaluation", far["id"]), None, None).await.json();
    assert_eq!(told["operations"][0]["code"], "outside_jurisdiction", "{told}");
    // Versions.
    let put = |tag: Option<&'static str>| {
        ask("own.planner", Method::PUT, path.clone(), Some(json!({"name": "改名二", "operations": []})), tag)
    };
    put(None).await.assert_problem(428, "version_missing");
    put(Some("\"x\"")).await.assert_problem(400, "if_match_invalid");
    put(Some("\"v7\"")).await.assert_problem(412, "version_stale");
    let changed = put(Some("\"v1\"")).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"v2\"")), "{}", changed.text());
    // What is read back may be sent back.
    let read = ask("own.planner", Method::GET, path.clone(), None, None).await.json();
    let again = ask("own.planner", Method::PUT, path.clone(), Some(read), Some("\"v2\"")).await;
    assert_eq!(again.status, 200, "{}", again.text());
    for (body, code) in [
        (json!({"operations": []}), "member_missing"),
        (json!({"name": ""}), "value_invalid"),
        (json!({"name": "x".repeat(101)}), "value_invalid"),
        (json!({"name": "x", "operations": [{"op": "dance"}]}), "member_invalid"),
        (json!({"name": "x", "colour": 1}), "member_unknown"),
    ] {
        ask("own.planner", Method::POST, SCENARIOS.into(), Some(body), None).await.assert_problem(400, code);
    }
    assert_eq!(ask("own.planner", Method::DELETE, path.clone(), None, None).await.status, 204);
    ask("own.planner", Method::GET, path, None, None).await.assert_problem(404, "scenario_not_found");
}

/// The register that the approval found had no such park yet.
#[actix_web::test]
async fn a_change_that_was_approved_with_the_birth_of_its_park_is_assessed_from_nothing() {
    let db = Database::with_sample().await;
    let park = json!({"code": "S439998", "name": "示意新区", "prefecture": "430100", "approved_area_ha": "210.50"});
    let first = square(112.31, 28.11, 210.5);
    let land = json!({"type": "Feature", "properties": {"number": "1", "stated_area_ha": 210.5}, "geometry": first});
    let established = |on: &str| {
        let blocks = json!({"type": "FeatureCollection", "features": [land]});
        json!({"op": "park_event", "kind": "established", "park": park, "on": on, "blocks": blocks})
    };
    let blocks = vec![block("1", "210.50", first.clone()), block("2", "10.00", square(112.35, 28.11, 10.0))];
    let mut change = proposal("S439998", ["210.50", "0", "10.00", "220.50"], blocks);
    (change["op"], change["steps"]) = (json!("boundary_change"), json!(steps()));
    // One revision is one version of the park, of one day: supposed or approved.
    let mut supposed = change.clone();
    (supposed["steps"], supposed["on"]) = (json!([]), json!("2024-11-21"));
    for later in [change.clone(), supposed] {
        let made = created(&db, json!([established("2024-10-01"), later])).await;
        let told = evaluated(&db, &made["id"]).await;
        assert_eq!(
            (&told["operations"][0]["ok"], &told["operations"][1]["code"]),
            (&json!(true), &json!("event_not_allowed")),
            "{told}"
        );
    }
    // The day of steps().
    let established = established("2024-11-20");
    let revision = applied(&db, json!([established, change])).await;
    let id: String = db.value("SELECT id FROM boundary_change WHERE park_code = 'S439998'").await;
    let told = get_authorised(&db, &format!("/api/boundary-changes/{id}/assessment")).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(told["revision"], json!(revision - 1), "{told}");
    let of_code = |code: &str| {
        let findings = told["findings"].as_array().expect("findings").iter();
        findings.filter(|f| f["code"] == code).map(|f| f["message"].clone()).collect::<Vec<_>>()
    };
    let said = format!("批准与该园区的设立在同一修订 {revision} 中完成（推演方案）；本评估以这些变更之前的登记库为准");
    assert_eq!(of_code("assessed_before_events"), [json!(said)], "{told}");
    assert_eq!(told["computed"]["before"]["m2"], json!(0.0), "{told}");
    assert_eq!(told["computed"]["in"], told["computed"]["after"], "{told}");
    let computed: f64 = db.value("SELECT sum(area_m2) FROM park_block WHERE park_code = 'S439998'").await;
    let after = told["computed"]["after"]["m2"].as_f64().expect("m²");
    assert!((after - computed).abs() < 1e-6, "{after} {computed}");
}

#[actix_web::test]
async fn only_what_an_event_may_pass_over_is_passed_over_in_a_scenario() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let bow = json!({"type": "Polygon", "coordinates": [[[x, y], [x + 0.01, y + 0.01], [x + 0.01, y], [x, y + 0.01], [x, y]]]});
    let blocks = json!({"type": "FeatureCollection", "features": [
        block("1", "100", parcels::square(x, y, 0.01)), block("2", "100", bow),
    ]});
    let event = |allow: Value| {
        json!({"op": "park_event", "kind": "established", "on": "2026-01-05", "document_no": "湘政函〔2026〕1号（示意）",
               "allow": allow, "blocks": blocks,
               "park": {"code": "S439998", "name": "示意新区", "level": "省级", "type": "省级工业园区及其他", "prefecture": "430100"}})
    };
    let asked = call(
        &db,
        authorised(Method::POST, SCENARIOS)
            .set_json(json!({"name": "放行", "operations": [event(json!(["ring_self_intersection"]))]})),
    )
    .await;
    assert_eq!(asked.status, 201, "{}", asked.text());
    let told = evaluated(&db, &asked.json()["id"]).await;
    assert_eq!(told["operations"][0]["code"], "allow_not_possible", "{told}");
    deed(&db, &asked.json()["id"], "apply").await.assert_problem(409, "scenario_not_applicable");
}

#[actix_web::test]
async fn a_trial_tells_nothing_of_other_counties_parcels() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let theirs = json!({
        "type": "Feature", "properties": {"county_code": parcels::COUNTY, "number": "GEHEIM"}, "geometry": parcels::square(x, y, 0.001),
    });
    let entered = send(&db, "/api/collections/turnover_parcels/items", &[], &theirs).await;
    assert_eq!(entered.status, 201, "{}", entered.text());
    let ours = json!({
        "type": "Feature", "properties": {"county_code": "430111", "number": "TY-2"}, "geometry": parcels::square(x, y, 0.001),
    });
    let entry = json!({"op": "parcel", "collection": "turnover_parcels", "feature": ours});
    // Whoever sees both is told of the land that both have.
    let scenario = created(&db, json!([entry])).await;
    let told = evaluated(&db, &scenario["id"]).await.to_string();
    assert!(told.contains("GEHEIM"), "{told}");
    add(&db, "far.county", Role::Planner, &["430111"]).await;
    let token = issue(&db, json!({"account": "far.county", "name": "test"})).await["token"].clone();
    let token = token.as_str().expect("token");
    let body = json!({"name": "外县", "operations": [entry]});
    let made = call(&db, with_token(Method::POST, SCENARIOS, token).set_json(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for what in ["evaluation", "features"] {
        let path = format!("{SCENARIOS}/{}/{what}", made.json()["id"]);
        let told = call(&db, with_token(Method::GET, &path, token)).await;
        assert_eq!(told.status, 200, "{}", told.text());
        assert!(told.text().contains("TY-2") && !told.text().contains("GEHEIM"), "{}", told.text());
    }
}

#[actix_web::test]
async fn one_has_so_many_scenarios_and_drops_what_is_not_needed() {
    let db = Database::with_sample().await;
    let first = created(&db, json!([])).await;
    sqlx::raw_sql(
        "INSERT INTO scenario (name, actor, jurisdiction, operations, base_revision)
         SELECT s.name, s.actor, s.jurisdiction, s.operations, s.base_revision FROM scenario s, generate_series(2, 100)",
    )
    .execute(&db.pool)
    .await
    .expect("ninety-nine more");
    let make = || call(&db, authorised(Method::POST, SCENARIOS).set_json(json!({"name": "再一个", "operations": []})));
    let problem = make().await.assert_problem(409, "too_many_scenarios");
    assert!(problem["detail"].as_str().expect("text").contains("100"), "{problem}");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM scenario").await, 100);
    let page = get_authorised(&db, &format!("{SCENARIOS}?limit=30")).await.json();
    assert_eq!(page["numberReturned"], 30, "{page}");
    let gone = call(&db, authorised(Method::DELETE, &format!("{SCENARIOS}/{}", first["id"]))).await;
    assert_eq!(gone.status, 204);
    assert_eq!(make().await.status, 201);
}

/// A trial holds the write lock: a second one waits for its turn, and not for ever.
#[actix_web::test]
async fn trials_of_a_server_take_turns() {
    let db = Database::with_sample().await;
    let path = format!("{SCENARIOS}/{}/evaluation", created(&db, json!([])).await["id"]);
    let state = State::new(db.application.clone(), http_args()).with_live(Arc::clone(&db.live));
    let turn = Arc::clone(&state.trials).acquire_owned().await.expect("the turn");
    let waiting = call_with(state.clone(), authorised(Method::GET, &path));
    let busy = waiting.await.assert_problem(503, "assessments_busy");
    assert!(busy["detail"].as_str().expect("text").contains("正在推演另一个方案"), "{busy}");
    drop(turn);
    let told = call_with(state, authorised(Method::GET, &path)).await;
    assert_eq!((told.status.as_u16(), &told.json()["possible"]), (200, &json!(true)), "{}", told.text());
}
