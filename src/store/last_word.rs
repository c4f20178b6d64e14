//! What people said last of what was found: of a conflict of the register, of a finding of a check.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::domain::overlap_check::Verdict;

/// The last word on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LastWord {
    pub verdict: Verdict,
    pub note: String,
    pub by: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl LastWord {
    /// Nobody has said anything yet.
    pub fn none() -> Self {
        Self { verdict: Verdict::Open, note: String::new(), by: None, at: None }
    }
}

/// Columns of [`Raw`], out of a mark joined as `said`.
pub(super) const COLUMNS: &str = "said.verdict, said.note, said.actor AS marked_by, said.marked_at";

/// The word as a row has it.
#[derive(FromRow)]
pub(super) struct Raw {
    verdict: Option<String>,
    note: Option<String>,
    marked_by: Option<String>,
    marked_at: Option<DateTime<Utc>>,
}

impl Raw {
    /// `None` where the verdict is none that we know.
    pub(super) fn read(self) -> Option<LastWord> {
        let verdict = self.verdict.as_deref().map_or(Some(Verdict::Open), Verdict::parse)?;
        Some(LastWord { verdict, note: self.note.unwrap_or_default(), by: self.marked_by, at: self.marked_at })
    }
}
