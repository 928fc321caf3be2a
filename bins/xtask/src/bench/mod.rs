//! `cargo xtask bench`: figures of the real server, beside a floor measured in the same run.

mod abuse;
mod decide;
mod desktop;
mod fanout;
mod floor;
mod idle;
mod instructions;
mod lists;
mod load;
mod pages;
mod replicas;
mod report;
mod scale;
mod seed;
mod server;
mod site;
mod soak;
mod stream;
mod works;

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::postgres::{self, Cluster, Purpose};
use crate::shell::{Failure, Shell, cargo};

/// Measure the server under load, beside a floor measured in the same run
///
/// Builds a release, starts it on a fresh database with full durability, SQLite first, then a
/// PostgreSQL of its own, and drives it over loopback. Load, server and database share the machine.
#[derive(Args)]
pub struct Options {
    /// What to measure
    #[arg(value_enum)]
    workload: Workload,

    /// Only on this engine
    #[arg(long, value_enum)]
    engine: Option<Engine>,

    /// How many decisions each run takes
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    decisions: u32,

    /// How often the server and its floors are measured in turn; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,

    /// How many listen to the account in `fanout`
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    subscribers: u32,

    /// How many tasks the large database of `scale` has
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=20_000_000))]
    tasks: u32,

    /// How long `soak` takes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..=1_440))]
    minutes: u32,

    /// Record the counts of `instructions` anew
    #[arg(long)]
    record: bool,

    /// How often each page is asked for, or how many tasks a desktop runs
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Workload {
    /// Lists of approvals and tasks, and a task
    Lists,
    /// Approvals beside floods of bad keys, slow clients and uploads
    Abuse,
    /// Decisions a second through `POST …/tasks/:id/review`
    Decide,
    /// Events to thousands who listen to one account
    Fanout,
    /// Time and bytes of the pages of the dashboard with 10,000 and 100,000 tasks
    Pages,
    /// Creating tasks, and their whole way to a decision
    Works,
    /// Three servers on one PostgreSQL
    Replicas,
    /// Lists and decisions with 1,000 and with 1,000,000 tasks
    Scale,
    /// Memory without work, start and size of the program
    Idle,
    /// Whether anything grows under a steady load
    Soak,
    /// Instructions that the rules take, beside the recorded counts
    Instructions,
    /// What a desktop's runner costs, and how soon it shows what a task prints
    Desktop,
}

/// An engine to measure on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// SQLite
    Sqlite,
    /// A PostgreSQL of its own
    Postgres,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Builds a release and measures.
///
/// # Errors
/// When something cannot be built or started, or the server answers a request with an error.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return in_release(shell);
    }
    if matches!(options.workload, Workload::Instructions) {
        return instructions::measure(shell, options.record);
    }
    let mut build = cargo(["build", "--release", "--bins", "--examples"]);
    shell.run(build.args(["-p", "api", "-p", "desktop", "-p", "migrate", "-p", "web"]))?;
    let cluster = match postgres::find(shell) {
        Some(binaries) => Some(Cluster::start(shell, binaries, Purpose::Benchmarks)?),
        None => None,
    };
    // beside the build, which is on a real disk; the temporary directory may be memory
    let directory =
        tempfile::TempDir::new_in(shell.path("target")).map_err(|source| Failure::File {
            path: shell.path("target"),
            source,
        })?;
    let sqlite = format!("sqlite://{}", directory.path().join("bench.db").display());
    let mut databases = vec![(Engine::Sqlite, sqlite)];
    databases.extend(
        cluster
            .as_ref()
            .map(|cluster| (Engine::Postgres, cluster.url())),
    );
    let runtime = runtime()?;
    databases.retain(|(engine, _)| options.engine.is_none_or(|only| only == *engine));
    for (engine, url) in databases {
        let (url, requests) = (&url, options.requests);
        runtime.block_on(async {
            match options.workload {
                Workload::Abuse => abuse::measure(shell, engine, url).await,
                Workload::Decide => decide::measure(shell, engine, url, options).await,
                Workload::Lists => lists::measure(shell, engine, url, options).await,
                Workload::Fanout => fanout::measure(shell, engine, url, options).await,
                Workload::Works => works::measure(shell, engine, url, options).await,
                Workload::Replicas => replicas::measure(shell, engine, url, options).await,
                Workload::Scale => scale::measure(shell, engine, url, options).await,
                Workload::Idle => idle::measure(shell, engine, url, options).await,
                Workload::Soak => soak::measure(shell, engine, url, options).await,
                Workload::Instructions => Ok(()),
                Workload::Pages => pages::measure(shell, engine, url, requests).await,
                Workload::Desktop => desktop::measure(shell, engine, url, requests).await,
            }
        })?;
    }
    if cluster.is_none() {
        println!("PostgreSQL: SKIPPED, because there is no server.");
    }
    Ok(())
}

/// The load shares the machine with what it measures: it must not be slow itself.
fn in_release(shell: &Shell) -> Result<(), Failure> {
    let mut again = cargo(["run", "--quiet", "--release", "-p", "xtask", "--"]);
    shell.run(again.args(std::env::args_os().skip(1)))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Start {
            command: "the load generator".to_owned(),
            source,
        })
}

/// A failure that is nobody's exit code.
fn failed(what: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::Check(format!("{what}: {why}"))
}

/// The value below which `share` of the sorted samples lie.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into the samples"
    )]
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// Milliseconds, for people.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Resident memory of a process in MiB, as the kernel counts it.
fn resident(process: u32) -> Option<f64> {
    memory(process, "VmRSS:")
}

/// Bytes that a process has written to disks so far.
fn written(process: u32) -> Option<f64> {
    let io =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("io")).ok()?;
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"))?;
    line.trim().parse().ok()
}

/// Forgets what [`peak`] was.
fn forget_peak(process: u32) -> Result<(), Failure> {
    let path = Path::new("/proc")
        .join(process.to_string())
        .join("clear_refs");
    // 5 is the number for the peak: proc(5)
    std::fs::write(&path, "5").map_err(|source| Failure::File { path, source })
}

/// The most that was resident of a process so far, in MiB.
fn peak(process: u32) -> Option<f64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, what: &str) -> Option<f64> {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))
            .ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1_024.0)
}
