//! Into the register and out again: the same points to the millimetre, the same characters, in files that GDAL's own
//! programs read.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sizhi::domain::export::TextEncoding;
use sizhi::geometry::crs::Crs;
use sizhi::inventory::export;

use crate::imports::{PARK, into};
use crate::support::exports;
use crate::support::files::{square, txt, write};
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, folder, gdal, rounded, unzip, zip};
use crate::support::{Database, codes, fixture};

async fn export(db: &Database, format: &str, crs: Option<u32>, encoding: Option<&str>) -> Vec<u8> {
    let mut options = exports::of(format);
    options.options.crs = crs.map(Crs::from_epsg);
    options.options.encoding = encoding.and_then(TextEncoding::parse);
    exports::bytes_of(db, exports::of_park(options, PARK)).await
}

/// The lines behind [地块坐标].
fn coordinate_lines(text: &str) -> Vec<&str> {
    text.lines().skip_while(|line| *line != "[地块坐标]").skip(1).collect()
}

#[tokio::test]
async fn txt_comes_back_line_for_line() {
    for (file, encoding) in [
        ("hole_zone38_prefixed.txt", None),
        ("hole_zone38_prefixed.gbk.txt", Some("gbk")),
        ("multi_zone37_prefixed.txt", None),
    ] {
        let db = Database::with_sample().await;
        let path = fixture(&format!("txt/{file}"));
        db.import(&path, into(PARK)).await.expect("imported");
        let (given, back) = (std::fs::read(&path).expect("fixture"), export(&db, "txt", None, encoding).await);
        let decode = |bytes: &[u8]| match encoding {
            None => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
            Some(_) => {
                encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(bytes).expect("GBK").into_owned()
            }
        };
        let (given, back) = (decode(&given), decode(&back));
        assert!(coordinate_lines(&given).len() > 10);
        assert_eq!(coordinate_lines(&back), coordinate_lines(&given), "{file}");
        assert_eq!(back.matches('\n').count(), back.matches("\r\n").count(), "every line ends in CRLF");
    }
}

#[tokio::test]
async fn txt_keeps_the_order_of_its_numbers() {
    let db = Database::with_sample().await;
    let numbers: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
    let parcels: Vec<_> = (0..12_u32)
        .zip(&numbers)
        .map(|(n, number)| (number.as_str(), square(3_123_400.0, 38_435_200.0 + 300.0 * f64::from(n), 200.0), 4.0))
        .collect();
    let given = txt(&parcels);
    db.import(&write("twelve.txt", &given), into(PARK)).await.expect("imported");
    let back = String::from_utf8(export(&db, "txt", None, None).await).expect("UTF-8");
    assert_eq!(coordinate_lines(&back), coordinate_lines(&given));
    let mut three = exports::of_park(exports::of("txt"), PARK);
    three.limit = Some(3);
    let (bytes, rows) = exports::made(&db, three).await;
    let first: Vec<&str> = coordinate_lines(&given).into_iter().take(18).collect();
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert_eq!((rows, coordinate_lines(&text)), (3, first));
}

#[tokio::test]
async fn txt_without_zone_prefix_and_closing_points_comes_back_point_for_point() {
    let db = Database::with_sample().await;
    let path = fixture("txt/hole_zone38_noprefix_bom.txt");
    db.import(&path, into(PARK)).await.expect("imported");
    let given = std::fs::read_to_string(&path).expect("fixture");
    let back = String::from_utf8(export(&db, "txt", None, None).await).expect("UTF-8");
    let points = |text: &str| -> Vec<String> {
        let lines = coordinate_lines(text).into_iter().filter(|l| !l.contains('@'));
        lines.map(|l| l.split(',').skip(1).collect::<Vec<_>>().join(",")).collect()
    };
    let (given, mut back) = (points(&given), points(&back));
    assert_eq!((given.len(), back.len()), (10, 12), "two rings are closed in writing");
    for at in [11, 6] {
        assert_eq!(back.remove(at), back[if at == 11 { 7 } else { 0 }], "a ring closes in its first point");
    }
    assert_eq!(back, given);
}

/// Three shapes in zone 38: a plain one, one with a hole, one of two parts; coordinates to the millimetre.
fn shapes() -> Value {
    let feature = |id: &str, name: &str, side: &str, geometry: Value| {
        json!({"type": "Feature", "geometry": geometry, "properties": {"区块编号": id, "区块名称": name, "行政区代码": "430112",
            "行政区名称": "望城区", "东至": side, "备注": "𠮷"}})
    };
    let a = json!([[
        [38435200.123, 3123400.456],
        [38435510.25, 3123412.5],
        [38435498.125, 3123801.201],
        [38435184.625, 3123788.9],
        [38435200.123, 3123400.456]
    ]]);
    let b = json!([
        [
            [38436000.0, 3123400.0],
            [38436400.0, 3123400.0],
            [38436400.0, 3123800.0],
            [38436000.0, 3123800.0],
            [38436000.0, 3123400.0]
        ],
        [
            [38436100.0, 3123500.0],
            [38436100.0, 3123600.007],
            [38436200.001, 3123600.0],
            [38436200.0, 3123500.0],
            [38436100.0, 3123500.0]
        ]
    ]);
    let c = json!([
        [[[38437000.0, 3123400.0], [38437200.0, 3123400.0], [38437200.0, 3123600.0], [38437000.0, 3123400.0]]],
        [[[38437300.0, 3123400.0], [38437500.0, 3123400.0], [38437500.0, 3123600.999], [38437300.0, 3123400.0]]]
    ]);
    json!({"type": "FeatureCollection", "features": [
        feature("1", "望城经开区甲", "一号路", json!({"type": "Polygon", "coordinates": a})),
        feature("2", "带孔地块", "黄花镇—榔梨", json!({"type": "Polygon", "coordinates": b})),
        feature("3", "两片", "湘江", json!({"type": "MultiPolygon", "coordinates": c}))]})
}

/// Shapefile of these shapes as Chinese programs leave it: GBK, no .cpg, no .prj, nothing in the code page byte.
fn gbk_shapefile(name: &str) -> (PathBuf, PathBuf) {
    let work = folder(name);
    let source = work.join("source.geojson");
    // 𠮷 is in GB18030 only: this file keeps to GBK.
    std::fs::write(&source, shapes().to_string().replace('𠮷', "嘉")).expect("written");
    let shape = work.join("地块.shp");
    gdal(
        "ogr2ogr",
        &["-f", "ESRI Shapefile", arg(&shape), arg(&source), "-lco", "ENCODING=GBK", "-nlt", "MULTIPOLYGON"],
    );
    let mut dbf = std::fs::read(shape.with_extension("dbf")).expect("table");
    dbf[29] = 0;
    std::fs::write(shape.with_extension("dbf"), &dbf).expect("table");
    let name_in_gbk = encoding_rs::GBK.encode("行政区代码").0.into_owned();
    assert!(dbf.windows(10).any(|w| w == name_in_gbk), "the table really is in GBK");
    let parts: Vec<(String, Vec<u8>)> = ["shp", "shx", "dbf"]
        .map(|e| (format!("地块.{e}"), std::fs::read(shape.with_extension(e)).expect("written by ogr2ogr")))
        .to_vec();
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let packed = work.join("gbk.zip");
    std::fs::write(&packed, zip(&parts)).expect("archive");
    (packed, shape)
}

/// WKT of every record of a Shapefile, by GDAL, rounded to the millimetre.
fn wkt_of(shape: &Path, work: &Path, id: &str) -> Vec<(String, String)> {
    let table = work.join("out.csv");
    gdal("ogr2ogr", &["-f", "CSV", arg(&table), arg(shape), "-lco", "GEOMETRY=AS_WKT"]);
    let mut reader = csv::Reader::from_path(&table).expect("table");
    let at =
        reader.headers().expect("headings").iter().position(|h| h == id).unwrap_or_else(|| panic!("no column {id}"));
    let rows = reader.records().map(|r| r.expect("a row"));
    rows.map(|r| (r[at].to_owned(), rounded(&r[0]))).collect()
}

#[tokio::test]
async fn a_gbk_shapefile_without_cpg_and_prj_comes_back_whole() {
    let db = Database::with_sample().await;
    let (packed, shape) = gbk_shapefile("gbk_shapefile");
    let dry = db.dry_run(&packed, into(PARK)).await.expect("judged");
    let report = dry.report.to_json();
    assert_eq!(
        (&report["status"], &report["encoding"], &report["crs"]),
        (&"ready".into(), &"gbk".into(), &"EPSG:4526".into())
    );
    let mapping: Vec<(&String, &Value)> = report["mapping"].as_object().expect("an object").iter().collect();
    let expected = json!({"区块编号": "id", "区块名称": "name", "行政区代码": "county_code", "行政区名称": "county", "东至": "east", "备注": "note"});
    assert_eq!(mapping, expected.as_object().expect("an object").iter().collect::<Vec<_>>());
    let detected: Vec<_> = dry.report.findings.iter().filter(|f| f.code == "crs_detected").collect();
    assert_eq!(detected.len(), 1, "a system that was guessed is told: {:?}", codes(&dry));
    let names: Vec<_> = dry.report.candidates.iter().map(|c| c.name.as_deref().unwrap_or_default()).collect();
    assert_eq!(names, ["望城经开区甲", "带孔地块", "两片"]);
    assert_eq!(dry.report.candidates.iter().map(|c| (c.parts, c.rings)).collect::<Vec<_>>(), [(1, 1), (1, 2), (2, 2)]);

    db.import(&packed, into(PARK)).await.expect("imported");
    let stored: Vec<(String, Option<String>, String)> = sqlx::query_as(
        "SELECT name, east, attributes ->> '行政区名称' FROM park_block WHERE NOT illustrative ORDER BY number",
    )
    .fetch_all(&db.pool)
    .await
    .expect("rows");
    assert_eq!(stored[1], ("带孔地块".into(), Some("黄花镇—榔梨".into()), "望城区".into()));

    for encoding in [None, Some("gbk"), Some("utf-8")] {
        let work = folder("gbk_shapefile_back");
        unzip(&export(&db, "shp", Some(4526), encoding).await, &work);
        let back = work.join("park_blocks.shp");
        let judge = folder("gbk_shapefile_judge");
        // The judge reads the file as ogr2ogr wrote it, with its .cpg.
        let given = wkt_of(&shape, &judge, "区块编号");
        assert_eq!(given.len(), 3);
        assert_eq!(wkt_of(&back, &work, "编号"), given, "{encoding:?}");
        let summary = gdal("ogrinfo", &["-so", "-al", arg(&back)]);
        assert!(summary.contains("Feature Count: 3") && summary.contains("Gauss-Kruger zone 38"), "{summary}");
        let text = gdal("ogrinfo", &["-q", "-al", arg(&back)]);
        for word in ["望城经开区甲", "带孔地块", "两片", "黄花镇—榔梨", "湘江", "一号路", PARK]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}

#[tokio::test]
async fn exports_hold_the_counts_areas_and_system_that_the_register_holds() {
    let db = Database::with_sample().await;
    let (packed, _) = gbk_shapefile("exports");
    db.import(&packed, into(PARK)).await.expect("imported");
    let work = folder("exports_out");
    let address = db.ogr_address().await;
    let register: f64 =
        db.value("SELECT sum(ST_Area(geom::geography)) FROM park_block WHERE park_code = 'G431176'").await;
    for (format, crs, system) in
        [("gpkg", None, 4490), ("gpkg", Some(4526), 4526), ("geojson", None, 4326), ("shp", None, 4490)]
    {
        let bytes = export(&db, format, crs, None).await;
        let file = if format == "shp" {
            unzip(&bytes, &work);
            work.join("park_blocks.shp")
        } else {
            std::fs::write(work.join(format!("out.{format}")), bytes).expect("written");
            work.join(format!("out.{format}"))
        };
        let summary = gdal("ogrinfo", &["-so", "-al", arg(&file)]);
        assert!(summary.contains("Feature Count: 3"), "{format}: {summary}");
        if format != "shp" {
            // A .prj names the system without its number.
            assert!(summary.contains(&format!("ID[\"EPSG\",{system}]]")), "{format}: {summary}");
        }
        gdal(
            "ogr2ogr",
            &[
                "-f",
                "PostgreSQL",
                &address,
                arg(&file),
                "-nln",
                "back",
                "-nlt",
                "MULTIPOLYGON",
                "-t_srs",
                "EPSG:4490",
                "-overwrite",
                "-lco",
                "GEOMETRY_NAME=geom",
            ],
        );
        let (count, area): (i64, f64) = sqlx::query_as("SELECT count(*), sum(ST_Area(geom::geography)) FROM back")
            .fetch_one(&db.pool)
            .await
            .expect("loaded");
        assert_eq!(count, 3, "{format}");
        // GeoJSON is written to 1e-8 degree, a millimetre: over 3.6 km of edges that is some 3 m² of 400,000 at the worst.
        let allowed = if format == "geojson" { 1e-6 } else { 1e-8 };
        assert!((area / register - 1.0).abs() < allowed, "{format}: {area} against {register}");
        let [number, name, east] =
            if format == "geojson" { ["number", "name", "east"] } else { ["区块编号", "区块名称", "东至"] };
        if format != "shp" {
            let differ: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "SELECT count(*) FROM back k FULL JOIN (SELECT * FROM park_block WHERE park_code = 'G431176') b ON b.number = k.\"{number}\"
                 WHERE k.\"{name}\" IS DISTINCT FROM b.name OR k.\"{east}\" IS DISTINCT FROM b.east OR k.geom IS NULL OR b.geom IS NULL
                    OR ST_HausdorffDistance(ST_SetSRID(k.geom, 4490), b.geom) > 2e-8"
            )))
            .fetch_one(&db.pool)
            .await
            .expect("compared");
            assert_eq!(differ, 0, "{format}");
        }
    }
}

#[tokio::test]
async fn what_was_exported_changes_nothing_when_it_comes_back() {
    let db = Database::with_sample().await;
    let (packed, _) = gbk_shapefile("back_again");
    db.import(&packed, into(PARK)).await.expect("imported");
    let work = folder("back_again_out");
    for (format, name) in [("gpkg", "back.gpkg"), ("shp", "back.zip")] {
        let file = work.join(name);
        std::fs::write(&file, export(&db, format, None, None).await).expect("written");
        let again = db.import(&file, into(PARK)).await.expect("imported");
        assert_eq!(
            (again.report.status.as_str(), again.revision),
            ("unchanged", None),
            "{format}: {:?}",
            again.report.counts
        );
    }
}

#[tokio::test]
async fn csv_export_opens_in_a_spreadsheet_and_runs_nothing() {
    let db = Database::with_sample().await;
    let text = txt(&[
        ("1", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
        ("2", square(3_123_400.0, 38_435_500.0, 200.0), 4.0),
        ("3", square(3_123_400.0, 38_435_800.0, 200.0), 4.0),
    ]);
    let text = text.replace("地块1", "=1+1").replace("地块2", "+cmd|' /C calc'!A0").replace("地块3", "乙\"丙\"");
    let file = write("formula.txt", text);
    db.import(&file, into(PARK)).await.expect("imported");
    let bytes = export(&db, "csv", None, None).await;
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").expect("a byte order mark");
    assert!(!body.starts_with(b"\xEF\xBB\xBF"), "one mark only");
    let mut reader = csv::Reader::from_reader(body);
    assert_eq!(
        reader.headers().expect("headings").iter().take(9).collect::<Vec<_>>(),
        [
            "区块标识",
            "园区代码",
            "园区名称",
            "区块编号",
            "区块名称",
            "公告面积（公顷）",
            "椭球面积（平方米）",
            "椭球面积（公顷）",
            "椭球面积（亩）"
        ]
    );
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let names: Vec<&str> = rows.iter().map(|r| &r[4]).collect();
    assert_eq!(names, ["'=1+1", "'+cmd|' /C calc'!A0", "乙\"丙\""]);
    let areas: Vec<f64> =
        sqlx::query_scalar("SELECT ST_Area(geom::geography) FROM park_block WHERE NOT illustrative ORDER BY number")
            .fetch_all(&db.pool)
            .await
            .expect("areas");
    for (row, area) in rows.iter().zip(areas) {
        for (cell, unit, half) in [(6, 1.0, 0.006), (7, 1e-4, 0.000_06), (8, 3.0 / 2000.0, 0.006)] {
            let told: f64 = row[cell].parse().expect("a number");
            assert!((told - area * unit).abs() < half, "{told} against {area} × {unit}");
        }
    }
}

#[tokio::test]
async fn a_character_that_gbk_lacks_is_refused_not_replaced() {
    let db = Database::with_sample().await;
    let text = txt(&[("1", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]).replace("地块1", "𠮷野");
    db.import(&write("plane2.txt", text), into(PARK)).await.expect("imported");
    let url = db.url().await;
    let work = folder("plane2");
    for (format, encoding, code) in [("shp", "gbk", 3), ("txt", "gbk", 3), ("shp", "utf-8", 0), ("txt", "utf-8", 0)] {
        let target = work.join(format!("{format}-{encoding}"));
        let mut command =
            sizhi(&["export", "--format", format, "--encoding", encoding, "--park", PARK, "--output", arg(&target)]);
        command.env("DATABASE_URL", &url);
        let output = run(command, b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{format} {encoding}: {said}");
        assert_eq!(target.exists(), code == 0, "{format} {encoding}");
        assert!(code == 0 || (said.contains("character_not_in_gbk") && said.contains('𠮷')), "{said}");
    }
    unzip(&std::fs::read(work.join("shp-utf-8")).expect("written"), &work);
    assert!(gdal("ogrinfo", &["-q", "-al", arg(&work.join("park_blocks.shp"))]).contains("𠮷野"));
}

#[tokio::test]
async fn an_option_that_the_format_settles_itself_is_refused() {
    let db = Database::with_sample().await;
    for (format, crs, encoding) in [
        ("geojson", Some(4526), None),
        ("csv", Some(4526), None),
        ("geojson", None, Some("gbk")),
        ("xlsx", None, Some("gbk")),
        ("fgb", None, Some("utf-8")),
        ("gpkg", None, Some("gbk")),
    ] {
        let mut request = exports::of(format);
        request.options.crs = crs.map(Crs::from_epsg);
        request.options.encoding = encoding.and_then(TextEncoding::parse);
        let refused = export::check(&db.pool, request).await.err().unwrap_or_else(|| panic!("{format}"));
        assert_eq!(refused.code(), "option_not_possible", "{format}");
    }
}
