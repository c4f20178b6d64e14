//! Parcels from a file geodatabase, a drawing and boundary-point files, with a spreadsheet of attributes beside: counts, places and
//! areas by PostGIS over the coordinates that the files were made of.

use std::path::{Path, PathBuf};

use rust_xlsxwriter::Workbook;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::parcels::{PARK, into};
use crate::support::tools::{arg, folder, gdal, zip};
use crate::support::{Database, codes, files};

const TURNOVER: &str = "turnover_parcels";
/// Numbers on paper, side in metres, place in the row, in metres.
const LAND: [(&str, f64, f64); 5] = [
    ("XJ-001", 60.0, 0.0),
    ("XJ-002", 45.5, 100.0),
    ("XJ-003", 80.25, 200.0),
    ("XJ-004", 12.0, 300.0),
    ("XJ-005", 99.9, 400.0),
];

/// Corners of each parcel in zone 38 (EPSG:4526): number, rings of (northing, easting), around the middle of the park.
async fn corners(db: &Database) -> Vec<(&'static str, Vec<(f64, f64)>)> {
    let (easting, northing): (f64, f64) = sqlx::query_as(
        "SELECT round(ST_X(p)), round(ST_Y(p)) FROM (
             SELECT ST_Transform((ST_MaximumInscribedCircle(geom)).center, 4526) AS p FROM park_block WHERE park_code = $1
             ORDER BY area_m2 DESC LIMIT 1) c",
    )
    .bind(PARK)
    .fetch_one(&db.pool)
    .await
    .expect("a place");
    LAND.iter().map(|&(number, side, east)| (number, files::square(northing, easting + east, side))).collect()
}

/// The same as a GeoJSON in metres, which GDAL makes other formats of.
fn source(name: &str, land: &[(&str, Vec<(f64, f64)>)]) -> PathBuf {
    let features: Vec<_> = land
        .iter()
        .map(|(number, ring)| {
            let ring: Vec<_> = ring.iter().chain(ring.first()).map(|(north, east)| json!([east, north])).collect();
            json!({"type": "Feature", "properties": {"number": number},
                   "geometry": {"type": "Polygon", "coordinates": [ring]}})
        })
        .collect();
    let crs = json!({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4526"}});
    let whole = json!({"type": "FeatureCollection", "name": "land", "crs": crs, "features": features});
    files::write(name, whole.to_string())
}

/// A spreadsheet as an office has it: what the shapes do not say, and a line of a parcel that no shape goes with.
fn spreadsheet(name: &str) -> PathBuf {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (column, heading) in (0..).zip(["地块编号", "用地单位", "批准面积（亩）", "批准日期", "状态"])
    {
        sheet.write_string(0, column, heading).expect("heading");
    }
    for (row, (number, ..)) in (1..).zip(LAND) {
        sheet.write_string(row, 0, number).expect("number");
        sheet.write_string(row, 1, format!("第{row}公司")).expect("user");
        sheet.write_number(row, 2, f64::from(row) * 1.5).expect("area");
        sheet.write_string(row, 3, format!("2024-05-{row:02}")).expect("day");
        sheet.write_string(row, 4, if row % 2 == 0 { "已批准" } else { "已征收" }).expect("state");
    }
    let path = files::write(name, b"");
    book.save(&path).expect("saved");
    path
}

/// Imports the shapes with the spreadsheet; all of it is new, and told is nothing but these codes.
async fn import(db: &Database, shapes: &Path, told: &[&str]) {
    let table = spreadsheet(&format!("{}.属性.xlsx", shapes.file_name().expect("a name").to_string_lossy()));
    let with_table = |request: &mut sizhi::inventory::import::ImportRequest| {
        into(TURNOVER)(request);
        request.attributes = Some((table.clone(), "属性.xlsx".to_owned()));
    };
    let imported = db.import(shapes, with_table).await.expect("imported");
    assert_eq!(codes(&imported), told, "{:?}", imported.report.findings);
    let counts = imported.report.counts.expect("counts");
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (5, 0, 0));
    let rows: Vec<String> = db
        .column(
            "SELECT concat_ws('|', number, land_user, round(approved_area_m2::numeric, 6), approved_on, state, park_code, inside_share)
             FROM turnover_parcel ORDER BY number",
        )
        .await;
    let expected: Vec<String> = (1..)
        .zip(LAND)
        .map(|(row, (number, ..))| {
            let (area, state) = (row * 1_000, if row % 2 == 0 { "approved" } else { "acquired" });
            format!("{number}|第{row}公司|{area}.000000|2024-05-{row:02}|{state}|{PARK}|1")
        })
        .collect();
    assert_eq!(rows, expected);
    // The same files again change nothing.
    let again = db.import(shapes, with_table).await.expect("read");
    let counts = again.report.counts.expect("counts");
    assert_eq!((again.revision, counts.unchanged), (None, 5), "{:?}", again.report.findings);
}

/// Every parcel lies where its corners say, and is as large as PostGIS measures there.
async fn assert_land(db: &Database, land: &[(&str, Vec<(f64, f64)>)]) {
    let numbers: Vec<&str> = land.iter().map(|(number, _)| *number).collect();
    let shapes: Vec<String> = land
        .iter()
        .map(|(_, ring)| {
            let points: Vec<String> =
                ring.iter().chain(ring.first()).map(|(north, east)| format!("{east} {north}")).collect();
            format!("POLYGON(({}))", points.join(","))
        })
        .collect();
    let judge = "SELECT count(p.id), max(ST_HausdorffDistance(p.geom, j.geom)), max(abs(p.area_m2 - ST_Area(j.geom::geography)) - 1e-6 * p.area_m2)
         FROM unnest($1::text[], $2::text[]) AS g (number, wkt)
         CROSS JOIN LATERAL (SELECT ST_Transform(ST_GeomFromText(g.wkt, 4526), 4490) AS geom) j
         LEFT JOIN turnover_parcel p ON p.number = g.number";
    let (count, apart, wrong): (i64, f64, f64) = sqlx::query_as(AssertSqlSafe(judge))
        .bind(&numbers)
        .bind(&shapes)
        .fetch_one(&mut db.superuser().await)
        .await
        .expect("judged");
    assert_eq!(count, 5);
    // A millimetre in degrees, which is what boundary-point files are written to.
    assert!(apart < 1e-8, "{apart}°");
    // A geodatabase keeps coordinates to a tenth of a millimetre, along 50 m and more.
    assert!(wrong <= 2e-3, "{wrong} m²");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_come_from_a_file_geodatabase() {
    let db = Database::with_sample().await;
    let land = corners(&db).await;
    let made = folder("ledger_gdb");
    let database = made.join("台账.gdb");
    let select = "SELECT number AS \"地块编号\" FROM land";
    let source = source("ledger_gdb.geojson", &land);
    gdal(
        "ogr2ogr",
        &["-f", "OpenFileGDB", arg(&database), arg(&source), "-sql", select, "-nln", "dk", "-t_srs", "EPSG:4490"],
    );
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in std::fs::read_dir(&database).expect("folder").flatten() {
        let name = format!("台账.gdb/{}", entry.file_name().to_string_lossy());
        entries.push((name, std::fs::read(entry.path()).expect("file")));
    }
    let entries: Vec<(&str, &[u8])> = entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    import(&db, &files::write("台账.gdb.zip", zip(&entries)), &[]).await;
    assert_land(&db, &land).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_come_from_a_drawing_whose_layers_are_their_numbers() {
    let db = Database::with_sample().await;
    let land = corners(&db).await;
    let source = source("ledger_dxf.geojson", &land);
    let drawing = files::write("台账.dxf", b"");
    let select = "SELECT number AS Layer FROM land";
    gdal("ogr2ogr", &["-f", "DXF", arg(&drawing), arg(&source), "-sql", select]);
    import(&db, &drawing, &["crs_detected", "number_from_layer"]).await;
    assert_land(&db, &land).await;
}

/// Which of two areas on one layer has its name for a number, nobody can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_drawing_with_one_layer_for_all_has_no_numbers() {
    let db = Database::with_sample().await;
    let source = source("ledger_dxf_flat.geojson", &corners(&db).await);
    for layer in ["'宗地'", "'0'", "CASE number WHEN 'XJ-001' THEN 'XJ-002' ELSE number END"] {
        let drawing = files::write("一层.dxf", b"");
        let select = format!("SELECT {layer} AS Layer, geometry FROM land");
        gdal("ogr2ogr", &["-f", "DXF", arg(&drawing), arg(&source), "-dialect", "SQLite", "-sql", &select]);
        let refused = db.import(&drawing, into(TURNOVER)).await.expect("read");
        let told: Vec<_> =
            refused.report.findings.iter().filter(|f| f.code == "parcel_no_missing").map(|f| f.place.row).collect();
        assert_eq!(told, [Some(1), Some(2), Some(3), Some(4), Some(5)], "{layer}: {:?}", refused.report.findings);
        assert_eq!(refused.revision, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_come_from_a_boundary_point_file() {
    let db = Database::with_sample().await;
    let land = corners(&db).await;
    let text: Vec<(&str, Vec<(f64, f64)>, f64)> = land
        .iter()
        .zip(LAND)
        .map(|((number, ring), (_, side, _))| (*number, ring.clone(), side * side / 10_000.0))
        .collect();
    import(&db, &files::write("台账.txt", files::txt(&text)), &[]).await;
    assert_land(&db, &land).await;
    let stated: Vec<f64> = db.column("SELECT stated_area_m2 FROM turnover_parcel ORDER BY number").await;
    let paper: Vec<f64> = LAND.iter().map(|(_, side, _)| (side * side).round()).collect();
    assert!(stated.iter().zip(&paper).all(|(told, paper)| (told - paper).abs() <= 0.51), "{stated:?} for {paper:?}");
    let names: Vec<String> = db.column("SELECT name FROM turnover_parcel ORDER BY number").await;
    assert_eq!(names, LAND.map(|(number, ..)| format!("地块{number}")));
}
