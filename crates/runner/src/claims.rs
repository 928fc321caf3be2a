//! The loop of a runner: claim a task as soon as there is room for one, and execute it.

use std::sync::Arc;
use std::time::Duration;

use client::{Backoff, Client, ClientError};
use contract::{Claim, Code};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::attempt::{Place, attempt};
use crate::environment::inherited;
use crate::folder::Folders;
use crate::heartbeat::Hearts;
use crate::launcher::Launcher;
use crate::lease::HeldLease;
use crate::succession::Succession;
use crate::worktree::Repository;
use crate::{RunnerConfig, RunnerError};

/// How long one claim waits for work.
const WAIT: Duration = Duration::from_secs(30);
/// An empty answer that comes sooner was not a wait: another runner of the same desktop ended it.
const TOO_SOON: Duration = Duration::from_secs(5);

/// Executes the tasks of a desktop, as many at once as it has slots, until `shutdown` is cancelled;
/// then the tasks at hand are killed and reported as failed (`runner stopped`).
///
/// A server that is away is waited for without end. With a helper, this must be called on a thread
/// that lives until the process ends: tasks die with the thread that started them.
///
/// # Errors
/// When the configuration is wrong, or the server refuses the key or the desktop.
pub async fn run(config: RunnerConfig, shutdown: CancellationToken) -> Result<(), RunnerError> {
    config.check()?;
    // When the server refuses this runner, that ends its attempts and not what else its caller does.
    let shutdown = shutdown.child_token();
    let client = || Client::new(&config.server, config.key.clone()).map_err(RunnerError::Client);
    // The heartbeat has connections of its own, which no other call can hold up.
    let (work, pulse) = (client()?, client()?);
    let slots = Arc::new(Semaphore::new(config.slots.get()));
    let place = Arc::new(place(&config, &shutdown).await?);
    info!(
        server = config.server,
        desktop = config.desktop_id,
        slots = config.slots,
        "runner started"
    );
    let mut attempts = JoinSet::new();
    let claims = Claims {
        client: &work,
        desktop: &config.desktop_id,
        shutdown: &shutdown,
    };
    let ended = loop {
        let Some(slot) = free_slot(&slots, &mut attempts, &shutdown).await else {
            break Ok(());
        };
        match claims.next().await {
            Ok(Some(claim)) => {
                let leases = [&work, &pulse].map(|client| HeldLease::new(client.clone(), &claim));
                attempts.spawn(in_slot(slot, leases, claim, place.clone()));
            }
            Ok(None) => break Ok(()),
            Err(error) => {
                // What still runs cannot be reported any more.
                shutdown.cancel();
                break Err(RunnerError::Refused(error));
            }
        }
    };
    while attempts.join_next().await.is_some() {}
    info!("runner stopped");
    ended
}

async fn place(config: &RunnerConfig, shutdown: &CancellationToken) -> Result<Place, RunnerError> {
    let inherited = inherited(std::env::vars_os(), &config.pass_env);
    let launcher = Launcher::new(config.helper.clone(), config.confinement.clone());
    let launcher = launcher.map_err(RunnerError::System)?;
    let workdir = config.workdir.canonicalize().map_err(RunnerError::System)?;
    let repository = if config.isolate {
        let found = Repository::find(&workdir, &config.desktop_id, &inherited, &launcher).await;
        Some(found.map_err(|reason| RunnerError::Isolate {
            folder: workdir.clone(),
            reason,
        })?)
    } else {
        None
    };
    Ok(Place {
        folders: Folders::new(workdir, repository, inherited.clone()),
        launcher: Arc::new(launcher),
        hearts: Hearts::new().map_err(RunnerError::System)?,
        succession: Succession::default(),
        agent: config.agent.clone(),
        inherited,
        shutdown: shutdown.clone(),
    })
}

/// Waits for room; `None` when the runner shall stop.
async fn free_slot(
    slots: &Arc<Semaphore>,
    attempts: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Option<OwnedSemaphorePermit> {
    let mut acquiring = std::pin::pin!(slots.clone().acquire_owned());
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            slot = &mut acquiring => return slot.ok(),
            Some(ended) = attempts.join_next() => {
                if let Err(panic) = ended {
                    warn!(%panic, "an attempt ended badly; the server will offer its task again");
                }
            }
        }
    }
}

/// One attempt, in a slot that is free again afterwards.
async fn in_slot(
    slot: OwnedSemaphorePermit,
    [lease, pulse]: [HeldLease; 2],
    claim: Claim,
    place: Arc<Place>,
) {
    let attempt = attempt(Arc::new(lease), Arc::new(pulse), &claim, &place);
    Box::pin(attempt).await;
    drop(slot);
}

/// Claims for one desktop.
struct Claims<'a> {
    client: &'a Client,
    desktop: &'a str,
    shutdown: &'a CancellationToken,
}

impl Claims<'_> {
    /// Waits for the next task; `None` when the runner shall stop.
    ///
    /// # Errors
    /// When the server will never give this runner one.
    async fn next(&self) -> Result<Option<Claim>, ClientError> {
        let mut backoff = Backoff::new();
        let mut away = false;
        loop {
            let begin = Instant::now();
            let claimed = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(None),
                claimed = self.client.claim(self.desktop, WAIT) => claimed,
            };
            if away && claimed.is_ok() {
                info!("the server is back");
                away = false;
            }
            let pause = match claimed {
                Ok(Some(claim)) => return Ok(Some(claim)),
                Ok(None) if begin.elapsed() >= TOO_SOON => {
                    backoff.reset();
                    continue;
                }
                Ok(None) => {
                    debug!("the server ended the wait: another runner claims for this desktop");
                    backoff.next(None)
                }
                Err(error) if refuses_runner(&error) => return Err(error),
                Err(error) => {
                    if !away {
                        warn!(%error, "cannot claim; trying again until the server is back");
                        away = true;
                    }
                    backoff.next(error.retry_after())
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = sleep(pause) => {}
            }
        }
    }
}

/// Whether claiming will never succeed with this configuration.
fn refuses_runner(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::Unauthenticated | Code::Forbidden | Code::NotFound)
    )
}
