//! Sets as JSON: what HTTP and the command line show, and what a client may send back.

use serde_json::{Value, json};

use crate::domain::ledger::criteria::{Amount, Criterion, Decimal, Threshold};
use crate::store::criteria::{SetSummary, StoredSet};

/// The whole set.
pub fn set_json(stored: &StoredSet) -> Value {
    json!({
        "division": stored.set.division.as_str(),
        "name": stored.name,
        "year": stored.set.year,
        "version": stored.version,
        "source": stored.source,
        "criteria": stored.set.criteria.iter().map(criterion_json).collect::<Vec<_>>(),
    })
}

/// A set without its criteria.
pub fn summary_json(summary: &SetSummary) -> Value {
    json!({
        "division": summary.division,
        "name": summary.name,
        "year": summary.year,
        "version": summary.version,
        "source": summary.source,
        "criteria": summary.criteria,
    })
}

/// At most six decimals and twelve digits before them: the double reads back as the decimal.
fn number(number: Decimal) -> Value {
    json!(number.to_f64())
}

fn criterion_json(criterion: &Criterion) -> Value {
    let unit = |amount: &Amount| Some(amount.unit.word).filter(|word| !word.is_empty());
    let mut shown = json!({
        "number": criterion.number,
        "title": criterion.title,
        "kind": criterion.kind,
        "field": criterion.measure.name(),
        "comparison": criterion.comparison.as_str(),
        "threshold": null,
        "unit": null,
        "reference_value": null,
        "reference_unit": null,
        "reference_source": null,
        "group": criterion.group,
        "combination": criterion.combination.as_str(),
        "document": criterion.document,
        "note": criterion.note,
    });
    match &criterion.threshold {
        Threshold::Flag(flag) => shown["threshold"] = json!(flag),
        Threshold::Texts(texts) => shown["threshold"] = json!(texts),
        Threshold::Number(amount) => {
            shown["threshold"] = number(amount.number);
            shown["unit"] = json!(unit(amount));
            if let Some(reference) = &amount.reference {
                shown["reference_value"] = number(reference.number);
                shown["reference_unit"] = json!(Some(reference.unit.word).filter(|word| !word.is_empty()));
                shown["reference_source"] = json!(reference.source);
            }
        }
    }
    shown
}
