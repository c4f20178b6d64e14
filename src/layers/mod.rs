//! Layers: their declarations and encoders. Never: SQL, HTTP.

pub mod catalogue;
pub mod columns;
pub mod cql2;
pub mod declaration;
pub mod encode;
pub mod extra;
pub mod geojson;
mod ledgers;
pub mod selection;
pub mod shaped;
pub mod snapshot;
pub mod tiles;
