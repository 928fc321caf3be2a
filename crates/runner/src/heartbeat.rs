//! Keeps the lease of an attempt alive, and hears when it is over.

use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use tokio::time::sleep;

use crate::lease::{Lease, persist};

/// A third of the time a lease lasts.
const PERIOD: Duration = Duration::from_secs(10);

/// Why the server wants no more of an attempt.
#[derive(Debug)]
pub(crate) enum Over {
    /// The task was cancelled.
    Cancelled,
    /// The lease belongs to nobody or somebody else, or the key is revoked.
    Lost(ClientError),
}

/// Beats once. While the server is away this waits for it: nothing may start before the server
/// knows that the claim arrived, because it offers the task again if it does not.
pub(crate) async fn beat(lease: &impl Lease) -> Result<(), Over> {
    match persist("a heartbeat", || lease.heartbeat()).await {
        Ok(heartbeat) if heartbeat.cancel_requested => Err(Over::Cancelled),
        Ok(_) => Ok(()),
        Err(error) => Err(Over::Lost(error)),
    }
}

/// Beats every ten seconds until the attempt is over.
///
/// An unreachable server is not the end: it re-arms the leases when it comes back, and says then
/// if this one is lost.
pub(crate) async fn keep_beating(lease: Arc<impl Lease>) -> Over {
    loop {
        sleep(PERIOD).await;
        if let Err(over) = beat(&*lease).await {
            return over;
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::Code;

    use super::*;
    use crate::lease::fake::FakeLease;

    #[tokio::test(start_paused = true)]
    async fn beats_until_cancelled() {
        let lease = Arc::new(FakeLease::default());
        lease.heartbeats.lock().unwrap().extend([
            Ok(false),
            Err(Code::Unavailable),
            Ok(false),
            Ok(true),
        ]);
        let begin = tokio::time::Instant::now();
        assert!(matches!(keep_beating(lease.clone()).await, Over::Cancelled));
        assert_eq!(*lease.beaten.lock().unwrap(), 4);
        let took = begin.elapsed();
        assert!(
            took >= PERIOD * 3 && took < PERIOD * 3 + Duration::from_secs(1),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn every_final_refusal_is_the_end() {
        for code in [
            Code::LeaseLost,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::NotFound,
        ] {
            let lease = FakeLease::default();
            lease.heartbeats.lock().unwrap().push_back(Err(code));
            let over = beat(&lease).await.unwrap_err();
            assert!(matches!(over, Over::Lost(error) if error.code() == Some(code)));
        }
    }
}
