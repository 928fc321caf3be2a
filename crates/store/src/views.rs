//! What the store answers: domain state with everything a caller is shown beside it.
//!
//! Answers of commands are kept for idempotent retries, so these types can be written and read
//! back; immutable text is left out and joined again.

use approval_core::{
    AccountId, Approval, Capability, ChangeKind, Decided, DesktopId, Digest, Identity, Kept, KeyId,
    KeyKind, LogStream, Part, Principal, SessionId, Settings, Status, TaskId, TaskState, TaskType,
    Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

use crate::sabotage::Mistake;

/// A task as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// The state.
    pub state: TaskState,
    /// The content, whole or cut.
    #[serde(skip)]
    pub content: String,
    /// Whether `content` was cut.
    #[serde(skip)]
    pub content_truncated: bool,
    /// Contract section 3: the flag, found on so far, or before the finish on now.
    pub gated: bool,
    /// The newest retries of dependencies that are not done.
    pub blocked_by: Vec<TaskId>,
    /// The tasks that wait for this one, or did.
    pub dependents: Vec<Dependent>,
    /// Feedback on the tasks this one is a retry of, oldest first.
    pub prior_feedback: Vec<PriorFeedback>,
    /// The approval of the last attempt.
    pub review: Option<Approval>,
}

/// A task that depends on another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependent {
    /// Its id.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// Its type.
    pub task_type: TaskType,
    /// Where it will run.
    pub desktop: DesktopId,
    /// Where it stands.
    pub status: Status,
    /// Whether it starts by itself.
    pub auto_run: bool,
}

impl Dependent {
    /// What is shown of a dependent task.
    pub(crate) fn of(task: &TaskState) -> Self {
        Self {
            id: task.id,
            title: task.title.clone(),
            task_type: task.task_type,
            desktop: task.desktop,
            status: task.status,
            auto_run: task.auto_run,
        }
    }
}

/// What a reviewer wrote about an earlier try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriorFeedback {
    /// The earlier task.
    pub task: TaskId,
    /// The words and whose they are.
    pub decided: Decided,
}

impl PriorFeedback {
    /// The words behind a decision, if there are any.
    pub(crate) fn of(approval: &Approval) -> Option<Self> {
        let decided = approval.decided.clone().filter(|d| d.feedback.is_some())?;
        Some(Self {
            task: approval.task,
            decided,
        })
    }
}

/// An approval as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// The approval.
    pub approval: Approval,
    /// The task's type.
    pub task_type: TaskType,
    /// The task's title.
    pub title: String,
    /// The task's content, whole or cut.
    #[serde(skip)]
    pub content: String,
    /// Where the task stands.
    pub task_status: Status,
    /// When the agent finished.
    pub task_completed_at: Option<Timestamp>,
    /// Where it ran.
    pub desktop: DesktopId,
    /// Its name.
    pub desktop_name: String,
}

/// A desktop as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesktopView {
    /// Its id.
    pub id: DesktopId,
    /// Its name.
    pub name: String,
    /// Heard from in the last 30 s.
    pub running: bool,
    /// When it was last heard from.
    pub last_seen_at: Option<Timestamp>,
    /// What a runner executes there now.
    pub running_tasks: Vec<TaskId>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// An API key as it is shown: never its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// Its kind.
    pub kind: KeyKind,
    /// What it may do.
    pub capabilities: Vec<Capability>,
    /// The desktop of an agent key.
    pub desktop: Option<DesktopId>,
    /// The last four characters of the text.
    pub last4: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A task handed to a runner.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimView {
    /// The task.
    pub task: TaskView,
    /// The sealed attempts of its dependencies.
    pub inputs: Vec<ClaimInput>,
    /// When the lease ends unless a heartbeat comes.
    pub expires_at: Timestamp,
}

/// A sealed attempt that a task builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimInput {
    /// The dependency: its newest retry.
    pub task: TaskId,
    /// The attempt that was approved, or done without a gate.
    pub attempt: u32,
    /// Its evidence.
    pub evidence_sha256: Digest,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// A task.
    Task(Box<TaskView>),
    /// An approval.
    Approval(Box<ApprovalView>),
    /// The settings.
    Settings(Settings),
    /// A desktop.
    Desktop(DesktopView),
    /// A key.
    Key(KeyView),
    /// A person.
    User(UserId),
    /// A session. Never kept.
    #[serde(skip)]
    Session(SessionId),
    /// The next task of a desktop, if there is one. Never kept.
    #[serde(skip)]
    Claim(Option<Box<ClaimView>>),
    /// A renewed lease.
    Heartbeat {
        /// When it ends.
        expires_at: Timestamp,
        /// Whether the task was cancelled.
        cancel_requested: bool,
    },
    /// What came of a pruning. Never kept.
    #[serde(skip)]
    Pruned(Pruned),
    /// Taken in; there is nothing to show.
    Accepted,
}

/// What one step of a pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// The bytes stay.
    Kept(Kept),
    /// Bytes are gone for good.
    Freed(Freed),
}

/// Bytes that went in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// Of log entries.
    pub log_bytes: i64,
    /// Of diffs and contents of files.
    pub file_bytes: i64,
    /// Whether this step was the first of the attempt, from which on nobody reads what is left.
    pub is_first: bool,
    /// Whether nothing is left.
    pub is_done: bool,
}

/// That the log and file bytes of an attempt were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruning {
    /// When.
    pub at: Timestamp,
    /// Bytes the log had.
    pub log_bytes: i64,
    /// Bytes the diffs and contents of files had.
    pub file_bytes: i64,
}

/// Part of a list and what comes after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// How many rows the whole list has.
    pub total: i64,
    /// The id to go on from, when there is more.
    pub next: Option<String>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRow {
    /// From 1, without gaps.
    pub seq: i64,
    /// The type.
    pub kind: String,
    /// The payload, canonical JSON.
    pub payload: String,
    /// Who did it.
    pub actor: Identity,
    /// When.
    pub at: Timestamp,
    /// The hash before.
    pub prev_hash: String,
    /// The hash of this row.
    pub hash: String,
}

/// Counts for the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// How many tasks have each status, in the order of [`Status::ALL`].
    pub tasks: Vec<(Status, i64)>,
    /// How many approvals wait.
    pub pending_approvals: i64,
    /// Since when the oldest waits.
    pub oldest_pending_at: Option<Timestamp>,
    /// How many desktops are running.
    pub desktops_running: i64,
}

/// Which credential: what can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialId {
    /// An API key.
    Key(KeyId),
    /// A session of a person.
    Session(SessionId),
}

/// The credential behind a key text or a session cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose world it opens.
    pub account: AccountId,
    /// Which one.
    pub id: CredentialId,
    /// Who it is and what it may do.
    pub principal: Principal,
    /// SHA-256 of the secret of the origin that a session is bound to; `None` for one that is not,
    /// and for keys.
    pub origin: Option<Digest>,
}

impl Credential {
    /// Whether a change by this credential may come with this digest of an origin's secret.
    pub fn is_shown_by(&self, origin: Option<Digest>) -> bool {
        is_of_origin(self.origin, origin)
    }
}

/// Whether a session that is bound to `bound` may change something when `shown` came along. These
/// are digests of 256 random bits: how long a comparison takes tells nobody anything of use.
pub(crate) fn is_of_origin(bound: Option<Digest>, shown: Option<Digest>) -> bool {
    bound.is_none() || bound == shown || Mistake::UnboundSessions.made()
}

/// Which attempt of a task the sub-resources show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptView {
    /// Where the task stands.
    pub status: Status,
    /// The current or last attempt.
    pub attempt: u32,
}

/// A log entry as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its number.
    pub seq: i64,
    /// Where it came from.
    pub stream: LogStream,
    /// When, by the desktop's clock.
    pub at: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A changed file as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// Its number in the attempt, from 1, which never changes.
    pub n: i64,
    /// Its path.
    pub path: Vec<u8>,
    /// Its path before a rename.
    pub old_path: Option<Vec<u8>>,
    /// What happened.
    pub change: ChangeKind,
    /// Mode now.
    pub mode: Option<String>,
    /// Mode before.
    pub old_mode: Option<String>,
    /// The diff.
    pub diff: Option<Vec<u8>>,
    /// The content as it was sent.
    pub content: Option<Part>,
    /// Whether it is binary; `false` for files that an older version stored.
    pub is_binary: bool,
    /// Whether the desktop cut diff or content.
    pub truncated: bool,
}

/// A person as one signs in.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginView {
    /// Whose world they open.
    pub account: AccountId,
    /// Who.
    pub user: UserId,
    /// The login name.
    pub email: String,
    /// PHC string; `None` until a password is set.
    pub password_hash: Option<String>,
}

impl std::fmt::Debug for LoginView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoginView({})", self.user)
    }
}

/// An open session as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// What the browser said it is.
    pub agent: String,
    /// Whether it changes something only together with the secret of the origin that opened it.
    pub is_bound: bool,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
}

/// A task as a card of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its id.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// Its type.
    pub task_type: TaskType,
    /// Where it stands.
    pub status: Status,
    /// Where it runs.
    pub desktop: DesktopId,
    /// Its own flag.
    pub requires_approval: bool,
    /// Found on at a claim or at the finish.
    pub gated: bool,
    /// How many unfinished tasks it waits for.
    pub blocked_by: usize,
    /// The current or last attempt.
    pub attempt: u32,
    /// Whether a runner holds it.
    pub claimed: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last claimed.
    pub started_at: Option<Timestamp>,
    /// When the agent finished.
    pub completed_at: Option<Timestamp>,
}

/// A column of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardColumn {
    /// What it holds.
    pub statuses: &'static [Status],
    /// How many there are in all; with a text filter, among those looked at.
    pub count: i64,
    /// The newest ones.
    pub cards: Vec<Card>,
    /// The id to go on from, when there is more.
    pub next: Option<TaskId>,
    /// With a text filter: so many of the newest were looked at, and there are more.
    pub searched: Option<i64>,
}

/// The board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardView {
    /// Pending, running, review, done, failed or cancelled.
    pub columns: Vec<BoardColumn>,
    /// Desktops by name, at most 200.
    pub desktops: Vec<(DesktopId, String)>,
}

/// What an attempt changed, in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeSummary {
    /// The exit code of the attempt.
    pub exit_code: Option<i64>,
    /// Changed files.
    pub files: i64,
    /// Lines added in the diffs that were counted; `None` when none was.
    pub added: Option<i64>,
    /// Lines removed.
    pub removed: Option<i64>,
    /// Files whose diff or content the desktop cut.
    pub truncated: i64,
}

/// How much of a log there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSummary {
    /// Kept entries.
    pub entries: i64,
    /// Their bytes.
    pub kept_bytes: i64,
    /// Bytes dropped from the middle.
    pub dropped_bytes: i64,
}

/// A task with everything a page shows around it, of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskPage {
    /// The task.
    pub task: TaskView,
    /// Where it runs or ran.
    pub desktop: DesktopView,
    /// Whether that desktop was removed.
    pub desktop_removed: bool,
    /// The unfinished tasks it waits for.
    pub blocked: Vec<Dependent>,
    /// The task this one is a retry of.
    pub retry_of: Option<Dependent>,
    /// The task that is its retry.
    pub retried_by: Option<Dependent>,
    /// What starts by itself once this task is done.
    pub releases: Vec<Dependent>,
    /// The names of their desktops.
    pub desktop_names: std::collections::HashMap<DesktopId, String>,
    /// What it changed.
    pub summary: ChangeSummary,
    /// How much it logged.
    pub log: LogSummary,
    /// Whether the bytes of its log and files were given up.
    pub pruning: Option<Pruning>,
    /// The oldest other task in review.
    pub next_pending: Option<TaskId>,
    /// Pending approvals of the account.
    pub pending: i64,
    /// The switches of the account.
    pub settings: Settings,
}

/// A changed file without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Its number in the attempt, from 1.
    pub n: i64,
    /// Its path.
    pub path: Vec<u8>,
    /// What happened.
    pub change: ChangeKind,
    /// Mode now.
    pub mode: Option<String>,
    /// Mode before.
    pub old_mode: Option<String>,
    /// Lines its diff adds.
    pub added: Option<i64>,
    /// Lines its diff removes.
    pub removed: Option<i64>,
    /// Whether it is binary; `false` for files that an older version stored.
    pub is_binary: bool,
    /// Whether the desktop cut diff or content.
    pub truncated: bool,
}

/// What a task put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutput {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether the runner named it; otherwise it is made of the log.
    pub is_named: bool,
}

/// What was uploaded of a changed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePart {
    /// How it differs from what was there before.
    Diff,
    /// What it holds after the change.
    Content,
}

impl FilePart {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Content => "content",
        }
    }
}

/// The two ends of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogEnds {
    /// From the start; the whole log when nothing lies between.
    pub head: Vec<LogLine>,
    /// Up to the end.
    pub tail: Vec<LogLine>,
    /// Bytes that are kept, and in neither.
    pub between_bytes: i64,
    /// Bytes that were dropped from the middle.
    pub dropped_bytes: i64,
}

/// Rows of the log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityPage {
    /// The rows.
    pub rows: Vec<ActivityRow>,
    /// The number to go on before, when there is more.
    pub next: Option<i64>,
}

impl Answer {
    /// The task whose content this answer shows.
    pub(crate) fn task_shown(&self) -> Option<String> {
        match self {
            Self::Task(view) => Some(view.state.id.to_string()),
            Self::Approval(view) => Some(view.approval.task.to_string()),
            _ => None,
        }
    }

    /// Puts the content back that is not kept with the answer.
    pub(crate) fn with_content(mut self, content: String) -> Self {
        match &mut self {
            Self::Task(view) => view.content = content,
            Self::Approval(view) => view.content = content,
            _ => {}
        }
        self
    }
}
