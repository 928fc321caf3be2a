//! What the test of the OpenAPI document needs: Python, and schemathesis in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;
use crate::shell::{Failure, Shell};

/// Every package with its release and the hashes of its files.
const REQUIREMENTS: &str = "bins/api/tests/openapi/requirements.txt";

/// Installs schemathesis, as far as that is possible here. Without it the test says that it is
/// skipped.
///
/// # Errors
/// When a file cannot be written.
pub fn prepare(shell: &Shell) -> Result<(), Failure> {
    let folder = crate::tools::directory(shell).join("schemathesis");
    // written last: with it everything is there
    let installed = folder.join("requirements.txt");
    let wanted = shell.read(REQUIREMENTS)?;
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    match install(shell, &folder) {
        Ok(()) => fs::write(&installed, wanted).map_err(|source| Failure::File {
            path: installed,
            source,
        }),
        Err(Failure::Interrupted) => Err(Failure::Interrupted),
        Err(failure) => {
            eprintln!("    skipped: the OpenAPI document is not tested: {failure}");
            Ok(())
        }
    }
}

fn install(shell: &Shell, folder: &Path) -> Result<(), Failure> {
    let has_python = shell.output(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if has_python.is_err() && debian::can_install(shell) {
        debian::install(shell, &["python3", "python3-venv"])?;
    }
    shell.output(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )?;
    let pip: PathBuf = folder.join("bin/pip");
    let mut pip = Command::new(pip);
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--require-hashes", "--no-deps", "--requirement"]);
    shell.output(pip.arg(shell.path(REQUIREMENTS)))?;
    Ok(())
}
