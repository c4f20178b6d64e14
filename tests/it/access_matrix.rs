//! The access matrix: every rule of the URL table × every kind of caller × own and other things.
//!
//! The table below is the judge: what the program says of itself must be equal to it, and then each caller is tried at each
//! address. A new route joins by a row; without one, `the_url_table_is_the_one_expected_here` fails.

use std::collections::BTreeSet;
use std::fs;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use sizhi::api;
use sizhi::api::access::Rule;
use sizhi::domain::access::Role;

use crate::support::accounts::{add, from_page, issue, login, with_token};
use crate::support::http::{Answer, authorised, call};
use crate::support::{Database, root};

/// Methods, address, rule; and an address to try it at.
pub const EXPECTED: &[(&str, &str, Rule, &str)] = &[
    ("GET HEAD", "/", Rule::Open, "/"),
    ("GET HEAD", "/livez", Rule::Open, "/livez"),
    ("GET HEAD", "/readyz", Rule::Open, "/readyz"),
    ("GET HEAD", "/metrics", Rule::Open, "/metrics"),
    ("GET HEAD", "/favicon.ico", Rule::Open, "/favicon.ico"),
    ("GET HEAD", "/api", Rule::Open, "/api"),
    ("GET HEAD", "/api/", Rule::Open, "/api/"),
    ("GET HEAD", "/api/conformance", Rule::Open, "/api/conformance"),
    ("GET HEAD", "/api/openapi.json", Rule::Open, "/api/openapi.json"),
    ("GET HEAD", "/api/docs", Rule::Open, "/api/docs"),
    ("GET HEAD", "/api/collections", Rule::Public, "/api/collections"),
    ("GET HEAD", "/api/collections/{collection}", Rule::Public, "/api/collections/parks"),
    ("GET HEAD", "/api/collections/{collection}/queryables", Rule::Public, "/api/collections/parks/queryables"),
    ("GET HEAD", "/api/collections/{collection}/schema", Rule::Public, "/api/collections/parks/schema"),
    ("GET HEAD", "/api/collections/{collection}/facets", Rule::Public, "/api/collections/divisions/facets"),
    ("GET HEAD", "/api/collections/{collection}/tiles", Rule::Public, "/api/collections/divisions/tiles"),
    (
        "GET HEAD",
        "/api/collections/{collection}/tiles/{set}",
        Rule::Public,
        "/api/collections/divisions/tiles/WebMercatorQuad",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/tiles/{set}/{zoom}/{row}/{col}",
        Rule::Public,
        "/api/collections/divisions/tiles/WebMercatorQuad/0/0/0",
    ),
    ("GET HEAD", "/api/tiles", Rule::Public, "/api/tiles"),
    ("GET HEAD", "/api/tiles/{set}", Rule::Public, "/api/tiles/WebMercatorQuad"),
    ("GET HEAD", "/api/tiles/{set}/{zoom}/{row}/{col}", Rule::Public, "/api/tiles/WebMercatorQuad/0/0/0"),
    ("GET HEAD", "/api/tileMatrixSets", Rule::Open, "/api/tileMatrixSets"),
    ("GET HEAD", "/api/tileMatrixSets/{set}", Rule::Open, "/api/tileMatrixSets/WebMercatorQuad"),
    ("GET HEAD", "/api/collections/{collection}/items", Rule::Public, "/api/collections/divisions/items?limit=1"),
    ("GET HEAD", "/api/collections/{collection}/items/{item}", Rule::Public, "/api/collections/divisions/items/430100"),
    // Parks and blocks have no edits: a ledger's address is tried, as far as the rule goes.
    ("POST", "/api/collections/{collection}/items", Rule::Editor, "/api/collections/turnover_parcels/items"),
    (
        "PUT PATCH DELETE",
        "/api/collections/{collection}/items/{item}",
        Rule::Editor,
        "/api/collections/turnover_parcels/items/430121-1",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/history",
        Rule::Public,
        "/api/collections/divisions/items/430100/history",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/criteria",
        Rule::Staff,
        "/api/collections/low_efficiency_parcels/items/430121-1/criteria",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/transitions",
        Rule::Staff,
        "/api/collections/turnover_parcels/items/430121-1/transitions",
    ),
    (
        "POST",
        "/api/collections/{collection}/items/{item}/transitions",
        Rule::Editor,
        "/api/collections/turnover_parcels/items/430121-1/transitions",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/steps",
        Rule::Staff,
        "/api/collections/redevelopment_plans/items/430121-1/steps",
    ),
    (
        "PUT",
        "/api/collections/{collection}/items/{item}/steps",
        Rule::Editor,
        "/api/collections/redevelopment_plans/items/430121-1/steps",
    ),
    (
        "POST",
        "/api/collections/{collection}/items/{item}/split",
        Rule::Editor,
        "/api/collections/turnover_parcels/items/430121-1/split",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/lineage",
        Rule::Staff,
        "/api/collections/turnover_parcels/items/430121-1/lineage",
    ),
    ("POST", "/api/collections/{collection}/merge", Rule::Editor, "/api/collections/turnover_parcels/merge"),
    (
        "POST",
        "/api/collections/{collection}/transitions",
        Rule::Editor,
        "/api/collections/turnover_parcels/transitions",
    ),
    ("GET HEAD", "/api/parks/{code}/lineage", Rule::Public, "/api/parks/G431176/lineage"),
    ("GET HEAD", "/api/parks/{code}/predecessors", Rule::Public, "/api/parks/G431176/predecessors?on=2020-01-01"),
    ("POST", "/api/park-events", Rule::Editor, "/api/park-events"),
    ("GET HEAD", "/api/directories", Rule::Public, "/api/directories"),
    ("POST", "/api/directories", Rule::Editor, "/api/directories"),
    ("GET HEAD", "/api/directories/as-of", Rule::Public, "/api/directories/as-of?on=2020-01-01"),
    ("GET HEAD", "/api/directories/difference", Rule::Public, "/api/directories/difference?from=cn-2018&to=2020-01-01"),
    ("GET HEAD", "/api/directories/{directory}", Rule::Public, "/api/directories/cn-2018"),
    ("POST", "/api/revisions/{number}/undo", Rule::Editor, "/api/revisions/1/undo"),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/attachments",
        Rule::Staff,
        "/api/collections/turnover_parcels/items/430121-1/attachments",
    ),
    (
        "POST",
        "/api/collections/{collection}/items/{item}/attachments",
        Rule::Editor,
        "/api/collections/turnover_parcels/items/430121-1/attachments",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/items/{item}/attachments/{attachment}",
        Rule::Staff,
        "/api/collections/turnover_parcels/items/430121-1/attachments/1",
    ),
    (
        "DELETE",
        "/api/collections/{collection}/items/{item}/attachments/{attachment}",
        Rule::Editor,
        "/api/collections/turnover_parcels/items/430121-1/attachments/1",
    ),
    (
        "GET HEAD",
        "/api/collections/{collection}/changes",
        Rule::Public,
        "/api/collections/divisions/changes?since=0&limit=1",
    ),
    ("GET HEAD", "/api/collections/{collection}/changes/stream", Rule::Public, STREAM),
    ("GET HEAD", "/api/parks", Rule::Public, "/api/parks?limit=1"),
    ("GET HEAD", "/api/parks/{code}", Rule::Public, "/api/parks/G431176"),
    ("GET HEAD", "/api/reports", Rule::Staff, "/api/reports"),
    ("GET HEAD", "/api/reports/{report}", Rule::Staff, "/api/reports/turnover-stock"),
    ("GET HEAD", "/api/criteria", Rule::Staff, "/api/criteria"),
    ("GET HEAD", "/api/criteria/{division}/{year}", Rule::Staff, "/api/criteria/430121/2025"),
    ("PUT DELETE", "/api/criteria/{division}/{year}", Rule::Editor, "/api/criteria/430121/2025"),
    ("GET HEAD", "/api/control-zone-kinds", Rule::Staff, "/api/control-zone-kinds"),
    ("GET HEAD", "/api/control-zone-kinds/{code}", Rule::Staff, "/api/control-zone-kinds/control_unit"),
    ("PUT DELETE", "/api/control-zone-kinds/{code}", Rule::Admin, "/api/control-zone-kinds/control_unit"),
    ("GET HEAD", "/api/control-zones/{id}", Rule::Staff, "/api/control-zones/permanent_farmland-1"),
    ("DELETE", "/api/control-zones/{id}", Rule::Editor, "/api/control-zones/permanent_farmland-1"),
    ("GET HEAD POST", "/api/overlap-checks", Rule::Planner, "/api/overlap-checks"),
    ("GET HEAD DELETE", "/api/overlap-checks/{id}", Rule::Planner, "/api/overlap-checks/1"),
    ("POST", "/api/overlap-checks/{id}/cancel", Rule::Planner, "/api/overlap-checks/1/cancel"),
    ("POST", "/api/overlap-checks/{id}/repeat", Rule::Planner, "/api/overlap-checks/1/repeat"),
    ("GET HEAD", "/api/overlap-checks/{id}/difference", Rule::Planner, "/api/overlap-checks/1/difference?from=2"),
    ("GET HEAD", "/api/overlap-checks/{id}/events", Rule::Planner, "/api/overlap-checks/1/events"),
    ("GET HEAD", "/api/overlap-checks/{id}/report", Rule::Planner, "/api/overlap-checks/1/report"),
    ("GET HEAD", "/api/overlap-checks/{id}/findings", Rule::Planner, "/api/overlap-checks/1/findings"),
    (
        "GET HEAD POST",
        "/api/overlap-checks/{id}/findings/{finding}/marks",
        Rule::Planner,
        "/api/overlap-checks/1/findings/1/marks",
    ),
    ("GET HEAD POST", "/api/scenarios", Rule::Planner, "/api/scenarios"),
    ("GET HEAD PUT DELETE", "/api/scenarios/{id}", Rule::Planner, "/api/scenarios/1"),
    ("GET HEAD", "/api/scenarios/{id}/evaluation", Rule::Planner, "/api/scenarios/1/evaluation"),
    ("GET HEAD", "/api/scenarios/{id}/features", Rule::Planner, "/api/scenarios/1/features"),
    ("POST", "/api/scenarios/{id}/overlap-check", Rule::Planner, "/api/scenarios/1/overlap-check"),
    ("POST", "/api/scenarios/{id}/rebase", Rule::Planner, "/api/scenarios/1/rebase"),
    ("POST", "/api/scenarios/{id}/apply", Rule::Editor, "/api/scenarios/1/apply"),
    ("GET HEAD", "/api/conflicts", Rule::Planner, "/api/conflicts"),
    ("GET HEAD", "/api/conflicts/{id}", Rule::Planner, "/api/conflicts/0123456789abcdef0123"),
    ("POST", "/api/conflicts/{id}/marks", Rule::Planner, "/api/conflicts/0123456789abcdef0123/marks"),
    ("GET HEAD", "/api/boundary-changes", Rule::Staff, "/api/boundary-changes"),
    ("POST", "/api/boundary-changes", Rule::Planner, "/api/boundary-changes"),
    ("GET HEAD", "/api/boundary-changes/{id}", Rule::Staff, "/api/boundary-changes/BC-2024-0001"),
    ("PUT", "/api/boundary-changes/{id}", Rule::Planner, "/api/boundary-changes/BC-2024-0001"),
    (
        "GET HEAD",
        "/api/boundary-changes/{id}/assessment",
        Rule::Planner,
        "/api/boundary-changes/BC-2024-0001/assessment",
    ),
    ("POST", "/api/boundary-changes/{id}/transitions", Rule::Planner, "/api/boundary-changes/BC-2024-0001/transitions"),
    ("GET HEAD", "/api/imports", Rule::Staff, "/api/imports"),
    ("POST", "/api/imports", Rule::Editor, "/api/imports"),
    ("GET HEAD", "/api/imports/{id}", Rule::Staff, "/api/imports/1"),
    ("POST", "/api/imports/{id}/commit", Rule::Editor, "/api/imports/1/commit"),
    ("POST", "/api/imports/{id}/undo", Rule::Editor, "/api/imports/1/undo"),
    ("GET HEAD", "/api/session", Rule::Public, "/api/session"),
    // Logging in and out is the door itself; what it refuses has tests of its own.
    ("POST DELETE", "/api/session", Rule::Open, ""),
    ("POST", "/api/session/password", Rule::Own, "/api/session/password"),
    ("GET HEAD", "/api/accounts", Rule::Admin, "/api/accounts"),
    ("POST", "/api/accounts", Rule::Admin, "/api/accounts"),
    ("GET HEAD", "/api/accounts/{name}", Rule::Admin, "/api/accounts/other"),
    ("PATCH", "/api/accounts/{name}", Rule::Admin, "/api/accounts/other"),
    ("POST", "/api/accounts/{name}/password", Rule::Admin, "/api/accounts/other/password"),
    ("POST", "/api/accounts/{name}/unlock", Rule::Admin, "/api/accounts/other/unlock"),
    ("GET HEAD", "/api/tokens", Rule::Own, "/api/tokens"),
    ("POST", "/api/tokens", Rule::Own, "/api/tokens"),
    ("DELETE", "/api/tokens/{id}", Rule::Own, "/api/tokens/0"),
];

/// In process nothing feeds a stream: who is let in is told that there is no room (503).
pub const STREAM: &str = "/api/collections/divisions/changes/stream";

/// Whether the rule lets this role in; `None` is a caller without credentials. Every rule has its row: the compiler asks.
fn lets_in(rule: Rule, role: Option<Role>) -> bool {
    let allowed: &[Role] = match rule {
        Rule::Open | Rule::Public => return true,
        Rule::Own | Rule::Staff => &[Role::Staff, Role::Planner, Role::Editor, Role::Admin],
        Rule::Planner => &[Role::Planner, Role::Editor, Role::Admin],
        Rule::Editor => &[Role::Editor, Role::Admin],
        Rule::Admin => &[Role::Admin],
    };
    role.is_some_and(|role| allowed.contains(&role))
}

const PEOPLE: [(&str, Role); 4] =
    [("staff", Role::Staff), ("planner", Role::Planner), ("editor", Role::Editor), ("admin", Role::Admin)];

async fn with_people() -> Database {
    let db = Database::with_sample().await;
    for (name, role) in PEOPLE {
        let divisions: &[&str] = if role == Role::Admin { &[] } else { &["430100"] };
        add(&db, name, role, divisions).await;
    }
    add(&db, "other", Role::Editor, &["430200"]).await;
    db
}

#[test]
fn the_url_table_is_the_one_expected_here() {
    let line = |method: &str, path: &str, rule: Rule| format!("{method} {path} {rule:?}");
    let stated: BTreeSet<String> =
        api::accesses().iter().map(|access| line(access.method.as_str(), access.path, access.rule)).collect();
    let expected: BTreeSet<String> = EXPECTED
        .iter()
        .flat_map(|(methods, path, rule, _)| methods.split(' ').map(move |method| line(method, path, *rule)))
        .collect();
    assert_eq!(stated, expected);
}

#[test]
fn no_route_is_served_beside_the_table() {
    let text = fs::read_to_string(root().join("src/api/mod.rs")).expect("source");
    let ruled: BTreeSet<&str> = api::accesses().iter().map(|access| access.path).collect();
    let literals = text.split('"').skip(1).step_by(2);
    let addresses: Vec<&str> = literals.filter(|piece| piece.starts_with('/')).collect();
    assert!(addresses.len() >= 20, "the URL table was not found: {addresses:?}");
    for address in addresses {
        assert!(ruled.contains(address), "{address} has no rule");
    }
    // One call makes resources, and it asks for no rule; all others go through it.
    assert_eq!(text.matches("web::resource(").count(), 1);
    for way in ["web::scope(", "config.service(", "config.route(", ".configure(routes", "web::redirect("] {
        assert!(!text.contains(way), "{way} would serve an address without a rule");
    }
}

/// Lets in, or says by code why not.
fn verdict(answer: &Answer) -> &'static str {
    if !matches!(answer.status.as_u16(), 401 | 403) {
        return "in";
    }
    match answer.json()["code"].as_str() {
        Some("token_missing") => "unknown caller",
        Some("role_insufficient") => "role",
        // Refused by the deed itself, behind the rule.
        Some("session_needed") => "in",
        other => panic!("{other:?}: {}", answer.text()),
    }
}

fn expected_verdict(rule: Rule, role: Option<Role>) -> &'static str {
    match (lets_in(rule, role), role) {
        (true, _) => "in",
        (false, None) => "unknown caller",
        (false, Some(_)) => "role",
    }
}

#[actix_web::test]
async fn every_rule_holds_for_every_caller() {
    let db = with_people().await;
    let mut tried = 0;
    for (name, role) in PEOPLE.map(|(name, role)| (name, Some(role))).into_iter().chain([("", None)]) {
        let cookie = if name.is_empty() { None } else { Some(login(&db, name).await) };
        let token = match role {
            Some(_) => Some(issue(&db, json!({"account": name, "name": "matrix"})).await["token"].clone()),
            None => None,
        };
        for (methods, _, rule, address) in EXPECTED.iter().filter(|(.., address)| !address.is_empty()) {
            for method in methods.split(' ').filter(|method| *method != "HEAD") {
                let method: Method = method.parse().expect("method");
                let mut requests = Vec::new();
                match (&cookie, &token) {
                    (Some(cookie), Some(token)) => {
                        requests.push(from_page(method.clone(), address, cookie));
                        requests.push(with_token(method.clone(), address, token.as_str().expect("token")));
                    }
                    _ => requests.push(TestRequest::default().method(method.clone()).uri(address)),
                }
                for request in requests {
                    let answer = call(&db, request).await;
                    let context = format!("{method} {address} by {name:?}: {}", answer.text());
                    assert_eq!(verdict(&answer), expected_verdict(*rule, role), "{context}");
                    assert!(answer.status.as_u16() < 500 || *address == STREAM, "{context}");
                    tried += 1;
                }
            }
        }
    }
    // Two ways for each of four people, one for nobody, over 40 addresses.
    assert!(tried > 350, "{tried}");
    // Nothing of this has changed anything.
    assert_eq!(
        db.column::<String>("SELECT name FROM account ORDER BY name").await,
        ["admin", "editor", "other", "planner", "staff"]
    );
}

#[actix_web::test]
async fn the_operators_token_has_every_right_of_an_administrator() {
    let db = with_people().await;
    for (methods, _, rule, address) in EXPECTED.iter().filter(|(.., address)| !address.is_empty()) {
        for method in methods.split(' ').filter(|method| *method != "HEAD") {
            let answer = call(&db, authorised(method.parse().expect("method"), address)).await;
            assert_eq!(verdict(&answer), expected_verdict(*rule, Some(Role::Admin)), "{method} {address}");
        }
    }
}

#[actix_web::test]
async fn no_shared_cache_keeps_what_somebody_was_shown() {
    let db = with_people().await;
    let cookie = login(&db, "staff").await;
    for (methods, _, rule, address) in EXPECTED.iter().filter(|(.., address)| !address.is_empty()) {
        if !methods.contains("GET") || !lets_in(*rule, Some(Role::Staff)) || *rule == Rule::Open {
            continue;
        }
        let named = call(&db, from_page(Method::GET, address, &cookie)).await;
        let said = named.header("cache-control");
        assert!(matches!(said, Some("no-store" | "private, no-cache")), "{address}: {said:?}");
        if named.status == 200 {
            let vary = named.header("vary").unwrap_or_default();
            assert!(vary.contains("Authorization, Cookie"), "{address}: {vary}");
        }
        if *rule == Rule::Public && !["/api/session", STREAM].contains(address) {
            let public = call(&db, TestRequest::get().uri(address)).await;
            assert_eq!(public.header("cache-control"), Some("no-cache"), "{address}");
        }
    }
}

/// What belongs to others, at the addresses where each has only their own: it is not there, and nobody is told that it is.
#[actix_web::test]
async fn others_tokens_are_not_there_but_for_administrators() {
    let db = with_people().await;
    let theirs = issue(&db, json!({"account": "other", "name": "theirs"})).await;
    let (id, secret) = (theirs["id"].as_i64().expect("id"), theirs["token"].as_str().expect("token").to_owned());
    let path = format!("/api/tokens/{id}");
    for (name, role) in PEOPLE {
        if role == Role::Admin {
            continue;
        }
        let own = issue(&db, json!({"account": name, "name": "own"})).await;
        let cookie = login(&db, name).await;
        let hidden = call(&db, from_page(Method::DELETE, &path, &cookie)).await;
        let absent = call(&db, from_page(Method::DELETE, "/api/tokens/999999", &cookie)).await;
        let (mut hidden, mut absent) =
            (hidden.assert_problem(404, "token_not_found"), absent.assert_problem(404, "token_not_found"));
        hidden["instance"].take();
        absent["instance"].take();
        assert_eq!(hidden, absent, "what is hidden looks like what is absent");
        let listed = call(&db, from_page(Method::GET, "/api/tokens", &cookie)).await.json();
        assert_eq!((&listed["numberReturned"], &listed["tokens"][0]["id"]), (&json!(1), &own["id"]));
        let for_other =
            from_page(Method::POST, "/api/tokens", &cookie).set_json(json!({"account": "other", "name": "x"}));
        call(&db, for_other).await.assert_problem(404, "account_not_found");
        let own_path = format!("/api/tokens/{}", own["id"]);
        assert_eq!(call(&db, from_page(Method::DELETE, &own_path, &cookie)).await.status, 204);
    }
    assert_eq!(call(&db, with_token(Method::GET, "/api/tokens", &secret)).await.status, 200);
    let cookie = login(&db, "admin").await;
    assert_eq!(call(&db, from_page(Method::DELETE, &path, &cookie)).await.status, 204);
    call(&db, with_token(Method::GET, "/api/tokens", &secret)).await.assert_problem(401, "token_revoked");
}
