//! Where a tile's features come from.

use super::{Encoder, TileFeature, TileLayer, attributes, grid::Tile, label};
use crate::domain::access::Viewer;
use crate::domain::items_query::Bbox;
use crate::domain::layer::Layer;
use crate::geometry::flat::FlatGeometry;

/// Layers held in memory.
pub trait TileSource: Send + Sync {
    /// Whether it holds this layer.
    fn holds(&self, layer: &Layer) -> bool;

    /// Hands over the features of the layer that this viewer may see and whose box meets this one, in an order that stays the same as
    /// long as they do. Reads the state that is published now.
    fn features_in(&self, layer: &Layer, viewer: &Viewer, bbox: &Bbox, take: &mut dyn FnMut(TileFeature<'_>));
}

/// Features held for a while, as tiles want them.
#[derive(Debug, Default)]
pub struct HeldFeatures(Vec<HeldFeature>);

#[derive(Debug)]
struct HeldFeature {
    id: String,
    bbox: Bbox,
    geometry: FlatGeometry,
    attributes: Vec<u8>,
    label: Option<geo::Coord<f64>>,
}

impl HeldFeatures {
    /// Adds a feature; `properties` is its JSON object as text. One without geometry shows in no tile.
    pub fn add(&mut self, layer: &TileLayer, id: String, properties: &str, geometry: FlatGeometry) {
        let Some(bbox) = geometry.bbox() else { return };
        let label = layer.label.and_then(|_| label::place(&geometry));
        self.0.push(HeldFeature { id, bbox, geometry, attributes: attributes::ready(layer, properties), label });
    }

    /// Those whose box meets this one.
    pub fn features_in(&self, bbox: &Bbox, take: &mut dyn FnMut(TileFeature<'_>)) {
        let meets = |b: &Bbox| b[0] <= bbox[2] && b[2] >= bbox[0] && b[1] <= bbox[3] && b[3] >= bbox[1];
        for held in self.0.iter().filter(|held| meets(&held.bbox)) {
            take(TileFeature {
                id: &held.id,
                number: number_of(&held.id),
                bbox: held.bbox,
                geometry: &held.geometry,
                attributes: &held.attributes,
                label: held.label,
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
