//! Days of a record that cannot come the other way round, and percentages that look like shares. Papers err: both are told, neither
//! is refused.

use super::field::{Field, FieldValue};
use super::{Ledger, Parcel};

/// Values of a column from which a pattern is believed.
const A_PATTERN: usize = 3;

impl Ledger {
    /// Pairs of days of which the first cannot come after the second. Land that was built on before it was granted or handed over is
    /// against the law, not against time: such pairs are not here.
    pub fn orders(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Ledger::Turnover => &[
                ("approved_on", "signed_on"),
                ("signed_on", "delivered_on"),
                ("agreed_start_on", "agreed_finish_on"),
                ("started_on", "finished_on"),
                ("started_on", "stopped_on"),
                ("seized_on", "seized_until_on"),
            ],
            Ledger::LowEfficiency => &[
                ("verified_on", "publicised_on"),
                ("publicised_on", "recognised_on"),
                ("recognised_on", "accepted_on"),
                ("accepted_on", "closed_on"),
            ],
            Ledger::Plan => &[("approved_on", "accepted_on")],
        }
    }

    /// The fields in percent.
    pub fn percents(self) -> impl Iterator<Item = &'static Field> {
        self.fields().iter().filter(|field| field.unit == Some("%"))
    }
}

/// A single value that looks like a share: 0.25 where 25 would be meant.
pub fn looks_like_ratio(value: Option<&FieldValue>) -> bool {
    matches!(value, Some(FieldValue::Number(n)) if *n > 0.0 && *n <= 1.0)
}

/// A column of percentages that looks like shares: not one of at least three values is above 1, and not all are 0.
pub fn column_looks_like_ratio(parcels: &[Parcel], field: &str) -> bool {
    let values: Vec<f64> = parcels
        .iter()
        .filter_map(|parcel| match parcel.fields.get(field) {
            Some(FieldValue::Number(n)) => Some(*n),
            _ => None,
        })
        .collect();
    values.len() >= A_PATTERN && values.iter().all(|n| *n <= 1.0) && values.iter().any(|n| *n > 0.0)
}
