//! The text of an API key: `csk_KIND_` + 256 random bits + checksum (contract section 6).
//!
//! The checksum refuses typing errors and made-up keys without a look at the database. SHA-256 is
//! the right hash here: 256 random bits cannot be guessed, and a slow hash on every request would
//! be a denial of service of our own.

use approval_core::{Digest, KeyKind};
use zeroize::Zeroizing;

/// Characters of the random part and of the checksum.
const RANDOM_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// A key as its owner holds it; never stored and never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(Zeroizing<String>);

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigest {
    /// SHA-256 of the text.
    pub sha256: Digest,
    /// Its last four characters, so that people recognise it.
    pub last4: String,
}

impl KeyText {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate(kind: KeyKind) -> Result<Self, getrandom::Error> {
        let random = random_digest()?;
        let text = format!("csk_{kind}_{random}");
        let checksum = crc32fast::hash(text.as_bytes());
        Ok(Self(Zeroizing::new(format!("{text}{checksum:08x}"))))
    }

    /// Recognises a key by its form and checksum, whether it exists or not.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, digits) = text.strip_prefix("csk_")?.split_once('_')?;
        kind.parse::<KeyKind>().ok()?;
        let hexadecimal = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != RANDOM_DIGITS + CHECKSUM_DIGITS || !hexadecimal {
            return None;
        }
        let (body, checksum) = text.split_at(text.len() - CHECKSUM_DIGITS);
        let expected = u32::from_str_radix(checksum, 16).ok()?;
        (crc32fast::hash(body.as_bytes()) == expected)
            .then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is kept of it.
    pub fn digest(&self) -> KeyDigest {
        let last4 = self.0.chars().skip(self.0.len() - 4).collect();
        KeyDigest {
            sha256: Digest::of(self.0.as_bytes()),
            last4,
        }
    }

    /// The text, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// 256 bits from the operating system. Also what lease tokens are made of.
///
/// # Errors
/// When the operating system has no random numbers.
pub fn random_digest() -> Result<Digest, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_recognised_and_any_changed_character_is_not() {
        let key = KeyText::generate(KeyKind::Agent).unwrap();
        assert!(key.reveal().starts_with("csk_agent_"));
        assert_eq!(KeyText::parse(key.reveal()).as_ref(), Some(&key));
        for position in 0..key.reveal().len() {
            let mut other = key.reveal().as_bytes().to_vec();
            other[position] = if other[position] == b'0' { b'1' } else { b'0' };
            assert_eq!(KeyText::parse(std::str::from_utf8(&other).unwrap()), None);
        }
    }

    #[test]
    fn neither_debug_nor_the_digest_holds_the_key() {
        let key = KeyText::generate(KeyKind::Human).unwrap();
        assert!(!format!("{key:?} {:?}", key.digest()).contains(&key.reveal()[10..70]));
    }

    #[test]
    fn two_keys_differ() {
        let keys = [(); 2].map(|()| KeyText::generate(KeyKind::Service).unwrap());
        assert_ne!(keys[0], keys[1]);
    }
}
