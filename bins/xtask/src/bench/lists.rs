//! The workload `lists`: what programs read, beside a handler that answers the same bytes from memory.

use super::floor::memory::Floor;
use super::load::{self, Call, Connection};
use super::report::{Goal, Report, median};
use super::server::Server;
use super::site::{APPROVALS, Desktop, TASKS};
use super::{Engine, Options};
use crate::shell::{Failure, Shell};

/// Approvals that wait.
const WAITING: u32 = 50;
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
    let mut report = Report::new("lists", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    let tasks = desktop.prepare(&server, WAITING).await?;
    let least = match engine {
        Engine::Sqlite => 0.25,
        Engine::Postgres => 0.10,
    };
    let task = tasks.first().map(|task| format!("{TASKS}/{}", task.id));
    let pages = [
        (
            "50 pending approvals",
            APPROVALS.to_owned(),
            Some(Goal::AtLeast(least)),
        ),
        ("50 tasks in review", format!("{TASKS}?status=review"), None),
        ("a task", task.unwrap_or_default(), None),
    ];
    for (name, path, goal) in pages {
        let body = body(&server, &path).await?;
        let floor = Floor::start(shell, &body)?;
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..options.runs {
            let calls = || (0..options.requests * 20).map(|_| Call::get(&path, &server.key));
            let answered = load::saturate(server.address, CONNECTIONS, calls().collect()).await?;
            let bare = load::saturate(floor.address, CONNECTIONS, calls().collect()).await?;
            let values = [
                answered.per_second(),
                answered.within(0.99),
                bare.per_second(),
            ];
            for (all, value) in rates.iter_mut().zip(values) {
                all.push(value);
            }
        }
        let [rate, p99, bare] = rates.map(|mut values| median(&mut values));
        report.add(name, rate, "/s", None);
        report.add(format!("{name}, p99"), p99, "ms", None);
        report.add(format!("{name}, from memory"), bare, "/s", None);
        report.add(format!("{name}, of memory"), rate / bare, "times", goal);
    }
    report.save(shell)
}

async fn body(server: &Server, path: &str) -> Result<Vec<u8>, Failure> {
    let call = Call::get(path, &server.key);
    let asked = async { Connection::open(server.address).await?.succeed(&call).await };
    let body = tokio::task::LocalSet::new().run_until(asked).await?;
    Ok(body.to_vec())
}
