//! Nothing that a file says makes the program open a connection or read another file (reliability.md G6): a listener on
//! the loopback and a canary file, and every kind of redirecting document under every ending, bare and in archives.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use sizhi::exchange::{ReadOptions, directory_table, read_file};

use crate::support::Database;
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, folder, gdal, zip};

const SECRET: &str = "canary_4f1e_secret";

/// A listener that must stay alone, and files that must stay unread.
struct Trap {
    listener: TcpListener,
    work: PathBuf,
}

impl Trap {
    fn set(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("not blocking");
        let work = folder(name);
        let canary = format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"编号":"{SECRET}","名称":"{SECRET}"}},
            "geometry":{{"type":"Polygon","coordinates":[[[112.8,28.3],[112.81,28.3],[112.81,28.31],[112.8,28.3]]]}}}}]}}"#
        );
        std::fs::write(work.join("canary.geojson"), canary).expect("written");
        std::fs::write(work.join("canary.csv"), format!("id,WKT,名称\n1,\"POINT(112.8 28.3)\",{SECRET}\n"))
            .expect("written");
        let shape = work.join("canary.shp");
        gdal(
            "ogr2ogr",
            &["-f", "ESRI Shapefile", arg(&shape), arg(&work.join("canary.geojson")), "-lco", "ENCODING=UTF-8"],
        );
        Self { listener, work }
    }

    fn address(&self) -> String {
        self.listener.local_addr().expect("an address").to_string()
    }

    /// Documents that redirect, each to the canary and to the listener.
    fn documents(&self) -> Vec<String> {
        let web = format!("http://{}/x.geojson", self.address());
        let file = self.work.join("canary.geojson");
        let (host, port) =
            self.address().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).expect("host and port");
        let mut documents = Vec::new();
        for target in [
            arg(&file),
            arg(&self.work.join("canary.shp")),
            &web,
            &format!("/vsicurl/{web}"),
            &format!("/vsicurl_streaming/{web}"),
        ] {
            documents.extend([
                format!(r#"<OGRVRTDataSource><OGRVRTLayer name="canary"><SrcDataSource>{target}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"#),
                format!(r#"{{"type":"FeatureCollection","crs":{{"type":"link","properties":{{"href":"{target}"}}}},"features":"{target}"}}"#),
                format!("{target}\n"),
                format!(r#"<?xml version="1.0"?><!DOCTYPE k [<!ENTITY x SYSTEM "{target}">]><kml xmlns="http://www.opengis.net/kml/2.2"><NetworkLink><Link><href>{target}</href></Link></NetworkLink><Document><name>&x;</name></Document></kml>"#),
                format!(r#"<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://x {target}"><gml:featureMember xlink:href="{target}"/></wfs:FeatureCollection>"#),
            ]);
        }
        documents.extend([
            format!("<OGRWFSDataSource><URL>{web}</URL></OGRWFSDataSource>"),
            format!("<OGRCSWDataSource><URL>{web}</URL></OGRCSWDataSource>"),
            format!(r#"<GDAL_WMS><Service name="WMS"><ServerUrl>{web}</ServerUrl></Service></GDAL_WMS>"#),
            format!("PG:host={host} port={port} dbname=x"),
            format!("MYSQL:x,host={host},port={port}"),
            format!("[属性描述]\n坐标系={web}\n[地块坐标]\n{web},@\n"),
        ]);
        documents
    }

    #[track_caller]
    fn assert_silent(&self, said: &str, what: &str) {
        assert!(!said.contains(SECRET), "{what}: the canary sings: {said}");
        match self.listener.accept() {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => panic!("{what}: a connection came: {other:?}"),
        }
    }
}

/// All that reading says, for boundaries and for directories.
fn said(path: &Path) -> String {
    let options = ReadOptions::default();
    format!("{:?} {:?}", read_file(path, &options), directory_table::read_file(path, &options))
}

#[tokio::test]
async fn redirecting_documents_reach_nothing_under_any_name() {
    let _program = Database::empty().await;
    let trap = Trap::set("reach_out");
    let documents = trap.documents();
    assert_eq!(documents.len(), 31);
    for document in &documents {
        for ending in ["txt", "geojson", "json", "csv", "shp", "dbf", "gpkg", "dxf", "xlsx", "zip", "vrt", "kml"] {
            let file = trap.work.join(format!("bare.{ending}"));
            std::fs::write(&file, document).expect("written");
            trap.assert_silent(&said(&file), &format!("bare.{ending}: {document}"));
            std::fs::remove_file(&file).expect("removed");
        }
    }
}

#[tokio::test]
async fn redirecting_documents_reach_nothing_from_inside_archives() {
    let _program = Database::empty().await;
    let trap = Trap::set("reach_out_zip");
    let sound = std::fs::read(trap.work.join("canary.shp")).expect("made");
    for document in trap.documents() {
        let bytes = document.as_bytes();
        let archives: [&[(&str, &[u8])]; 8] = [
            &[("a.shp", bytes), ("a.dbf", bytes), ("a.shx", bytes), ("a.prj", bytes), ("a.cpg", bytes)],
            // Sound shapes whose companions point elsewhere.
            &[
                ("a.shp", &sound),
                ("a.dbf", bytes),
                ("a.prj", bytes),
                ("a.vrt", bytes),
                ("a.shp.xml", bytes),
                ("a.shp.aux.xml", bytes),
            ],
            &[("a.gpkg", bytes), ("a.gpkg.aux.xml", bytes)],
            &[("a.dxf", bytes)],
            &[("a.geojson", bytes)],
            &[("a.txt", bytes)],
            &[
                ("a.gdb/a00000001.gdbtable", bytes),
                ("a.gdb/a00000001.gdbtablx", bytes),
                ("a.gdb/gdb", bytes),
                ("a.gdb/timestamps", bytes),
            ],
            &[("xl/workbook.xml", bytes), ("[Content_Types].xml", bytes), ("_rels/.rels", bytes)],
        ];
        for (i, entries) in archives.into_iter().enumerate() {
            for ending in ["zip", "xlsx"] {
                let file = trap.work.join(format!("packed.{ending}"));
                std::fs::write(&file, zip(entries)).expect("written");
                let what = format!("archive {i}.{ending}: {document}");
                // The sound shapes are the canary's own: what must stay unread is its table.
                trap.assert_silent(&said(&file), &what);
                std::fs::remove_file(&file).expect("removed");
            }
        }
    }
}

/// The trap itself works: a read of the canary does sing, a connection is seen.
#[tokio::test]
async fn the_trap_would_notice() {
    let _program = Database::empty().await;
    let trap = Trap::set("reach_out_control");
    assert!(said(&trap.work.join("canary.geojson")).contains(SECRET));
    assert!(said(&trap.work.join("canary.shp")).contains(SECRET));
    let vrt = trap.work.join("bare.vrt");
    std::fs::write(&vrt, &trap.documents()[0]).expect("written");
    assert!(gdal("ogrinfo", &["-al", arg(&vrt)]).contains(SECRET), "GDAL left to itself follows the document");
    std::net::TcpStream::connect(trap.address()).expect("connected");
    assert!(trap.listener.accept().is_ok());
}

/// A GeoPackage whose tables are virtual ones over other files (SpatiaLite's VirtualText, which GDAL loads by itself),
/// bare and behind a view that passes the text off as a name.
#[tokio::test]
async fn a_geopackage_of_virtual_tables_reaches_nothing() {
    let db = Database::with_sample().await;
    let trap = Trap::set("reach_out_gpkg");
    let source = trap.work.join("canary.geojson");
    let secret = trap.work.join("secret.txt");
    std::fs::write(&secret, format!("{SECRET}\n{SECRET}\n")).expect("written");
    let text = format!("CREATE VIRTUAL TABLE text USING VirtualText('{}', 'UTF-8', 1)", arg(&secret));
    let lines = text.replace("'UTF-8', 1", "'UTF-8', 0");
    let view = "CREATE VIEW evil AS SELECT fid, geom, (SELECT group_concat(COL001) FROM text) AS 名称, 'A' AS 编号 FROM blocks";
    for (name, layer, statements) in
        [("bare", "text", vec![text.as_str()]), ("view", "evil", vec![lines.as_str(), view])]
    {
        let file = trap.work.join(format!("{name}.gpkg"));
        let blocks = ["-sql", "SELECT 'A' AS bianhao FROM canary", "-nln", "blocks", "-a_srs", "EPSG:4490"];
        gdal("ogr2ogr", &[&["-f", "GPKG", arg(&file), arg(&source)], &blocks[..]].concat());
        let contents = [
            format!(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('{layer}', 'features', '{layer}', 4490)"
            ),
            format!("INSERT INTO gpkg_geometry_columns VALUES ('{layer}', 'geom', 'POLYGON', 4490, 0, 0)"),
        ];
        for sql in statements.into_iter().chain(contents.iter().map(String::as_str)) {
            gdal("ogrinfo", &[arg(&file), "-q", "-sql", sql]);
        }
        // The control: GDAL left to itself reads the other file.
        assert!(gdal("ogrinfo", &["-al", arg(&file), layer]).contains(SECRET), "{name}: the trap is not set");
        for layer in [layer, "blocks"] {
            let request =
                ["--layer", "park_blocks", "--park", "G431176", "--source-layer", layer, "--dry-run", "--json"];
            let mut command = sizhi(&[&["import", arg(&file)], &request[..]].concat());
            command.env("DATABASE_URL", db.url().await);
            let output = run(command, b"");
            let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            trap.assert_silent(&all, &format!("{layer} of {name}"));
        }
    }
}
