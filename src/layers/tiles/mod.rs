//! Vector tiles (MVT 2.1) of the layers in memory, in the tile matrix set WebMercatorQuad.
//!
//! A tile is made of the features that its reach meets, in their order: [`Encoder::layer`]. Down to [`SINGLES_FROM`] what is smaller
//! than a pixel is gathered, pixel by pixel, into one shape with the attribute `count`; the counts and the features that stand for
//! themselves add up to all there are. From there on every feature stands for itself, under the id that the items have.
//!
//! Hot: a tile of a province holds tens of thousands of features, and no allocation is made for any. `benches/tile.rs` measures.
//! Never: SQL, HTTP, who may see what.

pub mod attributes;
pub mod cache;
mod clip;
mod encode;
mod gather;
pub mod grid;
pub mod label;
mod projection;
mod shape;
pub mod source;
mod values;
mod wire;

use std::ops::RangeInclusive;

use geo::Coord;

pub use encode::Encoder;

use crate::domain::items_query::Bbox;
use crate::domain::layer::{Layer, PropertyKind};
use crate::geometry::flat::FlatGeometry;

/// From this zoom on nothing is gathered: a pixel is 34 m in Hunan, and every parcel can be pointed at.
pub const SINGLES_FROM: u8 = 12;

/// How a layer shows in tiles.
#[derive(Debug, Clone, PartialEq)]
pub struct TileLayer {
    pub name: String,
    pub properties: Vec<TileProperty>,
    /// The property that labels show, as an index: a second layer then holds a point for each feature.
    pub label: Option<usize>,
    pub zooms: RangeInclusive<u8>,
}

/// An attribute of a tile.
#[derive(Debug, Clone, PartialEq)]
pub struct TileProperty {
    pub name: String,
    pub kind: PropertyKind,
    /// From which zoom on.
    pub from_zoom: u8,
}

impl TileLayer {
    pub fn of(layer: &Layer) -> Self {
        let properties: Vec<TileProperty> = layer
            .properties
            .iter()
            .filter_map(|p| Some(TileProperty { name: p.name.to_owned(), kind: p.kind, from_zoom: p.from_zoom? }))
            .collect();
        let label = layer.label.and_then(|name| properties.iter().position(|p| p.name == name));
        Self {
            name: layer.id.to_owned(),
            properties,
            label,
            zooms: layer.min_zoom..=layer.max_zoom.min(grid::MAX_ZOOM),
        }
    }

    /// The name of the layer with its labels.
    pub fn label_name(&self) -> String {
        format!("{}_labels", self.name)
    }
}

/// A feature as tiles want it.
#[derive(Debug, Clone, Copy)]
pub struct TileFeature<'a> {
    pub id: &'a str,
    /// The id as a number where it is one: readers use it to tell features apart.
    pub number: Option<u64>,
    pub bbox: Bbox,
    pub geometry: &'a FlatGeometry,
    /// What [`attributes::ready`] made of its properties.
    pub attributes: &'a [u8],
    /// What [`label::place`] found, of a layer with labels.
    pub label: Option<Coord<f64>>,
}
