//! The `onsite` binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    onsite::cli::main()
}
