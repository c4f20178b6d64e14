//! What every handler may need.

use sqlx::PgPool;

use crate::config::HttpArgs;

/// The pool for reads and for `inventory`, and the configuration.
#[derive(Debug, Clone)]
pub struct State {
    pub pool: PgPool,
    pub http: HttpArgs,
}
