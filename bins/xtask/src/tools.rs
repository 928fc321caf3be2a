//! Programs that the checks need beside the toolchain, pinned and kept under `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{Failure, Shell, cargo};

/// The release of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";
/// The release of cargo-mutants whose reports were read.
const CARGO_MUTANTS: &str = "27.1.0";

/// cargo-deny, built the first time: without optimisation that is half a minute on two cores, and
/// the check itself takes a second either way.
///
/// # Errors
/// When it cannot be built.
pub fn cargo_deny(shell: &Shell) -> Result<Command, Failure> {
    installed(shell, "cargo-deny", CARGO_DENY)
}

/// cargo-mutants, built the first time.
///
/// # Errors
/// When it cannot be built.
pub fn cargo_mutants(shell: &Shell) -> Result<Command, Failure> {
    installed(shell, "cargo-mutants", CARGO_MUTANTS)
}

/// A program of crates.io in a folder of its own, in exactly this release.
fn installed(shell: &Shell, name: &str, version: &str) -> Result<Command, Failure> {
    let root = directory(shell).join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.exists() {
        let mut install = cargo(["install", name, "--locked", "--debug", "--quiet"]);
        shell.run(
            install
                .args(["--version", version, "--root"])
                .arg(&root)
                .env("CARGO_PROFILE_DEV_DEBUG", "false"),
        )?;
    }
    Ok(Command::new(program))
}

/// Where they are kept.
pub fn directory(shell: &Shell) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell.path("target"), PathBuf::from);
    target.join("tools")
}
