//! The workload `replicas`: three servers on one PostgreSQL beside one, on the same two cores.

use std::rc::Rc;

use futures_util::future::try_join_all;

use super::load::{self, Measured};
use super::report::{Goal, Report, median};
use super::seed::Database;
use super::server::Server;
use super::site::{Desktop, Waiting};
use super::{Engine, Options, failed};
use crate::shell::{Failure, Shell};

const CONNECTIONS: u32 = 64;

/// Measures PostgreSQL; SQLite has one server by design.
///
/// # Errors
/// When something does not start, an answer is no success, or a decision is lost or doubled.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    options: &Options,
) -> Result<(), Failure> {
    if engine == Engine::Sqlite {
        return Ok(());
    }
    let one = Server::start(shell, url).await?;
    let mut report = Report::new("replicas", engine.name());
    let desktop = Desktop::create(&one, &one.key).await?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..options.runs {
        let tasks = desktop.prepare(&one, options.decisions).await?;
        let alone = decide(&[&one], &desktop, tasks).await?;
        let second = Server::start_another(shell, url, Rc::clone(&one.key)).await?;
        let third = Server::start_another(shell, url, Rc::clone(&one.key)).await?;
        let tasks = desktop.prepare(&one, options.decisions).await?;
        let three = decide(&[&one, &second, &third], &desktop, tasks).await?;
        let values = [alone.rate, three.rate, three.p99];
        for (all, value) in rates.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let [alone, three, p99] = rates.map(|mut all| median(&mut all));
    report.add("one server, decisions a second", alone, "/s", None);
    report.add("three servers, together", three, "/s", None);
    report.add("three servers, p99", p99, "ms", None);
    let goal = Some(Goal::AtLeast(0.4));
    report.add("three, of one", three / alone, "times", goal);
    let expected = f64::from(options.decisions) * 2.0 * f64::from(options.runs);
    check(url, expected).await?;
    report.add("lost or doubled", 0.0, "", Some(Goal::AtMost(0.0)));
    report.save(shell)
}

/// What one run came to.
struct Rate {
    rate: f64,
    p99: f64,
}

/// Decides the tasks through all servers at once, each with its share.
async fn decide(
    servers: &[&Server],
    desktop: &Desktop,
    tasks: Vec<Waiting>,
) -> Result<Rate, Failure> {
    let share = tasks.len().div_ceil(servers.len());
    let connections = CONNECTIONS / u32::try_from(servers.len()).unwrap_or(1);
    let runs = tasks.chunks(share).zip(servers).map(|(tasks, server)| {
        let calls = tasks.iter().map(|task| task.approve(&desktop.owner));
        load::saturate(server.address, connections, calls.collect())
    });
    let begin = std::time::Instant::now();
    let mut all = Measured::new();
    for measured in try_join_all(runs).await? {
        all.merge(&measured);
    }
    all.elapsed = begin.elapsed();
    Ok(Rate {
        rate: all.per_second(),
        p99: all.within(0.99),
    })
}

/// Each decision stands once in the table and once in the log, which has no gap.
async fn check(url: &str, expected: f64) -> Result<(), Failure> {
    let mut database = Database::open(Engine::Postgres, url).await?;
    for (what, statement) in [
        (
            "decisions",
            "SELECT count(*)::float8 FROM approvals WHERE status = 'approved'",
        ),
        (
            "logged decisions",
            "SELECT count(DISTINCT payload)::float8 FROM activity WHERE type = 'approval.resolved'",
        ),
    ] {
        let found = database.number(statement).await?;
        if (found - expected).abs() > 0.5 {
            let why = format!("{found} instead of {expected}");
            return Err(failed(what, &why));
        }
    }
    let gaps = "SELECT (max(head_seq) - (SELECT count(*) FROM activity))::float8 FROM accounts";
    let gaps = database.number(gaps).await?;
    if gaps.abs() < 0.5 {
        Ok(())
    } else {
        Err(failed("gaps in the log", &gaps))
    }
}
