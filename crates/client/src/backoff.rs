//! Pauses between repeats.

use std::time::Duration;

/// Growing, jittered pauses: about 0.2 s, then twice as much each time, never more than 5 s unless
/// the server asks for more.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    repeats: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);

    /// Starts with the shortest pause.
    pub const fn new() -> Self {
        Self { repeats: 0 }
    }

    /// The next pause: between half and all of the current step, so that clients which failed
    /// together do not come back together; at least what the server asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let step = Self::FIRST
            .saturating_mul(1 << self.repeats.min(16))
            .min(Self::LONGEST);
        self.repeats = self.repeats.saturating_add(1);
        // Without a source of randomness the pause is merely not jittered.
        let jitter = getrandom::u32().unwrap_or(u32::MAX);
        let pause = step / 2 + (step / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX));
        pause.max(asked.unwrap_or_default())
    }

    /// Back to the shortest pause, after a success.
    pub const fn reset(&mut self) {
        self.repeats = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_within_their_jitter() {
        let mut backoff = Backoff::new();
        for step in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = backoff.next(None);
            let step = Duration::from_millis(step);
            assert!(step / 2 <= pause && pause <= step, "{pause:?} for {step:?}");
        }
        backoff.reset();
        assert!(backoff.next(None) <= Backoff::FIRST);
    }

    #[test]
    fn the_server_may_ask_for_more() {
        let asked = Duration::from_secs(17);
        assert_eq!(Backoff::new().next(Some(asked)), asked);
    }
}
