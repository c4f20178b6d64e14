//! Accounts and the append-only log of what was done to them.
//!
//! Times are the database's, so that several servers agree. Never: a password in the clear.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::login_failures::{FAILURES, WINDOW_MINUTES};
use crate::domain::access::{Jurisdiction, Role};
use crate::domain::account::AccountName;
use crate::error::{Error, Result};

/// An account, without its password.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub name: String,
    pub display_name: String,
    pub role: Role,
    pub jurisdiction: Jurisdiction,
    pub must_change_password: bool,
    pub disabled: bool,
    pub created_at: DateTime<Utc>,
    pub password_changed_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
    /// Too many failed logins: until when none is tried.
    pub locked_until: Option<DateTime<Utc>>,
}

/// What an account is made of.
#[derive(Debug)]
pub struct NewAccount<'a> {
    pub name: &'a AccountName,
    pub display_name: &'a str,
    pub role: Role,
    pub jurisdiction: &'a Jurisdiction,
    /// A PHC string.
    pub password_hash: &'a str,
    pub must_change_password: bool,
}

#[derive(FromRow)]
struct AccountRow {
    name: String,
    display_name: String,
    role: String,
    divisions: Vec<String>,
    must_change_password: bool,
    disabled: bool,
    created_at: DateTime<Utc>,
    password_changed_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
    locked_until: Option<DateTime<Utc>>,
}

impl TryFrom<AccountRow> for Account {
    type Error = Error;

    fn try_from(row: AccountRow) -> Result<Self> {
        Ok(Self {
            role: role(&row.role)?,
            jurisdiction: jurisdiction(&row.divisions)?,
            name: row.name,
            display_name: row.display_name,
            must_change_password: row.must_change_password,
            disabled: row.disabled,
            created_at: row.created_at,
            password_changed_at: row.password_changed_at,
            last_login_at: row.last_login_at,
            locked_until: row.locked_until,
        })
    }
}

pub(super) fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| Error::Internal { detail: "账号的角色无法识别".to_owned(), cause: None })
}

pub(super) fn jurisdiction(codes: &[String]) -> Result<Jurisdiction> {
    Jurisdiction::parse(codes).map_err(|cause| Error::internal("账号的管辖范围无法识别", cause))
}

/// Changes to accounts queue here: “the last administrator” must still be true when it is written.
pub async fn lock(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(7226041, 3)").execute(connection).await?;
    Ok(())
}

/// Adds an account; a taken name is a conflict.
pub async fn insert(connection: &mut PgConnection, account: &NewAccount<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO account (name, display_name, role, divisions, password_hash, must_change_password)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(account.name.as_str())
    .bind(account.display_name)
    .bind(account.role.as_str())
    .bind(account.jurisdiction.codes())
    .bind(account.password_hash)
    .bind(account.must_change_password)
    .execute(connection)
    .await?;
    Ok(())
}

/// The accounts behind `after`, by name.
pub async fn list(connection: &mut PgConnection, limit: i64, after: &str) -> Result<Vec<Account>> {
    select(connection, None, after, limit).await
}

/// One account.
pub async fn find(connection: &mut PgConnection, name: &str) -> Result<Option<Account>> {
    Ok(select(connection, Some(name), "", 1).await?.pop())
}

async fn select(connection: &mut PgConnection, name: Option<&str>, after: &str, limit: i64) -> Result<Vec<Account>> {
    let rows: Vec<AccountRow> = sqlx::query_as(
        "SELECT a.name, a.display_name, a.role, a.divisions, a.must_change_password, a.disabled, a.created_at, a.password_changed_at,
                a.last_login_at,
                -- the oldest failure that still counts leaves the window
                (SELECT f.at + make_interval(mins => $4) FROM login_failure f
                 WHERE f.kind = 'account' AND f.key = a.name AND f.at > clock_timestamp() - make_interval(mins => $4)
                 ORDER BY f.at DESC OFFSET $5::bigint - 1 LIMIT 1) AS locked_until
         FROM account a
         WHERE ($1::text IS NULL OR a.name = $1) AND a.name > $2 ORDER BY a.name LIMIT $3",
    )
    .bind(name)
    .bind(after)
    .bind(limit)
    .bind(WINDOW_MINUTES)
    .bind(FAILURES)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Account::try_from).collect()
}

/// Writes name, rights and whether it is disabled.
pub async fn update(connection: &mut PgConnection, account: &Account) -> Result<()> {
    sqlx::query("UPDATE account SET display_name = $2, role = $3, divisions = $4, disabled = $5 WHERE name = $1")
        .bind(&account.name)
        .bind(&account.display_name)
        .bind(account.role.as_str())
        .bind(account.jurisdiction.codes())
        .bind(account.disabled)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the hash of a new password.
pub async fn set_password(connection: &mut PgConnection, name: &str, hash: &str, must_change: bool) -> Result<()> {
    sqlx::query(
        "UPDATE account SET password_hash = $2, must_change_password = $3, password_changed_at = clock_timestamp() WHERE name = $1",
    )
    .bind(name)
    .bind(hash)
    .bind(must_change)
    .execute(connection)
    .await?;
    Ok(())
}

/// The PHC string of an account that may log in.
pub async fn password_hash(connection: &mut PgConnection, name: &str) -> Result<Option<String>> {
    let hash = sqlx::query_scalar("SELECT password_hash FROM account WHERE name = $1 AND NOT disabled")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(hash)
}

/// Marks a login.
pub async fn logged_in(connection: &mut PgConnection, name: &str) -> Result<()> {
    sqlx::query("UPDATE account SET last_login_at = clock_timestamp() WHERE name = $1")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether there is any account.
pub async fn any(connection: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM account)").fetch_one(connection).await?)
}

/// Whether somebody else could still manage accounts.
pub async fn other_admin(connection: &mut PgConnection, name: &str) -> Result<bool> {
    let found = "SELECT EXISTS (SELECT 1 FROM account WHERE role = 'admin' AND NOT disabled AND name <> $1)";
    Ok(sqlx::query_scalar(found).bind(name).fetch_one(connection).await?)
}

/// Those of the codes that are no province, prefecture or county of the register. A register without divisions knows none,
/// and refuses none.
pub async fn unknown_divisions(connection: &mut PgConnection, codes: &[String]) -> Result<Vec<String>> {
    let unknown = sqlx::query_scalar(
        "SELECT code FROM unnest($1::text[]) AS code
         WHERE code <> '*' AND EXISTS (SELECT 1 FROM division)
           AND NOT EXISTS (SELECT 1 FROM division d WHERE d.code = code.code AND d.level IN ('province', 'prefecture', 'county'))",
    )
    .bind(codes)
    .fetch_all(connection)
    .await?;
    Ok(unknown)
}

/// Writes down who did what to which account. `detail` never holds a secret.
pub async fn log_event(
    connection: &mut PgConnection,
    actor: &str,
    action: &str,
    account: &str,
    detail: Value,
) -> Result<()> {
    sqlx::query("INSERT INTO account_event (actor, action, account, detail) VALUES ($1, $2, $3, $4)")
        .bind(actor)
        .bind(action)
        .bind(account)
        .bind(detail)
        .execute(connection)
        .await?;
    Ok(())
}
