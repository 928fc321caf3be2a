//! `cargo xtask openapi`: keeps `docs/openapi.json` equal to what the server says of itself.

use std::fs;

use clap::Args;

use crate::shell::{Failure, Shell, cargo};

/// Where the description is kept.
const FILE: &str = "docs/openapi.json";

/// Write docs/openapi.json from the server's code
#[derive(Args)]
pub struct Options {
    /// Change nothing; fail if the file differs
    #[arg(long)]
    check: bool,
}

/// Writes or compares the description.
///
/// # Errors
/// When the server cannot print it, or the file cannot be written or differs.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    if options.check {
        return check(shell);
    }
    let path = shell.path(FILE);
    fs::write(&path, printed(shell)?).map_err(|source| Failure::File { path, source })
}

/// Fails unless the file is what the server prints.
///
/// # Errors
/// When it differs or cannot be made.
pub fn check(shell: &Shell) -> Result<(), Failure> {
    if shell.read(FILE)? == printed(shell)? {
        Ok(())
    } else {
        Err(Failure::Check(format!(
            "{FILE} is not what the server says; run `cargo xtask openapi` and commit the result"
        )))
    }
}

fn printed(shell: &Shell) -> Result<String, Failure> {
    shell.output(&mut cargo([
        "run",
        "--quiet",
        "--package",
        "api",
        "--",
        "openapi",
    ]))
}
