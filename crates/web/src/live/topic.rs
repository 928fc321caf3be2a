//! Who wants to be woken by what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use approval_core::{AccountId, DesktopId, TaskId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Something that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// The log of an account.
    Activity(AccountId),
    /// The queue of a desktop.
    Queued(DesktopId),
    /// What the runner of a task has sent.
    Uploaded(TaskId),
}

/// The subscribed topics. Whoever reads the database when woken sees at least the change; several
/// changes may wake once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics(Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>);

impl Topics {
    /// Changes from now on wake the signal: subscribe first, then read.
    pub(crate) fn subscribe(&self, topic: Topic) -> Signal {
        let changes = self
            .lock()
            .entry(topic)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe();
        Signal {
            topic,
            changes,
            topics: self.clone(),
            woken: None,
        }
    }

    pub(crate) fn notify(&self, topic: Topic) {
        if let Some(changes) = self.lock().get(&topic) {
            changes.send_replace(());
        }
    }

    /// Wakes those whose topic `concerns`.
    pub(crate) fn notify_where(&self, concerns: impl Fn(Topic) -> bool) {
        for (_, changes) in self.lock().iter().filter(|(topic, _)| concerns(**topic)) {
            changes.send_replace(());
        }
    }

    pub(crate) fn subscribed(&self) -> Vec<Topic> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Signal {
    topic: Topic,
    changes: watch::Receiver<()>,
    topics: Topics,
    woken: Option<Instant>,
}

impl Signal {
    /// Waits for a change after the last one. In a busy account it wakes at most 20 times a
    /// second: each waking reads the database. Dropping the future loses no change.
    pub(crate) async fn changed(&mut self) {
        const PAUSE: Duration = Duration::from_millis(50);
        if let Some(woken) = self.woken {
            sleep_until(woken + PAUSE).await;
        }
        // the sender lives in the registry as long as this receiver does
        let _ = self.changes.changed().await;
        self.woken = Some(Instant::now());
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        let is_last = topics
            .get(&self.topic)
            .is_some_and(|changes| changes.receiver_count() == 1);
        if is_last {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn is_woken(signal: &mut Signal) -> bool {
        timeout(Duration::from_millis(100), signal.changed())
            .await
            .is_ok()
    }

    #[actix_web::test]
    async fn a_change_after_the_subscription_wakes_once() {
        let topics = Topics::default();
        let mine = Topic::Queued(DesktopId::new());
        topics.notify(mine);
        let mut signal = topics.subscribe(mine);
        assert!(
            !is_woken(&mut signal).await,
            "what was before does not count"
        );
        topics.notify(mine);
        topics.notify(mine);
        topics.notify(Topic::Queued(DesktopId::new()));
        assert!(is_woken(&mut signal).await);
        assert!(!is_woken(&mut signal).await);
    }

    #[actix_web::test]
    async fn a_topic_is_forgotten_with_its_last_subscriber() {
        let topics = Topics::default();
        let topic = Topic::Activity(AccountId::new());
        let [one, other] = [(); 2].map(|()| topics.subscribe(topic));
        drop(one);
        assert_eq!(topics.subscribed(), [topic]);
        drop(other);
        assert_eq!(topics.subscribed(), []);
    }
}
