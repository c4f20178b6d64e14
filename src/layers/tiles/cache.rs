//! Tiles that were made, in bounded memory: each is made once however many ask for it, and an edit drops those that it touches.
//!
//! A tile under way has its place in the table from the start, before the state it is made from is read. [`TileCache::invalidate`]
//! takes places out, made or not; a tile whose place is gone when it is done is handed to those who waited and not kept. So, as
//! long as a new state is published before `invalidate` is called, a tile of an older state is never found after it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

use super::grid::{self, Tile};
use crate::domain::items_query::Bbox;

/// What a place costs besides its bytes.
const PLACE_BYTES: usize = 320;
const SHARDS: usize = 16;
/// Compression is of the fast kind: it is in the way of the first answer.
const GZIP_LEVEL: u32 = 3;

/// A tile's bytes, and what they are told by.
#[derive(Debug)]
pub struct MadeTile {
    pub plain: Bytes,
    /// Of the bytes: an edit that leaves a tile as it was leaves what clients hold valid.
    pub mark: u64,
    gzip: OnceLock<Bytes>,
}

impl MadeTile {
    pub fn new(plain: Vec<u8>) -> Self {
        // With fixed keys: every server of one build gives the same mark.
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&plain);
        Self { mark: hasher.finish(), plain: plain.into(), gzip: OnceLock::new() }
    }

    /// The bytes compressed, once.
    pub fn gzip(&self) -> Bytes {
        self.gzip.get_or_init(|| self.compressed().unwrap_or_default().into()).clone()
    }

    /// The compressed bytes, where they were asked for before.
    pub fn known_gzip(&self) -> Option<Bytes> {
        self.gzip.get().cloned()
    }

    fn compressed(&self) -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.plain.len() / 2), Compression::new(GZIP_LEVEL));
        encoder.write_all(&self.plain)?;
        encoder.finish()
    }

    fn bytes(&self) -> usize {
        PLACE_BYTES + self.plain.len() + self.gzip.get().map_or(0, Bytes::len)
    }
}

/// What a tile holds and who may see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Content {
    /// Ids of layers with commas between, in the order of the tile.
    pub layers: Cow<'static, str>,
    /// Who may see it, where not everybody sees the same; empty for the public.
    pub scope: Cow<'static, str>,
    /// The state it is of, where states are not told apart by [`TileCache::invalidate`].
    pub state: Cow<'static, str>,
}

impl Content {
    fn has(&self, layer: &str) -> bool {
        self.layers.split(',').any(|own| own == layer)
    }
}

#[derive(Debug)]
struct Place {
    made: OnceCell<Arc<MadeTile>>,
    /// Asked for since the eviction last came by.
    used: AtomicBool,
    /// What was counted for it.
    counted: AtomicUsize,
}

/// Tiles of one content and zoom.
type Group = (Content, u8);

#[derive(Debug, Default)]
struct Shard {
    groups: HashMap<Group, HashMap<(u32, u32), Arc<Place>>>,
    /// In the order in which they came, or were spared.
    order: VecDeque<(Arc<Content>, Tile, Arc<Place>)>,
    places: usize,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct TileCache {
    shards: Vec<Mutex<Shard>>,
    bytes_of_shard: usize,
    hasher: RandomState,
}

impl TileCache {
    /// One of at most so many bytes; none at all keeps nothing, and still makes a tile once for all that wait for it.
    pub fn new(bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, bytes_of_shard: bytes / SHARDS, hasher: RandomState::new() }
    }

    fn shard(&self, content: &Content, tile: Tile) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[self.hasher.hash_one((content, tile)) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tile, made by what `make` gives unless it is there. That reads the state of the layer when it is first polled, not before.
    pub async fn get<E, F: Future<Output = Result<Vec<u8>, E>>>(
        &self,
        content: &Content,
        tile: Tile,
        make: impl FnOnce() -> F,
    ) -> Result<Arc<MadeTile>, E> {
        let place = self.shard(content, tile).place(content, tile);
        if let Some(made) = place.made.get() {
            return Ok(Arc::clone(made));
        }
        // Whoever goes away, or fails, leaves no place without a tile behind; another who waits makes it.
        let tidy = Tidy { cache: self, content, tile, place: Some(place) };
        let Some(place) = &tidy.place else { return make().await.map(|plain| Arc::new(MadeTile::new(plain))) };
        let made = place.made.get_or_try_init(|| async { make().await.map(|plain| Arc::new(MadeTile::new(plain))) });
        made.await.cloned()
    }

    /// The tile if it is there.
    pub fn find(&self, content: &Content, tile: Tile) -> Option<Arc<MadeTile>> {
        let shard = self.shard(content, tile);
        let place = shard.groups.get(&(content.clone(), tile.zoom))?.get(&(tile.row, tile.col))?;
        place.made.get().cloned()
    }

    /// Counts what a tile has grown by since it was counted (its compressed form), and makes room.
    pub fn recount(&self, content: &Content, tile: Tile) {
        let mut shard = self.shard(content, tile);
        shard.count(content, tile, None);
        shard.evict(self.bytes_of_shard);
    }

    /// Drops the tiles of a layer, at every zoom, that a feature of one of these boxes shows in: old boxes and new ones.
    pub fn invalidate(&self, layer: &str, boxes: &[Bbox]) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.drop_touched(layer, boxes);
        }
    }

    /// Drops all tiles of a layer.
    pub fn invalidate_layer(&self, layer: &str) {
        self.invalidate(layer, &[[-180.0, -90.0, 180.0, 90.0]]);
    }

    /// Bytes and tiles that are held.
    pub fn size(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        shards.fold((0, 0), |(bytes, places), shard| (bytes + shard.bytes, places + shard.places))
    }
}

/// Counts a tile that was made; takes its place out where nobody makes it any more.
struct Tidy<'a> {
    cache: &'a TileCache,
    content: &'a Content,
    tile: Tile,
    place: Option<Arc<Place>>,
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(self.content, self.tile);
        // Let go of under the lock: whoever is the last sees that nobody else is left.
        let Some(place) = self.place.take() else { return };
        if place.made.initialized() {
            shard.count(self.content, self.tile, Some(&place));
            shard.evict(self.cache.bytes_of_shard);
        } else if Arc::strong_count(&place) == 2 {
            // The table and this one.
            shard.remove(self.content, self.tile, &place);
        }
    }
}

impl Shard {
    fn place(&mut self, content: &Content, tile: Tile) -> Arc<Place> {
        let group = (content.clone(), tile.zoom);
        if let Some(place) = self.groups.get(&group).and_then(|group| group.get(&(tile.row, tile.col))) {
            place.used.store(true, Ordering::Relaxed);
            return Arc::clone(place);
        }
        let place =
            Arc::new(Place { made: OnceCell::new(), used: AtomicBool::new(false), counted: AtomicUsize::new(0) });
        self.groups.entry(group).or_default().insert((tile.row, tile.col), Arc::clone(&place));
        self.places += 1;
        place
    }

    fn held(&self, content: &Content, tile: Tile) -> Option<&Arc<Place>> {
        self.groups.get(&(content.clone(), tile.zoom))?.get(&(tile.row, tile.col))
    }

    /// Counts the tile, if its place still stands; `only` if it is this one.
    fn count(&mut self, content: &Content, tile: Tile, only: Option<&Arc<Place>>) {
        let Some(held) = self.held(content, tile) else { return };
        let Some(made) = held.made.get().filter(|_| only.is_none_or(|only| Arc::ptr_eq(only, held))) else { return };
        let bytes = made.bytes();
        let place = Arc::clone(held);
        let before = place.counted.swap(bytes, Ordering::Relaxed);
        self.bytes = self.bytes + bytes - before;
        if before == 0 {
            self.order.push_back((Arc::new(content.clone()), tile, place));
        }
    }

    fn remove(&mut self, content: &Content, tile: Tile, place: &Arc<Place>) {
        if !self.held(content, tile).is_some_and(|held| Arc::ptr_eq(held, place)) {
            return;
        }
        let group = (content.clone(), tile.zoom);
        if let Some(places) = self.groups.get_mut(&group) {
            places.remove(&(tile.row, tile.col));
            if places.is_empty() {
                self.groups.remove(&group);
            }
        }
        self.forget(place);
    }

    fn forget(&mut self, place: &Place) {
        self.places -= 1;
        self.bytes -= place.counted.load(Ordering::Relaxed);
    }

    /// Second chance: what was asked for since it was last looked at is spared once.
    fn evict(&mut self, limit: usize) {
        while self.bytes > limit {
            let Some((content, tile, place)) = self.order.pop_front() else { break };
            let stands = self.held(&content, tile).is_some_and(|held| Arc::ptr_eq(held, &place));
            if stands && place.used.swap(false, Ordering::Relaxed) {
                self.order.push_back((content, tile, place));
            } else if stands {
                self.remove(&content, tile, &place);
            }
        }
        // What was invalidated leaves its entry in the order, and its bytes with it.
        if self.order.len() > 2 * self.places + 64 {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|(content, tile, place)| {
                self.held(content, *tile).is_some_and(|held| Arc::ptr_eq(held, place))
            });
            self.order = order;
        }
    }

    fn drop_touched(&mut self, layer: &str, boxes: &[Bbox]) {
        let mut dropped = Vec::new();
        self.groups.retain(|(content, zoom), places| {
            if !content.has(layer) {
                return true;
            }
            for bbox in boxes {
                let range = grid::touched(bbox, *zoom);
                // The shorter way: the tiles of the box one by one, or those that are held.
                if range.count() <= places.len() as u64 {
                    let cols = || range.cols.clone();
                    let touched = range.rows.clone().flat_map(|row| cols().map(move |col| (row, col)));
                    dropped.extend(touched.filter_map(|at| places.remove(&at)));
                } else {
                    dropped.extend(places.extract_if(|(row, col), _| range.holds(*row, *col)).map(|(_, place)| place));
                }
            }
            !places.is_empty()
        });
        dropped.iter().for_each(|place| self.forget(place));
        let order = self.order.len();
        if order > 2 * self.places + 64 {
            self.evict(usize::MAX);
        }
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
