//! `debrief`: one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    debrief::cli::main()
}
