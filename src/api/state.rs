//! What every handler may need.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::callers::Callers;
use super::rate::Allowances;
use crate::config::HttpArgs;
use crate::domain::layer::Layer;
use crate::inventory::database_role::DatabaseRole;
use crate::inventory::live::{Held, Live};
use crate::inventory::overlap_check::Desk;
use crate::inventory::scenarios;
use crate::inventory::tiles::{LiveSource, Tiles};
use crate::layers::catalogue::Catalogue;
use crate::layers::tiles::cache::TileCache;

/// Reports that are made at the same time; the others wait.
const REPORTS_AT_ONCE: usize = 3;
/// Attachments that are read back and sent at the same time; each has a temporary file.
const DOWNLOADS_AT_ONCE: usize = 32;
/// Streams of the progress of checks.
const STREAMS_AT_ONCE: usize = 64;

/// The pool for reads and for `inventory`, and the configuration.
#[derive(Debug, Clone)]
pub struct State {
    pub pool: PgPool,
    pub http: HttpArgs,
    /// Room for exports, shared by all workers.
    pub exports: Arc<Semaphore>,
    /// Room for reports, which may each read a whole ledger.
    pub reports: Arc<Semaphore>,
    /// How many requests each client may still make, shared by all workers.
    pub allowances: Arc<Allowances>,
    /// Room for downloads of attachments.
    pub downloads: Arc<Semaphore>,
    /// The layers that are served.
    pub layers: Arc<Catalogue>,
    /// Vector tiles and their cache.
    pub tiles: Arc<Tiles>,
    /// The layers in memory; `None` = all is read from the database.
    pub live: Option<Arc<Live>>,
    /// Whether the database takes writes.
    pub role: Arc<DatabaseRole>,
    /// Who asked lately.
    pub callers: Arc<Callers>,
    /// Where overlaps are checked.
    pub checks: Arc<Desk>,
    /// Room for streams of their progress.
    pub streams: Arc<Semaphore>,
    /// Room for trials of scenarios.
    pub trials: Arc<Semaphore>,
}

impl State {
    /// Serves the register's own layers.
    pub fn new(pool: PgPool, http: HttpArgs) -> Self {
        let exports = Arc::new(Semaphore::new(http.exports_at_once.clamp(1, 1_000)));
        let reports = Arc::new(Semaphore::new(REPORTS_AT_ONCE));
        let allowances = Arc::new(Allowances::new(http.rate_limit));
        let downloads = Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE));
        let callers = Arc::new(Callers::default());
        let layers = Arc::default();
        let role = Arc::new(DatabaseRole::new(false));
        let tiles = Arc::new(Tiles::of_database(http.tile_cache_mb.saturating_mul(1 << 20)));
        let checks = Arc::new(Desk::new(pool.clone(), None));
        let streams = Arc::new(Semaphore::new(STREAMS_AT_ONCE));
        let trials = Arc::new(Semaphore::new(scenarios::AT_ONCE));
        let live = None;
        Self {
            pool,
            http,
            exports,
            reports,
            allowances,
            downloads,
            layers,
            tiles,
            live,
            role,
            callers,
            checks,
            streams,
            trials,
        }
    }

    /// The same over a database of this role.
    pub fn with_role(self, role: DatabaseRole) -> Self {
        Self { role: Arc::new(role), ..self }
    }

    /// The same, serving these layers.
    pub fn with_layers(self, layers: Catalogue) -> Self {
        Self { layers: Arc::new(layers), ..self }
    }

    /// The same with layers in memory.
    pub fn with_live(self, live: Arc<Live>) -> Self {
        let tiles = Tiles::of_marked(self.http.tile_cache_mb.saturating_mul(1 << 20), self.tile_source(&live));
        self.over(live, tiles)
    }

    fn over(self, live: Arc<Live>, tiles: Tiles) -> Self {
        let checks = Arc::new(Desk::new(self.pool.clone(), Some(Arc::clone(&live))));
        Self { live: Some(live), tiles: Arc::new(tiles), checks, ..self }
    }

    /// The same with layers in memory that tell this cache of every change.
    pub fn with_live_tiles(self, live: Arc<Live>, cache: Arc<TileCache>) -> Self {
        let tiles = Tiles::of_told(cache, self.tile_source(&live));
        self.over(live, tiles)
    }

    fn tile_source(&self, live: &Arc<Live>) -> LiveSource {
        LiveSource { live: Arc::clone(live), stale_limit: Duration::from_secs(self.http.stale_limit_s) }
    }

    /// The layer as memory holds it, unless that is too old to be shown.
    pub fn held(&self, layer: &Layer) -> Option<Arc<Held>> {
        let live = self.live.as_ref()?;
        let limit = Duration::from_secs(self.http.stale_limit_s);
        if live.silent_for(layer).is_some_and(|silence| silence > limit) {
            return None;
        }
        live.held(layer)
    }
}
