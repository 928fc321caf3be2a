//! The dashboard in a real browser: each file `browser/*.test.mjs`, on both engines, against the real
//! server. `cargo xtask test` installs what this needs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use test_support::server::{Server, program};
use test_support::{Engine, TestDb};

use crate::site::{API, owner_key, printed};

/// Of everybody who signs in here.
const PASSWORD: &str = "correct horse battery staple";

macro_rules! suites {
    ($($name:ident)+) => {
        mod sqlite {$(
            #[test]
            fn $name() { super::run(test_support::Engine::Sqlite, stringify!($name)); }
        )+}
        mod postgres {$(
            #[test]
            fn $name() { super::run(test_support::Engine::Postgres, stringify!($name)); }
        )+}
    };
}

suites! { first settings phone axe hostile lies mission race live noscript origin }

fn run(engine: Engine, suite: &str) {
    if let Some(missing) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        println!("SKIPPED: {missing}");
        return;
    }
    let Some(db) = TestDb::migrated(engine) else {
        return;
    };
    let key = owner_key(db.url());
    for email in ["ada@example.org", "ben@example.org"] {
        add_person(db.url(), email);
    }
    let server = Server::serve(API, db.url());
    let mut node = node();
    // `cargo xtask torture` says how many rounds there are
    if let Some(rounds) = std::env::var_os("TORTURE_ROUNDS") {
        node.env("SITE_ROUNDS", rounds);
    } else if suite == "hostile" && engine == Engine::Postgres {
        // pages know no engine: one of the two goes through all of it
        node.env("SITE_ROUNDS", "12");
    }
    let output = node
        .arg("--test")
        .arg(folder().join(format!("{suite}.test.mjs")))
        .env("SITE_URL", server.url())
        .env("SITE_KEY", key)
        .env("SITE_PASSWORD", PASSWORD)
        .env("SITE_PROGRAM", API)
        .env("DATABASE_URL", db.url())
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{suite}:\n{said}");
    println!("{said}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// What `cargo xtask test` would install, if it could.
fn missing() -> Option<&'static str> {
    let has_node = node().arg("--version").stdout(Stdio::null()).status();
    if !has_node.is_ok_and(|status| status.success()) {
        return Some("the browser tests need node (Debian: apt-get install nodejs)");
    }
    if !folder().join("node_modules").is_dir() {
        return Some("the browser tests need their packages: npm ci in bins/api/tests/browser");
    }
    let chromium = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    (!Path::new(&chromium).exists())
        .then_some("the browser tests need chromium (Debian: apt-get install chromium)")
}

/// node with nothing of this environment but what it needs to find itself and the browser.
fn node() -> Command {
    let mut node = program("node");
    for name in ["HOME", "CHROMIUM"] {
        if let Some(value) = std::env::var_os(name) {
            node.env(name, value);
        }
    }
    node
}

fn add_person(database_url: &str, email: &str) {
    let mut creating = program(API)
        .env("DATABASE_URL", database_url)
        .args(["user", "create", "--email", email, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = creating.stdin.take().expect("a pipe");
    writeln!(stdin, "{PASSWORD}").expect("it reads");
    drop(stdin);
    let created = creating.wait_with_output().expect("it ends");
    printed(&created);
}
