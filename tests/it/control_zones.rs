//! Control lines: files by the names of the 三线一单 format come in as they are, kinds are data, and checks say what they demand.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::geometry::area;
use sizhi::inventory::sample;
use sizhi::store::geometry_column;

use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{Answer, authorised, call, call_database, get, get_authorised, upload};
use crate::support::zones::{boxed, drawn, zones_of};
use crate::support::{Database, files, parcels};

const ZONES: &str = "/api/collections/control_zones/items";
const KINDS: &str = "/api/control-zone-kinds";
const CHECKS: &str = "/api/overlap-checks";

fn codes(report: &sizhi::inventory::import::ImportReport) -> Vec<(String, Option<u64>)> {
    report.findings.iter().map(|f| (f.code.clone().into_owned(), f.place.row)).collect()
}

#[actix_web::test]
async fn a_file_of_control_units_comes_in_by_its_own_names() {
    let db = Database::with_sample().await;
    let unit = json!({
        "HJZHGKDYBM": "ZH43012120003", "HJZHGKDYMC": "长沙县重点管控单元3", "PROV": "湖南省", "CITY": "长沙市", "AREA": "长沙县",
        "ZHGKDYFL": "2", "KJBJYS": "严禁新建高污染项目", "PWWPFGK": "污水达标排放", "HJFXFK": "编制应急预案", "ZYKFXLYQ": "单位能耗达标",
        "BZNF": "2020",
    });
    let path = parcels::file("units.geojson", &[(unit, boxed(113.0, 28.2, 113.1, 28.3))]);
    let imported = db.import(&path, zones_of(None)).await.expect("imported");
    assert_eq!(codes(&imported.report), []);
    let item = get_authorised(&db, &format!("{ZONES}/control_unit-ZH43012120003")).await;
    assert_eq!(item.status, 200, "{}", item.text());
    let mut properties = item.json()["properties"].clone();
    // The area is PostGIS's shape by the formula; the box has straight sides.
    let stored: Vec<u8> = db.value("SELECT ST_AsEWKB(geom) FROM control_zone").await;
    let m2 = area::ellipsoidal(&geometry_column::decode(&stored).expect("polygons")).value();
    let geodesic: f64 = db.value("SELECT ST_Area(geom::geography) FROM control_zone").await;
    assert!((m2 / geodesic - 1.0).abs() < 1e-5, "{m2} against {geodesic}");
    for (name, told) in [("computed_area_m2", m2), ("computed_area_ha", m2 / 1e4), ("computed_area_mu", m2 * 0.0015)] {
        let shown = properties.as_object_mut().expect("object").remove(name).and_then(|v| v.as_f64()).expect(name);
        assert!((shown - told).abs() < 0.006, "{name}: {shown} against {told}");
    }
    let source = properties["source"].take();
    assert!(source.as_str().is_some_and(|text| text.starts_with("导入文件 ")), "{source}");
    assert_eq!(
        properties,
        json!({
            "id": "control_unit-ZH43012120003", "kind": "control_unit", "kind_name": "环境管控单元", "number": "ZH43012120003",
            "name": "长沙县重点管控单元3", "division_code": "430121", "division_name": "长沙县", "effect": "inform",
            "park_weight": "note", "parcel_weight": "note", "management_class": "重点管控单元",
            "rule": "按所在环境管控单元的生态环境准入清单执行", "spatial_rule": "严禁新建高污染项目", "pollution_rule": "污水达标排放",
            "risk_rule": "编制应急预案", "resource_rule": "单位能耗达标", "document_no": "湘政发〔2020〕12号", "stated_area_ha": null,
            "illustrative": false, "source": null, "source_crs": "EPSG:4326", "valid_from": null, "valid_to": null,
        })
    );
    // What has no column of its own is kept under its own name.
    let kept: Value = db.value("SELECT attributes FROM control_zone").await;
    assert_eq!(kept, json!({"PROV": "湖南省", "CITY": "长沙市", "AREA": "长沙县", "BZNF": "2020"}));
    // The same file again changes nothing; the way back takes all of it away.
    let again = db.import(&path, zones_of(None)).await.expect("imported");
    assert_eq!((again.revision, again.report.status.as_str()), (None, "unchanged"));
    let undone =
        call(&db, authorised(Method::POST, &format!("/api/imports/{}/undo", imported.batch.expect("batch")))).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(db.value::<i64>("SELECT count(*) FROM control_zone").await, 0);
}

#[actix_web::test]
async fn every_fault_of_a_file_is_named_and_nothing_is_written() {
    let db = Database::with_sample().await;
    let place = boxed(113.0, 28.2, 113.1, 28.3);
    let feature = |properties: Value| (properties, place.clone());
    let of = |features: &[(Value, Value)], kind: Option<&'static str>| {
        let path = parcels::file("zones-faulty.geojson", features);
        let db = &db;
        async move { db.import(&path, zones_of(kind)).await }
    };
    for (properties, kind, expected) in [
        (json!({"编号": "1", "县区代码": "430121"}), None, "zone_kind_missing"),
        (json!({"编号": "1", "县区代码": "430121", "管控类型": "水源地"}), None, "zone_kind_unknown"),
        (json!({"县区代码": "430121"}), Some("permanent_farmland"), "zone_no_missing"),
        (json!({"编号": "甲 乙", "县区代码": "430121"}), Some("永久基本农田"), "id_invalid"),
        (json!({"编号": "1"}), Some("permanent_farmland"), "division_missing"),
        (json!({"编号": "1", "县区代码": "999999"}), Some("permanent_farmland"), "division_unknown"),
        // A county that nobody knows does not make it the prefecture's or the province's.
        (
            json!({"编号": "1", "县": "长沙县县", "市": "长沙市", "省": "湖南省"}),
            Some("permanent_farmland"),
            "division_unknown",
        ),
        (json!({"HJZHGKDYBM": "ZH43012110001", "ZHGKDYFL": "4"}), None, "value_invalid"),
    ] {
        let imported = of(&[feature(properties.clone())], kind).await;
        let imported = imported.expect("read");
        assert_eq!(codes(&imported.report), [(expected.to_owned(), Some(1))], "{properties}");
        assert_eq!(imported.revision, None);
    }
    let refused = of(&[feature(json!({"编号": "1"}))], Some("no_such_kind")).await;
    assert_eq!(refused.expect_err("unknown").code(), "zone_kind_unknown");
    // Another number is told; zones on one another are told, and no bar.
    let twice = [
        feature(json!({"HJZHGKDYBM": "43012110001", "县区代码": "430121"})),
        feature(json!({"HJZHGKDYBM": "ZH43012110002"})),
    ];
    let imported = of(&twice, None).await;
    let imported = imported.expect("imported");
    assert_eq!(
        codes(&imported.report),
        [("zone_no_unusual".to_owned(), Some(1)), ("overlap_within_file".to_owned(), Some(2))]
    );
    assert!(imported.revision.is_some());
    // A file with a broken row and a sound one writes neither.
    let half = [feature(json!({"编号": "7", "县区代码": "430121"})), feature(json!({"编号": "8"}))];
    let imported = of(&half, Some("ecological_red_line")).await;
    assert_eq!(imported.expect("read").revision, None);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM control_zone WHERE kind = 'ecological_red_line'").await, 0);
    // The option is for this layer alone.
    let blocks = files::write(
        "blocks-with-kind.txt",
        files::txt(&[("甲", files::square(2_900_000.0, 38_480_000.0, 100.0), 1.0)]),
    );
    let refused = db.import(&blocks, |request| request.zone_kind = Some("control_unit".to_owned())).await;
    assert_eq!(refused.expect_err("refused").code(), "zone_kind_not_possible");
}

/// A candidate of two kilometres by one, and what lies about it: farmland over its south-west corner, a red line over its north-east one,
/// a development boundary in two halves that leave its east end out, a control unit around all.
const CANDIDATE: [f64; 4] = [113.00, 28.20, 113.02, 28.21];

async fn surrounded(db: &Database) {
    let no = |number: &str| json!({"编号": number, "县区代码": "430121", "文号": "测试文号1号"});
    let [west, south, east, north] = CANDIDATE;
    drawn(
        db,
        "z-farm.geojson",
        Some("permanent_farmland"),
        &[(no("F1"), boxed(west - 0.01, south - 0.01, west + 0.002, south + 0.002))],
    )
    .await;
    drawn(
        db,
        "z-red.geojson",
        Some("ecological_red_line"),
        &[(no("R1"), boxed(east - 0.001, north - 0.001, east + 0.01, north + 0.01))],
    )
    .await;
    let halves = [
        (no("D1"), boxed(west - 0.01, south - 0.01, west + 0.008, north + 0.01)),
        (no("D2"), boxed(west + 0.008, south - 0.01, west + 0.015, north + 0.01)),
    ];
    drawn(db, "z-town.geojson", Some("development_boundary"), &halves).await;
    let unit = json!({"HJZHGKDYBM": "ZH43012110001", "ZHGKDYFL": "优先", "KJBJYS": "禁止开发"});
    drawn(db, "z-unit.geojson", None, &[(unit, boxed(west - 0.02, south - 0.02, east + 0.02, north + 0.02))]).await;
}

async fn made(db: &Database, body: &Value) -> Value {
    let answer = call(db, authorised(Method::POST, CHECKS).set_json(body)).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    answer.json()
}

async fn findings(db: &Database, check: &Value) -> Answer {
    get_authorised(db, &format!("{CHECKS}/{}/findings", check["id"])).await
}

/// PostGIS's land by the formula, m².
async fn judged(db: &Database, land: &str) -> f64 {
    let [west, south, east, north] = CANDIDATE;
    let land: Vec<u8> = db
        .value(&format!(
            "WITH c AS (SELECT ST_SetSRID(ST_GeomFromGeoJSON('{}'), 4490) AS geom) SELECT ST_AsEWKB(ST_Multi({land})) FROM c",
            boxed(west, south, east, north)
        ))
        .await;
    area::ellipsoidal(&geometry_column::decode(&land).expect("polygons")).value()
}

#[actix_web::test]
async fn a_check_blocks_warns_and_tells_the_rules() {
    let db = Database::with_sample().await;
    surrounded(&db).await;
    let [west, south, east, north] = CANDIDATE;
    let body = json!({"subject": {"geojson": boxed(west, south, east, north)}, "layers": ["control_zones"]});
    let check = made(&db, &body).await;
    let found = findings(&db, &check).await.json();
    let told: Vec<Value> =
        found["features"].as_array().expect("features").iter().map(|f| f["properties"].clone()).collect();
    let common = |id: &str| format!("ST_Intersection(c.geom, (SELECT geom FROM control_zone WHERE number = '{id}'))");
    let outside = judged(
        &db,
        "ST_Difference(c.geom, (SELECT ST_Union(geom) FROM control_zone WHERE kind = 'development_boundary'))",
    )
    .await;
    let expected = [
        (
            "control_unit-ZH43012110001",
            "within",
            "note",
            judged(&db, &common("ZH43012110001")).await,
            "优先保护单元；按所在环境管控单元的生态环境准入清单执行；空间布局约束：禁止开发（湘政发〔2020〕12号）",
        ),
        (
            "development_boundary",
            "outside",
            "warn",
            outside,
            "城镇开发边界外不得进行城镇集中建设，不得规划建设各类开发区和产业园区（自然资发〔2023〕193号）",
        ),
        (
            "development_boundary-D1",
            "overlap",
            "note",
            judged(&db, &common("D1")).await,
            "城镇开发边界外不得进行城镇集中建设，不得规划建设各类开发区和产业园区（测试文号1号）",
        ),
        (
            "development_boundary-D2",
            "overlap",
            "note",
            judged(&db, &common("D2")).await,
            "城镇开发边界外不得进行城镇集中建设，不得规划建设各类开发区和产业园区（测试文号1号）",
        ),
        (
            "ecological_red_line-R1",
            "overlap",
            "block",
            judged(&db, &common("R1")).await,
            "生态保护红线内禁止开发性、生产性建设活动，只允许对生态功能不造成破坏的有限人为活动（测试文号1号）",
        ),
        (
            "permanent_farmland-F1",
            "overlap",
            "block",
            judged(&db, &common("F1")).await,
            "永久基本农田经依法划定后，任何单位和个人不得擅自占用或者改变其用途（测试文号1号）",
        ),
    ];
    assert_eq!(told.len(), expected.len(), "{found}");
    for (told, (id, class, weight, m2, rule)) in told.iter().zip(expected) {
        assert_eq!(
            (&told["feature_id"], &told["class"], &told["weight"], &told["rule"]),
            (&json!(id), &json!(class), &json!(weight), &json!(rule))
        );
        let ours = told["area_m2"].as_f64().expect("m²");
        assert!((ours - m2).abs() < 1e-4, "{id}: {ours} against {m2}");
    }
    let line = &told[1];
    assert_eq!((&line["feature_name"], &line["width_m"]), (&json!("城镇开发边界"), &Value::Null));
    assert!(line["message"].as_str().is_some_and(|m| m.contains("不在已登记的城镇开发边界之内")), "{line}");
    assert!((line["share_of_subject"].as_f64().expect("share") - 0.25).abs() < 1e-9, "{line}");
    assert_eq!(check["summary"]["by_class"]["outside"]["count"], 1);
    assert_eq!(check["summary"]["complete"], true);
    // Every paper of the check has the rules.
    let page = get_authorised(&db, &format!("{CHECKS}/{}/report", check["id"])).await.text();
    assert!(page.contains("管控要求") && page.contains("空间布局约束：禁止开发"), "{page}");
    // Memory and database, present and past: the same bytes.
    let by_database = call_database(&db, authorised(Method::POST, CHECKS).set_json(&body)).await.json();
    assert_eq!(findings(&db, &by_database).await.json()["features"], found["features"]);
    let whole = made(
        &db,
        &json!({"subject": {"geojson": boxed(west, south, west + 0.01, north)}, "layers": ["control_zones"]}),
    )
    .await;
    assert_eq!(whole["summary"]["by_class"]["outside"]["count"], 0, "{whole}");
    // A parcel weighs the same; what is nowhere near a boundary is wholly outside.
    let parcel = made(&db, &json!({"subject": {"geojson": boxed(112.0, 27.0, 112.001, 27.001)}, "purpose": "parcel", "layers": ["control_zones"]})).await;
    let alone = findings(&db, &parcel).await.json();
    let only = &alone["features"][0]["properties"];
    assert_eq!(
        (alone["numberMatched"].as_u64(), &only["class"], &only["share_of_subject"]),
        (Some(1), &json!("outside"), &json!(1.0))
    );
}

#[actix_web::test]
async fn without_a_boundary_on_file_nothing_is_called_outside() {
    let db = Database::with_sample().await;
    let [west, south, east, north] = CANDIDATE;
    let check =
        made(&db, &json!({"subject": {"geojson": boxed(west, south, east, north)}, "layers": ["control_zones"]})).await;
    assert_eq!(check["summary"]["found"], 0, "{check}");
}

#[actix_web::test]
async fn what_a_kind_weighs_is_data_with_a_past() {
    let db = Database::with_sample().await;
    surrounded(&db).await;
    let [west, south, east, north] = CANDIDATE;
    let body = json!({"subject": {"geojson": boxed(west, south, east, north)}, "layers": ["control_zones"]});
    let first = made(&db, &body).await;
    let before = findings(&db, &first).await;
    let path = format!("{KINDS}/development_boundary");
    let kind = get_authorised(&db, &path).await;
    let mut edit = kind.json();
    assert_eq!((&edit["version"], &edit["source"], &edit["is_default"]), (&json!(0), &Value::Null, &json!(true)));
    edit["park_weight"] = json!("block");
    edit["rule"] = json!("界外一律不批");
    let put = |etag: &str, body: &Value| {
        let request = authorised(Method::PUT, &path).insert_header(("if-match", etag.to_owned()));
        call(&db, request.set_json(body.clone()))
    };
    let etag = kind.header("etag").expect("etag").to_owned();
    let done = put(&etag, &edit).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let revision: i64 = done.header("sizhi-revision").expect("revision").parse().expect("number");
    // Whoever saw the kind before is told what stands.
    let late = put(&etag, &edit).await.assert_problem(412, "version_stale");
    assert_eq!(late["current"]["park_weight"], "block");
    let unmatched = call(&db, authorised(Method::PUT, &path).set_json(&edit)).await;
    unmatched.assert_problem(428, "version_missing");
    // The new word holds for the zones, in memory and in the database, and for what is checked from now on.
    let zone = get_authorised(&db, &format!("{ZONES}/development_boundary-D1")).await.json();
    assert_eq!(
        (&zone["properties"]["park_weight"], &zone["properties"]["rule"]),
        (&json!("block"), &json!("界外一律不批"))
    );
    let second = made(&db, &body).await;
    let now = findings(&db, &second).await.json();
    let outside = &now["features"][1]["properties"];
    assert_eq!(
        (&outside["class"], &outside["weight"], &outside["rule"]),
        (&json!("outside"), &json!("block"), &json!("界外一律不批（自然资发〔2023〕193号）"))
    );
    // A check of then gives what it gave then, to the byte.
    let again = call(
        &db,
        authorised(Method::POST, &format!("{CHECKS}/{}/repeat", first["id"])).set_json(json!({"on": "same_revision"})),
    )
    .await;
    let again = again.json();
    let repeated = findings(&db, &again).await;
    assert_eq!(repeated.json()["features"], before.json()["features"]);
    let past = get_authorised(&db, &format!("{path}?revision={}", revision - 1)).await.json();
    assert_eq!((&past["park_weight"], &past["version"]), (&json!("warn"), &json!(0)));
    // Taken back, the kind is as the program brings it; there is nothing more to take back then.
    let end = |etag: String| call(&db, authorised(Method::DELETE, &path).insert_header(("if-match", etag)));
    let etag = done.header("etag").expect("etag").to_owned();
    assert_eq!(end(etag).await.status, 204);
    let kind = get_authorised(&db, &path).await;
    assert_eq!(kind.json()["park_weight"], "warn");
    end(kind.header("etag").expect("etag").to_owned()).await.assert_problem(409, "kind_is_default");
}

#[actix_web::test]
async fn a_kind_of_the_operators_own_is_made_used_and_not_taken_away_while_used() {
    let db = Database::with_sample().await;
    let path = format!("{KINDS}/water_source");
    get_authorised(&db, &path).await.assert_problem(404, "kind_not_found");
    let kind = json!({
        "name": "饮用水水源保护区", "name_en": "Drinking water source", "effect": "keep_out", "park_weight": "block",
        "parcel_weight": "warn", "rule": "一级保护区内禁止新建与供水设施无关的项目", "document": "水污染防治法",
    });
    let new = || authorised(Method::PUT, &path).insert_header(("if-none-match", "*"));
    for (member, wrong) in
        [("effect", json!("avoid")), ("park_weight", json!("heavy")), ("name", json!("")), ("name", json!(7))]
    {
        let mut broken = kind.clone();
        broken[member] = wrong.clone();
        let answer = call(&db, new().set_json(&broken)).await;
        assert_eq!(answer.status, 400, "{member} {wrong}: {}", answer.text());
    }
    let bad = authorised(Method::PUT, &format!("{KINDS}/Water-Source")).insert_header(("if-none-match", "*"));
    call(&db, bad.set_json(&kind)).await.assert_problem(400, "value_invalid");
    let made = call(&db, new().set_json(&kind)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.header("location").is_some_and(|to| to.ends_with("/api/control-zone-kinds/water_source")));
    call(&db, new().set_json(&kind)).await.assert_problem(412, "version_stale");
    let listed = get_authorised(&db, KINDS).await.json();
    let codes: Vec<&str> =
        listed["kinds"].as_array().expect("kinds").iter().filter_map(|k| k["code"].as_str()).collect();
    assert_eq!(
        codes,
        ["control_unit", "development_boundary", "ecological_red_line", "permanent_farmland", "water_source"]
    );
    // By its Chinese name in a file's field.
    let zone = json!({"编号": "W1", "县区代码": "430121", "管控类型": "饮用水水源保护区"});
    drawn(&db, "z-water.geojson", None, &[(zone, boxed(113.0, 28.2, 113.01, 28.21))]).await;
    let end = || {
        call(
            &db,
            authorised(Method::DELETE, &path)
                .insert_header(("if-match", made.header("etag").expect("etag").to_owned())),
        )
    };
    end().await.assert_problem(409, "kind_in_use");
    let batch: i64 = db.value("SELECT max(id) FROM import_batch").await;
    assert_eq!(call(&db, authorised(Method::POST, &format!("/api/imports/{batch}/undo"))).await.status, 200);
    assert_eq!(end().await.status, 204);
}

#[actix_web::test]
async fn all_of_the_staff_see_every_line_and_each_writes_the_own() {
    let db = Database::with_sample().await;
    surrounded(&db).await;
    for (name, role, divisions) in [
        ("zhang.san", Role::Staff, &["430200"][..]),
        ("li.si", Role::Editor, &["430121"]),
        ("wang.wu", Role::Editor, &["430200"]),
        ("zhao.liu", Role::Admin, &[]),
    ] {
        add(&db, name, role, divisions).await;
    }
    let token = |name: &'static str| {
        let db = &db;
        async move {
            let issued = issue(db, json!({"account": name, "name": "test"})).await;
            issued["token"].as_str().expect("token").to_owned()
        }
    };
    // The public knows nothing of the layer, by any door.
    get(&db, ZONES).await.assert_problem(404, "collection_not_found");
    get(&db, KINDS).await.assert_problem(401, "token_missing");
    let staff = token("zhang.san").await;
    let all = call(&db, with_token(Method::GET, ZONES, &staff)).await.json();
    assert_eq!(all["numberMatched"], 5, "another county's lines are to be seen: {all}");
    let by_database = call_database(&db, with_token(Method::GET, ZONES, &staff)).await.json();
    assert_eq!(by_database["features"], all["features"]);
    // Who speaks for one county writes its lines, and nobody else's.
    let file = |name: &str, number: &str, county: &str| {
        let feature = json!({"编号": number, "县区代码": county});
        std::fs::read(parcels::file(name, &[(feature, boxed(113.3, 28.3, 113.31, 28.31))])).expect("file")
    };
    let send = |token: String, bytes: Vec<u8>| {
        let request = upload(
            "/api/imports",
            &[("layer", "control_zones"), ("zone_kind", "permanent_farmland")],
            "z.geojson",
            &bytes,
        );
        let db = &db;
        async move { call(db, request.insert_header(("authorization", format!("Bearer {token}")))).await.json() }
    };
    let own = send(token("li.si").await, file("own.geojson", "N1", "430121")).await;
    assert_eq!(own["status"], "checked", "{own}");
    let foreign = send(token("wang.wu").await, file("foreign.geojson", "N1", "430121")).await;
    assert_eq!(
        (&foreign["status"], &foreign["report"]["findings"][0]["code"]),
        (&json!("refused"), &json!("outside_jurisdiction"))
    );
    // Nor may a line that stands be taken over by calling it one's own.
    let taken = send(token("wang.wu").await, file("taken.geojson", "F1", "430202")).await;
    assert_eq!(
        (&taken["status"], &taken["report"]["findings"][0]["code"]),
        (&json!("refused"), &json!("outside_jurisdiction"))
    );
    // Kinds are for administrators.
    let kind =
        json!({"name": "甲", "name_en": "A", "effect": "inform", "park_weight": "note", "parcel_weight": "note"});
    for (name, status) in [("zhang.san", 403), ("li.si", 403), ("zhao.liu", 201)] {
        let request =
            with_token(Method::PUT, &format!("{KINDS}/a"), &token(name).await).insert_header(("if-none-match", "*"));
        let answer = call(&db, request.set_json(&kind)).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
    }
}

#[actix_web::test]
async fn drawn_lines_say_so_and_a_second_time_changes_nothing() {
    let db = Database::with_sample().await;
    let drawn = sample::seed_zones(&db.pool, "test").await.expect("drawn");
    let parks: i64 = db.value("SELECT count(DISTINCT park_code) FROM park_block").await;
    let kinds: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count(*) FROM control_zone GROUP BY kind ORDER BY kind COLLATE \"C\"")
            .fetch_all(&db.pool)
            .await
            .expect("kinds");
    let red_lines = (0..parks).filter(|nth| nth % 4 == 1).count() as i64;
    assert_eq!(
        kinds,
        [
            ("control_unit", parks),
            ("development_boundary", parks),
            ("ecological_red_line", red_lines),
            ("permanent_farmland", parks)
        ]
        .map(|(kind, count)| (kind.to_owned(), count))
    );
    assert_eq!(drawn.zones as i64, 3 * parks + red_lines);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM control_zone WHERE NOT illustrative OR source NOT LIKE '示意%' OR name NOT LIKE '%示意%' OR NOT ST_IsValid(geom)").await,
        0
    );
    assert_eq!(sample::seed_zones(&db.pool, "test").await.expect("again").revision, None);
    // A check of all that is drawn has something of every weight to tell.
    let crossed: i64 = db
        .value("SELECT count(DISTINCT b.park_code) FROM park_block b JOIN control_zone z ON z.kind = 'permanent_farmland' AND ST_Overlaps(b.geom, z.geom)")
        .await;
    assert!(crossed >= 5, "{crossed}");
    let exported = get_authorised(&db, &format!("{ZONES}?f=csv&limit=3")).await;
    assert!(exported.text().contains("管控类型"), "{}", exported.text());
}

#[actix_web::test]
async fn a_field_called_area_is_an_area_where_the_county_has_its_own() {
    let db = Database::with_sample().await;
    let properties = json!({"编号": "1", "市": "长沙市", "AREA": 10939.5, "县": "长沙县"});
    let path = parcels::file("zones-area.geojson", &[(properties, boxed(113.0, 28.2, 113.1, 28.3))]);
    let imported = db.import(&path, zones_of(Some("permanent_farmland"))).await.expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    let row: (String, Option<f64>) = sqlx::query_as("SELECT division_code, stated_area_ha::float8 FROM control_zone")
        .fetch_one(&db.pool)
        .await
        .expect("zone");
    assert_eq!(row, ("430121".to_owned(), Some(10939.5)));
    // A division that the request names has to be known as well.
    let refused = db
        .import(&path, |request| {
            zones_of(Some("permanent_farmland"))(request);
            request.county = sizhi::domain::DivisionCode::parse("999999").ok();
        })
        .await;
    assert_eq!(refused.expect_err("refused").code(), "division_unknown");
}
