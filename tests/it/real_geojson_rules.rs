//! The GeoJSON rules (chrieke/geojson-invalid-geometry): what each file breaks, and where.

use crate::real_files::{Told, areas_on_the_cylinder, load};
use crate::support::tools::{arg, gdal};
use crate::support::{Database, real};

type Codes = &'static [(&'static str, usize)];

/// Nothing has a number of its own, and nothing lies in Hunan.
const SOUND: Codes = &[("id_from_row", 1), ("outside_province", 1)];
const NO_AREA: Codes = &[("id_from_row", 1), ("geometry_type_unsupported", 1)];

#[tokio::test]
async fn broken_geojson_is_refused_with_the_place() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    type Place = (&'static str, (Option<u64>, Option<u64>, Option<u64>, Option<u64>));
    let files: [(&str, Codes, Place); 5] = [
        (
            "exterior_not_ccw",
            &[("id_from_row", 1), ("outside_province", 1), ("ring_orientation", 1)],
            ("ring_orientation", (Some(1), Some(1), Some(1), None)),
        ),
        ("incorrect_geometry_data_type", NO_AREA, ("geometry_type_unsupported", (Some(1), None, None, None))),
        (
            "interior_not_cw",
            &[("id_from_row", 1), ("outside_province", 1), ("ring_orientation", 1)],
            ("ring_orientation", (Some(1), Some(1), Some(2), None)),
        ),
        (
            "less_three_unique_nodes",
            &[("id_from_row", 1), ("ring_too_few_points", 1)],
            ("ring_too_few_points", (Some(1), Some(1), Some(1), None)),
        ),
        (
            "unclosed",
            // Shown closed, so that its place and area can be seen.
            &[("id_from_row", 1), ("outside_province", 1), ("ring_not_closed", 1)],
            ("ring_not_closed", (Some(1), Some(1), Some(1), Some(4))),
        ),
    ];
    for (name, codes, (code, place)) in files {
        let Some(path) = real(&format!("geometry/geojson_rules/invalid_geometries/invalid_{name}.geojson")) else {
            continue;
        };
        let told = Told::by_dry_run(&url, &path, &[]);
        told.assert_codes(name, codes);
        assert_eq!(told.place(code), place, "{name}");
        assert_eq!(told.candidates().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn sound_geojson_is_read_and_only_areas_are_taken() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let mut measured = 0;
    let files: [(&str, Codes); 22] = [
        ("feature", NO_AREA),
        ("feature_null_geometry", &[("geometry_missing", 1), ("id_from_row", 1)]),
        ("feature_null_properties", SOUND),
        ("feature_with_bbox", NO_AREA),
        ("feature_with_id", &[("geometry_type_unsupported", 1)]),
        ("feature_with_string_id", &[("geometry_type_unsupported", 1)]),
        ("featurecollection", SOUND),
        ("featurecollection_bboxes", &[("id_from_row", 2), ("outside_province", 2)]),
        ("featurecollection_empty_features", &[("file_without_records", 1)]),
        ("featurecollection_multiple_feature_types", &[]),
        ("featurecollection_with_geometrycollection", NO_AREA),
        ("geometry", NO_AREA),
        ("geometry_3d_coordinates", NO_AREA),
        ("geometry_bbox", SOUND),
        ("geometry_geometrycollection", NO_AREA),
        ("geometry_geometrycollection_empty_geometries", NO_AREA),
        ("geometry_linestring", NO_AREA),
        ("geometry_multilinestring", NO_AREA),
        ("geometry_multipoint", NO_AREA),
        // Its second part runs clockwise? (15 5)→(40 10)→(10 20)→(5 10) turns left, (30 20)→(45 40)→(10 40) too.
        ("geometry_multipolygon", SOUND),
        ("geometry_point", NO_AREA),
        ("geometry_polygon", SOUND),
    ];
    for (name, codes) in files {
        let Some(path) = real(&format!("geometry/geojson_rules/valid/valid_{name}.geojson")) else { continue };
        let told = Told::by_dry_run(&url, &path, &[]);
        let count = gdal("ogrinfo", &["-ro", "-so", "-al", arg(&path)])
            .lines()
            .filter_map(|l| l.strip_prefix("Feature Count: "))
            .map(|n| n.trim().parse::<usize>().expect("a number"))
            .sum::<usize>();
        assert_eq!(told.candidates().len(), count, "{name}");
        if !codes.is_empty() {
            told.assert_codes(name, codes);
        }
        if codes.iter().any(|(code, _)| *code == "outside_province") {
            load(&db, arg(&path), "", &[]).await;
            // Edges of degrees, one of 35: only the cylinder on which the formula's edges are straight is a fair judge.
            for (told, judge) in told.areas().into_iter().zip(areas_on_the_cylinder(&db).await) {
                let told = told.unwrap_or_else(|| panic!("{name} has no area"));
                assert!((told / judge - 1.0).abs() <= 1e-6, "{name}: {told} against {judge}");
                measured += 1;
            }
        }
    }
    if real("geometry/geojson_rules").is_some() {
        assert_eq!(measured, 7);
    }
}

#[tokio::test]
async fn a_mixed_collection_tells_each_feature_that_is_no_area() {
    let db = Database::with_sample().await;
    let Some(path) = real("geometry/geojson_rules/valid/valid_featurecollection_multiple_feature_types.geojson") else {
        return;
    };
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
    let kinds: Vec<&str> = document["features"]
        .as_array()
        .expect("features")
        .iter()
        .map(|f| f["geometry"]["type"].as_str().unwrap_or(""))
        .collect();
    let rows = |wanted: bool| -> Vec<u64> {
        (1..).zip(&kinds).filter(|(_, k)| k.ends_with("Polygon") == wanted).map(|(row, _)| row).collect()
    };
    let told = Told::by_dry_run(&db.url().await, &path, &[]);
    assert_eq!(told.rows("geometry_type_unsupported"), rows(false));
    assert_eq!(told.rows("outside_province"), rows(true));
    assert_eq!(told.exit, Some(3));
    assert!(!rows(false).is_empty() && !rows(true).is_empty());
}
