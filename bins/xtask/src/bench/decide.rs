//! The workload `decide`: approvals of tasks that wait in review, with everything on: authentication, a
//! key for repeats, the evidence, the hash chain, somebody who listens.

use super::floor::{pgbench, raw};
use super::load::{self, Call, Measured};
use super::report::{Goal, Report, median};
use super::server::{Batches, Server, account};
use super::site::{Desktop, Waiting};
use super::stream::Listener;
use super::{Engine, Options};
use crate::shell::{Failure, Shell};

/// Connections of the headline.
const CONNECTIONS: u32 = 64;
/// Decisions one after the other: each waits for the disk.
const ALONE: u32 = 500;
/// The share of the highest rate at which times are measured that do not wait for answers.
const OFFERED: f64 = 0.7;
/// Accounts among which decisions are spread.
const ACCOUNTS: u32 = 64;

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
    let mut report = Report::new("decide", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    let listener = Listener::open(server.address, &server.key).await?;

    let tasks = desktop.prepare(&server, ALONE).await?;
    let alone = load::saturate(server.address, 1, approvals(&tasks, &desktop)).await?;
    let (most, most_alone) = match engine {
        Engine::Sqlite => (15.0, 2.0),
        Engine::Postgres => (25.0, 5.0),
    };
    report.add("1 connection, p50", alone.within(0.50), "ms", None);
    let goal = Some(Goal::AtMost(most_alone));
    report.add("1 connection, p99", alone.within(0.99), "ms", goal);

    let one = runs(
        shell,
        engine,
        url,
        options,
        &server,
        std::slice::from_ref(&desktop),
    )
    .await?;
    one.tell(&mut report, engine, "64 connections", 3.5);
    let goal = Some(Goal::AtMost(most));
    report.add("64 connections, p99", one.p99, "ms", goal);

    let tasks = desktop.prepare(&server, options.decisions).await?;
    let rate = one.rate * OFFERED;
    let calls = approvals(&tasks, &desktop);
    let offered = load::offer(server.address, CONNECTIONS, rate, calls).await?;
    report.add(
        "offered 70 % of that, p50 from when due",
        offered.within(0.50),
        "ms",
        None,
    );
    report.add(
        "offered 70 % of that, p99 from when due",
        offered.within(0.99),
        "ms",
        goal,
    );

    if engine == Engine::Postgres {
        let mut desktops = Vec::new();
        for n in 0..ACCOUNTS {
            let key = account(shell, url, &format!("bench {n}"))?;
            desktops.push(Desktop::create(&server, &key).await?);
        }
        let spread = runs(shell, engine, url, options, &server, &desktops).await?;
        spread.tell(&mut report, engine, "spread over 64 accounts", 1.5);
    }
    let heard = listener.close().await;
    report.add("events a listener heard meanwhile", heard, "", None);
    report.save(shell)
}

/// What several runs came to, medians.
struct Runs {
    rate: f64,
    p99: f64,
    batch: f64,
    raw: f64,
    pgbench: f64,
}

impl Runs {
    fn tell(&self, report: &mut Report, engine: Engine, what: &str, of_pgbench: f64) {
        report.add(format!("{what}, decisions a second"), self.rate, "/s", None);
        report.add(format!("{what}, decisions a batch"), self.batch, "", None);
        let floor = format!("{what}, the same rows by raw SQL");
        report.add(floor, self.raw, "/s", None);
        let goal = (engine == Engine::Sqlite).then_some(Goal::AtLeast(0.5));
        report.add(
            format!("{what}, of raw SQL"),
            self.rate / self.raw,
            "times",
            goal,
        );
        if engine == Engine::Postgres {
            let floor = format!("{what}, pgbench, a transaction a decision");
            report.add(floor, self.pgbench, "/s", None);
            let goal = Some(Goal::AtLeast(of_pgbench));
            report.add(
                format!("{what}, of pgbench"),
                self.rate / self.pgbench,
                "times",
                goal,
            );
        }
    }
}

/// The server and its floors in turn, so that what slows the machine slows all of them.
async fn runs(
    shell: &Shell,
    engine: Engine,
    url: &str,
    options: &Options,
    server: &Server,
    desktops: &[Desktop],
) -> Result<Runs, Failure> {
    let mut all: [Vec<f64>; 5] = Default::default();
    for _ in 0..options.runs {
        let tasks = prepare(server, desktops, options.decisions).await?;
        let before = Batches::read(server).await?;
        let measured = decide(server, desktops, &tasks).await?;
        let batch = Batches::read(server).await?.since(before).mean();
        let tasks = prepare(server, desktops, options.decisions).await?;
        let floor = match desktops {
            [_] => raw::decide(engine, url, &tasks, whole(batch))
                .await?
                .per_second(),
            _ => f64::NAN,
        };
        let single = if engine == Engine::Postgres {
            let tasks = prepare(server, desktops, options.decisions).await?;
            pgbench::decide(shell, url, &tasks).await?
        } else {
            f64::NAN
        };
        let values = [
            measured.per_second(),
            measured.within(0.99),
            batch,
            floor,
            single,
        ];
        for (all, value) in all.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let [rate, p99, batch, raw, pgbench] = all.map(|mut values| median(&mut values));
    Ok(Runs {
        rate,
        p99,
        batch,
        raw,
        pgbench,
    })
}

/// Tasks in review, one of each desktop in turn.
async fn prepare(
    server: &Server,
    desktops: &[Desktop],
    count: u32,
) -> Result<Vec<Waiting>, Failure> {
    let number = u32::try_from(desktops.len()).unwrap_or(u32::MAX);
    let mut shares = Vec::new();
    for desktop in desktops {
        shares.push(desktop.prepare(server, count / number).await?.into_iter());
    }
    let mut tasks = Vec::new();
    loop {
        let before = tasks.len();
        tasks.extend(shares.iter_mut().filter_map(Iterator::next));
        if tasks.len() == before {
            return Ok(tasks);
        }
    }
}

async fn decide(
    server: &Server,
    desktops: &[Desktop],
    tasks: &[Waiting],
) -> Result<Measured, Failure> {
    let owners = desktops.iter().map(|desktop| &desktop.owner).cycle();
    let calls = tasks
        .iter()
        .zip(owners)
        .map(|(task, owner)| task.approve(owner));
    load::saturate(server.address, CONNECTIONS, calls.collect()).await
}

fn approvals(tasks: &[Waiting], desktop: &Desktop) -> Vec<Call> {
    tasks
        .iter()
        .map(|task| task.approve(&desktop.owner))
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn whole(batch: f64) -> usize {
    batch.round().max(1.0) as usize
}
