//! Format samples of GDAL's own test suite, and the GeoJSON rules: each file's faults by code and place.

use sizhi::exchange::{ReadOptions, read_file};

use crate::real_files::{Told, areas_by_postgis, assert_areas, count_by_ogrinfo, load, number};
use crate::support::tools::{arg, folder, gdal};
use crate::support::{Database, real};

#[tokio::test]
async fn a_golden_shapefile_in_a_foreign_system() {
    let db = Database::with_sample().await;
    let Some(path) = real("formats/poly_shp/poly.shp") else { return };
    let told = Told::by_dry_run(&db.url().await, &path, &[]);
    assert_eq!((count_by_ogrinfo(arg(&path), "poly"), told.candidates().len()), (10, 10));
    // AREA of record 9 is negative; nothing is called an id. British grid numbers 4865 km north of its origin lie over
    // the pole, hence outside.
    told.assert_codes(
        "poly.shp",
        &[("crs_transformed", 1), ("area_not_a_number", 1), ("id_from_row", 10), ("outside_province", 10)],
    );
    assert_eq!(told.place("area_not_a_number").0, Some(9));
    load(&db, arg(&path), "poly", &[]).await;
    // Over the pole no published transformation is meant: ogr2ogr falls back to passing the datum off as WGS 84, which we
    // never do. Airy's ellipsoid is smaller by a ten-thousandth.
    let judged = areas_by_postgis(&db).await;
    for (ours, judge) in told.areas().into_iter().zip(judged) {
        let ours = ours.expect("an area");
        assert!((ours / judge - 1.0).abs() < 5e-4, "{ours} against {judge}");
    }
}

#[tokio::test]
async fn drawings_give_their_closed_shapes_and_count_the_rest() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    if let Some(path) = real("formats/utf-8.dxf") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!(
            (count_by_ogrinfo(arg(&path), "entities"), told.candidates().len()),
            (1, 0),
            "a point is no candidate"
        );
        // Its head says ANSI_1252, its layer is called éven in UTF-8; both could be meant, as 茅ven could in GBK.
        told.assert_codes(
            "utf-8.dxf",
            &[("encoding_guessed", 1), ("dxf_entity_not_area", 1), ("file_without_records", 1)],
        );
        assert_eq!(told.report["encoding"], "utf-8");
        assert_eq!(told.place("dxf_entity_not_area").0, Some(1));
    }
    if let Some(path) = real("formats/hatch.dxf") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "entities"), told.candidates().len()), (3, 3));
        told.assert_codes("hatch.dxf", &[("crs_undetected", 1), ("id_from_row", 3)]);
        assert_eq!((told.place("crs_undetected").0, &told.report["crs"]), (Some(1), &serde_json::Value::Null));
        // Numbers around zero are a place in Hunan under no system: told which, they are off.
        let told = Told::by_dry_run(&url, &path, &["--crs", "EPSG:4490"]);
        told.assert_codes("hatch.dxf in degrees", &[("outside_province", 3), ("id_from_row", 3)]);
        told.assert_all_outside("hatch.dxf", 3);
    }
    if let Some(path) = real("formats/closed_polyline_with_bulge.dxf") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "entities"), told.candidates().len()), (1, 1));
        // Eastings begin with 40: zone 40 of the 3-degree zones, 120.9° E.
        // The second vertex stands twice where the first bulge begins.
        told.assert_codes(
            "bulge",
            &[("crs_detected", 1), ("id_from_row", 1), ("outside_province", 1), ("repeated_point", 1)],
        );
        assert_eq!(told.report["crs"], "EPSG:4528");
        load(&db, arg(&path), "entities", &["-s_srs", "EPSG:4528"]).await;
        sqlx::query("ALTER TABLE judge ALTER geom TYPE geometry(Polygon, 4490) USING ST_MakePolygon(ST_SetPoint(geom, -1, ST_StartPoint(geom)))")
            .execute(&mut db.superuser().await)
            .await
            .expect("a closed line");
        assert_areas("bulge", &told.areas(), &areas_by_postgis(&db).await);
    }
}

#[tokio::test]
async fn a_dbf_in_cp936_is_decoded_exactly() {
    let db = Database::with_sample().await;
    let Some(path) = real("formats/cp936_field_and_value.dbf") else { return };
    let bytes = std::fs::read(&path).expect("table");
    let decode = |bytes: &[u8]| encoding_rs::GBK.decode(bytes).0.trim_matches(['\0', ' ']).to_owned();
    let (field, value) = (decode(&bytes[32..43]), decode(&bytes[66..146]));
    assert_eq!((field.as_str(), value.as_str()), ("中国", "中国"));
    let told = Told::by_dry_run(&db.url().await, &path, &[]);
    assert_eq!((count_by_ogrinfo(arg(&path), "cp936_field_and_value"), told.candidates().len()), (1, 1));
    assert_eq!(
        (&told.report["encoding"], &told.report["mapping"]),
        (&"gbk".into(), &serde_json::json!({field.as_str(): null}))
    );
    told.assert_codes("cp936", &[("geometry_missing", 1), ("id_from_row", 1)]);
    let reading = read_file(&path, &ReadOptions::default()).expect("read");
    let attributes: Vec<(&str, &str)> =
        reading.candidates[0].attributes.iter().map(|a| (&*a.field, a.value.as_str())).collect();
    assert_eq!(attributes, [(field.as_str(), value.as_str())]);
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_name() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    if let Some(path) = real("formats/csv_with_utf8_bom.csv") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "csv_with_utf8_bom"), told.candidates().len()), (2, 2));
        // Three headings, four cells a row: unquoted commas.
        told.assert_codes("csv", &[("table_without_geometry", 1), ("row_too_long", 2)]);
        assert_eq!(told.rows("row_too_long"), [2, 3]);
        assert_eq!(told.report["mapping"], serde_json::json!({"id": "id", "name": "name", "WKT": null}));
        assert_eq!(
            (&told.report["encoding"], &told.candidates()[0]["name"]),
            (&"utf-8-bom".into(), &"Colac Bay/Ōraka".into())
        );
    }
    if let Some(path) = real("formats/point_with_utf8bom.json") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "point_with_utf8bom"), told.candidates().len()), (1, 1));
        told.assert_codes("point", &[("geometry_type_unsupported", 1), ("id_from_row", 1)]);
        assert_eq!(
            (&told.report["encoding"], told.place("geometry_type_unsupported").0),
            (&"utf-8-bom".into(), Some(1))
        );
    }
    if let Some(path) = real("formats/prjwithutf8bom.shp") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "prjwithutf8bom"), told.candidates().len()), (1, 1));
        // North American 1983: neither ours nor without a name, so it is converted, and that is told.
        told.assert_codes("prj", &[("crs_transformed", 1), ("geometry_type_unsupported", 1)]);
        assert_eq!(told.place("geometry_type_unsupported").0, Some(1));
    }
}

#[tokio::test]
async fn polygons_that_are_really_several_are_refused_with_their_ring() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    if let Some(path) = real("formats/multipolygon_as_invalid_polygon.shp") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "multipolygon_as_invalid_polygon"), told.candidates().len()), (2, 2));
        told.assert_codes("no system", &[("crs_undetected", 1)]);
        let told = Told::by_dry_run(&url, &path, &["--crs", "EPSG:4490"]);
        // Both records: a second ring beside the first, from its first vertex on.
        told.assert_codes("in degrees", &[("hole_outside_shell", 2)]);
        for (finding, row) in told.findings("hole_outside_shell").into_iter().zip(1_u64..) {
            assert_eq!((&finding["row"], &finding["ring"], &finding["vertex"]), (&row.into(), &2.into(), &1.into()));
        }
        assert_eq!(told.findings("hole_outside_shell")[1]["coordinate"], serde_json::json!([0.5, -0.5]));
    }
    if let Some(path) = real("formats/slightly_overlapping_polygons.shp") {
        let told = Told::by_dry_run(&url, &path, &[]);
        assert_eq!((count_by_ogrinfo(arg(&path), "slightly_overlapping_polygons"), told.candidates().len()), (1, 1));
        told.assert_codes("no system", &[("crs_undetected", 1), ("id_from_row", 1)]);
        let told = Told::by_dry_run(&url, &path, &["--crs", "EPSG:25832"]);
        // Parts 1 and 2 share the edge between (352784.648 5662021.301) and (352785.904 5662023.649).
        assert_eq!(told.report["status"], "refused");
        let faults = told.findings("parts_overlap");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(
            (&faults[0]["row"], &faults[0]["part"], &faults[0]["ring"], &faults[0]["vertex"]),
            (&1.into(), &1.into(), &1.into(), &1.into())
        );
        load(&db, arg(&path), "", &["-s_srs", "EPSG:25832", "-nlt", "PROMOTE_TO_MULTI"]).await;
        assert_eq!(number(&db, "SELECT count(*) FROM judge WHERE ST_IsValid(geom)").await, 0);
        assert_areas("slightly overlapping", &told.areas(), &areas_by_postgis(&db).await);
    }
}

#[tokio::test]
async fn a_file_geodatabase_with_curves_is_read_by_layer() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let Some(path) = real("formats/geometry_testdata.gdb.zip") else { return };
    assert_eq!(count_by_ogrinfo(arg(&path), "TEST_PL_FGDB"), 7);
    let unnamed = Told::by_dry_run(&url, &path, &[]);
    let named = Told::by_dry_run(&url, &path, &["--source-layer", "TEST_PL_FGDB"]);
    for (told, chosen) in [(&unnamed, 1), (&named, 0)] {
        assert_eq!((told.candidates().len(), &told.report["crs"]), (7, &"EPSG:31254".into()));
        // Record 1 is a ring that holds its doughnuts as loops of its outer boundary.
        assert_eq!(told.findings("source_layer_chosen").len(), chosen);
        assert_eq!(told.findings("curves_straightened").len(), 1);
        assert_eq!(
            (told.findings("crs_transformed").len(), told.rows("outside_province")),
            (1, vec![2, 3, 4, 5, 6, 7])
        );
        let faults = told.findings("ring_self_touch");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!((&faults[0]["row"], &faults[0]["ring"]), (&1.into(), &1.into()), "{faults:?}");
        let known = [
            "curves_straightened",
            "source_layer_chosen",
            "crs_transformed",
            "outside_province",
            "ring_self_touch",
            "id_from_row",
        ];
        let findings = told.report["findings"].as_array().expect("a list");
        assert!(findings.iter().all(|f| known.contains(&f["code"].as_str().unwrap_or_default())), "{findings:?}");
        assert_eq!(told.exit, Some(3));
    }
    // Arcs become lines in the file's own metres; in degrees a circle through three points would be another one.
    let straight = folder("gdb_straight").join("straight.gpkg");
    gdal("ogr2ogr", &["-f", "GPKG", arg(&straight), arg(&path), "TEST_PL_FGDB", "-nlt", "CONVERT_TO_LINEAR"]);
    load(&db, arg(&straight), "TEST_PL_FGDB", &[]).await;
    let invalid: Vec<i32> =
        sqlx::query_scalar("SELECT row FROM judge WHERE NOT ST_IsValid(geom)").fetch_all(&db.pool).await.expect("rows");
    assert_eq!(invalid, [1]);
    assert_areas("FileGDB", &named.areas()[1..], &areas_by_postgis(&db).await[1..]);
    let wrong = Told::by_dry_run(&url, &path, &["--source-layer", "NO_SUCH_LAYER"]);
    wrong.assert_codes("no such layer", &[("source_layer_unknown", 1)]);
    assert!(wrong.findings("source_layer_unknown")[0]["message"].as_str().is_some_and(|m| m.contains("TEST_PL_FGDB")));
}
