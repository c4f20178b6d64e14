//! Texts of a drawing (DXF): GDAL is made to hand them on byte by byte, and what its head says of them is often missing or wrong.

use super::cell_text::{Chosen, WESTERN, by_label, decode, strict};

/// The bytes behind a name in a drawing, which GDAL is made to read as ISO 8859-1, byte by byte. (In what is written there, a program
/// may have escaped characters, `\U+5468`: those are more than a byte, whatever the encoding of the rest.)
pub fn drawing_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect())
}

/// A text of a drawing, decoded like [`decode`]; `None` where it does not decode. (R12 cuts names at 31 bytes.)
pub fn decode_drawing(chosen: Chosen, text: &[u8]) -> Option<(String, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut decoded = String::with_capacity(text.len());
    let mut run = Vec::new();
    for c in text.chars() {
        match u8::try_from(u32::from(c)) {
            Ok(byte) => run.push(byte),
            Err(_) => {
                decoded += &strict(chosen, &run)?;
                run.clear();
                decoded.push(c);
            }
        }
    }
    let (rest, cut) = decode(chosen, &run)?;
    decoded += &rest;
    Some((decoded, cut))
}

/// The encoding that the head of a drawing tells: UTF-8 since the format of 2007, whatever it says of code pages; before that the
/// code page. None for the Western one, which programs write without having been asked.
pub fn of_drawing(head: &[u8]) -> Option<String> {
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let (mut version, mut page) = (None, None);
    while let Some(line) = lines.next() {
        match line {
            b"$ACADVER" => version = lines.nth(1),
            b"$DWGCODEPAGE" => page = lines.nth(1),
            b"ENDSEC" => break,
            _ => {}
        }
    }
    if version.is_some_and(|v| v.starts_with(b"AC") && v >= b"AC1021".as_slice()) {
        return Some("utf-8".to_owned());
    }
    let page = String::from_utf8_lossy(page?).into_owned();
    by_label(&page).filter(|chosen| *chosen != WESTERN).map(|_| page)
}

#[cfg(test)]
mod tests {
    use super::super::cell_text::{GBK, UTF8};
    use super::*;

    const CHINESE_GBK: &[u8] = &[0xD6, 0xD0, 0xB9, 0xFA]; // 中国

    #[test]
    fn what_the_head_of_a_drawing_says() {
        let head = |version: &str, page: &str| {
            format!(
                "  0\r\nSECTION\r\n  9\r\n$ACADVER\r\n  1\r\n{version}\r\n  9\r\n$DWGCODEPAGE\r\n  3\r\n{page}\r\n  0\r\nENDSEC\r\n"
            )
        };
        for (version, page, expected) in [
            ("AC1009", "ANSI_936", Some("ANSI_936")),
            ("AC1018", "ansi_936", Some("ansi_936")),
            ("AC1015", "ANSI_950", Some("ANSI_950")),
            ("AC1015", "ANSI_1251", Some("ANSI_1251")),
            ("AC1015", "ANSI_1252", None),
            ("AC1015", "klingon", None),
            ("AC1021", "ANSI_936", Some("utf-8")),
            ("AC1032", "ANSI_1252", Some("utf-8")),
        ] {
            assert_eq!(of_drawing(head(version, page).as_bytes()).as_deref(), expected, "{version} {page}");
        }
        assert_eq!(of_drawing(b""), None);
        assert_eq!(of_drawing(b"9\n$DWGCODEPAGE"), None, "cut off");
        assert_eq!(of_drawing(b"0\nENDSEC\n9\n$DWGCODEPAGE\n3\nANSI_936\n"), None, "behind the head");
    }

    #[test]
    fn texts_of_a_drawing_byte_by_byte_and_escaped() {
        let as_gdal_gives = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
        let plain = as_gdal_gives(CHINESE_GBK);
        assert_eq!(drawing_bytes(plain.as_bytes()).as_deref(), Some(CHINESE_GBK));
        assert_eq!(decode_drawing(GBK, plain.as_bytes()), Some(("中国".into(), false)));
        let cut = as_gdal_gives(&CHINESE_GBK[..3]);
        assert_eq!(decode_drawing(GBK, cut.as_bytes()), Some(("中".into(), true)));
        let escaped = format!("{plain}湘{plain}");
        assert_eq!(decode_drawing(GBK, escaped.as_bytes()), Some(("中国湘中国".into(), false)));
        assert_eq!(decode_drawing(UTF8, plain.as_bytes()), None);
    }
}
