//! What waits for the next batch, bounded in commands and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::batch::Outcome;
use crate::command::{Command, Request, SubmitError};

/// Most commands that wait.
const MAX_COMMANDS: usize = 10_000;
/// Most bytes of uploads that wait.
const MAX_BYTES: usize = 64 << 20;
/// Most commands of a batch.
const BATCH_COMMANDS: usize = 512;
/// Most uploads of a batch: each takes statements of its own.
const BATCH_UPLOADS: usize = 64;
/// Bytes of uploads after which a batch takes no more of them.
const BATCH_BYTES: usize = 1 << 20;

/// A request and who waits for its answer.
pub(super) struct Waiting {
    pub request: Request,
    pub reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Inner {
    commands: VecDeque<Waiting>,
    uploads: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

/// The queue of the writer.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
}

impl Queue {
    /// Queues a request.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when it is full, [`SubmitError::Unavailable`] when it is closed.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), SubmitError> {
        let bytes = waiting.request.command.upload_bytes();
        let mut inner = self.lock();
        if inner.closed {
            return Err(SubmitError::Unavailable);
        }
        if inner.commands.len() + inner.uploads.len() >= MAX_COMMANDS
            || inner.bytes + bytes > MAX_BYTES
        {
            return Err(SubmitError::Busy);
        }
        inner.bytes += bytes;
        match &waiting.request.command {
            Command::AppendLogs { .. } | Command::AddFiles { .. } => {
                inner.uploads.push_back(waiting);
            }
            _ => inner.commands.push_back(waiting),
        }
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for the next batch; `None` when the queue is closed and empty. Uploads come behind
    /// the commands, at most a megabyte of them, so that a flood of logs delays no decision.
    pub(super) fn next_batch(&self) -> Option<Vec<Waiting>> {
        let mut inner = self.lock();
        while inner.commands.is_empty() && inner.uploads.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self
                .filled
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let take = inner.commands.len().min(BATCH_COMMANDS);
        let mut batch: Vec<Waiting> = inner.commands.drain(..take).collect();
        let (mut bytes, mut uploads) = (0, 0);
        while bytes < BATCH_BYTES && uploads < BATCH_UPLOADS {
            let Some(waiting) = inner.uploads.pop_front() else {
                break;
            };
            bytes += waiting.request.command.upload_bytes();
            uploads += 1;
            batch.push(waiting);
        }
        let taken: usize = batch.iter().map(|w| w.request.command.upload_bytes()).sum();
        inner.bytes -= taken;
        Some(batch)
    }

    /// Takes no more requests; what waits is still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
