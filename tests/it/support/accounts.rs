//! People of a test: accounts of every role, their logins and tokens.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::inventory::accounts::{self, AccountRequest};

use super::Database;
use super::http::{Answer, authorised, call};

/// Good enough for every account of a test.
pub const PASSWORD: &str = "湘江北去橘子洲头 2026";

/// Adds an account; no divisions: everywhere.
pub async fn add(db: &Database, name: &str, role: Role, divisions: &[&str]) {
    let divisions = if divisions.is_empty() { &["*"] } else { divisions };
    let request = AccountRequest {
        name: name.to_owned(),
        display_name: None,
        role,
        divisions: Some(divisions.iter().map(|code| (*code).to_owned()).collect()),
        password: PASSWORD.to_owned(),
    };
    accounts::add(&db.pool, "test", &request).await.expect("account");
}

/// A request to log in, as a program sends it.
pub fn login_request(account: &str, password: &str) -> TestRequest {
    TestRequest::post().uri("/api/session").set_json(json!({"account": account, "password": password}))
}

pub async fn try_login(db: &Database, account: &str, password: &str) -> Answer {
    call(db, login_request(account, password)).await
}

/// The cookie of a login, as the browser sends it back.
pub async fn login(db: &Database, account: &str) -> String {
    let answer = try_login(db, account, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    cookie_of(&answer)
}

/// `sizhi_session=…` of an answer that sets it.
#[track_caller]
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

/// A request of a page of the service itself, with this login.
pub fn from_page(method: Method, path: &str, cookie: &str) -> TestRequest {
    let request = TestRequest::default().method(method).uri(path).insert_header(("cookie", cookie));
    request.insert_header(("sec-fetch-site", "same-origin"))
}

/// A request with this token.
pub fn with_token(method: Method, path: &str, token: &str) -> TestRequest {
    TestRequest::default().method(method).uri(path).insert_header(("authorization", format!("Bearer {token}")))
}

/// Issues a token by the operator's; gives the whole answer.
pub async fn issue(db: &Database, members: Value) -> Value {
    let answer = call(db, authorised(Method::POST, "/api/tokens").set_json(members)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// An editor of these divisions; its token.
pub async fn token_of(db: &Database, name: &str, divisions: &[&str]) -> String {
    add(db, name, Role::Editor, divisions).await;
    let issued = issue(db, json!({"account": name, "name": "test"})).await;
    issued["token"].as_str().expect("token").to_owned()
}
