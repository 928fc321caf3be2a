//! One transaction a batch: load, decide, write, commit, and only then answer.
//!
//! A refused command is an answer. An error takes the whole transaction back: a passing one is run
//! again (decide is pure), one that a single command causes is cornered by halves, and only a lost
//! COMMIT leaves an outcome unknown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::reserve::Reserve;
use super::world::World;
use super::{bulk, decide, load, prune, write};
use crate::clock::Clock;
use crate::command::{Answered, Change, Request, SubmitError};
use crate::connection::{Conn, Role};
use crate::dialect;
use crate::fault::{Fault, Remedy};
use crate::sabotage::Mistake;
use crate::url::DatabaseUrl;
use crate::views::{Answer, Freed, Pruned};

/// How often a batch is run again after a passing error.
const RETRIES: u32 = 3;

/// An answer, or why there is none.
pub(crate) type Outcome = Result<Answered, SubmitError>;

/// What a committed batch leads to.
pub(crate) struct Committed {
    pub outcomes: Vec<Outcome>,
    pub changes: Vec<Change>,
}

/// A connection that runs batches.
pub(crate) struct Batcher {
    url: DatabaseUrl,
    conn: Option<Conn>,
    clock: Clock,
    reserve: Reserve,
}

/// Why a batch did not commit.
enum Failure {
    /// Nothing was written.
    Before(Fault),
    /// A decision or the code around it panicked; nothing was written.
    Panicked,
    /// The connection was lost while it committed.
    Unknown(Fault),
}

impl Batcher {
    pub(crate) fn new(url: DatabaseUrl, clock: Clock, reserve: Reserve) -> Self {
        Self {
            url,
            conn: None,
            clock,
            reserve,
        }
    }

    /// Runs a batch to its answers, whatever happens.
    pub(crate) fn run(&mut self, requests: &[&Request]) -> Committed {
        let Some(is_held_back) = self.reserve.holds_back(requests) else {
            return self.run_with(requests, RETRIES);
        };
        let (held, taken): (Vec<&Request>, Vec<&Request>) =
            requests.iter().partition(|request| is_held_back(request));
        let mut committed = self.run_with(&taken, RETRIES);
        let mut answers = std::mem::take(&mut committed.outcomes).into_iter();
        let mut refused = refuse(&held, &SubmitError::NoRoom).outcomes.into_iter();
        committed.outcomes = requests
            .iter()
            .filter_map(|request| {
                if is_held_back(request) {
                    refused.next()
                } else {
                    answers.next()
                }
            })
            .collect();
        committed
    }

    /// The same; `patience` is how often an error without a known cause is taken as a passing one.
    fn run_with(&mut self, requests: &[&Request], patience: u32) -> Committed {
        let mut retries = 0;
        loop {
            let failure = match self.attempt(requests) {
                Ok(committed) => return committed,
                Err(failure) => failure,
            };
            let fault = match failure {
                Failure::Unknown(fault) => {
                    tracing::error!(%fault, "commit failed: the outcome of a batch is unknown");
                    self.conn = None;
                    return refuse(requests, &SubmitError::Unavailable);
                }
                Failure::Panicked => return self.isolate(requests, &"panic"),
                Failure::Before(fault) => fault,
            };
            match fault.remedy() {
                Remedy::Isolate => return self.isolate(requests, &fault),
                Remedy::Refuse => {
                    tracing::error!(%fault, "the database has no room");
                    return refuse(requests, &SubmitError::Unavailable);
                }
                Remedy::EndProcess => end_process(&fault),
                remedy @ (Remedy::Retry | Remedy::Wait | Remedy::Reconnect) => {
                    if remedy == Remedy::Reconnect {
                        self.conn = None;
                    }
                    let most = if remedy == Remedy::Retry {
                        patience
                    } else {
                        RETRIES
                    };
                    if retries >= most {
                        tracing::error!(%fault, "a batch failed again and again");
                        return self.give_up(requests, remedy, &fault);
                    }
                    tracing::warn!(%fault, retries, "running a batch again");
                    std::thread::sleep(Duration::from_millis(10 << (2 * retries)));
                    retries += 1;
                }
            }
        }
    }

    /// Tells the servers on this database what was committed, for a process that is none.
    pub(crate) fn announce(&mut self, changes: &[Change]) {
        let payload = crate::notify::encode(changes);
        if let Some(conn) = self.conn.as_mut().filter(|_| !payload.is_empty())
            && let Err(error) = dialect::notify(conn, &payload)
        {
            tracing::warn!(%error, "servers find out by their next poll");
        }
    }

    /// A database that is away or taken costs everybody an answer; anything else is one command's
    /// fault.
    fn give_up(&mut self, requests: &[&Request], remedy: Remedy, fault: &Fault) -> Committed {
        if remedy == Remedy::Retry {
            self.isolate(requests, fault)
        } else {
            refuse(requests, &SubmitError::Unavailable)
        }
    }

    /// Runs the halves of a batch that cannot commit as a whole, until the culprit is alone. The
    /// batch was run again often enough; repeating each half as well would hold up everybody for
    /// more than a second.
    fn isolate(&mut self, requests: &[&Request], cause: &dyn std::fmt::Display) -> Committed {
        if let [request] = requests {
            tracing::error!(%cause, command = request.command.name(), "a command failed");
            return refuse(requests, &SubmitError::Internal);
        }
        let (left, right) = requests.split_at(requests.len() / 2);
        let mut committed = self.run_with(left, 0);
        let rest = self.run_with(right, 0);
        committed.outcomes.extend(rest.outcomes);
        committed.changes.extend(rest.changes);
        committed
    }

    /// One try at a batch.
    fn attempt(&mut self, requests: &[&Request]) -> Result<Committed, Failure> {
        let clock = self.clock;
        let conn = self.connection().map_err(Failure::Before)?;
        let in_transaction = AssertUnwindSafe(|| {
            dialect::begin(conn)?;
            transact(conn, requests, clock)
        });
        match catch_unwind(in_transaction) {
            Ok(Ok(committed)) if Mistake::AnswerBeforeCommit.made() => Ok(committed),
            Ok(Ok(committed)) => match dialect::commit(conn) {
                Ok(()) => Ok(committed),
                Err(error) => Err(self.commit_failed(error.into())),
            },
            Ok(Err(fault)) => {
                self.roll_back();
                Err(Failure::Before(fault))
            }
            Err(_) => {
                self.roll_back();
                Err(Failure::Panicked)
            }
        }
    }

    /// With [`Mistake::AnswerBeforeCommit`]: commits what was answered.
    pub(crate) fn commit_late(&mut self) {
        if Mistake::AnswerBeforeCommit.made() {
            std::thread::sleep(Duration::from_millis(20));
            if let Some(conn) = &mut self.conn {
                let _answered_anyway = dialect::commit(conn);
            }
        }
    }

    /// SQLite says what became of a transaction; a lost PostgreSQL does not.
    fn commit_failed(&mut self, fault: Fault) -> Failure {
        if fault.remedy() == Remedy::EndProcess {
            end_process(&fault);
        }
        match &self.conn {
            Some(Conn::Sqlite(_)) => {
                self.roll_back();
                Failure::Before(fault)
            }
            _ => Failure::Unknown(fault),
        }
    }

    /// Takes the transaction back; a connection that cannot even do that is not used again.
    fn roll_back(&mut self) {
        if let Some(conn) = &mut self.conn
            && dialect::rollback(conn).is_err()
        {
            self.conn = None;
        }
    }

    fn connection(&mut self) -> Result<&mut Conn, Fault> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::open(&self.url, Role::Writer)?,
        };
        Ok(self.conn.insert(conn))
    }
}

fn transact(conn: &mut Conn, requests: &[&Request], clock: Clock) -> Result<Committed, Fault> {
    let mut world = load::load(conn, requests, clock.now())?;
    let steps: Vec<Result<decide::Step<'_>, SubmitError>> = requests
        .iter()
        .map(|request| decide::decide(&mut world, request))
        .collect();
    write::write(conn, &world)?;
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut room = prune::Room::default();
    for (step, request) in steps.into_iter().zip(requests) {
        outcomes.push(match step {
            Ok(decide::Step::Answered(answered)) => Ok(answered),
            Ok(decide::Step::Bulk(upload)) => {
                bulk::write(conn, &mut world, request.account, &upload)?.map(|()| {
                    decide::keep_answer(&mut world, request, &Answer::Accepted);
                    Answered {
                        answer: Answer::Accepted,
                        replayed: false,
                    }
                })
            }
            Ok(decide::Step::Prune { task, is_first }) => {
                let freed = prune::free(conn, &world, task, &mut room)?;
                let freed = Freed { is_first, ..freed };
                Ok(Answered {
                    answer: Answer::Pruned(Pruned::Freed(freed)),
                    replayed: false,
                })
            }
            Err(refused) => Err(refused),
        });
    }
    write::write_answers(conn, &world)?;
    if Mistake::LogAfterCommit.made() {
        dialect::commit(conn)?;
        dialect::begin(conn)?;
        write::write_log(conn, &world)?;
    }
    let changes = changes(world);
    Ok(Committed { outcomes, changes })
}

/// What others must look at, once each; revocations first, so that a stream ends before it is told
/// that there is something new.
fn changes(world: World) -> Vec<Change> {
    let heads = world.accounts.iter().filter(|(_, account)| account.changed);
    let mut changes: Vec<Change> = heads
        .map(|(id, account)| Change::Activity {
            account: *id,
            seq: account.head_seq,
        })
        .collect();
    for change in world.changes {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes.sort_by_key(|change| !matches!(change, Change::Revoked { .. }));
    changes
}

fn refuse(requests: &[&Request], error: &SubmitError) -> Committed {
    Committed {
        outcomes: requests.iter().map(|_| Err(error.clone())).collect(),
        changes: Vec::new(),
    }
}

/// After an I/O error nobody knows what is on the disk, and a commit that "failed" may be there
/// after a restart. A new process reads what is really there.
#[expect(
    clippy::disallowed_methods,
    reason = "no destructor may touch the failed disk"
)]
fn end_process(fault: &Fault) -> ! {
    tracing::error!(%fault, "the disk failed; ending the process so that a restart reads what is really there");
    std::process::exit(70);
}
