//! What one address, and one token, may ask: whom the limit meets, whom it spares, how it is told.

use actix_web::test::TestRequest;
use sizhi::api::State;
use sizhi::config::HttpArgs;

use crate::support::http::{Answer, call_with};
use crate::support::{Database, TOKEN, http_args};

/// One request a second, five at once.
fn state(db: &Database) -> State {
    State::new(db.application.clone(), HttpArgs { rate_limit: 1, ..http_args() })
}

fn from(address: &str) -> TestRequest {
    TestRequest::get().uri("/api/conformance").insert_header(("x-forwarded-for", address.to_owned()))
}

/// Asks until it is refused; at least five are let through, and not many more while the seconds pass.
async fn exhaust(state: &State, mut next: impl FnMut(usize) -> TestRequest) -> Answer {
    for n in 0..60 {
        let answer = call_with(state.clone(), next(n)).await;
        if answer.status == 429 {
            assert!(n >= 5, "refused after {n}");
            return answer;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    panic!("never refused");
}

#[actix_web::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_again() {
    let db = Database::empty().await;
    let state = state(&db);
    let refused = exhaust(&state, |_| from("203.0.113.7").insert_header(("origin", "https://map.example"))).await;
    refused.assert_problem(429, "rate_limited");
    let seconds: u64 = refused.header("retry-after").expect("retry-after").parse().expect("seconds");
    assert_eq!(seconds, 1);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "a map in a browser can read it");
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    // Others are served meanwhile, and whether the service lives is told to everybody.
    assert_eq!(call_with(state.clone(), from("203.0.113.8")).await.status, 200);
    for path in ["/livez", "/readyz"] {
        for _ in 0..8 {
            assert_eq!(call_with(state.clone(), from("203.0.113.7").uri(path)).await.status, 200, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_network_of_ipv6_is_one_client() {
    let db = Database::empty().await;
    let state = state(&db);
    exhaust(&state, |n| from(&format!("2001:db8:0:1::{n:x}"))).await;
    assert_eq!(call_with(state.clone(), from("2001:db8:0:2::1")).await.status, 200);
}

#[actix_web::test]
async fn a_token_is_counted_wherever_it_comes_from() {
    let db = Database::empty().await;
    let state = state(&db);
    let with = |token: &str, n: usize| {
        from(&format!("198.51.100.{n}")).insert_header(("authorization", format!("Bearer {token}")))
    };
    exhaust(&state, |n| with(TOKEN, n)).await.assert_problem(429, "rate_limited");
    assert_eq!(call_with(state.clone(), from("198.51.100.200")).await.status, 200, "without it");
}

#[actix_web::test]
async fn who_is_believed_to_come_from_elsewhere_is_counted_there() {
    let db = Database::empty().await;
    let peer = |address: &str| address.parse().expect("an address");
    // Nobody's word is taken: what stands in the header is the client's own.
    let own = State::new(db.application.clone(), HttpArgs { rate_limit: 1, trust_forwarded: false, ..http_args() });
    exhaust(&own, |n| from(&format!("203.0.113.{n}")).peer_addr(peer("192.0.2.9:4711"))).await;
    // A proxy on this machine that names nobody, and whoever works on it, are not counted.
    let state = state(&db);
    for address in ["127.0.0.1:4711", "[::1]:4711"] {
        for _ in 0..20 {
            let request = TestRequest::get().uri("/api/conformance").peer_addr(peer(address));
            assert_eq!(call_with(state.clone(), request).await.status, 200);
        }
    }
    exhaust(&state, |_| TestRequest::get().uri("/api/conformance").peer_addr(peer("192.0.2.9:4711"))).await;
}

#[actix_web::test]
async fn zero_is_no_limit() {
    let db = Database::empty().await;
    let state = State::new(db.application.clone(), HttpArgs { rate_limit: 0, ..http_args() });
    for _ in 0..30 {
        assert_eq!(call_with(state.clone(), from("203.0.113.7")).await.status, 200);
    }
}
