//! The stream of an account's log: from any number on, without gap or double (contract section 4).

use actix_web::web::Bytes;
use approval_core::AccountId;
use store::{ReadError, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;

use super::feed::{Events, Feeds, Frame, Joined, end_of_log, events};
use super::open::Open;
use super::sse::{self, Source};

/// An open stream of the log.
pub(crate) struct ActivityStream {
    store: Store,
    account: AccountId,
    open: Open,
    joined: Joined,
    comments: Interval,
    /// The number of the last event sent or about to be sent.
    position: i64,
    /// Whether there is something after `position` that no frame will bring.
    is_behind: bool,
}

impl ActivityStream {
    /// A stream of what comes after `after`; without it, of what comes from now on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn start(
        store: Store,
        feeds: &Feeds,
        account: AccountId,
        open: Open,
        after: Option<i64>,
    ) -> Result<Self, ReadError> {
        let joined = feeds.join(account);
        let end = end_of_log(&store, account).await?;
        Ok(Self {
            store,
            account,
            open,
            joined,
            comments: sse::comments(),
            // a number that is not there yet would hide the events up to it
            position: after.unwrap_or(end).min(end),
            is_behind: after.is_some_and(|after| after < end),
        })
    }

    /// Reads the next page of what is missing.
    async fn replay(&mut self) -> Result<Option<Bytes>, ReadError> {
        let page = events(&self.store, self.account, self.position).await?;
        self.is_behind = page.as_ref().is_some_and(Events::is_full);
        Ok(page.map(|page| {
            self.position = page.last;
            page.bytes
        }))
    }

    /// Takes a frame: what comes next is passed on, what came earlier was sent already, what comes
    /// later shows that something is missing.
    fn take(&mut self, frame: Frame) -> Option<Bytes> {
        match frame {
            Frame::Events(events) if events.first == self.position + 1 => {
                self.position = events.last;
                return Some(events.bytes);
            }
            Frame::Events(Events { last, .. }) | Frame::Head(last) => {
                self.is_behind |= last > self.position;
            }
        }
        None
    }
}

impl Source for ActivityStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.open.is_ended() {
                return None;
            }
            if self.is_behind {
                // a client whose stream ends comes back with its Last-Event-ID
                if let Some(events) = self.replay().await.ok()? {
                    return Some(events);
                }
                continue;
            }
            let frame = tokio::select! {
                biased;
                _ = self.open.ended() => return None,
                frame = self.joined.frames.recv() => frame,
                _ = self.comments.tick() => return Some(sse::comment()),
            };
            match frame {
                Ok(frame) => {
                    if let Some(events) = self.take(frame) {
                        return Some(events);
                    }
                }
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
