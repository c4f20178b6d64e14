//! Tiles against two judges: GDAL reads what we wrote, and PostGIS' ST_AsMVTGeom says what should stand there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sizhi::geometry::flat::FlatGeometry;
use sizhi::layers::tiles::TileLayer;
use sizhi::layers::tiles::grid::{self, Tile, touched};
use sizhi::layers::tiles::source::HeldFeatures;
use sizhi::store::geometry_column::decode_flat;

use crate::support::Database;
use crate::support::tiles::{Read, read};

/// Deterministic numbers from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const BASE: (f64, f64) = (112.9, 28.2);

fn layer() -> TileLayer {
    TileLayer { name: "shapes".to_owned(), properties: Vec::new(), label: None, zooms: 0..=22 }
}

/// A ring around a place that does not cross itself; its radius changes with the angle.
fn star(random: &mut Random, x: f64, y: f64, size: f64, count: usize) -> String {
    let mut places: Vec<String> = (0..count)
        .map(|i| {
            let angle = (i as f64 + random.next() * 0.8) / count as f64 * std::f64::consts::TAU;
            let radius = size * (0.7 + 0.3 * random.next());
            format!("{:.8} {:.8}", x + radius * angle.cos(), y + radius * angle.sin())
        })
        .collect();
    places.push(places[0].clone());
    format!("({})", places.join(","))
}

/// Polygons with holes and several parts, lines and points, from metres to kilometres.
fn drawn(random: &mut Random, count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|i| {
            let (x, y) = (BASE.0 + (random.next() - 0.5) * 0.12, BASE.1 + (random.next() - 0.5) * 0.12);
            // From 17 m to a kilometre; the smaller, the fewer vertices, as land is surveyed.
            let size = 10_f64.powf(-3.8 + 1.8 * random.next());
            let vertices = 4 + (random.next() * (size / 2e-5).min(60.0)) as usize;
            let exterior = star(random, x, y, size, vertices);
            let text = match i % 6 {
                0 | 1 => format!("POLYGON({exterior})"),
                2 => format!("POLYGON({exterior},{})", star(random, x, y, size * 0.3, 12)),
                3 => {
                    let second = star(random, x + 3.0 * size, y, size, 9);
                    format!("MULTIPOLYGON(({exterior}),({second}))")
                }
                4 => format!("LINESTRING{exterior}"),
                _ => format!("MULTIPOINT{}", star(random, x, y, size, 3)),
            };
            (format!("drawn-{i:04}"), text)
        })
        .collect()
}

/// A table `shape (id, geom)` of the drawn shapes and the sample's blocks, and the same in memory.
async fn shapes(db: &Database, drawn: &[(String, String)]) -> HeldFeatures {
    let (ids, texts): (Vec<&str>, Vec<&str>) = drawn.iter().map(|(id, text)| (id.as_str(), text.as_str())).unzip();
    sqlx::raw_sql("CREATE TABLE shape (id text PRIMARY KEY, geom geometry NOT NULL)")
        .execute(&db.pool)
        .await
        .expect("table");
    sqlx::query(
        "INSERT INTO shape SELECT id, ST_SetSRID(ST_GeomFromText(text), 4490) FROM unnest($1::text[], $2::text[]) u (id, text)
         UNION ALL SELECT feature_id, geom FROM layer_park_blocks WHERE valid_to IS NULL AND geom IS NOT NULL",
    )
    .bind(&ids)
    .bind(&texts)
    .execute(&db.pool)
    .await
    .expect("shapes");
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT id, ST_AsEWKB(geom) FROM shape ORDER BY id COLLATE \"C\"")
            .fetch_all(&db.pool)
            .await
            .expect("rows");
    let mut held = HeldFeatures::default();
    for (id, bytes) in rows {
        held.add(&layer(), id, "{}", decode_flat(&bytes).expect("geometry"));
    }
    held
}

/// What ST_AsMVTGeom makes of each shape: id → GeoJSON in units.
async fn judged(db: &Database, tile: Tile, condition: &str) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT id, ST_AsGeoJSON(g) FROM (
             SELECT id, geom, ST_AsMVTGeom(ST_Transform(ST_SetSRID(geom, 4326), 3857), ST_TileEnvelope($1, $2, $3), 4096, 64, true) g
             FROM shape WHERE {condition}) x
         WHERE g IS NOT NULL AND (ST_Dimension(g) < 2 OR ST_Area(g) > 0)"
    )))
    .bind(i32::from(tile.zoom))
    .bind(tile.col as i32)
    .bind(tile.row as i32)
    .fetch_all(&db.pool)
    .await
    .expect("judged");
    rows.into_iter().collect()
}

/// The greatest distance of a vertex of one geometry from the outline of the other, apart from the rim of the buffer; and the area that
/// only one of them covers, by the outline's length.
async fn compare(db: &Database, ours: &Value, theirs: &str) -> (f64, f64) {
    sqlx::query_as(
        "WITH x AS (SELECT ST_SetSRID(ST_GeomFromGeoJSON($1), 0) a, ST_SetSRID(ST_GeomFromGeoJSON($2), 0) b),
         o AS (SELECT a, b, CASE ST_Dimension(a) WHEN 2 THEN ST_Boundary(a) ELSE a END oa,
                   CASE ST_Dimension(b) WHEN 2 THEN ST_Boundary(b) ELSE b END ob FROM x),
         v AS (SELECT (ST_DumpPoints(oa)).geom p, ob other FROM o UNION ALL SELECT (ST_DumpPoints(ob)).geom, oa FROM o)
         SELECT coalesce((SELECT max(ST_Distance(p, other)) FROM v WHERE p && ST_MakeEnvelope(-62, -62, 4158, 4158)), 0),
             CASE WHEN ST_Dimension(a) = 2 THEN
                 ST_Area(ST_SymDifference(ST_MakeValid(a, 'method=structure'), ST_MakeValid(b, 'method=structure')))
                 / greatest(ST_Perimeter(b), 1) ELSE 0 END FROM o",
    )
    .bind(ours.to_string())
    .bind(theirs)
    .fetch_one(&db.pool)
    .await
    .expect("compared")
}

fn places(coordinates: &Value) -> Vec<(f64, f64)> {
    match coordinates.as_array().map(Vec::as_slice) {
        Some([x, y, ..]) if x.is_number() => vec![(x.as_f64().expect("x"), y.as_f64().expect("y"))],
        Some(parts) => parts.iter().flat_map(places).collect(),
        None => Vec::new(),
    }
}

/// What comes into the buffer by a unit and no more is there or not as a cut is rounded; nobody sees it.
fn is_at_the_rim(shape: &Value) -> bool {
    let near = |at: f64| !(-62.0..=4158.0).contains(&at);
    places(&shape["coordinates"]).into_iter().all(|(x, y)| near(x) || near(y))
}

fn tile_at(zoom: u8, longitude: f64, latitude: f64) -> Tile {
    let range = touched(&[longitude, latitude, longitude, latitude], zoom);
    Tile::new(zoom, *range.rows.start(), *range.cols.start()).expect("in the matrix")
}

#[actix_web::test]
async fn from_zoom_12_on_the_ids_are_those_of_postgis_and_shapes_differ_by_a_unit_each_way_at_most() {
    let db = Database::with_sample().await;
    let mut random = Random(11);
    let held = shapes(&db, &drawn(&mut random, 900)).await;
    let (mut compared, mut at_the_rim, mut worst) = (0, 0, 0.0_f64);
    let blocks: Vec<(f64, f64)> = sqlx::query_as(
        "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_PointOnSurface(geom) p FROM park_block ORDER BY id LIMIT 12) x",
    )
    .fetch_all(&db.pool)
    .await
    .expect("places");
    for zoom in 12..=18 {
        let around = (0..6).map(|_| (BASE.0 + (random.next() - 0.5) * 0.12, BASE.1 + (random.next() - 0.5) * 0.12));
        let places: Vec<(f64, f64)> =
            around.chain(blocks.iter().copied().skip(usize::from(zoom) % 4 * 3).take(3)).collect();
        for (x, y) in places {
            let tile = tile_at(zoom, x, y);
            let ours: BTreeMap<String, Read> =
                read(&held.encode(tile, &layer()), tile, "shapes").into_iter().map(|read| (read.id(), read)).collect();
            let theirs = judged(&db, tile, "true").await;
            let ids = |keys: Vec<&String>| keys.into_iter().cloned().collect::<BTreeSet<String>>();
            let (ours_ids, their_ids) = (ids(ours.keys().collect()), ids(theirs.keys().collect()));
            for id in ours_ids.symmetric_difference(&their_ids) {
                let shape = match (ours.get(id), theirs.get(id)) {
                    (Some(read), _) => read.geometry.clone(),
                    (None, Some(text)) => serde_json::from_str(text).expect("GeoJSON"),
                    (None, None) => unreachable!("{id} is in one of them"),
                };
                assert!(is_at_the_rim(&shape), "{id} in {tile:?}: {shape}");
                at_the_rim += 1;
            }
            for (id, read) in ours.iter().filter(|(id, _)| theirs.contains_key(*id)) {
                let (distance, area) = compare(&db, &read.geometry, &theirs[id]).await;
                assert!(
                    distance <= std::f64::consts::SQRT_2 + 1e-9 && area <= 0.5,
                    "{id} in {tile:?}: {distance} units, {area}\n{}\n{}",
                    read.geometry,
                    theirs[id]
                );
                worst = worst.max(distance);
                compared += 1;
            }
        }
    }
    assert!(compared > 500 && at_the_rim * 200 < compared, "{compared}, {at_the_rim}");
    println!("compared {compared}, at the rim {at_the_rim}, worst {worst}");
}

#[actix_web::test]
async fn below_zoom_12_what_is_gathered_and_what_stands_alone_make_up_all() {
    let db = Database::with_sample().await;
    let held = shapes(&db, &drawn(&mut Random(5), 600)).await;
    let all: (f64, f64, f64, f64) = sqlx::query_as(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM (SELECT ST_Extent(geom) e FROM shape) x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("extent");
    let total: i64 = db.value("SELECT count(*) FROM shape WHERE ST_Dimension(geom) = 2").await;
    for zoom in 0..=11_u8 {
        // A box is smaller than a pixel where both its sides are.
        let pixel_m = 40_075_016.685_578_49 / 256.0 / f64::from(grid::matrix_size(zoom));
        let small = format!("ST_XMax(m) - ST_XMin(m) < {pixel_m} AND ST_YMax(m) - ST_YMin(m) < {pixel_m}",);
        let mut gathered_in_all = 0;
        let range = touched(&[all.0, all.1, all.2, all.3], zoom);
        // Every tile at coarse zooms, some at finer ones.
        let step = (range.count() / 12).max(1) as usize;
        let tiles = range.rows.clone().flat_map(|row| range.cols.clone().map(move |col| (row, col)));
        let busiest = tile_at(zoom, BASE.0, BASE.1);
        for (at, (row, col)) in tiles.step_by(step).chain([(busiest.row, busiest.col)]).enumerate() {
            let tile = Tile::new(zoom, row, col).expect("in the matrix");
            let features = read(&held.encode(tile, &layer()), tile, "shapes");
            let areas: Vec<&Read> = features
                .iter()
                .filter(|f| f.geometry["type"].as_str().is_some_and(|t| t.ends_with("Polygon")))
                .collect();
            let gathered: u64 = areas.iter().filter(|f| !f.properties["count"].is_null()).map(|f| f.count()).sum();
            let singles: BTreeSet<String> =
                areas.iter().filter(|f| f.properties["count"].is_null()).map(|f| f.id()).collect();
            // The middle of the box in degrees, its pixel by the projection.
            let expected: i64 = db
                .value(&format!(
                    "WITH s AS (SELECT geom, ST_Transform(ST_SetSRID(geom, 4326), 3857) m FROM shape WHERE ST_Dimension(geom) = 2),
                     c AS (SELECT ST_Transform(ST_SetSRID(ST_Point((ST_XMin(geom) + ST_XMax(geom)) / 2, (ST_YMin(geom) + ST_YMax(geom)) / 2), 4326), 3857) p FROM s WHERE {small})
                     SELECT count(*) FROM c, (SELECT ST_TileEnvelope({zoom}, {col}, {row}) e) t
                     WHERE ST_X(p) >= ST_XMin(e) AND ST_X(p) < ST_XMax(e) AND ST_Y(p) > ST_YMin(e) AND ST_Y(p) <= ST_YMax(e)"
                ))
                .await;
            assert_eq!(gathered as i64, expected, "{tile:?}");
            // The busiest comes once more at the end, for the zooms that are only sampled.
            gathered_in_all += if at < range.count() as usize { gathered as i64 } else { 0 };
            let large = judged(&db, tile, &format!("ST_Dimension(geom) = 2 AND NOT (SELECT {small} FROM (SELECT ST_Transform(ST_SetSRID(geom, 4326), 3857) m) y)")).await;
            assert_eq!(singles, large.into_keys().collect::<BTreeSet<String>>(), "{tile:?}");
            for square in areas.iter().filter(|f| !f.properties["count"].is_null()) {
                let corner = places(&square.geometry["coordinates"]);
                let corner =
                    corner.iter().fold((f64::INFINITY, f64::INFINITY), |low, p| (low.0.min(p.0), low.1.min(p.1)));
                let is_pixel = |at: f64| at % 16.0 == 0.0 && (0.0..4096.0).contains(&at);
                assert!(is_pixel(corner.0) && is_pixel(corner.1), "{corner:?}");
                assert!(square.properties["id"].is_null(), "{}", square.properties);
            }
        }
        if zoom <= 3 {
            assert_eq!(gathered_in_all, total, "zoom {zoom}: all are smaller than a pixel, and each is in one tile");
        }
    }
}

fn held_of(shapes: &[(&str, &str)]) -> HeldFeatures {
    use geo::Geometry;
    let mut held = HeldFeatures::default();
    for (id, text) in shapes {
        let geometry = geojson_of(text);
        let Geometry::MultiPolygon(areas) = geometry else { panic!("{text}") };
        held.add(&layer(), (*id).to_owned(), "{}", FlatGeometry::from(&areas));
    }
    held
}

fn geojson_of(coordinates: &str) -> geo::Geometry<f64> {
    let value: Value = serde_json::from_str(coordinates).expect("JSON");
    let geometry: geojson::Geometry =
        serde_json::from_value(json!({"type": "MultiPolygon", "coordinates": value})).expect("geometry");
    geo::Geometry::try_from(geometry).expect("geometry")
}

#[actix_web::test]
async fn the_edges_of_the_world_are_kept_and_what_lies_beyond_is_not() {
    let held = held_of(&[
        ("east", "[[[[179,10],[180,10],[180,20],[179,20],[179,10]]]]"),
        ("west", "[[[[-180,10],[-179,10],[-179,20],[-180,20],[-180,10]]]]"),
        ("arctic", "[[[[0,84],[90,84],[90,90],[0,90],[0,84]]]]"),
        ("pole", "[[[[0,86],[90,86],[90,90],[0,90],[0,86]]]]"),
        ("world", "[[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]]"),
    ]);
    let ids = |zoom, row, col| {
        let tile = Tile::new(zoom, row, col).expect("tile");
        let features = read(&held.encode(tile, &layer()), tile, "shapes");
        features.iter().map(Read::id).collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    assert_eq!(ids(0, 0, 0), ["arctic", "east", "west", "world"]);
    assert_eq!(ids(4, 7, 15), ["east", "world"]);
    assert_eq!(ids(4, 7, 0), ["west", "world"]);
    assert_eq!(ids(4, 0, 8), ["arctic", "world"]);
    assert_eq!(ids(4, 15, 8), ["world"]);
    // At the north edge of the square the shape goes on into the buffer, and the tile is covered to its corners.
    let tile = Tile::new(4, 0, 9).expect("tile");
    let features = read(&held.encode(tile, &layer()), tile, "shapes");
    let corners = json!([[[4160.0, -64.0], [4160.0, 4160.0], [-64.0, 4160.0], [-64.0, -64.0], [4160.0, -64.0]]]);
    let world = features.iter().find(|f| f.id() == "world").expect("world");
    let sorted = |ring: &Value| {
        let mut places: Vec<String> = ring[0].as_array().expect("ring").iter().map(Value::to_string).collect();
        places.sort();
        places.dedup();
        places
    };
    assert_eq!(sorted(&world.geometry["coordinates"]), sorted(&corners));
}

#[actix_web::test]
async fn holes_and_slivers_are_what_the_grid_makes_of_them() {
    // A tile of zoom 14 is 4096 units of 0.000 005 36°.
    let unit = 360.0 / 4096.0 / f64::from(grid::matrix_size(14));
    let tile = tile_at(14, BASE.0, BASE.1);
    let [west, _, _, north] = tile.bounds();
    let ring = |places: &[(f64, f64)]| {
        let narrow = north.to_radians().cos();
        let text: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("[{:.12},{:.12}]", west + x * unit, north - y * unit * narrow))
            .collect();
        format!("[{},{}]", text.join(","), text[0])
    };
    let square = |x: f64, y: f64, side: f64| ring(&[(x, y), (x, y + side), (x + side, y + side), (x + side, y)]);
    let holed =
        format!("[[{},{},{}]]", square(100.0, 100.0, 50.0), square(110.0, 110.0, 20.0), square(140.0, 140.0, 0.2));
    let sliver = format!("[[{}]]", ring(&[(300.0, 300.1), (380.0, 300.1), (380.0, 300.2), (300.0, 300.2)]));
    let two = format!("[[{}],[{}]]", square(500.0, 500.0, 0.1), square(510.0, 510.0, 8.0));
    let features = {
        let held = held_of(&[("holed", &holed), ("sliver", &sliver), ("two", &two)]);
        read(&held.encode(tile, &layer()), tile, "shapes")
    };
    let ids: Vec<String> = features.iter().map(Read::id).collect();
    assert_eq!(ids, ["holed", "two"], "a sliver has no area on the grid");
    fn rings(coordinates: &Value) -> usize {
        let parts = coordinates.as_array().expect("parts");
        if parts[0][0].is_number() { 1 } else { parts.iter().map(rings).sum() }
    }
    let rings = |read: &Read| rings(&read.geometry["coordinates"]);
    assert_eq!((rings(&features[0]), rings(&features[1])), (2, 1), "the hole that is none is gone");
    // One zoom class below, the sliver is counted with the small ones.
    let coarse = tile_at(11, BASE.0, BASE.1);
    let held = held_of(&[("holed", &holed), ("sliver", &sliver), ("two", &two)]);
    let counts: u64 = read(&held.encode(coarse, &layer()), coarse, "shapes").iter().map(Read::count).sum();
    assert_eq!(counts, 3);
}
