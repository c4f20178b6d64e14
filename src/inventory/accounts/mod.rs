//! Accounts (账号): added, given rights, given passwords, disabled; every deed in `account_event`.
//!
//! Never: a password or a token in a log, an event or an error.

pub mod login;
pub mod passwords;
pub mod tokens;
pub mod wire;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use crate::domain::access::{Jurisdiction, Role};
use crate::domain::account::{AccountName, check_password, check_rights, parse_label};
use crate::domain::ids::IdError;
use crate::error::{Error, Result};
use crate::store::accounts::{self, Account, NewAccount};
use crate::store::{self, login_failures, sessions};

/// The account that a first start makes.
pub const FIRST_ADMIN: &str = "admin";

/// An account to add, as somebody asked for it.
#[derive(Debug)]
pub struct AccountRequest {
    pub name: String,
    /// Missing: the name.
    pub display_name: Option<String>,
    pub role: Role,
    /// Missing: nothing, but everywhere for administrators.
    pub divisions: Option<Vec<String>>,
    pub password: String,
}

/// What is to change of an account; what is missing stays.
#[derive(Debug, Default)]
pub struct AccountChange {
    pub display_name: Option<String>,
    pub role: Option<Role>,
    pub divisions: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

/// The account's name, or that there is no account of such a name.
fn existing(name: &str) -> Result<AccountName> {
    AccountName::parse(name).map_err(|_| not_found())
}

fn not_found() -> Error {
    Error::not_found("account_not_found", "没有这个账号")
}

fn rights(role: Role, divisions: Option<&[String]>) -> Result<Jurisdiction> {
    let invalid = |cause: IdError| Error::invalid("rights_invalid", cause.to_string());
    let jurisdiction = match divisions {
        Some(codes) => Jurisdiction::parse(codes).map_err(invalid)?,
        None if role == Role::Admin => Jurisdiction::Everywhere,
        None => Jurisdiction::NOWHERE,
    };
    check_rights(role, &jurisdiction).map_err(invalid)?;
    Ok(jurisdiction)
}

async fn check_divisions(connection: &mut PgConnection, jurisdiction: &Jurisdiction) -> Result<()> {
    let unknown = accounts::unknown_divisions(connection, &jurisdiction.codes()).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    let detail = format!("行政区划表中没有这些省、市州、县区代码：{}", unknown.join("、"));
    Err(Error::invalid("rights_invalid", detail))
}

fn new_password(name: &AccountName, password: &str) -> Result<()> {
    check_password(name, password).map_err(|cause| Error::invalid("password_refused", cause.to_string()))
}

/// Adds an account.
pub async fn add(pool: &PgPool, actor: &str, request: &AccountRequest) -> Result<Account> {
    let name =
        AccountName::parse(&request.name).map_err(|cause| Error::invalid("account_name_invalid", cause.to_string()))?;
    let label = parse_label(request.display_name.as_deref().unwrap_or(name.as_str()))
        .map_err(|cause| Error::invalid("label_invalid", cause.to_string()))?;
    let jurisdiction = rights(request.role, request.divisions.as_deref())?;
    new_password(&name, &request.password)?;
    // Before the hash: what is refused anyway costs none.
    check_divisions(&mut *pool.acquire().await?, &jurisdiction).await?;
    let hash = passwords::hash(&request.password).await?;
    let mut transaction = store::begin_write(pool).await?;
    let account = NewAccount {
        name: &name,
        display_name: &label,
        role: request.role,
        jurisdiction: &jurisdiction,
        password_hash: &hash,
        must_change_password: true,
    };
    accounts::insert(&mut transaction, &account).await?;
    let detail = json!({"role": request.role.as_str(), "divisions": jurisdiction.codes()});
    accounts::log_event(&mut transaction, actor, "added", name.as_str(), detail).await?;
    let added = accounts::find(&mut transaction, name.as_str()).await?.ok_or_else(not_found)?;
    transaction.commit().await?;
    Ok(added)
}

/// The administrator of a register without any account, with a random password; `None` where there is one.
pub async fn add_first_admin(pool: &PgPool, actor: &str) -> Result<Option<String>> {
    if any(pool).await? {
        return Ok(None);
    }
    let name = AccountName::parse(FIRST_ADMIN).map_err(|cause| Error::internal("首个账号的名称不合规则", cause))?;
    let password = passwords::random_password();
    let hash = passwords::hash(&password).await?;
    let mut transaction = store::begin_write(pool).await?;
    // Two services may start at once: the second finds the first one's account, and prints nothing.
    accounts::lock(&mut transaction).await?;
    if accounts::any(&mut transaction).await? {
        return Ok(None);
    }
    let account = NewAccount {
        name: &name,
        display_name: Role::Admin.label(),
        role: Role::Admin,
        jurisdiction: &Jurisdiction::Everywhere,
        password_hash: &hash,
        must_change_password: true,
    };
    accounts::insert(&mut transaction, &account).await?;
    let detail = json!({"role": Role::Admin.as_str(), "divisions": ["*"]});
    accounts::log_event(&mut transaction, actor, "added", name.as_str(), detail).await?;
    transaction.commit().await?;
    Ok(Some(password))
}

/// Whether there is any account.
pub async fn any(pool: &PgPool) -> Result<bool> {
    accounts::any(&mut *pool.acquire().await?).await
}

/// The accounts behind `after`, by name.
pub async fn list(pool: &PgPool, limit: i64, after: &str) -> Result<Vec<Account>> {
    accounts::list(&mut *pool.acquire().await?, limit, after).await
}

/// One account.
pub async fn get(pool: &PgPool, name: &str) -> Result<Account> {
    let name = existing(name)?;
    accounts::find(&mut *pool.acquire().await?, name.as_str()).await?.ok_or_else(not_found)
}

/// Changes name, rights, or whether an account is disabled. Disabling ends its sessions; the last administrator stays one.
pub async fn change(pool: &PgPool, actor: &str, name: &str, wanted: &AccountChange) -> Result<Account> {
    let name = existing(name)?;
    let mut transaction = store::begin_write(pool).await?;
    accounts::lock(&mut transaction).await?;
    let before = accounts::find(&mut transaction, name.as_str()).await?.ok_or_else(not_found)?;
    let mut after = before.clone();
    if let Some(label) = &wanted.display_name {
        after.display_name = parse_label(label).map_err(|cause| Error::invalid("label_invalid", cause.to_string()))?;
    }
    after.role = wanted.role.unwrap_or(before.role);
    after.disabled = wanted.disabled.unwrap_or(before.disabled);
    if wanted.role.is_some() || wanted.divisions.is_some() {
        // Made an administrator, an account gets what administrators have; otherwise it keeps what it had.
        let kept = before.jurisdiction.codes();
        let divisions = match (&wanted.divisions, after.role) {
            (Some(codes), _) => Some(codes.as_slice()),
            (None, Role::Admin) => None,
            (None, _) => Some(kept.as_slice()),
        };
        after.jurisdiction = rights(after.role, divisions)?;
        check_divisions(&mut transaction, &after.jurisdiction).await?;
    }
    let stays_admin = after.role == Role::Admin && !after.disabled;
    let was_admin = before.role == Role::Admin && !before.disabled;
    if was_admin && !stays_admin && !accounts::other_admin(&mut transaction, name.as_str()).await? {
        return Err(Error::conflict("last_admin", "这是最后一个可用的管理员账号，不能停用或改变角色"));
    }
    let detail = difference(&before, &after);
    if detail.as_object().is_some_and(|changed| !changed.is_empty()) {
        accounts::update(&mut transaction, &after).await?;
        if after.disabled {
            sessions::close_all(&mut transaction, name.as_str(), None).await?;
        }
        accounts::log_event(&mut transaction, actor, "changed", name.as_str(), detail).await?;
    }
    transaction.commit().await?;
    Ok(after)
}

/// What changed, for the log: `{"role": ["staff", "editor"]}`.
fn difference(before: &Account, after: &Account) -> Value {
    let sides = [before, after].map(|account| {
        [
            ("display_name", json!(account.display_name)),
            ("role", json!(account.role.as_str())),
            ("divisions", json!(account.jurisdiction.codes())),
            ("disabled", json!(account.disabled)),
        ]
    });
    let [old, new] = sides;
    old.into_iter()
        .zip(new)
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| (name.to_owned(), json!([old, new])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Gives an account a new password, which its owner should change; ends its sessions and its lock.
pub async fn reset_password(pool: &PgPool, actor: &str, name: &str, password: &str) -> Result<()> {
    let name = existing(name)?;
    get(pool, name.as_str()).await?;
    new_password(&name, password)?;
    let hash = passwords::hash(password).await?;
    let mut transaction = store::begin_write(pool).await?;
    accounts::set_password(&mut transaction, name.as_str(), &hash, true).await?;
    sessions::close_all(&mut transaction, name.as_str(), None).await?;
    login_failures::unlock(&mut transaction, name.as_str()).await?;
    accounts::log_event(&mut transaction, actor, "password_reset", name.as_str(), json!({})).await?;
    transaction.commit().await?;
    Ok(())
}

/// Lets an account that failed too often log in again.
pub async fn unlock(pool: &PgPool, actor: &str, name: &str) -> Result<Account> {
    let name = existing(name)?;
    let mut transaction = store::begin_write(pool).await?;
    accounts::find(&mut transaction, name.as_str()).await?.ok_or_else(not_found)?;
    login_failures::unlock(&mut transaction, name.as_str()).await?;
    accounts::log_event(&mut transaction, actor, "unlocked", name.as_str(), json!({})).await?;
    let unlocked = accounts::find(&mut transaction, name.as_str()).await?.ok_or_else(not_found)?;
    transaction.commit().await?;
    Ok(unlocked)
}
