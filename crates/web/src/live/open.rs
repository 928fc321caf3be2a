//! A wait or a stream that is open: it takes a place of its credential, and ends when the server
//! stops or the credential is revoked (contract sections 6 and 7).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use approval_core::KeyId;
use tokio_util::sync::CancellationToken;

use crate::limits::Place;

/// The credentials of open waits and streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenKeys(Arc<Mutex<HashMap<KeyId, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    revoked: CancellationToken,
    uses: usize,
}

impl OpenKeys {
    fn watch(&self, key: KeyId) -> Watched {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = keys.entry(key).or_default();
        entry.uses += 1;
        Watched {
            key,
            revoked: entry.revoked.clone(),
            keys: self.clone(),
        }
    }

    /// Ends everything that is open under `key`.
    pub(crate) fn revoke(&self, key: KeyId) {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = keys.get(&key) {
            entry.revoked.cancel();
        }
    }

    pub(crate) fn all(&self) -> Vec<KeyId> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.keys().copied().collect()
    }
}

#[derive(Debug)]
struct Watched {
    key: KeyId,
    revoked: CancellationToken,
    keys: OpenKeys,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.uses -= 1;
            if entry.uses == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

/// Why an open wait or stream must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server stops.
    Stopping,
    /// The credential was revoked.
    Revoked,
}

/// An open wait or stream.
#[derive(Debug)]
pub(crate) struct Open {
    watched: Watched,
    stopping: CancellationToken,
    _place: Place,
}

impl Open {
    pub(crate) fn new(
        keys: &OpenKeys,
        key: KeyId,
        stopping: CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            watched: keys.watch(key),
            stopping,
            _place: place,
        }
    }

    /// Whether it must end now.
    pub(crate) fn is_ended(&self) -> bool {
        self.watched.revoked.is_cancelled() || self.stopping.is_cancelled()
    }

    /// Waits until it must end.
    pub(crate) async fn ended(&self) -> Ended {
        tokio::select! {
            () = self.watched.revoked.cancelled() => Ended::Revoked,
            () = self.stopping.cancelled() => Ended::Stopping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[actix_web::test]
    async fn a_revocation_ends_what_is_open_under_that_key_only() {
        let (keys, limits) = (OpenKeys::default(), Limits::new(0));
        let open = |key| {
            let place = limits.open(key).expect("a place");
            Open::new(&keys, key, CancellationToken::new(), place)
        };
        let [mine, other] = [KeyId::new(), KeyId::new()];
        let opened = [open(mine), open(mine), open(other)];
        keys.revoke(mine);
        assert_eq!(opened.each_ref().map(Open::is_ended), [true, true, false]);
        assert_eq!(opened[0].ended().await, Ended::Revoked);
        drop(opened);
        assert_eq!(keys.all(), []);
    }
}
