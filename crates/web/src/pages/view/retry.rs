//! `/tasks/{id}/retry`: the old feedback beside the new prompt.

use askama::Template;

use super::task::Feedback;
use super::{Frame, Kind};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "retry.html")]
pub struct RetryPage {
    pub frame: Frame,
    pub retry: Retry,
}

/// The content of the dialog.
#[derive(Template)]
#[template(path = "retry_dialog.html")]
pub struct RetryDialog {
    pub retry: Retry,
}

/// The form.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something the template asks"
)]
#[derive(Clone, Debug)]
pub struct Retry {
    pub task_id: String,
    pub idempotency_key: String,
    /// The name of the button: **Retry with changes** after a reject, else **Retry**.
    pub after_reject: bool,
    pub old_title: Shown,
    pub kind: Kind,
    pub desktop: Shown,
    /// Filled with the old ones to start from.
    pub title: String,
    pub content: String,
    pub requires_approval: bool,
    /// It stays gated: the task was gated and the reader may not decide, or Task Approval is on.
    pub locked_on: bool,
    pub lock_reason: &'static str,
    /// Start at once.
    pub run: bool,
    pub can_run: bool,
    /// All that was said, oldest first, that of the last decision included.
    pub feedback: Vec<Feedback>,
    /// Error of the agent or of the system.
    pub agent_error: Option<Shown>,
    pub error: Option<String>,
}

impl Retry {
    /// The name of the button.
    pub fn button(&self) -> &'static str {
        if self.after_reject {
            "Retry with changes"
        } else {
            "Retry"
        }
    }
}
