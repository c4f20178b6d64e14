//! Logging in and out, and changing the own password.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::{new_password, passwords};
use crate::domain::account::{AccountName, PASSWORD_MAX};
use crate::error::{Error, Result};
use crate::store::login_failures::{self, Attempt};
use crate::store::sessions::{self, Session};
use crate::store::{self, accounts};

/// A new login: what the cookie says, and whose it is.
pub struct LoggedIn {
    /// Known to the cookie alone; the register has its hash.
    pub secret: String,
    pub session: Session,
}

/// Checks account and password, counting failures by account and by address.
pub async fn log_in(pool: &PgPool, account: &str, password: &str, address: &str) -> Result<LoggedIn> {
    // A name that no account can have is tried like one that none has: same work, same answer.
    let name = AccountName::parse(account).ok();
    let key = name.as_ref().map_or("", AccountName::as_str);
    if !password_is_right(pool, key, password, address).await? {
        return Err(Error::Unauthenticated {
            code: "login_failed",
            detail: "账号或密码不正确，或账号已停用".to_owned(),
        });
    }
    let secret = passwords::random_hex();
    let hash = passwords::digest(&secret);
    let mut transaction = store::begin_write(pool).await?;
    sessions::open(&mut transaction, key, &hash).await?;
    accounts::logged_in(&mut transaction, key).await?;
    login_failures::succeeded(&mut transaction, key, address).await?;
    accounts::log_event(&mut transaction, &format!("account:{key}"), "logged_in", key, json!({"address": address}))
        .await?;
    // Disabled while its password was looked at: no session stands, and nothing is kept of this login.
    let session = sessions::find(&mut transaction, &hash).await?.ok_or_else(|| Error::Unauthenticated {
        code: "login_failed",
        detail: "账号或密码不正确，或账号已停用".to_owned(),
    })?;
    transaction.commit().await?;
    Ok(LoggedIn { secret, session })
}

/// Whether this is the account's password; the attempt is written down before it is looked at.
async fn password_is_right(pool: &PgPool, account: &str, password: &str, address: &str) -> Result<bool> {
    let mut transaction = store::begin_write(pool).await?;
    let attempt = login_failures::attempt(&mut transaction, account, address).await?;
    if let Attempt::Counted { last: true } = attempt {
        let actor = format!("address:{address}");
        accounts::log_event(&mut transaction, &actor, "last_attempt", account, json!({})).await?;
    }
    let phc = accounts::password_hash(&mut transaction, account).await?;
    transaction.commit().await?;
    if let Attempt::Locked { until } = attempt {
        return Err(locked(until));
    }
    // Longer than any password can be: nothing to compare, and not worth the work of normalising it.
    let phc = phc.filter(|_| password.len() <= PASSWORD_MAX);
    let tried = if password.len() <= PASSWORD_MAX { password } else { "" };
    let right = match passwords::verify(tried, phc).await {
        Ok(right) => right,
        Err(busy) => {
            // Nobody looked at the password: a crowd at the door must not lock people out.
            login_failures::take_back(&mut *pool.acquire().await?, account, address).await?;
            return Err(busy);
        }
    };
    if !right {
        tracing::warn!(account, address, "login failed");
    }
    Ok(right)
}

fn locked(until: DateTime<Utc>) -> Error {
    let seconds = (until - Utc::now()).num_seconds().clamp(1, 3_600);
    Error::Throttled {
        code: "login_locked",
        detail: format!("登录失败次数过多，请 {} 分钟后再试，或请管理员解锁", (seconds + 59) / 60),
        retry_after_s: u64::try_from(seconds).unwrap_or(60),
    }
}

/// Ends the session of this cookie, if it stands.
pub async fn log_out(pool: &PgPool, secret: &str) -> Result<()> {
    let mut transaction = store::begin_write(pool).await?;
    if let Some(account) = sessions::close(&mut transaction, &passwords::digest(secret)).await? {
        let actor = format!("account:{account}");
        accounts::log_event(&mut transaction, &actor, "logged_out", &account, json!({})).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The session of this cookie.
pub async fn session(pool: &PgPool, secret: &str) -> Result<Option<Session>> {
    sessions::find(&mut *pool.acquire().await?, &passwords::digest(secret)).await
}

/// Changes the own password; other sessions of the account end. Wrong guesses of the old one count as failed logins.
pub async fn change_password(
    pool: &PgPool,
    secret: &str,
    account: &str,
    (old, new): (&str, &str),
    address: &str,
) -> Result<()> {
    let name = super::existing(account)?;
    new_password(&name, new)?;
    if !password_is_right(pool, account, old, address).await? {
        return Err(Error::Forbidden { code: "password_wrong", detail: "原密码不正确".to_owned() });
    }
    if old == new {
        return Err(Error::invalid("password_refused", "新密码与原密码相同"));
    }
    let hash = passwords::hash(new).await?;
    let mut transaction = store::begin_write(pool).await?;
    accounts::set_password(&mut transaction, account, &hash, false).await?;
    sessions::close_all(&mut transaction, account, Some(&passwords::digest(secret))).await?;
    login_failures::succeeded(&mut transaction, account, address).await?;
    accounts::log_event(&mut transaction, &format!("account:{account}"), "password_changed", account, json!({}))
        .await?;
    transaction.commit().await?;
    Ok(())
}
