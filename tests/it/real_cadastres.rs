//! Cadastres of five countries: all sound, all outside Hunan, in five systems and three formats.

use std::collections::BTreeSet;

use serde_json::Value;
use sizhi::exchange::{ReadOptions, read_file};

use crate::real_files::{CYLINDER, Told, areas_by_postgis, assert_areas, count_by_ogrinfo, load, number};
use crate::support::process::{run, sizhi};
use crate::support::tools::arg;
use crate::support::{Database, real};

/// Rings that run against RFC 7946, by PostGIS.
const TURNED: &str = "SELECT count(*) FROM judge, ST_Dump(geom) d, ST_DumpRings(d.geom) r
    WHERE ST_IsPolygonCCW(r.geom) = (r.path[1] > 0)";

#[tokio::test]
async fn cadastres_are_counted_and_measured_as_gdal_and_postgis_do() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let declared = [("crs_transformed", 1)];
    for (file, inside, layer, system, encoding, codes) in [
        ("cz_bubenec_plots.gpkg", "", "plots", "EPSG:3857", None, vec![]),
        ("nl_crop_parcels_2023_100.gpkg", "", "brp_gewas", "EPSG:28992", None, vec![("id_from_row", 100)]),
        ("nl_reference_parcels_100.gpkg", "", "referentiepercelen", "EPSG:28992", None, vec![("id_from_row", 100)]),
        // Byte 29 is 0x57, “whatever is usual here”: the letters are judged, and that is told.
        (
            "dk_fields_2026_100_shp.zip",
            "/vsizip/",
            "Marker_2026",
            "EPSG:25832",
            Some("windows-1252"),
            vec![("id_from_row", 100), ("encoding_guessed", 1)],
        ),
        // GML_ID, 90 characters long, is no block number.
        (
            "at_fields_2025_100.gpkg.zip",
            "/vsizip/",
            "INSPIRE_SCHLAEGE_2025-1_POLYGON",
            "EPSG:31287",
            None,
            vec![("id_invalid", 100)],
        ),
    ] {
        let Some(path) = real(&format!("cadastre/{file}")) else { continue };
        let told = Told::by_dry_run(&url, &path, &[]);
        let source = format!("{inside}{}", arg(&path));
        let count = count_by_ogrinfo(&source, layer);
        assert_eq!(told.candidates().len(), count, "{file}");
        assert_eq!((&told.report["crs"], &told.report["encoding"]), (&system.into(), &encoding.into()), "{file}");
        load(&db, &source, layer, &[]).await;
        let mut expected = vec![("outside_province", count)];
        expected.extend(codes);
        if system != "EPSG:3857" {
            expected.extend(declared);
        }
        told.assert_codes(file, &expected);
        told.assert_all_outside(file, count);
        assert_eq!(number(&db, "SELECT count(*) FROM judge WHERE NOT ST_IsValid(geom)").await, 0, "{file}");
        assert_areas(file, &told.areas(), &areas_by_postgis(&db).await);
    }
}

#[tokio::test]
async fn danish_letters_are_read_as_their_bytes_say() {
    let _program = Database::empty().await;
    let Some(path) = real("cadastre/dk_fields_2026_100_shp.zip") else { return };
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&path).expect("file")).expect("archive");
    let mut dbf = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name("Marker_2026.dbf").expect("table"), &mut dbf).expect("bytes");
    // The table by its own head: where the column Afgroede (crop) lies in a record.
    let (head, width) =
        (usize::from(u16::from_le_bytes([dbf[8], dbf[9]])), usize::from(u16::from_le_bytes([dbf[10], dbf[11]])));
    let mut at = 1;
    let mut column = 0..0;
    for field in dbf[32..head - 1].chunks(32) {
        let size = usize::from(field[16]);
        if field.starts_with(b"Afgroede\0") {
            column = at..at + size;
        }
        at += size;
    }
    let expected: Vec<String> = dbf[head..]
        .chunks_exact(width)
        .map(|record| encoding_rs::WINDOWS_1252.decode(&record[column.clone()]).0.trim().to_owned())
        .collect();
    assert_eq!(expected.len(), 100);
    for letter in ['å', 'æ', 'ø', 'Æ'] {
        assert!(expected.iter().any(|crop| crop.contains(letter)), "the file has an {letter}");
    }
    let reading = read_file(&path, &ReadOptions::default()).expect("read");
    let crops: Vec<&str> = reading
        .candidates
        .iter()
        .map(|c| c.attributes.iter().find(|a| &*a.field == "Afgroede").map_or("", |a| a.value.as_str()))
        .collect();
    assert_eq!(crops, expected);
}

#[tokio::test]
async fn the_french_cadastre_is_read_measured_and_compared_with_its_register() {
    let db = Database::with_sample().await;
    let Some(path) = real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let told = Told::by_dry_run(&db.url().await, &path, &[]);
    let count = count_by_ogrinfo(arg(&path), "fr_cadastre_91216_parcelles");
    assert_eq!((count, told.candidates().len()), (4241, 4241));
    assert_eq!((&told.report["crs"], &told.report["encoding"]), (&"EPSG:4326".into(), &"utf-8".into()));
    assert_eq!(
        (&told.report["mapping"]["contenance"], &told.report["mapping"]["id"]),
        (&"stated_area".into(), &"id".into())
    );
    load(&db, arg(&path), "", &[]).await;
    let share =
        "SELECT count(*) FROM judge, LATERAL (SELECT abs(contenance / ST_Area(geom::geography) - 1) AS s) x WHERE";
    let between = |from: f64, to: f64| format!("{share} contenance > 0 AND s > {from} AND s <= {to}");
    let by = async |sql: String| -> usize {
        let n: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut db.superuser().await).await.expect("count");
        usize::try_from(n).expect("a count")
    };
    told.assert_codes(
        "French cadastre",
        &[
            ("outside_province", 4241),
            ("area_mismatch", by(between(0.01, 0.5)).await),
            ("area_mismatch_gross", by(between(0.5, 1e9)).await),
            ("ring_orientation", number(&db, TURNED).await),
        ],
    );
    told.assert_all_outside("French cadastre", 4241);
    assert_areas("French cadastre", &told.areas(), &areas_by_postgis(&db).await);
    let stated: f64 = told.candidates().iter().filter_map(|c| c["stated_area"].as_f64()).sum();
    let register: i64 = sqlx::query_scalar("SELECT sum(contenance) FROM judge").fetch_one(&db.pool).await.expect("sum");
    assert_eq!(stated, register as f64, "contenance is square metres");
}

/// ORIGIN.md gives the figures; PostGIS measures the pairs once more.
#[tokio::test]
async fn check_geometry_of_the_french_cadastre_gives_the_published_figures() {
    let db = Database::empty().await;
    let Some(path) = real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let output = run(sizhi(&["check", "geometry", arg(&path), "--tolerance", "5", "--json"]), b"");
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let figure = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(
        (figure("/features"), figure("/polygons"), figure("/invalid"), figure("/not_compared")),
        (4241, 4241, 0, 0)
    );
    assert_eq!((figure("/area_mismatch/compared"), figure("/area_mismatch/without_stated_area")), (4240, 1));
    assert_eq!(figure("/area_mismatch/count"), 473);
    assert_eq!(figure("/touching_pairs") + figure("/overlapping_pairs"), 8465);
    let overlaps: Vec<(i64, i64, f64)> = report["overlaps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| {
            (o["row_a"].as_i64().unwrap_or(0), o["row_b"].as_i64().unwrap_or(0), o["area_m2"].as_f64().unwrap_or(0.0))
        })
        .collect();
    assert_eq!(overlaps.len() as u64, figure("/overlapping_pairs"));
    assert_eq!(overlaps.iter().filter(|o| o.2 > 0.01).count(), 2);
    assert_eq!(overlaps.iter().filter(|o| o.2 > 1.0).count(), 0);

    load(&db, arg(&path), "", &[]).await;
    let mut judge = db.superuser().await;
    // On the formula's cylinder, where overlaps a hair wide mean the same hair (real_files.rs).
    let pairs: Vec<(i32, i32, f64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT a.row, b.row,
                CASE WHEN ST_Dimension(i) = 2 THEN ST_Area(ST_Transform(ST_CollectionExtract(i, 3), {CYLINDER})) ELSE 0 END
         FROM judge a JOIN judge b ON a.row < b.row AND ST_Intersects(a.geom, b.geom)
         CROSS JOIN LATERAL ST_Intersection(a.geom, b.geom) AS i"
    )))
    .fetch_all(&mut judge)
    .await
    .expect("pairs");
    assert_eq!(pairs.len(), 8465, "PostGIS counts the same neighbours");
    let area_of = |a: i64, b: i64| pairs.iter().find(|p| (i64::from(p.0), i64::from(p.1)) == (a, b)).map(|p| p.2);
    for (a, b, area) in &overlaps {
        let judged = area_of(*a, *b).unwrap_or_else(|| panic!("{a} and {b} do not meet"));
        // A square centimetre is contact, here and for the judge.
        assert!((area - judged).abs() <= 1e-4 + 1e-6 * judged, "{a} {b}: {area} against {judged}");
    }
    // Under a square centimetre is contact; half as much again leaves room for the judge's own rounding.
    let ours: BTreeSet<(i64, i64)> = overlaps.iter().map(|o| (o.0, o.1)).collect();
    let missed: Vec<_> =
        pairs.iter().filter(|p| p.2 > 1.5e-4 && !ours.contains(&(i64::from(p.0), i64::from(p.1)))).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
