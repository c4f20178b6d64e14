//! Tiles: from the cache, from the layers in memory, or from the database where a layer is not held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sqlx::PgPool;

use crate::domain::access::Viewer;
use crate::domain::items_query::Bbox;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::tiles::cache::{Content, MadeTile, TileCache};
use crate::layers::tiles::grid::Tile;
use crate::layers::tiles::source::{HeldFeatures, TileSource};
use crate::layers::tiles::{Encoder, SINGLES_FROM, TileLayer};
use crate::store::{as_of, tile_rows};

/// The tiles of one process.
pub struct Tiles {
    cache: TileCache,
    source: Option<Arc<dyn TileSource>>,
    /// How each layer shows, looked up once.
    layers: Mutex<HashMap<&'static str, Arc<TileLayer>>>,
}

impl std::fmt::Debug for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tiles").field("cache", &self.cache.size()).finish_non_exhaustive()
    }
}

/// Which tile for whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub viewer: &'a Viewer,
    /// What tells viewers apart who see different things; empty where all see the same.
    pub scope: &'a str,
    pub tile: Tile,
}

/// A tile on its way out.
#[derive(Debug, Clone)]
pub struct ServedTile {
    /// Of the bytes before compression.
    pub mark: u64,
    pub bytes: Bytes,
    pub is_gzip: bool,
}

/// Bytes below which a packet is not made smaller by compressing them.
const WORTH_COMPRESSING: usize = 512;
/// Bytes that take longer to compress than a thread that answers others should be away: about a millisecond.
const LONG_TO_COMPRESS: usize = 96 * 1024;

impl Tiles {
    /// With a cache of so many bytes. What `source` does not hold is read from the database.
    pub fn new(cache_bytes: usize, source: Option<Arc<dyn TileSource>>) -> Self {
        Self { cache: TileCache::new(cache_bytes), source, layers: Mutex::default() }
    }

    /// How a layer shows in tiles.
    pub fn layer(&self, layer: &'static Layer) -> Arc<TileLayer> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(layers.entry(layer.id).or_insert_with(|| Arc::new(TileLayer::of(layer))))
    }

    /// The tile of these layers, which all have this zoom; compressed where it is asked for and worth it.
    pub async fn tile(
        &self,
        pool: &PgPool,
        asked: Asked<'_>,
        layers: &[&'static Layer],
        gzip: bool,
    ) -> Result<ServedTile> {
        let in_memory = layers.iter().all(|layer| self.memory_of(layer).is_some());
        // The database's state is read first: a tile may be of a newer one than its key says, never of an older.
        let state = if in_memory { String::new() } else { as_of::mark(pool, None).await? };
        let content = |ids: &[&str]| Content {
            layers: ids.join(",").into(),
            scope: asked.scope.into(),
            state: state.as_str().into(),
        };
        if let [layer] = layers {
            let content = content(&[layer.id]);
            // Boxed: what a statement needs to wait is large, and lies in every future around it.
            let made = self.cache.get(&content, asked.tile, Box::pin(self.make(pool, asked, layer))).await?;
            return self.served(&content, asked.tile, made, gzip).await;
        }
        let ids: Vec<&str> = layers.iter().map(|layer| layer.id).collect();
        let together = Box::pin(async {
            let mut bytes = Vec::new();
            for layer in layers {
                let make = Box::pin(self.make(pool, asked, layer));
                let one = self.cache.get(&content(&[layer.id]), asked.tile, make).await?;
                bytes.extend_from_slice(&one.plain);
            }
            Ok::<_, Error>(bytes)
        });
        let content = content(&ids);
        let made = self.cache.get(&content, asked.tile, together).await?;
        self.served(&content, asked.tile, made, gzip).await
    }

    async fn served(&self, content: &Content, tile: Tile, made: Arc<MadeTile>, gzip: bool) -> Result<ServedTile> {
        let (mark, plain) = (made.mark, made.plain.clone());
        if !gzip || plain.len() < WORTH_COMPRESSING {
            return Ok(ServedTile { mark, bytes: plain, is_gzip: false });
        }
        let known = made.known_gzip();
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let compressed =
                    if plain.len() < LONG_TO_COMPRESS { made.gzip() } else { beside(move || made.gzip()).await? };
                self.cache.recount(content, tile);
                compressed
            }
        };
        Ok(ServedTile { mark, bytes, is_gzip: true })
    }

    /// Drops the tiles that features of these boxes show in. Called after the state with the change is published and before the
    /// change is acknowledged: whoever asks from then on sees it.
    pub fn invalidate(&self, layer: &str, boxes: &[Bbox]) {
        self.cache.invalidate(layer, boxes);
    }

    fn memory_of(&self, layer: &Layer) -> Option<&Arc<dyn TileSource>> {
        self.source.as_ref().filter(|source| source.holds(layer))
    }

    async fn make(&self, pool: &PgPool, asked: Asked<'_>, layer: &'static Layer) -> Result<Vec<u8>> {
        let (tile, how) = (asked.tile, self.layer(layer));
        let Some(source) = self.memory_of(layer) else {
            let rows = tile_rows::list(pool, asked.viewer, layer, tile.reach()).await?;
            return beside(move || {
                let mut held = HeldFeatures::default();
                for row in rows {
                    if let Some(geometry) = row.geometry {
                        held.add(&how, row.id, &row.properties, geometry);
                    }
                }
                held.encode(tile, &how)
            })
            .await;
        };
        // A fine tile takes less than the way to another thread and back is worth.
        if tile.zoom >= SINGLES_FROM {
            return Ok(encode(source.as_ref(), asked.viewer, layer, &how, tile));
        }
        let (source, viewer) = (Arc::clone(source), asked.viewer.clone());
        beside(move || encode(source.as_ref(), &viewer, layer, &how, tile)).await
    }
}

/// On a thread that may be busy for a while.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::internal("生成瓦片时程序出错", cause))
}

fn encode(source: &dyn TileSource, viewer: &Viewer, layer: &Layer, how: &TileLayer, tile: Tile) -> Vec<u8> {
    Encoder::with(|encoder| {
        let mut out = Vec::new();
        encoder.layer(tile, how, &mut out, |take| source.features_in(layer, viewer, &tile.reach(), take));
        out
    })
}
