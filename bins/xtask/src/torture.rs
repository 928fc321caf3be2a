//! `cargo xtask torture`: the tests of what must be survived, with many more rounds than there is time
//! for in `cargo xtask test`.

use clap::{Args, ValueEnum};

use crate::shell::{Failure, Shell};
use crate::test;

/// Run a test of what must be survived, with many rounds
///
/// The same tests run with few rounds in `cargo xtask test`.
#[derive(Args)]
pub struct Options {
    /// What to torture
    #[arg(value_enum)]
    name: Name,

    /// How many rounds on each engine
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// Clients that are slow for minutes
    Abuse,
    /// Databases that are restored from a backup under load, and backups that are killed
    Backup,
    /// Byte strings, names and values that databases and renderers like to repair
    Bytes,
    /// Runners that are killed, stopped beyond their lease, and cut off while they work
    Desktop,
    /// Random graphs of tasks, by the rule alone
    Graphs,
    /// Random graphs of tasks in a database
    GraphsStored,
    /// Histories of concurrent clients, held against a sequential model
    Histories,
    /// Servers that are killed while clients write
    Kills,
    /// Servers and databases whose disk loses its power
    PowerCut,
    /// Disks that report errors when they are synced or written
    IoErrors,
    /// A disk that becomes full
    FullDisk,
    /// Migrations that are killed
    Migrations,
    /// Ways to write paths, hosts and headers
    Paths,
    /// A PostgreSQL that crashes, and connections to it that are killed
    Postgres,
    /// Prunings that are killed
    Prune,
    /// Decisions whose replies are lost after the commit
    LostReplies,
    /// Random sequences of commands beside a reference model
    Model,
    /// Many who decide, claim, flip the mode and rework at the same time; a round is a task
    Races,
    /// Calls made up from the OpenAPI document; a round is an example of each operation
    Openapi,
    /// First starts of the quick start in one folder at the same time
    FirstStarts,
    /// Keys that are revoked while they read and stream at three servers
    Revoked,
    /// What an agent would like a reviewer to see, in a real browser; a round is a payload
    Render,
    /// Attempts that are uploaded to, ended and approved at the same time
    Seal,
    /// Every state of a small account; a round is a thousand states of each plan at most
    States,
}

impl Name {
    /// The package whose test it is, and the test.
    const fn test(self) -> [&'static str; 2] {
        match self {
            Self::Abuse => ["api", "test(/^abuse::/)"],
            Self::Backup => [
                "api",
                "test(/^(restores|backup)::/) & test(/under_load|killed/)",
            ],
            Self::Bytes => [
                "web",
                "test(/^stored::/) | test(byte_strings_that_mean_harm)",
            ],
            Self::Graphs => ["approval-core", "test(/^graphs::/)"],
            Self::GraphsStored => ["store", "binary(graphs)"],
            Self::Histories => ["store", "binary(histories) & test(/::every_history/)"],
            Self::States => ["approval-core", "test(/^states::/)"],
            Self::Migrations => ["api", "test(/^migration_kills::/)"],
            Self::Kills => ["api", "test(/^crash::/)"],
            Self::Paths => ["web", "test(/^paths::/)"],
            Self::PowerCut => ["api", "test(/^power_cut::/)"],
            Self::IoErrors => ["api", "test(/^io_errors::/)"],
            Self::FullDisk => ["api", "test(/^full_disk::/)"],
            Self::Postgres => ["api", "test(/^postgres_failures::/)"],
            Self::Prune => ["api", "test(/^prune::/) & test(/killed/)"],
            Self::Desktop => ["api", "test(/^chaos::/)"],
            Self::LostReplies => ["api", "test(/^lost_replies::/)"],
            Self::Openapi => ["api", "test(/^openapi::/)"],
            Self::FirstStarts => ["api", "test(/^starts::many_first_starts/)"],
            Self::Revoked => ["api", "test(/^revoked::/)"],
            Self::Model => ["store", "binary(model)"],
            Self::Races => ["store", "binary(races) - test(/::what_was_sealed/)"],
            Self::Render => ["api", "test(/^browser::/) & test(/hostile|lies/)"],
            Self::Seal => ["store", "binary(races) & test(/::what_was_sealed/)"],
        }
    }
}

/// Runs it.
///
/// # Errors
/// When a promise is broken.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    let [package, test] = options.name.test();
    let arguments = ["--profile", "torture", "-p", package, "-E", test];
    let arguments = arguments.map(str::to_owned).to_vec();
    let rounds = ("TORTURE_ROUNDS", options.rounds.to_string());
    test::run_some(shell, arguments, &[rounds])
}
