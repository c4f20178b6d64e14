//! What every handler may need.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::rate::Allowances;
use crate::config::HttpArgs;
use crate::inventory::tiles::Tiles;

/// Reports that are made at the same time; the others wait.
const REPORTS_AT_ONCE: usize = 3;
/// Attachments that are read back and sent at the same time; each has a temporary file.
const DOWNLOADS_AT_ONCE: usize = 32;

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
    /// Vector tiles and their cache.
    pub tiles: Arc<Tiles>,
}

impl State {
    pub fn new(pool: PgPool, http: HttpArgs) -> Self {
        let exports = Arc::new(Semaphore::new(http.exports_at_once.clamp(1, 1_000)));
        let reports = Arc::new(Semaphore::new(REPORTS_AT_ONCE));
        let allowances = Arc::new(Allowances::new(http.rate_limit));
        let downloads = Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE));
        let tiles = Arc::new(Tiles::new(http.tile_cache_mb.saturating_mul(1 << 20), None));
        Self { pool, http, exports, reports, allowances, downloads, tiles }
    }
}
