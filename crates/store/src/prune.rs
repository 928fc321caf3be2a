//! Gives up log and file bytes of finished work, in small steps beside whatever else runs. A run that was cut
//! off is gone on with by the next one.

use std::time::{Duration, Instant};

use approval_core::{AccountId, Principal, Status, TaskId, Timestamp};

use crate::admin::{Admin, AdminError};
use crate::command::{Command, Request, SubmitError};
use crate::connection::{Conn, Role};
use crate::dialect;
use crate::fault::Fault;
use crate::views::{Answer, Freed, Pruned};
use crate::writer::batch::Batcher;
use crate::writer::reserve::Reserve;

/// Tasks that are searched for at a time.
const FOUND: i64 = 200;
/// Tasks whose bytes go in one batch, if they fit.
const TOGETHER: usize = 16;
/// The least time between two batches. Besides, each is followed by as much time as it took, so that others get
/// at least half of the database.
const PAUSE: Duration = Duration::from_millis(5);
/// The states of finished work.
const FINAL: [Status; 3] = [Status::Done, Status::Failed, Status::Cancelled];

/// A task whose last attempt may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prunable {
    /// Which one.
    pub task: TaskId,
    /// Bytes of its log.
    pub log_bytes: i64,
    /// Bytes of its diffs and contents of files.
    pub file_bytes: i64,
}

/// What went, or would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneTotal {
    /// Attempts, without those that were gone on with.
    pub attempts: u64,
    /// Bytes of logs.
    pub log_bytes: i64,
    /// Bytes of diffs and contents of files.
    pub file_bytes: i64,
}

impl PruneTotal {
    fn add(&mut self, freed: Freed) {
        self.attempts += u64::from(freed.is_first);
        self.log_bytes += freed.log_bytes;
        self.file_bytes += freed.file_bytes;
    }
}

impl Admin {
    /// What [`Self::prune`] would give up now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn prunable(
        &self,
        account: AccountId,
        older_than: Timestamp,
    ) -> Result<PruneTotal, AdminError> {
        let mut total = PruneTotal::default();
        self.each_prunable(account, older_than, |found| {
            for one in found {
                total.add(Freed {
                    log_bytes: one.log_bytes,
                    file_bytes: one.file_bytes,
                    is_first: true,
                    is_done: true,
                });
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// Gives up the log and file bytes of all work of an account that was finished before `older_than`.
    ///
    /// # Errors
    /// [`AdminError`]; what went before is gone, and the next run goes on.
    pub fn prune(
        &self,
        account: AccountId,
        older_than: Timestamp,
    ) -> Result<PruneTotal, AdminError> {
        let mut pruner = Pruner {
            account,
            older_than,
            batcher: Batcher::new(self.url().clone(), self.clock(), Reserve::none(self.url())),
            total: PruneTotal::default(),
        };
        let mut after = String::new();
        loop {
            let open = self.read(|reads| reads.open_prunings(account, &after, FOUND))?;
            let Some(last) = open.last() else { break };
            after = last.to_string();
            pruner.all(&open)?;
        }
        self.each_prunable(account, older_than, |found| {
            let tasks: Vec<TaskId> = found.iter().map(|one| one.task).collect();
            pruner.all(&tasks)
        })?;
        Ok(pruner.total)
    }

    /// Bytes of the database file that are free for new data; `None` on PostgreSQL, which looks after that itself.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn free_bytes(&self) -> Result<Option<i64>, AdminError> {
        let mut conn = Conn::open(self.url(), Role::Reader)?;
        Ok(dialect::free_bytes(&mut conn).map_err(Fault::from)?)
    }

    /// Hands out what may be pruned, page by page, status by status.
    fn each_prunable(
        &self,
        account: AccountId,
        older_than: Timestamp,
        mut each: impl FnMut(&[Prunable]) -> Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        for status in FINAL {
            let mut after = String::new();
            loop {
                let found =
                    self.read(|reads| reads.prunable(account, status, older_than, &after, FOUND))?;
                let Some(last) = found.last() else { break };
                after = last.task.to_string();
                each(&found)?;
            }
        }
        Ok(())
    }
}

/// One run.
struct Pruner {
    account: AccountId,
    older_than: Timestamp,
    batcher: Batcher,
    total: PruneTotal,
}

impl Pruner {
    /// Prunes these tasks to the end, some of them in each batch.
    fn all(&mut self, tasks: &[TaskId]) -> Result<(), AdminError> {
        let mut left = tasks.to_vec();
        while !left.is_empty() {
            let started = Instant::now();
            let rest = left.split_off(left.len().min(TOGETHER));
            left = self.step(&left)?;
            left.extend(rest);
            std::thread::sleep(started.elapsed().max(PAUSE));
        }
        Ok(())
    }

    /// One batch; gives the tasks that still have bytes.
    fn step(&mut self, tasks: &[TaskId]) -> Result<Vec<TaskId>, AdminError> {
        let requests: Vec<Request> = tasks.iter().map(|task| self.request(*task)).collect();
        let requests: Vec<&Request> = requests.iter().collect();
        let committed = self.batcher.run(&requests);
        self.batcher.announce(&committed.changes);
        let mut left = Vec::new();
        for (task, outcome) in tasks.iter().zip(committed.outcomes) {
            match outcome?.answer {
                Answer::Pruned(Pruned::Freed(freed)) => {
                    self.total.add(freed);
                    left.extend((!freed.is_done).then_some(*task));
                }
                // it changed since it was found, for example got a dependent
                Answer::Pruned(Pruned::Kept(_)) => {}
                _ => return Err(SubmitError::Internal.into()),
            }
        }
        Ok(left)
    }

    fn request(&self, task: TaskId) -> Request {
        Request {
            account: self.account,
            principal: Principal::system(),
            session: None,
            idempotency: None,
            command: Command::Prune {
                task,
                older_than: self.older_than,
            },
        }
    }
}
