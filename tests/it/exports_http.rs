//! Downloads over HTTP: heads, refusals, clients that leave, breaks in the middle, bounds, memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use sizhi::api::State;
use sizhi::domain::access::{Jurisdiction, Viewer};
use sizhi::domain::layer::{Layer, Property, PropertyKind, Visibility};
use sizhi::inventory::export;
use sizhi::layers::declaration;
use sizhi::store;

use crate::support::http::{authorised, call, call_with, get, get_authorised};
use crate::support::process::{Service, status, wait_until};
use crate::support::{Database, TOKEN, exports, http_args};

const FORMATS: [(&str, &str, &str); 8] = [
    ("csv", "text/csv; charset=utf-8; header=present", "csv"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("gpkg", "application/geopackage+sqlite3", "gpkg"),
    ("shp", "application/zip", "zip"),
    ("fgb", "application/flatgeobuf", "fgb"),
    ("txt", "text/plain; charset=utf-8", "txt"),
    ("geojson", "application/geo+json; charset=utf-8", "geojson"),
    ("ndjson", "application/x-ndjson; charset=utf-8", "ndjson"),
];

/// `attachment` of the day, in ASCII and in Chinese.
fn is_named(disposition: &str, ending: &str) -> bool {
    // The day may have turned since the answer.
    let today = sizhi::inventory::today();
    let day = |text: &str| text.parse().is_ok_and(|day| day == today || Some(day) == today.pred_opt());
    let Some(rest) = disposition.strip_prefix("attachment; filename=\"park_blocks_") else { return false };
    let Some((first, rest)) =
        rest.split_once(&format!(".{ending}\"; filename*=UTF-8''%E5%9B%AD%E5%8C%BA%E5%8C%BA%E5%9D%97_"))
    else {
        return false;
    };
    day(first) && rest == format!("{first}.{ending}")
}

#[actix_web::test]
async fn every_format_has_its_head_and_head_makes_no_body() {
    let db = Database::with_sample().await;
    for (format, media_type, ending) in FORMATS {
        let path = format!("/api/collections/park_blocks/items?f={format}&park_code=G431176");
        let answer = get_authorised(&db, &path).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(media_type)), "{format}");
        let disposition = answer.header("content-disposition").unwrap_or_default().to_owned();
        assert!(is_named(&disposition, ending), "{format}: {disposition}");
        assert!(!answer.body.is_empty());
        let tag = answer.header("etag").expect("an ETag").to_owned();
        let head = call(&db, authorised(Method::HEAD, &path)).await;
        for name in ["content-type", "content-disposition", "etag", "vary", "cache-control", "content-crs"] {
            assert_eq!(head.header(name), answer.header(name), "{format} {name}");
        }
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{format}");
        let current = call(&db, authorised(Method::GET, &path).insert_header(("if-none-match", tag))).await;
        assert_eq!((current.status.as_u16(), current.body.len()), (304, 0), "{format}");
    }
    let service = Service::start(&db.url().await);
    for (format, media_type, _) in FORMATS {
        let path = format!("/api/collections/turnover_parcels/items?f={format}");
        let request =
            format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        let text = service.raw(request.as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(media_type), "{head}");
        assert!(body.is_empty() && !head.contains("content-length"), "{format}: {text}");
    }
}

#[actix_web::test]
async fn accept_finds_a_format_and_pages_stay_pages() {
    let db = Database::with_sample().await;
    for (accept, media_type) in [
        ("text/csv", "text/csv; charset=utf-8; header=present"),
        ("application/geopackage+sqlite3, */*;q=0.1", "application/geopackage+sqlite3"),
        ("text/html;q=0.4, application/flatgeobuf;q=0.5", "application/flatgeobuf"),
        ("text/html, text/csv;q=0.9", "text/html; charset=utf-8"),
        ("application/geo+json", "application/geo+json; charset=utf-8"),
        ("text/csv;q=0, application/json", "application/geo+json; charset=utf-8"),
    ] {
        let request = TestRequest::get().uri("/api/collections/parks/items").insert_header(("accept", accept));
        let answer = call(&db, request).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(media_type)), "{accept}");
    }
    let page = get(&db, "/api/collections/parks/items").await;
    assert_eq!(page.json()["numberReturned"], 100, "a page as ever");
    // Only the items are given out as files.
    get(&db, "/api/parks?f=csv").await.assert_problem(400, "value_invalid");
    get(&db, "/api/collections/parks/items/G431176?f=gpkg").await.assert_problem(400, "value_invalid");
}

#[actix_web::test]
async fn what_cannot_be_asked_of_a_download_is_a_bad_request() {
    let db = Database::with_sample().await;
    for (query, code) in [
        ("f=xls", "value_invalid"),
        ("f=CSV", "value_invalid"),
        ("f=csv&offset=1", "option_not_possible"),
        ("f=csv&cursor=c1", "option_not_possible"),
        ("f=csv&limit=0", "limit_invalid"),
        ("f=csv&limit=x", "limit_invalid"),
        ("f=csv&encoding=big5", "encoding_unknown"),
        ("f=xlsx&encoding=gbk", "option_not_possible"),
        ("f=csv&crs=EPSG:4526", "option_not_possible"),
        ("f=shp&crs=nowhere", "crs_unknown"),
        ("f=txt&crs=EPSG:4490", "txt_crs"),
        ("f=gpkg&headings=fr", "value_invalid"),
        ("f=geojson&headings=en", "option_not_possible"),
        ("f=csv&geometry=wkb", "value_invalid"),
        ("f=xlsx&geometry=wkt", "option_not_possible"),
        ("f=csv&bbox=1,2", "bbox_invalid"),
        ("f=csv&undeclared=1", "parameter_unknown"),
        ("encoding=gbk", "option_not_possible"),
        ("f=json&headings=en", "option_not_possible"),
        ("f=json&crs=EPSG:28992", "crs_unknown"),
        ("f=html&crs=EPSG:4526", "option_not_possible"),
    ] {
        get_authorised(&db, &format!("/api/collections/parks/items?{query}")).await.assert_problem(400, code);
    }
    get_authorised(&db, "/api/collections/nothing/items?f=csv").await.assert_problem(404, "collection_not_found");
}

#[actix_web::test]
async fn a_file_has_the_rows_of_its_order() {
    let db = Database::with_sample().await;
    let by_sql = "SELECT code FROM park ORDER BY level, name DESC NULLS LAST, code COLLATE \"C\" LIMIT 7";
    let expected: Vec<String> = sqlx::query_scalar(by_sql).fetch_all(&db.pool).await.expect("codes");
    let sorted = "/api/collections/parks/items?sortby=level,-name&limit=7";
    let lines = get(&db, &format!("{sorted}&f=ndjson")).await.text();
    let features = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a feature"));
    let of_lines: Vec<String> = features.filter_map(|f| f["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(of_lines, expected);
    let collection = get(&db, &format!("{sorted}&f=geojson")).await.json();
    let of_collection = collection["features"].as_array().expect("features").iter();
    assert_eq!(of_collection.filter_map(|f| f["id"].as_str()).collect::<Vec<_>>(), expected);
    let table = get(&db, &format!("{sorted}&f=csv&headings=en")).await.text();
    let codes = table.lines().skip(1).map(|row| row.split(',').next().unwrap_or_default());
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    // A paper has its own order where none is asked for.
    let points =
        get_authorised(&db, "/api/collections/park_blocks/items?f=txt&sortby=-id&park_code=G431176").await.text();
    let backwards =
        "SELECT string_agg(number, ',' ORDER BY id COLLATE \"C\" DESC) FROM park_block WHERE park_code = 'G431176'";
    let numbers = points.lines().filter(|line| line.ends_with('@')).filter_map(|line| line.split(',').nth(2));
    assert_eq!(numbers.collect::<Vec<_>>().join(","), db.value::<String>(backwards).await);
}

#[actix_web::test]
async fn the_page_of_items_leads_to_its_files_with_the_filter() {
    let db = Database::with_sample().await;
    let page = get_authorised(&db, "/api/collections/parks/items?f=html&prefecture_code=430100&limit=2").await.text();
    for (format, media_type, _) in FORMATS {
        let href = format!("/api/collections/parks/items?prefecture_code=430100&amp;f={format}\"");
        assert!(page.contains(&href), "{format}: {page}");
        let answer =
            get_authorised(&db, &format!("/api/collections/parks/items?prefecture_code=430100&f={format}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(media_type)));
    }
    // What a page alone takes does not go along: a file would refuse it. Its order does.
    for of_page in ["properties=name,level", "exclude-properties=name", "skipGeometry=false&crs=OGC:CRS84"] {
        let page = format!("/api/collections/parks/items?f=html&sortby=-name&{of_page}");
        let page = get(&db, &page).await.text();
        let links: Vec<&str> = page
            .split("<a class=\"choice\" href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.split_once("/api/").map(|(_, path)| path))
            .collect();
        assert_eq!(links.len(), FORMATS.len() - 1, "{page}");
        for link in links {
            assert!(link.contains("sortby=-name"), "{link}");
            assert_eq!(
                get(&db, &format!("/api/{}", link.replace("&amp;", "&"))).await.status,
                200,
                "{of_page}: {link}"
            );
        }
    }
}

/// So many parcels in the register, as one revision, each with a note of `words` characters. Of a ledger: a layer that is generalised
/// takes minutes to be held where the program is not optimised, and all processors meanwhile.
async fn with_parcels(count: i32, words: i32) -> Database {
    let db = Database::with_sample().await;
    // A writer's transaction: it may take minutes.
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
    let written = sqlx::query(
        "INSERT INTO turnover_parcel (id, county_code, number, geom, area_m2, state, source, valid_from, note)
         SELECT '430121-甲' || n, '430121', '甲' || n,
                ST_Multi(ST_Buffer(ST_SetSRID(ST_MakePoint(112.5 + 0.0005 * (n % 400), 28 + 0.0005 * (n / 400)), 4490), 0.0002, 8)), 1500,
                'approved', '测试', '2020-01-01', repeat('地', $2) FROM generate_series(1, $1) n",
    )
    .bind(count)
    .bind(words)
    .execute(&mut *transaction)
    .await
    .expect("stored");
    assert_eq!(written.rows_affected(), u64::try_from(count).expect("some"));
    transaction.commit().await.expect("committed");
    db
}

async fn exporting(db: &Database) -> i64 {
    db.value(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
           AND query LIKE '%export_rows%' AND state IN ('active', 'idle in transaction')",
    )
    .await
}

/// Asks for everything and reads only the start of it.
fn begin(service: &Service, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&service.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut start = [0; 4096];
    let length = stream.read(&mut start).expect("an answer");
    assert!(start[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&start[..length]));
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_its_connection_and_its_place() {
    let db = with_parcels(20_000, 400).await;
    let service = Service::start(&db.url().await);
    for format in ["geojson", "csv", "ndjson"] {
        let path = format!("/api/collections/turnover_parcels/items?f={format}");
        // More than there are places: each is free again when its client has gone.
        for _ in 0..3 {
            let stream = begin(&service, &path);
            assert_eq!(exporting(&db).await, 1, "{format}: it waits for its client");
            drop(stream);
            let freed = async {
                while exporting(&db).await > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), freed)
                .await
                .unwrap_or_else(|_| panic!("{format}: not freed"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_in_the_middle_breaks_the_connection() {
    let db = with_parcels(20_000, 400).await;
    let service = Service::start(&db.url().await);
    for format in ["geojson", "csv", "ndjson"] {
        let path = format!("/api/collections/turnover_parcels/items?f={format}");
        let whole = service.raw(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
                .as_bytes(),
        );
        assert!(whole.ends_with("\r\n0\r\n\r\n"), "a whole answer has a last chunk");
        let mut stream = begin(&service, &path);
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
               AND query LIKE '%export_rows%' AND state IN ('active', 'idle in transaction')",
        )
        .execute(&mut db.superuser().await)
        .await
        .expect("ended");
        assert_eq!(ended.rows_affected(), 1, "the export's own");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{format}: {} bytes look whole", rest.len());
        assert!(rest.len() < whole.len() / 2, "{format}");
    }
    assert_eq!(
        status(&service.get("/api/collections/park_blocks/items?f=csv&limit=3")),
        200,
        "and the service goes on"
    );
}

#[actix_web::test]
async fn an_export_waits_for_its_turn_and_then_asks_to_come_again() {
    let db = Database::with_sample().await;
    let state = State::new(db.pool.clone(), http_args());
    let held = state.exports.clone().acquire_many_owned(2).await.expect("both places");
    let path = "/api/collections/parks/items?f=csv&limit=1";
    let busy = call_with(state.clone(), TestRequest::get().uri(path)).await;
    busy.assert_problem(503, "exports_busy");
    assert_eq!(busy.header("retry-after"), Some("5"));
    let page = call_with(state.clone(), TestRequest::get().uri("/api/collections/parks/items")).await;
    assert_eq!(page.status, 200, "pages have their own room");
    drop(held);
    for _ in 0..5 {
        assert_eq!(call_with(state.clone(), TestRequest::get().uri(path)).await.status, 200);
    }
    assert_eq!(state.exports.available_permits(), 2);
}

/// Blocks as if they were for staff only.
static INTERNAL: Layer = Layer { id: "internal_blocks", visibility: Visibility::Internal, ..declaration::PARK_BLOCKS };

#[tokio::test]
async fn exports_of_internal_layers_are_logged_and_capped() {
    let db = Database::with_sample().await;
    let blocks: i64 = db.value("SELECT count(*) FROM park_block WHERE valid_to = 'infinity'").await;
    let request = || {
        let mut request = exports::of_layer(&INTERNAL, "csv");
        request.viewer.actor = "account:zhang".to_owned();
        request.asked = "park_code=G431176".to_owned();
        request.address = "192.0.2.7".to_owned();
        request
    };
    let mut outside = request();
    outside.viewer = Viewer::public();
    assert_eq!(export::prepare(&db.pool, outside).await.err().map(|e| e.code()), Some("collection_not_found"));
    let mut capped = request();
    capped.internal_limit = u64::try_from(blocks).expect("few") - 1;
    assert_eq!(export::prepare(&db.pool, capped.clone()).await.err().map(|e| e.code()), Some("export_too_large"));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM export_log").await, 0, "what was refused was not given out");
    export::check(&db.pool, request()).await.expect("looked at");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM export_log").await, 0, "a look is no export");
    capped.limit = Some(7);
    assert_eq!(exports::made(&db, capped).await.1, 7, "within the cap by its own limit");
    // Logged before the first byte, whatever becomes of it.
    drop(export::prepare(&db.pool, request()).await.expect("prepared"));
    let logged: Vec<(String, String, String, String, i64, String)> =
        sqlx::query_as("SELECT actor, layer, filter, format, row_count, address FROM export_log ORDER BY id")
            .fetch_all(&db.pool)
            .await
            .expect("rows");
    let entry = |rows: i64| {
        let [actor, layer, filter, format, address] =
            ["account:zhang", "internal_blocks", "park_code=G431176", "csv", "192.0.2.7"].map(str::to_owned);
        (actor, layer, filter, format, rows, address)
    };
    assert_eq!(logged, [entry(7), entry(blocks)]);
    exports::made(&db, exports::of("csv")).await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM export_log").await, 2, "public layers are not logged");
    for deed in ["UPDATE export_log SET actor = 'x'", "DELETE FROM export_log", "TRUNCATE export_log"] {
        assert!(sqlx::query(deed).execute(&db.pool).await.is_err(), "{deed}");
    }
}

#[tokio::test]
async fn the_database_is_told_whom_an_export_is_for() {
    let db = Database::with_sample().await;
    // A view that shows what the transaction speaks for.
    sqlx::raw_sql(
        "CREATE VIEW layer_probe AS SELECT code AS feature_id, NULL::geometry(MultiPolygon, 4490) AS geom, NULL::date AS valid_from,
                NULL::date AS valid_to, code FROM division WHERE in_jurisdiction(code)",
    )
    .execute(&db.pool)
    .await
    .expect("a view");
    static PROBE: Layer = Layer {
        id: "probe",
        title: declaration::DIVISIONS.title,
        description: declaration::DIVISIONS.description,
        relation: "layer_probe",
        sources: &[],
        properties: &[Property::new("code", PropertyKind::Text, declaration::DIVISIONS.title).queryable()],
        visibility: Visibility::Public,
        ..Layer::OF_REGISTER
    };
    let changsha = Jurisdiction::Divisions(vec![sizhi::domain::DivisionCode::parse("430100").expect("a code")]);
    for (jurisdiction, expected) in [
        (Jurisdiction::NOWHERE, 0),
        (changsha, db.value::<i64>("SELECT count(*) FROM division WHERE code LIKE '4301%'").await),
        (Jurisdiction::Everywhere, db.value::<i64>("SELECT count(*) FROM division").await),
    ] {
        let mut request = exports::of_layer(&PROBE, "ndjson");
        request.viewer.jurisdiction = jurisdiction.clone();
        assert_eq!(exports::made(&db, request).await.1, u64::try_from(expected).expect("few"), "{jurisdiction:?}");
    }
}

/// Peak resident memory of a process so far, in bytes.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_parcels_flow_out_in_flat_memory() {
    let db = with_parcels(100_000, 0).await;
    let all: i64 = db.value("SELECT count(*) FROM turnover_parcel WHERE valid_to = 'infinity'").await;
    assert!(all >= 100_000);
    let service = Service::start(&db.url().await);
    // Warm: the layers, code, pools and the first connections are there.
    wait_until("the layers are held", Duration::from_secs(120), || status(&service.get("/readyz")) == 200);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&service.address).expect("connected");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        stream
    };
    ask("/api/collections/turnover_parcels/items?f=geojson&limit=10").read_to_end(&mut Vec::new()).expect("read");
    let before = peak(service.child.id());
    for format in ["geojson", "csv", "xlsx"] {
        let mut stream = ask(&format!("/api/collections/turnover_parcels/items?f={format}"));
        // Counted while it comes, not held: lines of features, or bytes.
        let (mut piece, mut features, mut size, mut tail) = (vec![0; 1 << 16], 0, 0, Vec::new());
        loop {
            let length = stream.read(&mut piece).expect("comes");
            if length == 0 {
                break;
            }
            tail.extend_from_slice(&piece[..length]);
            let needle = b"\"type\" : \"Feature\"";
            let kept = tail.len().saturating_sub(needle.len() - 1);
            features += tail.windows(needle.len()).enumerate().filter(|(at, w)| *at < kept && w == needle).count();
            size += length;
            tail.drain(..kept);
        }
        assert!(size > 5_000_000, "{format}: {size} bytes");
        if format == "geojson" {
            assert_eq!(i64::try_from(features).expect("many"), all);
            assert!(tail.ends_with(b"0\r\n\r\n"), "whole");
        }
        let growth = peak(service.child.id()).saturating_sub(before);
        eprintln!("{all} parcels as {format}: {size} bytes, peak {} MB higher", growth / 1_048_576);
        assert!(growth <= 100 * 1024 * 1024, "{format}: {} MB more at the peak", growth / 1_048_576);
    }
}
