//! One claimed attempt, from its first heartbeat to its completion.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use contract::{Claim, Code, Complete, LogStream, Outcome};
use tokio::process::Child;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::acp::{self, AcpError, Answer, Permissions};
use crate::changes::Summary;
use crate::clock;
use crate::config::Agent;
use crate::environment::{self, Environment};
use crate::folder::{Folder, Folders, Watched};
use crate::heartbeat::{Heart, Hearts, Over};
use crate::launcher::{Launched, Launcher, Surroundings};
use crate::lease::{Lease, persist};
use crate::process::{Exit, follow};
use crate::program::Program;
use crate::pump::{Piece, pump};
use crate::succession::{Reign, Succession};
use crate::upload::upload;

/// How many pieces of log wait for the pump before the task waits in its writes.
const QUEUE: usize = 64;
/// How many changed files wait for their upload.
const FILES: usize = 2;
/// How long the last reports of a stopped runner may take.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How long an agent that has answered may take to leave.
const AGENT_LEAVES: Duration = Duration::from_secs(2);

const STOPPED: &str = "runner stopped";

/// What a runner brings to every attempt.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folders: Folders,
    pub(crate) launcher: Launcher,
    pub(crate) hearts: Hearts,
    pub(crate) succession: Succession,
    /// What executes prompts.
    pub(crate) agent: Option<Agent>,
    /// What tasks inherit.
    pub(crate) inherited: Environment,
    /// Cancelled when the runner shall stop.
    pub(crate) shutdown: CancellationToken,
}

/// Why an attempt ends without being completed.
#[derive(Debug)]
enum Abandoned {
    /// The server wants no more of it.
    Over(Over),
    /// This runner claimed a later attempt of the same task.
    Superseded,
    /// The runner stops, and the server does not take the last reports.
    OutOfTime,
}

/// What keeps an attempt alive.
struct Life<'a> {
    heart: Heart,
    reign: Reign<'a>,
}

/// How the program of a task ended.
struct Ended {
    exit: io::Result<Exit>,
    /// Why the runner stopped it, if it did.
    stopped: Option<String>,
    /// What came of the conversation with an agent, if there was one.
    answer: Option<Result<Answer, AcpError>>,
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
    let mut life = Life { heart, reign };
    if let Some(predecessor) = predecessor {
        life.during(predecessor.gone()).await?;
    }
    let report = if place.shutdown.is_cancelled() {
        failed(STOPPED)
    } else {
        match Program::of(&claim.task, place.agent.as_ref()) {
            Ok(program) => perform(&lease, claim, claimed, place, &mut life, program).await?,
            Err(reason) => failed(reason),
        }
    };
    let completing = persist("completing a task", || lease.complete(&report));
    match in_time(&place.shutdown, life.during(completing)).await?? {
        Ok(task) => info!(task = task.id, status = %task.status, "task completed"),
        Err(error) => return Err(Abandoned::Over(error.into())),
    }
    Ok(())
}

/// Executes the program in its folder and sends what comes of it; the result is what to complete
/// the task with.
async fn perform<L: Lease>(
    lease: &Arc<L>,
    claim: &Claim,
    claimed: Instant,
    place: &Place,
    life: &mut Life<'_>,
    program: Program,
) -> Result<Complete, Abandoned> {
    let folder = match life
        .during(place.folders.prepare(&place.launcher, claim))
        .await?
    {
        Ok(folder) => folder,
        Err(reason) => return Ok(failed(&reason)),
    };
    let mut done = in_folder(lease, claim, claimed, place, life, program, &folder).await;
    let keep = matches!(&done, Ok(report) if report.outcome == Outcome::Succeeded);
    let kept = place.folders.give_back(&place.launcher, folder, keep).await;
    if let (Ok(report), Err(reason)) = (&mut done, kept) {
        fail(report, format!("the result cannot be kept: {reason}"));
    }
    done
}

async fn in_folder<L: Lease>(
    lease: &Arc<L>,
    claim: &Claim,
    claimed: Instant,
    place: &Place,
    life: &mut Life<'_>,
    program: Program,
    folder: &Folder,
) -> Result<Complete, Abandoned> {
    let watched = match life.during(place.folders.look(folder)).await? {
        Ok(watched) => watched,
        Err(reason) => return Ok(failed(&format!("cannot look at the work folder: {reason}"))),
    };
    let lost = CancellationToken::new();
    let (pieces, receiver) = mpsc::channel(QUEUE);
    let mut pumping = spawn({
        let (lease, lost) = (lease.clone(), lost.clone());
        async move {
            let sent = pump(lease, receiver).await;
            if sent.is_err() {
                lost.cancel();
            }
            sent
        }
    });
    if let Some(note) = folder.note() {
        say(&pieces, &note).await;
    }
    let ended = execute(claim, claimed, place, life, program, folder, &pieces, lost).await?;
    let compared = compare(lease, watched, claim, &pieces);
    let changes = in_time(&place.shutdown, life.during(compared)).await??;
    drop(pieces);
    let sent = in_time(&place.shutdown, life.during(joined(&mut pumping))).await??;
    report(ended, changes, sent)
}

/// Executes the program, until it ends or the runner has a reason to stop it. When the attempt is
/// abandoned, it is stopped before anything else happens.
#[expect(clippy::too_many_arguments, reason = "the parts of one attempt")]
async fn execute(
    claim: &Claim,
    claimed: Instant,
    place: &Place,
    life: &mut Life<'_>,
    program: Program,
    folder: &Folder,
    pieces: &Sender<Piece>,
    stop: CancellationToken,
) -> Result<Ended, Abandoned> {
    let conversation = program.conversation.clone();
    let (mut child, _running) = match start(claim, place, program, folder) {
        Ok(started) => started,
        Err(error) => return Ok(Ended::unstarted(&error)),
    };
    let talk = |(text, permissions): (String, Permissions)| {
        let (stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
        let (pieces, stop, path) = (pieces.clone(), stop.clone(), folder.path.clone());
        Some(spawn(async move {
            let prompt = acp::Prompt {
                text: &text,
                folder: &path,
                permissions,
            };
            acp::converse(stdin, stdout, prompt, pieces, &stop).await
        }))
    };
    let mut talking = conversation.and_then(talk);
    let mut running = spawn(follow(child, pieces.clone(), stop.clone()));

    let seconds = u64::try_from(claim.task.timeout_seconds).unwrap_or_default();
    let ended = life
        .during(async {
            let reason = tokio::select! {
                biased;
                (exit, answer) = ended(&mut running, talking.as_mut(), &stop) => {
                    return (exit, answer, None);
                }
                () = sleep_until(claimed + Duration::from_secs(seconds)) => {
                    format!("timed out after {seconds} s")
                }
                () = place.shutdown.cancelled() => STOPPED.to_owned(),
            };
            stop.cancel();
            let exit = joined(&mut running).await;
            (exit, last_answer(talking.as_mut()).await, Some(reason))
        })
        .await;
    match ended {
        Ok((exit, answer, stopped)) => Ok(Ended {
            exit,
            stopped,
            answer,
        }),
        Err(abandoned) => {
            stop.cancel();
            // How it ended is nobody's business any more.
            let _ = joined(&mut running).await;
            Err(abandoned)
        }
    }
}

/// Waits for the end of a program. An agent that has answered is asked to end.
async fn ended(
    running: &mut AbortOnDropHandle<io::Result<Exit>>,
    talking: Option<&mut AbortOnDropHandle<Result<Answer, AcpError>>>,
    stop: &CancellationToken,
) -> (io::Result<Exit>, Option<Result<Answer, AcpError>>) {
    let Some(talking) = talking else {
        return (joined(running).await, None);
    };
    let answer = joined(talking).await;
    // Its input is at its end now, which most agents take as a request to leave.
    let leaving = timeout(AGENT_LEAVES, joined(running)).await;
    let exit = if let Ok(exit) = leaving {
        exit
    } else {
        stop.cancel();
        joined(running).await
    };
    (exit, Some(answer))
}

/// What an agent had said when it was stopped.
async fn last_answer(
    talking: Option<&mut AbortOnDropHandle<Result<Answer, AcpError>>>,
) -> Option<Result<Answer, AcpError>> {
    timeout(AGENT_LEAVES, joined(talking?)).await.ok()
}

fn start<'a>(
    claim: &Claim,
    place: &'a Place,
    program: Program,
    folder: &Folder,
) -> io::Result<(Child, Launched<'a>)> {
    let environment = environment::of_task(&place.inherited, claim, folder.temporary())?;
    let surroundings = Surroundings {
        folder: &folder.path,
        environment,
        write: place.folders.writable(folder),
    };
    place
        .launcher
        .start(program.command, surroundings, program.input)
}

/// Sends what changed in the folder. The result is what is wrong with it, if anything is.
async fn compare(
    lease: &Arc<impl Lease>,
    watched: Watched,
    claim: &Claim,
    pieces: &Sender<Piece>,
) -> Result<Option<String>, ClientError> {
    let (sender, receiver) = mpsc::channel(FILES);
    let (compared, uploaded) =
        tokio::join!(watched.compare(sender), upload(lease.clone(), receiver));
    match uploaded {
        Err(error) if is_over(&error) => return Err(error),
        Err(error) => {
            return Ok(Some(format!(
                "the server refused the changed files: {error}"
            )));
        }
        Ok(()) => {}
    }
    let summary = match compared {
        Ok(summary) => summary,
        Err(reason) => return Ok(Some(format!("cannot tell what changed: {reason}"))),
    };
    for note in notes(&summary) {
        say(pieces, &note).await;
    }
    // What a reviewer cannot see in full must not be approved.
    let is_hidden = claim.task.gated && summary.omitted > 0;
    Ok(is_hidden.then(|| {
        format!(
            "{} files changed, and only {} can be reviewed",
            summary.files + summary.omitted,
            summary.files
        )
    }))
}

/// What the log says about changed files.
fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = summary.notes.clone();
    if summary.omitted > 0 {
        notes.push(format!(
            "{} more changed files were left out",
            summary.omitted
        ));
    }
    if summary.ignored > 0 {
        notes.push(format!(
            "{} ignored files were not looked at",
            summary.ignored
        ));
    }
    notes
}

/// Puts a remark of the runner into the log.
async fn say(pieces: &Sender<Piece>, note: &str) {
    let piece = Piece {
        stream: LogStream::Agent,
        at: clock::now(),
        bytes: format!("[countersign] {note}\n").into_bytes(),
    };
    // Whoever reads no more says why elsewhere.
    let _ = pieces.send(piece).await;
}

/// What to complete a task with, given how its program ended, what is wrong with the changed files
/// (if anything is), and how many log entries the server took.
fn report(
    ended: Ended,
    changes: Result<Option<String>, ClientError>,
    sent: Result<i64, ClientError>,
) -> Result<Complete, Abandoned> {
    let (log_entries, refused) = match sent {
        Ok(sent) => (Some(sent), None),
        Err(error) if is_over(&error) => return Err(Abandoned::Over(error.into())),
        Err(error) => (None, Some(format!("the server refused the log: {error}"))),
    };
    let unseen = changes.map_err(|error| Abandoned::Over(error.into()))?;
    let (exit_code, mut failure) = match ended.exit {
        Ok(exit) => (Some(exit.code), exit.error),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut output = None;
    match ended.answer {
        // An agent that has answered was asked to leave, however it then did.
        Some(Ok(answer)) => {
            failure = answer.error();
            output = Some(answer.output);
        }
        Some(Err(error)) => failure = Some(error.to_string()),
        None => {}
    }
    let error = ended.stopped.or(refused).or(failure).or(unseen);
    Ok(Complete {
        outcome: if error.is_none() {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        },
        exit_code,
        error,
        output,
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

fn fail(report: &mut Complete, error: String) {
    report.outcome = Outcome::Failed;
    report.error.get_or_insert(error);
}

/// Whether a refusal concerns the attempt as a whole, and not what was sent.
fn is_over(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::LeaseLost | Code::Unauthenticated | Code::Forbidden | Code::NotFound)
    )
}

impl Ended {
    fn unstarted(error: &io::Error) -> Self {
        Self {
            exit: Err(io::Error::other(format!("cannot start the shell: {error}"))),
            stopped: None,
            answer: None,
        }
    }
}

impl Life<'_> {
    /// Waits for `work` as long as the attempt is alive.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Abandoned> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            over = self.heart.over() => Err(Abandoned::Over(over)),
            () = self.reign.ended() => Err(Abandoned::Superseded),
        }
    }
}

/// Waits for `work`, but not for long once the runner shall stop.
async fn in_time<T>(
    shutdown: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, Abandoned> {
    let mut work = pin!(work);
    let too_late = async {
        shutdown.cancelled().await;
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        done = &mut work => Ok(done),
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
    use contract::TaskType;
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

    fn place(folder: &std::path::Path, shutdown: &CancellationToken) -> Place {
        Place {
            folders: Folders::new(folder.to_owned(), None),
            launcher: Launcher::new(None, None).unwrap(),
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

    #[test]
    fn success_needs_all_parts() {
        let outcome = |code: i64, stopped: Option<&str>, unseen: Option<&str>, sent| {
            let error = (code != 0).then(|| format!("exit code {code}"));
            let ended = Ended {
                exit: Ok(Exit { code, error }),
                stopped: stopped.map(str::to_owned),
                answer: None,
            };
            let report = report(ended, Ok(unseen.map(str::to_owned)), sent).unwrap();
            (report.outcome, report.error)
        };
        let failed = |error: &str| (Outcome::Failed, Some(error.to_owned()));
        assert_eq!(outcome(0, None, None, Ok(0)), (Outcome::Succeeded, None));
        assert_eq!(outcome(0, Some("stopped"), None, Ok(0)), failed("stopped"));
        assert_eq!(
            outcome(1, None, Some("unseen"), Ok(0)),
            failed("exit code 1")
        );
        assert_eq!(outcome(0, None, Some("unseen"), Ok(0)), failed("unseen"));
        let refused = outcome(0, None, None, Err(refused(Code::TooLarge)));
        assert_eq!(refused.0, Outcome::Failed);
        let unknown = Ended::unstarted(&io::ErrorKind::NotFound.into());
        assert_eq!(
            report(unknown, Ok(None), Ok(0)).unwrap().outcome,
            Outcome::Failed
        );
    }

    #[test]
    fn a_refusal_of_the_lease_abandons() {
        let ended = || Ended::unstarted(&io::ErrorKind::NotFound.into());
        let lost = || refused(Code::LeaseLost);
        assert!(report(ended(), Err(lost()), Ok(0)).is_err());
        assert!(report(ended(), Ok(None), Err(lost())).is_err());
    }
}
