//! What the database and the real binary make of attachments: who sees them, who may touch them, and what of a content that is not what it was.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use actix_web::http::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::attachments::with_records;
use crate::support::http::{authorised, call, get_authorised, upload};
use crate::support::process::{Service, run, sizhi};
use crate::support::{Database, TOKEN, images};

const FILES: &str = "/api/collections/turnover_parcels/items/430121-001/attachments";

async fn attach(db: &Database, number: u8) {
    let answer =
        call(db, upload(FILES, &[("kind", "photo")], &format!("{number}.jpg"), &images::jpeg_of(number))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn count(session: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(session).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// What PostgreSQL says of a statement that it refuses.
async fn refusal(session: &mut PgConnection, sql: &str) -> String {
    let refused = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(session).await.expect_err(sql);
    refused.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned()
}

#[tokio::test]
async fn a_session_sees_the_rows_and_the_bytes_of_its_own_county() {
    let db = with_records().await;
    attach(&db, 1).await;
    let mut session = db.application.acquire().await.expect("connection").detach();
    for (jurisdiction, seen) in
        [(None, 0), (Some(""), 0), (Some("4302"), 0), (Some("430121"), 1), (Some("43"), 1), (Some("*"), 1)]
    {
        if let Some(jurisdiction) = jurisdiction {
            sqlx::query("SELECT set_config('sizhi.jurisdiction', $1, false)")
                .bind(jurisdiction)
                .execute(&mut session)
                .await
                .expect("set");
        }
        sqlx::query("SELECT set_config('sizhi.as_of', '1000000', false)").execute(&mut session).await.expect("set");
        for sql in [
            "SELECT count(*) FROM attachment",
            "SELECT count(*) FROM attachment_content",
            "SELECT count(*) FROM as_of.attachment",
            "SELECT count(*) FROM change WHERE layer = 'attachment'",
        ] {
            assert_eq!(count(&mut session, sql).await, seen, "{sql} for {jurisdiction:?}");
        }
    }
    // Before it was there, it was not there.
    let before = "SELECT count(*) FROM as_of.attachment WHERE set_config('sizhi.as_of', '1', false) IS NOT NULL";
    sqlx::query("SELECT set_config('sizhi.as_of', '1', false)").execute(&mut session).await.expect("set");
    assert_eq!(count(&mut session, before).await, 0);
}

#[tokio::test]
async fn content_is_only_added() {
    let db = with_records().await;
    attach(&db, 1).await;
    let mut session = db.application.acquire().await.expect("connection").detach();
    sqlx::query("SELECT set_config('sizhi.jurisdiction', '*', false)").execute(&mut session).await.expect("set");
    for sql in
        ["UPDATE attachment_content SET bytes = 'x'", "DELETE FROM attachment_content", "TRUNCATE attachment_content"]
    {
        assert_eq!(refusal(&mut session, sql).await, "42501", "the service: {sql}");
        let mut owner = db.pool.acquire().await.expect("connection");
        assert_eq!(refusal(&mut owner, sql).await, "42501", "the owner, by the trigger: {sql}");
    }
    sqlx::query("SELECT set_config('sizhi.jurisdiction', '4302', false)").execute(&mut session).await.expect("set");
    let insert = "INSERT INTO attachment_content VALUES ('430121', repeat('a', 64), 0, 'x')";
    assert_eq!(refusal(&mut session, insert).await, "42501", "another county's");
    let unlogged = "INSERT INTO attachment (ledger, record_id, ordinal, county_code, kind, file_name, media_type, size_bytes, sha256, added_revision)
                    VALUES ('turnover_parcel', 'x', 1, '430202', 'photo', 'a', 'image/jpeg', 1, repeat('a', 64), 1)";
    assert_eq!(refusal(&mut session, unlogged).await, "25000", "no row without a revision");
    assert_eq!(db.audit().await, None);
}

async fn tamper(db: &Database, sql: &str) {
    let mut superuser = db.superuser().await;
    let sql = format!("SET session_replication_role = replica; {sql}");
    sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut superuser).await.expect(&sql);
}

#[actix_web::test]
async fn a_content_that_was_altered_is_named_and_never_sent() {
    let db = with_records().await;
    for number in 1..=3 {
        attach(&db, number).await;
    }
    let first: i64 = db.value("SELECT min(added_revision) FROM attachment").await;
    let of = |number: u8| format!("sha256 = '{}'", images::sha256sum(&images::jpeg_of(number)));
    tamper(
        &db,
        &format!(
            "UPDATE attachment_content SET bytes = set_byte(bytes, 100, (get_byte(bytes, 100) + 1) % 256) WHERE {}",
            of(2)
        ),
    )
    .await;
    tamper(&db, &format!("DELETE FROM attachment_content WHERE {}", of(3))).await;
    let mut command = sizhi(&["audit", "verify", "--json"]);
    command.env("DATABASE_URL", db.url().await);
    let output = run(command, b"");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bad = |number: i64, what: &str, sentence: &str| {
        json!({
            "revision": first + number - 1, "ordinal": null, "layer": "attachment", "feature_id": format!("turnover_parcel@430121-001@{number}"),
            "what": what, "message": format!("修订 {}，attachment 的 turnover_parcel@430121-001@{number}：{sentence}", first + number - 1),
        })
    };
    let altered = bad(2, "content_altered", "附件的内容与登记时的校验值（SHA-256）不符");
    assert_eq!((output.status.code(), &told["ok"], &told["contents"]), (Some(1), &json!(false), &json!(3)));
    assert_eq!(told["first_bad"], altered);
    assert_eq!(told["broken_contents"], json!([altered, bad(3, "content_missing", "附件的内容缺失")]));
    let mut command = sizhi(&["audit", "verify"]);
    command.env("DATABASE_URL", db.url().await);
    let lines = String::from_utf8(run(command, b"").stdout).expect("text");
    assert_eq!(lines.lines().count(), 2, "each is named: {lines}");
    for number in [2, 3] {
        let refused = get_authorised(&db, &format!("{FILES}/{number}")).await;
        let problem = refused.assert_problem(500, "attachment_damaged");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("校验值")), "{problem}");
    }
    assert_eq!(
        get_authorised(&db, &format!("{FILES}/1")).await.body,
        images::jpeg_of(1),
        "the others come as they were"
    );
    // Who has the file still puts back what is gone, wherever in the county it is attached.
    let elsewhere = FILES.replace("turnover", "low_efficiency");
    let again = call(&db, upload(&elsewhere, &[("kind", "photo")], "3.jpg", &images::jpeg_of(3))).await;
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(get_authorised(&db, &format!("{FILES}/3")).await.body, images::jpeg_of(3));
    assert_eq!(db.audit().await.and_then(|bad| bad.feature_id).as_deref(), Some("turnover_parcel@430121-001@2"));
}

/// Somebody with the service's connection lays other bytes where a file will look for its own.
#[actix_web::test]
async fn content_that_stands_already_is_read_back_before_it_is_believed() {
    let db = with_records().await;
    let before = db.value::<i64>("SELECT max(number) FROM revision").await;
    // In the place of its first part, and behind its last.
    for (number, part) in [(1, 0), (2, 1)] {
        let bytes = images::jpeg_of(number);
        sqlx::query("INSERT INTO attachment_content VALUES ('430121', $1, $2, 'planted')")
            .bind(images::sha256sum(&bytes))
            .bind(part)
            .execute(&db.pool)
            .await
            .expect("planted");
        let answer = call(&db, upload(FILES, &[("kind", "photo")], "a.jpg", &bytes)).await;
        answer.assert_problem(500, "attachment_damaged");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM attachment").await, 0);
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before);
    assert_eq!(db.audit().await, None, "nobody's content is nobody's fault");
}

/// A connection of its own: `extra` headers and body; gives head and body.
fn exchange(address: &str, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("timeout set");
    let head = format!("{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n");
    let typed = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n", body.len())
    };
    stream.write_all(format!("{head}{typed}\r\n").as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

fn form(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nphoto\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat()
}

#[test]
fn people_who_attach_at_once_get_a_number_each_and_a_file_its_place_once() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let (db, url) = runtime.block_on(async {
        let db = with_records().await;
        let url = db.url().await;
        (db, url)
    });
    let service = Service::start(&url);
    let files: Vec<(String, Vec<u8>)> = (0..8_u8).map(|n| (format!("{n}.jpg"), images::jpeg_of(n % 4))).collect();
    let statuses: Vec<String> = std::thread::scope(|scope| {
        let sent: Vec<_> = files
            .iter()
            .map(|(name, bytes)| {
                scope.spawn(|| exchange(&service.address, &format!("POST {FILES}"), &form(name, bytes)).0)
            })
            .collect();
        sent.into_iter()
            .map(|one| one.join().expect("answered").split(' ').nth(1).expect("status").to_owned())
            .collect()
    });
    let of = |status: &str| statuses.iter().filter(|s| *s == status).count();
    assert_eq!((of("201"), of("409")), (4, 4), "each file came twice: {statuses:?}");
    runtime.block_on(async {
        let ordinals: Vec<i32> = db.column("SELECT ordinal FROM attachment ORDER BY 1").await;
        assert_eq!(ordinals, [1, 2, 3, 4]);
        assert_eq!(db.value::<i64>("SELECT count(*) FROM attachment_content").await, 4);
        assert_eq!(db.audit().await, None);
    });
}

/// Resident memory at its highest so far, in MB.
fn peak_mb(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") / 1024
}

#[test]
fn a_large_file_goes_through_in_parts() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let (db, url) = runtime.block_on(async {
        let db = with_records().await;
        let url = db.url().await;
        (db, url)
    });
    let mut command = sizhi(&["serve", "--port", "0", "--attachment-max-mb", "45"]);
    let service = Service::start_with(command.env("DATABASE_URL", &url).env("SIZHI_ADMIN_TOKEN", TOKEN));
    // A small one first: what is taken once and kept is not the large one's.
    assert!(exchange(&service.address, &format!("POST {FILES}"), &form("a.jpg", &images::jpeg())).0.contains("201"));
    let before = peak_mb(&service);
    let large = [images::jpeg_of(9), vec![0x5A; 45 * 1024 * 1024 - 10_000]].concat();
    let (head, body) = exchange(&service.address, &format!("POST {FILES}"), &form("b.jpg", &large));
    assert!(head.contains(" 201 "), "{head} {}", String::from_utf8_lossy(&body));
    let (head, body) = exchange(&service.address, &format!("GET {FILES}/2"), b"");
    assert!(head.contains(" 200 ") && head.contains(&format!("content-length: {}", large.len())), "{head}");
    assert!(body == large, "{} of {} bytes", body.len(), large.len());
    let after = peak_mb(&service);
    assert!(after < before + 30, "{before} MB grew to {after} MB");
    let (head, body) = exchange(&service.address, &format!("HEAD {FILES}/2"), b"");
    assert!(
        head.contains(" 200 ") && head.contains(&format!("content-length: {}", large.len())) && body.is_empty(),
        "{head}"
    );
    let (head, _) = exchange(
        &service.address,
        &format!("POST {FILES}"),
        &form("c.jpg", &[large.as_slice(), &[0; 10_001]].concat()),
    );
    assert!(head.contains(" 413 "), "{head}");
    drop(service);
    runtime.block_on(async {
        let (rows, parts): (i64, i64) =
            sqlx::query_as("SELECT count(DISTINCT sha256), count(*) FROM attachment_content")
                .fetch_one(&db.pool)
                .await
                .expect("counts");
        assert_eq!((rows, parts), (2, 46));
        assert_eq!(db.audit().await, None);
    });
}

#[actix_web::test]
async fn the_default_limit_is_the_one_that_is_written_down() {
    let output = run(sizhi(&["serve", "--help"]), b"");
    let help = String::from_utf8(output.stdout).expect("text");
    let at = help.find("SIZHI_ATTACHMENT_MAX_MB").expect("the setting");
    assert!(help[at..].contains("[default: 20]"), "{help}");
    let page = std::fs::read_to_string(crate::support::root().join("docs/operations.md")).expect("page");
    assert!(page.contains("| `--attachment-max-mb N` | `SIZHI_ATTACHMENT_MAX_MB` | `20` |"));
    let db = with_records().await;
    let answer = call(&db, authorised(Method::GET, FILES)).await;
    assert_eq!(answer.json()["numberReturned"], 0);
}
