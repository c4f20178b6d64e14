//! Where a cluster lives, as whom it runs, and how it is made.
//!
//! Never: following what another user may have put in its way.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::server::die_with_parent;
use super::{Options, failed, programs, refuse};
use crate::error::{Error, Result};

/// A unix socket's path holds 107 bytes; PostgreSQL appends `/.s.PGSQL.5432` and a lock suffix.
const LONGEST_SOCKET_FOLDER: usize = 85;

/// Where a cluster lives and as whom it runs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `…/cluster`: PGDATA.
    pub(super) cluster: PathBuf,
    /// The socket's folder.
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    lock: PathBuf,
    binaries: PathBuf,
    /// User and group of the server, when we are root.
    user: Option<(u32, u32)>,
    pub(super) options: Options,
}

impl Place {
    pub(super) fn prepare(data: &Path, options: Options) -> Result<Self> {
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
        if socket.as_os_str().len() > LONGEST_SOCKET_FOLDER || socket.to_str().is_none_or(is_odd) {
            socket = PathBuf::from("/tmp").join(format!("sizhi-{tag}"));
        }
        let cluster = home.join("cluster");
        let made_by = fs::read_to_string(cluster.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let binaries = programs::choose(made_by)?;
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
        if let Err(e) = fs::DirBuilder::new().mode(0o700).create(folder)
            && e.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed("无法建立数据库目录", e));
        }
        let found = fs::symlink_metadata(folder).map_err(|e| failed("无法检查数据库目录", e))?;
        // The place in /tmp can be guessed: what another user put there, a link above all, must not become the server's.
        let expected = self.user.map_or(own_uid(), |(uid, _)| uid);
        if !found.is_dir() || (found.uid() != expected && found.uid() != own_uid()) {
            return Err(refuse(
                "cluster_owner",
                format!("{} 不是目录，或属于另一个用户，请换一个 --data 目录", folder.display()),
            ));
        }
        if let Some((uid, gid)) = self.user
            && found.uid() != uid
        {
            std::os::unix::fs::lchown(folder, Some(uid), Some(gid))
                .map_err(|e| failed("无法更改数据库目录的属主", e))?;
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|e| failed("无法设置数据库目录的权限", e))
    }

    /// PostgreSQL runs over files of its own user only (a copy may have lost that), and would say so in its log alone.
    fn check_owner(&self) -> Result<()> {
        let found = fs::metadata(&self.cluster).map_err(|e| failed("无法检查数据库目录", e))?;
        let expected = self.user.map_or(own_uid(), |(uid, _)| uid);
        if found.uid() == expected {
            return Ok(());
        }
        Err(refuse(
            "cluster_owner",
            format!(
                "数据库目录 {} 应属于运行 PostgreSQL 的用户（uid {expected}），请用 chown -R 更正",
                self.cluster.display()
            ),
        ))
    }

    /// Two sizhi that start at once must not both run initdb.
    pub(super) fn lock_startup(&self) -> Result<File> {
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

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        // A clean environment: PGHOST and friends of the caller must not leak in.
        command.env_clear().env("PATH", &self.binaries).env("LC_ALL", "C.UTF-8").current_dir("/");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    pub(super) fn make_cluster(&self) -> Result<()> {
        let done = self.cluster.join("sizhi-ready");
        if done.exists() {
            return self.check_owner();
        }
        // A half-made cluster (killed in initdb) holds nothing yet: it is made again.
        if self.cluster.exists() {
            if self.is_running() {
                return Err(refuse("cluster_foreign", format!("{} 里已有别的数据库在运行", self.cluster.display())));
            }
            // Our settings are the last thing written before the mark: a cluster that has them is whole, and only its mark was
            // lost (by copying, say).
            let conf = fs::read_to_string(self.cluster.join("postgresql.conf")).unwrap_or_default();
            if conf.contains("\n# sizhi\n") && conf.trim_end().ends_with(LAST_SETTING) {
                fs::write(&done, "").map_err(|e| failed("无法写数据库目录", e))?;
                return self.check_owner();
            }
            if holds_databases(&self.cluster) {
                let message = format!("{} 里是别的数据库的数据，没有改动；请换一个数据目录", self.cluster.display());
                return Err(refuse("cluster_foreign", message));
            }
            remove_half_made(&self.cluster).map_err(|e| failed("无法清除未建成的数据库目录", e))?;
        }
        self.make_private(&self.cluster)?;
        let mut initdb = self.command("initdb");
        // An initdb that outlived us would clear the folder under the next one's feet when it fails.
        // SAFETY: one system call; runs after the uid change, which would clear the death signal.
        unsafe {
            initdb.pre_exec(|| die_with_parent(libc::SIGKILL));
        }
        let output = initdb
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
        let mut settings = format!(
            "\n# sizhi\nlisten_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 100\n\
             shared_buffers = {}MB\nwal_buffers = 32MB\nmin_wal_size = 512MB\nmax_wal_size = 2GB\n\
             timezone = 'UTC'\nlog_timezone = 'UTC'\n{LAST_SETTING}\n",
            shared_buffers_mb(fs::read_to_string("/proc/meminfo").as_deref().unwrap_or_default())
        );
        if self.options.for_tests {
            settings
                .push_str(&format!("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n{LAST_SETTING}\n"));
        }
        let conf = self.cluster.join("postgresql.conf");
        let existing = fs::read_to_string(&conf).map_err(|e| failed("无法读数据库配置", e))?;
        fs::write(&conf, existing + &settings).map_err(|e| failed("无法写数据库配置", e))?;
        fs::write(&done, "").map_err(|e| failed("无法写数据库目录", e))
    }
}

/// The end of our settings, by which a whole `postgresql.conf` is known.
const LAST_SETTING: &str = "log_min_messages = warning";

/// Databases beyond the three that initdb makes: somebody's data.
fn holds_databases(cluster: &Path) -> bool {
    let entries = fs::read_dir(cluster.join("base")).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_string_lossy().parse::<u32>().ok()).any(|oid| oid >= 16_384)
}

/// An eighth of the memory, at most 1 GB: an import that fits writes no page twice.
fn shared_buffers_mb(meminfo: &str) -> u64 {
    let total_kb = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    (total_kb.unwrap_or(0) / 1024 / 8).clamp(128, 1024)
}

/// A bootstrapping server whose initdb was killed ends by itself, and may write until then.
fn remove_half_made(cluster: &Path) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match fs::remove_dir_all(cluster) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}

/// Characters that part or end a value in PostgreSQL's list of socket folders, in a connection string or in an address.
fn is_odd(path: &str) -> bool {
    path.contains(|c: char| c.is_whitespace() || c.is_control() || ",'\"\\?&%#=@:".contains(c))
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
