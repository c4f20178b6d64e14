//! Import over the sample inventory: all or nothing, the second time nothing, undo, and two writers at once.

use std::path::PathBuf;

use sizhi::domain::ParkCode;
use sizhi::domain::access::Viewer;
use sizhi::domain::export::TextEncoding;
use sizhi::inventory::import::{self, ImportRequest};
use sizhi::store;
use sqlx::Connection;

use crate::support::exports;
use crate::support::files::{square, txt, write};
use crate::support::{Database, codes, import_request};

pub const PARK: &str = "G431176";
const OTHER_PARK: &str = "G431033";

/// Every block with everything in it, in one number.
const DIGEST: &str = "SELECT md5(string_agg(concat_ws('|', id, park_code, number, name, encode(ST_AsEWKB(geom), 'hex'), area_m2,
    stated_area_ha, east, south, west, north, four_extents, illustrative, source, source_crs, attributes, valid_from, valid_to),
    E'\\n' ORDER BY id, valid_from)) FROM park_block";

/// Sets the park of every record.
pub fn into(park: &str) -> impl FnOnce(&mut ImportRequest) + use<> {
    let park = ParkCode::parse(park).expect("a code");
    |request| request.park = Some(park)
}

/// A request for `stage`.
fn request(path: &std::path::Path, park: &str) -> ImportRequest {
    let mut request = import_request(path);
    into(park)(&mut request);
    request
}

/// Blocks, revisions, batches.
pub async fn stock(db: &Database) -> (i64, i64, i64) {
    (
        db.value("SELECT count(*) FROM park_block").await,
        db.value("SELECT count(*) FROM revision").await,
        db.value("SELECT count(*) FROM import_batch").await,
    )
}

/// Squares of 4 ha side by side with a gap, named A, B, C …; all sound.
fn row_of_squares(file: &str, count: u8) -> PathBuf {
    let parcels: Vec<(String, Vec<(f64, f64)>)> = (0..count)
        .map(|i| (char::from(b'A' + i).to_string(), square(3_123_400.0, 38_435_200.0 + 250.0 * f64::from(i), 200.0)))
        .collect();
    let parcels: Vec<(&str, Vec<(f64, f64)>, f64)> =
        parcels.iter().map(|(n, s)| (n.as_str(), s.clone(), 4.0)).collect();
    write(file, txt(&parcels))
}

#[tokio::test]
async fn one_bad_parcel_keeps_the_whole_file_out() {
    let db = Database::with_sample().await;
    let before = (stock(&db).await, db.value::<String>(DIGEST).await);
    let s = square(3_123_400.0, 38_436_000.0, 200.0);
    let bow_tie = vec![s[0], s[2], s[1], s[3]];
    let file = write(
        "one_bad.txt",
        txt(&[
            ("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("B", bow_tie, 4.0),
            ("C", square(3_123_400.0, 38_436_500.0, 200.0), 4.0),
        ]),
    );
    let imported = db.import(&file, into(PARK)).await.expect("judged");
    assert_eq!(imported.report.status.as_str(), "refused");
    assert_eq!((imported.batch, imported.revision, imported.report.counts), (None, None, None));
    let fault = imported.report.findings.iter().find(|f| f.code == "ring_self_intersection").expect("named");
    // Eight lines of head, a parcel line and five points of A; the first edge of B crosses its third.
    assert_eq!((fault.place.row, fault.place.ring, fault.place.vertex), (Some(15), Some(1), Some(1)));
    assert_eq!((stock(&db).await, db.value::<String>(DIGEST).await), before);
}

#[tokio::test]
async fn the_same_file_a_second_time_changes_nothing() {
    let db = Database::with_sample().await;
    let file = row_of_squares("twice.txt", 3);
    let first = db.import(&file, into(PARK)).await.expect("imported");
    let counts = first.report.counts.expect("counted");
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (3, 0, 0));
    let digest = db.value::<String>(DIGEST).await;
    let second = db.import(&file, into(PARK)).await.expect("imported");
    let counts = second.report.counts.expect("counted");
    assert_eq!((second.report.status.as_str(), second.revision), ("unchanged", None));
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (0, 0, 3));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
    assert_eq!(db.value::<String>(DIGEST).await, digest);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn a_moved_boundary_updates_one_block_and_a_new_one_is_added() {
    let db = Database::with_sample().await;
    db.import(&row_of_squares("before.txt", 3), into(PARK)).await.expect("imported");
    let changed = write(
        "after.txt",
        txt(&[
            ("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0),
            ("B", square(3_123_400.0, 38_435_450.0, 180.0), 3.24),
            ("C", square(3_123_400.0, 38_435_700.0, 200.0), 4.0),
            ("D", square(3_123_400.0, 38_435_950.0, 200.0), 4.0),
        ]),
    );
    let dry = db.dry_run(&changed, into(PARK)).await.expect("judged");
    let imported = db.import(&changed, into(PARK)).await.expect("imported");
    for counts in [dry.report.counts, imported.report.counts] {
        let counts = counts.expect("counted");
        assert_eq!((counts.inserted, counts.updated, counts.unchanged), (1, 1, 2));
    }
    let revision = imported.revision.expect("a revision");
    let logged: Vec<(String, String)> =
        sqlx::query_as("SELECT operation, feature_id FROM change WHERE revision = $1 ORDER BY 2")
            .bind(revision)
            .fetch_all(&db.pool)
            .await
            .expect("log");
    assert_eq!(logged, [("update".into(), "G431176-B".into()), ("insert".into(), "G431176-D".into())]);
    let worst: f64 = db
        .value("SELECT max(abs(area_m2 / ST_Area(geom::geography) - 1)) FROM park_block WHERE NOT illustrative")
        .await;
    assert!(worst < 1e-7, "stored areas against PostGIS: {worst:e}");
    let hectares: f64 = db.value("SELECT stated_area_ha::float8 FROM park_block WHERE id = 'G431176-B'").await;
    assert_eq!(hectares, 3.24);
}

#[tokio::test]
async fn surveyed_blocks_replace_the_drawn_ones_of_their_park_only() {
    let db = Database::with_sample().await;
    let drawn: i64 = db.value("SELECT count(*) FROM park_block WHERE illustrative AND park_code = 'G431176'").await;
    let others: i64 = db.value("SELECT count(*) FROM park_block WHERE illustrative AND park_code <> 'G431176'").await;
    assert!(drawn > 0 && others > 0);
    let file = row_of_squares("surveyed.txt", 2);
    let dry = db.dry_run(&file, into(PARK)).await.expect("judged");
    let told = dry.report.findings.iter().find(|f| f.code == "illustrative_replaced").expect("told");
    assert!(told.message.contains(&format!("{drawn} 个示意区块")) && told.message.contains(PARK), "{}", told.message);
    db.import(&file, into(PARK)).await.expect("imported");
    let left: i64 = db.value("SELECT count(*) FROM park_block WHERE illustrative AND park_code = 'G431176'").await;
    assert_eq!(left, 0);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT illustrative").await, 2);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM park_block WHERE illustrative AND park_code <> 'G431176'").await,
        others
    );
    let again = db.import(&file, into(PARK)).await.expect("imported");
    assert!(!codes(&again).contains(&"illustrative_replaced".to_owned()), "nothing drawn is left to replace");
}

#[tokio::test]
async fn undo_restores_what_stood_byte_for_byte() {
    let db = Database::with_sample().await;
    let before = db.value::<String>(DIGEST).await;
    let imported = db.import(&row_of_squares("undone.txt", 3), into(PARK)).await.expect("imported");
    assert_ne!(db.value::<String>(DIGEST).await, before);
    let batch = imported.batch.expect("a batch");
    let undone = import::undo(&db.pool, batch, &Viewer::operator("clerk")).await.expect("undone");
    assert_eq!((undone["status"].as_str(), undone["undone_revision"].as_i64()), (Some("undone"), Some(3)));
    assert_eq!(db.value::<String>(DIGEST).await, before);
    assert_eq!(db.audit().await, None);
    let twice = import::undo(&db.pool, batch, &Viewer::operator("clerk")).await.expect_err("undone already");
    assert_eq!(twice.code(), "import_status");
}

#[tokio::test]
async fn undo_is_refused_while_a_later_import_stands_on_the_rows() {
    let db = Database::with_sample().await;
    let first = db.import(&row_of_squares("first.txt", 2), into(PARK)).await.expect("imported").batch.expect("batch");
    let moved = write("second.txt", txt(&[("A", square(3_123_410.0, 38_435_200.0, 200.0), 4.0)]));
    let second = db.import(&moved, into(PARK)).await.expect("imported").batch.expect("batch");
    let digest = db.value::<String>(DIGEST).await;
    let refused = import::undo(&db.pool, first, &Viewer::operator("clerk")).await.expect_err("stood upon");
    assert_eq!(refused.code(), "undo_conflict");
    assert!(refused.findings()[0].message.contains("G431176-A"), "{:?}", refused.findings());
    assert_eq!(db.value::<String>(DIGEST).await, digest);
    import::undo(&db.pool, second, &Viewer::operator("clerk")).await.expect("the newer first");
    import::undo(&db.pool, first, &Viewer::operator("clerk")).await.expect("then the older");
}

#[tokio::test]
async fn a_staged_import_is_judged_again_when_committed() {
    let db = Database::with_sample().await;
    let a = write("staged_a.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    let b = write("staged_b.txt", txt(&[("B", square(3_123_400.0, 38_435_300.0, 200.0), 4.0)]));
    let a = import::stage(&db.pool, &request(&a, PARK)).await.expect("staged");
    let b = import::stage(&db.pool, &request(&b, OTHER_PARK)).await.expect("staged");
    assert_eq!((a.report["status"].as_str(), b.report["status"].as_str()), (Some("ready"), Some("ready")));
    import::commit(&db.pool, b.id, &Viewer::operator("clerk")).await.expect("the first to commit");
    let digest = db.value::<String>(DIGEST).await;
    let refused = import::commit(&db.pool, a.id, &Viewer::operator("clerk")).await.expect_err("overlaps B by now");
    assert_eq!(refused.code(), "import_refused_now");
    let found: Vec<&str> =
        refused.findings().iter().map(|f| f.code.as_ref()).filter(|c| c.starts_with("overlap")).collect();
    assert_eq!(found, ["overlap_with_register"]);
    assert_eq!(db.value::<String>(DIGEST).await, digest);
    assert_eq!(
        db.value::<String>("SELECT string_agg(status, ' ' ORDER BY id) FROM import_batch").await,
        "checked committed"
    );
}

/// Both imports are judged while a third writer holds the lock, so both judge a register without the other.
#[tokio::test]
async fn of_two_overlapping_imports_at_once_exactly_one_is_written() {
    let db = Database::with_sample().await;
    let a = write("race_a.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    let b = write("race_b.txt", txt(&[("B", square(3_123_400.0, 38_435_300.0, 200.0), 4.0)]));
    let mut holder = db.pool.acquire().await.expect("connection");
    let mut held = holder.begin().await.expect("transaction");
    store::revision::lock(&mut held).await.expect("lock");
    let release = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let both_wait = async {
            while db.value::<i64>(waiting).await < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), both_wait).await.expect("both wait for the lock");
        held.rollback().await.expect("released");
    };
    let (a, b, ()) = tokio::join!(db.import(&a, into(PARK)), db.import(&b, into(OTHER_PARK)), release);
    let mut written = 0;
    for outcome in [a, b] {
        match outcome {
            Ok(imported) => written += usize::from(imported.revision.is_some()),
            Err(error) => {
                assert_eq!(error.code(), "import_refused_now");
                assert_eq!(error.findings()[0].code, "overlap_with_register");
            }
        }
    }
    assert_eq!(written, 1);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT illustrative").await, 1);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 2);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM import_batch").await, 1);
}

#[tokio::test]
async fn a_drawn_block_stays_drawn_through_every_format() {
    let db = Database::with_sample().await;
    let drawn: i64 = db.value("SELECT count(*) FROM park_block WHERE park_code = 'G431176'").await;
    for format in ["txt", "geojson", "ndjson", "shp", "gpkg", "fgb"] {
        let (bytes, count) = exports::made(&db, exports::of_park(exports::of(format), PARK)).await;
        assert_eq!(i64::try_from(count).expect("few"), drawn, "{format}");
        let ending = if format == "shp" { "zip" } else { format };
        let file = write(&format!("drawn_{format}.{ending}"), bytes);
        let imported = db.import(&file, into(PARK)).await.expect("imported");
        assert!(!imported.report.has_errors(), "{format}: {:?}", imported.report.findings);
        assert!(codes(&imported).contains(&"illustrative_import".to_owned()), "{format}");
        let still: i64 = db
            .value(
                "SELECT count(*) FROM park_block WHERE illustrative AND source LIKE '%示意%' AND park_code = 'G431176'",
            )
            .await;
        assert_eq!(still, drawn, "{format}");
        assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT illustrative").await, 0, "{format}");
    }
    let file = write("drawn_again.txt", {
        let mut drawn = exports::of_park(exports::of("txt"), PARK);
        drawn.options.encoding = Some(TextEncoding::Gbk);
        exports::bytes_of(&db, drawn).await
    });
    db.import(&row_of_squares("real.txt", 1), into(PARK)).await.expect("imported");
    let refused = db.import(&file, into(PARK)).await.expect("judged");
    assert_eq!(refused.report.status.as_str(), "refused");
    assert!(
        codes(&refused).contains(&"illustrative_over_real".to_owned()),
        "drawn must not take a surveyed block's place"
    );
}
