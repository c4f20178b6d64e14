//! The only place with SQL: the pool, the register's tables, the revision log, the embedded cluster.
//!
//! Writes take a connection inside a transaction whose revision is open (`revision::open`); `inventory` owns the
//! transaction. Never: a status code, a file format.

pub mod accounts;
pub mod api_tokens;
pub mod as_of;
pub mod attachments;
pub mod audit;
pub mod backup;
pub mod blocks;
pub mod boundary_changes;
pub mod changes;
mod conditions;
pub mod conflicts;
pub mod control_zones;
mod copy;
pub mod criteria;
pub mod directories;
pub mod divisions;
pub mod embedded;
mod errors;
pub mod events;
pub mod export_log;
pub mod extra;
pub mod feature_rows;
pub mod features;
mod filter_sql;
mod filter_time;
pub mod follow;
pub mod geometry_column;
mod geometry_literal;
pub mod history;
pub mod idempotency;
pub mod import_batches;
pub mod last_word;
pub mod layer_rows;
pub mod ledgers;
pub mod login_failures;
mod outlines;
pub mod overlap_candidates;
pub mod overlap_checks;
pub mod park_cards;
pub mod park_changes;
pub mod park_days;
pub mod park_events;
pub mod park_lineage;
pub mod parks;
mod pool;
pub mod replica;
pub mod reports;
pub mod revision;
pub mod roles;
mod row_text;
pub mod scenarios;
mod search_pattern;
pub mod sessions;
pub mod tile_rows;
pub mod undo;
pub mod webhooks;

pub use errors::READ_ONLY;
pub use pool::{
    PoolLimits, WRITER_IDLING, bear_idling, begin_edit_as, begin_read, begin_read_as, begin_write, begin_write_as,
    connect, connect_as_application, migrate, speak_for, while_answering,
};

/// What an upsert did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpsertCounts {
    pub inserted: u64,
    pub updated: u64,
    /// Rows that stand already, to the byte: nothing is written for them.
    pub unchanged: u64,
    /// Drawn blocks whose place surveyed ones take.
    pub replaced: u64,
}

impl UpsertCounts {
    /// Rows that differ from the register.
    pub fn changed(self) -> u64 {
        self.inserted + self.updated + self.replaced
    }

    fn from_row((inserted, updated, unchanged): (i64, i64, i64)) -> Self {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Self { inserted: count(inserted), updated: count(updated), unchanged: count(unchanged), replaced: 0 }
    }
}
