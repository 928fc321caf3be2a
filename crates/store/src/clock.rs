//! The server's own clock, for SQLite: wall time at the start, monotonic from there, so that a
//! clock set back or forward never ends a lease early (guarantees, D7).

use std::time::{Instant, SystemTime};

use approval_core::Timestamp;

/// A clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_at_start: i64,
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        Self {
            wall_at_start: micros,
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.wall_at_start.saturating_add(passed))
    }
}
