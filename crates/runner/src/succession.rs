//! Sees to it that of one task only the newest claim is at work.
//!
//! After a break in the connection a runner can claim a task again before it has heard that its
//! earlier lease is lost. Without this, both would work side by side.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The claims at work, by task.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    current: Mutex<HashMap<String, Tokens>>,
}

#[derive(Debug, Clone, Default)]
struct Tokens {
    /// Cancelled when a newer claim takes over.
    superseded: CancellationToken,
    /// Cancelled when the claim is at work no more.
    gone: CancellationToken,
}

/// A claim at work, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reign<'a> {
    succession: &'a Succession,
    task: String,
    tokens: Tokens,
}

/// An earlier claim of the same task, which was told to end.
#[derive(Debug)]
pub(crate) struct Predecessor(CancellationToken);

impl Succession {
    /// A claim of `task` is about to work. If an earlier one still is, it is told to end, and must
    /// be waited for.
    pub(crate) fn begin(&self, task: &str) -> (Reign<'_>, Option<Predecessor>) {
        let tokens = Tokens::default();
        let earlier = self.current().insert(task.to_owned(), tokens.clone());
        let predecessor = earlier.map(|earlier| {
            earlier.superseded.cancel();
            Predecessor(earlier.gone)
        });
        let reign = Reign {
            succession: self,
            task: task.to_owned(),
            tokens,
        };
        (reign, predecessor)
    }

    fn current(&self) -> MutexGuard<'_, HashMap<String, Tokens>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Predecessor {
    /// Waits until it is at work no more.
    pub(crate) async fn gone(&self) {
        self.0.cancelled().await;
    }
}

impl Reign<'_> {
    /// Waits until a newer claim takes over.
    pub(crate) async fn ended(&self) {
        self.tokens.superseded.cancelled().await;
    }
}

impl Drop for Reign<'_> {
    fn drop(&mut self) {
        if !self.tokens.superseded.is_cancelled() {
            self.succession.current().remove(&self.task);
        }
        self.tokens.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_newest_claim_waits_for_the_one_before() {
        let succession = Succession::default();
        let (first, none) = succession.begin("task_a");
        assert!(none.is_none());
        let (_other, none) = succession.begin("task_b");
        assert!(none.is_none());
        assert!(first.ended().now_or_never().is_none());

        let (second, predecessor) = succession.begin("task_a");
        let predecessor = predecessor.unwrap();
        assert!(first.ended().now_or_never().is_some());
        assert!(second.ended().now_or_never().is_none());
        assert!(predecessor.gone().now_or_never().is_none());
        drop(first);
        assert!(predecessor.gone().now_or_never().is_some());

        // the second reigns on, and is found by a third
        let (_third, predecessor) = succession.begin("task_a");
        assert!(predecessor.is_some());
        assert!(second.ended().now_or_never().is_some());
    }

    #[test]
    fn a_claim_that_ended_holds_nobody_up() {
        let succession = Succession::default();
        drop(succession.begin("task_a"));
        assert!(succession.begin("task_a").1.is_none());
        assert!(succession.current().is_empty());
    }
}
