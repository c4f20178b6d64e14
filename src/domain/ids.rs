//! Identifiers, checked when parsed: park codes, division codes, block ids.

use std::fmt;

/// Code of a park in the national catalogue: `G` or `S`, two digits province, one digit type, three digits serial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkCode(String);

/// Six-digit administrative division code (GB/T 2260): two digits province, two prefecture, two county.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DivisionCode(String);

/// Id of a block (区块): park code, a hyphen, the block's number inside its park, e.g. `G431176-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    park: ParkCode,
    number: String,
}

/// Why a text is not an identifier: one Chinese sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IdError(pub String);

impl ParkCode {
    /// Parses a code; surrounding blanks are dropped, lower-case and full-width letters and digits accepted.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let code: String = text.trim().chars().map(to_half_width).collect::<String>().to_ascii_uppercase();
        let bytes = code.as_bytes();
        if bytes.len() == 7 && matches!(bytes[0], b'G' | b'S') && bytes[1..].iter().all(u8::is_ascii_digit) {
            Ok(Self(code))
        } else {
            Err(IdError(format!(
                "园区代码“{}”不合规则：应为 G（国家级）或 S（省级）加 6 位数字，例如 G431176",
                shorten(text)
            )))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a park approved by the State Council (国家级), false for one approved by the province (省级).
    pub fn is_national(&self) -> bool {
        self.0.starts_with('G')
    }

    /// The two province digits, `43` for Hunan.
    pub fn province(&self) -> &str {
        &self.0[1..3]
    }

    /// The type digit: 1 经开区, 2 高新区, 3 海关特殊监管区域, 7–9 provincial kinds.
    pub fn type_digit(&self) -> char {
        char::from(self.0.as_bytes()[3])
    }
}

impl DivisionCode {
    /// Parses a six-digit code; surrounding blanks are dropped, full-width digits accepted.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let code: String = text.trim().chars().map(to_half_width).collect();
        if code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()) && !code.starts_with('0') {
            Ok(Self(code))
        } else {
            Err(IdError(format!("行政区划代码“{}”不合规则：应为 6 位数字，例如 430100", shorten(text))))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_province(&self) -> bool {
        self.0.ends_with("0000")
    }

    pub fn is_prefecture(&self) -> bool {
        self.0.ends_with("00") && !self.is_province()
    }

    pub fn is_county(&self) -> bool {
        !self.0.ends_with("00")
    }

    /// The significant leading digits: `43`, `4301` or `430102`. A jurisdiction is such a prefix.
    pub fn prefix(&self) -> &str {
        if self.is_province() {
            &self.0[..2]
        } else if self.is_prefecture() {
            &self.0[..4]
        } else {
            &self.0
        }
    }
}

impl BlockId {
    /// Builds the id from its two halves. The number is what the paper calls the block: 1–64 characters, no blanks,
    /// no control characters, no slash (it is a path segment of a URL).
    pub fn new(park: ParkCode, number: &str) -> Result<Self, IdError> {
        let number = number.trim();
        let length = number.chars().count();
        let bad = number.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '/');
        if length == 0 || length > 64 || bad.is_some() {
            return Err(IdError(format!(
                "区块编号“{}”不合规则：1 至 64 个字符，不含空格、控制字符和斜杠",
                shorten(number)
            )));
        }
        Ok(Self { park, number: number.to_owned() })
    }

    /// Parses `G431176-1`: everything behind the first hyphen is the block's number.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.trim().split_once('-') {
            Some((park, number)) => Self::new(ParkCode::parse(park)?, number),
            None => {
                Err(IdError(format!("区块标识“{}”不合规则：应为 园区代码-区块编号，例如 G431176-1", shorten(text))))
            }
        }
    }

    pub fn park(&self) -> &ParkCode {
        &self.park
    }

    pub fn number(&self) -> &str {
        &self.number
    }
}

impl fmt::Display for ParkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DivisionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.park, self.number)
    }
}

/// Full-width ASCII (U+FF01–FF5E) to its half-width twin.
fn to_half_width(c: char) -> char {
    match u32::from(c) {
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

/// At most 40 characters of a client's text, for quoting it back.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if short.len() < text.len() && text.chars().count() > 40 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn park_codes() {
        for (text, expected) in [
            ("G431176", Some("G431176")),
            (" s437001 ", Some("S437001")),
            ("Ｇ４３１１７６", Some("G431176")),
            ("X431176", None),
            ("G43117", None),
            ("G4311760", None),
            ("G43117a", None),
            ("", None),
            ("G431١76", None),
        ] {
            assert_eq!(ParkCode::parse(text).ok().as_ref().map(ParkCode::as_str), expected, "{text}");
        }
        let code = ParkCode::parse("G431176").expect("code");
        assert!(code.is_national());
        assert_eq!((code.province(), code.type_digit()), ("43", '1'));
        let message = ParkCode::parse(&"长".repeat(500)).expect_err("too long").to_string();
        assert!(message.chars().count() < 120, "a client's text is quoted in short: {message}");
    }

    #[test]
    fn division_codes_and_their_prefixes() {
        let prefix = |text: &str| DivisionCode::parse(text).ok().map(|c| c.prefix().to_owned());
        assert_eq!(prefix("430000").as_deref(), Some("43"));
        assert_eq!(prefix("430100").as_deref(), Some("4301"));
        assert_eq!(prefix("430102").as_deref(), Some("430102"));
        assert_eq!(prefix("４３０１０２").as_deref(), Some("430102"));
        for bad in ["43010", "4301020", "043010", "43010x", ""] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
    }

    #[test]
    fn block_ids() {
        let id = BlockId::parse("G431176-XJ-2026-001").expect("id");
        assert_eq!(
            (id.park().as_str(), id.number(), id.to_string().as_str()),
            ("G431176", "XJ-2026-001", "G431176-XJ-2026-001")
        );
        assert_eq!(BlockId::parse("G431176-一号").expect("Chinese").number(), "一号");
        for bad in ["G431176", "G431176-", "G431176-a b", "G431176-a/b", "1-1", ""] {
            assert!(BlockId::parse(bad).is_err(), "{bad}");
        }
    }
}
