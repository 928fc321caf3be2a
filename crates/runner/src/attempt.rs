//! One claimed attempt, from its first heartbeat to its completion.

use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use contract::{Claim, Code, Complete, Outcome, TaskType};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::environment::{self, Environment};
use crate::heartbeat::{Over, beat, keep_beating};
use crate::lease::{Lease, persist};
use crate::pump::pump;
use crate::shell::{self, Exit};

/// How many pieces of log wait for the pump before the task waits in its writes.
const QUEUE: usize = 64;
/// How long the last reports of a stopped runner may take.
const LAST_WORDS: Duration = Duration::from_secs(10);

const NO_PROMPTS: &str = "this desktop runs command tasks only";
const STOPPED: &str = "runner stopped";

/// What a runner brings to every attempt.
pub(crate) struct Place<'a> {
    /// Where commands are executed.
    pub(crate) workdir: &'a Path,
    /// What they inherit.
    pub(crate) inherited: &'a Environment,
    /// Cancelled when the runner shall stop.
    pub(crate) shutdown: &'a CancellationToken,
}

/// Why an attempt ends without being completed.
#[derive(Debug)]
enum Abandoned {
    /// The server wants no more of it.
    Over(Over),
    /// The runner stops, and the server does not take the last reports.
    OutOfTime,
}

/// Executes a claimed task and reports on it, until it is completed or no longer ours.
pub(crate) async fn attempt(lease: Arc<impl Lease>, claim: &Claim, place: &Place<'_>) {
    let (task, attempt) = (claim.task.id.as_str(), claim.lease.attempt);
    info!(task, attempt, "task claimed");
    match claim_to_completion(lease, claim, place).await {
        Ok(()) => {}
        Err(Abandoned::Over(Over::Cancelled)) => info!(task, attempt, "task was cancelled"),
        Err(Abandoned::Over(Over::Lost(error))) => warn!(task, attempt, %error, "task is lost"),
        Err(Abandoned::OutOfTime) => warn!(task, attempt, "stopped before all was reported"),
    }
}

async fn claim_to_completion(
    lease: Arc<impl Lease>,
    claim: &Claim,
    place: &Place<'_>,
) -> Result<(), Abandoned> {
    let claimed = Instant::now();
    // First of all: a claim that nobody confirms is offered again.
    in_time(place.shutdown, beat(&*lease))
        .await?
        .map_err(Abandoned::Over)?;
    let mut heart = pin!(keep_beating(lease.clone()));
    let report = if place.shutdown.is_cancelled() {
        failed(STOPPED)
    } else if claim.task.task_type == TaskType::Prompt {
        failed(NO_PROMPTS)
    } else {
        execute(&lease, claim, claimed, place, heart.as_mut()).await?
    };
    let completing = persist("completing a task", || lease.complete(&report));
    match in_time(place.shutdown, while_beating(heart, completing)).await?? {
        Ok(task) => info!(task = task.id, status = %task.status, "task completed"),
        Err(error) => return Err(Abandoned::Over(Over::Lost(error))),
    }
    Ok(())
}

/// Executes the command and sends its log; the result is what to complete the task with.
async fn execute<L: Lease>(
    lease: &Arc<L>,
    claim: &Claim,
    claimed: Instant,
    place: &Place<'_>,
    mut heart: Pin<&mut impl Future<Output = Over>>,
) -> Result<Complete, Abandoned> {
    let child = match start(claim, place) {
        Ok(child) => child,
        Err(error) => return Ok(failed(&format!("cannot start the shell: {error}"))),
    };
    let stop = CancellationToken::new();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut pumping = spawn({
        let (lease, stop) = (lease.clone(), stop.clone());
        async move {
            let sent = pump(lease, receiver).await;
            if sent.is_err() {
                stop.cancel();
            }
            sent
        }
    });
    let mut shell = spawn(shell::follow(child, sender, stop.clone()));

    let seconds = u64::try_from(claim.task.timeout_seconds).unwrap_or_default();
    let ended = while_beating(heart.as_mut(), async {
        let reason = tokio::select! {
            biased;
            exit = joined(&mut shell) => return (exit, None),
            () = sleep_until(claimed + Duration::from_secs(seconds)) => {
                format!("timed out after {seconds} s")
            }
            () = place.shutdown.cancelled() => STOPPED.to_owned(),
        };
        stop.cancel();
        (joined(&mut shell).await, Some(reason))
    })
    .await;
    let (exit, stopped) = match ended {
        Ok(ended) => ended,
        Err(abandoned) => {
            drop(pumping);
            stop.cancel();
            // How it ended is nobody's business any more.
            let _ = joined(&mut shell).await;
            return Err(abandoned);
        }
    };
    let sent = in_time(place.shutdown, while_beating(heart, joined(&mut pumping))).await??;
    report(exit, stopped, sent)
}

fn start(claim: &Claim, place: &Place<'_>) -> io::Result<Child> {
    let environment = environment::of_task(place.inherited, claim)?;
    shell::start(&claim.task.content, place.workdir, environment)
}

/// What to complete a task with, given how its command ended, why the runner stopped it (if it
/// did), and how many log entries the server took.
fn report(
    exit: io::Result<Exit>,
    stopped: Option<String>,
    sent: Result<i64, ClientError>,
) -> Result<Complete, Abandoned> {
    let (log_entries, refused) = match sent {
        Ok(sent) => (Some(sent), None),
        Err(error) if is_over(&error) => return Err(Abandoned::Over(Over::Lost(error))),
        Err(error) => (None, Some(format!("the server refused the log: {error}"))),
    };
    let (exit_code, ended) = match exit {
        Ok(exit) => (Some(exit.code), exit.error),
        Err(error) => (None, Some(format!("cannot follow the command: {error}"))),
    };
    let error = stopped.or(refused).or(ended);
    Ok(Complete {
        outcome: if error.is_none() {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        },
        exit_code,
        error,
        output: None,
        log_entries,
    })
}

/// The completion of a task that was not executed.
fn failed(error: &str) -> Complete {
    Complete {
        outcome: Outcome::Failed,
        exit_code: None,
        error: Some(error.to_owned()),
        output: None,
        log_entries: Some(0),
    }
}

/// Whether a refusal concerns the attempt as a whole, and not what was sent.
fn is_over(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::LeaseLost | Code::Unauthenticated | Code::Forbidden | Code::NotFound)
    )
}

/// Waits for `work` as long as the attempt is alive.
async fn while_beating<T>(
    heart: Pin<&mut impl Future<Output = Over>>,
    work: impl Future<Output = T>,
) -> Result<T, Abandoned> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        over = heart => Err(Abandoned::Over(over)),
    }
}

/// Waits for `work`, but not for long once the runner shall stop.
async fn in_time<T>(
    shutdown: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, Abandoned> {
    let too_late = async {
        shutdown.cancelled().await;
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = too_late => Err(Abandoned::OutOfTime),
    }
}

fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(work))
}

/// The result of a spawned task. It is never aborted while somebody waits for it, so the only
/// other end is a panic, which goes on here.
async fn joined<T>(task: &mut AbortOnDropHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::json;

    use super::*;
    use crate::lease::fake::{FakeLease, refused, task};

    fn claim(content: &str, change: impl FnOnce(&mut contract::Task)) -> Claim {
        let mut task = task(content);
        change(&mut task);
        serde_json::from_value(json!({
            "task": task, "inputs": [],
            "lease": {"token": "t", "expiresAt": "2026-03-15T10:05:00Z", "attempt": 1},
        }))
        .unwrap()
    }

    /// Executes a claim in a folder of its own, and gives what was completed, if anything was.
    async fn execute_claim(
        lease: &Arc<FakeLease>,
        claim: &Claim,
        shutdown: &CancellationToken,
    ) -> Option<Complete> {
        let folder = tempfile::tempdir().unwrap();
        let inherited = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
        let place = Place {
            workdir: folder.path(),
            inherited: &inherited,
            shutdown,
        };
        attempt(lease.clone(), claim, &place).await;
        lease.completed.lock().unwrap().pop()
    }

    async fn run(lease: &Arc<FakeLease>, claim: &Claim) -> Option<Complete> {
        execute_claim(lease, claim, &CancellationToken::new()).await
    }

    fn log(lease: &FakeLease) -> String {
        let bytes = lease.entries().into_iter().flat_map(|entry| {
            base64::engine::general_purpose::STANDARD
                .decode(entry.base64)
                .unwrap()
        });
        String::from_utf8(bytes.collect()).unwrap()
    }

    #[tokio::test]
    async fn success_is_exit_code_0() {
        let lease = Arc::new(FakeLease::default());
        let done = run(&lease, &claim("echo $TASK_ID-$TASK_ATTEMPT", |_| {}))
            .await
            .unwrap();
        assert_eq!(
            (done.outcome, done.exit_code, done.error),
            (Outcome::Succeeded, Some(0), None)
        );
        assert_eq!(done.log_entries, Some(1));
        assert_eq!(log(&lease), "task_a-1\n");
        assert_eq!(*lease.beaten.lock().unwrap(), 1, "the claim was confirmed");

        let done = run(&lease, &claim("exit 7", |_| {})).await.unwrap();
        assert_eq!((done.outcome, done.exit_code), (Outcome::Failed, Some(7)));
        assert_eq!(done.error.as_deref(), Some("exit code 7"));
    }

    #[tokio::test]
    async fn nothing_starts_before_the_claim_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let lease = Arc::new(FakeLease::default());
        lease
            .heartbeats
            .lock()
            .unwrap()
            .push_back(Err(Code::LeaseLost));
        let command = format!("touch {}", mark.display());
        assert_eq!(run(&lease, &claim(&command, |_| {})).await, None);
        assert!(!mark.exists());
        assert!(run(&lease, &claim(&command, |_| {})).await.is_some());
        assert!(mark.exists());
    }

    #[tokio::test]
    async fn a_prompt_is_not_executed() {
        let lease = Arc::new(FakeLease::default());
        let prompt = claim("echo x", |task| task.task_type = TaskType::Prompt);
        assert_eq!(run(&lease, &prompt).await, Some(failed(NO_PROMPTS)));
        assert_eq!(log(&lease), "");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_fails() {
        let lease = Arc::new(FakeLease::default());
        let slow = claim("echo before; sleep 60", |task| task.timeout_seconds = 1);
        let begin = Instant::now();
        let done = run(&lease, &slow).await.unwrap();
        assert_eq!((done.outcome, done.exit_code), (Outcome::Failed, Some(143)));
        assert_eq!(done.error.as_deref(), Some("timed out after 1 s"));
        assert_eq!(
            (log(&lease).as_str(), done.log_entries),
            ("before\n", Some(1))
        );
        assert!(begin.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_stopped_runner_says_so() {
        let lease = Arc::new(FakeLease::default());
        let shutdown = CancellationToken::new();
        let stopper = shutdown.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            stopper.cancel();
        });
        let done = execute_claim(&lease, &claim("sleep 60", |_| {}), &shutdown)
            .await
            .unwrap();
        assert_eq!((done.outcome, done.exit_code), (Outcome::Failed, Some(143)));
        assert_eq!(done.error.as_deref(), Some(STOPPED));

        let done = execute_claim(&lease, &claim("sleep 60", |_| {}), &shutdown).await;
        assert_eq!(
            done,
            Some(failed(STOPPED)),
            "what was claimed meanwhile is not started"
        );
    }

    #[tokio::test]
    async fn a_lost_lease_kills_the_command_and_nothing_is_completed() {
        let lease = Arc::new(FakeLease::default());
        lease.appends.lock().unwrap().push_back(Code::LeaseLost);
        let begin = Instant::now();
        assert_eq!(run(&lease, &claim("echo x; sleep 60", |_| {})).await, None);
        assert!(begin.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_cancelled_task_is_killed_and_not_completed() {
        let folder = tempfile::tempdir().unwrap();
        let inherited = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
        let shutdown = CancellationToken::new();
        let place = Place {
            workdir: folder.path(),
            inherited: &inherited,
            shutdown: &shutdown,
        };
        let lease = Arc::new(FakeLease::default());
        let sleeper = claim("sleep 60", |_| {});
        let heart = pin!(async {
            sleep(Duration::from_millis(200)).await;
            Over::Cancelled
        });
        let begin = Instant::now();
        let ended = execute(&lease, &sleeper, begin, &place, heart)
            .await
            .unwrap_err();
        assert!(matches!(ended, Abandoned::Over(Over::Cancelled)));
        assert!(begin.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_refused_log_is_a_failure_with_its_reason() {
        let lease = Arc::new(FakeLease::default());
        lease.appends.lock().unwrap().push_back(Code::InvalidLogs);
        let done = run(&lease, &claim("echo x; sleep 60", |_| {}))
            .await
            .unwrap();
        assert_eq!((done.outcome, done.log_entries), (Outcome::Failed, None));
        assert!(
            done.error
                .unwrap()
                .contains("the server refused the log: 422 invalid-logs")
        );
    }

    #[tokio::test]
    async fn the_completion_is_repeated_until_it_is_taken() {
        let lease = Arc::new(FakeLease::default());
        lease
            .completions
            .lock()
            .unwrap()
            .extend([Code::Unavailable, Code::Internal]);
        assert!(run(&lease, &claim("true", |_| {})).await.is_some());
    }

    #[test]
    fn success_needs_all_three_parts() {
        let ended = || {
            Ok(Exit {
                code: 0,
                error: None,
            })
        };
        let outcome = |exit, stopped: Option<&str>, sent| {
            report(exit, stopped.map(str::to_owned), sent)
                .unwrap()
                .outcome
        };
        assert_eq!(outcome(ended(), None, Ok(0)), Outcome::Succeeded);
        assert_eq!(outcome(ended(), Some("stopped"), Ok(0)), Outcome::Failed);
        assert_eq!(
            outcome(ended(), None, Err(refused(Code::TooLarge))),
            Outcome::Failed
        );
        let unknown = Err(io::ErrorKind::NotFound.into());
        assert_eq!(outcome(unknown, None, Ok(0)), Outcome::Failed);
    }
}
