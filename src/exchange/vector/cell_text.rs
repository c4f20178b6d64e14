//! Texts in bytes that may be in any encoding, a DBF's and a drawing's: which one, by the caller, the file's own word (the .cpg,
//! the code page byte, the drawing's head), or the bytes themselves.

use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_1252};

use crate::domain::{Finding, Place};

/// What a file says of its encoding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// A name: the content of the .cpg, or by the head of a drawing.
    pub name: Option<String>,
    /// Byte 29 of the .dbf (LDID).
    pub code_page: Option<u8>,
}

/// An encoding and the name that reports show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub encoding: &'static Encoding,
    pub name: &'static str,
}

pub(super) const UTF8: Chosen = Chosen { encoding: UTF_8, name: "utf-8" };
pub(super) const WESTERN: Chosen = Chosen { encoding: WINDOWS_1252, name: "windows-1252" };
pub(super) const GBK: Chosen = Chosen { encoding: GB18030, name: "gbk" };

/// An encoding by the names and numbers that .cpg files and people use.
pub(super) fn by_label(label: &str) -> Option<Chosen> {
    let plain = label.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    let digits: String = plain.chars().filter(char::is_ascii_digit).collect();
    let encoding = match digits.as_str() {
        "65001" => UTF_8,
        "936" | "2312" => GB18030,
        "54936" | "18030" => GB18030,
        "950" => BIG5,
        "932" => SHIFT_JIS,
        "949" => EUC_KR,
        "874" | "1250" | "1251" | "1253" | "1254" | "1255" | "1256" | "1257" | "1258" => {
            Encoding::for_label(format!("windows-{digits}").as_bytes())?
        }
        "1252" | "88591" => WINDOWS_1252,
        _ => Encoding::for_label(plain.as_bytes())?,
    };
    let name = match encoding.name() {
        "UTF-8" => "utf-8",
        "GBK" | "gb18030" if plain.contains("18030") || digits == "54936" => "gb18030",
        "GBK" | "gb18030" => return Some(GBK),
        "Big5" => "big5",
        "windows-1252" => "windows-1252",
        other => other,
    };
    Some(Chosen { encoding, name })
}

/// Decides the encoding of all texts together. Without a word from anybody: UTF-8 if every text is, else GBK, which
/// is what Chinese programs write without saying so.
pub fn choose<'a>(
    asked: Option<&str>,
    declared: &Declared,
    texts: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(Chosen, Vec<Finding>), Finding> {
    if let Some(label) = asked {
        let unknown = || {
            Finding::error(
                "encoding_unknown",
                Place::whole(),
                format!("不认识编码“{label}”；常用的有 utf-8、gbk、gb18030"),
            )
        };
        return by_label(label).map(|chosen| (chosen, Vec::new())).ok_or_else(unknown);
    }
    let whole = |chosen: Chosen| texts.clone().all(|t| decodes(chosen, t));
    let mut findings = Vec::new();
    if let Some(label) = declared.name.as_deref().filter(|l| !l.trim().is_empty()) {
        match by_label(label) {
            Some(chosen) if whole(chosen) && !is_hardly(chosen, texts.clone()) => return Ok((chosen, findings)),
            _ => findings.push(Finding::warning(
                "encoding_contradicts_declaration",
                Place::whole(),
                format!(
                    "文件声明的编码“{}”读不出其中的文字，改按内容判断",
                    label.trim().chars().take(30).collect::<String>()
                ),
            )),
        }
    }
    let by_page = match declared.code_page {
        Some(0x4D) => Some(GBK),
        Some(0x4F) => Some(Chosen { encoding: BIG5, name: "big5" }),
        // Western programs; Chinese ones also write 0x03 and mean GBK.
        Some(0x03 | 0x58 | 0x59) if looks_western(texts.clone()) => Some(WESTERN),
        _ => None,
    };
    if let Some(chosen) = by_page.filter(|c| whole(*c)) {
        return Ok((if surely_utf8(texts) { UTF8 } else { chosen }, findings));
    }
    if plausibly_utf8(texts.clone()) {
        if surely_utf8(texts.clone()) || texts.clone().all(<[u8]>::is_ascii) || !whole(GBK) {
            return Ok((UTF8, findings));
        }
        // Pairs of bytes that are accented letters in UTF-8 and characters in GBK: 目 or Ŀ. Letters stand in words.
        let chosen = if in_words(texts) { UTF8 } else { GBK };
        findings.push(Finding::warning(
            "encoding_guessed",
            Place::whole(),
            format!(
                "文件没有可信的编码说明，文字按 UTF-8 和 GBK 都读得通，按 {} 读取；不对时请指定编码（encoding）",
                chosen.name
            ),
        ));
        return Ok((chosen, findings));
    }
    if looks_western(texts.clone()) {
        findings.push(Finding::warning(
            "encoding_guessed",
            Place::whole(),
            "文件没有可信的编码说明，文字像是西欧字母，按 windows-1252 读取；不对时请指定编码（encoding）",
        ));
        return Ok((WESTERN, findings));
    }
    let big5 = Chosen { encoding: BIG5, name: "big5" };
    if whole(big5) && texts.clone().any(|t| is_private(GBK, t)) && !texts.clone().any(|t| is_private(big5, t)) {
        findings.push(Finding::warning(
            "encoding_guessed",
            Place::whole(),
            "文件没有可信的编码说明，文字按 GBK 读不成字，按 big5 读取；不对时请指定编码（encoding）",
        ));
        return Ok((big5, findings));
    }
    if whole(GBK) {
        return Ok((GBK, findings));
    }
    Err(Finding::error(
        "encoding_undecodable",
        Place::whole(),
        "属性文字既不是 UTF-8 也不是 GBK 编码；请指定编码（encoding），或另存为 UTF-8",
    ))
}

/// A Western encoding said of texts that are none: it decodes whatever there is, and programs write it without having been asked.
fn is_hardly<'a>(chosen: Chosen, texts: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
    let is_western = [WINDOWS_1252, ISO_8859_15].contains(&chosen.encoding);
    is_western && !texts.clone().all(<[u8]>::is_ascii) && !looks_western(texts)
}

/// Whether a text decodes to characters that the standard leaves to its users, as Big5 read as GBK does.
fn is_private(chosen: Chosen, text: &[u8]) -> bool {
    decode(chosen, text).is_some_and(|(text, _)| text.contains(|c| ('\u{E000}'..='\u{F8FF}').contains(&c)))
}

/// Valid UTF-8 with a character of three bytes or more in it, which GBK text hardly ever is by accident.
fn surely_utf8<'a>(texts: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut wide = false;
    for text in texts {
        let Some((text, _)) = decode(UTF8, text) else { return false };
        wide |= text.chars().any(|c| c >= '\u{800}');
    }
    wide
}

/// True where most runs of other than ASCII bytes touch an ASCII letter, as accented letters do.
fn in_words<'a>(texts: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut touching, mut apart) = (0_usize, 0_usize);
    for text in texts {
        for (at, byte) in text.iter().enumerate() {
            let begins = !byte.is_ascii() && (at == 0 || text[at - 1].is_ascii());
            if begins {
                let end = text[at..].iter().position(u8::is_ascii).map_or(text.len(), |n| at + n);
                let letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
                let touches = letter(at.checked_sub(1).and_then(|i| text.get(i))) || letter(text.get(end));
                if touches { touching += 1 } else { apart += 1 }
            }
        }
    }
    touching > apart
}

/// Valid UTF-8 of plausible characters: 一 in GBK is the Cyrillic letter һ in UTF-8, so two-byte characters count as UTF-8
/// only where they are Latin letters.
fn plausibly_utf8<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> bool {
    let plausible = |c: char| c.is_ascii() || c >= '\u{800}' || ('\u{C0}'..='\u{17F}').contains(&c);
    texts.all(|text| decode(UTF8, text).is_some_and(|(text, _)| text.chars().all(plausible)))
}

/// Accented letters stand one by one between ASCII letters; Chinese characters come in runs of bytes. GBK would read
/// `Græs` as a rare character without complaint, so the runs are counted.
fn looks_western<'a>(texts: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut alone, mut runs) = (0_usize, 0_usize);
    for text in texts {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|b| !b.is_ascii()) {
            rest = &rest[at..];
            // Rare characters of GB18030 have four bytes, two of them digits.
            if let [0x81..=0xFE, b'0'..=b'9', 0x81..=0xFE, b'0'..=b'9', after @ ..] = rest {
                (rest, runs) = (after, runs + 1);
                continue;
            }
            let length = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
            if length == 1 {
                alone += 1
            } else {
                runs += 1
            }
            rest = &rest[length..];
        }
    }
    alone > runs
}

fn decodes(chosen: Chosen, text: &[u8]) -> bool {
    strict(chosen, text).is_some() || cut(chosen, text).is_some()
}

pub(super) fn strict(chosen: Chosen, text: &[u8]) -> Option<String> {
    chosen.encoding.decode_without_bom_handling_and_without_replacement(text).map(|t| t.into_owned())
}

/// The text without the half character at its end: DBF cells have a width in bytes and programs cut them there. Only a
/// character that was begun and not finished is dropped, never a wrong byte.
fn cut(chosen: Chosen, text: &[u8]) -> Option<String> {
    let longest = if chosen.encoding == UTF_8 { 3 } else { 1 };
    (1..=longest).filter(|n| *n < text.len()).find_map(|n| {
        let (kept, rest) = text.split_at(text.len() - n);
        let wanted = match rest[0] {
            lead if chosen.encoding != UTF_8 => usize::from(lead >= 0x81) * 2,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        let begun = n < wanted && rest[1..].iter().all(|b| (0x80..=0xBF).contains(b));
        begun.then(|| strict(chosen, kept)).flatten()
    })
}

/// The decoded text, and whether a half character was dropped from its end; `None` where it does not decode.
pub fn decode(chosen: Chosen, text: &[u8]) -> Option<(String, bool)> {
    strict(chosen, text).map(|t| (t, false)).or_else(|| cut(chosen, text).map(|t| (t, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHINESE_GBK: &[u8] = &[0xD6, 0xD0, 0xB9, 0xFA]; // 中国
    const CAFE_1252: &[u8] = b"caf\xE9 bleu";

    fn chosen(asked: Option<&str>, cpg: Option<&str>, page: Option<u8>, texts: &[&[u8]]) -> (String, Vec<String>) {
        let declared = Declared { name: cpg.map(str::to_owned), code_page: page };
        match choose(asked, &declared, texts.iter().copied()) {
            Ok((chosen, findings)) => {
                (chosen.name.to_owned(), findings.into_iter().map(|f| f.code.into_owned()).collect())
            }
            Err(finding) => (finding.code.into_owned(), Vec::new()),
        }
    }

    #[test]
    fn who_decides_the_encoding() {
        let utf8 = "中国".as_bytes();
        let none = Vec::<String>::new;
        let contradicted = || vec!["encoding_contradicts_declaration".to_owned()];
        for (name, asked, cpg, page, texts, expected) in [
            ("nothing said, ASCII", None, None, None, vec![b"abc".as_slice()], ("utf-8", none())),
            ("nothing said, UTF-8", None, None, Some(0), vec![utf8], ("utf-8", none())),
            ("nothing said, GBK", None, None, Some(0), vec![CHINESE_GBK], ("gbk", none())),
            ("a lone 一 in GBK", None, None, None, vec![b"\xD2\xBB".as_slice()], ("gbk", none())),
            // 目 and 模 are Ŀ and ģ in UTF-8.
            (
                "目 and 模 in GBK",
                None,
                None,
                None,
                vec![b"\xC4\xBF", b"\xC4\xA3".as_slice()],
                ("gbk", vec!["encoding_guessed".to_owned()]),
            ),
            (
                "words with accents",
                None,
                None,
                None,
                vec!["Ærø".as_bytes(), "Łódź".as_bytes()],
                ("utf-8", vec!["encoding_guessed".to_owned()]),
            ),
            (
                "Danish in UTF-8",
                None,
                None,
                Some(0x57),
                vec!["Østergård".as_bytes()],
                ("utf-8", vec!["encoding_guessed".to_owned()]),
            ),
            ("code page GBK, UTF-8 all the same", None, None, Some(0x4D), vec![utf8], ("utf-8", none())),
            ("ArcGIS' 0x57 with GBK", None, None, Some(0x57), vec![CHINESE_GBK], ("gbk", none())),
            ("code page GBK", None, None, Some(0x4D), vec![CHINESE_GBK], ("gbk", none())),
            (
                "nothing said, Western",
                None,
                None,
                Some(0x57),
                vec![b"Gr\xE6s".as_slice(), b"kl\xF8ver"],
                ("windows-1252", vec!["encoding_guessed".to_owned()]),
            ),
            ("code page 1252", None, None, Some(0x03), vec![CAFE_1252], ("windows-1252", none())),
            ("code page 1252, Chinese all the same", None, None, Some(0x03), vec![CHINESE_GBK], ("gbk", none())),
            (".cpg GBK", None, Some("GBK"), None, vec![CHINESE_GBK], ("gbk", none())),
            (".cpg number", None, Some("936\r\n"), None, vec![CHINESE_GBK], ("gbk", none())),
            (".cpg ANSI 936", None, Some("ANSI 936"), None, vec![CHINESE_GBK], ("gbk", none())),
            (
                ".cpg Latin-1, Chinese all the same",
                None,
                Some("ISO-8859-1"),
                Some(0x4D),
                vec![CHINESE_GBK],
                ("gbk", contradicted()),
            ),
            (".cpg ASCII, Chinese all the same", None, Some("ASCII"), None, vec![CHINESE_GBK], ("gbk", contradicted())),
            (
                ".cpg Latin-9, Chinese all the same",
                None,
                Some("ISO-8859-15"),
                None,
                vec![CHINESE_GBK],
                ("gbk", contradicted()),
            ),
            (".cpg Latin-1 and it is", None, Some("ISO-8859-1"), None, vec![CAFE_1252], ("windows-1252", none())),
            (".cpg Latin-1, ASCII", None, Some("ISO-8859-1"), None, vec![b"abc".as_slice()], ("windows-1252", none())),
            // 㟃 and 𠮷 by the standard's table: four bytes, two of them digits.
            (
                "rare characters",
                None,
                None,
                None,
                vec![b"\x82\x30\xD0\x37".as_slice(), b"\x95\x34\xB2\x35"],
                ("gbk", none()),
            ),
            (
                "中文上 in Big5",
                None,
                None,
                None,
                vec![b"\xA4\xA4\xA4\xE5\xA4\x57".as_slice()],
                ("big5", vec!["encoding_guessed".to_owned()]),
            ),
            (".cpg UTF-8 and it is", None, Some("UTF-8"), Some(0x4D), vec![utf8], ("utf-8", none())),
            (".cpg UTF-8 and it is not", None, Some("UTF-8"), None, vec![CHINESE_GBK], ("gbk", contradicted())),
            (".cpg nonsense", None, Some("klingon"), None, vec![CHINESE_GBK], ("gbk", contradicted())),
            ("the caller", Some("gb18030"), Some("UTF-8"), None, vec![CHINESE_GBK], ("gb18030", none())),
            ("the caller's nonsense", Some("klingon"), None, None, vec![CHINESE_GBK], ("encoding_unknown", none())),
            ("neither", None, None, None, vec![b"a\xFFb".as_slice(), CHINESE_GBK], ("encoding_undecodable", none())),
        ] {
            assert_eq!(chosen(asked, cpg, page, &texts), (expected.0.to_owned(), expected.1), "{name}");
        }
    }

    #[test]
    fn a_half_character_at_the_end_is_dropped_and_told() {
        assert_eq!(decode(GBK, CHINESE_GBK), Some(("中国".into(), false)));
        assert_eq!(decode(GBK, &CHINESE_GBK[..3]), Some(("中".into(), true)));
        assert_eq!(decode(UTF8, &"中国".as_bytes()[..4]), Some(("中".into(), true)));
        assert_eq!(decode(UTF8, b"a\xFFb"), None);
    }
}
