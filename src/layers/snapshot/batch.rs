//! Features that are made ready together: their texts lie one behind the other in two buffers. A text of its own for each of a million
//! would leave a hole in the heap when it has been copied into its block, and nobody could use the hole.

use std::sync::Arc;

use bytes::Bytes;

use super::block::{Key, Piece};
use super::{Attributes, NewFeature, hilbert};
use crate::domain::layer::Layer;
use crate::geometry::flat::FlatGeometry;
use crate::layers::encode::{self, CoordForm};

/// Features of a batch: their texts are some hundred kilobytes.
pub(super) const TOGETHER: usize = 256;

/// A feature that nothing has been made of yet.
pub(super) struct Raw {
    pub feature: NewFeature,
    /// The numbers of its values.
    pub columns: Box<[u32]>,
    /// Its id as the snapshot holds it.
    pub id: Arc<str>,
}

/// Pieces without their texts, and where these end.
#[derive(Debug, Default)]
pub(super) struct Batch {
    texts: Texts,
    pieces: Vec<(Piece, usize, usize)>,
}

impl Batch {
    pub(super) fn add(&mut self, layer: &Layer, attributes: Attributes, raw: Raw) {
        let piece = self.texts.write(layer, attributes, raw);
        self.pieces.push((piece, self.texts.json.len(), self.texts.attributes.len()));
    }

    pub(super) fn pieces(self) -> impl Iterator<Item = Piece> {
        let (json, attributes) = (Bytes::from(self.texts.json), Bytes::from(self.texts.attributes));
        let mut begin = (0, 0);
        self.pieces.into_iter().map(move |(piece, json_end, attributes_end)| {
            let (from, attributes_from) = std::mem::replace(&mut begin, (json_end, attributes_end));
            Piece {
                json: json.slice(from..json_end),
                attributes: attributes.slice(attributes_from..attributes_end),
                ..piece
            }
        })
    }
}

/// One feature made ready by itself.
pub(super) fn alone(layer: &Layer, attributes: Attributes, raw: Raw) -> Piece {
    let mut texts = Texts::default();
    let piece = texts.write(layer, attributes, raw);
    Piece { json: texts.json.into(), attributes: texts.attributes.into(), ..piece }
}

#[derive(Debug, Default)]
struct Texts {
    json: String,
    attributes: Vec<u8>,
}

impl Texts {
    /// Writes the feature's texts behind the others; the piece is without them.
    fn write(&mut self, layer: &Layer, attributes: Attributes, raw: Raw) -> Piece {
        let Raw { feature, columns, id } = raw;
        let geometry = feature.geometry.as_ref();
        encode::feature(&mut self.json, &feature.id, &feature.properties, geometry, CoordForm::LON_LAT);
        self.json.push(',');
        self.attributes.extend_from_slice(&attributes(layer, &feature));
        let bbox = geometry.and_then(FlatGeometry::bbox);
        Piece {
            key: Key { hilbert: hilbert::of_box(bbox), label: 0 },
            id,
            from: feature.from,
            version: feature.version,
            bbox,
            json: Bytes::new(),
            attributes: Bytes::new(),
            columns,
            geometry: feature.geometry.map(Arc::new),
        }
    }
}
