//! Who asked lately: a map that fetches a hundred tiles with one login asks the database once who that is.
//!
//! Forgotten whenever rights may have changed: at once by a write of this process, by the database's bell from elsewhere, and after
//! [`KEPT`] in case the bell is not heard. Used only beside layers in memory: other requests ask the database anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::auth::Caller;

/// So long is somebody known without a look.
const KEPT: Duration = Duration::from_secs(2);
/// So many are known at once.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub struct Callers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    callers: HashMap<[u8; 32], (Caller, Instant)>,
    /// Counts how often all were forgotten.
    forgotten: u64,
}

/// A look at the database that began in this time: what it finds is kept only if nothing was forgotten since.
#[derive(Debug, Clone, Copy)]
pub struct Look(u64);

impl Callers {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // A holder that panicked left the map whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller of this credential, or the permission to look.
    pub fn find(&self, credential: &str) -> Result<Caller, Look> {
        let known = self.known();
        match known.callers.get(&digest(credential)) {
            Some((caller, seen)) if seen.elapsed() < KEPT => Ok(caller.clone()),
            _ => Err(Look(known.forgotten)),
        }
    }

    /// Keeps what a look has found.
    pub fn keep(&self, credential: &str, caller: &Caller, look: Look) {
        let mut known = self.known();
        if known.forgotten != look.0 {
            return;
        }
        if known.callers.len() >= MOST {
            known.callers.retain(|_, (_, seen)| seen.elapsed() < KEPT);
        }
        if known.callers.len() < MOST {
            known.callers.insert(digest(credential), (caller.clone(), Instant::now()));
        }
    }

    pub fn forget(&self) {
        let mut known = self.known();
        known.callers.clear();
        known.forgotten += 1;
    }

    /// Forgets whenever the bell rings.
    pub async fn forget_when(&self, mut rung: watch::Receiver<u64>) {
        while rung.changed().await.is_ok() {
            self.forget();
        }
    }
}

/// The secret itself is not held.
fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Viewer;

    fn caller(name: &str) -> Caller {
        Caller { viewer: Viewer::operator(name), account: None, login: None }
    }

    fn name_of(found: Result<Caller, Look>) -> Option<String> {
        found.ok().map(|caller| caller.viewer.actor)
    }

    #[test]
    fn a_look_that_began_before_rights_changed_is_not_kept() {
        let callers = Callers::default();
        let look = callers.find("a").expect_err("nobody yet");
        callers.keep("a", &caller("x"), look);
        assert_eq!(name_of(callers.find("a")).as_deref(), Some("x"));
        assert_eq!(name_of(callers.find("b")), None);
        let look = callers.find("b").expect_err("nobody yet");
        callers.forget();
        callers.keep("b", &caller("y"), look);
        assert_eq!((name_of(callers.find("a")), name_of(callers.find("b"))), (None, None));
    }
}
