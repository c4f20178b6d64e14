//! Tokens of programs (令牌), found by their SHA-256.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::accounts::{jurisdiction, role};
use crate::domain::access::{Jurisdiction, Role};
use crate::error::Result;

/// A token without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiToken {
    pub id: i64,
    pub account: String,
    pub name: String,
    pub role: Role,
    pub jurisdiction: Jurisdiction,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A token to record.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub account: &'a str,
    pub name: &'a str,
    pub hash: &'a [u8],
    pub role: Role,
    pub jurisdiction: &'a Jurisdiction,
    pub created_by: &'a str,
    pub days: i32,
}

/// A token as a request brings it: what it may, and what keeps it from that.
#[derive(Debug)]
pub struct Presented {
    pub account: String,
    pub name: String,
    /// What token and account have in common.
    pub role: Role,
    pub jurisdiction: Jurisdiction,
    pub expired: bool,
    pub revoked: bool,
    pub disabled: bool,
}

#[derive(FromRow)]
struct TokenRow {
    id: i64,
    account: String,
    name: String,
    role: String,
    divisions: Vec<String>,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct PresentedRow {
    id: i64,
    account: String,
    name: String,
    role: String,
    divisions: Vec<String>,
    account_role: String,
    account_divisions: Vec<String>,
    expired: bool,
    revoked: bool,
    disabled: bool,
    unused_lately: bool,
}

/// Records a token; gives its number.
pub async fn insert(connection: &mut PgConnection, token: &NewToken<'_>) -> Result<i64> {
    let id = sqlx::query_scalar(
        "INSERT INTO api_token (account, name, hash, role, divisions, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(days => $7)) RETURNING id",
    )
    .bind(token.account)
    .bind(token.name)
    .bind(token.hash)
    .bind(token.role.as_str())
    .bind(token.jurisdiction.codes())
    .bind(token.created_by)
    .bind(token.days)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// The token of this hash, and what stands against it now.
pub async fn present(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<Presented>> {
    let row: Option<PresentedRow> = sqlx::query_as(
        "SELECT t.id, t.account, t.name, t.role, t.divisions, a.role AS account_role, a.divisions AS account_divisions,
                t.expires_at <= clock_timestamp() AS expired, t.revoked_at IS NOT NULL AS revoked, a.disabled,
                NOT pg_is_in_recovery() AND coalesce(t.last_used_at < clock_timestamp() - interval '1 minute', true) AS unused_lately
         FROM api_token t JOIN account a ON a.name = t.account WHERE t.hash = $1",
    )
    .bind(hash)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.unused_lately && !(row.expired || row.revoked || row.disabled) {
        sqlx::query("UPDATE api_token SET last_used_at = clock_timestamp() WHERE id = $1")
            .bind(row.id)
            .execute(connection)
            .await?;
    }
    Ok(Some(Presented {
        role: role(&row.role)?.meet(role(&row.account_role)?),
        jurisdiction: jurisdiction(&row.divisions)?.meet(&jurisdiction(&row.account_divisions)?),
        account: row.account,
        name: row.name,
        expired: row.expired,
        revoked: row.revoked,
        disabled: row.disabled,
    }))
}

/// Tokens of one account, or of all; newest first, those with a smaller number than `before`.
pub async fn list(
    connection: &mut PgConnection,
    account: Option<&str>,
    limit: i64,
    before: Option<i64>,
) -> Result<Vec<ApiToken>> {
    let rows: Vec<TokenRow> = sqlx::query_as(
        "SELECT id, account, name, role, divisions, created_at, created_by, expires_at, revoked_at, last_used_at
         FROM api_token WHERE ($1::text IS NULL OR account = $1) AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $2",
    )
    .bind(account)
    .bind(limit)
    .bind(before)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(of_row).collect()
}

/// One token, where `account` is given only if it is that account's.
pub async fn find(connection: &mut PgConnection, id: i64, account: Option<&str>) -> Result<Option<ApiToken>> {
    let row: Option<TokenRow> = sqlx::query_as(
        "SELECT id, account, name, role, divisions, created_at, created_by, expires_at, revoked_at, last_used_at
         FROM api_token WHERE id = $1 AND ($2::text IS NULL OR account = $2)",
    )
    .bind(id)
    .bind(account)
    .fetch_optional(connection)
    .await?;
    row.map(of_row).transpose()
}

fn of_row(row: TokenRow) -> Result<ApiToken> {
    Ok(ApiToken {
        role: role(&row.role)?,
        jurisdiction: jurisdiction(&row.divisions)?,
        id: row.id,
        account: row.account,
        name: row.name,
        created_at: row.created_at,
        created_by: row.created_by,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
    })
}

/// Revokes a token; false where it was revoked already.
pub async fn revoke(connection: &mut PgConnection, id: i64) -> Result<bool> {
    let revoked =
        sqlx::query("UPDATE api_token SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL")
            .bind(id)
            .execute(connection)
            .await?;
    Ok(revoked.rows_affected() > 0)
}
