//! The binary: parse arguments, start logging, run a command, set the exit code.

use std::process::ExitCode;

/// Judging on all cores asks for memory by the million pieces; glibc's allocator makes the cores wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sizhi::cli::main()
}
