//! `/activity`: who did what; and the tab History of a task.

use askama::Template;

use super::board::Choice;
use super::{Actor, Frame, TaskLink, When};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    pub frame: Frame,
    /// Types to choose from, all first with an empty value.
    pub types: Vec<Choice>,
    pub log: ActivityLog,
}

/// `/activity/list`.
#[derive(Template)]
#[template(path = "activity/list.html")]
pub struct ActivityList {
    pub log: ActivityLog,
}

/// A page of the log, newest first.
#[derive(Clone, Debug)]
pub struct ActivityLog {
    /// The address of the fragment; empty on older pages, which do not change.
    pub live: String,
    pub events: Vec<Event>,
    pub older: Option<String>,
    pub is_filtered: bool,
}

/// One row of the log.
#[derive(Clone, Debug)]
pub struct Event {
    pub seq: i64,
    /// `task.completed`.
    pub code: String,
    pub mark: Mark,
    pub actor: Actor,
    /// What was done, in words after the actor: `approved`, `added the desktop`.
    pub verb: String,
    pub task: Option<TaskLink>,
    /// The name of what is not a task: a desktop, a key.
    pub subject: Option<Shown>,
    /// `now Done`, `Task Approval on`.
    pub note: String,
    pub at: When,
    /// The hash of the row, hex.
    pub hash: String,
}

/// The icon of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Created,
    Queued,
    Started,
    Completed,
    Failed,
    Cancelled,
    Pruned,
    Asked,
    Approved,
    Rejected,
    Settings,
    Desktop,
    Key,
    Other,
}

impl Mark {
    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Created => "circle-plus",
            Self::Queued => "circle-dashed",
            Self::Started => "play",
            Self::Completed | Self::Approved => "circle-check",
            Self::Failed | Self::Rejected => "circle-x",
            Self::Cancelled => "ban",
            Self::Pruned => "file-x",
            Self::Asked => "eye",
            Self::Settings => "settings-2",
            Self::Desktop => "monitor",
            Self::Key => "key-round",
            Self::Other => "activity",
        }
    }

    /// Its class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Completed | Self::Approved => "done",
            Self::Failed | Self::Rejected => "failed",
            Self::Asked => "review",
            Self::Started => "running",
            Self::Cancelled => "cancelled",
            _ => "pending",
        }
    }
}
