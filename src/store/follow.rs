//! The newest revision, told as it is made: the database's doorbell, and a look of its own in case one is missed.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::as_of;
use crate::error::Result;

/// So long may a doorbell that was not heard keep a change from being told.
const LOOK: Duration = Duration::from_secs(2);

/// Rung when who may do what has changed (migration 0013).
const ACCESS: &str = "sizhi_access";
/// Rung by every revision.
const REVISION: &str = "sizhi_revision";

/// Tells `newest`, and counts `access` up when somebody's rights may have changed, until nobody asks any more (the task is dropped). One
/// connection of its own listens; while the database is away it is looked for.
pub async fn follow(pool: PgPool, newest: watch::Sender<i64>, access: watch::Sender<u64>) {
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = listen(&pool).await.ok();
            // What rang meanwhile was not heard.
            access.send_modify(|rung| *rung += 1);
        }
        match look(&pool).await {
            Ok(number) => {
                newest.send_if_modified(|told| std::mem::replace(told, number) != number);
            }
            // The listener may have gone with the database.
            Err(_) => listener = None,
        }
        let heard = async {
            match listener.as_mut() {
                Some(listener) => match listener.try_recv().await {
                    Ok(Some(bell)) => {
                        if bell.channel() == ACCESS {
                            access.send_modify(|rung| *rung += 1);
                        }
                        true
                    }
                    _ => false,
                },
                None => std::future::pending().await,
            }
        };
        if let Ok(false) = tokio::time::timeout(LOOK, heard).await {
            listener = None;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Not one of the pool's connections: it is held for ever.
async fn listen(pool: &PgPool) -> Result<PgListener> {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LOOK)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen_all([REVISION, ACCESS]).await?;
    Ok(listener)
}

async fn look(pool: &PgPool) -> Result<i64> {
    as_of::newest(&mut *pool.acquire().await?).await
}
