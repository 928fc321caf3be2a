//! The loop of a runner: claim a task, execute it, claim the next.

use std::sync::Arc;
use std::time::Duration;

use client::{Backoff, Client, ClientError};
use contract::Code;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::attempt::{Place, attempt};
use crate::environment::inherited;
use crate::lease::HeldLease;
use crate::{RunnerConfig, RunnerError};

/// How long one claim waits for work.
const WAIT: Duration = Duration::from_secs(30);
/// An empty answer that comes sooner was not a wait: another runner of the same desktop ended it.
const TOO_SOON: Duration = Duration::from_secs(5);

/// Executes the tasks of a desktop, one after the other, until `shutdown` is cancelled; then the
/// task at hand is killed and reported as failed (`runner stopped`).
///
/// A server that is away is waited for without end.
///
/// # Errors
/// When the configuration is wrong, or the server refuses the key or the desktop.
pub async fn run(config: RunnerConfig, shutdown: CancellationToken) -> Result<(), RunnerError> {
    config.check()?;
    let client = Client::new(&config.server, config.key.clone()).map_err(RunnerError::Client)?;
    let inherited = inherited(std::env::vars_os());
    let place = Place {
        workdir: &config.workdir,
        inherited: &inherited,
        shutdown: &shutdown,
    };
    info!(
        server = config.server,
        desktop = config.desktop_id,
        "runner started"
    );
    let mut backoff = Backoff::new();
    let mut away = false;
    while !shutdown.is_cancelled() {
        let begin = Instant::now();
        let claimed = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            claimed = client.claim(&config.desktop_id, WAIT) => claimed,
        };
        if away && claimed.is_ok() {
            info!("the server is back");
            away = false;
        }
        let pause = match claimed {
            Ok(Some(claim)) => {
                let lease = Arc::new(HeldLease::new(client.clone(), &claim));
                attempt(lease, &claim, &place).await;
                backoff.reset();
                None
            }
            Ok(None) if begin.elapsed() >= TOO_SOON => {
                backoff.reset();
                None
            }
            Ok(None) => {
                debug!("the server ended the wait: another runner claims for this desktop");
                Some(backoff.next(None))
            }
            Err(error) if refuses_runner(&error) => return Err(RunnerError::Refused(error)),
            Err(error) => {
                if !away {
                    warn!(%error, "cannot claim; trying again until the server is back");
                    away = true;
                }
                Some(backoff.next(error.retry_after()))
            }
        };
        if let Some(pause) = pause {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
    }
    info!("runner stopped");
    Ok(())
}

/// Whether claiming will never succeed with this configuration.
fn refuses_runner(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::Unauthenticated | Code::Forbidden | Code::NotFound)
    )
}
