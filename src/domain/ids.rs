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
