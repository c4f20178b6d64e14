//! What shapes do: pure functions on geo types. Never: I/O of any kind.
//!
//! Coordinates are longitude, latitude in EPSG:4490 (CGCS2000) unless a name says otherwise.

pub mod area;
pub mod assemble;
pub mod crs;
pub mod difference;
pub mod extremes;
pub mod facing;
pub mod flat;
pub mod gcj02;
pub mod generalise;
pub mod metres;
pub mod overlap;
pub mod project;
pub mod published;
pub mod repair;
mod segments;
pub mod thin;
pub mod validity;
