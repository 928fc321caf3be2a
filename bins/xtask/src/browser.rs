//! What the browser tests need: node, their packages, and Debian's Chromium.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::debian;
use crate::shell::{Failure, Shell};

/// Where the tests and their lock file are.
const FOLDER: &str = "bins/api/tests/browser";
/// What npm writes last: newer than the lock file when everything is installed.
const INSTALLED: &str = "bins/api/tests/browser/node_modules/.package-lock.json";
const CHROMIUM: &str = "/usr/bin/chromium";

/// Installs what is missing, as far as that is possible here. The tests themselves say what they
/// skip, and skip nothing in continuous integration.
///
/// # Errors
/// When an installation fails.
pub fn prepare(shell: &Shell) -> Result<(), Failure> {
    let packages = missing_packages(shell);
    if !packages.is_empty() {
        if !debian::can_install(shell) {
            eprintln!("    the browser tests need {}", packages.join(", "));
            return Ok(());
        }
        debian::install(shell, &packages)?;
    }
    if !is_current(shell) {
        let folder = shell.path(FOLDER);
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--silent", "--prefix"]);
        shell.run(npm.arg(folder))?;
    }
    Ok(())
}

/// Debian's packages that are needed and not there.
fn missing_packages(shell: &Shell) -> Vec<&'static str> {
    let runs = |program: &str| shell.output(Command::new(program).arg("--version")).is_ok();
    let mut missing = Vec::new();
    if !runs("node") {
        missing.push("nodejs");
    }
    if !runs("npm") {
        missing.push("npm");
    }
    if std::env::var_os("CHROMIUM").is_none() && !Path::new(CHROMIUM).exists() {
        missing.push("chromium");
    }
    missing
}

/// Whether the installed packages are those of the lock file.
fn is_current(shell: &Shell) -> bool {
    let changed = |path: &str| fs::metadata(shell.path(path)).and_then(|file| file.modified());
    let lock = changed(&format!("{FOLDER}/package-lock.json"));
    matches!((changed(INSTALLED), lock), (Ok(installed), Ok(lock)) if installed >= lock)
}
