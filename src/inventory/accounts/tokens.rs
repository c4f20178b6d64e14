//! Tokens for programs: issued once in the clear, revoked at once.

use serde_json::json;
use sqlx::PgPool;

use super::{existing, not_found, passwords};
use crate::domain::access::{Jurisdiction, Role};
use crate::domain::account::parse_label;
use crate::error::{Error, Result};
use crate::store::api_tokens::{self, ApiToken, NewToken, Presented};
use crate::store::{self, accounts};

/// How long a token lasts where nobody says, and at most.
pub const DAYS: i32 = 90;
pub const MAX_DAYS: i32 = 366;
/// Tokens begin so: a secret that leaked into a file or a log is found by it.
pub const PREFIX: &str = "sizhi_";

/// A token to issue, as somebody asked for it; what is missing is the account's.
#[derive(Debug)]
pub struct TokenRequest {
    pub account: String,
    pub name: String,
    pub role: Option<Role>,
    pub divisions: Option<Vec<String>>,
    pub days: i32,
}

/// Issues a token no wider than its account; gives it and its secret, which is shown this once.
pub async fn issue(pool: &PgPool, actor: &str, request: &TokenRequest) -> Result<(ApiToken, String)> {
    let account = existing(&request.account)?;
    let name = parse_label(&request.name).map_err(|cause| Error::invalid("label_invalid", cause.to_string()))?;
    if !(1..=MAX_DAYS).contains(&request.days) {
        return Err(Error::invalid("value_invalid", format!("令牌的有效期应为 1 至 {MAX_DAYS} 天")));
    }
    let mut transaction = store::begin_write(pool).await?;
    accounts::lock(&mut transaction).await?;
    let owner = accounts::find(&mut transaction, account.as_str()).await?.ok_or_else(not_found)?;
    if owner.disabled {
        return Err(Error::conflict("account_is_disabled", "账号已停用，不能签发令牌"));
    }
    let role = request.role.unwrap_or(owner.role);
    let jurisdiction = match &request.divisions {
        Some(codes) => {
            Jurisdiction::parse(codes).map_err(|cause| Error::invalid("rights_invalid", cause.to_string()))?
        }
        None => owner.jurisdiction.clone(),
    };
    if role == Role::Public || role.meet(owner.role) != role || !jurisdiction.is_within(&owner.jurisdiction) {
        return Err(Error::invalid("rights_invalid", "令牌的角色和管辖范围不能超出账号本身"));
    }
    let secret = format!("{PREFIX}{}", passwords::random_hex());
    let token = NewToken {
        account: account.as_str(),
        name: &name,
        hash: &passwords::digest(&secret),
        role,
        jurisdiction: &jurisdiction,
        created_by: actor,
        days: request.days,
    };
    let id = api_tokens::insert(&mut transaction, &token).await?;
    let detail =
        json!({"id": id, "name": name, "role": role.as_str(), "divisions": jurisdiction.codes(), "days": request.days});
    accounts::log_event(&mut transaction, actor, "token_issued", account.as_str(), detail).await?;
    let issued = api_tokens::find(&mut transaction, id, None).await?.ok_or_else(no_token)?;
    transaction.commit().await?;
    Ok((issued, secret))
}

fn no_token() -> Error {
    Error::not_found("token_not_found", "没有这个令牌")
}

/// Tokens of one account, or of all; newest first.
pub async fn list(pool: &PgPool, account: Option<&str>, limit: i64, before: Option<i64>) -> Result<Vec<ApiToken>> {
    api_tokens::list(&mut *pool.acquire().await?, account, limit, before).await
}

/// Revokes a token; with `owner` only one of that account: another's is not there.
pub async fn revoke(pool: &PgPool, actor: &str, id: i64, owner: Option<&str>) -> Result<()> {
    let mut transaction = store::begin_write(pool).await?;
    let token = api_tokens::find(&mut transaction, id, owner).await?.ok_or_else(no_token)?;
    if api_tokens::revoke(&mut transaction, id).await? {
        let detail = json!({"id": id, "name": token.name});
        accounts::log_event(&mut transaction, actor, "token_revoked", &token.account, detail).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The token that a request brings, or why it does not count.
pub async fn present(pool: &PgPool, secret: &str) -> Result<Presented> {
    // No token of ours: nothing to look up.
    let shaped = secret.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 64);
    let found = match shaped {
        true => api_tokens::present(&mut *pool.acquire().await?, &passwords::digest(secret)).await?,
        false => None,
    };
    match found {
        None => Err(Error::Unauthenticated { code: "token_wrong", detail: "令牌不正确".to_owned() }),
        Some(token) if token.revoked => Err(Error::Unauthenticated {
            code: "token_revoked",
            detail: "令牌已被撤销，请换一个".to_owned(),
        }),
        Some(token) if token.expired => Err(Error::Unauthenticated {
            code: "token_expired",
            detail: "令牌已过期，请签发新的".to_owned(),
        }),
        Some(token) if token.disabled => Err(Error::Unauthenticated {
            code: "account_disabled",
            detail: "令牌所属的账号已停用".to_owned(),
        }),
        Some(token) => Ok(token),
    }
}
