//! Passwords: argon2id, which is slow on purpose and therefore for people only.

use argon2::{Argon2, PasswordHasher};
use zeroize::Zeroizing;

use crate::Failure;

/// Shortest and longest password, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=1_000;

/// Hashes a password with argon2id and a random salt; returns the PHC string.
///
/// # Errors
/// When the password is too short or too long.
pub(crate) fn hash(password: &Zeroizing<String>) -> Result<String, Failure> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        return Err(format!(
            "the password has {length} characters, expected {} to {}",
            LENGTH.start(),
            LENGTH.end()
        )
        .into());
    }
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| format!("cannot hash the password: {error}"))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn a_hash_is_argon2id_salted_and_verifies_only_its_password() {
        let password = Zeroizing::new("correct horse battery".to_owned());
        let [one, two] = [hash(&password).unwrap(), hash(&password).unwrap()];
        assert!(one.starts_with("$argon2id$") && one != two);
        let parsed = PasswordHash::new(&one).unwrap();
        assert!(
            Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"correct horse batterz", &parsed)
                .is_err()
        );
    }

    #[test]
    fn a_short_password_is_refused() {
        assert!(hash(&Zeroizing::new("elevenchars".to_owned())).is_err());
    }
}
