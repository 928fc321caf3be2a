//! Requests that are too large: refused by a document where the server reads them at all, and nothing is
//! changed by them.

use test_support::TestDb;
use web::{PAGES, ROUTES, Route, Verb};

use super::wire::{JSON, PATIENCE, Reply, Wire, request};
use crate::rest::{Caller, text};
use crate::site::{Desktop, Site, TASKS, on_every_engine};

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";
/// How deep JSON is nested that must not be followed.
const DEPTHS: [usize; 2] = [200, 10_000];

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    on_every_engine(async |db| {
        let place = Place::new(db).await;
        let before = place.state().await;
        place.giant_bodies().await;
        place.giant_heads().await;
        place.deep_json().await;
        assert_eq!(place.state().await, before);
    });
}

/// A server with one of everything.
struct Place {
    site: Site,
    desktop: Desktop,
    task: String,
    approval: String,
    lease: String,
}

impl Place {
    async fn new(db: TestDb) -> Self {
        let site = Site::start(db);
        let desktop = site.desktop("giants").await;
        desktop.tasks_in_review(&site.owner, 1).await;
        let approvals = site
            .owner
            .get("/api/mission-control/approvals")
            .await
            .is(200);
        let command = serde_json::json!({"type": "command", "content": "true",
            "desktopId": desktop.id, "autoRun": true});
        site.owner.post(TASKS, &command).await.is(201);
        let (task, lease) = desktop.claim().await;
        let place = Self {
            task: text(&task["id"]),
            approval: text(&approvals[0]["id"]),
            desktop,
            lease,
            site,
        };
        place.heartbeat().await;
        place
    }

    /// Keeps the lease.
    async fn heartbeat(&self) {
        let path = format!("{TASKS}/{}/heartbeat", self.task);
        let beat = self.desktop.agent.request(reqwest::Method::POST, &path);
        let beat = beat.header("x-lease-token", &self.lease).send().await;
        assert_eq!(beat.expect("an answer").status(), 200);
    }

    /// All that a request could have changed.
    async fn state(&self) -> Vec<serde_json::Value> {
        self.heartbeat().await;
        let owner = &self.site.owner;
        let log = owner.get("/api/mission-control/activity?limit=1").await;
        let mut state = vec![log.header("x-total-count").into()];
        for path in [
            TASKS.to_owned(),
            "/api/mission-control/approvals?status=all".to_owned(),
            format!("{TASKS}/{}/logs", self.task),
            format!("{TASKS}/{}/files", self.task),
            "/api/desktops".to_owned(),
        ] {
            let mut list = owner.get(&path).await.is(200);
            for desktop in list.as_array_mut().into_iter().flatten() {
                // it is heard of all the time
                desktop
                    .as_object_mut()
                    .expect("an object")
                    .remove("lastSeenAt");
            }
            state.push(list);
        }
        state
    }

    /// The path of a route with ids that exist, and who may call it.
    fn call(&self, route: &Route) -> (String, &Caller) {
        let id = match route.path {
            path if path.contains("/approvals/") => &self.approval,
            path if path.contains("/desktops/{id}") => &self.desktop.id,
            _ => &self.task,
        };
        let path = route.path.replace("{id}", id);
        let path = path.replace("{desktop}", &self.desktop.id);
        match route.access {
            web::Access::Runner => (path, &self.desktop.agent),
            _ => (path, &self.site.owner),
        }
    }

    /// Every call that takes a body.
    fn with_bodies() -> impl Iterator<Item = &'static Route> {
        let writes = |route: &&Route| matches!(route.verb, Verb::Post | Verb::Patch);
        ROUTES.iter().filter(writes)
    }

    async fn send(&self, route: &Route, headers: &str, body: &[u8]) -> Reply {
        let (path, caller) = self.call(route);
        let headers = format!("{headers}x-lease-token: {}\r\n", self.lease);
        let mut wire = Wire::open(self.site.server.url()).await;
        let bytes = request(route.verb.as_str(), &path, caller.key(), &headers, body);
        wire.send(&bytes).await;
        let reply = wire.reply(PATIENCE).await;
        reply.unwrap_or_else(|| panic!("{} {path} has no answer", route.verb.as_str()))
    }

    /// Announced, and in chunks that go on.
    async fn giant_bodies(&self) {
        for route in Self::with_bodies() {
            self.heartbeat().await;
            self.announced(route, JSON, 9 << 20).await;
            self.announced(route, JSON, u64::MAX).await;
        }
        // pages are for people: a key may look at them as well
        let forms = PAGES.iter().filter(|route| route.verb == Verb::Post);
        for route in forms.filter(|route| route.access != web::Access::Person) {
            self.announced(route, FORM, 9 << 20).await;
        }
        let route = |path: &str| {
            let of_path = |route: &&Route| route.path == path;
            Self::with_bodies().find(of_path).expect("a route")
        };
        for path in [
            "/api/mission-control/tasks",
            "/api/mission-control/tasks/{id}/logs",
        ] {
            self.in_chunks(route(path)).await;
        }
    }

    async fn announced(&self, route: &Route, content: &str, bytes: u64) {
        let (path, caller) = self.call(route);
        let mut wire = Wire::open(self.site.server.url()).await;
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\nx-lease-token: {}\r\n\
             {content}content-length: {bytes}\r\n\r\n",
            route.verb.as_str(),
            caller.key(),
            self.lease
        );
        wire.send(head.as_bytes()).await;
        let reply = wire.reply(PATIENCE).await.expect("an answer");
        assert_eq!(
            reply.status,
            413,
            "{} {path}: {}",
            route.verb.as_str(),
            reply.head
        );
        if content == JSON {
            assert_eq!(reply.code(), "too-large", "{path}");
        }
        assert!(wire.closes(PATIENCE).await, "{path}: the rest is not read");
    }

    async fn in_chunks(&self, route: &Route) {
        let (path, caller) = self.call(route);
        let mut wire = Wire::open(self.site.server.url()).await;
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\nx-lease-token: {}\r\n\
             {JSON}transfer-encoding: chunked\r\n\r\n",
            route.verb.as_str(),
            caller.key(),
            self.lease
        );
        wire.send(head.as_bytes()).await;
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
        let mut sent = 0;
        while sent < 32 << 20 && wire.send(chunk.as_bytes()).await {
            sent += 0x1_0000;
        }
        let reply = wire.reply(PATIENCE).await.expect("an answer");
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (413, "too-large"),
            "{path}"
        );
    }

    /// Of these actix itself says only the status, and closes.
    async fn giant_heads(&self) {
        let url = self.site.server.url();
        let key = self.site.owner.key();
        let many = headers(5_000);
        let heads = [
            (
                "a header of 1 MiB",
                format!("x-long: {}\r\n", "a".repeat(1 << 20)),
            ),
            ("a name of 1 MiB", format!("{}: 1\r\n", "a".repeat(1 << 20))),
            ("5,000 headers", many),
            ("97 headers", headers(97)),
        ];
        for (what, headers) in heads {
            let mut wire = Wire::open(url).await;
            wire.send(&request("GET", TASKS, key, &headers, b"")).await;
            let reply = wire.reply(PATIENCE).await;
            // the system may forget an answer when there is more to read
            let status = reply.map_or(431, |reply| reply.status);
            assert!(matches!(status, 400 | 431), "{what}: {status}");
            assert!(wire.closes(PATIENCE).await, "{what}");
        }
        let mut wire = Wire::open(url).await;
        let path = format!("{TASKS}?cursor={}", "a".repeat(1 << 20));
        wire.send(&request("GET", &path, key, "", b"")).await;
        let status = wire.reply(PATIENCE).await.map_or(414, |reply| reply.status);
        assert!(matches!(status, 400 | 414 | 431), "a long path: {status}");
        assert!(wire.closes(PATIENCE).await);
        let path = format!("{TASKS}?cursor={}", "a".repeat(30_000));
        let mut wire = Wire::open(url).await;
        wire.send(&request("GET", &path, key, "", b"")).await;
        let reply = wire.reply(PATIENCE).await.expect("an answer");
        assert_eq!(reply.code(), "invalid-query");
    }

    /// Nested arrays and objects, as the body and as the value of each member a body may have.
    async fn deep_json(&self) {
        for route in Self::with_bodies() {
            self.heartbeat().await;
            for depth in DEPTHS {
                for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                    let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                    self.is_invalid(route, &nested).await;
                    self.is_invalid(route, &open.repeat(depth)).await;
                    let member = member(route);
                    self.is_invalid(route, &format!("{{\"{member}\":{nested}}}"))
                        .await;
                }
            }
        }
    }

    async fn is_invalid(&self, route: &Route, body: &str) {
        let reply = self.send(route, JSON, body.as_bytes()).await;
        let start: String = body.chars().take(20).collect();
        let (path, code) = (route.path, reply.code());
        // of two megabytes only uploads are read
        let large = body.len() > 1 << 20 && reply.status == 413;
        assert!(
            large || (reply.status, code.as_str()) == (400, "invalid-body"),
            "{path} {start}: {} {code}",
            reply.status
        );
    }
}

/// A member that the body of a call has.
fn member(route: &Route) -> &'static str {
    match route.path.rsplit('/').next().unwrap_or_default() {
        "review" | "resolve" => "decision",
        "logs" => "entries",
        "files" => "files",
        "complete" => "outcome",
        "claim" => "wait",
        "settings" => "requireEvidence",
        "api-keys" => "capabilities",
        "tasks" => "dependsOn",
        "desktops" => "name",
        _ => "title",
    }
}

/// So many headers.
fn headers(number: usize) -> String {
    let headers: Vec<String> = (0..number).map(|n| format!("x-{n}: 1\r\n")).collect();
    headers.concat()
}
