//! What runs beside the answering of requests: following the log, telling webhooks; and the places for streams.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use super::callers::Callers;
use super::state::State;
use crate::inventory::conflicts;
use crate::inventory::database_role::{self, DatabaseRole};
use crate::inventory::live::{self, Live};
use crate::inventory::webhooks;
use crate::store::follow::{self, Told, Written};

/// What streams go by: the newest revision as it is made, the end of the service, and a bounded number of places.
#[derive(Debug, Clone)]
pub struct Feed {
    pub newest: watch::Receiver<i64>,
    pub stopping: watch::Receiver<bool>,
    places: Arc<Semaphore>,
}

impl Feed {
    /// One that has no places and follows nothing.
    pub fn closed() -> Self {
        Self { newest: watch::channel(0).1, stopping: watch::channel(true).1, places: Arc::new(Semaphore::new(0)) }
    }

    /// A place for a stream, held as long as it runs.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

/// The tasks beside the server, not started yet.
pub struct Background {
    pool: PgPool,
    role: Arc<DatabaseRole>,
    public_url: Option<String>,
    feed: Feed,
    newest: watch::Sender<i64>,
    stop: watch::Sender<bool>,
    live: Option<Arc<Live>>,
    callers: Arc<Callers>,
}

impl Background {
    pub fn prepare(state: &State) -> Self {
        let (pool, role, http) = (state.pool.clone(), Arc::clone(&state.role), &state.http);
        let (newest, newest_seen) = watch::channel(0);
        let (stop, stopping) = watch::channel(false);
        let places = Arc::new(Semaphore::new(http.streams.min(Semaphore::MAX_PERMITS)));
        let feed = Feed { newest: newest_seen, stopping, places };
        let (live, callers) = (state.live.clone(), Arc::clone(&state.callers));
        Self { pool, role, public_url: http.public_url.clone(), feed, newest, stop, live, callers }
    }

    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// `owner` checks the schema of a replica that is promoted.
    pub fn start(self, owner: PgPool) -> Running {
        let Self { pool, role, public_url, feed, newest, stop, live, callers } = self;
        let (newest_seen, stopping) = (feed.newest.clone(), feed.stopping.clone());
        let delivering =
            tokio::spawn(webhooks::deliver(pool.clone(), Arc::clone(&role), public_url, newest_seen, stopping));
        let ((access, rung), (layers, written), (looks, seen)) =
            (watch::channel(0), watch::channel(Written::default()), watch::channel(None));
        let mut following = vec![
            tokio::spawn(follow::follow(pool.clone(), Told { newest, access, layers, looks })),
            tokio::spawn(database_role::keep(Arc::clone(&role), owner, seen)),
            tokio::spawn(async move { callers.forget_when(rung).await }),
        ];
        if let Some(live) = live {
            following.push(tokio::spawn(live::keep(Arc::clone(&live), feed.newest.clone())));
            following.push(tokio::spawn(conflicts::keep(pool, Arc::clone(&live), role, feed.newest.clone())));
            following.push(tokio::spawn(live::keep_extras(live, written)));
        }
        Running { stop, following, delivering }
    }
}

/// The tasks beside the server, at work.
pub struct Running {
    stop: watch::Sender<bool>,
    following: Vec<JoinHandle<()>>,
    delivering: JoinHandle<()>,
}

impl Running {
    /// Streams end now; a delivery under way is finished.
    pub fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end of all, a little longer than an attempt to deliver may take.
    pub async fn stop(self) {
        self.begin_stop();
        self.following.iter().for_each(JoinHandle::abort);
        if tokio::time::timeout(Duration::from_secs(15), self.delivering).await.is_err() {
            tracing::warn!("a webhook delivery did not end in time; it will be repeated");
        }
    }
}
