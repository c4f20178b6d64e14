//! OGC API Features: the items of a layer, judged by SQL over the register's own tables.

use geojson::{GeoJson, GeometryValue};
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{encode, get, get_authorised, link, path_of};

/// Collection, and the ids that it must show, in the order of pages.
const LAYERS: [(&str, &str); 3] = [
    ("parks", "SELECT code FROM park ORDER BY code"),
    ("park_blocks", "SELECT id FROM park_block WHERE valid_to = 'infinity' ORDER BY id"),
    ("divisions", "SELECT code FROM division ORDER BY code"),
];

fn ids(collection: &Value) -> Vec<String> {
    let features = collection["features"].as_array().unwrap_or_else(|| panic!("no features: {collection}"));
    features.iter().map(|f| f["id"].as_str().expect("a text id").to_owned()).collect()
}

/// Twice the signed area of a ring: positive where it runs counter-clockwise.
fn winding(ring: &[geojson::Position]) -> f64 {
    // From the first position: thin holes are lost in the digits of the degrees.
    let origin = ring[0].as_slice();
    let xy = |p: &geojson::Position| (p.as_slice()[0] - origin[0], p.as_slice()[1] - origin[1]);
    let pairs = ring.windows(2).map(|p| (xy(&p[0]), xy(&p[1])));
    -pairs.map(|((x1, y1), (x2, y2))| (x2 - x1) * (y2 + y1)).sum::<f64>()
}

/// Decimals of the number as it is written.
fn decimals(number: f64) -> usize {
    format!("{number}").split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// Rings that are holes, polygons, positions of a feature; every rule of RFC 7946 for its polygons asserted.
fn check_geometry(feature: &geojson::Feature) -> (i64, i64, i64) {
    let id = feature.id.as_ref().expect("an id");
    let Some(geometry) = &feature.geometry else { return (0, 0, 0) };
    let GeometryValue::MultiPolygon { coordinates } = &geometry.value else { panic!("{id:?}: {geometry:?}") };
    let (mut holes, mut positions) = (0, 0);
    for polygon in coordinates {
        for (i, ring) in polygon.iter().enumerate() {
            assert!(ring.len() >= 4, "{id:?}: a ring of {}", ring.len());
            assert_eq!(ring.first(), ring.last(), "{id:?}: closed");
            assert_eq!(winding(ring) > 0.0, i == 0, "{id:?}: exterior counter-clockwise, holes clockwise");
            holes += i64::from(i > 0);
            positions += ring.len() as i64;
            for position in ring {
                assert_eq!(position.as_slice().len(), 2, "{id:?}: {position:?}");
                assert!(position.as_slice().iter().all(|n| decimals(*n) <= 8), "{id:?}: {position:?}");
            }
        }
    }
    (coordinates.len() as i64, holes, positions)
}

#[actix_web::test]
async fn every_layer_is_valid_rfc_7946_and_whole() {
    let db = Database::with_sample().await;
    let counts: Vec<(i64, i64, i64)> = sqlx::query_as(
        "WITH b AS (SELECT sum(ST_NumGeometries(geom)), sum(ST_NRings(geom) - ST_NumGeometries(geom)), sum(ST_NPoints(geom)) FROM park_block)
         SELECT * FROM b UNION ALL SELECT * FROM b UNION ALL
         SELECT sum(ST_NumGeometries(geom)), sum(ST_NRings(geom) - ST_NumGeometries(geom)), sum(ST_NPoints(geom)) FROM division",
    )
    .fetch_all(&db.pool)
    .await
    .expect("counts");
    assert!(counts[0].1 > 0, "the sample has holes, or their direction would go unjudged");
    for ((layer, sql), expected) in LAYERS.into_iter().zip(counts) {
        let answer = get_authorised(&db, &format!("/api/collections/{layer}/items?limit=1000")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/geo+json; charset=utf-8"));
        assert_eq!(answer.header("content-crs"), Some("<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"));
        assert!(!answer.text().contains("\"crs\""), "RFC 7946 has no crs member");
        let wanted: Vec<String> = db.column(sql).await;
        let body = answer.json();
        assert_eq!((&body["numberMatched"], &body["numberReturned"]), (&json!(wanted.len()), &json!(wanted.len())));
        assert_eq!(ids(&body), wanted);
        let GeoJson::FeatureCollection(parsed) = answer.text().parse().expect("GeoJSON") else { panic!("{layer}") };
        let found =
            parsed.features.iter().map(check_geometry).fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        assert_eq!(found, expected, "{layer}: polygons, holes, positions");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park").await, 129, "the parks of the catalogue of 2018");
}

#[actix_web::test]
async fn geometry_is_the_registers_to_the_last_decimal() {
    let db = Database::with_sample().await;
    let body = get_authorised(&db, "/api/collections/parks/items?limit=200").await.text();
    let (compared, farthest): (i64, f64) = sqlx::query_as(
        "SELECT count(*), max(ST_HausdorffDistance(ST_SetSRID(ST_GeomFromGeoJSON(f->'geometry'), 4490), g))
         FROM jsonb_array_elements($1::jsonb->'features') f
         JOIN (SELECT park_code, ST_Collect(d.geom) AS g FROM park_block, ST_Dump(geom) d GROUP BY 1) b ON park_code = f->>'id'",
    )
    .bind(body)
    .fetch_one(&db.pool)
    .await
    .expect("compared");
    assert_eq!(compared, 129);
    // Half of the last of eight decimals, in both directions.
    assert!(farthest <= 0.5e-8 * 2f64.sqrt() + 1e-12, "{farthest:e}°");
}

#[actix_web::test]
async fn next_links_show_every_id_once_and_end() {
    let db = Database::with_sample().await;
    for ((layer, sql), limit) in LAYERS.into_iter().zip([7, 50, 40]) {
        let wanted: Vec<String> = db.column(sql).await;
        let mut seen: Vec<String> = Vec::new();
        let mut path = format!("/api/collections/{layer}/items?limit={limit}");
        loop {
            let page = get_authorised(&db, &path).await.json();
            assert_eq!(page["numberMatched"], wanted.len(), "{path}");
            let rest = wanted.len() - seen.len();
            assert_eq!(page["numberReturned"], rest.min(limit), "{path}");
            seen.extend(ids(&page));
            match link(&page, "next") {
                Some(next) => path = path_of(next),
                None => break,
            }
            assert!(seen.len() < wanted.len(), "{layer}: a next page after the last");
        }
        assert_eq!(seen, wanted, "{layer}");
    }
}

#[actix_web::test]
async fn next_keeps_the_question_and_goes_on_behind_an_offset() {
    let db = Database::with_sample().await;
    let wanted: Vec<String> =
        db.column("SELECT code FROM park WHERE prefecture_code = '430100' AND level = '省级' ORDER BY code").await;
    assert!(wanted.len() > 5, "{wanted:?}");
    let path = format!("/api/collections/parks/items?prefecture_code=430100&level={}&limit=2&offset=1", encode("省级"));
    let first = get(&db, &path).await.json();
    let second = get(&db, &path_of(link(&first, "next").expect("more"))).await.json();
    assert_eq!(
        (first["numberMatched"].clone(), second["numberMatched"].clone()),
        (json!(wanted.len()), json!(wanted.len()))
    );
    assert_eq!([ids(&first), ids(&second)].concat(), wanted[1..5]);
    let beyond = get(&db, "/api/collections/parks/items?offset=129").await.json();
    assert_eq!((ids(&beyond), &beyond["numberMatched"], link(&beyond, "next")), (vec![], &json!(129), None));
}

#[actix_web::test]
async fn more_than_the_largest_page_is_answered_with_the_largest_page() {
    let db = Database::empty().await;
    db.write("INSERT INTO division (code, name, level, source) SELECT n::text, '某县', 'county', 'test' FROM generate_series(500001, 510001) n")
        .await;
    let huge = get(&db, "/api/collections/divisions/items?limit=99999999999999999999999").await.json();
    assert_eq!(huge["numberReturned"], 10_000);
    let page = get(&db, "/api/collections/divisions/items?limit=1000000000").await.json();
    assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&json!(10_001), &json!(10_000)));
    let last = get(&db, &path_of(link(&page, "next").expect("one more"))).await.json();
    assert_eq!((ids(&last), link(&last, "next")), (vec!["510001".to_owned()], None));
    let one = get(&db, "/api/collections/divisions/items?limit=1").await.json();
    assert_eq!(ids(&one), ["500001"]);
    let by_default = get(&db, "/api/collections/divisions/items").await.json();
    assert_eq!(by_default["numberReturned"], 100);
}

#[actix_web::test]
async fn properties_filter_by_equality_and_lists_by_membership() {
    let db = Database::with_sample().await;
    db.write("UPDATE park_block SET illustrative = false, source = '实测' WHERE park_code = 'S437069'").await;
    for (query, sql) in [
        ("prefecture_code=430100", "SELECT code FROM park WHERE prefecture_code = '430100' ORDER BY 1"),
        ("level=国家级", "SELECT code FROM park WHERE left(code, 1) = 'G' ORDER BY 1"),
        ("leading_industries=食品", "SELECT code FROM park WHERE leading_industries @> '{食品}' ORDER BY 1"),
        ("county_codes=430182", "SELECT code FROM park WHERE county_codes @> '{430182}' ORDER BY 1"),
        ("name=望城经济技术开发区", "SELECT 'G431176'"),
        ("illustrative=false", "SELECT 'S437069'"),
        ("illustrative=true", "SELECT code FROM park WHERE code <> 'S437069' ORDER BY 1"),
        ("illustrative=0", "SELECT 'S437069'"),
        ("illustrative=1", "SELECT code FROM park WHERE code <> 'S437069' ORDER BY 1"),
        (
            "level=省级&prefecture_code=430100&leading_industries=汽车零部件",
            "SELECT code FROM park WHERE left(code, 1) = 'S' AND prefecture_code = '430100' AND '汽车零部件' = ANY(leading_industries) ORDER BY 1",
        ),
    ] {
        let wanted: Vec<String> = db.column(sql).await;
        assert!(!wanted.is_empty() && wanted.len() < 129, "{query} would tell nothing: {wanted:?}");
        let pairs: Vec<String> =
            query.split('&').filter_map(|p| p.split_once('=')).map(|(n, v)| format!("{n}={}", encode(v))).collect();
        let page = get(&db, &format!("/api/collections/parks/items?limit=200&{}", pairs.join("&"))).await.json();
        assert_eq!(ids(&page), wanted, "{query}");
        assert_eq!(page["numberMatched"], wanted.len(), "{query}");
    }
    for none in ["%", "_", "食品%", "' OR 1=1 --", "{食品}", "食品,电子信息", ""] {
        let page = get(&db, &format!("/api/collections/parks/items?leading_industries={}", encode(none))).await;
        assert_eq!(page.json()["numberMatched"], 0, "no pattern, no list, no SQL: {none}");
    }
}

/// A block, its park and its prefecture, written by hand; the ring as a survey file has it: clockwise.
const ONE_BLOCK: &str = "
    INSERT INTO division (code, name, level, source) VALUES ('430000', '湖南省', 'province', 'test');
    INSERT INTO division (code, name, level, parent_code, source) VALUES ('430100', '长沙市', 'prefecture', '430000', 'test');
    INSERT INTO park (code, name, aliases, level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source)
    VALUES ('G431176', '望城经开区', '{望城高新区}', '国家级', '经济技术开发区', '430100', '{430112}', '{食品,电子信息}', '2014.02', 633.30, '2014-02-01', '名录');
    INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, north, four_extents, source, source_crs, attributes)
    VALUES ('G431176-一', 'G431176', '一', '一号区', ST_GeomFromText('MULTIPOLYGON(((113 28,113 28.01,113.0123456789 28.01,113.01 28,113 28)))', 4490),
            1234567.891, 123.500000, '甲路', '丁村', '东至甲路，北至丁村', '实测', 'EPSG:4526', '{\"备注\": \"x\"}')";

#[actix_web::test]
async fn a_block_and_its_park_are_shown_whole() {
    let db = Database::empty().await;
    db.write(ONE_BLOCK).await;
    let base = "http://localhost:8080/api/collections";
    let geometry = json!({
        "type": "MultiPolygon",
        "coordinates": [[[[113, 28], [113.01, 28], [113.01234568, 28.01], [113, 28.01], [113, 28]]]],
    });
    let links = |url: &str, title: &str, collection: &str| {
        json!([
            {"rel": "self", "type": "application/geo+json", "href": format!("{base}/{url}?f=json")},
            {"rel": "alternate", "type": "text/html", "href": format!("{base}/{url}?f=html")},
            {"rel": "version-history", "type": "application/json", "title": "沿革", "href": format!("{base}/{url}/history?f=json")},
            {"rel": "collection", "type": "application/json", "title": title, "href": format!("{base}/{collection}")},
        ])
    };
    let block = get_authorised(&db, "/api/collections/park_blocks/items/G431176-%E4%B8%80").await;
    assert_eq!(block.header("content-crs"), Some("<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"));
    assert_eq!(
        block.json(),
        json!({
            "type": "Feature", "id": "G431176-一", "geometry": geometry,
            "properties": {
                "id": "G431176-一", "park_code": "G431176", "park_name": "望城经开区", "number": "一", "name": "一号区",
                "stated_area_ha": 123.5, "computed_area_m2": 1_234_567.89, "computed_area_ha": 123.4568, "computed_area_mu": 1851.85,
                "east": "甲路", "south": null, "west": null, "north": "丁村", "four_extents": "东至甲路，北至丁村",
                "illustrative": false, "source": "实测", "source_crs": "EPSG:4526", "prefecture_code": "430100",
                "valid_from": null, "valid_to": null,
            },
            "links": links("park_blocks/items/G431176-%E4%B8%80", "园区区块", "park_blocks"),
        })
    );
    assert_eq!(
        get_authorised(&db, "/api/collections/parks/items/G431176").await.json(),
        json!({
            "type": "Feature", "id": "G431176", "geometry": geometry,
            "properties": {
                "code": "G431176", "name": "望城经开区", "aliases": ["望城高新区"], "level": "国家级", "type": "经济技术开发区",
                "prefecture_code": "430100", "prefecture_name": "长沙市", "county_codes": ["430112"],
                "leading_industries": ["食品", "电子信息"], "approved_text": "2014.02", "approved_area_ha": 633.3,
                "stated_area_ha": 123.5, "computed_area_m2": 1_234_567.89, "computed_area_ha": 123.4568, "computed_area_mu": 1851.85,
                "block_count": 1, "status": "active", "successor_code": null, "illustrative": false, "source": "名录；边界：实测",
                "valid_from": "2014-02-01", "valid_to": null,
            },
            "links": links("parks/items/G431176", "产业园区", "parks"),
        })
    );
    let listed = get_authorised(&db, "/api/collections/park_blocks/items").await.json();
    assert_eq!(listed["features"][0]["geometry"], geometry, "the list shows what the item shows");
}

#[actix_web::test]
async fn a_list_without_members_is_null() {
    let db = Database::with_sample().await;
    let (without, with): (Vec<String>, Vec<String>) = (
        db.column("SELECT code FROM park WHERE county_codes = '{}' ORDER BY 1").await,
        db.column("SELECT code FROM park WHERE county_codes <> '{}' ORDER BY 1").await,
    );
    assert_eq!((without.len(), with.len()), (37, 92));
    let page = get_authorised(&db, "/api/collections/parks/items?limit=200").await.json();
    let of = |wanted: fn(&Value) -> bool| -> Vec<String> {
        let features = page["features"].as_array().expect("features");
        let chosen = features.iter().filter(|f| wanted(&f["properties"]["county_codes"]));
        chosen.map(|f| f["id"].as_str().expect("id").to_owned()).collect()
    };
    assert_eq!((of(Value::is_null), of(Value::is_array)), (without, with));
}

/// Rounded to eight decimals, a shape that was valid must not become one that is not.
#[actix_web::test]
async fn every_published_shape_is_valid() {
    let db = Database::with_sample().await;
    for (layer, shapes) in [("parks", 129), ("park_blocks", 280), ("divisions", 14)] {
        let page = get_authorised(&db, &format!("/api/collections/{layer}/items?limit=1000")).await.json();
        let features = page["features"].as_array().expect("features");
        let drawn: Vec<String> =
            features.iter().map(|f| &f["geometry"]).filter(|g| !g.is_null()).map(Value::to_string).collect();
        assert_eq!(drawn.len(), shapes, "{layer}");
        let faults: Vec<String> = sqlx::query_scalar(
            "SELECT ST_IsValidReason(g) FROM unnest($1::text[]) t, LATERAL (SELECT ST_GeomFromGeoJSON(t) AS g) s WHERE NOT ST_IsValid(g)",
        )
        .bind(&drawn)
        .fetch_all(&db.pool)
        .await
        .expect("judged");
        assert_eq!(faults, [""; 0], "{layer}");
    }
}

#[actix_web::test]
async fn what_is_not_there_is_a_404_that_says_what() {
    let db = Database::empty().await;
    let long = "一".repeat(1_000);
    for (path, code) in [
        ("/api/collections/parks/items/G431199".to_owned(), "item_not_found"),
        ("/api/collections/parks/items/a%2Fb".to_owned(), "item_not_found"),
        ("/api/collections/parks/items/a%00b".to_owned(), "item_not_found"),
        ("/api/collections/parks/items/%FF%FE".to_owned(), "item_not_found"),
        ("/api/collections/parks/items/%20".to_owned(), "item_not_found"),
        (format!("/api/collections/parks/items/{}", encode(&long)), "item_not_found"),
        ("/api/collections/park/items".to_owned(), "collection_not_found"),
        ("/api/collections/park/items/G431176".to_owned(), "collection_not_found"),
        ("/api/collections/a%00b/items".to_owned(), "collection_not_found"),
        ("/api/collections/layer_parks/items".to_owned(), "collection_not_found"),
        ("/api/collections/PARKS/items".to_owned(), "collection_not_found"),
        ("/api/collections/parks/items/".to_owned(), "address_not_found"),
        ("/api/collections/parks/items/G431176/x".to_owned(), "address_not_found"),
    ] {
        let problem = get(&db, &path).await.assert_problem(404, code);
        let detail = problem["detail"].as_str().expect("detail");
        assert!(detail.chars().count() < 120, "a long id is not quoted whole: {detail}");
    }
}
