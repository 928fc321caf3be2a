//! Lengths and ranges of what callers name (contract sections 3 and 5).

use crate::refusal::{Invalid, Refusal};

/// Most dependencies of one task.
pub const MAX_DEPENDENCIES: usize = 50;
/// Largest output of an attempt in bytes.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Longest name of a desktop or a key, in characters.
const MAX_NAME: usize = 100;

/// A name a person gave: 1 to 100 characters, not blank, without control characters.
pub(crate) fn check_name(what: Invalid, name: &str) -> Result<(), Refusal> {
    let wrong = |reason: &str| {
        Err(Refusal::Invalid {
            what,
            field: "name",
            reason: reason.to_owned(),
        })
    };
    if name.trim().is_empty() {
        wrong("must not be blank")
    } else if name.chars().count() > MAX_NAME {
        wrong("has more than 100 characters")
    } else if name.chars().any(char::is_control) {
        wrong("must not contain control characters")
    } else {
        Ok(())
    }
}

/// The name of a desktop, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopName(String);

impl DesktopName {
    /// # Errors
    /// [`Refusal::Invalid`] when the name is blank, too long or has control characters.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        check_name(Invalid::Desktop, name)?;
        Ok(Self(name.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
