//! `/api/accounts`: for administrators. The rule in the URL table has been asked before.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::json_body::{self, Members};
use super::list_page::ListPage;
use super::params::Params;
use super::problem::Answer;
use super::state::State;
use super::{auth, representation};
use crate::domain::access::Role;
use crate::error::{Error, Result};
use crate::inventory::accounts::{self, AccountChange, AccountRequest, wire};

/// `GET /api/accounts`: by name, page by page.
pub async fn list_accounts(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["limit", "after"], |_| false)?;
    let page = ListPage::of(&params)?;
    let after = params.text("after").unwrap_or_default();
    let mut found = accounts::list(&state.pool, page.rows(), &after).await?;
    let url = format!("{}/api/accounts", representation::base_url(&request, &state));
    let mut links = vec![representation::link("self", &url)];
    links.extend(page.next(&mut found, (&url, "application/json"), "after", |last| last.name.clone()));
    let list: Vec<Value> = found.iter().map(wire::account).collect();
    let document = json!({"numberReturned": list.len(), "accounts": list, "links": links});
    representation::no_store_json(HttpResponse::Ok(), &document)
}

/// `POST /api/accounts`: a new account; its owner should change the password.
pub async fn create_account(request: HttpRequest, body: web::Payload, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let viewer = auth::admin(&request, &state).await?;
    let members = json_body::read(&request, body, &["name", "display_name", "role", "divisions", "password"]).await?;
    let wanted = AccountRequest {
        name: members.needed_text("name")?,
        display_name: members.text("display_name")?,
        role: role(&members)?.ok_or_else(|| Error::invalid("member_missing", "缺少成员 role"))?,
        divisions: members.texts("divisions")?,
        password: members.needed_text("password")?,
    };
    let account = accounts::add(&state.pool, &viewer.actor, &wanted).await?;
    let url = format!("{}/api/accounts/{}", representation::base_url(&request, &state), account.name);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, url));
    representation::no_store_json(response, &wire::account(&account))
}

/// The role that a member names.
pub fn role(members: &Members) -> Result<Option<Role>> {
    let known = || Role::ALL.into_iter().filter(|role| *role != Role::Public);
    let Some(text) = members.text("role")? else { return Ok(None) };
    known().find(|role| role.as_str() == text).map(Some).ok_or_else(|| {
        let names: Vec<&str> = known().map(Role::as_str).collect();
        Error::invalid("member_invalid", format!("成员 role 应为 {} 之一", names.join("、")))
    })
}

/// `GET /api/accounts/{name}`.
pub async fn get_account(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let account = accounts::get(&state.pool, &path).await?;
    representation::no_store_json(HttpResponse::Ok(), &wire::account(&account))
}

/// `PATCH /api/accounts/{name}`: what is given changes, the rest stays.
pub async fn change_account(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let viewer = auth::admin(&request, &state).await?;
    let members = json_body::read(&request, body, &["display_name", "role", "divisions", "disabled"]).await?;
    let wanted = AccountChange {
        display_name: members.text("display_name")?,
        role: role(&members)?,
        divisions: members.texts("divisions")?,
        disabled: members.flag("disabled")?,
    };
    let account = accounts::change(&state.pool, &viewer.actor, &path, &wanted).await?;
    representation::no_store_json(HttpResponse::Ok(), &wire::account(&account))
}

/// `POST /api/accounts/{name}/password`: a new password for somebody who has lost theirs.
pub async fn reset_password(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let viewer = auth::admin(&request, &state).await?;
    let members = json_body::read(&request, body, &["password"]).await?;
    accounts::reset_password(&state.pool, &viewer.actor, &path, &members.needed_text("password")?).await?;
    representation::no_content()
}

/// `POST /api/accounts/{name}/unlock`: failed logins are forgotten.
pub async fn unlock_account(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let viewer = auth::admin(&request, &state).await?;
    let account = accounts::unlock(&state.pool, &viewer.actor, &path).await?;
    representation::no_store_json(HttpResponse::Ok(), &wire::account(&account))
}
