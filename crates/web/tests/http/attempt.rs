//! An attempt that the test works on as its runner.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::world::{Answer, World, of_task};

/// A claimed task of a desktop.
pub struct Attempt<'a> {
    world: &'a World,
    agent: String,
    token: String,
    pub task: String,
    logged: usize,
}

impl<'a> Attempt<'a> {
    /// Creates a task that will be reviewed, and claims it.
    pub async fn start(
        world: &'a World,
        (desktop, agent): &(String, String),
        title: &str,
        content: &str,
    ) -> Self {
        let members = json!({
            "title": title, "content": content, "requiresApproval": true, "autoRun": true,
        });
        let task = world.task(desktop, members).await;
        let (claimed, token) = world.claim(desktop, agent).await;
        assert_eq!(claimed, task);
        Self {
            world,
            agent: agent.clone(),
            token,
            task,
            logged: 0,
        }
    }

    /// A call about it with the token of its lease.
    pub async fn call(&self, what: &str, body: &Value) -> Answer {
        let path = of_task(&self.task, what);
        self.world
            .leased(&self.agent, &self.token, &path, body)
            .await
    }

    /// Sends entries of standard output.
    pub async fn log(&mut self, entries: &[&[u8]]) {
        let entries: Vec<Value> = (self.logged..)
            .zip(entries)
            .map(|(seq, bytes)| {
                json!({
                    "seq": seq, "stream": "stdout", "at": "2026-03-15T10:05:00Z",
                    "base64": STANDARD.encode(bytes),
                })
            })
            .collect();
        self.logged += entries.len();
        self.call("logs", &json!({"entries": entries}))
            .await
            .is(202);
    }

    /// Sends changed files.
    pub async fn files(&self, files: &[Value]) {
        self.call("files", &json!({"files": files})).await.is(202);
    }

    /// Ends it successfully, with further members of the report; the task after it.
    pub async fn complete(&self, members: &Value) -> Value {
        let mut report = json!({"outcome": "succeeded", "exitCode": 0});
        if let (Value::Object(report), Value::Object(members)) = (&mut report, members) {
            report.extend(members.clone());
        }
        self.call("complete", &report).await.is(200)
    }
}

/// Bytes as the calls of a runner take them.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}
