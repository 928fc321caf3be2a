//! The key a request presents: `x-api-key` or `Authorization: Bearer` (contract section 6).

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use approval_core::Digest;
use store::KeyText;

/// What the two headers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    /// No key at all.
    Nothing,
    /// Something that is no key by form or checksum, or two different ones.
    NoKey,
    /// The SHA-256 of a text that has the form of a key.
    Key(Digest),
}

/// Reads the two headers and nothing else. No look at the database is needed to refuse a made-up
/// or mistyped key.
pub(crate) fn key(headers: &HeaderMap) -> Presented {
    let bearers = headers.get_all(AUTHORIZATION).filter_map(bearer);
    let mut texts = headers
        .get_all("x-api-key")
        .map(HeaderValue::as_bytes)
        .chain(bearers);
    let Some(text) = texts.next() else {
        return Presented::Nothing;
    };
    if texts.any(|other| other != text) {
        return Presented::NoKey;
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(KeyText::parse)
        .map_or(Presented::NoKey, |key| Presented::Key(key.digest().sha256))
}

/// The credential of the scheme `Bearer`; other schemes are for others, such as a proxy.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, credential) = value.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| credential.trim_ascii())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;
    use approval_core::KeyKind;

    use super::*;

    fn presented(headers: &[(&'static str, &str)]) -> Presented {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            map.append(HeaderName::from_static(name), value);
        }
        key(&map)
    }

    #[test]
    fn one_key_by_either_header_or_both() {
        let text = KeyText::generate(KeyKind::Human).expect("random");
        let (is, key) = (Presented::Key(text.digest().sha256), text.reveal());
        let bearer = format!("bearer {key}");
        assert_eq!(presented(&[("x-api-key", key)]), is);
        assert_eq!(presented(&[("authorization", &bearer)]), is);
        let both = [("x-api-key", key), ("authorization", &bearer)];
        assert_eq!(presented(&both), is);
        let proxy = [("x-api-key", key), ("authorization", "Basic dTpw")];
        assert_eq!(presented(&proxy), is);
    }

    #[test]
    fn two_keys_or_a_bad_one_are_none() {
        let keys = [(); 2].map(|()| KeyText::generate(KeyKind::Human).expect("random"));
        let [one, other] = keys.each_ref().map(KeyText::reveal);
        assert_eq!(presented(&[]), Presented::Nothing);
        assert_eq!(
            presented(&[("authorization", "Basic dTpw")]),
            Presented::Nothing
        );
        let different = format!("Bearer {other}");
        for headers in [
            vec![("x-api-key", "")],
            vec![("x-api-key", "csk_human_1")],
            vec![("x-api-key", one), ("x-api-key", other)],
            vec![("x-api-key", one), ("authorization", &different)],
            vec![("x-api-key", one), ("authorization", "Bearer ")],
        ] {
            assert_eq!(presented(&headers), Presented::NoKey);
        }
    }
}
