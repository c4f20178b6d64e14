//! Checks of overlaps over HTTP: what they find against PostGIS, that they can be opened, repeated and compared, who sees them.

use std::collections::BTreeMap;
use std::io::Cursor;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use calamine::{DataType as _, Reader as _, Xlsx};
use serde_json::{Value, json};
use sizhi::domain::access::{Jurisdiction, Role, Viewer};
use sizhi::domain::overlap::Thresholds;
use sizhi::domain::overlap_check::{CheckStatus, Purpose};
use sizhi::geometry::area;
use sizhi::inventory::overlap_check::{CheckRequest, Desk, Given, Question};
use sizhi::layers::catalogue::Catalogue;
use sizhi::layers::declaration;
use sizhi::store::geometry_column;

use crate::support::Database;
use crate::support::accounts::{add, issue, with_token};
use crate::support::files;
use crate::support::http::{Answer, authorised, call, call_database, get_authorised, upload};
use crate::support::overlaps::{CHECKS, comb, one_comb_for_all_blocks, polygon};
use crate::support::process::{run, sizhi};

async fn post(db: &Database, path: &str, body: &Value) -> Answer {
    call(db, authorised(Method::POST, path).set_json(body)).await
}

/// Starts a check and gives it finished.
async fn made(db: &Database, body: &Value) -> Value {
    let answer = post(db, CHECKS, body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let check = answer.json();
    assert_eq!(check["status"], "finished", "{check}");
    check
}

async fn findings(db: &Database, check: &Value, query: &str) -> Value {
    let answer = get_authorised(db, &format!("{CHECKS}/{}/findings?limit=10000{query}", check["id"])).await;
    assert_eq!(answer.header("content-type"), Some("application/geo+json"), "{}", answer.text());
    answer.json()
}

/// Some 20 km around Changsha, over several parks' drawn blocks.
fn around_changsha() -> Value {
    polygon(&[[112.8, 28.1], [113.2, 28.05], [113.15, 28.4], [112.95, 28.35]])
}

/// Classes by feature, of one layer.
fn classes(findings: &Value) -> BTreeMap<String, String> {
    let features = findings["features"].as_array().expect("features");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    features.iter().map(|f| (text(&f["properties"]["feature_id"]), text(&f["properties"]["class"]))).collect()
}

#[actix_web::test]
async fn a_candidate_is_told_what_it_shares_as_postgis_measures_it() {
    let db = Database::with_sample().await;
    let candidate = around_changsha();
    let check =
        made(&db, &json!({"title": "岳麓南扩", "subject": {"geojson": candidate}, "layers": ["park_blocks"]})).await;
    assert_eq!((&check["title"], &check["subjects"], &check["repeats"]), (&json!("岳麓南扩"), &json!(1), &Value::Null));
    assert_eq!(
        check["request"]["thresholds"],
        json!({"sliver_width_m": 0.5, "sliver_share": 0.01, "gap_width_m": 1.0})
    );
    let found = findings(&db, &check, "").await;
    // The land as PostGIS cuts it out, by the legal formula: on edges of some hundred metres it is not the geodesic area.
    let judge: Vec<(String, Vec<u8>, f64)> = sqlx::query_as(
        "WITH candidate AS (SELECT ST_SetSRID(ST_GeomFromGeoJSON($1), 4490) AS geom)
         SELECT b.id, ST_AsEWKB(ST_Multi(ST_Intersection(b.geom, c.geom))), b.area_m2
         FROM park_block b, candidate c WHERE ST_Intersects(b.geom, c.geom) AND b.valid_to > current_date ORDER BY b.id",
    )
    .bind(candidate.to_string())
    .fetch_all(&db.pool)
    .await
    .expect("judge");
    let by_formula = |land: &[u8]| area::ellipsoidal(&geometry_column::decode(land).expect("polygons")).value();
    let judge: Vec<(String, f64, f64)> =
        judge.into_iter().map(|(id, land, whole)| (id, by_formula(&land), whole)).collect();
    assert!(judge.len() >= 5, "{judge:?}");
    let features = found["features"].as_array().expect("features");
    let ids: Vec<&str> = features.iter().map(|f| f["properties"]["feature_id"].as_str().expect("id")).collect();
    assert_eq!(ids, judge.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>());
    let mut within = 0;
    for (feature, (id, area, whole)) in features.iter().zip(&judge) {
        let properties = &feature["properties"];
        let ours = properties["area_m2"].as_f64().expect("m²");
        assert!((ours - area).abs() <= 1e-4, "{id}: {ours} against {area}");
        assert!((properties["area_mu"].as_f64().expect("亩") - ours * 0.0015).abs() < 1e-6);
        assert!((properties["share_of_feature"].as_f64().expect("share") - area / whole).abs() < 1e-6, "{id}");
        let inside = (area / whole - 1.0).abs() < 1e-9;
        within += usize::from(inside);
        assert_eq!(properties["class"], if inside { "contains" } else { "overlap" }, "{id}");
        assert_eq!((&properties["weight"], &properties["verdict"]), (&json!("block"), &json!("open")));
        let drawn: Vec<u8> = sqlx::query_scalar("SELECT ST_AsEWKB(ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON($1), 4490)))")
            .bind(feature["geometry"].to_string())
            .fetch_one(&db.pool)
            .await
            .expect("drawn");
        // Eight decimals of a degree are a millimetre.
        let drawn = by_formula(&drawn);
        assert!((drawn - area).abs() < 1.0 + area * 1e-6, "{id}: {drawn} drawn of {area}");
    }
    assert!(within > 0 && within < judge.len(), "{within} of {}", judge.len());
    let summary = &check["summary"];
    assert_eq!((&summary["found"], &summary["complete"]), (&json!(judge.len()), &json!(true)));
    let total: f64 = judge.iter().map(|(_, area, _)| area).sum();
    let told = summary["by_weight"]["block"]["area_m2"].as_f64().expect("m²");
    assert!((told / total - 1.0).abs() < 1e-6, "{told} against {total}");
    // Filters and pages.
    let some = findings(&db, &check, "&class=contains").await;
    assert_eq!((&some["numberMatched"], &some["numberReturned"]), (&json!(within), &json!(within)));
    let page =
        get_authorised(&db, &format!("{CHECKS}/{}/findings?limit=2&skipGeometry=true", check["id"])).await.json();
    assert_eq!((page["numberReturned"].as_u64(), &page["features"][1]["geometry"]), (Some(2), &Value::Null));
    let next = page["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next").expect("more");
    assert!(next["href"].as_str().is_some_and(|href| href.ends_with("after=2")), "{next}");
}

#[actix_web::test]
async fn memory_and_database_find_the_same_bytes() {
    let db = Database::with_sample().await;
    let body = json!({"subject": {"geojson": around_changsha()}, "thresholds": {"gap_width_m": 20}});
    let held = made(&db, &body).await;
    let read = call_database(&db, authorised(Method::POST, CHECKS).set_json(&body)).await.json();
    assert_eq!(read["status"], "finished", "{read}");
    assert!(held["summary"]["found"].as_u64().is_some_and(|found| found > 5), "{held}");
    let bytes = |check: &Value| findings_text(&db, check["id"].clone());
    assert_eq!(bytes(&held).await, bytes(&read).await);
    assert_eq!((&held["summary"], &held["revision"]), (&read["summary"], &read["revision"]));
}

async fn findings_text(db: &Database, id: Value) -> String {
    let answer = get_authorised(db, &format!("{CHECKS}/{id}/findings?limit=10000")).await;
    // The addresses name the check.
    let mut document = answer.json();
    document.as_object_mut().expect("object").remove("links");
    document.to_string()
}

#[actix_web::test]
async fn a_check_repeated_on_its_revision_is_the_same_and_on_the_present_tells_what_is_otherwise() {
    let db = Database::with_sample().await;
    let first = made(&db, &json!({"subject": {"geojson": around_changsha()}, "layers": ["park_blocks"]})).await;
    let before = findings(&db, &first, "").await;
    let ids: Vec<String> = classes(&before).into_keys().collect();
    let (gone, cut) = (&ids[0], &ids[1]);
    db.write(&format!(
        "UPDATE park_block SET valid_to = current_date WHERE id = '{gone}';
         UPDATE park_block SET geom = ST_Multi(ST_Intersection(geom, ST_Expand(ST_SetSRID(ST_MakePoint(ST_X(ST_Centroid(geom)), ST_YMin(geom)), 4490),
             (ST_YMax(geom) - ST_YMin(geom)) / 2))) WHERE id = '{cut}';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs)
         SELECT park_code || '-neu', park_code, 'neu', ST_Multi(ST_MakeEnvelope(113.0, 28.2, 113.001, 28.201, 4490)), 1, '测绘', 'EPSG:4490'
         FROM park_block WHERE id = '{gone}' LIMIT 1"
    ))
    .await;
    let id = first["id"].clone();
    let same = post(&db, &format!("{CHECKS}/{id}/repeat"), &json!({"on": "same_revision"})).await.json();
    assert_eq!((&same["repeats"], &same["revision"]), (&id, &first["revision"]), "{same}");
    assert_eq!(findings_text(&db, same["id"].clone()).await, findings_text(&db, id.clone()).await);
    let difference = get_authorised(&db, &format!("{CHECKS}/{}/difference", same["id"])).await.json();
    assert_eq!(
        (&difference["came"], &difference["went"], &difference["changed"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(difference["same"].as_u64(), Some(ids.len() as u64));

    let now = post(&db, &format!("{CHECKS}/{id}/repeat"), &json!({})).await.json();
    assert!(now["revision"].as_i64() > first["revision"].as_i64(), "{now}");
    let difference = get_authorised(&db, &format!("{CHECKS}/{}/difference", now["id"])).await.json();
    let listed = |name: &str| -> Vec<String> {
        let rows = difference[name].as_array().expect("list").iter();
        rows.map(|row| row["feature_id"].as_str().or(row["before"]["feature_id"].as_str()).expect("id").to_owned())
            .collect()
    };
    let park = gone.split('-').next().expect("park");
    assert_eq!(
        (listed("came"), listed("went"), listed("changed")),
        (vec![format!("{park}-neu")], vec![gone.clone()], vec![cut.clone()])
    );
    assert_eq!(difference["same"].as_u64(), Some(ids.len() as u64 - 2));
    let changed = &difference["changed"][0];
    assert!(changed["before"]["area_m2"].as_f64() > changed["after"]["area_m2"].as_f64(), "{changed}");
    // The first one is as it was.
    assert_eq!(findings(&db, &first, "").await, before);
}

#[actix_web::test]
async fn what_stands_is_not_compared_with_itself() {
    let db = Database::with_sample().await;
    let (block, park): (String, String) = sqlx::query_as(
        "SELECT min(id), min(park_code) FROM park_block WHERE park_code = (SELECT min(park_code) FROM park_block)",
    )
    .fetch_one(&db.pool)
    .await
    .expect("block");
    db.write(&format!(
        "INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs)
         SELECT other.code || '-x', other.code, 'x', b.geom, b.area_m2, '测绘', 'EPSG:4490'
         FROM park_block b, (SELECT max(code) AS code FROM park) other WHERE b.id = '{block}'"
    ))
    .await;
    let twin: String = db.column("SELECT id FROM park_block WHERE number = 'x'").await.remove(0);
    for (collection, id, class) in [("park_blocks", &block, "identical"), ("parks", &park, "contains")] {
        let check =
            made(&db, &json!({"subject": {"collection": collection, "id": id}, "layers": ["park_blocks"]})).await;
        let found = classes(&findings(&db, &check, "&weight=block").await);
        let expected = if collection == "parks"
            && db.column::<String>(&format!("SELECT id FROM park_block WHERE park_code = '{park}'")).await.len() == 1
        {
            "identical"
        } else {
            class
        };
        assert_eq!(found, BTreeMap::from([(twin.clone(), expected.to_owned())]), "{collection}");
    }
    post(&db, CHECKS, &json!({"subject": {"collection": "parks", "id": "G999999"}}))
        .await
        .assert_problem(404, "item_not_found");
}

#[actix_web::test]
async fn the_day_decides_which_blocks_lie_there() {
    let db = Database::with_sample().await;
    db.write(
        "DELETE FROM park_block WHERE geom && ST_MakeEnvelope(112.9, 28.2, 112.95, 28.25, 4490);
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs, valid_from, valid_to)
         SELECT code || '-t' || n, code, 't' || n, ST_Multi(ST_MakeEnvelope(112.9, 28.2, 112.91, 28.21, 4490)), 1, '测绘', 'EPSG:4490', f::date, t::date
         FROM (SELECT min(code) AS code FROM park) p, (VALUES (1, '2015-01-01', '2020-01-01'), (2, '2020-01-01', 'infinity')) v (n, f, t)",
    )
    .await;
    let subject =
        json!({"geojson": polygon(&[[112.902, 28.202], [112.904, 28.202], [112.904, 28.204], [112.902, 28.204]])});
    for (date, expected) in [(json!("2019-12-31"), "t1"), (json!("2020-01-01"), "t2"), (Value::Null, "t2")] {
        let check = made(&db, &json!({"subject": subject, "layers": ["park_blocks"], "date": date})).await;
        let found = classes(&findings(&db, &check, "").await);
        let ids: Vec<&String> = found.keys().collect();
        assert!(ids.len() == 1 && ids[0].ends_with(expected), "{date}: {ids:?}");
        assert_eq!((&found[ids[0]], &check["date"]), (&"within".to_owned(), &date));
    }
}

#[actix_web::test]
async fn every_word_on_a_finding_is_kept_and_the_last_one_counts() {
    let db = Database::with_sample().await;
    let check = made(&db, &json!({"subject": {"geojson": around_changsha()}, "layers": ["park_blocks"]})).await;
    let marks = format!("{CHECKS}/{}/findings/2/marks", check["id"]);
    for (verdict, note) in [("to_fix", "退线 5 米"), ("accepted", "已退线，见附图\n二次核对")] {
        let answer = post(&db, &marks, &json!({"verdict": verdict, "note": note})).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
        let told = answer.json()["properties"].clone();
        assert_eq!(
            (&told["verdict"], &told["note"], &told["marked_by"]),
            (&json!(verdict), &json!(note), &json!("http:admin"))
        );
    }
    let all = get_authorised(&db, &marks).await.json();
    let words: Vec<&str> =
        all["marks"].as_array().expect("marks").iter().filter_map(|m| m["verdict"].as_str()).collect();
    assert_eq!(words, ["to_fix", "accepted"]);
    let accepted = findings(&db, &check, "&verdict=accepted").await;
    assert_eq!((&accepted["numberMatched"], &accepted["features"][0]["id"]), (&json!(1), &json!(2)));
    let open = findings(&db, &check, "&verdict=open").await;
    assert_eq!(open["numberMatched"].as_u64(), check["summary"]["found"].as_u64().map(|n| n - 1));
    for (path, body, status, code) in [
        (marks.as_str(), json!({"verdict": "maybe"}), 400, "member_invalid"),
        (marks.as_str(), json!({"note": "x"}), 400, "member_missing"),
        (marks.as_str(), json!({"verdict": "open", "note": "字".repeat(1_001)}), 400, "value_invalid"),
        (marks.as_str(), json!({"verdict": "open", "note": "\u{202e}x"}), 400, "text_control_character"),
        (&marks.replace("/2/", "/999/"), json!({"verdict": "open"}), 404, "finding_not_found"),
        (&marks.replace("/2/", "/-1/"), json!({"verdict": "open"}), 404, "finding_not_found"),
    ] {
        post(&db, path, &body).await.assert_problem(status, code);
    }
}

#[actix_web::test]
async fn a_report_has_the_same_findings_in_every_form() {
    let db = Database::with_sample().await;
    let check =
        made(&db, &json!({"title": "<南扩>", "subject": {"geojson": around_changsha()}, "layers": ["park_blocks"]}))
            .await;
    let listed = findings(&db, &check, "").await;
    let url = format!("{CHECKS}/{}/report", check["id"]);
    let whole = get_authorised(&db, &format!("{url}?f=geojson")).await;
    assert_eq!(whole.header("content-type"), Some("application/geo+json"));
    assert_eq!((&whole.json()["features"], &whole.json()["check"]["id"]), (&listed["features"], &check["id"]));
    let book = get_authorised(&db, &format!("{url}?f=xlsx")).await;
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(book.body)).expect("workbook");
    let sheet = book.worksheet_range("检查结果").expect("sheet");
    let features = listed["features"].as_array().expect("features");
    assert_eq!(sheet.height(), features.len() + 1);
    for (row, feature) in sheet.rows().skip(1).zip(features) {
        let properties = &feature["properties"];
        assert_eq!(row[5].get_string(), properties["feature_id"].as_str(), "{row:?}");
        // Three areas: m², 公顷, 亩.
        for (cell, name) in [(8, "area_m2"), (9, "area_ha"), (10, "area_mu")] {
            let (ours, told) = (row[cell].get_float().expect("number"), properties[name].as_f64().expect("number"));
            assert!((ours - told).abs() <= 0.005, "{name}: {ours} against {told}");
        }
    }
    assert_eq!(book.worksheet_range("检查的图形").expect("sheet").height(), 2);
    let page = get_authorised(&db, &url).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    assert!(text.contains("重叠检查报告：&lt;南扩&gt;") && !text.contains("<南扩>"), "escaped");
    assert_eq!(text.matches("<svg").count(), 1);
    assert_eq!(text.matches("<path class=\"block\"").count(), features.len());
    for feature in features {
        assert!(text.contains(feature["properties"]["feature_id"].as_str().expect("id")), "{feature}");
    }
    let logged: Vec<String> =
        db.column("SELECT format FROM export_log WHERE layer LIKE 'overlap-check:%' ORDER BY id").await;
    assert_eq!(logged, ["geojson", "xlsx"]);
    get_authorised(&db, &format!("{url}?f=pdf")).await.assert_problem(400, "value_invalid");
}

#[actix_web::test]
async fn a_check_shows_to_whoever_may_see_all_that_its_maker_could() {
    let db = Database::with_sample().await;
    for (name, role, divisions) in [
        ("changsha", Role::Planner, vec!["430100"]),
        ("yuhua", Role::Planner, vec!["430111"]),
        ("province", Role::Planner, vec!["430000"]),
        ("clerk", Role::Staff, vec!["430100"]),
        ("editor", Role::Editor, vec!["430100"]),
    ] {
        add(&db, name, role, &divisions).await;
    }
    let mut tokens = BTreeMap::new();
    for name in ["changsha", "yuhua", "province", "clerk", "editor"] {
        let token =
            issue(&db, json!({"account": name, "name": "desk"})).await["token"].as_str().expect("token").to_owned();
        tokens.insert(name, token);
    }
    let ask = async |name: &str, method: Method, path: &str, body: Option<Value>| {
        let request: TestRequest = with_token(method, path, &tokens[name]);
        call(
            &db,
            match body {
                Some(body) => request.set_json(body),
                None => request,
            },
        )
        .await
    };
    let body = json!({"subject": {"geojson": around_changsha()}, "layers": ["park_blocks"]});
    let made = ask("changsha", Method::POST, CHECKS, Some(body.clone())).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    let url = format!("{CHECKS}/{}", made.json()["id"]);
    for (name, status) in [("changsha", 200), ("province", 200), ("editor", 200), ("yuhua", 404), ("clerk", 403)] {
        for path in [url.clone(), format!("{url}/findings"), format!("{url}/findings/1/marks")] {
            assert_eq!(ask(name, Method::GET, &path, None).await.status.as_u16(), status, "{name} {path}");
        }
    }
    let listed = async |name| ask(name, Method::GET, CHECKS, None).await.json()["numberReturned"].clone();
    assert_eq!((listed("changsha").await, listed("yuhua").await), (json!(1), json!(0)));
    // Repeated by somebody who sees more, it is the same question.
    let again = ask("province", Method::POST, &format!("{url}/repeat"), Some(json!({"on": "same_revision"}))).await;
    assert_eq!(again.status.as_u16(), 201, "{}", again.text());
    let again = format!("{CHECKS}/{}", again.json()["id"]);
    assert_eq!(
        ask("changsha", Method::GET, &again, None).await.status.as_u16(),
        200,
        "it shows what its maker could see"
    );
    assert_eq!(ask("province", Method::DELETE, &again, None).await.status.as_u16(), 204);
    // Whoever did not make it may not remove it.
    ask("province", Method::DELETE, &url, None).await.assert_problem(403, "not_your_check");
    ask("changsha", Method::POST, &format!("{url}/cancel"), None).await.assert_problem(409, "check_is_over");
    assert_eq!(ask("changsha", Method::DELETE, &url, None).await.status.as_u16(), 204);
    ask("changsha", Method::GET, &url, None).await.assert_problem(404, "check_not_found");
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM overlap_finding").fetch_one(&db.pool).await.expect("count");
    assert_eq!(left, 0);
    // A county's planner asks of the ledgers only what lies in the county; everybody's parks are everybody's.
    let yuhua = ask("yuhua", Method::POST, CHECKS, Some(body)).await.json();
    assert_eq!(yuhua["status"], "finished", "{yuhua}");
}

#[actix_web::test]
async fn ways_in_that_are_no_geojson() {
    let db = Database::with_sample().await;
    let ring = [[112.9, 28.2], [112.91, 28.2], [112.91, 28.21], [112.9, 28.21]];
    let expected = made(&db, &json!({"subject": {"geojson": polygon(&ring)}})).await;
    let text: String = ring.iter().map(|[x, y]| format!("{y}, {x}\n")).collect();
    let pasted = made(&db, &json!({"subject": {"coordinates": text}})).await;
    assert_eq!(pasted["summary"], expected["summary"]);
    let noted = pasted["request"]["subject"]["findings"][0]["message"].as_str().expect("noted");
    assert!(noted.contains("在前"), "{noted}");
    let file = json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"name": "东片"}, "geometry": polygon(&ring)},
        {"type": "Feature", "properties": {"name": "西片"}, "geometry": polygon(&[[112.8, 28.2], [112.81, 28.2], [112.81, 28.21]])}]});
    let fields = [("layers", "divisions"), ("title", "两片"), ("sliver_width_m", "1.5"), ("purpose", "parcel")];
    let answer = call(&db, upload(CHECKS, &fields, "边界.geojson", file.to_string().as_bytes())).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let check = answer.json();
    assert_eq!((&check["subjects"], &check["title"]), (&json!(2), &json!("两片")));
    assert_eq!(check["request"]["subject"]["name"], "边界.geojson");
    assert_eq!(
        (&check["request"]["thresholds"]["sliver_width_m"], &check["request"]["purpose"]),
        (&json!(1.5), &json!("parcel"))
    );
    let labels: Vec<Value> = findings(&db, &check, "").await["features"]
        .as_array()
        .expect("features")
        .iter()
        .map(|f| f["properties"]["subject_label"].clone())
        .collect();
    assert!(labels.contains(&json!("东片")) && labels.contains(&json!("西片")), "{labels:?}");
}

#[actix_web::test]
async fn coordinates_are_kept_to_the_last_bit_and_thousands_of_shapes_meet_the_past() {
    let db = Database::with_sample().await;
    let odd = [[112.9, 28.573198143400262], [112.91, 28.573198143400266], [112.905, 28.58]];
    made(&db, &json!({"subject": {"geojson": polygon(&odd)}})).await;
    let kept: Vec<f64> = db.column("SELECT ST_Y((ST_DumpPoints(geom)).geom) FROM overlap_subject LIMIT 2").await;
    assert_eq!(kept.iter().map(|y| y.to_bits()).collect::<Vec<_>>(), [odd[0][1].to_bits(), odd[1][1].to_bits()]);
    let bom = made(
        &db,
        &json!({"subject": {"coordinates": "\u{feff}112.9\u{a0}28.2\r112.91\u{a0}28.2\r１１２.９１，２８.２１"}}),
    )
    .await;
    assert_eq!(bom["status"], "finished");
    let small = |n: u32| {
        let (x, y) = (112.5 + f64::from(n % 50) * 0.01, 28.0 + f64::from(n / 50) * 0.01);
        json!({"type": "Feature", "properties": {}, "geometry": polygon(&[[x, y], [x + 0.005, y], [x + 0.005, y + 0.005]])})
    };
    let many = json!({"type": "FeatureCollection", "features": (0..2_000).map(small).collect::<Vec<_>>()});
    let now = made(&db, &json!({"subject": {"geojson": many}, "layers": ["park_blocks"]})).await;
    let then = made(&db, &json!({"subject": {"geojson": many}, "layers": ["park_blocks"], "revision": 1})).await;
    assert!(now["summary"]["found"].as_u64().is_some_and(|found| found > 50), "{}", now["summary"]);
    assert_eq!(now["summary"], then["summary"]);
    assert_eq!(findings_text(&db, now["id"].clone()).await, findings_text(&db, then["id"].clone()).await);
}

#[actix_web::test]
async fn what_cannot_be_checked_is_refused_with_its_place() {
    let db = Database::with_sample().await;
    let square = polygon(&[[112.9, 28.2], [112.91, 28.2], [112.91, 28.21], [112.9, 28.21]]);
    let bow = polygon(&[[112.9, 28.2], [112.91, 28.21], [112.91, 28.2], [112.9, 28.21]]);
    // A star of 401 points that crosses itself everywhere.
    let star: Vec<[f64; 2]> = (0..401)
        .map(|i| f64::from(i) * 200.0 / 401.0 * std::f64::consts::TAU)
        .map(|turn| [112.9 + 0.01 * turn.cos(), 28.2 + 0.01 * turn.sin()])
        .collect();
    let subject = |value: Value| json!({"subject": value});
    for (body, status, code) in [
        (json!({}), 400, "member_missing"),
        (subject(json!("x")), 400, "member_invalid"),
        (subject(json!({})), 400, "member_invalid"),
        (subject(json!({"geojson": square, "coordinates": "1 2"})), 400, "member_invalid"),
        (subject(json!({"wkt": "POINT(0 0)"})), 400, "member_invalid"),
        (subject(json!({"geojson": bow})), 400, "subject_invalid"),
        (subject(json!({"geojson": polygon(&star)})), 400, "subject_invalid"),
        (subject(json!({"geojson": {"type": "Point", "coordinates": [112.9, 28.2]}})), 400, "subject_invalid"),
        (subject(json!({"geojson": {"type": "FeatureCollection", "features": []}})), 400, "subject_missing"),
        (subject(json!({"coordinates": "东至湘江"})), 400, "subject_invalid"),
        (subject(json!({"coordinates": "490000 3121000\n491000 3121000\n491000 3122000"})), 400, "subject_invalid"),
        (
            subject(json!({"geojson": polygon(&[[120.0, 28.2], [120.01, 28.2], [120.01, 28.21]])})),
            400,
            "subject_invalid",
        ),
        (subject(json!({"collection": "parks", "id": "\0"})), 400, "member_invalid"),
        (subject(json!({"collection": "roads", "id": "1"})), 404, "collection_not_found"),
        (json!({"subject": {"geojson": square}, "layers": ["roads"]}), 404, "collection_not_found"),
        (json!({"subject": {"geojson": square}, "layers": []}), 400, "layers_missing"),
        (json!({"subject": {"geojson": square}, "thresholds": {"sliver_width_m": 21}}), 400, "thresholds_invalid"),
        (json!({"subject": {"geojson": square}, "thresholds": {"width": 1}}), 400, "member_invalid"),
        (json!({"subject": {"geojson": square}, "purpose": "road"}), 400, "value_invalid"),
        (json!({"subject": {"geojson": square}, "date": "2024-13-01"}), 400, "value_invalid"),
        (json!({"subject": {"geojson": square}, "revision": 999_999}), 400, "revision_unknown"),
        (json!({"subject": {"geojson": square}, "title": "长".repeat(101)}), 400, "value_invalid"),
        (json!({"subject": {"geojson": square}, "colour": "red"}), 400, "member_unknown"),
    ] {
        let answer = post(&db, CHECKS, &body).await;
        let problem = answer.assert_problem(status, code);
        if code == "subject_invalid" {
            assert!(problem["findings"].as_array().is_some_and(|list| !list.is_empty()), "{problem}");
        }
    }
    for path in ["/0", "/x", "/999", "/999/findings", "/999/difference?from=1", "/999/events"] {
        get_authorised(&db, &format!("{CHECKS}{path}")).await.assert_problem(404, "check_not_found");
    }
    post(&db, &format!("{CHECKS}/999/repeat"), &json!({})).await.assert_problem(404, "check_not_found");
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM overlap_check").fetch_one(&db.pool).await.expect("count");
    assert_eq!(kept, 0, "nothing of what was refused stays");
}

#[actix_web::test]
async fn the_command_line_finds_the_same_and_refuses_what_blocks() {
    let db = Database::with_sample().await;
    let check = made(&db, &json!({"subject": {"geojson": around_changsha()}, "layers": ["park_blocks"]})).await;
    let listed = findings(&db, &check, "").await;
    let file = |shape: &Value| files::write("candidate.geojson", shape.to_string());
    let checked = async |shape: &Value, more: &[&str]| {
        let mut command = sizhi(&["check", "overlaps", "--layers", "park_blocks"]);
        command.args(more).arg(file(shape)).env("DATABASE_URL", db.url().await);
        run(command, b"")
    };
    let told = checked(&around_changsha(), &["--json"]).await;
    assert_eq!(told.status.code(), Some(3), "blocks: {}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).expect("one document");
    assert_eq!((&told["revision"], &told["summary"]), (&check["revision"], &check["summary"]));
    let measures = |features: &Value| -> Vec<Value> {
        let rows = features.as_array().expect("features").iter();
        rows.map(|f| {
            json!([f["geometry"], f["properties"]["feature_id"], f["properties"]["area_m2"], f["properties"]["class"]])
        })
        .collect()
    };
    assert_eq!(measures(&told["features"]), measures(&listed["features"]));
    // Nothing near: nothing to say, and no refusal. The words name thresholds and revision.
    let apart = checked(&polygon(&[[109.0, 25.0], [109.001, 25.0], [109.001, 25.001]]), &[]).await;
    let words = String::from_utf8_lossy(&apart.stdout).into_owned();
    assert_eq!((apart.status.code(), words.lines().count()), (Some(0), 1), "{words}");
    assert!(words.contains("不得通过 0") && words.contains("不宽于 0.5 米"), "{words}");
    let wrong = checked(&around_changsha(), &["--gap-width", "99"]).await;
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("thresholds_invalid"));
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM overlap_check").fetch_one(&db.pool).await.expect("count");
    assert_eq!(kept, 1, "the command line keeps nothing");
}

fn planner(jurisdiction: Jurisdiction) -> Viewer {
    Viewer { actor: "account:planner".to_owned(), role: Role::Planner, jurisdiction }
}

fn request() -> CheckRequest {
    CheckRequest {
        title: String::new(),
        purpose: Purpose::ParkBoundary,
        layers: Some(vec![declaration::find("park_blocks").expect("a layer of ours")]),
        thresholds: Thresholds::default(),
        on_day: None,
        revision: None,
    }
}

#[actix_web::test]
async fn whoever_speaks_for_no_division_keeps_no_check() {
    let db = Database::with_sample().await;
    let desk = Desk::new(db.application.clone(), None);
    let given = Given::GeoJson(around_changsha().to_string());
    let refused = desk.start(&planner(Jurisdiction::NOWHERE), &Catalogue::default(), &request(), given).await;
    assert_eq!(refused.expect_err("nobody's").code(), "outside_jurisdiction");
    // Nor asks it what is answered at once: nothing that it sees would look like nothing in the way.
    let (nobody, given) = (planner(Jurisdiction::NOWHERE), Given::GeoJson(around_changsha().to_string()));
    let refused = Question::of(&db.application, &nobody, &Catalogue::default(), request(), given).await;
    assert_eq!(refused.err().expect("nobody's").code(), "outside_jurisdiction");
}

/// Two checks hold the desk's places; what others wait for can be stopped, and of many that ask at once four get a place.
#[actix_web::test]
async fn a_queue_has_its_bound_and_what_waits_in_it_can_be_stopped() {
    let db = Database::with_sample().await;
    let desk = Desk::new(db.application.clone(), None);
    let (viewer, catalogue, request) = (planner(Jurisdiction::Everywhere), Catalogue::default(), request());
    // Whoever holds the layer's table against reading holds up every comparison.
    let mut holder = db.pool.begin().await.expect("transaction");
    sqlx::raw_sql("LOCK TABLE park_block IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.expect("locked");
    let start = || desk.start(&viewer, &catalogue, &request, Given::GeoJson(around_changsha().to_string()));
    // While they wait for their answers, before the database gives the first two up.
    let stop_one = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let checks = desk.list(&viewer, 100, None).await.expect("checks");
            let running = checks.iter().filter(|check| check.status == CheckStatus::Running).count();
            let queued = checks.iter().find(|check| check.status == CheckStatus::Queued && running == 2);
            if let Some(check) = queued {
                return desk.cancel(&viewer, check.id).await.expect("stopped");
            }
        }
    };
    let (asked, stopped) = tokio::join!(futures_util::future::join_all((0..12).map(|_| start())), stop_one);
    let taken = asked.iter().filter(|check| check.is_ok()).count();
    let refused = asked.iter().filter(|check| check.as_ref().is_err_and(|e| e.code() == "too_many_checks")).count();
    assert_eq!((taken, refused), (4, 8), "{asked:?}");
    assert_eq!(stopped.status, CheckStatus::Cancelled);
    holder.rollback().await.expect("let go");
}

#[actix_web::test]
async fn combs_across_each_other_are_measured_as_postgis_measures_them() {
    let db = Database::with_sample().await;
    one_comb_for_all_blocks(&db).await;
    let begun = std::time::Instant::now();
    let check = made(&db, &json!({"subject": {"geojson": polygon(&comb(false))}, "layers": ["park_blocks"]})).await;
    println!("a check of combs took {:?}", begun.elapsed());
    let found = findings(&db, &check, "").await;
    let land: Vec<u8> = sqlx::query_scalar(
        "SELECT ST_AsEWKB(ST_Multi(ST_CollectionExtract(ST_Intersection(geom, ST_SetSRID(ST_GeomFromGeoJSON($1), 4490)), 3))) FROM park_block",
    )
    .bind(polygon(&comb(false)).to_string())
    .fetch_one(&db.pool)
    .await
    .expect("judge");
    let land = geometry_column::decode(&land).expect("polygons");
    assert!(land.0.len() > 5_000, "{} pieces", land.0.len());
    assert_eq!(found["numberMatched"], 1, "{check}");
    let (ours, judge) =
        (found["features"][0]["properties"]["area_m2"].as_f64().expect("m²"), area::ellipsoidal(&land).value());
    assert!((ours - judge).abs() < 1e-3, "{ours} against {judge}");
    assert_eq!(found["features"][0]["geometry"]["coordinates"].as_array().map(Vec::len), Some(land.0.len()));
}

#[actix_web::test]
async fn progress_ends_with_the_check_and_a_lost_job_is_told() {
    let db = Database::with_sample().await;
    let check = made(&db, &json!({"subject": {"geojson": around_changsha()}})).await;
    let events = get_authorised(&db, &format!("{CHECKS}/{}/events", check["id"])).await;
    assert_eq!(events.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let compared = check["summary"]["compared"].as_i64().filter(|n| *n > 5).expect("compared");
    let expected = format!(
        "event: end\ndata: {{\"id\":{},\"status\":\"finished\",\"status_label\":\"已完成\",\"done\":{compared},\"total\":{compared}}}",
        check["id"]
    );
    assert!(events.text().starts_with(&expected), "{}", events.text());
    // Its server died: no beat for a while.
    sqlx::raw_sql(
        "INSERT INTO overlap_check (title, actor, jurisdiction, status, request, heartbeat_at)
         SELECT title, actor, jurisdiction, 'running', request, clock_timestamp() - interval '1 minute' FROM overlap_check LIMIT 1",
    )
    .execute(&db.pool)
    .await
    .expect("lost");
    let lost = get_authorised(&db, &format!("{CHECKS}/{}", check["id"].as_i64().expect("id") + 1)).await.json();
    assert_eq!(
        (&lost["status"], lost["trouble"].as_str().is_some_and(|t| t.contains("重新检查"))),
        (&json!("failed"), true),
        "{lost}"
    );
    post(&db, &format!("{CHECKS}/{}/cancel", lost["id"]), &json!({})).await.assert_problem(409, "check_is_over");
    // One that lives is stopped by its wish.
    sqlx::raw_sql("UPDATE overlap_check SET heartbeat_at = clock_timestamp() WHERE status = 'running'")
        .execute(&db.pool)
        .await
        .expect("alive");
    let wished = post(&db, &format!("{CHECKS}/{}/cancel", lost["id"]), &json!({})).await;
    assert_eq!(wished.status.as_u16(), 200, "{}", wished.text());
    let wanted: bool = sqlx::query_scalar("SELECT cancel_wanted FROM overlap_check WHERE status = 'running'")
        .fetch_one(&db.pool)
        .await
        .expect("row");
    assert!(wanted);
    // Nobody may fill the queue.
    sqlx::raw_sql("INSERT INTO overlap_check (title, actor, jurisdiction, request) SELECT title, actor, jurisdiction, request FROM overlap_check, generate_series(1, 4) LIMIT 4")
        .execute(&db.pool)
        .await
        .expect("queue");
    let refused = post(&db, CHECKS, &json!({"subject": {"geojson": around_changsha()}})).await;
    refused.assert_problem(429, "too_many_checks");
    assert!(refused.header("retry-after").is_some());
}
