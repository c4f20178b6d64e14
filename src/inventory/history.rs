//! The history of a feature: what each revision changed of it, property by property, and what land came and went.

use geo::MultiPolygon;
use serde_json::Value;
use sqlx::PgPool;

use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, Property};
use crate::error::{Error, Result};
use crate::geometry::difference::{self, Difference, MOST_OVERLAID};
use crate::store::history::{self, Entry, State};

/// All overlays of one page together, in the measure of [`difference::cost`].
const MOST_OVERLAID_OF_PAGE: usize = 4 * MOST_OVERLAID;

/// A property that a revision gave another value.
#[derive(Debug, Clone)]
pub struct ChangedProperty {
    /// The declared property; `None` for the days of the life, which every layer has.
    pub property: Option<&'static Property>,
    pub name: &'static str,
    pub before: Value,
    pub after: Value,
}

/// What became of the boundary.
#[derive(Debug, Clone, PartialEq)]
pub enum GeometryChange {
    Same,
    Different(Box<Difference>),
    /// The boundaries meet too often to be compared.
    TooComplex,
}

/// One revision of the history.
#[derive(Debug, Clone)]
pub struct Told {
    pub entry: Entry,
    pub properties: Vec<ChangedProperty>,
    pub geometry: GeometryChange,
}

/// A page of the history, newest first.
#[derive(Debug, Clone)]
pub struct History {
    pub matched: usize,
    pub entries: Vec<Told>,
    pub more: bool,
}

/// The revisions of a feature before revision `before`. Geometry is compared off the async threads.
pub async fn tell(
    pool: &PgPool,
    viewer: &Viewer,
    layer: &'static Layer,
    id: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Option<History>> {
    let Some(page) = history::list(pool, viewer, layer, id, before, limit).await? else { return Ok(None) };
    let (matched, more) = (page.matched, page.more);
    let told = tokio::task::spawn_blocking(move || {
        let mut budget = MOST_OVERLAID_OF_PAGE;
        page.entries.into_iter().map(|entry| tell_entry(layer, entry, &mut budget)).collect::<Result<Vec<_>>>()
    });
    let entries = told.await.map_err(|cause| Error::internal("比较图形时程序出错", cause))??;
    Ok(Some(History { matched, entries, more }))
}

fn tell_entry(layer: &'static Layer, entry: Entry, budget: &mut usize) -> Result<Told> {
    let properties = changed_properties(layer, entry.before.as_ref(), entry.after.as_ref())?;
    let geometry = changed_geometry(entry.before.as_ref(), entry.after.as_ref(), budget);
    Ok(Told { entry, properties, geometry })
}

fn changed_properties(
    layer: &'static Layer,
    before: Option<&State>,
    after: Option<&State>,
) -> Result<Vec<ChangedProperty>> {
    let properties = |state: Option<&State>| -> Result<Value> {
        let Some(state) = state else { return Ok(Value::Null) };
        let mut feature: Value =
            serde_json::from_str(&state.json).map_err(|cause| Error::internal("要素无法解读", cause))?;
        Ok(feature["properties"].take())
    };
    let (mut before, mut after) = (properties(before)?, properties(after)?);
    let life = ["valid_from", "valid_to"].map(|name| (None, name));
    let declared = layer.properties.iter().map(|property| (Some(property), property.name));
    let mut changed = Vec::new();
    for (property, name) in declared.chain(life) {
        let value = |all: &mut Value| all.get_mut(name).map(Value::take).unwrap_or_default();
        let (before, after) = (value(&mut before), value(&mut after));
        if before != after {
            changed.push(ChangedProperty { property, name, before, after });
        }
    }
    Ok(changed)
}

fn changed_geometry(before: Option<&State>, after: Option<&State>, budget: &mut usize) -> GeometryChange {
    let nothing = MultiPolygon(Vec::new());
    let of = |state: Option<&State>| state.and_then(|state| state.geometry.clone()).unwrap_or_else(|| nothing.clone());
    let (before, after) = (of(before), of(after));
    if before == after {
        return GeometryChange::Same;
    }
    let allowed = MOST_OVERLAID.min(*budget);
    let cost = difference::cost(&before, &after);
    if cost <= allowed {
        *budget -= cost;
    }
    match difference::between(&before, &after, allowed) {
        Some(difference) => GeometryChange::Different(Box::new(difference)),
        None => GeometryChange::TooComplex,
    }
}
