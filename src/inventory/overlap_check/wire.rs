//! The JSON of checks and findings, for HTTP and the command line. Numbers are written as they were measured.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{CheckRequest, Difference};
use crate::domain::layer::Layer;
use crate::domain::overlap::Thresholds;
use crate::domain::overlap_check::Purpose;
use crate::domain::{Hectares, Mu, SquareMetres};
use crate::error::{Error, Result};
use crate::layers::{declaration, geojson};
use crate::store::last_word::LastWord;
use crate::store::overlap_checks::{CheckRow, FindingRow};

/// The layer's title, where it is one of the register's.
pub fn layer_title(id: &str) -> &str {
    declaration::find(id).map_or(id, |layer| layer.title.zh)
}

/// RFC 3339 in UTC, to the second.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub fn thresholds_json(thresholds: &Thresholds) -> Value {
    json!({
        "sliver_width_m": thresholds.sliver_width_m(),
        "sliver_share": thresholds.sliver_share(),
        "gap_width_m": thresholds.gap_width_m(),
    })
}

/// What was asked, as the check keeps it.
pub(super) fn request_json(request: &CheckRequest, layers: &[&'static Layer], origin: &Value) -> Value {
    json!({
        "purpose": request.purpose.as_str(),
        "layers": layers.iter().map(|layer| layer.id).collect::<Vec<_>>(),
        "thresholds": thresholds_json(&request.thresholds),
        "subject": origin,
    })
}

/// The request of a repetition: what it compares with, and what it leaves out.
pub(super) fn leave_out(request: &mut Value, layers: &[&'static Layer], left_out: &[String]) {
    request["layers"] = json!(layers.iter().map(|layer| layer.id).collect::<Vec<_>>());
    if !left_out.is_empty() {
        request["left_out"] = json!(left_out);
    } else if let Some(members) = request.as_object_mut() {
        members.remove("left_out");
    }
}

/// The layers that a kept request compared with, or left out.
pub(super) fn layers_of(kept: &Value, member: &str) -> Vec<String> {
    kept[member].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Purpose, thresholds and layers of a kept request, those too that it left out.
pub(super) fn parse_request(kept: &Value) -> Result<(Purpose, Thresholds, Vec<String>)> {
    let unreadable = || Error::Internal { detail: "重叠检查的请求无法识别".to_owned(), cause: None };
    let number = |name: &str| kept["thresholds"][name].as_f64().ok_or_else(unreadable);
    let thresholds = Thresholds::new(number("sliver_width_m")?, number("sliver_share")?, number("gap_width_m")?);
    let purpose = kept["purpose"].as_str().and_then(Purpose::parse);
    let layers = [layers_of(kept, "layers"), layers_of(kept, "left_out")].concat();
    Ok((purpose.ok_or_else(unreadable)?, thresholds.ok_or_else(unreadable)?, layers))
}

/// A check as it stands, without links.
pub fn check_json(check: &CheckRow) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".into(), json!(check.id));
    object.insert("title".into(), json!(check.title));
    object.insert("status".into(), json!(check.status.as_str()));
    object.insert("status_label".into(), json!(check.status.label()));
    object.insert("actor".into(), json!(check.actor));
    object.insert("created_at".into(), json!(moment(check.created_at)));
    object.insert("finished_at".into(), json!(check.finished_at.map(moment)));
    object.insert("request".into(), check.request.clone());
    object.insert("date".into(), json!(check.on_day.map(|day| day.to_string())));
    object.insert("revision".into(), json!(check.revision));
    object.insert("repeats".into(), json!(check.repeats));
    object.insert("subjects".into(), json!(check.subjects));
    object.insert("progress".into(), json!({"done": check.done, "total": check.total}));
    object.insert("summary".into(), check.summary.clone().unwrap_or(Value::Null));
    object.insert("trouble".into(), json!(check.trouble));
    object
}

/// A finding as a GeoJSON feature: the common land or the gap, and all that is known of it.
pub fn finding_feature(row: &FindingRow) -> Value {
    let geometry = row.land.as_ref().map(|land| serde_json::to_value(geojson::exact(land)).unwrap_or(Value::Null));
    json!({
        "type": "Feature",
        "id": row.number,
        "geometry": geometry,
        "properties": finding_json(row),
    })
}

pub fn finding_json(row: &FindingRow) -> Value {
    let area = SquareMetres::new(row.area_m2);
    let mut shown = json!({
        "number": row.number,
        "subject": row.subject,
        "subject_label": row.label,
        "collection": row.layer,
        "feature_id": row.feature_id,
        "feature_name": row.feature_name,
        "illustrative": row.illustrative,
        "class": row.class.as_str(),
        "class_label": row.class.title(),
        "weight": row.weight.as_str(),
        "weight_label": row.weight.label(),
        "area_m2": row.area_m2,
        "area_ha": area.map(SquareMetres::to_hectares).map(Hectares::value),
        "area_mu": area.map(SquareMetres::to_mu).map(Mu::value),
        "share_of_subject": row.share_of_subject,
        "share_of_feature": row.share_of_feature,
        "width_m": row.width_m,
        "shared_edge_m": row.shared_edge_m,
        "gap_area_m2": row.gap_area_m2,
        "gap_length_m": row.gap_length_m,
        "rule": row.rule,
        "message": sentence(row),
    });
    add_last_word(&mut shown, &row.said);
    shown
}

/// Adds what people said last of it.
pub fn add_last_word(shown: &mut Value, said: &LastWord) {
    shown["verdict"] = json!(said.verdict.as_str());
    shown["verdict_label"] = json!(said.verdict.label());
    shown["note"] = json!(said.note);
    shown["marked_by"] = json!(said.by);
    shown["marked_at"] = json!(said.at.map(moment));
}

/// What the finding says in one sentence.
fn sentence(row: &FindingRow) -> String {
    use crate::domain::overlap::OverlapClass as C;
    let other = match &row.feature_name {
        Some(name) => format!("{name}（{}）", row.feature_id),
        None => row.feature_id.clone(),
    };
    let other = if row.illustrative { format!("{other}（示意）") } else { other };
    let label = &row.label;
    let area = SquareMetres::new(row.area_m2).unwrap_or(SquareMetres::ZERO);
    let land = format!(
        "{area} 平方米（{} 公顷、{} 亩），占本图形 {:.2}%、占对方 {:.2}%",
        area.to_hectares(),
        area.to_mu(),
        row.share_of_subject * 100.0,
        row.share_of_feature * 100.0
    );
    let width = row.width_m.map_or(String::new(), |width| format!("，最宽 {width:.2} 米"));
    match row.class {
        C::Identical => format!("“{label}”与{other}重合：{land}"),
        C::Contains => format!("“{label}”包含{other}：{land}"),
        C::Within => format!("“{label}”在{other}之内：{land}"),
        C::Overlap => format!("“{label}”与{other}重叠：{land}{width}"),
        C::Sliver => format!("“{label}”与{other}有细碎重叠：{land}{width}"),
        C::Gap => {
            let (m2, length) = (row.gap_area_m2.unwrap_or_default(), row.gap_length_m.unwrap_or_default());
            format!("“{label}”与{other}之间有缝隙：约 {m2:.2} 平方米，长约 {length:.2} 米{width}")
        }
        C::SharedEdge => format!("“{label}”与{other}共边，共 {:.2} 米，没有重叠", row.shared_edge_m),
        C::Touch => format!("“{label}”与{other}仅在点上相接，没有重叠"),
        C::Outside => {
            let name = row.feature_name.as_deref().unwrap_or(&row.feature_id);
            format!(
                "“{label}”有 {area} 平方米（{} 公顷、{} 亩，占本图形 {:.2}%）不在已登记的{name}之内",
                area.to_hectares(),
                area.to_mu(),
                row.share_of_subject * 100.0
            )
        }
    }
}

pub fn difference_json(earlier: i64, later: i64, difference: &Difference) -> Value {
    let list = |rows: &[FindingRow]| rows.iter().map(finding_json).collect::<Vec<_>>();
    let changed = difference
        .changed
        .iter()
        .map(|(before, after)| json!({"before": finding_json(before), "after": finding_json(after)}));
    json!({
        "earlier": earlier,
        "later": later,
        "not_compared": difference.not_compared,
        "same": difference.same,
        "came": list(&difference.came),
        "went": list(&difference.went),
        "changed": changed.collect::<Vec<_>>(),
    })
}
