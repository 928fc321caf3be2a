//! One reader of the log an account: each event is read and encoded once for all streams of the
//! process, and what has come at once goes to each of them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;
use approval_core::AccountId;
use store::{ActivityRow, ReadError, Store};
use tokio::sync::broadcast;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::sse;
use super::topic::{Signal, Topic, Topics};

/// Frames kept for streams that are slow; one that is slower reads the database.
const KEPT: usize = 128;
/// Rows read at once.
const PAGE: i64 = 500;
/// How long to wait after a failed read.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a feed rests for each of its streams between two frames. A frame costs every stream a wake
/// and a write; with thousands of streams several events must share one, or nothing else gets its turn.
const REST: Duration = Duration::from_micros(10);
/// Streams that cost too little to rest for.
const FEW: usize = 100;

/// What a feed says.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// The log reaches at least to here: what is missing must be read.
    Head(i64),
    /// The events that came next.
    Events(Events),
}

/// Events that follow each other, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    /// The number of the first one.
    pub(crate) first: i64,
    /// The number of the last one.
    pub(crate) last: i64,
    pub(crate) bytes: Bytes,
}

impl Events {
    /// `None` when there is none.
    fn of(rows: &[ActivityRow]) -> Option<Self> {
        let (first, last) = (rows.first()?.seq, rows.last()?.seq);
        let mut text = String::new();
        for row in rows {
            sse::event(&mut text, row);
        }
        let bytes = text.into();
        Some(Self { first, last, bytes })
    }

    /// Whether more may follow in the log.
    pub(crate) const fn is_full(&self) -> bool {
        self.last - self.first + 1 >= PAGE
    }
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
            Ok(()) => {
                sleep(rest(frames.receiver_count())).await;
                signal.changed().await;
            }
            Err(_) => sleep(AFTER_FAILURE).await,
        }
    }
}

/// How long to rest after a frame to so many streams.
fn rest(streams: usize) -> Duration {
    let many = if streams > FEW { streams } else { 0 };
    REST * u32::try_from(many).unwrap_or(u32::MAX)
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
    while let Some(events) = events(store, account, at).await? {
        let is_full = events.is_full();
        at = events.last;
        let _ = frames.send(Frame::Events(events));
        *head = Some(at);
        if !is_full {
            break;
        }
    }
    Ok(())
}

/// The number of the newest event, 0 before the first.
pub(crate) async fn end_of_log(store: &Store, account: AccountId) -> Result<i64, ReadError> {
    let heads = store.read(move |reads| reads.heads(&[account])).await?;
    Ok(heads.first().map_or(0, |(_, head)| *head))
}

/// A page of the events after `after`.
pub(crate) async fn events(
    store: &Store,
    account: AccountId,
    after: i64,
) -> Result<Option<Events>, ReadError> {
    store
        .read(move |reads| Ok(Events::of(&reads.activity(account, after, PAGE)?)))
        .await
}
