//! Failed logins, by account and by address: in the database, so that several servers count together.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::error::Result;

/// So many failures lock (reliability.md “Rate”) …
pub const FAILURES: i64 = 10;
/// … within so many minutes; the lock ends when the first of them is so old.
pub const WINDOW_MINUTES: i32 = 15;

/// An attempt before its password is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Written down as failed; [`succeeded`] takes it back when the password was right. `last`: the next one will be refused.
    Counted { last: bool },
    /// Too many failures; none more is tried before this moment.
    Locked { until: DateTime<Utc> },
}

/// Writes the attempt down, unless account or address is locked. In a transaction of its own: the lock taken here makes
/// parallel attempts count one after the other.
pub async fn attempt(connection: &mut PgConnection, account: &str, address: &str) -> Result<Attempt> {
    sqlx::query("SELECT pg_advisory_xact_lock(7226041, 4)").execute(&mut *connection).await?;
    // What is a day old locks nobody.
    sqlx::query("DELETE FROM login_failure WHERE at < clock_timestamp() - interval '1 day'")
        .execute(&mut *connection)
        .await?;
    let (until, count): (Option<DateTime<Utc>>, i64) = sqlx::query_as(
        "SELECT max(at) FILTER (WHERE place = $4) + make_interval(mins => $3), coalesce(max(place), 0)
         FROM (SELECT at, row_number() OVER (PARTITION BY kind ORDER BY at DESC) AS place FROM login_failure
               WHERE (kind, key) IN (('account', $1), ('address', $2)) AND at > clock_timestamp() - make_interval(mins => $3)) counted",
    )
    .bind(account)
    .bind(address)
    .bind(WINDOW_MINUTES)
    .bind(FAILURES)
    .fetch_one(&mut *connection)
    .await?;
    if let Some(until) = until {
        return Ok(Attempt::Locked { until });
    }
    sqlx::query("INSERT INTO login_failure (kind, key) VALUES ('account', $1), ('address', $2)")
        .bind(account)
        .bind(address)
        .execute(connection)
        .await?;
    Ok(Attempt::Counted { last: count + 1 >= FAILURES })
}

/// A right password: the account's failures are forgotten, and the address's newest, which was this attempt. The others of
/// the address stay, or whoever has one account could try all others for ever.
pub async fn succeeded(connection: &mut PgConnection, account: &str, address: &str) -> Result<()> {
    unlock(connection, account).await?;
    take_newest(connection, "address", address).await
}

/// An attempt whose password nobody looked at did not fail.
pub async fn take_back(connection: &mut PgConnection, account: &str, address: &str) -> Result<()> {
    take_newest(connection, "account", account).await?;
    take_newest(connection, "address", address).await
}

async fn take_newest(connection: &mut PgConnection, kind: &str, key: &str) -> Result<()> {
    sqlx::query(
        "DELETE FROM login_failure WHERE ctid = (SELECT ctid FROM login_failure WHERE kind = $1 AND key = $2 ORDER BY at DESC LIMIT 1)",
    )
    .bind(kind)
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets an account's failures.
pub async fn unlock(connection: &mut PgConnection, account: &str) -> Result<()> {
    sqlx::query("DELETE FROM login_failure WHERE kind = 'account' AND key = $1")
        .bind(account)
        .execute(connection)
        .await?;
    Ok(())
}
