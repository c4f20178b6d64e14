//! What people do, one file per deed: import, undo, export, seed. Owns transactions and the order of steps.
//!
//! Never: a status code, a header, SQL text, a file format's details.

pub mod accounts;
pub mod boundary_change;
pub mod conflicts;
pub mod control_zones;
pub mod criteria;
pub mod database_role;
pub mod directories;
pub mod export;
pub mod extra_layers;
pub mod geometry_report;
pub mod history;
pub mod import;
pub mod land;
pub mod ledgers;
pub mod live;
pub mod overlap_check;
pub mod parks;
mod peoples_text;
pub mod progress;
pub mod reports;
pub mod sample;
pub mod scenarios;
pub mod tiles;
pub mod webhooks;
pub mod wire;
pub mod zone_withdrawal;

/// The day where the land lies: the whole country keeps Beijing time.
pub fn today() -> chrono::NaiveDate {
    (chrono::Utc::now() + chrono::TimeDelta::hours(8)).date_naive()
}
