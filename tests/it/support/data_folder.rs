//! A data folder of one test with the embedded cluster that the real binary makes in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{run, sizhi};
use super::{TOKEN, scratch};

/// The folder; whatever still runs over it when the test ends is stopped, and all of it is removed.
pub struct DataFolder {
    pub path: PathBuf,
}

impl DataFolder {
    pub fn new(name: &str) -> Self {
        Self::at(&scratch().join("embedded").join(format!("{}-{name}", std::process::id())))
    }

    pub fn at(path: &Path) -> Self {
        let _ = std::fs::remove_dir_all(path);
        std::fs::create_dir_all(path).expect("folder");
        Self { path: path.to_owned() }
    }

    /// A command of the binary over this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = sizhi(args);
        command.arg("--data").arg(&self.path).env("SIZHI_ADMIN_TOKEN", TOKEN);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        run(self.command(args), b"")
    }

    /// The same, which must succeed; gives what it printed.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {:?}\n{out}{errors}", output.status);
        out.into_owned()
    }

    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.must(args);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// `serve` without the sample, on a free port.
    pub fn serve(&self) -> Command {
        self.command(&["serve", "--port", "0", "--no-sample"])
    }

    /// Where the cluster is kept: here, or where sizhi says.
    pub fn home(&self) -> PathBuf {
        match std::fs::read_to_string(self.path.join("CLUSTER-IS-ELSEWHERE.txt")) {
            Ok(text) => PathBuf::from(text.trim_end()),
            Err(_) => self.path.clone(),
        }
    }

    /// The live postmaster, found through its working folder rather than as sizhi finds it.
    pub fn postmaster(&self) -> Option<i32> {
        let cluster = self.home().join("cluster");
        let text = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.parse().ok()?;
        let works_in = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (works_in == std::fs::canonicalize(cluster).ok()?).then_some(pid)
    }

    /// Every process that works in the cluster's folder or names it: the server, its children, initdb.
    pub fn processes(&self) -> Vec<i32> {
        let cluster = self.home().join("cluster");
        let name = cluster.to_string_lossy().into_owned();
        let pids = std::fs::read_dir("/proc").expect("proc").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let names = String::from_utf8_lossy(&line).contains(&name);
            names || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&cluster))
        })
        .collect()
    }

    /// Nothing of the cluster runs: whoever started it stopped it.
    #[track_caller]
    pub fn assert_stopped(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// `DATABASE_URL` of the register's owner, while it runs.
    pub fn url(&self) -> String {
        format!("postgres://sizhi@localhost/sizhi?host={}", self.home().join("run").display())
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            for pid in left {
                kill(pid, libc::SIGCONT);
                kill(pid, libc::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let home = self.home();
        if home.starts_with("/var/lib/sizhi") {
            let _ = std::fs::remove_dir_all(home);
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Sends a signal to one process of this test.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: plain system call; a pid that is gone gives an error that nobody needs.
    unsafe {
        libc::kill(pid, signal);
    }
}
