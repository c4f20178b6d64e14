//! Shapes of any kind and any system, in items and in every format; judged by PROJ and GDAL.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::extra::{get_authorised, make, serve};
use crate::support::tools::{arg, folder, gdal, unzip};

/// Longitude and latitude of plane coordinates, by PROJ.
fn by_proj(epsg: u32, x: f64, y: f64) -> [f64; 2] {
    let mut child = std::process::Command::new("gdaltransform")
        .args([
            "-s_srs",
            &format!("EPSG:{epsg}"),
            "-t_srs",
            if epsg == 3857 { "EPSG:4326" } else { "EPSG:4490" },
            "-output_xy",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gdaltransform");
    use std::io::Write as _;
    writeln!(child.stdin.take().expect("input"), "{x} {y}").expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    [numbers[0], numbers[1]]
}

#[track_caller]
fn assert_close(shown: &Value, expected: [f64; 2], what: &str) {
    for (at, expected) in expected.into_iter().enumerate() {
        let shown = shown[at].as_f64().unwrap_or_else(|| panic!("{what}: {shown}"));
        assert!((shown - expected).abs() <= 6e-9, "{what}: {shown} is not {expected}");
    }
}

#[tokio::test]
async fn every_system_is_shown_in_the_registers_own() {
    let db = Database::empty().await;
    let cases = [
        (4490, 112.9, 28.2),
        (4326, 112.9, 28.2),
        (3857, 12567970.0, 3268045.0),
        (4547, 490000.0, 3120000.0),
        (4526, 38490000.0, 3120000.0),
        (32649, 690000.0, 3120000.0),
    ];
    let mut file = String::new();
    for (srid, x, y) in cases {
        // In one table the type names the system, in the other nobody does but the file.
        make(&db, &format!(
            "CREATE TABLE typed_{srid} (id int PRIMARY KEY, g geometry(Point, {srid})); INSERT INTO typed_{srid} VALUES (1, ST_SetSRID(ST_Point({x}, {y}), {srid}));
             CREATE TABLE untyped_{srid} (id int PRIMARY KEY, g geometry); INSERT INTO untyped_{srid} VALUES (1, ST_Point({x}, {y}))"
        )).await;
        file.push_str(&format!("[[layer]]\nid = \"typed_{srid}\"\ntable = \"typed_{srid}\"\n[[layer]]\nid = \"untyped_{srid}\"\ntable = \"untyped_{srid}\"\nsrid = {srid}\n"));
    }
    let (state, told) = serve(&db, &file).await;
    assert_eq!(told, [""; 0]);
    for (srid, x, y) in cases {
        let expected = if matches!(srid, 4490 | 4326) { [x, y] } else { by_proj(srid, x, y) };
        for name in ["typed", "untyped"] {
            let item = get_authorised(&state, &format!("/api/collections/{name}_{srid}/items/1")).await.json();
            assert_close(&item["geometry"]["coordinates"], expected, &format!("{name} {srid}"));
            let [x, y] = expected;
            let bbox = format!("bbox={},{},{},{}", x - 1e-6, y - 1e-6, x + 1e-6, y + 1e-6);
            let page = get_authorised(&state, &format!("/api/collections/{name}_{srid}/items?{bbox}")).await.json();
            assert_eq!(page["numberMatched"], 1, "{name} {srid}");
        }
    }
}

const MIXED: &str = "
CREATE TABLE mixed (id int PRIMARY KEY, g geometry);
INSERT INTO mixed VALUES
    (1, 'SRID=4490;POINT Z (112 28 7)'),
    (2, 'SRID=4326;LINESTRING(112 28, 113 29)'),
    (3, 'SRID=4490;GEOMETRYCOLLECTION(POINT(112 28), POLYGON((112 28, 112 29, 113 29, 112 28)))'),
    (4, 'SRID=4490;COMPOUNDCURVE((112 28, 112.5 28), CIRCULARSTRING(112.5 28, 112.6 28.1, 112.7 28))'),
    (5, 'SRID=4490;POLYGON EMPTY'),
    (6, 'SRID=4490;POINT(500000 3100000)'),
    (7, ST_SetSRID(ST_Point('NaN', 28), 4490)),
    (8, 'SRID=4490;TIN(((112 28, 113 28, 112 29, 112 28)))'),
    (9, NULL),
    (10, 'SRID=4490;MULTIPOLYGON(((112 28, 112 29, 113 29, 112 28)))'),
    (11, 'SRID=4547;POINT(490000 3120000)'),
    (12, ST_SetSRID(ST_MakeLine(ST_Point(112, 28), ST_Point('Infinity', 29)), 4490));
";

#[tokio::test]
async fn a_shape_that_cannot_be_shown_takes_no_other_with_it() {
    let db = Database::empty().await;
    make(&db, MIXED).await;
    let (state, told) = serve(&db, "[[layer]]\nid = \"mixed\"\ntable = \"mixed\"").await;
    assert_eq!(told, ["warning layer_shapes_not_shown"]);
    let page = get_authorised(&state, "/api/collections/mixed/items?sortby=id").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let page = page.json();
    let shapes: Vec<&Value> = page["features"].as_array().expect("features").iter().map(|f| &f["geometry"]).collect();
    let kinds: Vec<&str> = shapes.iter().map(|g| g["type"].as_str().unwrap_or("none")).collect();
    assert_eq!(
        kinds,
        [
            "Point",
            "LineString",
            "GeometryCollection",
            "LineString",
            "none",
            "none",
            "none",
            "none",
            "none",
            "MultiPolygon",
            "Point",
            "none"
        ]
    );
    assert_eq!(shapes[0]["coordinates"], json!([112, 28]), "heights are left out");
    assert_eq!(
        shapes[2],
        &json!({"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [112, 28]},
            {"type": "Polygon", "coordinates": [[[112, 28], [113, 29], [112, 29], [112, 28]]]},
        ]})
    );
    for (query, matched) in [
        ("bbox=112.9,28.9,113,29", 3),
        (r#"within={"type":"Polygon","coordinates":[[[111,27],[114,27],[114,30],[111,30],[111,27]]]}"#, 6),
    ] {
        let (name, value) = query.split_once('=').expect("a pair");
        let path = format!("/api/collections/mixed/items?{name}={}", crate::support::http::encode(value));
        let answer = get_authorised(&state, &path).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(answer.json()["numberMatched"], matched, "{query}");
    }
    for format in ["csv&geometry=wkt", "xlsx", "gpkg", "fgb", "geojson", "ndjson"] {
        let answer = get_authorised(&state, &format!("/api/collections/mixed/items?f={format}")).await;
        assert_eq!(answer.status, 200, "{format}");
    }
    for format in ["shp", "txt"] {
        let answer = get_authorised(&state, &format!("/api/collections/mixed/items?f={format}")).await;
        answer.assert_problem(400, "option_not_possible");
    }
}

const KINDS: [(&str, &str); 6] = [
    ("Point", "POINT(112 28)"),
    ("LineString", "LINESTRING(112 28,112.5 28.5)"),
    ("Polygon", "POLYGON((112 28,113 28,113 29,112 28))"),
    ("MultiPoint", "MULTIPOINT((112 28),(113 29))"),
    ("MultiLineString", "MULTILINESTRING((112 28,112.5 28.5),(113 28,113 29))"),
    ("MultiPolygon", "MULTIPOLYGON(((112 28,113 28,113 29,112 28)))"),
];

/// What OGR reads of a file: the shape of the first feature as WKT without blanks, and its moment.
fn read_back(path: &str) -> (String, String) {
    let text = gdal("ogrinfo", &["-al", "-q", path]);
    let is_shape =
        |line: &&str| ["POINT", "LINESTRING", "POLYGON", "MULTI"].iter().any(|kind| line.trim().starts_with(kind));
    let shape = text.lines().find(is_shape).unwrap_or_else(|| panic!("{text}")).replace(' ', "");
    let moment = text.lines().find(|line| line.contains("at (")).unwrap_or_default().to_owned();
    (shape, moment)
}

#[tokio::test]
async fn files_hold_shapes_of_their_kind() {
    let db = Database::empty().await;
    let mut file = String::new();
    for (kind, wkt) in KINDS {
        let name = kind.to_lowercase();
        make(&db, &format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, at timestamptz, nums float8[], g geometry({kind}, 4490));
             INSERT INTO {name} VALUES (1, '2024-03-01 08:00:00+08', '{{1.5,2}}', 'SRID=4490;{wkt}'), (2, NULL, NULL, NULL)"
        )).await;
        file.push_str(&format!("[[layer]]\nid = \"{name}\"\ntable = \"{name}\"\n"));
    }
    let (state, _) = serve(&db, &file).await;
    let place = folder("extra_formats");
    for (kind, wkt) in KINDS {
        let name = kind.to_lowercase();
        for format in ["gpkg", "shp", "fgb"] {
            let answer = get_authorised(&state, &format!("/api/collections/{name}/items?f={format}&headings=en")).await;
            assert_eq!(answer.status, 200, "{name} {format}: {}", answer.text());
            let path = match format {
                "shp" => {
                    unzip(&answer.body, &place);
                    place.join(format!("{name}.shp"))
                }
                _ => {
                    let path = place.join(format!("{name}.{format}"));
                    std::fs::write(&path, &answer.body).expect("written");
                    path
                }
            };
            let (shape, moment) = read_back(arg(&path));
            let expected = match (kind, format) {
                // Areas are written as of several parts; a DBF's lines and areas have one kind for one part and for several.
                ("Polygon", "gpkg" | "fgb") => "MULTIPOLYGON(((11228,11328,11329,11228)))".to_owned(),
                ("Polygon" | "MultiPolygon", _) if format == "shp" => "POLYGON((11228,11329,11328,11228))".to_owned(),
                ("MultiPoint", _) => "MULTIPOINT(11228,11329)".to_owned(),
                _ => wkt.replace(' ', ""),
            };
            let plain = |text: &str| text.replace("((", "(").replace("))", ")");
            if kind == "MultiPoint" {
                assert_eq!(plain(&shape).replace("),(", ","), plain(&expected), "{name} {format}");
            } else {
                assert_eq!(shape, expected, "{name} {format}");
            }
            let moment_shown = match format {
                "shp" => moment.contains("2024-03-01T00:00:00Z"),
                _ => moment.contains("2024/03/01 00:00:00+00"),
            };
            assert!(moment_shown, "{name} {format}: {moment}");
        }
        let csv = get_authorised(&state, &format!("/api/collections/{name}/items?f=csv&geometry=wkt&headings=en"))
            .await
            .text();
        let first = csv.lines().nth(1).expect("a row").to_owned();
        let compact = first.replace(' ', "");
        assert!(compact.contains(&wkt.replace(' ', "")), "{first}");
        assert!(first.starts_with("1,2024-03-01T00:00:00Z,1.5、2,"), "{first}");
        let txt = get_authorised(&state, &format!("/api/collections/{name}/items?f=txt")).await;
        assert_eq!(txt.status == 200, kind.ends_with("olygon"), "{name}");
    }
}
