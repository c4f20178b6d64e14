//! What an import says of a file, each judgement with its place, and which of them a clerk may wave through.

use serde_json::{Value, json};
use sizhi::domain::{Finding, Severity};
use sizhi::inventory::import::Imported;

use crate::imports::{PARK, into, stock};
use crate::support::files::{square, txt, write};
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, folder, gdal};
use crate::support::{Database, codes};

fn of_code<'a>(imported: &'a Imported, code: &str) -> Vec<&'a Finding> {
    imported.report.findings.iter().filter(|f| f.code == code).collect()
}

/// The square metres that a sentence tells: “重叠 6000.12 平方米”.
#[track_caller]
fn told_area(message: &str, before: &str) -> f64 {
    let rest = message.split(before).nth(1).unwrap_or_else(|| panic!("no “{before}” in {message}"));
    let number = rest.split_whitespace().next().expect("a number");
    number.parse().unwrap_or_else(|e| panic!("{number}: {e} in {message}"))
}

/// One feature in degrees.
fn geojson(properties: Value, coordinates: Value) -> String {
    json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": coordinates}}]})
    .to_string()
}

#[tokio::test]
async fn overlap_within_a_file_is_an_error_of_the_area_that_postgis_measures() {
    let db = Database::with_sample().await;
    // 50 m and 0.004 m of common land; the second is a sliver.
    let file = write(
        "overlap.txt",
        txt(&[
            ("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("B", square(3_123_430.0, 38_435_350.0, 200.0), 4.0),
            ("C", square(3_123_630.0 - 0.004, 38_435_350.0, 200.0), 4.0),
        ]),
    );
    let refused = db.import(&file, into(PARK)).await.expect("judged");
    assert_eq!(refused.report.status.as_str(), "refused");
    let (overlap, sliver) = (of_code(&refused, "overlap_within_file"), of_code(&refused, "overlap_sliver"));
    assert_eq!((overlap.len(), sliver.len()), (1, 1), "{:?}", codes(&refused));
    assert_eq!((overlap[0].severity, overlap[0].place.row), (Severity::Error, Some(15)));
    assert_eq!((sliver[0].severity, sliver[0].place.row), (Severity::Warning, Some(21)));

    let allowed = db
        .import(&file, |r| {
            into(PARK)(r);
            r.allow = vec!["overlap_within_file".to_owned()];
        })
        .await
        .expect("imported");
    let waved = of_code(&allowed, "overlap_within_file");
    assert_eq!((waved[0].severity, allowed.revision.is_some()), (Severity::Warning, true));
    assert!(waved[0].message.ends_with("（已按要求放行）"), "{}", waved[0].message);

    let common = "SELECT ST_Area(ST_Intersection(a.geom, b.geom)::geography) FROM park_block a, park_block b";
    let judge =
        |a: &str, b: &str| sqlx::AssertSqlSafe(format!("{common} WHERE a.id = '{PARK}-{a}' AND b.id = '{PARK}-{b}'"));
    let big: f64 = sqlx::query_scalar(judge("A", "B")).fetch_one(&db.pool).await.expect("area");
    let small: f64 = sqlx::query_scalar(judge("B", "C")).fetch_one(&db.pool).await.expect("area");
    assert!((8_400.0..8_600.0).contains(&big) && (0.7..0.9).contains(&small), "{big} {small}");
    assert!((told_area(&overlap[0].message, "重叠") - big).abs() < 0.01, "{} against {big}", overlap[0].message);
    assert!((told_area(&sliver[0].message, "重叠") - small).abs() < 0.01, "{} against {small}", sliver[0].message);

    // The unrounded figures of `check geometry`.
    let output = run(sizhi(&["check", "geometry", file.to_str().expect("path"), "--json"]), b"");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let areas: Vec<(u64, u64, f64)> = report["overlaps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| {
            (o["row_a"].as_u64().unwrap_or(0), o["row_b"].as_u64().unwrap_or(0), o["area_m2"].as_f64().unwrap_or(0.0))
        })
        .collect();
    assert_eq!(areas.iter().map(|a| (a.0, a.1)).collect::<Vec<_>>(), [(9, 15), (15, 21)]);
    // The survey formula's edges are straight on the equal-area cylinder, the geodesic's are not: on edges of 200 m that is
    // a tenth of a millimetre wide (domain.md §9), well inside a hundredth of a square metre.
    for ((.., ours), judge) in areas.into_iter().zip([big, small]) {
        assert!((ours - judge).abs() < 0.01, "{ours} against {judge}");
    }
}

#[tokio::test]
async fn overlap_with_the_register_names_both_blocks_and_can_be_waved_through() {
    let db = Database::with_sample().await;
    let standing = write("standing.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    db.import(&standing, into(PARK)).await.expect("imported");
    let file = write("comer.txt", txt(&[("7", square(3_123_400.0, 38_435_300.0, 200.0), 4.0)]));
    let before = stock(&db).await;
    let refused = db.import(&file, into("G431033")).await.expect("judged");
    let found = of_code(&refused, "overlap_with_register");
    assert_eq!((refused.report.status.as_str(), found.len()), ("refused", 1));
    assert!(found[0].message.contains("G431033-7") && found[0].message.contains("G431176-A"), "{}", found[0].message);
    assert_eq!(stock(&db).await, before);
    let allowed = db
        .import(&file, |r| {
            into("G431033")(r);
            r.allow = vec!["overlap_with_register".to_owned()];
        })
        .await
        .expect("imported");
    assert!(allowed.revision.is_some());
    assert!(of_code(&allowed, "overlap_with_register")[0].message.ends_with("（已按要求放行）"));
    let area: f64 = db
        .value(
            "SELECT ST_Area(ST_Intersection(a.geom, b.geom)::geography) FROM park_block a, park_block b
             WHERE a.id = 'G431176-A' AND b.id = 'G431033-7'",
        )
        .await;
    let told = told_area(&found[0].message, "重叠");
    assert!((told - area).abs() < 0.01, "{told} against {area}");
    // The block's own former self is no neighbour.
    let moved = write("mover.txt", txt(&[("A", square(3_123_380.0, 38_435_100.0, 200.0), 4.0)]));
    let again = db.dry_run(&moved, into(PARK)).await.expect("judged");
    assert_eq!(of_code(&again, "overlap_with_register").len(), 0, "{:?}", codes(&again));
}

#[tokio::test]
async fn only_judgements_may_be_waved_through() {
    let db = Database::with_sample().await;
    let file = write("fine.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    let before = stock(&db).await;
    for code in ["ring_self_intersection", "park_unknown", "outside_province", "id_duplicate", "axes_swapped", "", "*"]
    {
        let error = db
            .import(&file, |r| {
                into(PARK)(r);
                r.allow = vec![code.to_owned()];
            })
            .await
            .expect_err("refused");
        assert_eq!(error.code(), "allow_not_possible", "{code}");
    }
    assert_eq!(stock(&db).await, before);
}

#[tokio::test]
async fn neighbours_that_touch_do_not_overlap() {
    let db = Database::with_sample().await;
    // B shares A's whole edge, C another whole edge of B, D one corner with A.
    let file = write(
        "touching.txt",
        txt(&[
            ("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("B", square(3_123_400.0, 38_435_400.0, 200.0), 4.0),
            ("C", square(3_123_600.0, 38_435_400.0, 200.0), 4.0),
            ("D", square(3_123_600.0, 38_435_000.0, 200.0), 4.0),
        ]),
    );
    let imported = db.import(&file, into(PARK)).await.expect("imported");
    assert_eq!(codes(&imported).iter().filter(|c| c.starts_with("overlap_w") || *c == "overlap_sliver").count(), 0);
    assert_eq!(imported.report.counts.expect("counted").inserted, 4);
}

/// A line straight on the map of the zone bends by a tenth of a millimetre in degrees: a corner in the middle of the
/// neighbour's edge leaves a hair of common land, told as one.
#[tokio::test]
async fn a_corner_on_a_neighbours_edge_is_at_most_a_sliver() {
    let db = Database::with_sample().await;
    let file = write(
        "corner.txt",
        txt(&[
            ("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("B", square(3_123_500.0, 38_435_400.0, 200.0), 4.0),
        ]),
    );
    let imported = db.import(&file, into(PARK)).await.expect("imported");
    assert_eq!((imported.report.status.as_str(), of_code(&imported, "overlap_within_file").len()), ("ready", 0));
    assert_eq!(of_code(&imported, "overlap_sliver").len(), 1, "{:?}", codes(&imported));
    for sliver in of_code(&imported, "overlap_sliver") {
        assert!(told_area(&sliver.message, "重叠") < 0.05, "{}", sliver.message);
    }
}

#[tokio::test]
async fn park_and_number_of_every_record_must_be_known() {
    let db = Database::with_sample().await;
    let ring = json!([[[112.80, 28.30], [112.81, 28.30], [112.81, 28.31], [112.80, 28.31], [112.80, 28.30]]]);
    let before = stock(&db).await;
    for (name, properties, code, status) in [
        ("an unknown code", json!({"园区代码": "S439999", "编号": "1"}), "park_unknown", "refused"),
        ("no code", json!({"编号": "1"}), "park_missing", "refused"),
        ("an unknown name", json!({"园区名称": "无此开发区", "编号": "1"}), "park_missing", "refused"),
        ("no code at all", json!({"园区代码": "望城", "编号": "1"}), "park_code_invalid", "refused"),
        ("no number", json!({"园区代码": "G431176"}), "id_from_row", "ready"),
        ("the name", json!({"园区名称": "望城经济技术开发区", "编号": "1"}), "illustrative_replaced", "ready"),
    ] {
        let file = write("park.geojson", geojson(properties, ring.clone()));
        let dry = db.dry_run(&file, |_| {}).await.expect("judged");
        let found = of_code(&dry, code);
        assert_eq!((found.len(), dry.report.status.as_str()), (1, status), "{name}: {:?}", codes(&dry));
        if status == "refused" || code == "id_from_row" {
            assert_eq!(found[0].place.row, Some(1), "{name}");
        }
        if status == "ready" {
            assert_eq!(dry.report.candidates[0].id.as_deref(), Some("G431176-1"), "{name}");
        }
    }
    let twins = write(
        "twins.txt",
        txt(&[
            ("7", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("7", square(3_123_400.0, 38_435_500.0, 200.0), 4.0),
        ]),
    );
    let refused = db.import(&twins, into(PARK)).await.expect("judged");
    let found = of_code(&refused, "id_duplicate");
    assert!(
        !found.is_empty() && found.iter().all(|f| f.place.row == Some(15) && f.severity == Severity::Error),
        "{found:?}"
    );
    assert_eq!(found.len(), 1, "one fault is told once: {found:?}");
    assert_eq!(stock(&db).await, before);
}

#[tokio::test]
async fn a_stated_area_is_told_beyond_one_percent_and_stops_beyond_half() {
    let db = Database::with_sample().await;
    let square = square(3_123_400.0, 38_435_200.0, 500.0);
    // The plane square is 25 ha; the ellipsoid makes it less by 5e-5, far inside these steps.
    for (factor, code) in [
        (0.991, None),
        (1.009, None),
        (0.989, Some(("area_mismatch", Severity::Warning))),
        (1.011, Some(("area_mismatch", Severity::Warning))),
        (0.51, Some(("area_mismatch", Severity::Warning))),
        (1.49, Some(("area_mismatch", Severity::Warning))),
        (0.49, Some(("area_mismatch_gross", Severity::Error))),
        (1.51, Some(("area_mismatch_gross", Severity::Error))),
    ] {
        let file = write("stated.txt", txt(&[("A", square.clone(), 25.0 * factor)]));
        let dry = db.dry_run(&file, into(PARK)).await.expect("judged");
        let found: Vec<_> = dry.report.findings.iter().filter(|f| f.code.starts_with("area_")).collect();
        let told: Vec<_> = found.iter().map(|f| (f.code.as_ref(), f.severity)).collect();
        assert_eq!(told, code.into_iter().collect::<Vec<_>>(), "{factor}");
        assert!(found.iter().all(|f| f.place.row == Some(9)), "{factor}");
        let stated = dry.report.candidates[0].stated_area.expect("stated").value();
        assert!((stated - 250_000.0 * factor).abs() < 1e-6, "{stated}");
    }
    let gross = write("gross.txt", txt(&[("A", square, 50.0)]));
    let allowed = db
        .import(&gross, |r| {
            into(PARK)(r);
            r.allow = vec!["area_mismatch_gross".to_owned()];
        })
        .await
        .expect("imported");
    assert_eq!((allowed.report.status.as_str(), allowed.revision.is_some()), ("ready", true));
}

#[tokio::test]
async fn a_vertex_outside_the_province_is_named() {
    let db = Database::with_sample().await;
    let shell = json!([[114.90, 28.00], [114.95, 28.00], [115.05, 28.05], [114.90, 28.05], [114.90, 28.00]]);
    let wide = json!([[114.0, 28.0], [115.0, 28.0], [115.0, 29.0], [114.0, 29.0], [114.0, 28.0]]);
    let hole = json!([[114.2, 28.2], [114.2, 28.4], [114.4, 28.4], [114.4, 28.2], [114.2, 28.2]]);
    let properties = json!({"编号": "1"});
    let file = write("outside.geojson", geojson(properties.clone(), json!([shell])));
    let refused = db.import(&file, into(PARK)).await.expect("judged");
    let found = of_code(&refused, "outside_province");
    assert_eq!(found.len(), 1);
    let place = &found[0].place;
    assert_eq!((place.row, place.part, place.ring, place.vertex), (Some(1), Some(1), Some(1), Some(3)));
    assert_eq!(place.coordinate, Some((115.05, 28.05)));
    // The margin itself is inside.
    let file = write("margin.geojson", geojson(properties, json!([wide, hole])));
    let ready = db.dry_run(&file, into(PARK)).await.expect("judged");
    assert_eq!(
        (ready.report.status.as_str(), of_code(&ready, "outside_province").len()),
        ("ready", 0),
        "{:?}",
        codes(&ready)
    );
}

#[tokio::test]
async fn a_repair_happens_on_request_only_and_shows_its_area() {
    let db = Database::with_sample().await;
    let bow_tie = "112.80 28.30, 112.81 28.31, 112.81 28.30, 112.80 28.31, 112.80 28.30";
    // The spike runs out and back along one line; the hole lies beside its shell.
    let spike = "112.80 28.40, 112.81 28.40, 112.82 28.40, 112.81 28.40, 112.81 28.41, 112.80 28.41, 112.80 28.40";
    let beside = "112.80 28.50, 112.81 28.50, 112.81 28.51, 112.80 28.51, 112.80 28.50), (112.83 28.50, 112.83 28.505, 112.835 28.505, 112.835 28.50, 112.83 28.50";
    for (name, rings, fault) in [
        ("bow-tie", bow_tie, "ring_self_intersection"),
        ("spike", spike, "spike"),
        ("hole-beside", beside, "hole_outside_shell"),
    ] {
        let before = stock(&db).await;
        let coordinates: Value = rings
            .split("), (")
            .map(|ring| {
                let points = ring
                    .split(", ")
                    .map(|p| p.split(' ').map(|n| n.parse::<f64>().expect("a number")).collect::<Vec<_>>());
                json!(points.collect::<Vec<_>>())
            })
            .collect();
        let file = write("broken.geojson", geojson(json!({"编号": name}), coordinates));
        let refused = db.import(&file, into(PARK)).await.expect("judged");
        assert_eq!(refused.report.status.as_str(), "refused", "{name}");
        assert!(!of_code(&refused, fault).is_empty(), "{name}: {:?}", codes(&refused));
        assert_eq!(stock(&db).await, before, "{name}");
        let repaired = db
            .import(&file, |r| {
                into(PARK)(r);
                r.repair = true;
            })
            .await
            .expect("repaired");
        let told = of_code(&repaired, "geometry_repaired");
        assert_eq!((told.len(), repaired.revision.is_some()), (1, true), "{name}: {:?}", codes(&repaired));
        assert!(
            of_code(&repaired, fault).iter().all(|f| f.severity == Severity::Warning),
            "{name}: the fault stays on record"
        );
        let wkt = format!("POLYGON(({rings}))");
        let (judge, stored, valid): (f64, f64, bool) = sqlx::query_as(
            "SELECT ST_Area(ST_MakeValid(ST_GeomFromText($1, 4490), 'method=structure')::geography),
                    ST_Area(geom::geography), ST_IsValid(geom) FROM park_block WHERE id = $2",
        )
        .bind(&wkt)
        .bind(format!("{PARK}-{name}"))
        .fetch_one(&db.pool)
        .await
        .expect("stored");
        assert!(valid, "{name}");
        // Edges of a kilometre: the crossing point is rounded to a double, nothing more.
        assert!((stored / judge - 1.0).abs() < 1e-9, "{name}: {stored} against {judge}");
        let after = told_area(&told[0].message, "修复后");
        // Formula against geodesic on edges of 1 km: 1e-9 of a square kilometre is a millimetre's strip (domain.md §9).
        assert!((after / judge - 1.0).abs() < 1e-7, "{name}: told {after}, measured {judge}");
    }
}

#[tokio::test]
async fn land_over_another_parks_drawing_is_mentioned_and_taken() {
    let db = Database::with_sample().await;
    let (x, y): (f64, f64) = sqlx::query_as(
        "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_PointOnSurface(geom) AS p FROM park_block WHERE id = 'G431033-1') q",
    )
    .fetch_one(&db.pool)
    .await
    .expect("a place");
    let d = 1e-4;
    let ring = json!([[[x - d, y - d], [x + d, y - d], [x + d, y + d], [x - d, y + d], [x - d, y - d]]]);
    let properties = json!({"编号": "1", "四至": "东至甲路，南至乙路，西至丙河"});
    let taken = db.import(&write("over_drawing.geojson", geojson(properties, ring)), into(PARK)).await;
    let taken = taken.expect("imported");
    let (drawn, words) = (of_code(&taken, "overlap_with_illustrative"), of_code(&taken, "four_extents_incomplete"));
    assert_eq!((drawn.len(), words.len(), taken.revision), (1, 1, Some(2)), "{:?}", codes(&taken));
    assert_eq!(
        (drawn[0].severity, words[0].severity, words[0].place.row),
        (Severity::Info, Severity::Warning, Some(1))
    );
    assert!(words[0].message.ends_with("missing:north"), "{}", words[0].message);
    let area: f64 = db
        .value("SELECT ST_Area(ST_Intersection(a.geom, b.geom)::geography) FROM park_block a, park_block b WHERE a.id = 'G431176-1' AND b.id = 'G431033-1'")
        .await;
    assert!((told_area(&drawn[0].message, "重叠") - area).abs() < 0.01, "{} against {area}", drawn[0].message);
}

/// Squares of 100 m in a row, degrees, with the number of their area column (none: null).
fn column(numbers: impl Iterator<Item = Option<f64>>) -> String {
    let features: Vec<Value> = (0..)
        .zip(numbers)
        .map(|(i, number)| {
            let (west, south) = (113.0 + f64::from(i % 500) * 2e-3, 28.0 + f64::from(i / 500) * 2e-3);
            let (east, north) = (west + 1e-3, south + 1e-3);
            json!({"type": "Feature", "properties": {"编号": i.to_string(), "面积": number},
                   "geometry": {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}})
        })
        .collect();
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

/// 0.001° by 0.001° at 28° N is 1.0900 to 1.0902 ha.
#[tokio::test]
async fn a_column_of_areas_without_a_unit_has_one_for_the_whole_file() {
    let db = Database::with_sample().await;
    let stated = |imported: &Imported, row: usize| imported.report.candidates[row].stated_area.expect("stated").value();
    // Hectares; the second is a tenth off: told as that, and not read as another unit.
    let file = write("hectares.geojson", column([Some(1.09), Some(1.2), Some(1.09)].into_iter()));
    let dry = db.dry_run(&file, into(PARK)).await.expect("judged");
    let told = of_code(&dry, "stated_area_unit_guessed");
    assert_eq!((told.len(), told[0].place.row, told[0].place.field.as_deref()), (1, None, Some("面积")));
    assert_eq!([stated(&dry, 0), stated(&dry, 1)], [10_900.0, 12_000.0]);
    let off = of_code(&dry, "area_mismatch");
    assert_eq!((off.len(), off[0].place.row, dry.report.has_errors()), (1, Some(2), false), "{:?}", codes(&dry));
    // A file that says nothing of areas in its first thousands of records.
    let (empty, filled) = (4_200, 50);
    let numbers = (0..empty + filled).map(|i| (i >= empty).then_some(1.09));
    let source = write("late.geojson", column(numbers));
    let file = source.with_extension("gpkg");
    let _ = std::fs::remove_file(&file);
    gdal("ogr2ogr", &["-f", "GPKG", "-a_srs", "EPSG:4490", arg(&file), arg(&source)]);
    let dry = db.dry_run(&file, into(PARK)).await.expect("judged");
    assert_eq!((of_code(&dry, "stated_area_unit_guessed").len(), dry.report.has_errors()), (1, false));
    assert_eq!(stated(&dry, empty), 10_900.0);
    assert_eq!(dry.report.candidates.iter().filter(|c| c.stated_area.is_some()).count(), filled);
}

#[tokio::test]
async fn a_park_code_that_the_clerk_overrules_is_told() {
    let db = Database::with_sample().await;
    let ring = |i: f64| {
        json!([[[113.0 + i, 28.0], [113.001 + i, 28.0], [113.001 + i, 28.001], [113.0 + i, 28.001], [113.0 + i, 28.0]]])
    };
    let features: Vec<Value> = [json!("S437001"), json!("ｇ431176 "), json!("X99"), Value::Null]
        .into_iter()
        .zip(0..)
        .map(|(code, i)| json!({"type": "Feature", "properties": {"编号": i.to_string(), "园区代码": code}, "geometry": {"type": "Polygon", "coordinates": ring(f64::from(i) * 0.01)}}))
        .collect();
    let file = write("overruled.geojson", json!({"type": "FeatureCollection", "features": features}).to_string());
    let dry = db.dry_run(&file, into(PARK)).await.expect("judged");
    let told: Vec<_> = of_code(&dry, "park_code_overruled").iter().map(|f| (f.severity, f.place.row)).collect();
    assert_eq!(told, [(Severity::Warning, Some(1)), (Severity::Warning, Some(3))]);
    assert!(!dry.report.has_errors(), "{:?}", codes(&dry));
}

#[tokio::test]
async fn a_shape_without_land_is_refused() {
    let db = Database::with_sample().await;
    let (x, y) = (113.34, 28.22);
    for (side, refused) in [(1e-9, true), (2e-5, false)] {
        let ring = json!([[[x, y], [x + side, y], [x, y + side], [x, y]]]);
        let dry =
            db.dry_run(&write("tiny.geojson", geojson(json!({"编号": "1"}), ring)), into(PARK)).await.expect("judged");
        assert_eq!(
            (of_code(&dry, "geometry_without_area").len() == 1, dry.report.has_errors()),
            (refused, refused),
            "{side}"
        );
    }
}

/// 500 self-crossing stars would keep a server for half a minute: a file may cost so much, then no more.
#[tokio::test]
async fn repairs_of_a_file_have_a_bound() {
    let db = Database::with_sample().await;
    let star = |i: u32| {
        let (x, y) = (112.0 + f64::from(i % 20) * 0.01, 27.0 + f64::from(i / 20) * 0.01);
        let corner = |k: u32| {
            let turn = f64::from(k * 30 % 61) / 61.0 * std::f64::consts::TAU;
            json!([x + 0.004 * turn.cos(), y + 0.004 * turn.sin()])
        };
        let ring: Vec<Value> = (0..=61).map(|k| corner(k % 61)).collect();
        json!({"type": "Feature", "properties": {"编号": i.to_string()}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    };
    let features: Vec<Value> = (0..60).map(star).collect();
    let file = write("stars.geojson", json!({"type": "FeatureCollection", "features": features}).to_string());
    let dry = db
        .dry_run(&file, |request| {
            into(PARK)(request);
            request.repair = true;
        })
        .await
        .expect("judged");
    let (repaired, refused) = (of_code(&dry, "geometry_repaired").len(), of_code(&dry, "repair_refused").len());
    assert!(repaired >= 25 && refused >= 20 && repaired + refused == 60, "{repaired} repaired, {refused} refused");
}

/// A city's own central meridian is no zone, and still our datum: projected back, not transformed.
#[tokio::test]
async fn cgcs2000_with_a_meridian_of_its_own_is_projected_back() {
    let db = Database::with_sample().await;
    let work = folder("meridian");
    let wkt = r#"PROJCS["CGCS2000 CM 113",GEOGCS["China Geodetic Coordinate System 2000",DATUM["China_2000",SPHEROID["CGCS2000",6378137,298.257222101]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",113],PARAMETER["scale_factor",1],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]"#;
    let ring = json!([[[113.01, 28.0], [113.02, 28.0], [113.02, 28.01], [113.01, 28.01], [113.01, 28.0]]]);
    let source = work.join("a.geojson");
    std::fs::write(&source, geojson(json!({"编号": "1"}), ring)).expect("written");
    let shape = work.join("a.gpkg");
    gdal("ogr2ogr", &["-f", "GPKG", "-s_srs", "EPSG:4490", "-t_srs", wkt, arg(&shape), arg(&source)]);
    let [direct, moved] = [&source, &shape].map(|file| db.dry_run(file, into(PARK)));
    let (direct, moved) = (direct.await.expect("judged"), moved.await.expect("judged"));
    let told = of_code(&moved, "crs_transformed");
    assert!(told.len() == 1 && told[0].message.contains("2000 国家大地坐标系，已由投影反算"), "{:?}", codes(&moved));
    let bbox = |imported: &Imported| imported.report.candidates[0].bbox.expect("a box");
    for (a, b) in bbox(&direct).into_iter().zip(bbox(&moved)) {
        assert!((a - b).abs() < 1e-9, "{a} against {b}");
    }
}

/// A survey's own 椭球面积 is a fact of the paper; ours, come back in an export, is not.
#[tokio::test]
async fn an_ellipsoidal_area_of_the_survey_stays_and_our_own_does_not() {
    let db = Database::with_sample().await;
    let ring = json!([[[113.0, 28.0], [113.001, 28.0], [113.001, 28.001], [113.0, 28.001], [113.0, 28.0]]]);
    let file = |area: f64| write("ellipsoidal.geojson", geojson(json!({"编号": "1", "椭球面积": area}), ring.clone()));
    let dry = db.dry_run(&file(1.0), into(PARK)).await.expect("judged");
    let computed = dry.report.candidates[0].area.expect("computed").value();
    for (area, kept) in [(computed + 12.0, true), (computed, false)] {
        db.import(&file(area), into(PARK)).await.expect("imported");
        let stands: bool = db
            .value("SELECT attributes ? '椭球面积' FROM park_block WHERE id = 'G431176-1' AND NOT illustrative")
            .await;
        assert_eq!(stands, kept, "{area}");
        db.write("DELETE FROM park_block WHERE park_code = 'G431176'").await;
    }
}
