//! One reader of the log an account: each event is read and encoded once for all streams of the
//! process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;
use approval_core::AccountId;
use store::{ReadError, Store};
use tokio::sync::broadcast;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::sse;
use super::topic::{Signal, Topic, Topics};

/// Events kept for streams that are slow; one that is slower reads the database.
const KEPT: usize = 1_024;
/// Rows read at once.
pub(crate) const PAGE: i64 = 500;
/// How long to wait after a failed read.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a feed says.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// The log reaches at least to here: what is missing must be read.
    Head(i64),
    /// The event with this number, encoded.
    Event(i64, Bytes),
}

/// The feeds of the accounts with open streams.
#[derive(Clone)]
pub(crate) struct Feeds {
    store: Store,
    topics: Topics,
    running: Arc<Mutex<HashMap<AccountId, Feed>>>,
}

struct Feed {
    frames: broadcast::Sender<Frame>,
    stop: CancellationToken,
    streams: usize,
}

impl Feeds {
    pub(crate) fn new(store: Store, topics: Topics) -> Self {
        Self {
            store,
            topics,
            running: Arc::default(),
        }
    }

    /// Joins the feed of an account; the first stream starts it. Whoever reads the log after
    /// joining misses nothing: later events come as frames.
    pub(crate) fn join(&self, account: AccountId) -> Joined {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = running
            .entry(account)
            .or_insert_with(|| self.start(account));
        feed.streams += 1;
        Joined {
            account,
            frames: feed.frames.subscribe(),
            feeds: self.clone(),
        }
    }

    fn start(&self, account: AccountId) -> Feed {
        let stop = CancellationToken::new();
        let frames = broadcast::Sender::new(KEPT);
        let signal = self.topics.subscribe(Topic::Activity(account));
        let follow = follow(self.store.clone(), account, signal, frames.clone());
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(follow).await });
        Feed {
            frames,
            stop,
            streams: 0,
        }
    }

    fn leave(&self, account: AccountId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = running.get_mut(&account) {
            feed.streams -= 1;
            if feed.streams == 0 {
                feed.stop.cancel();
                running.remove(&account);
            }
        }
    }
}

/// A stream's part in a feed. The last one to leave ends it.
pub(crate) struct Joined {
    account: AccountId,
    feeds: Feeds,
    pub(crate) frames: broadcast::Receiver<Frame>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.feeds.leave(self.account);
    }
}

async fn follow(
    store: Store,
    account: AccountId,
    mut signal: Signal,
    frames: broadcast::Sender<Frame>,
) {
    let mut head = None;
    loop {
        match advance(&store, account, &mut head, &frames).await {
            Ok(()) => signal.changed().await,
            Err(_) => sleep(AFTER_FAILURE).await,
        }
    }
}

/// Sends what has come since `head`; the first time it only says where the log ends.
async fn advance(
    store: &Store,
    account: AccountId,
    head: &mut Option<i64>,
    frames: &broadcast::Sender<Frame>,
) -> Result<(), ReadError> {
    let Some(mut at) = *head else {
        let end = end_of_log(store, account).await?;
        let _ = frames.send(Frame::Head(end));
        *head = Some(end);
        return Ok(());
    };
    loop {
        let events = events(store, account, at).await?;
        let is_last = events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        for (seq, event) in events {
            let _ = frames.send(Frame::Event(seq, event));
            at = seq;
        }
        *head = Some(at);
        if is_last {
            return Ok(());
        }
    }
}

/// The number of the newest event, 0 before the first.
pub(crate) async fn end_of_log(store: &Store, account: AccountId) -> Result<i64, ReadError> {
    let heads = store.read(move |reads| reads.heads(&[account])).await?;
    Ok(heads.first().map_or(0, |(_, head)| *head))
}

/// A page of encoded events after `after`.
pub(crate) async fn events(
    store: &Store,
    account: AccountId,
    after: i64,
) -> Result<Vec<(i64, Bytes)>, ReadError> {
    store
        .read(move |reads| {
            let rows = reads.activity(account, after, PAGE)?;
            Ok(rows.iter().map(|row| (row.seq, sse::event(row))).collect())
        })
        .await
}
