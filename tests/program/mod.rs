//! The command line's program as tests run it.

use std::process::Command;

/// The program, started where the repository is, without the user's caches: neither what is there may matter nor what is left.
pub fn wgconv() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgconv"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("WGCONV_CACHE", "off");
    command
}
