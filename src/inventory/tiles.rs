//! Tiles: from the cache, from the layers in memory, or from the database where a layer is not held.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::live::{Held, Listener, Live};
use crate::domain::access::Viewer;
use crate::domain::detail::Detail;
use crate::domain::items_query::Bbox;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::snapshot::NewFeature;
use crate::layers::tiles::cache::{Content, MadeTile, TileCache};
use crate::layers::tiles::grid::Tile;
use crate::layers::tiles::source::{self, HeldFeatures, TileSource};
use crate::layers::tiles::{Encoder, SINGLES_FROM, TileFeature, TileLayer};
use crate::store::{as_of, extra, tile_rows};

/// The tiles of one process.
pub struct Tiles {
    cache: Arc<TileCache>,
    source: Option<Arc<dyn TileSource>>,
    /// Whether the cache is told of every change to what the source holds; else the state is part of a tile's key.
    is_told: bool,
    /// Room for tiles that take long.
    turns: Semaphore,
}

impl std::fmt::Debug for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tiles").field("cache", &self.cache.size()).finish_non_exhaustive()
    }
}

/// How layers show, by the place of their declaration, which stands as long as the program.
static SHOWN: LazyLock<RwLock<HashMap<(usize, usize), Arc<TileLayer>>>> = LazyLock::new(RwLock::default);

fn shown(layer: &Layer) -> Arc<TileLayer> {
    // Both: declarations without properties may lie at one place.
    let place = (layer.id.as_ptr() as usize, layer.properties.as_ptr() as usize);
    if let Some(known) = SHOWN.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
        return Arc::clone(known);
    }
    let made = Arc::new(TileLayer::of(layer));
    Arc::clone(SHOWN.write().unwrap_or_else(PoisonError::into_inner).entry(place).or_insert(made))
}

/// What a snapshot keeps of a feature for its tiles.
pub fn attributes_of(layer: &Layer, feature: &NewFeature) -> Vec<u8> {
    source::ready(&shown(layer), &feature.properties, feature.geometry.as_ref())
}

/// Drops from the cache the tiles that a change touches. The layers call it after the state with the change is published and before
/// the change is acknowledged: whoever asks from then on sees it.
pub fn listener(cache: Arc<TileCache>) -> Listener {
    Box::new(move |changed| match &changed.boxes {
        // More are dearer to look for than all the layer's tiles are to make again.
        Some(boxes) if boxes.len() <= MOST_BOXES => cache.invalidate(changed.layer, boxes),
        _ => cache.invalidate_layer(changed.layer),
    })
}

/// The layers in memory, as long as they may be shown.
pub struct LiveSource {
    pub live: Arc<Live>,
    /// How long they are shown while the database is away.
    pub stale_limit: Duration,
}

impl LiveSource {
    fn holding(&self, layer: &Layer, viewer: &Viewer) -> Option<Arc<Held>> {
        if self.live.silent_for(layer).is_some_and(|silence| silence > self.stale_limit) {
            return None;
        }
        self.live.held(layer).filter(|held| held.snapshot_for(layer.detail_for(viewer)).knows(&viewer.jurisdiction))
    }
}

impl TileSource for LiveSource {
    fn mark(&self, layer: &Layer, viewer: &Viewer) -> Option<String> {
        self.holding(layer, viewer).map(|held| held.mark.clone())
    }

    fn holds(&self, layer: &Layer, viewer: &Viewer) -> bool {
        self.holding(layer, viewer).is_some()
    }

    fn is_crowded(&self, layer: &Layer, bbox: &Bbox) -> bool {
        // (Of what is surveyed: outlines lie no denser.)
        self.live.held(layer).is_some_and(|held| held.snapshot_for(Detail::Surveyed).is_crowded(bbox))
    }

    fn features_in(&self, layer: &Layer, viewer: &Viewer, bbox: &Bbox, take: &mut dyn FnMut(TileFeature<'_>)) {
        let Some(held) = self.live.held(layer) else { return };
        let shown = held.snapshot_for(layer.detail_for(viewer));
        shown.near(bbox, &viewer.jurisdiction, |snapshot, picked, bbox| {
            let Some(geometry) = snapshot.geometry(picked) else { return };
            let (label, attributes) = source::parts(snapshot.attributes(picked));
            let id = snapshot.id(picked);
            take(TileFeature { id, number: source::number_of(id), bbox: *bbox, geometry, attributes, label });
        });
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

/// Boxes of changed features that are looked for one by one.
const MOST_BOXES: usize = 2_000;
/// Bytes below which a packet is not made smaller by compressing them.
const WORTH_COMPRESSING: usize = 512;
/// Bytes that take longer to compress than a thread that answers others should be away: about a millisecond.
const LONG_TO_COMPRESS: usize = 96 * 1024;

impl Tiles {
    /// All from the database, with a cache of so many bytes.
    pub fn of_database(cache_bytes: usize) -> Self {
        Self { cache: Arc::new(TileCache::new(cache_bytes)), source: None, is_told: false, turns: turns() }
    }

    /// From memory; a tile is kept as long as its layer's mark stands. What is not held is read from the database.
    pub fn of_marked(cache_bytes: usize, source: impl TileSource + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..Self::of_database(cache_bytes) }
    }

    /// From memory; the [`listener`] of this cache hears of every change.
    pub fn of_told(cache: Arc<TileCache>, source: impl TileSource + 'static) -> Self {
        Self { cache, source: Some(Arc::new(source)), is_told: true, turns: turns() }
    }

    /// How a layer shows in tiles.
    pub fn layer(&self, layer: &Layer) -> Arc<TileLayer> {
        shown(layer)
    }

    /// The tile of these layers, which all have this zoom; compressed where it is asked for and worth it.
    pub async fn tile(
        &self,
        pool: &PgPool,
        asked: Asked<'_>,
        layers: &[&'static Layer],
        gzip: bool,
    ) -> Result<ServedTile> {
        // The state is read before the features: a tile may be of a newer one than its key says, never of an older.
        let marks =
            || layers.iter().map(|layer| self.source.as_ref()?.mark(layer, asked.viewer)).collect::<Option<Vec<_>>>();
        let are_held = || layers.iter().all(|layer| self.source.as_ref().is_some_and(|s| s.holds(layer, asked.viewer)));
        let known = if self.is_told { are_held().then(String::new) } else { marks().map(|marks| marks.join(",")) };
        let state = match known {
            Some(state) => state,
            None => Box::pin(state_in_database(pool, layers)).await?,
        };
        let text = |text: &str| if text.is_empty() { Cow::Borrowed("") } else { Cow::Owned(text.to_owned()) };
        let content = |layers: Cow<'static, str>| Content { layers, scope: text(asked.scope), state: text(&state) };
        // Boxed: what a statement needs to wait is large, and lies in every future around it.
        let make = |layer: &'static Layer| move || Box::pin(self.make(pool, asked, layer));
        if let [layer] = layers {
            let content = content(layer.id.into());
            let made = self.cache.get(&content, asked.tile, make(layer)).await?;
            return self.served(&content, asked.tile, made, gzip).await;
        }
        let ids: Vec<&str> = layers.iter().map(|layer| layer.id).collect();
        let together = || {
            Box::pin(async {
                let mut bytes = Vec::new();
                for layer in layers {
                    let one = self.cache.get(&content(layer.id.into()), asked.tile, make(layer)).await?;
                    bytes.extend_from_slice(&one.plain);
                }
                Ok::<_, Error>(bytes)
            })
        };
        let content = content(ids.join(",").into());
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

    async fn make(&self, pool: &PgPool, asked: Asked<'_>, layer: &'static Layer) -> Result<Vec<u8>> {
        let (tile, how) = (asked.tile, self.layer(layer));
        let held = self.source.as_ref().filter(|source| source.holds(layer, asked.viewer));
        let Some(source) = held else {
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
        // A fine tile takes less than the way to another thread and back is worth, unless very much lies in it.
        if tile.zoom >= SINGLES_FROM && !source.is_crowded(layer, &tile.reach()) {
            return Ok(encode(source.as_ref(), asked.viewer, layer, &how, tile));
        }
        let (source, viewer) = (Arc::clone(source), asked.viewer.clone());
        // As many at once as there are processors: the other threads are for what changes the layers.
        let _turn = self.turns.acquire().await;
        beside(move || encode(source.as_ref(), &viewer, layer, &how, tile)).await
    }
}

fn turns() -> Semaphore {
    Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from))
}

/// What is different whenever one of the layers is: the register's revision and the day, and what the operator's tables hold.
async fn state_in_database(pool: &PgPool, layers: &[&'static Layer]) -> Result<String> {
    let register = format!("{}-{}", as_of::mark(pool, None).await?, super::today());
    if layers.iter().all(|layer| layer.extra.is_none()) {
        return Ok(register);
    }
    Ok(format!("{register}-{}", extra::mark(pool).await?))
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
