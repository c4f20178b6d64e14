//! GeoJSON: snippets with expected code and place; the real files read in place.

use proptest::prelude::*;

use super::*;
use crate::domain::Severity;
use crate::geometry::crs::Crs;
use crate::test_data::real;

fn read_text(text: &str) -> Reading {
    read(text.as_bytes(), &ReadOptions::default())
}

fn polygon(ring: &str) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","id":"a","properties":{{}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}"#
    )
}

const RING: &str = "[[112,28],[112.1,28],[112.1,28.1],[112,28]]";

#[test]
fn a_file_of_faults_is_told_to_a_bound_and_says_so() {
    let nulls = vec![r#"{"type":"Feature","properties":{},"geometry":null}"#; 10_002].join(",");
    let found = read_text(&format!(r#"{{"type":"FeatureCollection","features":[{nulls}]}}"#)).findings;
    assert_eq!((found.len(), found[10_001].code.as_ref()), (10_002, "too_many_findings"));
}

#[test]
fn faults_with_their_places() {
    type Found = (&'static str, Option<u64>, Option<u32>, Option<u32>);
    let good = polygon(RING);
    let feature = |geometry: &str| format!(r#"{{"type":"Feature","properties":null,"geometry":{geometry}}}"#);
    let cases: Vec<(&str, String, Vec<Found>)> = vec![
        ("good control", good.clone(), vec![]),
        ("byte order mark", format!("\u{feff}{good}"), vec![]),
        ("a single feature", feature(&format!(r#"{{"type":"Polygon","coordinates":[{RING}]}}"#)), vec![]),
        ("a bare geometry", format!(r#"{{"type":"Polygon","coordinates":[{RING}]}}"#), vec![]),
        ("height is dropped", polygon("[[112,28,5],[112.1,28,5],[112.1,28.1,5],[112,28,5]]"), vec![]),
        (
            "one feature a line",
            format!("{0}\n{0}", feature(&format!(r#"{{"type":"Polygon","coordinates":[{RING}]}}"#))),
            vec![],
        ),
        (
            "not closed",
            polygon("[[112,28],[112.1,28],[112.1,28.1],[112,28.1]]"),
            vec![("ring_not_closed", Some(1), Some(1), Some(4))],
        ),
        ("two points", polygon("[[112,28],[112.1,28]]"), vec![("ring_too_few_points", Some(1), Some(1), None)]),
        (
            "clockwise",
            polygon("[[112,28],[112.1,28.1],[112.1,28],[112,28]]"),
            vec![("ring_orientation", Some(1), Some(1), None)],
        ),
        (
            "a string as number",
            polygon(r#"[["112",28],[112.1,28],[112.1,28.1],["112",28]]"#),
            vec![("coordinate_not_a_number", Some(1), Some(1), Some(1))],
        ),
        (
            "one number",
            polygon("[[112,28],[112.1],[112.1,28.1],[112,28]]"),
            vec![("coordinate_not_a_number", Some(1), Some(1), Some(2))],
        ),
        ("wrong nesting", polygon("5"), vec![("coordinates_nesting", Some(1), Some(1), None)]),
        (
            "swapped axes",
            polygon("[[28,112],[28,112.1],[28.1,112.1],[28,112]]"),
            vec![("axes_swapped", Some(1), None, None)],
        ),
        (
            "projected",
            polygon("[[38435200,3123400],[38435300,3123400],[38435300,3123500],[38435200,3123400]]"),
            vec![("crs_detected", None, None, None)],
        ),
        ("null geometry", feature("null"), vec![("geometry_missing", Some(1), None, None)]),
        (
            "no object",
            r#"{"type":"FeatureCollection","features":[5]}"#.into(),
            vec![("feature_not_object", Some(1), None, None)],
        ),
        (
            "not a Feature",
            good.replace(r#""type":"Feature","#, r#""type":"feature","#),
            vec![("feature_type", Some(1), None, None)],
        ),
        ("id is a list", good.replace(r#""id":"a""#, r#""id":[1]"#), vec![("feature_id_type", Some(1), None, None)]),
        (
            "a point",
            feature(r#"{"type":"Point","coordinates":[112,28]}"#),
            vec![("geometry_type_unsupported", Some(1), None, None)],
        ),
        (
            "a collection",
            feature(r#"{"type":"GeometryCollection","geometries":[]}"#),
            vec![("geometry_type_unsupported", Some(1), None, None)],
        ),
        (
            "overflowing number",
            polygon("[[1e999,28],[112.1,28],[112.1,28.1],[112,28]]"),
            vec![("coordinate_not_finite", Some(1), None, None)],
        ),
        ("NaN", polygon("[[NaN,28],[112.1,28],[112.1,28.1],[112,28]]"), vec![("json_invalid", Some(1), None, None)]),
        ("truncated", good[..good.len() - 20].to_owned(), vec![("json_truncated", Some(1), None, None)]),
        ("trailing garbage", format!("{good}\n}} x"), vec![("json_trailing", Some(2), None, None)]),
        ("empty", String::new(), vec![("file_empty", None, None, None)]),
        ("not GeoJSON", r#"{"a":1}"#.into(), vec![("geojson_type", None, None, None)]),
        ("an array", "[1,2]".into(), vec![("geojson_type", None, None, None)]),
        ("deep nesting around", "[".repeat(100_000), vec![("json_truncated", Some(1), None, None)]),
        ("unclosed nesting inside", polygon(&"[".repeat(100_000)), vec![("json_invalid", Some(1), None, None)]),
        (
            "NUL escape",
            r#"{"type":"Feature","properties":{"name":"a\u0000b"},"geometry":null}"#.into(),
            vec![("text_control_character", Some(1), None, None), ("geometry_missing", Some(1), None, None)],
        ),
        (
            "unknown system",
            good.replacen('{', r#"{"crs":{"type":"name","properties":{"name":"urn:x"}},"#, 1),
            vec![("crs_unknown", None, None, None)],
        ),
        (
            "a system that needs PROJ",
            good.replacen('{', r#"{"crs":{"type":"name","properties":{"name":"EPSG:28992"}},"#, 1),
            vec![("crs_not_supported", None, None, None)],
        ),
        (
            "Xi'an 80",
            good.replacen('{', r#"{"crs":{"type":"name","properties":{"name":"EPSG:2362"}},"#, 1),
            vec![("datum_not_supported", None, None, None)],
        ),
        (
            "same id twice",
            good.replacen("[{", r#"[{"type":"Feature","id":"a","properties":null,"geometry":null},{"#, 1),
            vec![("geometry_missing", Some(1), None, None), ("id_duplicate", Some(2), None, None)],
        ),
    ];
    for (name, text, expected) in cases {
        let found: Vec<_> = read_text(&text)
            .findings
            .into_iter()
            .map(|f| (f.code.into_owned(), f.place.row, f.place.ring, f.place.vertex))
            .collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(c, row, ring, vertex)| (c.to_owned(), row, ring, vertex)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn attributes_are_mapped_and_areas_understood() {
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature","id":7,"properties":{"地块编号":"甲-1","面积（亩）":"1,500","备注":null,"x":{"y":1}},
        "geometry":{"type":"Polygon","coordinates":[[[112,28],[112.1,28],[112.1,28.1],[112,28]]]}}]}"#;
    let reading = read_text(text);
    let c = &reading.candidates[0];
    assert_eq!((c.id.as_deref(), c.value("note")), (Some("甲-1"), None));
    let stated = c.stated_area.as_ref().expect("area");
    assert_eq!((stated.unit, stated.area.value()), ("mu", 1_000_000.0));
    assert_eq!(
        reading.mapping.iter().map(|m| m.canonical).collect::<Vec<_>>(),
        [Some("id"), Some("stated_area"), Some("note"), None]
    );
    assert_eq!(reading.crs, Some(Crs::Wgs84));
}

#[test]
fn the_french_cadastre_is_read_whole() {
    let Some(bytes) = real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let reading = read(&bytes, &ReadOptions::default());
    assert_eq!(reading.candidates.len(), 4241, "ORIGIN.md");
    assert_eq!(
        reading.findings.iter().filter(|f| f.severity > Severity::Info).collect::<Vec<_>>(),
        Vec::<&Finding>::new()
    );
    let vertices: usize =
        reading.candidates.iter().filter_map(|c| c.geometry.as_ref()).map(geo::CoordsIter::coords_count).sum();
    assert_eq!(vertices, 49450, "ORIGIN.md");
    assert!(reading.candidates.iter().filter_map(|c| c.stated_area.as_ref()).all(|s| s.unit == "m2"));
}

#[test]
fn files_of_the_geojson_rules_give_their_fault() {
    for (file, expected) in [
        ("geometry/geojson_rules/invalid_geometries/invalid_unclosed.geojson", Some("ring_not_closed")),
        ("geometry/geojson_rules/invalid_geometries/invalid_exterior_not_ccw.geojson", Some("ring_orientation")),
        ("geometry/geojson_rules/invalid_geometries/invalid_interior_not_cw.geojson", Some("ring_orientation")),
        ("geometry/geojson_rules/valid/valid_featurecollection.geojson", None),
        ("geometry/geojson_rules/valid/valid_geometry_polygon.geojson", None),
        ("geometry/geojson_rules/valid/valid_geometry_3d_coordinates.geojson", None),
        ("formats/point_with_utf8bom.json", Some("geometry_type_unsupported")),
    ] {
        let Some(bytes) = real(file) else { return };
        let codes: Vec<String> =
            read(&bytes, &ReadOptions::default()).findings.into_iter().map(|f| f.code.into_owned()).collect();
        match expected {
            Some(code) => assert!(codes.iter().any(|c| c == code), "{file}: {codes:?}"),
            None => assert!(
                !codes.iter().any(|c| c.starts_with("ring") || c.starts_with("json") || c.starts_with("coord")),
                "{file}: {codes:?}"
            ),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, &ReadOptions::default());
    }

    #[test]
    fn any_mangled_document_gives_an_answer(cut in 0usize..200, put in "[\\[\\]{},:\"0-9a-z.\\-]{0,6}") {
        let mut text = polygon(RING);
        let at = cut.min(text.len());
        text.insert_str(at, &put);
        let _ = read_text(&text);
    }
}

#[test]
fn a_fault_inside_a_feature_names_its_line_and_a_giant_is_not_taken_apart() {
    let sound = r#"{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[112,28],[113,28],[113,29],[112,28]]]}}"#;
    let far = sound.replacen("112,28", "1e999,28", 1);
    let deep =
        format!(r#"{{"type":"Feature","properties":{{"a":{}{}}},"geometry":null}}"#, "[".repeat(500), "]".repeat(500));
    let giant = sound.replacen("[112,28]", &format!("{}[112,28]", "[112,28],".repeat(2_000_000)), 1);
    let text =
        format!("{{\"type\":\"FeatureCollection\",\n\"features\":[\n{sound},\n{far},\n{deep},\n{giant},\n{sound}]}}");
    let found = read(text.as_bytes(), &ReadOptions::default());
    let codes: Vec<_> = found
        .findings
        .iter()
        .filter(|f| f.code != "geometry_missing")
        .map(|f| (f.code.as_ref(), f.place.row))
        .collect();
    assert_eq!(codes, [("coordinate_not_finite", Some(4)), ("json_too_deep", Some(5)), ("feature_too_large", Some(6))]);
    assert_eq!(found.candidates.iter().filter(|c| c.geometry.is_some()).count(), 2);
}
