//! The ledgers (台账): turnover land (周转用地), low-efficiency land (低效用地) and redevelopment plans (再开发方案), each one
//! table of fields and one table of states and allowed moves. What reads, stores, checks, shows and exports a record goes by these.

pub mod criteria;
mod field;
mod genealogy;
mod low_efficiency;
mod machine;
mod order;
mod plan;
mod record;
mod timers;
mod turnover;

use std::collections::BTreeMap;

use chrono::NaiveDate;

pub use field::{Field, FieldKind, FieldValue, TOO_MUCH, parse_date};
pub use genealogy::{Descent, MAX_RELATIVES, NotInherited, inherit, is_of_whole, land_tolerance, undividable};
pub use machine::{DerivedSet, Machine, State, StateKind, Step};
pub use order::{column_looks_like_ratio, looks_like_ratio};
pub use plan::{PlanProgress, missing_for_parcel, missing_for_plan, parcel_moves_before, told_moves};
pub use record::{Parcel, RecordId, Where};
pub use timers::{AgeBucket, Facts, IdleStage, Timers};

/// Which ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ledger {
    /// 周转用地.
    Turnover,
    /// 低效用地.
    LowEfficiency,
    /// 再开发方案.
    Plan,
}

impl Ledger {
    pub const ALL: [Ledger; 3] = [Ledger::Turnover, Ledger::LowEfficiency, Ledger::Plan];

    /// The table of the register.
    pub fn table(self) -> &'static str {
        match self {
            Ledger::Turnover => "turnover_parcel",
            Ledger::LowEfficiency => "low_efficiency_parcel",
            Ledger::Plan => "redevelopment_plan",
        }
    }

    /// The published layer.
    pub fn layer(self) -> &'static str {
        match self {
            Ledger::Turnover => "turnover_parcels",
            Ledger::LowEfficiency => "low_efficiency_parcels",
            Ledger::Plan => "redevelopment_plans",
        }
    }

    pub fn of_layer(layer: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ledger| ledger.layer() == layer)
    }

    /// What a record is called: 周转用地, 低效用地, 再开发方案.
    pub fn label(self) -> &'static str {
        match self {
            Ledger::Turnover => "周转用地",
            Ledger::LowEfficiency => "低效用地",
            Ledger::Plan => "再开发方案",
        }
    }

    /// The fields of a record, beyond what every record has (number, name, geometry, areas, state).
    pub fn fields(self) -> &'static [Field] {
        match self {
            Ledger::Turnover => &turnover::FIELDS,
            Ledger::LowEfficiency => &low_efficiency::FIELDS,
            Ledger::Plan => &plan::FIELDS,
        }
    }

    pub fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The states and the allowed moves.
    pub fn machine(self) -> &'static Machine {
        match self {
            Ledger::Turnover => &turnover::MACHINE,
            Ledger::LowEfficiency => &low_efficiency::MACHINE,
            Ledger::Plan => &plan::MACHINE,
        }
    }

    /// The state that another system's word for it means (domain.md §5): the first of a stock, where it names a stock.
    pub fn state_of_word(self, word: &str) -> Option<&'static State> {
        let words: &[(&str, &str)] = match self {
            Ledger::Turnover => &turnover::WORDS,
            Ledger::LowEfficiency => &low_efficiency::WORDS,
            Ledger::Plan => &[],
        };
        words.iter().find(|(w, _)| *w == word.trim()).and_then(|(_, code)| self.machine().find(code))
    }

    /// Where a record stands by what the paper has of it, and since when, if no state is given.
    pub fn state_by_fields(self, fields: &BTreeMap<&'static str, FieldValue>) -> (&'static State, Option<NaiveDate>) {
        let steps: &[(&str, &str)] = match self {
            Ledger::Turnover => &turnover::TOLD_BY,
            Ledger::LowEfficiency => &low_efficiency::TOLD_BY,
            Ledger::Plan => &[],
        };
        let day = |field: &str| match fields.get(field) {
            Some(FieldValue::Date(day)) => Some(*day),
            _ => None,
        };
        let told = steps.iter().find(|(field, _)| fields.contains_key(field));
        let state = told.and_then(|(_, code)| self.machine().find(code)).unwrap_or(&self.machine().states[0]);
        (state, told.and_then(|(field, _)| day(field)))
    }

    /// The main state that a side state came from, where the paper does not say: finished buildings become low-efficient, else as the
    /// fields tell.
    pub fn held_by_fields(self, side: &State, fields: &BTreeMap<&'static str, FieldValue>) -> &'static State {
        let fixed = match side.code {
            "low_efficiency" => self.machine().find("completed"),
            "objected" => self.machine().find("publicised"),
            _ => None,
        };
        fixed.unwrap_or_else(|| self.state_by_fields(fields).0)
    }

    /// The field that says when a record came into this state, if the ledger has one.
    pub fn day_of_state(self, state: &str) -> Option<&'static str> {
        let steps: &[(&str, &str)] = match self {
            Ledger::Turnover => &turnover::TOLD_BY,
            Ledger::LowEfficiency => &low_efficiency::TOLD_BY,
            Ledger::Plan => &[],
        };
        steps.iter().find(|(field, code)| *code == state && field.ends_with("_on")).map(|(field, _)| *field)
    }

    /// A plan has no land of its own: it is shown on its parcel's.
    pub fn has_geometry(self) -> bool {
        self != Ledger::Plan
    }
}

#[cfg(test)]
mod tests;
