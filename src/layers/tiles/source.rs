//! Where a tile's features come from.

use geo::Coord;

use super::{Encoder, TileFeature, TileLayer, attributes, grid::Tile, label};
use crate::domain::access::Viewer;
use crate::domain::items_query::Bbox;
use crate::domain::layer::Layer;
use crate::geometry::flat::FlatGeometry;

/// Layers held in memory.
pub trait TileSource: Send + Sync {
    /// What changes whenever the layer shows something else; `None` where it does not hold the layer, or cannot tell what of it this
    /// viewer may see.
    fn mark(&self, layer: &Layer, viewer: &Viewer) -> Option<String>;

    /// Whether the layer is held, and knows what this viewer may see: whether it has a mark.
    fn holds(&self, layer: &Layer, viewer: &Viewer) -> bool {
        self.mark(layer, viewer).is_some()
    }

    /// Whether so much lies there that a thread that answers others should not look at it.
    fn is_crowded(&self, _layer: &Layer, _bbox: &Bbox) -> bool {
        false
    }

    /// Hands over the features of the layer that this viewer may see and whose box meets this one, in an order that stays the same as
    /// long as they do. Reads the state that is published now.
    fn features_in(&self, layer: &Layer, viewer: &Viewer, bbox: &Bbox, take: &mut dyn FnMut(TileFeature<'_>));
}

/// What a snapshot keeps of a feature for its tiles: the place of its label, then its attributes.
pub fn ready(layer: &TileLayer, properties: &str, geometry: Option<&FlatGeometry>) -> Vec<u8> {
    let place = layer.label.and_then(|_| geometry.and_then(label::place));
    let mut out = vec![u8::from(place.is_some())];
    for degrees in place.into_iter().flat_map(|place| [place.x, place.y]) {
        out.extend_from_slice(&degrees.to_le_bytes());
    }
    out.extend(attributes::ready(layer, properties));
    out
}

/// The parts of [`ready`].
pub fn parts(ready: &[u8]) -> (Option<Coord<f64>>, &[u8]) {
    match ready {
        [1, rest @ ..] => {
            let degrees = |at: usize| rest.get(at..at + 8)?.try_into().ok().map(f64::from_le_bytes);
            let place = degrees(0).zip(degrees(8)).map(|(x, y)| Coord { x, y });
            (place, rest.get(16..).unwrap_or_default())
        }
        [_, rest @ ..] => (None, rest),
        [] => (None, ready),
    }
}

/// Features held for a while, as tiles want them.
#[derive(Debug, Default)]
pub struct HeldFeatures(Vec<HeldFeature>);

#[derive(Debug)]
struct HeldFeature {
    id: String,
    bbox: Bbox,
    geometry: FlatGeometry,
    ready: Vec<u8>,
}

impl HeldFeatures {
    /// Adds a feature; `properties` is its JSON object as text. One without geometry shows in no tile.
    pub fn add(&mut self, layer: &TileLayer, id: String, properties: &str, geometry: FlatGeometry) {
        let Some(bbox) = geometry.bbox() else { return };
        let ready = ready(layer, properties, Some(&geometry));
        self.0.push(HeldFeature { id, bbox, geometry, ready });
    }

    /// Those whose box meets this one.
    pub fn features_in(&self, bbox: &Bbox, take: &mut dyn FnMut(TileFeature<'_>)) {
        let meets = |b: &Bbox| b[0] <= bbox[2] && b[2] >= bbox[0] && b[1] <= bbox[3] && b[3] >= bbox[1];
        for held in self.0.iter().filter(|held| meets(&held.bbox)) {
            let (label, attributes) = parts(&held.ready);
            take(TileFeature {
                id: &held.id,
                number: number_of(&held.id),
                bbox: held.bbox,
                geometry: &held.geometry,
                attributes,
                label,
            });
        }
    }

    /// The layer's part of a tile.
    pub fn encode(&self, tile: Tile, layer: &TileLayer) -> Vec<u8> {
        Encoder::with(|encoder| {
            let mut out = Vec::new();
            encoder.layer(tile, layer, &mut out, |take| self.features_in(&tile.reach(), take));
            out
        })
    }
}

/// The number that an id is, where it is one and nothing else: `007` is not 7.
pub fn number_of(id: &str) -> Option<u64> {
    let plain = id.len() <= 20 && id.bytes().all(|b| b.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
    if plain { id.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_is_a_number() {
        for (id, expected) in [
            ("430100", Some(430_100)),
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("G431176", None),
        ] {
            assert_eq!(number_of(id), expected, "{id}");
        }
    }
}
