//! The workload `desktop`: how quickly a real runner shows the first line of a task, and what a task
//! costs others that prints without end.

use std::path::Path;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::load::{Call, Connection};
use super::server::{Server, program};
use super::{Engine, failed, milliseconds, peak, percentile, resident};
use crate::shell::{Failure, Shell};

const TASKS: &str = "/api/mission-control/tasks";
/// Prints 64 MiB a second, if it is let.
const FLOOD: &str =
    "while :; do head -c 6710886 /dev/zero | tr '\\0' x | fold -w 127; sleep 0.1; done";
/// Prints 200 MB in lines.
const LONG: &str = "head -c 198425197 /dev/zero | tr '\\0' x | fold -w 126";
/// How long the flood lasts.
const FLOODED: Duration = Duration::from_secs(20);
/// Decisions a second meanwhile.
const DECISIONS: u32 = 50;

/// Measures one engine and prints its rows.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    requests: u32,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    let local = LocalSet::new();
    local.run_until(on(shell, engine, &server, requests)).await
}

async fn on(shell: &Shell, engine: Engine, server: &Server, requests: u32) -> Result<(), Failure> {
    let mut site = Site::of(server).await?;
    println!("\n{}, one desktop with the real runner", engine.name());
    let folder = tempfile::tempdir().map_err(|e| failed("a folder", &e))?;
    let desktop = site.desktop("works").await?;
    let runner = Runner::start(shell, server, &desktop, folder.path())?;

    let mut first_lines = Vec::new();
    for n in 0..=requests {
        let took = site.first_line(&desktop.id).await?;
        // the first waits for the runner's start
        if n > 0 {
            first_lines.push(took);
        }
    }
    print("run to first line", first_lines);

    site.long_log(server, &runner, &desktop.id).await?;

    let other = site.desktop("is reviewed").await?;
    let alone = site.decide(&other, Duration::from_secs(5)).await?;
    print("decide, idle", alone);
    let flood = site.create(&desktop.id, FLOOD).await?;
    let begin = Instant::now();
    site.log_of(&flood).await?;
    let flooded = site.decide(&other, FLOODED).await?;
    print("decide, flooded", flooded);
    let taken = site.taken(&flood).await? / begin.elapsed().as_secs_f64();
    println!(
        "{:<22}{:>10.1} MB/s taken by the server; server {}, runner {}",
        "flood",
        taken / 1e6,
        memory(server.process()),
        memory(runner.0.id()),
    );
    site.post(&format!("{TASKS}/{flood}/cancel"), json!({}))
        .await?;
    Ok(())
}

/// A desktop and its agent's key.
struct Desktop {
    id: String,
    key: Rc<str>,
}

/// A connection with a person's key.
struct Site {
    connection: Connection,
    key: Rc<str>,
}

impl Site {
    async fn of(server: &Server) -> Result<Self, Failure> {
        Ok(Self {
            connection: Connection::open(server.address).await?,
            key: Rc::clone(&server.key),
        })
    }

    async fn post(&mut self, path: &str, body: Value) -> Result<Value, Failure> {
        let call = Call::post(path, &self.key, body);
        self.connection.call(&call).await
    }

    async fn get(&mut self, path: String) -> Result<Value, Failure> {
        let call = Call::get(path, &self.key);
        self.connection.call(&call).await
    }

    async fn desktop(&mut self, name: &str) -> Result<Desktop, Failure> {
        let id = text(&self.post("/api/desktops", json!({"name": name})).await?["id"])?;
        let wish = json!({"name": name, "kind": "agent", "desktopId": id});
        let key = text(&self.post("/api/auth/api-keys", wish).await?["key"])?;
        Ok(Desktop {
            id,
            key: key.into(),
        })
    }

    /// A task that runs at once.
    async fn create(&mut self, desktop: &str, command: &str) -> Result<String, Failure> {
        let wish = json!({
            "type": "command", "content": command, "desktopId": desktop, "autoRun": true,
        });
        text(&self.post(TASKS, wish).await?["id"])
    }

    /// From `run` to the first line of output in the log.
    async fn first_line(&mut self, desktop: &str) -> Result<Duration, Failure> {
        let wish = json!({"type": "command", "content": "echo here", "desktopId": desktop});
        let id = text(&self.post(TASKS, wish).await?["id"])?;
        // until the runner asks for the next task
        tokio::time::sleep(Duration::from_millis(30)).await;
        let begin = Instant::now();
        self.post(&format!("{TASKS}/{id}/run"), json!({})).await?;
        self.log_of(&id).await?;
        let took = begin.elapsed();
        self.at_rest(&id).await?;
        Ok(took)
    }

    /// Waits until something is in the log of a task.
    async fn log_of(&mut self, id: &str) -> Result<(), Failure> {
        let path = format!("{TASKS}/{id}/logs?limit=1");
        for _ in 0..10_000 {
            let log = self.get(path.clone()).await?;
            if log.as_array().is_some_and(|log| !log.is_empty()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(failed("a log", &"stays empty"))
    }

    async fn at_rest(&mut self, id: &str) -> Result<Value, Failure> {
        for _ in 0..60_000 {
            let task = self.get(format!("{TASKS}/{id}")).await?;
            if task["status"] != "running" {
                return Ok(task);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(failed("a task", &"does not end"))
    }

    /// A log of 200 MB: how long it takes and what it costs both sides.
    async fn long_log(
        &mut self,
        server: &Server,
        runner: &Runner,
        desktop: &str,
    ) -> Result<(), Failure> {
        let before = [server.process(), runner.0.id()].map(|id| resident(id).unwrap_or_default());
        let begin = Instant::now();
        let id = self.create(desktop, LONG).await?;
        let task = self.at_rest(&id).await?;
        let took = begin.elapsed();
        if task["status"] != "done" {
            return Err(failed("the long log", &task["error"]));
        }
        let after = [server.process(), runner.0.id()].map(|id| peak(id).unwrap_or_default());
        println!(
            "{:<22}{:>10.1} s; at most {:.1} MiB more in the server and {:.1} MiB in the runner",
            "200 MB log",
            took.as_secs_f64(),
            after[0] - before[0],
            after[1] - before[1],
        );
        Ok(())
    }

    /// Decides about tasks at a steady rate for so long. Each latency is counted from the moment at
    /// which the decision was due.
    async fn decide(
        &mut self,
        desktop: &Desktop,
        time: Duration,
    ) -> Result<Vec<Duration>, Failure> {
        let pause = Duration::from_secs(1) / DECISIONS;
        let count = time.as_millis() / pause.as_millis();
        let mut tasks = Vec::new();
        for _ in 0..count {
            tasks.push(self.in_review(desktop).await?);
        }
        let mut latencies = Vec::new();
        let begin = Instant::now();
        for (task, n) in tasks.iter().zip(0..) {
            let due = begin + pause * n;
            tokio::time::sleep_until(due.into()).await;
            let path = format!("{TASKS}/{task}/review");
            self.post(&path, json!({"decision": "approve"})).await?;
            latencies.push(due.elapsed());
        }
        Ok(latencies)
    }

    /// Brings a task into review.
    async fn in_review(&mut self, desktop: &Desktop) -> Result<String, Failure> {
        let wish = json!({
            "type": "command", "content": "true", "desktopId": desktop.id, "autoRun": true,
            "requiresApproval": true,
        });
        let id = text(&self.post(TASKS, wish).await?["id"])?;
        let path = format!("/api/desktops/{}/claim", desktop.id);
        let claim = Call::post(path, &desktop.key, json!({"wait": 0}));
        let claim = self.connection.call(&claim).await?;
        let report = json!({"outcome": "succeeded", "exitCode": 0});
        let mut complete = Call::post(format!("{TASKS}/{id}/complete"), &desktop.key, report);
        complete.lease = Some(text(&claim["lease"]["token"])?);
        self.connection.call(&complete).await?;
        Ok(id)
    }

    /// Bytes of the log that the server has taken, from the number of the newest entry of 64 KiB.
    async fn taken(&mut self, id: &str) -> Result<f64, Failure> {
        let mut after = 0;
        loop {
            let log = self
                .get(format!("{TASKS}/{id}/logs?after={after}&limit=10000"))
                .await?;
            let last = log
                .as_array()
                .and_then(|log| log.last())
                .map(|line| &line["seq"]);
            match last.and_then(Value::as_u64) {
                Some(seq) if seq > after => after = seq,
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                _ => return Ok((after * (64 << 10)) as f64),
            }
        }
    }
}

/// The real runner; killed when dropped.
struct Runner(Child);

impl Runner {
    fn start(
        shell: &Shell,
        server: &Server,
        desktop: &Desktop,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let child = program(shell, "desktop")
            .args(["--server", &format!("http://{}", server.address)])
            .args(["--desktop", &desktop.id])
            .arg("--workdir")
            .arg(folder)
            .env("DESKTOP_API_KEY", &*desktop.key)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn();
        child.map(Self).map_err(|source| Failure::Start {
            command: "desktop".to_owned(),
            source,
        })
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // it may have ended by itself; nothing it still holds matters
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn print(name: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    println!(
        "{name:<22}{:>10.2} ms p50{:>10.2} ms p99{:>10.2} ms worst of {}",
        milliseconds(percentile(&latencies, 0.50)),
        milliseconds(percentile(&latencies, 0.99)),
        milliseconds(percentile(&latencies, 1.0)),
        latencies.len(),
    );
}

fn memory(process: u32) -> String {
    peak(process).map_or_else(|| "?".to_owned(), |mib| format!("{mib:.1} MiB at most"))
}

fn text(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(ToOwned::to_owned);
    text.ok_or_else(|| failed("an answer", &format!("is {value}")))
}
