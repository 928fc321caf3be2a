//! Passwords: argon2id, which is slow on purpose and therefore for people only.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use zeroize::Zeroizing;

/// Shortest and longest password, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=1_000;

/// Why a password is not hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long; with its length in characters.
    #[error("the password has {0} characters, expected {min} to {max}", min = LENGTH.start(), max = LENGTH.end())]
    Length(usize),
    /// The system has no memory or no random numbers.
    #[error("cannot hash the password: {0}")]
    Hash(String),
}

/// Hashes a password with argon2id and a random salt; returns the PHC string. Takes about 20
/// milliseconds and 19 MiB of memory: never on a thread that serves connections.
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &Zeroizing<String>) -> Result<String, PasswordError> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        return Err(PasswordError::Length(length));
    }
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one behind `hash`. Without a hash nothing is, but finding out takes
/// as long, so that nobody learns by the clock which people exist.
pub(crate) fn verify(password: &str, hash: Option<&str>) -> bool {
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let Some(parsed) = parsed else {
        let _ = Argon2::default().hash_password(password.as_bytes());
        return false;
    };
    Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_hash_is_argon2id_salted_and_verifies_only_its_password() {
        let password = text("correct horse battery");
        let [one, two] = [(); 2].map(|()| hash(&password).expect("a hash"));
        assert!(one.starts_with("$argon2id$") && one != two);
        assert!(verify(&password, Some(&one)));
        assert!(!verify("correct horse batterz", Some(&one)));
        assert!(!verify(&password, None));
        assert!(!verify(&password, Some("not a hash")));
    }

    #[test]
    fn a_password_has_a_length() {
        assert_eq!(hash(&text("elevenchars")), Err(PasswordError::Length(11)));
        assert_eq!(
            hash(&text(&"x".repeat(1_001))),
            Err(PasswordError::Length(1_001))
        );
    }
}
