//! Tiles over HTTP: addresses, representations, caching, who sees what, and what an edit changes.

use std::collections::BTreeSet;
use std::io::Read as _;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::domain::access::Role;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::layers::tiles::grid::{Tile, touched};

use crate::support::accounts::{add, from_page, login};
use crate::support::http::{Answer, authorised, call, call_with, get, get_authorised};
use crate::support::tiles::read;
use crate::support::{Database, http_args};

const API: &str = "http://localhost:8080/api";
const MVT: &str = "application/vnd.mapbox-vector-tile";

async fn get_with(state: &State, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(TestRequest::get().uri(path), |request, header| request.insert_header(*header));
    call_with(state.clone(), request).await
}

fn tile_of(zoom: u8, (x, y): (f64, f64)) -> Tile {
    let range = touched(&[x, y, x, y], zoom);
    Tile::new(zoom, *range.rows.start(), *range.cols.start()).expect("in the matrix")
}

fn address(layer: &str, tile: Tile) -> String {
    format!("/api/collections/{layer}/tiles/WebMercatorQuad/{}/{}/{}", tile.zoom, tile.row, tile.col)
}

/// A place inside the park's largest block.
async fn place(db: &Database, park: &str) -> (f64, f64) {
    let (x, y, _) = crate::support::parcels::inside(db, park).await;
    (x, y)
}

#[actix_web::test]
async fn a_tile_shows_the_layer_with_its_attributes_and_labels() {
    let db = Database::with_sample().await;
    let tile = tile_of(12, place(&db, "G431033").await);
    let answer = get(&db, &address("parks", tile)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(MVT)));
    let features = read(&answer.body, tile, "parks");
    let park = features.iter().find(|f| f.id() == "G431033").expect("the park");
    let expected: (String, String) = sqlx::query_as("SELECT name, status FROM layer_parks WHERE code = 'G431033'")
        .fetch_one(&db.pool)
        .await
        .expect("park");
    assert_eq!(
        (park.properties["name"].as_str(), park.properties["status"].as_str()),
        (Some(expected.0.as_str()), Some(expected.1.as_str()))
    );
    // The label stands inside of the park, in one tile of a zoom.
    let mut labels = Vec::new();
    let extent: (f64, f64, f64, f64) = sqlx::query_as(
        "SELECT ST_XMin(g), ST_YMin(g), ST_XMax(g), ST_YMax(g) FROM (SELECT geom g FROM layer_parks WHERE code = 'G431033') x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("extent");
    let range = touched(&[extent.0, extent.1, extent.2, extent.3], 12);
    for (row, col) in range.rows.clone().flat_map(|row| range.cols.clone().map(move |col| (row, col))) {
        let tile = Tile::new(12, row, col).expect("tile");
        let answer = get(&db, &address("parks", tile)).await;
        let own = read(&answer.body, tile, "parks_labels").into_iter().filter(|f| f.id() == "G431033");
        labels.extend(own.map(|f| (tile, f)));
    }
    let [(tile, label)] = labels.as_slice() else { panic!("{labels:?}") };
    assert_eq!(label.properties["name"].as_str(), Some(expected.0.as_str()));
    let unit = |axis: usize| label.geometry["coordinates"][axis].as_f64().expect("unit") / 4096.0;
    let [west, south, east, north] = tile.bounds();
    let at = (west + unit(0) * (east - west), north - unit(1) * (north - south));
    let inside: bool = db
        .value(&format!(
            "SELECT ST_DWithin(geom, ST_SetSRID(ST_Point({}, {}), 4490), 1e-4) FROM layer_parks WHERE code = 'G431033'",
            at.0, at.1
        ))
        .await;
    assert!(inside, "{at:?}");
}

#[actix_web::test]
async fn what_is_outside_of_the_matrix_is_404_and_an_empty_tile_204() {
    let db = Database::with_sample().await;
    let base = "/api/collections/parks/tiles";
    for path in ["23/0/0", "3/8/0", "3/0/8", "3/-1/0", "a/0/0", "3/0/0x", "300/0/0", "3/0/99999999999999999999"] {
        get(&db, &format!("{base}/WebMercatorQuad/{path}")).await.assert_problem(404, "tile_not_found");
        get(&db, &format!("/api/tiles/WebMercatorQuad/{path}")).await.assert_problem(404, "tile_not_found");
    }
    for path in [
        format!("{base}/WorldCRS84Quad/0/0/0"),
        format!("{base}/WorldCRS84Quad"),
        "/api/tiles/x/0/0/0".to_owned(),
        "/api/tiles/x".to_owned(),
        "/api/tileMatrixSets/x".to_owned(),
    ] {
        get(&db, &path).await.assert_problem(404, "tile_matrix_set_not_found");
    }
    get(&db, "/api/collections/nothing/tiles/WebMercatorQuad/0/0/0").await.assert_problem(404, "collection_not_found");
    let sea = format!("{base}/WebMercatorQuad/9/0/0");
    let empty = get(&db, &sea).await;
    assert_eq!((empty.status.as_u16(), empty.body.len(), empty.header("content-type")), (204, 0, None));
    let tag = empty.header("etag").expect("ETag").to_owned();
    let state = State::new(db.application.clone(), http_args());
    assert_eq!(get_with(&state, &sea, &[("if-none-match", &tag)]).await.status, 304);
    for (query, code) in [
        ("f=png", "value_invalid"),
        ("f=mvt&f=mvt", "parameter_repeated"),
        ("bbox=1,2,3,4", "parameter_unknown"),
        ("collections=parks", "parameter_unknown"),
    ] {
        get(&db, &format!("{base}/WebMercatorQuad/0/0/0?{query}")).await.assert_problem(400, code);
    }
    get(&db, "/api/tiles/WebMercatorQuad/0/0/0?collections=parks,nothing").await.assert_problem(400, "value_invalid");
    get(&db, "/api/tiles/WebMercatorQuad/0/0/0?collections=").await.assert_problem(400, "value_invalid");
    for (accept, status) in
        [(MVT, 200), ("*/*", 200), ("text/html,*/*;q=0.1", 200), ("image/png", 406), ("text/html", 406)]
    {
        let answer = get_with(&state, &format!("{base}/WebMercatorQuad/7/53/104"), &[("accept", accept)]).await;
        assert_eq!(answer.status, status, "{accept}");
    }
}

#[actix_web::test]
async fn a_tile_comes_compressed_or_plain_and_is_told_by_what_it_holds() {
    let db = Database::with_sample().await;
    let state = State::new(db.application.clone(), http_args());
    let path = address("parks", tile_of(7, place(&db, "G431033").await));
    let plain = get_with(&state, &path, &[]).await;
    let packed = get_with(&state, &path, &[("accept-encoding", "br;q=0.1, gzip")]).await;
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).expect("gzip");
    assert!(unpacked == plain.body && packed.body.len() < plain.body.len());
    let tag = plain.header("etag").expect("ETag").to_owned();
    assert_eq!(packed.header("etag"), Some(tag.as_str()));
    let held = get_with(&state, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((held.status.as_u16(), held.body.len()), (304, 0));
    // A revision that changes nothing in the tile leaves the ETag; another process of the same build gives the same.
    db.write("UPDATE park SET aliases = ARRAY['别名'] WHERE code = 'G431033'").await;
    let other = State::new(db.application.clone(), http_args());
    for state in [&state, &other] {
        assert_eq!(get_with(state, &path, &[("if-none-match", &tag)]).await.status, 304);
    }
    db.write("UPDATE park SET name = '新名' WHERE code = 'G431033'").await;
    for state in [&state, &other] {
        let new = get_with(state, &path, &[("if-none-match", &tag)]).await;
        assert_eq!(new.status, 200);
        assert_ne!(new.header("etag"), Some(tag.as_str()));
    }
}

#[actix_web::test]
async fn several_layers_come_in_one_tile_one_behind_the_other() {
    let db = Database::with_sample().await;
    let tile = tile_of(10, place(&db, "G431033").await);
    let mut expected = Vec::new();
    for layer in ["parks", "divisions"] {
        expected.extend(get(&db, &address(layer, tile)).await.body);
    }
    let url = |query: &str| format!("/api/tiles/WebMercatorQuad/{}/{}/{}{query}", tile.zoom, tile.row, tile.col);
    for query in [
        "?collections=parks,divisions",
        "?collections=divisions,parks,divisions",
        "?collections=divisions&collections=parks",
    ] {
        assert!(get(&db, &url(query)).await.body == expected, "{query}");
    }
    let all = get(&db, &url("")).await;
    for layer in ["parks", "parks_labels", "park_blocks", "divisions"] {
        assert!(!read(&all.body, tile, layer).is_empty(), "{layer}");
    }
    assert!(read(&all.body, tile, "turnover_parcels").is_empty(), "the public sees no ledger");
}

#[actix_web::test]
async fn everybody_sees_the_parcels_of_their_own_counties() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 600, &Silent).await.expect("parcels");
    for (name, counties) in [("changsha", "430121"), ("province", "*")] {
        add(&db, name, Role::Staff, &[counties]).await;
    }
    let state = State::new(db.application.clone(), http_args());
    let path = "/api/collections/turnover_parcels/tiles/WebMercatorQuad/0/0/0";
    get_with(&state, path, &[]).await.assert_problem(404, "collection_not_found");
    for (name, condition) in
        [("changsha", "county_code = '430121'"), ("province", "TRUE"), ("changsha", "county_code = '430121'")]
    {
        let answer = call_with(state.clone(), from_page(Method::GET, path, &login(&db, name).await)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let counts: u64 =
            read(&answer.body, Tile::new(0, 0, 0).expect("world"), "turnover_parcels").iter().map(|f| f.count()).sum();
        let expected: i64 =
            db.value(&format!("SELECT count(*) FROM layer_turnover_parcels WHERE valid_to IS NULL AND geom IS NOT NULL AND {condition}")).await;
        assert_eq!(counts as i64, expected, "{name}");
        assert!(expected > 0);
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
}

#[actix_web::test]
async fn tilesets_and_tile_json_lead_to_the_tiles() {
    let db = Database::with_sample().await;
    let lists = get(&db, "/api/collections/parks/tiles").await.json();
    let set = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad";
    let url = format!("{API}/collections/parks/tiles/WebMercatorQuad");
    let links = json!([
        {"rel": "self", "type": "application/json", "title": "瓦片集", "href": format!("{url}?f=json")},
        {"rel": "describedby", "type": "application/vnd.mapbox.tile+json", "title": "TileJSON", "href": format!("{url}?f=tilejson")},
        {"rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme", "type": "application/json", "title": "瓦片矩阵集", "href": format!("{API}/tileMatrixSets/WebMercatorQuad")},
        {"rel": "item", "type": MVT, "title": "瓦片", "templated": true, "href": format!("{url}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f=mvt")},
    ]);
    let summary = json!({
        "title": "产业园区", "dataType": "vector", "crs": "http://www.opengis.net/def/crs/EPSG/0/3857",
        "tileMatrixSetId": "WebMercatorQuad", "tileMatrixSetURI": set, "links": links,
    });
    assert_eq!(
        lists,
        json!({"links": [{"rel": "self", "type": "application/json", "href": format!("{API}/collections/parks/tiles")}], "tilesets": [summary]})
    );
    let tileset = get(&db, "/api/collections/parks/tiles/WebMercatorQuad").await.json();
    for (key, value) in summary.as_object().expect("summary") {
        assert_eq!(&tileset[key], value, "{key}");
    }
    let extent: (f64, f64, f64, f64) = sqlx::query_as(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM (SELECT ST_Extent(geom) e FROM park_block) x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("extent");
    // The public's: of outlines, whose numbers have four decimals and lie within the tolerance and a cell (decision 0020) of the survey's.
    let near = |value: &Value, expected: f64| {
        let value = value.as_f64().expect("number");
        (value * 1e4 - (value * 1e4).round()).abs() < 1e-6 && (value - expected).abs() < 2.5e-4
    };
    let is = |value: &Value, expected: f64| (value.as_f64().expect("number") - expected).abs() < 1e-12;
    let staff = get_authorised(&db, "/api/collections/parks/tiles/WebMercatorQuad").await.json();
    for (tileset, agrees) in [(&tileset, &near as &dyn Fn(&Value, f64) -> bool), (&staff, &is)] {
        let corners = &tileset["boundingBox"];
        assert!(agrees(&corners["lowerLeft"][0], extent.0) && agrees(&corners["lowerLeft"][1], extent.1), "{corners}");
        assert!(
            agrees(&corners["upperRight"][0], extent.2) && agrees(&corners["upperRight"][1], extent.3),
            "{corners}"
        );
    }
    let limits = tileset["tileMatrixSetLimits"].as_array().expect("limits");
    assert_eq!(
        (limits.len(), &limits[0]),
        (23, &json!({"tileMatrix": "0", "minTileRow": 0, "maxTileRow": 0, "minTileCol": 0, "maxTileCol": 0}))
    );
    let names: Vec<&str> =
        tileset["layers"].as_array().expect("layers").iter().filter_map(|l| l["id"].as_str()).collect();
    assert_eq!(names, ["parks", "parks_labels"]);
    let tile_json = get(&db, "/api/collections/parks/tiles/WebMercatorQuad?f=tilejson").await;
    assert_eq!(tile_json.header("content-type"), Some("application/vnd.mapbox.tile+json"));
    let tile_json = tile_json.json();
    assert_eq!(tile_json["tilejson"], "3.0.0");
    assert_eq!(tile_json["tiles"], json!([format!("{url}/{{z}}/{{y}}/{{x}}?f=mvt")]));
    let bounds = [extent.0, extent.1, extent.2, extent.3];
    assert!(bounds.iter().enumerate().all(|(at, side)| near(&tile_json["bounds"][at], *side)), "{tile_json}");
    assert_eq!((&tile_json["minzoom"], &tile_json["maxzoom"]), (&json!(0), &json!(22)));
    // What TileJSON tells of the attributes is what a tile has.
    let fields: BTreeSet<String> =
        tile_json["vector_layers"][0]["fields"].as_object().expect("fields").keys().cloned().collect();
    let tile = tile_of(12, place(&db, "G431033").await);
    for feature in read(&get(&db, &address("parks", tile)).await.body, tile, "parks") {
        let held = feature.properties.as_object().expect("properties").keys().filter(|key| *key != "mvt_id");
        assert!(held.cloned().collect::<BTreeSet<String>>().is_subset(&fields), "{}", feature.properties);
    }
    let several = get(&db, "/api/tiles/WebMercatorQuad?f=tilejson&collections=divisions,parks").await.json();
    assert_eq!(
        several["tiles"],
        json!([format!("{API}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}?collections=parks,divisions&f=mvt")])
    );
    let names: Vec<&str> =
        several["vector_layers"].as_array().expect("layers").iter().filter_map(|l| l["id"].as_str()).collect();
    assert_eq!(names, ["parks", "parks_labels", "divisions"]);
    get(&db, "/api/tiles/WebMercatorQuad?f=html").await.assert_problem(400, "value_invalid");
}

/// OGC 17-083r4, table D.1.
#[actix_web::test]
async fn the_tile_matrix_set_is_the_standards() {
    let db = Database::empty().await;
    let set = get(&db, "/api/tileMatrixSets/WebMercatorQuad").await.json();
    let matrices = set["tileMatrices"].as_array().expect("matrices");
    assert_eq!((set["id"].as_str(), matrices.len()), (Some("WebMercatorQuad"), 23));
    for (zoom, scale, cell, size) in [
        (0, 559_082_264.028_717_8, 156_543.033_928_041, 1),
        (1, 279_541_132.014_358_9, 78_271.516_964_020_5, 2),
        (10, 545_978.773_465_544_7, 152.874_056_570_352_5, 1024),
        (18, 2_132.729_583_849_784, 0.597_164_283_559_817, 262_144),
    ] {
        let matrix: &Value = &matrices[zoom];
        let near = |value: &Value, expected: f64| (value.as_f64().expect("number") / expected - 1.0).abs() < 1e-9;
        assert!(near(&matrix["scaleDenominator"], scale) && near(&matrix["cellSize"], cell), "{matrix}");
        assert_eq!((&matrix["matrixWidth"], &matrix["matrixHeight"]), (&json!(size), &json!(size)));
        assert!(
            near(&matrix["pointOfOrigin"][0], -20_037_508.342_789_2)
                && near(&matrix["pointOfOrigin"][1], 20_037_508.342_789_2)
        );
    }
    let list = get(&db, "/api/tileMatrixSets").await.json();
    assert_eq!(list["tileMatrixSets"][0]["links"][0]["href"], json!(format!("{API}/tileMatrixSets/WebMercatorQuad")));
}

#[actix_web::test]
async fn a_tile_of_too_many_features_asks_for_a_finer_one() {
    let db = Database::with_sample().await;
    let shown = call(&db, authorised(Method::GET, "/api/tiles/WebMercatorQuad/0/0/0")).await;
    assert_eq!(shown.status, 200, "the sample's are few enough: {}", shown.text());
    let counts: u64 =
        read(&shown.body, Tile::new(0, 0, 0).expect("world"), "park_blocks").iter().map(|f| f.count()).sum();
    let blocks: i64 =
        db.value("SELECT count(*) FROM layer_park_blocks WHERE valid_to IS NULL AND geom IS NOT NULL").await;
    assert_eq!(counts as i64, blocks);
}
