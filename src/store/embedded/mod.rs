//! The embedded default: a private PostGIS cluster under the data folder, made, started, watched and stopped by sizhi.
//!
//! PostgreSQL refuses to run as root, so as root we become the system's `postgres` user for it. It listens on a unix
//! socket in a folder of mode 0700 and nowhere else. A cluster that another sizhi runs over the same folder is shared;
//! when that one goes away, the watcher here takes over.

mod place;
mod programs;
mod server;
mod watcher;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use self::place::Place;
use self::watcher::Watcher;
use super::roles::{self, APPLICATION_ROLE};
use crate::error::{Error, Result};

/// Starting may have to recover what a crash left.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// The database and its owner.
const DATABASE: &str = "sizhi";

/// How a cluster is made and run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Tests only: no fsync, and PostGIS in `template1` so that a new database costs a tenth of a second.
    pub for_tests: bool,
    /// Leave the cluster running when sizhi ends (`db start`).
    pub detached: bool,
}

/// A running cluster. Dropping it stops the server that it started itself.
#[derive(Debug)]
pub struct Embedded {
    place: Place,
    watcher: Option<Watcher>,
}

fn refuse(code: &'static str, detail: impl Into<String>) -> Error {
    Error::conflict(code, detail)
}

fn failed(what: &str, cause: io::Error) -> Error {
    Error::internal(what.to_owned(), cause)
}

impl Embedded {
    /// Makes the cluster if there is none, starts it if nobody runs it, makes the database if it is missing.
    pub async fn start(data: &Path, options: Options) -> Result<Self> {
        let place = Place::prepare(data, options)?;
        let guard = place.lock_startup()?;
        place.make_cluster()?;
        place.clear_stale_pid()?;
        let watcher = if place.options.detached {
            if !place.is_running() {
                place.spawn()?;
            }
            None
        } else {
            Some(Watcher::begin(place.clone())?)
        };
        let embedded = Self { place, watcher };
        if !embedded.has_database().await {
            embedded.place.wait_ready().await?;
            // It may have been there and only late: on a replica nothing can be made. Under the lock too: two starters would both find
            // no database and both make it.
            if !embedded.has_database().await {
                embedded.make_database().await?;
            }
        }
        drop(guard);
        Ok(embedded)
    }

    /// How to connect as the register's owner.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.place.connect_options(DATABASE, DATABASE)
    }

    /// How to connect as superuser to any database of the cluster.
    pub fn superuser_options(&self, database: &str) -> PgConnectOptions {
        self.place.connect_options("postgres", database)
    }

    /// A libpq connection string for other programs (pg_dump, ogr2ogr).
    pub fn connection_string(&self) -> String {
        self.place.connection_string()
    }

    /// Stops the server if this process started it.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            watcher.stop();
        }
    }

    /// True where the server answers and the database is whole, as on every start but the first: one look instead of six.
    async fn has_database(&self) -> bool {
        let look = async {
            let mut connection = PgConnection::connect_with(&self.connect_options()).await?;
            let whole = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'postgis')
                    AND EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1 AND pg_has_role(oid, 'MEMBER'))
                    AND EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('geometry_overlaps(geometry,geometry)') AND proleakproof)";
            let found: bool = sqlx::query_scalar(whole).bind(APPLICATION_ROLE).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(found)
        };
        tokio::time::timeout(Duration::from_secs(2), look).await.is_ok_and(|found| found.unwrap_or(false))
    }

    async fn make_database(&self) -> Result<()> {
        let mut admin = PgConnection::connect_with(&self.superuser_options("postgres")).await?;
        let missing: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'sizhi')")
            .fetch_one(&mut admin)
            .await?;
        if missing {
            sqlx::query("CREATE ROLE sizhi LOGIN").execute(&mut admin).await?;
        }
        let missing: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM pg_database WHERE datname = 'sizhi')")
            .fetch_one(&mut admin)
            .await?;
        if missing {
            if self.place.options.for_tests {
                self.add_postgis("template1").await?;
            }
            sqlx::query("CREATE DATABASE sizhi OWNER sizhi").execute(&mut admin).await?;
        }
        admin.close().await?;
        self.add_postgis(DATABASE).await
    }

    async fn add_postgis(&self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.superuser_options(database)).await?;
        sqlx::query("CREATE EXTENSION IF NOT EXISTS postgis").execute(&mut connection).await.map_err(|cause| match &cause {
            // feature_not_supported: "extension … is not available".
            sqlx::Error::Database(e) if e.code().as_deref() == Some("0A000") => refuse(
                "postgis_missing",
                "系统里没有 PostGIS；Debian、Ubuntu 请执行 apt install postgresql-15-postgis-3（版本号与 PostgreSQL 一致）",
            ),
            _ => Error::from(cause),
        })?;
        roles::prepare(&mut connection, "'sizhi'").await?;
        connection.close().await?;
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.halt();
    }
}

/// How a data folder's cluster stands, for `db status`.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub cluster: PathBuf,
    pub exists: bool,
    pub running: bool,
    pub connection_string: String,
}

/// Looks without starting anything.
pub fn status(data: &Path) -> Result<Status> {
    if !data.exists() {
        // Looking must not make the folder.
        let cluster = data.join("cluster");
        return Ok(Status { exists: false, running: false, connection_string: String::new(), cluster });
    }
    let place = Place::prepare(data, Options::default())?;
    Ok(Status {
        exists: place.cluster.join("PG_VERSION").exists(),
        running: place.is_running(),
        connection_string: place.connection_string(),
        cluster: place.cluster,
    })
}

/// Stops the cluster of a data folder, whoever started it; false where none was running.
pub fn stop(data: &Path) -> Result<bool> {
    // Nothing runs in a folder that is not there, and none is made for the asking.
    if !data.exists() {
        return Ok(false);
    }
    let place = Place::prepare(data, Options::default())?;
    let Some(pid) = place.postmaster_pid() else { return Ok(false) };
    server::signal(pid, libc::SIGINT);
    let deadline = Instant::now() + START_PATIENCE;
    while place.postmaster_pid().is_some() {
        if Instant::now() > deadline {
            return Err(refuse("cluster_not_stopping", "数据库在两分钟内没有停下来"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}

/// The newest of the system's PostgreSQL programs (`pg_dump` …), for talking to any server.
pub fn binaries() -> Result<PathBuf> {
    programs::choose(None)
}
