//! Webhooks (变更通知): whom to tell of new revisions, what is still to be told, and who is at it.
//!
//! A webhook is leased before anything is sent and given back with what came of it; a lease that ran out is anybody's.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::as_of;
use crate::error::{Error, Result};

/// A webhook as its operator sees it; without its secret.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Webhook {
    pub id: i64,
    pub url: String,
    pub layers: Vec<String>,
    pub created_at: DateTime<Utc>,
    /// Revisions that are still to be told, those that are not yet looked at counted.
    pub behind: i64,
    pub attempts: i32,
    pub failing_since: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub next_attempt_at: DateTime<Utc>,
    pub last_delivered_at: Option<DateTime<Utc>>,
    pub dead_at: Option<DateTime<Utc>>,
}

/// A webhook that this process may send to for a while.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Leased {
    pub id: i64,
    pub url: String,
    pub layers: Vec<String>,
    pub secret: String,
    pub planned_revision: i64,
    pub attempts: i32,
    lease: String,
}

/// What is to be told next.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Delivery {
    pub revision: i64,
    pub layer: String,
    pub made_at: DateTime<Utc>,
}

/// Adds a webhook that is told of every revision from the next one on; gives its number and its secret, made here where none is given.
pub async fn add(pool: &PgPool, url: &str, layers: &[String], secret: Option<&str>) -> Result<(i64, String)> {
    Ok(sqlx::query_as(
        "INSERT INTO webhook (url, layers, secret, planned_revision)
         VALUES ($1, $2, coalesce($3, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')),
                 (SELECT coalesce(max(number), 0) FROM revision))
         RETURNING id, secret",
    )
    .bind(url)
    .bind(layers)
    .bind(secret)
    .fetch_one(pool)
    .await?)
}

/// All of them, in order of their numbers.
pub async fn list(pool: &PgPool) -> Result<Vec<Webhook>> {
    Ok(sqlx::query_as(
        "SELECT id, url, layers, created_at, attempts, failing_since, last_error, next_attempt_at, last_delivered_at, dead_at,
                (SELECT coalesce(max(number), 0) FROM revision) - planned_revision
                    + (SELECT count(DISTINCT revision) FROM webhook_delivery d WHERE d.webhook_id = w.id) AS behind
         FROM webhook w ORDER BY id",
    )
    .fetch_all(pool)
    .await?)
}

fn not_found(id: i64) -> Error {
    Error::not_found("webhook_not_found", format!("没有第 {id} 号变更通知"))
}

/// Removes it with everything that was still to be told.
pub async fn remove(pool: &PgPool, id: i64) -> Result<()> {
    let removed = sqlx::query("DELETE FROM webhook WHERE id = $1").bind(id).execute(pool).await?.rows_affected();
    if removed == 0 { Err(not_found(id)) } else { Ok(()) }
}

/// Tries again at once, also where it had been given up.
pub async fn resume(pool: &PgPool, id: i64) -> Result<()> {
    let resumed = sqlx::query(
        "UPDATE webhook SET dead_at = NULL, failing_since = NULL, attempts = 0, next_attempt_at = clock_timestamp() WHERE id = $1",
    )
    .bind(id)
    .execute(pool)
    .await?
    .rows_affected();
    if resumed == 0 { Err(not_found(id)) } else { Ok(()) }
}

/// Address and secret, for a trial.
pub async fn address(pool: &PgPool, id: i64) -> Result<(String, String)> {
    let found = sqlx::query_as("SELECT url, secret FROM webhook WHERE id = $1").bind(id).fetch_optional(pool).await?;
    found.ok_or_else(|| not_found(id))
}

/// A webhook that has something to be told and is due, taken for `seconds`; `None` where there is none that nobody else has.
pub async fn lease(pool: &PgPool, seconds: i32) -> Result<Option<Leased>> {
    Ok(sqlx::query_as(
        "UPDATE webhook SET lease = gen_random_uuid(), leased_until = clock_timestamp() + make_interval(secs => $1)
         WHERE id = (
             SELECT id FROM webhook w
             WHERE dead_at IS NULL AND next_attempt_at <= clock_timestamp() AND leased_until < clock_timestamp()
               AND (planned_revision < (SELECT max(number) FROM revision)
                    OR EXISTS (SELECT 1 FROM webhook_delivery d JOIN revision r ON r.number = d.revision WHERE d.webhook_id = w.id))
             ORDER BY next_attempt_at FOR UPDATE SKIP LOCKED LIMIT 1)
         RETURNING id, url, layers, secret, planned_revision, attempts, lease::text AS lease",
    )
    .bind(seconds)
    .fetch_optional(pool)
    .await?)
}

/// Writes down what is to be told of the revisions up to `until`: pairs of revision and layer.
pub async fn plan(pool: &PgPool, leased: &Leased, until: i64, deliveries: &[(i64, String)]) -> Result<()> {
    let (revisions, layers): (Vec<i64>, Vec<String>) = deliveries.iter().cloned().unzip();
    sqlx::query(
        "WITH moved AS (
             UPDATE webhook SET planned_revision = $3 WHERE id = $1 AND lease = $2::uuid AND planned_revision < $3 RETURNING id)
         INSERT INTO webhook_delivery (webhook_id, revision, layer)
         SELECT moved.id, d.revision, d.layer FROM moved, unnest($4::bigint[], $5::text[]) d(revision, layer)
         ON CONFLICT DO NOTHING",
    )
    .bind(leased.id)
    .bind(&leased.lease)
    .bind(until)
    .bind(revisions)
    .bind(layers)
    .execute(pool)
    .await?;
    Ok(())
}

/// The oldest that is still to be told.
pub async fn next(pool: &PgPool, leased: &Leased) -> Result<Option<Delivery>> {
    Ok(sqlx::query_as(
        "SELECT d.revision, d.layer, r.made_at FROM webhook_delivery d JOIN revision r ON r.number = d.revision
         WHERE d.webhook_id = $1 ORDER BY d.revision, d.layer LIMIT 1",
    )
    .bind(leased.id)
    .fetch_optional(pool)
    .await?)
}

/// Was told (or needed not be, `sent` false): it is off the list, and the lease goes on for `seconds`. False where the lease is
/// somebody else's by now.
pub async fn told(pool: &PgPool, leased: &Leased, delivery: &Delivery, sent: bool, seconds: i32) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let held = sqlx::query(
        "UPDATE webhook SET attempts = 0, failing_since = NULL, last_error = NULL, next_attempt_at = clock_timestamp(),
                last_delivered_at = CASE WHEN $3 THEN clock_timestamp() ELSE last_delivered_at END,
                leased_until = clock_timestamp() + make_interval(secs => $4)
         WHERE id = $1 AND lease = $2::uuid",
    )
    .bind(leased.id)
    .bind(&leased.lease)
    .bind(sent)
    .bind(seconds)
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if held {
        sqlx::query("DELETE FROM webhook_delivery WHERE webhook_id = $1 AND revision = $2 AND layer = $3")
            .bind(leased.id)
            .bind(delivery.revision)
            .bind(&delivery.layer)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(held)
}

/// Was not told: tried again after `wait` seconds; given up where it has failed for `patience` seconds. Gives the lease back.
pub async fn failed(pool: &PgPool, leased: &Leased, error: &str, wait: i32, patience: i32) -> Result<()> {
    sqlx::query(
        "UPDATE webhook SET attempts = attempts + 1, failing_since = coalesce(failing_since, clock_timestamp()), last_error = left($3, 500),
                next_attempt_at = clock_timestamp() + make_interval(secs => $4), leased_until = '-infinity', lease = NULL,
                dead_at = CASE WHEN failing_since < clock_timestamp() - make_interval(secs => $5) THEN clock_timestamp() END
         WHERE id = $1 AND lease = $2::uuid",
    )
    .bind(leased.id)
    .bind(&leased.lease)
    .bind(error)
    .bind(wait)
    .bind(patience)
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the lease back.
pub async fn release(pool: &PgPool, leased: &Leased) -> Result<()> {
    sqlx::query("UPDATE webhook SET leased_until = '-infinity', lease = NULL WHERE id = $1 AND lease = $2::uuid")
        .bind(leased.id)
        .bind(&leased.lease)
        .execute(pool)
        .await?;
    Ok(())
}

/// The newest revision, for planning.
pub async fn newest(connection: &mut PgConnection) -> Result<i64> {
    as_of::newest(connection).await
}
