//! A database, a server on it, a person's key, and desktops whose runner is the test itself or the
//! real program.

use std::path::Path;
use std::process::Output;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::server::{Process, Server, beside, program};
use test_support::{Engine, TestDb};

use crate::rest::{Caller, text};

/// The server program.
pub const API: &str = env!("CARGO_BIN_EXE_api");

/// Runs a test on every engine there is, at the same time.
pub fn on_every_engine(test: impl AsyncFn(TestDb) + Sync) {
    std::thread::scope(|threads| {
        for db in Engine::ALL.into_iter().filter_map(TestDb::migrated) {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            threads.spawn(|| {
                let runtime = runtime;
                runtime.block_on(test(db));
            });
        }
    });
}

/// Runs an administration command of `api` on a database.
pub fn administer(database_url: &str, arguments: &[&str]) -> Output {
    program(API)
        .env("DATABASE_URL", database_url)
        .args(arguments)
        .output()
        .expect("it starts")
}

/// The one line that a successful administration command prints.
#[track_caller]
pub fn printed(output: &Output) -> String {
    let stdout = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(output.status.success(), "{output:?}");
    let line = stdout.strip_suffix('\n').expect("a line");
    assert!(!line.contains(char::is_whitespace), "alone: {stdout}");
    line.to_owned()
}

/// An account with a key of a person that may do everything.
pub fn owner_key(database_url: &str) -> String {
    printed(&administer(
        database_url,
        &["account", "create", "--name", "site"],
    ));
    printed(&administer(
        database_url,
        &["key", "create", "--name", "owner", "--kind", "human"],
    ))
}

/// A running server with an account of its own.
pub struct Site {
    pub server: Server,
    pub owner: Caller,
    pub db: TestDb,
}

impl Site {
    pub fn start(db: TestDb) -> Self {
        let key = owner_key(db.url());
        let server = Server::serve(API, db.url());
        let owner = Caller::new(server.url(), &key);
        Self { server, owner, db }
    }

    /// Starts the server again; whoever called the old one must be told the new address.
    pub fn restart(&mut self) {
        self.server.restart();
        self.owner = self.owner.at(self.server.url());
    }

    pub async fn desktop(&self, name: &str) -> Desktop {
        Desktop::create(&self.owner, name).await
    }
}

/// A desktop and its key.
#[derive(Clone)]
pub struct Desktop {
    pub id: String,
    pub agent: Caller,
}

impl Desktop {
    pub async fn create(owner: &Caller, name: &str) -> Self {
        let desktop = owner.post("/api/desktops", &json!({"name": name})).await;
        let id = text(&desktop.is(201)["id"]);
        let key = json!({"name": name, "kind": "agent", "desktopId": id});
        let key = owner.post("/api/auth/api-keys", &key).await.is(201);
        let agent = owner.with_key(&text(&key["key"]));
        Self { id, agent }
    }

    /// The same desktop at another server.
    pub fn at(&self, url: &str) -> Self {
        Self {
            id: self.id.clone(),
            agent: self.agent.at(url),
        }
    }

    /// Starts the real runner for it.
    pub fn start_runner(&self, workdir: &Path) -> Process {
        self.start_runner_with(workdir, &[])
    }

    /// Starts the real runner for it, with these flags beside the necessary ones.
    pub fn start_runner_with(&self, workdir: &Path, flags: &[&str]) -> Process {
        let mut process = Process::start(
            program(beside(API, "desktop"))
                .args(["--server", self.agent.url(), "--desktop", &self.id])
                .arg("--workdir")
                .arg(workdir)
                .args(flags)
                .env("DESKTOP_API_KEY", self.agent.key()),
        );
        process.wait_for_line(|line| line.contains("runner started").then_some(()));
        process
    }

    /// Claims the next task as a runner would; the task and the token of its lease.
    pub async fn claim(&self) -> (Value, String) {
        let path = format!("/api/desktops/{}/claim", self.id);
        let claim = self.agent.post(&path, &json!({})).await.is(200);
        (claim["task"].clone(), text(&claim["lease"]["token"]))
    }

    /// Reports on a claimed task; gives the task after it.
    pub async fn complete(&self, task: &Value, token: &str, report: &Value) -> Value {
        let path = format!(
            "/api/desktops/{}/tasks/{}/complete",
            self.id,
            text(&task["id"])
        );
        let request = self.agent.request(reqwest::Method::POST, &path);
        let request = request.header("x-lease-token", token).json(report);
        let answer = crate::rest::answer(request).await.expect("an answer");
        answer.is(200)
    }

    /// Claims a task and reports success.
    pub async fn work(&self) -> Value {
        let (task, token) = self.claim().await;
        let report = json!({"outcome": "succeeded", "output": "worked"});
        self.complete(&task, &token, &report).await
    }

    /// So many tasks in review, made at the same time.
    pub async fn tasks_in_review(&self, owner: &Caller, number: usize) -> Vec<Value> {
        let command = json!({
            "type": "command", "content": "true", "desktopId": self.id,
            "requiresApproval": true, "autoRun": true,
        });
        let created = (0..number).map(|_| async { owner.post(TASKS, &command).await.is(201) });
        join_all(created).await;
        let worked = join_all((0..number).map(|_| self.work())).await;
        assert!(worked.iter().all(|task| task["status"] == "review"));
        worked
    }
}

/// Where tasks are.
pub const TASKS: &str = "/api/mission-control/tasks";
/// Where approvals are.
pub const APPROVALS: &str = "/api/mission-control/approvals";
