//! Downloads of a whole ledger: every record comes, and the service holds none of it.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::process::{Service, status, wait_until};
use crate::support::{Database, TOKEN};

/// Peak resident memory of a process since it was last forgotten, in bytes.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

/// The peak is what is held now.
fn forget_peak(pid: u32) -> u64 {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("forgotten");
    peak(pid)
}

/// Counts a download while it comes: its bytes, and how often `needle` stands in it. It must have its last chunk.
fn flow(service: &Service, path: &str, needle: &[u8]) -> (usize, usize) {
    let mut stream = TcpStream::connect(&service.address).expect("connected");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut from = BufReader::new(stream);
    let head = head_of(&mut from);
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    let length: Option<usize> =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
    let (mut tail, mut found, mut size) = (Vec::new(), 0, 0);
    loop {
        // A file of a known size comes in one piece, a flowing one in chunks up to an empty one.
        let chunk: usize = match length {
            Some(length) if size == length => return (size, found),
            Some(length) => length.min(size + (1 << 16)) - size,
            None => usize::from_str_radix(line_of(&mut from).trim_end(), 16).expect("the size of a chunk"),
        };
        if chunk == 0 {
            return (size, found);
        }
        let begin = tail.len();
        tail.resize(begin + chunk, 0);
        from.read_exact(&mut tail[begin..]).expect("comes");
        if length.is_none() {
            assert_eq!(line_of(&mut from), "\r\n", "the end of a chunk");
        }
        size += chunk;
        let kept = tail.len().saturating_sub(needle.len() - 1);
        found += tail.windows(needle.len()).filter(|window| window == &needle).count();
        tail.drain(..kept);
    }
}

fn line_of(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line
}

fn head_of(from: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let line = line_of(from);
        assert!(!line.is_empty(), "{head}");
        head.push_str(&line);
    }
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_ledger_flows_out_in_flat_memory() {
    const MOST: u64 = 32 << 20;
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 30_000, &Silent).await.expect("drawn");
    let all: i64 = db.value("SELECT count(*) FROM turnover_parcel WHERE valid_to = 'infinity'").await;
    assert!(all > 20_000, "{all} parcels");
    let service = Service::start(&db.url().await);
    let pid = service.child.id();
    let items = "/api/collections/turnover_parcels/items";
    // Warm: the layers, code, pools and the first connections are there.
    wait_until("the layers are held", Duration::from_secs(60), || status(&service.get("/readyz")) == 200);
    for format in ["geojson", "csv", "ndjson", "xlsx"] {
        flow(&service, &format!("{items}?f={format}&limit=2000"), b"?");
    }
    let marks: [(&str, &[u8], u64); 4] = [
        // Once in each feature, once in each line, once in the list of the archive's entries and once before the entry.
        ("geojson", b"\"type\" : \"Feature\"", 3 * MOST / 2),
        ("ndjson", b"\"type\" : \"Feature\"", 3 * MOST / 2),
        ("csv", sample::PARCEL_SOURCE.as_bytes(), 0),
        ("xlsx", b"xl/worksheets/sheet1.xml", 0),
    ];
    for (format, mark, least) in marks {
        let before = forget_peak(pid);
        let (size, found) = flow(&service, &format!("{items}?f={format}"), mark);
        let growth = peak(pid).saturating_sub(before);
        eprintln!("{all} parcels as {format}: {size} bytes, peak {} MB higher", growth >> 20);
        // What is larger than the bound cannot have been held.
        assert!(size as u64 >= least, "{format}: {size} bytes are too few to tell");
        let expected = if format == "xlsx" { 2 } else { all };
        assert_eq!(i64::try_from(found).expect("many"), expected, "{format}");
        assert!(growth <= MOST, "{format}: {} MB more at the peak", growth >> 20);
    }
}
