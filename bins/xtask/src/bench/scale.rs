//! The workload `scale`: the same with 1,000 and with 1,000,000 tasks in the database, in turn.

use super::load::{self, Call, Measured};
use super::report::{Goal, Report, median};
use super::seed::{Database, Seed, create_user};
use super::server::Server;
use super::site::{APPROVALS, Desktop, TASKS};
use super::{Engine, Options};
use crate::shell::{Failure, Shell};

/// Approvals that wait while lists are asked for.
const WAITING: u32 = 50;
/// Statements insert so many tasks at once.
const AT_ONCE: u32 = 100_000;
const CONNECTIONS: u32 = 8;

/// A server on a database with so many tasks.
struct Place {
    tasks: u32,
    server: Server,
    desktop: Desktop,
    bytes: f64,
}

/// What is measured at each place, in this order.
const WHAT: [&str; 3] = ["50 pending approvals", "50 newest tasks", "decide"];

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
    let mut report = Report::new("scale", engine.name());
    let few = Place::fill(shell, engine, url, "few", 1_000).await?;
    let many = Place::fill(shell, engine, url, "many", options.tasks).await?;
    let mut p99: [[Vec<f64>; WHAT.len()]; 2] = Default::default();
    for _ in 0..options.runs {
        for (place, all) in [&few, &many].into_iter().zip(&mut p99) {
            for (all, value) in all.iter_mut().zip(place.measure(options).await?) {
                all.push(value);
            }
        }
    }
    let [of_few, of_many] = p99.map(|all| all.map(|mut values| median(&mut values)));
    for ((what, few), many) in WHAT.iter().zip(of_few).zip(of_many) {
        report.add(format!("{what}, p99 of 1,000 tasks"), few, "ms", None);
        report.add(
            format!("{what}, p99 of {} tasks", options.tasks),
            many,
            "ms",
            None,
        );
        let goal = Some(Goal::AtMost(1.2));
        report.add(format!("{what}, many of few"), many / few, "times", goal);
    }
    let a_task = (many.bytes - few.bytes) / f64::from(many.tasks - few.tasks);
    report.add("the database, a task", a_task, "bytes", None);
    report.save(shell)
}

impl Place {
    async fn fill(
        shell: &Shell,
        engine: Engine,
        url: &str,
        name: &str,
        tasks: u32,
    ) -> Result<Self, Failure> {
        let url = beside(engine, url, name).await?;
        let server = Server::start(shell, &url).await?;
        let seed = Seed::of(&create_user(shell, &url)?)?;
        let mut database = Database::open(engine, &url).await?;
        for from in (1..=tasks).step_by(AT_ONCE as usize) {
            let to = (from + AT_ONCE - 1).min(tasks);
            for statement in seed.tasks(engine, from, to) {
                database.run(&statement).await?;
            }
        }
        for statement in seed.approve_all_but(WAITING) {
            database.run(&statement).await?;
        }
        database.settle().await?;
        let bytes = database.size().await?;
        let desktop = Desktop::create(&server, &server.key).await?;
        Ok(Self {
            tasks,
            server,
            desktop,
            bytes,
        })
    }

    /// The p99 of each of [`WHAT`].
    async fn measure(&self, options: &Options) -> Result<[f64; WHAT.len()], Failure> {
        let approvals = self.read(options, APPROVALS.to_owned()).await?;
        let newest = self.read(options, format!("{TASKS}?limit=50")).await?;
        let tasks = self
            .desktop
            .prepare(&self.server, options.decisions)
            .await?;
        let calls = tasks.iter().map(|task| task.approve(&self.desktop.owner));
        let decided = load::saturate(self.server.address, CONNECTIONS, calls.collect()).await?;
        Ok([approvals, newest, decided].map(|measured| measured.within(0.99)))
    }

    async fn read(&self, options: &Options, path: String) -> Result<Measured, Failure> {
        let calls = (0..options.requests * 10).map(|_| Call::get(&path, &self.server.key));
        load::saturate(self.server.address, CONNECTIONS, calls.collect()).await
    }
}

/// The URL of another database of the same engine.
async fn beside(engine: Engine, url: &str, name: &str) -> Result<String, Failure> {
    if engine == Engine::Sqlite {
        return Ok(url.replace("bench.db", &format!("{name}.db")));
    }
    let mut database = Database::open(engine, url).await?;
    database
        .run(&format!("CREATE DATABASE bench_{name}"))
        .await?;
    let (server, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = server.rsplit_once('/').unwrap_or((server, ""));
    let options = if options.is_empty() {
        String::new()
    } else {
        format!("?{options}")
    };
    Ok(format!("{server}/bench_{name}{options}"))
}
