//! What one credential may use (contract section 7): requests and decisions a minute, open waits
//! and streams at a time.

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

/// What a call is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// An ordinary request.
    Request,
    /// `review` or `resolve`, which ordinary requests must not use up.
    Decision,
    /// A runner at work under a lease: its bytes are limited, not its requests.
    Leased,
}

/// The budgets of all credentials.
pub(crate) struct Limits {
    requests: Option<Budget>,
    decisions: Option<Budget>,
    open: Arc<Mutex<HashMap<PrincipalId, usize>>>,
}

type Budget = DefaultKeyedRateLimiter<PrincipalId>;

impl Limits {
    /// `requests` a minute a credential; 0 switches the limits by the minute off.
    pub(crate) fn new(requests: u32) -> Self {
        let a_minute = |most| RateLimiter::keyed(Quota::per_minute(most));
        let requests = NonZeroU32::new(requests);
        Self {
            requests: requests.map(a_minute),
            decisions: requests.map(|_| a_minute(DECISIONS)),
            open: Arc::default(),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub(crate) fn count(&self, principal: PrincipalId, counted: Counted) -> Result<(), Failure> {
        let (budget, noun) = match counted {
            Counted::Request => (&self.requests, "requests"),
            Counted::Decision => (&self.decisions, "decisions"),
            Counted::Leased => return Ok(()),
        };
        let Some(budget) = budget else {
            return Ok(());
        };
        budget.check_key(&principal).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let detail = format!("this credential has made too many {noun} in a minute");
            Failure::rate_limited(detail, wait.as_secs() + 1)
        })
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
        for budget in [&self.requests, &self.decisions].into_iter().flatten() {
            budget.retain_recent();
        }
    }
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

    #[test]
    fn a_busy_credential_can_still_decide_and_work() {
        let limits = Limits::new(3);
        let key = PrincipalId::Key(KeyId::new());
        for _ in 0..3 {
            assert!(limits.count(key, Counted::Request).is_ok());
        }
        assert!(limits.count(key, Counted::Request).is_err());
        assert!(limits.count(key, Counted::Decision).is_ok());
        assert!(limits.count(key, Counted::Leased).is_ok());
        assert!(
            limits
                .count(PrincipalId::Key(KeyId::new()), Counted::Request)
                .is_ok()
        );
    }

    #[test]
    fn nothing_is_counted_when_switched_off() {
        let limits = Limits::new(0);
        let key = PrincipalId::Key(KeyId::new());
        let counted = [Counted::Request, Counted::Decision];
        let refused = (0..2_000)
            .flat_map(|_| counted)
            .filter(|counted| limits.count(key, *counted).is_err());
        assert_eq!(refused.count(), 0);
    }

    #[test]
    fn a_place_is_free_again_when_its_stream_ends() {
        let limits = Limits::new(0);
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
