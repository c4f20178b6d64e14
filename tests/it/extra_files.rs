//! The operator's file: what is refused and how it is told, the shipped example, the command line, and GDAL over a layer of it.

use std::process::Command;

use sizhi::store::extra::inspect::OWN;

use crate::support::extra::{make, refused, serve};
use crate::support::process::{Service, run, sizhi};
use crate::support::tools::{arg, folder, gdal};
use crate::support::{Database, TOKEN, fixture};

const TABLES: &str = "
CREATE SCHEMA gis;
CREATE TABLE gis.t (id int PRIMARY KEY, name text, doc jsonb, g geometry(Point, 4490));
CREATE TABLE gis.two (id int PRIMARY KEY, a geometry(Point, 4490), b geometry(Point, 4490));
CREATE TABLE gis.old (id int PRIMARY KEY, g geometry(Point, 2362));
CREATE TABLE gis.nowhere (id int PRIMARY KEY, g geometry); INSERT INTO gis.nowhere VALUES (1, ST_Point(112, 28));
CREATE TABLE gis.parts (id int PRIMARY KEY, g geometry(Point, 4490)) PARTITION BY RANGE (id);
CREATE TABLE gis.part PARTITION OF gis.parts FOR VALUES FROM (0) TO (9);
CREATE VIEW gis.v AS SELECT * FROM gis.t;
CREATE TABLE gis.keyless (name text, g geometry(Point, 4490));
INSERT INTO gis.keyless VALUES ('a', NULL), ('a', NULL), (NULL, NULL);
";

#[tokio::test]
async fn every_fault_of_every_layer_is_told_at_once() {
    let db = Database::empty().await;
    make(&db, TABLES).await;
    let layer = |id: &str, table: &str, more: &str| format!("[[layer]]\nid = \"{id}\"\ntable = \"{table}\"\n{more}\n");
    let cases = [
        ("parks", "gis.t", "", "layer_id_taken"),
        ("a", "gis.absent", "", "layer_table_missing"),
        ("b", "Gis.t", "", "layer_table_missing"),
        ("c", "account", "geometry = false", "layer_table_reserved"),
        ("d", "layer_parks", "", "layer_table_reserved"),
        ("e", "as_of.park", "geometry = false", "layer_table_reserved"),
        ("f", "pg_catalog.pg_authid", "geometry = false", "layer_table_reserved"),
        ("g", "spatial_ref_sys", "geometry = false", "layer_table_reserved"),
        ("h", "gis.two", "", "layer_geometry_unclear"),
        ("i", "gis.old", "", "layer_srid_unsupported"),
        ("j", "gis.nowhere", "", "layer_srid_missing"),
        ("k", "gis.nowhere", "srid = 999998", "layer_srid_unsupported"),
        ("l", "gis.parts", "follow = \"trigger\"", "layer_follow_impossible"),
        ("m", "gis.part", "follow = \"trigger\"", "layer_follow_impossible"),
        ("n", "gis.v", "key = \"id\"\nfollow = \"trigger\"", "layer_follow_impossible"),
        ("o", "gis.keyless", "", "layer_key_missing"),
        ("p", "gis.keyless", "key = \"name\"", "layer_key_not_unique"),
        ("q", "gis.t", "properties = [\"doc\"]", "layer_column_unsupported"),
        ("r", "gis.t", "properties = [\"none\"]", "layer_column_missing"),
        ("s", "gis.t", "label = \"g\"", "layer_column_missing"),
    ];
    let mut file = String::new();
    let mut expected = Vec::new();
    for (id, table, more, code) in cases {
        let line = 1 + file.matches('\n').count() as u64;
        file.push_str(&layer(id, table, more));
        expected.push((line, code.to_owned()));
        let (refusal, alone) = refused(&db, &layer(id, table, more)).await;
        let errors: Vec<_> = alone.iter().filter(|(_, told)| told != "layer_column_left_out").collect();
        assert_eq!((refusal, errors), ("layers_file_invalid", vec![&(1, code.to_owned())]), "{id}");
    }
    let (_, mut told) = refused(&db, &file).await;
    told.retain(|(_, code)| code != "layer_column_left_out");
    assert_eq!(told, expected);
    // Nothing was changed on the way.
    assert_eq!(db.value::<i64>("SELECT count(*) FROM extra_layer").await, 0);
    assert!(!db.value::<bool>("SELECT has_table_privilege('sizhi_app', 'gis.t', 'SELECT')").await);
}

#[tokio::test]
async fn the_registers_own_tables_are_all_known() {
    let db = Database::empty().await;
    let own: Vec<String> = db
        .column(
            "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY c.relname COLLATE \"C\"",
        )
        .await;
    assert_eq!(own, OWN, "store::extra::inspect::OWN: what a file of layers may not publish");
}

#[tokio::test]
async fn the_shipped_example_is_one_that_starts() {
    let db = Database::empty().await;
    make(
        &db,
        "CREATE SCHEMA gis;
         CREATE TABLE gis.roads (road_id int PRIMARY KEY, name text, width_m float8, remark text, shape geometry(LineString));
         CREATE TABLE gis.firms (id int PRIMARY KEY, county_code text, g geometry(Point, 4490));
         CREATE VIEW gis.companies AS SELECT * FROM gis.firms",
    )
    .await;
    let text = std::fs::read_to_string(fixture("layers/example.toml")).expect("the example");
    let (state, told) = serve(&db, &text).await;
    assert_eq!(told, [""; 0]);
    assert_eq!(state.layers.extras().map(|layer| layer.id).collect::<Vec<_>>(), ["roads", "companies"]);
}

#[tokio::test]
async fn a_service_with_a_bad_file_does_not_start() {
    let db = Database::empty().await;
    let place = folder("extra_cli");
    let file = place.join("bad.toml");
    std::fs::write(
        &file,
        "[[layer]]\nid = \"a\"\ntable = \"none\"\n\n[[layer]]\nid = \"b\"\ntable = \"none\"\nsort = 1\n",
    )
    .expect("written");
    let url = db.url().await;
    let command = |args: &[&str]| {
        let mut command: Command = sizhi(args);
        command.env("DATABASE_URL", &url);
        command
    };
    let output = run(command(&["serve", "--port", "0", "--layers", arg(&file)]), b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "✗ 图层文件有 3 处错误，服务没有启动（layers_file_invalid）",
        "layer_table_missing：第 1 行：图层“a”（none）",
        "layers_file_key_unknown：第 8 行：",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = run(command(&["serve", "--port", "0", "--layers", arg(&place.join("absent.toml"))]), b"");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("layers_file_unreadable"));
}

#[tokio::test]
async fn gdal_reads_a_layer_of_the_file_and_its_triggers_can_be_forgotten() {
    let db = Database::empty().await;
    make(
        &db,
        "CREATE TABLE wells (id int PRIMARY KEY, \"深度\" float8, at timestamptz, g geometry(Point, 4547));
         INSERT INTO wells SELECT n, n * 1.5, '2024-01-01T00:00:00Z', ST_SetSRID(ST_Point(490000 + n, 3120000), 4547) FROM generate_series(1, 250) n",
    )
    .await;
    let place = folder("extra_gdal");
    let file = place.join("wells.toml");
    std::fs::write(&file, "[[layer]]\nid = \"wells\"\ntable = \"wells\"\nvisibility = \"public\"\n").expect("written");
    let url = db.url().await;
    let service = Service::start_with(
        sizhi(&["serve", "--port", "0"])
            .env("DATABASE_URL", &url)
            .env("SIZHI_ADMIN_TOKEN", TOKEN)
            .env("SIZHI_LAYERS", arg(&file)),
    );
    let source = format!("OAPIF:http://{}/api", service.address);
    let said = gdal("ogrinfo", &["-ro", "-so", &source, "wells", "-oo", "PAGE_SIZE=99"]);
    for part in ["Feature Count: 250", "Geometry: Point", "深度: Real", "at: DateTime"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let found = gdal("ogrinfo", &["-ro", "-q", &source, "wells", "-where", "id='7'"]);
    assert!(found.contains("(Real) = 10.5"), "{found}");
    drop(service);
    let command = |args: &[&str]| {
        let mut command: Command = sizhi(args);
        command.env("DATABASE_URL", &url);
        let output = run(command, b"");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, listed) = command(&["db", "layers", "--json"]);
    assert_eq!(
        (code, listed.trim()),
        (Some(0), r#"[{"layer":"wells","table":"public.wells","fires":true,"changes":0}]"#)
    );
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'wells'::regclass";
    assert_eq!(db.value::<i64>(triggers).await, 4);
    assert_eq!(command(&["db", "layers", "--forget", "wells"]).0, Some(0));
    assert_eq!(db.value::<i64>(triggers).await, 0);
    let (code, said) = command(&["db", "layers", "--forget", "wells"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("layer_not_followed"), "{said}");
}
