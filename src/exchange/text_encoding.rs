//! Bytes → text: byte order marks, strict UTF-8, else GB18030; never mojibake in silence.

use encoding_rs::{Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

use super::{ReadOptions, Reading};
use crate::domain::{Finding, Place};

/// A text and the encoding it was in.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub text: String,
    /// `utf-8`, `utf-8-bom`, `gbk`, `gb18030`, `utf-16le`, `utf-16be`.
    pub encoding: String,
}

/// Decodes a whole file. `label` is what the caller knows better (`--encoding`).
pub fn decode(bytes: &[u8], label: Option<&str>) -> Result<Decoded, Finding> {
    if let Some(label) = label {
        return decode_as(bytes, label);
    }
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        return strict(rest, UTF_8, "utf-8-bom");
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFF\xFE") {
        return strict(rest, UTF_16LE, "utf-16le");
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFE\xFF") {
        return strict(rest, UTF_16BE, "utf-16be");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Decoded { text: text.to_owned(), encoding: "utf-8".to_owned() }),
        Err(_) => strict(bytes, GB18030, chinese_name(bytes)),
    }
}

/// Decodes a whole file for its reading, which learns the encoding, or why there is nothing to read.
pub(super) fn decode_whole(bytes: &[u8], options: &ReadOptions, reading: &mut Reading) -> Option<String> {
    match decode(bytes, options.encoding.as_deref()) {
        Ok(decoded) => {
            reading.encoding = Some(decoded.encoding);
            Some(decoded.text)
        }
        Err(finding) => {
            reading.findings.push(finding);
            None
        }
    }
}

/// Decodes with the named encoding; a byte order mark of the same encoding is dropped.
fn decode_as(bytes: &[u8], label: &str) -> Result<Decoded, Finding> {
    let Some(encoding) = Encoding::for_label(label.trim().as_bytes()) else {
        return Err(Finding::error(
            "encoding_unknown",
            Place::whole(),
            format!("不认识编码“{label}”；常用的有 utf-8、gbk、gb18030"),
        ));
    };
    let bom = bytes.starts_with(b"\xEF\xBB\xBF");
    if encoding == UTF_8 {
        return strict(&bytes[if bom { 3 } else { 0 }..], UTF_8, if bom { "utf-8-bom" } else { "utf-8" });
    }
    // GBK files hold four-byte GB18030 characters in practice; the larger encoding reads both.
    if encoding == GBK || encoding == GB18030 {
        return strict(bytes, GB18030, chinese_name(bytes));
    }
    strict(bytes, encoding, &encoding.name().to_ascii_lowercase())
}

/// GBK has two-byte characters only; a four-byte one (second byte a digit) makes it GB18030.
fn chinese_name(bytes: &[u8]) -> &'static str {
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] < 0x81 {
            i += 1;
        } else if bytes.get(i + 1).is_some_and(u8::is_ascii_digit) {
            return "gb18030";
        } else {
            i += 2;
        }
    }
    "gbk"
}

fn strict(bytes: &[u8], encoding: &'static Encoding, name: &str) -> Result<Decoded, Finding> {
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(Decoded { text: text.into_owned(), encoding: name.to_owned() }),
        None => {
            let line = 1 + first_bad(bytes, encoding);
            Err(Finding::error(
                "encoding_undecodable",
                Place::row(line),
                format!(
                    "第 {line} 行起的文字不是有效的 {name} 编码，也不是 UTF-8；请另存为 UTF-8 或 GBK，或指定编码（encoding）"
                ),
            ))
        }
    }
}

/// Lines before the one that does not decode.
fn first_bad(bytes: &[u8], encoding: &'static Encoding) -> u64 {
    let bad = bytes
        .split(|b| *b == b'\n')
        .position(|line| encoding.decode_without_bom_handling_and_without_replacement(line).is_none());
    bad.unwrap_or(0) as u64
}

/// Decodes one short text (a DBF cell, an archive entry's name): UTF-8 if it is, else GB18030, else `None`.
pub fn decode_short(bytes: &[u8]) -> Option<String> {
    decode(bytes, None).ok().map(|d| d.text)
}

/// Characters that must not stand in names: controls, and marks that turn the direction of display.
pub fn has_forbidden_character(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
    })
}

/// Composed form (NFC), as every text is stored.
pub fn compose(text: &str) -> String {
    use unicode_normalization::{UnicodeNormalization, is_nfc};
    if is_nfc(text) { text.to_owned() } else { text.nfc().collect() }
}

/// A cell of a file as it is kept: without blanks around it, composed. Most are so already and stay where they are.
pub fn clean(text: String) -> String {
    let trimmed = text.trim();
    if trimmed.len() == text.len() && unicode_normalization::is_nfc(&text) { text } else { compose(trimmed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        let gbk: &[u8] = &[0xD6, 0xD0, 0xB9, 0xFA]; // 中国 in GBK, by its code table
        let gb18030: &[u8] = &[0x95, 0x32, 0x82, 0x36]; // U+20000 𠀀 in GB18030, by the standard's mapping
        let cases: [(&[u8], &str, &str); 6] = [
            ("中国".as_bytes(), "中国", "utf-8"),
            (b"\xEF\xBB\xBF\xE4\xB8\xAD", "中", "utf-8-bom"),
            (gbk, "中国", "gbk"),
            (gb18030, "\u{20000}", "gb18030"),
            (b"\xFF\xFE\x2D\x4E", "中", "utf-16le"),
            (b"plain", "plain", "utf-8"),
        ];
        for (bytes, text, encoding) in cases {
            assert_eq!(decode(bytes, None), Ok(Decoded { text: text.into(), encoding: encoding.into() }));
        }
        assert_eq!(decode(gbk, Some("GBK")).map(|d| d.text), Ok("中国".into()));
        assert_eq!(decode(gbk, Some("utf-8")).expect_err("no UTF-8").code, "encoding_undecodable");
        assert_eq!(decode(gbk, Some("klingon")).expect_err("no such").code, "encoding_unknown");
        let broken = decode(b"ok\nok\n\xD6\xD0\xFF\xFF\n", None).expect_err("neither");
        assert_eq!((broken.code.as_ref(), broken.place.row), ("encoding_undecodable", Some(3)));
    }

    #[test]
    fn dangerous_characters() {
        for (text, bad) in [("湘江\u{202E}gpj", true), ("a\0b", true), ("行\t列\n", false), ("𠮷林", false)] {
            assert_eq!(has_forbidden_character(text), bad);
        }
        assert_eq!(compose("e\u{301}"), "é");
        for (text, kept) in [("  e\u{301}\n", "é"), ("东至\u{3000}", "东至"), ("湘江", "湘江"), (" \t", "")] {
            assert_eq!(clean(text.to_owned()), kept, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes, None);
            let _ = decode(&bytes, Some("gbk"));
        }
    }
}
