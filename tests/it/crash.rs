//! kill -9 at many moments: the register stands before or after a deed, never between, and nothing acknowledged is lost.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::support::data_folder::{DataFolder, kill};
use crate::support::process::{Service, json, sizhi, status, wait_until};
use crate::support::{Database, files};

const PARK: &str = "G431176";
const PATIENCE: Duration = Duration::from_secs(30);

/// Squares in a grid, 40 m apart. All rows of one state have the same side, so a mixture would show.
fn grid(blocks: usize, side: f64) -> String {
    let parcels: Vec<(String, Vec<(f64, f64)>)> = (0..blocks)
        .map(|n| {
            let (row, column) = (n / 50, n % 50);
            let corner = (2_900_000.0 + row as f64 * 40.0, 38_480_000.0 + column as f64 * 40.0);
            (format!("N{n}"), files::square(corner.0, corner.1, side))
        })
        .collect();
    let hectares = side * side / 10_000.0;
    let parcels: Vec<_> = parcels.iter().map(|(number, ring)| (number.as_str(), ring.clone(), hectares)).collect();
    files::txt(&parcels)
}

/// The two states that imports go between.
struct States {
    blocks: i64,
    paths: [PathBuf; 2],
}

impl States {
    fn new(name: &str, blocks: usize) -> Self {
        let write = |side| files::write(&format!("{name}-{side}.txt"), grid(blocks, f64::from(side)));
        Self { blocks: blocks as i64, paths: [write(20), write(30)] }
    }

    /// 0 or 1, of every row; fails where the register stands between two states.
    #[track_caller]
    fn of(&self, stated: &[(f64, i64)]) -> usize {
        match stated {
            [(hectares, count)] if *count == self.blocks => usize::from((*hectares - 0.09).abs() < 1e-9),
            other => panic!("between two states: {other:?}"),
        }
    }
}

/// Stated areas with their counts, batches, revisions but the seed's. A look that breaks off, because the service answered
/// before the server went down, is taken again.
async fn after_recovery(url: &str) -> (Vec<(f64, i64)>, i64, i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let look = async {
            let mut connection = PgConnection::connect(url).await?;
            let stated = sqlx::query_as(
                "SELECT stated_area_ha::float8, count(*) FROM park_block WHERE park_code = $1 GROUP BY 1",
            )
            .bind(PARK)
            .fetch_all(&mut connection)
            .await?;
            let counts: (i64, i64) =
                sqlx::query_as("SELECT (SELECT count(*) FROM import_batch), (SELECT count(*) - 1 FROM revision)")
                    .fetch_one(&mut connection)
                    .await?;
            Ok::<_, sqlx::Error>((stated, counts.0, counts.1))
        };
        match look.await {
            Ok(found) => return found,
            Err(error) => assert!(Instant::now() < deadline, "not recovered: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a look at the database from outside tells, once every session of the killed one has ended.
async fn look(connection: &mut PgConnection, states: &States) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'sizhi' AND state IS DISTINCT FROM 'idle'",
        )
        .fetch_one(&mut *connection)
        .await
        .expect("sessions");
        if others == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "sessions of a killed process live on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let temporary: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'")
            .fetch_one(&mut *connection)
            .await
            .expect("tables");
    assert_eq!(temporary, 0, "a temporary table was left");
    // A batch for each revision but the seed's, each with all its rows logged.
    let (batches, whole, revisions): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE r.change_count >= $1), (SELECT count(*) - 1 FROM revision)
         FROM import_batch b JOIN revision r ON r.number = b.revision WHERE b.status = 'committed'",
    )
    .bind(states.blocks)
    .fetch_one(&mut *connection)
    .await
    .expect("batches");
    assert_eq!((batches, whole), (revisions, revisions));
    let stated: Vec<(f64, i64)> = sqlx::query_as(
        "SELECT stated_area_ha::float8, count(*) FROM park_block WHERE park_code = $1 GROUP BY 1 ORDER BY 1",
    )
    .bind(PARK)
    .fetch_all(connection)
    .await
    .expect("blocks");
    states.of(&stated)
}

fn import(command: &mut Command, path: &Path) -> Child {
    let command = command.args(["--layer", "park_blocks", "--park", PARK]).arg(path);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// The importing child, killed when the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_is_whole_or_nothing() {
    const KILLS: u32 = 20;
    let db = Database::with_sample().await;
    let states = States::new("crash-import", 2000);
    let url = db.url().await;
    let start = |path: &Path| Guard(import(sizhi(&["import"]).env("DATABASE_URL", &url), path));
    let mut connection = PgConnection::connect(&url).await.expect("connection");
    let begun = Instant::now();
    assert!(start(&states.paths[0]).0.wait().expect("ended").success());
    let mut duration = begun.elapsed();
    let mut state = look(&mut connection, &states).await;
    assert_eq!(state, 0);
    let (mut before, mut after) = (0, 0);
    for nth in 1..=KILLS {
        let begun = Instant::now();
        let mut child = start(&states.paths[1 - state]);
        // From its first tenth to a little beyond its end.
        sleep_until(begun + duration * (nth + 2) / (KILLS + 1));
        child.0.kill().expect("killed");
        let acknowledged = child.0.wait().expect("ended").success();
        if acknowledged {
            duration = begun.elapsed().min(duration);
        }
        let now = look(&mut connection, &states).await;
        assert!(!acknowledged || now == 1 - state, "kill {nth}: acknowledged and lost");
        if now == state {
            before += 1
        } else {
            after += 1
        }
        state = now;
        if nth % 5 == 0 {
            assert_eq!(db.audit().await, None, "kill {nth}");
        }
    }
    assert!(before >= 5, "killed too late to be a test: {before} before, {after} after");
    assert!(start(&states.paths[1 - state]).0.wait().expect("ended").success(), "a retry works");
    assert_eq!(look(&mut connection, &states).await, 1 - state);
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_in_a_commit_has_written_all_or_nothing() {
    const KILLS: u32 = 6;
    let db = Database::with_sample().await;
    let states = States::new("crash-commit", 500);
    let url = db.url().await;
    let mut connection = PgConnection::connect(&url).await.expect("connection");
    let mut service = Service::start(&url);
    let contents = states.paths.clone().map(|path| std::fs::read(path).expect("file"));
    let stage = |service: &Service, state: usize| -> i64 {
        let answer = service.upload(PARK, "crash.txt", &contents[state]);
        assert_eq!(status(&answer), 201, "{answer}");
        let batch = json(&answer);
        assert_eq!(batch["status"], "checked", "{batch}");
        batch["id"].as_i64().expect("id")
    };
    let commit = |id: i64| format!("/api/imports/{id}/commit");
    let begun = Instant::now();
    let id = stage(&service, 0);
    let staged = begun.elapsed();
    let answer = service.post(&commit(id), "text/plain", b"");
    assert_eq!(status(&answer), 200, "{answer}");
    let duration = begun.elapsed() - staged;
    let (mut state, mut before) = (0, 0);
    for nth in 1..=KILLS {
        let id = stage(&service, 1 - state);
        let answer = std::thread::scope(|scope| {
            let begun = Instant::now();
            let answer = scope.spawn(|| service.post(&commit(id), "text/plain", b""));
            sleep_until(begun + duration * nth / KILLS);
            kill(service.child.id().cast_signed(), libc::SIGKILL);
            answer.join().expect("answered or cut")
        });
        service.kill();
        let now = look(&mut connection, &states).await;
        before += u32::from(now == state);
        assert!(matches!(status(&answer), 0 | 200), "kill {nth}: {answer}");
        assert!(status(&answer) == 0 || now == 1 - state, "kill {nth}: acknowledged and lost");
        let committed = sqlx::query_scalar::<_, String>("SELECT status FROM import_batch WHERE id = $1")
            .bind(id)
            .fetch_one(&mut connection)
            .await
            .expect("batch");
        assert_eq!(committed, if now == state { "checked" } else { "committed" }, "kill {nth}");
        assert_eq!(db.audit().await, None, "kill {nth}");
        // The client does not know and tries again: written now, or told that it was.
        service = Service::start(&url);
        let again = service.post(&commit(id), "text/plain", b"");
        assert_eq!(status(&again), if now == state { 200 } else { 409 }, "kill {nth}: {again}");
        state = 1 - state;
    }
    service.kill();
    assert!(before >= 1, "killed too late to be a test: {before} of {KILLS} before the commit");
    assert_eq!(look(&mut connection, &states).await, state);
    assert_eq!(db.audit().await, None);
}

/// Tables that an import writes, in this order: a kill waits until it is seen to write one, so no machine is too fast or too slow.
/// None: it has told its end.
const MOMENTS: [Option<&str>; 4] = [Some("revision"), Some("park_block"), Some("import_batch"), None];

/// The server process of the session that writes this table, as soon as there is one; `None` where the import ended first.
async fn writer(watch: &mut PgConnection, import: &mut Child, table: &str) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found: Option<i32> = sqlx::query_scalar(
            "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE a.application_name = 'sizhi' AND l.granted
             AND l.mode = 'RowExclusiveLock' AND l.relation = to_regclass($1) LIMIT 1",
        )
        .bind(table)
        .fetch_optional(&mut *watch)
        .await
        .expect("sessions");
        if found.is_some() || import.try_wait().expect("known").is_some() {
            return found;
        }
        assert!(Instant::now() < deadline, "the import neither writes nor ends");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the server has noticed: it ends every session with the killed one. Not where the victim had just ended by itself.
async fn noticed(watch: &mut PgConnection) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && sqlx::query("SELECT 1").execute(&mut *watch).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_killed_in_an_import_recovers_to_all_or_nothing() {
    const KILLS: usize = 8;
    const MOST: usize = 32;
    let folder = DataFolder::new("crash-postgres");
    folder.must(&["seed"]);
    // Its watcher starts PostgreSQL again after each kill.
    let service = Service::start_with(&mut folder.serve());
    let url = folder.url();
    let states = States::new("crash-postgres", 1_000);
    let start = |path: &Path| Guard(import(&mut folder.command(&["import"]), path));
    let ready = || wait_until("recovery", PATIENCE, || status(&service.get("/readyz")) == 200);
    assert!(start(&states.paths[0]).0.wait().expect("ended").success());
    let (mut state, mut broken_off, mut kept) = (0, 0, 0);
    for nth in 0..MOST {
        // Enough that were killed as they wrote, and some that had been told that it is done.
        if nth >= KILLS && broken_off >= KILLS / 2 && kept >= 2 {
            break;
        }
        let mut watch = PgConnection::connect(&url).await.expect("connection");
        let mut child = start(&states.paths[1 - state]);
        let moment = MOMENTS[nth / 2 % MOMENTS.len()];
        let seen = match moment {
            Some(table) => writer(&mut watch, &mut child.0, table).await,
            None => {
                assert!(child.0.wait().expect("ended").success(), "kill {nth}: nothing was killed yet");
                None
            }
        };
        let victim = seen.filter(|_| nth % 2 == 0).or_else(|| folder.postmaster());
        kill(victim.expect("a server"), libc::SIGKILL);
        let acknowledged = child.0.wait().expect("ended").success();
        broken_off += usize::from(seen.is_some() && !acknowledged);
        kept += usize::from(acknowledged);
        noticed(&mut watch).await;
        ready();
        // The service's own sessions end with it, so the look is at what stands, not at who is connected.
        let (stated, batches, revisions) = after_recovery(&url).await;
        let now = states.of(&stated);
        assert!(!acknowledged || now == 1 - state, "kill {nth}, {moment:?}: acknowledged and lost");
        assert_eq!(batches, revisions, "kill {nth}, {moment:?}");
        state = now;
    }
    assert!(broken_off >= KILLS / 2 && kept >= 2, "too late to be a test: {broken_off} broken off, {kept} kept");
    assert_eq!(folder.json(&["audit", "verify", "--json"])["ok"], true);
    assert!(start(&states.paths[1 - state]).0.wait().expect("ended").success(), "a retry works");
}

/// Stopped by hand, a program leaves nothing behind: neither rows nor files.
#[tokio::test]
async fn an_interrupted_import_leaves_no_temporary_files() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let temporary = crate::support::tools::folder("interrupted_tmp");
    let features: Vec<serde_json::Value> = (0..4_000)
        .map(|i| {
            let (x, y) = (112.0 + f64::from(i % 80) * 1e-3, 27.0 + f64::from(i / 80) * 1e-3);
            serde_json::json!({"type": "Feature", "properties": {"编号": i.to_string()}, "geometry": {"type": "Polygon", "coordinates":
                [[[x, y], [x + 5e-4, y], [x + 5e-4, y + 5e-4], [x, y + 5e-4], [x, y]]]}})
        })
        .collect();
    let source = files::write(
        "interrupted.geojson",
        serde_json::json!({"type": "FeatureCollection", "features": features}).to_string(),
    );
    let file = source.with_extension("gpkg");
    let _ = std::fs::remove_file(&file);
    crate::support::tools::gdal(
        "ogr2ogr",
        &["-f", "GPKG", "-a_srs", "EPSG:4490", file.to_str().expect("path"), source.to_str().expect("path")],
    );
    let mut interrupted = 0;
    for (moment, signal) in [(60, libc::SIGINT), (120, libc::SIGTERM), (200, libc::SIGHUP), (300, libc::SIGINT)] {
        let mut command =
            sizhi(&["import", file.to_str().expect("path"), "--layer", "park_blocks", "--park", PARK, "--dry-run"]);
        command.env("DATABASE_URL", &url).env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        std::thread::sleep(Duration::from_millis(moment));
        kill(child.id().cast_signed(), signal);
        let ended = child.wait().expect("ended");
        interrupted += u32::from(ended.code() == Some(128 + signal));
        assert_eq!(std::fs::read_dir(&temporary).expect("folder").count(), 0, "at {moment} ms, {ended}");
    }
    assert!(interrupted >= 2, "{interrupted} of 4 were interrupted: too late to be a test");
}
