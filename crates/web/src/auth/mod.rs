//! Who asks: from the two headers to a credential (contract sections 6 and 7).

mod address;
mod failures;
mod presented;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use approval_core::{AccountId, Digest, KeyId};
use store::{Credential, Store};
use tokio::sync::Semaphore;

pub use address::Cidr;

use crate::auth::failures::Failures;
use crate::auth::presented::Presented;
use crate::problem::Failure;

/// How long a credential is believed without asking the database. With the second in which other
/// processes hear of a revocation this keeps every read within the promised one.
const BELIEVED: Duration = Duration::from_millis(500);
/// How often the use of a key is noted.
const NOTED: Duration = Duration::from_mins(1);
/// Most credentials kept; more are looked up each time.
const MOST_KNOWN: usize = 10_000;
/// How many keys that were never seen before are looked up at once, so that made-up keys cannot
/// keep the database from those that exist.
const STRANGERS_AT_ONCE: usize = 2;

/// Finds the credential behind a request.
pub(crate) struct Authenticator {
    store: Store,
    trusted_proxies: Vec<Cidr>,
    known: Mutex<HashMap<Digest, Known>>,
    strangers: Semaphore,
    failures: Failures,
    used: Mutex<Vec<(AccountId, KeyId)>>,
}

/// A credential that was found before.
struct Known {
    credential: Arc<Credential>,
    /// When the database last said so; `None`: ask again.
    checked: Option<Instant>,
    noted: Option<Instant>,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.checked
            .is_some_and(|checked| checked.elapsed() < BELIEVED)
    }
}

impl Authenticator {
    pub(crate) fn new(store: Store, trusted_proxies: Vec<Cidr>) -> Self {
        Self {
            store,
            trusted_proxies,
            known: Mutex::default(),
            strangers: Semaphore::new(STRANGERS_AT_ONCE),
            failures: Failures::new(),
            used: Mutex::default(),
        }
    }

    /// The credential of a request. A valid key is never refused for the failures of others from
    /// its address: those only count once a key was found to be none.
    ///
    /// # Errors
    /// 401 without a valid key; 429 for the eleventh bad one a minute from an address; 503.
    pub(crate) async fn authenticate(
        &self,
        request: &HttpRequest,
    ) -> Result<Arc<Credential>, Failure> {
        let sha256 = match presented::key(request.headers()) {
            Presented::Nothing => return Err(Failure::unauthenticated()),
            Presented::NoKey => return Err(self.failed(request)),
            Presented::Key(sha256) => sha256,
        };
        if let Some(credential) = self.believed(&sha256) {
            return Ok(credential);
        }
        if let Some(credential) = self.look_up(sha256).await? {
            return Ok(self.remember(sha256, credential));
        }
        self.known().remove(&sha256);
        Err(self.failed(request))
    }

    /// Stops believing a key that was revoked.
    pub(crate) fn forget(&self, key: KeyId) {
        self.known().retain(|_, known| known.credential.key != key);
    }

    /// Stops believing every key: revocations may have been missed.
    pub(crate) fn forget_all(&self) {
        self.known()
            .values_mut()
            .for_each(|known| known.checked = None);
    }

    /// The keys whose use is to be noted since the last call.
    pub(crate) fn take_used(&self) -> Vec<(AccountId, KeyId)> {
        std::mem::take(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn believed(&self, sha256: &Digest) -> Option<Arc<Credential>> {
        let mut known = self.known();
        let found = known.get_mut(sha256)?;
        if !found.is_fresh() {
            return None;
        }
        let credential = Arc::clone(&found.credential);
        self.note_use(found);
        Some(credential)
    }

    async fn look_up(&self, sha256: Digest) -> Result<Option<Credential>, Failure> {
        let is_stranger = !self.known().contains_key(&sha256);
        let _permit = if is_stranger {
            self.strangers.acquire().await.ok()
        } else {
            None
        };
        Ok(self
            .store
            .read(move |reads| reads.credential(&sha256))
            .await?)
    }

    fn remember(&self, sha256: Digest, credential: Credential) -> Arc<Credential> {
        let credential = Arc::new(credential);
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| known.is_fresh());
        }
        if known.len() < MOST_KNOWN {
            let found = known.entry(sha256).or_insert_with(|| Known {
                credential: Arc::clone(&credential),
                checked: None,
                noted: None,
            });
            found.credential = Arc::clone(&credential);
            found.checked = Some(Instant::now());
            self.note_use(found);
        }
        credential
    }

    fn note_use(&self, known: &mut Known) {
        if known.noted.is_none_or(|noted| noted.elapsed() >= NOTED) {
            known.noted = Some(Instant::now());
            let used = (known.credential.account, known.credential.key);
            self.used
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(used);
        }
    }

    fn failed(&self, request: &HttpRequest) -> Failure {
        let address = address::client(request, &self.trusted_proxies);
        match self.failures.count(address) {
            Ok(()) => Failure::unauthenticated(),
            Err(seconds) => Failure::rate_limited(
                "too many requests with a bad key came from this address",
                seconds,
            ),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
