//! Secrets come in by many ways and come out by none but the one answer that shows them (contract
//! sections 6 and 7, docs/logging.md; row E11): a server that logs all it can is given canaries,
//! and then everything it logs, stores, streams, counts and shows to others is searched for them.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;

use reqwest::{Method, RequestBuilder, redirect};
use serde_json::json;
use test_support::server::{Server, program};
use test_support::{Engine, TestDb};

use crate::rest::{Caller, Events, answer, text};
use crate::site::{
    API, APPROVALS, Desktop, TASKS, administer, on_every_engine, owner_key, printed,
};

const SETTINGS: &str = "/api/mission-control/settings";
const EMAIL: &str = "canary@example.org";

/// The secrets that were used, each with what it was.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// Remembers a secret that was made elsewhere.
    fn keep(&mut self, what: &str, secret: &str) -> String {
        assert!(
            secret.len() >= 12,
            "{what}: long enough to be found nowhere by chance"
        );
        self.0.push((what.to_owned(), secret.to_owned()));
        secret.to_owned()
    }

    /// A secret of the form of `what`, 64 digits and letters, that nobody has made.
    fn make(&mut self, what: &str) -> String {
        let secret = store::random_digest().expect("random").to_string();
        self.keep(what, &secret)
    }

    /// Fails when one of them stands in what was found at `place`.
    fn are_not_in(&self, place: &str, found: &str) {
        for (what, secret) in &self.0 {
            let bytes = hexadecimal(secret);
            for form in [secret.as_str(), &bytes] {
                let at = found.find(form);
                let near = at.map(|at| &found[at.saturating_sub(200)..at]);
                assert!(at.is_none(), "{what} is in {place}, after …{near:?}");
            }
        }
    }
}

#[test]
fn a_secret_comes_out_nowhere() {
    on_every_engine(async |db| Hunt::start(db).go().await);
}

/// A server with every log line there is, and a person who looks at it.
struct Hunt {
    server: Server,
    metrics: String,
    db: TestDb,
    owner: Caller,
    http: reqwest::Client,
    canaries: Canaries,
    /// The bodies of answers that show no secret.
    answers: Vec<String>,
}

impl Hunt {
    fn start(db: TestDb) -> Self {
        let mut canaries = Canaries::default();
        let key = canaries.keep("the owner's key", &owner_key(db.url()));
        let url = match db.engine() {
            Engine::Sqlite => db.url().to_owned(),
            // that server trusts everybody, whatever password they come with
            Engine::Postgres => {
                let password = canaries.make("the password of the database");
                let (user, rest) = db.url().split_once('@').expect("a user");
                let user = user.trim_start_matches("postgres://");
                let user = user.split(':').next().unwrap_or(user);
                format!("postgres://{user}:{password}@{rest}")
            }
        };
        let metrics = free_address();
        let listen = metrics.clone();
        let server = Server::start(move || {
            let mut command = program(API);
            command
                .args([
                    "serve",
                    "--listen",
                    "127.0.0.1:0",
                    "--rate-limit",
                    "0",
                    "--log",
                    "trace",
                ])
                .args(["--trusted-proxy", "127.0.0.1", "--metrics-listen", &listen])
                .env("DATABASE_URL", &url);
            command
        });
        let owner = Caller::new(server.url(), &key);
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(redirect::Policy::none())
            .build()
            .expect("a client");
        Self {
            server,
            metrics,
            db,
            owner,
            http,
            canaries,
            answers: Vec::new(),
        }
    }

    /// A request from an address of its own: failures to authenticate are counted by address.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let n = self.canaries.0.len();
        let request = self
            .http
            .request(method, format!("{}{path}", self.server.url()));
        request.header("x-forwarded-for", format!("10.1.{}.{}", n / 250, n % 250))
    }

    /// What a browser sends from a page of ours.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let pairs: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = self
            .request(Method::POST, path)
            .header("accept", "text/html");
        let request = request.header("sec-fetch-site", "same-origin");
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"))
    }

    /// Sends it; the answer is searched at the end.
    async fn send(&mut self, request: RequestBuilder) -> (u16, String) {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let cookie = response.headers().get("set-cookie");
        let cookie = cookie.map_or("", |cookie| cookie.to_str().expect("text"));
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let headers = response.headers().clone();
        let body = response.text().await.expect("a body");
        let shown = headers
            .iter()
            .filter(|(name, _)| name.as_str() != "set-cookie");
        let headers: Vec<_> = shown
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        self.answers.push(headers.join("\n") + &body);
        (status, cookie)
    }

    async fn go(mut self) {
        let mut events = self.owner.events(0).await;
        let minted = self.keys().await;
        self.sign_ins().await;
        self.wrong_credentials().await;
        self.work(&minted).await;
        self.search(&mut events).await;
    }

    /// Keys of every kind, made at both doors, used by both headers; one of them is revoked.
    async fn keys(&mut self) -> Desktop {
        let desktop = Desktop::create(&self.owner, "hunted").await;
        self.canaries
            .keep("the key of an agent", desktop.agent.key());
        for kind in ["human", "service"] {
            let body = json!({"name": kind, "kind": kind});
            let created = self.owner.post("/api/auth/api-keys", &body).await.is(201);
            let key = self
                .canaries
                .keep(&format!("a {kind} key"), &text(&created["key"]));
            for header in ["x-api-key", "authorization"] {
                let value = if header == "authorization" {
                    format!("Bearer {key}")
                } else {
                    key.clone()
                };
                let used = self.request(Method::GET, TASKS).header(header, value);
                assert_eq!(self.send(used).await.0, 200);
            }
            let path = format!("/api/auth/api-keys/{}", text(&created["id"]));
            self.owner.delete(&path).await.is(204);
            // a read may still be answered for a second, a command may not
            let task = json!({"type": "prompt", "content": "c", "desktopId": desktop.id});
            let revoked = self.request(Method::POST, TASKS).header("x-api-key", key);
            assert_eq!(self.send(revoked.json(&task)).await.0, 401);
        }
        let arguments = ["key", "create", "--name", "by hand", "--kind", "human"];
        let by_hand = printed(&administer(self.db.url(), &arguments));
        self.canaries.keep("a key made by hand", &by_hand);
        let used = self
            .request(Method::GET, TASKS)
            .header("x-api-key", by_hand);
        assert_eq!(self.send(used).await.0, 200);
        desktop
    }

    /// Passwords, links, cookies and secrets of origins, right and wrong.
    async fn sign_ins(&mut self) {
        let password = self.canaries.make("a password");
        add_person(self.db.url(), &password);
        let link = || {
            let link = administer(self.db.url(), &["sign-in-link", "--email", EMAIL]);
            let link = printed(&link);
            link.split_once('#').expect("a token").1.to_owned()
        };
        let (used, unused) = (link(), link());
        let used = self.canaries.keep("the token of a link", &used);
        self.canaries
            .keep("the token of a link that is never used", &unused);
        for n in 0..8 {
            let wrong = self.canaries.make("a wrong password");
            let form = self.form("/sign-in", &[("email", EMAIL), ("password", &wrong)]);
            assert_eq!(self.send(form).await.0, 401, "{n}");
            let wrong = self.canaries.make("a wrong token");
            let form = self.form("/sign-in/link", &[("token", &wrong)]);
            assert_eq!(self.send(form).await.0, 401, "{n}");
        }
        let origin = self.canaries.make("the secret of an origin");
        let fields = [
            ("email", EMAIL),
            ("password", password.as_str()),
            ("originSecret", origin.as_str()),
        ];
        let by_password = self.send(self.form("/sign-in", &fields)).await;
        let second = self.canaries.make("the secret of another origin");
        let fields = [("token", used.as_str()), ("originSecret", second.as_str())];
        let by_link = self.send(self.form("/sign-in/link", &fields)).await;
        for ((status, cookie), secret) in [(by_password, origin), (by_link, second)] {
            assert_eq!(status, 303);
            let (_, session) = cookie.split_once('=').expect("a cookie");
            self.canaries.keep("a session", session);
            let change = |hunt: &Self, secret: &str| {
                let fields = [("taskApprovalMode", "on"), ("originSecret", secret)];
                hunt.form("/settings/mission-control", &fields)
                    .header("cookie", &cookie)
            };
            assert_eq!(self.send(change(self, &secret)).await.0, 303);
            let wrong = self.canaries.make("a wrong secret of an origin");
            assert_eq!(self.send(change(self, &wrong)).await.0, 403);
            let fresh = self.canaries.make("a new password");
            let fields = [
                ("current", fresh.as_str()),
                ("password", fresh.as_str()),
                ("originSecret", secret.as_str()),
            ];
            let form = self
                .form("/settings/account/password", &fields)
                .header("cookie", &cookie);
            self.send(form).await;
            for page in [
                "/board",
                "/settings/account",
                "/settings/api-keys",
                "/activity",
            ] {
                let page = self.request(Method::GET, page).header("cookie", &cookie);
                assert_eq!(self.send(page.header("accept", "text/html")).await.0, 200);
            }
        }
    }

    /// Whatever might be taken for a credential, and is none.
    async fn wrong_credentials(&mut self) {
        for n in 0..5 {
            let secret = self.canaries.make("a bad key");
            let as_key =
                ["csk_human_", "csk_agent_", "csk_service_", "csk_", ""][n].to_owned() + &secret;
            let bad = [
                self.request(Method::GET, TASKS)
                    .header("x-api-key", &as_key),
                self.request(Method::GET, "/board")
                    .header("x-api-key", &as_key),
                self.request(Method::GET, TASKS).bearer_auth(&as_key),
                self.request(Method::GET, TASKS)
                    .basic_auth("user", Some(&as_key)),
                self.request(Method::GET, TASKS)
                    .header("authorization", &as_key),
                self.request(Method::GET, TASKS)
                    .header("cookie", format!("countersign-session={secret}")),
                self.request(Method::GET, &format!("{TASKS}?api_key={as_key}")),
                self.request(Method::GET, &format!("/{as_key}")),
            ];
            for request in bad {
                assert_eq!(self.send(request).await.0, 401, "{n}");
            }
            let named = self.canaries.make("a secret in a query");
            let by_owner = self.request(Method::GET, &format!("{TASKS}?token=1&status={named}"));
            // what is refused of a query is quoted to whoever sent it, and to nobody else
            let refused = by_owner
                .header("x-api-key", self.owner.key())
                .send()
                .await
                .expect("an answer");
            assert_eq!(refused.status(), 400);
        }
        let key = self.canaries.make("an idempotency key");
        let request = self
            .owner
            .request(Method::POST, "/api/desktops")
            .header("idempotency-key", &key);
        let _created = answer(request.json(&json!({"name": "repeatable"}))).await;
    }

    /// The token of a lease, and wrong ones.
    async fn work(&mut self, desktop: &Desktop) {
        let task = json!({"type": "command", "content": "true", "desktopId": desktop.id, "autoRun": true,
            "requiresApproval": true});
        self.owner.post(TASKS, &task).await.is(201);
        let (task, token) = desktop.claim().await;
        self.canaries.keep("the token of a lease", &token);
        for _ in 0..8 {
            let wrong = self.canaries.make("a wrong token of a lease");
            let path = format!("{TASKS}/{}/heartbeat", text(&task["id"]));
            let beat = desktop
                .agent
                .request(Method::POST, &path)
                .header("x-lease-token", wrong);
            let refused = answer(beat).await.expect("an answer");
            assert_eq!(refused.status, 409);
            self.answers
                .push(String::from_utf8_lossy(&refused.body).into_owned());
        }
        desktop
            .complete(&task, &token, &json!({"outcome": "succeeded"}))
            .await;
        self.owner
            .patch(SETTINGS, &json!({"taskApprovalMode": false}))
            .await
            .is(200);
    }

    async fn search(&mut self, events: &mut Events) {
        assert!(self.canaries.0.len() >= 50, "{}", self.canaries.0.len());
        let canaries = &self.canaries;
        for answer in &self.answers {
            canaries.are_not_in("an answer", answer);
        }
        for path in [
            "/board",
            "/approvals",
            "/activity",
            "/desktops",
            "/settings/api-keys",
            "/settings/mission-control",
            "/api/auth/api-keys",
            TASKS,
            APPROVALS,
            "/api/mission-control/activity?limit=500",
        ] {
            let page = self.owner.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            canaries.are_not_in(path, &String::from_utf8_lossy(&page.body));
        }
        let rows = self
            .owner
            .get("/api/mission-control/activity?limit=500")
            .await
            .is(200);
        for _ in rows.as_array().expect("rows") {
            let (seq, event) = events.next().await.expect("an event");
            canaries.are_not_in(&format!("event {seq}"), &event.to_string());
        }
        let metrics = self.http.get(format!("http://{}/metrics", self.metrics));
        let metrics = metrics
            .send()
            .await
            .expect("figures")
            .text()
            .await
            .expect("text");
        assert!(metrics.contains("/api/mission-control/tasks"), "{metrics}");
        canaries.are_not_in("the metrics", &metrics);
        for (table, rows) in self.db.contents(&[]) {
            // an idempotency key is no secret, and is kept to be found again
            let rows = if table == "idempotency" {
                String::new()
            } else {
                rows.join("\n")
            };
            canaries.are_not_in(&table, &rows);
        }
        assert!(self.server.process().terminate().success());
        let process = self.server.process();
        let log = process.stderr() + &process.stdout();
        assert!(
            log.contains("TRACE") || log.contains("DEBUG"),
            "it logs all it can"
        );
        canaries.are_not_in("the log", &log);
        println!(
            "{:?}: {} canaries, {} answers, {} bytes of log",
            self.db.engine(),
            canaries.0.len(),
            self.answers.len(),
            log.len()
        );
    }
}

/// Its bytes as a database shows them.
fn hexadecimal(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().concat()
}

/// An address that nobody listens on.
fn free_address() -> String {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    socket.local_addr().expect("an address").to_string()
}

fn add_person(database_url: &str, password: &str) {
    let mut creating = program(API)
        .env("DATABASE_URL", database_url)
        .args(["user", "create", "--email", EMAIL, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = creating.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("it reads");
    drop(stdin);
    printed(&creating.wait_with_output().expect("it ends"));
}
