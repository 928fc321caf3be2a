//! The stream of an attempt's log, while it grows (contract section 5).

use std::collections::VecDeque;

use actix_web::web::Bytes;
use approval_core::{Status, TaskId};
use serde_json::json;
use store::{AttemptView, ReadError, Scope, Store};
use tokio::time::Interval;

use super::open::Open;
use super::sse::{self, Source};
use super::topic::Signal;
use crate::render;

/// Lines read at once.
const PAGE: i64 = 500;

/// An open stream of the log of one attempt.
pub(crate) struct LogStream {
    store: Store,
    scope: Scope,
    task: TaskId,
    open: Open,
    uploads: Signal,
    comments: Interval,
    /// 0 until the first attempt starts.
    attempt: u32,
    /// The number of the last line sent, -1 before the first.
    position: i64,
    lines: VecDeque<Bytes>,
    ended: bool,
}

/// What one read found.
enum Found {
    /// Lines; perhaps there are more.
    Lines,
    /// Nothing new, and more may come.
    Nothing,
    /// Nothing new, and nothing will come.
    End(Status),
    /// The task is not there any more, or its log was pruned.
    Gone,
}

impl LogStream {
    /// A stream of the lines after `position` of `attempt`. `uploads` was subscribed before the
    /// attempt was read.
    pub(crate) fn start(
        store: Store,
        scope: Scope,
        task: TaskId,
        attempt: u32,
        position: i64,
        open: Open,
        uploads: Signal,
    ) -> Self {
        Self {
            store,
            scope,
            task,
            open,
            uploads,
            comments: sse::comments(),
            attempt,
            position,
            lines: VecDeque::new(),
            ended: false,
        }
    }

    async fn read(&mut self) -> Result<Found, ReadError> {
        let (scope, task) = (self.scope, self.task);
        let (attempt, position) = (self.attempt, self.position);
        let (view, attempt, lines) = self
            .store
            .read(move |reads| {
                // the state first: what was logged before the end is then among the lines
                let Some(view) = reads.attempt(scope, task)? else {
                    return Ok((None, attempt, Vec::new()));
                };
                let attempt = if attempt == 0 { view.attempt } else { attempt };
                let lines = reads.logs(task, attempt, position, PAGE)?;
                // lines that lost their bytes are not lines that had none
                let is_gone = reads.pruning(task, attempt)?.is_some();
                Ok((Some(view).filter(|_| !is_gone), attempt, lines))
            })
            .await?;
        let Some(view) = view else {
            return Ok(Found::Gone);
        };
        self.attempt = attempt;
        for line in &lines {
            self.position = line.seq;
            self.lines
                .push_back(sse::numbered(line.seq, &render::log_line(line)));
        }
        Ok(if !lines.is_empty() {
            Found::Lines
        } else if is_growing(view, attempt) {
            Found::Nothing
        } else {
            Found::End(view.status)
        })
    }
}

/// Whether lines of `attempt` may still come.
fn is_growing(view: AttemptView, attempt: u32) -> bool {
    match view.status {
        Status::Pending | Status::Running => view.attempt == attempt,
        Status::Review | Status::Done | Status::Failed | Status::Cancelled => false,
    }
}

impl Source for LogStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended || self.open.is_ended() {
                return None;
            }
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            match self.read().await.ok()? {
                Found::Lines => continue,
                Found::Gone => return None,
                Found::End(status) => {
                    self.ended = true;
                    return Some(sse::named("end", &json!({"status": status.as_str()})));
                }
                Found::Nothing => {}
            }
            tokio::select! {
                biased;
                _ = self.open.ended() => return None,
                () = self.uploads.changed() => {}
                _ = self.comments.tick() => return Some(sse::comment()),
            }
        }
    }
}
