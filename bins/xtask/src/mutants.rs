//! `cargo xtask mutants`: changes the code in small ways, one at a time, and sees whether a test notices.
//! A change that no test notices is a line that may be wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::shell::{Failure, Shell};
use crate::tools;

/// See that every small change of the rule, of authentication and of the seal makes a test fail
///
/// Without --full only the lines that differ from the base are changed. What survives for a reason is
/// excluded in `.cargo/mutants.toml`, with that reason. The report is kept under `target/mutants`.
#[derive(Args)]
pub struct Options {
    /// Every line, not only those that differ from the base; hours on two cores
    #[arg(long)]
    full: bool,

    /// The commit or branch that the changed lines are counted from
    #[arg(long, default_value = "main")]
    base: String,

    /// Only this package
    #[arg(long, short)]
    package: Option<String>,
}

/// Code in which a wrong line could let something past the gate, and the tests that must notice.
struct Subject {
    package: &'static str,
    /// Which files.
    files: &'static str,
    /// Which tests, as arguments for nextest.
    tests: &'static [&'static str],
}

const SUBJECTS: &[Subject] = &[
    Subject {
        package: "approval-core",
        files: "crates/approval-core/src/**",
        tests: &[],
    },
    Subject {
        package: "store",
        files: "crates/store/src/writer/decide/**",
        tests: &["--test", "conformance"],
    },
    Subject {
        package: "web",
        files: "crates/web/src/auth/**",
        tests: &["--lib", "--test", "http"],
    },
];

/// Changes each subject and lists what no test noticed. The databases are SQLite: what is changed knows
/// nothing of the engine.
///
/// # Errors
/// When a change survives, or the tests fail without one.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    let directory = shell.path("target/mutants");
    fs::create_dir_all(&directory).map_err(|source| at(&directory, source))?;
    let changed = if options.full {
        None
    } else {
        Some(diff(shell, &options.base, &directory)?)
    };
    let mut survivors = Vec::new();
    for subject in SUBJECTS {
        if options
            .package
            .as_deref()
            .is_none_or(|p| p == subject.package)
        {
            survivors.extend(change(shell, subject, changed.as_deref(), &directory)?);
        }
    }
    if survivors.is_empty() {
        println!("Every change was noticed.");
        return Ok(());
    }
    Err(Failure::Check(format!(
        "no test notices:\n{}",
        survivors.join("\n")
    )))
}

/// The lines that are new since `base`, in a file.
fn diff(shell: &Shell, base: &str, directory: &Path) -> Result<PathBuf, Failure> {
    let text = shell.output(Command::new("git").args(["diff", "--merge-base", base]))?;
    let path = directory.join("diff");
    fs::write(&path, text).map_err(|source| at(&path, source))?;
    Ok(path)
}

/// Tries the changes of one subject and returns those that survived.
fn change(
    shell: &Shell,
    subject: &Subject,
    changed: Option<&Path>,
    directory: &Path,
) -> Result<Vec<String>, Failure> {
    let output = directory.join(subject.package);
    fs::create_dir_all(&output).map_err(|source| at(&output, source))?;
    let mut command = tools::cargo_mutants(shell)?;
    command
        .args(["mutants", "--package", subject.package])
        .args(["--file", subject.files])
        .args(["--test-tool", "nextest", "--no-shuffle", "--output"])
        .arg(&output)
        .env("NEXTEST_PROFILE", "mutants")
        .env("CARGO_INCREMENTAL", "1")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("TEST_POSTGRES_URL");
    if let Some(diff) = changed {
        command.arg("--in-diff").arg(diff);
    }
    command.arg("--").args(subject.tests);
    let outcome = shell.run(&mut command);
    let survivors = survivors(&output.join("mutants.out/missed.txt"))?;
    if survivors.is_empty() {
        outcome?;
    }
    Ok(survivors)
}

/// One line each; there is no such file when no line of the subject was to be changed.
fn survivors(list: &Path) -> Result<Vec<String>, Failure> {
    if !list.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(list).map_err(|source| at(list, source))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn at(path: &Path, source: std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        source,
    }
}
