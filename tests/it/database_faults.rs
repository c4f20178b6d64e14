//! A database that goes away at every moment, or hangs: what the client is told is true, and it is told in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use sizhi::domain::ParkCode;
use sizhi::error::Error;
use sizhi::inventory::import;
use sizhi::inventory::progress::Silent;
use sizhi::store::{self, PoolLimits, revision};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::support::data_folder::{DataFolder, kill};
use crate::support::http;
use crate::support::process::{Service, json, status, wait_until};
use crate::support::proxy::Proxy;
use crate::support::{Database, files, import_request};

const PARK: &str = "S437001";

/// One park and nothing else: the fewer rows, the fewer messages to cut at.
async fn with_one_park() -> Database {
    let db = Database::empty().await;
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    revision::open(&mut transaction, "test", "one park", "").await.expect("revision");
    sqlx::raw_sql(
        "INSERT INTO division (code, name, level, source) VALUES ('430100', '长沙市', 'prefecture', 's');
         INSERT INTO park (code, name, level, type, prefecture_code, source) VALUES ('S437001', '园', '省级', 't', '430100', 's')",
    )
    .execute(&mut *transaction)
    .await
    .expect("rows");
    transaction.commit().await.expect("committed");
    db
}

/// A pool whose connections go through the proxy.
async fn through(db: &Database, proxy: &Proxy) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass().socket(proxy.folder()).username("sizhi").database(&db.name);
    store::connect(options.ssl_mode(PgSslMode::Disable), PoolLimits::default())
}

async fn proxy(name: &str, db: &Database) -> Proxy {
    let url = db.url().await;
    let socket = url.split_once("host=").expect("socket").1;
    Proxy::start(name, &PathBuf::from(socket))
}

/// Three blocks of this number, in a place of their own.
fn file_of(name: &str, nth: usize) -> PathBuf {
    let corner = |n: usize| files::square(2_900_000.0 + nth as f64 * 60.0, 38_480_000.0 + n as f64 * 60.0, 20.0);
    let numbers: Vec<String> = (0..3).map(|n| format!("{nth}-{n}")).collect();
    let parcels: Vec<_> = numbers.iter().enumerate().map(|(n, number)| (number.as_str(), corner(n), 0.04)).collect();
    files::write(&format!("{name}-{nth}.txt"), files::txt(&parcels))
}

/// True where all of this number stands, false where nothing of it does. Waits for a session that is still ending: the
/// write lock is free only then.
async fn stands(db: &Database, nth: usize) -> bool {
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    revision::lock(&mut transaction).await.expect("lock");
    let (blocks, revisions, batches): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM park_block WHERE number LIKE $1 || '-%'),
                (SELECT count(*) FROM revision WHERE source LIKE '%-' || $1 || '.txt'),
                (SELECT count(*) FROM import_batch WHERE file_name LIKE '%-' || $1 || '.txt' AND status = 'committed')",
    )
    .bind(nth.to_string())
    .fetch_one(&mut *transaction)
    .await
    .expect("counts");
    match (blocks, revisions, batches) {
        (0, 0, 0) => false,
        (3, 1, 1) => true,
        other => panic!("cut at {nth}: something between all and nothing: {other:?}"),
    }
}

fn unavailable(error: &Error) -> bool {
    matches!(error, Error::Unavailable { code: "database_unavailable", .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_cut_off_at_any_message_is_whole_or_nothing_and_truly_told() {
    let db = with_one_park().await;
    let proxy = proxy("import", &db).await;
    let run = async |cut_at: usize| {
        let pool = through(&db, &proxy).await;
        proxy.arm(cut_at);
        let mut request = import_request(&file_of("cut-import", cut_at));
        request.park = ParkCode::parse(PARK).ok();
        let outcome = import::import_now(&pool, &request, false, Arc::new(Silent)).await;
        let seen = proxy.seen();
        pool.close().await;
        (outcome, seen)
    };
    let (whole, messages) = run(0).await;
    assert!(whole.expect("imported").revision.is_some() && stands(&db, 0).await);
    assert!(messages > 50, "{messages} messages");
    let (mut told, mut stood) = (0, 0);
    for cut_at in 1..=messages {
        let (outcome, _) = run(cut_at).await;
        let there = stands(&db, cut_at).await;
        match outcome {
            Ok(imported) => {
                assert!(there && imported.revision.is_some(), "cut at {cut_at}: told of success, and nothing is there");
                told += 1;
            }
            Err(error) => assert!(unavailable(&error), "cut at {cut_at} of {messages}: {error:?}"),
        }
        stood += usize::from(there);
    }
    assert!(told < messages / 2 && stood >= told && stood > 0, "{told} told, {stood} stood, of {messages}");
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_commit_over_http_cut_off_at_any_message_is_whole_or_nothing_and_truly_told() {
    let db = with_one_park().await;
    let proxy = proxy("commit", &db).await;
    let run = async |cut_at: usize| {
        let mut request = import_request(&file_of("cut-commit", cut_at));
        request.park = ParkCode::parse(PARK).ok();
        let id = import::stage(&db.pool, &request).await.expect("staged").id;
        let pool = through(&db, &proxy).await;
        let cut = db.through(pool);
        proxy.arm(cut_at);
        let path = format!("/api/imports/{id}/commit");
        let answer = http::call_database(&cut, http::authorised(Method::POST, &path)).await;
        let seen = proxy.seen();
        cut.pool.close().await;
        (answer, seen)
    };
    // The revision's source begins with the batch and ends with the file.
    let (whole, messages) = run(0).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(stands(&db, 0).await && messages > 50, "{messages} messages");
    let (mut tried, mut stood) = (0, 0);
    // Every second message, each parity at one end: the import above took every one.
    for cut_at in (1..messages / 2).step_by(2).chain(messages / 2..=messages) {
        tried += 1;
        let (answer, _) = run(cut_at).await;
        let there = stands(&db, cut_at).await;
        if answer.status == 200 {
            assert!(there, "cut at {cut_at}: told of success, and nothing is there");
            assert_eq!(answer.json()["status"], "committed", "cut at {cut_at}");
        } else {
            answer.assert_problem(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), Some("5"));
        }
        stood += usize::from(there);
    }
    // The first half of the messages, a third of the tries, comes before the commit.
    assert!(stood > 0 && tried - stood >= tried / 3, "{stood} of {tried} stood: nothing was cut");
    assert_eq!(db.audit().await, None);
}

/// Sends the signal to these processes, and SIGCONT to them when dropped.
struct Frozen(Vec<i32>);

impl Frozen {
    fn new(pids: Vec<i32>) -> Self {
        pids.iter().for_each(|pid| kill(*pid, libc::SIGSTOP));
        Self(pids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| kill(*pid, libc::SIGCONT));
    }
}

/// Memory has no order but that of the ids: this is read from the database.
const ITEMS: &str = "/api/collections/park_blocks/items?limit=1&sortby=number";
/// And this from memory.
const HELD: &str = "/api/collections/park_blocks/items?limit=1";
const LIMIT: Duration = Duration::from_secs(10);

/// The answer and how long it took; longer than any request may take is a failure.
fn timed(what: &str, send: impl FnOnce() -> String) -> String {
    let begun = Instant::now();
    let answer = send();
    assert!(begun.elapsed() < LIMIT, "{what} took {:?}: {answer}", begun.elapsed());
    assert!(status(&answer) > 0, "{what}: no answer");
    answer
}

/// 200 with what is asked for, or a problem: never an empty 200.
fn whole_or_problem(what: &str, answer: &str) -> u16 {
    match status(answer) {
        200 => assert_eq!(json(answer)["numberReturned"], 1, "{what}: {answer}"),
        503 => assert!(answer.contains("database_unavailable") && answer.contains("problem+json"), "{what}: {answer}"),
        504 => assert!(answer.contains("query_timeout") && answer.contains("problem+json"), "{what}: {answer}"),
        other => panic!("{what}: {other}: {answer}"),
    }
    status(answer)
}

#[test]
fn a_frozen_database_is_told_in_time_and_recovered_from() {
    let folder = DataFolder::new("frozen");
    folder.must(&["seed"]);
    let service = Service::start_with(&mut folder.serve());
    let park = "G431176";
    let txt = files::txt(&[("冻", files::square(2_900_000.0, 38_480_000.0, 20.0), 0.04)]);
    let staged = json(&service.upload(park, "frozen.txt", txt.as_bytes()));
    assert_eq!(staged["status"], "checked", "{staged}");
    let commit = format!("/api/imports/{}/commit", staged["id"]);
    wait_until("the layers are held", Duration::from_secs(10), || status(&service.get("/readyz")) == 200);
    let warm = || {
        // Several connections, so that a frozen one is met by somebody.
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| service.get(ITEMS));
            }
        });
    };
    let all = || folder.processes();
    let postmaster = || folder.postmaster().into_iter().collect::<Vec<_>>();
    let backends = || {
        let postmaster = folder.postmaster();
        folder.processes().into_iter().filter(|pid| Some(*pid) != postmaster).collect::<Vec<_>>()
    };
    let cases: [(&str, &dyn Fn() -> Vec<i32>); 3] =
        [("all of it", &all), ("the postmaster", &postmaster), ("the backends", &backends)];
    for (what, victims) in cases {
        warm();
        let frozen = Frozen::new(victims());
        assert!(!frozen.0.is_empty());
        std::thread::scope(|scope| {
            let reads: Vec<_> = (0..20).map(|_| scope.spawn(|| timed(what, || service.get(ITEMS)))).collect();
            let ready = scope.spawn(|| timed(what, || service.get("/readyz")));
            let alive = scope.spawn(|| timed(what, || service.get("/livez")));
            let write =
                scope.spawn(|| (what == "all of it").then(|| timed(what, || service.post(&commit, "text/plain", b""))));
            let statuses: Vec<u16> =
                reads.into_iter().map(|read| whole_or_problem(what, &read.join().expect("answered"))).collect();
            assert_eq!(status(&alive.join().expect("answered")), 200, "{what}");
            let ready = status(&ready.join().expect("answered"));
            let write = write.join().expect("answered");
            if what == "all of it" {
                assert!(statuses.iter().all(|status| *status != 200), "{statuses:?}");
                assert_eq!(ready, 503);
                // A public layer is shown as it was held, and said to be old.
                let held = || {
                    let answer = timed(what, || service.get(HELD));
                    assert_eq!(whole_or_problem(what, &answer), 200);
                    answer.to_lowercase().contains("\r\nsizhi-stale: ")
                };
                wait_until("what is held is said to be old", Duration::from_secs(12), held);
                assert_eq!(write.as_deref().map(status), Some(503), "{write:?}");
            } else {
                assert!(matches!(ready, 200 | 503), "{what}: {ready}");
            }
        });
        drop(frozen);
        wait_until("readiness after thawing", Duration::from_secs(5), || status(&service.get("/readyz")) == 200);
        wait_until("what is held is new again", Duration::from_secs(10), || {
            let answer = service.get(HELD);
            whole_or_problem(what, &answer) == 200 && !answer.to_lowercase().contains("\r\nsizhi-stale: ")
        });
        wait_until("items after thawing", Duration::from_secs(5), || {
            whole_or_problem(what, &service.get(ITEMS)) == 200
        });
    }
    // The commit that was given up on is done or not done, and says which.
    let batch = json(&service.post(&commit, "text/plain", b""));
    assert!(batch["status"] == "committed" || batch["code"] == "import_status", "{batch}");
    assert!(service.get("/api/collections/park_blocks/items/G431176-%E5%86%BB").starts_with("HTTP/1.1 200"));
    assert_eq!(folder.json(&["audit", "verify", "--json"])["ok"], true);
}
