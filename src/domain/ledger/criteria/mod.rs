//! Criteria for “low-efficient” (低效用地认定标准): sets of tests as data, checked here, and the judge that applies them (domain.md §6).
//!
//! Never: a threshold. Each city sets its own, per year; a set comes from a file, a client or the register.

mod check;
mod decimal;
mod draft;
mod judge;
mod set;
#[cfg(test)]
mod tests;
mod unit;

pub use check::{MAX_CRITERIA, check_set};
pub use decimal::Decimal;
pub use draft::{Draft, Given, Member, Source};
pub use judge::{Agreement, Answer, Fact, Facts, Judge, Overall, Verdict, agreement, explain};
pub use set::{Amount, Combination, Comparison, CriteriaSet, Criterion, Reference, Threshold};
pub use unit::Unit;

use super::Ledger;
use super::field::{Field, FieldKind};

/// The paper's own conclusions: what is judged cannot be its own reason.
const CONCLUSIONS: [&str; 2] = ["is_low_efficiency", "low_efficiency_kind"];

/// Texts that say how land is used; the others name people and papers.
const TEXTS: [&str; 9] = [
    "use_state",
    "land_use_code",
    "current_use",
    "industry",
    "ownership",
    "planned_use",
    "right_type",
    "environment",
    "services",
];

/// What papers call a field beside its own title.
const ALSO: [(&str, &str); 9] = [
    ("亩均税收", "tax_per_ha"),
    ("税收强度", "tax_per_ha"),
    ("投资强度", "fixed_investment_per_ha"),
    ("固定资产投资强度", "fixed_investment_per_ha"),
    ("亩均产出", "output_per_ha"),
    ("产出强度", "output_per_ha"),
    ("建筑系数", "building_density"),
    ("停产", "production_stopped"),
    ("产业", "industry"),
];

/// A field of the low-efficiency ledger that a criterion may test.
#[derive(Debug, Clone, Copy)]
pub struct Measure(&'static Field);

impl Measure {
    /// All there are, in the order of the ledger.
    pub fn all() -> impl Iterator<Item = Measure> {
        Ledger::LowEfficiency.fields().iter().map(Measure).filter(|measure| measure.may_be_tested())
    }

    /// By name, title, or what papers call it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = ALSO.iter().find(|(word, _)| *word == text).map_or(text, |(_, name)| name);
        Self::all().find(|measure| measure.0.name == name || measure.0.title.zh == name)
    }

    fn may_be_tested(self) -> bool {
        match self.0.kind {
            FieldKind::Number => !Unit::of(self).is_empty(),
            FieldKind::Boolean => !CONCLUSIONS.contains(&self.0.name),
            FieldKind::Text | FieldKind::Choice(_) => TEXTS.contains(&self.0.name),
            FieldKind::Date | FieldKind::Area | FieldKind::Year => false,
        }
    }

    pub fn field(self) -> &'static Field {
        self.0
    }

    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// 地均税收.
    pub fn title(self) -> &'static str {
        self.0.title.zh
    }
}

impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

/// The kinds of low efficiency (低效类型) that there are.
pub fn kinds() -> &'static [&'static str] {
    match Ledger::LowEfficiency.field("low_efficiency_kind").map(|field| field.kind) {
        Some(FieldKind::Choice(kinds)) => kinds,
        _ => &[],
    }
}
