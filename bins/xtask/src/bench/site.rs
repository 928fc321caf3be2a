//! Desktops whose runner is the benchmark itself, and tasks in review.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::failed;
use super::load::{self, Call, Connection, Measured};
use super::server::Server;
use crate::shell::Failure;

pub const TASKS: &str = "/api/mission-control/tasks";
pub const APPROVALS: &str = "/api/mission-control/approvals";
/// Connections that prepare tasks.
const PREPARING: u32 = 64;

/// A desktop and the key of its runner.
#[derive(Clone)]
pub struct Desktop {
    pub id: String,
    pub key: Rc<str>,
    /// A person's key of the same account.
    pub owner: Rc<str>,
}

/// A task that waits for its decision.
pub struct Waiting {
    pub id: String,
    pub evidence: String,
}

impl Waiting {
    /// Its approval, with everything a careful client sends: a key for repeats and the evidence.
    pub fn approve(&self, owner: &Rc<str>) -> Call {
        let body = json!({ "decision": "approve", "evidenceSha256": self.evidence });
        Call {
            once: Some(format!("approve {}", self.id)),
            ..Call::post(format!("{TASKS}/{}/review", self.id), owner, body)
        }
    }
}

impl Desktop {
    /// A new desktop in the account of `owner`.
    pub async fn create(server: &Server, owner: &Rc<str>) -> Result<Self, Failure> {
        let wish = json!({ "name": "bench" });
        let id = text(
            &call(server, Call::post("/api/desktops", owner, wish)).await?,
            "id",
        )?;
        let wish = json!({ "name": "bench", "kind": "agent", "desktopId": id });
        let key = call(server, Call::post("/api/auth/api-keys", owner, wish)).await?;
        Ok(Self {
            key: text(&key, "key")?.into(),
            id,
            owner: Rc::clone(owner),
        })
    }

    /// Creations of tasks that are queued at once and must be approved.
    pub fn creations(&self, count: u32) -> Vec<Call> {
        let wish = json!({
            "type": "command",
            "content": "make release && make deploy",
            "desktopId": self.id,
            "requiresApproval": true,
            "autoRun": true,
        });
        (0..count)
            .map(|_| Call::post(TASKS, &self.owner, wish.clone()))
            .collect()
    }

    /// Brings so many tasks into review.
    pub async fn prepare(&self, server: &Server, count: u32) -> Result<Vec<Waiting>, Failure> {
        load::saturate(server.address, PREPARING, self.creations(count)).await?;
        let tasks = self.finish_all(server).await?;
        if tasks.len() == count as usize {
            Ok(tasks)
        } else {
            let why = format!("{} of {count} tasks are in review", tasks.len());
            Err(failed("preparing", &why))
        }
    }

    /// Claims and completes whatever is queued.
    pub async fn finish_all(&self, server: &Server) -> Result<Vec<Waiting>, Failure> {
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let (desktop, found) = (self.clone(), Rc::clone(&tasks));
        load::each(server.address, PREPARING, move |mut connection| {
            let (desktop, found) = (desktop.clone(), Rc::clone(&found));
            async move {
                while let Some(task) = desktop.finish_one(&mut connection).await? {
                    found.borrow_mut().push(task);
                }
                Ok(Measured::new())
            }
        })
        .await?;
        Ok(tasks.take())
    }

    /// Claims and completes a task; `None` when nothing is queued.
    pub async fn finish_one(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<Waiting>, Failure> {
        let path = format!("/api/desktops/{}/claim", self.id);
        let claim = connection
            .call(&Call::post(path, &self.key, json!({ "wait": 0 })))
            .await?;
        if claim.is_null() {
            return Ok(None);
        }
        let id = text(&claim["task"], "id")?;
        let end = json!({ "outcome": "succeeded", "exitCode": 0 });
        let complete = Call {
            lease: Some(text(&claim["lease"], "token")?),
            ..Call::post(format!("{TASKS}/{id}/complete"), &self.key, end)
        };
        let task = connection.call(&complete).await?;
        Ok(Some(Waiting {
            evidence: text(&task, "evidenceSha256")?,
            id,
        }))
    }
}

/// One call on a connection of its own.
pub async fn call(server: &Server, call: Call) -> Result<Value, Failure> {
    LocalSet::new()
        .run_until(async { Connection::open(server.address).await?.call(&call).await })
        .await
}

/// A member that is text.
pub fn text(value: &Value, member: &str) -> Result<String, Failure> {
    let text = value[member].as_str().map(ToOwned::to_owned);
    text.ok_or_else(|| failed("an answer", &format!("has no {member}")))
}
