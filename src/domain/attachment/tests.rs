use super::*;

fn scanned(bytes: &[u8]) -> Result<MediaType, Refusal> {
    let judge = |size: usize| {
        let mut scan = Scan::default();
        bytes.chunks(size).for_each(|piece| scan.feed(piece));
        scan.finish()
    };
    let whole = judge(bytes.len().max(1));
    for size in [1, 2, 3, 7, 4_096] {
        assert_eq!(judge(size), whole, "in pieces of {size}");
    }
    whole
}

fn pdf(end: &str) -> Vec<u8> {
    format!("%PDF-1.7\n1 0 obj\n<<>>\nendobj\n{}trailer\n<<>>\n{end}", "x".repeat(5_000)).into_bytes()
}

/// Start, a segment whose content is `inside`, a scan with a stuffed FF and a restart, the end.
fn jpeg(inside: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xFF\xD8\xFF\xE1".to_vec();
    bytes.extend(u16::try_from(inside.len() + 2).expect("short").to_be_bytes());
    bytes.extend(inside);
    bytes.extend(b"\xFF\xDA\x00\x03\x00\x12\x34\xFF\x00\x56\xFF\xD0\x78\xFF\xD9");
    bytes
}

fn png(end: &[u8]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\0\0\0\0".as_slice(), end].concat()
}

const PNG_END: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";
const ZIP_END: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn files_are_told_by_their_beginning_and_their_end() {
    let prefixed = [b"\x1B%-12345X@PJL\r\n".as_slice(), &pdf("%%EOF")].concat();
    let far = [vec![b' '; 1_100], pdf("%%EOF")].concat();
    let thumbnail = jpeg(b"Exif\0\0\xFF\xD8\xFF\xD9 a picture in a picture");
    let film = [jpeg(b"x"), b"\0\0\0\x18ftypmp42 a film behind it".to_vec()].concat();
    let cut = &thumbnail[..thumbnail.len() - 2];
    let webp = b"RIFF\x0E\0\0\0WEBPVP8L\x01\0\0\0\0\0";
    let tiff = b"MM\0\x2A\0\0\0\x08\0\x01\x01\0\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0";
    let cases: Vec<(&[u8], Result<MediaType, Refusal>)> = vec![
        (b"", Err(Refusal::Empty)),
        (&prefixed, Ok(MediaType::Pdf)),
        (&far, Err(Refusal::Foreign("文字文件；请打印为 PDF"))),
        (cut, Err(Refusal::Incomplete(MediaType::Jpeg))),
        (&thumbnail, Ok(MediaType::Jpeg)),
        (&film, Ok(MediaType::Jpeg)),
        (b"\xFF\xD8\xFF", Err(Refusal::Incomplete(MediaType::Jpeg))),
        (webp, Ok(MediaType::WebP)),
        (&webp[..webp.len() - 1], Err(Refusal::Incomplete(MediaType::WebP))),
        (tiff, Ok(MediaType::Tiff)),
        (&tiff[..20], Err(Refusal::Incomplete(MediaType::Tiff))),
        (b"II\x2A\0\xFF\xFF\xFF\xFF", Err(Refusal::Incomplete(MediaType::Tiff))),
        (b"\x89PNG\r\n\x1A\n", Err(Refusal::Incomplete(MediaType::Png))),
    ];
    for (bytes, expected) in cases {
        assert_eq!(scanned(bytes), expected, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    }
    assert_eq!(scanned(&pdf("startxref\n9\n%%EOF\r\n\0\0\0")), Ok(MediaType::Pdf));
    assert_eq!(scanned(&pdf("startxref\n9\n")), Err(Refusal::Incomplete(MediaType::Pdf)));
    assert_eq!(scanned(&pdf(&format!("%%EOF{}", "y".repeat(3_000)))), Err(Refusal::Incomplete(MediaType::Pdf)));
    assert_eq!(scanned(&png(PNG_END)), Ok(MediaType::Png));
    assert_eq!(scanned(&png(&PNG_END[..8])), Err(Refusal::Incomplete(MediaType::Png)));
}

#[test]
fn an_archive_behind_a_picture_is_refused() {
    let commented = [&ZIP_END[..20], b"\x05\0a not"].concat();
    for (kind, picture) in
        [(MediaType::Pdf, pdf("%%EOF\n")), (MediaType::Jpeg, jpeg(b"x")), (MediaType::Png, png(PNG_END))]
    {
        assert_eq!(scanned(&picture), Ok(kind));
        for end in [ZIP_END, &commented] {
            assert_eq!(scanned(&[&picture, end].concat()), Err(Refusal::Archive(kind)), "{kind}");
        }
        // The four bytes alone are no archive.
        let chance = [picture.as_slice(), b"PK\x05\x06"].concat();
        assert_eq!(scanned(&chance), Ok(kind), "{kind}");
    }
}

#[test]
fn foreign_files_are_named() {
    let bmp = b"BM\x3A\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0";
    for (bytes, expected) in [
        (b"MZ\x90\0".as_slice(), "EXE"),
        (b"\x7FELF\x02\x01", "Linux"),
        (b"PK\x03\x04\x14\0\0\0\0\0 word/document.xml", "Word"),
        (b"PK\x03\x04\x14\0\0\0\0\0 xl/workbook.xml", "Excel"),
        (b"PK\x03\x04\x14\0\0\0\0\0 ppt/slides", "pptx"),
        (b"PK\x03\x04\x14\0\0\0\0\0OFD.xml", "OFD"),
        (b"PK\x03\x04\x14\0\0\0\0\0a.txt", "ZIP"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", ".doc"),
        (b"<!DOCTYPE html><p>%PDF-1.4", "HTML"),
        (b"\xEF\xBB\xBF \n<HTML>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"GIF89a", "GIF"),
        (bmp, "BMP"),
        (b"BMW", "文字"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypisom", "MP4"),
        (b"II\x2B\0", "BigTIFF"),
        (b"AC1027", "DWG"),
        ("四至范围".as_bytes(), "文字"),
        (b"\x01\x02\x03", "无法识别"),
        (b"%PDF-x", "文字"),
        (b"#!/bin/sh\n", "脚本"),
    ] {
        match scanned(bytes) {
            Err(Refusal::Foreign(looks)) => assert!(looks.contains(expected), "{bytes:?}: {looks}"),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
}

#[test]
fn any_bytes_come_to_a_verdict() {
    proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), begin in 0_usize..6)| {
        let signatures: [&[u8]; 6] = [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1A\n", b"RIFF", b"II\x2A\0", b"%PDF-1."];
        let file = [signatures[begin], &bytes].concat();
        let mut scan = Scan::default();
        scan.feed(&file);
        let _ = scan.finish();
    });
}

#[test]
fn names_are_one_line_without_a_path() {
    let longest = "长".repeat(196) + ".pdf";
    for (given, expected) in [
        (" 批文（第1号）.pdf ", Ok("批文（第1号）.pdf")),
        // Two letters that are one in NFC.
        ("cafe\u{0301}.jpg", Ok("café.jpg")),
        ("𠮷野家.png", Ok("𠮷野家.png")),
        ("a\"b;c<script>.pdf", Ok("a\"b;c<script>.pdf")),
        (longest.as_str(), Ok(longest.as_str())),
        ("", Err("不是文件名")),
        ("..", Err("不是文件名")),
        ("a/b.pdf", Err("含有路径")),
        ("a\\b.pdf", Err("含有路径")),
        ("a\u{202E}fdp.exe", Err("含有控制字符或看不见的字符")),
        ("a\u{200B}.pdf", Err("含有控制字符或看不见的字符")),
        ("a\tb.pdf", Err("含有控制字符或看不见的字符")),
        ("a.pdf.", Err("以点结尾")),
        (&("长".repeat(197) + ".pdf"), Err("超过 200 个字符")),
    ] {
        assert_eq!(
            AttachmentName::parse(given).as_ref().map(AttachmentName::as_str),
            expected.as_ref().copied(),
            "{given:?}"
        );
    }
    for (name, extension) in [
        ("照片.JPG", Some("jpg")),
        ("照片.jpg.exe", Some("exe")),
        ("附件1.关于征收的批复", None),
        ("2024.12", None),
        ("批文", None),
        (".pdf", Some("pdf")),
    ] {
        assert_eq!(AttachmentName::parse(name).expect(name).extension().as_deref(), extension, "{name}");
    }
}

#[test]
fn kinds_and_types_are_known_by_their_names() {
    for kind in AttachmentKind::ALL {
        assert_eq!([kind.code(), kind.label()].map(AttachmentKind::parse), [Some(kind), Some(kind)]);
    }
    assert_eq!(AttachmentKind::parse("图片"), None);
    for kind in MediaType::ALL {
        assert_eq!(MediaType::parse(kind.as_str()), Some(kind));
        for said in
            ["", "application/octet-stream", kind.as_str(), &kind.as_str().to_uppercase(), &format!("{kind}; name=x")]
        {
            assert!(kind.agrees_with(said), "{kind}: {said}");
        }
        let others = MediaType::ALL.into_iter().filter(|other| *other != kind);
        assert!(
            others.map(MediaType::as_str).chain(["text/html", "image/svg+xml"]).all(|said| !kind.agrees_with(said))
        );
    }
}
