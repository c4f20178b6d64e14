//! `…/changes/stream` over real connections: what is pushed, what a cut connection costs, who is let go.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::changes::{Copy, assert_same, whole};
use crate::support::edits::{self, Dice};
use crate::support::process::{Service, json, sizhi, status, wait_until};
use crate::support::{Database, TOKEN};

/// An open stream, read line by line. HTTP/1.0, so that the body comes as it is.
struct Reader {
    lines: BufReader<TcpStream>,
    head: String,
}

/// One event: its id, its kind, its data.
#[derive(Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

impl Reader {
    fn open(service: &Service, path: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(&service.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("timeout set");
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept-Encoding: gzip, br\r\n{more}\r\n", service.address);
        stream.write_all(request.as_bytes()).expect("asked");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).expect("a head") > 0, "{head}");
        }
        Self { lines, head }
    }

    /// The next event with data; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            // Silence is no end: a beat comes every quarter of a minute.
            if self.lines.read_line(&mut line).expect("a line in time") == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                Some(_) => {}
                None if !event.data.is_empty() => return Some(event),
                None => event = Event::default(),
            }
        }
    }
}

async fn write_name(db: &Database, name: &str) {
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::open(&mut transaction, "test", "改名", "").await.expect("revision");
    sqlx::query("UPDATE park SET name = $1 WHERE code = 'G431176'")
        .bind(name)
        .execute(&mut *transaction)
        .await
        .expect("named");
    transaction.commit().await.expect("committed");
}

fn off_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_change_is_pushed_with_its_revision_as_its_id_and_uncompressed() {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    let mut reader = Reader::open(&service, "/api/collections/parks/changes/stream", "");
    assert_eq!(status(&reader.head), 200, "{}", reader.head);
    let head = reader.head.to_ascii_lowercase();
    for line in [
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-store",
        "content-encoding: identity",
        "x-accel-buffering: no",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    write_name(&db, "新名\n第二行").await;
    let (event, reader) = off_threads(move || (reader.next(), reader)).await.expect("read");
    let event = event.expect("an event");
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("2", "change"));
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!(
        (&data["since"], &data["until"], &data["more"], data["changes"].as_array().map(Vec::len)),
        (&1.into(), &2.into(), &false.into(), Some(1))
    );
    assert_eq!(data["changes"][0]["feature"]["properties"]["name"], "新名\n第二行");
    drop(reader);
    // The same by the address of the pages, for those who accept nothing else.
    let mut other = Reader::open(&service, "/api/collections/parks/changes?since=1", "Accept: text/event-stream\r\n");
    let again = off_threads(move || other.next()).await.expect("read").expect("an event");
    assert_eq!(again.data, event.data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_client_that_is_cut_off_again_and_again_misses_nothing_and_gets_nothing_twice() {
    let db = Arc::new(Database::with_sample().await);
    let service = Service::start(&db.url().await);
    let mut dice = Dice::of_this_run("cut off");
    let parks = edits::parks(&db, 8).await;
    let copy = Copy::load(&db, "park_blocks", 1_000, false).await;
    let (begin, done) = (copy.revision, Arc::new(AtomicBool::new(false)));
    let target = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let seen = Arc::new(Seen::default());
    let mut cuts = Dice(dice.roll(1 << 30));
    let reading = off_threads({
        let (done, target, seen) = (Arc::clone(&done), Arc::clone(&target), Arc::clone(&seen));
        let service =
            Service { child: sizhi(&["--version"]).spawn().expect("stand-in"), address: service.address.clone() };
        move || follow(copy, &service, &mut cuts, &done, &target, &seen)
    });
    // On a busy machine one event tells of many revisions: there are as many edits as it takes.
    let enough = || seen.connections.load(Ordering::SeqCst) > 10 && seen.events.load(Ordering::SeqCst) > 50;
    for n in 0..5_000 {
        if n >= 150 && enough() {
            break;
        }
        edits::edit(&db, &mut dice, &parks).await;
        if n == 60 {
            // More than one event holds: its pages may be cut apart.
            db.write("UPDATE park_block SET name = coalesce(name, '') || '改'").await;
        }
    }
    target.store(db.value("SELECT max(number) FROM revision").await, Ordering::SeqCst);
    done.store(true, Ordering::SeqCst);
    // Somebody must ring once more, or a reader that is at the end waits for the next change.
    write_name(&db, "末尾").await;
    db.write("UPDATE park_block SET name = '末' WHERE id = (SELECT max(id) FROM park_block)").await;
    let copy = reading.await.expect("reader");
    assert!(enough(), "{seen:?}");
    assert!(copy.revision > begin);
    let mut rest = copy;
    if rest.revision < db.value::<i64>("SELECT max(number) FROM revision").await {
        // What was made after the reader stopped.
        let page =
            crate::support::http::get(&db, &format!("/api/collections/park_blocks/changes?since={}", rest.revision))
                .await
                .json();
        rest.apply(&page, &mut BTreeSet::new(), &mut (0, String::new()));
    }
    assert_same(&rest.features, &whole(&db, "park_blocks", false).await, "after all cuts");
}

/// What a follower has met so far.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    events: AtomicUsize,
}

/// Follows by streams that are dropped at random; every event is applied once.
fn follow(
    mut copy: Copy,
    service: &Service,
    cuts: &mut Dice,
    done: &AtomicBool,
    target: &std::sync::atomic::AtomicI64,
    met: &Seen,
) -> Copy {
    let mut id = copy.revision.to_string();
    let (mut seen, mut last) = (BTreeSet::new(), (0, String::new()));
    let mut ids = BTreeMap::new();
    loop {
        let mut reader = Reader::open(
            service,
            "/api/collections/park_blocks/changes/stream?since=0",
            &format!("Last-Event-ID: {id}\r\n"),
        );
        assert_eq!(status(&reader.head), 200, "{}", reader.head);
        met.connections.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=cuts.roll(9) {
            let Some(event) = reader.next() else { break };
            let page: Value = serde_json::from_str(&event.data).expect("JSON");
            if event.kind == "current" {
                copy.revision = page["revision"].as_i64().expect("revision");
                id = event.id;
                continue;
            }
            copy.apply(&page, &mut seen, &mut last);
            assert_eq!(ids.insert(event.id.clone(), ()), None, "the event {} came twice", event.id);
            id = event.id;
            met.events.fetch_add(1, Ordering::SeqCst);
            if done.load(Ordering::SeqCst) && copy.revision >= target.load(Ordering::SeqCst) {
                return copy;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn places_are_bounded_and_come_free() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let mut command = sizhi(&["serve", "--port", "0"]);
    let service = Service::start_with(
        command.env("DATABASE_URL", &url).env("SIZHI_ADMIN_TOKEN", TOKEN).env("SIZHI_STREAMS", "3"),
    );
    let path = "/api/collections/parks/changes/stream";
    let mut held: Vec<Reader> = (0..3).map(|_| Reader::open(&service, path, "")).collect();
    let refused = service.get(path);
    assert_eq!((status(&refused), json(&refused)["code"].as_str()), (503, Some("too_many_streams")));
    assert!(refused.to_ascii_lowercase().contains("retry-after: 5"), "{refused}");
    // Other requests go on; whoever leaves makes room.
    assert_eq!(status(&service.get("/api/collections/parks/items?limit=1")), 200);
    held.pop();
    wait_until("a place came free", Duration::from_secs(30), || status(&Reader::open(&service, path, "").head) == 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_that_takes_nothing_loses_its_place_and_keeps_nobody_waiting() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let mut command = sizhi(&["serve", "--port", "0"]);
    let service = Service::start_with(command.env("DATABASE_URL", &url).env("SIZHI_STREAMS", "1"));
    let path = "/api/collections/park_blocks/changes/stream?since=0";
    // Asks for everything and reads nothing but the head: what the kernel buffers is soon full.
    let silent = Reader::open(&service, path, "");
    assert_eq!(status(&silent.head), 200);
    for n in 0..40 {
        let sql = format!("UPDATE park_block SET four_extents = repeat('字', 9000) || '{n}'");
        let mut transaction = db.pool.begin().await.expect("transaction");
        sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("written");
        transaction.commit().await.expect("committed");
    }
    wait_until("the silent reader lost its place", Duration::from_secs(60), || {
        status(&Reader::open(&service, "/api/collections/parks/changes/stream", "").head) == 200
    });
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn streams_end_with_the_service_at_once() {
    let db = Database::with_sample().await;
    let mut service = Service::start(&db.url().await);
    let mut reader = Reader::open(&service, "/api/collections/parks/changes/stream", "");
    let pid = i32::try_from(service.child.id()).expect("pid");
    let begun = Instant::now();
    crate::support::data_folder::kill(pid, libc::SIGTERM);
    let ended = off_threads(move || {
        let mut rest = Vec::new();
        reader.lines.read_to_end(&mut rest).map(|_| rest)
    });
    assert!(ended.await.expect("read").is_ok(), "the stream ends in order");
    // Neither at its next beat (15 s) nor when the time for answers under way is over (10 s).
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let code = off_threads(move || service.child.wait()).await.expect("waited").expect("ended");
    assert!(code.success(), "{code}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stream_goes_on_after_its_database_was_away() {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    let mut reader = Reader::open(&service, "/api/collections/parks/changes/stream?since=1", "");
    // Every connection of the service is cut, the listening one too.
    let mut superuser = db.superuser().await;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sizhi' AND pid <> pg_backend_pid()")
        .execute(&mut superuser)
        .await
        .expect("cut");
    write_name(&db, "重连之后").await;
    let event = off_threads(move || reader.next()).await.expect("read").expect("an event");
    assert!(event.data.contains("重连之后"), "{event:?}");
}
