//! Control lines in a check: what a zone that was met demands, and land outside of the zones that it should lie in.

use geo::MultiPolygon;
use serde::Deserialize;

use super::source::Source;
use crate::domain::control_zone::{Effect, ZoneKind, ZoneRules, ZoneTold, rule_text};
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::domain::overlap_check::{Purpose, Weight};
use crate::geometry::overlap::{self, Rest, Shape, Stopped, Work, rest};
use crate::store::last_word::LastWord;
use crate::store::overlap_checks::{FindingRow, SubjectRow};

/// The layer of control lines.
pub(in crate::inventory) const LAYER: &str = "control_zones";

/// Land outside below this is rounding: one square centimetre, as common land is contact.
const CONTACT_M2: f64 = overlap::CONTACT_M2;

/// The properties of a zone that a check goes by, as the layer shows them.
#[derive(Debug, Deserialize)]
struct Shown {
    kind: String,
    effect: String,
    park_weight: String,
    parcel_weight: String,
    management_class: Option<String>,
    rule: Option<String>,
    spatial_rule: Option<String>,
    pollution_rule: Option<String>,
    risk_rule: Option<String>,
    resource_rule: Option<String>,
    document_no: Option<String>,
}

/// What the properties of a zone, as JSON, say of it.
pub(super) fn told(properties: &str) -> Option<ZoneTold> {
    let shown: Shown = serde_json::from_str(properties).ok()?;
    let rules = ZoneRules {
        rule: shown.rule,
        spatial: shown.spatial_rule,
        pollution: shown.pollution_rule,
        risk: shown.risk_rule,
        resource: shown.resource_rule,
    };
    Some(ZoneTold {
        kind: shown.kind,
        effect: Effect::parse(&shown.effect)?,
        park_weight: Weight::parse(&shown.park_weight)?,
        parcel_weight: Weight::parse(&shown.parcel_weight)?,
        rule: rule_text(shown.management_class.as_deref(), &rules, shown.document_no.as_deref()),
    })
}

/// What of the shape lies in no zone of this kind; `None` where all of it does.
pub(in crate::inventory) fn outside(
    shape: &Shape<'_>,
    source: &Source,
    kind: &ZoneKind,
    work: &mut Work<'_>,
) -> Result<Option<Rest>, Stopped> {
    let Some(bbox) = shape.bbox() else { return Ok(None) };
    let mut zones = Vec::new();
    source.near(&bbox, |feature| zones.push(feature));
    // In an order of its own: memory and the database find them in different ones, and the last digits go by it.
    zones.sort_by(|a, b| source.id(*a).cmp(source.id(*b)));
    let mut left: Option<MultiPolygon<f64>> = None;
    let mut area_m2 = shape.area_m2();
    for feature in zones {
        if source.zone(feature).is_none_or(|zone| zone.kind != kind.code) {
            continue;
        }
        let Some(zone) = source.shape(feature) else { continue };
        let Rest { area_m2: rest_m2, land } = match &left {
            None => rest(shape, &zone, work)?,
            Some(left) => rest(&Shape::of_multi_polygon(left), &zone, work)?,
        };
        if rest_m2 <= CONTACT_M2 || land.0.is_empty() {
            return Ok(None);
        }
        (left, area_m2) = (Some(land), rest_m2);
    }
    Ok(Some(Rest { area_m2, land: left.unwrap_or_else(|| shape.to_multi_polygon()) }))
}

/// The finding of land outside. A strip within the thresholds of slivers is told without weight.
pub(super) fn finding(
    at: usize,
    subject: &SubjectRow,
    kind: &ZoneKind,
    rest: Rest,
    purpose: Purpose,
    thresholds: &Thresholds,
) -> FindingRow {
    let share = (rest.area_m2 / subject.area_m2).min(1.0);
    let width_m = overlap::broad_width_m(&rest.land, rest.area_m2);
    let weight = if thresholds.is_sliver(width_m, share) { Weight::Note } else { kind.weight(purpose) };
    FindingRow {
        number: 0,
        subject: at as i32 + 1,
        label: subject.label.clone(),
        layer: LAYER.to_owned(),
        feature_id: kind.code.clone(),
        feature_name: Some(kind.name.clone()),
        illustrative: false,
        class: OverlapClass::Outside,
        weight,
        area_m2: rest.area_m2,
        share_of_subject: share,
        share_of_feature: 0.0,
        width_m: None,
        shared_edge_m: 0.0,
        gap_area_m2: None,
        gap_length_m: None,
        land: Some(rest.land),
        rule: Some(rule_text(
            None,
            &ZoneRules { rule: Some(kind.rule.clone()), ..ZoneRules::default() },
            Some(&kind.document),
        )),
        said: LastWord::none(),
    }
}
