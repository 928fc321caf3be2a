//! The workload `works`: creating tasks, and the whole way of a task from its creation to its decision.

use std::rc::Rc;
use std::time::Instant;

use super::load::{self, Call, Connection, Measured, Pace};
use super::report::{Report, median};
use super::seed::Database;
use super::server::Server;
use super::site::Desktop;
use super::{Engine, Options, written};
use crate::shell::{Failure, Shell};

const CONNECTIONS: u32 = 64;

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
    let mut report = Report::new("works", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    let mut rates: [Vec<f64>; 5] = Default::default();
    for _ in 0..options.runs {
        let calls = desktop.creations(options.decisions);
        let created = load::saturate(server.address, CONNECTIONS, calls).await?;
        desktop.finish_all(&server).await?;
        let before = bytes(engine, url, &server).await?;
        let whole = ways(&server, &desktop, None, options.decisions / 4).await?;
        let cost = bytes(engine, url, &server).await? - before;
        #[expect(clippy::cast_precision_loss, reason = "a count for people")]
        let values = [
            created.per_second(),
            created.within(0.99),
            whole.per_second(),
            whole.within(0.99),
            cost / whole.count() as f64,
        ];
        for (all, value) in rates.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let [created, created_p99, whole, whole_p99, cost] = rates.map(|mut all| median(&mut all));
    report.add("create, 64 connections", created, "/s", None);
    report.add("create, p99", created_p99, "ms", None);
    report.add("create, claim, complete, approve", whole, "/s", None);
    report.add("… p99 of all four", whole_p99, "ms", None);
    report.add("… bytes written to the disk", cost, "", None);
    report.save(shell)
}

/// The whole way of so many tasks; at a rate, or as fast as answers come.
///
/// # Errors
/// When an answer is no success.
pub async fn ways(
    server: &Server,
    desktop: &Desktop,
    per_second: Option<f64>,
    count: u32,
) -> Result<Measured, Failure> {
    let pace = Pace::new(per_second.unwrap_or(f64::INFINITY), count as usize);
    let is_paced = per_second.is_some();
    let desktop = desktop.clone();
    load::each(server.address, CONNECTIONS, move |mut connection| {
        let (pace, desktop) = (Rc::clone(&pace), desktop.clone());
        async move {
            let mut measured = Measured::new();
            while let Some(due) = pace.due().await {
                let begin = if is_paced { due } else { Instant::now() };
                way(&mut connection, &desktop).await?;
                measured.note(begin.elapsed());
            }
            Ok(measured)
        }
    })
    .await
}

/// Creates, claims, completes and approves. The task that is claimed may be another connection's.
async fn way(connection: &mut Connection, desktop: &Desktop) -> Result<(), Failure> {
    for create in desktop.creations(1) {
        connection.succeed(&create).await?;
    }
    let Some(task) = desktop.finish_one(connection).await? else {
        return Ok(());
    };
    let approve: Call = task.approve(&desktop.owner);
    connection.succeed(&approve).await?;
    Ok(())
}

/// Bytes that were written so far: by the server, or by PostgreSQL to its log.
async fn bytes(engine: Engine, url: &str, server: &Server) -> Result<f64, Failure> {
    match engine {
        Engine::Sqlite => Ok(written(server.process()).unwrap_or(f64::NAN)),
        Engine::Postgres => {
            let statement = "SELECT (pg_current_wal_lsn() - '0/0')::float8";
            Database::open(engine, url).await?.number(statement).await
        }
    }
}
