//! A client that sends exactly what it is told, once: the typed one repeats and checks by itself.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

/// How long an answer that needs no waiting may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How often to look again.
const MOMENT: Duration = Duration::from_millis(60);

/// One key at one server.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Caller {
    pub fn new(url: &str, key: &str) -> Self {
        // the first provider a process installs stays, and any will do
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .expect("a client");
        Self {
            http,
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    /// The same key at another server.
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// Another key at the same server.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The typed client with the same key at the same server.
    pub fn typed(&self) -> client::Client {
        client::Client::new(&self.url, self.key.as_str()).expect("a client")
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("x-api-key", &self.key)
    }

    /// A call that gets an answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.request(method, path).timeout(ANSWER);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Every element of a list, page by page.
    pub async fn every(&self, path: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut path = Some(path.to_owned());
        while let Some(next) = path {
            let page = self.get(&next).await;
            path = page.next();
            found.extend(elements(page.is(200)));
        }
        found
    }

    /// A task once it is in one of these states.
    pub async fn task_in(&self, id: &str, states: &[&str], patience: Duration) -> Value {
        let path = format!("/api/mission-control/tasks/{id}");
        eventually(
            &format!("{id} is one of {states:?}"),
            patience,
            async || {
                let task = self.get(&path).await.is(200);
                states
                    .contains(&text(&task["status"]).as_str())
                    .then_some(task)
            },
        )
        .await
    }

    /// Opens the stream of the activity log after an event.
    pub async fn events(&self, after: i64) -> Events {
        let response = self
            .request(Method::GET, "/api/mission-control/activity/stream")
            .header("last-event-id", after)
            .send()
            .await
            .expect("a stream");
        assert_eq!(response.status(), 200);
        Events {
            response,
            unread: String::new(),
        }
    }
}

/// Sends a request, once.
pub async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await?.to_vec(),
    })
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// Its JSON, after its status was what was expected.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The document of a refusal, after its status and code were what was expected.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// After it was found to be the one refusal of a server whose database is away: try again.
    #[track_caller]
    pub fn is_unavailable(&self) {
        self.refuses(503, "unavailable");
        let seconds = self.header("retry-after");
        assert!(seconds.parse::<u32>().is_ok(), "Retry-After: {seconds}");
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    fn next(&self) -> Option<String> {
        let (target, rest) = self.header("link").strip_prefix('<')?.split_once('>')?;
        rest.contains("rel=\"next\"").then(|| target.to_owned())
    }
}

/// An open stream of server-sent events.
pub struct Events {
    response: reqwest::Response,
    unread: String,
}

impl Events {
    /// The number of the next event with its data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<(i64, Value)> {
        loop {
            while let Some(end) = self.unread.find("\n\n") {
                let event: String = self.unread.drain(..end + 2).collect();
                let parsed = parse_event(&event);
                if parsed.is_some() {
                    return parsed;
                }
            }
            let bytes = self.response.chunk().await.ok()??;
            self.unread
                .push_str(std::str::from_utf8(&bytes).expect("whole events"));
        }
    }

    /// Waits for the end of the stream; what comes before it is of no interest.
    pub async fn end(mut self, patience: Duration) {
        let ended = timeout(patience, async { while self.next().await.is_some() {} }).await;
        assert!(ended.is_ok(), "the stream goes on after {patience:?}");
    }
}

/// `None` for a comment.
fn parse_event(event: &str) -> Option<(i64, Value)> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    let id = field("id: ")?.parse().expect("a number");
    let data = serde_json::from_str(field("data: ")?).expect("JSON");
    assert_eq!(field("event:"), None, "{event}");
    Some((id, data))
}

/// Looks until there is something.
pub async fn eventually<T>(what: &str, patience: Duration, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "not so within {patience:?}: {what}"
        );
        sleep(MOMENT).await;
    }
}

/// The text of a JSON string.
#[track_caller]
pub fn text(value: &Value) -> String {
    let text = value.as_str().map(ToOwned::to_owned);
    text.unwrap_or_else(|| panic!("text, not {value}"))
}

/// The elements of a JSON array.
#[track_caller]
pub fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        other => panic!("an array, not {other}"),
    }
}
