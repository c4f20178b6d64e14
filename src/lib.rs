//! sizhi (四至): the land inventory of a province's industrial parks.
// Bad input ends in an error, never in a panic: nothing that ships may take one in its stride.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)
)]

pub mod api; // HTTP: OGC API Features, park cards, imports; thin
pub mod cli; // the subcommands of the binary, one file each
pub mod config; // one struct, a flag or SIZHI_* variable each
pub mod domain; // what things are; pure
pub mod error; // Error: what went wrong, in our words
pub mod exchange; // files in, files out; gdal and encodings live here only
pub mod geometry; // what shapes do; pure functions on geo types
pub mod inventory; // what people do, one file per deed; owns transactions
pub mod layers; // layer declarations and encoders; no SQL, no HTTP
pub mod store; // the only place with SQL

#[cfg(test)]
mod test_data;
