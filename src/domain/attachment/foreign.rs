//! What a file looks like that is none of the types taken: for the sentence that refuses it.

/// What it looks like by its beginning, in the words of the refusal: what it is, and what to do where that helps.
pub fn by_signature(head: &[u8], tail: &[u8]) -> Option<&'static str> {
    let begins = |mark: &[u8]| head.starts_with(mark);
    let brand = head.get(8..12).unwrap_or_default();
    Some(match head {
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => archive(head, tail),
        _ if begins(b"MZ") => "Windows 程序（EXE、DLL）",
        _ if begins(b"\x7FELF") => "Linux 程序",
        _ if begins(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") => "旧版 Office 文档（.doc、.xls）；请另存为 PDF",
        _ if begins(b"Rar!\x1A\x07") => "RAR 压缩包；请解压后逐个上传",
        _ if begins(b"7z\xBC\xAF\x27\x1C") => "7z 压缩包；请解压后逐个上传",
        _ if begins(b"\x1F\x8B") => "gzip 压缩文件；请解压后上传",
        _ if begins(b"GIF87a") || begins(b"GIF89a") => "GIF 图片；请另存为 PNG 或 JPEG",
        _ if begins(b"BM")
            && head.get(14..18).is_some_and(|size| matches!(size, [12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])) =>
        {
            "BMP 图片；请另存为 PNG 或 JPEG"
        }
        _ if begins(b"AC10") => "DWG 图纸；请打印为 PDF",
        _ if begins(b"II\x2B\x00") || begins(b"MM\x00\x2B") => "BigTIFF 图片；请另存为普通 TIFF 或 PDF",
        _ if head.get(4..8) == Some(b"ftyp")
            && matches!(brand, b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" | b"avif") =>
        {
            "HEIC 或 AVIF 图片；请在手机上改存为 JPEG"
        }
        _ if head.get(4..8) == Some(b"ftyp") => "视频（MP4、MOV）",
        _ if begins(b"{\\rtf") => "RTF 文档；请另存为 PDF",
        _ if begins(b"#!") => "脚本",
        _ => return markup(head),
    })
}

/// What is inside tells documents from other archives: the names of its entries stand at its beginning and at its end.
fn archive(head: &[u8], tail: &[u8]) -> &'static str {
    let holds = |name: &[u8]| contains(head, name) || contains(tail, name);
    if holds(b"OFD.xml") {
        "OFD 版式文件；请转换为 PDF"
    } else if holds(b"word/") {
        "Word 文档（.docx）；请另存为 PDF"
    } else if holds(b"xl/") {
        "Excel 表格（.xlsx）；请另存为 PDF"
    } else if holds(b"ppt/") {
        "演示文稿（.pptx）；请另存为 PDF"
    } else {
        "ZIP 压缩包；请解压后逐个上传"
    }
}

fn markup(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    if !text.starts_with(b"<") {
        return None;
    }
    let small = text.to_ascii_lowercase();
    Some(if contains(&small, b"<svg") {
        "SVG 图形；请另存为 PNG 或 PDF"
    } else if contains(&small, b"<html") || contains(&small, b"<!doctype html") || contains(&small, b"<script") {
        "网页（HTML）；请打印为 PDF"
    } else {
        "XML 文件"
    })
}

/// What nothing else is known of: text, or nothing that has a name here.
pub fn by_content(head: &[u8]) -> &'static str {
    // The head may end inside a character.
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(fault) if fault.error_len().is_none() => std::str::from_utf8(&head[..fault.valid_up_to()]).ok(),
        Err(_) => None,
    };
    match text {
        Some(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) => {
            "文字文件；请打印为 PDF"
        }
        _ => "无法识别的文件，或文件已损坏",
    }
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

/// Where `part` stands first.
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
