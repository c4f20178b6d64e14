//! Logins, found by the SHA-256 of the cookie's value.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::accounts::{jurisdiction, role};
use crate::domain::access::{Jurisdiction, Role};
use crate::error::Result;

/// How long a login lasts: a working day and its evening.
pub const HOURS: i32 = 12;

/// A login that stands.
#[derive(Debug, Clone)]
pub struct Session {
    pub account: String,
    pub display_name: String,
    pub role: Role,
    pub jurisdiction: Jurisdiction,
    pub must_change_password: bool,
    pub expires_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct SessionRow {
    account: String,
    display_name: String,
    role: String,
    divisions: Vec<String>,
    must_change_password: bool,
    expires_at: DateTime<Utc>,
    stale: bool,
}

/// Opens a session and clears those that have run out; gives its end.
pub async fn open(connection: &mut PgConnection, account: &str, hash: &[u8]) -> Result<DateTime<Utc>> {
    sqlx::query("DELETE FROM session WHERE expires_at < clock_timestamp()").execute(&mut *connection).await?;
    let expires = sqlx::query_scalar(
        "INSERT INTO session (hash, account, expires_at) VALUES ($1, $2, clock_timestamp() + make_interval(hours => $3)) RETURNING expires_at",
    )
    .bind(hash)
    .bind(account)
    .bind(HOURS)
    .fetch_one(connection)
    .await?;
    Ok(expires)
}

/// The login of this cookie, unless it has run out, was ended, or its account is disabled.
pub async fn find(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<Session>> {
    let row: Option<SessionRow> = sqlx::query_as(
        "SELECT s.account, a.display_name, a.role, a.divisions, a.must_change_password, s.expires_at,
                NOT pg_is_in_recovery() AND s.last_seen_at < clock_timestamp() - interval '1 minute' AS stale
         FROM session s JOIN account a ON a.name = s.account
         WHERE s.hash = $1 AND s.expires_at > clock_timestamp() AND NOT a.disabled",
    )
    .bind(hash)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.stale {
        sqlx::query("UPDATE session SET last_seen_at = clock_timestamp() WHERE hash = $1")
            .bind(hash)
            .execute(connection)
            .await?;
    }
    Ok(Some(Session {
        role: role(&row.role)?,
        jurisdiction: jurisdiction(&row.divisions)?,
        account: row.account,
        display_name: row.display_name,
        must_change_password: row.must_change_password,
        expires_at: row.expires_at,
    }))
}

/// Ends one session; gives whose it was.
pub async fn close(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<String>> {
    let account = sqlx::query_scalar("DELETE FROM session WHERE hash = $1 RETURNING account")
        .bind(hash)
        .fetch_optional(connection)
        .await?;
    Ok(account)
}

/// Ends all sessions of an account but, where given, one.
pub async fn close_all(connection: &mut PgConnection, account: &str, but: Option<&[u8]>) -> Result<()> {
    sqlx::query("DELETE FROM session WHERE account = $1 AND hash IS DISTINCT FROM $2")
        .bind(account)
        .bind(but)
        .execute(connection)
        .await?;
    Ok(())
}
