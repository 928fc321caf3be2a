//! Programs that the checks need beside the toolchain, pinned and kept under `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{Failure, Shell, cargo};

/// The release of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// cargo-deny, built the first time: without optimisation that is half a minute on two cores, and
/// the check itself takes a second either way.
///
/// # Errors
/// When it cannot be built.
pub fn cargo_deny(shell: &Shell) -> Result<Command, Failure> {
    let root = directory(shell).join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo(["install", "cargo-deny", "--locked", "--debug", "--quiet"]);
        shell.run(
            install
                .args(["--version", CARGO_DENY, "--root"])
                .arg(&root)
                .env("CARGO_PROFILE_DEV_DEBUG", "false"),
        )?;
    }
    Ok(Command::new(program))
}

fn directory(shell: &Shell) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell.path("target"), PathBuf::from);
    target.join("tools")
}
