//! `/api/tokens`: the own tokens of programs; administrators have all of them.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::access::own_or_all;
use super::accounts::role;
use super::list_page::ListPage;
use super::params::Params;
use super::problem::Answer;
use super::session::logged_in;
use super::state::State;
use super::{auth, json_body, representation};
use crate::domain::access::Role;
use crate::error::{Error, Result};
use crate::inventory::accounts::tokens::{self, DAYS, TokenRequest};
use crate::inventory::accounts::wire;

/// `GET /api/tokens`: newest first, without their secrets.
pub async fn list_tokens(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["limit", "before"], |_| false)?;
    let caller = auth::caller(&request, &state).await?;
    let page = ListPage::of(&params)?;
    let before = params.text("before").map(|text| before(&text)).transpose()?;
    let mut found = tokens::list(&state.pool, own_or_all(&caller)?, page.rows(), before).await?;
    let url = format!("{}/api/tokens", representation::base_url(&request, &state));
    let mut links = vec![representation::link("self", &url)];
    links.extend(page.next(&mut found, (&url, "application/json"), "before", |last| last.id.to_string()));
    let list: Vec<Value> = found.iter().map(wire::token).collect();
    let document = json!({"numberReturned": list.len(), "tokens": list, "links": links});
    representation::no_store_json(HttpResponse::Ok(), &document)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn before(text: &str) -> Result<i64> {
    number(text).ok_or_else(|| Error::invalid("value_invalid", "参数 before 应为令牌的编号"))
}

/// `POST /api/tokens`: the answer shows the token, once. By people or by the operator's token: a token begets none, or a
/// stolen one could not be revoked.
pub async fn create_token(request: HttpRequest, body: web::Payload, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let caller = auth::caller(&request, &state).await?;
    if caller.account.is_some() {
        logged_in(&caller)?;
    }
    let members = json_body::read(&request, body, &["account", "name", "role", "divisions", "days"]).await?;
    let account = match (members.text("account")?, caller.account.clone()) {
        (Some(other), own) if caller.viewer.role == Role::Admin || own.as_ref() == Some(&other) => other,
        // Not told whether there is such an account.
        (Some(_), _) => return Err(Error::not_found("account_not_found", "没有这个账号").into()),
        (None, Some(own)) => own,
        (None, None) => return Err(Error::invalid("member_missing", "缺少成员 account").into()),
    };
    let days = members.integer("days")?.unwrap_or(i64::from(DAYS));
    let wanted = TokenRequest {
        account,
        name: members.needed_text("name")?,
        role: role(&members)?,
        divisions: members.texts("divisions")?,
        days: i32::try_from(days).unwrap_or(0),
    };
    let (token, clear) = tokens::issue(&state.pool, &caller.viewer.actor, &wanted).await?;
    let mut document = wire::token(&token);
    document["token"] = Value::String(clear);
    let url = format!("{}/api/tokens/{}", representation::base_url(&request, &state), token.id);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, url));
    representation::no_store_json(response, &document)
}

/// `DELETE /api/tokens/{id}`: revokes; another's token is not there.
pub async fn revoke_token(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let caller = auth::caller(&request, &state).await?;
    let id = number(&path).ok_or_else(|| Error::not_found("token_not_found", "没有这个令牌"))?;
    tokens::revoke(&state.pool, &caller.viewer.actor, id, own_or_all(&caller)?).await?;
    representation::no_content()
}
