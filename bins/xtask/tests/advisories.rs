//! What is in Cargo.lock is newer than what has a published security advisory. The `RustSec` database
//! cannot be fetched where continuous integration runs (deny.toml), so the advisories about our crates
//! stand here, with the first release that none of them is about.
//!
//! Taken from the database of 2026-08-21: for each crate of Cargo.lock that can be reached by what comes
//! from outside, the advisory with the highest patched release. A crate that leaves Cargo.lock leaves
//! this list.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A crate, the oldest release that is allowed, the advisory that says so and what it is about.
struct Minimum {
    name: &'static str,
    version: &'static str,
    advisory: &'static str,
    about: &'static str,
}

/// One line a crate.
macro_rules! minima {
    ($($name:literal $version:literal $advisory:literal $about:literal;)*) => {
        &[$(Minimum { name: $name, version: $version, advisory: $advisory, about: $about },)*]
    };
}

const MINIMA: &[Minimum] = minima! {
    // the database: a value of more than 4 GiB becomes a command (2024-0365, 2.2.3); bytes that are no
    // UTF-8 become a str (2026-0111, 2.3.8); a freed buffer is read
    "diesel" "2.3.10" "RUSTSEC-2026-0172" "use after free of a deserialised SQLite database";
    "diesel-async" "0.9.0" "RUSTSEC-2026-0138" "padding bytes are read";
    "libsqlite3-sys" "0.25.1" "RUSTSEC-2022-0090" "an array of SQLite overflows (CVE-2022-35737)";
    "postgres-protocol" "0.6.12" "RUSTSEC-2026-0179" "a server makes a client compute without end";
    "tokio-postgres" "0.7.18" "RUSTSEC-2026-0178" "a short row of a server ends the task";
    "rusqlite" "0.26.2" "RUSTSEC-2021-0128" "lifetimes of closures";

    // HTTP
    "actix-http" "3.0.0" "RUSTSEC-2021-0081" "requests can be smuggled past a proxy";
    "actix-web" "0.7.20" "RUSTSEC-2018-0019" "memory safety";
    "hyper" "0.14.12" "RUSTSEC-2022-0022" "uninitialised values; before it, smuggled requests";
    "http" "0.1.20" "RUSTSEC-2019-0033" "a map of headers overflows";
    "bytes" "1.11.1" "RUSTSEC-2026-0007" "a reservation overflows";
    "idna" "1.0.0" "RUSTSEC-2024-0421" "two texts for one host name";

    // TLS of the clients
    "rustls" "0.23.18" "RUSTSEC-2024-0399" "a peer ends the process";
    "rustls-webpki" "0.103.13" "RUSTSEC-2026-0104" "a revocation list ends the process; wrong names accepted";
    "ring" "0.17.12" "RUSTSEC-2025-0009" "AES ends the process";

    // what everything stands on
    "tokio" "1.44.2" "RUSTSEC-2025-0023" "a broadcast clones on two threads";
    "mio" "0.8.11" "RUSTSEC-2024-0019" "events after a deregistration";
    "slab" "0.4.11" "RUSTSEC-2025-0047" "read beyond the bounds";
    "smallvec" "1.6.1" "RUSTSEC-2021-0003" "a buffer overflows";
    "crossbeam-epoch" "0.9.20" "RUSTSEC-2026-0204" "an invalid pointer is read";
    "dashmap" "5.1.0" "RUSTSEC-2022-0002" "references outlive their lock";
    "thread_local" "1.1.4" "RUSTSEC-2022-0006" "a data race";
    "time" "0.3.47" "RUSTSEC-2026-0009" "a text exhausts the stack";
    "tracing-subscriber" "0.3.20" "RUSTSEC-2025-0055" "escape sequences of a user in the log";
    "sha2" "0.9.8" "RUSTSEC-2021-0100" "wrong digests with AVX2";
    "blake2" "0.8.1" "RUSTSEC-2019-0019" "wrong digests with a key";
    "base64" "0.5.2" "RUSTSEC-2017-0004" "a buffer overflows";
    "anyhow" "1.0.103" "RUSTSEC-2026-0190" "unsound downcast";
};

/// Major, minor, patch; what is before a release counts as older.
fn numbers(version: &str) -> (u64, u64, u64, bool) {
    let release = version.split('+').next().unwrap_or_default();
    let (numbers, is_release) = match release.split_once('-') {
        Some((numbers, _)) => (numbers, false),
        None => (release, true),
    };
    let mut parts = numbers
        .split('.')
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{version}")));
    let mut next = || parts.next().unwrap_or_else(|| panic!("{version}"));
    (next(), next(), next(), is_release)
}

/// The versions of each crate in Cargo.lock.
fn locked() -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    read_lock(&fs::read_to_string(path).unwrap())
}

fn read_lock(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut locked = BTreeMap::<String, Vec<String>>::new();
    let mut name = None;
    for line in text.lines() {
        let value = |key: &str| {
            let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
            value.strip_suffix('"').map(str::to_owned)
        };
        name = value("name").or(name);
        if let (Some(name), Some(version)) = (&name, value("version")) {
            locked.entry(name.clone()).or_default().push(version);
        }
    }
    locked
}

/// What is in a lock file and older than it may be, a sentence each.
fn too_old(locked: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for minimum in MINIMA {
        let Minimum {
            name,
            version,
            advisory,
            about,
        } = minimum;
        for locked in locked.get(*name).into_iter().flatten() {
            if numbers(locked) < numbers(version) {
                found.push(format!(
                    "{name} {locked}: {advisory} ({about}) needs {version}"
                ));
            }
        }
    }
    found
}

#[test]
fn nothing_in_the_lock_file_has_a_known_advisory() {
    let locked = locked();
    let gone: Vec<&str> = MINIMA
        .iter()
        .map(|minimum| minimum.name)
        .filter(|name| !locked.contains_key(*name))
        .collect();
    assert_eq!(gone, Vec::<&str>::new(), "not in Cargo.lock any more");
    assert_eq!(too_old(&locked), Vec::<String>::new());
}

#[test]
fn each_older_release_would_be_found() {
    for minimum in MINIMA {
        let (major, minor, patch, _) = numbers(minimum.version);
        let before = match (major, minor, patch) {
            (major, minor, patch @ 1..) => format!("{major}.{minor}.{}", patch - 1),
            (major, minor @ 1.., 0) => format!("{major}.{}.999", minor - 1),
            (major, 0, 0) => format!("{}.999.999", major - 1),
        };
        for (version, findings) in [
            (before, 1),
            (format!("{}-beta.9", minimum.version), 1),
            (minimum.version.to_owned(), 0),
            (format!("{}+build.7", minimum.version), 0),
        ] {
            let lock = format!(
                "[[package]]\nname = \"{}\"\nversion = \"{version}\"\n",
                minimum.name
            );
            let found = too_old(&read_lock(&lock));
            assert_eq!(found.len(), findings, "{} {version}", minimum.name);
        }
    }
}
