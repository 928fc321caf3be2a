//! `/sign-in`: e-mail and password, or a one-time link.

use askama::Template;

/// The page; it has no frame, for nobody is signed in.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// Where to go afterwards; path-absolute, checked by the handler.
    pub next: String,
    /// What was typed before.
    pub email: String,
    /// Why the form was refused.
    pub error: Option<SignInError>,
}

/// Why nobody was signed in, said beside the form it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// E-mail or password is wrong; which of them is not told.
    Password,
    /// The one-time link is unknown, used or older than 15 minutes.
    Link,
    /// Too many attempts from this address.
    Slow,
    /// The session ended: somebody signed out everywhere, or it was not used for 30 days.
    Ended,
}
