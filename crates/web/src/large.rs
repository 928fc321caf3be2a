//! Large bodies are read and worked on a few at a time, so that neither one credential nor all of them
//! fill the memory. Whoever waits for a place is not read from meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use approval_core::PrincipalId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::problem::Failure;

/// Bodies of up to so many bytes need no place. A decision never does.
const SMALL: u64 = 64 << 10;
/// Large bodies of a credential at a time.
const OF_ONE: usize = 4;
/// Large bodies at a time. One of 8 MiB takes three times its size until it is stored.
const OF_ALL: usize = 12;
/// How long a body waits for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places there are.
pub(crate) struct LargeBodies {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<PrincipalId, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct LargeBody {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Default for LargeBodies {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(OF_ALL)),
            of: Mutex::default(),
        }
    }
}

impl LargeBodies {
    /// Waits for a place, if the body is a large one.
    ///
    /// # Errors
    /// 429 when this credential has all of its places for 10 seconds, 503 when all of them together have.
    pub(crate) async fn place(
        &self,
        principal: PrincipalId,
        headers: &HeaderMap,
    ) -> Result<Option<LargeBody>, Failure> {
        if announced(headers).is_some_and(|bytes| bytes <= SMALL) {
            return Ok(None);
        }
        let own = self.of(principal);
        let detail = format!("this credential is sending {OF_ONE} large bodies already");
        let of_one = turn(own).await;
        let of_one = of_one.ok_or_else(|| Failure::rate_limited(detail, 1))?;
        let of_all = turn(Arc::clone(&self.all)).await;
        let busy = || Failure::unavailable("too many large bodies are being sent at this moment");
        Ok(Some(LargeBody {
            _of_all: of_all.ok_or_else(busy)?,
            _of_one: of_one,
        }))
    }

    fn of(&self, principal: PrincipalId) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        // those that nobody uses or waits for
        of.retain(|_, places| Arc::strong_count(places) > 1);
        let places = of
            .entry(principal)
            .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE)));
        Arc::clone(places)
    }
}

async fn turn(places: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()
}

/// How long a body says it is; `None` when it does not say.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    match headers.get(CONTENT_LENGTH) {
        None => Some(0),
        Some(length) => length.to_str().ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use approval_core::KeyId;

    use super::*;

    fn of_length(bytes: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        headers
    }

    fn key() -> PrincipalId {
        PrincipalId::Key(KeyId::new())
    }

    #[tokio::test(start_paused = true)]
    async fn one_credential_waits_for_itself_only() {
        let bodies = LargeBodies::default();
        let (busy, other) = (key(), key());
        let large = of_length(8 << 20);
        let mut places = Vec::new();
        for _ in 0..OF_ONE {
            places.push(bodies.place(busy, &large).await.expect("a place"));
        }
        let refused = bodies.place(busy, &large).await.expect_err("no place");
        assert_eq!(refused.status(), 429);
        assert!(
            bodies
                .place(other, &large)
                .await
                .expect("a place")
                .is_some()
        );
        assert!(
            bodies
                .place(busy, &of_length(SMALL))
                .await
                .expect("none")
                .is_none()
        );
        places.pop();
        assert!(bodies.place(busy, &large).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_them_have_so_many_places() {
        let bodies = LargeBodies::default();
        let mut chunked = HeaderMap::new();
        chunked.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let mut places = Vec::new();
        for _ in 0..OF_ALL {
            places.push(bodies.place(key(), &chunked).await.expect("a place"));
        }
        let refused = bodies.place(key(), &chunked).await.expect_err("no place");
        assert_eq!(refused.status(), 503);
        places.clear();
        assert!(bodies.place(key(), &chunked).await.is_ok());
        assert_eq!(
            bodies.of.lock().expect("not poisoned").len(),
            1,
            "of those who wait"
        );
    }
}
