//! The JSON of conflicts, for HTTP and the command line. Numbers are written as they were measured.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::Audited;
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::overlap::OverlapClass;
use crate::domain::{Hectares, Mu, SquareMetres};
use crate::inventory::overlap_check::wire::{add_last_word, layer_title, moment};
use crate::layers::geojson;
use crate::store::conflicts::{AuditState, Conflict, Measured, Side};

/// A conflict as a GeoJSON feature: the common land, the gap, or the land outside.
pub fn feature(conflict: &Conflict, since: Option<DateTime<Utc>>) -> Value {
    let land = conflict.measured.land.as_ref();
    let geometry = land.map(|land| serde_json::to_value(geojson::exact(land)).unwrap_or(Value::Null));
    json!({"type": "Feature", "id": conflict.measured.id, "geometry": geometry, "properties": properties(conflict, since)})
}

pub fn properties(conflict: &Conflict, since: Option<DateTime<Utc>>) -> Value {
    let mut shown = measured_json(&conflict.measured);
    let life = json!({
        "number": conflict.number,
        "opened_revision": conflict.opened_revision,
        "opened_at": moment(conflict.opened_at),
        "changed_revision": conflict.changed_revision,
        "changed_at": moment(conflict.changed_at),
        "closed_revision": conflict.closed_revision,
        "closed_at": conflict.closed_at.map(moment),
        "change": since.map(|since| change(conflict, since)),
    });
    if let (Some(shown), Value::Object(life)) = (shown.as_object_mut(), life) {
        shown.extend(life);
    }
    add_last_word(&mut shown, &conflict.said);
    shown
}

/// What was measured, without a life.
pub fn measured_json(measured: &Measured) -> Value {
    let area = SquareMetres::new(measured.area_m2);
    json!({
        "id": measured.id,
        "a": side(&measured.a),
        "b": side(&measured.b),
        "illustrative": measured.illustrative,
        "class": measured.class.as_str(),
        "class_label": measured.class.title(),
        "weight": measured.weight.as_str(),
        "weight_label": measured.weight.label(),
        "area_m2": measured.area_m2,
        "area_ha": area.map(SquareMetres::to_hectares).map(Hectares::value),
        "area_mu": area.map(SquareMetres::to_mu).map(Mu::value),
        "share_a": measured.share_a,
        "share_b": measured.share_b,
        "width_m": measured.width_m,
        "gap_area_m2": measured.gap_area_m2,
        "gap_length_m": measured.gap_length_m,
        "rule": measured.rule,
        "message": sentence(measured),
    })
}

/// What became of it since: the last thing that did.
fn change(conflict: &Conflict, since: DateTime<Utc>) -> &'static str {
    match conflict.closed_at {
        Some(closed) if closed > since => "closed",
        _ if conflict.opened_at > since => "opened",
        _ => "changed",
    }
}

fn side(side: &Side) -> Value {
    json!({
        "collection": side.layer,
        "collection_title": layer_title(&side.layer),
        "id": side.id,
        "name": side.name,
        "park_code": side.park,
    })
}

/// What a conflict says in one sentence.
fn sentence(measured: &Measured) -> String {
    use OverlapClass as C;
    let named = |side: &Side| match &side.name {
        Some(name) => format!("{}“{name}”（{}）", layer_title(&side.layer), side.id),
        None => format!("{} {}", layer_title(&side.layer), side.id),
    };
    let (a, b) = (named(&measured.a), named(&measured.b));
    let area = SquareMetres::new(measured.area_m2).unwrap_or(SquareMetres::ZERO);
    let land = format!("{area} 平方米（{} 公顷、{} 亩）", area.to_hectares(), area.to_mu());
    let width = measured.width_m.map_or(String::new(), |width| format!("，最宽 {width:.2} 米"));
    match measured.class {
        C::Identical => format!("{a}与{b}重合：{land}"),
        C::Contains => format!("{a}包含{b}：{land}"),
        C::Within => format!("{a}在{b}之内：{land}"),
        C::Overlap => format!("{a}与{b}重叠：{land}{width}"),
        C::Sliver => format!("{a}与{b}有细碎重叠：{land}{width}"),
        C::Gap => {
            let (m2, length) = (measured.gap_area_m2.unwrap_or_default(), measured.gap_length_m.unwrap_or_default());
            format!("{a}与{b}之间有缝隙：约 {m2:.2} 平方米，长约 {length:.2} 米{width}")
        }
        C::Outside => format!("{a}有 {land}不在已登记的{}之内", measured.b.name.as_deref().unwrap_or(&measured.b.id)),
        C::SharedEdge | C::Touch => format!("{a}与{b}相接"),
    }
}

/// How far the auditor is; `null` before the first audit. The pairs are named to those who may see all of the register, others get `null`.
pub fn audit_json(state: Option<&AuditState>, newest: i64, viewer: &Viewer) -> Value {
    let Some(state) = state else { return Value::Null };
    let sees_all = viewer.jurisdiction == Jurisdiction::Everywhere;
    json!({
        "revision": state.revision,
        // To the last digit: it is what the next question is asked since.
        "audited_at": state.audited_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "behind": (newest - state.revision).max(0),
        "not_compared_count": state.not_compared.as_array().map_or(0, Vec::len),
        "not_compared": sees_all.then_some(&state.not_compared),
    })
}

pub fn audited_json(audited: &Audited) -> Value {
    json!({
        "revision": audited.revision,
        "touched": audited.touched,
        "opened": audited.opened,
        "changed": audited.changed,
        "closed": audited.closed,
        "not_compared": audited.not_compared,
    })
}
