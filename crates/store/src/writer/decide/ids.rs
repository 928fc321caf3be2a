//! Ids of what a batch makes, by the clock of the batch: on PostgreSQL all servers have the same, so that
//! lists, which are in the order of ids, do not depend on whose clock is ahead (guarantees, D7).

use std::sync::{LazyLock, Mutex, PoisonError};

use approval_core::Timestamp;
use uuid::{ContextV7, Uuid};

/// A microsecond is told from the next one, so two batches that follow each other on two servers have ids
/// that do.
const PRECISION_BITS: usize = 10;

/// Counts within a microsecond, and never goes back.
static CONTEXT: LazyLock<Mutex<ContextV7>> =
    LazyLock::new(|| Mutex::new(ContextV7::new().with_additional_precision_bits(PRECISION_BITS)));

/// A new id (RFC 9562, version 7): sorted by time, unguessable in its random part.
pub(super) fn new_id<T: From<Uuid>>(now: Timestamp) -> T {
    let micros = u64::try_from(now.micros()).unwrap_or_default();
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or_default();
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let time = uuid::Timestamp::from_unix(&*context, micros / 1_000_000, nanos);
    Uuid::new_v7(time).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the context is the process's.
    #[test]
    fn ids_are_in_the_order_of_the_clock_of_their_batches() {
        let at = |micros: i64| Timestamp::from_micros(1_790_000_000_000_000 + micros);
        let mut before: Uuid = new_id(at(0));
        assert_eq!(before.get_version_num(), 7);
        for micros in [0, 0, 1, 2, 2, 999, 1_000, 5_000_000] {
            let id: Uuid = new_id(at(micros));
            assert!(id > before, "{micros}");
            let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
            let millis = seconds * 1_000 + u64::from(nanos) / 1_000_000;
            assert_eq!(
                millis,
                1_790_000_000_000 + u64::try_from(micros).unwrap() / 1_000
            );
            before = id;
        }
        let random: Uuid = new_id(at(5_000_000));
        assert!(random > before, "the same moment");
        assert!(new_id::<Uuid>(at(0)) > random, "a clock that goes back");
    }
}
