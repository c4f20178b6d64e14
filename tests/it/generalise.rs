//! Outlines of drawn and real shapes; PostGIS judges what the outline of a layer must hold.

use std::collections::BTreeSet;

use geo::MultiPolygon;
use serde_json::Value;
use sizhi::domain::generalisation::Generalisation;
use sizhi::geometry::flat::FlatGeometry;
use sizhi::geometry::generalise::generalise;
use sizhi::store::geometry_column::{decode_flat, encode};

use crate::support::{Database, fixture, real};

/// The table `shape (id, geom)`, and one like it for what is made of it.
const TABLES: &str = "CREATE TABLE shape (id int PRIMARY KEY, geom geometry NOT NULL);
    CREATE TABLE outline (id int PRIMARY KEY, geom geometry NOT NULL)";

/// Forty shapes that cover three kilometres by three: Voronoi's cells put together by chance, so that shapes have several parts, and
/// most have an island of another in a hole. Borders bend every thirty metres as a survey's do: by a hash of the place, the same for neighbours.
const COVERAGE: &str = "INSERT INTO shape
    WITH point AS (
        SELECT ST_Collect(ST_SetSRID(ST_MakePoint(112.9 + 0.002 * (x + (hashint4(x * 100 + y) & 1023) / 1300.0),
            28.2 + 0.002 * (y + (hashint4(-x * 100 - y) & 1023) / 1300.0)), 4490)) AS geom
        FROM generate_series(1, 15) x, generate_series(1, 15) y
    ), cell AS (
        SELECT d.path[1] AS cell, ST_SnapToGrid(d.geom, 1e-8) AS geom FROM point, ST_Dump(ST_VoronoiPolygons(geom)) d
    ), corner AS (
        SELECT DISTINCT ST_AsText(d.geom, 8) AS text FROM cell, ST_DumpPoints(geom) d
    ), vertex AS (
        SELECT cell, d.path[2] AS at, p AS geom, ST_AsText(p, 8) AS text
        FROM cell, ST_DumpPoints(ST_Segmentize(geom, 3e-4)) d, ST_SnapToGrid(d.geom, 1e-8) p
    ), moved AS (
        SELECT cell, at, CASE WHEN EXISTS (SELECT FROM corner c WHERE c.text = v.text) THEN geom
            ELSE ST_Translate(geom, 6e-5 * ((hashtext(text) & 1023) / 1024.0 - 0.5),
                6e-5 * ((hashtext('y' || text) & 1023) / 1024.0 - 0.5)) END AS geom
        FROM vertex v
    ), bent AS (
        SELECT cell, ST_MakePolygon(ST_MakeLine(geom ORDER BY at)) AS geom FROM moved GROUP BY cell
    )
    SELECT (hashint4(cell) & 65535) % 40, ST_Multi(ST_Union(geom)) FROM bent GROUP BY 1;
    INSERT INTO shape SELECT 100 + id, ST_Multi(island) FROM shape,
        ST_SnapToGrid(ST_Buffer(ST_PointOnSurface(geom), 3e-4, 3), 1e-8) island WHERE ST_Contains(geom, ST_Buffer(island, 1e-5));
    UPDATE shape s SET geom = ST_Multi(ST_Difference(s.geom, i.geom)) FROM shape i WHERE i.id = s.id + 100";

async fn execute(db: &Database, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&db.pool).await.expect("statement");
}

async fn shapes(db: &Database) -> Vec<(i32, FlatGeometry)> {
    let rows: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("SELECT id, ST_AsEWKB(geom) FROM shape ORDER BY id").fetch_all(&db.pool).await.expect("shapes");
    rows.into_iter().map(|(id, bytes)| (id, decode_flat(&bytes).expect("a geometry"))).collect()
}

/// Makes the outlines of all shapes and writes them into the table `outline`.
async fn outline(db: &Database, rule: &Generalisation) {
    let shapes = shapes(db).await;
    let all: Vec<&FlatGeometry> = shapes.iter().map(|(_, shape)| shape).collect();
    let wanted: Vec<usize> = (0..all.len()).collect();
    let (mut ids, mut bytes) = (Vec::new(), Vec::new());
    for ((id, _), outline) in shapes.iter().zip(generalise(&all, &wanted, rule)) {
        ids.push(*id);
        bytes.push(encode(&outline.expect("an outline").to_multi_polygon()));
    }
    sqlx::query("INSERT INTO outline SELECT * FROM unnest($1::int[], $2::bytea[])")
        .bind(&ids)
        .bind(&bytes)
        .execute(&db.pool)
        .await
        .expect("outlines");
}

/// What holds of every outline: valid, on the grid, exteriors counter-clockwise and holes clockwise, none without an area.
async fn assert_sound(db: &Database, decimals: u8) {
    let invalid = "SELECT count(*) FROM outline WHERE NOT ST_IsValid(geom) OR ST_IsEmpty(geom) OR ST_Area(geom) = 0";
    assert_eq!(
        db.value::<i64>(invalid).await,
        0,
        "{:?}",
        db.column::<String>("SELECT ST_IsValidReason(geom) FROM outline WHERE NOT ST_IsValid(geom)").await
    );
    let turned = "SELECT count(*) FROM outline WHERE NOT ST_IsPolygonCCW(geom)";
    assert_eq!(db.value::<i64>(turned).await, 0);
    // A double is what PostgreSQL reads from the decimal number, or it is not on the grid.
    let off = format!(
        "SELECT count(*) FROM outline, ST_DumpPoints(geom) p WHERE
            ST_X(p.geom) <> round(ST_X(p.geom)::numeric, {decimals})::float8
            OR ST_Y(p.geom) <> round(ST_Y(p.geom)::numeric, {decimals})::float8"
    );
    assert_eq!(db.value::<i64>(&off).await, 0);
}

/// Pairs of outlines that have an area in common, though the shapes have none.
const OVERLAPS: &str = "SELECT count(*) FROM outline a JOIN outline b ON a.id < b.id AND a.geom && b.geom
    JOIN shape s ON s.id = a.id JOIN shape t ON t.id = b.id
    WHERE ST_Area(ST_Intersection(a.geom, b.geom)) > 1e-16 AND ST_Area(ST_Intersection(s.geom, t.geom)) < 1e-16";

/// Metres from any place of an outline to the border of its shape, and from any place of a shape's border to the nearest outline (its own,
/// or where a tip narrower than a cell was lost, that of the neighbours who meet there); in the plane of the zone of 114°.
const DISTANCE: &str = "WITH border AS (
        SELECT id, ST_Transform(ST_Boundary(geom), 4547) AS geom FROM shape
    ), line AS (
        SELECT id, ST_Transform(ST_Boundary(geom), 4547) AS geom FROM outline
    )
    SELECT greatest(
        (SELECT max(ST_Distance(p.geom, b.geom)) FROM line l JOIN border b USING (id), ST_DumpPoints(ST_Segmentize(l.geom, 15)) p),
        (SELECT max(d) FROM border b, ST_DumpPoints(ST_Segmentize(b.geom, 15)) p, LATERAL (
            SELECT coalesce(min(ST_Distance(p.geom, e.geom)), 'infinity') AS d FROM near e
            WHERE e.geom && ST_Expand(p.geom, 100)) n))";

/// The diagonal of a cell of four decimals at 28.2°: 9.83 m by 11.08 m.
const DIAGONAL: f64 = 14.82;

/// The outlines lie side by side without an overlap and without a gap.
async fn assert_covers(db: &Database) {
    let sums = "SELECT sum(ST_Area(geom)) - ST_Area(ST_Union(geom)) FROM outline";
    assert!(db.value::<f64>(sums).await.abs() < 1e-14, "nothing is covered twice");
    let parts = "SELECT ARRAY[ST_NumGeometries(u), ST_NumInteriorRings(ST_GeometryN(u, 1))]
            FROM (SELECT ST_Multi(ST_Union(geom)) AS u FROM outline) x";
    assert_eq!(db.value::<Vec<i32>>(parts).await, [1, 0], "one piece without a gap");
}

#[tokio::test]
async fn a_coverage_stays_a_coverage() {
    let db = Database::bare().await;
    execute(&db, TABLES).await;
    execute(&db, COVERAGE).await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM shape WHERE NOT ST_IsValid(geom)").await, 0);
    assert!(db.value::<i64>("SELECT sum(ST_NumInteriorRings(d.geom)) FROM shape, ST_Dump(geom) d").await > 20, "holes");
    for (tolerance_m, most) in [(0.0, 1.0), (10.0, 0.5), (60.0, 0.2)] {
        outline(&db, &Generalisation { tolerance_m, decimals: 4 }).await;
        assert_sound(&db, 4).await;
        assert_eq!(db.value::<i64>(OVERLAPS).await, 0);
        assert_covers(&db).await;
        execute(&db, NEAR).await;
        let off = db.value::<f64>(DISTANCE).await;
        assert!(off <= tolerance_m + DIAGONAL, "{off} m of {tolerance_m} m and a diagonal");
        let share =
            "SELECT (SELECT sum(ST_NPoints(geom)) FROM outline)::float8 / (SELECT sum(ST_NPoints(geom)) FROM shape)";
        let share = db.value::<f64>(share).await;
        assert!(share <= most, "{share} of the vertices");
        execute(&db, "TRUNCATE outline").await;
    }
}

#[tokio::test]
async fn borders_surveyed_twice_are_shown_once() {
    let db = Database::bare().await;
    execute(&db, TABLES).await;
    execute(&db, COVERAGE).await;
    // Each shape by itself rounded to five decimals (half a metre off), after a move of a third of a millimetre of its own; and long sides
    // lose the vertices at which only neighbours meet.
    execute(
        &db,
        "UPDATE shape SET geom = ST_Multi(ST_ReducePrecision(ST_SimplifyPreserveTopology(
            ST_Translate(geom, 3e-9 * (id % 7), -3e-9 * (id % 5)), 1e-7), 1e-5))",
    )
    .await;
    let before = db.value::<f64>("SELECT sum(ST_Area(geom)) - ST_Area(ST_Union(geom)) FROM shape").await;
    assert!(before > 1e-12, "they overlap and gape before: {before}");
    outline(&db, &Generalisation { tolerance_m: 10.0, decimals: 4 }).await;
    assert_sound(&db, 4).await;
    assert_covers(&db).await;
    execute(&db, NEAR).await;
    let off = db.value::<f64>(DISTANCE).await;
    assert!(off <= 10.0 + DIAGONAL, "{off} m");
}

/// The sides of all outlines, to be found by place.
const NEAR: &str = "CREATE TABLE IF NOT EXISTS near (geom geometry);
    CREATE INDEX IF NOT EXISTS near_place ON near USING gist (geom);
    TRUNCATE near;
    INSERT INTO near SELECT ST_Transform((ST_DumpSegments(geom)).geom, 4547) FROM outline";

/// Puts the polygons of a GeoJSON document into the table.
async fn load(db: &Database, text: &str) {
    let document: Value = serde_json::from_str(text).expect("JSON");
    let geometries: Vec<String> =
        document["features"].as_array().expect("features").iter().map(|f| f["geometry"].to_string()).collect();
    sqlx::query(
        "INSERT INTO shape SELECT at::int, ST_SetSRID(ST_Multi(ST_GeomFromGeoJSON(text)), 4490)
         FROM unnest($1::text[]) WITH ORDINALITY u (text, at)",
    )
    .bind(&geometries)
    .execute(&db.pool)
    .await
    .expect("shapes");
}

#[tokio::test]
async fn prefectures_keep_their_borders_in_common() {
    let db = Database::bare().await;
    execute(&db, TABLES).await;
    let file = fixture("outlines/hunan_prefecture_echarts490_gcj02.geojson");
    load(&db, &std::fs::read_to_string(file).expect("outlines")).await;
    outline(&db, &Generalisation { tolerance_m: 500.0, decimals: 3 }).await;
    assert_sound(&db, 3).await;
    // One of them crosses itself (see the fixture's README), and what it has in common with others PostGIS cannot say.
    execute(&db, "DELETE FROM shape WHERE NOT ST_IsValid(geom)").await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM shape").await, 13);
    assert_eq!(db.value::<i64>(OVERLAPS).await, 0);
    let shares = "SELECT count(*) FROM outline a JOIN outline b ON a.id < b.id WHERE ST_Length(ST_Intersection(
            ST_Boundary(a.geom), ST_Boundary(b.geom))) > 0.01";
    assert!(db.value::<i64>(shares).await >= 20, "neighbours have borders in common, vertex for vertex");
}

#[tokio::test]
async fn a_cadastre_is_generalised_without_new_overlaps() {
    let Some(file) = real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let db = Database::bare().await;
    execute(&db, TABLES).await;
    load(&db, &std::fs::read_to_string(file).expect("parcels")).await;
    outline(&db, &Generalisation { tolerance_m: 2.0, decimals: 5 }).await;
    assert_sound(&db, 5).await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM outline").await, 4241, "none vanishes");
    // What is lost on the grid is a cell that may lie on others.
    execute(&db, "DELETE FROM outline WHERE ST_Area(geom) < 1.01e-10").await;
    assert!(db.value::<i64>("SELECT count(*) FROM outline").await > 4200);
    assert_eq!(db.value::<i64>(OVERLAPS).await, 0);
}

#[tokio::test]
async fn the_outlines_of_a_coverage_are_those_of_its_pieces() {
    // By PostGIS' own eyes: the neighbours' neighbours that its index finds, and no others.
    let db = Database::bare().await;
    execute(&db, TABLES).await;
    execute(&db, COVERAGE).await;
    execute(
        &db,
        "CREATE TABLE single AS SELECT row_number() OVER () AS id, d.geom FROM shape, ST_Dump(geom) d;
         TRUNCATE shape; INSERT INTO shape SELECT id, geom FROM single",
    )
    .await;
    let rule = Generalisation { tolerance_m: 10.0, decimals: 4 };
    let shapes = shapes(&db).await;
    let all: Vec<&FlatGeometry> = shapes.iter().map(|(_, shape)| shape).collect();
    let wanted: Vec<usize> = (0..all.len()).collect();
    let outlines = generalise(&all, &wanted, &rule);
    let margin = sizhi::geometry::generalise::margin(&rule);
    let mut sizes = BTreeSet::new();
    for (at, (id, _)) in shapes.iter().enumerate().step_by(3) {
        let near: Vec<i32> = sqlx::query_scalar(
            "SELECT DISTINCT c.id FROM shape a JOIN shape b ON ST_Expand(a.geom, $2) && b.geom
             JOIN shape c ON ST_Expand(b.geom, $2) && c.geom WHERE a.id = $1 ORDER BY 1",
        )
        .bind(id)
        .bind(margin)
        .fetch_all(&db.pool)
        .await
        .expect("neighbours");
        let some: Vec<&FlatGeometry> =
            shapes.iter().filter(|(id, _)| near.contains(id)).map(|(_, shape)| shape).collect();
        let place = near.iter().position(|near| near == id).expect("itself");
        assert_eq!(generalise(&some, &[place], &rule)[0], outlines[at], "shape {id}");
        sizes.insert(some.len());
    }
    assert!(sizes.first().is_some_and(|least| *least < all.len() / 3), "some are far from most: {sizes:?}");
    let empty = FlatGeometry::from(&MultiPolygon::<f64>(Vec::new()));
    assert_eq!(generalise(&[&empty], &[0], &rule), [None]);
}
