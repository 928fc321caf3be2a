//! Signing in: from a password or a one-time link to a session (contract section 6).
//!
//! Hashing a password is costly on purpose. One is checked at a time, few may wait, and an address
//! that failed too often is refused before anything is hashed; so guessing neither stops the server
//! nor, from elsewhere, the person.

use std::num::NonZeroUsize;

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use approval_core::{AccountId, Digest, Principal, UserId};
use store::{Answer, Command, Login, Request, SubmitError};
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

use super::{Authenticator, SessionText, password};
use crate::problem::Failure;

/// How many passwords may wait for their check.
const WAITING: usize = 16;
/// Longest description of a browser that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// The one place at which passwords are hashed.
pub(super) struct SignIns {
    waiting: Semaphore,
    hashing: Semaphore,
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            waiting: Semaphore::new(WAITING),
            hashing: Semaphore::new(NonZeroUsize::MIN.get()),
        }
    }
}

impl SignIns {
    /// A turn at hashing.
    ///
    /// # Errors
    /// 503 when too many wait already.
    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Failure> {
        let busy = || Failure::unavailable("too many people are signing in at this moment");
        let waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let hashing = self.hashing.acquire().await.map_err(|_| busy())?;
        Ok((waiting, hashing))
    }
}

impl Authenticator {
    /// Opens a session for whoever knows the password, bound to `origin`, the SHA-256 of the secret
    /// of the browser's origin, if there is one.
    ///
    /// # Errors
    /// 401 for a wrong e-mail or password, never saying which; 429 after too many; 503.
    pub(crate) async fn sign_in_by_password(
        &self,
        request: &HttpRequest,
        email: String,
        password: Zeroizing<String>,
        origin: Option<Digest>,
    ) -> Result<SessionText, Failure> {
        self.site.check(request)?;
        self.failures
            .check(self.address(request))
            .map_err(too_many)?;
        let login = self.store.read(move |reads| reads.login(&email)).await?;
        let hash = login.as_ref().and_then(|login| login.password_hash.clone());
        let is_right = self.is_password(password, hash.clone()).await?;
        match (login, hash) {
            (Some(login), Some(hash)) if is_right => {
                let by = Login::Password { hash };
                self.open_session(request, login.account, login.user, by, origin)
                    .await
            }
            _ => Err(self.failed(request)),
        }
    }

    /// Opens a session for whoever holds an unused link. The token was 256 random bits, so it
    /// cannot be guessed, and a good one is never refused for the failures of others.
    ///
    /// # Errors
    /// 401 for a used, expired or unknown one; 429 after too many; 503.
    pub(crate) async fn sign_in_by_link(
        &self,
        request: &HttpRequest,
        token: &str,
        origin: Option<Digest>,
    ) -> Result<SessionText, Failure> {
        self.site.check(request)?;
        let digest = Digest::of(token.as_bytes());
        let link = self
            .store
            .read(move |reads| reads.sign_in_link(&digest))
            .await?;
        match link {
            Some((account, user)) => {
                let by = Login::Link(digest);
                self.open_session(request, account, user, by, origin).await
            }
            None => Err(self.failed(request)),
        }
    }

    /// Whether a person who is signed in knows the password: a session that was stolen is no
    /// unlimited guess at it.
    ///
    /// # Errors
    /// 429 after too many failures from this address; 503.
    pub(crate) async fn knows_password(
        &self,
        request: &HttpRequest,
        password: Zeroizing<String>,
        hash: String,
    ) -> Result<bool, Failure> {
        let address = self.address(request);
        self.failures.check(address).map_err(too_many)?;
        let is_right = self.is_password(password, Some(hash)).await?;
        if !is_right {
            self.failures.count(address).map_err(too_many)?;
        }
        Ok(is_right)
    }

    /// Whether `password` is the one behind `hash`, when it is this one's turn.
    async fn is_password(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<bool, Failure> {
        let _turn = self.sign_ins.turn().await?;
        let check = move || password::verify(&password, hash.as_deref());
        actix_web::web::block(check)
            .await
            .map_err(|_| Failure::internal())
    }

    /// The hash of a new password, when it is this one's turn.
    ///
    /// # Errors
    /// The inner one: why the password is none.
    pub(crate) async fn hash_password(
        &self,
        password: Zeroizing<String>,
    ) -> Result<Result<String, password::PasswordError>, Failure> {
        let _turn = self.sign_ins.turn().await?;
        actix_web::web::block(move || password::hash(&password))
            .await
            .map_err(|_| Failure::internal())
    }

    async fn open_session(
        &self,
        request: &HttpRequest,
        account: AccountId,
        user: UserId,
        by: Login,
        origin: Option<Digest>,
    ) -> Result<SessionText, Failure> {
        let text = SessionText::generate().map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            Failure::internal()
        })?;
        let command = Command::OpenSession {
            user,
            by,
            digest: text.digest(),
            origin,
            agent: agent(request),
        };
        let submitted = self.store.submit(Request {
            account,
            principal: Principal::system(),
            session: None,
            idempotency: None,
            command,
        });
        match submitted.await {
            Ok(answered) if matches!(answered.answer, Answer::Session(_)) => Ok(text),
            Ok(_) => Err(Failure::internal()),
            // the link was used, or the password changed, in this very moment
            Err(SubmitError::Revoked) => Err(self.failed(request)),
            Err(error) => Err(error.into()),
        }
    }
}

fn too_many(seconds: u64) -> Failure {
    Failure::rate_limited("too many wrong passwords came from this address", seconds)
}

/// What the browser says it is, so that people recognise their sessions.
fn agent(request: &HttpRequest) -> String {
    let said = request.headers().get(USER_AGENT);
    let said = said.and_then(|value| value.to_str().ok()).unwrap_or("");
    said.chars().take(LONGEST_AGENT).collect()
}
