//! `Division` (行政区划): a unit of the province, or a code that people paste for one.

use geo::MultiPolygon;

use super::DivisionCode;

/// One administrative division.
#[derive(Debug, Clone, PartialEq)]
pub struct Division {
    pub code: DivisionCode,
    pub name: String,
    pub level: DivisionLevel,
    pub parent: Option<DivisionCode>,
    /// The real unit that a statistical or superseded code stands for.
    pub maps_to: Option<DivisionCode>,
    pub note: Option<String>,
    pub source: String,
    pub outline: Option<MultiPolygon<f64>>,
}

/// The rank of a division; statistical and superseded codes are accepted as input only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DivisionLevel {
    Province,
    Prefecture,
    County,
    Statistical,
    Superseded,
}

impl DivisionLevel {
    pub const ALL: [DivisionLevel; 5] = [
        DivisionLevel::Province,
        DivisionLevel::Prefecture,
        DivisionLevel::County,
        DivisionLevel::Statistical,
        DivisionLevel::Superseded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DivisionLevel::Province => "province",
            DivisionLevel::Prefecture => "prefecture",
            DivisionLevel::County => "county",
            DivisionLevel::Statistical => "statistical",
            DivisionLevel::Superseded => "superseded",
        }
    }

    /// 省, 市州, 县区, 统计用代码, 已停用代码.
    pub fn label(self) -> &'static str {
        match self {
            DivisionLevel::Province => "省",
            DivisionLevel::Prefecture => "市州",
            DivisionLevel::County => "县区",
            DivisionLevel::Statistical => "统计用代码",
            DivisionLevel::Superseded => "已停用代码",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}
