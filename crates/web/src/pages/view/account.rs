//! `/settings/account`: password, sessions, the look and the keys of this browser.

use askama::Template;

use super::{Frame, When};
use crate::show::Shown;

/// The page.
#[derive(Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    pub frame: Frame,
    pub has_password: bool,
    pub password_error: Option<PasswordError>,
    pub sessions: Vec<Session>,
}

/// Why the password was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// The current one is wrong.
    Current,
    /// The new one is refused, and why.
    New(String),
}

/// One place where the person is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    /// The browser, as far as it said.
    pub agent: Shown,
    pub created: When,
    pub last_seen: When,
    pub is_current: bool,
}
