//! One hub a process: it passes on what the store says has changed and, once a second, asks the
//! database itself, so that a lost hint costs a second and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use approval_core::{AccountId, KeyId, Principal, SessionId};
use store::{Change, Command, CredentialId, Request, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::feed::Feeds;
use super::open::{Open, OpenCredentials};
use super::topic::{Signal, Topic, Topics};
use crate::auth::Authenticator;
use crate::limits::{Limits, Place};

const POLL: Duration = Duration::from_secs(1);
const CLEANING: Duration = Duration::from_mins(1);

/// Wakes, ends and feeds what is open.
pub(crate) struct Hub {
    store: Store,
    topics: Topics,
    open: OpenCredentials,
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
            open: OpenCredentials::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Is woken by changes from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Signal {
        self.topics.subscribe(topic)
    }

    /// Opens a wait or a stream.
    pub(crate) fn open(&self, id: CredentialId, place: Place) -> Open {
        Open::new(&self.open, id, self.stopping.clone(), place)
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
            Change::Revoked { credential } => {
                auth.forget(credential);
                self.open.revoke(credential);
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
        let credentials = self.open.all();
        if accounts.is_empty() && desktops.is_empty() && credentials.is_empty() {
            return HashMap::new();
        }
        let answer = self
            .store
            .read(move |reads| {
                Ok((
                    reads.heads(&accounts)?,
                    reads.claimable(&desktops)?,
                    reads.ended(&credentials)?,
                ))
            })
            .await;
        // an outage is logged by the store; whoever waits goes on waiting
        let Ok((heads, claimable, ended)) = answer else {
            return before;
        };
        for credential in ended {
            self.open.revoke(credential);
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

    /// Has it noted when credentials were last used. Losing such a note is no harm.
    async fn note_use(&self, used: Vec<(AccountId, CredentialId)>) {
        let mut by_account: HashMap<AccountId, (Vec<KeyId>, Vec<SessionId>)> = HashMap::new();
        for (account, id) in used {
            let (keys, sessions) = by_account.entry(account).or_default();
            match id {
                CredentialId::Key(key) => keys.push(key),
                CredentialId::Session(session) => sessions.push(session),
            }
        }
        for (account, (keys, sessions)) in by_account {
            if !keys.is_empty() {
                self.note(account, Command::TouchKeys(keys)).await;
            }
            if !sessions.is_empty() {
                self.note(account, Command::TouchSessions(sessions)).await;
            }
        }
    }

    async fn note(&self, account: AccountId, command: Command) {
        let request = Request {
            account,
            principal: Principal::system(),
            session: None,
            idempotency: None,
            command,
        };
        if let Err(error) = self.store.submit(request).await {
            tracing::debug!(%error, "the last use of some credentials was not noted");
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
