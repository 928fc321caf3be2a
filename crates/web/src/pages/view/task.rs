//! `/tasks/{id}`: facts first, then what the agent wrote.

use askama::Template;

use super::activity::Event;
use super::files::{FileDiffView, Files};
use super::logs::{Chunk, Logs};
use super::pruned::Pruned;
use super::{Actor, Frame, Gate, Kind, Status, TaskLink, When, words};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "task.html")]
pub struct TaskPage {
    pub frame: Frame,
    pub facts: Facts,
    pub summary: Summary,
    pub tab: Tab,
}

/// `/tasks/{id}/facts`: everything above the tabs, and the decision bar.
#[derive(Template)]
#[template(path = "task/facts.html")]
pub struct TaskFacts {
    pub facts: Facts,
}

/// What the server itself knows about the task.
#[derive(Clone, Debug)]
pub struct Facts {
    pub id: String,
    pub title: Shown,
    pub status: Status,
    pub kind: Kind,
    /// What runs or ran.
    pub content: Shown,
    pub created_by: Actor,
    pub created: When,
    pub desktop: DesktopFact,
    /// Running, but no desktop has taken it.
    pub unclaimed: bool,
    pub started: Option<When>,
    pub completed: Option<When>,
    /// From the claim to the end, or till now.
    pub seconds: Option<i64>,
    pub exit_code: Option<i64>,
    /// Of the agent or of the system, never of a reviewer.
    pub error: Option<Shown>,
    pub attempt: i64,
    pub max_attempts: i64,
    pub gate: Gate,
    /// Sealed evidence.
    pub evidence: Option<String>,
    pub changes: Changes,
    pub log: LogFact,
    /// Unfinished tasks it waits for.
    pub blocked_by: Vec<TaskLink>,
    /// What an approval starts at once.
    pub releases: Vec<Release>,
    /// What reviewers of earlier attempts said, oldest first.
    pub feedback: Vec<Feedback>,
    pub decision: Option<Decision>,
    pub retry_of: Option<TaskLink>,
    pub retried_by: Option<TaskLink>,
    pub actions: Actions,
    pub next: Option<Next>,
    /// Invisible characters drawn in title, content and error.
    pub escapes: usize,
}

/// The desktop of a task.
#[derive(Clone, Debug)]
pub struct DesktopFact {
    pub name: Shown,
    pub state: DesktopState,
    pub last_seen: Option<When>,
}

/// Whether a desktop is heard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesktopState {
    Running,
    Stopped,
    Removed,
}

impl DesktopState {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
            Self::Removed => "Removed",
        }
    }

    /// Its class.
    pub fn code(self) -> &'static str {
        match self {
            Self::Running => "done",
            Self::Stopped => "pending",
            Self::Removed => "failed",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Running => "wifi",
            Self::Stopped => "wifi-off",
            Self::Removed => "trash-2",
        }
    }
}

/// What changed, in one line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    pub files: i64,
    /// `None`: not known, as for binary files.
    pub added: Option<i64>,
    pub removed: Option<i64>,
}

impl Changes {
    /// `12 files`.
    pub fn files_text(&self) -> String {
        words::count(self.files, "file", "files")
    }
}

/// The log of the attempt.
#[derive(Clone, Debug, Default)]
pub struct LogFact {
    pub entries: i64,
    pub bytes: i64,
    /// Dropped from the middle when it was written; never to be seen again.
    pub dropped: i64,
    /// Given up later, with the files.
    pub pruned: Option<Pruned>,
}

/// A task that an approval starts.
#[derive(Clone, Debug)]
pub struct Release {
    pub href: String,
    pub title: Shown,
    pub kind: Kind,
    pub desktop: Shown,
}

/// What a reviewer said about an earlier attempt.
#[derive(Clone, Debug)]
pub struct Feedback {
    pub text: Shown,
    pub by: Actor,
    pub at: When,
    /// The task it was said about.
    pub href: String,
}

/// The decision that stands.
#[derive(Clone, Debug)]
pub struct Decision {
    pub outcome: Outcome,
    pub by: Actor,
    pub at: When,
    pub feedback: Option<Shown>,
}

/// How it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Approved,
    Rejected,
    /// The task was cancelled while it was in review.
    Cancelled,
}

impl Outcome {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Cancelled => "Cancelled",
        }
    }

    /// In a sentence: "You approved this".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Its class.
    pub fn code(self) -> &'static str {
        match self {
            Self::Approved => "done",
            Self::Rejected => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Approved => "circle-check",
            Self::Rejected => "circle-x",
            Self::Cancelled => "ban",
        }
    }
}

/// What applies now and may be done by the reader.
#[expect(clippy::struct_excessive_bools, reason = "one for each button")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Actions {
    /// Approve and Reject: in review, and the reader may decide.
    pub decide: bool,
    pub run: bool,
    pub cancel: bool,
    /// From failed or cancelled, when there is no retry yet. After a reject the button reads
    /// **Retry with changes**.
    pub retry: bool,
}

/// The oldest other task in review.
#[derive(Clone, Debug)]
pub struct Next {
    pub href: String,
    /// How many are left, itself included.
    pub left: i64,
}

/// What a phone shows before the tabs.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The last 20 lines of the log.
    pub last_lines: Vec<Chunk>,
    /// The first file that has a diff.
    pub first_diff: Option<FileDiffView>,
    /// Why there is neither, when they were given up.
    pub pruned: Option<Pruned>,
}

/// The tab that is open.
#[derive(Clone, Debug)]
pub enum Tab {
    Output(Output),
    Logs(Logs),
    Files(Files),
    History(Vec<Event>),
}

impl Tab {
    /// The value of `?tab=`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Output(_) => "output",
            Self::Logs(_) => "logs",
            Self::Files(_) => "files",
            Self::History(_) => "history",
        }
    }
}

/// What the agent says it did.
#[derive(Clone, Debug)]
pub struct Output {
    pub text: Shown,
    pub bytes: i64,
    /// What is kept but not shown on the page: bytes after the part in `text`.
    pub hidden_bytes: i64,
    /// Cut when it was written.
    pub truncated: bool,
    /// It was made of the log, and that was given up.
    pub pruned: Option<Pruned>,
    /// The exact bytes, as a download.
    pub raw: String,
}
