//! The workload `decide`: approvals of tasks that wait in review.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::floor::{self, Counts};
use super::load::{self, Call, Connection, Measured};
use super::server::Server;
use super::{Engine, failed, milliseconds, percentile, resident};
use crate::shell::{Failure, Shell};

/// Connections of the headline, and smaller numbers that show what a batch does.
const CONNECTIONS: [u32; 3] = [64, 8, 1];
/// A single connection waits for the disk each time; fewer decisions say as much.
const FEWER: u32 = 10;
/// Connections that prepare tasks.
const PREPARING: u32 = 64;

/// Measures one engine and prints its rows.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    decisions: u32,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = resident(server.process());
    println!("\n{}, {decisions} decisions, durable", engine.name());
    println!(
        "server idle: {} MiB resident",
        idle.map_or("?".to_owned(), |mib| format!("{mib:.1}"))
    );
    println!(
        "{:<22}{:>14}{:>10}{:>10}{:>12}{:>18}",
        "", "decisions/s", "p50 ms", "p99 ms", "batch size", "statements/batch"
    );
    let desktop = Desktop::create(&server).await?;
    let mut batch = 1.0;
    for connections in CONNECTIONS {
        let count = if connections == 1 {
            decisions / FEWER
        } else {
            decisions
        };
        let tasks = desktop.prepare(&server, count).await?;
        let before = Counts::read(engine, url).await?;
        let calls = tasks.iter().map(|task| {
            let path = format!("/api/mission-control/tasks/{task}/review");
            Call::post(path, &server.key, json!({ "decision": "approve" }))
        });
        let measured = load::drive(server.address, connections, calls.collect()).await?;
        let counts = Counts::read(engine, url)
            .await?
            .map(|after| after.since(before));
        let size = counts.map(|counts| f64::from(count) / counts.commits);
        if connections == CONNECTIONS[0] {
            batch = size.unwrap_or(f64::from(connections) / 2.0);
        }
        print_row(
            &format!("{connections} connections"),
            &measured,
            size,
            counts.map(|c| c.statements / c.commits),
        );
    }
    let tasks = desktop.prepare(&server, decisions).await?;
    drop(server);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let batch = batch.round().max(1.0) as usize;
    let floor = floor::decide(engine, url, &tasks, batch).await?;
    print_row(&format!("floor, batches of {batch}"), &floor, None, None);
    Ok(())
}

fn print_row(name: &str, measured: &Measured, batch: Option<f64>, statements: Option<f64>) {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    println!(
        "{name:<22}{:>14.0}{:>10.2}{:>10.2}{:>12}{:>18}",
        measured.per_second(),
        milliseconds(percentile(&measured.latencies, 0.50)),
        milliseconds(percentile(&measured.latencies, 0.99)),
        number(batch),
        number(statements),
    );
}

/// A desktop whose runner is this program.
struct Desktop {
    id: String,
    key: Rc<str>,
}

impl Desktop {
    async fn create(server: &Server) -> Result<Self, Failure> {
        let desktop = call(
            server,
            Call::post("/api/desktops", &server.key, json!({ "name": "bench" })),
        )
        .await?;
        let id = text(&desktop, "id")?;
        let wish = json!({ "name": "bench", "kind": "agent", "desktopId": id });
        let key = call(server, Call::post("/api/auth/api-keys", &server.key, wish)).await?;
        Ok(Self {
            key: text(&key, "key")?.into(),
            id,
        })
    }

    /// Brings so many tasks into review and returns their ids.
    async fn prepare(&self, server: &Server, count: u32) -> Result<Vec<String>, Failure> {
        let create = json!({
            "type": "command",
            "content": "make release && make deploy",
            "desktopId": self.id,
            "requiresApproval": true,
            "autoRun": true,
        });
        let creations = (0..count)
            .map(|_| Call::post("/api/mission-control/tasks", &server.key, create.clone()));
        load::drive(server.address, PREPARING, creations.collect()).await?;
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let (id, key, found) = (self.id.clone(), Rc::clone(&self.key), Rc::clone(&tasks));
        load::each(server.address, PREPARING, move |mut connection| {
            let (id, key, found) = (id.clone(), Rc::clone(&key), Rc::clone(&found));
            async move {
                while let Some(task) = finish_one(&mut connection, &id, &key).await? {
                    found.borrow_mut().push(task);
                }
                Ok(Vec::new())
            }
        })
        .await?;
        let tasks = tasks.take();
        if tasks.len() == count as usize {
            Ok(tasks)
        } else {
            Err(failed(
                "preparing",
                &format!("{} of {count} tasks are in review", tasks.len()),
            ))
        }
    }
}

/// Claims and completes a task; `None` when nothing is queued.
async fn finish_one(
    connection: &mut Connection,
    desktop: &str,
    key: &Rc<str>,
) -> Result<Option<String>, Failure> {
    let claim = Call::post(
        format!("/api/desktops/{desktop}/claim"),
        key,
        json!({ "wait": 0 }),
    );
    let claim = connection.call(&claim).await?;
    if claim.is_null() {
        return Ok(None);
    }
    let task = text(&claim["task"], "id")?;
    let mut complete = Call::post(
        format!("/api/mission-control/tasks/{task}/complete"),
        key,
        json!({ "outcome": "succeeded", "exitCode": 0 }),
    );
    complete.lease = Some(text(&claim["lease"], "token")?);
    connection.call(&complete).await?;
    Ok(Some(task))
}

async fn call(server: &Server, call: Call) -> Result<Value, Failure> {
    tokio::task::LocalSet::new()
        .run_until(async { Connection::open(server.address).await?.call(&call).await })
        .await
}

fn text(value: &Value, member: &str) -> Result<String, Failure> {
    let text = value[member].as_str().map(ToOwned::to_owned);
    text.ok_or_else(|| failed("an answer", &format!("has no {member}")))
}
