//! Coordinate systems as files declare them: old datums under any name, systems that are no systems, and what is detected.

use std::path::{Path, PathBuf};

use sizhi::exchange::{ReadOptions, Reading, read_file};

use crate::support::Database;
use crate::support::files::write;
use crate::support::tools::{arg, folder, gdal, zip};

/// A square near Changsha as a shapefile without a system; each test adds its own .prj.
fn shapefile(work: &Path) -> PathBuf {
    let shape = work.join("a.shp");
    let square = write(
        "file_systems.geojson",
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"编号":"1"},"geometry":{"type":"Polygon",
        "coordinates":[[[435200,3123400],[436200,3123400],[436200,3124400],[435200,3124400],[435200,3123400]]]}}]}"#,
    );
    gdal(
        "ogr2ogr",
        &["-f", "ESRI Shapefile", arg(&shape), arg(&square), "-a_srs", "EPSG:4547", "-lco", "ENCODING=UTF-8"],
    );
    shape
}

fn read_with(shape: &Path, prj: &str) -> Reading {
    let part = |ending: &str| std::fs::read(shape.with_extension(ending)).expect("part");
    let (shp, shx, dbf) = (part("shp"), part("shx"), part("dbf"));
    let archive = zip(&[("a.shp", &shp), ("a.shx", &shx), ("a.dbf", &dbf), ("a.prj", prj.as_bytes())]);
    read_file(&write("file_systems.zip", archive), &ReadOptions::default()).expect("read")
}

fn errors(reading: &Reading) -> Vec<&str> {
    let errors = reading.findings.iter().filter(|f| f.severity == sizhi::domain::Severity::Error);
    errors.map(|f| f.code.as_ref()).collect()
}

/// A projected system on this datum and ellipsoid, as desktop programs write it.
fn prj(name: &str, datum: &str, spheroid: &str) -> String {
    format!(
        r#"PROJCS["{name}",GEOGCS["{datum}",DATUM["D_{datum}",SPHEROID[{spheroid}]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Gauss_Kruger"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",114.0],PARAMETER["Scale_Factor",1.0],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#
    )
}

#[tokio::test]
async fn an_old_datum_is_refused_under_any_name() {
    let _program = Database::empty().await;
    let shape = shapefile(&folder("file_systems"));
    let krasovsky = r#""Krasovsky_1940",6378245.0,298.3"#;
    let iag = r#""IAG_75",6378140.0,298.257"#;
    for (name, text) in [
        ("Xi'an 1980 by name", prj("Xian_1980_3_Degree_GK_CM_114E", "Xian_1980", r#""Xian_1980",6378140.0,298.257"#)),
        ("Beijing 1954 by name", prj("Beijing_1954_3_Degree_GK_CM_114E", "Beijing_1954", krasovsky)),
        ("New Beijing by name", prj("New_Beijing_3_Degree_GK_CM_114E", "New_Beijing", krasovsky)),
        ("Beijing 1954 by its ellipsoid", prj("Local", "User_Defined", krasovsky)),
        ("Xi'an 1980 by its ellipsoid", prj("Local", "User_Defined", iag)),
    ] {
        assert_eq!(errors(&read_with(&shape, &text)), ["datum_not_supported"], "{name}");
    }
    // The same projection on the right datum is zone 38.
    let sound = prj("CGCS2000_3_Degree_GK_CM_114E", "China_2000", r#""CGCS2000",6378137.0,298.257222101"#);
    let reading = read_with(&shape, &sound);
    assert_eq!((errors(&reading), reading.crs.map(|c| c.epsg())), (vec![], Some(4547)));
    // By the caller's word as well.
    for code in ["4568", "4652", "4782", "2383", "2437"] {
        let options = ReadOptions { crs: sizhi::geometry::crs::Crs::parse(code), ..ReadOptions::default() };
        let reading = read_file(&shape, &options).expect("read");
        assert_eq!(errors(&reading), ["datum_not_supported"], "{code}");
    }
}

#[tokio::test]
async fn a_geopackage_without_a_system_is_read_by_its_numbers() {
    let _program = Database::empty().await;
    let work = folder("file_systems_gpkg");
    let shape = shapefile(&work);
    for (srs, ring, epsg) in [
        ("-1", "435200 3123400,436200 3123400,436200 3124400,435200 3123400", None),
        ("-1", "38435200 3123400,38436200 3123400,38436200 3124400,38435200 3123400", Some(4526)),
        ("0", "112.8 28.3,112.9 28.3,112.9 28.4,112.8 28.3", Some(4490)),
    ] {
        let file = work.join("undefined.gpkg");
        let _ = std::fs::remove_file(&file);
        gdal("ogr2ogr", &["-f", "GPKG", arg(&file), arg(&shape), "-nln", "blocks", "-a_srs", "EPSG:4490"]);
        for sql in [
            format!("UPDATE blocks SET geom = ST_GeomFromText('POLYGON(({ring}))')"),
            format!("UPDATE gpkg_geometry_columns SET srs_id = {srs}"),
            format!("UPDATE gpkg_contents SET srs_id = {srs}"),
        ] {
            gdal("ogrinfo", &[arg(&file), "-q", "-sql", &sql]);
        }
        let reading = read_file(&file, &ReadOptions::default()).expect("read");
        let told: Vec<&str> = reading.findings.iter().map(|f| f.code.as_ref()).collect();
        let expected = if epsg.is_some() { "crs_detected" } else { "crs_zone_missing" };
        assert!(told.contains(&expected), "{srs} {ring}: {told:?}");
        assert_eq!(reading.crs.map(|c| c.epsg()), epsg, "{srs} {ring}");
    }
}

/// Little-endian number at a place of a file.
fn patched(path: &Path, at: usize, number: u32) -> Vec<u8> {
    let mut bytes = std::fs::read(path).expect("part");
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Heads that count fewer records than there are: GDAL believes them and says nothing.
#[tokio::test]
async fn records_behind_a_short_head_are_missed() {
    let _program = Database::empty().await;
    let work = folder("file_systems_short");
    let square = |x: f64| {
        format!(
            r#"{{"type":"Feature","properties":{{"编号":"{x}"}},"geometry":{{"type":"Polygon","coordinates":[[[{x},28],[{x},28.1],[{x}.1,28.1],[{x},28]]]}}}}"#
        )
    };
    let features: Vec<String> = [112.0, 113.0, 114.0].map(square).to_vec();
    let source = write(
        "file_systems_three.geojson",
        format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")),
    );
    let shape = work.join("a.shp");
    gdal(
        "ogr2ogr",
        &["-f", "ESRI Shapefile", arg(&shape), arg(&source), "-a_srs", "EPSG:4490", "-lco", "ENCODING=UTF-8"],
    );
    let part = |ending: &str| std::fs::read(shape.with_extension(ending)).expect("part");
    let read = |shx: &[u8], dbf: &[u8]| {
        let archive = zip(&[
            ("a.shp", &part("shp")),
            ("a.shx", shx),
            ("a.dbf", dbf),
            ("a.prj", &part("prj")),
            ("a.cpg", b"UTF-8"),
        ]);
        read_file(&write("file_systems_short.zip", archive), &ReadOptions::default()).expect("read")
    };
    let (shx, dbf) = (part("shx"), part("dbf"));
    let whole = read(&shx, &dbf);
    assert_eq!((errors(&whole), whole.candidates.len()), (vec![], 3));
    // The DBF counts its rows at byte 4; the index has 100 bytes of head and 8 a record.
    assert_eq!(errors(&read(&shx, &patched(&shape.with_extension("dbf"), 4, 2))), ["records_lost"]);
    assert_eq!(errors(&read(&shx, &patched(&shape.with_extension("dbf"), 4, 4))), ["records_lost"]);
    assert_eq!(errors(&read(&shx[..116], &dbf)), ["records_lost"]);
    // Padding behind the end mark is no row.
    assert_eq!(errors(&read(&shx, &[dbf.as_slice(), &[0; 600]].concat())), Vec::<&str>::new());
}

#[tokio::test]
async fn boundaries_beside_boundaries_are_not_passed_over() {
    let _program = Database::empty().await;
    let work = folder("file_systems_beside");
    let shape = shapefile(&work);
    let part = |ending: &str| std::fs::read(shape.with_extension(ending)).expect("part");
    let read = |name: &str, text: &[u8]| {
        let archive = zip(&[
            ("a.shp", &part("shp")),
            ("a.shx", &part("shx")),
            ("a.dbf", &part("dbf")),
            ("a.prj", &part("prj")),
            (name, text),
        ]);
        read_file(&write("file_systems_beside.zip", archive), &ReadOptions::default()).expect("read")
    };
    let boundary = "[属性描述]\n[地块坐标]\n";
    assert_eq!(errors(&read("界址点.txt", boundary.as_bytes())), ["archive_ambiguous"]);
    assert_eq!(errors(&read("界址点.txt", &encoding_rs::GBK.encode(boundary).0)), ["archive_ambiguous"]);
    for (name, text) in [("备注.txt", "共一个地块"), ("台账.csv", "编号,名称\n1,甲\n")] {
        let reading = read(name, text.as_bytes());
        let company: Vec<&str> =
            reading.findings.iter().filter(|f| f.code == "archive_company").map(|f| f.message.as_str()).collect();
        assert_eq!((errors(&reading), company.len()), (vec![], 1));
        assert!(company[0].contains(name), "{company:?}");
    }
}
