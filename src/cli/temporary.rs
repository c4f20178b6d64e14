//! A temporary folder of this process's own: gone at its end and at a signal, and where it was killed, at a later start.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

/// What our folders are called, ahead of the process's number.
const NAME: &str = "sizhi-tmp-";
/// A folder whose process is not to be seen may be another container's: only what nobody has touched for so long is swept.
const FORSAKEN: Duration = Duration::from_secs(3_600);
/// How often a service shows that its folder is in use: to others of its kind, and to what cleans the system's folder by age.
const SIGN_OF_LIFE: Duration = Duration::from_secs(600);

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

    /// Keeps the folder for as long as a service runs.
    pub fn keep(&self) {
        let Some(folder) = self.folder.clone() else { return };
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(SIGN_OF_LIFE);
            loop {
                clock.tick().await;
                touch(&folder);
            }
        });
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

/// Makes the folder new: by its date, or altogether where somebody has cleaned it away.
fn touch(folder: &Path) {
    let _ = fs::DirBuilder::new().mode(0o700).create(folder);
    let _ = fs::File::open(folder).and_then(|opened| opened.set_modified(SystemTime::now()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_left_is_swept_and_nothing_else() {
        let root = tempfile::tempdir().expect("folder");
        let old = SystemTime::now() - 2 * FORSAKEN;
        // No process has this number: it is above the kernel's bound.
        for (name, age, stays) in [
            ("sizhi-tmp-4194305", Some(old), false),
            ("sizhi-tmp-4194306", None, true),
            ("sizhi-tmp-1", Some(old), true),
            ("sizhi-tmp-x", Some(old), true),
            ("sizhi-4194305", Some(old), true),
        ] {
            let folder = root.path().join(name);
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("left"), "x").expect("written");
            if let Some(age) = age {
                fs::File::open(&folder).and_then(|opened| opened.set_modified(age)).expect("aged");
            }
            sweep(root.path());
            assert_eq!(folder.exists(), stays, "{name}");
        }
    }

    #[test]
    fn a_folder_in_use_stays_new_and_comes_back() {
        let root = tempfile::tempdir().expect("folder");
        let folder = root.path().join("sizhi-tmp-4194305");
        touch(&folder);
        fs::File::open(&folder).and_then(|opened| opened.set_modified(SystemTime::now() - 2 * FORSAKEN)).expect("aged");
        touch(&folder);
        sweep(root.path());
        assert!(folder.is_dir());
    }
}
