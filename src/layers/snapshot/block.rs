//! Some dozens of features that lie together, with their ready text in one piece.

use std::sync::Arc;

use bytes::Bytes;
use chrono::NaiveDate;

use super::tree::{self, Bbox, NOTHING, union};
use crate::geometry::flat::FlatGeometry;

/// Features of a block that is made; one may grow to twice as many before it is split. (Few in tests, so that some hundred features make
/// many blocks.)
pub(super) const BLOCK: usize = if cfg!(test) { 12 } else { 64 };

/// Bytes that come from memory at once.
pub(super) const LINE: usize = 64;

/// Features whose boxes are looked at together.
const GROUP: usize = 8;

/// Where a feature is: its place on the curve, and the label of its id, which no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub hilbert: u64,
    pub label: u64,
}

/// A feature on its way into a block.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub key: Key,
    pub id: Arc<str>,
    pub from: Option<NaiveDate>,
    pub version: i64,
    pub bbox: Option<Bbox>,
    /// With a comma behind it. Part of a longer text, as the attributes are: of its batch, or of a block that is taken apart.
    pub json: Bytes,
    pub attributes: Bytes,
    pub columns: Box<[u32]>,
    pub geometry: Option<Arc<FlatGeometry>>,
}

/// Bytes of several, one behind the other.
#[derive(Debug, Default)]
struct Texts {
    bytes: Bytes,
    ends: Box<[u32]>,
}

impl Texts {
    fn of<'a>(texts: impl Iterator<Item = &'a Bytes> + Clone) -> Self {
        let mut bytes = Vec::with_capacity(texts.clone().map(Bytes::len).sum());
        let ends = texts
            .map(|text| {
                bytes.extend_from_slice(text);
                bytes.len() as u32
            })
            .collect();
        Self { bytes: bytes.into(), ends }
    }

    fn range(&self, at: usize) -> std::ops::Range<usize> {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        begin..self.ends[at] as usize
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.ends)
    }
}

#[derive(Debug, Clone)]
struct Facts {
    id: Arc<str>,
    from: Option<NaiveDate>,
    version: i64,
    geometry: Option<Arc<FlatGeometry>>,
}

/// Features in the order of their keys.
#[derive(Debug)]
pub(super) struct Block {
    pub bbox: Bbox,
    pub keys: Box<[Key]>,
    pub boxes: Box<[Bbox]>,
    /// The boxes of each [`GROUP`] features: most of a block is passed over by a look at these.
    groups: Box<[Bbox]>,
    /// Numbers of values, so many to a feature.
    columns: Box<[u32]>,
    width: usize,
    json: Texts,
    attributes: Texts,
    facts: Box<[Facts]>,
    /// The earliest day that a life in it began.
    pub first_day: Option<NaiveDate>,
}

impl Block {
    /// Of pieces in order; none is no block.
    pub(super) fn of(pieces: &[Piece]) -> Self {
        let boxes: Box<[Bbox]> = pieces.iter().map(|piece| piece.bbox.unwrap_or(NOTHING)).collect();
        Self {
            bbox: boxes.iter().copied().fold(NOTHING, union),
            first_day: pieces.iter().filter_map(|piece| piece.from).min(),
            keys: pieces.iter().map(|piece| piece.key).collect(),
            groups: boxes.chunks(GROUP).map(|some| some.iter().copied().fold(NOTHING, union)).collect(),
            boxes,
            columns: pieces.iter().flat_map(|piece| piece.columns.iter().copied()).collect(),
            width: pieces.first().map_or(0, |piece| piece.columns.len()),
            json: Texts::of(pieces.iter().map(|piece| &piece.json)),
            attributes: Texts::of(pieces.iter().map(|piece| &piece.attributes)),
            facts: pieces
                .iter()
                .map(|p| Facts {
                    id: Arc::clone(&p.id),
                    from: p.from,
                    version: p.version,
                    geometry: p.geometry.clone(),
                })
                .collect(),
        }
    }

    /// The pieces that it was made of.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> {
        (0..self.len()).map(|at| self.piece(at))
    }

    /// One of the pieces that it was made of.
    pub(super) fn piece(&self, at: usize) -> Piece {
        let facts = &self.facts[at];
        Piece {
            key: self.keys[at],
            id: Arc::clone(&facts.id),
            from: facts.from,
            version: facts.version,
            bbox: Some(self.boxes[at]).filter(|bbox| bbox[0] <= bbox[2]),
            json: self.json.bytes.slice(self.json.range(at)),
            attributes: self.attributes.bytes.slice(self.attributes.range(at)),
            columns: self.columns(at).into(),
            geometry: facts.geometry.clone(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The places of the features whose boxes meet this one.
    pub(super) fn search<'a>(&'a self, bbox: &'a Bbox) -> impl Iterator<Item = usize> + 'a {
        self.groups(bbox).flat_map(move |group| self.met(group, bbox))
    }

    /// The groups that hold such features.
    pub(super) fn groups<'a>(&'a self, bbox: &'a Bbox) -> impl Iterator<Item = usize> + 'a {
        self.groups.iter().enumerate().filter(|(_, all)| tree::meets(all, bbox)).map(|(group, _)| group)
    }

    /// Those of one group.
    pub(super) fn met<'a>(&'a self, group: usize, bbox: &'a Bbox) -> impl Iterator<Item = usize> + 'a {
        let boxes = self.group(group).iter().enumerate();
        boxes.filter(|(_, held)| tree::meets(held, bbox)).map(move |(at, _)| group * GROUP + at)
    }

    fn group(&self, group: usize) -> &[Bbox] {
        &self.boxes[group * GROUP..((group + 1) * GROUP).min(self.boxes.len())]
    }

    /// What [`Block::met`] reads: a word of each line of memory.
    pub(super) fn lines_of_boxes(&self, group: usize) -> impl Iterator<Item = u64> + '_ {
        self.group(group).iter().step_by(LINE / size_of::<Bbox>()).map(|held| held[0].to_bits())
    }

    /// What a search reads first.
    pub(super) fn first_box(&self) -> u64 {
        self.groups.first().map_or(0, |held| held[0].to_bits())
    }

    pub(super) fn columns(&self, at: usize) -> &[u32] {
        &self.columns[at * self.width..(at + 1) * self.width]
    }

    pub(super) fn id(&self, at: usize) -> &Arc<str> {
        &self.facts[at].id
    }

    pub(super) fn from(&self, at: usize) -> Option<NaiveDate> {
        self.facts[at].from
    }

    pub(super) fn version(&self, at: usize) -> i64 {
        self.facts[at].version
    }

    pub(super) fn geometry(&self, at: usize) -> Option<&FlatGeometry> {
        self.facts[at].geometry.as_deref()
    }

    /// Bytes of the feature's text, without the comma.
    pub(super) fn json_len(&self, at: usize) -> usize {
        self.json.range(at).len() - 1
    }

    /// The feature's text.
    pub(super) fn text(&self, at: usize) -> &[u8] {
        &self.json.bytes[self.json.range(at)]
    }

    /// The feature's text, without copying it.
    pub(super) fn json(&self, at: usize, with_comma: bool) -> Bytes {
        let mut range = self.json.range(at);
        range.end -= usize::from(!with_comma);
        self.json.bytes.slice(range)
    }

    pub(super) fn attributes(&self, at: usize) -> &[u8] {
        &self.attributes.bytes[self.attributes.range(at)]
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let geometries =
            self.facts.iter().flat_map(|f| &f.geometry).map(|g| size_of::<FlatGeometry>() + 16 + g.heap_bytes());
        let ids = self.facts.iter().map(|f| 16 + f.id.len());
        size_of_val(&*self.keys)
            + size_of_val(&*self.boxes)
            + size_of_val(&*self.groups)
            + size_of_val(&*self.columns)
            + size_of_val(&*self.facts)
            + self.json.heap_bytes()
            + self.attributes.heap_bytes()
            + geometries.chain(ids).sum::<usize>()
    }
}
