//! The JSON of changes and assessments, for HTTP and pages.

use geo::MultiPolygon;
use serde_json::{Map, Value, json};

use super::Detail;
use super::assess::Assessment;
use super::assess::land::{ClassRow, Fate, Land, ParcelRow, Side};
use super::assess::sides::{BlockView, Candidate, SideView};
use crate::domain::area::round_decimal;
use crate::domain::boundary_change::{Landmark, ProposedBlock, State, StatedAreas};
use crate::domain::lifecycle::DecimalHectares;
use crate::domain::overlap_check::Weight;
use crate::domain::{FourExtents, SquareMetres};
use crate::geometry::extremes::{self, Vertex, dms};
use crate::geometry::facing::{octant, rounded};
use crate::inventory::{overlap_check, wire};
use crate::layers::geojson;
use crate::store::boundary_changes::{ChangeRow, StepRow};
use crate::store::overlap_checks::FindingRow;

/// Rows of one list of an assessment; all are counted.
pub const MOST_LISTED: usize = 2_000;

/// Hectares as the paper prints them: a JSON number of the same digits.
fn stated(area: DecimalHectares) -> Value {
    serde_json::from_str(&area.to_string()).unwrap_or(Value::Null)
}

/// Measured land: unrounded m², and as people read it.
fn measured(m2: f64) -> Value {
    let area = SquareMetres::new(m2.max(0.0)).unwrap_or(SquareMetres::ZERO);
    json!({
        "m2": m2,
        "ha": round_decimal(area.to_hectares().value(), 4),
        "mu": round_decimal(area.to_mu().value(), 2),
    })
}

/// `before − out + in = after`, in hectares of the paper.
pub fn areas(areas: &StatedAreas) -> Value {
    json!({
        "before_ha": stated(areas.before),
        "out_ha": stated(areas.out),
        "in_ha": stated(areas.added),
        "after_ha": stated(areas.after),
        "text": format!("{} − {} + {} = {}", areas.before, areas.out, areas.added, areas.after),
    })
}

fn state(state: State) -> Value {
    json!({"code": state.as_str(), "label": state.label()})
}

/// A change without blocks, steps and links.
pub fn change(change: &ChangeRow) -> Map<String, Value> {
    let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string());
    let document = json!({
        "id": change.id,
        "park": {"code": change.park.as_str(), "name": change.park_name},
        "prefecture_code": change.prefecture,
        "title": change.title,
        "reason": change.reason,
        "kind": change.kind.as_str(),
        "kind_label": change.kind.label(),
        "state": change.state.as_str(),
        "state_label": change.state.label(),
        "state_on": change.state_on.to_string(),
        "allowed": change.state.next().iter().map(|next| state(*next)).collect::<Vec<_>>(),
        "area": areas(&change.areas),
        "notice_from": day(change.notice_from),
        "notice_until": day(change.notice_until),
        "effective_on": day(change.effective_on),
        "base_revision": change.base_revision,
        "actor": change.actor,
        "revision": change.revision,
    });
    match document {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// All of a change without links; boundaries are in its GeoJSON.
pub fn detail(detail: &Detail) -> Map<String, Value> {
    let mut document = change(&detail.change);
    document.insert("blocks".into(), detail.blocks.iter().map(block).collect());
    document.insert("landmarks".into(), landmarks(&detail.change.landmarks));
    document.insert("steps".into(), detail.steps.iter().map(step).collect());
    document
}

fn step(step: &StepRow) -> Value {
    let known = |code: &str| State::parse(code).map_or_else(|| json!({"code": code, "label": code}), state);
    json!({
        "ordinal": step.ordinal,
        "from": step.from_state.as_deref().map(known),
        "to": known(&step.to_state),
        "on": step.happened_on.to_string(),
        "document_no": step.document_no,
        "document_title": step.document_title,
        "note": step.note,
        "base_revision": step.base_revision,
        "actor": step.actor,
        "revision": step.revision,
    })
}

fn block(block: &ProposedBlock) -> Value {
    let area = SquareMetres::new(block.area_m2).unwrap_or(SquareMetres::ZERO);
    json!({
        "number": block.number,
        "name": block.name,
        "stated_area_ha": stated(block.stated_area),
        "computed_area_m2": round_decimal(area.value(), 2),
        "computed_area_ha": round_decimal(area.to_hectares().value(), 4),
        "computed_area_mu": round_decimal(area.to_mu().value(), 2),
        "east": block.four_extents.east,
        "south": block.four_extents.south,
        "west": block.four_extents.west,
        "north": block.four_extents.north,
        "four_extents": block.four_extents_text,
        "surveyed": block.surveyed,
    })
}

fn landmarks(list: &[Landmark]) -> Value {
    let one = |landmark: &Landmark| {
        let path: Vec<[f64; 2]> = landmark.path.iter().map(|c| [c.x, c.y]).collect();
        let geometry = match path.as_slice() {
            [point] => json!({"type": "Point", "coordinates": point}),
            line => json!({"type": "LineString", "coordinates": line}),
        };
        json!({"name": landmark.name, "geometry": geometry})
    };
    Value::Array(list.iter().map(one).collect())
}

fn feature(role: &str, label: &str, shape: &MultiPolygon<f64>, properties: Value) -> Value {
    let mut all = Map::new();
    all.insert("role".into(), json!(role));
    all.insert("role_label".into(), json!(label));
    if let Value::Object(more) = properties {
        all.extend(more);
    }
    let geometry = serde_json::to_value(geojson::exact(shape)).unwrap_or(Value::Null);
    json!({"type": "Feature", "geometry": geometry, "properties": all})
}

/// The proposal as GeoJSON, as `PUT` takes it back: the boundaries to the last decimal.
pub fn proposal_geojson(detail: &Detail) -> Value {
    let feature = |one: &ProposedBlock| {
        let mut feature = feature("proposed", "拟议", &one.boundary, block(one));
        if let Some(properties) = feature["properties"].as_object_mut() {
            properties.remove("role_label");
        }
        feature
    };
    json!({
        "type": "FeatureCollection",
        "title": detail.change.title,
        "reason": detail.change.reason,
        "area": {
            "before_ha": stated(detail.change.areas.before),
            "out_ha": stated(detail.change.areas.out),
            "in_ha": stated(detail.change.areas.added),
            "after_ha": stated(detail.change.areas.after),
        },
        "landmarks": landmarks(&detail.change.landmarks),
        "features": detail.blocks.iter().map(feature).collect::<Vec<_>>(),
    })
}

/// Proposed, current, removed and added land as GeoJSON.
pub fn assessment_geojson(assessment: &Assessment) -> Value {
    let mut features: Vec<Value> =
        assessment.blocks.iter().map(|b| feature("proposed", "拟议", &b.boundary, block(b))).collect();
    features.extend(assessment.standing.blocks.iter().map(|b| {
        let told =
            json!({"number": b.id.number(), "name": b.name, "computed_area_m2": round_decimal(b.area.value(), 2)});
        feature("current", "现状", &b.boundary, told)
    }));
    for (side, role) in [(Side::Out, "removed"), (Side::In, "added")] {
        features.extend(assessment.land.pieces(side).iter().map(|piece| {
            let told = json!({"number": piece.block, "area": measured(piece.m2)});
            feature(role, side.label(), &piece.land, told)
        }));
    }
    json!({
        "type": "FeatureCollection",
        "park": {"code": assessment.park.as_str(), "name": assessment.park_name},
        "revision": assessment.revision,
        "features": features,
    })
}

/// The whole assessment without links.
pub fn assessment(assessment: &Assessment) -> Map<String, Value> {
    let land = &assessment.land;
    let stated_blocks: Vec<Value> = assessment
        .blocks
        .iter()
        .map(|b| json!({"number": b.number, "stated_area_ha": stated(b.stated_area), "computed": measured(b.area_m2)}))
        .collect();
    let kind = assessment.areas.kind();
    let document = json!({
        "park": {"code": assessment.park.as_str(), "name": assessment.park_name},
        "revision": assessment.revision,
        "on": assessment.on.to_string(),
        "kind": kind.map(|kind| kind.as_str()),
        "kind_label": kind.map(|kind| kind.label()),
        "stated": areas(&assessment.areas),
        "computed": computed(land),
        "blocks": stated_blocks,
        "land_classes": classes(land),
        "parcels": parcels(assessment),
        "extremes": extremes_of(assessment),
        "four_extents": assessment.sides.iter().map(block_view).collect::<Vec<_>>(),
        "conflicts": conflicts(assessment),
        "findings": wire::findings(&assessment.findings),
    });
    match document {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn computed(land: &Land) -> Value {
    json!({
        "before": measured(land.before_m2),
        "out": measured(land.m2(Side::Out)),
        "in": measured(land.m2(Side::In)),
        "after": measured(land.after_m2),
        "closing_m2": land.closing_m2(),
        "out_by_block": by_block(land, Side::Out),
        "in_by_block": by_block(land, Side::In),
    })
}

fn by_block(land: &Land, side: Side) -> Value {
    let one = |piece: &super::assess::land::Piece| json!({"number": piece.block, "area": measured(piece.m2)});
    Value::Array(land.pieces(side).iter().map(one).collect())
}

fn classes(land: &Land) -> Value {
    let row = |class: &ClassRow| {
        json!({
            "ledger": class.ledger.layer(),
            "land_use_system": class.system,
            "land_use_code": class.code,
            "parcels": class.parcels,
            "area": measured(class.m2),
        })
    };
    let side = |at: usize, side: Side| {
        let of_side: Vec<&ClassRow> = land.classes.iter().filter(|class| class.side == side).collect();
        let sum: f64 = of_side.iter().map(|class| class.m2).sum::<f64>() + 0.0;
        // Parcels of two ledgers may lie on the same land.
        let twice = land.in_none_m2[at].map(|none| (sum + none - land.m2(side)).max(0.0));
        json!({
            "classes": of_side.into_iter().map(row).collect::<Vec<_>>(),
            "no_parcel": land.in_none_m2[at].map(measured),
            "no_parcel_unknown": land.none_unknown[at],
            "in_several_m2": twice,
        })
    };
    json!({"out": side(0, Side::Out), "in": side(1, Side::In)})
}

fn parcels(assessment: &Assessment) -> Value {
    let row = |row: &ParcelRow| {
        let parcel = &assessment.parcels[row.at];
        json!({
            "ledger": parcel.ledger.layer(),
            "id": parcel.id,
            "name": parcel.name,
            "state": parcel.state,
            "land_use_system": parcel.land_use_system,
            "land_use_code": parcel.land_use_code,
            "fate": row.fate.as_str(),
            "fate_label": row.fate.label(),
            "area": measured(parcel.area_m2),
            "out": measured(row.out_m2),
            "in": measured(row.in_m2),
            "out_whole": row.whole_out,
            "in_whole": row.whole_in,
            "share_before": row.share_before,
            "share_after": row.share_after,
            "block_before": row.block_before,
            "block_after": row.block_after,
        })
    };
    let rows = &assessment.land.parcels;
    let count = |fate: Fate| rows.iter().filter(|row| row.fate == fate).count();
    let counts: Map<String, Value> =
        Fate::ALL.into_iter().map(|fate| (fate.as_str().to_owned(), json!(count(fate)))).collect();
    json!({
        "matched": rows.len(),
        "counts": counts,
        "list": rows.iter().take(MOST_LISTED).map(row).collect::<Vec<_>>(),
    })
}

fn vertex(v: Vertex) -> Value {
    json!({"longitude": v.longitude, "latitude": v.latitude, "longitude_dms": dms(v.longitude, 2), "latitude_dms": dms(v.latitude, 2)})
}

fn extremes_json<'a>(shapes: impl Iterator<Item = &'a MultiPolygon<f64>>) -> Value {
    let all = MultiPolygon(shapes.flat_map(|shape| shape.0.iter().cloned()).collect());
    let found = extremes::compute(&all).map(|e| {
        json!({
            "east": vertex(e.east), "south": vertex(e.south), "west": vertex(e.west), "north": vertex(e.north), "bbox": e.bbox,
        })
    });
    found.unwrap_or(Value::Null)
}

fn extremes_of(assessment: &Assessment) -> Value {
    let blocks: Vec<Value> = assessment
        .blocks
        .iter()
        .map(|b| json!({"number": b.number, "after": extremes_json(std::iter::once(&b.boundary))}))
        .collect();
    json!({
        "before": extremes_json(assessment.standing.blocks.iter().map(|b| &b.boundary)),
        "after": extremes_json(assessment.blocks.iter().map(|b| &b.boundary)),
        "blocks": blocks,
    })
}

fn block_view(view: &BlockView) -> Value {
    let words: &FourExtents = &view.words;
    json!({
        "number": view.block,
        "proposed": {"east": words.east, "south": words.south, "west": words.west, "north": words.north},
        "text": Some(words.print()).filter(|text| !text.is_empty()),
        "complete": view.complete,
        "sides": view.sides.iter().map(side_view).collect::<Vec<_>>(),
    })
}

fn side_view(view: &SideView) -> Value {
    json!({
        "side": view.side.as_str(),
        "side_label": view.side.label(),
        "words": view.words,
        "candidates": view.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "more": view.more,
    })
}

fn candidate(candidate: &Candidate) -> Value {
    let sight = &candidate.sight;
    json!({
        "kind": candidate.kind.as_str(),
        "kind_label": candidate.kind.label(),
        "id": candidate.id,
        "name": candidate.name,
        "illustrative": candidate.illustrative,
        "crossing": sight.crossing,
        "distance_m": round_decimal(sight.distance_m, 2),
        "bearing_deg": rounded(sight.bearing_deg),
        "bearing": octant(sight.bearing_deg),
        "point": [round_decimal(sight.point.x, 8), round_decimal(sight.point.y, 8)],
    })
}

fn conflicts(assessment: &Assessment) -> Value {
    let compared = &assessment.conflicts;
    let mut heaviest: Vec<&FindingRow> = compared.findings.iter().collect();
    // The heaviest first; within a weight in the order of the check.
    heaviest.sort_by_key(|row| row.weight);
    let count = |weight: Weight| compared.findings.iter().filter(|row| row.weight == weight).count();
    let counts: Map<String, Value> =
        Weight::ALL.iter().map(|weight| (weight.as_str().to_owned(), json!(count(*weight)))).collect();
    let told = |row: &&FindingRow| {
        let mut finding = overlap_check::wire::finding_json(row);
        if let Some(object) = finding.as_object_mut() {
            // Marks are of kept checks.
            ["verdict", "verdict_label", "note", "marked_by", "marked_at"].iter().for_each(|name| {
                object.remove(*name);
            });
        }
        finding
    };
    json!({
        "revision": compared.revision,
        "layers": compared.layers.iter().map(|layer| layer.id).collect::<Vec<_>>(),
        "complete": compared.summary["complete"],
        "not_compared": compared.summary["not_compared"],
        "by_weight": counts,
        "list": heaviest.iter().take(MOST_LISTED).map(told).collect::<Vec<_>>(),
    })
}
