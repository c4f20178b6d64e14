//! Random edits of parks and blocks, imports and undos, through the public functions: histories to be judged.

use std::sync::atomic::{AtomicU32, Ordering};

use sizhi::domain::ParkCode;
use sizhi::error::Error;
use sizhi::inventory::import;
use sizhi::store::{self, revision};
use sqlx::AssertSqlSafe;

use super::{Database, files};

/// A small generator, so that a failing run can be had again by its seed.
pub struct Dice(pub u64);

impl Dice {
    /// The seed of this run: `SIZHI_TEST_SEED`, else a new one; printed, so that a failing run can be had again.
    pub fn of_this_run(what: &str) -> Self {
        let given = std::env::var("SIZHI_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            now.as_micros() as u64
        });
        eprintln!("{what}: SIZHI_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.roll(list.len() as u64) as usize]
    }
}

/// Places for new squares, far enough apart that none overlaps another.
static NEXT_PLACE: AtomicU32 = AtomicU32::new(0);

/// Days on which lives end and begin; the register's own begin earlier or never.
pub const DAYS: [&str; 4] = ["2019-01-01", "2020-06-30", "2022-03-15", "2024-12-31"];

/// What an edit was, for counting that a history has all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rename,
    Move,
    EndOfLife,
    Remove,
    Import,
    Undo,
    Division,
    /// Nothing was written: the register refused it.
    Refused,
}

/// A random edit of a park of `parks`; every one of them is one revision or none.
pub async fn edit(db: &Database, dice: &mut Dice, parks: &[String]) -> Kind {
    let park = dice.pick(parks).clone();
    let nudge = dice.roll(9) as f64 * 1e-5 + 1e-5;
    let name = format!("名{}", dice.roll(1_000_000));
    let a_block = format!(
        "(SELECT id FROM park_block WHERE park_code = '{park}' AND valid_to = 'infinity' ORDER BY md5(id || '{name}') LIMIT 1)"
    );
    match dice.roll(20) {
        0..5 => write(db, Kind::Rename, format!("UPDATE park SET name = '{name}' WHERE code = '{park}'")).await,
        5..10 => {
            let sql = format!(
                "UPDATE park_block SET geom = ST_Translate(geom, {nudge}, 0), name = '{name}', area_m2 = area_m2 + 1.25
                 WHERE valid_to = 'infinity' AND id = {a_block}"
            );
            write(db, Kind::Move, sql).await
        }
        10..13 => end_of_life(db, dice, &park, &name).await,
        13 => write(db, Kind::Remove, format!("DELETE FROM park_block WHERE id = {a_block}")).await,
        14 => {
            let sql = format!(
                "UPDATE division SET name = '{name}' WHERE code = (SELECT prefecture_code FROM park WHERE code = '{park}')"
            );
            write(db, Kind::Division, sql).await
        }
        15..18 => import_one(db, dice, &park).await,
        _ => undo_one(db, dice).await,
    }
}

async fn write(db: &Database, kind: Kind, sql: String) -> Kind {
    let mut transaction = store::begin_write(&db.pool).await.expect("transaction");
    revision::open(&mut transaction, "test", "随机修改", "").await.expect("revision");
    match sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *transaction).await {
        Ok(_) => transaction.commit().await.expect("committed"),
        Err(error) => {
            // Two lives that would overlap: refused by the register, as they should be.
            let state = error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
            assert!(matches!(state.as_str(), "23P01" | "23505" | "23514"), "{sql}: {error}");
            transaction.rollback().await.expect("rolled back");
            return Kind::Refused;
        }
    }
    kind
}

/// Ends the life of a block on a day and begins the next, with another boundary.
async fn end_of_life(db: &Database, dice: &mut Dice, park: &str, name: &str) -> Kind {
    let day = dice.pick(&DAYS);
    let sql = format!(
        "CREATE TEMP TABLE ending ON COMMIT DROP AS SELECT * FROM park_block WHERE park_code = '{park}' AND valid_to = 'infinity'
             AND valid_from < '{day}' ORDER BY md5(id || '{name}') LIMIT 1;
         UPDATE park_block b SET valid_to = '{day}' FROM ending e WHERE b.id = e.id AND b.valid_from = e.valid_from;
         INSERT INTO park_block (id, park_code, number, name, geom, area_m2, source, valid_from)
         SELECT id, park_code, number, '{name}', ST_Translate(geom, 0, 2e-5), area_m2 + 0.5, source, '{day}' FROM ending;"
    );
    write(db, Kind::EndOfLife, sql).await
}

async fn import_one(db: &Database, dice: &mut Dice, park: &str) -> Kind {
    let parcels: Vec<(String, Vec<(f64, f64)>, f64)> = (0..=dice.roll(3))
        .map(|_| {
            let place = NEXT_PLACE.fetch_add(1, Ordering::Relaxed);
            let (row, column) = (f64::from(place / 60), f64::from(place % 60));
            let side = 60.0 + dice.roll(60) as f64;
            let ring = files::square(2_900_000.0 + row * 200.0, 38_450_000.0 + column * 200.0, side);
            // The same numbers come again, so that blocks are changed too.
            (format!("9{}", dice.roll(40)), ring, side * side / 10_000.0)
        })
        .collect();
    let mut seen = Vec::new();
    let distinct = parcels.iter().filter(|(number, ..)| {
        let new = !seen.contains(number);
        seen.push(number.clone());
        new
    });
    let distinct: Vec<(&str, Vec<(f64, f64)>, f64)> =
        distinct.map(|(number, ring, area)| (number.as_str(), ring.clone(), *area)).collect();
    let name = format!("edit-{}-{}.txt", db.name, NEXT_PLACE.fetch_add(1, Ordering::Relaxed));
    let path = files::write(&name, files::txt(&distinct));
    let imported = db.import(&path, |request| request.park = ParkCode::parse(park).ok()).await;
    match imported {
        Ok(imported) if imported.revision.is_some() => Kind::Import,
        Ok(_) => Kind::Refused,
        Err(error) => refused(error),
    }
}

async fn undo_one(db: &Database, dice: &mut Dice) -> Kind {
    let batches: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM import_batch WHERE status = 'committed' ORDER BY id DESC LIMIT 6")
            .fetch_all(&db.pool)
            .await
            .expect("batches");
    if batches.is_empty() {
        return Kind::Refused;
    }
    match import::undo(&db.pool, *dice.pick(&batches), &sizhi::domain::access::Viewer::operator("test")).await {
        Ok(_) => Kind::Undo,
        Err(error) => refused(error),
    }
}

/// A conflict with what another writer did is no fault; anything else is.
#[track_caller]
fn refused(error: Error) -> Kind {
    assert!(matches!(error, Error::Conflict { .. } | Error::Invalid { .. }), "{error:?}");
    Kind::Refused
}

/// Parks of the sample with several blocks.
pub async fn parks(db: &Database, most: i64) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT park_code FROM park_block GROUP BY 1 HAVING count(*) >= 2 ORDER BY md5(park_code) LIMIT $1",
    )
    .bind(most)
    .fetch_all(&db.pool)
    .await
    .expect("parks")
}
