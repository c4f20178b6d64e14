//! What every handler may need.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::rate::Allowances;
use crate::config::HttpArgs;
use crate::layers::catalogue::Catalogue;

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
    /// The layers that are served.
    pub layers: Arc<Catalogue>,
}

impl State {
    /// Serves the register's own layers.
    pub fn new(pool: PgPool, http: HttpArgs) -> Self {
        let exports = Arc::new(Semaphore::new(http.exports_at_once.clamp(1, 1_000)));
        let reports = Arc::new(Semaphore::new(REPORTS_AT_ONCE));
        let allowances = Arc::new(Allowances::new(http.rate_limit));
        let downloads = Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE));
        Self { pool, http, exports, reports, allowances, downloads, layers: Arc::default() }
    }

    /// The same, serving these layers.
    pub fn with_layers(self, layers: Catalogue) -> Self {
        Self { layers: Arc::new(layers), ..self }
    }
}
