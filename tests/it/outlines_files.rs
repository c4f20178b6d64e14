//! Files of outlines: each says what it is, none comes back as a survey, boundary points are not for the public; and extra layers that are
//! generalised as the operator's file says.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::domain::access::Viewer;
use sizhi::inventory::export::ExportRequest;

use crate::support::borders::{PARKS, block, ragged};
use crate::support::exports::{bytes_of, of};
use crate::support::extra::{self, make, refused, serve};
use crate::support::http::{authorised, call, call_with, encode, get, get_authorised};
use crate::support::tools::{arg, folder, gdal, unzip};
use crate::support::{Database, codes, files, live_over_layers, parcels};

const BLOCKS: &str = "/api/collections/park_blocks/items";
const MARK: &str = "概略轮廓，容差 10 米，非测绘成果";
/// Format, the file's name for an import.
const FORMATS: [(&str, &str); 5] =
    [("gpkg", "a.gpkg"), ("shp", "a.zip"), ("geojson", "a.geojson"), ("ndjson", "a.geojsonl"), ("fgb", "a.fgb")];

/// The features of a file as GDAL reads them: each column with its type, and what it says. In an order of their own (FlatGeobuf sorts by
/// place), and without the point inside the shape that tables have: an outline's is another.
fn records(bytes: &[u8], format: &str, folder: &Path) -> Vec<BTreeMap<String, String>> {
    let file = folder.join(format!("data.{format}"));
    let (path, layer) = match format {
        "shp" => {
            unzip(bytes, folder);
            (folder.join("park_blocks.shp"), "park_blocks")
        }
        "xlsx" => (file, "园区区块"),
        "csv" => (file, "data"),
        "geojson" | "ndjson" => (file.with_extension("geojson"), "data"),
        _ => (file, "park_blocks"),
    };
    if format != "shp" {
        std::fs::write(&path, bytes).expect("written");
    }
    let read = gdal("ogrinfo", &["-ro", "-q", "-al", "-geom=NO", arg(&path), layer]);
    let mut records: Vec<BTreeMap<String, String>> = Vec::new();
    for line in read.lines() {
        if line.starts_with("OGRFeature(") {
            records.push(BTreeMap::new());
        } else if let Some((column, value)) = line.strip_prefix("  ").and_then(|line| line.split_once(" = "))
            && let Some(record) = records.last_mut()
            && !column.starts_with("中心")
            && !column.starts_with("centre_")
        {
            record.insert(column.to_owned(), value.to_owned());
        }
    }
    records.sort();
    records
}

#[actix_web::test]
async fn every_file_of_outlines_says_what_it_is() {
    let db = ragged().await;
    let [outlines, surveys] = ["outlines", "surveys"].map(folder);
    for format in ["csv", "xlsx", "gpkg", "shp", "fgb", "geojson", "ndjson"] {
        for headings in ["", "&headings=en"].into_iter().filter(|h| h.is_empty() || !format.ends_with("json")) {
            let path = format!("{BLOCKS}?f={format}{headings}");
            let (public, staff) = (get(&db, &path).await, get_authorised(&db, &path).await);
            assert_eq!((public.status.as_u16(), staff.status.as_u16()), (200, 200), "{path}");
            let [name, staffs] =
                [&public, &staff].map(|answer| answer.header("content-disposition").unwrap_or_default().to_owned());
            assert!(name.contains("\"park_blocks_outline_") && name.contains(&encode("区块_概略轮廓_")), "{name}");
            assert_eq!(name.replace("_outline", "").replace(&encode("_概略轮廓"), ""), staffs, "{path}");
            // Staff's file, and one column more.
            let column = match (format, headings) {
                ("geojson" | "ndjson", _) | (_, "&headings=en") => "outline (String)",
                ("shp", _) => "概略 (String)",
                _ => "概略轮廓 (String)",
            };
            let mut shown = records(&public.body, format, &outlines);
            let marks: Vec<Option<String>> = shown.iter_mut().map(|record| record.remove(column)).collect();
            assert_eq!(marks, vec![Some(MARK.to_owned()); 5], "{path}: {shown:?}");
            assert_eq!(shown, records(&staff.body, format, &surveys), "{path}");
        }
    }
    let collection = get(&db, &format!("{BLOCKS}?f=geojson")).await.json();
    assert_eq!(collection["generalisation"], json!({"tolerance_m": 10, "decimals": 4}));
    assert!(get_authorised(&db, &format!("{BLOCKS}?f=geojson")).await.json().get("generalisation").is_none());
}

#[actix_web::test]
async fn the_middle_of_an_outline_is_no_finer_than_the_outline() {
    let db = ragged().await;
    let path = format!("{BLOCKS}?f=csv&headings=en");
    for (table, most) in [(get(&db, &path).await.text(), 4), (get_authorised(&db, &path).await.text(), 8)] {
        let mut rows = csv::Reader::from_reader(table.trim_start_matches('\u{feff}').as_bytes());
        let head = rows.headers().expect("a head").clone();
        let places: Vec<usize> =
            ["centre_lon", "centre_lat"].map(|name| head.iter().position(|h| h == name).expect("a column")).into();
        let decimals: Vec<usize> = rows
            .records()
            .flat_map(|row| {
                let row = row.expect("a row");
                places
                    .iter()
                    .map(|at| row[*at].split_once('.').map_or(0, |(_, decimals)| decimals.len()))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!((decimals.len(), decimals.iter().max()), (10, Some(&most)), "{table}");
    }
}

#[actix_web::test]
async fn boundary_points_are_for_those_who_may_have_them() {
    let db = ragged().await;
    for layer in ["parks", "park_blocks"] {
        let path = format!("/api/collections/{layer}/items?f=txt");
        let refusal = get(&db, &path).await.assert_problem(403, "boundary_points_internal");
        assert!(refusal["detail"].as_str().expect("words").contains("界址点"), "{refusal}");
        let head = call(&db, TestRequest::default().method(Method::HEAD).uri(&path)).await;
        assert_eq!(head.status, 403);
        assert_eq!(get_authorised(&db, &path).await.status, 200);
        let page = format!("/api/collections/{layer}/items?f=html");
        assert!(!get(&db, &page).await.text().contains("f=txt"));
        assert!(get_authorised(&db, &page).await.text().contains("f=txt"));
    }
    // Of an outline for everybody there is nothing to keep back.
    assert_eq!(get(&db, "/api/collections/divisions/items?f=txt").await.status, 200);
}

#[actix_web::test]
async fn an_outline_does_not_come_back_as_a_survey_and_a_survey_does() {
    let db = ragged().await;
    // Once, so that the register has all that an import makes of a file.
    let survey = get_authorised(&db, &format!("{BLOCKS}?f=geojson")).await.body;
    let first = db.import(&files::write("first.geojson", &survey), |_| ()).await.expect("read");
    assert!(!first.report.has_errors(), "{:?}", codes(&first));
    let revision = "SELECT max(number) FROM revision";
    let before: i64 = db.value(revision).await;
    let mut given: Vec<(&str, Vec<u8>, Vec<u8>)> = Vec::new();
    for (format, name) in FORMATS {
        let path = format!("{BLOCKS}?f={format}");
        given.push((name, get(&db, &path).await.body, get_authorised(&db, &path).await.body));
    }
    // Pages and single features that somebody kept.
    let (page, one) = (format!("{BLOCKS}?limit=100"), format!("{BLOCKS}/{}", block(PARKS[0])));
    for (name, path) in [("page.geojson", &page), ("one.geojson", &one)] {
        given.push((name, get(&db, path).await.body, get_authorised(&db, path).await.body));
    }
    for (name, outlines, survey) in given {
        let refused = db.dry_run(&files::write(name, &outlines), |_| ()).await.expect("read");
        assert!(codes(&refused).contains(&"outline_not_survey".to_owned()), "{name}: {:?}", codes(&refused));
        assert!(refused.report.has_errors(), "{name}");
        let back = db.import(&files::write(name, &survey), |_| ()).await.expect("read");
        assert!(!back.report.has_errors(), "{name}: {:?}", codes(&back));
        let changed = back.report.counts.expect("compared").changed();
        assert_eq!((changed, db.value::<i64>(revision).await), (0, before), "{name} comes back as it was");
    }
    // Another program's names, the same words: known by what it says.
    let folder = folder("renamed");
    let (source, renamed) = (folder.join("in.geojson"), folder.join("out.gpkg"));
    std::fs::write(&source, get(&db, &format!("{BLOCKS}?f=geojson")).await.body).expect("written");
    let sql = "SELECT id AS \"编号\", park_code AS \"园区代码\", outline AS memo FROM \"in\"";
    gdal("ogr2ogr", &["-f", "GPKG", arg(&renamed), arg(&source), "-sql", sql]);
    let refused = db.dry_run(&renamed, |_| ()).await.expect("read");
    assert!(codes(&refused).contains(&"outline_not_survey".to_owned()), "{:?}", codes(&refused));
    // No ledger takes it for a parcel either.
    let parcel = db.dry_run(&renamed, parcels::into("turnover_parcels")).await.expect("read");
    assert!(codes(&parcel).contains(&"outline_not_survey".to_owned()));
    // The operator's own export is of what was surveyed.
    let exported = String::from_utf8(bytes_of(&db, of("geojson")).await).expect("UTF-8");
    assert!(!exported.contains("outline") && !exported.contains("generalisation"));
    let public = bytes_of(&db, ExportRequest { viewer: Viewer::public(), ..of("geojson") }).await;
    assert!(String::from_utf8(public).expect("UTF-8").contains("\"generalisation\":{\"tolerance_m\":10"));
}

const TABLE: &str = "
CREATE SCHEMA gis;
CREATE TABLE gis.fields (id int PRIMARY KEY, name text, g geometry(Polygon, 4490));
INSERT INTO gis.fields
SELECT i, 'f' || i, ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[
    ST_MakePoint(112 + i * 0.01 + 0.000013, 28.000017), ST_MakePoint(112.01 + i * 0.01 + 0.000013, 28.000017),
    ST_MakePoint(112.01 + i * 0.01 + 0.000029, 28.005), ST_MakePoint(112.01 + i * 0.01 + 0.000013, 28.010019),
    ST_MakePoint(112 + i * 0.01 + 0.000013, 28.010019), ST_MakePoint(112 + i * 0.01 + 0.000029, 28.005),
    ST_MakePoint(112 + i * 0.01 + 0.000013, 28.000017)])), 4490)
FROM generate_series(1, 6) i;
";

fn file(more: &str) -> String {
    format!("[[layer]]\nid = \"fields\"\ntable = \"gis.fields\"\nvisibility = \"public\"\n{more}\n")
}

const GENERALISED: &str = "generalise = { tolerance_m = 25.5, decimals = 3 }";

/// What three decimals leave of a field between these latitudes, by the drawing: its corners.
fn corners(number: u32, [south, north]: [&str; 2]) -> (String, Value) {
    let [west, east] = [number, number + 1].map(|nth| format!("112.0{nth}"));
    let ring = [(&west, south), (&east, south), (&east, north), (&west, north), (&west, south)];
    let ring = ring.map(|(x, y)| format!("[{x},{y}]")).join(",");
    let shape = format!("{{\"type\":\"Polygon\",\"coordinates\":[[{ring}]]}}");
    (number.to_string(), serde_json::from_str(&shape).expect("JSON"))
}

/// The features of a page: id and shape.
fn shapes(page: &Value) -> Vec<(String, Value)> {
    let features = page["features"].as_array().expect("features").iter();
    features.map(|f| (f["id"].as_str().expect("id").to_owned(), f["geometry"].clone())).collect()
}

#[actix_web::test]
async fn an_extra_layer_is_generalised_as_its_file_says() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let (state, _) = serve(&db, &file(GENERALISED)).await;
    let live = live_over_layers(&db.application, state.layers.extras());
    live.look_at_extras().await;
    let memory: State = state.clone().with_live(live.clone());
    let items = "/api/collections/fields/items";
    let row = ["28", "28.01"];
    for (question, numbers) in [
        ("limit=10", vec![1, 2, 3, 4, 5, 6]),
        // The third one's outline touches the box, its survey lies beyond.
        ("bbox=112.01,28,112.03,28.005", vec![1, 2, 3]),
        ("sortby=-id", vec![6, 5, 4, 3, 2, 1]),
        ("q=f3", vec![3]),
        ("filter=id%20%3E%202", vec![3, 4, 5, 6]),
    ] {
        let path = format!("{items}?{question}");
        let (a, b) = (extra::get(&memory, &path).await, extra::get(&state, &path).await);
        assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200), "{question}: {}", b.text());
        assert_eq!(a.json()["features"], b.json()["features"], "{question}");
        assert_eq!(a.json()["generalisation"], json!({"tolerance_m": 25.5, "decimals": 3}));
        let expected: Vec<(String, Value)> = numbers.into_iter().map(|number| corners(number, row)).collect();
        assert_eq!(shapes(&a.json()), expected, "{question}");
    }
    let (surveyed, stored): (Value, String) = (
        extra::get_authorised(&memory, &format!("{items}/3")).await.json()["geometry"].clone(),
        db.value("SELECT ST_AsGeoJSON(ST_ForcePolygonCCW(g), 8, 0) FROM gis.fields WHERE id = 3").await,
    );
    assert_eq!(surveyed, serde_json::from_str::<Value>(&stored).expect("JSON"));
    // Followed as any other: the moved one, its neighbours, in memory and in the database.
    make(&db, "UPDATE gis.fields SET g = ST_Translate(g, 0.0004, 0.02) WHERE id = 3").await;
    live.look_at_extras().await;
    let path = format!("{items}?limit=10");
    let (a, b) = (extra::get(&memory, &path).await.json(), extra::get(&state, &path).await.json());
    let moved = |number: u32| corners(number, if number == 3 { ["28.02", "28.03"] } else { row });
    assert_eq!(shapes(&a), (1..=6).map(moved).collect::<Vec<_>>());
    assert_eq!(a["features"], b["features"]);
    // A file of it says so as well; one of mixed layers has no boundary points for the public.
    let answer = call_with(memory.clone(), TestRequest::get().uri(&format!("{items}?f=csv"))).await;
    let mut table = csv::Reader::from_reader(answer.body.strip_prefix(b"\xEF\xBB\xBF").expect("a byte order mark"));
    let mark = table.headers().expect("headings").iter().position(|heading| heading == "概略轮廓").expect("a mark");
    let marks: Vec<String> = table.records().map(|row| row.expect("a row")[mark].to_owned()).collect();
    assert_eq!(marks, ["概略轮廓，容差 25.5 米，非测绘成果"; 6]);
    call_with(memory.clone(), TestRequest::get().uri(&format!("{items}?f=txt")))
        .await
        .assert_problem(403, "boundary_points_internal");
    let answer = call_with(memory, authorised(Method::GET, &format!("{items}?f=txt"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_rule_out_of_bounds_or_for_an_internal_layer_stops_the_start() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    for (file, code) in [
        (file("generalise = { tolerance_m = 100001, decimals = 3 }"), "layers_file_value"),
        (file("generalise = { tolerance_m = 10, decimals = 9 }"), "layers_file_value"),
        (file("generalise = { tolerance_m = 10 }"), "layers_file_missing"),
        (file(GENERALISED).replace("public", "internal"), "layer_option_conflict"),
    ] {
        let (refusal, told) = refused(&db, &file).await;
        assert_eq!(refusal, "layers_file_invalid");
        assert!(told.iter().any(|(_, told)| told == code), "{file}: {told:?}");
    }
}
