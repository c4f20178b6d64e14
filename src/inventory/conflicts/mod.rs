//! The register's conflicts with itself (全库审查): parcels, blocks and control lines against one another, followed as the register changes.
//!
//! An audit reads what is held in memory, compares what was touched since the last one with what lies near it, and writes down what came,
//! went and changed. It makes no revision. Any number of servers may audit: the first one to be done writes.

mod keeper;
mod pairs;
pub mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

pub use keeper::keep;
use pairs::{Found, Touched};

use super::live::Live;
use super::overlap_check::compare::widened;
use super::overlap_check::job::{gathered, threads_of_its_own};
use super::overlap_check::source::{self, Source};
use super::overlap_check::zone;
use super::peoples_text;
use crate::domain::access::Viewer;
use crate::domain::conflict::AUDITED;
use crate::domain::items_query::Bbox;
use crate::domain::layer::Layer;
use crate::domain::overlap::Thresholds;
use crate::domain::overlap_check::{NOTE_LENGTH, Verdict};
use crate::error::{Error, Result};
use crate::layers::declaration;
use crate::store::conflicts::{self, AuditState, Conflict, ConflictQuery, Measured, Scope};
use crate::store::layer_rows::{Reading, Standing};
use crate::store::{self};

/// Pairs that were not compared are named up to so many.
const NAMED: usize = 1_000;

/// Touched features that are compared without threads of their own.
const FEW: usize = 64;

/// Areas and widths that differ by less, in part, are the same.
const SAME: f64 = 1e-9;

/// What an audit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    pub revision: i64,
    /// Features that were compared with what lies near them; `None` = all.
    pub touched: Option<usize>,
    pub opened: usize,
    pub changed: usize,
    pub closed: usize,
    /// Pairs that were too complex, now.
    pub not_compared: usize,
}

/// Brings the conflicts to the revision that memory shows; `None` where they are there, or another server was quicker, or memory does not
/// hold the layers. `whole`: as if nothing had been compared before.
pub async fn audit(pool: &PgPool, live: &Live, whole: bool) -> Result<Option<Audited>> {
    let viewer = Viewer::operator("audit");
    let layers: Vec<&'static Layer> = AUDITED.iter().filter_map(|id| declaration::find(id)).collect();
    let Some((mut sources, revision)) = source::in_memory(live, &viewer, &layers) else { return Ok(None) };
    let mut transaction = store::begin_read_as(pool, &viewer).await?;
    let before = conflicts::state(&mut transaction).await?;
    let now = conflicts::revision(&mut transaction, revision).await?;
    // Another server's memory was quicker: what it wrote is not to be audited backwards.
    let ahead = match before.as_ref().filter(|state| state.revision > revision) {
        Some(state) => {
            conflicts::revision(&mut transaction, state.revision).await? == Some(state.revision_hash.clone())
        }
        None => false,
    };
    transaction.commit().await?;
    // Before the first revision there is nothing to conflict.
    let Some(hash) = now else { return Ok(None) };
    if !whole && before.as_ref().is_some_and(|state| state.revision == revision && state.revision_hash == hash) {
        return Ok(None);
    }
    if ahead {
        return Ok(None);
    }
    let touched = match &before {
        Some(state) if !whole => touched_since(pool, state, revision, &layers).await?,
        _ => None,
    };
    if let Some(zones) = sources.iter_mut().find(|source| source.layer.id == zone::LAYER) {
        zones.within = source::kinds_at(pool, &viewer, revision).await?;
    }
    let scope = scope_of(touched.as_ref(), &layers, true);
    let alone = touched.as_ref().is_some_and(|touched| !pairs::lines_moved(touched));
    let count = touched.as_ref().map(|touched| touched.iter().map(HashSet::len).sum());
    let sources: Arc<Vec<Source>> = Arc::new(sources);
    let found = tokio::task::spawn_blocking(move || {
        let find = || pairs::find(&sources, touched.as_ref(), true);
        // Few are compared before threads are made.
        let is_little = alone && count.is_some_and(|count| count <= FEW);
        let threads = if is_little { None } else { threads_of_its_own() };
        match threads {
            Some(threads) => threads.install(find),
            None => find(),
        }
    });
    let found = found.await.map_err(|cause| Error::internal("审查冲突时程序出错", cause))?;
    let audit = Audit { before, revision, hash, scope };
    audit.write(pool, &viewer, found, count).await
}

/// The features that were touched since the last audit, layer by layer; `None` where the register has never stood as it was audited.
async fn touched_since(
    pool: &PgPool,
    state: &AuditState,
    until: i64,
    layers: &[&'static Layer],
) -> Result<Option<Touched>> {
    let mut reading = Reading::begin(pool).await?;
    let day = reading.standing().await?.day;
    let last = Standing { revision: state.revision, hash: state.revision_hash.clone(), day };
    if last.revision > until {
        return Ok(None);
    }
    let Some(tables) = reading.touched_tables(&last, until).await? else { return Ok(None) };
    let mut touched = Touched::with_capacity(layers.len());
    for layer in layers {
        let ids = if layer.sources.iter().any(|source| tables.iter().any(|table| table == source.table)) {
            reading.touched(layer, &tables, last.revision, until).await?
        } else {
            Vec::new()
        };
        touched.push(ids.into_iter().collect());
    }
    reading.end().await?;
    Ok(Some(touched))
}

fn scope_of(touched: Option<&Touched>, layers: &[&'static Layer], gaps: bool) -> Scope {
    let Some(touched) = touched else { return Scope::All };
    let features =
        layers.iter().zip(touched).flat_map(|(layer, ids)| ids.iter().map(|id| (layer.id.to_owned(), id.clone())));
    Scope::Touched {
        features: features.collect(),
        outside: pairs::lines_moved(touched),
        gaps: gaps && pairs::blocks_moved(touched, layers),
    }
}

struct Audit {
    before: Option<AuditState>,
    revision: i64,
    hash: String,
    scope: Scope,
}

impl Audit {
    /// `None` where another auditor has been here meanwhile.
    async fn write(
        self,
        pool: &PgPool,
        viewer: &Viewer,
        found: Found,
        touched: Option<usize>,
    ) -> Result<Option<Audited>> {
        let mut transaction = store::begin_write_as(pool, viewer).await?;
        if !conflicts::try_lock(&mut transaction).await? || conflicts::state(&mut transaction).await? != self.before {
            transaction.rollback().await?;
            return Ok(None);
        }
        // After the lock, so that a later audit's moment is later: who asks for what came since a moment misses nothing.
        let at = conflicts::moment(&mut transaction).await?;
        let standing = conflicts::open_ones(&mut transaction, &self.scope).await?;
        let mut standing: HashMap<&str, &Conflict> = standing.iter().map(|c| (c.measured.id.as_str(), c)).collect();
        let (mut new, mut changed, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
        for measured in &found.conflicts {
            match standing.remove(measured.id.as_str()) {
                None => new.push(measured),
                Some(old) if !is_same(&old.measured, measured) || old.land_hash != conflicts::land_hash(measured) => {
                    changed.push(measured);
                }
                Some(old) if (&old.measured.a, &old.measured.b) != (&measured.a, &measured.b) => renamed.push(measured),
                Some(_) => {}
            }
        }
        // What is too complex to be compared now is not solved.
        for pair in &found.not_compared {
            standing.remove(pairs::id_of(pair).as_str());
        }
        let gone: Vec<i64> = standing.into_values().map(|conflict| conflict.number).collect();
        conflicts::close(&mut transaction, &gone, self.revision, at).await?;
        conflicts::open(&mut transaction, &new, self.revision, at).await?;
        conflicts::update(&mut transaction, &changed, Some((self.revision, at))).await?;
        conflicts::update(&mut transaction, &renamed, None).await?;
        let missed = self.missed(&found.not_compared);
        conflicts::put_state(&mut transaction, self.revision, &self.hash, at, &missed).await?;
        transaction.commit().await?;
        Ok(Some(Audited {
            revision: self.revision,
            touched,
            opened: new.len(),
            changed: changed.len(),
            closed: gone.len(),
            not_compared: missed.as_array().map_or(0, Vec::len),
        }))
    }

    /// The pairs that are not compared now: those of before that were not looked at again, and the new ones.
    fn missed(&self, new: &[pairs::Pair]) -> Value {
        let Scope::Touched { features, outside, .. } = &self.scope else {
            return Value::Array(new.iter().take(NAMED).map(pair_json).collect());
        };
        // Kinds have no hyphen, zones do: land outside of a kind's zones was looked at everywhere where a zone has moved.
        let is_outside = |pair: &Value| {
            pair["layer_b"] == zone::LAYER && pair["feature_b"].as_str().is_some_and(|id| !id.contains('-'))
        };
        let anew: Vec<Value> = new.iter().map(pair_json).collect();
        let again: HashSet<(&str, &str)> = features.iter().map(|(layer, id)| (layer.as_str(), id.as_str())).collect();
        let is_again = |pair: &&Value| {
            let side = |layer: &str, id: &str| {
                again.contains(&(pair[layer].as_str().unwrap_or_default(), pair[id].as_str().unwrap_or_default()))
            };
            side("layer_a", "feature_a") || side("layer_b", "feature_b")
        };
        let before = self.before.as_ref().and_then(|state| state.not_compared.as_array());
        let before = before.into_iter().flatten();
        let kept = before.filter(|pair| !(is_again(pair) || anew.contains(pair) || *outside && is_outside(pair)));
        let kept: Vec<Value> = kept.cloned().collect();
        Value::Array(kept.into_iter().chain(anew).take(NAMED).collect())
    }
}

fn pair_json(pair: &pairs::Pair) -> Value {
    json!({"layer_a": pair.layer_a, "feature_a": pair.id_a, "layer_b": pair.layer_b, "feature_b": pair.id_b})
}

fn is_same(a: &Measured, b: &Measured) -> bool {
    let near = |x: f64, y: f64| (x - y).abs() <= SAME * x.abs().max(y.abs()).max(1.0);
    let both = |x: Option<f64>, y: Option<f64>| match (x, y) {
        (Some(x), Some(y)) => near(x, y),
        (x, y) => x.is_none() && y.is_none(),
    };
    (a.class, a.weight, a.illustrative, &a.rule) == (b.class, b.weight, b.illustrative, &b.rule)
        && near(a.area_m2, b.area_m2)
        && near(a.share_a, b.share_a)
        && near(a.share_b, b.share_b)
        && both(a.width_m, b.width_m)
        && both(a.gap_area_m2, b.gap_area_m2)
        && both(a.gap_length_m, b.gap_length_m)
}

/// Conflicts of these features as a transaction has them, those that the register has of them, and whether all pairs were compared.
pub(in crate::inventory) async fn of_trial(
    connection: &mut PgConnection,
    viewer: &Viewer,
    layers: &[&'static Layer],
    touched: Touched,
    boxes: Vec<Bbox>,
) -> Result<(Vec<Measured>, Vec<Measured>, bool)> {
    // Gaps between others that a change fills or lays bare are left to the audit: here not all of their land is read.
    let scope = scope_of(Some(&touched), layers, false);
    let reach = |bbox: Bbox| widened(bbox, Thresholds::default().gap_width_m());
    let boxes = gathered(boxes.into_iter().map(reach).collect());
    let sources = source::open_within(connection, viewer, layers, &boxes, true).await?;
    let found = tokio::task::spawn_blocking(move || pairs::find(&sources, Some(&touched), false));
    let found = found.await.map_err(|cause| Error::internal("审查冲突时程序出错", cause))?;
    let standing = conflicts::open_ones(connection, &scope).await?;
    let missed: HashSet<String> = found.not_compared.iter().map(pairs::id_of).collect();
    let standing = standing.into_iter().map(|conflict| conflict.measured);
    let standing = standing.filter(|measured| !missed.contains(&measured.id)).collect();
    Ok((found.conflicts, standing, found.not_compared.is_empty()))
}

/// A page of the conflicts that somebody may see, how many there are, and how far the auditor is.
pub async fn list(
    pool: &PgPool,
    viewer: &Viewer,
    query: &ConflictQuery,
) -> Result<(Vec<Conflict>, i64, Option<AuditState>)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let (found, matched) = conflicts::list(&mut transaction, query).await?;
    let state = conflicts::state(&mut transaction).await?;
    transaction.commit().await?;
    Ok((found, matched, state))
}

/// All lives of a conflict, the last first, and all that was said of it.
pub async fn get(
    pool: &PgPool,
    viewer: &Viewer,
    id: &str,
) -> Result<(Vec<Conflict>, Vec<(String, String, String, DateTime<Utc>)>)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let lives = conflicts::lives(&mut transaction, id).await?;
    let marks = conflicts::marks(&mut transaction, id).await?;
    transaction.commit().await?;
    if lives.is_empty() {
        return Err(not_found(id));
    }
    Ok((lives, marks))
}

/// Adds somebody's word on a conflict.
pub async fn mark(pool: &PgPool, viewer: &Viewer, id: &str, verdict: Verdict, note: &str) -> Result<()> {
    let note = peoples_text::lines("note", note, NOTE_LENGTH)?;
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    if !conflicts::mark(&mut transaction, id, verdict, &note, &viewer.actor).await? {
        return Err(not_found(id));
    }
    Ok(transaction.commit().await?)
}

fn not_found(id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::not_found("conflict_not_found", format!("没有标识为“{shown}”的冲突"))
}
