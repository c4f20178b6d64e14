//! DXF drawings whose head says nothing of their encoding, or the wrong thing: Chinese layer names arrive as they were written.

use sizhi::domain::ParkCode;

use crate::support::{Database, codes, files};

/// A drawing of one closed line: version and code page of its head (none: no head at all), and the name of the line's layer.
fn drawing(head: Option<(&str, Option<&str>)>, layer: &[u8]) -> Vec<u8> {
    let mut dxf = Vec::new();
    if let Some((version, page)) = head {
        dxf.extend(format!("0\r\nSECTION\r\n2\r\nHEADER\r\n9\r\n$ACADVER\r\n1\r\n{version}\r\n").bytes());
        if let Some(page) = page {
            dxf.extend(format!("9\r\n$DWGCODEPAGE\r\n3\r\n{page}\r\n").bytes());
        }
        dxf.extend(b"0\r\nENDSEC\r\n");
    }
    dxf.extend(b"0\r\nSECTION\r\n2\r\nENTITIES\r\n0\r\nLWPOLYLINE\r\n8\r\n");
    dxf.extend(layer);
    dxf.extend(b"\r\n90\r\n4\r\n70\r\n1\r\n");
    for (x, y) in [(0, 0), (500, 0), (500, 400), (0, 400)] {
        dxf.extend(format!("10\r\n{}\r\n20\r\n{}\r\n", 38_480_000 + x, 2_900_000 + y).bytes());
    }
    dxf
}

/// What is written beside it: a height, a bearing, a note that is cut in the middle of a character.
fn with_writing(mut dxf: Vec<u8>, note: &[u8]) -> Vec<u8> {
    for (kind, text) in [("TEXT", b"%%p0.000".as_slice()), ("TEXT", b"45%%d30'"), ("MTEXT", note)] {
        dxf.extend(format!("0\r\n{kind}\r\n8\r\n0\r\n10\r\n38480000\r\n20\r\n2900000\r\n40\r\n2.5\r\n1\r\n").bytes());
        dxf.extend(text);
        dxf.extend(b"\r\n");
    }
    dxf
}

fn ended(mut dxf: Vec<u8>) -> Vec<u8> {
    dxf.extend(b"0\r\nENDSEC\r\n0\r\nEOF\r\n");
    dxf
}

#[tokio::test]
async fn names_in_a_drawing_are_read_by_its_bytes_where_its_head_is_missing_or_wrong() {
    let db = Database::with_sample().await;
    // 周转用地 by the code tables of GBK and UTF-8.
    let gbk: &[u8] = b"\xD6\xDC\xD7\xAA\xD3\xC3\xB5\xD8";
    let utf8: &[u8] = b"\xE5\x91\xA8\xE8\xBD\xAC\xE7\x94\xA8\xE5\x9C\xB0";
    for (name, head, layer, encoding, shown) in [
        ("no head, GBK", None, gbk, "gbk", "周转用地"),
        ("no head, UTF-8", None, utf8, "utf-8", "周转用地"),
        ("R12 without a code page, GBK", Some(("AC1009", None)), gbk, "gbk", "周转用地"),
        ("2000 in ANSI_936", Some(("AC1015", Some("ANSI_936"))), gbk, "gbk", "周转用地"),
        ("2000 with the Western page, GBK all the same", Some(("AC1015", Some("ANSI_1252"))), gbk, "gbk", "周转用地"),
        ("2007 is UTF-8 whatever its page", Some(("AC1021", Some("ANSI_936"))), utf8, "utf-8", "周转用地"),
        (
            "2000 with the Western page, Western",
            Some(("AC1015", Some("ANSI_1252"))),
            b"Gr\xE6s",
            "windows-1252",
            "Græs",
        ),
        ("ASCII", Some(("AC1009", None)), b"PARK", "utf-8", "PARK"),
    ] {
        let note = layer.repeat(100);
        let drawn = drawing(head, layer);
        let with_writing = with_writing(drawn.clone(), &note);
        for (file, skipped) in [(drawn, 0), (with_writing, 3)] {
            let file = files::write("drawing.dxf", ended(file));
            let imported = db
                .import(&file, |request| request.park = ParkCode::parse("G431176").ok())
                .await
                .unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert!(!imported.report.has_errors(), "{name}: {:?}", codes(&imported));
            assert_eq!(imported.report.encoding.as_deref(), Some(encoding), "{name}");
            let stored: String = db
                .value("SELECT attributes ->> 'Layer' FROM park_block WHERE id = 'G431176-1' AND NOT illustrative")
                .await;
            assert_eq!(stored, shown, "{name}");
            let told: u64 =
                imported.report.findings.iter().filter(|f| f.code == "dxf_entity_not_area").map(|_| 1).sum();
            assert_eq!(told, u64::from(skipped > 0), "{name}: points of texts");
        }
    }
}

#[tokio::test]
async fn a_name_that_a_program_cut_loses_half_a_character_and_is_told() {
    let db = Database::with_sample().await;
    let file = files::write("cut.dxf", ended(drawing(Some(("AC1009", Some("ANSI_936"))), b"\xD6\xDC\xD7\xAA\xD3")));
    let imported = db.import(&file, |request| request.park = ParkCode::parse("G431176").ok()).await.expect("imported");
    assert_eq!(codes(&imported).iter().filter(|code| *code == "text_truncated").count(), 1, "{:?}", codes(&imported));
    let stored: String =
        db.value("SELECT attributes ->> 'Layer' FROM park_block WHERE id = 'G431176-1' AND NOT illustrative").await;
    assert_eq!(stored, "周转");
}

#[tokio::test]
async fn the_callers_encoding_goes_before_the_drawings_own() {
    let db = Database::with_sample().await;
    let file = files::write("big5.dxf", ended(drawing(Some(("AC1015", Some("ANSI_936"))), b"\xA5\xCE\xA6a")));
    let read = |encoding: Option<&'static str>| {
        let (db, file) = (&db, &file);
        async move {
            let imported = db.dry_run(file, |request| {
                request.park = ParkCode::parse("G431176").ok();
                request.read.encoding = encoding.map(str::to_owned);
            });
            imported.await.expect("read").report.encoding
        }
    };
    assert_eq!(read(None).await.as_deref(), Some("gbk"));
    assert_eq!(read(Some("big5")).await.as_deref(), Some("big5"));
}
