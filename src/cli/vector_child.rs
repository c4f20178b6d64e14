//! The hidden subcommand behind GDAL formats: see `exchange::vector`.

use std::process::ExitCode;

use crate::exchange::vector;

/// Reads or writes one file as the parent asks, then ends.
pub fn run() -> ExitCode {
    vector::child::run()
}
