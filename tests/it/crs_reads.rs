//! OGC API Features Part 2 at reading: items, one item and boxes in every system, judged by PROJ and by PostGIS.

use serde_json::{Value, json};
use sizhi::domain::published_crs::{PlaneBox, PublishedCrs};
use sizhi::geometry::published;
use sizhi::store::geometry_column;

use crate::support::Database;
use crate::support::edits::Dice;
use crate::support::http::{encode, get, get_authorised, link, path_of};
use crate::support::proj::Judge;

/// The coordinates of a geometry one after another.
pub fn positions(geometry: &Value) -> Vec<[f64; 2]> {
    fn walk(value: &Value, found: &mut Vec<[f64; 2]>) {
        match value.as_array().map(Vec::as_slice) {
            Some([Value::Number(a), Value::Number(b)]) => {
                found.push([a.as_f64().expect("a number"), b.as_f64().expect("a number")]);
            }
            Some(list) => list.iter().for_each(|value| walk(value, found)),
            None => panic!("no positions: {value}"),
        }
    }
    let mut found = Vec::new();
    walk(&geometry["coordinates"], &mut found);
    found
}

/// Every block with its geometry to the last digit, longitude first, rings turned as layers show them.
async fn stored(db: &Database) -> Vec<(String, Vec<[f64; 2]>)> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, ST_AsGeoJSON(ST_ForcePolygonCCW(geom), 15, 0) FROM park_block WHERE valid_to = 'infinity' ORDER BY id",
    )
    .fetch_all(&db.pool)
    .await
    .expect("blocks");
    let parsed = |text: &str| positions(&serde_json::from_str(text).expect("GeoJSON"));
    rows.iter().map(|(id, text)| (id.clone(), parsed(text))).collect()
}

#[actix_web::test]
async fn items_are_where_proj_has_them_in_the_authoritys_order() {
    let db = Database::with_sample().await;
    let wanted = stored(&db).await;
    let mut compared = 0;
    for crs in PublishedCrs::LISTED {
        let uri = crs.uri();
        let answer =
            get_authorised(&db, &format!("/api/collections/park_blocks/items?limit=1000&crs={}", encode(&uri))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-crs"), Some(format!("<{uri}>").as_str()));
        let body = answer.json();
        assert_eq!(body["coordRefSys"], if crs.epsg().is_some() { json!(uri) } else { Value::Null }, "{uri}");
        let judge = crs.epsg().map(Judge::of);
        assert_eq!(
            judge.as_ref().is_some_and(Judge::is_north_first),
            crs.is_north_first(),
            "{uri}: the register's axes"
        );
        // Half of the last decimal, and what PROJ and the stored digits differ by.
        let most = if crs.is_degrees() { 0.5e-8 + 1e-11 } else { 0.5e-4 + 1e-6 };
        let features = body["features"].as_array().expect("features");
        assert_eq!(features.len(), wanted.len());
        for (feature, (id, vertices)) in features.iter().zip(&wanted) {
            assert_eq!(feature["id"], id.as_str());
            let found = positions(&feature["geometry"]);
            assert_eq!(found.len(), vertices.len(), "{uri} {id}");
            for (found, [lon, lat]) in found.iter().zip(vertices) {
                let expected = judge.as_ref().map_or([*lon, *lat], |judge| judge.at(*lon, *lat));
                let off = (found[0] - expected[0]).abs().max((found[1] - expected[1]).abs());
                assert!(off <= most, "{uri} {id}: {found:?} is not {expected:?}");
                compared += 1;
            }
        }
        let one =
            get_authorised(&db, &format!("/api/collections/park_blocks/items/{}?crs={}", wanted[0].0, encode(&uri)))
                .await;
        assert_eq!(one.header("content-crs"), Some(format!("<{uri}>").as_str()));
        assert_eq!(one.json()["geometry"], features[0]["geometry"], "{uri}: one item is as it is among all");
        assert_eq!(one.json()["coordRefSys"], body["coordRefSys"]);
    }
    assert!(compared > 10_000, "{compared} vertices");
}

#[actix_web::test]
async fn a_collection_lists_the_systems_that_its_items_come_in() {
    let db = Database::with_sample().await;
    let epsg = |code: u32| format!("http://www.opengis.net/def/crs/EPSG/0/{code}");
    let mut wanted = vec!["http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned()];
    wanted.extend([4490, 4326, 3857, 4524, 4525, 4526, 4545, 4546, 4547].map(epsg));
    for path in ["/api/collections/parks", "/api/collections/divisions"] {
        let collection = get(&db, path).await.json();
        assert_eq!(collection["crs"], json!(wanted), "{path}");
        assert_eq!(collection["storageCrs"], epsg(4490));
        assert!(wanted.iter().any(|uri| collection["storageCrs"] == uri.as_str()), "one of the list");
    }
    let classes = get(&db, "/api/conformance").await.json();
    let has = |class: &str| classes["conformsTo"].as_array().expect("classes").iter().any(|c| c == class);
    assert!(has("http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs"));
}

#[actix_web::test]
async fn links_keep_the_system_of_the_page() {
    let db = Database::with_sample().await;
    let first = get_authorised(&db, "/api/collections/parks/items?limit=2&crs=%5BEPSG:4526%5D").await;
    let next = get_authorised(&db, &path_of(link(&first.json(), "next").expect("more"))).await;
    assert_eq!(next.header("content-crs"), first.header("content-crs"));
    assert_eq!(next.header("content-crs"), Some("<http://www.opengis.net/def/crs/EPSG/0/4526>"));
}

fn envelope(sides: &str, srid: u32) -> String {
    format!("ST_SetSRID(ST_Envelope(ST_MakeLine(ST_Point({sides}))), {srid})").replace(';', "), ST_Point(")
}

/// Blocks that PostGIS finds in a box of a system, every one of them projected and looked at.
async fn blocks_in(db: &Database, srid: u32, [west, south, east, north]: [f64; 4]) -> Vec<String> {
    let area = envelope("$1, $2; $3, $4", srid);
    let sql = format!(
        "SELECT id FROM park_block WHERE valid_to = 'infinity' AND ST_Intersects(ST_Transform(geom, {srid}), {area}) ORDER BY id"
    );
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(west).bind(south).bind(east).bind(north);
    query.fetch_all(&db.pool).await.expect("judged")
}

async fn ids(db: &Database, query: &str) -> Vec<String> {
    let answer = get_authorised(db, &format!("/api/collections/park_blocks/items?limit=1000&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let body = answer.json();
    assert_eq!(body["numberMatched"], body["numberReturned"], "{query}: one page");
    body["features"].as_array().expect("features").iter().map(|f| f["id"].as_str().expect("id").to_owned()).collect()
}

#[actix_web::test]
async fn a_box_of_any_system_holds_what_postgis_finds_in_it() {
    let db = Database::with_sample().await;
    let shapes: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT id, ST_AsEWKB(geom) FROM park_block WHERE valid_to = 'infinity' ORDER BY id")
            .fetch_all(&db.pool)
            .await
            .expect("blocks");
    let shapes: Vec<_> =
        shapes.iter().map(|(id, ewkb)| (id, geometry_column::decode_flat(ewkb).expect("EWKB"))).collect();
    let mut dice = Dice(4_526);
    let (mut some, mut none) = (0, 0);
    for crs in PublishedCrs::LISTED.into_iter().filter(|crs| crs.epsg().is_some()) {
        let srid = crs.epsg().expect("a code");
        let judge = Judge::of(srid);
        for round in 0..12 {
            let of = |dice: &mut Dice, most: u64| dice.roll(most) as f64;
            // Boxes of a block's size up to half the province; the last ones have no height.
            let (lon, lat) = (109.0 + of(&mut dice, 5_000) / 1e3, 25.0 + of(&mut dice, 4_500) / 1e3);
            let size = [0.01, 0.1, 0.5, 2.0][round % 4];
            let (low, high) = (judge.at(lon, lat), judge.at(lon + size, lat + size));
            let high = if round > 9 { crs.turned([crs.turned(high)[0], crs.turned(low)[1]]) } else { high };
            let (a, b) = ([low[0].min(high[0]), low[1].min(high[1])], [low[0].max(high[0]), low[1].max(high[1])]);
            let ([west, south], [east, north]) = (crs.turned(a), crs.turned(b));
            let wanted = blocks_in(&db, srid, [west, south, east, north]).await;
            let question = format!("bbox={},{},{},{}&bbox-crs={}", a[0], a[1], b[0], b[1], encode(&crs.uri()));
            assert_eq!(ids(&db, &question).await, wanted, "{question}");
            if !crs.is_degrees() {
                // Whoever holds the shapes in memory finds the same.
                let area = PlaneBox { crs, sides: [west, south, east, north] };
                let met = shapes.iter().filter(|(_, shape)| published::meets(&area, shape.rings()));
                assert_eq!(met.map(|(id, _)| (*id).clone()).collect::<Vec<_>>(), wanted, "{question}");
            }
            if wanted.is_empty() { none += 1 } else { some += 1 }
        }
    }
    assert!(some > 25 && none > 5, "{some} boxes with blocks, {none} without");
}

#[actix_web::test]
async fn boxes_beyond_a_systems_reach_hold_nothing_and_fail_nothing() {
    let db = Database::with_sample().await;
    let all = ids(&db, "").await;
    assert!(all.len() > 100);
    for (question, expected) in [
        ("bbox=0,38000000,1,38000001&bbox-crs=EPSG:4526", false),
        ("bbox=-1e300,-1e300,1e300,1e300&bbox-crs=EPSG:4526", true),
        ("bbox=-1e300,-1e300,1e300,1e300&bbox-crs=EPSG:3857", true),
        ("bbox=2000000,300000,4000000,1200000&bbox-crs=EPSG:4546", true),
        ("bbox=20037508,0,1e9,1&bbox-crs=EPSG:3857", false),
        ("bbox=20,100,40,120&bbox-crs=EPSG:4326", true),
        ("bbox=20,170,40,-170&bbox-crs=EPSG:4490", false),
        ("bbox=20,100,40,-170&bbox-crs=EPSG:4490", true),
    ] {
        let wanted = if expected { all.clone() } else { Vec::new() };
        assert_eq!(ids(&db, question).await, wanted, "{question}");
    }
    // A feature that a zone does not reach stops nobody from asking there.
    // No register of Hunan holds such a one; a table that an operator publishes may.
    sqlx::query("ALTER TABLE division DROP CONSTRAINT division_geom_in_province")
        .execute(&db.pool)
        .await
        .expect("dropped");
    db.write("UPDATE division SET geom = ST_Multi(ST_MakeEnvelope(13, 27, 114, 28, 4490)) WHERE code = '430100'").await;
    let far = get(&db, "/api/collections/divisions/items/430100?crs=EPSG:4526").await.json();
    assert_eq!(far["geometry"], Value::Null, "where the zone does not reach there is no geometry");
    for (question, expected) in [
        ("bbox=2000000,38000000,6000000,39000000&bbox-crs=EPSG:4526", false),
        ("bbox=0,0,20000000,20000000&bbox-crs=EPSG:3857", true),
    ] {
        let found = get(&db, &format!("/api/collections/divisions/items?limit=1000&{question}")).await.json();
        let found = found["features"].as_array().expect("features").iter().map(|f| f["id"].clone()).collect::<Vec<_>>();
        assert!(found.len() > 10, "{found:?}");
        assert_eq!(found.contains(&Value::from("430100")), expected, "{question}");
    }
}

#[actix_web::test]
async fn what_names_no_system_of_ours_is_refused() {
    let db = Database::with_sample().await;
    let path = "/api/collections/parks/items";
    for (query, code) in [
        ("crs=EPSG:28992", "crs_unknown"),
        ("crs=", "crs_unknown"),
        ("crs=EPSG:4527", "crs_unknown"),
        ("bbox=1,2,3,4&bbox-crs=EPSG:2000", "crs_unknown"),
        ("bbox-crs=nonsense", "crs_unknown"),
        ("bbox=28,112,29,113&bbox-crs=gcj02", "crs_display_only"),
        ("bbox=112,28,113,29&bbox-crs=EPSG:4326", "bbox_invalid"),
        ("bbox=4,3,2,1&bbox-crs=EPSG:4526", "bbox_invalid"),
        ("bbox=NaN,3,2,1&bbox-crs=EPSG:4526", "bbox_invalid"),
        ("bbox=1,2,3&bbox-crs=EPSG:4526", "bbox_invalid"),
    ] {
        get(&db, &format!("{path}?{query}")).await.assert_problem(400, code);
        if query.starts_with("bbox") {
            get(&db, &format!("{path}?f=csv&{query}")).await.assert_problem(400, code);
        }
    }
    get(&db, &format!("{path}/G431176?crs=EPSG:1")).await.assert_problem(400, "crs_unknown");
}

/// The published formula has no register to be judged by: only that it is asked for, named, and some hundred metres away.
#[actix_web::test]
async fn shifted_coordinates_are_for_display_and_say_so() {
    let db = Database::with_sample().await;
    let path = "/api/collections/parks/items/G431176";
    let plain = positions(&get_authorised(&db, path).await.json()["geometry"]);
    let answer = get_authorised(&db, &format!("{path}?crs=gcj02")).await;
    assert_eq!(answer.header("content-crs"), Some("<urn:sizhi:crs:gcj02>"));
    assert_eq!(answer.json()["coordRefSys"], "urn:sizhi:crs:gcj02");
    let shifted = positions(&answer.json()["geometry"]);
    assert_eq!(plain.len(), shifted.len());
    for ([lon, lat], [x, y]) in plain.iter().zip(&shifted) {
        let metres = ((x - lon) * 98_000.0).hypot((y - lat) * 111_000.0);
        assert!((300.0..900.0).contains(&metres), "{metres} m");
    }
    assert_ne!(answer.header("etag"), get_authorised(&db, path).await.header("etag"));
    let listed = get(&db, "/api/collections/parks").await.json()["crs"].to_string();
    assert!(!listed.contains("gcj"), "what is listed may be asked in");
}

#[actix_web::test]
async fn thinned_outlines_stay_valid_and_near() {
    let db = Database::with_sample().await;
    let whole = get_authorised(&db, "/api/collections/parks/items?limit=200&crs=EPSG:4526").await.json();
    let count = |body: &Value| -> usize {
        body["features"].as_array().expect("features").iter().map(|f| positions(&f["geometry"]).len()).sum()
    };
    let mut last = count(&whole);
    for offset in [5.0, 50.0, 500.0, 50_000.0] {
        let body = get_authorised(
            &db,
            &format!("/api/collections/parks/items?limit=200&crs=EPSG:4526&max-allowable-offset={offset}"),
        )
        .await
        .json();
        let found = count(&body);
        // The last offset is larger than any park: what its rings leave room for.
        assert!(
            found < if offset > 500.0 { count(&whole) / 2 } else { last },
            "{offset} m: {found} of {last} vertices"
        );
        last = found;
        let features: Vec<String> =
            body["features"].as_array().expect("features").iter().map(|f| f["geometry"].to_string()).collect();
        let wanted: Vec<String> =
            whole["features"].as_array().expect("features").iter().map(|f| f["geometry"].to_string()).collect();
        // Validity and the distance are PostGIS's; rings that had to stay as triangles may be farther off.
        let (invalid, lost, farthest): (i64, i64, Option<f64>) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE NOT ST_IsValid(t)), count(*) FILTER (WHERE ST_NRings(t) <> ST_NRings(w)),
                    max(ST_HausdorffDistance(t, w)) FILTER (WHERE ST_NPoints(t) > 4 * ST_NRings(t))
             FROM (SELECT ST_GeomFromGeoJSON(a) AS t, ST_GeomFromGeoJSON(b) AS w FROM unnest($1::text[], $2::text[]) u(a, b)) x",
        )
        .bind(&features)
        .bind(&wanted)
        .fetch_one(&db.pool)
        .await
        .expect("judged");
        assert_eq!((invalid, lost), (0, 0), "{offset} m");
        assert!(offset > 50.0 || farthest.is_some_and(|far| far <= offset + 1e-3), "{offset} m: {farthest:?}");
    }
    let by_zoom = get_authorised(&db, "/api/collections/parks/items?limit=200&zoom-level=10").await.json();
    let by_offset = get_authorised(
        &db,
        &format!("/api/collections/parks/items?limit=200&max-allowable-offset={}", 360.0 / 512.0 / 1024.0),
    )
    .await;
    assert_eq!(by_zoom["features"], by_offset.json()["features"]);
    assert!(count(&by_zoom) < count(&whole));
}
