//! Requests that were done, by their client's own key: a repetition adds nothing.

use sqlx::PgConnection;

use crate::error::Result;

/// A request that was done before.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    pub digest: [u8; 32],
    pub record_id: String,
    pub created: bool,
    pub revision: Option<i64>,
}

/// The request of this key, if it was done within the last day.
pub async fn find(connection: &mut PgConnection, actor: &str, key: &str) -> Result<Option<Replay>> {
    let row: Option<(Vec<u8>, String, bool, Option<i64>)> = sqlx::query_as(
        "SELECT digest, record_id, created, revision FROM idempotency_key
         WHERE actor = $1 AND key = $2 AND made_at > clock_timestamp() - interval '1 day'",
    )
    .bind(actor)
    .bind(key)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(digest, record_id, created, revision)| Replay {
        digest: digest.try_into().unwrap_or_default(),
        record_id,
        created,
        revision,
    }))
}

/// Remembers a request in the transaction that did it, and lets go of those older than a day.
pub async fn keep(
    connection: &mut PgConnection,
    actor: &str,
    key: &str,
    digest: &[u8; 32],
    record_id: &str,
    created: bool,
    revision: Option<i64>,
) -> Result<()> {
    sqlx::query("DELETE FROM idempotency_key WHERE made_at < clock_timestamp() - interval '1 day'")
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO idempotency_key (actor, key, digest, record_id, created, revision) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(actor)
        .bind(key)
        .bind(&digest[..])
        .bind(record_id)
        .bind(created)
        .bind(revision)
        .execute(connection)
        .await?;
    Ok(())
}
