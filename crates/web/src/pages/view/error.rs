//! What is shown when something is not there, not allowed or not working.

use askama::Template;

use super::Frame;

/// A page for somebody who is signed in.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub frame: Frame,
    pub problem: Problem,
}

/// A page when nobody is signed in, or when it is not known.
#[derive(Template)]
#[template(path = "error_bare.html")]
pub struct BareErrorPage {
    pub problem: Problem,
}

/// In the dialog.
#[derive(Template)]
#[template(path = "error_dialog.html")]
pub struct ErrorDialog {
    pub problem: Problem,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// 404.
    pub status: u16,
    /// `This page does not exist`.
    pub title: String,
    /// What it means and what to do.
    pub detail: String,
    /// Where to go: address and words.
    pub link: Option<(String, String)>,
}
