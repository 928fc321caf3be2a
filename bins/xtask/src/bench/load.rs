//! Load over loopback, on keep-alive connections: as fast as answers come ([`saturate`]), or at a rate
//! that does not wait for them ([`offer`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
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

/// The longest time that is told from longer ones, in microseconds.
const LONGEST: u64 = 600_000_000;

/// A request of a workload.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub key: Rc<str>,
    pub lease: Option<String>,
    /// Its `Idempotency-Key`.
    pub once: Option<String>,
    pub body: Option<Value>,
}

impl Call {
    pub fn post(path: impl Into<String>, key: &Rc<str>, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path, key)
        }
    }

    pub fn get(path: impl Into<String>, key: &Rc<str>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            key: Rc::clone(key),
            lease: None,
            once: None,
            body: None,
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

    /// Sends a request and returns the bytes of its answer, which must be a success.
    pub async fn succeed(&mut self, call: &Call) -> Result<Bytes, Failure> {
        let (status, body) = self.send(call).await?;
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Err(failed(
            &format!("{} {} was answered {status}", call.method, call.path),
            &text,
        ))
    }

    /// The same, and what the answer says.
    pub async fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        let body = self.succeed(call).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|e| failed(&call.path, &e))
    }

    /// Sends a body that is JSON already with a lease, and returns how it was answered.
    pub async fn upload(
        &mut self,
        path: &str,
        key: &str,
        lease: &str,
        json: String,
    ) -> Result<StatusCode, Failure> {
        let request = Request::post(path)
            .header("host", &self.host)
            .header("x-api-key", key)
            .header("x-lease-token", lease)
            .header("content-type", "application/json")
            .body(Full::from(json))
            .map_err(|e| failed(path, &e))?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.map_err(|e| failed(path, &e))?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        body.map_err(|e| failed(path, &e))?;
        Ok(status)
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
        if let Some(once) = &call.once {
            request = request.header("idempotency-key", once);
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
    /// In microseconds, one a request.
    latencies: Histogram<u64>,
}

impl Measured {
    pub fn new() -> Self {
        // one that grew by itself would not, when asked to saturate
        #[expect(clippy::expect_used, reason = "bounds and precision that it has")]
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3).expect("a histogram");
        Self {
            elapsed: Duration::ZERO,
            latencies,
        }
    }

    /// Notes what one request took.
    pub fn note(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.max(1));
    }

    /// Adds what another connection measured.
    pub fn merge(&mut self, other: &Self) {
        // both count the same way, so nothing is lost
        let _same = self.latencies.add(&other.latencies);
    }

    pub fn count(&self) -> u64 {
        self.latencies.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds within which this share of the requests was answered.
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    pub fn within(&self, share: f64) -> f64 {
        self.latencies.value_at_quantile(share) as f64 / 1_000.0
    }
}

/// Sends all calls, each connection the next one when its last was answered.
pub async fn saturate(
    address: SocketAddr,
    connections: u32,
    calls: Vec<Call>,
) -> Result<Measured, Failure> {
    let calls = Rc::new(RefCell::new(VecDeque::from(calls)));
    each(address, connections, move |mut connection| {
        let calls = Rc::clone(&calls);
        async move {
            let mut measured = Measured::new();
            loop {
                let next = calls.borrow_mut().pop_front();
                let Some(call) = next else {
                    return Ok(measured);
                };
                let sent = Instant::now();
                connection.succeed(&call).await?;
                measured.note(sent.elapsed());
            }
        }
    })
    .await
}

/// Sends so many calls a second, whether or not earlier ones were answered. Each counts from when it
/// was due, so that waiting for a free connection counts as well: no coordinated omission.
pub async fn offer(
    address: SocketAddr,
    connections: u32,
    per_second: f64,
    calls: Vec<Call>,
) -> Result<Measured, Failure> {
    let pace = Pace::new(per_second, calls.len());
    let calls = Rc::new(RefCell::new(VecDeque::from(calls)));
    each(address, connections, move |mut connection| {
        let (pace, calls) = (Rc::clone(&pace), Rc::clone(&calls));
        async move {
            let mut measured = Measured::new();
            while let Some(due) = pace.due().await {
                let next = calls.borrow_mut().pop_front();
                let Some(call) = next else {
                    break;
                };
                connection.succeed(&call).await?;
                measured.note(due.elapsed());
            }
            Ok(measured)
        }
    })
    .await
}

/// When each of many calls is due, at a rate that does not wait for answers.
pub struct Pace {
    begin: Instant,
    per_second: f64,
    next: Cell<u32>,
    count: u32,
}

impl Pace {
    /// So many calls a second, beginning soon.
    pub fn new(per_second: f64, count: usize) -> Rc<Self> {
        Rc::new(Self {
            begin: Instant::now() + Duration::from_millis(50),
            per_second,
            next: Cell::new(0),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    /// Waits until the next call is due and says when that was; `None` after the last.
    pub async fn due(&self) -> Option<Instant> {
        let number = self.next.get();
        if number == self.count {
            return None;
        }
        self.next.set(number + 1);
        let due = self.begin + Duration::from_secs_f64(f64::from(number) / self.per_second);
        tokio::time::sleep_until(due.into()).await;
        Some(due)
    }
}

/// Runs one worker a connection to its end.
pub async fn each<W, F>(address: SocketAddr, connections: u32, work: W) -> Result<Measured, Failure>
where
    W: Fn(Connection) -> F,
    F: Future<Output = Result<Measured, Failure>> + 'static,
{
    LocalSet::new()
        .run_until(each_here(address, connections, work))
        .await
}

/// The same among the tasks of a [`LocalSet`] that is there.
pub async fn each_here<W, F>(
    address: SocketAddr,
    connections: u32,
    work: W,
) -> Result<Measured, Failure>
where
    W: Fn(Connection) -> F,
    F: Future<Output = Result<Measured, Failure>> + 'static,
{
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for connection in open {
        workers.spawn_local(work(connection));
    }
    let mut measured = Measured::new();
    while let Some(worker) = workers.join_next().await {
        measured.merge(&worker.map_err(|e| failed("a connection", &e))??);
    }
    measured.elapsed = started.elapsed();
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_told_to_three_digits() {
        let mut measured = Measured::new();
        for n in 1..=100 {
            measured.note(Duration::from_millis(n));
        }
        let mut all = Measured::new();
        all.merge(&measured);
        assert_eq!(all.count(), 100);
        assert!((all.within(0.5) - 50.0).abs() < 0.1, "{}", all.within(0.5));
        assert!((all.within(0.99) - 99.0).abs() < 0.1);
        all.note(Duration::from_hours(1));
        assert!(all.within(1.0) > 599_000.0);
    }
}
