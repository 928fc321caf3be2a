//! `cargo xtask test`: every test of the workspace, with everything they need set up first.

use std::process::Command;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::browser;
use crate::controls;
use crate::debian;
use crate::postgres::{self, Cluster, Purpose};
use crate::schemathesis;
use crate::shell::{Failure, Shell, cargo};
use crate::steps::Steps;

/// Run every test, doctests included, with a private PostgreSQL server
///
/// Starts a PostgreSQL server of its own in a temporary directory (installing Debian's package when
/// it is missing and we are root), has a browser (Debian's Chromium, in the same way) and what drives it
/// ready, what lets disks and clocks fail, and schemathesis, builds the programs, runs the tests and removes the server.
/// Without PostgreSQL it runs what it can, and its last line says what it skipped.
#[derive(Args)]
pub struct Options {
    /// Refuse to skip anything
    #[arg(long, env = "CI", value_parser = FalseyValueParser::new())]
    ci: bool,

    /// Arguments for `cargo nextest run`, such as `-p store` or a test's name; no doctests then
    #[arg(last = true, value_name = "ARGUMENTS")]
    nextest: Vec<String>,
}

/// Runs the tests.
///
/// # Errors
/// When a test fails, or with `--ci` when PostgreSQL is missing.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    run_in(shell, options, &[])
}

/// Runs the tests that these arguments for nextest choose, with additional variables.
///
/// # Errors
/// When a test fails.
pub fn run_some(
    shell: &Shell,
    nextest: Vec<String>,
    variables: &[(&str, String)],
) -> Result<(), Failure> {
    let options = Options { ci: false, nextest };
    run_in(shell, &options, variables)
}

fn run_in(shell: &Shell, options: &Options, variables: &[(&str, String)]) -> Result<(), Failure> {
    let mut steps = Steps::new("test");
    let cluster = match steps.step("start PostgreSQL", || start_postgres(shell))? {
        Started::Running(cluster) => Some(cluster),
        Started::Missing(reason) if options.ci => return Err(Failure::Check(reason)),
        Started::Missing(reason) => {
            eprintln!("    {reason}");
            None
        }
    };

    steps.step("browser and its packages", || browser::prepare(shell))?;
    steps.step("means of failure", || debian::prepare_faults(shell))?;
    steps.step("schemathesis", || schemathesis::prepare(shell))?;
    // Some tests start the programs of other crates, and an agent that is an example of one; cargo
    // builds them only when asked to.
    steps.step("build the programs", || {
        shell.run(&mut cargo(["build", "--workspace", "--bins", "--examples"]))
    })?;
    steps.step("tests", || {
        let mut command = runner(shell, &options.nextest);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        shell.run(with_database(&mut command, cluster.as_ref()))
    })?;
    if options.nextest.is_empty() {
        steps.step("doctests", || {
            let mut command = cargo(["test", "--workspace", "--doc"]);
            shell.run(with_database(&mut command, cluster.as_ref()))
        })?;
    }

    if options.nextest.is_empty() {
        let passed = controls::Before::Passed;
        steps.step("controls", || {
            controls::check(shell, cluster.as_ref(), "", passed)
        })?;
    }

    let complete = cluster.is_some();
    steps.step("stop PostgreSQL", || {
        drop(cluster);
        Ok(())
    })?;
    steps.finish();
    println!(
        "{}",
        if complete {
            "Passed, on SQLite and on PostgreSQL."
        } else {
            "Passed on SQLite. SKIPPED: every suite on PostgreSQL, because there is no server."
        }
    );
    Ok(())
}

/// A PostgreSQL server for tests.
///
/// # Errors
/// When there is none to be had.
pub fn postgres(shell: &Shell) -> Result<Cluster, Failure> {
    match start_postgres(shell)? {
        Started::Running(cluster) => Ok(cluster),
        Started::Missing(reason) => Err(Failure::Check(reason)),
    }
}

enum Started {
    Running(Cluster),
    /// There is no PostgreSQL to be had; the text says why.
    Missing(String),
}

fn start_postgres(shell: &Shell) -> Result<Started, Failure> {
    let binaries = match postgres::find(shell) {
        Some(binaries) => Some(binaries),
        None if debian::can_install(shell) => {
            postgres::install(shell)?;
            postgres::find(shell)
        }
        None => None,
    };
    match binaries {
        Some(binaries) => Cluster::start(shell, binaries, Purpose::Tests).map(Started::Running),
        None => Ok(Started::Missing(
            "PostgreSQL is missing: install the server (Debian: apt-get install postgresql)"
                .to_owned(),
        )),
    }
}

/// nextest where it is installed (a process for each test), else cargo's own runner; on the whole
/// workspace unless the arguments choose packages.
fn runner(shell: &Shell, arguments: &[String]) -> Command {
    let chooses = |argument: &String| argument == "-p" || argument.starts_with("--package");
    let whole: &[&str] = if arguments.iter().any(chooses) {
        &[]
    } else {
        &["--workspace"]
    };
    let mut command = if shell.output(&mut cargo(["nextest", "--version"])).is_ok() {
        cargo(["nextest", "run"])
    } else {
        cargo(["test", "--lib", "--bins", "--tests", "--examples"])
    };
    command.args(whole).args(arguments);
    command
}

/// With the server that tests use, or with none.
pub fn with_database<'a>(command: &'a mut Command, cluster: Option<&Cluster>) -> &'a mut Command {
    match cluster {
        Some(cluster) => command.env("TEST_POSTGRES_URL", cluster.url()),
        None => command.env_remove("TEST_POSTGRES_URL"),
    }
}
