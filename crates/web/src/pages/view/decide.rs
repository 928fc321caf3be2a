//! `/tasks/{id}/decide`: the second press. Nothing an agent wrote is here, but the title.

use askama::Template;

use super::task::{Changes, Decision, Next, Release};
use super::{Frame, Kind, When};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "decide.html")]
pub struct DecidePage {
    pub frame: Frame,
    pub decide: Decide,
}

/// The content of the dialog.
#[derive(Template)]
#[template(path = "decide_dialog.html")]
pub struct DecideDialog {
    pub decide: Decide,
}

/// Somebody was faster, or the same decision was sent again: the page.
#[derive(Template)]
#[template(path = "decided.html")]
pub struct DecidedPage {
    pub frame: Frame,
    pub decided: Decided,
}

/// The same in the dialog.
#[derive(Template)]
#[template(path = "decided_dialog.html")]
pub struct DecidedDialog {
    pub decided: Decided,
}

/// What is decided, and on what.
#[derive(Clone, Debug)]
pub struct Decide {
    pub task_id: String,
    pub idempotency_key: String,
    pub approve: bool,
    /// `show::line` of the title, cut at 120 characters.
    pub title: Shown,
    pub kind: Kind,
    pub desktop: Shown,
    pub exit_code: Option<i64>,
    pub seconds: Option<i64>,
    pub completed: Option<When>,
    pub attempt: i64,
    pub changes: Changes,
    pub evidence: String,
    /// What an approval starts at once; titles cut at 120 characters.
    pub releases: Vec<Release>,
    /// What of the evidence is missing, "12 MB of the log were dropped": an approval acknowledges it.
    pub missing: Vec<String>,
    /// The note so far.
    pub note: String,
    /// Why it was refused; the form can be sent again.
    pub error: Option<String>,
}

/// The decision that stands.
#[derive(Clone, Debug)]
pub struct Decided {
    pub task_id: String,
    pub title: Shown,
    /// `None`: the task left review without a decision, or never came to it.
    pub decision: Option<Decision>,
    /// The one that was tried now, when it is not the one that stands.
    pub tried_approve: Option<bool>,
    pub next: Option<Next>,
}

/// Reasons to start a reject from: what the button says and what it writes. The address is
/// `?decision=reject&reason=N`, counted from 1, for those without script.
pub const REASONS: [(&str, &str); 3] = [
    ("Not what was asked", "This is not what was asked for: "),
    ("Changes too much", "It changes more than was asked for: "),
    ("Not now", "The work is fine, but not now: "),
];
