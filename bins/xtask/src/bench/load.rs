//! Load over loopback: keep-alive connections that each send the next request when the last one
//! was answered.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::failed;
use crate::shell::Failure;

/// A request of a workload.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub key: Rc<str>,
    pub lease: Option<String>,
    pub body: Option<Value>,
}

impl Call {
    pub fn post(path: impl Into<String>, key: &Rc<str>, body: Value) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            key: Rc::clone(key),
            lease: None,
            body: Some(body),
        }
    }
}

/// One keep-alive connection to the server.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| failed("connect", &e))?;
        stream
            .set_nodelay(true)
            .map_err(|e| failed("connect", &e))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed("handshake", &e))?;
        tokio::task::spawn_local(connection);
        Ok(Self {
            sender,
            host: address.to_string(),
        })
    }

    /// Sends a request and returns its answer, which must be a success.
    pub async fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        let (status, body) = self.send(call).await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(failed(
                &format!("{} {} was answered {status}", call.method, call.path),
                &text,
            ));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|e| failed(&call.path, &e))
    }

    async fn send(&mut self, call: &Call) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(&call.path)
            .header("host", &self.host)
            .header("x-api-key", &*call.key);
        if let Some(lease) = &call.lease {
            request = request.header("x-lease-token", lease);
        }
        let body = call.body.as_ref().map(Value::to_string);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|e| failed(&call.path, &e))?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|e| failed(&call.path, &e))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| failed(&call.path, &e))?;
        Ok((status, body.to_bytes()))
    }
}

/// What a load took.
pub struct Measured {
    pub elapsed: Duration,
    /// One a request, sorted.
    pub latencies: Vec<Duration>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends all calls over so many connections and measures each.
pub async fn drive(
    address: SocketAddr,
    connections: u32,
    calls: Vec<Call>,
) -> Result<Measured, Failure> {
    let calls = Rc::new(RefCell::new(VecDeque::from(calls)));
    each(address, connections, move |mut connection| {
        let calls = Rc::clone(&calls);
        async move {
            let mut latencies = Vec::new();
            loop {
                let next = calls.borrow_mut().pop_front();
                let Some(call) = next else {
                    return Ok(latencies);
                };
                let sent = Instant::now();
                connection.call(&call).await?;
                latencies.push(sent.elapsed());
            }
        }
    })
    .await
}

/// Runs one worker a connection to its end.
pub async fn each<W, F>(address: SocketAddr, connections: u32, work: W) -> Result<Measured, Failure>
where
    W: Fn(Connection) -> F,
    F: Future<Output = Result<Vec<Duration>, Failure>> + 'static,
{
    LocalSet::new()
        .run_until(async {
            let mut open = Vec::new();
            for _ in 0..connections {
                open.push(Connection::open(address).await?);
            }
            let started = Instant::now();
            let mut workers = JoinSet::new();
            for connection in open {
                workers.spawn_local(work(connection));
            }
            let mut latencies = Vec::new();
            while let Some(worker) = workers.join_next().await {
                latencies.extend(worker.map_err(|e| failed("a connection", &e))??);
            }
            let elapsed = started.elapsed();
            latencies.sort();
            Ok(Measured { elapsed, latencies })
        })
        .await
}
