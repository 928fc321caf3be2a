//! Who asks: from the two headers, or the session cookie, to a credential (contract sections 6 and
//! 7).

mod address;
mod cookie;
mod failures;
mod origin;
pub(crate) mod origin_secret;
pub mod password;
mod presented;
mod sign_in;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use approval_core::{AccountId, Digest};
use store::{Credential, CredentialId, Store};
use tokio::sync::Semaphore;

pub use address::Cidr;
pub(crate) use cookie::{SessionText, removal};
pub(crate) use origin::Site;

use crate::auth::failures::Failures;
use crate::auth::presented::Presented;
use crate::auth::sign_in::SignIns;
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
    sign_ins: SignIns,
    used: Mutex<Vec<(AccountId, CredentialId)>>,
    site: Site,
}

/// What a digest is of.
#[derive(Debug, Clone, Copy)]
enum Secret {
    Key,
    Session,
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
    pub(crate) fn new(store: Store, trusted_proxies: Vec<Cidr>, site: Site) -> Self {
        Self {
            store,
            trusted_proxies,
            known: Mutex::default(),
            strangers: Semaphore::new(STRANGERS_AT_ONCE),
            failures: Failures::new(),
            sign_ins: SignIns::default(),
            used: Mutex::default(),
            site,
        }
    }

    /// The credential of a request. A valid key is never refused for the failures of others from
    /// its address: those only count once a key was found to be none.
    ///
    /// A key that is presented counts alone: a bad one beside a good cookie is refused.
    ///
    /// # Errors
    /// 401 without a valid key or session; 403 for a session whose request came from elsewhere;
    /// 429 for the eleventh bad key a minute from an address; 503.
    pub(crate) async fn authenticate(
        &self,
        request: &HttpRequest,
    ) -> Result<Arc<Credential>, Failure> {
        match presented::key(request.headers()) {
            Presented::Nothing => self.by_cookie(request).await,
            Presented::NoKey => Err(self.failed(request)),
            Presented::Key(sha256) => match self.credential(sha256, Secret::Key).await? {
                Some(credential) => Ok(credential),
                None => Err(self.failed(request)),
            },
        }
    }

    async fn by_cookie(&self, request: &HttpRequest) -> Result<Arc<Credential>, Failure> {
        let text = SessionText::presented(request.headers(), self.site.is_secure())
            .ok_or_else(Failure::unauthenticated)?;
        self.site.check(request)?;
        // one that has ended is no attack: people come back after a month
        let credential = self.credential(text.digest(), Secret::Session).await?;
        credential.ok_or_else(Failure::unauthenticated)
    }

    async fn credential(
        &self,
        sha256: Digest,
        secret: Secret,
    ) -> Result<Option<Arc<Credential>>, Failure> {
        if let Some(credential) = self.believed(&sha256) {
            return Ok(Some(credential));
        }
        if let Some(credential) = self.look_up(sha256, secret).await? {
            return Ok(Some(self.remember(sha256, credential)));
        }
        self.known().remove(&sha256);
        Ok(None)
    }

    /// Where people reach the server.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Stops believing a credential that was revoked.
    pub(crate) fn forget(&self, id: CredentialId) {
        self.known().retain(|_, known| known.credential.id != id);
    }

    /// Stops believing every credential: revocations may have been missed.
    pub(crate) fn forget_all(&self) {
        self.known()
            .values_mut()
            .for_each(|known| known.checked = None);
    }

    /// The credentials whose use is to be noted since the last call.
    pub(crate) fn take_used(&self) -> Vec<(AccountId, CredentialId)> {
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

    async fn look_up(&self, sha256: Digest, secret: Secret) -> Result<Option<Credential>, Failure> {
        let is_stranger = !self.known().contains_key(&sha256);
        let _permit = if is_stranger {
            self.strangers.acquire().await.ok()
        } else {
            None
        };
        Ok(self
            .store
            .read(move |reads| match secret {
                Secret::Key => reads.credential(&sha256),
                Secret::Session => reads.session(&sha256),
            })
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
            let used = (known.credential.account, known.credential.id);
            self.used
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(used);
        }
    }

    fn failed(&self, request: &HttpRequest) -> Failure {
        match self.failures.count(self.address(request)) {
            Ok(()) => Failure::unauthenticated(),
            Err(seconds) => Failure::rate_limited(
                "too many requests with a bad key or password came from this address",
                seconds,
            ),
        }
    }

    fn address(&self, request: &HttpRequest) -> IpAddr {
        address::client(request, &self.trusted_proxies)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
