//! Layers: their declarations and encoders. Never: SQL, HTTP.

pub mod columns;
pub mod catalogue;
pub mod declaration;
pub mod extra;
pub mod geojson;
mod ledgers;
