//! What can be asked of the store. Every change of state is one of these.

use approval_core::{
    AccountId, ApprovalId, ChangeKind, DecisionRequest, DesktopId, Digest, KeyId, KeyRequest,
    LogStream, NewTask, Part, PathText, Principal, Refusal, Report, RetryChanges, SessionId,
    TaskId, Timestamp, UserId,
};

use crate::file_facts::FileFacts;
use crate::key_text::KeyDigest;
use crate::prepare::Prepared;
use crate::views::{Answer, CredentialId};

/// A command with the credential it came with.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose world it is about.
    pub account: AccountId,
    /// The authenticated credential; it is checked again in the transaction.
    pub principal: Principal,
    /// The session through which a person acts; it is checked again in the transaction, too.
    pub session: Option<ActingSession>,
    /// Present when the caller wants a retry to be answered, not repeated.
    pub idempotency: Option<Idempotency>,
    /// What to do.
    pub command: Command,
}

/// A session as a request shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActingSession {
    /// Which one.
    pub id: SessionId,
    /// SHA-256 of the secret of the origin that came along, if one did; a session that is bound to
    /// another one commits nothing.
    pub origin: Option<Digest>,
}

/// The identity of a request that may be retried (contract section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// Digest of key, method and path; the credential completes the scope.
    pub scope: Digest,
    /// Digest of the body.
    pub body: Digest,
}

impl Idempotency {
    /// The identity of a request with this `Idempotency-Key`.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Self {
        // a line feed is in neither of the three, so no two triples have the same text
        let scope = format!("{key}\n{method}\n{path}");
        Self {
            scope: Digest::of(scope.as_bytes()),
            body: Digest::of(body),
        }
    }
}

/// Everything that changes state.
#[derive(Debug, Clone)]
pub enum Command {
    /// Create a task.
    CreateTask(NewTask),
    /// Queue a task for its desktop.
    RunTask(TaskId),
    /// Withdraw a task.
    CancelTask(TaskId),
    /// Create a task from a failed or cancelled one.
    RetryTask {
        /// The one that failed.
        task: TaskId,
        /// What is different.
        changes: RetryChanges,
    },
    /// Decide, by either door.
    Decide {
        /// Which approval.
        target: DecisionTarget,
        /// The decision.
        request: DecisionRequest,
    },
    /// Change settings; `None` leaves one as it is.
    ChangeSettings {
        /// Task Approval Mode.
        task_approval_mode: Option<bool>,
        /// Evidence in every decision.
        require_evidence: Option<bool>,
    },
    /// Add a desktop.
    CreateDesktop {
        /// Its name.
        name: String,
    },
    /// Remove a desktop.
    DeleteDesktop(DesktopId),
    /// Make an API key. Its text never comes here.
    CreateKey {
        /// What is wished.
        request: KeyRequest,
        /// What is kept of the text.
        digest: KeyDigest,
    },
    /// Revoke an API key.
    RevokeKey(KeyId),
    /// Add a person; administration only.
    CreateUser {
        /// The login name.
        email: String,
        /// PHC string of the password, if there is one yet.
        password_hash: Option<String>,
    },
    /// Open a session for a person who has shown who they are. Done as the server itself.
    OpenSession {
        /// Who.
        user: UserId,
        /// How they have shown it; checked again in the transaction.
        by: Login,
        /// SHA-256 of the text in the cookie.
        digest: Digest,
        /// SHA-256 of the secret that the origin keeps; `None` leaves the session unbound.
        origin: Option<Digest>,
        /// What the browser says it is.
        agent: String,
    },
    /// End sessions of the acting person.
    EndSessions(EndSessions),
    /// Give the acting person a password, and end their other sessions.
    SetPassword {
        /// PHC string.
        hash: String,
    },
    /// Make a one-time link for a person; administration only.
    CreateSignInLink {
        /// Who.
        user: UserId,
        /// SHA-256 of its token.
        digest: Digest,
    },
    /// Note when sessions were last used, and keep them for another 30 days.
    TouchSessions(Vec<SessionId>),
    /// Hand the next queued task of a desktop to a runner.
    Claim {
        /// Which desktop.
        desktop: DesktopId,
        /// SHA-256 of the lease token.
        token: Digest,
    },
    /// Note that a desktop was heard from.
    SeeDesktop(DesktopId),
    /// Renew a lease.
    Heartbeat(Leased),
    /// Add log entries to the running attempt.
    AppendLogs {
        /// Which attempt.
        lease: Leased,
        /// Entries, hashed on arrival.
        entries: Vec<LogUpload>,
    },
    /// Add changed files to the running attempt.
    AddFiles {
        /// Which attempt.
        lease: Leased,
        /// Files, hashed on arrival.
        files: Vec<FileUpload>,
    },
    /// End the running attempt: seal the evidence and apply the rule.
    Complete {
        /// Which attempt.
        lease: Leased,
        /// What the runner says.
        report: Report,
        /// The output it names; absent: the standard output of the log.
        output: Option<Vec<u8>>,
        /// How many log entries it sent, if it says so.
        log_entries: Option<u64>,
        /// What was hashed before, outside the transaction.
        prepared: Box<Prepared>,
    },
    /// Note when keys were last used.
    TouchKeys(Vec<KeyId>),
    /// Give up log and file bytes of finished work, as many as go at a time; administration only.
    Prune {
        /// Whose last attempt.
        task: TaskId,
        /// The work must have been finished before.
        older_than: Timestamp,
    },
    /// Work of the server itself.
    Sweep(Sweep),
}

impl Command {
    /// What to call it in a log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::CreateTask(_) => "create task",
            Self::RunTask(_) => "run task",
            Self::CancelTask(_) => "cancel task",
            Self::RetryTask { .. } => "retry task",
            Self::Decide { .. } => "decide",
            Self::ChangeSettings { .. } => "change settings",
            Self::CreateDesktop { .. } => "create desktop",
            Self::DeleteDesktop(_) => "delete desktop",
            Self::CreateKey { .. } => "create key",
            Self::RevokeKey(_) => "revoke key",
            Self::CreateUser { .. } => "create user",
            Self::OpenSession { .. } => "open session",
            Self::EndSessions(_) => "end sessions",
            Self::SetPassword { .. } => "set password",
            Self::CreateSignInLink { .. } => "create sign-in link",
            Self::TouchSessions(_) => "touch sessions",
            Self::Claim { .. } => "claim",
            Self::SeeDesktop(_) => "see desktop",
            Self::Heartbeat(_) => "heartbeat",
            Self::AppendLogs { .. } => "append logs",
            Self::AddFiles { .. } => "add files",
            Self::Complete { .. } => "complete",
            Self::TouchKeys(_) => "touch keys",
            Self::Prune { .. } => "prune",
            Self::Sweep(_) => "sweep",
        }
    }

    /// Whether it brings new work or new bytes, rather than going on with what is there.
    pub(crate) const fn grows(&self) -> bool {
        matches!(
            self,
            Self::AppendLogs { .. }
                | Self::AddFiles { .. }
                | Self::CreateTask(_)
                | Self::RetryTask { .. }
        )
    }

    /// Bytes of uploads it carries.
    pub(crate) fn upload_bytes(&self) -> usize {
        match self {
            Self::AppendLogs { entries, .. } => entries.iter().map(|e| e.bytes.len()).sum(),
            Self::AddFiles { files, .. } => {
                let parts = files.iter().flat_map(|f| [&f.diff, &f.content]).flatten();
                parts.map(|part| part.bytes.len()).sum()
            }
            Self::Complete { output, .. } => output.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }
}

/// How a person has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// By the password behind this hash, which must still be theirs.
    Password {
        /// PHC string.
        hash: String,
    },
    /// By the one-time link with this digest, which becomes used.
    Link(Digest),
}

/// Which sessions of a person end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSessions {
    /// This one.
    One(SessionId),
    /// All, the acting one too.
    All,
}

/// The two doors to one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionTarget {
    /// `POST …/tasks/:id/review`: answered with the task.
    Task(TaskId),
    /// `POST …/approvals/:id/resolve`: answered with the approval.
    Approval(ApprovalId),
}

/// A runner's claim to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// The task.
    pub task: TaskId,
    /// SHA-256 of the lease token it sent.
    pub token: Digest,
}

/// A log entry as it arrived.
#[derive(Debug, Clone)]
pub struct LogUpload {
    /// Its number, from 0.
    pub seq: i64,
    /// Where it came from.
    pub stream: LogStream,
    /// When, by the desktop's clock.
    pub at: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub sha256: Digest,
}

/// Some uploaded bytes and what they are.
#[derive(Debug, Clone)]
pub struct UploadedPart {
    /// Length and digest.
    pub part: Part,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they tell of their file.
    pub facts: FileFacts,
}

impl UploadedPart {
    /// Hashes and reads a diff.
    pub fn diff(bytes: Vec<u8>) -> Self {
        Self {
            part: Part::of(&bytes),
            facts: FileFacts::of_diff(&bytes),
            bytes,
        }
    }

    /// Hashes a content and looks into its beginning.
    pub fn content(bytes: Vec<u8>) -> Self {
        Self {
            part: Part::of(&bytes),
            facts: FileFacts::of_content(&bytes),
            bytes,
        }
    }
}

/// A changed file as it arrived.
#[derive(Debug, Clone)]
pub struct FileUpload {
    /// Its path.
    pub path: PathText,
    /// Its path before a rename.
    pub old_path: Option<PathText>,
    /// What happened.
    pub change: ChangeKind,
    /// Mode now.
    pub mode: Option<String>,
    /// Mode before.
    pub old_mode: Option<String>,
    /// The diff.
    pub diff: Option<UploadedPart>,
    /// The content.
    pub content: Option<UploadedPart>,
    /// Whether the desktop cut diff or content.
    pub truncated: bool,
}

impl FileUpload {
    /// What its parts tell of it.
    pub fn facts(&self) -> FileFacts {
        let parts = [&self.diff, &self.content].into_iter().flatten();
        parts.fold(FileFacts::default(), |facts, part| facts.and(part.facts))
    }
}

/// Work the server finds by itself; each is checked again under the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// A lease ran out.
    ExpireLease(TaskId),
    /// An outage of ours may have cost a runner its lease: give it a whole one.
    RearmLease(TaskId),
    /// A runner did not enforce a time-out.
    TimeOut(TaskId),
    /// A desktop fell silent.
    StopDesktop(DesktopId),
    /// Answers older than a day are forgotten.
    ForgetAnswers,
    /// Sessions and links that ended more than a day ago are forgotten.
    ForgetSessions,
}

/// A hint that something was committed; what it says is read from the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The account's log now ends at `seq`.
    Activity {
        /// Whose log.
        account: AccountId,
        /// Its new end.
        seq: i64,
    },
    /// A task may be claimable on this desktop.
    Queued {
        /// Which desktop.
        desktop: DesktopId,
    },
    /// Log entries of this task arrived. Known to the process that took them only.
    Uploaded {
        /// Which task.
        task: TaskId,
    },
    /// This key was revoked, or this session ended.
    Revoked {
        /// Which one.
        credential: CredentialId,
    },
}

/// The answer to a command.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Whether it was given before, to the first request with this key.
    pub replayed: bool,
}

/// Why a command has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The rules refuse it. Nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The credential was revoked. Nothing changed.
    #[error("the credential was revoked")]
    Revoked,
    /// The session is bound to an origin whose secret did not come along. Nothing changed.
    #[error("the secret of the session's origin did not come along")]
    OtherOrigin,
    /// The key was used for another body. Nothing changed.
    #[error("this Idempotency-Key was used with another body")]
    IdempotencyMismatch,
    /// The first request with this key has not been answered yet.
    #[error("the first request with this Idempotency-Key is still running")]
    InProgress,
    /// Something was uploaded after the evidence was hashed: hash it again. Nothing changed.
    #[error("uploads arrived while the evidence was computed")]
    Stale,
    /// The queue is full. Nothing changed.
    #[error("the server is busy")]
    Busy,
    /// The room that is left on the disk is kept for decisions. Nothing changed.
    #[error(
        "the disk of the database is nearly full, and what is left is kept for decisions: uploads and \
         new tasks are refused until there is room"
    )]
    NoRoom,
    /// The database did not answer: the outcome is unknown.
    #[error("the database is unavailable")]
    Unavailable,
    /// A fault of ours, logged where it happened. Nothing changed.
    #[error("internal error")]
    Internal,
}
