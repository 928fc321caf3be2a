//! What must hold for any bytes whatever: called by the fuzz targets in `fuzz/`, and by ordinary tests
//! with what those found worth keeping. In no other build.

use approval_core::{Digest, KeyKind};

use crate::KeyText;
use crate::url::DatabaseUrl;

/// A password that no message may show.
const SECRET: &str = "hunter2-hunter2";

/// Text that claims to be a key.
///
/// # Panics
/// When something does not hold.
pub fn key_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(key) = KeyText::parse(&text) {
        assert_eq!(key.reveal(), text, "nothing is trimmed or repaired");
        let digest = key.digest();
        assert_eq!(digest.sha256, Digest::of(data));
        assert!(text.ends_with(&digest.last4) && digest.last4.len() == 4);
        assert!(!format!("{key:?}{digest:?}").contains(text.as_ref()));
    }
    // one that is well made is known, and with any other character in it no longer
    let kinds = [KeyKind::Human, KeyKind::Service, KeyKind::Agent];
    let kind = kinds[usize::from(data.first().copied().unwrap_or_default()) % kinds.len()];
    let body = format!("csk_{kind}_{}", Digest::of(data));
    let good = format!("{body}{:08x}", crc32fast::hash(body.as_bytes()));
    assert!(KeyText::parse(&good).is_some(), "{good}");
    if let [_, at, with, ..] = data {
        let mut bad = good.clone().into_bytes();
        let at = usize::from(*at) % bad.len();
        bad[at] = *with;
        let bad = String::from_utf8_lossy(&bad);
        assert_eq!(KeyText::parse(&bad).is_some(), bad == good, "{bad}");
    }
}

/// Text that claims to be the URL of a database.
///
/// # Panics
/// When something does not hold.
pub fn database_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = text.parse::<DatabaseUrl>() {
        let shown = url.to_string();
        match &url {
            DatabaseUrl::Sqlite(path) => {
                assert_eq!(path.to_str(), text.strip_prefix("sqlite://"));
                assert_eq!(shown, text);
            }
            DatabaseUrl::Postgres(_) => assert!(shown.starts_with("postgres://"), "{shown}"),
        }
    }
    // a password is in no message, whether the rest can be read or not
    if text.contains("hunter2") {
        return;
    }
    for url in [
        format!("postgres://ann:{SECRET}@host/db?{text}"),
        format!("postgres://ann:{SECRET}@{text}"),
        format!("postgresql://host/{text}?user=ann&password={SECRET}"),
    ] {
        let shown = match url.parse::<DatabaseUrl>() {
            Ok(url) => format!("{url} {url:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[cfg(test)]
mod tests {
    use test_support::corpus::replay;

    #[test]
    fn keys_of_the_corpus() {
        replay("key_text", super::key_text);
    }

    #[test]
    fn database_urls_of_the_corpus() {
        replay("database_url", super::database_url);
    }
}
