//! Alive and ready, with the database there and away; and the headers that every answer carries.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use sizhi::api::State;
use sizhi::store::{self, PoolLimits};
use sqlx::postgres::PgConnectOptions;

use crate::support::http::{Answer, authorised, call, call_with, get, upload};
use crate::support::{Database, http_args};

/// A state whose database is not there: nobody listens.
fn away() -> State {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    of(PgConnectOptions::new().host("127.0.0.1").port(nobody))
}

fn of(options: PgConnectOptions) -> State {
    let options = options.username("sizhi").database("sizhi");
    State::new(store::connect(options, PoolLimits::default()), http_args())
}

async fn ask(state: State, path: &str) -> (Answer, Duration) {
    let start = Instant::now();
    let answer = call_with(state, authorised(Method::GET, path)).await;
    (answer, start.elapsed())
}

#[actix_web::test]
async fn a_service_with_its_database_is_alive_and_ready() {
    let db = Database::empty().await;
    assert_eq!(get(&db, "/livez").await.json(), json!({"status": "alive"}));
    assert_eq!(get(&db, "/readyz").await.json(), json!({"status": "ready", "role": "primary", "revision": 0}));
}

#[actix_web::test]
async fn without_a_database_it_is_alive_and_not_ready_within_two_seconds() {
    // Nobody listens, no such socket, and a server that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = silent.local_addr().expect("address").port();
    for (what, state) in [
        ("nobody", away()),
        ("no socket", of(PgConnectOptions::new().socket("/nowhere/at/all"))),
        ("silent", of(PgConnectOptions::new().host("127.0.0.1").port(port))),
    ] {
        let (alive, _) = ask(state.clone(), "/livez").await;
        assert_eq!((alive.status.as_u16(), alive.json()), (200, json!({"status": "alive"})), "{what}");
        let (ready, took) = ask(state, "/readyz").await;
        ready.assert_problem(503, "database_unavailable");
        assert_eq!(ready.header("retry-after"), Some("5"), "{what}");
        assert!(took < Duration::from_secs(2), "{what}: {took:?}");
    }
}

#[actix_web::test]
async fn without_a_database_nothing_is_answered_by_an_empty_page() {
    let state = away();
    let paths = [
        "/api/collections",
        "/api/collections/parks",
        "/api/collections/parks/items",
        "/api/collections/parks/items?f=html",
        "/api/collections/parks/items/G431176",
        "/api/parks",
        "/api/parks?f=html",
        "/api/parks/G431176",
        "/api/imports",
        "/api/imports/1",
    ];
    // At once: each waits for a connection as long as the pool does.
    let asked = futures_util::future::join_all(paths.map(|path| ask(state.clone(), path))).await;
    for (path, (answer, took)) in paths.into_iter().zip(asked) {
        answer.assert_problem(503, "database_unavailable");
        assert_eq!(answer.header("retry-after"), Some("5"), "{path}");
        assert!(took < Duration::from_secs(4), "{path}: {took:?}");
    }
    let write = call_with(state.clone(), upload("/api/imports", &[("layer", "park_blocks")], "a.txt", b"x")).await;
    write.assert_problem(503, "database_unavailable");
    let (metrics, _) = ask(state.clone(), "/metrics").await;
    assert_eq!((metrics.status.as_u16(), metrics.text().contains("\nsizhi_database_up 0\n")), (200, true));
    // What needs no database goes on, and a wrong question is still a wrong question.
    for path in [
        "/",
        "/api",
        "/api/conformance",
        "/api/openapi.json",
        "/api/docs",
        "/api/collections/parks/queryables",
        "/api/collections/parks/schema",
    ] {
        assert_eq!(ask(state.clone(), path).await.0.status, 200, "{path}");
    }
    ask(state.clone(), "/api/collections/parks/items?bbox=x").await.0.assert_problem(400, "bbox_invalid");
    ask(state, "/api/collections/roads/items").await.0.assert_problem(404, "collection_not_found");
}

#[actix_web::test]
async fn every_answer_carries_the_security_headers_and_its_own_number() {
    let db = Database::with_sample().await;
    let tag = get(&db, "/api/parks").await.header("etag").expect("ETag").to_owned();
    let mut ids = Vec::new();
    let requests = [
        (200, TestRequest::get().uri("/")),
        (200, TestRequest::get().uri("/livez")),
        (200, TestRequest::get().uri("/favicon.ico")),
        (200, TestRequest::get().uri("/api/collections/parks/items?limit=1")),
        (200, TestRequest::get().uri("/api/parks?f=html")),
        (200, TestRequest::get().uri("/api/parks").insert_header(("accept-encoding", "gzip"))),
        (304, TestRequest::get().uri("/api/parks").insert_header(("if-none-match", tag))),
        (400, TestRequest::get().uri("/api/parks?x=1")),
        (401, TestRequest::get().uri("/api/imports")),
        (404, TestRequest::get().uri("/nowhere")),
        (405, TestRequest::delete().uri("/api/parks")),
        (406, TestRequest::get().uri("/api/parks").insert_header(("accept", "image/png"))),
        (414, TestRequest::get().uri(&format!("/api/parks?q={}", "x".repeat(20_000)))),
        (415, authorised(Method::POST, "/api/imports")),
        (
            200,
            TestRequest::default()
                .method(Method::OPTIONS)
                .uri("/api/parks")
                .insert_header(("origin", "https://a.cn"))
                .insert_header(("access-control-request-method", "GET")),
        ),
    ];
    let mut answers = Vec::new();
    for (status, request) in requests {
        answers.push((status, call(&db, request).await));
    }
    answers.push((503, ask(away(), "/readyz").await.0));
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{status}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{status}");
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("no CSP: {status}"));
        let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
        for directive in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(directives.contains(&directive), "{status}: {policy}");
        }
        assert!(!policy.contains("script-src"), "no script but our own files: {policy}");
        let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no id: {status}")).to_owned();
        if status >= 400 {
            assert_eq!(answer.json()["instance"], format!("urn:uuid:{id}"), "{status}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{status}");
        }
        assert!(id.len() == 36 && !ids.contains(&id), "{status}: {id}");
        ids.push(id);
    }
}

#[actix_web::test]
async fn a_read_that_takes_too_long_is_a_504() {
    let db = Database::empty().await;
    db.write("INSERT INTO division (code, name, level, source) SELECT n::text, '某县', 'county', 'test' FROM generate_series(500001, 510001) n")
        .await;
    let limits = PoolLimits { statement: Duration::from_millis(1), ..PoolLimits::default() };
    let state = State::new(store::connect((*db.pool.connect_options()).clone(), limits), http_args());
    let (answer, _) = ask(state, "/api/collections/divisions/items?limit=10000").await;
    answer.assert_problem(504, "query_timeout");
}
