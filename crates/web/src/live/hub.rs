//! One hub a process: it passes on what the store says has changed and, once a second, asks the
//! database itself, so that a lost hint costs a second and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use approval_core::{AccountId, KeyId, Principal};
use store::{Change, Command, Request, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::feed::Feeds;
use super::open::{Open, OpenKeys};
use super::topic::{Signal, Topic, Topics};
use crate::auth::Authenticator;
use crate::limits::{Limits, Place};

const POLL: Duration = Duration::from_secs(1);
const CLEANING: Duration = Duration::from_mins(1);

/// Wakes, ends and feeds what is open.
pub(crate) struct Hub {
    store: Store,
    topics: Topics,
    open_keys: OpenKeys,
    stopping: CancellationToken,
    pub(crate) feeds: Feeds,
}

impl Hub {
    pub(crate) fn new(store: Store) -> Self {
        let topics = Topics::default();
        Self {
            feeds: Feeds::new(store.clone(), topics.clone()),
            store,
            topics,
            open_keys: OpenKeys::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Is woken by changes from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Signal {
        self.topics.subscribe(topic)
    }

    /// Opens a wait or a stream.
    pub(crate) fn open(&self, key: KeyId, place: Place) -> Open {
        Open::new(&self.open_keys, key, self.stopping.clone(), place)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Works until `stop`; then everything that is open ends.
    pub(crate) async fn run(&self, auth: &Authenticator, limits: &Limits, stop: CancellationToken) {
        let work = async {
            tokio::join!(self.pass_on(auth), self.poll(auth), self.clean(limits));
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
        self.stopping.cancel();
    }

    async fn pass_on(&self, auth: &Authenticator) {
        let mut changes = self.store.changes();
        loop {
            match changes.recv().await {
                Ok(change) => self.apply(change, auth),
                Err(RecvError::Lagged(_)) => {
                    auth.forget_all();
                    self.topics.notify_where(|_| true);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn apply(&self, change: Change, auth: &Authenticator) {
        match change {
            Change::Activity { account, .. } => self.topics.notify(Topic::Activity(account)),
            Change::Queued { desktop } => self.topics.notify(Topic::Queued(desktop)),
            Change::Uploaded { task } => self.topics.notify(Topic::Uploaded(task)),
            Change::Revoked { key } => {
                auth.forget(key);
                self.open_keys.revoke(key);
            }
        }
    }

    async fn poll(&self, auth: &Authenticator) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heads = HashMap::new();
        loop {
            ticks.tick().await;
            // uploads to other processes are announced by nobody
            self.topics
                .notify_where(|topic| matches!(topic, Topic::Uploaded(_)));
            heads = self.ask(heads).await;
            self.note_use(auth.take_used()).await;
        }
    }

    /// Asks for the heads of subscribed logs, for work on desktops with an open claim, and for
    /// revoked credentials of what is open: one read. Returns the heads to compare with next time.
    async fn ask(&self, before: HashMap<AccountId, i64>) -> HashMap<AccountId, i64> {
        let (mut accounts, mut desktops) = (Vec::new(), Vec::new());
        for topic in self.topics.subscribed() {
            match topic {
                Topic::Activity(account) => accounts.push(account),
                Topic::Queued(desktop) => desktops.push(desktop),
                Topic::Uploaded(_) => {}
            }
        }
        let keys = self.open_keys.all();
        if accounts.is_empty() && desktops.is_empty() && keys.is_empty() {
            return HashMap::new();
        }
        let answer = self
            .store
            .read(move |reads| {
                Ok((
                    reads.heads(&accounts)?,
                    reads.claimable(&desktops)?,
                    reads.revoked(&keys)?,
                ))
            })
            .await;
        // an outage is logged by the store; whoever waits goes on waiting
        let Ok((heads, claimable, revoked)) = answer else {
            return before;
        };
        for key in revoked {
            self.open_keys.revoke(key);
        }
        for desktop in claimable {
            self.topics.notify(Topic::Queued(desktop));
        }
        let heads: HashMap<_, _> = heads.into_iter().collect();
        for (account, head) in &heads {
            if before.get(account) != Some(head) {
                self.topics.notify(Topic::Activity(*account));
            }
        }
        heads
    }

    /// Has it noted when keys were last used. Losing such a note is no harm.
    async fn note_use(&self, used: Vec<(AccountId, KeyId)>) {
        let mut by_account: HashMap<AccountId, Vec<KeyId>> = HashMap::new();
        for (account, key) in used {
            by_account.entry(account).or_default().push(key);
        }
        for (account, keys) in by_account {
            let request = Request {
                account,
                principal: Principal::system(),
                idempotency: None,
                command: Command::TouchKeys(keys),
            };
            if let Err(error) = self.store.submit(request).await {
                tracing::debug!(%error, "the last use of some keys was not noted");
            }
        }
    }

    async fn clean(&self, limits: &Limits) {
        let mut ticks = interval(CLEANING);
        loop {
            ticks.tick().await;
            limits.clean();
        }
    }
}
