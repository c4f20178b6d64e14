//! Starting the GDAL child: the same binary, an empty environment, limits on processor time, memory and files, no network
//! where the kernel allows it, and an end after two minutes whatever it does.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::child::Request;
use crate::error::{Error, Result};
use crate::exchange::limits::{
    CHILD_CPU_S, CHILD_MEMORY_BYTES, CHILD_PATIENCE, MAX_ARCHIVE_BYTES, MAX_EXPORT_FILE_BYTES, WRITER_PATIENCE,
};

/// The program that has the hidden subcommand, where it is not the running one (tests run inside another binary).
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program to start; the first call counts.
pub fn use_program(path: &Path) {
    // The child runs in another folder: a relative path would lead elsewhere.
    let _ = PROGRAM.set(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
}

const PIPE_BYTES: libc::c_int = 1 << 20;

/// A running child and the watch over its time.
pub(super) struct Running {
    child: Child,
    finished: mpsc::Sender<()>,
    watch: Option<JoinHandle<bool>>,
    patience: Duration,
}

fn failed(cause: io::Error) -> Error {
    Error::internal("无法启动读写矢量文件的子进程", cause)
}

/// Starts the child in its own folder. Its complaints go to `child.log` there, for our log only.
pub(super) fn start(
    request: &Request,
    folder: &Path,
    with_input: bool,
) -> Result<(Running, Option<ChildStdin>, ChildStdout)> {
    let argument = serde_json::to_string(request).map_err(|cause| Error::internal("无法描述子进程的任务", cause))?;
    // The link stays right while the binary is replaced by an upgrade.
    let program = PROGRAM.get().map_or_else(|| Path::new("/proc/self/exe"), PathBuf::as_path);
    let log = std::fs::File::create(folder.join("child.log")).map_err(failed)?;
    let mut command = Command::new(program);
    command
        .arg("vector-child")
        .arg(argument)
        .env_clear()
        .envs([
            ("PATH", "/nonexistent"),
            ("LC_ALL", "C.UTF-8"),
            ("PROJ_NETWORK", "OFF"),
            // Nothing is ever fetched: no driver of ours needs it, and curl's is told so besides.
            ("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".none"),
            ("GDAL_HTTP_TIMEOUT", "1"),
            ("GDAL_DRIVER_PATH", "disable"),
            ("OGR_SQLITE_ALLOW_EXTERNAL_ACCESS", "NO"),
            // Else SpatiaLite comes in, whose virtual tables read any text file or table that a GeoPackage names.
            ("SPATIALITE_LOAD", "NO"),
            // OGR_SQLITE_LOAD_EXTENSIONS stays unset: it is a list of libraries, and "NO" would load NO.so.
            ("DXF_MAX_BSPLINE_CONTROL_POINTS", "2000"),
            // One byte, one character: GDAL decodes by a head that is often missing or wrong; we decide (`drawing_text`).
            ("DXF_ENCODING", "ISO-8859-1"),
        ])
        .current_dir(folder)
        .stdin(if with_input { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(log);
    // A writer works as fast as its rows come, which may be as slowly as a busy database gives them.
    let (patience, file_bytes) = match request {
        Request::Read { .. } => (CHILD_PATIENCE, MAX_ARCHIVE_BYTES),
        Request::Write { .. } => (WRITER_PATIENCE, MAX_EXPORT_FILE_BYTES),
    };
    let cpu_s = if with_input { WRITER_PATIENCE.as_secs() } else { CHILD_CPU_S };
    // SAFETY: only async-signal-safe system calls between fork and exec.
    unsafe {
        command.pre_exec(move || confine(cpu_s, file_bytes));
    }
    let mut child = command.spawn().map_err(failed)?;
    let input = child.stdin.take();
    let output = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    // A pipe of 64 KB makes the two wait for each other at every turn. Where a wider one is refused, it stays.
    // SAFETY: a plain system call on a descriptor that `output` keeps open.
    unsafe { libc::fcntl(output.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
    let (finished, told) = mpsc::channel();
    let pid = child.id().cast_signed();
    let watch = std::thread::spawn(move || match told.recv_timeout(patience) {
        Err(RecvTimeoutError::Timeout) => {
            // SAFETY: the parent has not waited on the child yet, so the pid is still the child's.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            true
        }
        _ => false,
    });
    Ok((Running { child, finished, watch: Some(watch), patience }, input, output))
}

/// Runs in the child between fork and exec.
fn confine(cpu_s: u64, file_bytes: u64) -> io::Result<()> {
    let limit = |what, value: u64| {
        let limits = libc::rlimit { rlim_cur: value, rlim_max: value };
        // SAFETY: a plain system call on a local structure.
        if unsafe { libc::setrlimit(what, &limits) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    limit(libc::RLIMIT_CPU, cpu_s)?;
    limit(libc::RLIMIT_AS, CHILD_MEMORY_BYTES)?;
    limit(libc::RLIMIT_FSIZE, file_bytes)?;
    limit(libc::RLIMIT_NOFILE, 256)?;
    limit(libc::RLIMIT_CORE, 0)?;
    // SAFETY: plain system calls. Where the kernel refuses a namespace (containers), the explicit driver is the guard.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::unshare(libc::CLONE_NEWNET) != 0 {
            libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET);
        }
    }
    Ok(())
}

impl Running {
    /// Waits for the end; an error where the child was killed or crashed.
    pub(super) fn finish(mut self, folder: &Path) -> Result<()> {
        let status = self.child.wait();
        let _ = self.finished.send(());
        let timed_out = self.watch.take().is_some_and(|watch| watch.join().unwrap_or(false));
        if timed_out {
            return Err(Error::too_large(
                "file_too_slow",
                format!("文件在 {} 秒内没有读写完，请减少要素或分成几个文件", self.patience.as_secs()),
            ));
        }
        let status = status.map_err(|cause| Error::internal("无法等待子进程", cause))?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read(folder.join("child.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[..log.len().min(2000)]).into_owned();
        tracing::warn!(%status, log, "vector child ended badly");
        Err(Error::invalid("file_unreadable", "文件已损坏或太大，读取程序中途停止；请用制图软件重新导出后再试"))
    }
}

impl Drop for Running {
    /// A parent that gives up early leaves no child behind.
    fn drop(&mut self) {
        if self.watch.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = self.finished.send(());
        }
    }
}
