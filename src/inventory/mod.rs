//! What people do, one file per deed: import, undo, export, seed. Owns transactions and the order of steps.
//!
//! Never: a status code, a header, SQL text, a file format's details.

pub mod export;
pub mod geometry_report;
pub mod history;
pub mod import;
pub mod progress;
pub mod sample;
pub mod webhooks;
pub mod wire;
