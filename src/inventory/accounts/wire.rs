//! JSON shapes of accounts and tokens, the same over HTTP and on the command line. Never: a hash.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::store::accounts::Account;
use crate::store::api_tokens::ApiToken;

pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub fn account(account: &Account) -> Value {
    json!({
        "name": account.name,
        "display_name": account.display_name,
        "role": account.role.as_str(),
        "divisions": account.jurisdiction.codes(),
        "disabled": account.disabled,
        "must_change_password": account.must_change_password,
        "locked_until": account.locked_until.map(moment),
        "created_at": moment(account.created_at),
        "password_changed_at": moment(account.password_changed_at),
        "last_login_at": account.last_login_at.map(moment),
    })
}

pub fn token(token: &ApiToken) -> Value {
    json!({
        "id": token.id,
        "account": token.account,
        "name": token.name,
        "role": token.role.as_str(),
        "divisions": token.jurisdiction.codes(),
        "created_at": moment(token.created_at),
        "created_by": token.created_by,
        "expires_at": moment(token.expires_at),
        "revoked_at": token.revoked_at.map(moment),
        "last_used_at": token.last_used_at.map(moment),
    })
}
