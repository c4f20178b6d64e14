//! Errors: every one is a problem with a status, a stable code, a Chinese sentence and an English one.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value;

use crate::support::Database;
use crate::support::http::{Answer, authorised, call, encode, get};
use crate::support::process::Service;

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// The same request twice: by default in Chinese, in English for those who rank it first.
async fn assert_problem_in_both_languages(
    db: &Database,
    request: impl Fn() -> TestRequest,
    what: &str,
    status: u16,
    code: &str,
) -> Answer {
    let chinese = call(db, request()).await;
    assert_eq!(
        (chinese.status.as_u16(), chinese.text().contains(&format!("\"{code}\""))),
        (status, true),
        "{what}: {}",
        chinese.text()
    );
    let body = chinese.assert_problem(status, code);
    for key in ["title", "detail"] {
        assert!(is_chinese(body[key].as_str().expect("text")), "{what}: {key} of {body}");
    }
    let english = call(db, request().insert_header(("accept-language", "en-GB,en;q=0.9,zh-CN;q=0.8"))).await;
    let body = english.assert_problem(status, code);
    for key in ["title", "detail"] {
        assert!(body[key].as_str().expect("text").is_ascii(), "{what}: {key} of {body}");
    }
    chinese
}

#[actix_web::test]
async fn bad_requests_get_their_own_problem_in_both_languages() {
    let db = Database::with_sample().await;
    let long = "9".repeat(20_000);
    let items = "/api/collections/parks/items";
    let long_path = format!("/api/parks/{long}");
    let long_query = format!("{items}?bbox={long}");
    for (path, status, code) in [
        // Addresses.
        ("/nowhere", 404, "address_not_found"),
        ("/api/nowhere", 404, "address_not_found"),
        ("/API", 404, "address_not_found"),
        ("//api", 404, "address_not_found"),
        ("/api/collections/parks/items/x/y", 404, "address_not_found"),
        ("/../etc/passwd", 404, "address_not_found"),
        ("/%2e%2e/etc/passwd", 404, "address_not_found"),
        ("/api%2Fparks", 404, "address_not_found"),
        ("/%FF%FE", 404, "address_not_found"),
        ("/api/%00", 404, "address_not_found"),
        (long_path.as_str(), 414, "head_too_large"),
        (long_query.as_str(), 414, "head_too_large"),
        // Parameters.
        ("/?x=1", 400, "parameter_unknown"),
        ("/livez?x=1", 400, "parameter_unknown"),
        ("/readyz?x=1", 400, "parameter_unknown"),
        ("/metrics?x=1", 400, "parameter_unknown"),
        ("/api?x=1", 400, "parameter_unknown"),
        ("/api/conformance?limit=1", 400, "parameter_unknown"),
        ("/api/docs?f=html", 400, "parameter_unknown"),
        ("/api/openapi.json?f=yaml", 400, "value_invalid"),
        ("/api/collections?f=xml", 400, "value_invalid"),
        ("/api/collections/parks?f=json&f=json", 400, "parameter_repeated"),
        ("/api/collections/parks/queryables?code=x", 400, "parameter_unknown"),
        ("/api/collections/parks/schema?%20f=json", 400, "parameter_unknown"),
        ("/api/collections/parks/items?approved_area_ha=1", 400, "parameter_unknown"),
        ("/api/collections/parks/items?crs=EPSG:4527", 400, "crs_unknown"),
        ("/api/collections/parks/items?bbox=1,2,3,4&bbox-crs=gcj02", 400, "crs_display_only"),
        ("/api/collections/parks/items?headings=zh", 400, "option_not_possible"),
        ("/api/collections/parks/items?filter=TRUE%20AND", 400, "filter_invalid"),
        ("/api/collections/parks/items?=1", 400, "parameter_unknown"),
        ("/api/collections/parks/items?%00=1", 400, "parameter_unknown"),
        ("/api/collections/parks/items?BBOX=1,2,3,4", 400, "parameter_unknown"),
        ("/api/collections/parks/items?level=a&level=b", 400, "parameter_repeated"),
        ("/api/collections/parks/items?limit=1&limit=1", 400, "parameter_repeated"),
        ("/api/collections/parks/items?bbox=1,2,3,4&bbox=1,2,3,4", 400, "parameter_repeated"),
        ("/api/collections/parks/items?bbox=1,2,3", 400, "bbox_invalid"),
        ("/api/collections/parks/items?datetime=soon", 400, "datetime_invalid"),
        ("/api/collections/parks/items?datetime=9999-12-31T23:00:00Z", 400, "datetime_invalid"),
        ("/api/collections/parks/items?datetime=0000-06-01T00:00:00Z", 400, "datetime_invalid"),
        ("/api/collections/parks/items?limit=0", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=-1", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=%2B1", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=1e9", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=1.5", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=ten", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=%EF%BC%91", 400, "limit_invalid"),
        ("/api/collections/parks/items?limit=", 400, "limit_invalid"),
        ("/api/collections/parks/items?offset=-1", 400, "offset_invalid"),
        ("/api/collections/parks/items?offset=100001", 400, "offset_invalid"),
        ("/api/collections/parks/items?illustrative=yes", 400, "value_invalid"),
        ("/api/collections/parks/items?illustrative=yes", 400, "value_invalid"),
        ("/api/collections/parks/items?name=a%00b", 400, "value_invalid"),
        ("/api/collections/parks/items?cursor=", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=G431176", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=c1zz", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=c1%2B1", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=c1ff", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=c100", 400, "cursor_invalid"),
        ("/api/collections/parks/items?cursor=c9", 400, "cursor_invalid"),
        // ["x", null, ["abc"], "illustrative"], where a truth value was sorted by.
        (
            "/api/collections/parks/items?sortby=illustrative&cursor=c35b2278222c6e756c6c2c5b22616263225d2c22696c6c757374726174697665225d",
            400,
            "cursor_invalid",
        ),
        // Text that is no text: percent-encoding cut short, and GBK as an old program sends it.
        ("/api/parks?q=%", 400, "query_invalid"),
        ("/api/parks?q=%4", 400, "query_invalid"),
        ("/api/parks?q=%zz", 400, "query_invalid"),
        ("/api/parks?q=%B3%A4%C9%B3", 400, "query_invalid"),
        ("/api/collections/parks/items?name=%FF", 400, "query_invalid"),
        ("/api/collections/parks/items?%FF=1", 400, "query_invalid"),
        ("/api/collections/parks/items?name=%ED%A0%80", 400, "query_invalid"),
        // Things.
        ("/api/collections/roads", 404, "collection_not_found"),
        ("/api/collections/parks/items/x", 404, "item_not_found"),
        ("/api/parks/G431199", 404, "park_not_found"),
        ("/api/parks/x", 400, "park_code_invalid"),
        ("/api/parks/G43117%00", 400, "park_code_invalid"),
        ("/api/parks?level=x", 400, "value_invalid"),
        ("/api/imports", 401, "token_missing"),
        ("/api/imports/1", 401, "token_missing"),
    ] {
        let short = &path[..path.len().min(80)];
        assert_problem_in_both_languages(&db, || TestRequest::get().uri(path), short, status, code).await;
    }
    for (path, status, code) in [
        ("/api/imports/x", 404, "import_not_found"),
        ("/api/imports?before=x", 400, "value_invalid"),
        ("/api/imports?x=1", 400, "parameter_unknown"),
        ("/api/imports/1?f=json", 400, "parameter_unknown"),
    ] {
        assert_problem_in_both_languages(&db, || authorised(Method::GET, path), path, status, code).await;
    }
    let xml = || TestRequest::get().uri("/api/parks").insert_header(("accept", "application/xml"));
    assert_problem_in_both_languages(&db, xml, "accept", 406, "not_acceptable").await;
    let wrong = || TestRequest::get().uri("/api/imports").insert_header(("authorization", "Bearer x"));
    assert_problem_in_both_languages(&db, wrong, "token", 401, "token_wrong").await;
    let head = "x".repeat(17_000);
    let large = || TestRequest::get().uri("/api").insert_header(("x-large", head.as_str()));
    assert_problem_in_both_languages(&db, large, "head", 431, "head_too_large").await;
}

#[actix_web::test]
async fn wrong_methods_are_told_the_right_ones() {
    let db = Database::with_sample().await;
    const READ: &str = "GET, HEAD";
    for (path, allow) in [
        ("/", READ),
        ("/livez", READ),
        ("/readyz", READ),
        ("/metrics", READ),
        ("/favicon.ico", READ),
        ("/api", READ),
        ("/api/", READ),
        ("/api/conformance", READ),
        ("/api/openapi.json", READ),
        ("/api/docs", READ),
        ("/api/collections", READ),
        ("/api/collections/parks", READ),
        ("/api/collections/parks/queryables", READ),
        ("/api/collections/parks/schema", READ),
        ("/api/collections/parks/items", READ),
        ("/api/collections/parks/items/G431176", READ),
        ("/api/collections/parks/items/G431176/history", READ),
        ("/api/collections/parks/facets", READ),
        ("/api/collections/parks/changes", READ),
        ("/api/collections/turnover_parcels/items", "GET, HEAD, POST"),
        ("/api/collections/turnover_parcels/items/430121-1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/api/collections/turnover_parcels/items/430121-1/transitions", "GET, HEAD, POST"),
        ("/api/collections/redevelopment_plans/items/430121-1/steps", "GET, HEAD, PUT"),
        ("/api/parks", READ),
        ("/api/parks/G431176", READ),
        ("/api/imports", "GET, HEAD, POST"),
        ("/api/imports/1", READ),
        ("/api/imports/1/commit", "POST"),
        ("/api/imports/1/undo", "POST"),
    ] {
        let allowed: Vec<&str> = allow.split(", ").collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if allowed.contains(&method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).expect("method");
            let request = || authorised(method.clone(), path);
            let answer = assert_problem_in_both_languages(&db, request, path, 405, "method_not_allowed").await;
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
    }
    // What is no ledger has neither moves nor steps, whatever is asked of them.
    for path in
        ["/api/collections/parks/items/G431176/transitions", "/api/collections/park_blocks/items/G431176-1/steps"]
    {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).expect("method");
            call(&db, authorised(method, path)).await.assert_problem(404, "address_not_found");
        }
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
}

#[actix_web::test]
async fn english_only_where_it_ranks_before_chinese() {
    let db = Database::empty().await;
    for (accepted, english) in [
        ("en", true),
        ("EN-us", true),
        ("en-GB,en;q=0.9,zh;q=0.8", true),
        ("zh-CN,zh;q=0.9,en;q=0.8", false),
        ("en;q=0.1, zh;q=0.2", false),
        ("zh", false),
        ("fr", false),
        ("*", false),
        ("", false),
        ("en;q=0", false),
        ("english", false),
    ] {
        let request = TestRequest::get().uri("/nowhere").insert_header(("accept-language", accepted));
        let problem = call(&db, request).await.assert_problem(404, "address_not_found");
        assert_eq!(is_chinese(problem["detail"].as_str().expect("detail")), !english, "{accepted}: {problem}");
        assert_eq!(problem["title"], if english { "Not Found" } else { "找不到" }, "{accepted}");
    }
}

#[actix_web::test]
async fn problems_do_not_repeat_what_was_sent_at_length() {
    let db = Database::empty().await;
    let long = encode(&"长".repeat(500));
    for path in [
        format!("/api/parks/{long}"),
        format!("/api/parks?level={long}"),
        format!("/api/parks?sort={long}"),
        format!("/api/parks?{long}=1"),
        format!("/api/collections/{long}"),
        format!("/api/collections/parks/items/{long}"),
        format!("/api/collections/parks/items?bbox={long}"),
        format!("/api/collections/parks/items?datetime={long}"),
        format!("/api/collections/parks/items?limit={long}"),
        format!("/api/collections/parks/items?cursor={long}"),
        format!("/api/collections/parks/items?illustrative={long}"),
        format!("/api?f={long}"),
        format!("/{long}"),
    ] {
        let answer = get(&db, &path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().expect("detail").chars().count();
        assert!(detail < 250, "{detail} characters for {}", &path[..60]);
    }
}

/// Status line and body of raw answers; an address may hold what no client library lets through.
#[actix_web::test]
async fn raw_requests_that_are_none_do_not_hurt_the_service() {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    let raw = |target: &[u8]| {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"].concat();
        let text = service.raw(&request);
        let status: u16 = text
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(|| panic!("no answer to {target:?}: {text}"));
        (status, text)
    };
    let long = [b"/api/parks?q=", "a".repeat(60_000).as_bytes()].concat();
    for (target, expected) in [
        (&b"/api/parks?q=\xe9\x95\xbf\xe6\xb2\x99"[..], [400, 400]),
        (b"/api/parks?q=\xb3\xa4\xc9\xb3", [400, 400]),
        (b"/\xff\xfe", [400, 400]),
        (b"/api/parks?q=\x00", [400, 400]),
        (b"/api/parks?q=a b", [400, 400]),
        (b"api/parks", [400, 404]),
        (b"*", [400, 404]),
        (b"http://[::1/", [400, 400]),
        (b"/api/parks?q=%", [400, 400]),
        (b"/api/parks/%zz", [400, 400]),
        (&long, [414, 414]),
    ] {
        let (status, text) = raw(target);
        let shown = String::from_utf8_lossy(&target[..target.len().min(60)]).into_owned();
        assert!(expected.contains(&status), "{shown}: {text}");
        if let Some((head, body)) = text.split_once("\r\n\r\n").filter(|(_, body)| status >= 400 && !body.is_empty()) {
            assert!(head.contains("application/problem+json"), "{shown}: {head}");
            let problem: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{shown}: {e}: {body}"));
            assert_eq!(problem["status"], status, "{shown}");
        }
    }
    let (status, text) = raw(b"/livez");
    assert_eq!(status, 200, "{text}");
}
