//! The scenarios, by subject, and what they share.

pub mod activity;
pub mod administration;
pub mod batches;
pub mod board;
pub mod credentials;
pub mod dependencies;
pub mod desktops;
pub mod gate;
pub mod idempotency;
pub mod lists;
pub mod pages;
pub mod prunings;
pub mod runner;
pub mod sessions;
pub mod sweeps;
pub mod tasks;

use std::time::Duration;

use approval_core::{DecisionRequest, TaskId, Timestamp};
use store::{ActivityRow, Change, Command, DecisionTarget, Request, SubmitError};
use test_support::{Engine, Site};

/// Plays a scenario on a new database of this engine.
pub fn play(engine: Engine, scenario: impl AsyncFnOnce(&mut Site)) {
    let Some(mut site) = Site::open(engine) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(scenario(&mut site));
}

/// A decision by the door of the task.
pub fn decide(task: TaskId, request: DecisionRequest) -> Command {
    let target = DecisionTarget::Task(task);
    Command::Decide { target, request }
}

/// The whole log of the account.
pub async fn log(site: &Site) -> Vec<ActivityRow> {
    let account = site.account;
    site.read(move |reads| reads.activity(account, 0, 10_000))
        .await
}

/// The types of the rows behind `after`, with the kind of actor.
pub async fn events_after(site: &Site, after: i64) -> Vec<String> {
    let rows = log(site).await.into_iter().filter(|row| row.seq > after);
    rows.map(|row| format!("{} by {}", row.kind, row.actor.kind))
        .collect()
}

/// Where the log ends.
pub async fn log_end(site: &Site) -> i64 {
    let account = site.account;
    site.read(move |reads| reads.activity_total(account)).await
}

/// Submits requests in such a way that the writer takes all of them in one batch, in their order:
/// it waits for the lock of the account with a batch before while they queue up.
pub async fn in_one_batch(
    site: &Site,
    requests: Vec<Request>,
) -> Vec<Result<store::Answered, SubmitError>> {
    let hold = match site.db.engine() {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN; SELECT id FROM accounts FOR UPDATE",
    };
    site.db.execute(hold).unwrap();
    let before = spawn(site, site.request(&site.person, touch_nothing()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waiting: Vec<_> = requests.into_iter().map(|r| spawn(site, r)).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    site.db.execute("COMMIT").unwrap();
    before.await.unwrap().unwrap();
    let mut outcomes = Vec::new();
    for outcome in waiting {
        outcomes.push(outcome.await.unwrap());
    }
    outcomes
}

/// A command that changes nothing.
fn touch_nothing() -> Command {
    Command::TouchKeys(Vec::new())
}

fn spawn(
    site: &Site,
    request: Request,
) -> tokio::task::JoinHandle<Result<store::Answered, SubmitError>> {
    let store = site.store.clone();
    tokio::spawn(async move { store.submit(request).await })
}

/// Asks again and again, ten seconds at most, until the answer is yes.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// Waits for a hint, three seconds at most; others may come before it.
pub async fn hears(hints: &mut tokio::sync::broadcast::Receiver<Change>, change: Change) {
    let heard = async { while hints.recv().await.unwrap() != change {} };
    let in_time = tokio::time::timeout(Duration::from_secs(3), heard).await;
    assert!(in_time.is_ok(), "nobody told of {change:?}");
}

/// Seconds from one moment to another.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    let micros = i32::try_from(to.micros() - from.micros()).unwrap();
    f64::from(micros) / 1e6
}
