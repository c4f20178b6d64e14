//! The embedded default: a private PostGIS cluster under the data folder, made, started, watched and stopped by sizhi.
//!
//! PostgreSQL refuses to run as root, so as root we become the system's `postgres` user for it. It listens on a unix
//! socket in a folder of mode 0700 and nowhere else. A cluster that another sizhi runs over the same folder is shared;
//! when that one goes away, the watcher here takes over.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::error::{Error, Result};

/// Oldest PostgreSQL that the schema is written for.
const OLDEST_VERSION: u32 = 15;
/// A unix socket's path holds 107 bytes; PostgreSQL appends `/.s.PGSQL.5432` and a lock suffix.
const LONGEST_SOCKET_FOLDER: usize = 85;
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

#[derive(Debug)]
struct Watcher {
    stopping: Arc<AtomicBool>,
    child: Arc<Mutex<Option<u32>>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a cluster lives and as whom it runs.
#[derive(Debug, Clone)]
struct Place {
    /// `…/cluster`: PGDATA.
    cluster: PathBuf,
    /// The socket's folder.
    socket: PathBuf,
    log: PathBuf,
    lock: PathBuf,
    binaries: PathBuf,
    /// User and group of the server, when we are root.
    user: Option<(u32, u32)>,
    options: Options,
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
        let watcher = if place.options.detached {
            if !place.is_running() {
                place.spawn()?;
            }
            None
        } else {
            Some(Watcher::begin(place.clone())?)
        };
        place.wait_ready()?;
        drop(guard);
        let embedded = Self { place, watcher };
        embedded.make_database().await?;
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
        format!("host={} user={DATABASE} dbname={DATABASE}", self.place.socket.display())
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
                self.add_extensions("template1").await?;
            }
            sqlx::query("CREATE DATABASE sizhi OWNER sizhi").execute(&mut admin).await?;
        }
        admin.close().await?;
        self.add_extensions(DATABASE).await
    }

    async fn add_extensions(&self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.superuser_options(database)).await?;
        for extension in ["CREATE EXTENSION IF NOT EXISTS postgis", "CREATE EXTENSION IF NOT EXISTS btree_gist"] {
            sqlx::query(extension).execute(&mut connection).await.map_err(|cause| match &cause {
                // feature_not_supported: "extension … is not available".
                sqlx::Error::Database(e) if e.code().as_deref() == Some("0A000") => refuse(
                    "postgis_missing",
                    "系统里没有 PostGIS；Debian、Ubuntu 请执行 apt install postgresql-15-postgis-3（版本号与 PostgreSQL 一致）",
                ),
                _ => Error::from(cause),
            })?;
        }
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
        connection_string: format!("host={} user={DATABASE} dbname={DATABASE}", place.socket.display()),
        cluster: place.cluster,
    })
}

/// Stops the cluster of a data folder, whoever started it; false where none was running.
pub fn stop(data: &Path) -> Result<bool> {
    let place = Place::prepare(data, Options::default())?;
    let Some(pid) = place.postmaster_pid() else { return Ok(false) };
    signal(pid, libc::SIGINT);
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
    choose_binaries(None)
}

/// Installed versions with their programs, oldest first. Debian keeps them by version; others have one on the PATH.
fn installations() -> Vec<(u32, PathBuf)> {
    let complete =
        |bin: &Path| ["postgres", "initdb", "pg_isready", "pg_dump", "pg_restore"].iter().all(|p| bin.join(p).exists());
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(version, bin)| *version >= OLDEST_VERSION && complete(bin))
        .collect();
    if versions.is_empty() {
        let on_path =
            std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
        versions.extend(on_path.filter(|bin| complete(bin)).take(1).map(|bin| (OLDEST_VERSION, bin)));
    }
    versions.sort();
    versions
}

/// The version that made the cluster, since no other can run it; for a new one the newest that has PostGIS.
fn choose_binaries(made_by: Option<u32>) -> Result<PathBuf> {
    let mut versions = installations();
    if let Some(made_by) = made_by {
        let exact =
            versions.iter().position(|(version, bin)| *version == made_by || !bin.starts_with("/usr/lib/postgresql"));
        return exact.map(|at| versions.swap_remove(at).1).ok_or_else(|| {
            refuse(
                "cluster_version",
                format!("数据目录是 PostgreSQL {made_by} 建立的，系统里没有这个版本；请安装 postgresql-{made_by}-postgis-3，或用 db backup 和 db restore 迁移"),
            )
        });
    }
    let with_postgis = |(version, _): &(u32, PathBuf)| {
        Path::new(&format!("/usr/share/postgresql/{version}/extension/postgis.control")).exists()
    };
    let newest = versions.iter().rposition(with_postgis).or(versions.len().checked_sub(1));
    newest.map(|at| versions.swap_remove(at).1).ok_or_else(|| {
        refuse(
            "postgresql_missing",
            format!("系统里没有 PostgreSQL {OLDEST_VERSION} 或更新的版本；Debian、Ubuntu 请执行 apt install postgresql-15-postgis-3，或用 DATABASE_URL 指定已有的数据库"),
        )
    })
}

impl Place {
    fn prepare(data: &Path, options: Options) -> Result<Self> {
        let user = system_user()?;
        let make = |path: &Path| fs::create_dir_all(path).map_err(|e| failed("无法建立数据目录", e));
        make(data)?;
        let data = fs::canonicalize(data).map_err(|e| failed("无法打开数据目录", e))?;
        let tag = short_hash(&data);
        // The server's user must reach the folder: under a root home of mode 0700 it cannot, so the cluster moves.
        let home = match user {
            Some((uid, gid)) if !reachable(&data, uid, gid) => {
                let elsewhere = PathBuf::from("/var/lib/sizhi").join(&tag);
                make(&elsewhere)?;
                fs::write(data.join("CLUSTER-IS-ELSEWHERE.txt"), format!("{}\n", elsewhere.display()))
                    .map_err(|e| failed("无法写数据目录", e))?;
                tracing::info!(folder = %elsewhere.display(), "data folder is not reachable for the postgres user; cluster kept elsewhere");
                elsewhere
            }
            _ => data,
        };
        let mut socket = home.join("run");
        if socket.as_os_str().len() > LONGEST_SOCKET_FOLDER {
            socket = PathBuf::from("/tmp").join(format!("sizhi-{tag}"));
        }
        let cluster = home.join("cluster");
        let made_by = fs::read_to_string(cluster.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let binaries = choose_binaries(made_by)?;
        let place = Self {
            cluster,
            log: home.join("postgres.log"),
            lock: home.join("startup.lock"),
            socket,
            binaries,
            user,
            options,
        };
        place.make_private(&place.socket)?;
        Ok(place)
    }

    /// A folder that only the server's user enters.
    fn make_private(&self, folder: &Path) -> Result<()> {
        if !folder.exists() {
            fs::DirBuilder::new().mode(0o700).create(folder).map_err(|e| failed("无法建立数据库目录", e))?;
        }
        let found = fs::symlink_metadata(folder).map_err(|e| failed("无法检查数据库目录", e))?;
        if let Some((uid, gid)) = self.user {
            if found.uid() != uid {
                std::os::unix::fs::chown(folder, Some(uid), Some(gid))
                    .map_err(|e| failed("无法更改数据库目录的属主", e))?;
            }
        } else if found.uid() != own_uid() {
            return Err(refuse(
                "cluster_owner",
                format!("目录 {} 属于另一个用户，请换一个 --data 目录", folder.display()),
            ));
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|e| failed("无法设置数据库目录的权限", e))
    }

    /// Two sizhi that start at once must not both run initdb.
    fn lock_startup(&self) -> Result<File> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock)
            .map_err(|e| failed("无法建立启动锁", e))?;
        // SAFETY: the descriptor is open for the life of `file`.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(failed("无法取得启动锁", io::Error::last_os_error()));
        }
        Ok(file)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        // A clean environment: PGHOST and friends of the caller must not leak in.
        command.env_clear().env("PATH", &self.binaries).env("LC_ALL", "C.UTF-8").current_dir("/");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn make_cluster(&self) -> Result<()> {
        let done = self.cluster.join("sizhi-ready");
        if done.exists() {
            return Ok(());
        }
        // A half-made cluster (killed in initdb) holds nothing yet: it is made again.
        if self.cluster.exists() {
            if self.is_running() {
                return Err(refuse("cluster_foreign", format!("{} 里已有别的数据库在运行", self.cluster.display())));
            }
            fs::remove_dir_all(&self.cluster).map_err(|e| failed("无法清除未建成的数据库目录", e))?;
        }
        self.make_private(&self.cluster)?;
        let output = self
            .command("initdb")
            .arg("-D")
            .arg(&self.cluster)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"])
            .args(self.options.for_tests.then_some("--no-sync"))
            .output()
            .map_err(|e| failed("无法运行 initdb", e))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::internal("initdb 失败", io::Error::other(text)));
        }
        let mut settings = String::from(
            "\n# sizhi\nlisten_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 100\nshared_buffers = 256MB\n\
             max_wal_size = 2GB\ntimezone = 'UTC'\nlog_timezone = 'UTC'\nlog_min_messages = warning\n",
        );
        if self.options.for_tests {
            settings.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
        }
        let conf = self.cluster.join("postgresql.conf");
        let existing = fs::read_to_string(&conf).map_err(|e| failed("无法读数据库配置", e))?;
        fs::write(&conf, existing + &settings).map_err(|e| failed("无法写数据库配置", e))?;
        fs::write(&done, "").map_err(|e| failed("无法写数据库目录", e))
    }

    /// Starts the server; bound to this thread's life unless detached.
    fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|e| failed("无法打开数据库日志", e))?;
        let errors = log.try_clone().map_err(|e| failed("无法打开数据库日志", e))?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(&self.cluster)
            .arg("-k")
            .arg(&self.socket)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let detached = self.options.detached;
        // SAFETY: only async-signal-safe calls; runs after the uid change, which would clear the death signal.
        unsafe {
            command.pre_exec(move || {
                if detached {
                    libc::setsid();
                } else {
                    // Its own process group: Ctrl-C reaches sizhi alone, which then stops the server in order.
                    libc::setpgid(0, 0);
                    if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        command.spawn().map_err(|e| failed("无法启动 postgres", e))
    }

    /// The live postmaster of this cluster by its pid file.
    fn postmaster_pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        // A pid that was given to another program after a crash is not ours.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        name.starts_with("postgres").then_some(pid)
    }

    fn is_running(&self) -> bool {
        self.postmaster_pid().is_some()
    }

    fn accepts(&self) -> bool {
        self.command("pg_isready")
            .arg("-h")
            .arg(&self.socket)
            .args(["-q", "-t", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    }

    fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        while !self.accepts() {
            if Instant::now() > deadline {
                let tail = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: String =
                    tail.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(Error::internal("自带的数据库没有启动起来", io::Error::other(tail)));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    fn connect_options(&self, user: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.socket).username(user).database(database)
    }
}

impl Watcher {
    /// One long-lived thread starts the server (its death signal hangs on the thread), waits on it, and starts it again
    /// when it dies; where another sizhi runs it, the thread looks twice a second whether it still does.
    fn begin(place: Place) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let child = Arc::new(Mutex::new(None));
        let (first_try, tried) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("postgres-watch".into())
            .spawn({
                let (stopping, child) = (Arc::clone(&stopping), Arc::clone(&child));
                move || watch(&place, &stopping, &child, &first_try)
            })
            .map_err(|e| failed("无法建立监视线程", e))?;
        match tried.recv() {
            Ok(outcome) => outcome?,
            Err(_) => return Err(failed("监视线程意外结束", io::Error::other("watcher ended"))),
        }
        Ok(Self { stopping, child, thread: Some(thread) })
    }

    fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Ok(child) = self.child.lock()
            && let Some(pid) = *child
        {
            // Fast shutdown: sessions are ended, everything is written.
            signal(pid.cast_signed(), libc::SIGINT);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(place: &Place, stopping: &AtomicBool, child: &Mutex<Option<u32>>, first_try: &mpsc::Sender<Result<()>>) {
    let mut pause = Duration::from_millis(100);
    let mut told = false;
    while !stopping.load(Ordering::SeqCst) {
        if place.is_running() {
            // Somebody else's, or one of ours that is still going down after a kill: both are waited out.
            if !told && place.accepts() {
                told = true;
                let _ = first_try.send(Ok(()));
            }
            std::thread::sleep(Duration::from_millis(if told { 500 } else { 50 }));
            continue;
        }
        let started = Instant::now();
        match place.spawn() {
            Ok(mut server) => {
                if let Ok(mut slot) = child.lock() {
                    *slot = Some(server.id());
                }
                if !told {
                    told = true;
                    let _ = first_try.send(Ok(()));
                }
                // `stop` may have looked before the pid was there.
                if stopping.load(Ordering::SeqCst) {
                    signal(server.id().cast_signed(), libc::SIGINT);
                }
                let outcome = server.wait();
                if let Ok(mut slot) = child.lock() {
                    *slot = None;
                }
                if !stopping.load(Ordering::SeqCst) {
                    tracing::error!(?outcome, "postgres ended by itself; starting it again");
                }
            }
            Err(error) => {
                if !told {
                    let _ = first_try.send(Err(error));
                    return;
                }
                tracing::error!(error = %error, "postgres could not be started again");
            }
        }
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        // Children of a killed postmaster hold its memory for a moment: each early death waits longer, to 5 s.
        pause = if started.elapsed() > Duration::from_secs(60) {
            Duration::from_millis(100)
        } else {
            (pause * 2).min(Duration::from_secs(5))
        };
        std::thread::sleep(pause);
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: plain system call; a pid that is gone gives an error we do not need.
    unsafe {
        libc::kill(pid, signal);
    }
}

fn own_uid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

/// User and group `postgres` when we are root, nothing otherwise.
fn system_user() -> Result<Option<(u32, u32)>> {
    if own_uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|e| failed("无法读用户表", e))?;
    let ids = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("postgres")).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| {
        refuse(
            "postgres_user_missing",
            "以 root 运行时需要系统用户 postgres；请安装 postgresql 软件包，或换用普通用户运行",
        )
    })
}

/// True where the user may pass through every folder above and into this one.
fn reachable(folder: &Path, uid: u32, gid: u32) -> bool {
    folder.ancestors().all(|f| {
        fs::metadata(f).is_ok_and(|m| {
            let mode = m.mode();
            (m.uid() == uid && mode & 0o100 != 0) || (m.gid() == gid && mode & 0o010 != 0) || mode & 0o001 != 0
        })
    })
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|b| format!("{b:02x}")).collect()
}
