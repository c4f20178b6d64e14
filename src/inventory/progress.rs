//! `Progress`: how long work tells its watcher where it is. The command line draws a bar, a request ignores it.

/// Told about the stages of long work.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is the number of steps if known.
    fn stage(&self, label: &str, total: Option<u64>);
    /// Steps done in this stage.
    fn advance(&self, steps: u64);
}

/// Nobody watches.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _label: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
}
