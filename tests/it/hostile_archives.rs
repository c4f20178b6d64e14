//! Archives meant to harm, files under a false name, and documents that point elsewhere.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::hostile_files::{Arena, made_by_gdal, packed, shapefile, sound_geojson};
use crate::support::files::{square, txt};
use crate::support::tools::{arg, gdal, zip};

/// Where a byte pattern begins, each time.
fn all(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    (0..bytes.len().saturating_sub(pattern.len())).filter(|i| bytes[*i..].starts_with(pattern)).collect()
}

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

/// Sets a field at these distances from the local and the central head of every entry.
fn forge(mut bytes: Vec<u8>, local: usize, central: usize, value: &[u8]) -> Vec<u8> {
    for (pattern, distance) in [(LOCAL, local), (CENTRAL, central)] {
        for at in all(&bytes, pattern) {
            bytes[at + distance..at + distance + value.len()].copy_from_slice(value);
        }
    }
    bytes
}

#[tokio::test]
async fn archives_that_unpack_to_too_much_are_refused() {
    let arena = Arena::new("bombs").await;
    let zeros = vec![0_u8; 30 * 1024 * 1024];
    let bomb = zip(&[("a.shp", &zeros), ("a.dbf", b"x")]);
    assert!(bomb.len() < 100_000);
    assert_eq!(arena.import("ratio.zip", &bomb), ["archive_ratio"]);
    // A head that lies: ten bytes declared, thirty megabytes inside. Sizes stand at 22 (local) and 24 (central).
    let lying = forge(bomb.clone(), 22, 24, &10_u32.to_le_bytes());
    let codes = arena.import("lying.zip", lying);
    assert!(codes == ["archive_ratio"] || codes == ["archive_damaged"], "{codes:?}");
    // A head that boasts: 4 GB declared.
    assert_eq!(
        arena.import("boasting.zip", forge(bomb, 22, 24, &0xFFFF_FFF0_u32.to_le_bytes())),
        ["archive_too_large"]
    );
    assert_eq!(arena.import("overlapping.zip", overlapping()), ["archive_too_large"]);
    let many: Vec<(String, Vec<u8>)> = (0..1_001).map(|i| (format!("{i}.txt"), b"x".to_vec())).collect();
    assert_eq!(arena.import("many.zip", packed(&many)), ["archive_too_many_entries"]);
    arena.assert_untouched().await;
}

/// 900 names for one and the same megabyte: small as declared entry by entry, 900 MB in all.
fn overlapping() -> Vec<u8> {
    let single = zip(&[("000.shp", &vec![0_u8; 1024 * 1024])]);
    let (central, end) = (all(&single, CENTRAL)[0], all(&single, b"PK\x05\x06")[0]);
    let record = &single[central..end];
    let mut bytes = single[..central].to_vec();
    for i in 0..900 {
        let mut record = record.to_vec();
        // The name begins 46 bytes into the record.
        record[46..49].copy_from_slice(format!("{i:03}").as_bytes());
        bytes.extend_from_slice(&record);
    }
    let mut tail = single[end..].to_vec();
    for at in [8, 10] {
        tail[at..at + 2].copy_from_slice(&900_u16.to_le_bytes());
    }
    tail[12..16].copy_from_slice(&u32::try_from(record.len() * 900).expect("small").to_le_bytes());
    bytes.extend_from_slice(&tail);
    bytes
}

#[tokio::test]
async fn names_inside_an_archive_are_never_paths() {
    let arena = Arena::new("names").await;
    let outside = arena.work.join("planted.shp");
    for name in [
        "../planted.shp",
        "a/../../planted.shp",
        "..\\planted.shp",
        arg(&outside),
        "C:\\planted.shp",
        "C:planted.shp",
        "a\u{202e}pks.shp",
        "a\u{1}.shp",
        "a\n.shp",
    ] {
        assert_eq!(arena.import("names.zip", zip(&[(name, b"x"), ("b.dbf", b"y")])), ["archive_name"], "{name:?}");
        assert!(!outside.exists(), "{name:?} was written where it points");
    }
    // Neither UTF-8 nor GBK.
    let mut bytes = zip(&[("xxxx.shp", b"x")]);
    for at in all(&bytes, b"xxxx") {
        bytes[at..at + 4].copy_from_slice(b"\xFF\xFF\xFF\xFF");
    }
    assert_eq!(arena.import("names.zip", bytes), ["archive_name"]);
    arena.assert_untouched().await;
}

/// The archive with one name put in the place of another of the same length.
fn renamed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in all(&bytes, from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[tokio::test]
async fn links_secrets_twins_and_nests_are_refused() {
    let arena = Arena::new("rules").await;
    let inner = zip(&[("a.txt", b"x")]);
    for (what, bytes, code) in [
        ("nested", zip(&[("inner.zip", &inner)]), "archive_nested"),
        ("nested under another name", zip(&[("a.gpkg", &inner)]), "format_unknown"),
        ("twins", zip(&[("a.shp", b"x"), ("A.SHP", b"y")]), "archive_duplicate_name"),
        (
            "twins to the letter",
            renamed(zip(&[("a.txt", b"x"), ("b.txt", b"y")]), b"b.txt", b"a.txt"),
            "archive_duplicate_name",
        ),
        (
            "two data sets",
            zip(&[("a.gpkg", b"SQLite format 3\0"), ("b.gpkg", b"SQLite format 3\0")]),
            "archive_ambiguous",
        ),
        ("nothing", zip(&[]), "archive_empty"),
        ("a folder", zip(&[("folder/", b"")]), "archive_empty"),
        ("no data", zip(&[("readme.md", b"x")]), "archive_without_data"),
        // Bit 0 of the flags at 6 (local) and 8 (central) says “encrypted”.
        ("with a password", forge(zip(&[("a.shp", b"x")]), 6, 8, &[1, 0]), "archive_encrypted"),
        ("without its table", zip(&[("a.shp", b"x"), ("a.shx", b"x")]), "shapefile_incomplete"),
    ] {
        assert_eq!(arena.import("rules.zip", bytes), [code], "{what}");
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("a.shp", "/etc/passwd", SimpleFileOptions::default()).expect("a link");
    writer.start_file("a.dbf", SimpleFileOptions::default()).expect("entry");
    writer.write_all(b"x").expect("bytes");
    assert_eq!(arena.import("link.zip", writer.finish().expect("archive").into_inner()), ["archive_link"]);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn an_archive_cut_anywhere_is_refused() {
    let arena = Arena::new("cut_zip").await;
    let bytes = packed(&shapefile(&arena.work));
    for cut in (4..bytes.len()).step_by(bytes.len() / 15) {
        let codes = arena.import("cut.zip", &bytes[..cut]);
        assert!(codes == ["archive_unreadable"] || codes == ["archive_damaged"], "cut at {cut}: {codes:?}");
    }
    // A spoilt byte in the middle of the content fails the checksum.
    let mut spoilt = bytes;
    let at = all(&spoilt, LOCAL)[0] + 60;
    spoilt[at] ^= 0xFF;
    assert_eq!(arena.import("spoilt.zip", spoilt), ["archive_damaged"]);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn a_false_ending_changes_nothing_in_what_is_read() {
    let arena = Arena::new("false_names").await;
    let gpkg = std::fs::read(made_by_gdal(&arena.work, "GPKG", "sound.gpkg")).expect("made");
    let shp = packed(&shapefile(&arena.work));
    for (name, bytes, format) in [
        ("shape.txt", shp.clone(), "shapefile"),
        ("shape.geojson", shp.clone(), "shapefile"),
        ("shape.gpkg", shp, "shapefile"),
        ("package.zip", gpkg.clone(), "gpkg"),
        ("package.shp", gpkg.clone(), "gpkg"),
        ("package.csv", gpkg, "gpkg"),
        ("json.shp", sound_geojson().into_bytes(), "geojson"),
        ("json.gpkg", sound_geojson().into_bytes(), "geojson"),
    ] {
        let file = arena.work.join(name);
        std::fs::write(&file, bytes).expect("written");
        let answer = arena.check(&file);
        let report = answer.report.unwrap_or_else(|| panic!("{name}: {:?}", answer.codes));
        assert_eq!(
            (&report["format"], &report["features"], &report["invalid"]),
            (&format.into(), &4.into(), &0.into()),
            "{name}"
        );
    }
    // Neither is a boundary text a Shapefile by its name.
    let text = txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]);
    assert_eq!(arena.import("text.shp", &text), ["file_unreadable"]);
    assert_eq!(arena.import("text.gpkg", &text), ["file_unreadable"]);
    assert_eq!(arena.import("text.zip", &text), ["archive_unreadable"]);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn a_geopackage_that_brings_code_runs_none_of_it() {
    let arena = Arena::new("gpkg_code").await;
    let canary = arena.work.join("canary.csv");
    std::fs::write(&canary, "编号,secret\n1,the-canary-sings\n").expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("not blocking");
    let web = format!("http://{}/x", listener.local_addr().expect("an address"));
    for (what, sql) in [
        (
            "a view that loads code",
            "CREATE VIEW evil AS SELECT fid, geom, load_extension('/tmp/evil.so') AS 名称 FROM blocks".to_owned(),
        ),
        (
            "a view that asks the net",
            format!(
                "CREATE VIEW evil AS SELECT fid, geom, ogr_geocode('x', 'geometry', 'QUERY_TEMPLATE={web}?q=%s') AS 名称 FROM blocks"
            ),
        ),
        (
            "a view that reads files",
            format!("CREATE VIEW evil AS SELECT fid, geom, readfile('{}') AS 名称 FROM blocks", arg(&canary)),
        ),
    ] {
        let file = made_by_gdal(&arena.work, "GPKG", "code.gpkg");
        for sql in [
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('evil', 'features', 'evil', 4490)",
            "INSERT INTO gpkg_geometry_columns VALUES ('evil', 'geom', 'POLYGON', 4490, 0, 0)",
            "DELETE FROM gpkg_ogr_contents WHERE table_name = 'blocks'",
            "DELETE FROM gpkg_geometry_columns WHERE table_name = 'blocks'",
            "DELETE FROM gpkg_contents WHERE table_name = 'blocks'",
            // Last: GDAL itself will not open a file with some of these again.
            sql.as_str(),
        ] {
            gdal("ogrinfo", &[arg(&file), "-q", "-sql", sql]);
        }
        // What ogrinfo itself reached while making the file is not ours to answer for.
        while listener.accept().is_ok() {}
        // GDAL refuses these by itself, in SQLite or in its own functions; that it is asked at all must show nowhere.
        let expected: &[&str] =
            if what.contains("net") { &["file_unreadable"] } else { &["records_lost", "source_layer_chosen"] };
        assert_eq!(arena.import_file(&file), expected, "{what}");
        assert!(listener.accept().is_err(), "{what}: a connection came");
        let said = format!("{:?}", arena.check(&file).report);
        assert!(!said.contains("canary"), "{what}: {said}");
        std::fs::remove_file(&file).expect("removed");
    }
    // A trigger fires on writing, and nobody writes: the file is read as it is.
    let file = made_by_gdal(&arena.work, "GPKG", "trigger.gpkg");
    gdal(
        "ogrinfo",
        &[
            arg(&file),
            "-q",
            "-sql",
            "CREATE TRIGGER evil AFTER UPDATE ON blocks BEGIN SELECT load_extension('/tmp/evil.so'); END",
        ],
    );
    let answer = arena.check(&file);
    assert_eq!(answer.report.map(|r| r["features"].clone()), Some(4.into()), "{:?}", answer.codes);
    arena.assert_untouched().await;
}

#[tokio::test]
async fn geojson_that_points_elsewhere_is_refused() {
    let arena = Arena::new("pointing").await;
    let with_crs = |member: &str| sound_geojson().replacen('{', &format!("{{\"crs\":{member},"), 1);
    for (what, text, code) in [
        (
            "a linked system",
            with_crs(r#"{"type":"link","properties":{"href":"http://127.0.0.1:9/crs","type":"proj4"}}"#),
            "crs_unknown",
        ),
        (
            "a system by address",
            with_crs(r#"{"type":"name","properties":{"name":"http://127.0.0.1:9/crs"}}"#),
            "crs_unknown",
        ),
        ("a system by file", with_crs(r#"{"type":"name","properties":{"name":"/etc/passwd"}}"#), "crs_unknown"),
        ("an old datum", with_crs(r#"{"type":"name","properties":{"name":"EPSG:2383"}}"#), "datum_not_supported"),
        (
            "a service answer",
            r#"{"geometryType":"esriGeometryPolygon","features":"http://127.0.0.1:9/"}"#.to_owned(),
            "json_invalid",
        ),
        ("TopoJSON", r#"{"type":"Topology","objects":{},"arcs":[]}"#.to_owned(), "geojson_type"),
        ("a deep nest", format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), "geojson_type"),
        (
            "a deep nest inside",
            format!("{{\"type\":\"Feature\",\"properties\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            "json_too_deep",
        ),
        ("cut short", sound_geojson()[..200].to_owned(), "json_truncated"),
        ("two documents", sound_geojson() + "}", "json_trailing"),
    ] {
        assert!(
            arena.import("pointing.geojson", &text).contains(&code.to_owned()),
            "{what}: {:?}",
            arena.import("pointing.geojson", &text)
        );
    }
    arena.assert_untouched().await;
}
