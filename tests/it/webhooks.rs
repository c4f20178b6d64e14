//! Webhooks against a receiver of this test: order, signature, retries, a restart in the middle, what is given up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sizhi::inventory::webhooks;

use crate::support::Database;
use crate::support::process::{Service, run, sizhi, wait_until};

/// What a receiver was sent.
#[derive(Debug, Clone)]
struct Received {
    head: String,
    body: String,
    answered: u16,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Checked as docs/api.md tells receivers to.
    #[track_caller]
    fn assert_signed(&self, secret: &str) {
        let line = self
            .head
            .lines()
            .find_map(|l| l.strip_prefix("sizhi-signature: "))
            .unwrap_or_else(|| panic!("{}", self.head));
        let (seconds, hex) = line.trim().strip_prefix("t=").and_then(|l| l.split_once(",v1=")).expect("t=…,v1=…");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("key");
        mac.update(format!("{seconds}.{}", self.body).as_bytes());
        let wanted: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, wanted);
    }
}

/// A receiver on a port of its own; `answers` are given one by one, then 204 for ever.
struct Receiver {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = format!("http://{}/events", listener.local_addr().expect("address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>()));
        std::thread::spawn({
            let (received, answers) = (Arc::clone(&received), Arc::clone(&answers));
            move || {
                for stream in listener.incoming().flatten() {
                    let answer = answers.lock().expect("answers").pop().unwrap_or(204);
                    if let Some(request) = take(stream, answer) {
                        received.lock().expect("received").push(request);
                    }
                }
            }
        });
        Self { address, received, answers }
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().expect("received").clone()
    }

    /// Ids of events that were taken.
    fn taken(&self) -> Vec<String> {
        let all = self.all();
        let taken = all.iter().filter(|r| (200..300).contains(&r.answered));
        taken.map(|r| r.json()["id"].as_str().expect("id").to_owned()).collect()
    }
}

/// Reads one request and answers it; 0 = hangs up without an answer.
fn take(stream: TcpStream, answer: u16) -> Option<Received> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head
        .lines()
        .map(|l| l.split_once(": ").map_or(l.to_owned(), |(n, v)| format!("{}: {v}", n.to_ascii_lowercase())))
        .collect::<Vec<_>>()
        .join("\n");
    let length: usize = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if answer > 0 {
        let redirect = if answer == 302 { "Location: http://127.0.0.1:1/elsewhere\r\n" } else { "" };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {answer} X\r\n{redirect}Content-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    }
    Some(Received { head, body: String::from_utf8(body).ok()?, answered: answer })
}

async fn rename(db: &Database, name: &str) {
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::open(&mut transaction, "test", "改名", "").await.expect("revision");
    sqlx::query("UPDATE park SET name = $1 WHERE code = 'G431176'")
        .bind(name)
        .execute(&mut *transaction)
        .await
        .expect("named");
    transaction.commit().await.expect("committed");
}

async fn wait(what: &'static str, done: impl FnMut() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || wait_until(what, Duration::from_secs(60), done)).await.expect(what);
}

async fn wait_for(receiver: &Arc<Receiver>, what: &'static str, count: usize) {
    let receiver = Arc::clone(receiver);
    wait(what, move || receiver.taken().len() >= count).await;
}

async fn serve(db: &Database) -> Service {
    let url = db.url().await;
    Service::start_with(
        sizhi(&["serve", "--port", "0", "--public-url", "https://gis.example.cn/sizhi"]).env("DATABASE_URL", url),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn events_come_in_order_signed_and_again_until_they_are_taken() {
    let db = Database::with_sample().await;
    let receiver = Arc::new(Receiver::start(&[500, 0, 302]));
    let (id, secret) =
        webhooks::add(&db.pool, &receiver.address, &["parks".into(), "park_blocks".into()], None).await.expect("added");
    let service = serve(&db).await;
    for name in ["甲", "乙", "丙"] {
        rename(&db, name).await;
    }
    // A table that shows in neither layer, and one whose rows show in no feature of them.
    db.write("UPDATE directory_version SET title = title || '.' WHERE id = (SELECT min(id) FROM directory_version)")
        .await;
    db.write("UPDATE division SET name = '某县' WHERE code = '430112'").await;
    db.write("DELETE FROM park_block WHERE id = 'G431176-2'").await;
    wait_for(&receiver, "all were taken", 8).await;
    assert_eq!(
        receiver.taken(),
        [
            "park_blocks/2",
            "parks/2",
            "park_blocks/3",
            "parks/3",
            "park_blocks/4",
            "parks/4",
            "park_blocks/7",
            "parks/7"
        ]
    );
    let all = receiver.all();
    assert_eq!(all.len(), 11, "three times in vain");
    for (at, request) in all.iter().enumerate() {
        assert!(request.head.starts_with("POST /events HTTP/1.1"), "{}", request.head);
        assert!(request.head.contains("content-type: application/cloudevents+json; charset=utf-8"), "{}", request.head);
        request.assert_signed(&secret);
        // A failed one is sent again with the same words before anything else.
        assert_eq!(at < 4, request.body == all[0].body);
    }
    let made: String = db.value("SELECT to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM revision WHERE number = 7").await;
    let collection = "https://gis.example.cn/sizhi/api/collections/park_blocks";
    assert_eq!(
        all[9].json(),
        json!({
            "specversion": "1.0", "id": "park_blocks/7", "source": collection, "type": "cn.sizhi.layer.changed", "subject": "park_blocks",
            "time": made, "datacontenttype": "application/json",
            "data": {"layer": "park_blocks", "revision": 7, "counts": {"added": 0, "changed": 0, "removed": 1}, "changes": format!("{collection}/changes?since=6")},
        })
    );
    // The service writes its progress after the answer of the receiver.
    let told = async {
        while webhooks::list(&db.pool).await.expect("list")[0].behind > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("the progress is written");
    let state = webhooks::list(&db.pool).await.expect("list");
    assert_eq!((state[0].id, state[0].behind, state[0].attempts, webhooks::state(&state[0])), (id, 0, 0, "ok"));
    drop(service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_was_made_while_nobody_served_is_told_after_the_restart_by_one_of_two() {
    let db = Database::with_sample().await;
    let receiver = Arc::new(Receiver::start(&[503]));
    webhooks::add(&db.pool, &receiver.address, &["parks".into()], Some("a secret of this test")).await.expect("added");
    let mut first = serve(&db).await;
    rename(&db, "甲").await;
    let seen = Arc::clone(&receiver);
    wait("the first attempt failed", move || !seen.all().is_empty()).await;
    let failing = Arc::clone(&receiver);
    first.kill();
    failing.answers.lock().expect("answers").clear();
    for name in ["乙", "丙", "丁"] {
        rename(&db, name).await;
    }
    // The crash may have left a lease: it runs out by itself; here the test lets it.
    db.value::<i64>(
        "WITH gone AS (UPDATE webhook SET leased_until = '-infinity' RETURNING 1) SELECT count(*) FROM gone",
    )
    .await;
    let services = (serve(&db).await, serve(&db).await);
    wait_for(&receiver, "all were taken", 4).await;
    rename(&db, "戊").await;
    wait_for(&receiver, "the last was taken", 5).await;
    // Each once, though two serve: nothing failed since the crash.
    assert_eq!(receiver.taken(), ["parks/2", "parks/3", "parks/4", "parks/5", "parks/6"]);
    receiver.all().iter().for_each(|request| request.assert_signed("a secret of this test"));
    drop(services);
}

/// One hand looks for work at a time; whoever has found some leaves the look to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_receiver_that_never_answers_keeps_no_other_waiting() {
    let db = Database::with_sample().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = format!("http://{}/events", silent.local_addr().expect("address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let asked = Arc::clone(&asked);
        move || silent.incoming().flatten().for_each(|stream| asked.lock().expect("asked").push(stream))
    });
    webhooks::add(&db.pool, &address, &["parks".into()], None).await.expect("added");
    let receiver = Arc::new(Receiver::start(&[]));
    webhooks::add(&db.pool, &receiver.address, &["parks".into()], None).await.expect("added");
    let service = serve(&db).await;
    for (round, name) in ["甲", "乙", "丙"].into_iter().enumerate() {
        rename(&db, name).await;
        let (begun, told) = (Instant::now(), Arc::clone(&receiver));
        wait("the other was told", move || told.taken().len() > round).await;
        // The silent one is given up on after ten seconds.
        assert!(begun.elapsed() < Duration::from_secs(6), "round {round}: {:?}", begun.elapsed());
    }
    assert!(!asked.lock().expect("asked").is_empty(), "the silent one was never told");
    drop(service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn three_days_without_success_end_a_webhook_until_its_operator_resumes_it() {
    let db = Database::with_sample().await;
    let receiver = Arc::new(Receiver::start(&[500; 100]));
    let (id, _) = webhooks::add(&db.pool, &receiver.address, &["parks".into()], None).await.expect("added");
    let service = serve(&db).await;
    rename(&db, "甲").await;
    let seen = Arc::clone(&receiver);
    wait("it failed once", move || !seen.all().is_empty()).await;
    // As if it had begun to fail long ago.
    let age = "WITH aged AS (UPDATE webhook SET failing_since = now() - interval '73 hours', next_attempt_at = now() WHERE failing_since IS NOT NULL RETURNING 1) SELECT count(*) FROM aged";
    let given_up = async {
        while db.value::<i64>(age).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while webhooks::list(&db.pool).await.expect("list")[0].dead_at.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("given up");
    let dead = &webhooks::list(&db.pool).await.expect("list")[0];
    assert_eq!(
        (webhooks::state(dead), dead.behind, dead.last_error.as_deref()),
        ("dead", 1, Some("接收方回答 HTTP 500"))
    );
    rename(&db, "乙").await;
    let url = db.url().await;
    let mut command = sizhi(&["webhook", "resume", &id.to_string()]);
    command.env("DATABASE_URL", &url);
    receiver.answers.lock().expect("answers").clear();
    assert!(run(command, b"").status.success());
    wait_for(&receiver, "it went on where it had stopped", 2).await;
    assert_eq!(receiver.taken(), ["parks/2", "parks/3"]);
    drop(service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_operator_adds_lists_tests_and_removes_on_the_command_line() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let receiver = Receiver::start(&[200, 404]);
    let webhook = |args: &[&str]| {
        let mut command = sizhi(&["webhook"]);
        command.args(args).env("DATABASE_URL", &url);
        let output = run(command, b"");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, added) = webhook(&["add", &receiver.address, "--layer", "parks", "--json"]);
    assert_eq!(code, Some(0), "{added}");
    let added: Value = serde_json::from_str(&added).expect("JSON");
    let secret = added["secret"].as_str().expect("secret").to_owned();
    assert_eq!((&added["id"], secret.len()), (&json!(1), 64));
    let (_, list) = webhook(&["list", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(
        (&list[0]["url"], &list[0]["layers"], &list[0]["state"], &list[0]["behind"]),
        (&json!(receiver.address), &json!(["parks"]), &json!("ok"), &json!(0))
    );
    assert!(!list.to_string().contains(&secret) && !webhook(&["list"]).1.contains(&secret), "the secret is shown once");
    assert_eq!(webhook(&["test", "1"]).0, Some(0));
    assert_eq!(webhook(&["test", "1"]).0, Some(1), "404 is no success");
    let sent = receiver.all();
    assert_eq!((sent.len(), &sent[0].json()["type"]), (2, &json!("cn.sizhi.test")));
    sent[0].assert_signed(&secret);
    for (args, code, word) in [
        (vec!["add", "ftp://example.cn/"], 3, "webhook_address_invalid"),
        (vec!["add", "https://u:p@example.cn/"], 3, "webhook_address_invalid"),
        (vec!["add", "http://127.0.0.1:9/", "--layer", "nothing"], 1, "collection_not_found"),
        (vec!["add", "http://127.0.0.1:9/", "--secret", "short"], 3, "webhook_secret_short"),
        (vec!["test", "9"], 1, "webhook_not_found"),
        (vec!["remove", "9"], 1, "webhook_not_found"),
        (vec!["resume", "9"], 1, "webhook_not_found"),
    ] {
        let (status, text) = webhook(&args);
        assert_eq!((status, text.contains(word)), (Some(code), true), "{args:?}: {text}");
    }
    assert_eq!(webhook(&["remove", "1"]).0, Some(0));
    assert_eq!(webhook(&["list", "--json"]).1.trim(), "[]");
}
