//! The features that a check compares with: of the layers in memory, or read from the database. Both give the same shapes to the bit.

use std::sync::Arc;

use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};
use sqlx::{PgConnection, PgPool};

use super::zone;
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::control_zone::{ZoneKind, ZoneTold};
use crate::domain::items_query::{Bbox, Period};
use crate::domain::layer::Layer;
use crate::domain::overlap_check::MOST_COMPARED;
use crate::error::{Error, Result};
use crate::geometry::overlap::Shape;
use crate::inventory::live::Live;
use crate::layers::selection;
use crate::layers::snapshot::{Picked, Snapshot};
use crate::store::overlap_candidates::{NearFeature, NearReading};

/// A layer's features near the shapes of a check.
pub(in crate::inventory) struct Source {
    pub layer: &'static Layer,
    features: Features,
    /// Of control lines: the kinds that land should lie within, of which the register holds zones at all.
    pub within: Vec<ZoneKind>,
}

enum Features {
    Memory { snapshot: Arc<Snapshot>, jurisdiction: Jurisdiction },
    Rows { rows: Vec<NearFeature>, tree: RTree<GeomWithData<Rectangle<[f64; 2]>, u32>> },
}

/// One feature of a source.
#[derive(Debug, Clone, Copy)]
pub(in crate::inventory) enum Feature {
    Held(Picked),
    Row(u32),
}

/// Which state of the register is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::inventory) struct Moment {
    pub revision: Option<i64>,
    pub period: Option<Period>,
}

/// The sources of these layers and the revision that they show.
pub(super) async fn open(
    pool: &PgPool,
    live: Option<&Live>,
    viewer: &Viewer,
    layers: &[&'static Layer],
    moment: Moment,
    boxes: &[Bbox],
) -> Result<(Vec<Source>, i64)> {
    if moment.revision.is_none()
        && moment.period.is_none()
        && let Some(live) = live
        && let Some((mut sources, revision)) = in_memory(live, viewer, layers)
    {
        if let Some(zones) = sources.iter_mut().find(|source| source.layer.id == zone::LAYER) {
            zones.within = kinds_at(pool, viewer, revision).await?;
        }
        return Ok((sources, revision));
    }
    let mut reading = NearReading::begin(pool, viewer, moment.revision, moment.period).await?;
    let sources = read(&mut reading, layers, boxes, false).await?;
    Ok((sources, reading.revision))
}

/// What a transaction sees near these boxes, with what it has written itself; `whole`: every feature with its properties.
pub(in crate::inventory) async fn open_within(
    connection: &mut PgConnection,
    viewer: &Viewer,
    layers: &[&'static Layer],
    boxes: &[Bbox],
    whole: bool,
) -> Result<Vec<Source>> {
    read(&mut NearReading::within(connection, viewer).await?, layers, boxes, whole).await
}

async fn read(
    reading: &mut NearReading<'_>,
    layers: &[&'static Layer],
    boxes: &[Bbox],
    whole: bool,
) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(layers.len());
    for layer in layers {
        let rows = reading
            .features(layer, &name_properties(layer), whole || layer.id == zone::LAYER, boxes, MOST_COMPARED)
            .await?;
        if rows.len() > MOST_COMPARED {
            let detail = format!("图层“{}”在检查范围内的要素超过 {MOST_COMPARED} 个；请缩小范围", layer.title.zh);
            return Err(Error::too_large("check_too_large", detail));
        }
        let entries = rows.iter().zip(0..).filter_map(|(row, at)| {
            let [west, south, east, north] = row.geometry.bbox()?;
            Some(GeomWithData::new(Rectangle::from_corners([west, south], [east, north]), at))
        });
        let tree = RTree::bulk_load(entries.collect());
        let within = if layer.id == zone::LAYER { reading.kinds_to_lie_within().await? } else { Vec::new() };
        sources.push(Source { layer, features: Features::Rows { rows, tree }, within });
    }
    Ok(sources)
}

/// The kinds as the revision has them that memory shows, which may not be the newest.
pub(in crate::inventory) async fn kinds_at(pool: &PgPool, viewer: &Viewer, revision: i64) -> Result<Vec<ZoneKind>> {
    let mut newest = NearReading::begin(pool, viewer, None, None).await?;
    if newest.revision == revision {
        return newest.kinds_to_lie_within().await;
    }
    NearReading::begin(pool, viewer, Some(revision), None).await?.kinds_to_lie_within().await
}

/// All of them as memory holds them, where it holds all at one revision and knows who may see what.
pub(in crate::inventory) fn in_memory(
    live: &Live,
    viewer: &Viewer,
    layers: &[&'static Layer],
) -> Option<(Vec<Source>, i64)> {
    let mut revision = None;
    let mut sources = Vec::with_capacity(layers.len());
    for layer in layers {
        if live.silent_for(layer).is_some() {
            return None;
        }
        let held = live.held(layer)?;
        // An operator's table has no revision of the register's.
        if layer.has_past() && *revision.get_or_insert(held.revision) != held.revision {
            return None;
        }
        let snapshot = Arc::clone(held.snapshot_for(layer.detail_for(viewer)));
        if !snapshot.knows(&viewer.jurisdiction) {
            return None;
        }
        let features = Features::Memory { snapshot, jurisdiction: viewer.jurisdiction.clone() };
        sources.push(Source { layer, features, within: Vec::new() });
    }
    revision.map(|revision| (sources, revision))
}

/// The properties that people know a feature of the layer by: blocks are called alike in every park.
fn name_properties(layer: &Layer) -> Vec<&'static str> {
    let park = ["park_name"].into_iter().filter(|name| layer.property(name).is_some());
    let own = layer.label.or_else(|| ["name", "number"].into_iter().find(|name| layer.property(name).is_some()));
    park.chain(own).collect()
}

impl Source {
    /// Calls `found` with every feature whose box meets this one.
    pub fn near(&self, bbox: &Bbox, mut found: impl FnMut(Feature)) {
        match &self.features {
            Features::Memory { snapshot, jurisdiction } => {
                snapshot.near(bbox, jurisdiction, |_, picked, _| found(Feature::Held(picked)));
            }
            Features::Rows { tree, .. } => {
                let envelope = AABB::from_corners([bbox[0], bbox[1]], [bbox[2], bbox[3]]);
                tree.locate_in_envelope_intersecting(&envelope).for_each(|entry| found(Feature::Row(entry.data)));
            }
        }
    }

    /// Calls `found` with every feature that has a shape.
    pub fn all(&self, found: impl FnMut(Feature)) {
        const WORLD: Bbox = [-180.0, -90.0, 180.0, 90.0];
        self.near(&WORLD, found);
    }

    /// The feature of this id.
    pub fn find(&self, id: &str) -> Option<Feature> {
        match &self.features {
            Features::Memory { snapshot, jurisdiction } => snapshot.find(id, jurisdiction).map(Feature::Held),
            Features::Rows { rows, .. } => {
                let at = rows.iter().position(|row| row.id == id)?;
                u32::try_from(at).ok().map(Feature::Row)
            }
        }
    }

    /// A property that is a text; of a feature that was read, where its properties were read too.
    pub fn text(&self, feature: Feature, property: &str) -> Option<String> {
        let properties = match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => {
                selection::member(std::str::from_utf8(snapshot.text(picked)).ok()?, "properties")?
            }
            (Features::Rows { rows, .. }, Feature::Row(at)) => rows[at as usize].properties.as_deref()?,
            _ => return None,
        };
        serde_json::from_str(selection::member(properties, property)?).ok()
    }

    pub fn id(&self, feature: Feature) -> &str {
        match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => snapshot.id(picked),
            (Features::Rows { rows, .. }, Feature::Row(at)) => &rows[at as usize].id,
            _ => "",
        }
    }

    /// The feature's shape; `None` where it has no area.
    pub fn shape(&self, feature: Feature) -> Option<Shape<'_>> {
        let geometry = match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => snapshot.geometry(picked)?,
            (Features::Rows { rows, .. }, Feature::Row(at)) => &rows[at as usize].geometry,
            _ => return None,
        };
        Shape::of_flat(geometry)
    }

    pub fn name(&self, feature: Feature) -> Option<String> {
        match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => {
                let text = std::str::from_utf8(snapshot.text(picked)).ok()?;
                let properties = selection::member(text, "properties")?;
                let member = |name| serde_json::from_str::<String>(selection::member(properties, name)?).ok();
                let names: Vec<String> = name_properties(self.layer).into_iter().filter_map(member).collect();
                (!names.is_empty()).then(|| names.join("·"))
            }
            (Features::Rows { rows, .. }, Feature::Row(at)) => rows[at as usize].name.clone(),
            _ => None,
        }
    }

    /// What a zone of control lines demands; `None` of any other feature.
    pub fn zone(&self, feature: Feature) -> Option<ZoneTold> {
        if self.layer.id != zone::LAYER {
            return None;
        }
        match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => {
                let text = std::str::from_utf8(snapshot.text(picked)).ok()?;
                zone::told(selection::member(text, "properties")?)
            }
            (Features::Rows { rows, .. }, Feature::Row(at)) => zone::told(rows[at as usize].properties.as_deref()?),
            _ => None,
        }
    }

    /// Whether the feature is drawn (示意), not surveyed.
    pub fn is_illustrative(&self, feature: Feature) -> bool {
        match (&self.features, feature) {
            (Features::Memory { snapshot, .. }, Feature::Held(picked)) => {
                let text = std::str::from_utf8(snapshot.text(picked)).unwrap_or_default();
                let said = selection::member(text, "properties").and_then(|p| selection::member(p, "illustrative"));
                self.layer.has_past() && said == Some("true")
            }
            (Features::Rows { rows, .. }, Feature::Row(at)) => rows[at as usize].illustrative,
            _ => false,
        }
    }
}
