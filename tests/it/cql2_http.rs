//! `filter` over HTTP: items, downloads and facets of the register's own layers, judged by SQL; what is refused.

use actix_web::http::Method;
use serde_json::json;
use sizhi::domain::DivisionCode;
use sizhi::domain::access::Role;

use crate::support::http::{call, encode, get, get_authorised};
use crate::support::parcels::{PARK, file, inside, into, square};
use crate::support::{Database, accounts};

async fn matched(db: &Database, path: &str) -> i64 {
    let answer = get_authorised(db, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()["numberMatched"].as_i64().expect("numberMatched")
}

fn items(layer: &str, filter: &str) -> String {
    format!("/api/collections/{layer}/items?limit=1&filter={}", encode(filter))
}

#[actix_web::test]
async fn a_filter_chooses_what_the_same_condition_in_sql_chooses() {
    let db = Database::with_sample().await;
    for (layer, filter, condition) in [
        ("parks", "level='国家级'", "level = '国家级'"),
        ("parks", "level='国家级' OR name LIKE '%高新%'", "level = '国家级' OR name LIKE '%高新%'"),
        (
            "parks",
            "NOT level='国家级' AND status IN ('active','merged')",
            "level <> '国家级' AND status IN ('active','merged')",
        ),
        ("parks", "A_CONTAINS(leading_industries,('食品'))", "'食品' = ANY(leading_industries)"),
        (
            "parks",
            "A_OVERLAPS(county_codes,('430121','430124')) AND illustrative=TRUE",
            "county_codes && '{430121,430124}' AND illustrative",
        ),
        ("parks", "valid_to IS NULL AND valid_from IS NOT NULL", "valid_to IS NULL AND valid_from IS NOT NULL"),
        ("parks", "area(geometry) > 20000000", "ST_Area(geom::geography) > 2e7"),
        (
            "parks",
            "S_INTERSECTS(geometry,BBOX(112.5,27.5,113.5,28.5)) AND S_DISJOINT(geometry,POINT(113 28))",
            "ST_Intersects(geom, ST_MakeEnvelope(112.5,27.5,113.5,28.5,4490)) AND NOT ST_Intersects(geom, ST_SetSRID(ST_Point(113,28),4490))",
        ),
        (
            "park_blocks",
            "S_WITHIN(geom,POLYGON((112 27,114 27,114 29,112 29,112 27))) AND number<>'1'",
            "ST_Within(geom, ST_MakeEnvelope(112,27,114,29,4490)) AND number <> '1' AND valid_to IS NULL",
        ),
        (
            "divisions",
            "level='county' AND code BETWEEN '430100' AND '430199'",
            "level = 'county' AND code COLLATE \"C\" BETWEEN '430100' AND '430199'",
        ),
        ("divisions", "parent_code=code OR maps_to IS NOT NULL", "parent_code = code OR maps_to IS NOT NULL"),
    ] {
        let expected: i64 = db.value(&format!("SELECT count(*) FROM layer_{layer} WHERE {condition}")).await;
        assert_eq!(matched(&db, &items(layer, filter)).await, expected, "{layer} {filter}");
    }
    // Both ways of writing, and joined by “and” with the other parameters.
    let national: i64 = db.value("SELECT count(*) FROM layer_parks WHERE level = '国家级'").await;
    assert!(national > 1);
    let written = json!({"op": "=", "args": [{"property": "level"}, "国家级"]}).to_string();
    let path = format!("/api/collections/parks/items?filter-lang=cql2-json&filter={}", encode(&written));
    assert_eq!(matched(&db, &path).await, national);
    let path = format!("{}&level={}", items("parks", "level='国家级'"), encode("省级"));
    assert_eq!(matched(&db, &path).await, 0);
    let two = "SELECT count(*) FROM layer_parks WHERE ST_Intersects(geom, ST_MakeEnvelope(112,27,113,29,4490)) AND ST_Intersects(geom, ST_MakeEnvelope(112.9,27,114,29,4490))";
    let path = format!("{}&bbox=112,27,113,29", items("parks", "S_INTERSECTS(geometry,BBOX(112.9,27,114,29))"));
    assert_eq!(matched(&db, &path).await, db.value::<i64>(two).await);
}

#[actix_web::test]
async fn downloads_facets_and_pages_go_by_the_filter() {
    let db = Database::with_sample().await;
    let filter = encode("level='国家级' AND NOT name='x'");
    let expected: i64 = db.value("SELECT count(*) FROM layer_parks WHERE level = '国家级'").await;
    let csv = get(&db, &format!("/api/collections/parks/items?f=csv&filter={filter}")).await;
    assert_eq!(csv.status, 200);
    assert_eq!(csv.text().lines().count() as i64, expected + 1, "a heading and the rows");
    let facets = get(&db, &format!("/api/collections/parks/facets?properties=level&filter={filter}")).await.json();
    assert_eq!(
        (&facets["numberMatched"], &facets["facets"][0]["values"]),
        (&json!(expected), &json!([{"value": "国家级", "count": expected}]))
    );
    // Page by page, each feature once.
    let mut path = format!("/api/collections/parks/items?limit=5&filter={filter}");
    let mut seen = Vec::new();
    loop {
        let page = get(&db, &path).await.json();
        seen.extend(
            page["features"].as_array().expect("features").iter().map(|f| f["id"].as_str().expect("id").to_owned()),
        );
        let next = page["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next");
        let Some(next) = next.and_then(|link| link["href"].as_str()) else { break };
        path = next[next.find("/api").expect("an address of ours")..].to_owned();
    }
    let wanted: Vec<String> = db.column("SELECT feature_id FROM layer_parks WHERE level = '国家级' ORDER BY 1").await;
    assert_eq!(seen, wanted);
}

#[actix_web::test]
async fn coordinates_of_a_filter_are_of_its_system() {
    let db = Database::with_sample().await;
    let expected = matched(&db, &items("parks", "S_INTERSECTS(geometry,BBOX(112.5,27.5,113.5,28.5))")).await;
    assert!(expected > 0);
    let (east_first, north_first) = (
        encode("S_INTERSECTS(geometry,BBOX(112.5,27.5,113.5,28.5))"),
        encode("S_INTERSECTS(geometry,BBOX(27.5,112.5,28.5,113.5))"),
    );
    for (crs, filter) in [
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", &east_first),
        ("http://www.opengis.net/def/crs/EPSG/0/4490", &north_first),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", &north_first),
    ] {
        let path = format!("/api/collections/parks/items?limit=1&filter-crs={}&filter={filter}", encode(crs));
        assert_eq!(matched(&db, &path).await, expected, "{crs}");
    }
}

/// A county's clerk finds nothing of another county, whatever the filter says.
#[actix_web::test]
async fn a_filter_is_joined_with_the_jurisdiction_and_never_replaces_it() {
    let db = Database::with_sample().await;
    // Three parcels of the clerk's county, two of another, side by side.
    let (x, y, _) = inside(&db, PARK).await;
    for (county, count, north) in [("430121", 3, 0.0), ("430181", 2, 0.002)] {
        let parcel = |n: i32| {
            (
                json!({"地块编号": format!("Z{n}"), "状态": "已批准", "状态日期": "2024-05-06"}),
                square(x + f64::from(n) * 0.002, y + north, 0.001),
            )
        };
        let path = file(&format!("{county}.geojson"), &(0..count).map(parcel).collect::<Vec<_>>());
        let imported = db.import(&path, |request| {
            into("turnover_parcels")(request);
            request.county = DivisionCode::parse(county).ok();
        });
        let imported = imported.await.expect("imported");
        assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    }
    accounts::add(&db, "clerk", Role::Staff, &["430121"]).await;
    let cookie = accounts::login(&db, "clerk").await;
    // Who is bound by no policy counts both.
    let mut judge = db.superuser().await;
    let sql = "SELECT count(*) FILTER (WHERE county_code = '430121'), count(*) FROM turnover_parcel";
    let (own, all): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut judge).await.expect("judged");
    assert_eq!((own, all), (3, 5));
    for (filter, expected) in [
        ("TRUE", own),
        ("county_code='430121' OR TRUE", own),
        ("NOT county_code='430121'", 0),
        ("county_code IN ('430124','430181') OR S_DISJOINT(geometry,geometry)", 0),
        ("S_INTERSECTS(geometry,BBOX(-180,-90,180,90)) OR 1=1", own),
    ] {
        let path = items("turnover_parcels", filter);
        let answer = call(&db, accounts::from_page(Method::GET, &path, &cookie)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["numberMatched"]), (200, &json!(expected)), "{filter}");
        // To the public the layer does not exist, with a filter or without.
        get(&db, &path).await.assert_problem(404, "collection_not_found");
    }
}

#[actix_web::test]
async fn what_is_wrong_with_a_filter_is_a_problem_with_its_place() {
    let db = Database::with_sample().await;
    let ask = async |query: &str| get(&db, &format!("/api/collections/parks/items?{query}")).await;
    for (query, code, sentence) in [
        ("filter=", "filter_invalid", "filter 第 1 个字符处：是空的"),
        ("filter=level%3D", "filter_invalid", "第 7 个字符处：应为属性名、值或条件，不是结尾"),
        ("filter=nope%3D1", "filter_invalid", "第 1 个字符处：没有属性“nope”；可查询的属性：code、name"),
        ("filter=aliases%20is%20null", "filter_invalid", "不能按属性“aliases”过滤"),
        ("filter-lang=cql2-json&filter=%7B%7D", "filter_invalid", "filter 整体："),
        ("filter-lang=cql2-json&filter=level%3D1", "filter_invalid", "不是 JSON"),
        ("filter-lang=cql-text&filter=true", "value_invalid", "cql2-text 或 cql2-json"),
        ("filter-lang=x", "value_invalid", "cql2-text 或 cql2-json"),
        ("filter-crs=x&filter=true", "crs_unknown", "filter-crs"),
        ("filter-crs=gcj02&filter=true", "crs_display_only", "filter-crs"),
        ("filter=true&filter=true", "parameter_repeated", "重复"),
        ("filter=name%3D%27%00%27", "value_invalid", "不允许的字符"),
        ("filter=1%2F0%3D1&filter-lang=cql2-text&limit=x", "limit_invalid", "limit"),
        ("filter=9e307*9%3D1", "number_out_of_range", "范围"),
    ] {
        let answer = ask(query).await;
        let problem = answer.assert_problem(400, code);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(sentence)), "{query}: {problem}");
    }
    // (Not the register's fault, and no value: it matches nothing.)
    assert_eq!(matched(&db, &items("parks", "1/0=1 OR 1%0=0 OR (-1)^0.5=0")).await, 0);
    // Elsewhere it is no parameter.
    get(&db, "/api/collections/parks?filter=true").await.assert_problem(400, "parameter_unknown");
}

#[actix_web::test]
async fn hostile_filters_are_refused_at_the_door() {
    let db = Database::with_sample().await;
    let texts = [
        "NOT%20".repeat(1_300) + "TRUE",
        format!("{}TRUE{}", "(".repeat(4_000), ")".repeat(4_000)),
        format!("code%20IN%20('a'{})", ",'a'".repeat(1_100)),
        format!("TRUE{}", "%20OR%20TRUE".repeat(300)),
        "a".repeat(9_000),
    ];
    let jsons = [
        format!("{}true{}", "[".repeat(4_000), "]".repeat(4_000)),
        format!("{}true{}", "%7B%22op%22:%22not%22,%22args%22:[".repeat(200), "]%7D".repeat(200)),
    ];
    let texts = texts.iter().map(|text| ("cql2-text", text));
    for (language, filter) in texts.chain(jsons.iter().map(|text| ("cql2-json", text))) {
        let path = format!("/api/collections/parks/items?filter-lang={language}&filter={filter}");
        get(&db, &path).await.assert_problem(400, "filter_too_complex");
    }
}
