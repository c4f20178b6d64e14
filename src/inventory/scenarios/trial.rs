//! The deeds of a scenario, carried out in a transaction as one revision, and what has come of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sqlx::{PgConnection, Postgres, Transaction};

use super::Operation;
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::boundary_change::State;
use crate::domain::conflict::AUDITED;
use crate::domain::layer::Layer;
use crate::domain::{DivisionCode, Finding, Ledger};
use crate::error::{Error, Result};
use crate::geometry::overlap::Shape;
use crate::inventory::boundary_change::{self, MoveRequest};
use crate::inventory::conflicts;
use crate::inventory::ledgers::{self, Deed};
use crate::inventory::parks;
use crate::layers::declaration;
use crate::store;
use crate::store::conflicts::Measured;
use crate::store::scenarios::{self, FeatureState, MovedRow, ScenarioRow};

/// Features that one trial shows; beyond, it says that it is not complete.
const MOST_SHOWN: usize = 20_000;
/// Layers that a trial shows, parks as they are put together first.
const SHOWN: [&str; 4] = ["parks", "park_blocks", "turnover_parcels", "low_efficiency_parcels"];

/// The deed that could not be done.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its place among the deeds, from 0.
    pub index: usize,
    pub code: &'static str,
    pub detail: String,
    pub findings: Vec<Finding>,
}

/// What the deeds made of the transaction, up to the first that could not be done.
#[derive(Debug)]
pub struct Tried {
    pub revision: i64,
    /// Of each deed that was done: what it is filed under, and what is to be said of it.
    pub done: Vec<(String, Vec<Finding>)>,
    pub failure: Option<Failure>,
    /// Rows that it wrote and that others have written since the picture that it was decided on.
    pub moved: Vec<MovedRow>,
    /// How many more of them are of counties that are not the viewer's.
    pub moved_elsewhere: usize,
    /// A boundary was only supposed to be approved.
    pub supposed: bool,
}

/// A feature before and after.
#[derive(Debug, Clone)]
pub struct Changed {
    pub before: Option<FeatureState>,
    pub after: Option<FeatureState>,
}

/// What became of a layer.
#[derive(Debug)]
pub struct LayerChanges {
    pub layer: &'static Layer,
    pub features: Vec<Changed>,
}

/// What a park amounts to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    pub name: String,
    pub status: String,
    pub blocks: i64,
    pub approved_area_ha: Option<f64>,
    pub computed_area_m2: Option<f64>,
    /// Number and m² of its parcels that the viewer may see, ledger by ledger.
    pub parcels: BTreeMap<String, (i64, f64)>,
}

#[derive(Debug)]
pub struct ParkTotals {
    pub code: String,
    pub before: Option<Totals>,
    pub after: Option<Totals>,
}

/// All that a trial has to tell.
#[derive(Debug)]
pub struct Trial {
    pub tried: Tried,
    /// The newest of the register that it was tried on.
    pub revision: i64,
    pub layers: Vec<LayerChanges>,
    pub totals: Vec<ParkTotals>,
    /// Conflicts of what it touches, and whether the register has them already.
    pub conflicts: Vec<(Measured, bool)>,
    /// Conflicts of the register that would be no more.
    pub resolved: Vec<Measured>,
    /// Whether all features are shown and all pairs compared.
    pub complete: bool,
}

/// Does the deeds; `supposing`: a boundary without its steps counts as approved.
pub(super) async fn carry_out(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    row: &ScenarioRow,
    operations: &[Operation],
    supposing: bool,
) -> Result<Tried> {
    let why = format!("实施推演方案 {}（{}）", row.id, row.name);
    let revision = store::revision::open(connection, &deed.viewer.actor, &why, &deed.source).await?;
    let deed = Deed { joined: Some(revision), key: None, version: None, ..deed.clone() };
    let mut tried =
        Tried { revision, done: Vec::new(), failure: None, moved: Vec::new(), moved_elsewhere: 0, supposed: false };
    for (index, operation) in operations.iter().enumerate() {
        scenarios::begin_trial(connection).await?;
        match one(connection, &deed, operation, supposing).await {
            Ok((subject, warnings, supposed)) => {
                tried.supposed |= supposed;
                tried.done.push((subject, warnings));
            }
            // What the database or the program failed at is no verdict on the deed.
            Err(error @ (Error::Internal { .. } | Error::Unavailable { .. })) => return Err(error),
            Err(error) => {
                scenarios::take_back(connection).await?;
                let (code, detail) = (error.code(), error.to_string());
                tried.failure = Some(Failure { index, code, detail, findings: error.findings().to_vec() });
                break;
            }
        }
    }
    let moved = scenarios::moved_since(connection, row.base_revision, revision).await?;
    let (own, others): (Vec<MovedRow>, Vec<MovedRow>) = moved.into_iter().partition(|row| is_own(deed.viewer, row));
    (tried.moved, tried.moved_elsewhere) = (own, others.len());
    Ok(tried)
}

/// Rows that are one county's are for those who look after it.
fn is_own(viewer: &Viewer, row: &MovedRow) -> bool {
    let covers = |code: &str| DivisionCode::parse(code).is_ok_and(|code| viewer.jurisdiction.covers(&code));
    row.county.as_deref().is_none_or(covers)
}

/// What it is filed under, what is to be said, and whether it was only supposed.
async fn one(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    operation: &Operation,
    supposing: bool,
) -> Result<(String, Vec<Finding>, bool)> {
    match operation {
        Operation::Event(wanted) => {
            let (subject, warnings) = parks::happen_within(connection, deed, wanted).await?;
            Ok((subject, warnings, false))
        }
        Operation::Parcel(edit) => {
            let written = ledgers::write_joined(connection, deed, (**edit).clone()).await?;
            Ok((written.done.id, written.remarks, false))
        }
        Operation::Boundary { park, draft, steps, on } => {
            let (id, mut warnings) = boundary_change::propose_joined(connection, deed, park, (**draft).clone()).await?;
            let supposed =
                decide(connection, deed, &id, steps, on.unwrap_or(deed.today), supposing, &mut warnings).await?;
            Ok((id, warnings, supposed))
        }
        Operation::Decision { id, steps, on } => {
            let mut warnings = Vec::new();
            let supposed =
                decide(connection, deed, id, steps, on.unwrap_or(deed.today), supposing, &mut warnings).await?;
            Ok((id.clone(), warnings, supposed))
        }
    }
}

async fn decide(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    id: &str,
    steps: &[MoveRequest],
    on: chrono::NaiveDate,
    supposing: bool,
    warnings: &mut Vec<Finding>,
) -> Result<bool> {
    for step in steps {
        warnings.extend(boundary_change::transition_joined(connection, deed, id, step).await?);
    }
    let state = boundary_change::state_joined(connection, deed.viewer, id).await?;
    // Steps that end it otherwise (withdrawn, rejected) are done like any others.
    if state == State::Approved || (!state.is_open() && !steps.is_empty()) {
        return Ok(false);
    }
    if !state.is_open() {
        let detail = format!("调区扩区 {id} 已是“{}”，不能再批准", state.label());
        return Err(Error::conflict("transition_not_allowed", detail));
    }
    if !supposing {
        let detail = format!("调区扩区 {id} 还没有走到批准：请在 steps 中写明联审、公示、批准各步的日期和文号");
        return Err(Error::conflict("scenario_undecided", detail));
    }
    boundary_change::suppose_joined(connection, deed, id, on).await?;
    Ok(true)
}

/// Looks at what the transaction has made of the register, beside the register as it stands.
pub(super) async fn look_at(
    mut base: Transaction<'_, Postgres>,
    connection: &mut PgConnection,
    viewer: &Viewer,
    revision: i64,
    tried: Tried,
) -> Result<Trial> {
    let everywhere = Viewer { jurisdiction: Jurisdiction::Everywhere, ..viewer.clone() };
    let mut layers = Vec::new();
    let mut complete = true;
    for layer in SHOWN.iter().filter_map(|id| declaration::find(id)) {
        let ids = scenarios::touched(connection, layer, tried.revision).await?;
        complete &= ids.len() <= MOST_SHOWN;
        let ids = &ids[..ids.len().min(MOST_SHOWN)];
        let before = scenarios::features(&mut base, layer, ids).await?;
        let after = scenarios::features(connection, layer, ids).await?;
        let features = paired(before, after).into_iter().filter(|changed| is_for(viewer, layer, changed)).collect();
        layers.push(LayerChanges { layer, features });
    }
    let totals = totals(&mut base, connection, &viewer.jurisdiction, &layers).await?;
    // Nothing more is asked of it, and the comparison may take a while.
    base.commit().await?;
    let (conflicts, resolved, compared) = conflicts_of(connection, viewer, &everywhere, &layers).await?;
    layers.iter_mut().for_each(|changes| changes.features.retain(|changed| changed.before != changed.after));
    Ok(Trial { tried, revision, layers, totals, conflicts, resolved, complete: complete && compared })
}

fn paired(before: Vec<FeatureState>, after: Vec<FeatureState>) -> Vec<Changed> {
    let mut all: BTreeMap<String, Changed> = BTreeMap::new();
    for state in before {
        all.insert(state.id.clone(), Changed { before: Some(state), after: None });
    }
    for state in after {
        let id = state.id.clone();
        all.entry(id).or_insert(Changed { before: None, after: None }).after = Some(state);
    }
    all.into_values().collect()
}

/// Parcels are for those whose county they are of.
fn is_for(viewer: &Viewer, layer: &Layer, changed: &Changed) -> bool {
    if Ledger::of_layer(layer.id).is_none() {
        return true;
    }
    let covers = |state: &FeatureState| {
        let county = state.properties["county_code"].as_str().and_then(|code| DivisionCode::parse(code).ok());
        county.is_some_and(|county| viewer.jurisdiction.covers(&county))
    };
    changed.before.iter().chain(&changed.after).all(covers)
}

async fn totals(
    base: &mut PgConnection,
    connection: &mut PgConnection,
    jurisdiction: &Jurisdiction,
    layers: &[LayerChanges],
) -> Result<Vec<ParkTotals>> {
    let mut codes: BTreeSet<String> = BTreeSet::new();
    for changes in layers {
        for state in changes.features.iter().flat_map(|changed| changed.before.iter().chain(&changed.after)) {
            let code = if changes.layer.id == "parks" {
                Some(state.id.as_str())
            } else {
                state.properties["park_code"].as_str()
            };
            codes.extend(code.map(str::to_owned));
        }
    }
    let codes: Vec<String> = codes.into_iter().collect();
    let before = totals_of(base, jurisdiction, &codes).await?;
    let after = totals_of(connection, jurisdiction, &codes).await?;
    let of = |all: &BTreeMap<String, Totals>, code: &String| all.get(code).cloned();
    let totals =
        codes.iter().map(|code| ParkTotals { code: code.clone(), before: of(&before, code), after: of(&after, code) });
    Ok(totals.filter(|park| park.before != park.after).collect())
}

async fn totals_of(
    connection: &mut PgConnection,
    jurisdiction: &Jurisdiction,
    codes: &[String],
) -> Result<BTreeMap<String, Totals>> {
    let Some(parks) = declaration::find("parks") else { return Ok(BTreeMap::new()) };
    let mut all: BTreeMap<String, Totals> = BTreeMap::new();
    for park in scenarios::features(connection, parks, codes).await? {
        let text = |name: &str| park.properties[name].as_str().unwrap_or_default().to_owned();
        let totals = Totals {
            name: text("name"),
            status: text("status"),
            blocks: park.properties["block_count"].as_i64().unwrap_or(0),
            approved_area_ha: park.properties["approved_area_ha"].as_f64(),
            computed_area_m2: park.properties["exact_area_m2"].as_f64(),
            parcels: BTreeMap::new(),
        };
        all.insert(park.id, totals);
    }
    for (park, ledger, count, m2) in scenarios::parcels_of(connection, jurisdiction, codes).await? {
        if let Some(totals) = all.get_mut(&park) {
            totals.parcels.insert(ledger, (count, m2));
        }
    }
    Ok(all)
}

/// Conflicts of the touched features as the transaction has them: those that would be, whether they are already; those that would be no
/// more; and whether all pairs were compared.
async fn conflicts_of(
    connection: &mut PgConnection,
    viewer: &Viewer,
    everywhere: &Viewer,
    layers: &[LayerChanges],
) -> Result<(Vec<(Measured, bool)>, Vec<Measured>, bool)> {
    let audited: Vec<&'static Layer> = AUDITED.iter().filter_map(|id| declaration::find(id)).collect();
    let mut touched = Vec::with_capacity(audited.len());
    let mut boxes = Vec::new();
    for layer in &audited {
        let changes = layers.iter().find(|changes| changes.layer.id == layer.id);
        let features = changes.map_or(&[][..], |changes| changes.features.as_slice());
        let id = |changed: &Changed| changed.before.iter().chain(&changed.after).map(|state| state.id.clone()).next();
        touched.push(features.iter().filter_map(id).collect::<HashSet<String>>());
        let lands = features.iter().filter_map(|changed| changed.after.as_ref()?.land.as_ref());
        boxes.extend(lands.filter_map(|land| Shape::of_multi_polygon(land).bbox()));
    }
    let (found, standing, compared) = conflicts::of_trial(connection, everywhere, &audited, touched, boxes).await?;
    let is_seen = |measured: &Measured| {
        let covers = |division: &Option<String>| {
            division
                .as_deref()
                .is_none_or(|code| DivisionCode::parse(code).is_ok_and(|code| viewer.jurisdiction.covers(&code)))
        };
        covers(&measured.a.division) && covers(&measured.b.division)
    };
    let known: HashSet<&str> = standing.iter().map(|measured| measured.id.as_str()).collect();
    let would: HashSet<&str> = found.iter().map(|measured| measured.id.as_str()).collect();
    let resolved = standing.iter().filter(|m| !would.contains(m.id.as_str()) && is_seen(m)).cloned().collect();
    let found = found.iter().filter(|m| is_seen(m)).map(|m| (m.clone(), known.contains(m.id.as_str()))).collect();
    Ok((found, resolved, compared))
}
