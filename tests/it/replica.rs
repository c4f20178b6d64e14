//! A service over a real streaming replica, and several over one database: what is written on one is seen on the others, a replica refuses
//! every write in the same words and tries none, goes on without its primary, and takes writes once it is promoted.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sizhi::api;
use sizhi::error::Error;
use sqlx::AssertSqlSafe;

use crate::access_matrix::{EXPECTED, STREAM};
use crate::support::accounts::PASSWORD;
use crate::support::client::{Client, Reply, exchange};
use crate::support::data_folder::{DataFolder, kill};
use crate::support::http::encode;
use crate::support::process::{Service, wait_until};
use crate::support::{TOKEN, scratch, standby};

/// Both are asked by one name, which is part of every link and every ETag.
const HOST: &str = "sizhi.test";
/// What the replica tells of its primary.
const PRIMARY_URL: &str = "https://primary.test/sizhi/";
const PATIENCE: Duration = Duration::from_secs(20);
const LAYERS: &str = "[[layer]]\nid = \"plots\"\ntable = \"plots\"\nvisibility = \"public\"\n";
const MORE_LAYERS: &str = "[[layer]]\nid = \"wells\"\ntable = \"wells\"\nvisibility = \"public\"\n";
const TABLES: &str = "CREATE TABLE plots (id int PRIMARY KEY, n int, g geometry(Point, 4490));
    CREATE TABLE wells (id int PRIMARY KEY, n int, g geometry(Point, 4490));
    INSERT INTO plots VALUES (1, 1, ST_SetSRID(ST_MakePoint(113, 28), 4490));
    INSERT INTO wells VALUES (1, 1, ST_SetSRID(ST_MakePoint(113, 28), 4490));
    ALTER TABLE plots OWNER TO sizhi; ALTER TABLE wells OWNER TO sizhi; GRANT SELECT ON wells TO sizhi_app";

fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    exchange(&service.address, (method, path), &[&[("Host", HOST)], headers].concat(), body)
}

/// GET as the operator.
fn get(service: &Service, path: &str) -> Reply {
    let token = format!("Bearer {TOKEN}");
    ask(service, "GET", path, &[("Authorization", token.as_str())], b"")
}

/// GET that must show this revision.
fn get_at_least(service: &Service, path: &str, revision: &str) -> Reply {
    let token = format!("Bearer {TOKEN}");
    ask(service, "GET", path, &[("Authorization", token.as_str()), ("Sizhi-At-Least", revision)], b"")
}

/// Asserts a problem of this status and code, and gives it.
#[track_caller]
fn problem(reply: &Reply, status: u16, code: &str) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)), "{body}");
    for leak in ["SELECT", "recovery", "sqlx", "read-only transaction", "postgres"] {
        assert!(!reply.text().contains(leak), "“{leak}” leaks: {body}");
    }
    body
}

/// A parcel to be edited, and the tile of zoom 14 in which it lies.
struct Parcel {
    item: String,
    tile: String,
}

impl Parcel {
    async fn first(folder: &DataFolder) -> Self {
        let first = "FROM (SELECT id, ST_PointOnSurface(geom) AS p FROM turnover_parcel WHERE valid_to = 'infinity' ORDER BY id LIMIT 1) x";
        let id: String = standby::value(folder, &format!("SELECT id {first}")).await;
        let longitude: f64 = standby::value(folder, &format!("SELECT ST_X(p) {first}")).await;
        let latitude: f64 = standby::value(folder, &format!("SELECT ST_Y(p) {first}")).await;
        let cells = f64::from(1 << 14);
        let column = ((longitude + 180.0) / 360.0 * cells).floor();
        let row = ((1.0 - latitude.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * cells).floor();
        Self {
            item: format!("/api/collections/turnover_parcels/items/{}", encode(&id)),
            tile: format!("/api/collections/turnover_parcels/tiles/WebMercatorQuad/14/{row}/{column}"),
        }
    }

    /// Renames it through this service; gives the answer.
    fn rename(&self, service: &Service, name: &str) -> Reply {
        let tag = get(service, &self.item).header("etag").expect("a tag").to_owned();
        let body = json!({"properties": {"name": name}});
        let (token, kind) = (format!("Bearer {TOKEN}"), "application/merge-patch+json");
        let headers = [("Authorization", token.as_str()), ("If-Match", tag.as_str()), ("Content-Type", kind)];
        ask(service, "PATCH", &self.item, &headers, body.to_string().as_bytes())
    }

    /// The same, which must be taken; gives its revision.
    #[track_caller]
    fn renamed(&self, service: &Service, name: &str) -> String {
        let answer = self.rename(service, name);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("sizhi-revision").expect("a revision").to_owned()
    }

    fn name(&self, service: &Service) -> Value {
        get(service, &self.item).json()["properties"]["name"].clone()
    }
}

fn is_ready(service: &Service) -> bool {
    get(service, "/readyz").status == 200
}

fn layers_file(name: &str, text: &str) -> String {
    let path = crate::support::files::write(name, text);
    path.to_str().expect("a path of text").to_owned()
}

/// A primary with parcels, people and a table of the operator's, and the service over it.
async fn primary(folder: &DataFolder) -> Service {
    folder.must(&["db", "start"]);
    folder.must(&["seed", "--parcels=200"]);
    standby::execute(folder, TABLES).await;
    let service = Service::start_with(folder.serve().arg("--layers").arg(layers_file("replica-primary.toml", LAYERS)));
    wait_until("the primary's layers", PATIENCE, || is_ready(&service));
    let client = Client { address: service.address.clone() };
    let person = json!({"name": "other", "role": "editor", "divisions": ["*"], "password": PASSWORD});
    assert_eq!(client.json("POST", "/api/accounts", None, &person).status, 201);
    service
}

/// The service over the replica; before its schema is there, it is refused.
async fn replica(folder: &DataFolder, primary: &DataFolder) -> Service {
    let last = "SELECT max(version) FROM _sqlx_migrations";
    let newest: i64 = standby::value(primary, last).await;
    let hide = format!(
        "CREATE TABLE hidden AS SELECT * FROM _sqlx_migrations WHERE version = {newest}; DELETE FROM _sqlx_migrations WHERE version = {newest}"
    );
    standby::execute(primary, &hide).await;
    standby::make(folder, primary);
    folder.must(&["db", "start"]);
    let refused = folder.run(&["serve", "--port", "0"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(told.contains("replica_schema_older") && told.contains(&format!("第 {newest} 号迁移")), "{told}");
    standby::execute(primary, "INSERT INTO _sqlx_migrations SELECT * FROM hidden; DROP TABLE hidden").await;
    let deadline = Instant::now() + PATIENCE;
    while standby::value::<i64>(folder, last).await != newest {
        assert!(Instant::now() < deadline, "the standby does not follow");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let file = layers_file("replica-standby.toml", &format!("{LAYERS}{MORE_LAYERS}"));
    let service = Service::start_with(folder.serve().args(["--primary-url", PRIMARY_URL, "--layers"]).arg(file));
    wait_until("the replica's layers", PATIENCE, || is_ready(&service));
    service
}

/// The body without the moment at which it was made.
fn timeless(reply: &Reply) -> Vec<u8> {
    let mark = br#""timeStamp":""#;
    let mut body = reply.body.clone();
    if let Some(at) = body.windows(mark.len()).position(|window| window == mark) {
        body.drain(at + mark.len()..at + mark.len() + "2026-11-26T20:04:32Z".len());
    }
    body
}

/// What each kind of read gives on the primary, the replica gives to the byte.
fn assert_same_answers(primary: &Service, replica: &Service, parcel: &Parcel) {
    let more = [
        "/api/collections/parks/items?limit=200",
        "/api/collections/parks/items?limit=20&datetime=2020-01-01",
        "/api/collections/parks/items?limit=20&revision=1",
        "/api/collections/turnover_parcels/items?limit=50&sortby=-name",
        "/api/collections/turnover_parcels/items?filter=approved_area_m2%20%3E%2010000&limit=20",
        "/api/collections/park_blocks/items?f=csv",
        "/api/collections/park_blocks/items?f=geojson",
        "/api/collections/plots/items",
        &parcel.item,
        &format!("{}/history", parcel.item),
        &parcel.tile,
    ];
    // (A trial of a scenario writes and lets it go: below.)
    let is_trial = |path: &str| {
        path.ends_with("/evaluation") || path.starts_with("/api/scenarios/") && path.ends_with("/features")
    };
    let is_read = |methods: &str, path: &str| methods.contains("GET") && path != STREAM && !is_trial(path);
    let of_matrix = EXPECTED.iter().filter(|(methods, _, _, path)| is_read(methods, path));
    let of_matrix = of_matrix.map(|(.., path)| *path).filter(|path| !matches!(*path, "/readyz" | "/metrics"));
    let mut compared = 0;
    for path in of_matrix.chain(more) {
        let (expected, shown) = (get(primary, path), get(replica, path));
        assert_eq!(shown.status, expected.status, "{path}: {}", shown.text());
        if expected.status >= 400 {
            assert_eq!(shown.json()["code"], expected.json()["code"], "{path}");
            continue;
        }
        // Only the replica declares wells, and lists them.
        if path.contains("wells")
            || path == "/api/collections"
            || path.starts_with("/api/tiles")
            || path == "/api/openapi.json"
            || path == "/api/docs"
        {
            continue;
        }
        let [shown_text, expected_text] = [&shown, &expected].map(timeless);
        assert!(shown_text == expected_text, "{path}:\n{}\n{}", shown.text(), expected.text());
        // Of an operator's table the ETag is of how it was followed, by each server for itself.
        assert_eq!(shown.header("etag") == expected.header("etag"), !path.contains("plots"), "{path}");
        assert_eq!(shown.header("sizhi-revision"), expected.header("sizhi-revision"), "{path}");
        assert_eq!(shown.header("sizhi-stale"), None, "{path}");
        compared += 1;
    }
    assert!(compared > 35, "{compared}");
}

/// Every address that writes, by the operator and by nobody.
fn assert_writes_are_refused(replica: &Service) {
    let (token, mut tried) = (format!("Bearer {TOKEN}"), 0);
    let addresses =
        EXPECTED.iter().map(|(methods, .., path)| (*methods, if path.is_empty() { "/api/session" } else { path }));
    for (methods, path) in addresses {
        for method in methods.split(' ').filter(|method| !matches!(*method, "GET" | "HEAD")) {
            let refused = ask(replica, method, path, &[("Authorization", token.as_str())], b"");
            let told = problem(&refused, 503, "read_only_replica");
            let there = format!("https://primary.test/sizhi{path}");
            assert_eq!(told["primary"], json!(there), "{method} {path}");
            assert_eq!(refused.header("link"), Some(format!("<{there}>; rel=\"edit\"").as_str()), "{method} {path}");
            assert_eq!(refused.header("retry-after"), Some("5"), "{method} {path}");
            tried += 1;
        }
    }
    let writing = api::accesses().iter().filter(|access| !access.method.is_safe()).count();
    assert_eq!(tried, writing);
    // A body that never comes is not waited for.
    let head = format!(
        "POST /api/imports HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {token}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    let answer = replica.raw(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("read_only_replica"), "{answer}");
    problem(&ask(replica, "POST", "/api/imports", &[], b""), 401, "token_missing");
    problem(&ask(replica, "POST", "/api/parks", &[("Authorization", token.as_str())], b""), 405, "method_not_allowed");
    // What leaves the house is logged first: not here. Whoever may not have it is told that.
    for (path, status, code) in [
        ("/api/collections/turnover_parcels/items?f=csv", 404, "collection_not_found"),
        ("/api/reports/turnover-stock?f=csv", 401, "token_missing"),
    ] {
        problem(&get(replica, path), 503, "read_only_replica");
        problem(&ask(replica, "GET", path, &[], b""), status, code);
    }
    for path in ["/api/scenarios/1/evaluation", "/api/scenarios/1/features"] {
        problem(&get(replica, path), 503, "read_only_replica");
    }
    let english = ask(replica, "POST", "/api/session", &[("Accept-Language", "en")], b"");
    let told = problem(&english, 503, "read_only_replica");
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("read-only replica")), "{told}");
}

/// A login and a token of the primary count on the replica, though they were not used for long; and end there as well.
async fn assert_credentials_hold(folder: &DataFolder, primary: &Service, replica: &Service) {
    let client = Client { address: primary.address.clone() };
    let token = client.json("POST", "/api/tokens", None, &json!({"account": "other", "name": "replica"})).json();
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let login = json!({"account": "other", "password": PASSWORD}).to_string();
    let login = ask(primary, "POST", "/api/session", &[("Content-Type", "application/json")], login.as_bytes());
    let cookie = login.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie").to_owned();
    standby::execute(
        folder,
        "UPDATE session SET last_seen_at = now() - interval '1 hour'; UPDATE api_token SET last_used_at = now() - interval '1 hour'",
    )
    .await;
    let by_token = || ask(replica, "GET", "/api/tokens", &[("Authorization", bearer.as_str())], b"");
    let by_login = || ask(replica, "GET", "/api/imports", &[("Cookie", cookie.as_str())], b"");
    wait_until("the token is there", PATIENCE, || by_token().status == 200);
    wait_until("the login is there", PATIENCE, || by_login().status == 200);
    assert_eq!(client.json("DELETE", &format!("/api/tokens/{}", token["id"]), None, &json!({})).status, 204);
    wait_until("the token has ended", PATIENCE, || by_token().status == 401);
    let out =
        ask(primary, "DELETE", "/api/session", &[("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")], b"");
    assert_eq!(out.status, 204, "{}", out.text());
    wait_until("the login has ended", PATIENCE, || by_login().status == 401);
}

/// What is written on the primary is seen here as soon as it is asked for by its revision; what is not there is waited for, not long.
fn assert_writes_are_seen(primary: &Service, replica: &Service, parcel: &Parcel) {
    for round in 0..5 {
        let name = format!("第{round}次改名");
        let (before, old_tile) = (get(replica, &parcel.item), get(replica, &parcel.tile));
        let revision = parcel.renamed(primary, &name);
        let after = get_at_least(replica, &parcel.item, &revision);
        assert_eq!(after.json()["properties"]["name"], json!(name));
        assert_eq!(after.header("sizhi-revision"), Some(revision.as_str()));
        assert_ne!(after.header("etag"), before.header("etag"));
        let tile = get(replica, &parcel.tile);
        assert!(tile.text().contains(&name) && !old_tile.text().contains(&name), "round {round}");
        assert_ne!(tile.header("etag"), old_tile.header("etag"));
    }
    let name = "不写明修订也会看到";
    parcel.renamed(primary, name);
    wait_until("the edit shows by itself", Duration::from_secs(5), || parcel.name(replica) == json!(name));
    let begun = Instant::now();
    problem(&get_at_least(replica, &parcel.item, "999999"), 503, "behind");
    assert!((2..4).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    for bad in ["", "x", "-1", "1.5"] {
        problem(&get_at_least(replica, &parcel.item, bad), 400, "at_least_invalid");
    }
}

/// A query that the replica breaks off, to apply what its primary cleaned up, is an outage that passes.
async fn assert_conflicts_are_outages(primary: &DataFolder, replica: &DataFolder) {
    standby::execute(replica, "ALTER SYSTEM SET max_standby_streaming_delay = 0").await;
    standby::execute(replica, "SELECT pg_reload_conf()").await;
    let mut reader = standby::superuser(replica).await;
    let reading = async { sqlx::query("SELECT count(*), pg_sleep(30) FROM wells").execute(&mut reader).await };
    let cleaning = async {
        // Once more where it came before the query had begun.
        loop {
            standby::execute(primary, "UPDATE wells SET n = n").await;
            standby::execute(primary, "VACUUM wells").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let broken_off = tokio::select! {
        outcome = reading => outcome.expect_err("broken off"),
        () = cleaning => unreachable!("it goes on for ever"),
    };
    assert_eq!(Error::from(broken_off).code(), "replica_conflict");
}

/// Without its primary it answers on, says how old that may be, and takes no writes.
async fn assert_it_goes_on_alone(folder: &DataFolder, replica: &Service, parcel: &Parcel, name: &str) {
    wait_until("the receiver is gone", PATIENCE, || get(replica, "/readyz").json()["receiving"] == json!(false));
    for path in [parcel.item.as_str(), &parcel.tile, "/api/parks", "/api/collections/parks/items?datetime=2020-01-01"] {
        assert_eq!(get(replica, path).status, 200, "{path}");
    }
    assert_eq!(parcel.name(replica), json!(name));
    problem(&parcel.rename(replica, "副本"), 503, "read_only_replica");
    wait_until("answers are marked", PATIENCE, || get(replica, "/api/parks").header("sizhi-stale").is_some());
    let ready = get(replica, "/readyz").json();
    assert!(ready["lag_s"].as_f64().is_some_and(|lag| lag > 5.0), "{ready}");
    let log = std::fs::read_to_string(folder.home().join("postgres.log")).expect("the server's log");
    assert!(!log.contains("cannot execute"), "something tried to write: {log}");
    let seed = folder.run(&["seed"]);
    let told = String::from_utf8_lossy(&seed.stderr).into_owned();
    assert!(!seed.status.success() && told.contains("read_only_replica"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_shows_what_its_primary_writes_refuses_writes_and_takes_over() {
    let (first, second) = (DataFolder::new("primary"), DataFolder::new("standby"));
    let on_primary = primary(&first).await;
    let on_replica = replica(&second, &first).await;
    let parcel = Parcel::first(&first).await;

    let newest: i64 = standby::value(&first, "SELECT max(number) FROM revision").await;
    let expected = json!({"status": "ready", "role": "replica", "revision": newest, "lag_s": 0.0, "receiving": true});
    // (Between two looks at it something may be on its way.)
    wait_until("it has caught up", PATIENCE, || get(&on_replica, "/readyz").json() == expected);
    let metrics = get(&on_replica, "/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "sizhi_database_up 1",
        "sizhi_takes_writes 0",
        "sizhi_database_role{role=\"replica\"} 1",
        "sizhi_database_role{role=\"primary\"} 0",
        "sizhi_replica_receiving 1",
        &format!("sizhi_revision {newest}"),
        &format!("sizhi_layer_revision{{layer=\"parks\"}} {newest}"),
    ] {
        assert!(metrics.text().lines().any(|told| told == line), "{line}: {}", metrics.text());
    }
    assert!(metrics.text().contains("\nsizhi_replica_lag_seconds "), "{}", metrics.text());
    assert_same_answers(&on_primary, &on_replica, &parcel);

    // Tables of the operator's: by the primary's triggers, and, where it has none, by comparing, every ten seconds.
    standby::execute(&first, "UPDATE wells SET n = 7; UPDATE plots SET n = 7").await;
    let item = |layer: &str| get(&on_replica, &format!("/api/collections/{layer}/items/1")).json();
    let n = |layer: &str| item(layer)["properties"]["n"].clone();
    wait_until("the trigger's note is followed", Duration::from_secs(5), || n("plots") == json!(7));
    // One that writes early and commits late is not stepped over, though a replica knows less of open transactions.
    let mut late = standby::superuser(&first).await;
    let insert = |id: i32| format!("INSERT INTO plots VALUES ({id}, {id}, ST_SetSRID(ST_MakePoint(113, 28), 4490))");
    let begun = format!("BEGIN; {}", insert(100));
    sqlx::raw_sql(AssertSqlSafe(begun)).execute(&mut late).await.expect("written");
    standby::execute(&first, &insert(101)).await;
    let shown = |id: i32| get(&on_replica, &format!("/api/collections/plots/items/{id}")).status == 200;
    wait_until("the second is seen", Duration::from_secs(5), || shown(101));
    assert!(!shown(100), "not committed yet");
    sqlx::raw_sql("COMMIT").execute(&mut late).await.expect("committed");
    wait_until("the first is seen", Duration::from_secs(5), || shown(100));

    assert_writes_are_seen(&on_primary, &on_replica, &parcel);
    assert_credentials_hold(&first, &on_primary, &on_replica).await;
    assert_writes_are_refused(&on_replica);
    wait_until("the other table is compared", PATIENCE, || n("wells") == json!(7));

    assert_conflicts_are_outages(&first, &second).await;

    // Another server over the primary: each sees what the other writes.
    let beside = Service::start(&first.url());
    wait_until("the layers beside", PATIENCE, || is_ready(&beside));
    for (writer, reader, name) in [(&on_primary, &beside, "一写二读"), (&beside, &on_primary, "二写一读")] {
        let revision = parcel.renamed(writer, name);
        let seen = get_at_least(reader, &parcel.item, &revision);
        assert_eq!(
            (&seen.json()["properties"]["name"], seen.header("sizhi-revision")),
            (&json!(name), Some(revision.as_str()))
        );
        assert!(get(reader, &parcel.tile).text().contains(name));
    }
    wait_until("the replica has it", PATIENCE, || parcel.name(&on_replica) == json!("二写一读"));

    // Commands that read work over either.
    for command in [&["account", "list", "--json"][..], &["audit", "verify", "--json"], &["criteria", "list", "--json"]]
    {
        assert_eq!(second.json(command), first.json(command), "{command:?}");
    }
    let copy = scratch().join(format!("replica-{}.dump", std::process::id()));
    second.must(&["db", "backup", copy.to_str().expect("a path of text")]);
    std::fs::remove_file(copy).expect("a backup was written");

    // The primary is gone.
    drop((beside, on_primary));
    first.must(&["db", "stop"]);
    assert_it_goes_on_alone(&second, &on_replica, &parcel, "二写一读").await;

    // Promoted: the same process writes, and is marked stale no more.
    assert!(standby::value::<bool>(&second, "SELECT pg_promote()").await);
    wait_until("writes are taken", PATIENCE, || parcel.rename(&on_replica, "升为主库").status == 200);
    assert_eq!(parcel.name(&on_replica), json!("升为主库"), "its own write is read");
    let ready = get(&on_replica, "/readyz").json();
    assert_eq!((&ready["role"], &ready["lag_s"]), (&json!("primary"), &Value::Null));
    assert_eq!(get(&on_replica, "/api/parks").header("sizhi-stale"), None);
    second.must(&["audit", "verify"]);

    // Replaced by a replica behind the same address: the pool comes back to a server that takes no writes.
    std::fs::write(second.home().join("cluster").join("standby.signal"), "").expect("written");
    kill(second.postmaster().expect("a server"), libc::SIGINT);
    wait_until("it is a replica again", PATIENCE, || {
        let ready = get(&on_replica, "/readyz");
        ready.status == 200 && ready.json()["role"] == json!("replica")
    });
    wait_until("writes are refused", PATIENCE, || parcel.rename(&on_replica, "不成").status == 503);
    problem(&parcel.rename(&on_replica, "不成"), 503, "read_only_replica");
    assert_eq!(parcel.name(&on_replica), json!("升为主库"));
}
