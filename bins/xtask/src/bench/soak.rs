//! The workload `soak`: 50 whole ways of tasks a second for a long time; nothing may grow but the
//! database.

use std::path::Path;

use super::report::{Goal, Report};
use super::server::Server;
use super::site::Desktop;
use super::{Engine, Options, resident, works};
use crate::shell::{Failure, Shell};

const A_SECOND: f64 = 50.0;
/// Of the ways of one sample: a minute.
const A_SAMPLE: u32 = 3_000;

/// Measures one engine.
///
/// # Errors
/// When something does not start, or an answer is no success.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    options: &Options,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    let mut report = Report::new("soak", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    let mut samples = Vec::new();
    println!("  minute    MiB  files  MiB of WAL  p99 ms");
    for minute in 1..=options.minutes {
        let ways = works::ways(&server, &desktop, Some(A_SECOND), A_SAMPLE).await?;
        let sample = Sample::take(&server, url);
        println!(
            "  {minute:>6} {:>6.1} {:>6} {:>11.1} {:>7.1}",
            sample.memory,
            sample.files,
            sample.wal,
            ways.within(0.99),
        );
        samples.push(sample);
    }
    tell(&mut report, &samples);
    report.save(shell)
}

/// What the server holds.
struct Sample {
    /// Resident, in MiB.
    memory: f64,
    files: usize,
    /// The write-ahead log of SQLite, in MiB.
    wal: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    fn take(server: &Server, url: &str) -> Self {
        let open = Path::new("/proc")
            .join(server.process().to_string())
            .join("fd");
        let wal = format!("{}-wal", url.trim_start_matches("sqlite://"));
        Self {
            memory: resident(server.process()).unwrap_or(f64::NAN),
            files: std::fs::read_dir(open).map_or(0, Iterator::count),
            wal: std::fs::metadata(wal).map_or(0.0, |file| file.len() as f64 / 1_048_576.0),
        }
    }
}

/// How much more there was in the last quarter than in the second: the first fills caches.
#[expect(clippy::cast_precision_loss, reason = "counts for people")]
fn tell(report: &mut Report, samples: &[Sample]) {
    let quarter = samples.len() / 4;
    let mean = |part: &[Sample], value: &dyn Fn(&Sample) -> f64| {
        part.iter().map(value).sum::<f64>() / part.len() as f64
    };
    let (_, rest) = samples.split_at(quarter);
    let (second, _) = rest.split_at(quarter);
    let (_, last) = samples.split_at(samples.len() - quarter);
    let grown = |value: &dyn Fn(&Sample) -> f64| mean(last, value) - mean(second, value);
    let hours = quarter as f64 * 2.0 / 60.0;
    let memory = grown(&|sample| sample.memory) / hours;
    report.add("memory", memory, "MiB an hour", Some(Goal::AtMost(1.0)));
    let files = grown(&|sample| sample.files as f64);
    report.add("open files, more", files, "", Some(Goal::AtMost(1.0)));
    let wal = grown(&|sample| sample.wal);
    report.add("write-ahead log, more", wal, "MiB", Some(Goal::AtMost(1.0)));
}
