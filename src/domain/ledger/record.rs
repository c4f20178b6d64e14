//! A parcel (地块) of a ledger, and the identifiers of records.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use geo::MultiPolygon;
use unicode_normalization::UnicodeNormalization as _;

use super::field::FieldValue;
use super::{Ledger, Step};
use crate::domain::ids::IdError;
use crate::domain::text::misleads;
use crate::domain::{DivisionCode, SquareMetres};

/// Id of a record: the division that numbered it, a hyphen, the number on paper (地块编号, 方案编号). Numbers are unique in a bureau,
/// not in a province. The division stays in the id where the land later comes under another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    division: DivisionCode,
    number: String,
}

impl RecordId {
    /// The number is 1–64 characters without blanks, control characters and slashes (it is a path segment of a URL).
    pub fn new(division: DivisionCode, number: &str) -> Result<Self, IdError> {
        // Composed, as every text is stored: é in one letter and in two is one number.
        let number: String = number.trim().nfc().collect();
        let length = number.chars().count();
        let bad = number.chars().any(|c| c.is_whitespace() || misleads(c) || c == '/');
        // `.` and `..` are no path segments but directions.
        if length == 0 || length > 64 || bad || number.chars().all(|c| c == '.') {
            let shown: String = number.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(IdError(format!("编号“{shown}”不合规则：1 至 64 个字符，不含空格、控制字符和斜杠")));
        }
        Ok(Self { division, number })
    }

    /// Parses `430121-XJ-001`: everything behind the first hyphen is the number.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.trim().split_once('-') {
            Some((division, number)) => Self::new(DivisionCode::parse(division)?, number),
            None => {
                let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
                Err(IdError(format!("标识“{shown}”不合规则：应为 县区代码-编号，例如 430121-XJ-001")))
            }
        }
    }

    pub fn division(&self) -> &DivisionCode {
        &self.division
    }

    pub fn number(&self) -> &str {
        &self.number
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.division, self.number)
    }
}

/// Where a parcel lies, by its geometry.
#[derive(Debug, Clone, PartialEq)]
pub struct Where {
    pub park: String,
    pub block: String,
    /// Share of the parcel that lies in the block, 0 to 1.
    pub share: f64,
}

/// A record of one of the two parcel ledgers, as a file or a client brings it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    pub ledger: Ledger,
    pub id: RecordId,
    /// The county whose land it is: decides who may see it.
    pub county: DivisionCode,
    pub name: Option<String>,
    /// Longitude, latitude in EPSG:4490; ring start and direction as in the source.
    pub boundary: MultiPolygon<f64>,
    /// Ellipsoidal (椭球面积), unrounded.
    pub area: SquareMetres,
    /// Of the paper (标注面积), beside the computed one.
    pub stated_area: Option<SquareMetres>,
    /// `None` where the paper does not say.
    pub standing: Option<Step>,
    /// The day it came to stand so, where the paper says.
    pub since: Option<NaiveDate>,
    /// The park on paper: verbatim, and the code that it means.
    pub stated_park: Option<String>,
    pub stated_park_code: Option<String>,
    pub fields: BTreeMap<&'static str, FieldValue>,
    pub illustrative: bool,
    pub source: String,
    pub source_crs: Option<String>,
    /// What the file said beyond our own columns.
    pub attributes: Vec<(String, String)>,
}

impl Parcel {
    pub fn date(&self, field: &str) -> Option<NaiveDate> {
        match self.fields.get(field) {
            Some(FieldValue::Date(day)) => Some(*day),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_division_that_numbered() {
        let id = RecordId::parse("430121-XJ-2026-001").expect("id");
        assert_eq!(
            (id.division().as_str(), id.number(), id.to_string().as_str()),
            ("430121", "XJ-2026-001", "430121-XJ-2026-001")
        );
        assert_eq!(RecordId::parse("430121-一号").expect("Chinese").number(), "一号");
        assert_eq!(RecordId::parse("430121-e\u{301}"), RecordId::parse("430121-é"), "composed");
        assert_eq!(RecordId::parse("430121-\u{f900}").expect("compatibility").number(), "豈");
        for bad in
            ["430121", "430121-", "430121-a b", "430121-a/b", "430121-..", "430121-a\u{202E}b", "43-1", "", "x-1"]
        {
            assert!(RecordId::parse(bad).is_err(), "{bad}");
        }
    }
}
