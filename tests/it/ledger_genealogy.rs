//! Parcels split and merged over HTTP: no land lost, nothing handed on that is of the whole, everybody's descent.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::http::{Answer, call, get_authorised};
use crate::support::land::{Box, LOW, Land, PLANS, TURNOVER, approved, etag, id, items, newest, send, standing};
use crate::support::parcels::COUNTY;
use crate::support::{Database, accounts};

#[actix_web::test]
async fn a_parcel_is_split_into_parts_that_hold_its_land_and_its_state() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let whole = standing(&db).await[0].1;
    let before = get_authorised(&db, &items(TURNOVER, "A")).await.json();
    let body = json!({
        "effective_on": "2025-03-01", "document_no": "长县自然资函〔2025〕3号", "reason": "分期供应",
        "parts": [land.part("A-1", [0.0, 0.0, 12.0, 10.0]), land.part("A-2", [12.0, 0.0, 20.0, 10.0])],
    });
    let path = format!("{}/split", items(TURNOVER, "A"));
    let tried = send(&db, &format!("{path}?dry_run=true"), &[("if-match", &tag)], &body).await;
    assert_eq!(tried.status, 200, "{}", tried.text());
    assert_eq!((&tried.json()["dry_run"], &tried.json()["revision"]), (&json!(true), &Value::Null));
    assert_eq!(standing(&db).await.len(), 1, "a dry run writes nothing");

    let done = send(&db, &path, &[("if-match", &tag)], &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert!(done.header("location").expect("location").ends_with(&format!("{}/lineage", items(TURNOVER, "A"))));
    let told = done.json();
    let revision = newest(&db).await;
    assert_eq!(done.header("sizhi-revision"), Some(revision.to_string().as_str()));
    let names: Vec<&str> =
        told["not_inherited"].as_array().expect("list").iter().filter_map(|l| l["name"].as_str()).collect();
    assert_eq!(names, ["name", "approved_area_m2", "title_no"]);
    assert_eq!(told["not_inherited"][1]["values"], json!([43000.5]));
    assert_eq!(tried.json()["not_inherited"], told["not_inherited"]);

    // The parts have the land, to a square centimetre, and what is not of the whole.
    let parts = standing(&db).await;
    assert_eq!(parts.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), [id("A-1"), id("A-2")]);
    assert!((parts[0].1 + parts[1].1 - whole).abs() < 1e-3, "{parts:?} of {whole}");
    for ((part, area), line) in parts.iter().zip(told["lineage"].as_array().expect("lines")) {
        assert_eq!((&line["parent"], &line["child"]), (&json!(id("A")), &json!(part)));
        let common = line["common_area_m2"].as_f64().expect("area");
        assert!((common / area - 1.0).abs() < 1e-6, "{common} {area}");
        assert_eq!(
            (&line["kind"], &line["effective_on"], &line["document_no"], &line["reason"], &line["revision"]),
            (&json!("split"), &json!("2025-03-01"), &body["document_no"], &body["reason"], &json!(revision))
        );
    }
    let part = get_authorised(&db, &items(TURNOVER, "A-1")).await.json();
    let p = &part["properties"];
    for name in
        ["state", "state_on", "approved_on", "batch_name", "supply_mode", "county_code", "stated_park", "derived_sets"]
    {
        assert_eq!(p[name], before["properties"][name], "{name}");
    }
    for name in ["approved_area_m2", "title_no", "name", "end_reason"] {
        assert_eq!(p[name], Value::Null, "{name}");
    }
    assert_eq!((&p["valid_from"], &p["valid_to"]), (&json!("2025-03-01"), &Value::Null));

    // Before the day it was whole, from the day it is in parts.
    for (day, expected) in [("2025-02-28", vec![id("A")]), ("2025-03-01", vec![id("A-1"), id("A-2")])] {
        let answer = get_authorised(&db, &format!("{TURNOVER}/items?datetime={day}")).await.json();
        let ids: Vec<&str> =
            answer["features"].as_array().expect("list").iter().filter_map(|f| f["id"].as_str()).collect();
        assert_eq!(ids, expected, "{day}");
    }
    assert_eq!(db.audit().await, None);

    // Back again: as if it had not been, but that the log tells of it.
    let undone = send(&db, &format!("/api/revisions/{revision}/undo"), &[], &json!({"reason": "误操作"})).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(undone.json(), json!({"undone": revision, "revision": revision + 1, "dry_run": false}));
    let again = get_authorised(&db, &items(TURNOVER, "A")).await.json();
    assert_eq!((&again["properties"], &again["geometry"]), (&before["properties"], &before["geometry"]));
    assert_eq!(get_authorised(&db, &items(TURNOVER, "A-1")).await.status, 404);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_lineage").await, 0);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_split_that_loses_land_or_takes_what_is_not_there_is_refused_and_writes_nothing() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [40.0, 0.0, 50.0, 10.0], json!({"state": "approved"})).await;
    let frozen = land
        .enter(&db, TURNOVER, "F", [60.0, 0.0, 70.0, 10.0], json!({"state": "frozen", "held_state": "supplied"}))
        .await;
    let before = newest(&db).await;
    let parts = |a: (&str, Box), b: (&str, Box)| json!({"parts": [land.part(a.0, a.1), land.part(b.0, b.1)]});
    let (west, east) = ([0.0, 0.0, 12.0, 10.0], [12.0, 0.0, 20.0, 10.0]);
    let mut unnumbered = parts(("A-1", west), ("A-2", east));
    unnumbered["parts"][1]["properties"].as_object_mut().expect("object").remove("number");
    let mut shapeless = parts(("A-1", west), ("A-2", east));
    shapeless["parts"][0]["geometry"] = Value::Null;
    let mut moved = parts(("A-1", west), ("A-2", east));
    moved["parts"][0]["properties"]["state"] = json!("supplied");
    let mut elsewhere = parts(("A-1", west), ("A-2", east));
    elsewhere["parts"][0]["properties"]["county_code"] = json!("430102");
    let mut unknown = parts(("A-1", west), ("A-2", east));
    unknown["parts"][0]["properties"]["colour"] = json!("red");
    let mut to_come = parts(("A-1", west), ("A-2", east));
    to_come["effective_on"] = json!("2099-01-01");
    let mut too_early = parts(("A-1", west), ("A-2", east));
    too_early["effective_on"] = json!("2024-05-05");
    let cases = [
        ("a gap", parts(("A-1", west), ("A-2", [13.0, 0.0, 20.0, 10.0])), 400, "feature_refused", "land_left_out"),
        ("too far", parts(("A-1", west), ("A-2", [12.0, 0.0, 21.0, 10.0])), 400, "feature_refused", "land_beyond"),
        ("twice", parts(("A-1", west), ("A-2", [11.0, 0.0, 20.0, 10.0])), 400, "feature_refused", "children_overlap"),
        ("one", json!({"parts": [land.part("A-1", [0.0, 0.0, 20.0, 10.0])]}), 400, "member_invalid", ""),
        ("none", json!({"parts": []}), 400, "member_invalid", ""),
        ("no parts", json!({}), 400, "member_missing", ""),
        ("no list", json!({"parts": {}}), 400, "member_invalid", ""),
        ("no feature", json!({"parts": [1, 2]}), 400, "feature_invalid", ""),
        ("its own number", parts(("A", west), ("A-2", east)), 409, "number_used_before", ""),
        ("a neighbour's number", parts(("B", west), ("A-2", east)), 409, "record_exists", ""),
        ("one number", parts(("A-1", west), ("A-1", east)), 400, "id_invalid", ""),
        ("no number", unnumbered, 400, "property_missing", ""),
        ("no shape", shapeless, 400, "feature_refused", "geometry_missing"),
        ("another state", moved, 400, "feature_refused", "state_by_transition"),
        ("another county", elsewhere, 400, "county_invalid", ""),
        ("unknown property", unknown, 400, "feature_refused", "property_unknown"),
        ("a day to come", to_come, 400, "feature_refused", "transition_in_future"),
        ("before its state", too_early, 400, "feature_refused", "transition_before_last"),
        ("an unknown member", json!({"parts": [], "colour": 1}), 400, "member_unknown", ""),
    ];
    let path = format!("{}/split", items(TURNOVER, "A"));
    for (what, body, status, code, finding) in &cases {
        let refused = send(&db, &path, &[("if-match", &tag)], body).await;
        let problem = refused.assert_problem(*status, code);
        if !finding.is_empty() {
            let codes: Vec<&str> =
                problem["findings"].as_array().expect("findings").iter().filter_map(|f| f["code"].as_str()).collect();
            assert!(codes.contains(finding), "{what}: {codes:?}");
        }
        assert_eq!(newest(&db).await, before, "{what}");
    }
    let whole = parts(("A-1", west), ("A-2", east));
    send(&db, &path, &[], &whole).await.assert_problem(428, "version_missing");
    send(&db, &path, &[("if-match", "\"v1-0\"")], &whole).await.assert_problem(412, "version_stale");
    send(&db, &format!("{path}?allow=geometry_missing"), &[("if-match", &tag)], &whole)
        .await
        .assert_problem(400, "allow_not_possible");
    send(&db, &format!("{path}?x=1"), &[("if-match", &tag)], &whole).await.assert_problem(400, "parameter_unknown");
    send(&db, &format!("{}/split", items(TURNOVER, "gone")), &[("if-match", &tag)], &whole)
        .await
        .assert_problem(404, "item_not_found");
    for layer in [PLANS, "/api/collections/park_blocks"] {
        send(&db, &format!("{layer}/items/x/split"), &[("if-match", &tag)], &whole)
            .await
            .assert_problem(404, "address_not_found");
    }
    let halves = parts(("F-1", [60.0, 0.0, 65.0, 10.0]), ("F-2", [65.0, 0.0, 70.0, 10.0]));
    send(&db, &format!("{}/split", items(TURNOVER, "F")), &[("if-match", &frozen)], &halves)
        .await
        .assert_problem(409, "parcel_frozen");
    assert_eq!(newest(&db).await, before);

    // Who insists may leave land out; it is told.
    let gap = &cases[0].1;
    let done = send(&db, &format!("{path}?allow=land_left_out"), &[("if-match", &tag)], gap).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let told = done.json();
    assert_eq!(told["warnings"][0]["code"], "land_left_out");
    let left: f64 = db
        .value(&format!(
            "SELECT ST_Area(ST_Difference(a.geom, ST_Union(c.geom))::geography) FROM turnover_parcel a, turnover_parcel c
             WHERE a.id = '{}' AND c.id IN ('{}', '{}') GROUP BY a.geom",
            id("A"),
            id("A-1"),
            id("A-2")
        ))
        .await;
    let message = told["warnings"][0]["message"].as_str().expect("text");
    assert!(message.contains(&format!("{left:.2} 平方米")), "{message} {left}");
}

#[actix_web::test]
async fn parcels_merge_into_their_union_with_what_they_say_alike() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let mut other = approved();
    other["supply_mode"] = json!("划拨");
    other["state_on"] = json!("2024-06-01");
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 12.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [12.0, 0.0, 20.0, 10.0], other).await;
    land.enter(&db, TURNOVER, "C", [20.0, 0.0, 30.0, 10.0], json!({"state": "supplied", "state_on": "2024-05-06"}))
        .await;
    land.enter(&db, TURNOVER, "D", [40.0, 0.0, 50.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "E", [50.0, 10.0, 60.0, 20.0], approved()).await;
    let seen = newest(&db).await;
    let merge = |from: &[&str], into: Value| {
        let from: Vec<String> = from.iter().map(|n| id(n)).collect();
        json!({"from": from, "into": into, "seen_revision": seen, "effective_on": "2025-01-01"})
    };
    let into = |number: &str| json!({"type": "Feature", "properties": {"number": number, "supply_mode": "出让"}});
    let path = format!("{TURNOVER}/merge");
    for (what, body, status, code) in [
        ("states", merge(&["A", "C"], into("M")), 409, "states_differ"),
        ("apart", merge(&["A", "D"], into("M")), 400, "feature_refused"),
        ("alone", merge(&["A"], into("M")), 400, "member_invalid"),
        ("twice", merge(&["A", "A"], into("M")), 400, "member_invalid"),
        ("gone", merge(&["A", "X"], into("M")), 404, "item_not_found"),
        ("its own number", merge(&["A", "B"], into("A")), 409, "number_used_before"),
        ("a neighbour's number", merge(&["A", "B"], into("C")), 409, "record_exists"),
        (
            "before",
            json!({"from": [id("A"), id("B")], "into": into("M"), "seen_revision": seen, "effective_on": "2024-05-31"}),
            400,
            "feature_refused",
        ),
        ("no revision", json!({"from": [id("A"), id("B")], "into": into("M")}), 428, "version_missing"),
        (
            "stale",
            json!({"from": [id("D"), id("E")], "into": into("M"), "seen_revision": seen - 1}),
            412,
            "version_stale",
        ),
        (
            "a register to come",
            json!({"from": [id("D"), id("E")], "into": into("M"), "seen_revision": seen + 1}),
            412,
            "version_stale",
        ),
        ("no child", json!({"from": [id("A"), id("B")], "seen_revision": seen}), 400, "member_missing"),
        ("no feature", json!({"from": [id("A"), id("B")], "seen_revision": seen, "into": [1]}), 400, "feature_invalid"),
    ] {
        let refused = send(&db, &path, &[], &body).await;
        assert_eq!(refused.status, status, "{what}: {}", refused.text());
        refused.assert_problem(status, code);
        assert_eq!(newest(&db).await, seen, "{what}");
    }
    let union: f64 = db
        .value(&format!(
            "SELECT ST_Area(ST_Union(geom)::geography) FROM turnover_parcel WHERE id IN ('{}', '{}')",
            id("A"),
            id("B")
        ))
        .await;
    let done = send(&db, &path, &[], &merge(&["A", "B"], into("M"))).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let told = done.json();
    let left: Vec<(&str, &Value)> = told["not_inherited"]
        .as_array()
        .expect("list")
        .iter()
        .map(|l| (l["name"].as_str().expect("name"), &l["values"]))
        .collect();
    assert_eq!(
        left,
        [
            ("name", &json!(["整宗", "整宗"])),
            ("approved_area_m2", &json!([43000.5, 43000.5])),
            ("supply_mode", &json!(["出让", "划拨"])),
            ("title_no", &json!(["湘（2024）第1号", "湘（2024）第1号"]))
        ]
    );
    assert_eq!(told["warnings"], json!([]), "no land was lost");
    let merged = get_authorised(&db, &items(TURNOVER, "M")).await.json();
    let p = &merged["properties"];
    assert_eq!(
        (&p["state"], &p["state_on"], &p["valid_from"], &p["supply_mode"], &p["batch_name"]),
        (&json!("approved"), &json!("2024-06-01"), &json!("2025-01-01"), &json!("出让"), &json!("第一批"))
    );
    let area = p["computed_area_m2"].as_f64().expect("area");
    assert!((area / union - 1.0).abs() < 1e-6, "{area} {union}");
    // Four corners and the two where the parents met.
    assert_eq!(merged["geometry"]["coordinates"].as_array().expect("parts").len(), 1);
    assert_eq!(
        db.column::<String>("SELECT id || ' ' || end_reason || ' ' || valid_to FROM turnover_parcel WHERE end_reason IS NOT NULL ORDER BY id").await,
        [format!("{} merged 2025-01-01", id("A")), format!("{} merged 2025-01-01", id("B"))]
    );
    // A corner is contact; the land then is in two parts, and that is told.
    let again = json!({"from": [id("D"), id("E")], "into": into("N"), "seen_revision": newest(&db).await});
    let corner = send(&db, &path, &[], &again).await;
    assert_eq!(corner.status, 201, "{}", corner.text());
    assert_eq!(corner.json()["warnings"][0]["code"], "merged_in_parts");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_drawn_shape_of_the_merged_parcel_is_held_against_its_parents() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 12.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [13.0, 0.0, 20.0, 10.0], approved()).await;
    let seen = newest(&db).await;
    let body = |shape: Box| json!({"from": [id("A"), id("B")], "seen_revision": seen, "into": land.part("M", shape)});
    let path = format!("{TURNOVER}/merge");
    // The lane between them belongs to neither.
    let problem = send(&db, &path, &[], &body([0.0, 0.0, 20.0, 10.0])).await.assert_problem(400, "feature_refused");
    assert_eq!(problem["findings"][0]["code"], "land_beyond");
    let problem = send(&db, &path, &[], &body([0.0, 0.0, 12.0, 10.0])).await.assert_problem(400, "feature_refused");
    assert_eq!(problem["findings"][0]["code"], "land_left_out");
    let done = send(&db, &format!("{path}?allow=land_beyond"), &[], &body([0.0, 0.0, 20.0, 10.0])).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_lineage WHERE kind = 'merge'").await, 2);
    // Without a shape they would be in two parts.
    let apart = json!({"from": [id("C"), id("D")], "into": {"type": "Feature", "properties": {"number": "N"}}});
    land.enter(&db, TURNOVER, "C", [40.0, 0.0, 42.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "D", [43.0, 0.0, 50.0, 10.0], approved()).await;
    let mut apart = apart;
    apart["seen_revision"] = json!(newest(&db).await);
    let problem = send(&db, &path, &[], &apart).await.assert_problem(400, "feature_refused");
    assert_eq!(problem["findings"][0]["code"], "parcels_apart");
    let done = send(&db, &format!("{path}?allow=parcels_apart"), &[], &apart).await;
    assert_eq!((done.status.as_u16(), &done.json()["warnings"][0]["code"]), (201, &json!("parcels_apart")));
}

#[actix_web::test]
async fn the_lineage_tells_every_ancestor_and_every_descendant() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [20.0, 0.0, 30.0, 10.0], approved()).await;
    let body = json!({"effective_on": "2025-01-01", "parts": [land.part("A-1", [0.0, 0.0, 12.0, 10.0]), land.part("A-2", [12.0, 0.0, 20.0, 10.0])]});
    let split = send(&db, &format!("{}/split", items(TURNOVER, "A")), &[("if-match", &tag)], &body).await;
    assert_eq!(split.status, 201, "{}", split.text());
    let body = json!({"from": [id("A-2"), id("B")], "effective_on": "2025-06-01", "seen_revision": newest(&db).await,
        "into": {"type": "Feature", "properties": {"number": "M"}}});
    let merged = send(&db, &format!("{TURNOVER}/merge"), &[], &body).await;
    assert_eq!(merged.status, 201, "{}", merged.text());

    let lines = |list: &Value| -> Vec<String> {
        let one = |l: &Value| {
            format!("{} {} {}", l["parent"], l["child"], l["kind"]).replace('"', "").replace(&format!("{COUNTY}-"), "")
        };
        list.as_array().expect("list").iter().map(one).collect()
    };
    let of = |number: &str| format!("{}/lineage", items(TURNOVER, number));
    let m = get_authorised(&db, &of("M")).await.json();
    assert_eq!(lines(&m["ancestors"]), ["A-2 M merge", "B M merge", "A A-2 split"]);
    assert_eq!((lines(&m["descendants"]), &m["complete"]), (vec![], &json!(true)));
    let a = get_authorised(&db, &of("A")).await.json();
    assert_eq!(lines(&a["descendants"]), ["A A-1 split", "A A-2 split", "A-2 M merge"]);
    assert_eq!(lines(&a["ancestors"]), [""; 0]);
    let relatives: Vec<(&str, &Value, &Value)> = a["parcels"]
        .as_array()
        .expect("list")
        .iter()
        .map(|p| (p["id"].as_str().expect("id"), &p["valid_to"], &p["end_reason"]))
        .collect();
    assert_eq!(
        relatives,
        [
            (id("A").as_str(), &json!("2025-01-01"), &json!("split")),
            (id("A-1").as_str(), &Value::Null, &Value::Null),
            (id("A-2").as_str(), &json!("2025-06-01"), &json!("merged")),
            (id("M").as_str(), &Value::Null, &Value::Null),
        ]
    );
    // The quarter's list tells the family too.
    let report = get_authorised(&db, "/api/reports/quarterly-changes?quarter=2025Q1").await.json();
    let table = report["tables"].as_array().expect("tables").iter().find(|t| t["id"] == "changes").expect("changes");
    let told: Vec<String> = table["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| format!("{} {} {}", row["id"], row["kind"], row["reason"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            format!("{} ended 分割为 {}、{}", id("A"), id("A-1"), id("A-2")),
            format!("{} entered 由 {} 分割", id("A-1"), id("A")),
            format!("{} entered 由 {} 分割", id("A-2"), id("A")),
        ]
    );
    // Nobody's child is alone; who never was is not there.
    land.enter(&db, TURNOVER, "Z", [60.0, 0.0, 62.0, 2.0], json!({})).await;
    let z = get_authorised(&db, &of("Z")).await.json();
    assert_eq!((&z["ancestors"], z["parcels"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    get_authorised(&db, &of("never")).await.assert_problem(404, "item_not_found");
    get_authorised(&db, &format!("{PLANS}/items/x/lineage")).await.assert_problem(404, "address_not_found");
}

#[actix_web::test]
async fn a_parcel_with_a_plan_stays_whole() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    land.enter(&db, LOW, "L", [0.0, 0.0, 20.0, 10.0], json!({"state": "recognised", "state_on": "2024-05-06"})).await;
    let parts = json!({"parts": [land.part("L-1", [0.0, 0.0, 12.0, 10.0]), land.part("L-2", [12.0, 0.0, 20.0, 10.0])]});
    let path = format!("{}/split", items(LOW, "L"));
    let plan = json!({"type": "Feature", "properties": {"county_code": COUNTY, "number": "P", "parcel_id": id("L")}});
    assert_eq!(send(&db, &format!("{PLANS}/items"), &[], &plan).await.status, 201);
    let tag = etag(&db, LOW, "L").await;
    send(&db, &path, &[("if-match", &tag)], &parts).await.assert_problem(409, "plan_in_use");
    // Without it, each part stands where the whole stood.
    let cancel = send(
        &db,
        &format!("{}/transitions", items(PLANS, "P")),
        &[("if-match", &etag(&db, PLANS, "P").await)],
        &json!({"to": "cancelled"}),
    )
    .await;
    assert_eq!(cancel.status, 200, "{}", cancel.text());
    let done = send(&db, &path, &[("if-match", &etag(&db, LOW, "L").await)], &parts).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(
        db.column::<String>(
            "SELECT number || ' ' || state FROM low_efficiency_parcel WHERE valid_to = 'infinity' ORDER BY 1"
        )
        .await,
        ["L-1 recognised", "L-2 recognised"]
    );
}

#[actix_web::test]
async fn a_repeated_split_splits_once_and_of_two_people_one_wins() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    let body = |n: usize| json!({"parts": [land.part(&format!("A-{n}-1"), [0.0, 0.0, 12.0, 10.0]), land.part(&format!("A-{n}-2"), [12.0, 0.0, 20.0, 10.0])]});
    let path = format!("{}/split", items(TURNOVER, "A"));
    let (key, other) = (
        [("if-match", tag.as_str()), ("idempotency-key", "k1")],
        [("if-match", tag.as_str()), ("idempotency-key", "k2")],
    );
    let (one, two) = (body(1), body(2));
    let (a, b) = tokio::join!(send(&db, &path, &key, &one), send(&db, &path, &other, &two));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    // Who comes second finds no such parcel: it has ended.
    assert_eq!(statuses, [201, 404], "{} {}", a.text(), b.text());
    assert_eq!(standing(&db).await.len(), 2);
    let (won, key, body) = if a.status == 201 { (a, key, &one) } else { (b, other, &two) };
    let again = send(&db, &path, &key, body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")), "{}", again.text());
    assert_eq!(again.json()["lineage"], won.json()["lineage"]);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_lineage").await, 2);
}

#[actix_web::test]
async fn another_countys_parcels_are_neither_split_nor_merged_nor_told_of() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "A", [0.0, 0.0, 20.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [20.0, 0.0, 30.0, 10.0], approved()).await;
    accounts::add(&db, "other", Role::Editor, &["430200"]).await;
    accounts::add(&db, "own", Role::Editor, &["430100"]).await;
    let stranger = token(&db, "other").await;
    let own = token(&db, "own").await;
    let parts = json!({"parts": [land.part("A-1", [0.0, 0.0, 12.0, 10.0]), land.part("A-2", [12.0, 0.0, 20.0, 10.0])]});
    let merge = json!({"from": [id("A"), id("B")], "seen_revision": newest(&db).await, "into": {"type": "Feature", "properties": {"number": "M"}}});
    let split = format!("{}/split", items(TURNOVER, "A"));
    call_as(&db, &stranger, Method::POST, &split, Some(&tag), Some(&parts)).await.assert_problem(404, "item_not_found");
    let path = format!("{TURNOVER}/merge");
    call_as(&db, &stranger, Method::POST, &path, None, Some(&merge)).await.assert_problem(404, "item_not_found");
    call_as(&db, &stranger, Method::GET, &format!("{}/lineage", items(TURNOVER, "A")), None, None)
        .await
        .assert_problem(404, "item_not_found");
    let done = call_as(&db, &own, Method::POST, &split, Some(&tag), Some(&parts)).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let revision = newest(&db).await;
    // Nor is it undone by them.
    call_as(&db, &stranger, Method::POST, &format!("/api/revisions/{revision}/undo"), None, Some(&json!({})))
        .await
        .assert_problem(403, "outside_jurisdiction");
    let undone =
        call_as(&db, &own, Method::POST, &format!("/api/revisions/{revision}/undo"), None, Some(&json!({}))).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
}

async fn token(db: &Database, account: &str) -> String {
    let issued = accounts::issue(db, json!({"account": account, "name": "t"})).await;
    issued["token"].as_str().expect("token").to_owned()
}

async fn call_as(
    db: &Database,
    token: &str,
    method: Method,
    path: &str,
    etag: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut request = accounts::with_token(method, path, token);
    if let Some(etag) = etag {
        request = request.insert_header(("if-match", etag.to_owned()));
    }
    if let Some(body) = body {
        request = request.set_json(body);
    }
    call(db, request).await
}

#[actix_web::test]
async fn what_parents_say_on_paper_is_told_where_children_do_not_have_it() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let park = |name: &str| json!({"state": "approved", "stated_park": name, "stated_area_m2": 10900.0});
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 10.0, 10.0], park("长沙经济技术开发区")).await;
    // A file with a column of its own.
    let file = crate::support::parcels::file(
        "lineage_attributes.geojson",
        &[(json!({"地块编号": "B", "状态": "已批准", "台账备查": "甲柜"}), land.polygon([10.0, 0.0, 20.0, 10.0]))],
    );
    db.import(&file, crate::support::parcels::into("turnover_parcels")).await.expect("imported");
    let body = json!({"from": [id("A"), id("B")], "seen_revision": newest(&db).await, "into": {"type": "Feature", "properties": {"number": "M"}}});
    let told = send(&db, &format!("{TURNOVER}/merge?dry_run=true"), &[], &body).await.json();
    let left: Vec<(&str, &Value)> = told["not_inherited"]
        .as_array()
        .unwrap_or_else(|| panic!("{told}"))
        .iter()
        .map(|l| (l["name"].as_str().expect("name"), &l["values"]))
        .collect();
    assert_eq!(
        left,
        [
            ("stated_area_m2", &json!([10900.0, null])),
            ("stated_park", &json!(["长沙经济技术开发区", null])),
            ("attributes", &json!([null, {"台账备查": "甲柜"}])),
        ]
    );
}

/// Parents may lie on one another, which an import only warns of: what they share is not counted twice for the child.
#[actix_web::test]
async fn land_that_two_parents_share_counts_once() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    land.enter(&db, TURNOVER, "A", [0.0, 0.0, 12.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "B", [8.0, 0.0, 20.0, 10.0], approved()).await;
    let seen = newest(&db).await;
    let merge = |shape: Box| json!({"from": [id("A"), id("B")], "seen_revision": seen, "into": land.part("M", shape)});
    let path = format!("{TURNOVER}/merge");
    // As much beyond as the parents share: the sum of areas would be right.
    let problem = send(&db, &path, &[], &merge([0.0, 0.0, 24.0, 10.0])).await.assert_problem(400, "feature_refused");
    assert_eq!(problem["findings"][0]["code"], "land_beyond", "{problem}");
    let done = send(&db, &path, &[], &merge([0.0, 0.0, 20.0, 10.0])).await;
    assert_eq!(done.status, 201, "{}", done.text());
}

/// One letter in one or two code points is one number.
#[actix_web::test]
async fn a_number_in_another_composition_is_the_same_number() {
    let db = Database::with_sample().await;
    let land = Land::of(&db).await;
    let tag = land.enter(&db, TURNOVER, "\u{e9}", [0.0, 0.0, 10.0, 10.0], approved()).await;
    land.enter(&db, TURNOVER, "豈", [10.0, 0.0, 20.0, 10.0], approved()).await;
    let split = land.enter(&db, TURNOVER, "S", [20.0, 0.0, 40.0, 10.0], approved()).await;
    let before = standing(&db).await;
    for number in ["e\u{301}", "\u{f900}"] {
        let mut feature = land.part(number, [50.0, 0.0, 60.0, 10.0]);
        feature["properties"]["county_code"] = json!(COUNTY);
        send(&db, &format!("{TURNOVER}/items"), &[], &feature).await.assert_problem(409, "record_exists");
        let parts =
            json!({"parts": [land.part(number, [20.0, 0.0, 30.0, 10.0]), land.part("S-2", [30.0, 0.0, 40.0, 10.0])]});
        send(&db, &format!("{}/split", items(TURNOVER, "S")), &[("if-match", &split)], &parts)
            .await
            .assert_problem(409, "record_exists");
    }
    assert_eq!(standing(&db).await, before);
    // A child's number is stored composed.
    let parts =
        json!({"parts": [land.part("e\u{300}", [0.0, 0.0, 5.0, 10.0]), land.part("T", [5.0, 0.0, 10.0, 10.0])]});
    let path = format!("{TURNOVER}/items/{COUNTY}-%C3%A9/split");
    let done = send(&db, &path, &[("if-match", &tag)], &parts).await;
    assert_eq!(
        (done.status.as_u16(), &done.json()["lineage"][1]["child"]),
        (201, &json!(id("\u{e8}"))),
        "{}",
        done.text()
    );
}
