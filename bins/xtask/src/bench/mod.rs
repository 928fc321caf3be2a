//! `cargo xtask bench`: figures of the real server, beside a floor measured in the same run.

mod abuse;
mod decide;
mod desktop;
mod floor;
mod lists;
mod load;
mod pages;
mod report;
mod server;
mod site;
mod stream;

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
    /// Time and bytes of the pages of the dashboard with 10,000 and 100,000 tasks
    Pages,
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
        match options.workload {
            Workload::Abuse => {
                runtime.block_on(abuse::measure(shell, engine, &url))?;
            }
            Workload::Decide => {
                runtime.block_on(decide::measure(shell, engine, &url, options))?;
            }
            Workload::Lists => {
                runtime.block_on(lists::measure(shell, engine, &url, options))?;
            }
            Workload::Pages => {
                runtime.block_on(pages::measure(shell, engine, &url, options.requests))?;
            }
            Workload::Desktop => {
                runtime.block_on(desktop::measure(shell, engine, &url, options.requests))?;
            }
        }
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
