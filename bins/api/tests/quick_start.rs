//! `api` without a command: what a person meets in the first five minutes (contract sections 2
//! and 8).

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::server::{Process, Server, program};

use crate::evidence::{bytes, checked_activity, checked_evidence, payloads};
use crate::rest::{Caller, elements, eventually, text};
use crate::site::{API, APPROVALS, TASKS};

/// How long a shell may take for next to nothing.
const SOON: Duration = Duration::from_secs(10);

/// The quick start in a folder, on any free port.
pub fn quick_start(folder: &Path) -> Command {
    let mut command = program(API);
    command.current_dir(folder).env("LISTEN", "127.0.0.1:0");
    command
}

/// A started quick start in a folder of its own.
pub struct Home {
    pub server: Server,
    pub folder: TempDir,
    pub owner: Caller,
}

impl Home {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let mut server = Server::start(move || quick_start(&path));
        let key = key_line(server.process()).expect("the first start prints a key");
        let owner = Caller::new(server.url(), &key);
        Self {
            server,
            folder,
            owner,
        }
    }

    fn restart(&mut self) {
        self.server.restart();
        self.owner = self.owner.at(self.server.url());
    }

    async fn local_desktop(&self) -> String {
        let desktops = elements(self.owner.get("/api/desktops").await.is(200));
        assert_eq!(desktops.len(), 1);
        assert_eq!(desktops[0]["name"], "local");
        text(&desktops[0]["id"])
    }

    /// Creates a command task and runs it.
    pub async fn run(&self, content: &str) -> String {
        let desktop = self.local_desktop().await;
        let task = json!({
            "type": "command", "content": content, "desktopId": desktop, "requiresApproval": true,
        });
        let task = self.owner.post(TASKS, &task).await.is(201);
        let id = text(&task["id"]);
        let run = self
            .owner
            .post(&format!("{TASKS}/{id}/run"), &json!({}))
            .await;
        assert_eq!(run.is(200)["status"], "running");
        id
    }

    async fn run_to_review(&self, content: &str) -> Value {
        let id = self.run(content).await;
        let ended = ["review", "done", "failed"];
        let task = self.owner.task_in(&id, &ended, SOON).await;
        assert_eq!(task["status"], "review", "{task}");
        task
    }
}

/// The key that the program prints, if it does. What follows the address comes at once with it.
pub fn key_line(process: &mut Process) -> Option<String> {
    process.wait_for_line(|line| line.starts_with("Desktop: ").then_some(()));
    let said = process.stdout();
    let keys: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("API key: "))
        .collect();
    assert!(keys.len() < 2, "{said}");
    keys.first().map(|key| (*key).to_owned())
}

/// What a program says that refuses to start.
fn refusal(command: &mut Command) -> String {
    let mut process = Process::start(command);
    let status = process.wait();
    let said = process.stderr();
    assert!(status.code().is_some_and(|code| code != 0), "{said}");
    assert_eq!(process.stdout(), "", "nothing was promised");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_prints_address_and_key_and_the_second_where_to_look() {
    let mut home = Home::start();
    let (key, url) = (home.owner.key().to_owned(), home.server.url().to_owned());
    let first = home.server.process();
    let warning = "WARNING: tasks run unconfined as the server's user and can approve themselves";
    let confined = runner::level().confines();
    let expected = if confined {
        "tasks are confined"
    } else {
        warning
    };
    first.wait_for_line(|line| line.contains(expected).then_some(()));
    assert_eq!(first.stderr().contains("WARNING"), !confined);
    let said = first.stdout();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("Listening on {url}"));
    let token = lines[1].strip_prefix(&format!("Sign-in: {url}/sign-in#"));
    let token = token.expect("a link");
    assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(lines[2], format!("API key: {key}"));
    assert_eq!(said.matches("Listening on").count(), 1, "{said}");
    assert!(key.starts_with("csk_human_"));
    assert_eq!(said.matches("csk_").count(), 1, "{said}");

    let data = home.folder.path().join("data");
    let mode = data.metadata().expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(home.folder.path().join("work").is_dir());
    assert_eq!(home.owner.get(TASKS).await.is(200), json!([]));

    let first = home.server.process();
    assert_eq!(first.terminate().code(), Some(0));
    let logged = first.stderr();
    assert!(
        !logged.contains("csk_") && !logged.contains(token),
        "{logged}"
    );

    home.restart();
    let second = home.server.process();
    assert_eq!(key_line(second), None);
    let said = second.stdout();
    assert!(said.starts_with("Listening on http://127.0.0.1:"), "{said}");
    assert!(said.contains("api key create"), "where to look: {said}");
    assert!(!said.contains("csk_"), "{said}");
    assert!(
        said.contains("\nSign-in: ") && !said.contains(token),
        "{said}"
    );
    assert_eq!(home.owner.get(TASKS).await.is(200), json!([]));
    assert_eq!(home.server.process().terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_stops_in_review_and_is_decided_by_the_calls_of_the_mission() {
    let home = Home::start();
    let owner = &home.owner;
    let task = home
        .run_to_review("echo \"the answer is $((6 * 7))\"; echo oops >&2; pwd > made; exit 0")
        .await;
    let id = text(&task["id"]);
    assert_eq!(
        (&task["exitCode"], &task["gated"]),
        (&json!(0), &json!(true))
    );
    let work = home
        .folder
        .path()
        .join("work")
        .canonicalize()
        .expect("a folder");
    let made = std::fs::read_to_string(work.join("made")).expect("the shell ran there");
    assert_eq!(Path::new(made.trim()), work);

    let output = owner.get(&text(&task["outputUrl"])).await;
    assert_eq!(output.body, b"the answer is 42\n");
    let logs = elements(owner.get(&format!("{TASKS}/{id}/logs")).await.is(200));
    let of = |stream: &str| -> Vec<u8> {
        let lines = logs.iter().filter(|line| line["stream"] == stream);
        lines.flat_map(bytes).collect()
    };
    assert_eq!(of("stdout"), b"the answer is 42\n");
    assert_eq!(of("stderr"), b"oops\n");
    let evidence = checked_evidence(owner, &task).await;
    assert_eq!(evidence["outcome"], "succeeded");

    let pending = elements(owner.get(APPROVALS).await.is(200));
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["taskId"], id);
    assert_eq!(pending[0]["evidenceSha256"], task["evidenceSha256"]);

    let approve = json!({"decision": "approve"});
    let done = owner.post(&format!("{TASKS}/{id}/review"), &approve).await;
    assert_eq!(done.is(200)["status"], "done");
    assert_eq!(owner.get(APPROVALS).await.is(200), json!([]));
    let again = owner.post(&format!("{TASKS}/{id}/review"), &approve).await;
    let standing = &again.refuses(409, "already-decided")["standing"];
    assert_eq!(standing["decision"], "approve");

    let task = home.run_to_review("echo second").await;
    let path = format!("{TASKS}/{}/review", text(&task["id"]));
    let reject = json!({"decision": "reject", "feedback": "Not like this."});
    let failed = owner.post(&path, &reject).await.is(200);
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["review"]["feedback"], "Not like this.");
    assert_eq!(failed["error"], Value::Null, "the agent did nothing wrong");

    let task = home.run_to_review("echo third").await;
    let approval = text(&task["review"]["approvalId"]);
    let path = format!("{APPROVALS}/{approval}/resolve");
    let resolved = owner.post(&path, &approve).await.is(200);
    assert_eq!(resolved["status"], "approved");
    assert_eq!(resolved["task"]["status"], "done");

    let rows = checked_activity(owner).await;
    let decided: Vec<Value> = payloads(&rows, "approval.resolved")
        .into_iter()
        .map(|payload| payload["taskStatus"].clone())
        .collect();
    assert_eq!(decided, ["done", "failed", "done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_while_a_task_runs_ends_with_0_and_the_task_is_reported() {
    let mut home = Home::start();
    let id = home.run("echo begun; exec sleep 120").await;
    let logs = format!("{TASKS}/{id}/logs");
    eventually("the task prints", SOON, async || {
        let lines = elements(home.owner.get(&logs).await.is(200));
        (!lines.is_empty()).then_some(())
    })
    .await;
    let begin = Instant::now();
    assert_eq!(home.server.process().terminate().code(), Some(0));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());

    home.restart();
    let task = home.owner.get(&format!("{TASKS}/{id}")).await.is(200);
    assert_eq!(
        (&task["status"], &task["error"]),
        (&json!("failed"), &json!("runner stopped"))
    );
    checked_evidence(&home.owner, &task).await;
    checked_activity(&home.owner).await;
}

#[test]
fn a_work_folder_inside_the_data_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("inner")).expect("a folder");
    symlink(data.join("inner"), folder.path().join("elsewhere")).expect("a link");
    for workdir in ["data", "data/work", "data/../data/work", "elsewhere"] {
        let said = refusal(quick_start(folder.path()).env("WORKDIR", workdir));
        assert!(said.contains("WORKDIR"), "{said}");
        assert!(said.contains("inside the data folder"), "{said}");
        assert!(!data.join("countersign.db").exists(), "nothing was made");
    }
    let said = refusal(quick_start(folder.path()).args(["--workdir", "data/work"]));
    assert!(said.contains("WORKDIR"), "{said}");
}

#[test]
fn an_occupied_port_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = occupied.local_addr().expect("an address").to_string();
    let said = refusal(quick_start(folder.path()).env("LISTEN", &address));
    for part in [&address, "in use", "LISTEN"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0
    );
}

#[test]
fn a_second_server_in_the_same_folder_is_refused() {
    let mut home = Home::start();
    let said = refusal(&mut quick_start(home.folder.path()));
    assert!(said.contains("another Countersign server"), "{said}");
    assert_eq!(home.server.process().terminate().code(), Some(0));
}

#[test]
fn a_wrong_value_stops_the_program_and_its_variable_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = [
        (
            "LISTEN",
            "--listen",
            &["8080", "localhost", "127.0.0.1:99999", ""][..],
        ),
        (
            "RATE_LIMIT",
            "--rate-limit",
            &["many", "-1", "4294967296", ""],
        ),
        (
            "PUBLIC_URL",
            "--public-url",
            &["example.org", "ftp://example.org", "https://", ""],
        ),
        (
            "TRUSTED_PROXY",
            "--trusted-proxy",
            &["10.0.0.0/33", "proxy", "10.0.0.0/8,x"],
        ),
        ("LOG", "--log", &["api=loud", "a=b=c"]),
        ("LOG_FORMAT", "--log-format", &["xml"]),
    ];
    for (variable, flag, values) in wrong {
        for value in values {
            let flagged = format!("{flag}={value}");
            let said = [
                refusal(quick_start(folder.path()).env(variable, value)),
                refusal(
                    quick_start(folder.path())
                        .env_remove("LISTEN")
                        .arg(&flagged),
                ),
                refusal(serve(folder.path()).env(variable, value)),
                refusal(serve(folder.path()).env_remove("LISTEN").arg(&flagged)),
            ];
            for said in said {
                assert!(said.contains(variable), "{variable}={value}: {said}");
            }
        }
    }
    let made: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .collect();
    assert!(made.is_empty(), "{made:?}");
}

/// `api serve` on a database that is not there.
fn serve(folder: &Path) -> Command {
    let mut command = quick_start(folder);
    command
        .arg("serve")
        .env("DATABASE_URL", "sqlite:///nonexistent/x.db");
    command
}

#[test]
fn a_wrong_database_url_is_named_without_its_password() {
    for url in [
        "mysql://u:hunter2@h/d",
        "./x.db",
        "postgres://u:hunter2@h:x/d",
        "",
    ] {
        let said = refusal(program(API).arg("serve").env("DATABASE_URL", url));
        assert!(said.contains("DATABASE_URL"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let said = refusal(program(API).arg("serve"));
    assert!(said.contains("DATABASE_URL"), "{said}");
    let said = refusal(
        program(API)
            .arg("serve")
            .env("DATABASE_URL", "sqlite:///nonexistent/x.db"),
    );
    assert!(said.contains("/nonexistent/x.db"), "{said}");
    let gone = "postgres://u:hunter2@127.0.0.1:1/d";
    let said = refusal(program(API).arg("serve").env("DATABASE_URL", gone));
    assert!(said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_goes_on_when_its_desktop_is_deleted() {
    let mut home = Home::start();
    let desktop = home.local_desktop().await;
    let id = home.run("exec sleep 60").await;
    let path = format!("/api/desktops/{desktop}");
    home.owner.delete(&path).await.is(204);
    home.server
        .process()
        .wait_for_line(|line| line.contains("the server goes on without it").then_some(()));
    let task = home.owner.get(&format!("{TASKS}/{id}")).await.is(200);
    assert_eq!(task["error"], "desktop deleted");
    assert_eq!(home.server.process().terminate().code(), Some(0));
}
