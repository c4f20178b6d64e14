//! Tables of the operator's over HTTP: items, one item, queries, what a collection says of itself. Odd names and types on purpose.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::extra::{get, get_authorised, make, refused, serve};
use crate::support::http::{encode, link};

const ODD: &str = r#"
CREATE SCHEMA "规划";
CREATE TYPE "规划".mood AS ENUM ('good', 'bad');
CREATE DOMAIN "规划".code AS varchar(12);
CREATE TABLE "规划"."Odd ""Table""" (
    "编号" uuid PRIMARY KEY, "Name" varchar(20), "end" timestamp, "select" int, "limit" int, made timestamptz, price numeric(12,3),
    ratio real, tags text[], nums int[], day date, ok boolean, valid_from text, kind "规划".mood, area "规划".code, j jsonb,
    "it's \ ""x""" bigint, geom geometry(Point, 4490), p text DEFAULT 'q',
    sizhi_id text DEFAULT 'r', p_ text);
COMMENT ON TABLE "规划"."Odd ""Table""" IS '古怪的表';
COMMENT ON COLUMN "规划"."Odd ""Table"""."Name" IS '名称';
INSERT INTO "规划"."Odd ""Table""" VALUES
    ('00000000-0000-0000-0000-00000000000b', '湘<江>', '2024-02-29 12:30:00.5', 1, 7, '2024-03-01 08:00:00+08', 12.500, 0.1,
     '{甲,"乙 丙"}', '{1,2}', '2024-01-02', true, 'x', 'good', '430102', '{"a":1}', 9007199254740993, 'SRID=4490;POINT(112.5 28.25)'),
    ('00000000-0000-0000-0000-00000000000a', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"#;

const ODD_FILE: &str = r#"
[[layer]]
id = "odd"
table = '"规划"."Odd ""Table"""'
visibility = "public"
"#;

#[tokio::test]
async fn every_type_is_shown_as_what_it_is() {
    let db = Database::empty().await;
    make(&db, ODD).await;
    let (state, told) = serve(&db, ODD_FILE).await;
    assert_eq!(told, ["warning layer_column_left_out"], "jsonb is no property");
    let page = get(&state, "/api/collections/odd/items").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let mut page = page.json();
    // Ids in the order of their bytes.
    let empty = json!({
        "type": "Feature", "id": "00000000-0000-0000-0000-00000000000a", "geometry": null,
        "properties": {
            "编号": "00000000-0000-0000-0000-00000000000a", "Name": null, "end": null, "select": null, "limit": null, "made": null,
            "price": null, "ratio": null, "tags": null, "nums": null, "day": null, "ok": null, "valid_from": null, "kind": null,
            "area": null, "it's \\ \"x\"": null, "p": "q", "sizhi_id": "r", "p_": null,
        },
    });
    let full = json!({
        "type": "Feature", "id": "00000000-0000-0000-0000-00000000000b",
        "geometry": {"type": "Point", "coordinates": [112.5, 28.25]},
        "properties": {
            "编号": "00000000-0000-0000-0000-00000000000b", "Name": "湘<江>", "end": "2024-02-29T12:30:00.5Z", "select": 1, "limit": 7,
            "made": "2024-03-01T00:00:00Z", "price": 12.5, "ratio": 0.1, "tags": ["甲", "乙 丙"], "nums": [1, 2],
            "day": "2024-01-02", "ok": true, "valid_from": "x", "kind": "good", "area": "430102",
            "it's \\ \"x\"": 9007199254740993_i64, "p": "q", "sizhi_id": "r", "p_": null,
        },
    });
    assert_eq!(page["features"].take(), json!([empty, full]));
    assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&json!(2), &json!(2)));
    let item = get(&state, "/api/collections/odd/items/00000000-0000-0000-0000-00000000000b").await.json();
    assert_eq!(item["properties"], full["properties"]);
    assert_eq!((link(&item, "version-history"), link(&item, "collection").is_some()), (None, true));
    let absent = get(&state, "/api/collections/odd/items/none").await;
    absent.assert_problem(404, "item_not_found");
}

/// Columns that are called as parts of a statement are: the order is by the column all the same.
#[tokio::test]
async fn an_order_is_of_the_column_whatever_it_is_called() {
    let db = Database::empty().await;
    let names =
        ["cells", "geometry", "centre", "feature", "array", "st_asewkb", "row_to_json", "sizhi_keys", "sizhi_shape"];
    let columns: Vec<String> = names.iter().map(|name| format!("\"{name}\" int")).collect();
    // Against the order of the ids.
    let values: Vec<String> = names.iter().map(|_| "10 - i".to_owned()).collect();
    make(
        &db,
        &format!(
            "CREATE TABLE called (id int PRIMARY KEY, {}, g geometry(Point, 4490));
             INSERT INTO called SELECT i, {}, ST_SetSRID(ST_MakePoint(112, 28), 4490) FROM generate_series(1, 5) i;",
            columns.join(", "),
            values.join(", ")
        ),
    )
    .await;
    let (state, told) = serve(&db, "[[layer]]\nid = \"called\"\ntable = \"called\"\nvisibility = \"public\"\n").await;
    assert_eq!(told, [""; 0]);
    for name in names {
        let asked = format!("/api/collections/called/items?sortby={name}&limit=3");
        let ids = |features: &[Value]| {
            features.iter().map(|f| f["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let page = get(&state, &asked).await.json();
        assert_eq!(ids(page["features"].as_array().expect("features")), ["5", "4", "3"], "{name}");
        let lines = get(&state, &format!("{asked}&f=ndjson")).await.text();
        let features: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a feature")).collect();
        assert_eq!(ids(&features), ["5", "4", "3"], "{name}");
        let table = get(&state, &format!("{asked}&f=csv&headings=en")).await.text();
        let first: Vec<&str> = table.lines().skip(1).filter_map(|row| row.split(',').next()).collect();
        assert_eq!(first, ["5", "4", "3"], "{name}: {table}");
    }
}

#[tokio::test]
async fn any_property_is_asked_for_by_its_name() {
    let db = Database::empty().await;
    make(&db, ODD).await;
    let (state, _) = serve(&db, ODD_FILE).await;
    for (query, matched) in [
        ("end=2024-02-29", 1),
        ("end=2024-02-29T12:30:00.5Z", 1),
        ("end=2024-03-01..", 0),
        ("select=1", 1),
        ("select=2..", 0),
        ("made=2024-02-29T23:59:59Z..2024-03-01T00:00:00Z", 1),
        ("price=12.5", 1),
        ("ratio=0.1", 1),
        ("nums=2", 1),
        ("nums=3", 0),
        ("tags=乙 丙", 1),
        ("day=2024-01-02", 1),
        ("ok=true", 1),
        ("valid_from=x", 1),
        ("kind=good", 1),
        ("area=430102", 1),
        ("Name=湘<江>", 1),
        ("it's \\ \"x\"=9007199254740993", 1),
        ("编号=00000000-0000-0000-0000-00000000000a", 1),
        ("q=湘", 1),
        ("q=无", 0),
        // The parameter goes before the column of this name.
        ("limit=1", 2),
        ("bbox=112,28,113,29", 1),
        ("bbox=112.5,28.25,112.5,28.25", 1),
        ("bbox=1,1,2,2", 0),
        ("sortby=-select,end", 2),
        (r#"within={"type":"Polygon","coordinates":[[[112,28],[113,28],[113,29],[112,29],[112,28]]]}"#, 1),
    ] {
        let (name, value) = query.split_once('=').expect("a pair");
        let path = format!("/api/collections/odd/items?{}={}", encode(name), encode(value));
        let answer = get(&state, &path).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(answer.json()["numberMatched"], matched, "{query}");
    }
    for (query, code) in [
        ("datetime=2024-01-01", "option_not_possible"),
        ("revision=1", "option_not_possible"),
        ("division=430000", "option_not_possible"),
        ("j=1", "parameter_unknown"),
        ("end=today", "value_invalid"),
        ("nums=1..2", "value_invalid"),
        ("sortby=tags", "sortby_invalid"),
        ("sortby=nums", "sortby_invalid"),
    ] {
        get(&state, &format!("/api/collections/odd/items?{query}")).await.assert_problem(400, code);
    }
    for path in ["changes?since=0", "changes/stream", "items/x/history"] {
        get(&state, &format!("/api/collections/odd/{path}")).await.assert_problem(400, "option_not_possible");
    }
    let facets = get(&state, "/api/collections/odd/facets?properties=kind,nums,end,ok").await.json();
    let of = |values: &[(Value, i64)]| -> Value {
        values.iter().map(|(value, count)| json!({"value": value, "count": count})).collect()
    };
    let shown: Vec<&Value> = facets["facets"].as_array().expect("facets").iter().map(|f| &f["values"]).collect();
    assert_eq!(
        shown,
        [
            &of(&[(json!("good"), 1), (json!(null), 1)]),
            &of(&[(json!("1"), 1), (json!("2"), 1), (json!(null), 1)]),
            &of(&[(json!("2024-02-29T12:30:00.5Z"), 1), (json!(null), 1)]),
            &of(&[(json!("true"), 1), (json!(null), 1)]),
        ]
    );
}

#[tokio::test]
async fn a_collection_of_a_table_says_what_it_is() {
    let db = Database::empty().await;
    make(&db, ODD).await;
    let file = format!(
        "{ODD_FILE}title_en = \"Odd\"\nproperties = [\"Name\", {{ name = \"price\", title = \"价格\", title_en = \"Price\", unit = \"元\", queryable = false }}]\n"
    );
    let (state, told) = serve(&db, &file).await;
    assert_eq!(told, [""; 0]);
    let collection = get(&state, "/api/collections/odd").await.json();
    assert_eq!(
        (
            &collection["title"],
            &collection["title_en"],
            &collection["description"],
            &collection["extent"]["spatial"]["bbox"]
        ),
        (&json!("古怪的表"), &json!("Odd"), &json!("古怪的表"), &json!([[112.5, 28.25, 112.5, 28.25]]))
    );
    assert_eq!((link(&collection, "changes"), link(&collection, "items").is_some()), (None, true));
    let schema = get(&state, "/api/collections/odd/schema").await.json();
    let point = json!({"format": "geometry-point", "x-ogc-role": "primary-geometry", "title": "图形"});
    let name = json!({"type": ["string", "null"], "title": "名称", "x-title-en": "Name"});
    let price = json!({"type": ["number", "null"], "title": "价格", "x-title-en": "Price", "x-ogc-unit": "元"});
    assert_eq!(schema["properties"], json!({"Name": name, "price": price, "geometry": point}));
    let queryables = get(&state, "/api/collections/odd/queryables").await.json();
    let names: Vec<&String> = queryables["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(names, ["Name", "geometry"]);
    let listed = get(&state, "/api/collections").await.json();
    let ids: Vec<&Value> = listed["collections"].as_array().expect("list").iter().map(|c| &c["id"]).collect();
    assert_eq!(ids, ["parks", "park_blocks", "divisions", "odd"]);
    let document = get(&state, "/api/openapi.json").await.json();
    assert!(document["paths"]["/collections/odd/items"]["get"].is_object());
    assert!(document["paths"]["/collections/odd/changes"].is_null());
    assert!(document["components"]["schemas"]["Feature_odd"].is_object());
    for path in [
        "/api/collections/odd?f=html",
        "/api/collections/odd/items?f=html",
        "/api/collections/odd/items/00000000-0000-0000-0000-00000000000b?f=html",
    ] {
        let page = get(&state, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text().contains("/history"), "{path}");
    }
    // Read-only, like every layer that is no ledger.
    let refused = crate::support::http::call_with(
        state.clone(),
        crate::support::http::authorised(actix_web::http::Method::POST, "/api/collections/odd/items"),
    );
    assert_eq!(refused.await.status, 405);
}

#[tokio::test]
async fn pages_go_on_by_code_point() {
    let db = Database::empty().await;
    make(&db, "CREATE TABLE words (w text PRIMARY KEY); INSERT INTO words SELECT unnest(ARRAY['a','B','Z','é','z','_','甲','乙','10','9','😀','￥','A'])").await;
    let (state, _) =
        serve(&db, "[[layer]]\nid = \"words\"\ntable = \"words\"\ngeometry = false\nvisibility = \"public\"").await;
    let mut path = "/api/collections/words/items?limit=2".to_owned();
    let mut ids = Vec::new();
    loop {
        let page = get(&state, &path).await.json();
        ids.extend(
            page["features"].as_array().expect("features").iter().map(|f| f["id"].as_str().expect("id").to_owned()),
        );
        match link(&page, "next") {
            Some(next) => path = crate::support::http::path_of(next),
            None => break,
        }
    }
    let mut expected = ids.clone();
    expected.sort_unstable();
    assert_eq!(ids.len(), 13);
    assert_eq!(ids, expected, "bytes of UTF-8 are in the order of code points");
}

#[tokio::test]
async fn an_answer_from_the_table_is_not_current_once_it_has_changed() {
    let db = Database::empty().await;
    make(&db, ODD).await;
    let (state, _) = serve(&db, ODD_FILE).await;
    let first = get(&state, "/api/collections/odd/items").await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let again = async || {
        let request = actix_web::test::TestRequest::get().uri("/api/collections/odd/items");
        crate::support::http::call_with(state.clone(), request.insert_header(("if-none-match", tag.clone())))
            .await
            .status
    };
    // (Not held in memory, the tag goes by the transactions of the whole cluster: another may come between two questions.)
    make(&db, r#"UPDATE "规划"."Odd ""Table""" SET "select" = 5"#).await;
    assert_eq!(again().await, 200);
}

#[tokio::test]
async fn views_without_shapes_and_empty_tables_are_layers_too() {
    let db = Database::empty().await;
    make(
        &db,
        "CREATE TABLE t (id int PRIMARY KEY, v text, g geometry(Polygon, 4490));
         INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', ST_MakeEnvelope(112, 28, 113, 29, 4490));
         CREATE VIEW v AS SELECT id::text AS id, upper(v) AS v, ST_Centroid(g) AS g FROM t;
         CREATE MATERIALIZED VIEW m AS SELECT id, v FROM t;
         CREATE TABLE nothing (id int PRIMARY KEY, g geometry(LineString, 4490));",
    )
    .await;
    let (state, told) = serve(
        &db,
        "[[layer]]\nid = \"v\"\ntable = \"v\"\nkey = \"id\"\nvisibility = \"public\"
         [[layer]]\nid = \"m\"\ntable = \"m\"\nkey = \"id\"\ngeometry = false\nvisibility = \"public\"
         [[layer]]\nid = \"nothing\"\ntable = \"nothing\"\nvisibility = \"public\"",
    )
    .await;
    assert_eq!(told, [""; 0]);
    let features = async |id: &str| {
        get_authorised(&state, &format!("/api/collections/{id}/items")).await.json()["features"].take()
    };
    assert_eq!(
        features("v").await,
        json!([
            {"type": "Feature", "id": "1", "geometry": null, "properties": {"id": "1", "v": "A"}},
            {"type": "Feature", "id": "2", "geometry": {"type": "Point", "coordinates": [112.5, 28.5]}, "properties": {"id": "2", "v": "B"}},
        ])
    );
    assert_eq!(features("m").await[1]["properties"], json!({"id": 2, "v": "b"}));
    assert_eq!(features("nothing").await, json!([]));
    make(&db, "DELETE FROM t; ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 'a'), (1, 'b')").await;
    let file = "[[layer]]\nid = \"v\"\ntable = \"v\"\nkey = \"id\"";
    let (_, findings) = refused(&db, file).await;
    let codes: Vec<&str> = findings.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!(codes, ["layer_key_not_unique", "layer_srid_missing"]);
    // A table that is empty for once does not keep the service from starting.
    make(&db, "DELETE FROM t").await;
    let (_, told) = serve(&db, file).await;
    assert_eq!(told, ["warning layer_srid_missing"]);
}
