//! A wait or a stream that is open: it takes a place of its credential, and ends when the server
//! stops or the credential is revoked (contract sections 6 and 7).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::CredentialId;
use store::sabotage::Mistake;
use tokio_util::sync::CancellationToken;

use crate::limits::Place;

/// The credentials of open waits and streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenCredentials(Arc<Mutex<HashMap<CredentialId, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    revoked: CancellationToken,
    uses: usize,
}

impl OpenCredentials {
    fn watch(&self, id: CredentialId) -> Watched {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = open.entry(id).or_default();
        entry.uses += 1;
        Watched {
            id,
            revoked: entry.revoked.clone(),
            credentials: self.clone(),
        }
    }

    /// Ends everything that is open under `id`.
    pub(crate) fn revoke(&self, id: CredentialId) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get(&id)
            && !Mistake::StreamsForEver.made()
        {
            entry.revoked.cancel();
        }
    }

    pub(crate) fn all(&self) -> Vec<CredentialId> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.keys().copied().collect()
    }
}

#[derive(Debug)]
struct Watched {
    id: CredentialId,
    revoked: CancellationToken,
    credentials: OpenCredentials,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut open = self
            .credentials
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get_mut(&self.id) {
            entry.uses -= 1;
            if entry.uses == 0 {
                open.remove(&self.id);
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
        credentials: &OpenCredentials,
        id: CredentialId,
        stopping: CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            watched: credentials.watch(id),
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
    use approval_core::{KeyId, PrincipalId};

    use super::*;
    use crate::limits::Limits;

    #[actix_web::test]
    async fn a_revocation_ends_what_is_open_under_that_key_only() {
        let (credentials, limits) = (OpenCredentials::default(), Limits::new(0, 0));
        let open = |id| {
            let place = limits.open(PrincipalId::System).expect("a place");
            Open::new(&credentials, id, CancellationToken::new(), place)
        };
        let [mine, other] = [KeyId::new(), KeyId::new()].map(CredentialId::Key);
        let opened = [open(mine), open(mine), open(other)];
        credentials.revoke(mine);
        assert_eq!(opened.each_ref().map(Open::is_ended), [true, true, false]);
        assert_eq!(opened[0].ended().await, Ended::Revoked);
        drop(opened);
        assert_eq!(credentials.all(), []);
    }
}
