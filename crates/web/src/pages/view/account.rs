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

impl AccountPage {
    /// Whether a session can be used by whoever gets its cookie.
    pub fn has_unbound(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_bound)
    }
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
    /// Makes a second press harmless.
    pub idempotency_key: String,
    /// The browser, as far as it said.
    pub agent: Shown,
    pub created: When,
    pub last_seen: When,
    /// Whether it changes something only from the origin that opened it.
    pub is_bound: bool,
    pub is_current: bool,
}
