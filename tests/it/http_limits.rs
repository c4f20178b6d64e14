//! Clients that are slow, silent, greedy or mad, against the real binary: each ends within its limit, others are served.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::process::{Service, json, status, wait_until};
use crate::support::{Database, TOKEN};

/// The limit for a request's head, and what a busy machine may add.
const HEAD_TIME: Duration = Duration::from_secs(5);
const BODY_TIME: Duration = Duration::from_secs(30);
const SLACK: Duration = Duration::from_secs(6);

async fn service() -> (Database, Service) {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    (db, service)
}

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(&service.address).expect("connected");
    stream.set_read_timeout(Some(BODY_TIME + SLACK + SLACK)).expect("timeout set");
    stream
}

/// Reads to the end of the connection: what came, and how long after `begun` it ended.
fn rest(stream: &mut TcpStream, begun: Instant) -> (String, Duration) {
    let mut bytes = Vec::new();
    let outcome = stream.read_to_end(&mut bytes);
    let timed_out =
        outcome.is_err_and(|e| matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    assert!(!timed_out, "the connection was never closed");
    (String::from_utf8_lossy(&bytes).into_owned(), begun.elapsed())
}

#[track_caller]
fn assert_alive(service: &Service) {
    let begun = Instant::now();
    let answer = service.get("/livez");
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(2), "/livez took {:?}", begun.elapsed());
}

#[track_caller]
fn assert_problem(answer: &str, expected: u16, code: &str) {
    assert_eq!(status(answer), expected, "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(json(answer)["code"], code, "{answer}");
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let (_db, service) = service().await;
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..20).map(|_| connect(&service)).collect();
    assert_alive(&service);
    for stream in &mut silent {
        let (answer, took) = rest(stream, begun);
        assert!(took < HEAD_TIME + SLACK, "{took:?}");
        assert!(matches!(status(&answer), 0 | 408), "{answer}");
    }
    assert_alive(&service);
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let (_db, service) = service().await;
    let begun = Instant::now();
    let mut stream = connect(&service);
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("timeout set");
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").expect("sent");
    let (mut answer, mut ended) = (Vec::new(), false);
    // A header every tenth of a second: each one is progress, all together is too slow.
    while !ended && begun.elapsed() < HEAD_TIME + SLACK {
        ended = stream.write_all(b"X-Slow: 1\r\n").is_err();
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) => ended = true,
            Ok(n) => answer.extend_from_slice(&bytes[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => ended = true,
        }
    }
    assert!(ended, "the connection was still open after {:?}", begun.elapsed());
    assert!(matches!(status(&String::from_utf8_lossy(&answer)), 0 | 408), "{}", String::from_utf8_lossy(&answer));
    assert_alive(&service);
}

#[tokio::test]
async fn a_dripping_upload_ends_with_408() {
    let (_db, service) = service().await;
    let begun = Instant::now();
    let mut stream = connect(&service);
    let head = format!(
        "POST /api/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"slow.txt\"\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut dripping = stream.try_clone().expect("stream");
    let drip = std::thread::spawn(move || {
        let patience = BODY_TIME + SLACK;
        while dripping.write_all(b"x").is_ok() && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (answer, took) = rest(&mut stream, begun);
    assert_problem(&answer, 408, "body_too_slow");
    assert!(took >= BODY_TIME && took < BODY_TIME + SLACK, "{took:?}");
    let _ = stream.shutdown(Shutdown::Both);
    drip.join().expect("dripped");
    assert_alive(&service);
}

#[tokio::test]
async fn readers_that_do_not_read_hold_up_neither_others_nor_the_end() {
    let (db, mut service) = service().await;
    let request =
        format!("GET /api/collections/divisions/items?limit=10000 HTTP/1.1\r\nHost: {}\r\n\r\n", service.address);
    let readers: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect(&service);
            // Ten answers are asked for and none is read: more than the buffers between us hold.
            stream.write_all(request.repeat(10).as_bytes()).expect("sent");
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_alive(&service);
    }
    let whole = json(&service.get("/api/collections/divisions/items?limit=10000"));
    assert_eq!(whole["numberReturned"], whole["numberMatched"], "others get theirs whole");
    let resident = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).expect("status");
    let kilobytes: u64 = resident
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .expect("resident");
    assert!(kilobytes < 512 * 1024, "{kilobytes} kB are held for readers that do not read");
    // SIGTERM: the drain has a limit, whoever does not read.
    let begun = Instant::now();
    crate::support::data_folder::kill(service.child.id().cast_signed(), libc::SIGTERM);
    wait_until("the end after SIGTERM", Duration::from_secs(10) + SLACK, || {
        service.child.try_wait().expect("waited").is_some()
    });
    assert!(begun.elapsed() < Duration::from_secs(10) + SLACK);
    drop(readers);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn heads_and_addresses_beyond_16_kb_are_refused() {
    let (_db, service) = service().await;
    let get = |line: &str, headers: &str| {
        service.raw(format!("GET {line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes())
    };
    let long = |n: usize| "a".repeat(n);
    assert_eq!(status(&get("/livez", &format!("X-Long: {}\r\n", long(15_000)))), 200);
    assert_problem(&get("/livez", &format!("X-Long: {}\r\n", long(17_000))), 431, "head_too_large");
    let many: String = (0..90).map(|n| format!("X-{n}: {}\r\n", long(200))).collect();
    assert_problem(&get("/livez", &many), 431, "head_too_large");
    assert_problem(&get(&format!("/api/parks?q={}", long(17_000)), ""), 414, "head_too_large");
    assert_problem(&get(&format!("/{}", long(17_000)), ""), 414, "head_too_large");
    // More headers, or more bytes, than the parser takes at all: still a refusal, and no 5xx.
    let crowd: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    for answer in [get("/livez", &crowd), get("/livez", &format!("X-Long: {}\r\n", long(400_000)))] {
        assert!(matches!(status(&answer), 0 | 400 | 431), "{answer}");
    }
    assert_alive(&service);
}

#[tokio::test]
async fn garbage_is_refused_and_the_connection_ends() {
    let (_db, service) = service().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api/imports HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/imports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked, x\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\u{5712}\u{533a} HTTP/1.1\r\nHost: \u{5712}\r\n\r\n".as_bytes(),
    ] {
        let begun = Instant::now();
        let mut stream = connect(&service);
        stream.write_all(garbage).expect("sent");
        // No more is coming, so nothing may be waited for.
        stream.shutdown(Shutdown::Write).expect("half closed");
        let (answer, took) = rest(&mut stream, begun);
        let shown = String::from_utf8_lossy(garbage);
        assert!(matches!(status(&answer), 0 | 400..=499), "{shown:?}: {answer}");
        assert!(took < HEAD_TIME + SLACK, "{shown:?}: {took:?}");
    }
    assert_alive(&service);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_db, service) = service().await;
    wait_until("readiness", Duration::from_secs(10), || status(&service.get("/readyz")) == 200);
    let paths = ["/livez", "/nowhere", "/api/parks/G431176", "/readyz"];
    let mut requests = String::new();
    for (at, path) in paths.iter().enumerate() {
        let close = if at + 1 == paths.len() { "Connection: close\r\n" } else { "" };
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n"));
    }
    let answer = service.raw(requests.as_bytes());
    let statuses: Vec<u16> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| status(&answer[at..])).collect();
    assert_eq!(statuses, [200, 404, 200, 200], "{answer}");
    let places: Vec<Option<usize>> =
        ["\"alive\"", "address_not_found", "\"code\":\"G431176\"", "\"ready\""].map(|text| answer.find(text)).to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {answer}");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let (_db, service) = service().await;
    let begun = Instant::now();
    let answer = service.raw(b"GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("{\"status\":\"alive\"}"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(3), "closed without being asked: {:?}", begun.elapsed());
    // A body that 1.0 cannot have chunked is delimited by its length or by the end.
    let answer = service.raw(b"GET /api/collections/parks/items?limit=1000 HTTP/1.0\r\n\r\n");
    assert_eq!(json(&answer)["numberReturned"], 129);
}

#[tokio::test]
async fn two_hundred_clients_at_once_are_all_answered() {
    let (_db, service) = service().await;
    let begun = Instant::now();
    let statuses: Vec<(u16, u16)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..200)
            .map(|n| {
                let path = if n % 2 == 0 { "/api/collections/park_blocks/items?limit=50" } else { "/api/parks" };
                scope.spawn(|| (status(&service.get(path)), status(&service.get("/livez"))))
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("client")).collect()
    });
    assert_eq!(statuses.len(), 200);
    // Where the database has more to do than a client may wait for, it is told so: never nothing, never a 500.
    assert!(statuses.iter().all(|(status, alive)| matches!(status, 200 | 503) && *alive == 200), "{statuses:?}");
    let served = statuses.iter().filter(|(status, _)| *status == 200).count();
    assert!(served >= 100, "only {served} of 200 were served in {:?}", begun.elapsed());
    // They may have come while the layers were still being read.
    wait_until("ready", Duration::from_secs(60), || status(&service.get("/readyz")) == 200);
    assert_alive(&service);
}
