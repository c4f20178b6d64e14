//! `Park` (产业园区) as the directory knows it.

use chrono::NaiveDate;

use super::{DivisionCode, Hectares, ParkCode};

/// A park with an approved boundary.
#[derive(Debug, Clone, PartialEq)]
pub struct Park {
    pub code: ParkCode,
    pub name: String,
    pub aliases: Vec<String>,
    /// The catalogue's own words for the kind: 经济技术开发区, 省级工业园区及其他, …
    pub kind: String,
    pub prefecture: DivisionCode,
    pub counties: Vec<DivisionCode>,
    /// 主导产业, usually three.
    pub leading_industries: Vec<String>,
    /// 批准时间 as printed, `2014.02`.
    pub approved_text: Option<String>,
    /// First day of the approval month.
    pub approved_on: Option<NaiveDate>,
    /// 核准面积 of the approving document.
    pub approved_area: Option<Hectares>,
    pub source: String,
}

impl Park {
    /// Approved by the State Council.
    pub fn is_national(&self) -> bool {
        self.code.is_national()
    }

    /// 国家级 or 省级, which the code says.
    pub fn level(&self) -> &'static str {
        if self.code.is_national() { "国家级" } else { "省级" }
    }
}
