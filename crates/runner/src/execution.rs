//! One attempt in its folder: the program is executed, its log and what it changed are sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use contract::{Claim, Complete, LogStream, Outcome};
use tokio::process::Child;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::acp::{self, AcpError, Answer, Permissions};
use crate::attempt::Place;
use crate::changes::Summary;
use crate::clock;
use crate::environment;
use crate::folder::{Folder, Watched};
use crate::launcher::{Launched, Surroundings};
use crate::lease::Lease;
use crate::life::{Abandoned, Life, in_time};
use crate::process::{Exit, follow};
use crate::program::Program;
use crate::pump::{Piece, pump};
use crate::report::{Ended, fail, failed, is_over, report};
use crate::upload::upload;

/// How many pieces of log wait for the pump before the task waits in its writes.
const QUEUE: usize = 64;
/// How many changed files wait for their upload.
const FILES: usize = 2;
/// How long an agent that has answered may take to leave.
const AGENT_LEAVES: Duration = Duration::from_secs(2);

/// Why the runner kills what it executes when it is stopped itself.
pub(crate) const STOPPED: &str = "runner stopped";

/// An attempt that may begin.
pub(crate) struct Execution<'a, L> {
    pub(crate) lease: &'a Arc<L>,
    pub(crate) claim: &'a Claim,
    /// When it was claimed: its time runs from then.
    pub(crate) claimed: Instant,
    pub(crate) place: &'a Place,
}

impl<'a, L: Lease> Execution<'a, L> {
    /// Executes the program in its folder and sends what comes of it; the result is what to complete
    /// the task with.
    pub(crate) async fn perform(
        &self,
        program: Program,
        life: &mut Life<'_>,
    ) -> Result<Complete, Abandoned> {
        let Place {
            folders,
            launcher,
            shutdown,
            ..
        } = self.place;
        let preparing = life.during(folders.prepare(launcher, self.claim));
        let folder = match in_time(shutdown, preparing).await?? {
            Ok(folder) => folder,
            Err(reason) => return Ok(failed(&reason)),
        };
        let mut done = self.in_folder(program, &folder, life).await;
        let keep = matches!(&done, Ok(report) if report.outcome == Outcome::Succeeded);
        let giving = folders.give_back(launcher, folder, keep);
        match &mut done {
            Ok(report) => {
                let kept = in_time(shutdown, life.during(giving)).await??;
                if let Err(reason) = kept {
                    fail(report, format!("the result cannot be kept: {reason}"));
                }
            }
            // Nobody waits for the result any more.
            Err(_) => drop(in_time(shutdown, giving).await),
        }
        done
    }

    async fn in_folder(
        &self,
        program: Program,
        folder: &Folder,
        life: &mut Life<'_>,
    ) -> Result<Complete, Abandoned> {
        let shutdown = &self.place.shutdown;
        let looking = life.during(self.place.folders.look(folder));
        let watched = match in_time(shutdown, looking).await?? {
            Ok(watched) => watched,
            Err(reason) => return Ok(failed(&format!("cannot look at the work folder: {reason}"))),
        };
        let refused = CancellationToken::new();
        let (pieces, receiver) = mpsc::channel(QUEUE);
        let mut pumping = spawn({
            let (lease, refused) = (self.lease.clone(), refused.clone());
            async move {
                let sent = pump(lease, receiver).await;
                if sent.is_err() {
                    refused.cancel();
                }
                sent
            }
        });
        if let Some(note) = folder.note() {
            say(&pieces, &note).await;
        }
        let ended = self
            .execute(program, folder, &pieces, refused, life)
            .await?;
        let compared = self.compare(watched, &pieces);
        let changes = in_time(shutdown, life.during(compared)).await??;
        drop(pieces);
        let sent = in_time(shutdown, life.during(joined(&mut pumping))).await??;
        report(ended, changes, sent)
    }

    /// Executes the program, until it ends or there is a reason to stop it: its time, the end of the
    /// runner, `stop`, or the end of the attempt, and then before anything else happens.
    async fn execute(
        &self,
        program: Program,
        folder: &Folder,
        pieces: &Sender<Piece>,
        stop: CancellationToken,
        life: &mut Life<'_>,
    ) -> Result<Ended, Abandoned> {
        let conversation = program.conversation.clone();
        let (mut child, _running) = match self.start(program, folder) {
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

        let seconds = u64::try_from(self.claim.task.timeout_seconds).unwrap_or_default();
        let mut answer = None;
        let ended = life
            .during(async {
                let reason = tokio::select! {
                    biased;
                    exit = ended(&mut running, talking.as_mut(), &mut answer, &stop) => {
                        return (exit, None);
                    }
                    () = sleep_until(self.claimed + Duration::from_secs(seconds)) => {
                        format!("timed out after {seconds} s")
                    }
                    () = self.place.shutdown.cancelled() => STOPPED.to_owned(),
                };
                stop.cancel();
                (joined(&mut running).await, Some(reason))
            })
            .await;
        if ended.is_err() {
            stop.cancel();
            // How it ended is nobody's business any more.
            let _ = joined(&mut running).await;
        }
        self.place.kill_strays().await;
        let (exit, stopped) = ended?;
        // A turn that had ended is not undone by the time its agent took to leave. One that ends because
        // it was told to is, whatever the agent calls it.
        let was_whole = matches!(&answer, Some(Ok(answer)) if answer.is_whole());
        if let (None, Some(talking)) = (&answer, &mut talking) {
            // What it had said when it was stopped.
            answer = timeout(AGENT_LEAVES, joined(talking)).await.ok();
        }
        Ok(Ended {
            exit,
            stopped: stopped.filter(|_| !was_whole),
            answer,
        })
    }

    fn start(&self, program: Program, folder: &Folder) -> io::Result<(Child, Launched<'a>)> {
        let inherited = &self.place.inherited;
        let surroundings = Surroundings {
            folder: &folder.path,
            environment: environment::of_task(inherited, self.claim, folder.temporary())?,
            read: self.place.folders.readable(),
            write: self.place.folders.writable(folder),
        };
        let launcher = &self.place.launcher;
        launcher.start(program.command, surroundings, program.input)
    }

    /// Sends what changed in the folder. The result is what is wrong with it, if anything is.
    async fn compare(
        &self,
        watched: Watched,
        pieces: &Sender<Piece>,
    ) -> Result<Option<String>, ClientError> {
        let (sender, receiver) = mpsc::channel(FILES);
        let uploading = upload(self.lease.clone(), receiver);
        let (compared, uploaded) = tokio::join!(watched.compare(sender), uploading);
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
        if !self.claim.task.gated || !summary.is_incomplete {
            return Ok(None);
        }
        let (files, omitted) = (summary.files, summary.omitted);
        Ok(Some(format!(
            "not all that changed can be reviewed ({files} files are listed, {omitted} more are known): the log says why"
        )))
    }
}

/// Waits for the end of a program. An agent that has answered, which is noted at once, is asked to
/// end.
async fn ended(
    running: &mut AbortOnDropHandle<io::Result<Exit>>,
    talking: Option<&mut AbortOnDropHandle<Result<Answer, AcpError>>>,
    answer: &mut Option<Result<Answer, AcpError>>,
    stop: &CancellationToken,
) -> io::Result<Exit> {
    let Some(talking) = talking else {
        return joined(running).await;
    };
    *answer = Some(joined(talking).await);
    // Its input is at its end now, which most agents take as a request to leave.
    if let Ok(exit) = timeout(AGENT_LEAVES, joined(running)).await {
        return exit;
    }
    stop.cancel();
    joined(running).await
}

/// What the log says about changed files.
fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = summary.notes.clone();
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
