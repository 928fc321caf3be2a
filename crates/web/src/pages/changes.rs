//! `/live`: the one stream of a page. It says what has changed, so that the page fetches the parts
//! concerned, and brings the log of a running task as it is written.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use actix_web::web::Bytes;
use approval_core::TaskId;
use askama::Template as _;
use serde_json::{Value, json};
use store::{ReadError, Scope, Store};
use tokio::time::Interval;

use super::fields::Fields;
use super::material::Pens;
use super::view::logs::LogChunks;
use crate::call::Call;
use crate::live::{self, Ended, Open, Signal, Source, Topic, sse};
use crate::problem::Reply;

/// Rows of the log of the account read at once; a page that missed more reads everything anyway.
const ROWS: i64 = 500;
/// Entries of the log of a task sent at once.
const ENTRIES: i64 = 200;

/// The stream of a page.
pub(crate) async fn stream(call: Call, query: Fields) -> Reply {
    let known = Known::of(&call.request, &query);
    let account = call.account();
    let heads = call.read(move |reads| reads.heads(&[account])).await?;
    let end = heads.first().map_or(0, |(_, head)| *head);
    let task: Option<TaskId> = query.parsed("task");
    let source = PageStream {
        store: call.store().clone(),
        scope: call.scope(),
        open: call.open()?,
        changes: call.hub().subscribe(Topic::Activity(account)),
        comments: sse::comments(),
        position: known.row.unwrap_or(end).min(end),
        log: task.map(|task| FollowedLog {
            task,
            uploads: call.hub().subscribe(Topic::Uploaded(task)),
            position: known.entry.unwrap_or(-1),
            attempt: None,
            pens: Pens::default(),
        }),
        is_first: true,
        has_ended: false,
    };
    let mut response = live::response(&call.request, source);
    // events must not wait in a compressor
    let identity = actix_web::http::header::HeaderValue::from_static("identity");
    response
        .headers_mut()
        .insert(actix_web::http::header::CONTENT_ENCODING, identity);
    Ok(response)
}

struct PageStream {
    store: Store,
    scope: Scope,
    open: Open,
    changes: Signal,
    comments: Interval,
    /// The last row of the log of the account that the page knows of.
    position: i64,
    log: Option<FollowedLog>,
    is_first: bool,
    /// Whether the page was told that its session is over.
    has_ended: bool,
}

/// What a page has: from its address at first, from the id of its last event when it comes back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// The last row of the log of the account.
    row: Option<i64>,
    /// The last entry of the followed log.
    entry: Option<i64>,
}

impl Known {
    fn of(request: &HttpRequest, query: &Fields) -> Self {
        let id = request.headers().get("last-event-id");
        let id = id.and_then(|id| Self::parse(id.to_str().ok()?));
        id.unwrap_or_else(|| Self {
            row: query.parsed("after"),
            entry: query.parsed("log"),
        })
    }

    /// An id of ours: `ROW`, or `ROW:ENTRY` on a page that follows a log.
    fn parse(id: &str) -> Option<Self> {
        let (row, entry) = match id.split_once(':') {
            Some((row, entry)) => (row, Some(entry.parse().ok()?)),
            None => (id, None),
        };
        let row = Some(row.parse().ok()?);
        Some(Self { row, entry })
    }
}

/// The log of a running task.
struct FollowedLog {
    task: TaskId,
    uploads: Signal,
    /// The last entry that the page has.
    position: i64,
    /// The attempt that this was an entry of.
    attempt: Option<u32>,
    pens: Pens,
}

impl PageStream {
    /// The last event: a page whose session is over leads to sign-in, once.
    async fn farewell(&mut self) -> Option<Bytes> {
        let is_told = std::mem::replace(&mut self.has_ended, true);
        match self.open.ended().await {
            Ended::Revoked if !is_told => Some(sse::event_of("ended", self.place(), "{}")),
            Ended::Revoked | Ended::Stopping => None,
        }
    }

    /// The id of an event: by it a page comes back to where it was, in both logs.
    fn place(&self) -> String {
        match &self.log {
            Some(log) => format!("{}:{}", self.position, log.position),
            None => self.position.to_string(),
        }
    }

    /// What has changed since the last time, as one event.
    async fn changed(&mut self) -> Result<Option<Bytes>, ReadError> {
        let (account, after) = (self.scope.account, self.position);
        let (rows, pending) = self
            .store
            .read(move |reads| {
                let rows = reads.activity(account, after, ROWS)?;
                Ok((rows, reads.pending_approvals(account)?))
            })
            .await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.position = last.seq;
        let types: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let tasks: BTreeSet<String> = rows
            .iter()
            .filter_map(|row| task_of(&row.payload))
            .collect();
        let data = json!({"types": types, "tasks": tasks, "pending": pending});
        Ok(Some(sse::event_of(
            "change",
            self.place(),
            &data.to_string(),
        )))
    }

    /// What was written to the followed log since the last time.
    async fn logged(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some(log) = &mut self.log else {
            return Ok(None);
        };
        let (scope, task, after, before) = (self.scope, log.task, log.position, log.attempt);
        let (attempt, lines) = self
            .store
            .read(move |reads| {
                let Some(view) = reads.attempt(scope, task)? else {
                    return Ok((before, Vec::new()));
                };
                // a new attempt has a log of its own, from its first entry on
                let is_new = before.is_some_and(|before| before != view.attempt);
                let after = if is_new { -1 } else { after };
                let lines = reads.logs(task, view.attempt, after, ENTRIES)?;
                Ok((Some(view.attempt), lines))
            })
            .await?;
        if log.attempt.is_some() && attempt != log.attempt {
            log.pens = Pens::default();
            log.position = -1;
        }
        log.attempt = attempt;
        let Some(last) = lines.last() else {
            return Ok(None);
        };
        log.position = last.seq;
        let chunks = log.pens.chunks(&lines);
        let html = LogChunks { chunks }.render().unwrap_or_default();
        Ok(Some(sse::event_of("log", self.place(), &html)))
    }
}

fn task_of(payload: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    Some(payload["taskId"].as_str()?.to_owned())
}

impl Source for PageStream {
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_first) {
            // the head of the answer is sent with the first bytes
            return Some(sse::comment());
        }
        loop {
            if self.open.is_ended() {
                return self.farewell().await;
            }
            // a page whose stream ends comes back with its Last-Event-ID
            if let Some(event) = self.changed().await.ok()? {
                return Some(event);
            }
            if let Some(event) = self.logged().await.ok()? {
                return Some(event);
            }
            let uploads = async {
                match &mut self.log {
                    Some(log) => log.uploads.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = self.open.ended() => return self.farewell().await,
                () = self.changes.changed() => {}
                () = uploads => {}
                _ = self.comments.tick() => return Some(sse::comment()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_back_to_where_it_was_in_both_logs() {
        let known = |row, entry| {
            Some(Known {
                row: Some(row),
                entry,
            })
        };
        assert_eq!(Known::parse("7"), known(7, None));
        assert_eq!(Known::parse("7:-1"), known(7, Some(-1)));
        assert_eq!(Known::parse("7:12"), known(7, Some(12)));
        for text in ["", ":", "7:", ":7", "a", "7:b", "7:1:2"] {
            assert_eq!(Known::parse(text), None, "{text}");
        }
    }
}
