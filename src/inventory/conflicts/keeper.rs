//! Auditing as the register goes on: after every revision, beside the answering of requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::watch;

use super::audit;
use crate::inventory::database_role::DatabaseRole;
use crate::inventory::live::Live;
use crate::store;

/// A look without a bell: after a server that audited has gone, or a failure.
const LOOK: Duration = Duration::from_secs(5);

/// Between two audits.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Audits after every revision; on a replica it waits for its promotion. Ends when it is dropped.
pub async fn keep(pool: PgPool, live: Arc<Live>, role: Arc<DatabaseRole>, mut newest: watch::Receiver<i64>) {
    loop {
        if role.takes_writes() {
            let begun = Instant::now();
            step(&pool, &live).await;
            // Where people write all the time, several revisions are one audit, and audits take a fifth of the time at most.
            tokio::time::sleep((4 * begun.elapsed()).min(LONGEST_REST)).await;
        }
        if let Ok(Err(_closed)) = tokio::time::timeout(LOOK, newest.changed()).await {
            return;
        }
    }
}

/// One audit, of what the register shows now.
async fn step(pool: &PgPool, live: &Live) {
    let audited = async {
        live.refresh().await?;
        audit(pool, live, false).await
    };
    match store::while_answering(pool, audited).await {
        Ok(Some(audited)) => tracing::debug!(
            revision = audited.revision,
            touched = audited.touched,
            opened = audited.opened,
            changed = audited.changed,
            closed = audited.closed,
            "conflicts audited"
        ),
        Ok(None) => {}
        Err(failure) => {
            tracing::warn!(error = %failure, "the register's conflicts could not be audited; they stay as they were");
        }
    }
}
