//! The command line: everything it does is a call into the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    wgconv::cli::main()
}
