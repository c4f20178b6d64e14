//! `…/changes` over the ledgers: four clerks write through the running service; clients that load each collection once and follow, by
//! pages and by the stream, hold the server's bytes of every record.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use sizhi::domain::Ledger;

use crate::support::client::Client;
use crate::support::deeds::{Bag, Desk, Tally};
use crate::support::edits::Dice;
use crate::support::process::Service;
use crate::support::{Database, TOKEN};

/// Collections that the deeds touch: the ledgers, and the blocks that their parcels lie in.
const LAYERS: [&str; 4] = ["turnover_parcels", "low_efficiency_parcels", "redevelopment_plans", "park_blocks"];

/// Between two looks of a follower: enough looks for the deeds, and time left for them.
const PAUSE: Duration = Duration::from_millis(60);

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

#[derive(Deserialize)]
struct Items {
    features: Vec<Box<RawValue>>,
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Page {
    since: i64,
    until: i64,
    more: bool,
    changes: Vec<Change>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Change {
    revision: i64,
    operation: String,
    id: String,
    feature: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

fn id_of(feature: &RawValue) -> String {
    serde_json::from_str::<Id>(feature.get()).expect("an id").id
}

fn next(links: &[Link]) -> Option<String> {
    let href = &links.iter().find(|link| link.rel == "next")?.href;
    let (_, rest) = href.split_once("://").expect("absolute");
    Some(rest[rest.find('/').expect("a path")..].to_owned())
}

/// A client's copy of a collection: the bytes of each feature, and the revision it stands for.
struct Held {
    layer: &'static str,
    features: BTreeMap<String, String>,
    revision: i64,
    /// Of the window that is open: what it told, and where it is.
    seen: BTreeSet<String>,
    last: (i64, String),
    counts: BTreeMap<String, usize>,
}

impl Held {
    fn nothing(layer: &'static str) -> Self {
        Self {
            layer,
            features: BTreeMap::new(),
            revision: 0,
            seen: BTreeSet::new(),
            last: (0, String::new()),
            counts: BTreeMap::new(),
        }
    }

    /// Loads page by page while others write: later pages may be newer than the first.
    fn load(client: &Client, layer: &'static str, limit: usize) -> Self {
        let mut held = Self::nothing(layer);
        let mut path = Some(format!("/api/collections/{layer}/items?limit={limit}"));
        while let Some(here) = path {
            let reply = client.get(&here);
            assert_eq!(reply.status, 200, "{here}: {}", reply.text());
            if held.revision == 0 {
                held.revision = reply.header("sizhi-revision").expect("revision").parse().expect("a number");
            }
            let page: Items = serde_json::from_slice(&reply.body).expect("a page");
            held.features.extend(page.features.iter().map(|feature| (id_of(feature), feature.get().to_owned())));
            path = next(&page.links);
        }
        held
    }

    /// Puts a page in; a gap, a repetition or a step back is told by what the page must be.
    fn apply(&mut self, page: &Page) {
        assert_eq!(page.since, self.revision, "{}: the window begins where the copy stands", self.layer);
        for change in &page.changes {
            let (revision, id) = (change.revision, change.id.clone());
            assert!(page.since < revision && revision <= page.until, "{revision} is not in the window");
            assert!(self.last < (revision, id.clone()), "out of order: {:?}, then {revision} {id}", self.last);
            self.last = (revision, id.clone());
            assert!(self.seen.insert(id.clone()), "{id} twice in one window");
            *self.counts.entry(change.operation.clone()).or_default() += 1;
            match (change.operation.as_str(), &change.feature) {
                ("removed", None) => {
                    self.features.remove(&id);
                }
                ("added" | "changed", Some(feature)) => {
                    assert_eq!(id_of(feature), id);
                    self.features.insert(id, feature.get().to_owned());
                }
                (operation, feature) => panic!("{operation} with {feature:?}"),
            }
        }
        if !page.more {
            self.revision = page.until;
            self.seen.clear();
            self.last = (0, String::new());
        }
    }

    /// Follows to the newest revision by pages of `limit`.
    fn follow(&mut self, client: &Client, limit: usize) {
        let mut path = Some(format!("/api/collections/{}/changes?since={}&limit={limit}", self.layer, self.revision));
        while let Some(here) = path {
            let reply = client.get(&here);
            assert_eq!(reply.status, 200, "{here}: {}", reply.text());
            let page: Page = serde_json::from_slice(&reply.body).expect("a page");
            assert!(page.changes.len() <= limit, "{here}");
            self.apply(&page);
            path = next(&page.links);
            assert_eq!(path.is_some(), page.more, "{here}");
        }
    }

    /// The whole collection as it stands, whose bytes the copy must have.
    #[track_caller]
    fn assert_is_the_servers(&self, client: &Client, what: &str) {
        let server = Self::load(client, self.layer, 10_000);
        assert_eq!(server.revision, self.revision, "{what}: nobody writes any more");
        let ids = self.features.keys().chain(server.features.keys());
        let differing: BTreeSet<&String> =
            ids.filter(|id| self.features.get(*id) != server.features.get(*id)).collect();
        assert_eq!(differing, BTreeSet::new(), "{what}: {}", self.layer);
    }
}

/// A follower holds the children of splits and merges as long as they stand, and none of the parents.
async fn assert_holds_families(db: &Database, held: &Held, what: &str) {
    let Some(ledger) = Ledger::of_layer(held.layer).filter(|ledger| *ledger != Ledger::Plan) else { return };
    let table = ledger.table();
    let parents: Vec<String> =
        db.column(&format!("SELECT DISTINCT parent_id FROM parcel_lineage WHERE ledger = '{table}'")).await;
    let children: Vec<String> = db
        .column(&format!(
            "SELECT DISTINCT child_id FROM parcel_lineage JOIN {table} ON id = child_id AND valid_to = 'infinity' WHERE ledger = '{table}'"
        ))
        .await;
    assert!(parents.len() > 5 && children.len() > 5, "{what}: {parents:?} {children:?}");
    let (missing, kept): (Vec<&String>, Vec<&String>) = (
        children.iter().filter(|id| !held.features.contains_key(*id)).collect(),
        parents.iter().filter(|id| held.features.contains_key(*id)).collect(),
    );
    assert_eq!((missing, kept), (vec![], vec![]), "{what}: children not held, parents held of {table}");
}

/// Follows by the stream, whose connection is cut at random, until the copy stands for `target`, once that is known.
fn stream(client: &Client, mut held: Held, dice: &mut Dice, target: &AtomicI64) -> (Held, usize) {
    let mut id = held.revision.to_string();
    let (mut ids, mut connections) = (BTreeSet::new(), 0);
    loop {
        let mut lines = open_stream(client, held.layer, &id);
        connections += 1;
        for _ in 0..=dice.roll(12) {
            if target.load(Ordering::SeqCst) > 0 && held.revision >= target.load(Ordering::SeqCst) {
                return (held, connections);
            }
            let event = read_event(&mut lines);
            if event.kind == "change" {
                assert!(ids.insert(event.id.clone()), "the event {} came twice", event.id);
                held.apply(&serde_json::from_str(&event.data).expect("a page"));
            } else {
                // Nothing of this layer changed up to here.
                assert_eq!(event.kind, "current");
                let current: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
                held.revision = current["revision"].as_i64().expect("revision");
            }
            id = event.id;
        }
    }
}

fn open_stream(client: &Client, layer: &str, id: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(&client.address).expect("connected");
    // A silence of this length is a fault: beats come more often.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout set");
    let request = format!(
        "GET /api/collections/{layer}/changes/stream HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nLast-Event-ID: {id}\r\n\r\n",
        client.address
    );
    stream.write_all(request.as_bytes()).expect("asked");
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(lines.read_line(&mut head).expect("a head") > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    lines
}

#[derive(Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

/// The next event with data, past comments.
fn read_event(lines: &mut BufReader<TcpStream>) -> Event {
    let mut event = Event::default();
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("a line in time") > 0, "the stream ended by itself");
        match line.trim_end_matches('\n').split_once(": ") {
            Some(("id", id)) => event.id = id.to_owned(),
            Some(("event", kind)) => event.kind = kind.to_owned(),
            Some(("data", data)) => event.data = data.to_owned(),
            Some(_) => {}
            None if !event.data.is_empty() => return event,
            None => event = Event::default(),
        }
    }
}

/// Deeds of one writer, until all writers together have done so many.
fn write(desk: &Desk, dice: &mut Dice, written: &AtomicUsize, deeds: usize) -> Tally {
    let (mut bag, mut tally) = (Bag::default(), Tally::default());
    while written.load(Ordering::SeqCst) < deeds {
        let deed = bag.draw(dice);
        if tally.act(desk, deed, dice) {
            written.fetch_add(1, Ordering::SeqCst);
        }
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_hold_the_servers_bytes_after_a_thousand_deeds_by_four_writers() {
    const DEEDS_DONE: usize = 1_000;
    // Each writer has a bag of a hundred that is not empty yet; some hundreds more were tried than done.
    const BAGS: usize = 6;
    let db = Arc::new(Database::with_sample().await);
    let seed = Dice::of_this_run("followers of the ledgers").0;
    let service = Service::start(&db.url().await);
    let first: i64 = db.value("SELECT max(number) FROM revision").await;
    let desk = Arc::new(Desk::open(Arc::clone(&db), &service.address).await);
    let client = desk.client.clone();
    let (written, done, target) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (desk, written) = (Arc::clone(&desk), Arc::clone(&written));
            let mut dice = Dice(seed.wrapping_add(writer * 7_919));
            tokio::task::spawn_blocking(move || write(&desk, &mut dice, &written, DEEDS_DONE))
        })
        .collect();
    let readers: Vec<_> = (0..4)
        .map(|reader: u64| {
            let (client, done, layer) = (client.clone(), Arc::clone(&done), LAYERS[reader as usize]);
            let mut dice = Dice(seed.wrapping_add(reader * 104_729));
            tokio::task::spawn_blocking(move || {
                let mut held = Held::load(&client, layer, 40);
                let mut rounds = 0;
                loop {
                    let last_round = done.load(Ordering::SeqCst);
                    held.follow(&client, 1 + dice.roll(30) as usize);
                    rounds += 1;
                    if last_round {
                        return (held, rounds);
                    }
                    std::thread::sleep(PAUSE);
                }
            })
        })
        .collect();
    let streams: Vec<_> = (0..3)
        .map(|reader: u64| {
            let (client, target, layer) = (client.clone(), Arc::clone(&target), LAYERS[reader as usize]);
            let mut dice = Dice(seed.wrapping_add(reader * 1_299_709));
            tokio::task::spawn_blocking(move || {
                let held = Held::load(&client, layer, 1_000);
                stream(&client, held, &mut dice, &target)
            })
        })
        .collect();
    let mut tally = Tally::default();
    for writer in writers {
        tally.add(writer.await.expect("writer"));
    }
    let what = format!("SIZHI_TEST_SEED={seed}");
    let (last, mut dice) = (Arc::clone(&desk), Dice(seed.wrapping_add(15_485_863)));
    let made_up = tokio::task::spawn_blocking(move || {
        tally.make_up(&last, &mut dice, BAGS);
        tally
    });
    let tally = made_up.await.expect("written");
    // A last change of every layer, for which the streams wait: settled before it is made, or a fast one would wait for another.
    let newest: i64 = db.value::<i64>("SELECT max(number) FROM revision").await + 1;
    target.store(newest, Ordering::SeqCst);
    db.write("UPDATE park_block SET name = '末' WHERE id = (SELECT min(id) FROM park_block); UPDATE division SET name = name || '末'").await;
    done.store(true, Ordering::SeqCst);
    // What was done is one revision each, what was refused none; the last change is one more.
    assert_eq!(newest, first + tally.done() as i64 + 1, "{what}: {tally:?}");
    assert!(tally.done() >= DEEDS_DONE);
    tally.assert_told_all(BAGS, &what);
    // The last change was made past the service: its layers in memory hear of it, and take it in, on their own time.
    let wait = client.clone();
    let shown = tokio::task::spawn_blocking(move || {
        let number = newest.to_string();
        let headers = [("Sizhi-At-Least", number.as_str())];
        (0..10).any(|_| wait.send("GET", "/api/collections/park_blocks/items?limit=1", &headers, b"").status == 200)
    });
    assert!(shown.await.expect("asked"), "{what}: memory shows revision {newest}");
    for reader in readers {
        let (held, rounds) = reader.await.expect("reader");
        assert_eq!(held.revision, newest, "{what}");
        assert!(rounds > 10, "{what}: {} followed in {rounds} rounds", held.layer);
        for operation in ["added", "changed", "removed"] {
            // Blocks are changed where they stand; an undone change is a change.
            let some = held.layer == "park_blocks" || held.counts.get(operation).is_some_and(|n| *n > 5);
            assert!(some, "{what}: {} was told {:?}", held.layer, held.counts);
        }
        assert!(held.counts.get("changed").is_some_and(|n| *n > 5), "{what}: {} {:?}", held.layer, held.counts);
        held.assert_is_the_servers(&client, &what);
        assert_holds_families(&db, &held, &what).await;
    }
    for reader in streams {
        let (held, connections) = reader.await.expect("stream");
        assert!(connections > 5, "{what}: {connections} connections of {}", held.layer);
        held.assert_is_the_servers(&client, &format!("{what}, by the stream"));
        assert_holds_families(&db, &held, &what).await;
    }
    // From nothing, by small pages, at one go.
    for layer in LAYERS {
        let mut held = Held::nothing(layer);
        held.follow(&client, 97);
        held.assert_is_the_servers(&client, &format!("{what}, from 0"));
    }
    assert_eq!(db.audit().await, None);
}
