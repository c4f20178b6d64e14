//! What the public is shown of parks and blocks: outlines, through every door; the judge is PostGIS over what the doors gave.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::borders::{PARKS, block, cut_first, ids, ragged};
use crate::support::http::{Answer, authorised, call, call_database, encode, get, get_authorised};
use crate::support::proj::Judge;

pub const BLOCKS: &str = "/api/collections/park_blocks/items";
pub const ITEMS: [&str; 2] = ["/api/collections/parks/items", BLOCKS];
/// What the declaration says, spelled out again.
const RULE: &str = r#"{"tolerance_m":10,"decimals":4}"#;

pub fn rule() -> Value {
    serde_json::from_str(RULE).expect("JSON")
}

pub async fn from_database(db: &Database, path: &str) -> Answer {
    call_database(db, TestRequest::get().uri(path)).await
}

/// The features of a page, by id.
pub fn features(page: &Value) -> BTreeMap<String, Value> {
    let list = page["features"].as_array().unwrap_or_else(|| panic!("no features: {page}"));
    list.iter().map(|f| (f["id"].as_str().expect("id").to_owned(), f.clone())).collect()
}

/// A table `shown` of what a door gave: id and shape, in the register's system.
async fn lay_down(db: &Database, page: &Value) {
    let shapes: Vec<(String, String)> =
        features(page).into_iter().map(|(id, f)| (id, f["geometry"].to_string())).collect();
    let (ids, texts): (Vec<String>, Vec<String>) = shapes.into_iter().unzip();
    sqlx::raw_sql("DROP TABLE IF EXISTS shown; CREATE TABLE shown (id text PRIMARY KEY, geom geometry)")
        .execute(&db.pool)
        .await
        .expect("table");
    sqlx::query(
        "INSERT INTO shown SELECT id, ST_SetSRID(ST_GeomFromGeoJSON(nullif(shape, 'null')), 4490) FROM unnest($1::text[], $2::text[]) AS s (id, shape)",
    )
    .bind(ids)
    .bind(texts)
    .execute(&db.pool)
    .await
    .expect("laid down");
}

fn each_coordinate(geometry: &Value, take: &mut impl FnMut(&Value)) {
    match geometry {
        Value::Array(list) => list.iter().for_each(|member| each_coordinate(member, take)),
        Value::Number(_) => take(geometry),
        _ => {}
    }
}

#[actix_web::test]
async fn outlines_lie_on_the_grid_near_the_border_and_neighbours_neither_gap_nor_cross() {
    let db = ragged().await;
    for path in ITEMS {
        let page = get(&db, &format!("{path}?limit=1000")).await.json();
        assert_eq!(page["generalisation"], rule(), "{path}");
        let shown = features(&page);
        for (id, feature) in &shown {
            each_coordinate(&feature["geometry"]["coordinates"], &mut |number| {
                let text = number.to_string();
                let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                assert!(decimals <= 4, "{id}: {text}");
            });
        }
        lay_down(&db, &page).await;
        let surveyed = if path == BLOCKS { "layer_park_blocks" } else { "layer_parks" };
        let ours: i64 = db.value("SELECT count(*) FROM shown WHERE geom IS NOT NULL").await;
        assert_eq!(ours, 5, "{path}");
        for (what, sql) in [
            ("every outline is valid", "SELECT count(*) FROM shown WHERE geom IS NOT NULL AND NOT ST_IsValid(geom)".to_owned()),
            (
                "no two overlap",
                "SELECT count(*) FROM shown a JOIN shown b ON a.id < b.id AND ST_Area(ST_Intersection(a.geom, b.geom)) > 0".to_owned(),
            ),
            (
                "none is what was surveyed",
                format!("SELECT count(*) FROM shown s JOIN {surveyed} l ON l.feature_id = s.id AND ST_Equals(l.geom, s.geom)"),
            ),
            (
                // Each within the tolerance and the diagonal of a cell (11.1 m by 9.8 m), in metres of the zone.
                "none is farther from the border than it may be",
                format!(
                    "SELECT count(*) FROM shown s JOIN {surveyed} l ON l.feature_id = s.id
                     WHERE ST_HausdorffDistance(ST_Transform(ST_Boundary(l.geom), 4546), ST_Transform(ST_Boundary(s.geom), 4546)) > 10 + 14.9"
                ),
            ),
            (
                "none has half of the vertices",
                format!("SELECT count(*) FROM shown s JOIN {surveyed} l ON l.feature_id = s.id WHERE 2 * ST_NPoints(s.geom) > ST_NPoints(l.geom)"),
            ),
        ] {
            assert_eq!(db.value::<i64>(&sql).await, 0, "{path}: {what}");
        }
        // Four in a row and one apart: two pieces without a hole.
        let together: (i32, i64) = sqlx::query_as(
            "SELECT ST_NumGeometries(u), (SELECT sum(ST_NumInteriorRings(d.geom)) FROM ST_Dump(u) d) FROM (SELECT ST_Union(geom) u FROM shown) x",
        )
        .fetch_one(&db.pool)
        .await
        .expect("union");
        assert_eq!(together, (2, 0), "{path}");
        // The other members are the same for everybody, and so is all of it from the database.
        let staff = features(&get_authorised(&db, &format!("{path}?limit=1000")).await.json());
        for (id, feature) in &shown {
            assert_eq!(feature["properties"], staff[id]["properties"], "{id}");
        }
        assert_eq!(features(&from_database(&db, &format!("{path}?limit=1000")).await.json()), shown, "{path}");
    }
}

#[actix_web::test]
async fn whoever_reads_what_is_internal_sees_what_was_surveyed() {
    let db = ragged().await;
    for (path, relation) in ITEMS.into_iter().zip(["layer_parks", "layer_park_blocks"]) {
        let stored: Vec<(String, Option<String>)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT feature_id, ST_AsGeoJSON(ST_ForcePolygonCCW(geom), 8, 0) FROM {relation} ORDER BY feature_id COLLATE \"C\""
        )))
        .fetch_all(&db.pool)
        .await
        .expect("stored");
        let address = format!("{path}?limit=1000");
        for page in [
            get_authorised(&db, &address).await.json(),
            call_database(&db, authorised(Method::GET, &address)).await.json(),
        ] {
            assert!(page.get("generalisation").is_none());
            let shown = features(&page).into_iter().map(|(id, f)| (id, f["geometry"].clone()));
            let expected = stored.iter().map(|(id, text)| {
                (id.clone(), text.as_ref().map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON")))
            });
            assert_eq!(shown.collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<_, _>>(), "{path}");
        }
    }
}

/// Surveyed vertices that lie outside of the outline of their block, and farther from it than the probe is wide.
async fn outside(db: &Database) -> Vec<(String, f64, f64)> {
    sqlx::query_as(
        "SELECT s.id, ST_X(p.geom), ST_Y(p.geom) FROM shown s JOIN park_block b ON b.id = s.id, ST_DumpPoints(b.geom) p
         WHERE ST_Distance(p.geom, s.geom) > 0.00001 ORDER BY 1, 2, 3",
    )
    .fetch_all(&db.pool)
    .await
    .expect("vertices")
}

#[actix_web::test]
async fn no_question_tells_a_surveyed_vertex_from_its_surroundings() {
    let db = ragged().await;
    let all = format!("{BLOCKS}?limit=1000");
    lay_down(&db, &get(&db, &all).await.json()).await;
    let vertices = outside(&db).await;
    assert!(vertices.len() >= 20, "{} vertices to probe with", vertices.len());
    let mut told_apart = 0;
    let mercator = Judge::of(3857);
    for (id, x, y) in vertices.iter().step_by(vertices.len() / 10) {
        let (w, s, e, n) = (x - 1e-6, y - 1e-6, x + 1e-6, y + 1e-6);
        let probe = format!("ST_SetSRID(ST_MakeEnvelope({w}, {s}, {e}, {n}), 4490)");
        let expected: Vec<String> = db
            .column(&format!("SELECT id FROM shown WHERE ST_Intersects(geom, {probe}) ORDER BY id COLLATE \"C\""))
            .await;
        let surveyed: Vec<String> =
            db.column(&format!("SELECT id FROM park_block WHERE ST_Intersects(geom, {probe}) ORDER BY id")).await;
        assert!(surveyed.contains(id) && !expected.contains(id), "{id}");
        told_apart += usize::from(surveyed != expected);
        let filter = encode(&format!("S_INTERSECTS(geometry, BBOX({w}, {s}, {e}, {n}))"));
        let bbox = format!("bbox={w},{s},{e},{n}");
        let ([west, south], [east, north]) = (mercator.at(w, s), mercator.at(e, n));
        let plane = format!("bbox-crs=EPSG:3857&bbox={west},{south},{east},{north}");
        for question in [
            bbox.clone(),
            plane,
            format!("{bbox}&datetime=2024-01-01"),
            format!("{bbox}&revision={}", db.value::<i64>("SELECT max(number) FROM revision").await),
            format!("{bbox}&sortby=-number"),
            format!("filter={filter}"),
            format!("filter={filter}&f=geojson"),
            format!("filter={filter}&f=html"),
        ] {
            let address = format!("{BLOCKS}?limit=100&{question}");
            for answer in [get(&db, &address).await, from_database(&db, &address).await] {
                assert_eq!(answer.status, 200, "{question}: {}", answer.text());
                if question.ends_with("html") {
                    let told = answer.text().contains(&format!("items/{id}?"));
                    assert!(!told, "{question}");
                    continue;
                }
                let page = answer.json();
                assert_eq!(ids(&page), expected, "{question}");
                assert_eq!(page["numberMatched"], expected.len(), "{question}");
            }
            let staff = call(&db, authorised(Method::GET, &address)).await;
            if question.ends_with("html") {
                assert!(staff.text().contains(&format!("items/{id}?")), "{question}");
            } else {
                assert_eq!(ids(&staff.json()), surveyed, "{question}");
            }
        }
        let facets = get(&db, &format!("/api/collections/park_blocks/facets?{bbox}")).await.json();
        assert_eq!(facets["numberMatched"], expected.len(), "{bbox}");
    }
    assert!(told_apart > 5, "{told_apart} probes tell the two apart");
    // An area that the outline lies in, and what was surveyed does not.
    let around: String = db
        .value(&format!(
            "SELECT ST_AsGeoJSON(ST_Buffer(geom, 0.000002, 'join=mitre'), 9, 0) FROM shown WHERE id = '{}'",
            block(PARKS[4])
        ))
        .await;
    let question = format!("/api/collections/park_blocks/facets?within={}", encode(&around));
    assert_eq!(get(&db, &question).await.json()["numberMatched"], 1);
    assert_eq!(get_authorised(&db, &question).await.json()["numberMatched"], 0);
}

/// Numbers of the survey as documents write them, of all vertices that are not on the grid by chance: six decimals tell a vertex.
async fn secrets(db: &Database) -> Vec<String> {
    let texts: Vec<String> = db
        .column(
            "SELECT DISTINCT t FROM (SELECT trunc(ST_X(p.geom)::numeric, 6)::text t FROM park_block b, ST_DumpPoints(b.geom) p
             UNION ALL SELECT trunc(ST_Y(p.geom)::numeric, 6)::text FROM park_block b, ST_DumpPoints(b.geom) p) x
             WHERE t !~ '00$' ORDER BY t",
        )
        .await;
    assert!(texts.len() > 300, "{}", texts.len());
    texts
}

#[actix_web::test]
async fn no_door_lets_a_surveyed_number_out_to_the_public() {
    let db = ragged().await;
    let secrets = secrets(&db).await;
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    cut_first(&db).await;
    let (park, own) = (PARKS[1], block(PARKS[0]));
    let mut doors = vec![
        "/api/collections".to_owned(),
        format!("/api/parks/{park}"),
        format!("/api/parks/{park}?f=html"),
        format!("/api/parks/{park}?revision={before}"),
        "/api/parks".to_owned(),
        "/api/tiles/WebMercatorQuad?f=tilejson".to_owned(),
        "/api/tiles/WebMercatorQuad".to_owned(),
    ];
    for layer in ["parks", "park_blocks"] {
        let base = format!("/api/collections/{layer}");
        let item = if layer == "parks" { PARKS[0].to_owned() } else { own.clone() };
        doors.extend([
            base.clone(),
            format!("{base}?f=html"),
            format!("{base}/items?limit=1000"),
            format!("{base}/items?limit=1000&f=html"),
            format!("{base}/items?limit=1000&zoom-level=22"),
            format!("{base}/items?limit=1000&revision={before}"),
            format!("{base}/items?limit=1000&datetime=2024-01-01/2025-01-01"),
            format!("{base}/items?limit=1000&q=G43"),
            format!("{base}/items?f=geojson"),
            format!("{base}/items?f=ndjson"),
            format!("{base}/items?f=csv&geometry=wkt"),
            format!("{base}/items/{item}"),
            format!("{base}/items/{item}?f=html"),
            format!("{base}/items/{item}?revision={before}"),
            format!("{base}/items/{item}/history"),
            format!("{base}/items/{item}/history?f=html"),
            format!("{base}/changes?since=0"),
            format!("{base}/changes?since={before}"),
            format!("{base}/facets"),
            format!("{base}/tiles/WebMercatorQuad?f=tilejson"),
            format!("{base}/tiles/WebMercatorQuad"),
        ]);
    }
    let mut telling = BTreeSet::new();
    for door in &doors {
        for answer in [get(&db, door).await, from_database(&db, door).await] {
            assert_eq!(answer.status, 200, "{door}: {}", answer.text());
            let text = answer.text();
            let told = secrets.iter().find(|secret| text.contains(*secret));
            assert_eq!(told, None, "{door}");
        }
        let staff = get_authorised(&db, door).await.text();
        if secrets.iter().any(|secret| staff.contains(secret)) {
            telling.insert(door.as_str());
        }
    }
    // The look itself sees what is there: the same doors tell staff.
    for door in [
        format!("/api/parks/{park}"),
        format!("{BLOCKS}?limit=1000"),
        format!("{BLOCKS}?limit=1000&revision={before}"),
        format!("{BLOCKS}/{own}"),
        format!("{BLOCKS}/{own}/history"),
        "/api/collections/park_blocks/changes?since=0".to_owned(),
        "/api/collections/parks".to_owned(),
        "/api/collections/park_blocks/tiles/WebMercatorQuad?f=tilejson".to_owned(),
        format!("{BLOCKS}?f=csv&geometry=wkt"),
        format!("{BLOCKS}?f=ndjson"),
    ] {
        assert!(telling.contains(door.as_str()), "{door} tells staff nothing");
    }
    // Files: the doubles themselves, and in the text of those that are packed.
    let doubles: Vec<f64> = db
        .column("SELECT ST_X(p.geom) FROM park_block b, ST_DumpPoints(b.geom) p WHERE abs(ST_X(p.geom) * 10000 - round(ST_X(p.geom) * 10000)) > 0.01")
        .await;
    let holds = |bytes: &[u8]| {
        let chunks: BTreeSet<[u8; 8]> = bytes.windows(8).map(|w| w.try_into().expect("eight")).collect();
        doubles.iter().any(|x| chunks.contains(&x.to_le_bytes()))
    };
    for format in ["gpkg", "fgb"] {
        let address = format!("{BLOCKS}?f={format}");
        assert!(!holds(&get(&db, &address).await.body), "{format}");
        assert!(holds(&get_authorised(&db, &address).await.body), "{format}");
    }
}

/// As an answer is read: serde_json parses to within one unit of the last place.
fn as_read(numbers: &[f64]) -> Value {
    serde_json::from_str(&json!(numbers).to_string()).expect("JSON")
}

#[actix_web::test]
async fn extents_and_extremes_are_those_of_the_outlines() {
    let db = ragged().await;
    let extent = "SELECT ARRAY[ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)] FROM (SELECT ST_Extent(geom) e FROM";
    for path in ITEMS {
        lay_down(&db, &get(&db, &format!("{path}?limit=1000")).await.json()).await;
        let expected: Vec<f64> = db.value(&format!("{extent} shown) x")).await;
        let surveyed: Vec<f64> = db.value(&format!("{extent} park_block) x")).await;
        assert_ne!(expected, surveyed);
        let collection = path.trim_end_matches("/items");
        for (address, member) in [
            (collection.to_owned(), "/extent/spatial/bbox/0"),
            (format!("{collection}/tiles/WebMercatorQuad?f=tilejson"), "/bounds"),
        ] {
            for answer in [get(&db, &address).await, from_database(&db, &address).await] {
                assert_eq!(answer.json().pointer(member), Some(&as_read(&expected)), "{address}");
            }
            assert_eq!(
                get_authorised(&db, &address).await.json().pointer(member),
                Some(&as_read(&surveyed)),
                "{address}"
            );
        }
        assert_eq!(get(&db, collection).await.json()["generalisation"], rule());
        assert!(get_authorised(&db, collection).await.json().get("generalisation").is_none());
    }
    let divisions = get(&db, "/api/collections/divisions").await.json();
    assert!(divisions.get("generalisation").is_none(), "an outline already");
    for park in PARKS {
        let card = get(&db, &format!("/api/parks/{park}")).await.json();
        let expected: Vec<f64> = db.value(&format!("{extent} shown WHERE id = '{}') x", block(park))).await;
        assert_eq!(card["computed"]["bbox"], as_read(&expected), "{park}");
        assert_eq!(card["blocks"][0]["extremes"]["bbox"], as_read(&expected), "{park}");
        assert_eq!(card["generalisation"], rule());
        let staff = get_authorised(&db, &format!("/api/parks/{park}")).await.json();
        let surveyed: Vec<f64> = db
            .value(&format!(
                "SELECT ARRAY[round(ST_XMin(e)::numeric, 8), round(ST_YMin(e)::numeric, 8), round(ST_XMax(e)::numeric, 8), round(ST_YMax(e)::numeric, 8)]::float8[]
                 FROM (SELECT ST_Extent(geom) e FROM park_block WHERE park_code = '{park}') x"
            ))
            .await;
        assert_eq!(staff["computed"]["bbox"], as_read(&surveyed), "{park}");
        assert!(staff.get("generalisation").is_none());
        // What is a number of the register is everybody's.
        for member in ["areas", "check", "four_extents", "block_count"] {
            assert_eq!(card[member], staff[member], "{park} {member}");
        }
        assert_eq!(card["blocks"][0]["areas"], staff["blocks"][0]["areas"]);
    }
}
