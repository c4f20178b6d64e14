//! A layer held in memory: features as ready text in an R-tree packed along the Hilbert curve, with the few columns that decide who may
//! see them and that most questions ask about (design.md §4). Never changed: a change makes the next snapshot, which shares with
//! the last all but the blocks that it touches.
//!
//! Never: SQL, a clock, a lock.

mod batch;
mod block;
mod blocks;
mod dictionary;
mod hilbert;
mod ids;
mod outlines;
mod select;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use rayon::prelude::*;

use batch::{Batch, Raw, TOGETHER};
use block::{BLOCK, Block, Key, Piece};
use blocks::Blocks;
use dictionary::Dictionary;
use ids::Ids;

pub use select::{Picked, Selection};

use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::geometry::flat::FlatGeometry;

/// A feature as the database tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFeature {
    pub id: String,
    /// The day its life began.
    pub from: Option<NaiveDate>,
    /// The revision that wrote its row; 0 where it has none.
    pub version: i64,
    /// A JSON object as text.
    pub properties: String,
    pub geometry: Option<FlatGeometry>,
    /// The division that decides who may see it.
    pub division: Option<String>,
    /// The values of [`columns_of`], in that order: texts as they are, the others as JSON.
    pub columns: Vec<Option<String>>,
}

/// The properties that a snapshot knows by value: the division that a feature lies in, and those of few values that may be asked for by
/// name.
pub fn columns_of(layer: &Layer) -> Vec<&'static Property> {
    let few =
        |p: &Property| p.queryable && (p.is_code() || matches!(p.kind, PropertyKind::Boolean | PropertyKind::TextList));
    layer.properties.iter().filter(|p| few(p) || layer.division_property() == Some(p.name)).collect()
}

/// Turns a feature's properties into its ready attributes for tiles.
pub type Attributes = fn(&Layer, &NewFeature) -> Vec<u8>;

/// A layer at one revision.
#[derive(Debug)]
pub struct Snapshot {
    layer: &'static Layer,
    blocks: Blocks,
    ids: Ids,
    columns: Vec<&'static Property>,
    /// Of the division that decides who may see a feature, then of the columns.
    dictionaries: Arc<Vec<Dictionary>>,
    attributes: Attributes,
}

/// Two features of one id: such a layer cannot be held.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated(pub String);

/// A change that was made to a snapshot.
#[derive(Debug)]
pub struct Applied {
    pub snapshot: Snapshot,
    /// The boxes that features had before or have now.
    pub touched: Vec<[f64; 4]>,
}

/// Takes features in any order and makes a snapshot of them.
#[derive(Debug)]
pub struct SnapshotBuilder {
    layer: &'static Layer,
    columns: Vec<&'static Property>,
    dictionaries: Vec<Dictionary>,
    attributes: Attributes,
    pieces: Vec<Piece>,
}

impl SnapshotBuilder {
    pub fn new(layer: &'static Layer, attributes: Attributes) -> Self {
        let columns = columns_of(layer);
        let of_columns = columns.iter().map(|p| Dictionary::new(p.kind == PropertyKind::TextList));
        let dictionaries = std::iter::once(Dictionary::new(false)).chain(of_columns).collect();
        Self { layer, columns, dictionaries, attributes, pieces: Vec::new() }
    }

    /// Writes the texts of these on all processors.
    pub fn add(&mut self, features: Vec<NewFeature>) {
        let numbers: Vec<Box<[u32]>> =
            features.iter().map(|feature| numbers_of(&mut self.dictionaries, feature)).collect();
        let (layer, attributes) = (self.layer, self.attributes);
        let batches = features.into_par_iter().zip(numbers).chunks(TOGETHER).map(|some| {
            let mut batch = Batch::default();
            for (feature, columns) in some {
                let id = Arc::from(feature.id.as_str());
                batch.add(layer, attributes, Raw { feature, columns, id });
            }
            batch
        });
        self.pieces.par_extend(batches.flat_map_iter(Batch::pieces));
    }

    pub fn finish(mut self) -> Result<Snapshot, Repeated> {
        self.sort();
        if let Some(pair) = self.pieces.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Repeated(pair[0].id.to_string()));
        }
        Ok(self.pack())
    }

    fn sort(&mut self) {
        self.pieces.par_sort_unstable_by(|a, b| a.id.cmp(&b.id));
    }

    /// Of pieces in the order of their ids, each once.
    fn pack(mut self) -> Snapshot {
        for (rank, piece) in self.pieces.iter_mut().enumerate() {
            piece.key.label = ids::first_label(rank);
        }
        let ids = Ids::of(self.pieces.iter().map(|piece| (Arc::clone(&piece.id), piece.key)));
        self.pieces.par_sort_unstable_by_key(|piece| piece.key);
        // Texts are copied into their block and freed as it is made.
        let mut blocks = Vec::with_capacity(self.pieces.len() / BLOCK + 1);
        let mut rest = self.pieces.into_iter();
        loop {
            let some: Vec<Vec<Piece>> =
                (0..512).map(|_| rest.by_ref().take(BLOCK).collect()).take_while(|p: &Vec<_>| !p.is_empty()).collect();
            if some.is_empty() {
                break;
            }
            blocks.par_extend(some.into_par_iter().map(|pieces| Arc::new(Block::of(&pieces))));
        }
        Snapshot {
            layer: self.layer,
            blocks: Blocks::of(&blocks),
            ids,
            columns: self.columns,
            dictionaries: Arc::new(self.dictionaries),
            attributes: self.attributes,
        }
    }
}

/// What a feature has for each dictionary.
fn values_of(feature: &NewFeature) -> impl Iterator<Item = &Option<String>> {
    std::iter::once(&feature.division).chain(&feature.columns)
}

fn numbers_of(dictionaries: &mut [Dictionary], feature: &NewFeature) -> Box<[u32]> {
    let number = |(dictionary, value): (&mut Dictionary, &Option<String>)| {
        value.as_ref().map_or(dictionary::MISSING, |value| dictionary.number(value))
    };
    dictionaries.iter_mut().zip(values_of(feature)).map(number).collect()
}

impl Snapshot {
    pub fn layer(&self) -> &'static Layer {
        self.layer
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.blocks.sum(Block::heap_bytes)
    }

    /// The next snapshot: each of these features as it is now, or gone.
    pub fn apply(&self, changes: Vec<(String, Option<NewFeature>)>) -> Applied {
        // The last word on an id counts.
        let changes: BTreeMap<String, Option<NewFeature>> = changes.into_iter().collect();
        let mut dictionaries = Arc::clone(&self.dictionaries);
        let made = changes.into_iter().map(|(id, change)| {
            let made = change.map(|feature| {
                let columns = renumbered(&mut dictionaries, &feature);
                let held = self.place_of(&feature.id).map(|(block, at)| Arc::clone(self.blocks[block].id(at)));
                let id = held.unwrap_or_else(|| Arc::from(feature.id.as_str()));
                batch::alone(self.layer, self.attributes, Raw { feature, columns, id })
            });
            (id, made)
        });
        let made = made.collect();
        self.replace(made, dictionaries)
    }

    /// The same with features that are made ready, each id once; their values are numbered by these dictionaries, which know all of ours.
    fn replace(&self, changes: Vec<(String, Option<Piece>)>, dictionaries: Arc<Vec<Dictionary>>) -> Applied {
        let mut ids = self.ids.clone();
        let mut touched = Vec::with_capacity(2 * changes.len());
        let mut gone: HashSet<u64> = HashSet::new();
        let mut places: Vec<Key> = Vec::new();
        let mut come: Vec<Piece> = Vec::new();
        let mut crowded = false;
        for (id, change) in changes {
            if let Some(key) = self.ids.find(&id) {
                gone.insert(key.label);
                places.push(key);
                touched.extend(self.at(key).and_then(|(block, at)| self.box_of(block, at)));
            }
            let Some(mut piece) = change else {
                ids.remove(&id);
                continue;
            };
            touched.extend(piece.bbox);
            match ids.put(&piece.id, piece.key.hilbert) {
                Ok(key) => piece.key = key,
                Err(ids::NoRoom) => crowded = true,
            }
            places.push(piece.key);
            come.push(piece);
        }
        let snapshot = if crowded {
            self.relabelled(&gone, come, dictionaries)
        } else {
            let blocks = self.with(&gone, places, come);
            Self {
                layer: self.layer,
                blocks,
                ids,
                columns: self.columns.clone(),
                dictionaries,
                attributes: self.attributes,
            }
        };
        Applied { snapshot, touched }
    }

    /// The blocks without what is gone and with what has come; those in which nothing happens are shared.
    fn with(&self, gone: &HashSet<u64>, places: Vec<Key>, come: Vec<Piece>) -> Blocks {
        let mut by_block: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
        for key in places {
            by_block.entry(self.blocks.block_for(key)).or_default();
        }
        for piece in come {
            by_block.entry(self.blocks.block_for(piece.key)).or_default().push(piece);
        }
        let changed = by_block.into_iter().map(|(number, come)| {
            let held = self.blocks.get(number).into_iter();
            let stay = held.flat_map(Block::pieces).filter(|piece| !gone.contains(&piece.key.label));
            let mut pieces: Vec<Piece> = stay.chain(come).collect();
            pieces.sort_unstable_by_key(|piece| piece.key);
            // One that has grown too big is split evenly.
            let parts = if pieces.len() > 2 * BLOCK { pieces.len().div_ceil(BLOCK) } else { 1 };
            let size = pieces.len().div_ceil(parts).max(1);
            (number, pieces.chunks(size).map(|pieces| Arc::new(Block::of(pieces))).collect())
        });
        self.blocks.with(changed.collect())
    }

    /// The same where a new id has no label: all are labelled anew.
    fn relabelled(&self, gone: &HashSet<u64>, come: Vec<Piece>, dictionaries: Arc<Vec<Dictionary>>) -> Self {
        let stay = self.blocks.iter().flat_map(|(_, block)| block.pieces()).filter(|p| !gone.contains(&p.key.label));
        self.packed(stay.chain(come).collect(), dictionaries)
    }

    /// A snapshot of the layer that holds these, each id once.
    fn packed(&self, pieces: Vec<Piece>, dictionaries: Arc<Vec<Dictionary>>) -> Self {
        let mut builder = SnapshotBuilder {
            layer: self.layer,
            columns: self.columns.clone(),
            dictionaries: Arc::unwrap_or_clone(dictionaries),
            attributes: self.attributes,
            pieces,
        };
        builder.sort();
        builder.pack()
    }

    /// Block and place of a key that is held.
    fn at(&self, key: Key) -> Option<(usize, usize)> {
        let block = self.blocks.block_for(key);
        let at = self.blocks.get(block)?.keys.binary_search(&key).ok()?;
        Some((block, at))
    }

    /// Block and place of the feature of this id.
    fn place_of(&self, id: &str) -> Option<(usize, usize)> {
        self.at(self.ids.find(id)?)
    }

    fn box_of(&self, block: usize, at: usize) -> Option<[f64; 4]> {
        Some(self.blocks[block].boxes[at]).filter(|bbox| bbox[0] <= bbox[2])
    }
}

/// Numbers of values that may be new; the dictionaries are copied only then.
fn renumbered(dictionaries: &mut Arc<Vec<Dictionary>>, feature: &NewFeature) -> Box<[u32]> {
    let known =
        dictionaries.iter().zip(values_of(feature)).map(|(dictionary, value)| dictionary.find(value.as_deref()));
    match known.collect::<Option<Box<[u32]>>>() {
        Some(numbers) => numbers,
        None => numbers_of(Arc::<Vec<Dictionary>>::make_mut(dictionaries), feature),
    }
}

#[cfg(test)]
mod tests;
