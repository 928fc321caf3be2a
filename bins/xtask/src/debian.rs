//! Packages of Debian that the tests need beside the toolchain.

use std::path::Path;
use std::process::Command;

use crate::shell::{Failure, Shell};

/// What the tests of crashes and failing disks use, and the packages that have it.
const FAULTS: [(&str, &str); 4] = [
    ("strace", "strace"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
];

/// Whether [`install`] has a chance: Debian or a descendant, as root.
pub fn can_install(shell: &Shell) -> bool {
    let user = shell.output(Command::new("id").arg("-u"));
    Path::new("/etc/debian_version").exists() && user.is_ok_and(|id| id.trim() == "0")
}

/// Installs packages.
///
/// # Errors
/// When apt-get fails.
pub fn install(shell: &Shell, packages: &[&str]) -> Result<(), Failure> {
    shell.run(Command::new("apt-get").args(["update", "--quiet"]))?;
    shell.run(
        Command::new("apt-get")
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Installs what the tests of crashes and failing disks use, as far as that is possible here. The
/// tests themselves say what they skip.
///
/// # Errors
/// When an installation fails.
pub fn prepare_faults(shell: &Shell) -> Result<(), Failure> {
    let starts = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let missing: Vec<&str> = FAULTS
        .iter()
        .filter(|(program, _)| !starts(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install(shell) {
        eprintln!("    some tests of crashes need {}", missing.join(", "));
        return Ok(());
    }
    install(shell, &missing)
}
