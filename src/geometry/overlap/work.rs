//! What a comparison may still cost, and whether it is still wanted.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Edges, meetings and boxes that are looked at for one pair: two shapes of the most vertices with a common border take a twentieth.
/// Combs across each other, each within its limits, would take the product of their teeth.
pub(super) const MOST_STEPS: u64 = 20_000_000;

/// Why a comparison ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The boundaries meet too often.
    TooComplex,
    /// Nobody waits for it any more.
    Cancelled,
}

/// The steps of one pair.
#[derive(Debug)]
pub struct Work<'a> {
    granted: u64,
    left: u64,
    cancelled: Option<&'a AtomicBool>,
}

impl<'a> Work<'a> {
    pub fn of_one_pair() -> Self {
        Self::of(MOST_STEPS)
    }

    pub fn of(steps: u64) -> Self {
        Self { granted: steps, left: steps, cancelled: None }
    }

    /// Ends soon after this has become true.
    #[must_use]
    pub fn until(mut self, cancelled: &'a AtomicBool) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// So many steps of their own for a part that can be left out, as long as this is wanted.
    pub(super) fn apart(&self, steps: u64) -> Self {
        Self { granted: steps, left: steps, cancelled: self.cancelled }
    }

    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Stopped> {
        self.left = self.left.checked_sub(steps).ok_or(Stopped::TooComplex)?;
        match self.cancelled {
            Some(flag) if flag.load(Relaxed) => Err(Stopped::Cancelled),
            _ => Ok(()),
        }
    }

    pub fn spent(&self) -> u64 {
        self.granted - self.left
    }
}
