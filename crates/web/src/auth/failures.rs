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
/// So many shut addresses are not worth looking through.
const FEW: usize = 1_000;
/// How often addresses without recent failures are forgotten when there are too many.
const CLEANING: Duration = Duration::from_secs(10);

/// Counts failed authentications.
pub(crate) struct Failures {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    shut: Mutex<Shut>,
    cleaned: Mutex<Instant>,
}

/// Addresses with too many failures.
#[derive(Default)]
struct Shut {
    until: HashMap<IpAddr, Instant>,
    /// At how many those whose time is over are forgotten. Set to twice what is left, so that an address costs
    /// the same however many there are.
    full: usize,
}

impl Shut {
    fn add(&mut self, address: IpAddr, now: Instant, wait: Duration) {
        if self.until.len() >= self.full {
            self.until.retain(|_, until| *until > now);
            self.until.shrink_to_fit();
            self.full = (2 * self.until.len()).max(FEW);
        }
        self.until.insert(address, now + wait);
    }
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
            self.shut().add(address, Instant::now(), wait);
            wait.as_secs() + 1
        })
    }

    /// Whether there were too many from `address`: for passwords, whose every check is costly and
    /// which can be guessed.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), u64> {
        let now = Instant::now();
        match self.shut().until.get(&counted(address)) {
            Some(until) if *until > now => Err((*until - now).as_secs() + 1),
            _ => Ok(()),
        }
    }

    fn shut(&self) -> MutexGuard<'_, Shut> {
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

    /// Guarantee E3: what a million addresses leave behind is below 16 MiB, also when each of them fails too
    /// often.
    #[test]
    fn a_million_addresses_are_kept_in_bounded_memory() {
        let failures = Failures::new();
        let before = resident_kib();
        for address in 0..1_000_000_u32 {
            let address = IpAddr::from(address.to_be_bytes());
            let failed = if failures.limiter.len() < MOST_ADDRESSES {
                12
            } else {
                1
            };
            for _ in 0..failed {
                let _ = failures.count(address);
            }
        }
        assert!(failures.limiter.len() <= MOST_ADDRESSES + 1);
        assert!(failures.shut().until.len() <= MOST_ADDRESSES + 1);
        let grown = resident_kib() - before;
        assert!((1_024..16 * 1_024).contains(&grown), "{grown} KiB");
    }

    #[test]
    fn an_address_is_shut_no_longer_than_it_must_be() {
        let (mut shut, now) = (Shut::default(), Instant::now());
        let second = Duration::from_secs(1);
        for address in 0..5_000_u32 {
            let begin = now + second * (address / 100);
            shut.add(IpAddr::from(address.to_be_bytes()), begin, second);
            assert!(shut.until.len() <= FEW, "{}", shut.until.len());
        }
    }

    /// What this process has in memory, in KiB.
    fn resident_kib() -> i64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|text| text.parse().ok()).expect("a number")
    }
}
