//! The binary: parse arguments, start logging, run a command, set the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sizhi::cli::main()
}
