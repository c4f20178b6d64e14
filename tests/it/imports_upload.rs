//! The upload of an import: forms that are none, files that are too large, names as clients send them.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::support::http::{Answer, authorised, call, get_authorised, upload};
use crate::support::{Database, files};

const BLOCKS: &str = "form-data; name=\"layer\"";
const PARK: &str = "form-data; name=\"park\"";
const FILE: &str = "form-data; name=\"file\"; filename=\"a.txt\"";

fn square() -> String {
    files::txt(&[("9", files::square(3_120_000.0, 38_400_000.0, 1_000.0), 100.0)])
}

/// A form of these parts: disposition and content.
pub fn form(path: &str, parts: &[(&str, &[u8])]) -> TestRequest {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        body.extend_from_slice(format!("--cut\r\nContent-Disposition: {disposition}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    of_body("multipart/form-data; boundary=cut", body).uri(path)
}

fn of_body(content_type: &str, body: impl Into<Vec<u8>>) -> TestRequest {
    let request = authorised(Method::POST, "/api/imports").set_payload(body.into());
    if content_type.is_empty() { request } else { request.insert_header(("content-type", content_type)) }
}

async fn nothing_staged(db: &Database) {
    assert_eq!(db.value::<i64>("SELECT count(*) FROM import_batch").await, 0, "a 4xx leaves no batch");
}

#[actix_web::test]
async fn forms_with_a_fault_are_refused_by_name() {
    let db = Database::with_sample().await;
    let file = square();
    let (file, layer, park) = ((FILE, file.as_bytes()), (BLOCKS, &b"park_blocks"[..]), (PARK, &b"G431176"[..]));
    let too_long = "x".repeat(5_000);
    let many: Vec<(&str, &[u8])> = vec![("form-data; name=\"allow\"", b"overlap_within_file"); 33];
    let cases: Vec<(&str, &str, Vec<(&str, &[u8])>)> = vec![
        ("file_missing", "", vec![layer, park]),
        ("file_missing", "", vec![]),
        ("file_missing", "", vec![layer, ("form-data; name=\"file\"", b"text")]),
        ("file_missing", "", vec![layer, ("form-data; name=\"file\"; filename=\"\"", b"text")]),
        ("file_name_invalid", "", vec![layer, ("form-data; name=\"file\"; filename=\"..\"", b"text")]),
        ("file_name_invalid", "", vec![layer, ("form-data; name=\"file\"; filename=\"a\u{202e}txt.exe\"", b"text")]),
        ("layer_missing", "", vec![park, file]),
        ("layer_missing", "", vec![(BLOCKS, b"  "), file]),
        ("layer_unknown", "", vec![(BLOCKS, b"divisions"), file]),
        ("layer_unknown", "", vec![(BLOCKS, b"park_blocks; DROP TABLE park"), file]),
        ("part_unknown", "", vec![layer, ("form-data; name=\"colour\"", b"red"), file]),
        ("park_code_invalid", "", vec![layer, (PARK, b"431176"), file]),
        ("crs_unknown", "", vec![layer, ("form-data; name=\"crs\"", b"somewhere"), file]),
        ("value_invalid", "", vec![layer, ("form-data; name=\"repair\"", b"maybe"), file]),
        ("value_invalid", "", vec![layer, ("form-data; name=\"park\"", b"\xff\xfe"), file]),
        ("value_invalid", "", vec![layer, ("form-data; name=\"source_layer\"", b"a\0b"), file]),
        ("value_invalid", "", vec![layer, ("form-data; name=\"source_layer\"", too_long.as_bytes()), file]),
        ("allow_not_possible", "", vec![layer, ("form-data; name=\"allow\"", b"everything"), file]),
        ("parameter_repeated", "", vec![layer, layer, file]),
        ("parameter_repeated", "", vec![layer, file, file]),
        ("parameter_repeated", "?layer=park_blocks", vec![layer, file]),
        ("parameter_unknown", "?colour=red", vec![layer, file]),
        ("multipart_invalid", "", vec![("form-data", b"nameless"), layer, file]),
        ("multipart_invalid", "", [many, vec![layer, file]].concat()),
    ];
    for (code, query, parts) in cases {
        let names: Vec<&str> = parts.iter().map(|(disposition, _)| *disposition).take(5).collect();
        let answer = call(&db, form(&format!("/api/imports{query}"), &parts)).await;
        assert_eq!(answer.json()["code"], code, "{names:?}: {}", answer.text());
        answer.assert_problem(400, code);
    }
    nothing_staged(&db).await;
}

#[actix_web::test]
async fn bodies_that_are_no_form_are_refused() {
    let db = Database::empty().await;
    for content_type in [
        "",
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=cut",
        "nonsense",
    ] {
        call(&db, of_body(content_type, "{}")).await.assert_problem(415, "media_type_unsupported");
    }
    let whole = "--cut\r\nContent-Disposition: form-data; name=\"layer\"\r\n\r\npark_blocks\r\n";
    for (content_type, body) in [
        ("multipart/form-data", whole),
        ("multipart/form-data; boundary=other", whole),
        ("multipart/form-data; boundary=cut", whole),
        ("multipart/form-data; boundary=cut", "--cut\r\nContent-Dispo"),
        ("multipart/form-data; boundary=cut", ""),
        ("multipart/form-data; boundary=cut", "no form at all"),
    ] {
        call(&db, of_body(content_type, body)).await.assert_problem(400, "multipart_invalid");
    }
    for coding in ["gzip", "br", "deflate", "zstd", "identity, gzip", "nonsense"] {
        let request =
            form("/api/imports", &[(BLOCKS, b"park_blocks"), (FILE, b"x")]).insert_header(("content-encoding", coding));
        call(&db, request).await.assert_problem(415, "encoding_unsupported");
    }
    nothing_staged(&db).await;
}

#[actix_web::test]
async fn a_file_may_weigh_the_limit_and_not_a_byte_more() {
    let db = Database::with_sample().await;
    const LIMIT: usize = 5 * 1024 * 1024;
    let of_size = |size: usize| {
        let mut file = square().into_bytes();
        file.resize(size, b'\n');
        form("/api/imports", &[(BLOCKS, b"park_blocks"), (PARK, b"G431176"), (FILE, &file)])
    };
    let problem = call(&db, of_size(LIMIT + 1)).await.assert_problem(413, "upload_too_large");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("5 MB")), "the limit is told: {problem}");
    // By the head alone, before a byte of the body is read.
    let announced = of_body("multipart/form-data; boundary=cut", "").insert_header(("content-length", "6000000"));
    call(&db, announced).await.assert_problem(413, "upload_too_large");
    nothing_staged(&db).await;
    let fits = call(&db, of_size(LIMIT)).await;
    assert_eq!((fits.status.as_u16(), &fits.json()["file_size"]), (201, &json!(LIMIT)));
}

async fn name_of(db: &Database, disposition: &str) -> Value {
    let file = square();
    let parts = [(BLOCKS, &b"park_blocks"[..]), (PARK, b"G431176"), (disposition, file.as_bytes())];
    let answer = call(db, form("/api/imports", &parts)).await;
    assert_eq!(answer.status, 201, "{disposition}: {}", answer.text());
    answer.json()["file_name"].clone()
}

#[actix_web::test]
async fn file_names_are_kept_as_people_wrote_them_without_their_folder() {
    let db = Database::with_sample().await;
    for (name, expected) in [
        ("filename=\"望城经开区 边界（一）.txt\"", "望城经开区 边界（一）.txt"),
        ("filename=\"x.txt\"; filename*=UTF-8''%E8%BE%B9%E7%95%8C.txt", "边界.txt"),
        ("filename=\"../../etc/边界.txt\"", "边界.txt"),
        ("filename=\"/srv/上传/边界.txt\"", "边界.txt"),
        ("filename=\"C:\\\\数据\\\\边界.txt\"", "边界.txt"),
        ("filename=\"𠮷<b>&'.txt\"", "𠮷<b>&'.txt"),
        ("filename=\"没有后缀\"", "没有后缀"),
    ] {
        assert_eq!(name_of(&db, &format!("form-data; name=\"file\"; {name}")).await, expected, "{name}");
    }
    let stored: Vec<String> = db.column("SELECT file_name FROM import_batch ORDER BY id").await;
    assert_eq!(stored[0], "望城经开区 边界（一）.txt");
    assert_eq!(get_authorised(&db, "/api/imports/1").await.json()["file_name"], "望城经开区 边界（一）.txt");
}

#[actix_web::test]
async fn options_may_stand_in_the_address() {
    let db = Database::with_sample().await;
    let file = square();
    let path = "/api/imports?layer=park_blocks&park=G431176&crs=EPSG:4526&allow=overlap_within_file&allow=overlap_with_register&repair=true";
    let answer = call(&db, form(path, &[(FILE, file.as_bytes())])).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let expected = json!({
        "crs": "EPSG:4526", "encoding": null, "source_layer": null, "park": "G431176", "county": null, "zone_kind": null, "attributes": null, "repair": true,
        "allow": ["overlap_within_file", "overlap_with_register"],
    });
    assert_eq!(answer.json()["options"], expected);
}

/// 4xx as a problem, or a batch that is refused with a reason: never a 5xx, never a batch that could be committed.
#[track_caller]
fn refused(answer: &Answer, what: &str) {
    let body = answer.json();
    if answer.status == 201 {
        assert_eq!(body["status"], "refused", "{what}: {body}");
        let errors = body["report"]["findings"]
            .as_array()
            .map_or(0, |list| list.iter().filter(|f| f["severity"] == "error").count());
        assert!(errors > 0, "{what}: {body}");
    } else {
        assert!(answer.status.is_client_error(), "{what}: {body}");
        answer.assert_problem(answer.status.as_u16(), body["code"].as_str().unwrap_or_default());
    }
}

#[actix_web::test]
async fn files_that_are_none_are_the_clients_fault() {
    let db = Database::with_sample().await;
    let garbage: Vec<u8> = (0..4_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let forged = |magic: &[u8]| [magic, &garbage].concat();
    for (name, bytes, code) in [
        ("空.txt", vec![], "file_empty"),
        ("a.txt", b"[".to_vec(), "txt_without_parcels"),
        ("a.txt", garbage.clone(), "encoding_undecodable"),
        ("a.zip", forged(b"PK\x03\x04"), "archive_unreadable"),
        ("a.zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "archive_empty"),
        ("a.shp", forged(&[0, 0, 0x27, 0x0a]), "file_unreadable"),
        ("a.gpkg", forged(b"SQLite format 3\0"), "file_unreadable"),
        ("a.geojson", b"{\"type\":\"FeatureCollection\",\"features\":[]}".to_vec(), "file_without_records"),
        ("a.geojson", b"{\"type\":\"FeatureCollection\",\"features\":[{}]}".to_vec(), "feature_type"),
        ("a.geojson", [b"[".repeat(100_000), b"]".repeat(100_000)].concat(), "geojson_type"),
        (
            "a.geojson",
            b"{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[1e999,0]]]}}".to_vec(), "coordinate_not_finite"),
        (
            "a.geojson",
            br#"{"type":"FeatureCollection","features":[{"type":"Feature","id":"1","properties":{"a":"x\u0000y"},"geometry":{"type":"Polygon","coordinates":[[[113,28],[113.01,28],[113.01,28.01],[113,28]]]}}]}"#.to_vec(), "text_control_character"),
        ("a.dxf", b"0\nSECTION\n2\nENTITIES\n0\nEOF\n".to_vec(), "records_lost"),
        ("a.exe", b"MZ\x90\0".to_vec(), "format_unknown"),
        ("a.txt", vec![0; 10_000], "txt_without_parcels"),
    ] {
        let answer =
            call(&db, upload("/api/imports", &[("layer", "park_blocks"), ("park", "G431176")], name, &bytes)).await;
        refused(&answer, &format!("{name}, {} bytes", bytes.len()));
        let body = answer.json();
        let findings = body["report"]["findings"].as_array();
        let told = body["code"] == code
            || findings.is_some_and(|list| list.iter().any(|f| f["code"] == code && f["severity"] == "error"));
        assert!(told, "{name}: {code} in {body}");
        let answer = call(&db, upload("/api/imports", &[("layer", "parks")], name, &bytes)).await;
        refused(&answer, &format!("{name}, {} bytes, as a directory", bytes.len()));
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM import_batch WHERE status <> 'refused' OR content IS NOT NULL").await,
        0
    );
}
