//! The claim: the long poll by which a runner gets its next task (contract section 5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use approval_core::{DesktopId, Digest, PrincipalId};
use store::{Answer, Command, random_digest};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::call::{Call, unexpected_answer};
use crate::live::{Ended, Topic};
use crate::problem::{Failure, Reply};
use crate::render::seconds_between;

/// A desktop that was heard from less than so many seconds ago needs no new note of it.
const SEEN_LATELY: i64 = 10;

/// The claims that wait. A newer one of the same key ends the older: its client has gone.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashMap<(PrincipalId, DesktopId), CancellationToken>>>);

/// A claim's time to wait.
struct Turn {
    whose: (PrincipalId, DesktopId),
    superseded: CancellationToken,
    claims: Claims,
}

impl Claims {
    fn begin(&self, whose: (PrincipalId, DesktopId)) -> Turn {
        let superseded = CancellationToken::new();
        if let Some(older) = self.lock().insert(whose, superseded.clone()) {
            older.cancel();
        }
        Turn {
            whose,
            superseded,
            claims: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PrincipalId, DesktopId), CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // a superseded turn has no entry any more
        if !self.superseded.is_cancelled() {
            self.claims.lock().remove(&self.whose);
        }
    }
}

/// Gives the next task of `desktop` to the caller, waiting for one up to `wait`. Empty polls only
/// read.
pub(crate) async fn claim(call: &Call, desktop: DesktopId, wait: Duration) -> Reply {
    let open = call.open()?;
    let turn = call
        .state
        .claims
        .begin((call.principal().identity.id, desktop));
    let deadline = Instant::now() + wait;
    let mut queued = call.hub().subscribe(Topic::Queued(desktop));
    let nothing = || Ok(HttpResponse::NoContent().finish());
    loop {
        let (unseen, is_claimable) = look(call, desktop).await?;
        if unseen.is_none_or(|seconds| seconds >= SEEN_LATELY) {
            call.submit(Command::SeeDesktop(desktop), None).await?;
        }
        if is_claimable && let Some(claimed) = take(call, desktop).await? {
            return Ok(claimed);
        }
        tokio::select! {
            biased;
            ended = open.ended() => return match ended {
                Ended::Revoked => Err(Failure::unauthenticated()),
                Ended::Stopping => nothing(),
            },
            () = turn.superseded.cancelled() => return nothing(),
            () = sleep_until(deadline) => return nothing(),
            () = queued.changed() => {}
            // an open claim shows that the desktop is there
            () = sleep(Duration::from_secs(SEEN_LATELY.unsigned_abs())) => {}
        }
    }
}

/// How many seconds ago the desktop was last seen, if ever, and whether something is queued for it.
/// Both by the store's clock, which no change of the system time moves.
async fn look(call: &Call, desktop: DesktopId) -> Result<(Option<i64>, bool), Failure> {
    let account = call.account();
    let (seen, now, claimable) = call
        .read(move |reads| {
            let seen = reads.desktop_seen(account, desktop)?;
            Ok((seen, reads.now()?, reads.claimable(&[desktop])?))
        })
        .await?;
    let seen = seen.ok_or_else(|| Failure::not_found("desktop"))?;
    let unseen = seen.map(|seen| seconds_between(seen, now));
    Ok((unseen, !claimable.is_empty()))
}

/// Takes a task, unless somebody else was faster. Only the digest of the token goes into the
/// database.
async fn take(call: &Call, desktop: DesktopId) -> Result<Option<HttpResponse>, Failure> {
    let token = random_digest()
        .map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            Failure::internal()
        })?
        .to_string();
    let command = Command::Claim {
        desktop,
        token: Digest::of(token.as_bytes()),
    };
    match call.submit(command, None).await?.answer {
        Answer::Claim(claimed) => Ok(claimed.map(|claimed| {
            let shown = call.viewer().claim(&claimed, token);
            HttpResponse::Ok().json(shown)
        })),
        _ => Err(unexpected_answer()),
    }
}

#[cfg(test)]
mod tests {
    use approval_core::KeyId;

    use super::*;

    #[test]
    fn a_newer_claim_of_the_same_key_ends_the_older() {
        let claims = Claims::default();
        let mine = (PrincipalId::Key(KeyId::new()), DesktopId::new());
        let older = claims.begin(mine);
        let other = claims.begin((PrincipalId::Key(KeyId::new()), mine.1));
        let newer = claims.begin(mine);
        assert!(older.superseded.is_cancelled());
        assert!(!other.superseded.is_cancelled());
        drop(older);
        assert!(!newer.superseded.is_cancelled());
        assert!(
            claims.lock().contains_key(&mine),
            "the older one's end is not the newer one's"
        );
        drop((newer, other));
        assert!(claims.lock().is_empty());
    }
}
