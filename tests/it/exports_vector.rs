//! Files for GIS out: GDAL's own programs find the same features, names and values in them, and they come back unchanged.

use std::path::{Path, PathBuf};

use sizhi::domain::export::{ExportFormat, Headings, TextEncoding};
use sizhi::domain::layer::{Layer, PropertyKind};
use sizhi::inventory::progress::Silent;
use sizhi::inventory::{export, sample};
use sizhi::layers::{columns, declaration};
use sqlx::AssertSqlSafe;

use crate::imports::{PARK, into};
use crate::support::files::{square, txt, write};
use crate::support::http::get;
use crate::support::tools::{arg, folder, gdal, unzip};
use crate::support::{Database, exports};

/// Texts that a format or an encoding may stumble over; all of them in GBK.
const HOSTILE: &str = "
    UPDATE park SET name = '=HYPERLINK(\"http://x\",\"点\")', type = '+86 731, \"引号\"' WHERE code = 'G431176';
    UPDATE park SET name = '@SUM(A1:A9)', type = E'两\\n行' WHERE code = 'G431033';
    UPDATE park SET name = '''=1', leading_industries = '{-5,＝全角,\"a,b\"}', approved_area_ha = NULL WHERE code = 'S437027';";

/// The variants of each format.
const VARIANTS: [(&str, Option<TextEncoding>, Headings); 7] = [
    ("gpkg", None, Headings::Chinese),
    ("gpkg", None, Headings::English),
    ("shp", Some(TextEncoding::Utf8), Headings::Chinese),
    ("shp", Some(TextEncoding::Gbk), Headings::Chinese),
    ("shp", None, Headings::English),
    ("fgb", None, Headings::Chinese),
    ("fgb", None, Headings::English),
];

/// The file that GDAL opens.
fn laid(bytes: &[u8], format: &str, layer: &Layer, work: &Path) -> PathBuf {
    if format == "shp" {
        unzip(bytes, work);
        return work.join(format!("{}.shp", layer.id));
    }
    let file = work.join(format!("out.{format}"));
    std::fs::write(&file, bytes).expect("written");
    file
}

/// How the column of the file differs from the property of the register.
fn differs(column: &str, property: &str, kind: PropertyKind) -> String {
    let (k, b) = (format!("k.\"{column}\""), format!("b.{property}"));
    match kind {
        PropertyKind::Text => format!("nullif({k}::text, '') IS DISTINCT FROM nullif({b}, '')"),
        PropertyKind::TextList | PropertyKind::NumberList => {
            format!("nullif({k}::text, '') IS DISTINCT FROM nullif(array_to_string({b}, '、'), '')")
        }
        PropertyKind::Number => format!("{k}::float8 IS DISTINCT FROM {b}::float8"),
        PropertyKind::Integer => format!("{k}::bigint IS DISTINCT FROM {b}::bigint"),
        PropertyKind::Boolean => format!("{k}::int::boolean IS DISTINCT FROM {b}"),
        PropertyKind::Date => format!("{k}::date IS DISTINCT FROM {b}"),
        PropertyKind::DateTime => format!("{k}::timestamptz IS DISTINCT FROM {b}"),
    }
}

/// The source of a division that needs two fields of a DBF.
fn differs_in_two(headings: Headings) -> String {
    let name = if headings == Headings::Chinese { "来源" } else { "source" };
    format!("concat(k.\"{name}\", k.\"{name}2\") IS DISTINCT FROM b.source")
}

#[tokio::test]
async fn gdal_finds_the_same_features_names_and_values_in_every_format() {
    let db = Database::with_sample().await;
    sample::seed_zones(&db.pool, "test").await.expect("zones");
    sample::seed_parcels(&db.pool, "test", 240, &Silent).await.expect("parcels");
    db.write(HOSTILE).await;
    let address = db.ogr_address().await;
    for layer in declaration::LAYERS.iter() {
        for (format, encoding, headings) in VARIANTS {
            let mut request = exports::of_layer(layer, format);
            request.options.encoding = encoding;
            request.options.headings = Some(headings);
            let (bytes, rows) = exports::made(&db, request).await;
            let place = format!("{} {format} {encoding:?} {headings:?}", layer.id);
            let work = folder("exports_vector");
            let file = laid(&bytes, format, layer, &work);
            let loaded = [
                "-f",
                "PostgreSQL",
                &address,
                arg(&file),
                "-nln",
                "back",
                "-nlt",
                "MULTIPOLYGON",
                "-overwrite",
                "-a_srs",
                "EPSG:4490",
                "-lco",
                "GEOMETRY_NAME=geom",
                "-lco",
                "LAUNDER=NO",
                "-lco",
                "FID=gdal_fid",
            ];
            gdal("ogr2ogr", &loaded);
            let parsed = ExportFormat::parse(format).expect("a format");
            let shown = columns::of_layer(layer, parsed, headings);
            // What does not fit a DBF's cell goes on in the field behind.
            let long = format == "shp" && layer.id == "divisions";
            let differences: Vec<String> = shown
                .iter()
                .filter(|c| !(long && c.property == "source"))
                .map(|c| differs(&c.column.heading, c.property, c.column.kind))
                .chain(long.then(|| differs_in_two(headings)))
                .collect();
            let key = if matches!(layer.id, "parks" | "divisions") { "code" } else { "id" };
            let key_column = &shown.iter().find(|c| c.property == key).expect("the key").column.heading;
            // FlatGeobuf has no place for a feature without a shape.
            let shapes = if format == "fgb" { "WHERE geom IS NOT NULL" } else { "" };
            let sql = format!(
                "SELECT count(*), count(*) FILTER (WHERE k.\"{key_column}\" IS NULL OR b.feature_id IS NULL OR {}
                        OR (k.geom IS NULL) <> (b.geom IS NULL)
                        OR ST_HausdorffDistance(k.geom, b.geom) > 1e-9 OR abs(ST_Area(k.geom) - ST_Area(b.geom)) > 1e-12)
                 FROM back k FULL JOIN (SELECT * FROM {} {shapes}) b ON k.\"{key_column}\" = b.{key}",
                differences.join(" OR "),
                layer.relation
            );
            let (all, different): (i64, i64) =
                sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&db.pool).await.expect("compared");
            assert_eq!((all, different), (i64::try_from(rows).expect("few"), 0), "{place}");
            assert!(all >= 14, "{place}: {all}");
        }
    }
}

#[tokio::test]
async fn files_say_their_names_system_and_encoding_in_chinese() {
    let db = Database::with_sample().await;
    for (format, encoding, words) in [
        (
            "gpkg",
            None,
            vec![
                "区块标识: String",
                "公告面积_公顷: Real",
                "椭球面积_平方米: Real",
                "示意: Integer(Boolean)",
                "四至范围: String",
                "生效日期: Date",
            ],
        ),
        ("fgb", None, vec!["区块标识: String", "公告面积_公顷: Real", "示意: Integer(Boolean)", "东至: String"]),
        (
            "shp",
            None,
            vec!["标识: String", "园区码: String", "面积_ha: Real", "椭球_m2: Real", "东至: String", "生效: Date"],
        ),
        ("shp", Some(TextEncoding::Gbk), vec!["标识: String", "园区码: String", "面积_ha: Real", "市州码: String"]),
    ] {
        let mut request = exports::of_park(exports::of(format), PARK);
        request.options.encoding = encoding;
        let (bytes, rows) = exports::made(&db, request).await;
        let work = folder("exports_names");
        let layer = declaration::find("park_blocks").expect("a layer");
        let file = laid(&bytes, format, layer, &work);
        let summary = gdal("ogrinfo", &["-so", "-al", arg(&file)]);
        for word in words {
            assert!(summary.contains(word), "{format}: no {word} in {summary}");
        }
        assert!(summary.contains(&format!("Feature Count: {rows}")) && summary.contains("2000"), "{summary}");
        if format == "shp" {
            let cpg = std::fs::read_to_string(work.join("park_blocks.cpg")).expect("a .cpg");
            assert_eq!(cpg, if encoding.is_some() { "GBK" } else { "UTF-8" });
            assert!(std::fs::read_to_string(work.join("park_blocks.prj")).expect("a .prj").contains("China_2000"));
        }
        if format == "gpkg" {
            let titles = gdal("ogrinfo", &["-q", "-sql", "SELECT identifier FROM gpkg_contents", arg(&file)]);
            assert!(titles.contains("园区区块"), "{titles}");
        }
    }
}

#[tokio::test]
async fn blocks_that_were_given_out_change_nothing_when_they_come_back() {
    let db = Database::with_sample().await;
    let text = txt(&[
        ("1", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
        ("2", square(3_123_400.0, 38_435_500.0, 200.0), 4.0),
        ("3", square(3_123_400.0, 38_435_800.0, 200.0), 4.0),
    ]);
    let text = text.replace("地块1", "=1+1").replace("地块2", "'+86'").replace("地块3", "－乙\"丙\"");
    db.import(&write("given_out.txt", text), into(PARK)).await.expect("imported");
    db.write(
        "UPDATE park_block SET east = '=东；\"路\"', south = '-南', north = NULL WHERE id = 'G431176-2';
         UPDATE park_block SET four_extents = '东至一路，南至二路，西至三路，北至四路', east = '一路', south = '二路', west = '三路', north = '四路'
         WHERE id = 'G431176-3';
         UPDATE park_block SET east = repeat('很长的路名，', 60), west = repeat('一 二', 70) WHERE id = 'G431176-1'",
    )
    .await;
    let blocks: i64 = db.value("SELECT count(*) FROM park_block WHERE valid_to = 'infinity'").await;
    for (format, encoding, headings) in VARIANTS {
        let mut request = exports::of(format);
        request.options.encoding = encoding;
        request.options.headings = Some(headings);
        let (bytes, rows) = exports::made(&db, request).await;
        assert_eq!(i64::try_from(rows).expect("few"), blocks);
        let ending = if format == "shp" { "zip" } else { format };
        let file = write(&format!("come_back.{ending}"), bytes);
        let again = db.import(&file, |_| {}).await.expect("judged");
        assert_eq!(
            (again.report.status.as_str(), again.revision),
            ("unchanged", None),
            "{format} {encoding:?} {headings:?}: {:?} {:?}",
            again.report.counts,
            again.report.findings.iter().filter(|f| f.code != "illustrative_import").take(5).collect::<Vec<_>>()
        );
        assert_eq!(again.report.counts.expect("counted").unchanged, rows, "{format}");
    }
}

#[tokio::test]
async fn coordinates_in_a_zone_are_the_zones() {
    let db = Database::with_sample().await;
    for format in ["gpkg", "shp", "fgb"] {
        let mut request = exports::of_park(exports::of(format), PARK);
        request.options.crs = sizhi::geometry::crs::Crs::parse("EPSG:4526");
        let work = folder("exports_zone");
        let layer = declaration::find("park_blocks").expect("a layer");
        let file = laid(&exports::bytes_of(&db, request).await, format, layer, &work);
        let summary = gdal("ogrinfo", &["-so", "-al", arg(&file)]);
        assert!(summary.contains("Gauss-Kruger zone 38"), "{format}: {summary}");
        let address = db.ogr_address().await;
        let loaded = [
            "-f",
            "PostgreSQL",
            &address,
            arg(&file),
            "-nln",
            "zone",
            "-nlt",
            "MULTIPOLYGON",
            "-overwrite",
            "-t_srs",
            "EPSG:4490",
            "-lco",
            "GEOMETRY_NAME=geom",
        ];
        gdal("ogr2ogr", &loaded);
        let far: f64 = db
            .value(
                "SELECT ST_HausdorffDistance((SELECT ST_Collect(geom) FROM zone),
                        (SELECT ST_Collect(geom) FROM park_block WHERE park_code = 'G431176' AND valid_to = 'infinity'))",
            )
            .await;
        assert!(far < 1e-9, "{format}: {far}");
    }
}

#[actix_web::test]
async fn a_text_that_a_dbf_cannot_hold_is_refused_with_its_row() {
    let db = Database::with_sample().await;
    db.write("UPDATE park_block SET name = '𠮷野' WHERE id = 'G431176-1'").await;
    let path = format!("/api/collections/park_blocks/items?f=shp&park_code={PARK}");
    let refused = get(&db, &format!("{path}&encoding=gbk")).await.assert_problem(400, "character_not_in_gbk");
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(detail.contains("第 1 行（G431176-1）的“名称”") && detail.contains('𠮷'), "{detail}");
    assert_eq!(get(&db, &path).await.status, 200, "UTF-8 has it");
    db.write("UPDATE park_block SET east = repeat('长', 10000) WHERE id = 'G431176-1'").await;
    let refused = get(&db, &path).await.assert_problem(400, "text_too_long");
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(detail.contains("第 1 行（G431176-1）的“东至”") && detail.contains("gpkg"), "{detail}");
    assert_eq!(get(&db, &path.replace("f=shp", "f=gpkg")).await.status, 200);
}

#[tokio::test]
async fn nothing_that_matches_is_a_whole_file_that_gdal_opens() {
    let db = Database::empty().await;
    for layer in declaration::LAYERS.iter() {
        for format in ["gpkg", "shp", "fgb"] {
            let (bytes, rows) = exports::made(&db, exports::of_layer(layer, format)).await;
            assert_eq!(rows, 0);
            let work = folder("exports_nothing");
            let summary = gdal("ogrinfo", &["-so", "-al", arg(&laid(&bytes, format, layer, &work))]);
            let field = if format == "shp" { "生效: Date" } else { "生效日期: Date" };
            // FlatGeobuf keeps days as moments.
            let is_there = summary.contains(field) || format == "fgb" && summary.contains("生效日期");
            assert!(summary.contains("Feature Count: 0") && is_there, "{format}: {summary}");
        }
    }
}

#[tokio::test]
async fn a_flatgeobuf_that_is_none_is_refused() {
    let db = Database::with_sample().await;
    let sound = exports::bytes_of(&db, exports::of_park(exports::of("fgb"), PARK)).await;
    let forged = |from: usize| {
        let mut bytes = sound.clone();
        bytes[from..from + 4].copy_from_slice(&[0xFF; 4]);
        bytes
    };
    for (name, bytes) in [
        ("magic alone", b"fgb\x03fgb\x00".to_vec()),
        ("garbage behind it", [b"fgb\x03fgb\x00".as_slice(), &[0xFF; 200]].concat()),
        ("the size of its head forged", forged(8)),
        ("half of it", sound[..sound.len() / 2].to_vec()),
    ] {
        let file = write("forged.fgb", bytes);
        let judged = db.dry_run(&file, into(PARK)).await.expect("judged");
        assert_eq!(judged.report.status.as_str(), "refused", "{name}: {:?}", judged.report.findings);
    }
    let judged = db.dry_run(&write("sound.fgb", sound), into(PARK)).await.expect("judged");
    assert_eq!(judged.report.status.as_str(), "unchanged");
}

#[actix_web::test]
async fn boundary_points_say_what_they_leave_out() {
    let db = Database::with_sample().await;
    let layer = declaration::find("divisions").expect("a layer");
    let mut request = exports::of_layer(layer, "txt");
    request.options.crs = sizhi::geometry::crs::Crs::parse("EPSG:4525");
    let (bytes, rows) = exports::made(&db, request).await;
    let text = String::from_utf8(bytes).expect("UTF-8");
    let drawn: i64 = db.value("SELECT count(*) FROM division WHERE geom IS NOT NULL").await;
    let none: i64 = db.value("SELECT count(*) FROM division WHERE geom IS NULL").await;
    assert!(
        none > 0 && text.contains(&format!("未写入=没有图形的 {none} 条\r\n")),
        "{none}: {:?}",
        text.lines().take(5).collect::<Vec<_>>()
    );
    assert_eq!((rows as i64, text.matches(",@\r\n").count() as i64), (drawn, drawn));
    // Counted among the rows that come.
    let first: i64 = db
        .value("SELECT count(*) FROM (SELECT geom FROM division ORDER BY code LIMIT 3) first WHERE geom IS NULL")
        .await;
    assert!(first > 0);
    for (query, left_out) in [
        ("f=txt&crs=EPSG:4525", Some(none)),
        ("f=fgb", Some(none)),
        ("f=fgb&limit=3", Some(first)),
        ("f=gpkg", None),
        ("f=csv", None),
    ] {
        let answer = get(&db, &format!("/api/collections/divisions/items?{query}")).await;
        let told = answer.header("x-features-left-out").map(|n| n.parse::<i64>().expect("a number"));
        assert_eq!((answer.status.as_u16(), told), (200, left_out), "{query}");
    }
}

#[tokio::test]
async fn options_of_a_format_are_checked_before_anything_is_read() {
    let db = Database::with_sample().await;
    for (format, crs, code) in [
        ("txt", "EPSG:4490", "txt_crs"),
        ("gpkg", "EPSG:28992", "crs_unknown"),
        ("shp", "EPSG:2383", "crs_unknown"),
        ("xlsx", "EPSG:4526", "option_not_possible"),
    ] {
        let mut request = exports::of(format);
        request.options.crs = sizhi::geometry::crs::Crs::parse(crs);
        let refused = export::prepare(&db.pool, request).await.err().unwrap_or_else(|| panic!("{format} {crs}"));
        assert_eq!(refused.code(), code, "{format} {crs}");
    }
}
