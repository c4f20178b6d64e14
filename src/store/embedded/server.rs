//! A cluster's server: starting it, finding it, waiting for it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::place::Place;
use super::{DATABASE, START_PATIENCE, failed};
use crate::error::{Error, Result};

impl Place {
    /// Starts the server; bound to this thread's life unless detached.
    pub(super) fn spawn(&self) -> Result<Child> {
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
                    die_with_parent(libc::SIGINT)?;
                }
                Ok(())
            });
        }
        command.spawn().map_err(|e| failed("无法启动 postgres", e))
    }

    /// The live postmaster of this cluster by its pid file.
    pub(super) fn postmaster_pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        // A pid that was given to another program after a crash, or to the server of another cluster, is not ours: a server
        // works in its own PGDATA.
        let works_in = fs::metadata(format!("/proc/{pid}/cwd")).ok()?;
        let ours = fs::metadata(&self.cluster).ok()?;
        ((works_in.dev(), works_in.ino()) == (ours.dev(), ours.ino())).then_some(pid)
    }

    /// After a crash the pid in the file may have gone to another process of the same user, and PostgreSQL would refuse
    /// to start over it. A file whose process is gone stays: it tells the new server which shared memory to look at.
    pub(super) fn clear_stale_pid(&self) -> Result<()> {
        let file = self.cluster.join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
        let foreign = text.lines().next().is_some_and(|pid| Path::new(&format!("/proc/{}", pid.trim())).exists());
        if self.is_running() || !foreign {
            return Ok(());
        }
        fs::remove_file(&file).map_err(|e| failed("无法清除失效的 postmaster.pid", e))
    }

    pub(super) fn is_running(&self) -> bool {
        self.postmaster_pid().is_some()
    }

    /// Whether it takes connections: an answer of any kind but “starting up” or “shutting down”.
    pub(super) async fn accepts(&self) -> bool {
        let options = self.connect_options("postgres", "postgres");
        match tokio::time::timeout(Duration::from_secs(2), PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => {
                let _ = connection.close().await;
                true
            }
            Ok(Err(sqlx::Error::Database(told))) => !told.code().is_some_and(|code| code.starts_with("57P")),
            _ => false,
        }
    }

    pub(super) async fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        while !self.accepts().await {
            if Instant::now() > deadline {
                let tail = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: String =
                    tail.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(Error::internal("自带的数据库没有启动起来", io::Error::other(tail)));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }

    pub(super) fn connection_string(&self) -> String {
        format!("host={} user={DATABASE} dbname={DATABASE}", self.socket.display())
    }

    pub(super) fn connect_options(&self, user: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.socket).username(user).database(database)
    }
}

/// Asks the kernel to signal this process when the thread that started it ends. For `pre_exec`.
pub(super) fn die_with_parent(signal: i32) -> io::Result<()> {
    // SAFETY: a plain, async-signal-safe system call.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn signal(pid: i32, signal: i32) {
    // SAFETY: plain system call; a pid that is gone gives an error we do not need.
    unsafe {
        libc::kill(pid, signal);
    }
}
