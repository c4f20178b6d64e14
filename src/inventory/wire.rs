//! JSON shapes that the command line and HTTP share: findings and import reports. Stable; see `docs/cli.md`.
//!
//! Never: decisions. These functions only spell out what others found.

use serde_json::{Map, Value, json};

use crate::domain::Finding;
use crate::domain::generalisation::Generalisation;

/// `{code, severity, row, ring, vertex, message}`, and `part`, `field`, `coordinate` where known.
pub fn finding(finding: &Finding) -> Value {
    let place = &finding.place;
    let mut object = Map::new();
    object.insert("code".into(), json!(finding.code));
    object.insert("severity".into(), json!(finding.severity.as_str()));
    object.insert("row".into(), json!(place.row));
    object.insert("ring".into(), json!(place.ring));
    object.insert("vertex".into(), json!(place.vertex));
    object.insert("message".into(), json!(finding.message));
    if let Some(part) = place.part {
        object.insert("part".into(), json!(part));
    }
    if let Some(field) = &place.field {
        object.insert("field".into(), json!(field));
    }
    // JSON has no NaN: a coordinate that is not finite is told in the message only.
    if let Some((x, y)) = place.coordinate.filter(|(x, y)| x.is_finite() && y.is_finite()) {
        object.insert("coordinate".into(), json!([x, y]));
    }
    Value::Object(object)
}

/// All findings, in the order given.
pub fn findings(list: &[Finding]) -> Value {
    Value::Array(list.iter().map(finding).collect())
}

/// `{tolerance_m, decimals}`: what a document says of the outlines in it.
pub fn generalisation(rule: &Generalisation) -> Value {
    // A whole number of metres is written as one.
    let metres = rule.tolerance_m;
    let whole = (metres.fract() == 0.0 && metres.abs() < 1e9).then_some(metres as i64);
    json!({"tolerance_m": whole.map_or_else(|| json!(metres), |whole| json!(whole)), "decimals": rule.decimals})
}
