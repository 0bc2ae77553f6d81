//! The `lanturn` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanturn::cli::main()
}
