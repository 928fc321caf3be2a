//! There is no start without authentication, and no second first person (contract sections 6 and 8;
//! row A9).

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::{Method, redirect};
use test_support::server::{Process, Server, program};
use test_support::{Engine, TestDb, rounds};
use web::{Access, PAGES, ROUTES, Verb};

use crate::quick_start::{key_line, quick_start};
use crate::site::API;

/// Variables by which other programs are opened for development, demonstrations and emergencies.
const HOPES: [(&str, &str); 12] = [
    ("AUTH", "off"),
    ("NO_AUTH", "1"),
    ("DISABLE_AUTH", "true"),
    ("AUTH_ENABLED", "false"),
    ("ALLOW_ANONYMOUS", "1"),
    ("INSECURE", "1"),
    ("DEV", "1"),
    ("DEBUG", "1"),
    ("API_KEY", ""),
    ("ADMIN_PASSWORD", "admin"),
    ("LOG", "trace"),
    ("DEMO_MODE", "1"),
];

/// What somebody without a credential might say of themselves.
const CLAIMS: [(&str, &str); 6] = [
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-user", "admin"),
    ("x-real-ip", "127.0.0.1"),
    ("x-original-url", "/healthz"),
    ("x-rewrite-url", "/healthz"),
    ("sec-fetch-site", "same-origin"),
];

/// Settings that open a server further, each with what it is set to.
const OPENINGS: [(&str, &str); 3] = [
    ("RATE_LIMIT", "0"),
    ("PUBLIC_URL", "https://countersign.example"),
    ("TRUSTED_PROXY", "0.0.0.0/0,::/0"),
];

/// One way to start a server.
#[derive(Debug)]
struct Start {
    is_quick: bool,
    variables: Vec<(&'static str, &'static str)>,
}

impl Start {
    /// All thirty-two: both programs, with and without each setting and the hopes.
    fn every() -> impl Iterator<Item = Self> {
        (0..32).map(|n: u32| {
            let chosen = |bit: u32| n & (1 << bit) != 0;
            let openings = (2..).zip(OPENINGS).filter(|(bit, _)| chosen(*bit));
            let mut variables: Vec<_> = openings.map(|(_, variable)| variable).collect();
            if chosen(1) {
                variables.extend(HOPES);
            }
            Self {
                is_quick: chosen(0),
                variables,
            }
        })
    }

    fn server(&self, folder: &Path, database_url: &str) -> Server {
        let (folder, url) = (folder.to_owned(), database_url.to_owned());
        let (is_quick, variables) = (self.is_quick, self.variables.clone());
        Server::start(move || {
            let mut command = if is_quick {
                quick_start(&folder)
            } else {
                let mut command = program(API);
                command
                    .args(["serve", "--listen", "127.0.0.1:0"])
                    .env("DATABASE_URL", &url);
                command
            };
            command.envs(variables.iter().copied());
            command
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_start_lets_anybody_in() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(redirect::Policy::none())
        .build()
        .expect("a client");
    let mut asked = 0;
    for start in Start::every() {
        let folder = tempfile::tempdir().expect("a folder");
        // nobody has an account there yet
        let db = TestDb::migrated(Engine::Sqlite).expect("SQLite is always there");
        let mut server = start.server(folder.path(), db.url());
        for route in ROUTES.iter().chain(PAGES) {
            let path = route
                .path
                .replace("{id}", "task_00000000000000000000000000");
            let path = path
                .replace("{n}", "1")
                .replace("{desktop}", "desk_00000000000000000000000000");
            let path = path.replace("{name}", "app.css");
            let method: Method = route.verb.as_str().parse().expect("a method");
            let mut request = http.request(method, format!("{}{path}", server.url()));
            for (name, value) in CLAIMS {
                request = request.header(name, value);
            }
            if route.verb != Verb::Get {
                request = request.json(&serde_json::json!({}));
            }
            let status = request.send().await.expect("an answer").status();
            let is_public = route.access == Access::Public && route.verb == Verb::Get;
            let what = format!(
                "{start:?}: {} {}: {status}",
                route.verb.as_str(),
                route.path
            );
            assert_eq!(status.is_success(), is_public, "{what}");
            asked += 1;
        }
        server.process().kill();
    }
    println!("32 starts, {asked} requests");
}

#[test]
fn a_server_listens_at_home_unless_told_otherwise() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let help = program(API)
            .args(arguments)
            .output()
            .expect("it starts")
            .stdout;
        let help = String::from_utf8(help).expect("text");
        assert!(help.contains("[default: 127.0.0.1:8080]"), "{help}");
    }
}

/// So many first starts at the same time, of which one is the first.
const AT_ONCE: usize = 20;

#[test]
fn many_first_starts_make_one_owner() {
    let all = rounds(2 * AT_ONCE);
    let mut started = 0;
    while started < all {
        let folder = tempfile::tempdir().expect("a folder");
        let wave = AT_ONCE.min(all - started);
        let mut running: Vec<_> = (0..wave)
            .map(|_| Process::start(&mut quick_start(folder.path())))
            .collect();
        let mut owner = last_alive(&mut running);
        assert!(key_line(&mut owner).is_some_and(|key| key.starts_with("csk_human_")));
        assert!(owner.terminate().success());
        let db = TestDb::made_in(folder, "data/countersign.db");
        for (table, condition) in [
            ("accounts", "1 = 1"),
            ("users", "1 = 1"),
            ("api_keys", "kind = 'human'"),
        ] {
            let count = format!("SELECT count(*) FROM {table} WHERE {condition}");
            let count = db.query_scalar(&count).expect("a row");
            assert_eq!(count.as_deref(), Some("1"), "{table}");
        }
        started += wave;
    }
    println!("{started} first starts");
}

/// Waits until all but one have been refused, and gives the one that serves.
fn last_alive(running: &mut Vec<Process>) -> Process {
    let deadline = Instant::now() + Duration::from_mins(1);
    while running.len() > 1 {
        assert!(Instant::now() < deadline, "{} go on", running.len());
        running.retain_mut(|process| match process.ended() {
            Some(status) => {
                assert!(!status.success(), "it is refused");
                assert!(!process.stdout().contains("csk_"), "and shows no key");
                false
            }
            None => true,
        });
        thread::sleep(Duration::from_millis(5));
    }
    running.pop().expect("one of them is the first")
}
