//! A set of criteria as it holds once it is checked.

use super::Measure;
use super::decimal::Decimal;
use super::unit::Unit;
use crate::domain::DivisionCode;

/// The criteria of one division for one year, by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct CriteriaSet {
    pub division: DivisionCode,
    pub year: i32,
    pub criteria: Vec<Criterion>,
}

impl CriteriaSet {
    /// The divisions whose sets may apply to land of this county, the nearest first.
    pub fn divisions_for(county: &DivisionCode) -> Vec<DivisionCode> {
        let above = [format!("{}00", &county.as_str()[..4]), format!("{}0000", &county.as_str()[..2])];
        let mut nearest = vec![county.clone()];
        for code in above.iter().filter_map(|code| DivisionCode::parse(code).ok()) {
            if !nearest.contains(&code) {
                nearest.push(code);
            }
        }
        nearest
    }
}

/// One test (标准).
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    /// 编号 in the set.
    pub number: i32,
    pub title: String,
    /// 低效类型 that it speaks of.
    pub kind: &'static str,
    /// Criteria of one group are joined; without one it stands alone.
    pub group: Option<String>,
    pub combination: Combination,
    pub measure: Measure,
    pub comparison: Comparison,
    pub threshold: Threshold,
    /// 依据文号.
    pub document: Option<String>,
    pub note: Option<String>,
}

/// How the criteria of a group are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    Any,
    All,
}

impl Combination {
    pub const ALL: [Combination; 2] = [Combination::Any, Combination::All];

    pub fn as_str(self) -> &'static str {
        match self {
            Combination::Any => "any",
            Combination::All => "all",
        }
    }

    /// 任一, 全部.
    pub fn label(self) -> &'static str {
        match self {
            Combination::Any => "任一",
            Combination::All => "全部",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|one| one.as_str() == text.to_ascii_lowercase() || one.label() == text)
    }
}

/// How a value is compared with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    OneOf,
}

impl Comparison {
    pub const ALL: [Comparison; 6] = [
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
        Comparison::Equal,
        Comparison::OneOf,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Less => "lt",
            Comparison::AtMost => "le",
            Comparison::Greater => "gt",
            Comparison::AtLeast => "ge",
            Comparison::Equal => "eq",
            Comparison::OneOf => "in",
        }
    }

    /// 低于, 不高于, 高于, 不低于, 等于, 属于.
    pub fn label(self) -> &'static str {
        match self {
            Comparison::Less => "低于",
            Comparison::AtMost => "不高于",
            Comparison::Greater => "高于",
            Comparison::AtLeast => "不低于",
            Comparison::Equal => "等于",
            Comparison::OneOf => "属于",
        }
    }

    /// By its word, its label, or a sign and a way of speaking that papers have for it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let known = Self::ALL.into_iter().find(|one| one.label() == text || one.as_str().eq_ignore_ascii_case(text));
        known.or(match text {
            "<" | "＜" | "小于" | "少于" | "不足" => Some(Comparison::Less),
            "<=" | "≤" | "≦" | "小于等于" | "小于或等于" | "不超过" | "不大于" | "至多" => {
                Some(Comparison::AtMost)
            }
            ">" | "＞" | "大于" | "超过" => Some(Comparison::Greater),
            ">=" | "≥" | "≧" | "大于等于" | "大于或等于" | "不小于" | "不少于" | "达到" => {
                Some(Comparison::AtLeast)
            }
            "=" | "＝" | "是" | "为" => Some(Comparison::Equal),
            "属于其中" | "之一" | "其中之一" => Some(Comparison::OneOf),
            _ => None,
        })
    }
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Threshold {
    Number(Amount),
    Flag(bool),
    /// Whole texts, each at most once.
    Texts(Vec<String>),
}

/// A number in the unit of the paper; of a reference, a share of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    pub number: Decimal,
    pub unit: &'static Unit,
    pub reference: Option<Reference>,
}

/// What a share is of: `12.5 万元/亩`, the county's mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub number: Decimal,
    pub unit: &'static Unit,
    /// Whose number it is.
    pub source: Option<String>,
}

impl Amount {
    /// In the ledger's unit, exactly; `None` where no number holds it.
    pub fn in_ledgers_unit(&self) -> Option<Decimal> {
        let own = self.unit.in_ledgers(self.number)?;
        match &self.reference {
            None => Some(own),
            Some(reference) => own.times(reference.unit.in_ledgers(reference.number)?),
        }
    }

    /// `7.5 万元/亩（合 112.5 万元/公顷）`, `12.5 万元/亩（全县平均）的 60%（合 112.5 万元/公顷）`.
    pub fn words(&self, measure: Measure) -> String {
        let stated = self.unit.show(self.number);
        let told = match &self.reference {
            None if self.unit.is_ledgers() => return stated,
            None => stated,
            Some(reference) => {
                let source = reference.source.as_ref().map(|source| format!("（{source}）")).unwrap_or_default();
                format!("{}{source}的 {stated}", reference.unit.show(reference.number))
            }
        };
        match (self.in_ledgers_unit(), Unit::of(measure).first()) {
            (Some(number), Some(own)) => format!("{told}（合 {}）", own.show(number)),
            _ => told,
        }
    }
}

impl Threshold {
    /// As a sentence has it.
    pub fn words(&self, measure: Measure) -> String {
        match self {
            Threshold::Number(amount) => amount.words(measure),
            Threshold::Flag(flag) => if *flag { "是" } else { "否" }.to_owned(),
            Threshold::Texts(texts) => texts.iter().map(|text| format!("“{text}”")).collect::<Vec<_>>().join("、"),
        }
    }
}
