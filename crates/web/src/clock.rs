//! The one place of this crate that reads the time of day. Only for display and for courtesies:
//! leases, order and decisions go by the store's clock.

use approval_core::Timestamp;

/// What time it is here.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock module of this crate"
)]
pub(crate) fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}
