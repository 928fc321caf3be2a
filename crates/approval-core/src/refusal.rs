//! Why the rules refuse a command. A refusal is an answer: nothing has changed.

use crate::approval::Approval;
use crate::codes::codes;
use crate::digest::Digest;
use crate::id::TaskId;
use crate::status::Status;

codes! {
    /// Which kind of request broke a rule of length, range or reference.
    Invalid {
        /// Create or retry of a task.
        Task = "task",
        /// A decision.
        Decision = "decision",
        /// A desktop.
        Desktop = "desktop",
        /// An API key.
        Key = "key",
        /// Log entries.
        Logs = "logs",
        /// Changed files.
        Files = "files",
        /// The end of an attempt.
        Completion = "completion",
    }
}

/// Why a command was refused, with what the caller needs to go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credential may not do this; says which authority is missing.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing in the caller's world.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Only a pending task can be run.
    #[error("the task is {status}, only a pending one can be run")]
    NotPending {
        /// Where it stands.
        status: Status,
    },
    /// Some dependencies are not done.
    #[error("the task waits for {} that {} not done", count(blocked_by.len(), "task"), if blocked_by.len() == 1 { "is" } else { "are" })]
    Blocked {
        /// The newest retry of each unfinished dependency.
        blocked_by: Vec<TaskId>,
    },
    /// There is nothing to decide.
    #[error("the task is {status}, there is nothing to decide")]
    NotInReview {
        /// Where it stands.
        status: Status,
    },
    /// The one decision of this attempt has been made.
    #[error("this was already {}", approval.status)]
    AlreadyDecided {
        /// The approval as it stands.
        approval: Box<Approval>,
    },
    /// The task has ended.
    #[error("the task is already {status}")]
    AlreadyFinal {
        /// How it ended.
        status: Status,
    },
    /// Only failed and cancelled tasks can be retried.
    #[error("the task is {status}, only a failed or cancelled one can be retried")]
    NotRetryable {
        /// Where it stands.
        status: Status,
    },
    /// A task is retried once; retry the newest one instead.
    #[error("the task was already retried by {retried_by}")]
    AlreadyRetried {
        /// The retry there is.
        retried_by: TaskId,
    },
    /// The lease token is not the current one, or the lease has run out.
    #[error("the lease of this attempt is lost; stop the work and claim again")]
    LeaseLost,
    /// The attempt was completed with another body.
    #[error("this attempt was already completed with another report")]
    AlreadyCompleted,
    /// Log entries the runner counts have not arrived.
    #[error(
        "{received} of {expected} log entries have arrived; send the missing ones, then complete again"
    )]
    LogsIncomplete {
        /// Distinct entries that arrived.
        received: u64,
        /// Entries the runner says it sent.
        expected: u64,
    },
    /// The decision names other evidence than the sealed one.
    #[error("the evidence named is not the sealed one; look again before deciding")]
    EvidenceMismatch {
        /// The sealed digest.
        sealed: Digest,
    },
    /// The account demands that a decision names its evidence.
    #[error("this account requires evidenceSha256 in every decision")]
    EvidenceRequired,
    /// A length, a range or a reference is wrong.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which kind of request.
        what: Invalid,
        /// The member that is wrong, as on the wire.
        field: &'static str,
        /// What is wrong with it and what is allowed.
        reason: String,
    },
    /// More bytes or items than an attempt may hold.
    #[error("{0}")]
    TooLarge(String),
}

impl Refusal {
    /// A broken rule about one member of a task.
    pub(crate) fn task(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            what: Invalid::Task,
            field,
            reason: reason.into(),
        }
    }
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}
