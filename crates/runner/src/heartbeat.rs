//! Keeps leases alive from a thread of its own, whatever else the runner is busy with, and hears
//! when one is over.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use client::ClientError;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::lease::{Lease, persist};

/// A third of the time a lease lasts.
const PERIOD: Duration = Duration::from_secs(10);

/// Why the server wants no more of an attempt.
#[derive(Debug, Clone)]
pub(crate) enum Over {
    /// The task was cancelled.
    Cancelled,
    /// The lease belongs to nobody or somebody else, or the key is revoked.
    Lost(Arc<ClientError>),
}

impl From<ClientError> for Over {
    fn from(error: ClientError) -> Self {
        Self::Lost(Arc::new(error))
    }
}

/// The thread on which all hearts of a runner beat.
#[derive(Debug)]
pub(crate) struct Hearts {
    runtime: Handle,
    _stop: DropGuard,
}

impl Hearts {
    /// Starts the thread; it ends when this is dropped.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self {
            runtime: handle,
            _stop: stop.drop_guard(),
        })
    }

    /// Beats for an attempt, at once and then every ten seconds, until it is over or the heart is
    /// dropped. `lease` must not share connections with calls from other threads: a busy thread
    /// would hold up the beats.
    pub(crate) fn start(&self, lease: Arc<impl Lease>) -> Heart {
        let (sender, receiver) = watch::channel(State::Unconfirmed);
        let beating = self.runtime.spawn(async move {
            let over = keep_beating(&*lease, || {
                sender.send_replace(State::Beating);
            });
            let over = over.await;
            sender.send_replace(State::Over(over));
        });
        Heart {
            state: receiver,
            _beating: AbortOnDropHandle::new(beating),
        }
    }
}

#[derive(Debug, Clone)]
enum State {
    /// The server does not know yet that the claim arrived.
    Unconfirmed,
    Beating,
    Over(Over),
}

/// The heart of one attempt; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Heart {
    state: watch::Receiver<State>,
    _beating: AbortOnDropHandle<()>,
}

impl Heart {
    /// Waits for the first beat. Nothing may start before the server knows that the claim arrived,
    /// because it offers the task again if it does not.
    pub(crate) async fn confirmed(&mut self) -> Result<(), Over> {
        let is_known = |state: &State| !matches!(state, State::Unconfirmed);
        match self.state.wait_for(is_known).await.as_deref() {
            Ok(State::Over(over)) => Err(over.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(gone()),
        }
    }

    /// Waits until the server wants no more of the attempt.
    pub(crate) async fn over(&mut self) -> Over {
        let is_over = |state: &State| matches!(state, State::Over(_));
        match self.state.wait_for(is_over).await.as_deref() {
            Ok(State::Over(over)) => over.clone(),
            _ => gone(),
        }
    }
}

/// Nothing beats any more: the lease will be lost.
fn gone() -> Over {
    ClientError::Configuration("the heartbeat has stopped".to_owned()).into()
}

/// Beats until the attempt is over, and calls `beaten` each time the server has answered.
///
/// An unreachable server is not the end: it re-arms the leases when it comes back, and says then
/// if this one is lost.
async fn keep_beating(lease: &impl Lease, mut beaten: impl FnMut()) -> Over {
    loop {
        match persist("a heartbeat", || lease.heartbeat()).await {
            Ok(heartbeat) if heartbeat.cancel_requested => return Over::Cancelled,
            Ok(_) => beaten(),
            Err(error) => return error.into(),
        }
        sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use contract::Code;

    use super::*;
    use crate::lease::fake::FakeLease;

    fn scripted(answers: impl IntoIterator<Item = Result<bool, Code>>) -> Arc<FakeLease> {
        let lease = FakeLease::default();
        lease.heartbeats.lock().unwrap().extend(answers);
        Arc::new(lease)
    }

    #[tokio::test(start_paused = true)]
    async fn beats_until_cancelled() {
        let lease = scripted([Ok(false), Err(Code::Unavailable), Ok(false), Ok(true)]);
        let begin = tokio::time::Instant::now();
        let mut beaten = 0;
        let over = keep_beating(&*lease, || beaten += 1).await;
        assert!(matches!(over, Over::Cancelled));
        assert_eq!((*lease.beaten.lock().unwrap(), beaten), (4, 2));
        let took = begin.elapsed();
        assert!(
            took >= PERIOD * 2 && took < PERIOD * 2 + Duration::from_secs(1),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn every_final_refusal_is_the_end() {
        let hearts = Hearts::new().unwrap();
        for code in [
            Code::LeaseLost,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::NotFound,
        ] {
            let mut heart = hearts.start(scripted([Err(code)]));
            for over in [heart.confirmed().await.unwrap_err(), heart.over().await] {
                assert!(matches!(over, Over::Lost(error) if error.code() == Some(code)));
            }
        }
    }

    #[tokio::test]
    async fn it_beats_while_everything_else_stands_still() {
        let hearts = Hearts::new().unwrap();
        let lease = scripted([Err(Code::Unavailable)]);
        let _heart = hearts.start(lease.clone());
        // Blocks this thread and with it the runtime of the test.
        for _ in 0..500 {
            if *lease.beaten.lock().unwrap() == 2 {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("no beat was repeated");
    }

    #[tokio::test]
    async fn a_dropped_heart_stops() {
        let hearts = Hearts::new().unwrap();
        let lease = scripted([Err(Code::Unavailable); 100]);
        let heart = hearts.start(lease.clone());
        drop(heart);
        sleep(Duration::from_millis(50)).await;
        let beaten = *lease.beaten.lock().unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(*lease.beaten.lock().unwrap(), beaten);
    }
}
