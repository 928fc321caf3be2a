//! One claimed attempt, from its first heartbeat to its completion.

use std::sync::Arc;

use client::ClientError;
use contract::{Claim, Complete, Task};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Agent;
use crate::environment::Environment;
use crate::execution::{Execution, STOPPED};
use crate::folder::Folders;
use crate::heartbeat::{Hearts, Over};
use crate::launcher::Launcher;
use crate::lease::{Lease, persist};
use crate::life::{Abandoned, Life, in_time};
use crate::program::Program;
use crate::report::{failed, is_over};
use crate::succession::Succession;

/// What a runner brings to every attempt.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folders: Folders,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) hearts: Hearts,
    pub(crate) succession: Succession,
    /// What executes prompts.
    pub(crate) agent: Option<Agent>,
    /// What tasks inherit.
    pub(crate) inherited: Environment,
    /// Cancelled when the runner shall stop.
    pub(crate) shutdown: CancellationToken,
}

impl Place {
    /// Kills what programs left behind that ended before their supervisor could.
    pub(crate) async fn kill_strays(&self) {
        let launcher = self.launcher.clone();
        match spawn_blocking(move || launcher.kill_strays()).await {
            Ok(true) => {}
            Ok(false) => warn!("processes of a task are left that cannot be killed"),
            Err(error) => warn!(%error, "cannot look for processes that tasks left behind"),
        }
    }
}

/// Executes a claimed task and reports on it, until it is completed or no longer ours. The two
/// leases are the same one over different connections; the second is for the heartbeat.
pub(crate) async fn attempt<L: Lease>(lease: Arc<L>, pulse: Arc<L>, claim: &Claim, place: &Place) {
    let (task, attempt) = (claim.task.id.as_str(), claim.lease.attempt);
    info!(task, attempt, "task claimed");
    match claim_to_completion(lease, pulse, claim, place).await {
        Ok(()) => {}
        Err(Abandoned::Over(Over::Cancelled)) => info!(task, attempt, "task was cancelled"),
        Err(Abandoned::Over(Over::Lost(error))) => warn!(task, attempt, %error, "task is lost"),
        Err(Abandoned::Superseded) => warn!(task, attempt, "task was claimed again"),
        Err(Abandoned::OutOfTime) => warn!(task, attempt, "stopped before all was reported"),
    }
}

async fn claim_to_completion<L: Lease>(
    lease: Arc<L>,
    pulse: Arc<L>,
    claim: &Claim,
    place: &Place,
) -> Result<(), Abandoned> {
    let claimed = Instant::now();
    // First of all: a claim that nobody confirms is offered again.
    let mut heart = place.hearts.start(pulse);
    in_time(&place.shutdown, heart.confirmed())
        .await?
        .map_err(Abandoned::Over)?;
    let (reign, predecessor) = place.succession.begin(&claim.task.id);
    let mut life = Life::new(heart, reign);
    if let Some(predecessor) = predecessor {
        life.during(predecessor.gone()).await?;
    }
    let execution = Execution {
        lease: &lease,
        claim,
        claimed,
        place,
    };
    let report = result(&execution, &mut life).await?;
    let mut done = in_time(&place.shutdown, life.during(complete(&*lease, &report))).await??;
    if let Err(error) = &done
        && !is_over(error)
    {
        // What the server does not take as it is ends as a failure that says so, and not as a task that
        // is executed again.
        let failure = failed(&format!("the server refused the result: {error}"));
        let failure = Complete {
            log_entries: None,
            ..failure
        };
        done = in_time(&place.shutdown, life.during(complete(&*lease, &failure))).await??;
    }
    let task = done.map_err(|error| Abandoned::Over(error.into()))?;
    info!(task = task.id, status = %task.status, "task completed");
    Ok(())
}

async fn complete(lease: &impl Lease, report: &Complete) -> Result<Task, ClientError> {
    persist("completing a task", || lease.complete(report)).await
}

/// What to complete the task with, executed or not.
async fn result(
    execution: &Execution<'_, impl Lease>,
    life: &mut Life<'_>,
) -> Result<Complete, Abandoned> {
    let place = execution.place;
    if place.shutdown.is_cancelled() {
        return Ok(failed(STOPPED));
    }
    match Program::of(&execution.claim.task, place.agent.as_ref()) {
        Ok(program) => execution.perform(program, life).await,
        Err(reason) => Ok(failed(reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use contract::{Code, Outcome, TaskType};
    use serde_json::json;
    use tokio::time::sleep;

    use super::*;
    use crate::lease::fake::{FakeLease, task};

    fn claim(content: &str, change: impl FnOnce(&mut Task)) -> Claim {
        let mut task = task(content);
        change(&mut task);
        serde_json::from_value(json!({
            "task": task, "inputs": [],
            "lease": {"token": "t", "expiresAt": "2026-03-15T10:05:00Z", "attempt": 1},
        }))
        .unwrap()
    }

    fn place(folder: &std::path::Path, shutdown: &CancellationToken) -> Place {
        Place {
            folders: Folders::new(folder.to_owned(), None, Vec::new()),
            launcher: Arc::new(Launcher::new(None, None).unwrap()),
            hearts: Hearts::new().unwrap(),
            succession: Succession::default(),
            agent: None,
            inherited: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            shutdown: shutdown.clone(),
        }
    }

    /// Executes a claim in a folder of its own, and gives what was completed, if anything was.
    async fn execute_claim(
        lease: &Arc<FakeLease>,
        claim: &Claim,
        shutdown: &CancellationToken,
    ) -> Option<Complete> {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), shutdown);
        attempt(lease.clone(), lease.clone(), claim, &place).await;
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
    async fn a_prompt_without_an_agent_is_not_executed() {
        let lease = Arc::new(FakeLease::default());
        let prompt = claim("echo x", |task| task.task_type = TaskType::Prompt);
        let done = run(&lease, &prompt).await.unwrap();
        assert_eq!((done.outcome, done.exit_code), (Outcome::Failed, None));
        assert!(done.error.unwrap().contains("--prompt-command"));
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
    async fn an_agent_reads_the_prompt_and_its_output_is_the_result() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = place(folder.path(), &CancellationToken::new());
        place.agent = Some(Agent::Command(
            "cat; printf ' %s' \"$TASK_PROMPT\"".to_owned(),
        ));
        let lease = Arc::new(FakeLease::default());
        let prompt = claim("Write it.", |task| task.task_type = TaskType::Prompt);
        attempt(lease.clone(), lease.clone(), &prompt, &place).await;
        assert_eq!(log(&lease), "Write it. Write it.");
        let done = lease.completed.lock().unwrap().pop().unwrap();
        assert_eq!((done.outcome, done.output), (Outcome::Succeeded, None));
    }

    #[tokio::test]
    async fn a_refused_result_is_a_failure_and_no_lost_task() {
        let lease = Arc::new(FakeLease::default());
        lease
            .completions
            .lock()
            .unwrap()
            .push_back(Code::LogsIncomplete);
        let done = run(&lease, &claim("true", |_| {})).await.unwrap();
        assert_eq!((done.outcome, done.log_entries), (Outcome::Failed, None));
        assert!(done.error.unwrap().contains("refused the result"));
    }

    #[tokio::test]
    async fn a_cancelled_task_is_killed_and_not_completed() {
        // the second beat comes after ten seconds
        let lease = Arc::new(FakeLease::default());
        let answers = [Ok(false), Ok(true)];
        lease.heartbeats.lock().unwrap().extend(answers);
        let begin = Instant::now();
        assert_eq!(run(&lease, &claim("sleep 60", |_| {})).await, None);
        assert!(begin.elapsed() < Duration::from_secs(14));
    }

    #[tokio::test]
    async fn a_newer_claim_takes_over_when_the_older_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Arc::new(place(folder.path(), &CancellationToken::new()));
        // whoever is alone finds no folder and leaves none
        let alone = claim(
            "mkdir lock || exit 9; trap 'sleep 0.3; rmdir lock; exit 1' TERM; sleep 1 & wait; rmdir lock",
            |_| {},
        );
        let [first, second] = [(); 2].map(|()| Arc::new(FakeLease::default()));
        let older = tokio::spawn({
            let (lease, claim, place) = (first.clone(), alone.clone(), place.clone());
            async move { attempt(lease.clone(), lease, &claim, &place).await }
        });
        while !folder.path().join("lock").exists() {
            sleep(Duration::from_millis(10)).await;
        }
        attempt(second.clone(), second.clone(), &alone, &place).await;
        older.await.unwrap();
        assert_eq!(
            *first.completed.lock().unwrap(),
            [],
            "the older is abandoned"
        );
        let done = second.completed.lock().unwrap().pop().unwrap();
        assert_eq!(
            (done.outcome, done.exit_code),
            (Outcome::Succeeded, Some(0))
        );
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
}
