//! A layer as it is held in memory: what was surveyed, and what the public is shown of it, always of one revision.

use std::sync::Arc;

use crate::domain::detail::Detail;
use crate::layers::snapshot::{NewFeature, Snapshot};

/// A layer as it is held.
#[derive(Debug)]
pub struct Held {
    shown: Shown,
    /// The revision of the register that it shows.
    pub revision: i64,
    /// Changes whenever the layer shows something else: the revision that touched it last and the start of its hash, and the day
    /// where timers go by it.
    pub mark: String,
}

impl Held {
    pub(super) fn of(shown: Shown, revision: i64, mark: String) -> Self {
        Self { shown, revision, mark }
    }

    /// The layer as somebody is shown it (`Layer::detail_for`).
    pub fn snapshot_for(&self, detail: Detail) -> &Arc<Snapshot> {
        match detail {
            Detail::Surveyed => &self.shown.surveyed,
            Detail::Outline => &self.shown.outlines,
        }
    }

    /// The same at another revision, which changed nothing of it.
    pub(super) fn at(&self, revision: i64) -> Self {
        Self::of(self.shown.clone(), revision, self.mark.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    pub(super) fn shown(&self) -> Shown {
        self.shown.clone()
    }
}

/// The two ways in which a layer shows; one where it is not generalised.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    surveyed: Arc<Snapshot>,
    outlines: Arc<Snapshot>,
}

impl Shown {
    /// Of a layer just read.
    pub fn of(surveyed: Snapshot) -> Self {
        let outlines = surveyed.layer().generalisation.map(|rule| Arc::new(surveyed.outlined(&rule)));
        let surveyed = Arc::new(surveyed);
        Self { outlines: outlines.unwrap_or_else(|| Arc::clone(&surveyed)), surveyed }
    }

    /// With the features of these ids as they are now, or gone; and the boxes in which something shows otherwise to somebody.
    pub fn after(&self, ids: &[String], now: impl Iterator<Item = (String, NewFeature)>) -> (Self, Vec<[f64; 4]>) {
        let gone = ids.iter().map(|id| (id.clone(), None));
        let applied = self.surveyed.apply(gone.chain(now.map(|(id, feature)| (id, Some(feature)))).collect());
        let mut touched = applied.touched;
        let rule = applied.snapshot.layer().generalisation;
        let outlines = rule.map(|rule| {
            let redrawn = applied.snapshot.outlined_after(&self.outlines, ids, &touched, &rule);
            touched.extend(redrawn.touched);
            Arc::new(redrawn.snapshot)
        });
        let surveyed = Arc::new(applied.snapshot);
        (Self { outlines: outlines.unwrap_or_else(|| Arc::clone(&surveyed)), surveyed }, touched)
    }

    pub fn len(&self) -> usize {
        self.surveyed.len()
    }

    pub fn heap_bytes(&self) -> usize {
        let outlines = if Arc::ptr_eq(&self.surveyed, &self.outlines) { 0 } else { self.outlines.heap_bytes() };
        self.surveyed.heap_bytes() + outlines
    }
}
