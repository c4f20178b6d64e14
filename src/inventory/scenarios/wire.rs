//! The JSON of scenarios and of what a trial of one tells.

use serde_json::{Value, json};

use super::trial::{Changed, ParkTotals, Totals, Trial};
use crate::inventory::conflicts::wire::measured_json;
use crate::inventory::overlap_check::wire::moment;
use crate::inventory::wire;
use crate::layers::geojson;
use crate::store::scenarios::{FeatureState, ScenarioRow};

/// A scenario as it is kept, without links.
pub fn scenario_json(row: &ScenarioRow, with_operations: bool) -> Value {
    let mut document = json!({
        "id": row.id,
        "name": row.name,
        "owner": row.actor,
        "base_revision": row.base_revision,
        "version": row.version,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "applied_revision": row.applied_revision,
        "operation_count": row.operation_count,
    });
    if with_operations {
        document["undone"] = json!(row.undone);
        document["operations"] = row.operations.clone();
    }
    document
}

/// All that a trial tells but the shapes.
pub fn trial_json(trial: &Trial, row: &ScenarioRow) -> Value {
    let done = trial.tried.done.iter().enumerate().map(|(index, (subject, warnings))| {
        json!({"index": index, "ok": true, "subject": subject, "warnings": wire::findings(warnings)})
    });
    let failed = trial.tried.failure.iter().map(|failure| {
        json!({
            "index": failure.index, "ok": false, "code": failure.code, "detail": failure.detail,
            "findings": wire::findings(&failure.findings),
        })
    });
    let tried = &trial.tried;
    let moved = tried.moved.iter().map(|row| json!({"table": row.table, "id": row.id, "revision": row.revision}));
    let is_unmoved = tried.moved.is_empty() && tried.moved_elsewhere == 0;
    let changes: serde_json::Map<String, Value> = trial
        .layers
        .iter()
        .map(|layer| {
            let count = |word: &str| layer.features.iter().filter(|changed| change(changed) == word).count();
            let counts = json!({"added": count("added"), "changed": count("changed"), "removed": count("removed")});
            (layer.layer.id.to_owned(), counts)
        })
        .collect();
    let conflict = |measured, is_known: bool| {
        let mut shown = measured_json(measured);
        shown["known"] = json!(is_known);
        shown
    };
    json!({
        "scenario": row.id,
        "base_revision": row.base_revision,
        "revision": trial.revision,
        "operations": done.chain(failed).collect::<Vec<_>>(),
        "possible": trial.tried.failure.is_none(),
        "applicable": tried.failure.is_none() && is_unmoved && !tried.supposed,
        "supposed": trial.tried.supposed,
        "moved": moved.collect::<Vec<_>>(),
        "moved_elsewhere": tried.moved_elsewhere,
        "changes": changes,
        "totals": trial.totals.iter().map(totals_json).collect::<Vec<_>>(),
        "conflicts": trial.conflicts.iter().map(|(measured, known)| conflict(measured, *known)).collect::<Vec<_>>(),
        "resolved": trial.resolved.iter().map(|measured| conflict(measured, true)).collect::<Vec<_>>(),
        "complete": trial.complete,
    })
}

fn totals_json(park: &ParkTotals) -> Value {
    let of = |totals: &Option<Totals>| {
        totals.as_ref().map(|totals| {
            let parcels: serde_json::Map<String, Value> = totals
                .parcels
                .iter()
                .map(|(ledger, (count, m2))| (ledger.clone(), json!({"count": count, "area_m2": m2})))
                .collect();
            json!({
                "name": totals.name, "status": totals.status, "block_count": totals.blocks,
                "approved_area_ha": totals.approved_area_ha, "computed_area_m2": totals.computed_area_m2, "parcels": parcels,
            })
        })
    };
    json!({"park_code": park.code, "before": of(&park.before), "after": of(&park.after)})
}

/// The changed features of all layers, as a map lays them over what stands: what would be, or what would be no more.
pub fn trial_geojson(trial: &Trial, row: &ScenarioRow) -> Value {
    let mut features = Vec::new();
    for layer in &trial.layers {
        for changed in &layer.features {
            let Some(state) = changed.after.as_ref().or(changed.before.as_ref()) else { continue };
            features.push(feature(state, layer.layer.id, change(changed)));
        }
    }
    json!({
        "type": "FeatureCollection",
        "scenario": row.id,
        "possible": trial.tried.failure.is_none(),
        "complete": trial.complete,
        "numberReturned": features.len(),
        "features": features,
    })
}

fn feature(state: &FeatureState, layer: &str, change: &str) -> Value {
    let geometry = state.land.as_ref().filter(|land| !land.0.is_empty());
    let geometry = geometry.map(|land| serde_json::to_value(geojson::exact(land)).unwrap_or(Value::Null));
    let mut properties = state.properties.clone();
    properties["collection"] = json!(layer);
    properties["change"] = json!(change);
    json!({"type": "Feature", "id": state.id, "geometry": geometry, "properties": properties})
}

fn change(changed: &Changed) -> &'static str {
    match (&changed.before, &changed.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    }
}
