//! Whether the server behind this process takes writes: the primary does, a streaming replica does not, a replica that is promoted does
//! from the moment that its schema was checked, without a restart.
//!
//! What is known stands in a few atomics, which every request reads. Never: a decision by what the server was at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::store;
use crate::store::replica::{Look, Replaying};

const PRIMARY: u8 = 0;
const REPLICA: u8 = 1;
/// Promoted, and the schema not found to be ours yet.
const UNCHECKED: u8 = 2;
/// No such moment yet.
const NEVER: u64 = u64::MAX;

/// The server behind this process as it was seen last.
#[derive(Debug)]
pub struct DatabaseRole {
    role: AtomicU8,
    begun: Instant,
    /// Milliseconds since `begun` at which a replica had last shown all that its primary had sent.
    current_at: AtomicU64,
    /// How far a replica is behind, in milliseconds, as of the last look.
    lag_ms: AtomicU64,
}

impl DatabaseRole {
    /// As a first look has found it.
    pub fn new(is_replica: bool) -> Self {
        let role = if is_replica { REPLICA } else { PRIMARY };
        let never = || AtomicU64::new(NEVER);
        Self { role: AtomicU8::new(role), begun: Instant::now(), current_at: never(), lag_ms: AtomicU64::new(0) }
    }

    /// Looks for itself.
    pub async fn find(pool: &PgPool) -> Result<Self> {
        let is_replica = store::replica::is_replica(&mut *pool.acquire().await?).await?;
        Ok(Self::new(is_replica))
    }

    pub fn takes_writes(&self) -> bool {
        self.role.load(Ordering::Relaxed) == PRIMARY
    }

    /// Nothing where writes are taken; else why not.
    pub fn refuse_writes(&self) -> Result<()> {
        let (code, detail) = match self.role.load(Ordering::Relaxed) {
            PRIMARY => return Ok(()),
            REPLICA => ("read_only_replica", store::READ_ONLY),
            _ => (
                "promotion_unchecked",
                "本服务所连的数据库刚由副本升为主库，结构检查尚未通过，暂不接受写入；原因见服务日志",
            ),
        };
        Err(Error::Unavailable { code, detail: detail.to_owned(), cause: None })
    }

    /// How far behind its primary the replica is, where that is longer than this.
    pub fn lag_over(&self, bound: Duration) -> Option<Duration> {
        let lag = Duration::from_millis(self.lag_ms.load(Ordering::Relaxed));
        (lag > bound).then_some(lag)
    }

    /// How far behind its primary the replica of this look may be at most; `None` where nothing tells. Cut off from its primary it knows
    /// when it was last up to date with it, and of when the last commit is that it shows; the later of the two counts.
    pub fn lag(&self, replaying: &Replaying) -> Option<Duration> {
        let now = self.now();
        if replaying.receiving && replaying.caught_up {
            return Some(Duration::ZERO);
        }
        let current_at = self.current_at.load(Ordering::Relaxed);
        let since_current = (current_at != NEVER).then(|| Duration::from_millis(now.saturating_sub(current_at)));
        let since_commit = replaying.commit_age_s.and_then(|age| Duration::try_from_secs_f64(age.max(0.0)).ok());
        since_current.into_iter().chain(since_commit).min()
    }

    fn now(&self) -> u64 {
        // Below NEVER for longer than any machine runs.
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// Takes in what a look has found; true where a replica has become a primary whose schema is to be checked.
    fn note(&self, look: &Look) -> bool {
        let before = self.role.load(Ordering::Relaxed);
        let Some(replaying) = &look.replica else {
            self.lag_ms.store(0, Ordering::Relaxed);
            if before == REPLICA {
                tracing::warn!("the replica was promoted; its schema is checked");
                self.role.store(UNCHECKED, Ordering::Relaxed);
            }
            return before != PRIMARY;
        };
        if before != REPLICA {
            tracing::warn!("the database is a replica now; writes are refused");
            // What was known of another server says nothing of this one.
            self.current_at.store(NEVER, Ordering::Relaxed);
            self.role.store(REPLICA, Ordering::Relaxed);
        }
        if replaying.receiving && replaying.caught_up {
            self.current_at.store(self.now(), Ordering::Relaxed);
        }
        // Where nothing tells it is as old as this process at least.
        let lag = self.lag(replaying).unwrap_or_else(|| self.begun.elapsed());
        self.lag_ms.store(u64::try_from(lag.as_millis()).unwrap_or(NEVER), Ordering::Relaxed);
        false
    }
}

/// Follows the looks. A promoted server is brought to this program's schema like a primary at the start, which it should be at; until then
/// it takes no writes.
pub async fn keep(role: Arc<DatabaseRole>, owner: PgPool, mut looks: watch::Receiver<Option<Look>>) {
    while looks.changed().await.is_ok() {
        let look = looks.borrow_and_update().clone();
        if !look.is_some_and(|look| role.note(&look)) {
            continue;
        }
        match check(owner.clone()).await {
            Ok(()) => {
                // Unless it is a replica again, which the next look tells.
                role.role.store(PRIMARY, Ordering::Relaxed);
                tracing::info!("the promoted database takes writes");
            }
            Err(failure) => tracing::error!(error = %failure, "the promoted database is not ready for writes"),
        }
    }
}

/// On a thread that may block: what runs the migrations cannot move between threads.
async fn check(owner: PgPool) -> Result<()> {
    let runtime = Handle::current();
    let checking = tokio::task::spawn_blocking(move || runtime.block_on(store::migrate(&owner)));
    checking.await.map_err(|cause| Error::internal("结构检查没能进行", cause))?.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(receiving: bool, caught_up: bool, commit_age_s: Option<f64>) -> Look {
        let position = "0/0".to_owned();
        Look { revision: 1, replica: Some(Replaying { position, receiving, caught_up, commit_age_s }) }
    }

    const ON_PRIMARY: Look = Look { revision: 1, replica: None };

    fn code(role: &DatabaseRole) -> Option<&'static str> {
        role.refuse_writes().err().map(|error| error.code())
    }

    #[test]
    fn a_promoted_replica_takes_no_writes_before_its_schema_was_checked() {
        let role = DatabaseRole::new(true);
        assert_eq!(code(&role), Some("read_only_replica"));
        assert!(!role.note(&replica(true, true, None)));
        assert!(role.note(&ON_PRIMARY) && role.note(&ON_PRIMARY), "asked for until it is done");
        assert_eq!((code(&role), role.takes_writes()), (Some("promotion_unchecked"), false));
    }

    #[test]
    fn a_primary_that_is_replaced_by_a_replica_takes_no_writes() {
        let role = DatabaseRole::new(false);
        assert!(!role.note(&ON_PRIMARY) && role.takes_writes());
        assert!(!role.note(&replica(true, true, None)));
        assert_eq!(code(&role), Some("read_only_replica"));
    }

    #[test]
    fn a_replica_that_nothing_is_known_of_is_as_old_as_the_process() {
        let role = DatabaseRole { begun: Instant::now() - Duration::from_secs(30), ..DatabaseRole::new(true) };
        role.note(&replica(false, false, None));
        assert!(role.lag_over(Duration::from_secs(29)).is_some());
        role.note(&replica(true, true, None));
        assert_eq!(role.lag_over(Duration::ZERO), None);
    }

    #[test]
    fn the_lag_is_what_is_known_of_it() {
        let role = DatabaseRole::new(true);
        let lag = |look: &Look| role.lag(look.replica.as_ref().expect("a replica"));
        assert_eq!(lag(&replica(false, true, None)), None, "nothing tells");
        assert_eq!(lag(&replica(false, true, Some(90.0))), Some(Duration::from_secs(90)));
        assert_eq!(lag(&replica(true, false, Some(-3.0))), Some(Duration::ZERO), "clocks differ");
        assert_eq!(lag(&replica(true, true, Some(90.0))), Some(Duration::ZERO), "nothing was written for so long");
        role.note(&replica(true, true, Some(90.0)));
        let cut_off = lag(&replica(false, true, Some(90.0))).expect("a lag");
        assert!(cut_off < Duration::from_secs(60), "it was up to date a moment ago: {cut_off:?}");
        role.note(&replica(false, true, Some(1.5)));
        assert_eq!(role.lag_over(Duration::from_secs(3_600)), None);
    }
}
