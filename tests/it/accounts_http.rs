//! Accounts and tokens over HTTP: whole bodies, what is refused, what is logged, and that no secret is kept.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sqlx::AssertSqlSafe;

use crate::support::Database;
use crate::support::accounts::{PASSWORD, add, from_page, issue, login, try_login, with_token};
use crate::support::http::{authorised, call, link, path_of};

fn without_times(mut value: Value) -> Value {
    for name in ["created_at", "password_changed_at", "expires_at"] {
        if let Some(time) = value.get_mut(name) {
            assert!(time.as_str().is_some_and(|text| text.len() == 20 && text.ends_with('Z')), "{name}: {time}");
            *time = json!("…");
        }
    }
    value
}

fn new_account(name: &str, more: Value) -> Value {
    let mut members = json!({"name": name, "role": "editor", "divisions": ["430100"], "password": PASSWORD});
    for (key, value) in more.as_object().expect("members") {
        members[key] = value.clone();
    }
    members
}

#[actix_web::test]
async fn an_account_is_made_changed_and_disabled() {
    let db = Database::with_sample().await;
    let made = call(
        &db,
        authorised(Method::POST, "/api/accounts").set_json(new_account("Zhang", json!({"display_name": "张三"}))),
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location"), Some("http://localhost:8080/api/accounts/zhang"));
    let mut expected = json!({
        "name": "zhang", "display_name": "张三", "role": "editor", "divisions": ["430100"], "disabled": false,
        "must_change_password": true, "locked_until": null, "created_at": "…", "password_changed_at": "…", "last_login_at": null,
    });
    assert_eq!(without_times(made.json()), expected);
    let cookie = login(&db, "zhang").await;
    let changed = authorised(Method::PATCH, "/api/accounts/zhang")
        .set_json(json!({"role": "staff", "divisions": ["430102", "430200"]}));
    let changed = call(&db, changed).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let who = call(&db, from_page(Method::GET, "/api/session", &cookie)).await.json();
    assert_eq!((&who["role"], &who["divisions"]), (&json!("staff"), &json!(["430102", "430200"])), "at once");
    let disabled = authorised(Method::PATCH, "/api/accounts/zhang").set_json(json!({"disabled": true}));
    assert_eq!(call(&db, disabled).await.json()["disabled"], true);
    call(&db, from_page(Method::GET, "/api/session", &cookie)).await.assert_problem(401, "session_ended");
    let mut standing = call(&db, authorised(Method::GET, "/api/accounts/zhang")).await.json();
    assert!(standing["last_login_at"].take().is_string());
    expected["role"] = json!("staff");
    expected["divisions"] = json!(["430102", "430200"]);
    expected["disabled"] = json!(true);
    assert_eq!(without_times(standing), expected);
    let events: Vec<String> = db
        .column("SELECT actor || ' ' || action || ' ' || account || ' ' || detail FROM account_event ORDER BY id")
        .await;
    assert_eq!(
        events,
        [
            r#"http:admin added zhang {"role": "editor", "divisions": ["430100"]}"#,
            r#"account:zhang logged_in zhang {"address": "unknown"}"#,
            r#"http:admin changed zhang {"role": ["editor", "staff"], "divisions": [["430100"], ["430102", "430200"]]}"#,
            r#"http:admin changed zhang {"disabled": [false, true]}"#,
        ]
    );
}

#[actix_web::test]
async fn accounts_that_are_refused() {
    let db = Database::with_sample().await;
    add(&db, "zhang", Role::Staff, &["430100"]).await;
    for (more, status, code) in [
        (json!({}), 409, "account_exists"),
        (json!({"name": "张三"}), 400, "account_name_invalid"),
        (json!({"name": "li", "display_name": "a\u{202e}b"}), 400, "label_invalid"),
        (json!({"name": "li", "role": "public"}), 400, "member_invalid"),
        (json!({"name": "li", "role": "root"}), 400, "member_invalid"),
        (json!({"name": "li", "role": "admin"}), 400, "rights_invalid"),
        (json!({"name": "li", "divisions": []}), 400, "rights_invalid"),
        (json!({"name": "li", "divisions": null}), 400, "rights_invalid"),
        (json!({"name": "li", "divisions": ["43"]}), 400, "rights_invalid"),
        (json!({"name": "li", "divisions": ["*", "430100"]}), 400, "rights_invalid"),
        // A code of the form of one, and a code for statistics only.
        (json!({"name": "li", "divisions": ["990100"]}), 400, "rights_invalid"),
        (json!({"name": "li", "divisions": ["430371"]}), 400, "rights_invalid"),
        (json!({"name": "li", "password": "short"}), 400, "password_refused"),
        (json!({"name": "li", "password": "password123"}), 400, "password_refused"),
        (json!({"name": "lisi.changsha", "password": "LISI.changsha1"}), 400, "password_refused"),
        (json!({"name": "li", "passwords": "x"}), 400, "member_unknown"),
    ] {
        let body = new_account("zhang", more.clone());
        let answer = call(&db, authorised(Method::POST, "/api/accounts").set_json(body)).await;
        let problem = answer.assert_problem(status, code);
        let password = more["password"].as_str().unwrap_or(PASSWORD);
        assert!(!problem.to_string().contains(password), "a password comes back: {problem}");
    }
    assert_eq!(db.column::<String>("SELECT name FROM account").await, ["zhang"]);
    for (method, path) in [
        (Method::GET, "/api/accounts/nobody"),
        (Method::POST, "/api/accounts/nobody/unlock"),
        (Method::GET, "/api/accounts/%00"),
    ] {
        call(&db, authorised(method, path)).await.assert_problem(404, "account_not_found");
    }
}

#[actix_web::test]
async fn the_last_administrator_stays_one() {
    let db = Database::empty().await;
    add(&db, "admin", Role::Admin, &[]).await;
    let change =
        |name: &str, members: Value| authorised(Method::PATCH, &format!("/api/accounts/{name}")).set_json(members);
    for members in [json!({"disabled": true}), json!({"role": "editor", "divisions": ["*"]})] {
        call(&db, change("admin", members)).await.assert_problem(409, "last_admin");
    }
    add(&db, "second", Role::Editor, &["430100"]).await;
    let raised = call(&db, change("second", json!({"role": "admin"}))).await.json();
    assert_eq!(
        (&raised["role"], &raised["divisions"]),
        (&json!("admin"), &json!(["*"])),
        "administrators are everywhere"
    );
    assert_eq!(call(&db, change("admin", json!({"disabled": true}))).await.status, 200);
    call(&db, change("second", json!({"disabled": true}))).await.assert_problem(409, "last_admin");
}

#[actix_web::test]
async fn accounts_come_page_by_page() {
    let db = Database::empty().await;
    sqlx::query(
        "INSERT INTO account (name, display_name, role, divisions, password_hash, must_change_password)
         SELECT 'p' || lpad(n::text, 3, '0'), 'x', 'staff', '{430100}', '$argon2id$', false FROM generate_series(1, 25) n",
    )
    .execute(&db.pool)
    .await
    .expect("accounts");
    let (mut path, mut seen) = ("/api/accounts?limit=10".to_owned(), Vec::new());
    loop {
        let page = call(&db, authorised(Method::GET, &path)).await.json();
        let names =
            page["accounts"].as_array().expect("accounts").iter().map(|a| a["name"].as_str().expect("name").to_owned());
        seen.extend(names);
        match link(&page, "next") {
            Some(next) => path = path_of(next),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=25).map(|n| format!("p{n:03}")).collect();
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn a_token_has_no_more_than_its_account_now() {
    let db = Database::with_sample().await;
    add(&db, "zhang", Role::Editor, &["430100", "430200"]).await;
    let issued =
        issue(&db, json!({"account": "zhang", "name": "地图同步", "divisions": ["430102", "430200"], "days": 30}))
            .await;
    let secret = issued["token"].as_str().expect("token").to_owned();
    let mut shown = without_times(issued);
    assert!(secret.len() == 70 && secret.starts_with("sizhi_"), "{secret}");
    shown["token"].take();
    assert_eq!(
        shown,
        json!({"id": 1, "account": "zhang", "name": "地图同步", "role": "editor", "divisions": ["430102", "430200"], "created_at": "…",
               "created_by": "http:admin", "expires_at": "…", "revoked_at": null, "last_used_at": null, "token": null})
    );
    let who = |answer: Value| (answer["role"].clone(), answer["divisions"].clone());
    let ask = || with_token(Method::GET, "/api/session", &secret);
    assert_eq!(who(call(&db, ask()).await.json()), (json!("editor"), json!(["430102", "430200"])));
    // The account loses a city and the right to write: so does its token.
    let narrowed =
        authorised(Method::PATCH, "/api/accounts/zhang").set_json(json!({"role": "staff", "divisions": ["430100"]}));
    assert_eq!(call(&db, narrowed).await.status, 200);
    assert_eq!(who(call(&db, ask()).await.json()), (json!("staff"), json!(["430102"])));
    call(&db, with_token(Method::POST, "/api/imports/1/commit", &secret))
        .await
        .assert_problem(403, "role_insufficient");
    for members in [
        json!({"account": "zhang", "name": "x", "role": "editor"}),
        json!({"account": "zhang", "name": "x", "divisions": ["430200"]}),
        json!({"account": "zhang", "name": "x", "divisions": ["*"]}),
        json!({"account": "zhang", "name": "x", "divisions": ["430000"]}),
    ] {
        let answer = call(&db, authorised(Method::POST, "/api/tokens").set_json(members)).await;
        answer.assert_problem(400, "rights_invalid");
    }
    for days in [0, 367, -1] {
        let members = json!({"account": "zhang", "name": "x", "days": days});
        call(&db, authorised(Method::POST, "/api/tokens").set_json(members)).await.assert_problem(400, "value_invalid");
    }
    call(&db, authorised(Method::POST, "/api/tokens").set_json(json!({"name": "x"})))
        .await
        .assert_problem(400, "member_missing");
}

#[actix_web::test]
async fn expired_revoked_and_strange_tokens_are_told_apart() {
    let db = Database::empty().await;
    add(&db, "zhang", Role::Editor, &["430100"]).await;
    let token = issue(&db, json!({"account": "zhang", "name": "x"})).await["token"].as_str().expect("token").to_owned();
    let ask = || with_token(Method::GET, "/api/imports", &token);
    assert_eq!(call(&db, ask()).await.status, 200);
    for (deed, code, back) in [
        (
            "UPDATE api_token SET expires_at = clock_timestamp()",
            "token_expired",
            "UPDATE api_token SET expires_at = clock_timestamp() + interval '1 day'",
        ),
        ("UPDATE account SET disabled = true", "account_disabled", "UPDATE account SET disabled = false"),
        (
            "UPDATE api_token SET revoked_at = clock_timestamp()",
            "token_revoked",
            "UPDATE api_token SET revoked_at = NULL",
        ),
    ] {
        sqlx::query(deed).execute(&db.pool).await.expect("done");
        let refused = call(&db, ask()).await;
        refused.assert_problem(401, code);
        assert!(refused.header("www-authenticate").is_some());
        // Wrong credentials are never taken for none, not even where none are needed.
        call(&db, with_token(Method::GET, "/api/collections", &token)).await.assert_problem(401, code);
        sqlx::query(back).execute(&db.pool).await.expect("undone");
        assert_eq!(call(&db, ask()).await.status, 200);
    }
    let mut other = token.clone();
    other.replace_range(69.., if token.ends_with('0') { "1" } else { "0" });
    for wrong in [other.as_str(), "sizhi_", &token[6..], "' OR true --"] {
        call(&db, with_token(Method::GET, "/api/imports", wrong)).await.assert_problem(401, "token_wrong");
    }
}

#[actix_web::test]
async fn a_person_issues_tokens_and_a_token_begets_none() {
    let db = Database::empty().await;
    add(&db, "zhang", Role::Editor, &["430100"]).await;
    let cookie = login(&db, "zhang").await;
    let made = call(&db, from_page(Method::POST, "/api/tokens", &cookie).set_json(json!({"name": "mine"}))).await;
    assert_eq!((made.status.as_u16(), &made.json()["created_by"]), (201, &json!("account:zhang")), "{}", made.text());
    let token = made.json()["token"].as_str().expect("token").to_owned();
    let begotten = with_token(Method::POST, "/api/tokens", &token).set_json(json!({"name": "child"}));
    call(&db, begotten).await.assert_problem(403, "session_needed");
}

/// Every text of every table of ours, and every byte string in hexadecimal.
async fn everything(db: &Database) -> String {
    let tables: Vec<String> = db
        .column("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'spatial_ref_sys'")
        .await;
    let mut all = String::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\n'), '') FROM {table} t");
        let text: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&db.pool).await.expect("rows");
        all.push_str(&text);
    }
    all
}

#[actix_web::test]
async fn no_secret_stands_in_the_database() {
    let db = Database::empty().await;
    add(&db, "zhang", Role::Editor, &["430100"]).await;
    let token = issue(&db, json!({"account": "zhang", "name": "x"})).await["token"].as_str().expect("token").to_owned();
    let cookie = login(&db, "zhang").await;
    assert_eq!(call(&db, with_token(Method::GET, "/api/session", &token)).await.status, 200);
    try_login(&db, "zhang", "a wrong but private word").await.assert_problem(401, "login_failed");
    let all = everything(&db).await;
    assert!(all.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "the look itself finds the hash");
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let cookie = cookie.strip_prefix("sizhi_session=").expect("cookie");
    for secret in [PASSWORD, "a wrong but private word", &token, &token[6..], cookie] {
        assert!(!all.contains(secret) && !all.contains(&hex(secret)), "{secret} stands in the clear");
    }
}
