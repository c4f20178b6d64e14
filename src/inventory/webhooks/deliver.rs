//! Delivering: leases a webhook, tells it what it is due, one event after the other, and writes down what came of each.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, Notify, watch};

use super::event;
use super::send::{self, Outcome};
use crate::domain::access::Viewer;
use crate::error::Result;
use crate::inventory::database_role::DatabaseRole;
use crate::layers::declaration::{self, LAYERS};
use crate::store::changes::{self, Counts};
use crate::store::webhooks::{self, Delivery, Leased};

/// A lease outlives an attempt (10 s) with what the database takes around it.
const LEASE_SECONDS: i32 = 60;
/// Longest wait between two attempts.
const LONGEST_WAIT_SECONDS: i32 = 3_600;
/// After so long without success a webhook waits for its operator.
const PATIENCE_SECONDS: i32 = 3 * 24 * 3_600;
/// Revisions that are looked at in one go.
const PLANNED_AT_ONCE: i64 = 200;
/// Webhooks that one process tells at a time: a slow receiver keeps nobody else waiting.
const AT_A_TIME: usize = 4;
/// A look for attempts that have come due, without a doorbell.
const LOOK: Duration = Duration::from_secs(1);

/// Seconds to wait after so many failures: 1, 2, 4 … up to an hour.
pub fn backoff_seconds(failures: i32) -> i32 {
    1_i32
        .checked_shl(u32::try_from(failures.max(0)).unwrap_or(u32::MAX))
        .filter(|s| *s > 0)
        .map_or(LONGEST_WAIT_SECONDS, |s| s.min(LONGEST_WAIT_SECONDS))
}

/// Delivers until `stopping` says so; an attempt under way is finished first. Over a replica the servers of its primary do.
pub async fn deliver(
    pool: PgPool,
    role: Arc<DatabaseRole>,
    public_url: Option<String>,
    newest: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
) {
    // One hand looks for work at a time, and listens: all of them would ask the database the same at every revision.
    let given_back = Notify::new();
    let watch = Mutex::new(Watch { newest, stopping: stopping.clone(), given_back: &given_back });
    let hands = (0..AT_A_TIME).map(|_| hand(&pool, &role, public_url.as_deref(), &watch, (&stopping, &given_back)));
    futures_util::future::join_all(hands).await;
}

/// Between two looks that found nothing to do.
const REST: Duration = Duration::from_millis(100);

/// Where the hand that has it looks and listens.
struct Watch<'a> {
    newest: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    /// Rung by a hand that has given a webhook back: what came meanwhile was not to be had.
    given_back: &'a Notify,
}

async fn hand(
    pool: &PgPool,
    role: &DatabaseRole,
    public_url: Option<&str>,
    watch: &Mutex<Watch<'_>>,
    (stopping, given_back): (&watch::Receiver<bool>, &Notify),
) {
    loop {
        // Whoever has found something hands the watch on before it is at work (the lock ends with this statement): there may be more.
        let found = watch.lock().await.find(pool, role).await;
        let Some(leased) = found else { return };
        if let Err(error) = serve(pool, &leased, public_url, stopping).await {
            // The database is away: the lease runs out by itself.
            tracing::warn!(webhook = leased.id, error = %error, "webhook not served");
        }
        given_back.notify_one();
    }
}

impl Watch<'_> {
    /// The next webhook that is due; `None` once the service stops.
    async fn find(&mut self, pool: &PgPool, role: &DatabaseRole) -> Option<Leased> {
        while !*self.stopping.borrow_and_update() {
            self.newest.mark_unchanged();
            let leased = match role.takes_writes() {
                true => webhooks::lease(pool, LEASE_SECONDS).await,
                false => Ok(None),
            };
            if let Ok(Some(leased)) = leased {
                return Some(leased);
            }
            // Many revisions in a row are one look.
            tokio::time::sleep(REST).await;
            // Also while the database is away: it is looked for.
            tokio::select! {
                _ = self.stopping.changed() => {}
                // A sender that is gone would ring without end.
                rung = self.newest.changed() => if rung.is_err() { tokio::time::sleep(LOOK).await },
                () = self.given_back.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        None
    }
}

/// Tells one webhook all that it is due, up to the first failure.
async fn serve(
    pool: &PgPool,
    leased: &Leased,
    public_url: Option<&str>,
    stopping: &watch::Receiver<bool>,
) -> Result<()> {
    let (mut planned, mut failures) = (leased.planned_revision, leased.attempts);
    loop {
        let Some(delivery) = webhooks::next(pool, leased).await? else {
            let until = plan(pool, leased, planned).await?;
            if until == planned || *stopping.borrow() {
                return webhooks::release(pool, leased).await;
            }
            planned = until;
            continue;
        };
        if *stopping.borrow() {
            return webhooks::release(pool, leased).await;
        }
        let counts = count(pool, &delivery).await?;
        if counts == Counts::default() {
            // A row was touched that shows in no feature.
            if !webhooks::told(pool, leased, &delivery, false, LEASE_SECONDS).await? {
                return Ok(());
            }
            continue;
        }
        let body = event::changed(&delivery, counts, public_url);
        let why = match send::post(leased.url.clone(), leased.secret.clone(), body).await? {
            Outcome::Answered(status) if (200..300).contains(&status) => {
                if !webhooks::told(pool, leased, &delivery, true, LEASE_SECONDS).await? {
                    return Ok(());
                }
                failures = 0;
                continue;
            }
            Outcome::Answered(status) => format!("接收方回答 HTTP {status}"),
            Outcome::Failed(why) => why,
        };
        tracing::warn!(webhook = leased.id, revision = delivery.revision, failures, why, "webhook delivery failed");
        return webhooks::failed(pool, leased, &why, backoff_seconds(failures), PATIENCE_SECONDS).await;
    }
}

/// Looks at the next revisions and writes down which layers of interest they touched; gives the last one looked at.
async fn plan(pool: &PgPool, leased: &Leased, planned: i64) -> Result<i64> {
    let mut connection = pool.acquire().await?;
    let until = webhooks::newest(&mut connection).await?.min(planned + PLANNED_AT_ONCE);
    if until <= planned {
        return Ok(planned);
    }
    let touched = changes::touched_tables(&mut connection, planned, until).await?;
    drop(connection);
    let mut deliveries: Vec<(i64, String)> = touched
        .iter()
        .flat_map(|(revision, table)| {
            let of_interest = LAYERS.iter().filter(move |layer| {
                leased.layers.iter().any(|id| id == layer.id) && layer.sources.iter().any(|s| s.table == *table)
            });
            of_interest.map(|layer| (*revision, layer.id.to_owned()))
        })
        .collect();
    deliveries.sort();
    deliveries.dedup();
    webhooks::plan(pool, leased, until, &deliveries).await?;
    Ok(until)
}

async fn count(pool: &PgPool, delivery: &Delivery) -> Result<Counts> {
    match declaration::find(&delivery.layer) {
        Some(layer) => changes::count(pool, &Viewer::operator("webhook"), layer, delivery.revision).await,
        // A layer that an older program declared.
        None => Ok(Counts::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits: Vec<i32> = (0..14).map(backoff_seconds).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        assert_eq!([-1, 31, 32, 1_000, i32::MAX].map(backoff_seconds), [1, 3600, 3600, 3600, 3600]);
    }
}
