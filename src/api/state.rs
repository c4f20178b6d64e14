//! What every handler may need.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::config::HttpArgs;

/// The pool for reads and for `inventory`, and the configuration.
#[derive(Debug, Clone)]
pub struct State {
    pub pool: PgPool,
    pub http: HttpArgs,
    /// Room for exports, shared by all workers.
    pub exports: Arc<Semaphore>,
}

impl State {
    pub fn new(pool: PgPool, http: HttpArgs) -> Self {
        let exports = Arc::new(Semaphore::new(http.exports_at_once.clamp(1, 1_000)));
        Self { pool, http, exports }
    }
}
