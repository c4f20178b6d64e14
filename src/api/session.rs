//! `/api/session`: log in, who am I, log out, change the own password.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde_json::{Value, json};

use super::auth::{self, Caller};
use super::json_body;
use super::params::Params;
use super::problem::Answer;
use super::representation;
use super::state::State;
use crate::error::Error;
use crate::inventory::accounts::{login, wire};
use crate::store::sessions::Session;

/// `POST /api/session`: account and password for a cookie.
pub async fn log_in(request: HttpRequest, body: web::Payload, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let members = json_body::read(&request, body, &["account", "password"]).await?;
    let (account, password) = (members.needed_text("account")?, members.needed_text("password")?);
    let address = auth::client_address(&request, &state);
    // A login that stands already is not looked at: a browser may hold one that has run out.
    let opened = login::log_in(&state.pool, &account, &password, &address).await?;
    let seconds = (opened.session.expires_at - Utc::now()).num_seconds().max(0);
    let cookie = auth::login_cookie(&request, &state, &opened.secret, seconds);
    let mut response = HttpResponse::Ok();
    response.insert_header((header::SET_COOKIE, cookie));
    representation::no_store_json(response, &of_session(&opened.session))
}

/// `GET /api/session`: who the service takes the caller for; the public too.
pub async fn get_session(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let caller = auth::caller(&request, &state).await?;
    representation::no_store_json(HttpResponse::Ok(), &of_caller(&caller))
}

/// `DELETE /api/session`: the cookie is worth nothing from now on. Done also where it was worth nothing before.
pub async fn log_out(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    if let Some(cookie) = auth::session_cookie(&request) {
        login::log_out(&state.pool, &cookie).await?;
    }
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::SET_COOKIE, auth::forgetting_cookie(&request)));
    Ok(response.insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// `POST /api/session/password`: the own password, by the old one. For people: a token has no password.
pub async fn change_password(request: HttpRequest, body: web::Payload, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let caller = auth::caller(&request, &state).await?;
    let (account, login) = logged_in(&caller)?;
    let members = json_body::read(&request, body, &["password", "new_password"]).await?;
    let (old, new) = (members.needed_text("password")?, members.needed_text("new_password")?);
    let address = auth::client_address(&request, &state);
    login::change_password(&state.pool, &login.secret, account, (&old, &new), &address).await?;
    representation::no_content()
}

/// The account and login of a person.
pub fn logged_in(caller: &Caller) -> Result<(&str, &auth::Login), Error> {
    caller.account.as_deref().zip(caller.login.as_ref()).ok_or_else(|| Error::Forbidden {
        code: "session_needed",
        detail: "这一操作需要用账号登录，不能用令牌".to_owned(),
    })
}

fn of_session(session: &Session) -> Value {
    json!({
        "account": session.account,
        "display_name": session.display_name,
        "role": session.role.as_str(),
        "divisions": session.jurisdiction.codes(),
        "must_change_password": session.must_change_password,
        "expires": wire::moment(session.expires_at),
    })
}

fn of_caller(caller: &Caller) -> Value {
    if let Some(login) = &caller.login {
        return of_session(&login.session);
    }
    json!({
        "account": caller.account,
        "display_name": caller.account,
        "role": caller.viewer.role.as_str(),
        "divisions": caller.viewer.jurisdiction.codes(),
        "must_change_password": false,
        "expires": null,
    })
}
