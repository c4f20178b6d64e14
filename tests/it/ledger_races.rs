//! Several people at one record at once: of two who decided on one version one wins, and no edit is lost under another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sizhi::domain::Ledger;
use sizhi::domain::access::Viewer;
use sizhi::error::Error;
use sizhi::inventory::ledgers::{Deed, MoveRequest, transition};
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::store::ledgers::find_state;

use crate::support::Database;

/// Eight writers; 2,000 operations, or as many as `SIZHI_OPERATIONS` says.
#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_lose_no_move() {
    let operations: u64 = std::env::var("SIZHI_OPERATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 60, &Silent).await.expect("drawn");
    let ids: Vec<String> = db
        .column("SELECT id FROM turnover_parcel WHERE state IN ('approved', 'acquired', 'serviced', 'listed') ORDER BY id LIMIT 5")
        .await;
    assert_eq!(ids.len(), 5);
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    let (tried, won, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let writers = (0..8).map(|writer| {
        let (pool, ids) = (db.pool.clone(), ids.clone());
        let (tried, won, lost) = (Arc::clone(&tried), Arc::clone(&won), Arc::clone(&lost));
        tokio::spawn(async move {
            let viewer = Viewer::operator(&format!("writer:{writer}"));
            let mut at = writer;
            while tried.fetch_add(1, Ordering::Relaxed) < operations {
                at += 1;
                let id = &ids[at % ids.len()];
                let standing = find_state(&mut pool.acquire().await.expect("connection"), Ledger::Turnover, id)
                    .await
                    .expect("looked")
                    .expect("stands");
                // Frozen and back again: each is allowed from the other alone.
                let to =
                    if standing.state == "frozen" { standing.held.clone().expect("held") } else { "frozen".to_owned() };
                let deed = Deed {
                    viewer: &viewer,
                    version: Some(standing.revision),
                    key: None,
                    source: "test".to_owned(),
                    today: "2026-11-26".parse().expect("day"),
                    joined: None,
                };
                let wanted =
                    MoveRequest { to, effective_on: None, document_no: None, reason: Some(format!("{writer}")) };
                match transition(&pool, &deed, Ledger::Turnover, id, &wanted).await {
                    Ok(done) => {
                        assert!(done.revision.is_some());
                        won.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(Error::Stale { .. }) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("writer");
    }
    let (won, lost) = (won.load(Ordering::Relaxed) as i64, lost.load(Ordering::Relaxed));
    eprintln!("{operations} operations: {won} won, {lost} lost");
    assert!(lost > 0, "nobody met anybody");
    assert!(won > 0, "nobody got through");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_transition").await, won);
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before + won);
    // Every move goes on from the one before it, and the record stands where the last one led.
    let broken: i64 = db
        .value(
            "SELECT count(*) FROM (SELECT from_state, lag(to_state) OVER (PARTITION BY record_id ORDER BY ordinal) AS before FROM parcel_transition) t
             WHERE before IS NOT NULL AND before <> from_state",
        )
        .await;
    let astray: i64 = db
        .value(
            "SELECT count(*) FROM (SELECT DISTINCT ON (record_id) record_id, to_state FROM parcel_transition ORDER BY record_id, ordinal DESC) t
             JOIN turnover_parcel p ON p.id = t.record_id AND p.valid_to = 'infinity' WHERE p.state <> t.to_state",
        )
        .await;
    assert_eq!((broken, astray), (0, 0));
    assert_eq!(db.audit().await, None);
}
