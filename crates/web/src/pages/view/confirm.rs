//! A question before something that cannot be undone: cancel a task, remove a desktop, revoke a
//! key, sign out everywhere.

use askama::Template;

use super::Frame;
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    pub frame: Frame,
    pub confirm: Confirm,
}

/// The content of the dialog.
#[derive(Template)]
#[template(path = "confirm_dialog.html")]
pub struct ConfirmDialog {
    pub confirm: Confirm,
}

/// The question.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// `Cancel this task?`
    pub question: &'static str,
    /// What it is about, one line.
    pub subject: Shown,
    /// What follows from it, a sentence each.
    pub consequences: Vec<String>,
    /// The name of the button, `Cancel task`.
    pub button: &'static str,
    /// Makes a second press harmless.
    pub idempotency_key: String,
    /// Where the form goes.
    pub action: String,
    /// Where **Back** leads without script.
    pub back: String,
    pub error: Option<String>,
}
