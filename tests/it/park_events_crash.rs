//! kill -9 at many moments of a merger: the register is wholly before it or wholly after, and nothing acknowledged is lost.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::support::Database;
use crate::support::consolidation::{contents, merger, settle};
use crate::support::data_folder::kill;
use crate::support::process::{Service, json, status};

const KILLS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// Every row of every table that a merger touches; an event's id without the revision that it is named by.
async fn state(db: &Database) -> Vec<(&'static str, Vec<String>)> {
    let mut all = contents(db).await;
    for row in all.iter_mut().flat_map(|(_, rows)| rows) {
        while let Some(at) = row.find("-r") {
            let digits = row[at + 2..].bytes().take_while(u8::is_ascii_digit).count();
            row.replace_range(at..at + 2 + digits, "#");
        }
    }
    all
}

/// Waits until every session of the killed service has ended.
async fn ended(connection: &mut PgConnection) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'sizhi'
             AND state IS DISTINCT FROM 'idle'",
        )
        .fetch_one(&mut *connection)
        .await
        .expect("sessions");
        if others == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "sessions of a killed process live on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn merge(service: &Service, seen: i64) -> String {
    service.post("/api/park-events", "application/json", merger(seen).to_string().as_bytes())
}

fn undo(service: &Service, revision: i64) {
    let answer = service.post(&format!("/api/revisions/{revision}/undo"), "application/json", b"{}");
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_in_a_merger_has_written_all_of_it_or_nothing() {
    let db = Database::with_sample().await;
    settle(&db, "merge-crash").await;
    let url = db.url().await;
    let mut connection = PgConnection::connect(&url).await.expect("connection");
    let newest = "SELECT max(number) FROM revision";
    let before = state(&db).await;
    let mut service = Service::start(&url);
    // Twice: the first one of a connection takes longer than the others.
    let mut duration = Duration::MAX;
    let mut after = Vec::new();
    for _ in 0..2 {
        let begun = Instant::now();
        let answer = merge(&service, db.value(newest).await);
        assert_eq!(status(&answer), 201, "{answer}");
        duration = duration.min(begun.elapsed());
        after = state(&db).await;
        undo(&service, json(&answer)["revision"].as_i64().expect("revision"));
        assert_eq!(state(&db).await, before);
    }
    assert_ne!(before, after);
    let (mut not_yet, mut done, mut told) = (0, 0, 0);
    for nth in 1..=KILLS {
        let seen: i64 = db.value(newest).await;
        let answer = std::thread::scope(|scope| {
            let begun = Instant::now();
            let answer = scope.spawn(|| merge(&service, seen));
            // From the first twentieth of its time to a little beyond its end.
            let moment = begun + duration * nth / (KILLS - 2);
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            kill(service.child.id().cast_signed(), libc::SIGKILL);
            answer.join().expect("answered or cut")
        });
        service.kill();
        ended(&mut connection).await;
        let stands = state(&db).await;
        let is_after = stands == after;
        for ((table, stands), (before, after)) in stands.iter().zip(before.iter().zip(&after)) {
            let whole = if is_after { &after.1 } else { &before.1 };
            assert_eq!(stands, whole, "kill {nth}: {table} stands between");
        }
        let revision: i64 = db.value(newest).await;
        assert_eq!(revision, seen + i64::from(is_after), "kill {nth}: one revision or none");
        assert!(matches!(status(&answer), 0 | 201), "kill {nth}: {answer}");
        assert!(status(&answer) == 0 || is_after, "kill {nth}: acknowledged and lost");
        assert_eq!(db.audit().await, None, "kill {nth}");
        told += u32::from(status(&answer) == 201);
        (not_yet, done) = if is_after { (not_yet, done + 1) } else { (not_yet + 1, done) };
        service = Service::start(&url);
        if is_after {
            undo(&service, revision);
            assert_eq!(state(&db).await, before, "kill {nth}: undone as one");
        }
    }
    assert!(not_yet >= 5, "killed too late to be a test: {not_yet} before, {done} after, {told} told");
    let answer = merge(&service, db.value(newest).await);
    assert_eq!(status(&answer), 201, "a retry works: {answer}");
    assert_eq!(state(&db).await, after);
    assert_eq!(db.audit().await, None);
    eprintln!("{KILLS} kills within {duration:?}: {not_yet} before, {done} after, {told} of these told");
}
