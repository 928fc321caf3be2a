//! What one credential may use (contract section 7): requests, decisions and uploaded bytes a
//! minute, open waits and streams at a time.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use approval_core::PrincipalId;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::problem::Failure;

/// Decisions a minute.
const DECISIONS: NonZeroU32 = NonZeroU32::new(600).expect("600 is not 0");
/// Open waits and streams at a time.
const MOST_OPEN: usize = 100;
/// What the shortest call of a runner counts as, in KiB.
const SHORTEST_UPLOAD: u32 = 16;
/// What a body counts as that does not say how long it is: the most it can be, in KiB.
const LONGEST_UPLOAD: u32 = 8 << 10;

/// What a call is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// An ordinary request.
    Request,
    /// `review` or `resolve`, which ordinary requests must not use up.
    Decision,
    /// A runner at work under a lease: its bytes are limited, not its requests.
    Leased {
        /// As announced; `None` when that is not said.
        bytes: Option<u64>,
    },
}

/// The budgets of all credentials.
pub(crate) struct Limits {
    requests: Option<Budget>,
    decisions: Option<Budget>,
    /// In KiB.
    uploads: Option<Budget>,
    open: Arc<Mutex<HashMap<PrincipalId, usize>>>,
}

type Budget = DefaultKeyedRateLimiter<PrincipalId>;

impl Limits {
    /// `requests` a minute a credential; 0 switches that limit and the one of decisions off. `uploads`
    /// in MiB a minute a credential, at least 8; 0 switches it off.
    pub(crate) fn new(requests: u32, uploads: u32) -> Self {
        let a_minute = |most| RateLimiter::keyed(Quota::per_minute(most));
        let requests = NonZeroU32::new(requests);
        let uploads = NonZeroU32::new(uploads.saturating_mul(1 << 10));
        Self {
            requests: requests.map(a_minute),
            decisions: requests.map(|_| a_minute(DECISIONS)),
            uploads: uploads.map(a_minute),
            open: Arc::default(),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub(crate) fn count(&self, principal: PrincipalId, counted: Counted) -> Result<(), Failure> {
        let (budget, amount, noun) = match counted {
            Counted::Request => (&self.requests, NonZeroU32::MIN, "requests"),
            Counted::Decision => (&self.decisions, NonZeroU32::MIN, "decisions"),
            Counted::Leased { bytes } => (&self.uploads, kibibytes(bytes), "uploads"),
        };
        let Some(budget) = budget else {
            return Ok(());
        };
        let refused = |wait: u64| {
            let detail = format!("this credential has made too many {noun} in a minute");
            Err(Failure::rate_limited(detail, wait))
        };
        match budget.check_key_n(&principal, amount) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                refused(wait.as_secs() + 1)
            }
            // more than a minute's budget at once: no wait would help
            Err(_) => refused(60),
        }
    }

    /// Takes a place for a wait or a stream, until the place is dropped.
    ///
    /// # Errors
    /// 429 when all are taken.
    pub(crate) fn open(&self, principal: PrincipalId) -> Result<Place, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(principal).or_default();
        if *count >= MOST_OPEN {
            let detail = format!("this credential has {MOST_OPEN} open waits and streams");
            return Err(Failure::rate_limited(detail, 1));
        }
        *count += 1;
        Ok(Place {
            principal,
            open: Arc::clone(&self.open),
        })
    }

    /// Forgets credentials that have not called for a while.
    pub(crate) fn clean(&self) {
        let budgets = [&self.requests, &self.decisions, &self.uploads];
        for budget in budgets.into_iter().flatten() {
            budget.retain_recent();
        }
    }
}

/// What a call of a runner counts as.
fn kibibytes(bytes: Option<u64>) -> NonZeroU32 {
    let kibibytes = bytes.map(|bytes| u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX));
    let kibibytes = kibibytes.unwrap_or(LONGEST_UPLOAD);
    // a longer one is refused unread
    let kibibytes = kibibytes.clamp(SHORTEST_UPLOAD, LONGEST_UPLOAD);
    NonZeroU32::new(kibibytes).unwrap_or(NonZeroU32::MIN)
}

/// A place among the open waits and streams of a credential.
#[derive(Debug)]
pub(crate) struct Place {
    principal: PrincipalId,
    open: Arc<Mutex<HashMap<PrincipalId, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use approval_core::KeyId;

    use super::*;

    fn leased(bytes: u64) -> Counted {
        Counted::Leased { bytes: Some(bytes) }
    }

    /// How many calls pass before one is refused.
    fn until_refused(limits: &Limits, key: PrincipalId, counted: Counted) -> usize {
        let calls = (0..10_000).map(|_| limits.count(key, counted));
        calls.take_while(Result::is_ok).count()
    }

    #[test]
    fn an_agent_uploads_so_many_bytes_a_minute() {
        for (bytes, passing) in [(8 << 20, 2), (1 << 20, 16), (0, 1_024)] {
            let limits = Limits::new(1, 16);
            let key = PrincipalId::Key(KeyId::new());
            let passed = until_refused(&limits, key, leased(bytes));
            // the budget grows meanwhile
            assert!(
                (passing..passing + 10).contains(&passed),
                "{passed} of {bytes}"
            );
            assert!(limits.count(key, Counted::Request).is_ok());
            let other = PrincipalId::Key(KeyId::new());
            assert!(limits.count(other, leased(bytes)).is_ok());
        }
    }

    #[test]
    fn a_body_without_a_length_counts_as_the_longest() {
        let limits = Limits::new(1, 16);
        let key = PrincipalId::Key(KeyId::new());
        let unknown = Counted::Leased { bytes: None };
        assert_eq!(until_refused(&limits, key, unknown), 2);
    }

    #[test]
    fn a_flood_of_bodies_leaves_room_for_heartbeats() {
        let limits = Limits::new(1, 20);
        let key = PrincipalId::Key(KeyId::new());
        assert_eq!(until_refused(&limits, key, leased(8 << 20)), 2);
        assert!(limits.count(key, leased(2)).is_ok());
    }

    #[test]
    fn a_busy_credential_can_still_decide_and_work() {
        let limits = Limits::new(3, 8);
        let key = PrincipalId::Key(KeyId::new());
        for _ in 0..3 {
            assert!(limits.count(key, Counted::Request).is_ok());
        }
        assert!(limits.count(key, Counted::Request).is_err());
        assert!(limits.count(key, Counted::Decision).is_ok());
        assert!(limits.count(key, leased(1_000)).is_ok());
        assert!(
            limits
                .count(PrincipalId::Key(KeyId::new()), Counted::Request)
                .is_ok()
        );
    }

    #[test]
    fn nothing_is_counted_when_switched_off() {
        let limits = Limits::new(0, 0);
        let key = PrincipalId::Key(KeyId::new());
        let counted = [Counted::Request, Counted::Decision, leased(8 << 20)];
        let refused = (0..2_000)
            .flat_map(|_| counted)
            .filter(|counted| limits.count(key, *counted).is_err());
        assert_eq!(refused.count(), 0);
    }

    #[test]
    fn a_place_is_free_again_when_its_stream_ends() {
        let limits = Limits::new(0, 0);
        let key = PrincipalId::Key(KeyId::new());
        let mut places: Vec<_> = (0..MOST_OPEN)
            .map(|_| limits.open(key).expect("a place"))
            .collect();
        assert!(limits.open(key).is_err());
        places.pop();
        assert!(limits.open(key).is_ok());
        assert!(limits.open(PrincipalId::Key(KeyId::new())).is_ok());
    }
}
