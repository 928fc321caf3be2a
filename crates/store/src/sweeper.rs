//! Once a second each process looks for what time has made due and queues it as commands.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use approval_core::{AccountId, Principal};

use crate::clock::Clock;
use crate::command::{Command, Request, Sweep};
use crate::pool::{ReadError, ReadPool};
use crate::reads::Reads;
use crate::server_lock::ServerLock;
use crate::writer::Writer;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// A running sweeper thread.
pub(crate) struct Sweeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Sweeping {
    pool: ReadPool,
    writer: Arc<Writer>,
    clock: Clock,
    lock: ServerLock,
    /// After an outage of ours every lease starts anew, once: at the start of a process that
    /// alone serves its database, and when a database that was away has come back.
    rearm: bool,
}

impl Sweeper {
    /// Starts the thread, which also keeps the server's lock.
    pub(crate) fn start(
        pool: ReadPool,
        writer: Arc<Writer>,
        clock: Clock,
        lock: ServerLock,
        rearm: bool,
    ) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let mut sweeping = Sweeping {
            pool,
            writer,
            clock,
            lock,
            rearm,
        };
        let thread = std::thread::Builder::new()
            .name("sweeper".to_owned())
            .spawn(move || {
                while !wait(&stopped) {
                    sweeping.once();
                }
            })?;
        Ok(Self {
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the sweeper panicked");
        }
    }
}

/// Waits for the next round; returns whether to stop instead.
fn wait(stop: &(Mutex<bool>, Condvar)) -> bool {
    let stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = stop
        .1
        .wait_timeout_while(stopped, INTERVAL, |stopped| !*stopped);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

impl Sweeping {
    fn once(&mut self) {
        match self.find() {
            Ok(due) => {
                if self.submit(due) {
                    self.rearm = false;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for expired leases; they start anew when the database is back");
                self.rearm = true;
            }
        }
    }

    fn find(&mut self) -> Result<Vec<(AccountId, Sweep)>, ReadError> {
        self.lock.renew().map_err(|error| {
            tracing::warn!(%error, "lost the server's lock");
            ReadError::Unavailable
        })?;
        let mut conn = self.pool.get()?;
        let mut reads = Reads::new(&mut conn, self.clock);
        if self.rearm {
            reads.leases()
        } else {
            reads.due()
        }
    }

    /// Queues everything, so that it shares batches, then waits; returns whether all was done.
    fn submit(&self, due: Vec<(AccountId, Sweep)>) -> bool {
        let waiting: Vec<_> = due
            .into_iter()
            .map(|(account, sweep)| {
                self.writer.queue(Request {
                    account,
                    principal: Principal::system(),
                    session: None,
                    idempotency: None,
                    command: Command::Sweep(sweep),
                })
            })
            .collect();
        let mut done = true;
        for answer in waiting {
            let outcome = answer.and_then(|a| {
                a.blocking_recv()
                    .unwrap_or(Err(crate::command::SubmitError::Unavailable))
            });
            if let Err(error) = outcome {
                tracing::warn!(%error, "a sweep was not done; it comes again");
                done = false;
            }
        }
        done
    }
}
