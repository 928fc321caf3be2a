//! The server against its own description (suite F11): schemathesis reads `/openapi.json`, makes up
//! calls, good and bad ones, and checks every answer. `cargo xtask test` installs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use test_support::server::{Server, program};
use test_support::{Engine, TestDb, rounds};
use tokio::time::{MissedTickBehavior, interval};

use crate::rest::{Caller, answer, text};
use crate::site::{API, Desktop, TASKS, owner_key};

/// What is checked of each answer. Left out are those that a program cannot know from a
/// description: whether a valid call succeeds depends on the state of what it is about.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method,\
     missing_required_header,allow_header_conformance,negative_data_rejection";

/// How many calls are made up for an operation, beside those that cover its parameters and its
/// body.
const EXAMPLES: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    describes_itself(Engine::Sqlite).await;
}

/// Only in the long size: what is described knows no engine.
#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    if rounds(0) > 0 {
        describes_itself(Engine::Postgres).await;
    } else {
        println!("skipped: on PostgreSQL by `cargo xtask torture openapi`");
    }
}

async fn describes_itself(engine: Engine) {
    let Some(schemathesis) = installed() else {
        println!("skipped: schemathesis is missing; `cargo xtask test` installs it");
        return;
    };
    let Some(db) = TestDb::migrated(engine) else {
        return;
    };
    let site = Described::start(&db, schemathesis).await;
    let working = tokio::spawn(keep_working(
        site.desktop.agent.clone(),
        site.task_at_work(),
    ));
    let owner = site.owner.key();
    let runner_calls = "(claim|heartbeat|logs|files|complete)$";
    let run = async |key: &str, chosen: &[&str]| site.run(key, chosen).await;
    run(
        site.desktop.agent.key(),
        &["--include-path-regex", runner_calls],
    )
    .await;
    run(owner, &["--exclude-method", "DELETE"]).await;
    // what deletes keys may delete its own: it comes last
    run(owner, &["--include-method", "DELETE"]).await;
    working.abort();
}

/// The program, where `cargo xtask test` puts it: beside the programs that cargo builds.
fn installed() -> Option<PathBuf> {
    let folders = Path::new(API).ancestors();
    let mut programs = folders.map(|folder| folder.join("tools/schemathesis/bin/schemathesis"));
    programs.find(|program| program.is_file())
}

/// A server with things of each kind and state, so that not every made up call ends in 404.
struct Described {
    server: Server,
    owner: Caller,
    desktop: Desktop,
    tasks: Vec<String>,
    /// The task that is at work, and the token of its lease.
    at_work: (String, String),
    schemathesis: PathBuf,
}

impl Described {
    async fn start(db: &TestDb, schemathesis: PathBuf) -> Self {
        let key = owner_key(db.url());
        let url = db.url().to_owned();
        let server = Server::start(move || {
            let mut command = program(API);
            command
                .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "0"])
                .args(["--trusted-proxy", "127.0.0.1"])
                .env("DATABASE_URL", &url);
            command
        });
        let owner = Caller::new(server.url(), &key);
        let desktop = Desktop::create(&owner, "described").await;
        let reading = json!({"name": "agent", "kind": "agent", "desktopId": desktop.id,
            "capabilities": ["tasks:read", "tasks:write"]});
        let agent = owner.post("/api/auth/api-keys", &reading).await.is(201);
        let desktop = Desktop {
            agent: owner.with_key(&text(&agent["key"])),
            ..desktop
        };
        let mut tasks = Vec::new();
        for task in desktop.tasks_in_review(&owner, 4).await {
            tasks.push(text(&task["id"]));
        }
        for waiting in [false, false, true] {
            let task = json!({"type": "prompt", "content": "work", "desktopId": desktop.id, "autoRun": waiting});
            let task = owner.post(TASKS, &task).await.is(201);
            tasks.push(text(&task["id"]));
        }
        let (claimed, token) = desktop.claim().await;
        Self {
            server,
            owner,
            desktop,
            tasks,
            at_work: (text(&claimed["id"]), token),
            schemathesis,
        }
    }

    fn task_at_work(&self) -> (String, String) {
        self.at_work.clone()
    }

    /// Runs schemathesis with a key, on some of the operations.
    async fn run(&self, key: &str, chosen: &[&str]) {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("schemathesis.toml");
        fs::write(&config, self.config(key)).expect("a file");
        let examples = rounds(EXAMPLES);
        let mut command = program(&self.schemathesis);
        command
            .current_dir(folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--config-file")
            .arg(&config)
            .arg("run")
            .arg(format!("{}/openapi.json", self.server.url()))
            .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS])
            .args(["--max-examples", &examples.to_string()])
            // one: two threads that parse Python fail now and then on Python 3.11
            .args([
                "--workers",
                "1",
                "--request-timeout",
                "20",
                "--no-color",
                "--warnings",
                "off",
            ])
            .args(chosen);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("no panic").expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let counted = said.lines().find(|line| line.contains("generated"));
        println!("{chosen:?}: {}", counted.expect("a number of calls").trim());
    }

    fn config(&self, key: &str) -> String {
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/hooks.py");
        let words = |value: Value| value.to_string();
        format!(
            r#"
hooks = {hooks}
seed = 1
[generation]
with-security-parameters = false
[headers]
x-api-key = "{key}"
[dictionaries.tasks]
values = {tasks}
[dictionaries.desktops]
values = {desktops}
[dictionaries.leases]
values = {leases}
[parameters]
"header.x-lease-token" = {{ dictionary = "leases", probability = 0.8 }}
"path.desktop" = {{ dictionary = "desktops", probability = 0.8 }}
[[operations]]
include-path-regex = "stream$"
request-timeout = 0.5
[[operations]]
include-path-regex = "/tasks/"
parameters = {{ "path.id" = {{ dictionary = "tasks", probability = 0.8 }} }}
[[operations]]
include-path-regex = "^/api/desktops/.id."
parameters = {{ "path.id" = {{ dictionary = "desktops", probability = 0.8 }} }}
"#,
            hooks = words(json!(hooks)),
            tasks = words(json!(self.tasks)),
            desktops = words(json!([self.desktop.id])),
            leases = words(json!([self.at_work.1])),
        )
    }
}

/// Keeps the lease of the task at work alive.
async fn keep_working(agent: Caller, (task, token): (String, String)) {
    let mut beats = interval(Duration::from_secs(3));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let path = format!("{TASKS}/{task}/heartbeat");
        let beat = agent.request(Method::POST, &path);
        // whether it is still at work is for the calls that are made up
        let _answer = answer(beat.header("x-lease-token", &token)).await;
    }
}
