//! Style sheet, scripts and icons, inside the binary. Every address carries a hash of the content,
//! so that browsers may keep what they have for good.
//!
//! Files under `assets/vendor` are other people's work, unchanged; `cargo xtask vendor-assets`
//! keeps them and their checksums.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// One file as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    pub bytes: &'static [u8],
    pub content_type: &'static str,
    /// Strong, with its quotes, ready for the header.
    pub etag: &'static str,
}

/// The icons, as `<symbol>`s; every page has them once. Inside the page, because browsers disagree
/// on which directive of a content security policy a `<use>` of another file falls under.
pub const ICONS: &str = include_str!("../assets/icons.svg");

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The tokens first, then ours, in the order of their layers.
const STYLES: &str = concat!(
    include_str!("../assets/vendor/open-props-1.7.23/fonts.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/sizes.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/shadows.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/gray.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/indigo.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/green.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/red.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/yellow.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/violet.min.css"),
    include_str!("../assets/vendor/open-props-1.7.23/teal.min.css"),
    "\n",
    include_str!("../assets/css/tokens.css"),
    include_str!("../assets/css/base.css"),
    include_str!("../assets/css/layout.css"),
    include_str!("../assets/css/controls.css"),
    include_str!("../assets/css/parts.css"),
    include_str!("../assets/css/board.css"),
    include_str!("../assets/css/task.css"),
    include_str!("../assets/css/text.css"),
    include_str!("../assets/css/dialog.css"),
);

/// Name, content type and content of all there is.
const FILES: [(&str, &str, &[u8]); 6] = [
    ("app.css", "text/css; charset=utf-8", STYLES.as_bytes()),
    ("theme.js", JAVASCRIPT, include_bytes!("../assets/theme.js")),
    ("app.js", JAVASCRIPT, include_bytes!("../assets/app.js")),
    (
        "htmx.js",
        JAVASCRIPT,
        include_bytes!("../assets/vendor/htmx-4.0.1/htmx.min.js"),
    ),
    (
        "hx-sse.js",
        JAVASCRIPT,
        include_bytes!("../assets/vendor/htmx-4.0.1/hx-sse.min.js"),
    ),
    (
        "favicon.svg",
        "image/svg+xml",
        include_bytes!("../assets/favicon.svg"),
    ),
];

/// A file with what is computed from it once.
struct Entry {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    etag: String,
    url: String,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |(name, content_type, bytes): (&'static str, &'static str, &'static [u8])| {
        let digest = Sha256::digest(bytes);
        let hash: String = digest
            .iter()
            .take(8)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        Entry {
            name,
            content_type,
            bytes,
            etag: format!("\"{hash}\""),
            url: format!("/assets/{name}?v={hash}"),
        }
    };
    FILES.into_iter().map(entry).collect()
});

/// The file of this name.
pub fn find(name: &str) -> Option<Asset> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name)?;
    Some(Asset {
        bytes: entry.bytes,
        content_type: entry.content_type,
        etag: &entry.etag,
    })
}

/// Its address, with the hash; a name that is none leads to nothing, which a test notices.
pub fn url(name: &str) -> &'static str {
    ENTRIES
        .iter()
        .find(|entry| entry.name == name)
        .map_or("/assets/", |entry| &entry.url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_the_hash_of_the_content() {
        for (name, _, bytes) in FILES {
            let asset = find(name).expect("listed");
            assert_eq!(asset.bytes, bytes);
            let (path, hash) = url(name).split_once("?v=").expect("has a hash");
            assert_eq!(path, format!("/assets/{name}"));
            assert_eq!(asset.etag, format!("\"{hash}\""));
        }
        assert!(find("../Cargo.toml").is_none());
        assert_eq!(url("nothing"), "/assets/");
    }

    /// The policy of the pages forbids what it cannot check: another origin, an inline style, eval.
    #[test]
    fn our_files_stay_within_the_content_security_policy() {
        for name in ["app.js", "theme.js", "app.css"] {
            let text = str::from_utf8(find(name).expect("listed").bytes).expect("UTF-8");
            for forbidden in [
                "http://",
                "https://",
                "eval(",
                "new Function",
                "innerHTML",
                ".style.",
                "url(",
            ] {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }

    #[test]
    fn a_page_stays_light() {
        let own: usize = ["app.css", "app.js", "theme.js"]
            .map(|name| find(name).expect("listed").bytes.len())
            .iter()
            .sum();
        assert!(own < 100_000, "{own} bytes before compression");
    }
}
