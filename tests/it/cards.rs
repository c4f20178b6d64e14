//! A park's card: facts, words beside computed extremes, the check between them, lineage. Judged by hand and by PostGIS.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{get, get_authorised};

/// A park with one kite-shaped block: each side has one outermost vertex, none of them shared.
const KITE: &str = "
    INSERT INTO division (code, name, level, source) VALUES ('430100', '长沙市', 'prefecture', 'test');
    INSERT INTO park (code, name, aliases, level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source)
    VALUES ('G431176', '望城经开区', '{望城高新区}', '国家级', '经济技术开发区', '430100', '{430112}', '{食品}', '2014.02', 123.4, '2014-02-01', '名录');
    INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north, four_extents, source, source_crs)
    VALUES ('G431176-1', 'G431176', '1', '一号地块', ST_GeomFromText('MULTIPOLYGON(((113 28.005,113.005 28.02,113.01 28.0075,113.004 28,113 28.005)))', 4490),
            1234567.895, 123.5, '甲路以西330米处', '乙路、丙河', '丁村', '戊厂', '东至甲路以西330米处，南至乙路、丙河，西至丁村，北至戊厂', '实测', 'EPSG:4526');
    INSERT INTO park_event (id, park_code, kind, occurred_text, occurred_on, stage, document_no, area_before_ha, area_out_ha, area_in_ha, area_after_ha, block_areas_ha, related_park_codes, note, source)
    VALUES ('e-1', 'G431176', 'adjusted_and_extended', '2024-10-30', '2024-10-30', '公示', '1号', 100.5000, 10.2500, 33.1500, 123.4000, '{123.40}', '{G431033}', '注', '公告'),
           ('e-2', 'G431176', 'renamed', '2025-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', NULL, '报道');
    INSERT INTO directory_version (id, title, document_no, issued_on, source) VALUES ('cn-2018', '目录', '4号', '2018-02-26', '转录');
    INSERT INTO directory_entry (version_id, park_code, serial, name, area_ha, approved_text, leading_industries)
    VALUES ('cn-2018', 'G431176', 159, '望城经济技术开发区', 633.30, '2014.02', '{食品}')";

fn corner(lon: f64, lat: f64, dms: (&str, &str), vertex: i64) -> Value {
    json!({
        "lon": lon, "lat": lat, "lon_dms": dms.0, "lat_dms": dms.1, "block": "G431176-1", "part": 1, "ring": 1, "vertex": vertex,
    })
}

#[actix_web::test]
async fn a_card_shows_the_park_whole() {
    let db = Database::empty().await;
    db.write(KITE).await;
    let computed_area = json!({"m2": 1_234_567.9, "ha": 123.4568, "mu": 1851.85});
    let stated_area = json!({"m2": 1_235_000.0, "ha": 123.5, "mu": 1852.5});
    let extremes = json!({
        "bbox": [113.0, 28.0, 113.01, 28.02],
        "easternmost": corner(113.01, 28.0075, ("113°00′36.00″", "28°00′27.00″"), 3),
        "southernmost": corner(113.004, 28.0, ("113°00′14.40″", "28°00′00.00″"), 4),
        "westernmost": corner(113.0, 28.005, ("113°00′00.00″", "28°00′18.00″"), 1),
        "northernmost": corner(113.005, 28.02, ("113°00′18.00″", "28°01′12.00″"), 2),
    });
    let plain = |text: &str| json!([{"text": text, "offset": null}]);
    let sides = "东至甲路以西330米处，南至乙路、丙河，西至丁村，北至戊厂";
    let base = "http://localhost:8080/api";
    let expected = json!({
        "code": "G431176", "name": "望城经开区", "aliases": ["望城高新区"], "level": "国家级", "type": "经济技术开发区",
        "prefecture": {"code": "430100", "name": "长沙市"}, "county_codes": ["430112"], "leading_industries": ["食品"],
        "approved_text": "2014.02",
        "areas": {
            "approved": {"m2": 1_234_000.0, "ha": 123.4, "mu": 1851.0},
            "stated": stated_area,
            "computed": computed_area,
        },
        "block_count": 1, "status": "active", "successor_code": null, "illustrative": false, "source": "名录；边界：实测",
        "valid_from": "2014-02-01", "valid_to": null,
        "four_extents": {
            "text": format!("一号地块：面积123.5公顷，{sides}。"),
            "total_area_ha": null,
            "blocks": [{
                "name": "一号地块", "area_ha": 123.5,
                "east": "甲路以西330米处", "south": "乙路、丙河", "west": "丁村", "north": "戊厂",
            }],
            "warnings": [],
        },
        "computed": extremes,
        "check": {"verdict": "consistent", "verdict_label": "一致", "findings": []},
        "blocks": [{
            "id": "G431176-1", "number": "1", "name": "一号地块", "parts": 1, "rings": 1,
            "areas": {"stated": stated_area, "computed": computed_area},
            "four_extents": {
                "east": "甲路以西330米处", "south": "乙路、丙河", "west": "丁村", "north": "戊厂", "text": sides,
                "landmarks": {
                    "east": [{
                        "text": "甲路以西330米处",
                        "offset": {"landmark": "甲路", "direction": "west", "metres": 330.0},
                    }],
                    "south": [{"text": "乙路", "offset": null}, {"text": "丙河", "offset": null}],
                    "west": plain("丁村"),
                    "north": plain("戊厂"),
                },
            },
            "extremes": extremes, "illustrative": false, "source": "实测", "source_crs": "EPSG:4526",
        }],
        "lineage": [
            {
                "id": "e-1", "kind": "adjusted_and_extended", "occurred": "2024-10-30", "stage": "公示", "document_no": "1号",
                "area_before_ha": 100.5, "area_out_ha": 10.25, "area_in_ha": 33.15, "area_after_ha": 123.4,
                "block_areas_ha": [123.4], "related_park_codes": ["G431033"], "note": "注", "source": "公告",
            },
            {
                "id": "e-2", "kind": "renamed", "occurred": "2025-01", "stage": null, "document_no": null,
                "area_before_ha": null, "area_out_ha": null, "area_in_ha": null, "area_after_ha": null,
                "block_areas_ha": [], "related_park_codes": [], "note": null, "source": "报道",
            },
        ],
        "directory_versions": [{
            "id": "cn-2018", "title": "目录", "document_no": "4号", "issued_on": "2018-02-26", "serial": 159,
            "name": "望城经济技术开发区", "area_ha": 633.3, "approved_text": "2014.02", "leading_industries": ["食品"],
            "four_extents": null, "source": "转录",
        }],
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{base}/parks/G431176?f=json")},
            {"rel": "alternate", "type": "text/html", "href": format!("{base}/parks/G431176?f=html")},
            {"rel": "collection", "type": "application/json", "title": "园区名录", "href": format!("{base}/parks?f=json")},
            {"rel": "related", "type": "application/json", "title": "沿革图", "href": format!("{base}/parks/G431176/lineage")},
            {"rel": "related", "type": "application/geo+json", "title": "园区边界", "href": format!("{base}/collections/parks/items/G431176?f=json")},
            {"rel": "related", "type": "application/geo+json", "title": "区块边界", "href": format!("{base}/collections/park_blocks/items?park_code=G431176&f=json")},
        ],
    });
    let found = get_authorised(&db, "/api/parks/G431176").await.json();
    for (key, value) in expected.as_object().expect("object") {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found, expected, "nothing beside these");
}

#[actix_web::test]
async fn every_sample_card_agrees_with_postgis() {
    let db = Database::with_sample().await;
    type Judged = (String, f64, f64, f64, f64, f64, f64, f64, i64);
    let judged: Vec<Judged> = sqlx::query_as(
        "SELECT park_code, approved_area_ha::float8, sum(stated_area_ha)::float8, sum(area_m2),
                min(ST_XMin(geom)), min(ST_YMin(geom)), max(ST_XMax(geom)), max(ST_YMax(geom)), count(*)
         FROM park_block JOIN park ON code = park_code GROUP BY 1, 2 ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .expect("judged");
    assert_eq!(judged.len(), 129);
    for (code, approved, stated, square_metres, west, south, east, north, blocks) in judged {
        let card = get_authorised(&db, &format!("/api/parks/{code}")).await.json();
        assert_eq!((&card["code"], &card["block_count"]), (&json!(code), &json!(blocks)));
        assert_eq!(card["blocks"].as_array().map(Vec::len), Some(blocks as usize), "{code}");
        for (kind, hectares) in [("approved", approved), ("stated", stated), ("computed", square_metres / 1e4)] {
            let area =
                |unit: &str| card["areas"][kind][unit].as_f64().unwrap_or_else(|| panic!("{code} {kind} {unit}"));
            // Half of the last shown digit: 2, 4 and 2 decimals.
            assert!((area("m2") - hectares * 1e4).abs() <= 0.005 + 1e-6, "{code} {kind}: {} m²", area("m2"));
            assert!((area("ha") - hectares).abs() <= 0.000_05 + 1e-9, "{code} {kind}: {} ha", area("ha"));
            assert!((area("mu") - hectares * 15.0).abs() <= 0.005 + 1e-6, "{code} {kind}: {} mu", area("mu"));
        }
        let sides = [
            ("westernmost", "lon", west),
            ("southernmost", "lat", south),
            ("easternmost", "lon", east),
            ("northernmost", "lat", north),
        ];
        for (i, (side, axis, value)) in sides.into_iter().enumerate() {
            for shown in [&card["computed"]["bbox"][i], &card["computed"][side][axis]] {
                let shown = shown.as_f64().unwrap_or_else(|| panic!("{code} {side}"));
                assert!((shown - value).abs() <= 0.5e-8 + 1e-12, "{code} {side}: {shown} for {value}");
            }
        }
        assert_eq!(card["check"], json!({"verdict": "consistent", "verdict_label": "一致", "findings": []}), "{code}");
        assert!(card["illustrative"] == true && card["source"].as_str().is_some_and(|s| s.contains("示意")), "{code}");
        assert_eq!(card["four_extents"]["blocks"].as_array().map(Vec::len), Some(blocks as usize), "{code}");
    }
}

#[actix_web::test]
async fn the_outermost_vertex_is_where_postgis_finds_it() {
    let db = Database::with_sample().await;
    let card = get_authorised(&db, "/api/parks/G431177").await.json();
    for (side, axis, order) in [("easternmost", "lon", "DESC"), ("southernmost", "lat", "ASC")] {
        let corner = &card["computed"][side];
        let column = if axis == "lon" { "ST_X(p.geom)" } else { "ST_Y(p.geom)" };
        let (block, path, x, y): (String, Vec<i32>, f64, f64) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT id, p.path, ST_X(p.geom), ST_Y(p.geom) FROM park_block b, ST_DumpPoints(b.geom) p
             WHERE park_code = 'G431177' ORDER BY {column} {order}, length(number), number, p.path LIMIT 1"
        )))
        .fetch_one(&db.pool)
        .await
        .expect("judged");
        assert_eq!(corner["block"], block, "{side}");
        assert_eq!(json!([corner["part"], corner["ring"], corner["vertex"]]), json!(path), "{side}");
        let far = (corner["lon"].as_f64().expect("lon") - x).hypot(corner["lat"].as_f64().expect("lat") - y);
        assert!(far <= 1e-8, "{side}: {far:e}°");
    }
}

#[actix_web::test]
async fn the_verdict_follows_the_stated_areas() {
    let db = Database::with_sample().await;
    let verdict = async || {
        let card = get(&db, "/api/parks/G431176").await.json();
        let findings = card["check"]["findings"].as_array().expect("findings").clone();
        let found: Vec<String> =
            findings.iter().map(|f| format!("{} {}", f["severity"], f["code"]).replace('"', "")).collect();
        (card["check"]["verdict"].as_str().expect("verdict").to_owned(), card["check"]["verdict_label"].clone(), found)
    };
    let said = |verdict: &str, label: &str, findings: &[&str]| {
        (verdict.to_owned(), json!(label), findings.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>())
    };
    // 0.9 % is within what drawing and rounding explain, 5 % is not, 20 % is another piece of land.
    let one =
        "UPDATE park_block SET stated_area_ha = round((area_m2 / 10000 * 1.009)::numeric, 6) WHERE id = 'G431176-1'";
    db.write(one).await;
    assert_eq!(verdict().await, said("consistent", "一致", &[]));
    db.write("UPDATE park_block SET stated_area_ha = round((area_m2 / 10000 * 1.05)::numeric, 6) WHERE park_code = 'G431176'").await;
    let blocks: i64 = db.value("SELECT count(*) FROM park_block WHERE park_code = 'G431176'").await;
    let each = |finding: &str| vec![finding.to_owned(); blocks as usize];
    let (found, _, findings) = verdict().await;
    assert_eq!(found, "doubtful");
    assert_eq!(
        findings,
        [each("warning stated_vs_computed_area"), vec!["warning approved_vs_stated_area".to_owned()]].concat()
    );
    db.write(
        "UPDATE park_block SET stated_area_ha = round((area_m2 / 10000 * 0.8)::numeric, 6) WHERE park_code = 'G431176'",
    )
    .await;
    let (found, label, findings) = verdict().await;
    assert_eq!((found.as_str(), label), ("inconsistent", json!("不一致")));
    assert_eq!(
        findings,
        [each("error stated_vs_computed_area"), vec!["error approved_vs_stated_area".to_owned()]].concat()
    );
    db.write("UPDATE park_block SET stated_area_ha = NULL, four_extents = NULL, east = NULL, south = NULL, west = NULL, north = NULL WHERE park_code = 'G431176'").await;
    assert_eq!(verdict().await, said("not_checkable", "无法核对", &["warning extents_no_directions"]));
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn lineage_shows_the_arithmetic_of_the_notice() {
    let db = Database::with_sample().await;
    let card = get(&db, "/api/parks/G431177").await.json();
    let events = card["lineage"].as_array().expect("lineage");
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    // 宁乡经济技术开发区, notice of 2024-10-30: 2161.12 − 326.82 + 278.80 = 2113.10 ha in three blocks.
    assert_eq!((&event["kind"], &event["occurred"]), (&json!("adjusted_and_extended"), &json!("2024-10-30")));
    let areas = ["area_before_ha", "area_out_ha", "area_in_ha", "area_after_ha"].map(|key| event[key].clone());
    assert_eq!(json!(areas), json!([2161.12, 326.82, 278.8, 2113.1]));
    assert_eq!(event["block_areas_ha"], json!([196.23, 153.15, 1763.72]));
    let cents = |value: &Value| (value.as_f64().expect("a number") * 100.0).round() as i64;
    assert_eq!(cents(&areas[0]) - cents(&areas[1]) + cents(&areas[2]), cents(&areas[3]));
    assert_eq!(event["block_areas_ha"].as_array().expect("blocks").iter().map(cents).sum::<i64>(), cents(&areas[3]));
    assert_eq!(card["areas"]["approved"]["ha"], 580.32, "an event does not change the catalogue's area");
    let page = get(&db, "/api/parks/G431177?f=html").await.text();
    for part in ["沿革", "调区扩区", "2161.12", "326.82", "278.8", "2113.1", "2024-10-30"] {
        assert!(page.contains(part), "“{part}” is missing: {page}");
    }
}

#[actix_web::test]
async fn a_park_without_blocks_says_so() {
    let db = Database::with_sample().await;
    db.write("DELETE FROM park_block WHERE park_code = 'G431176'").await;
    let card = get(&db, "/api/parks/G431176").await.json();
    assert_eq!((&card["block_count"], &card["computed"], &card["blocks"]), (&json!(0), &Value::Null, &json!([])));
    let expected =
        json!({"approved": {"m2": 6_333_000.0, "ha": 633.3, "mu": 9499.5}, "stated": null, "computed": null});
    assert_eq!(card["areas"], expected);
    assert_eq!(card["check"]["verdict"], "not_checkable");
    assert!(get(&db, "/api/parks/G431176?f=html").await.text().contains("没有登记边界"));
    let feature = get(&db, "/api/collections/parks/items/G431176").await.json();
    assert_eq!((&feature["geometry"], &feature["properties"]["block_count"]), (&Value::Null, &json!(0)));
}

#[actix_web::test]
async fn a_card_asks_for_a_code_of_the_catalogue() {
    let db = Database::with_sample().await;
    get(&db, "/api/parks/G431199").await.assert_problem(404, "park_not_found");
    for bad in [
        "X431176",
        "G43117",
        "G4311760",
        "431176",
        "%E6%9C%9B%E5%9F%8E",
        "G431176%00",
        "G43117%2F",
        "%FF",
        "G431176-1",
        "%20",
    ] {
        get(&db, &format!("/api/parks/{bad}")).await.assert_problem(400, "park_code_invalid");
    }
    // As people type it.
    assert_eq!(get(&db, "/api/parks/g431176").await.json()["code"], "G431176");
    get(&db, "/api/parks/G431176?x=1").await.assert_problem(400, "parameter_unknown");
    get(&db, "/api/parks/G431176?f=json&f=html").await.assert_problem(400, "parameter_repeated");
}
