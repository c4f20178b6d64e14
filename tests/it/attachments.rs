//! Attachments over HTTP: files come back byte for byte, and are what their bytes are.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::config::HttpArgs;

use crate::support::http::{Answer, authorised, call, call_with, encode, get, get_authorised, link, path_of, upload};
use crate::support::{Database, http_args, images, parcels, tools};

pub const RECORD: &str = "/api/collections/turnover_parcels/items/430121-001";
pub const FILES: &str = "/api/collections/turnover_parcels/items/430121-001/attachments";
pub const PHOTO: [(&str, &str); 1] = [("kind", "photo")];

/// The sample with a record of each ledger, `430121-001`.
pub async fn with_records() -> Database {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    for (ledger, number, at) in [("turnover_parcels", "地块编号", x), ("low_efficiency_parcels", "宗地编号", x + 0.002)]
    {
        let name = format!("attachments-{}-{ledger}.geojson", db.name);
        let file = parcels::file(&name, &[(json!({number: "001"}), parcels::square(at, y, 0.001))]);
        let imported = db.import(&file, parcels::into(ledger)).await.expect("imported");
        assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    }
    let properties = json!({"county_code": parcels::COUNTY, "number": "001", "parcel_id": "430121-001"});
    let plan = json!({"type": "Feature", "properties": properties});
    let made = call(&db, authorised(Method::POST, "/api/collections/redevelopment_plans/items").set_json(plan)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    db
}

pub async fn attach(db: &Database, name: &str, bytes: &[u8]) -> Answer {
    call(db, upload(FILES, &PHOTO, name, bytes)).await
}

/// Revisions, attachments, parts of contents.
pub async fn counts(db: &Database) -> [i64; 3] {
    [
        db.value("SELECT max(number) FROM revision").await,
        db.value("SELECT count(*) FROM attachment").await,
        db.value("SELECT count(*) FROM attachment_content").await,
    ]
}

/// The document with the moment of the addition masked.
fn masked(mut told: Value) -> Value {
    assert!(told["added"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    told["added"]["at"] = json!("-");
    told
}

#[actix_web::test]
async fn every_type_comes_back_byte_for_byte() {
    let db = with_records().await;
    let [before, ..] = counts(&db).await;
    let files = images::all();
    for (at, (name, media_type, bytes)) in (1_i64..).zip(&files) {
        let sha256 = images::sha256sum(bytes);
        let answer = call(&db, upload(FILES, &[("kind", "批文"), ("note", "第 1 期")], name, bytes)).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        let url = format!("http://localhost:8080{FILES}/{at}");
        assert_eq!(answer.header("location"), Some(url.as_str()));
        assert_eq!(answer.header("sizhi-revision"), Some((before + at).to_string().as_str()));
        let expected = json!({
            "id": at, "kind": {"code": "approval", "label": "批文"}, "file_name": name, "note": "第 1 期", "media_type": media_type,
            "size_bytes": bytes.len(), "sha256": sha256, "added": {"by": "http:admin", "at": "-", "revision": before + at},
            "removed": null,
            "links": [{"rel": "enclosure", "type": media_type, "title": name, "length": bytes.len(), "href": url}],
        });
        assert_eq!(masked(answer.json()), expected);
        let listed = get_authorised(&db, FILES).await.json();
        assert_eq!(
            (&listed["numberReturned"], masked(listed["attachments"][at as usize - 1].clone())),
            (&json!(at), expected)
        );

        let got = get_authorised(&db, &format!("{FILES}/{at}")).await;
        assert_eq!((got.status.as_u16(), &got.body), (200, bytes), "{name}");
        let quoted = format!("\"{sha256}\"");
        for (header, value) in [
            ("content-type", *media_type),
            ("etag", &quoted),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cache-control", "private, no-cache"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(got.header(header), Some(value), "{name}: {header}");
        }
        let disposition = got.header("content-disposition").expect("disposition");
        assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
        assert!(disposition.ends_with(&format!("; filename*=UTF-8''{}", encode(name))), "{disposition}");
    }
    let told: String = db.value("SELECT reason FROM revision ORDER BY number DESC LIMIT 1").await;
    assert_eq!(told, "周转用地 430121-001：加附件 6“图纸-2.tiff”");
    assert_eq!(counts(&db).await, [before + 6, 6, 6], "each is small: one part");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn the_record_leads_to_its_attachments_and_is_not_touched_by_them() {
    let db = with_records().await;
    let before = get_authorised(&db, RECORD).await;
    let version = |answer: &Answer| answer.header("etag").expect("etag").split('-').next().expect("version").to_owned();
    let documents = before.json();
    let path = path_of(link(&documents, "related").expect("a link"));
    assert_eq!(path, FILES);
    assert_eq!(attach(&db, "a.jpg", &images::jpeg()).await.status, 201);
    let after = get_authorised(&db, RECORD).await;
    assert_eq!((version(&after), after.json()), (version(&before), before.json()));
    let changes = get_authorised(&db, "/api/collections/turnover_parcels/changes?since=0").await.json();
    assert_eq!(changes["changes"].as_array().map(Vec::len), Some(1), "the record's own: {changes}");
    let listed = get_authorised(&db, &path).await.json();
    let url = format!("http://localhost:8080{RECORD}");
    assert_eq!(
        (&listed["record"], &listed["links"]),
        (
            &json!("430121-001"),
            &json!([
                {"rel": "self", "type": "application/json", "href": format!("{url}/attachments")},
                {"rel": "item", "type": "application/geo+json", "href": url},
            ])
        )
    );
    // Parks have no such address.
    let park = get(&db, "/api/collections/parks/items/G431033").await.json();
    assert_eq!(link(&park, "related"), None);
}

#[actix_web::test]
async fn who_holds_the_bytes_or_wants_a_part_gets_no_more() {
    let db = with_records().await;
    let bytes = images::jpeg();
    attach(&db, "a.jpg", &bytes).await;
    let path = format!("{FILES}/1");
    let etag = format!("\"{}\"", images::sha256sum(&bytes));
    let asked = |headers: &[(&'static str, String)]| {
        let request = authorised(Method::GET, &path);
        headers.iter().fold(request, |request, (name, value)| request.insert_header((*name, value.clone())))
    };
    for (held, status) in
        [(etag.clone(), 304), (format!("W/{etag}"), 304), ("*".to_owned(), 304), ("\"x\"".to_owned(), 200)]
    {
        let answer = call(&db, asked(&[("if-none-match", held)])).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, Some(etag.as_str())));
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let size = bytes.len();
    for (range, first, end) in [
        ("bytes=2-9".to_owned(), 2, 10),
        ("bytes=-7".to_owned(), size - 7, size),
        (format!("bytes=5-{}", size * 2), 5, size),
    ] {
        let answer = call(&db, asked(&[("range", range.clone())])).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (206, &bytes[first..end]), "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {first}-{}/{size}", end - 1).as_str()));
    }
    let beyond = call(&db, asked(&[("range", format!("bytes={size}-"))])).await;
    beyond.assert_problem(416, "range_invalid");
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()));
    let other = call(&db, asked(&[("range", "bytes=2-9".to_owned()), ("if-range", "\"x\"".to_owned())])).await;
    assert_eq!((other.status.as_u16(), &other.body), (200, &bytes), "of other bytes no part");
    let packed = call(&db, asked(&[("accept-encoding", "gzip, br".to_owned())])).await;
    assert_eq!(packed.body, bytes);
    let head = call(&db, authorised(Method::HEAD, &path)).await;
    assert_eq!((head.status.as_u16(), head.header("etag"), head.body.len()), (200, Some(etag.as_str()), 0));
}

#[actix_web::test]
async fn a_file_is_what_its_bytes_are() {
    let db = with_records().await;
    let before = counts(&db).await;
    let files = images::all();
    let of = |name: &str| files.iter().find(|file| file.0 == name).map(|file| file.2.clone()).expect(name);
    let (pdf, jpeg) = (of("批文.pdf"), of("现场 1.jpg"));
    let docx = tools::zip(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w:document/>")]);
    let ofd = tools::zip(&[("OFD.xml", b"<ofd:OFD/>")]);
    let html = b"<html><script>alert(1)</script></html>".to_vec();
    let polyglot = [jpeg.as_slice(), &tools::zip(&[("evil.class", b"\xCA\xFE\xBA\xBE")])].concat();
    let cases: Vec<(&str, Vec<u8>, u16, &str, &str)> = vec![
        ("a.pdf", Vec::new(), 400, "attachment_incomplete", "是空文件"),
        ("a.pdf", pdf[..pdf.len() / 2].to_vec(), 400, "attachment_incomplete", "像 PDF，但不完整"),
        ("a.jpg", jpeg[..jpeg.len() - 2].to_vec(), 400, "attachment_incomplete", "像 JPEG 图片，但不完整"),
        ("a.pdf", b"MZ\x90\0\x03\0\0\0".to_vec(), 415, "attachment_type_unsupported", "Windows 程序"),
        ("a.docx", docx.clone(), 415, "attachment_type_unsupported", "Word 文档"),
        ("a.pdf", docx, 415, "attachment_type_unsupported", "Word 文档"),
        ("a.ofd", ofd, 415, "attachment_type_unsupported", "OFD 版式文件；请转换为 PDF"),
        ("a.jpg", html.clone(), 415, "attachment_type_unsupported", "网页（HTML）"),
        ("a.svg", b"<svg onload='x'/>".to_vec(), 415, "attachment_type_unsupported", "SVG 图形"),
        // A page that is a PDF too, to whoever looks for its mark.
        ("a.pdf", [html.as_slice(), &pdf].concat(), 415, "attachment_type_unsupported", "网页（HTML）"),
        ("a.jpg", polyglot, 415, "attachment_type_unsupported", "末尾附有压缩包"),
        ("照片.jpg.exe", jpeg.clone(), 415, "attachment_type_mismatch", "扩展名是 .exe，但内容是 JPEG 图片"),
        ("照片.png", jpeg.clone(), 415, "attachment_type_mismatch", "扩展名是 .png，但内容是 JPEG 图片"),
        ("批文.jpg", pdf.clone(), 415, "attachment_type_mismatch", "扩展名是 .jpg，但内容是 PDF"),
    ];
    for (name, bytes, status, code, words) in cases {
        let problem = attach(&db, name, &bytes).await.assert_problem(status, code);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{name}: {problem}");
    }
    let body = |declared: &str| {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nphoto\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: {declared}\r\n\r\n"
        );
        [head.as_bytes(), &jpeg, b"\r\n--b--\r\n"].concat()
    };
    let declared = |declared: &str| {
        let request =
            authorised(Method::POST, FILES).insert_header(("content-type", "multipart/form-data; boundary=b"));
        request.set_payload(body(declared))
    };
    let problem = call(&db, declared("text/html")).await.assert_problem(415, "attachment_type_mismatch");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("text/html，但内容是 JPEG 图片")),
        "{problem}"
    );
    assert_eq!(counts(&db).await, before, "nothing was written");
    assert_eq!(call(&db, declared("image/jpeg")).await.status, 201);
    // Without an extension nothing is contradicted.
    assert_eq!(attach(&db, "附件1.关于同意征收的批复", &pdf).await.status, 201);
}

#[actix_web::test]
async fn a_form_says_what_the_file_is_for() {
    let db = with_records().await;
    let before = counts(&db).await;
    let (jpeg, long) = (images::jpeg(), "长".repeat(501));
    for (fields, code) in [
        (&[][..], "value_invalid"),
        (&[("kind", "图片")], "value_invalid"),
        (&[("kind", "photo"), ("note", long.as_str())], "value_invalid"),
        (&[("kind", "photo"), ("layer", "parks")], "part_unknown"),
        (&[("kind", "photo"), ("kind", "photo")], "parameter_repeated"),
    ] {
        call(&db, upload(FILES, fields, "a.jpg", &jpeg)).await.assert_problem(400, code);
    }
    // What goes with an import does not go with an attachment, and is not offered.
    let table = upload_body("attributes");
    let request = authorised(Method::POST, FILES).insert_header(("content-type", "multipart/form-data; boundary=b"));
    let problem = call(&db, request.set_payload(table)).await.assert_problem(400, "part_unknown");
    assert_eq!(problem["detail"], "不认识表单部分“attributes”；可用的有 file、kind、note");
    call(&db, authorised(Method::POST, FILES).set_json(json!({}))).await.assert_problem(415, "media_type_unsupported");
    for name in ["..", "a\u{202E}gpj.exe", "a\u{200B}.jpg", "a.jpg.", &format!("{}.jpg", "长".repeat(197))] {
        attach(&db, name, &jpeg).await.assert_problem(400, "file_name_invalid");
    }
    assert_eq!(counts(&db).await, before, "nothing was written");
    // A path is none, and one name is one text however it was typed.
    for (number, given, kept) in [
        (1, "C:/照片/一号.jpg", "一号.jpg"),
        (2, "../../etc/cafe\u{0301}.jpg", "café.jpg"),
        (3, "𠮷 <b>&amp;;,.jpg", "𠮷 <b>&amp;;,.jpg"),
    ] {
        let added = attach(&db, given, &images::jpeg_of(number)).await;
        assert_eq!((added.status.as_u16(), &added.json()["file_name"]), (201, &json!(kept)), "{}", added.text());
        let got = get_authorised(&db, &format!("{FILES}/{number}")).await;
        let name = got.header("content-disposition").and_then(|d| d.split("UTF-8''").nth(1)).expect("a name");
        assert_eq!(name, encode(kept));
    }
}

/// A form with one file in this part and a kind.
fn upload_body(part: &str) -> Vec<u8> {
    format!("--b\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nphoto\r\n--b\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"a.csv\"\r\n\r\nx\r\n--b--\r\n").into_bytes()
}

/// A photograph with so many bytes behind its end that it has `size`.
fn photo_of(size: usize) -> Vec<u8> {
    let mut bytes = images::jpeg();
    let mut number = 1_u32;
    bytes.extend(
        std::iter::repeat_with(|| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (number >> 24) as u8
        })
        .take(size - bytes.len()),
    );
    bytes
}

#[actix_web::test]
async fn limits_are_named_and_kept() {
    let db = with_records().await;
    let over = attach(&db, "a.jpg", &photo_of(1024 * 1024 + 1)).await.assert_problem(413, "upload_too_large");
    assert!(over["detail"].as_str().is_some_and(|detail| detail.contains("1 MB")), "{over}");
    assert_eq!(attach(&db, "a.jpg", &photo_of(1024 * 1024)).await.status, 201, "to the byte");
    // What the operator allows to an upload bounds what an attachment may be.
    for (attachment_max_mb, upload_limit_mb, named) in [(3, 2, "2 MB"), (0, 2, "1 MB")] {
        let state = State::new(db.application.clone(), HttpArgs { attachment_max_mb, upload_limit_mb, ..http_args() });
        let over = call_with(state, upload(FILES, &PHOTO, "a.jpg", &photo_of(2 * 1024 * 1024 + 1))).await;
        let over = over.assert_problem(413, "upload_too_large");
        assert!(over["detail"].as_str().is_some_and(|detail| detail.contains(named)), "{over}");
    }
    db.write(
        "INSERT INTO attachment (ledger, record_id, ordinal, county_code, kind, file_name, media_type, size_bytes, sha256, added_revision)
         SELECT 'turnover_parcel', '430121-001', n, '430121', 'photo', n || '.jpg', 'image/jpeg', 1, encode(sha256(n::text::bytea), 'hex'), current_revision()
         FROM generate_series(2, 50) n",
    )
    .await;
    let full = attach(&db, "b.jpg", &images::jpeg()).await.assert_problem(409, "attachments_full");
    assert!(full["detail"].as_str().is_some_and(|detail| detail.contains("至多 50 个")), "{full}");
    let removed = call(&db, authorised(Method::DELETE, &format!("{FILES}/50"))).await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(attach(&db, "b.jpg", &images::jpeg()).await.json()["id"], 51, "a number is not given twice");
    // A thousand that came and went are the end, too.
    db.write(
        "INSERT INTO attachment (ledger, record_id, ordinal, county_code, kind, file_name, media_type, size_bytes, sha256, added_revision, removed_revision)
         SELECT 'low_efficiency_parcel', '430121-001', n, '430121', 'photo', n || '.jpg', 'image/jpeg', 1, encode(sha256(n::text::bytea), 'hex'),
                current_revision(), current_revision()
         FROM generate_series(1, 1000) n",
    )
    .await;
    let other = FILES.replace("turnover", "low_efficiency");
    call(&db, upload(&other, &PHOTO, "b.jpg", &images::jpeg())).await.assert_problem(409, "attachments_full");
}

#[actix_web::test]
async fn a_file_of_several_parts_is_one() {
    let db = with_records().await;
    let state = || State::new(db.application.clone(), HttpArgs { attachment_max_mb: 3, ..http_args() });
    let bytes = photo_of(2 * 1024 * 1024 + 77);
    let added = call_with(state(), upload(FILES, &PHOTO, "a.jpg", &bytes)).await;
    assert_eq!((added.status.as_u16(), &added.json()["sha256"]), (201, &json!(images::sha256sum(&bytes))));
    let parts: Vec<i32> = db.column("SELECT octet_length(bytes) FROM attachment_content ORDER BY part").await;
    assert_eq!(parts, [1_048_576, 1_048_576, 77]);
    assert_eq!(get_authorised(&db, &format!("{FILES}/1")).await.body, bytes);
    let across = authorised(Method::GET, &format!("{FILES}/1")).insert_header(("range", "bytes=1048570-2097160"));
    assert_eq!(call(&db, across).await.body, bytes[1_048_570..=2_097_160]);
    assert_eq!(db.audit().await, None);
}
