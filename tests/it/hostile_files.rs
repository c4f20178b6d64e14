//! Files meant to harm: each is answered with a stable code within bounds; nothing is stored and nothing left behind.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::imports::stock;
use crate::support::Database;
use crate::support::files::{square, txt};
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, folder, gdal, zip};

/// Longest any hostile file may keep the program.
const PATIENCE: Duration = Duration::from_secs(20);

/// A register, a folder for the files, and a temporary folder of the binary's own that must be empty after every run.
pub struct Arena {
    db: Database,
    url: String,
    pub work: PathBuf,
    temporary: PathBuf,
    before: (i64, i64, i64),
}

impl Arena {
    pub async fn new(name: &str) -> Self {
        let db = Database::with_sample().await;
        let (url, before) = (db.url().await, stock(&db).await);
        Self { db, url, work: folder(name), temporary: folder(&format!("{name}_tmp")), before }
    }

    /// Writes the file, imports it for good, and gives the codes of the answer: of the error, or of the findings.
    #[track_caller]
    pub fn import(&self, name: &str, bytes: impl AsRef<[u8]>) -> Vec<String> {
        let file = self.work.join(name);
        std::fs::write(&file, bytes).expect("written");
        self.import_file(&file)
    }

    #[track_caller]
    pub fn import_file(&self, file: &Path) -> Vec<String> {
        let mut command = sizhi(&["import", arg(file), "--layer", "park_blocks", "--park", "G431176", "--json"]);
        command.env("DATABASE_URL", &self.url);
        let answer = self.run(command, file);
        let status = answer.report.as_ref().map(|r| r["status"].clone());
        assert!(status.is_none_or(|s| s == "refused"), "{} was taken: {:?}", file.display(), answer.report);
        answer.codes
    }

    /// `check geometry`: reads the same way and needs no register, for long rows of files.
    #[track_caller]
    pub fn check(&self, file: &Path) -> Answer {
        self.run(sizhi(&["check", "geometry", arg(file), "--json"]), file)
    }

    #[track_caller]
    fn run(&self, mut command: std::process::Command, file: &Path) -> Answer {
        let begun = Instant::now();
        command.env("TMPDIR", &self.temporary);
        let output = run(command, b"");
        let (took, said) = (begun.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned());
        let what = file.display();
        assert!(took < PATIENCE, "{what} took {took:?}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{what}: {:?} {said}", output.status);
        let left: Vec<_> = std::fs::read_dir(&self.temporary).expect("folder").flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "{what} leaves {left:?}");
        if output.stdout.is_empty() {
            // ✗ sentence（code）
            let first =
                said.lines().find(|l| l.starts_with('✗')).unwrap_or_else(|| panic!("{what} says nothing: {said}"));
            let code = first.rsplit('（').next().expect("a code").trim_end_matches('）');
            assert_ne!(code, "internal", "{what}: {said}");
            return Answer { report: None, codes: vec![code.to_owned()] };
        }
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut codes: Vec<String> = report["findings"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|f| f["code"].as_str().expect("a code").to_owned())
            .filter(|code| code != "id_from_row")
            .collect();
        codes.sort_unstable();
        codes.dedup();
        Answer { report: Some(report), codes }
    }

    /// Nothing of all this was stored.
    pub async fn assert_untouched(&self) {
        assert_eq!(stock(&self.db).await, self.before);
        assert_eq!(self.db.audit().await, None);
    }
}

pub struct Answer {
    pub report: Option<Value>,
    pub codes: Vec<String>,
}

/// Four sound squares in degrees, as GeoJSON.
pub fn sound_geojson() -> String {
    let feature = |i: u32| {
        let (x, y) = (112.8 + 0.02 * f64::from(i), 28.3);
        json!({"type": "Feature", "properties": {"编号": i.to_string(), "名称": "地块"}, "geometry": {"type": "Polygon", "coordinates":
            [[[x, y], [x + 0.0123, y], [x + 0.0123, y + 0.01], [x, y + 0.01], [x, y]]]}})
    };
    json!({"type": "FeatureCollection", "features": (0..4).map(feature).collect::<Vec<_>>()}).to_string()
}

/// The same as a file of GDAL's making.
pub fn made_by_gdal(work: &Path, driver: &str, name: &str) -> PathBuf {
    let source = work.join("sound.geojson");
    std::fs::write(&source, sound_geojson()).expect("written");
    let target = work.join(name);
    let mut args = vec!["-f", driver, arg(&target), arg(&source), "-a_srs", "EPSG:4490", "-nln", "blocks"];
    if driver == "ESRI Shapefile" {
        args = vec!["-f", driver, arg(&target), arg(&source), "-a_srs", "EPSG:4490", "-lco", "ENCODING=UTF-8"];
    }
    gdal("ogr2ogr", &args);
    target
}

/// The files of a sound Shapefile: shp, shx, dbf, prj.
pub fn shapefile(work: &Path) -> Vec<(String, Vec<u8>)> {
    let path = made_by_gdal(work, "ESRI Shapefile", "sound.shp");
    ["shp", "shx", "dbf", "prj"]
        .map(|e| (format!("a.{e}"), std::fs::read(path.with_extension(e)).expect("made")))
        .to_vec()
}

pub fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    zip(&files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_file_cut_anywhere_never_passes_for_whole() {
    let arena = Arena::new("cut").await;
    let sound = shapefile(&arena.work);
    let gpkg = std::fs::read(made_by_gdal(&arena.work, "GPKG", "sound.gpkg")).expect("made");
    let whole = |answer: &Answer| answer.report.as_ref().is_some_and(|r| r["features"] == 4 && r["invalid"] == 0);
    let control = arena.work.join("control.zip");
    std::fs::write(&control, packed(&sound)).expect("written");
    let answer = arena.check(&control);
    assert!(whole(&answer) && answer.codes.is_empty(), "the whole file is sound: {:?}", answer.codes);
    let mut tried = 0;
    for (at, (name, bytes)) in sound.iter().enumerate().take(3) {
        for cut in (0..12).map(|i| bytes.len() * i / 12).chain([bytes.len() - 1, 31, 99, 100, 101]) {
            let mut files = sound.clone();
            files[at].1.truncate(cut);
            let file = arena.work.join("cut.zip");
            std::fs::write(&file, packed(&files)).expect("written");
            let answer = arena.check(&file);
            // The .shx is a table of offsets: GDAL can do without its end, but then nothing may be missing.
            assert!(!answer.codes.is_empty() || whole(&answer), "{name} cut at {cut} passes as {:?}", answer.report);
            tried += 1;
        }
    }
    for cut in (0..20).map(|i| gpkg.len() * i / 20).chain([16, 99, 100, gpkg.len() - 1]) {
        let file = arena.work.join("cut.gpkg");
        std::fs::write(&file, &gpkg[..cut]).expect("written");
        let answer = arena.check(&file);
        assert!(!answer.codes.is_empty() || whole(&answer), "GeoPackage cut at {cut} passes as {:?}", answer.report);
        tried += 1;
    }
    assert_eq!(tried, 3 * 17 + 24);
}

#[tokio::test]
async fn forged_counts_in_headers_are_refused() {
    let arena = Arena::new("forged").await;
    let sound = shapefile(&arena.work);
    let (shp, shx, dbf) = (0, 1, 2);
    // Offsets of the formats' published layouts: record 1 of the .shp begins at 100, its shape at 108.
    let forgeries: [(&str, usize, usize, Vec<u8>); 9] = [
        ("a polygon of 2 billion rings", shp, 108 + 36, i32::MAX.to_le_bytes().to_vec()),
        ("a polygon of −1 rings", shp, 108 + 36, (-1_i32).to_le_bytes().to_vec()),
        ("a polygon of 2 billion points", shp, 108 + 40, i32::MAX.to_le_bytes().to_vec()),
        ("a ring that begins beyond its points", shp, 108 + 44, 1_000_000_i32.to_le_bytes().to_vec()),
        ("an unknown shape type", shp, 108, 77_i32.to_le_bytes().to_vec()),
        ("an index entry beyond the file", shx, 100, i32::MAX.to_be_bytes().to_vec()),
        ("4 billion table rows", dbf, 4, u32::MAX.to_le_bytes().to_vec()),
        ("a table head longer than the file", dbf, 8, u16::MAX.to_le_bytes().to_vec()),
        ("rows of no width", dbf, 10, vec![0, 0]),
    ];
    for (what, file, at, bytes) in forgeries {
        let mut files = sound.clone();
        files[file].1[at..at + bytes.len()].copy_from_slice(&bytes);
        let file_is_table = file == dbf;
        let file = arena.work.join("forged.zip");
        std::fs::write(&file, packed(&files)).expect("written");
        let Answer { report, codes } = arena.check(&file);
        // A number that nothing depends on may pass, if every record and every text is there.
        let whole = report.is_some_and(|r| r["features"] == 4 && r["invalid"] == 0);
        assert!(!codes.is_empty() || (whole && file_is_table), "{what} passes for sound");
        let known = [
            "file_unreadable",
            "record_damaged",
            "records_lost",
            "geometry_missing",
            "record_count_mismatch",
            "ring_too_few_points",
        ];
        assert!(codes.iter().all(|c| known.contains(&c.as_str())), "{what}: {codes:?}");
    }
    arena.assert_untouched().await;
}

#[tokio::test]
async fn coordinates_that_are_no_numbers_are_named() {
    let arena = Arena::new("not_finite").await;
    let sound = shapefile(&arena.work);
    let gpkg = std::fs::read(made_by_gdal(&arena.work, "GPKG", "sound.gpkg")).expect("made");
    // 112.8 + 0.0123: vertices 2 and 3 of the first ring; the second is spoilt.
    let place = (112.8_f64 + 0.0123).to_le_bytes();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let spoil = |bytes: &mut Vec<u8>, from: usize| {
            let at = (from..bytes.len() - 8).find(|i| bytes[*i..*i + 8] == place).expect("the vertex");
            bytes[at..at + 8].copy_from_slice(&bad.to_le_bytes());
        };
        let mut broken = gpkg.clone();
        // The envelope in the head of the blob holds the number too; the shape comes after it.
        let envelope = (0..broken.len() - 8).find(|i| broken[*i..*i + 8] == place).expect("the envelope");
        spoil(&mut broken, envelope + 8);
        assert_eq!(arena.import("nan.gpkg", broken), ["coordinate_not_finite"], "GeoPackage {bad}");
        let mut files = sound.clone();
        spoil(&mut files[0].1, 108 + 44);
        assert_eq!(arena.import("nan.zip", packed(&files)), ["coordinate_not_finite"], "Shapefile {bad}");
    }
    for (number, code) in [
        ("NaN", "json_invalid"),
        ("Infinity", "json_invalid"),
        ("1e999", "coordinate_not_finite"),
        ("null", "coordinate_not_a_number"),
    ] {
        let text = sound_geojson().replacen("112.8,", &format!("{number},"), 1);
        assert!(text.contains(number));
        assert_eq!(arena.import("nan.geojson", text), [code], "GeoJSON {number}");
    }
    for number in ["NaN", "inf", "1e999", "", "0x10"] {
        let text = txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]).replacen("38435400.000", number, 1);
        // The point is lost to the count as well.
        let codes = arena.import("nan.txt", text);
        assert_eq!(codes, ["coordinate_not_a_number", "point_count_mismatch"], "TXT {number}");
    }
    arena.assert_untouched().await;
}

#[tokio::test]
async fn one_vertex_more_than_the_limit_is_refused_and_the_limit_is_not() {
    let arena = Arena::new("vertices").await;
    // A circle: n points and the closing one.
    let circle = |n: usize| -> Vec<[f64; 2]> {
        let point = |i: usize| {
            let turn = std::f64::consts::TAU * (i % n) as f64 / n as f64;
            [112.8 + 0.01 * turn.cos(), 28.3 + 0.01 * turn.sin()]
        };
        (0..=n).map(point).collect()
    };
    let geojson = |n: usize| {
        json!({"type": "Feature", "properties": {"编号": "1"}, "geometry": {"type": "Polygon", "coordinates": [circle(n)]}}).to_string()
    };
    assert_eq!(arena.import("over.geojson", geojson(200_000)), ["too_many_vertices"]);
    let full = arena.work.join("full.geojson");
    std::fs::write(&full, geojson(199_999)).expect("written");
    let answer = arena.check(&full);
    assert_eq!(answer.codes, Vec::<String>::new());
    let area = answer.report.expect("a report")["area_m2"].as_f64().expect("an area");
    // π·a·b of an ellipse with half axes of 0.01° at 28.3° N, radii of curvature of CGCS2000 there: 3.4247 km² ± 1e-3.
    let (a, e2) = (6_378_137.0_f64, 0.006_694_380_022_9_f64);
    let sin2 = 28.3_f64.to_radians().sin().powi(2);
    let (n, m) = (a / (1.0 - e2 * sin2).sqrt(), a * (1.0 - e2) / (1.0 - e2 * sin2).powf(1.5));
    let expected = std::f64::consts::PI * (0.01_f64.to_radians()).powi(2) * n * 28.3_f64.to_radians().cos() * m;
    assert!((area / expected - 1.0).abs() < 1e-6, "{area} against {expected}");
    let source = arena.work.join("over.geojson");
    for (driver, name) in [("ESRI Shapefile", "over.shp"), ("GPKG", "over.gpkg")] {
        let target = arena.work.join(name);
        gdal("ogr2ogr", &["-f", driver, arg(&target), arg(&source), "-a_srs", "EPSG:4490"]);
        assert_eq!(arena.import_file(&target), ["too_many_vertices"], "{driver}");
    }
    let ring: Vec<(f64, f64)> = circle(200_000)[1..]
        .iter()
        .map(|[x, y]| (3_123_400.0 + 1e5 * (y - 28.3), 38_435_200.0 + 1e5 * (x - 112.8)))
        .collect();
    assert_eq!(arena.import("over.txt", txt(&[("A", ring, 314.0)])), ["too_many_vertices"]);
    arena.assert_untouched().await;
}

/// Candidates are judged while their file is read: what was judged before the reading was given up must not be told.
#[tokio::test]
async fn one_record_more_than_the_limit_leaves_nothing_of_those_before_it() {
    let arena = Arena::new("records").await;
    let source = arena.work.join("sound.geojson");
    std::fs::write(&source, sound_geojson()).expect("written");
    let made = |records: usize| {
        let target = arena.work.join(format!("{records}.gpkg"));
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {records}) SELECT i AS DKMC, geometry FROM sound, n LIMIT {records}"
        );
        gdal(
            "ogr2ogr",
            &["-f", "GPKG", arg(&target), arg(&source), "-dialect", "SQLite", "-sql", &sql, "-a_srs", "EPSG:4490"],
        );
        target
    };
    let listed = |file: &Path| {
        let mut command = sizhi(&["import", arg(file), "--layer", "park_blocks", "--park", "G431176", "--json"]);
        command.env("DATABASE_URL", &arena.url);
        let answer = arena.run(command, file);
        (answer.codes, answer.report.expect("a report")["counts"]["candidates"].as_u64())
    };
    assert_eq!(listed(&made(100_001)), (vec!["too_many_records".to_owned()], Some(0)));
    // The good control goes all the way: five thousand squares on four places.
    let (codes, candidates) = listed(&made(5_000));
    assert_eq!((codes.contains(&"too_many_overlaps".to_owned()), candidates), (true, Some(5_000)), "{codes:?}");
    arena.assert_untouched().await;
}

#[tokio::test]
async fn a_table_that_lost_its_rows_loses_no_shape_in_silence() {
    let arena = Arena::new("lost_rows").await;
    let sound = shapefile(&arena.work);
    let with_dbf = |dbf: Vec<u8>| {
        let mut files = sound.clone();
        files[2].1 = dbf;
        packed(&files)
    };
    for length in [0, 10, 30] {
        assert_eq!(
            arena.import("cut.zip", with_dbf(sound[2].1[..length].to_vec())),
            ["records_lost"],
            "{length} bytes"
        );
    }
    // Three of four rows, and a head that says so.
    let mut three = sound[2].1.clone();
    let (start, width) =
        (usize::from(three[8]) + 256 * usize::from(three[9]), usize::from(three[10]) + 256 * usize::from(three[11]));
    three.truncate(start + 3 * width);
    three.push(0x1A);
    three[4] = 3;
    assert_eq!(arena.import("three.zip", with_dbf(three)), ["records_lost"]);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn two_layers_of_areas_are_not_guessed_and_giants_not_opened() {
    let arena = Arena::new("two_layers").await;
    let two = made_by_gdal(&arena.work, "GPKG", "two.gpkg");
    let sound = arena.work.join("sound.geojson");
    gdal("ogr2ogr", &["-f", "GPKG", arg(&two), arg(&sound), "-nln", "more", "-update"]);
    assert_eq!(arena.import_file(&two), ["source_layer_ambiguous"]);
    let big = arena.work.join("big.txt");
    std::fs::File::create(&big).and_then(|f| f.set_len(512 * 1024 * 1024 + 1)).expect("sparse");
    assert_eq!(arena.check(&big).codes, ["file_too_large"]);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn empty_files_say_so_under_every_name() {
    let arena = Arena::new("empty").await;
    for (name, code) in [
        ("empty.txt", "file_empty"),
        ("empty.geojson", "file_empty"),
        ("empty.json", "file_empty"),
        ("empty.csv", "file_empty"),
        ("empty.shp", "file_unreadable"),
        ("empty.dbf", "records_lost"),
        ("empty.gpkg", "file_unreadable"),
        ("empty.dxf", "file_unreadable"),
        ("empty.zip", "archive_unreadable"),
        ("empty.xlsx", "table_without_geometry"),
        ("empty", "format_unknown"),
        ("empty.exe", "format_unknown"),
    ] {
        let codes = arena.import(name, b"");
        assert!(codes.contains(&code.to_owned()), "{name}: {codes:?}");
        let spaces = arena.import(name, b" \r\n\r\n ");
        assert!(!spaces.is_empty(), "{name} of blanks");
    }
    arena.assert_untouched().await;
}
