//! The newest revision, told as it is made: the database's doorbell, and a look of its own in case one is missed.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::extra::follow as extra;
use super::replica::{self, Look};
use crate::error::Result;

/// So long may a doorbell that was not heard keep a change from being told.
const LOOK: Duration = Duration::from_secs(2);
/// The same on a replica, where no doorbell can be heard.
const REPLICA_LOOK: Duration = Duration::from_millis(250);

/// Rung when who may do what has changed (migration 0013).
const ACCESS: &str = "sizhi_access";
/// Rung by every revision.
const REVISION: &str = "sizhi_revision";

/// Whom [`follow`] tells what.
#[derive(Debug)]
pub struct Told {
    /// The newest revision, when it is another.
    pub newest: watch::Sender<i64>,
    /// Counted up when somebody's rights may have changed.
    pub access: watch::Sender<u64>,
    /// Which operators' tables may have been written.
    pub layers: watch::Sender<Written>,
    /// What each look has found.
    pub looks: watch::Sender<Option<Look>>,
}

/// How often it was told that operators' tables were written.
#[derive(Debug, Default)]
pub struct Written {
    all: u64,
    /// By the layer's id.
    of_layer: HashMap<String, u64>,
}

impl Written {
    /// Another number after the table of this layer may have been written.
    pub fn count(&self, layer: &str) -> u64 {
        self.all + self.of_layer.get(layer).copied().unwrap_or(0)
    }
}

/// Tells what happens until nobody asks any more (the task is dropped). One connection of its own listens; while the database is away it
/// is looked for. A replica is looked at, often: `LISTEN` is not for it. When it is promoted, the bell is heard again.
pub async fn follow(pool: PgPool, told: Told) {
    let mut listener = None;
    let (mut is_replica, mut position) = (false, String::new());
    loop {
        match look(&pool).await {
            Ok(look) => {
                is_replica = look.replica.is_some();
                if let Some(replaying) = &look.replica
                    && replaying.position != position
                {
                    // Something was written; of what, nothing is told.
                    position.clone_from(&replaying.position);
                    told.layers.send_modify(|written| written.all += 1);
                }
                told.newest.send_if_modified(|newest| std::mem::replace(newest, look.revision) != look.revision);
                told.looks.send_replace(Some(look));
            }
            // The listener may have gone with the database.
            Err(_) => listener = None,
        }
        if is_replica {
            listener = None;
            tokio::time::sleep(REPLICA_LOOK).await;
            continue;
        }
        if listener.is_none() {
            listener = listen(&pool).await.ok();
            // What rang meanwhile was not heard.
            told.access.send_modify(|rung| *rung += 1);
            if listener.is_some() {
                continue;
            }
        }
        // Until the next look the bell is believed: it says all but the server's role, and that a register was put back.
        let hearing = async { while hear(listener.as_mut(), &told).await {} };
        if tokio::time::timeout(LOOK, hearing).await.is_ok() {
            listener = None;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Waits for the bell and tells what it rang for; false where it is broken.
async fn hear(listener: Option<&mut PgListener>, told: &Told) -> bool {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.try_recv().await {
        Ok(Some(bell)) => {
            match bell.channel() {
                ACCESS => told.access.send_modify(|rung| *rung += 1),
                extra::CHANNEL => told
                    .layers
                    .send_modify(|written| *written.of_layer.entry(bell.payload().to_owned()).or_default() += 1),
                // Bells ring in the order of commits, but a look may have been faster. A register that was put back is found by a look.
                REVISION => {
                    if let Ok(revision) = bell.payload().parse() {
                        told.newest.send_if_modified(|newest| {
                            *newest < revision && std::mem::replace(newest, revision) < revision
                        });
                    }
                }
                _ => {}
            }
            true
        }
        _ => false,
    }
}

/// Not one of the pool's connections: it is held for ever.
async fn listen(pool: &PgPool) -> Result<PgListener> {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LOOK)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen_all([REVISION, ACCESS, extra::CHANNEL]).await?;
    Ok(listener)
}

async fn look(pool: &PgPool) -> Result<Look> {
    replica::look(&mut *pool.acquire().await?).await
}
