//! The team's eight files against `expected.json`, malformed snippets against code and line, and the way back.

use geo::{BoundingRect, MultiPolygon};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::export::TextEncoding;
use crate::domain::{Hectares, Severity};
use crate::exchange::{ReadOptions, Reading};
use crate::geometry::crs::Crs;
use crate::geometry::{area, project};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/txt/{name}", env!("CARGO_MANIFEST_DIR"))).expect("fixture")
}

fn read_fixture(name: &str) -> Reading {
    read(&fixture(name), &ReadOptions::default())
}

fn expected() -> Value {
    serde_json::from_slice(&fixture("expected.json")).expect("JSON")
}

fn close(found: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().expect("number");
    assert!((found - expected).abs() <= tolerance, "{what}: {found} against {expected}");
}

#[test]
fn the_good_files_give_exactly_what_is_expected() {
    let expected = expected();
    for (file, same_as) in [
        ("hole_zone38_prefixed.txt", "hole_zone38_prefixed.txt"),
        ("hole_zone38_prefixed.gbk.txt", "hole_zone38_prefixed.txt"),
        ("hole_zone38_noprefix_bom.txt", "hole_zone38_prefixed.txt"),
        ("multi_zone37_prefixed.txt", "multi_zone37_prefixed.txt"),
    ] {
        let reading = read_fixture(file);
        let own = &expected["files"][file];
        assert_eq!(reading.findings, [], "{file}");
        assert_eq!(reading.encoding.as_deref(), own["encoding"].as_str(), "{file}");
        let crs = reading.crs.expect("system");
        assert_eq!(u64::from(crs.epsg()), own["epsg"].as_u64().expect("epsg"), "{file}");
        let parcels = expected["files"][same_as]["parcels"].as_array().expect("parcels");
        assert_eq!(reading.candidates.len(), parcels.len(), "{file}");
        for (candidate, parcel) in reading.candidates.iter().zip(parcels) {
            assert_eq!(candidate.id.as_deref(), parcel["no"].as_str());
            assert_eq!(candidate.name.as_deref(), parcel["name"].as_str());
            let geometry = candidate.geometry.as_ref().expect("geometry");
            let rings: usize = geometry.iter().map(|p| 1 + p.interiors().len()).sum();
            assert_eq!(rings as u64, parcel["rings"].as_u64().expect("rings"));
            let shape = match (geometry.0.len(), rings) {
                (1, 1) => "polygon",
                (1, 2) => "polygon with hole",
                (2, 2) => "multipolygon, 2 parts",
                other => panic!("{other:?}"),
            };
            assert_eq!(Some(shape), parcel["interpretation"].as_str());
            let ellipsoidal = area::ellipsoidal(geometry);
            close(ellipsoidal.value(), &parcel["ellipsoidal_m2"], 0.01, "ellipsoidal");
            close(ellipsoidal.to_mu().value(), &parcel["mu_ellipsoidal"], 0.0001, "mu");
            let plane = project::from_cgcs2000(geometry, crs).expect("in zone");
            close(area::planar(&plane).value(), &parcel["planar_m2"], 0.01, "planar");
            close(area::planar(&plane).to_hectares().value(), &parcel["ha_planar"], 0.00005, "hectares");
            let rect = geometry.bounding_rect().expect("not empty");
            for (i, found) in [rect.min().x, rect.min().y, rect.max().x, rect.max().y].into_iter().enumerate() {
                close(found, &parcel["bbox_lonlat"][i], 0.6e-8, "bbox");
            }
            let first = geometry.0[0].exterior().0[0];
            close(first.x, &parcel["first_point_lonlat"][0], 0.6e-8, "first longitude");
            close(first.y, &parcel["first_point_lonlat"][1], 0.6e-8, "first latitude");
        }
    }
}

#[test]
fn the_malformed_files_give_a_finding_with_line_and_rule() {
    let found = |name: &str| -> Vec<(String, Severity, Option<u64>)> {
        read_fixture(name).findings.into_iter().map(|f| (f.code.into_owned(), f.severity, f.place.row)).collect()
    };
    assert_eq!(found("bad_swapped_xy.txt"), [("axes_swapped".into(), Severity::Error, Some(14))]);
    assert_eq!(found("bad_zone_conflict.txt"), [("crs_zone_conflict".into(), Severity::Error, Some(14))]);
    assert_eq!(found("bad_count_mismatch.txt"), [("point_count_mismatch".into(), Severity::Warning, Some(13))]);
    assert_eq!(found("bad_missing_at.txt"), [("parcel_line_missing_at".into(), Severity::Warning, Some(13))]);
    let message = &read_fixture("bad_count_mismatch.txt").findings[0].message;
    assert!(message.contains("声明 12 个") && message.contains("实有 11 个"), "{message}");
    let recovered = read_fixture("bad_missing_at.txt");
    assert_eq!(recovered.candidates[0].geometry, read_fixture("hole_zone38_prefixed.txt").candidates[0].geometry);
}

const HEAD: &str =
    "[属性描述]\n坐标系=2000国家大地坐标系\n几度分带=3\n投影类型=高斯克吕格\n计量单位=米\n带号=38\n[地块坐标]\n";
const TRIANGLE: &str = "3,0.5000,T1,甲,面,,,,@\nJ1,1,3123400,38435200\nJ2,1,3123400,38435300\nJ3,1,3123500,38435300\n";

#[test]
fn malformed_snippets() {
    let p = "J1,1,3123400,38435200\nJ2,1,3123400,38435300\n";
    let cases: Vec<(&str, String, Vec<(&str, u64)>)> = vec![
        ("good control", format!("{HEAD}{TRIANGLE}"), vec![]),
        ("empty", String::new(), vec![("file_empty", 0)]),
        ("no coordinate section", HEAD.replace("[地块坐标]\n", ""), vec![("txt_without_parcels", 0)]),
        ("a comma behind each point", format!("{HEAD}{}", TRIANGLE.replace("00\n", "00,\n")), vec![]),
        (
            "degrees under a zone",
            format!("{HEAD}3,0.5,T1,甲,面,,,,@\nJ1,1,28.3,112.8\nJ2,1,28.3,112.9\nJ3,1,28.4,112.9\n"),
            vec![("crs_zone_conflict", 9)],
        ),
        (
            "no system named",
            format!("{}{TRIANGLE}", HEAD.replace("坐标系=2000国家大地坐标系\n", "")),
            vec![("crs_detected", 8)],
        ),
        (
            "a thousand and one rings",
            format!(
                "{HEAD}3003,0.5,T1,甲,面,,,,@\n{}",
                (1..=1_001)
                    .map(|ring| TRIANGLE
                        .lines()
                        .skip(1)
                        .map(|l| l.replacen(",1,", &format!(",{ring},"), 1) + "\n")
                        .collect::<String>())
                    .collect::<String>()
            ),
            vec![("too_many_rings", 8)],
        ),
        ("text before sections", format!("你好\n{HEAD}{TRIANGLE}"), vec![("text_outside_sections", 1)]),
        ("point first", format!("{HEAD}J1,1,3123400,38435200\n{TRIANGLE}"), vec![("point_before_parcel", 8)]),
        ("three columns", format!("{HEAD}{TRIANGLE}J4,1,3123500\n"), vec![("point_line_columns", 12)]),
        ("not a number", format!("{HEAD}{TRIANGLE}J4,1,3123500,东\n"), vec![("coordinate_not_a_number", 12)]),
        (
            "not finite",
            format!("{HEAD}{TRIANGLE}J4,1,NaN,1e999\n"),
            vec![("coordinate_not_a_number", 12), ("coordinate_not_a_number", 12)],
        ),
        ("two points", format!("{HEAD}2,0.5,T1,甲,面,,,,@\n{p}"), vec![("ring_too_few_points", 9)]),
        (
            "no points",
            format!("{HEAD}0,0.5,T1,甲,面,,,,@\n{TRIANGLE}").replace("T1,甲,面,,,,@\nJ", "T2,乙,面,,,,@\nJ"),
            vec![("geometry_missing", 8)],
        ),
        ("short parcel line", format!("{HEAD}3,@\n{p}J3,1,3123500,38435300\n"), vec![("parcel_line_too_short", 8)]),
        ("same number twice", format!("{HEAD}{TRIANGLE}{TRIANGLE}"), vec![("id_duplicate", 12)]),
        (
            "area is no number",
            format!("{HEAD}{}", TRIANGLE.replace("0.5000", "半公顷")),
            vec![("area_not_a_number", 8)],
        ),
        (
            "count is no number",
            format!("{HEAD}{}", TRIANGLE.replace("3,0.5", "三,0.5")),
            vec![("point_count_mismatch", 8)],
        ),
        (
            "all points called alike",
            format!(
                "{HEAD}{}",
                TRIANGLE.replace("3,0.5", "4,1.0").replace("J2", "J1").replace("J3", "J1") + "J1,1,3123500,38435200\n"
            ),
            vec![],
        ),
        (
            "closing point differs",
            // The last digits of the last number are cut off.
            format!("{HEAD}{}J1,1,3123400,38435200.9\n", TRIANGLE.replace("3,0.5", "4,0.5")),
            vec![("ring_not_closed", 12)],
        ),
        ("area in m²", format!("{HEAD}{}", TRIANGLE.replace("0.5000", "5000")), vec![("stated_area_unit_guessed", 8)]),
        ("area in mu", format!("{HEAD}{}", TRIANGLE.replace("0.5000", "7.5")), vec![("stated_area_unit_guessed", 8)]),
        (
            "Xi'an 80",
            format!("{}{TRIANGLE}", HEAD.replace("2000国家大地坐标系", "1980西安坐标系")),
            vec![("datum_not_supported", 2)],
        ),
        (
            "Beijing 54",
            format!("{}{TRIANGLE}", HEAD.replace("2000国家大地坐标系", "北京54")),
            vec![("datum_not_supported", 2)],
        ),
        (
            "unknown datum",
            format!("{}{TRIANGLE}", HEAD.replace("2000国家大地坐标系", "地方坐标系")),
            vec![("datum_unknown", 2)],
        ),
        ("four degrees", format!("{}{TRIANGLE}", HEAD.replace("分带=3", "分带=4")), vec![("zone_width_invalid", 3)]),
        (
            "Mercator",
            format!("{}{TRIANGLE}", HEAD.replace("高斯克吕格", "墨卡托")),
            vec![("projection_not_supported", 4)],
        ),
        ("kilometres", format!("{}{TRIANGLE}", HEAD.replace("单位=米", "单位=千米")), vec![("unit_not_supported", 5)]),
        (
            "zone is no number",
            format!("{}{TRIANGLE}", HEAD.replace("带号=38", "带号=三十八")),
            vec![("crs_zone_invalid", 6)],
        ),
        (
            "shift parameters",
            format!("转换参数\n{HEAD}{TRIANGLE}")
                .replace("转换参数\n[属性描述]\n", "[属性描述]\n转换参数=1.5,0,0,0,0,0,0\n"),
            vec![("transformation_ignored", 2)],
        ),
        (
            "blank parameters",
            format!("x\n{HEAD}{TRIANGLE}").replace("x\n[属性描述]\n", "[属性描述]\n转换参数=,,,,,,\n"),
            vec![],
        ),
        (
            "no zone for six digits",
            format!("{}{}", HEAD.replace("带号=38\n", "\n"), TRIANGLE.replace(",38435", ",435")),
            vec![("crs_zone_missing", 9)],
        ),
        (
            "the same ring twice",
            format!(
                "{HEAD}6,0.5,T1,甲,面,,,,@\n{p}J3,1,3123500,38435300\n{}J3,2,3123500,38435300\n",
                p.replace(",1,", ",2,")
            ),
            vec![("duplicate_ring", 8)],
        ),
        (
            "bidi override in the name",
            format!("{HEAD}{}", TRIANGLE.replace("甲", "甲\u{202E}乙")),
            vec![("text_control_character", 8)],
        ),
        ("far outside the zone", format!("{HEAD}{TRIANGLE}J4,1,3123500,3\n"), vec![("coordinate_out_of_range", 12)]),
    ];
    for (name, text, expected) in cases {
        let found: Vec<(String, u64)> = read(text.as_bytes(), &ReadOptions::default())
            .findings
            .into_iter()
            .filter(|f| {
                f.code != "point_count_mismatch" || expected.iter().any(|(code, _)| *code == "point_count_mismatch")
            })
            .map(|f| (f.code.into_owned(), f.place.row.unwrap_or(0)))
            .collect();
        let expected: Vec<(String, u64)> = expected.into_iter().map(|(code, line)| (code.to_owned(), line)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn variants_that_happen_are_read_alike() {
    let reference = read(format!("{HEAD}{TRIANGLE}").as_bytes(), &ReadOptions::default());
    let geometry = reference.candidates[0].geometry.as_ref().expect("geometry");
    let full_width = format!("{HEAD}{TRIANGLE}").replace(',', "，").replace('[', "【").replace(']', "】");
    for (name, text) in [
        ("full-width marks", full_width),
        ("CRLF", format!("{HEAD}{TRIANGLE}").replace('\n', "\r\n")),
        ("bare CR", format!("{HEAD}{TRIANGLE}").replace('\n', "\r")),
        ("@ in front", format!("{HEAD}{}", TRIANGLE.replace("3,0.5000,T1,甲,面,,,,@", "@3,0.5000,T1,甲,面,,,"))),
        ("thirteen fields", format!("{HEAD}{}", TRIANGLE.replace("面,,,,@", "面,,,,a,b,c,d,e,@"))),
        ("blanks and blank lines", format!("\n{HEAD}\n{TRIANGLE}\n\n").replace(',', " , ")),
        ("closed ring", format!("{HEAD}{}J1,1,3123400,38435200\n", TRIANGLE.replace("3,0.5", "4,0.5"))),
        ("plain numbers", format!("{HEAD}{TRIANGLE}").replace("\nJ", "\n")),
    ] {
        let reading = read(text.as_bytes(), &ReadOptions::default());
        assert_eq!(reading.findings, [], "{name}");
        assert_eq!(reading.candidates[0].geometry.as_ref(), Some(geometry), "{name}");
    }
}

#[test]
fn the_callers_system_overrides_the_zone() {
    let options = ReadOptions { crs: Some(Crs::GaussKruger3 { zone: 38, prefixed: true }), ..ReadOptions::default() };
    let reading = read(&fixture("bad_zone_conflict.txt"), &options);
    assert_eq!(reading.findings, []);
    assert_eq!(reading.candidates[0].geometry, read_fixture("hole_zone38_prefixed.txt").candidates[0].geometry);
}

fn parcels_of(reading: &Reading) -> Vec<TxtParcel> {
    reading
        .candidates
        .iter()
        .map(|c| {
            let value = |name: &str| c.value(name).unwrap_or_default().to_owned();
            TxtParcel {
                id: value("id"),
                name: value("name"),
                geometry: c.geometry.clone().expect("geometry"),
                stated_area: c.stated_area.as_ref().map(|s| s.area.to_hectares()),
                map_sheet: value("map_sheet"),
                land_use: value("land_use"),
                land_use_code: value("land_use_code"),
            }
        })
        .collect()
}

/// The file of these parcels.
fn written(parcels: &[TxtParcel], options: &TxtOptions) -> crate::error::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let count = write(&mut parcels.iter().cloned().map(Ok), options, &mut bytes)?;
    assert_eq!(count, parcels.len() as u64);
    Ok(bytes)
}

fn options(crs: Crs, encoding: TextEncoding) -> TxtOptions {
    let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).expect("date");
    TxtOptions { crs, encoding, producer: "虚构测绘单位(样例)".to_owned(), date, nature: None, left_out: 0 }
}

#[test]
fn the_sample_file_comes_back_byte_for_byte() {
    let reading = read_fixture("hole_zone38_prefixed.txt");
    let parcels = parcels_of(&reading);
    let crs = reading.crs.expect("system");
    let utf8 = written(&parcels, &options(crs, TextEncoding::Utf8)).expect("written");
    assert_eq!(String::from_utf8_lossy(&utf8), String::from_utf8_lossy(&fixture("hole_zone38_prefixed.txt")));
    let gbk = written(&parcels, &options(crs, TextEncoding::Gbk)).expect("written");
    assert_eq!(gbk, fixture("hole_zone38_prefixed.gbk.txt"));
}

#[test]
fn words_and_areas_come_back_as_they_are() {
    let mut parcel = parcels_of(&read_fixture("hole_zone38_prefixed.txt")).remove(0);
    let zone = Crs::GaussKruger3 { zone: 38, prefixed: true };
    for (name, stated, read_name, read_area) in [
        ("乙，丙（东）@甲", None, "乙、丙（东）@甲", None),
        ("ａｂｃ１", Some(10.934_836), "ａｂｃ１", Some("10.934836")),
        ("A,B", Some(12.0), "A、B", Some("12.0000")),
        ("丙", Some(12.839_12), "丙", Some("12.83912")),
    ] {
        parcel.name = name.to_owned();
        parcel.stated_area = stated.and_then(Hectares::new);
        let bytes = written(std::slice::from_ref(&parcel), &options(zone, TextEncoding::Utf8)).expect("written");
        let again = read(&bytes, &ReadOptions::default());
        assert_eq!(again.findings, [], "{name}");
        let candidate = &again.candidates[0];
        assert_eq!(candidate.name.as_deref(), Some(read_name));
        assert_eq!(candidate.stated_area.as_ref().map(|s| s.text.as_str()), read_area, "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut parcels = parcels_of(&read_fixture("hole_zone38_prefixed.txt"));
    let zone = Crs::GaussKruger3 { zone: 38, prefixed: true };
    assert_eq!(written(&parcels, &options(Crs::Cgcs2000, TextEncoding::Utf8)).expect_err("no zone").code(), "txt_crs");
    let far = Crs::GaussKruger3 { zone: 25, prefixed: true };
    assert_eq!(written(&parcels, &options(far, TextEncoding::Utf8)).expect_err("far").code(), "crs_zone_too_far");
    parcels[0].name = "𠮷地块".to_owned();
    let refusal = written(&parcels, &options(zone, TextEncoding::Gbk)).expect_err("not in GBK");
    assert!(refusal.to_string().contains('𠮷'));
    parcels[0].geometry = MultiPolygon(vec![]);
    assert_eq!(written(&parcels, &options(zone, TextEncoding::Utf8)).expect_err("empty").code(), "geometry_empty");
}

proptest! {
    #[test]
    fn what_is_written_is_read_point_for_point(
        shell in prop::collection::vec((0i64..400_000, 0i64..400_000), 3..30),
        name in "[甲乙丙丁@,a-z 一-龥]{0,12}",
        prefixed in any::<bool>(),
    ) {
        let crs = Crs::GaussKruger3 { zone: 37, prefixed };
        // Millimetres in a 400 m square near the zone's middle.
        let east = if prefixed { 37_500_000.0 } else { 500_000.0 };
        let mut points: Vec<(f64, f64)> = shell.iter().map(|(x, y)| (east + *x as f64 / 1000.0, 3_100_000.0 + *y as f64 / 1000.0)).collect();
        points.dedup();
        prop_assume!(points.len() >= 3 && points.first() != points.last());
        let written_name = name.replace(',', "、").trim().to_owned();
        points.push(points[0]);
        let ring: geo::LineString<f64> = points.iter().map(|(x, y)| project::inverse(crs, *x, *y).map(|(x, y)| geo::Coord { x, y }).expect("in zone")).collect();
        let parcel = TxtParcel {
            id: "A-1".into(), name, geometry: MultiPolygon(vec![geo::Polygon::new(ring, vec![])]),
            stated_area: Hectares::new(1.0), map_sheet: String::new(), land_use: String::new(), land_use_code: String::new(),
        };
        let bytes = written(&[parcel], &options(crs, TextEncoding::Utf8)).expect("written");
        let again = read(&bytes, &ReadOptions::default());
        prop_assert_eq!(again.crs, Some(crs));
        prop_assert_eq!(again.candidates[0].name.as_deref(), Some(written_name.as_str()).filter(|n| !n.is_empty()));
        let plane = project::from_cgcs2000(again.candidates[0].geometry.as_ref().expect("geometry"), crs).expect("in zone");
        let back: Vec<(f64, f64)> = plane.0[0].exterior().coords().map(|c| (c.x, c.y)).collect();
        prop_assert_eq!(back.len(), points.len());
        for ((bx, by), (x, y)) in back.iter().zip(&points) {
            prop_assert!((bx - x).abs() < 1e-6 && (by - y).abs() < 1e-6, "{} {} against {} {}", bx, by, x, y);
        }
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes, &ReadOptions::default());
    }

    #[test]
    fn any_lines_in_the_coordinate_section_give_an_answer(text in "([J0-9]{1,3},[12],[0-9.eN-]{0,9},[0-9.]{0,9}\n|[0-9,@甲.]{0,20}\n){0,20}") {
        let _ = read(format!("{HEAD}{text}").as_bytes(), &ReadOptions::default());
    }
}
