//! `/live`: the one stream of a page. It says what has changed, so that the page fetches the parts
//! concerned, and brings the log of a running task as it is written.

use std::collections::BTreeSet;

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
use crate::request::last_event_id;

/// Rows of the log of the account read at once; a page that missed more reads everything anyway.
const ROWS: i64 = 500;
/// Entries of the log of a task sent at once.
const ENTRIES: i64 = 200;

/// The stream of a page.
pub(crate) async fn stream(call: Call, query: Fields) -> Reply {
    let after = last_event_id(&call.request)?.or(query.parsed("after"));
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
        position: after.unwrap_or(end).min(end),
        log: task.map(|task| FollowedLog {
            task,
            uploads: call.hub().subscribe(Topic::Uploaded(task)),
            position: query.parsed("log").unwrap_or(-1),
            pens: Pens::default(),
        }),
        is_first: true,
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
}

/// The log of a running task.
struct FollowedLog {
    task: TaskId,
    uploads: Signal,
    /// The last entry that the page has.
    position: i64,
    pens: Pens,
}

impl PageStream {
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
            self.position,
            &data.to_string(),
        )))
    }

    /// What was written to the followed log since the last time.
    async fn logged(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some(log) = &mut self.log else {
            return Ok(None);
        };
        let (scope, task, after) = (self.scope, log.task, log.position);
        let lines = self
            .store
            .read(move |reads| match reads.attempt(scope, task)? {
                Some(view) => reads.logs(task, view.attempt, after, ENTRIES),
                None => Ok(Vec::new()),
            })
            .await?;
        let Some(last) = lines.last() else {
            return Ok(None);
        };
        log.position = last.seq;
        let chunks = log.pens.chunks(&lines);
        let html = LogChunks { chunks }.render().unwrap_or_default();
        // the number is that of the account's log, by which a page comes back
        Ok(Some(sse::event_of("log", self.position, &html)))
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
                return None;
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
                ended = self.open.ended() => return match ended {
                    Ended::Revoked => Some(sse::event_of("ended", self.position, "{}")),
                    Ended::Stopping => None,
                },
                () = self.changes.changed() => {}
                () = uploads => {}
                _ = self.comments.tick() => return Some(sse::comment()),
            }
        }
    }
}
