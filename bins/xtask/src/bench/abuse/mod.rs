//! The workload `abuse` (rows E3 and E7 of the guarantees): people approve at a modest rate while others
//! try to keep the server from it. The server has the limits it has unless told otherwise.

mod flood;
mod slow;
mod strangers;

use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use super::load::{Call, Connection, Measured};
use super::report::{Goal, Report};
use super::server::Server;
use super::site::{Desktop, TASKS, call, text};
use super::{Engine, failed, forget_peak, peak, runtime};
use crate::shell::{Failure, Shell};

/// Approvals a second.
const RATE: f64 = 20.0;
/// Approvals of one measurement: 15 seconds.
const APPROVALS: u32 = 300;
/// People who approve in turn: one may decide 600 times a minute.
const PEOPLE: usize = 4;
/// How long an attack goes on before anything is measured.
const LEAD: Duration = Duration::from_secs(3);
/// How long a server recovers before the next attack.
const REST: Duration = Duration::from_secs(2);
/// What 99 of 100 approvals must take at most, in milliseconds.
const P99: f64 = 500.0;
/// What the server may have in memory at most, in MiB.
const MEMORY: f64 = 512.0;

/// An attack: runs until it is cancelled, and says what it came to.
type Attack = Box<dyn FnOnce(CancellationToken) -> Result<Vec<Outcome>, Failure> + Send>;

/// What an attack came to: a name, a number and its unit.
type Outcome = (&'static str, f64, &'static str);

/// Measures one engine.
///
/// # Errors
/// When something does not start, or an approval is no success.
pub async fn measure(shell: &Shell, engine: Engine, url: &str) -> Result<(), Failure> {
    raise_descriptors()?;
    let unlimited = Server::start(shell, url).await?;
    let mut approvers = Vec::new();
    for _ in 0..PEOPLE {
        approvers.push(person(&unlimited).await?);
    }
    let desktop = Desktop::create(&unlimited, &unlimited.key).await?;
    let tasks = desktop.prepare(&unlimited, 4 * APPROVALS).await?;
    // each with a budget of uploads of its own
    let slow = Desktop::create(&unlimited, &unlimited.key).await?;
    let flooding = Desktop::create(&unlimited, &unlimited.key).await?;
    let key = Rc::clone(&unlimited.key);
    drop(unlimited);

    let server = Server::start_limited(shell, url, key).await?;
    let people = approvers.iter().cycle();
    let calls: Vec<Call> = tasks
        .iter()
        .zip(people)
        .map(|(t, p)| t.approve(p))
        .collect();
    let mut calls = calls.into_iter();
    let mut report = Report::new("abuse", engine.name());
    for (name, attack) in attacks(&server, &slow, &flooding).await? {
        let calls = calls.by_ref().take(APPROVALS as usize).collect();
        beside(&server, name, attack, calls, &mut report).await?;
    }
    report.save(shell)
}

/// What is measured, in turn.
async fn attacks(
    server: &Server,
    slow: &Desktop,
    flooding: &Desktop,
) -> Result<Vec<(&'static str, Option<Attack>)>, Failure> {
    let (address, process) = (server.address, server.process());
    let slow_key = slow.key.to_string();
    let agent = flood::Agent {
        key: flooding.key.to_string(),
        desktop: flooding.id.clone(),
        task: running(server, flooding).await?,
    };
    Ok(vec![
        ("quiet", None),
        (
            "5,000 bad keys a second",
            Some(Box::new(move |end| strangers::knock(address, end))),
        ),
        (
            "2,000 slow clients",
            Some(Box::new(move |end| {
                slow::dawdle(address, process, &slow_key, end)
            })),
        ),
        (
            "an agent that uploads 100 MB/s",
            Some(Box::new(move |end| flood::upload(address, &agent, end))),
        ),
    ])
}

/// Approves beside an attack and notes what that took.
async fn beside(
    server: &Server,
    name: &str,
    attack: Option<Attack>,
    calls: Vec<Call>,
    report: &mut Report,
) -> Result<(), Failure> {
    tokio::time::sleep(REST).await;
    forget_peak(server.process())?;
    let end = CancellationToken::new();
    let running = attack.map(|attack| {
        let end = end.clone();
        thread::spawn(move || attack(end))
    });
    if running.is_some() {
        tokio::time::sleep(LEAD).await;
    }
    let approved = approve(server.address, calls).await;
    let memory = peak(server.process()).unwrap_or(f64::NAN);
    end.cancel();
    let outcomes = match running.map(thread::JoinHandle::join) {
        None => Vec::new(),
        Some(Ok(outcomes)) => outcomes?,
        Some(Err(_)) => return Err(failed(name, &"the attack panicked")),
    };
    let approved = approved?;
    for (what, value, unit) in outcomes {
        report.add(format!("{name}: {what}"), value, unit, None);
    }
    report.add(format!("{name}: p50"), approved.within(0.50), "ms", None);
    let goal = Some(Goal::AtMost(P99));
    report.add(format!("{name}: p99"), approved.within(0.99), "ms", goal);
    report.add(format!("{name}: longest"), approved.within(1.0), "ms", None);
    let goal = Some(Goal::AtMost(MEMORY));
    report.add(format!("{name}: most memory"), memory, "MiB", goal);
    Ok(())
}

/// Makes each call when it is due, on a connection of its own, whatever became of those before. Each
/// counts from when it was due.
async fn approve(address: SocketAddr, calls: Vec<Call>) -> Result<Measured, Failure> {
    let approving = async {
        let begin = Instant::now();
        let mut under_way = JoinSet::new();
        for (number, call) in (0_u32..).zip(calls) {
            let due = begin + Duration::from_secs_f64(f64::from(number) / RATE);
            tokio::time::sleep_until(due.into()).await;
            under_way.spawn_local(async move {
                Connection::open(address).await?.succeed(&call).await?;
                Ok::<_, Failure>(due.elapsed())
            });
        }
        let mut measured = Measured::new();
        while let Some(took) = under_way.join_next().await {
            measured.note(took.map_err(|e| failed("an approval", &e))??);
        }
        Ok(measured)
    };
    LocalSet::new().run_until(approving).await
}

/// A person's key that only decides.
async fn person(server: &Server) -> Result<Rc<str>, Failure> {
    let wish = json!({ "name": "approver", "kind": "human",
        "capabilities": ["tasks:read", "approvals:decide"] });
    let made = call(server, Call::post("/api/auth/api-keys", &server.key, wish)).await?;
    Ok(text(&made, "key")?.into())
}

/// A task of a desktop that waits for being claimed.
async fn running(server: &Server, desktop: &Desktop) -> Result<String, Failure> {
    let wish =
        json!({ "type": "command", "content": "flood", "desktopId": desktop.id, "autoRun": true });
    let made = call(server, Call::post(TASKS, &server.key, wish)).await?;
    text(&made, "id")
}

/// Runs an attack on this thread, beside the one that approves.
fn on_this_thread<T>(attack: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    runtime.block_on(LocalSet::new().run_until(attack))
}

/// This process, too, needs a descriptor for each connection.
fn raise_descriptors() -> Result<(), Failure> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| failed("RLIMIT_NOFILE", &error))
}
