//! An agent that uploads logs as fast as it can, and does not wait when it is told to.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Outcome, on_this_thread};
use crate::bench::load::{Call, Connection};
use crate::bench::site::{TASKS, text};
use crate::shell::Failure;

/// Bytes a second, over all connections.
const RATE: f64 = 100e6;
/// Connections at a time.
const CONNECTIONS: u32 = 8;
/// Log entries of a request, and the bytes of each: about 7 MB as base64.
const ENTRIES: u32 = 80;
const ENTRY: usize = 64 << 10;
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(3);

/// Whose task the log is of.
pub struct Agent {
    pub key: String,
    pub desktop: String,
    pub task: String,
}

/// Counted over all connections.
#[derive(Default)]
struct Sent {
    requests: Cell<u32>,
    bytes: Cell<f64>,
    accepted: Cell<f64>,
    /// Requests that were told to wait.
    refused: Cell<u32>,
    /// Requests with any other answer than those.
    other: Cell<u32>,
    /// Connections that ended without an answer.
    cut: Cell<u32>,
}

/// Uploads until the end.
pub fn upload(
    address: SocketAddr,
    agent: &Agent,
    end: CancellationToken,
) -> Result<Vec<Outcome>, Failure> {
    on_this_thread(async move {
        let key: Rc<str> = agent.key.as_str().into();
        let mut control = Connection::open(address).await?;
        let claim = format!("/api/desktops/{}/claim", agent.desktop);
        let claim = control
            .call(&Call::post(claim, &key, json!({ "wait": 5 })))
            .await?;
        let lease = text(&claim["lease"], "token")?;
        let sent = Rc::new(Sent::default());
        let begin = Instant::now();
        for _ in 0..CONNECTIONS {
            let upload = Upload {
                path: format!("{TASKS}/{}/logs", agent.task),
                key: Rc::clone(&key),
                lease: lease.clone(),
                sent: Rc::clone(&sent),
            };
            tokio::task::spawn_local(async move {
                loop {
                    // the server may close a connection instead of reading all of a body
                    if upload.on_a_connection(address, begin).await.is_err() {
                        upload.sent.cut.set(upload.sent.cut.get() + 1);
                    }
                }
            });
        }
        let heartbeat = Call {
            lease: Some(lease),
            ..Call::post(format!("{TASKS}/{}/heartbeat", agent.task), &key, json!({}))
        };
        while !end.is_cancelled() {
            control.succeed(&heartbeat).await?;
            tokio::select! {
                () = end.cancelled() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(vec![
            ("offered", sent.bytes.get() / seconds / 1e6, "MB/s"),
            ("taken in", sent.accepted.get() / seconds / 1e6, "MB/s"),
            ("told to wait", f64::from(sent.refused.get()), "times"),
            ("answered otherwise", f64::from(sent.other.get()), "times"),
            ("cut without an answer", f64::from(sent.cut.get()), "times"),
        ])
    })
}

/// One of the connections.
struct Upload {
    path: String,
    key: Rc<str>,
    lease: String,
    sent: Rc<Sent>,
}

impl Upload {
    /// Uploads one request after the other, never faster than [`RATE`].
    async fn on_a_connection(&self, address: SocketAddr, begin: Instant) -> Result<(), Failure> {
        let mut connection = Connection::open(address).await?;
        loop {
            let number = self.sent.requests.get();
            self.sent.requests.set(number + 1);
            let body = entries(number);
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let bytes = body.len() as f64;
            let due = begin + Duration::from_secs_f64(self.sent.bytes.get() / RATE);
            self.sent.bytes.set(self.sent.bytes.get() + bytes);
            tokio::time::sleep_until(due.into()).await;
            let status = connection
                .upload(&self.path, &self.key, &self.lease, body)
                .await?;
            match status.as_u16() {
                200..300 => self.sent.accepted.set(self.sent.accepted.get() + bytes),
                429 => self.sent.refused.set(self.sent.refused.get() + 1),
                _ => self.sent.other.set(self.sent.other.get() + 1),
            }
        }
    }
}

/// A body with entries that were not sent before.
fn entries(request: u32) -> String {
    let bytes = "QUJD".repeat(ENTRY / 3);
    let mut body = "{\"entries\":[".to_owned();
    for entry in 0..ENTRIES {
        let comma = if entry == 0 { "" } else { "," };
        let seq = request * ENTRIES + entry;
        let _written = write!(
            body,
            "{comma}{{\"seq\":{seq},\"stream\":\"stdout\",\"at\":\"2026-03-15T10:05:00Z\",\"base64\":\"{bytes}\"}}"
        );
    }
    body + "]}"
}
