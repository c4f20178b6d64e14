//! Features → one layer of one tile.

use std::cell::RefCell;

use geo::Coord;

use super::attributes::{self, pairs, put_count, put_text};
use super::gather::Gathered;
use super::grid::{BUFFER, EXTENT, PIXEL, Tile};
use super::projection::{Place, Projection, is_in_reach};
use super::shape::{Thinner, area2, clean_ring};
use super::values::{KeyTable, ValueTable, put_tag};
use super::wire::{Geometry, Shape, put_feature, put_layer};
use super::{SINGLES_FROM, TileFeature, TileLayer, clip};
use crate::geometry::flat::{FlatGeometry, FlatKind};

/// A layer of a tile while it is written.
#[derive(Debug, Default)]
struct LayerBuffer {
    features: Vec<u8>,
    keys: KeyTable,
    values: ValueTable,
}

impl LayerBuffer {
    fn clear(&mut self) {
        self.features.clear();
        self.keys.clear();
        self.values.clear();
    }

    fn finish(&self, name: &str, out: &mut Vec<u8>) {
        if !self.features.is_empty() {
            put_layer(out, name, EXTENT as u32, &self.features, &self.keys.fields, &self.values.fields);
        }
    }
}

/// Buffers of geometry at work.
#[derive(Debug, Default)]
struct Pen {
    ring: Vec<Place>,
    spare: Vec<Place>,
    ends: Vec<usize>,
    thinner: Thinner,
    geometry: Geometry,
    /// Whether the last feature had any extent on the grid, in this tile or beyond it.
    has_extent: bool,
}

/// Makes tiles; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {
    main: LayerBuffer,
    labels: LayerBuffer,
    gathered: Gathered,
    pen: Pen,
    tags: Vec<u8>,
    value: Vec<u8>,
}

/// Index of the keys that no property has.
const ID_KEY: usize = 0;
const COUNT_KEY: usize = 1;
const FIRST_PROPERTY: usize = 2;

/// Bytes that an encoder keeps between tiles: a whole country's tile must not stay in every thread.
const KEPT_BYTES: usize = 4 << 20;

thread_local! {
    static OF_THREAD: RefCell<Encoder> = RefCell::default();
}

impl Encoder {
    /// The thread's own encoder; a fresh one where it is at work already.
    pub fn with<T>(work: impl FnOnce(&mut Encoder) -> T) -> T {
        OF_THREAD.with(|own| match own.try_borrow_mut() {
            Ok(mut encoder) => {
                let made = work(&mut encoder);
                if encoder.main.features.capacity() + encoder.main.values.fields.capacity() > KEPT_BYTES {
                    *encoder = Encoder::default();
                }
                made
            }
            Err(_) => work(&mut Encoder::default()),
        })
    }

    /// Adds the layer to a tile: `features` hands over all whose box meets [`Tile::reach`], in an order of its own. A layer without
    /// features adds nothing. A tile of several layers is theirs, one behind the other.
    pub fn layer(
        &mut self,
        tile: Tile,
        layer: &TileLayer,
        out: &mut Vec<u8>,
        features: impl FnOnce(&mut dyn FnMut(TileFeature<'_>)),
    ) {
        self.main.clear();
        self.labels.clear();
        self.gathered.clear();
        let projection = Projection::of(tile);
        let mut work = Work { encoder: self, tile, layer, projection };
        features(&mut |feature| work.feature(&feature));
        self.put_gathered();
        self.main.finish(&layer.name, out);
        if layer.label.is_some() {
            self.labels.finish(&layer.label_name(), out);
        }
    }

    fn put_gathered(&mut self) {
        let Self { main, gathered, pen, tags, value, .. } = self;
        let (keys, values, features) = (&mut main.keys, &mut main.values, &mut main.features);
        let mut tag = |tags: &mut Vec<u8>, count: u32| {
            value.clear();
            put_count(value, u64::from(count));
            tags.clear();
            put_tag(tags, keys.number(COUNT_KEY, "count"), values.intern(value));
        };
        let mut written: Vec<(Place, u32, Option<usize>)> = Vec::new();
        let mut alone = Vec::new();
        gathered.drain(
            |corner, count| {
                tag(tags, count);
                pen.geometry.clear();
                let [x, y] = corner;
                let square = [corner, [x + PIXEL, y], [x + PIXEL, y + PIXEL], [x, y + PIXEL]];
                pen.geometry.ring(square.into_iter());
                put_feature(features, None, tags, Shape::Areas, &pen.geometry.bytes);
            },
            |corner, count, feature| {
                alone.extend_from_slice(feature.unwrap_or_default());
                written.push((corner, count, feature.map(|_| alone.len())));
            },
        );
        let mut from = 0;
        for ([x, y], count, single) in written {
            if let Some(to) = single {
                features.extend_from_slice(&alone[from..to]);
                from = to;
                continue;
            }
            tag(tags, count);
            pen.geometry.clear();
            pen.geometry.points(&[[x + PIXEL / 2.0, y + PIXEL / 2.0]]);
            put_feature(features, None, tags, Shape::Points, &pen.geometry.bytes);
        }
    }
}

/// One layer of one tile at work.
struct Work<'e, 'l> {
    encoder: &'e mut Encoder,
    tile: Tile,
    layer: &'l TileLayer,
    projection: Projection,
}

/// Where a feature's box lies.
#[derive(PartialEq, Eq)]
enum Lies {
    Outside,
    Across,
    Inside,
}

fn lies([left, top, right, bottom]: [f64; 4]) -> Lies {
    const LOW: f64 = -BUFFER;
    const HIGH: f64 = EXTENT + BUFFER;
    // What is snapped may come in by half a unit.
    if right < LOW - 0.5 || bottom < LOW - 0.5 || left > HIGH + 0.5 || top > HIGH + 0.5 {
        Lies::Outside
    } else if left >= LOW && top >= LOW && right <= HIGH && bottom <= HIGH {
        Lies::Inside
    } else {
        Lies::Across
    }
}

impl Work<'_, '_> {
    fn feature(&mut self, feature: &TileFeature<'_>) {
        self.label(feature);
        let [west, south, east, north] = feature.bbox;
        let p = &self.projection;
        let bounds = [p.x(west), p.y(north), p.x(east), p.y(south)];
        let lies = lies(bounds);
        if lies == Lies::Outside {
            return;
        }
        let is_small = bounds[2] - bounds[0] < PIXEL && bounds[3] - bounds[1] < PIXEL;
        if is_small && self.tile.zoom < SINGLES_FROM {
            return self.gather(feature, bounds);
        }
        match self.encoder.pen.draw(p, feature.geometry, lies == Lies::Inside) {
            Some(shape) => self.put_single(feature, shape),
            // Thinner than a unit everywhere: it still counts.
            None if self.tile.zoom < SINGLES_FROM && !self.encoder.pen.has_extent => self.gather(feature, bounds),
            None => {}
        }
    }

    /// Counts what is smaller than a pixel, in the tile where the middle of its box lies.
    fn gather(&mut self, feature: &TileFeature<'_>, bounds: [f64; 4]) {
        let [west, south, east, north] = feature.bbox;
        if feature.geometry.is_empty() || !self.projection.owns((west + east) / 2.0, (south + north) / 2.0) {
            return;
        }
        let (x, y) = ((bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0);
        if dimension(feature.geometry) == 2 {
            return self.encoder.gathered.area(x, y);
        }
        let Self { encoder, tile, layer, projection } = self;
        let Encoder { gathered, pen, main, tags, value, .. } = &mut **encoder;
        gathered.other(x, y, |out| {
            if let Some(shape) = pen.draw(projection, feature.geometry, lies(bounds) == Lies::Inside) {
                put_tags(main, tags, value, layer, tile.zoom, feature);
                put_feature(out, feature.number, tags, shape, &pen.geometry.bytes);
            }
        });
    }

    fn put_single(&mut self, feature: &TileFeature<'_>, shape: Shape) {
        let Encoder { pen, main, tags, value, .. } = &mut *self.encoder;
        put_tags(main, tags, value, self.layer, self.tile.zoom, feature);
        put_feature(&mut main.features, feature.number, tags, shape, &pen.geometry.bytes);
    }

    /// The point of a label, in the tile where it lies and no other.
    fn label(&mut self, feature: &TileFeature<'_>) {
        let (Some(property), Some(place)) = (self.layer.label, feature.label) else { return };
        if !self.projection.owns(place.x, place.y) {
            return;
        }
        let Encoder { labels, tags, value, pen, .. } = &mut *self.encoder;
        tags.clear();
        put_id(labels, tags, value, feature.id);
        if let Some((_, text)) = pairs(feature.attributes).find(|(index, _)| *index == property) {
            let key = labels.keys.number(FIRST_PROPERTY + property, &self.layer.properties[property].name);
            put_tag(tags, key, labels.values.intern(text));
        }
        pen.ring.clear();
        self.projection.snap(&[place], &mut pen.ring);
        pen.geometry.clear();
        pen.geometry.points(&pen.ring);
        put_feature(&mut labels.features, feature.number, tags, Shape::Points, &pen.geometry.bytes);
    }
}

fn put_id(layer: &mut LayerBuffer, tags: &mut Vec<u8>, value: &mut Vec<u8>, id: &str) {
    value.clear();
    put_text(value, id);
    // Every id comes once: it is not looked for.
    put_tag(tags, layer.keys.number(ID_KEY, "id"), layer.values.add(value));
}

/// The id, and the attributes of this zoom.
fn put_tags(
    buffer: &mut LayerBuffer,
    tags: &mut Vec<u8>,
    value: &mut Vec<u8>,
    layer: &TileLayer,
    zoom: u8,
    feature: &TileFeature<'_>,
) {
    tags.clear();
    put_id(buffer, tags, value, feature.id);
    for (index, bytes) in attributes::pairs(feature.attributes) {
        let Some(property) = layer.properties.get(index) else { continue };
        // A property called `id` says what the id says.
        if zoom >= property.from_zoom && property.name != "id" {
            let key = buffer.keys.number(FIRST_PROPERTY + index, &property.name);
            put_tag(tags, key, buffer.values.intern(bytes));
        }
    }
}

/// 0 for points, 1 for lines, 2 for areas; of a collection the highest.
fn dimension(geometry: &FlatGeometry) -> u8 {
    match geometry.kind() {
        FlatKind::Point | FlatKind::MultiPoint => 0,
        FlatKind::LineString | FlatKind::MultiLineString => 1,
        FlatKind::Polygon | FlatKind::MultiPolygon => 2,
        FlatKind::Collection => {
            geometry.members().iter().filter(|m| !m.is_empty()).map(dimension).max().unwrap_or_default()
        }
    }
}

impl Pen {
    /// Writes the geometry's commands; `None` where nothing of it is left. A feature of a tile has one kind of shape: of a
    /// collection the members of the highest dimension are drawn, as ST_AsMVTGeom does.
    fn draw(&mut self, projection: &Projection, geometry: &FlatGeometry, inside: bool) -> Option<Shape> {
        self.geometry.clear();
        self.spare.clear();
        self.has_extent = false;
        let dimension = dimension(geometry);
        self.add(projection, geometry, dimension, inside);
        let shape = [Shape::Points, Shape::Lines, Shape::Areas][usize::from(dimension)];
        if shape == Shape::Points {
            // All points are one command: they are collected first.
            if !self.spare.is_empty() {
                self.geometry.points(&self.spare);
            }
        }
        (!self.geometry.bytes.is_empty()).then_some(shape)
    }

    fn add(&mut self, projection: &Projection, geometry: &FlatGeometry, dimension: u8, inside: bool) {
        match geometry.kind() {
            FlatKind::Collection => {
                for member in geometry.members() {
                    self.add(projection, member, dimension, inside);
                }
            }
            FlatKind::Point | FlatKind::MultiPoint if dimension == 0 => {
                self.ring.clear();
                projection.snap(geometry.coords(), &mut self.ring);
                self.has_extent |= !self.ring.is_empty();
                self.spare.extend(self.ring.iter().filter(|place| is_in_reach(**place)));
            }
            FlatKind::LineString | FlatKind::MultiLineString if dimension == 1 => {
                for line in geometry.rings() {
                    self.line(projection, line, inside);
                }
            }
            FlatKind::Polygon | FlatKind::MultiPolygon if dimension == 2 => {
                for part in geometry.parts() {
                    self.polygon(projection, part, inside);
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, projection: &Projection, coords: &[Coord<f64>], inside: bool) {
        self.ring.clear();
        projection.snap(coords, &mut self.ring);
        self.thinner.line(&mut self.ring);
        if self.ring.len() < 2 {
            return;
        }
        self.has_extent = true;
        if inside {
            self.geometry.line(&self.ring);
            return;
        }
        self.spare.clear();
        self.ends.clear();
        clip::line(&self.ring, &mut self.spare, &mut self.ends);
        let mut from = 0;
        for to in &self.ends {
            self.geometry.line(&self.spare[from..*to]);
            from = *to;
        }
    }

    /// A polygon's rings, the exterior first; without it there is none.
    fn polygon<'g>(&mut self, projection: &Projection, rings: impl Iterator<Item = &'g [Coord<f64>]>, inside: bool) {
        for (at, coords) in rings.enumerate() {
            self.ring.clear();
            projection.snap(coords, &mut self.ring);
            if self.ring.len() > 1 && self.ring.first() == self.ring.last() {
                self.ring.pop();
            }
            self.thinner.ring(&mut self.ring);
            if !inside {
                self.has_extent |= area2(&self.ring) != 0.0;
                clip::ring(&mut self.ring, &mut self.spare);
            }
            clean_ring(&mut self.ring);
            let area = area2(&self.ring);
            if area == 0.0 {
                if at == 0 {
                    break;
                }
                continue;
            }
            // The exterior clockwise on the screen, holes the other way.
            if (area > 0.0) == (at == 0) {
                self.geometry.ring(self.ring.iter().copied());
            } else {
                self.geometry.ring(self.ring.iter().rev().copied());
            }
        }
    }
}
