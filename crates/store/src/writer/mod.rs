//! The writer: the one thread of a process that changes the database.

pub(crate) mod batch;
mod bulk;
mod decide;
pub(crate) mod load;
mod prune;
mod queue;
pub(crate) mod reserve;
pub(crate) mod world;
pub(crate) mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc, oneshot};

use batch::{Batcher, Outcome};
use queue::{Queue, Waiting};

use crate::command::{Change, Request, SubmitError};
use crate::notify;

/// What `/metrics` counts: batches, and the commands in them.
const BATCHES: &str = "countersign_batches_total";
const COMMANDS: &str = "countersign_commands_total";

/// A running writer thread and its queue.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread; what it commits goes to `changes` and, for other processes, to `hints`.
    pub(crate) fn start(
        batcher: Batcher,
        changes: broadcast::Sender<Change>,
        hints: Option<mpsc::Sender<String>>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let waiting = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || drain(&waiting, batcher, &changes, hints.as_ref()))?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a request and waits for its answer, which comes after the commit.
    pub(crate) async fn submit(&self, request: Request) -> Outcome {
        let answer = self.queue(request)?;
        // the thread answers everything it took; it is gone only if the process is going
        answer.await.unwrap_or(Err(SubmitError::Unavailable))
    }

    /// Queues a request; the answer comes through the channel.
    pub(crate) fn queue(
        &self,
        request: Request,
    ) -> Result<oneshot::Receiver<Outcome>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Waiting { request, reply })?;
        Ok(answer)
    }

    /// Answers what waits and ends the thread.
    pub(crate) fn close(&self) {
        self.queue.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer panicked");
        }
    }
}

fn drain(
    queue: &Queue,
    mut batcher: Batcher,
    changes: &broadcast::Sender<Change>,
    hints: Option<&mpsc::Sender<String>>,
) {
    while let Some(batch) = queue.next_batch() {
        let requests: Vec<&Request> = batch.iter().map(|waiting| &waiting.request).collect();
        let committed = batcher.run(&requests);
        metrics::counter!(BATCHES).increment(1);
        metrics::counter!(COMMANDS).increment(requests.len() as u64);
        for (waiting, outcome) in batch.into_iter().zip(committed.outcomes) {
            // a caller that went away does not need its answer
            let _gone = waiting.reply.send(outcome);
        }
        batcher.commit_late();
        let payload = hints
            .map(|_| notify::encode(&committed.changes))
            .unwrap_or_default();
        for change in committed.changes {
            let _nobody_listens = changes.send(change);
        }
        if let Some(hints) = hints.filter(|_| !payload.is_empty()) {
            // full while the connection is down: the others poll
            let _dropped = hints.try_send(payload);
        }
    }
}
