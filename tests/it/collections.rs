//! What the service says of itself: landing, conformance, collections, queryables, schemas. Whole bodies, by hand.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{get, get_authorised};

const API: &str = "http://localhost:8080/api";
const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";

#[actix_web::test]
async fn the_landing_page_leads_everywhere() {
    let db = Database::empty().await;
    for path in ["/api", "/api/", "/api?f=json"] {
        let answer = get(&db, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, Some("application/json; charset=utf-8"))
        );
        let expected = json!({
            "title": "四至：产业园区土地清单",
            "description": "园区边界、四至范围与园区名录，按 OGC API Features 提供。边界为示意者均已注明。",
            "links": [
                {"rel": "self", "type": "application/json", "title": "本页 JSON", "href": format!("{API}?f=json")},
                {"rel": "alternate", "type": "text/html", "title": "本页 HTML", "href": format!("{API}?f=html")},
                {"rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.0", "title": "OpenAPI 3.0", "href": format!("{API}/openapi.json")},
                {"rel": "service-doc", "type": "text/html", "title": "接口说明", "href": format!("{API}/docs")},
                {"rel": "conformance", "type": "application/json", "title": "符合的标准", "href": format!("{API}/conformance")},
                {"rel": "data", "type": "application/json", "title": "图层", "href": format!("{API}/collections")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector", "type": "application/json", "title": "矢量瓦片", "href": format!("{API}/tiles")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes", "type": "application/json", "title": "瓦片矩阵集", "href": format!("{API}/tileMatrixSets")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/conformance", "type": "application/json", "title": "符合的标准", "href": format!("{API}/conformance")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/data", "type": "application/json", "title": "图层", "href": format!("{API}/collections")},
            ],
        });
        assert_eq!(answer.json(), expected, "{path}");
    }
}

#[actix_web::test]
async fn conformance_claims_what_there_is_and_nothing_else() {
    let db = Database::empty().await;
    let body = get(&db, "/api/conformance").await.json();
    let features = [
        "1/1.0/conf/core",
        "1/1.0/conf/oas30",
        "1/1.0/conf/html",
        "1/1.0/conf/geojson",
        "2/1.0/conf/crs",
        "6/1.0/conf/properties",
        "6/1.0/conf/properties-features",
    ]
    .map(|class| format!("http://www.opengis.net/spec/ogcapi-features-{class}"));
    let tiles = [
        "core",
        "tileset",
        "tilesets-list",
        "dataset-tilesets",
        "geodata-tilesets",
        "collections-selection",
        "mvt",
        "oas30",
    ]
    .map(|name| format!("http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}"));
    let matrices = ["tilematrixset", "json-tilematrixset", "json-tilesetmetadata"]
        .map(|name| format!("http://www.opengis.net/spec/tms/2.0/conf/{name}"));
    let filter = |name: &str| format!("http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/{name}");
    let cql2 = |name: &str| format!("http://www.opengis.net/spec/cql2/1.0/conf/{name}");
    let filters = ["queryables", "queryables-query-parameters", "filter", "features-filter"].map(filter);
    // All classes of 21-065r2.
    let of_cql2 = [
        "cql2-text",
        "cql2-json",
        "basic-cql2",
        "advanced-comparison-operators",
        "case-insensitive-comparison",
        "accent-insensitive-comparison",
        "basic-spatial-functions",
        "basic-spatial-functions-plus",
        "spatial-functions",
        "temporal-functions",
        "array-functions",
        "property-property",
        "functions",
        "arithmetic",
    ]
    .map(cql2);
    let classes: Vec<String> =
        features.into_iter().chain(tiles).chain(matrices).chain(filters).chain(of_cql2).collect();
    assert_eq!(body, json!({"conformsTo": classes}));
    let page = get(&db, "/api/conformance?f=html").await.text();
    assert!(classes.iter().all(|class| page.contains(class)), "{page}");
}

#[actix_web::test]
async fn collections_tell_where_and_since_when() {
    let db = Database::with_sample().await;
    let mut described = Vec::new();
    for (id, title, title_en, description, spatial, temporal) in [
        (
            "parks",
            "产业园区",
            "Industrial parks",
            "园区名录与现行边界（各区块合成一个多面）；示意（illustrative）为是者，边界由程序绘制",
            "SELECT ST_Extent(geom)::geometry FROM park_block",
            Some("SELECT min(valid_from)::text FROM park"),
        ),
        (
            "park_blocks",
            "园区区块",
            "Park blocks",
            "园区的区块边界、四至文字与面积",
            "SELECT ST_Extent(geom)::geometry FROM park_block",
            None,
        ),
        (
            "divisions",
            "行政区划",
            "Administrative divisions",
            "省、市州、县区代码；市州有概略界线，不作定界依据",
            "SELECT ST_Extent(geom)::geometry FROM division",
            None,
        ),
    ] {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT ARRAY[ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)] FROM ({spatial}) x (e)"
        ));
        let bbox: Vec<f64> = sqlx::query_scalar(sql).fetch_one(&db.pool).await.expect("judged");
        let mut extent = json!({"spatial": {"bbox": [bbox], "crs": CRS84}});
        if let Some(sql) = temporal {
            let from = format!("{}T00:00:00Z", db.value::<String>(sql).await);
            extent["temporal"] =
                json!({"interval": [[from, null]], "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"});
        }
        let url = format!("{API}/collections/{id}");
        let epsg = [4490, 4326, 3857, 4524, 4525, 4526, 4545, 4546, 4547];
        let epsg = epsg.map(|code| format!("http://www.opengis.net/def/crs/EPSG/0/{code}"));
        let systems: Vec<String> = std::iter::once(CRS84.to_owned()).chain(epsg).collect();
        let expected = json!({
            "id": id, "title": title, "title_en": title_en, "description": description, "itemType": "feature", "crs": systems,
            "storageCrs": "http://www.opengis.net/def/crs/EPSG/0/4490", "extent": extent,
            "links": [
                {"rel": "self", "type": "application/json", "href": format!("{url}?f=json")},
                {"rel": "alternate", "type": "text/html", "href": format!("{url}?f=html")},
                {"rel": "items", "type": "application/geo+json", "title": title, "href": format!("{url}/items")},
                {"rel": "items", "type": "text/html", "title": title, "href": format!("{url}/items?f=html")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables", "type": "application/schema+json", "href": format!("{url}/queryables")},
                {"rel": "changes", "type": "application/json", "title": "变更", "href": format!("{url}/changes?since=0")},
                {"rel": "describedby", "type": "application/schema+json", "href": format!("{url}/schema")},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector", "type": "application/json", "title": "矢量瓦片", "href": format!("{url}/tiles")},
            ],
        });
        // Read as the answer is read: serde_json parses to within one unit of the last place.
        let expected: Value = serde_json::from_str(&expected.to_string()).expect("JSON");
        assert_eq!(get_authorised(&db, &format!("/api/collections/{id}")).await.json(), expected, "{id}");
        let page = get(&db, &format!("/api/collections/{id}?f=html")).await.text();
        assert!(page.contains(title) && page.contains(&format!("{url}/items?f=html")), "{page}");
        described.push(expected);
    }
    let links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{API}/collections?f=json")},
        {"rel": "alternate", "type": "text/html", "href": format!("{API}/collections?f=html")},
    ]);
    // (Somebody who sees what was surveyed is told of the ledgers too.)
    let mut list = get_authorised(&db, "/api/collections").await.json();
    let told = list["collections"].as_array_mut().expect("collections");
    told.retain(|collection| described.iter().any(|own| own["id"] == collection["id"]));
    assert_eq!(list, json!({"links": links, "collections": described}));
    let page = get(&db, "/api/collections?f=html").await.text();
    assert!(
        ["parks", "park_blocks", "divisions"].iter().all(|id| page.contains(&format!("collections/{id}?f=html"))),
        "{page}"
    );
}

#[actix_web::test]
async fn an_empty_layer_has_no_extent() {
    let db = Database::empty().await;
    let collection = get(&db, "/api/collections/parks").await.json();
    assert_eq!(collection["extent"], json!({}));
}

fn text(zh: &str, en: &str) -> Value {
    json!({"type": "string", "title": zh, "x-title-en": en})
}

#[actix_web::test]
async fn queryables_and_schema_of_a_layer_are_told_whole() {
    let db = Database::empty().await;
    let geometry = json!({"format": "geometry-multipolygon", "x-ogc-role": "primary-geometry", "title": "图形"});
    let mut queryable = json!({
        "code": text("代码", "Code"), "name": text("名称", "Name"), "level": text("级别", "Level"),
        "parent_code": text("上级代码", "Parent code"), "maps_to": text("对应代码", "Stands for"), "geometry": geometry,
    });
    let mut whole = queryable.clone();
    whole["note"] = text("说明", "Note");
    whole["source"] = text("来源", "Source");
    // What a feature lacks is shown as null.
    for name in ["code", "name", "level", "parent_code", "maps_to", "note", "source"] {
        whole[name]["type"] = json!(["string", "null"]);
    }
    // Roles of OGC API Features Part 5, 10.
    whole["valid_from"] = json!({"type": ["string", "null"], "format": "date", "title": "生效日期", "x-title-en": "Valid from", "x-ogc-role": "primary-interval-start"});
    whole["valid_to"] = json!({"type": ["string", "null"], "format": "date", "title": "失效日期", "x-title-en": "Valid to", "x-ogc-role": "primary-interval-end"});
    // Known words, for whoever offers them.
    let levels = [
        ("province", "省", "Province"),
        ("prefecture", "市州", "Prefecture"),
        ("county", "县区", "County"),
        ("statistical", "统计用代码", "Statistical code"),
        ("superseded", "已停用代码", "Superseded code"),
    ];
    queryable["level"]["x-values"] =
        levels.iter().map(|(value, zh, en)| json!({"value": value, "title": zh, "x-title-en": en})).collect();
    queryable["level"]["enum"] = levels.iter().map(|(value, ..)| json!(value)).collect();
    // A filter compares them with days.
    for name in ["valid_from", "valid_to"] {
        queryable[name] = whole[name].clone();
        queryable[name]["type"] = json!("string");
    }
    for (what, properties) in [("queryables", queryable), ("schema", whole)] {
        let answer = get(&db, &format!("/api/collections/divisions/{what}")).await;
        assert_eq!(answer.header("content-type"), Some("application/schema+json; charset=utf-8"));
        let expected = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": format!("{API}/collections/divisions/{what}"),
            "type": "object", "title": "行政区划", "properties": properties, "additionalProperties": false,
        });
        assert_eq!(answer.json(), expected, "{what}");
        let page = get(&db, &format!("/api/collections/divisions/{what}?f=html")).await.text();
        assert!(page.contains("<code>maps_to</code>") && page.contains("对应代码"), "{page}");
    }
    let parks = get(&db, "/api/collections/parks/queryables").await.json();
    let names: Vec<&String> = parks["properties"].as_object().expect("properties").keys().collect();
    let wanted = [
        "code",
        "name",
        "level",
        "type",
        "prefecture_code",
        "prefecture_name",
        "county_codes",
        "leading_industries",
        "status",
        "illustrative",
        "valid_from",
        "valid_to",
        "geometry",
    ];
    assert_eq!(names, wanted);
    let list =
        json!({"type": "array", "items": {"type": "string"}, "title": "主导产业", "x-title-en": "Leading industries"});
    assert_eq!(parks["properties"]["leading_industries"], list);
}

#[actix_web::test]
async fn every_property_of_an_item_is_in_the_schema_and_of_its_type() {
    let db = Database::with_sample().await;
    for layer in ["parks", "park_blocks", "divisions"] {
        let schema = get(&db, &format!("/api/collections/{layer}/schema")).await.json();
        let mut declared: Vec<&str> =
            schema["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
        declared.retain(|name| *name != "geometry");
        declared.sort_unstable();
        let items = get(&db, &format!("/api/collections/{layer}/items?limit=1000")).await.json();
        for feature in items["features"].as_array().expect("features") {
            let properties = feature["properties"].as_object().expect("properties");
            let mut shown: Vec<&str> = properties.keys().map(String::as_str).collect();
            shown.sort_unstable();
            assert_eq!(shown, declared, "{layer}");
            for (name, value) in properties.iter().filter(|(_, value)| !value.is_null()) {
                let kind = &schema["properties"][name]["type"];
                assert_eq!(kind[1], "null", "{layer}.{name}");
                let fits = match kind[0].as_str() {
                    Some("string") => value.is_string(),
                    Some("number") => value.is_number(),
                    Some("integer") => value.is_i64(),
                    Some("boolean") => value.is_boolean(),
                    Some("array") => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
                    _ => false,
                };
                assert!(fits, "{layer}.{name}: {value}");
            }
        }
    }
}

#[actix_web::test]
async fn what_is_told_of_a_layer_that_is_not_there_is_a_404() {
    let db = Database::empty().await;
    for path in ["", "/queryables", "/schema", "/items"] {
        get(&db, &format!("/api/collections/roads{path}")).await.assert_problem(404, "collection_not_found");
    }
    for path in [
        "/api/collections/",
        "/api/collections/parks/",
        "/api/collections/parks/styles",
        "/api/conformance/x",
        "/api/openapi.yaml",
    ] {
        get(&db, path).await.assert_problem(404, "address_not_found");
    }
}
