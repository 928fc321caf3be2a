//! Controls: a build that makes one mistake on purpose, in which the suite that guards against it must
//! fail. A suite that stays green then proves nothing, so that is a failure here.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::Args;

use crate::postgres::Cluster;
use crate::shell::{Failure, Shell, cargo};
use crate::test::with_database;

/// See that the suites fail when what they guard is broken
///
/// Builds the workspace once more with `--cfg sabotage`, and runs each suite with the mistake it must notice.
/// `cargo xtask test` does it, too.
#[derive(Args)]
pub struct Options {
    /// Only the mistakes whose names contain this
    filter: Option<String>,

    /// The suites have just passed: do not run them without a mistake first
    #[arg(long)]
    passed: bool,
}

/// A mistake of `crates/store/src/sabotage.rs`, and a suite that must notice it.
struct Control {
    mistake: &'static str,
    /// The suite of docs/guarantees.md.
    suite: &'static str,
    package: &'static str,
    /// The test program.
    target: &'static str,
    /// Part of the names of its tests.
    test: &'static str,
}

/// One line a control: mistake, suite, package, test program, tests.
macro_rules! controls {
    ($($mistake:literal $suite:literal: $package:literal $target:literal $test:literal;)*) => {
        &[$(Control {
            mistake: $mistake,
            suite: $suite,
            package: $package,
            target: $target,
            test: $test,
        },)*]
    };
}

const CONTROLS: &[Control] = controls! {
    "mode-forgotten-at-finish" "F2": "store" "conformance" "the_mode_closes_the_gate";
    "mode-forgotten-at-finish" "F2": "store" "model" "every_step_is_the_models";
    "route-unguarded" "F3": "web" "http" "every_call_with_every_credential";
    "foreign-tasks" "F3": "web" "http" "what_is_foreign_does_not_exist";
    "foreign-tasks" "F3": "web" "http" "tenants::";
    "no-account-lock" "F4": "store" "races" "one_of_four_deciders_wins_each_task";
    "begin-deferred" "F4": "store" "races" "sqlite::administration_goes_on_beside_a_busy_server";
    "upload-after-seal" "F4": "store" "races" "what_was_sealed_is_what_is_stored";
    "no-account-lock" "L5": "store" "histories" "every_history_is_that_of_a_sequential_account";
    "answers-forgotten" "F5": "store" "conformance" "idempotency";
    "answer-before-commit" "F6": "api" "programs" "a_killed_server_has_kept_every_word";
    "sync-normal" "F6": "api" "programs" "io_errors::every_decision_was_synced";
    "backup-by-copy" "F6": "api" "programs" "a_backup_under_load_is_one_moment";
    "migration-by-halves" "F6": "api" "programs" "a_killed_migration_is_whole_or_undone";
    "no-reserve" "F6": "api" "programs" "decided_in_the_reserve";
    "sync-normal" "F7": "api" "programs" "power_cut::sqlite";
    "answers-forgotten" "F5": "api" "programs" "lost_replies";
    "upload-without-lease" "F8": "store" "conformance" "nothing_is_taken_without_the_current_lease";
    "upload-after-seal" "F8": "store" "conformance" "runner";
    "old-sqlite" "F10": "api" "programs" "the_sqlite_that_the_programs_bring";
    "cross-site" "F10": "web" "http" "origin";
    "unbound-sessions" "F10": "web" "http" "bound";
    "get-that-acts" "F10": "web" "http" "no_get_changes_a_row";
    "secret-in-log" "F10": "api" "programs" "a_secret_comes_out_nowhere";
    "streams-for-ever" "F10": "api" "programs" "a_revoked_key_hears_and_does_nothing_more";
    "no-request-timeout" "F10": "api" "programs" "abuse::slow";
    "undocumented-status" "F11": "api" "programs" "openapi::sqlite";
    "prune-recent" "F12": "store" "conformance" "only_finished_and_decided_work_goes";
    "log-after-commit" "F12": "api" "programs" "what_cannot_be_logged_does_not_happen";
};

/// The `controls` command.
///
/// # Errors
/// As [`check`].
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    let cluster = crate::test::postgres(shell)?;
    check(
        shell,
        Some(&cluster),
        options.filter.as_deref().unwrap_or(""),
        if options.passed {
            Before::Passed
        } else {
            Before::Unknown
        },
    )
}

/// What is known of the suites without a mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// All of them have just passed in the ordinary build, which differs in nothing else.
    Passed,
    /// Nothing; each runs once more without its mistake.
    Unknown,
}

/// Runs every control whose mistake contains `filter`.
///
/// # Errors
/// When a suite fails without a mistake, or does not fail with one.
pub fn check(
    shell: &Shell,
    cluster: Option<&Cluster>,
    filter: &str,
    before: Before,
) -> Result<(), Failure> {
    let chosen = || {
        CONTROLS
            .iter()
            .filter(|control| control.mistake.contains(filter))
    };
    let mut packages: Vec<_> = chosen().map(|control| control.package).collect();
    if packages.contains(&"api") {
        packages.push("migrate"); // which its tests start
    }
    packages.sort_unstable();
    packages.dedup();
    let mut build = sabotaged(shell, ["test", "--no-run", "--tests", "--bins"]);
    for package in packages {
        build.args(["-p", package]);
    }
    shell.run(&mut build)?;
    let mut blind = Vec::new();
    for control in chosen() {
        let started = Instant::now();
        let honest = match before {
            Before::Passed => Ok(Ran::Whole),
            Before::Unknown => run_suite(shell, cluster, control, ""),
        };
        let broken = run_suite(shell, cluster, control, control.mistake);
        let verdict = match (&honest, &broken) {
            (Ok(Ran::Whole), Err(Failure::Command { .. })) => "fails, as it must",
            (Ok(Ran::Skipped), _) | (Ok(Ran::Whole), Ok(Ran::Skipped)) => "skipped",
            (Ok(Ran::Whole), Ok(Ran::Whole)) => "STAYS GREEN",
            (Ok(Ran::Whole), Err(_)) | (Err(_), _) => "FAILS WITHOUT A MISTAKE",
        };
        println!(
            "{:>4}  {:<28} {}::{} {verdict}, {:.0} s",
            control.suite,
            control.mistake,
            control.target,
            control.test,
            started.elapsed().as_secs_f64(),
        );
        if !["fails, as it must", "skipped"].contains(&verdict) {
            honest?;
            blind.push(control.mistake);
        }
    }
    if blind.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(format!(
            "no suite notices: {}",
            blind.join(", ")
        )))
    }
}

/// How a suite passed.
enum Ran {
    Whole,
    /// What it needs is missing here, and it said so.
    Skipped,
}

/// Runs the suite of a control; quiet, because it is meant to fail.
fn run_suite(
    shell: &Shell,
    cluster: Option<&Cluster>,
    control: &Control,
    mistake: &str,
) -> Result<Ran, Failure> {
    let mut command = sabotaged(
        shell,
        ["test", "-p", control.package, "--test", control.target],
    );
    command.args(["--", control.test, "--show-output"]);
    command.env("COUNTERSIGN_SABOTAGE", mistake);
    let printed = shell.output(with_database(&mut command, cluster))?;
    if printed.contains("running 0 tests") {
        return Err(Failure::Check(format!(
            "{} has no test {}",
            control.target, control.test
        )));
    }
    Ok(if printed.contains("skipped: ") {
        Ran::Skipped
    } else {
        Ran::Whole
    })
}

/// `cargo` for the build with mistakes, in a folder of its own: the other build stays honest.
fn sabotaged<const N: usize>(shell: &Shell, arguments: [&str; N]) -> Command {
    let mut command = cargo(arguments);
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell.path("target"), PathBuf::from);
    command
        .env("CARGO_TARGET_DIR", target.join("sabotage"))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTFLAGS", "--cfg sabotage");
    command
}
