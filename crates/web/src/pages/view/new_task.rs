//! `/tasks/new`: the form, as a page and in the dialog.

use askama::Template;

use super::board::Choice;
use super::{Frame, Kind, TaskLink};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "new_task.html")]
pub struct NewTaskPage {
    pub frame: Frame,
    pub form: NewTask,
}

/// The content of the dialog.
#[derive(Template)]
#[template(path = "new_task_dialog.html")]
pub struct NewTaskDialog {
    pub form: NewTask,
}

/// The form with what was typed so far.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the form"
)]
#[derive(Clone, Debug)]
pub struct NewTask {
    pub idempotency_key: String,
    pub kind: Kind,
    pub title: String,
    pub content: String,
    pub desktops: Vec<Choice>,
    pub requires_approval: bool,
    /// Task Approval is on: the switch is shown locked on, with the reason.
    pub locked_on: bool,
    pub auto_run: bool,
    /// Without `tasks:run` nothing starts automatically.
    pub can_run: bool,
    /// What happens when a dependency fails: cancel instead of waiting.
    pub cancel_with_dependency: bool,
    /// Tasks it may depend on.
    pub candidates: Vec<Candidate>,
    /// Why it was refused, in words for people.
    pub error: Option<String>,
    /// May add a desktop, when there is none.
    pub can_add_desktop: bool,
}

/// A task that may be depended on.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: String,
    pub task: TaskLink,
    pub desktop: Shown,
    pub checked: bool,
}

impl NewTask {
    /// Whether it depends on anything: the list is then open.
    pub fn depends(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.checked)
    }
}
