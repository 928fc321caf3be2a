//! The runner's clock: when it read a piece of log.

use contract::Timestamp;
use time::OffsetDateTime;

/// Now, by the clock of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
