//! What things are: parks, blocks, four extents, areas, findings. Pure; every type is checked when built.
//!
//! Never: serde wire shapes, sqlx, actix, gdal, the clock, the environment.

pub mod access;
pub mod account;
pub mod area;
pub mod attachment;
pub mod block;
pub mod boundary_change;
pub mod conflict;
pub mod control_zone;
pub mod detail;
pub mod directory;
pub mod division;
pub mod export;
pub mod extents_check;
pub mod extra_layer;
pub mod filter;
pub mod finding;
pub mod four_extents;
pub mod generalisation;
pub mod ids;
pub mod items_query;
pub mod layer;
pub mod ledger;
pub mod lifecycle;
pub mod overlap;
pub mod overlap_check;
pub mod park;
pub mod park_words;
pub mod published_crs;
pub mod report;
pub mod search;
pub mod text;

pub use area::{Hectares, Mu, SquareMetres};
pub use block::Block;
pub use control_zone::ControlZone;
pub use directory::{DirectoryEntry, DirectoryVersion};
pub use division::{Division, DivisionLevel};
pub use finding::{Finding, Place, Severity};
pub use four_extents::FourExtents;
pub use ids::{BlockId, DivisionCode, ParkCode};
pub use ledger::{Ledger, Parcel, RecordId};
pub use lifecycle::ParkEvent;
pub use park::Park;
