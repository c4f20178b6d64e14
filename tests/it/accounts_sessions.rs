//! Logging in: the cookie, its end, lockout, requests of other sites.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use sizhi::api::State;
use sizhi::config::HttpArgs;
use sizhi::domain::access::Role;

use crate::support::accounts::{PASSWORD, add, cookie_of, from_page, login, login_request, try_login};
use crate::support::http::{authorised, call, call_with, get};
use crate::support::{Database, http_args};

async fn with_editor() -> Database {
    let db = Database::empty().await;
    add(&db, "zhang", Role::Editor, &["430100"]).await;
    db
}

#[actix_web::test]
async fn a_login_says_who_one_is_until_it_is_ended() {
    let db = with_editor().await;
    let public = json!({
        "account": null, "display_name": null, "role": "public", "divisions": [], "must_change_password": false, "expires": null,
    });
    assert_eq!(get(&db, "/api/session").await.json(), public);
    let answer = try_login(&db, " Zhang ", PASSWORD).await;
    let mut body = answer.json();
    let expires = body["expires"].take();
    assert_eq!(
        body,
        json!({"account": "zhang", "display_name": "zhang", "role": "editor", "divisions": ["430100"], "must_change_password": true, "expires": null})
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookie = cookie_of(&answer);
    let who = call(&db, from_page(Method::GET, "/api/session", &cookie)).await.json();
    assert_eq!((&who["account"], &who["expires"]), (&json!("zhang"), &expires));
    let out = call(&db, from_page(Method::DELETE, "/api/session", &cookie)).await;
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie").is_some_and(|set| set.starts_with("sizhi_session=; ") && set.contains("Max-Age=0"))
    );
    let ended = call(&db, from_page(Method::GET, "/api/session", &cookie)).await;
    ended.assert_problem(401, "session_ended");
    assert!(ended.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "a dead cookie is taken away");
    // Once more changes nothing.
    assert_eq!(call(&db, from_page(Method::DELETE, "/api/session", &cookie)).await.status, 204);
}

#[actix_web::test]
async fn wrong_passwords_unknown_accounts_and_disabled_ones_are_told_alike() {
    let db = with_editor().await;
    add(&db, "gone", Role::Staff, &["430100"]).await;
    sqlx::query("UPDATE account SET disabled = true WHERE name = 'gone'").execute(&db.pool).await.expect("disabled");
    let mut bodies = Vec::new();
    for (account, password) in
        [("zhang", "not the password"), ("nobody", PASSWORD), ("没有", PASSWORD), ("gone", PASSWORD)]
    {
        let mut body = try_login(&db, account, password).await.assert_problem(401, "login_failed");
        body["instance"].take();
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[actix_web::test]
async fn a_session_ends_by_time_by_disabling_and_by_a_new_password() {
    let db = with_editor().await;
    let cookie = login(&db, "zhang").await;
    for (deed, back) in [
        (
            "UPDATE session SET expires_at = clock_timestamp()",
            "UPDATE session SET expires_at = clock_timestamp() + interval '1 hour'",
        ),
        ("UPDATE account SET disabled = true", "UPDATE account SET disabled = false"),
    ] {
        sqlx::query(deed).execute(&db.pool).await.expect("done");
        let refused = call(&db, from_page(Method::GET, "/api/collections", &cookie)).await;
        refused.assert_problem(401, "session_ended");
        sqlx::query(back).execute(&db.pool).await.expect("undone");
        assert_eq!(call(&db, from_page(Method::GET, "/api/session", &cookie)).await.status, 200, "{back}");
    }
    let reset = authorised(Method::POST, "/api/accounts/zhang/password")
        .set_json(json!({"password": "another one, quite long"}));
    assert_eq!(call(&db, reset).await.status, 204);
    call(&db, from_page(Method::GET, "/api/session", &cookie)).await.assert_problem(401, "session_ended");
}

#[actix_web::test]
async fn changing_the_own_password_ends_the_other_logins() {
    let db = with_editor().await;
    let (here, elsewhere) = (login(&db, "zhang").await, login(&db, "zhang").await);
    let change = |old: &str, new: &str| {
        from_page(Method::POST, "/api/session/password", &here).set_json(json!({"password": old, "new_password": new}))
    };
    call(&db, change("wrong", "a new one, long enough")).await.assert_problem(403, "password_wrong");
    call(&db, change(PASSWORD, "short")).await.assert_problem(400, "password_refused");
    call(&db, change(PASSWORD, PASSWORD)).await.assert_problem(400, "password_refused");
    assert_eq!(call(&db, change(PASSWORD, "a new one, long enough")).await.status, 204);
    assert_eq!(call(&db, from_page(Method::GET, "/api/session", &here)).await.json()["must_change_password"], false);
    call(&db, from_page(Method::GET, "/api/session", &elsewhere)).await.assert_problem(401, "session_ended");
    try_login(&db, "zhang", PASSWORD).await.assert_problem(401, "login_failed");
    assert_eq!(try_login(&db, "zhang", "a new one, long enough").await.status, 200);
    // The operator's token is nobody's account.
    let operator =
        authorised(Method::POST, "/api/session/password").set_json(json!({"password": "x", "new_password": "y"}));
    call(&db, operator).await.assert_problem(403, "session_needed");
}

/// Attributes of the cookie of a login under this configuration and these headers.
async fn cookie_attributes(db: &Database, http: HttpArgs, headers: &[(&str, &str)]) -> Vec<String> {
    let mut request = login_request("zhang", PASSWORD);
    for header in headers {
        request = request.insert_header(*header);
    }
    let answer = call_with(State::new(db.application.clone(), http), request).await;
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    set.split("; ").skip(1).filter(|attribute| !attribute.starts_with("Max-Age")).map(str::to_owned).collect()
}

#[actix_web::test]
async fn the_cookie_is_for_this_service_alone() {
    let db = with_editor().await;
    let public = |url: &str| HttpArgs { public_url: Some(url.to_owned()), ..http_args() };
    for (http, headers, expected) in [
        (http_args(), vec![], vec!["Path=/", "HttpOnly", "SameSite=Strict"]),
        (public("https://gis.example.cn/sizhi/"), vec![], vec!["Path=/sizhi", "HttpOnly", "SameSite=Strict", "Secure"]),
        (
            http_args(),
            vec![("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/land")],
            vec!["Path=/land", "HttpOnly", "SameSite=Strict", "Secure"],
        ),
        (
            HttpArgs { trust_forwarded: false, ..http_args() },
            vec![("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/land")],
            vec!["Path=/", "HttpOnly", "SameSite=Strict"],
        ),
    ] {
        assert_eq!(cookie_attributes(&db, http, &headers).await, expected, "{headers:?}");
    }
}

#[actix_web::test]
async fn writes_that_another_site_makes_a_browser_send_are_refused() {
    let db = with_editor().await;
    let cookie = login(&db, "zhang").await;
    let logout = || TestRequest::delete().uri("/api/session").insert_header(("cookie", cookie.as_str()));
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")],
        vec![("origin", "http://evil.example.cn")],
        vec![("origin", "null")],
        vec![("origin", "https://localhost:8080")],
        // A cookie of which nobody says where the request comes from.
        vec![],
    ] {
        let request = headers.iter().fold(logout(), |request, header| request.insert_header(*header));
        call(&db, request).await.assert_problem(403, "cross_site_request");
    }
    // Logging the victim in as somebody else is such a write too.
    let foreign = login_request("zhang", PASSWORD).insert_header(("origin", "http://evil.example.cn"));
    call(&db, foreign).await.assert_problem(403, "cross_site_request");
    assert_eq!(call(&db, from_page(Method::GET, "/api/session", &cookie)).await.status, 200, "the login stands");
    // Reading is harmless; a page's own write goes through, by either header.
    let link = TestRequest::get()
        .uri("/api/session")
        .insert_header(("cookie", cookie.as_str()))
        .insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(call(&db, link).await.status, 200);
    let own = logout().insert_header(("origin", "http://localhost:8080"));
    assert_eq!(call(&db, own).await.status, 204);
}

fn from_address(account: &str, password: &str, address: &str) -> TestRequest {
    login_request(account, password).insert_header(("x-forwarded-for", address))
}

#[actix_web::test]
async fn ten_failures_lock_an_account_for_a_quarter_of_an_hour() {
    let db = with_editor().await;
    for n in 0..10 {
        // Each from an address of its own: it is the account that is locked.
        let address = format!("192.0.2.{n}");
        call(&db, from_address("zhang", "wrong", &address)).await.assert_problem(401, "login_failed");
    }
    let locked = call(&db, from_address("zhang", PASSWORD, "192.0.2.99")).await;
    locked.assert_problem(429, "login_locked");
    let seconds: i64 = locked.header("retry-after").expect("retry-after").parse().expect("seconds");
    assert!((1..=900).contains(&seconds), "{seconds}");
    let account = call(&db, authorised(Method::GET, "/api/accounts/zhang")).await.json();
    assert!(account["locked_until"].is_string(), "{account}");
    // The attempts during the lock do not lengthen it.
    assert_eq!(db.value::<i64>("SELECT count(*) FROM login_failure WHERE kind = 'account'").await, 10);
    sqlx::query("UPDATE login_failure SET at = at - interval '15 minutes'").execute(&db.pool).await.expect("aged");
    assert_eq!(try_login(&db, "zhang", PASSWORD).await.status, 200);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM login_failure WHERE kind = 'account'").await,
        0,
        "a login forgets them"
    );
}

#[actix_web::test]
async fn ten_failures_lock_an_address_whatever_accounts_it_tried() {
    let db = with_editor().await;
    for n in 0..10 {
        // One connection has a whole /64 of IPv6.
        let request = from_address(&format!("guess{n}"), "wrong", &format!("2001:db8:1:2::{n}"));
        call(&db, request).await.assert_problem(401, "login_failed");
    }
    call(&db, from_address("zhang", PASSWORD, "[2001:db8:1:2::ff]:443")).await.assert_problem(429, "login_locked");
    assert_eq!(call(&db, from_address("zhang", PASSWORD, "2001:db8:1:3::1")).await.status, 200, "the neighbour may");
}

#[actix_web::test]
async fn an_own_account_does_not_help_to_guess_at_others() {
    let db = with_editor().await;
    for n in 0..10 {
        call(&db, from_address(&format!("guess{n}"), "wrong", "192.0.2.7")).await.assert_problem(401, "login_failed");
        if n == 8 {
            assert_eq!(call(&db, from_address("zhang", PASSWORD, "192.0.2.7")).await.status, 200);
        }
    }
    call(&db, from_address("zhang", PASSWORD, "192.0.2.7")).await.assert_problem(429, "login_locked");
}

#[actix_web::test]
async fn parallel_guesses_do_not_slip_through() {
    let db = with_editor().await;
    let guesses = (0..24).map(|n| {
        let request = from_address("zhang", "wrong", &format!("198.51.100.{n}"));
        call(&db, request)
    });
    let answers = futures_util::future::join_all(guesses).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
    // 503: more waited for their turn than are served; nobody looked at those.
    assert!(
        count(401) <= 10 && count(401) + count(503) + count(429) == 24,
        "{} {} {}",
        count(401),
        count(503),
        count(429)
    );
    assert!(count(503) > 0 || count(401) == 10, "ten are looked at");
}

#[actix_web::test]
async fn an_administrator_unlocks() {
    let db = with_editor().await;
    for _ in 0..10 {
        sqlx::query("INSERT INTO login_failure (kind, key) VALUES ('account', 'zhang')")
            .execute(&db.pool)
            .await
            .expect("failure");
    }
    try_login(&db, "zhang", PASSWORD).await.assert_problem(429, "login_locked");
    let unlocked = call(&db, authorised(Method::POST, "/api/accounts/zhang/unlock")).await;
    assert_eq!((unlocked.status.as_u16(), &unlocked.json()["locked_until"]), (200, &json!(null)));
    assert_eq!(try_login(&db, "zhang", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn bodies_of_a_login_that_are_refused() {
    let db = with_editor().await;
    let raw = |kind: &str, body: &str| {
        TestRequest::post()
            .uri("/api/session")
            .insert_header(("content-type", kind.to_owned()))
            .set_payload(body.to_owned())
    };
    let huge = format!("{{\"account\": \"{}\"}}", "x".repeat(70_000));
    for (request, status, code) in [
        (raw("application/json", "{"), 400, "json_invalid"),
        (raw("application/json", "[1]"), 400, "json_invalid"),
        (raw("application/json", r#"{"account": "zhang"}"#), 400, "member_missing"),
        (raw("application/json", r#"{"account": 1, "password": "x"}"#), 400, "member_invalid"),
        (raw("application/json", r#"{"account": "zhang", "passwort": "x"}"#), 400, "member_unknown"),
        (raw("application/json", "{\"account\": \"zh\\u0000ang\", \"password\": \"x\"}"), 400, "member_invalid"),
        (raw("application/json", &huge), 413, "body_too_large"),
        (raw("text/plain", r#"{"account": "zhang", "password": "x"}"#), 415, "media_type_unsupported"),
        (raw("application/json", "x").insert_header(("content-encoding", "gzip")), 415, "encoding_unsupported"),
        (login_request("zhang", PASSWORD).uri("/api/session?x=1"), 400, "parameter_unknown"),
        (login_request("zhang", &"x".repeat(10_000)), 401, "login_failed"),
    ] {
        call(&db, request).await.assert_problem(status, code);
    }
}
