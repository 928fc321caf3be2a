//! Failed authentications: 10 a minute an address (contract section 7), in bounded memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::address::counted;

const A_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
/// Most addresses counted one by one, about 100 bytes each.
const MOST_ADDRESSES: usize = 100_000;
/// All others count as one: an address that nobody has.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// How often addresses without recent failures are forgotten when there are too many.
const CLEANING: Duration = Duration::from_secs(10);

/// Counts failed authentications.
pub(crate) struct Failures {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    /// Addresses with too many failures, and until when.
    shut: Mutex<HashMap<IpAddr, Instant>>,
    cleaned: Mutex<Instant>,
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(A_MINUTE)),
            shut: Mutex::default(),
            cleaned: Mutex::new(Instant::now()),
        }
    }

    /// Counts one failure.
    ///
    /// # Errors
    /// The seconds to wait, when there were too many.
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), u64> {
        let address = if self.has_room() {
            counted(address)
        } else {
            OTHERS
        };
        self.limiter.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            self.shut().insert(address, Instant::now() + wait);
            wait.as_secs() + 1
        })
    }

    /// Whether there were too many from `address`: for passwords, whose every check is costly and
    /// which can be guessed.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), u64> {
        let mut shut = self.shut();
        let now = Instant::now();
        shut.retain(|_, until| *until > now);
        match shut.get(&counted(address)) {
            Some(until) => Err((*until - now).as_secs() + 1),
            None => Ok(()),
        }
    }

    fn shut(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self) -> bool {
        if self.limiter.len() < MOST_ADDRESSES {
            return true;
        }
        let mut cleaned = self.cleaned.lock().unwrap_or_else(PoisonError::into_inner);
        if cleaned.elapsed() >= CLEANING {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            *cleaned = Instant::now();
        }
        self.limiter.len() < MOST_ADDRESSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute_an_address() {
        let failures = Failures::new();
        let [one, other] = [[1, 2, 3, 4], [1, 2, 3, 5]].map(IpAddr::from);
        for _ in 0..10 {
            assert_eq!(failures.count(one), Ok(()));
        }
        let seconds = failures.count(one).expect_err("the eleventh");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(failures.count(other), Ok(()));
        assert_eq!(failures.check(one).map_err(|s| s <= 60), Err(true));
        assert_eq!(failures.check(other), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let failures = Failures::new();
        for address in 0..150_000_u32 {
            let _ = failures.count(IpAddr::from(address.to_be_bytes()));
        }
        assert!(failures.limiter.len() <= MOST_ADDRESSES + 1);
    }
}
