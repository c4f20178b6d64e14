//! A temporary folder of this process's own: gone at its end and at a signal, and where it was killed, at a later start.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// What our folders are called, ahead of the process's number.
const NAME: &str = "sizhi-tmp-";
/// A folder whose process is not to be seen may be another container's: only what nobody has touched for so long is swept.
const FORSAKEN: Duration = Duration::from_secs(3_600);

/// The folder; everything temporary of this process lies in it while this value lives.
pub struct Temporary {
    folder: Option<PathBuf>,
}

impl Temporary {
    /// Makes the folder and sweeps what killed processes left. Where it cannot be made, the system's own folder serves.
    pub fn make() -> Self {
        let root = std::env::temp_dir();
        sweep(&root);
        let folder = root.join(format!("{NAME}{}", std::process::id()));
        // Only a folder that we have made: what stands there already is somebody's.
        let made = fs::DirBuilder::new().mode(0o700).create(&folder).is_ok()
            && tempfile::env::override_temp_dir(&folder).is_ok();
        Self { folder: made.then_some(folder) }
    }

    /// Ends the process at the signals that would end it, the folder with it.
    pub fn remove_at_signals(&self) {
        for (kind, number) in [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15), (SignalKind::hangup(), 1)] {
            let folder = self.folder.clone();
            let Ok(mut signal) = signal(kind) else { continue };
            tokio::spawn(async move {
                signal.recv().await;
                if let Some(folder) = folder {
                    let _ = fs::remove_dir_all(folder);
                }
                eprintln!("已中断；写到一半的内容由数据库自行撤回");
                std::process::exit(128 + number);
            });
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn sweep(root: &Path) {
    // SAFETY: always succeeds.
    let own = unsafe { libc::geteuid() };
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|n| n.strip_prefix(NAME)?.parse::<u32>().ok()) else { continue };
        let forsaken = fs::symlink_metadata(entry.path()).is_ok_and(|found| {
            let untouched = found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FORSAKEN));
            found.is_dir() && found.uid() == own && untouched
        });
        if forsaken && !Path::new(&format!("/proc/{process}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
