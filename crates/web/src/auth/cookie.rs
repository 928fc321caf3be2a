//! The session cookie (contract section 6): 256 random bits that only the browser has.

use actix_web::http::header::{COOKIE, HeaderMap};
use approval_core::Digest;
use store::random_digest;
use zeroize::Zeroizing;

/// How long a browser keeps the cookie, and the store an unused session, in seconds: 30 days.
const MAX_AGE: u32 = 30 * 24 * 60 * 60;
const NAME: &str = "countersign-session";
/// Under https: the browser then takes the cookie from this very host and over TLS only.
const SECURE_NAME: &str = "__Host-countersign-session";

/// The text in a session cookie; never stored and never printed by `Debug`.
#[derive(Clone)]
pub(crate) struct SessionText(Zeroizing<String>);

impl SessionText {
    /// A new random one.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub(crate) fn generate() -> Result<Self, impl std::fmt::Display> {
        random_digest().map(|random| Self(Zeroizing::new(random.to_string())))
    }

    /// The one that a request brings; `None` also for two different ones, of which one was planted.
    pub(crate) fn presented(headers: &HeaderMap, secure: bool) -> Option<Self> {
        let mut values = headers
            .get_all(COOKIE)
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == cookie_name(secure))
            .map(|(_, value)| value);
        let text = values.next()?;
        let is_unique = values.all(|other| other == text);
        let is_ours = text.parse::<Digest>().is_ok();
        (is_unique && is_ours).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The value of `Set-Cookie` that keeps it for another 30 days.
    pub(crate) fn set_cookie(&self, secure: bool) -> String {
        set_cookie(&self.0, MAX_AGE, secure)
    }
}

/// The value of `Set-Cookie` that ends a session in the browser.
pub(crate) fn removal(secure: bool) -> String {
    set_cookie("", 0, secure)
}

const fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { NAME }
}

fn set_cookie(value: &str, max_age: u32, secure: bool) -> String {
    let name = cookie_name(secure);
    let flag = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{flag}")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn presented(header: &str, secure: bool) -> Option<Digest> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(header).expect("a value"));
        SessionText::presented(&headers, secure).map(|text| text.digest())
    }

    #[test]
    fn what_is_set_is_found_again_under_its_own_name_only() {
        let text = SessionText::generate().unwrap_or_else(|_| panic!("random"));
        for secure in [false, true] {
            let set = text.set_cookie(secure);
            let pair = set.split(';').next().expect("a pair");
            assert_eq!(
                presented(&format!("a=b; {pair}"), secure),
                Some(text.digest())
            );
            assert_eq!(presented(pair, !secure), None);
            assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
            assert_eq!(
                set.starts_with("__Host-") && set.ends_with("; Secure"),
                secure
            );
        }
    }

    #[test]
    fn a_planted_second_cookie_makes_both_worthless() {
        let [one, other] = ["a", "b"].map(|digit| digit.repeat(64));
        assert!(presented(&format!("{NAME}={one}; {NAME}={one}"), false).is_some());
        assert_eq!(
            presented(&format!("{NAME}={one}; {NAME}={other}"), false),
            None
        );
        assert_eq!(presented(&format!("{NAME}=short"), false), None);
    }
}
