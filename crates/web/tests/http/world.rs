//! A real server on a database of its own, and what tests say to it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use approval_core::{AccountId, KeyKind, KeyRequest};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use store::{Admin, Command, KeyText, Store, StoreConfig};
use test_support::{Engine, TestDb};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use web::{AppState, ServeConfig, WebConfig};

/// Runs each test on both engines.
#[macro_export]
macro_rules! on_both_engines {
    ($($test:ident)+) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let world = $crate::world::World::start(test_support::Engine::Sqlite).await;
                let world = world.expect("SQLite is always there");
                super::$test(&world).await;
                world.end().await;
            }
        )+}

        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let world = $crate::world::World::start(test_support::Engine::Postgres).await;
                if let Some(world) = world {
                    super::$test(&world).await;
                    world.end().await;
                }
            }
        )+}
    };
}

/// A server, one account, and its owner.
pub struct World {
    pub db: TestDb,
    pub account: AccountId,
    /// A human key with all capabilities.
    pub owner: String,
    http: reqwest::Client,
    server: Server,
}

/// A server process, as far as a test sees it.
pub struct Server {
    pub address: SocketAddr,
    store: Store,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(url: &str, config: WebConfig) -> Self {
        let url = url.parse().expect("a database");
        let store = spawn_blocking(move || Store::open(&StoreConfig::new(url)))
            .await
            .expect("no panic")
            .expect("a store");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let state = AppState::new(store.clone(), config);
        let one_worker = ServeConfig {
            workers: Some(2),
            ..ServeConfig::default()
        };
        let serving = tokio::spawn(web::serve(vec![listener], state, stop.clone(), one_worker));
        Self {
            address,
            store,
            stop,
            serving,
        }
    }

    /// Stops, and says how long that took.
    pub async fn end(self) -> Duration {
        let begin = tokio::time::Instant::now();
        self.stop.cancel();
        let served = self.serving.await.expect("no panic");
        served.expect("served to the end");
        let taken = begin.elapsed();
        spawn_blocking(move || self.store.close())
            .await
            .expect("the store closes");
        taken
    }
}

impl World {
    /// Nothing is limited by the minute.
    pub async fn start(engine: Engine) -> Option<Self> {
        let unlimited = WebConfig {
            rate_limit: 0,
            ..WebConfig::default()
        };
        Self::with(engine, unlimited).await
    }

    pub async fn with(engine: Engine, config: WebConfig) -> Option<Self> {
        let db = spawn_blocking(move || TestDb::migrated(engine))
            .await
            .expect("no panic")?;
        let (account, owner) = new_account(&db, "ours").await;
        let trusting = WebConfig {
            trusted_proxies: vec!["127.0.0.1".parse().expect("an address")],
            ..config
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            // where a page leads is for the test to see
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        Some(Self {
            server: Server::start(db.url(), trusting).await,
            db,
            account,
            owner,
            http,
        })
    }

    /// A second server on the same database (PostgreSQL only).
    pub async fn replica(&self) -> Server {
        Server::start(self.db.url(), WebConfig::default()).await
    }

    pub async fn end(self) -> Duration {
        self.server.end().await
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A request by `key`; empty: by nobody.
    pub fn request(&self, key: &str, method: &str, path: &str) -> RequestBuilder {
        self.request_to(self.server.address, key, method, path)
    }

    pub fn request_to(
        &self,
        server: SocketAddr,
        key: &str,
        method: &str,
        path: &str,
    ) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        let request = self.http.request(method, format!("http://{server}{path}"));
        if key.is_empty() {
            request
        } else {
            request.header("x-api-key", key)
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.owner, path).await
    }

    pub async fn get_as(&self, key: &str, path: &str) -> Answer {
        send(self.request(key, "GET", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&self.owner, path, body).await
    }

    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        send(self.request(key, "POST", path).json(body)).await
    }

    /// A new key of the account, by its owner.
    pub async fn key(&self, body: Value) -> String {
        let created = self.post("/api/auth/api-keys", &body).await.is(201);
        created["key"].as_str().expect("a key").to_owned()
    }

    /// The owner of another account.
    pub async fn stranger(&self) -> String {
        new_account(&self.db, "theirs").await.1
    }

    /// A new desktop and the agent key of its runner.
    pub async fn desktop(&self) -> (String, String) {
        let body = json!({"name": "a desktop"});
        let desktop = self.post("/api/desktops", &body).await.is(201);
        let id = desktop["id"].as_str().expect("an id").to_owned();
        let key = json!({"name": "its runner", "kind": "agent", "desktopId": id});
        (id, self.key(key).await)
    }

    /// A new command task with further members.
    pub async fn task(&self, desktop: &str, members: Value) -> String {
        let mut body = json!({"type": "command", "content": "true", "desktopId": desktop});
        merge(&mut body, members);
        let task = self.post(TASKS, &body).await.is(201);
        task["id"].as_str().expect("an id").to_owned()
    }

    /// Claims the next task of a desktop: its id and the lease token.
    pub async fn claim(&self, desktop: &str, key: &str) -> (String, String) {
        let path = format!("/api/desktops/{desktop}/claim");
        let claim = self.post_as(key, &path, &json!({"wait": 5})).await.is(200);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&claim["task"]["id"]), text(&claim["lease"]["token"]))
    }

    /// A runner call of an attempt.
    pub async fn leased(&self, key: &str, token: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(key, "POST", path).json(body);
        send(request.header("x-lease-token", token)).await
    }

    /// Runs the task, claims the next one and completes it.
    pub async fn work(&self, desktop: &str, key: &str, task: &str) -> Value {
        self.post(&of_task(task, "run"), &json!({})).await.is(200);
        self.finish(desktop, key).await
    }

    /// Claims the next task and completes it successfully.
    pub async fn finish(&self, desktop: &str, key: &str) -> Value {
        let (task, token) = self.claim(desktop, key).await;
        let report = json!({"outcome": "succeeded", "exitCode": 0, "output": "done\n"});
        self.leased(key, &token, &of_task(&task, "complete"), &report)
            .await
            .is(200)
    }

    /// A task in review.
    pub async fn reviewed(&self, desktop: &str, key: &str) -> Value {
        let task = self.task(desktop, json!({"requiresApproval": true})).await;
        let task = self.work(desktop, key, &task).await;
        assert_eq!(task["status"], "review");
        task
    }

    /// How many rows the log of the account has.
    pub async fn head(&self) -> i64 {
        let answer = self.get("/api/mission-control/activity?limit=1").await;
        answer.header("x-total-count").parse().expect("a number")
    }

    pub async fn status(&self, task: &str) -> String {
        let task = self.get(&of_task(task, "")).await.is(200);
        task["status"].as_str().expect("a status").to_owned()
    }
}

pub const TASKS: &str = "/api/mission-control/tasks";

/// The path of a task or of a call about it.
pub fn of_task(id: &str, call: &str) -> String {
    if call.is_empty() {
        format!("{TASKS}/{id}")
    } else {
        format!("{TASKS}/{id}/{call}")
    }
}

pub async fn new_account(db: &TestDb, name: &'static str) -> (AccountId, String) {
    let url = db.url().parse().expect("a database");
    let make = move || {
        let admin = Admin::new(url);
        let account = admin.create_account(name).expect("an account");
        let text = KeyText::generate(KeyKind::Human).expect("random");
        let request = KeyRequest {
            name: name.to_owned(),
            kind: KeyKind::Human,
            capabilities: None,
            desktop: None,
        };
        let digest = text.digest();
        let command = Command::CreateKey { request, digest };
        admin.run(account, command).expect("a key");
        (account, text.reveal().to_owned())
    };
    spawn_blocking(make).await.expect("no panic")
}

fn merge(body: &mut Value, members: Value) {
    if let (Value::Object(body), Value::Object(members)) = (body, members) {
        body.extend(members);
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.expect("a body").into(),
    }
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The document of a problem that must have this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:countersign:problem:{code}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        problem
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }
}

/// A reader of server-sent events.
pub struct Events {
    response: reqwest::Response,
    read: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: String,
}

impl Events {
    #[track_caller]
    pub fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            read: String::new(),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.read.find("\n\n") {
                let frame: String = self.read.drain(..end + 2).collect();
                if let Some(event) = parsed(frame.trim_end()) {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let chunk = chunk.await.expect("something comes").ok()??;
            self.read
                .push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }
}

/// An event from its lines; comments are none.
fn parsed(frame: &str) -> Option<Event> {
    let field = |name: &str| {
        let line = frame.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    let is_comment = frame.lines().all(|line| line.starts_with(':'));
    (!is_comment).then(|| Event {
        id: field("id: "),
        name: field("event: "),
        data: field("data: "),
    })
}
