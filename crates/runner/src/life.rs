//! What keeps an attempt alive, and how it can end without being completed.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::heartbeat::{Heart, Over};
use crate::succession::Reign;

/// How long the last reports of a stopped runner may take.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Why an attempt ends without being completed.
#[derive(Debug)]
pub(crate) enum Abandoned {
    /// The server wants no more of it.
    Over(Over),
    /// This runner claimed a later attempt of the same task.
    Superseded,
    /// The runner stops, and the server does not take the last reports.
    OutOfTime,
}

/// What keeps an attempt alive.
pub(crate) struct Life<'a> {
    heart: Heart,
    reign: Reign<'a>,
}

impl<'a> Life<'a> {
    pub(crate) fn new(heart: Heart, reign: Reign<'a>) -> Self {
        Self { heart, reign }
    }

    /// Waits for `work` as long as the attempt is alive.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Abandoned> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            over = self.heart.over() => Err(Abandoned::Over(over)),
            () = self.reign.ended() => Err(Abandoned::Superseded),
        }
    }
}

/// Waits for `work`, but not for long once the runner shall stop.
pub(crate) async fn in_time<T>(
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
