//! Authorisation is on the matched call, never on the text of the path or on a header (guarantee E6).

use std::collections::BTreeSet;

use serde_json::json;
use test_support::rounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use web::{PAGES, ROUTES, Route};

use crate::world::{TASKS, World};

crate::on_both_engines! {
    no_spelling_of_a_path_leads_past_the_gate
    no_host_but_ours_is_believed_with_a_cookie
}

/// What everybody may ask for.
const PUBLIC: [&str; 4] = ["/healthz", "/readyz", "/openapi.json", "/sign-in"];
/// Requests of a caller in the ordinary run: of all routes, spellings and headers every so many.
const REQUESTS: usize = 3_000;

/// A connection that is used again while the server lets it.
struct Line<'a> {
    world: &'a World,
    stream: Option<TcpStream>,
}

impl Line<'_> {
    /// The status of a request exactly as written here: clients of their own tidy paths. `None` when the
    /// server closes without an answer.
    async fn status(&mut self, request: &[u8]) -> Option<u16> {
        let mut stream = if let Some(stream) = self.stream.take() {
            stream
        } else {
            let stream = TcpStream::connect(self.world.address()).await;
            stream.expect("a connection")
        };
        stream.write_all(request).await.ok()?;
        let mut answer = Vec::new();
        let (head, length) = loop {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let length = head.split("\r\ncontent-length: ").nth(1);
                let length = length.and_then(|rest| rest.split('\r').next()?.parse::<usize>().ok());
                break (head, length.map(|length| end + 4 + length));
            }
        };
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let is_whole = length == Some(answer.len());
        if is_whole && !head.contains("connection: close") {
            self.stream = Some(stream);
        }
        Some(status.unwrap_or_else(|| panic!("{head:?}")))
    }
}

/// Ways to write a path.
fn spellings(path: &str) -> Vec<String> {
    let encode = |encoded: String, byte: u8| format!("{encoded}%{byte:02x}");
    let encoded = path.bytes().fold(String::new(), encode);
    let twice = encoded.replace('%', "%25");
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    vec![
        path.to_owned(),
        format!("{path}/"),
        format!("/{path}"),
        format!("//{path}"),
        format!("{path}//"),
        format!("{path}."),
        format!("{path}.json"),
        format!("{path}?x"),
        format!("{path}?x-api-key=csk_human_1"),
        format!("{path}#x"),
        format!("{path};x"),
        format!("{path};/healthz"),
        format!("{path}%00"),
        format!("{path}%00/healthz"),
        format!("{path}%20"),
        format!("{path}%09"),
        format!("{path}%0d%0a"),
        format!("{path}%3f"),
        format!("{path}%23"),
        format!("{path}%2f"),
        format!("{path}/."),
        format!("{path}/./"),
        format!("{path}/..;/"),
        format!("{path}/../healthz"),
        format!("{path}/%2e%2e/healthz"),
        format!("/.{path}"),
        format!("/%2e{path}"),
        format!("/healthz/..{path}"),
        format!("/healthz{path}"),
        format!("/healthz%2f..{path}"),
        format!("/healthz/%2e%2e{path}"),
        format!("/healthz/..%2f{}", &path[1..]),
        format!("/healthz/%252e%252e{path}"),
        format!("/healthz/..%c0%af{}", &path[1..]),
        format!("/healthz;{path}"),
        format!("/healthz?{path}"),
        format!("/assets/..{path}"),
        format!("/assets/%2e%2e%2f{}", &path[1..]),
        format!("/sign-in/..{path}"),
        format!("/sign-in?next={path}"),
        format!("/openapi.json{path}"),
        format!("http://other.example{path}"),
        format!("http://localhost{path}"),
        format!("https://localhost:443{path}"),
        format!("http://localhost/healthz?{path}"),
        format!("http://user@localhost{path}"),
        path.to_uppercase(),
        format!("/{}/{rest}", first.to_uppercase()),
        path.replace('/', "%2f"),
        path.replace('/', "//"),
        path.replace('/', "/./"),
        path.replace('/', "\\"),
        path.replace('-', "%2d"),
        path.replace('e', "%65"),
        path.replace('e', "%2565"),
        path.replace('a', "%u0061"),
        path.replace('s', "\u{17f}"),
        format!("/{encoded}"),
        format!("/{twice}"),
        path[1..].to_owned(),
        "*".to_owned(),
        format!("/api/{first}/../../{}", &path[1..]),
    ]
}

/// Headers by which proxies and frameworks are told that a request is another one.
fn headers(path: &str) -> Vec<String> {
    let mut headers = vec![
        "host: localhost\r\n".to_owned(),
        "host: \r\n".to_owned(),
        "host: other.example\r\n".to_owned(),
        "host: localhost/healthz\r\n".to_owned(),
        "host: localhost@other.example\r\n".to_owned(),
        "host: localhost#\r\n".to_owned(),
        "host: localhost:99999\r\n".to_owned(),
        "host: 127.0.0.1:1\r\n".to_owned(),
        "host: [::1]\r\n".to_owned(),
        "host: LOCALHOST.\r\n".to_owned(),
        String::new(),
    ];
    let told = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/healthz"),
        ("x-forwarded-uri", "/healthz"),
        ("x-forwarded-user", "owner"),
        ("x-real-ip", "127.0.0.1"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
        ("x-original-uri", "/healthz"),
        ("x-http-method-override", "GET"),
        ("x-method-override", "GET"),
        ("x-remote-user", "owner"),
        ("x-user", "owner"),
        ("x-forwarded-client-cert", "owner"),
        ("forwarded", "for=127.0.0.1;host=localhost;proto=https"),
        ("via", "1.1 localhost"),
        ("referer", "http://localhost/board"),
        ("origin", "http://localhost"),
        ("authorization", "Basic b3duZXI6b3duZXI="),
        ("authorization", "Bearer null"),
        ("cookie", "countersign-session=; x-api-key=csk_human_1"),
        ("connection", "close, x-api-key"),
        ("upgrade-insecure-requests", "1"),
    ];
    let told = told.map(|(name, value)| format!("host: localhost\r\n{name}: {value}\r\n"));
    headers.extend(told);
    for name in ["x-original-url", "x-rewrite-url", "x-forwarded-uri"] {
        headers.push(format!("host: localhost\r\n{name}: {path}\r\n"));
    }
    headers
}

/// Whether a target is one of the public paths, as any server would read it: without scheme, host and query,
/// and with its escapes undone once.
fn is_public(target: &str) -> bool {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = decoded(path);
    PUBLIC.contains(&&*path) || path == "/assets/app.css"
}

/// Undoes escapes, once.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A body with which a call would do something.
fn body(route: &Route) -> &'static str {
    match route.path.rsplit('/').next().unwrap_or_default() {
        "review" | "resolve" => r#"{"decision":"approve"}"#,
        "decide" => "decision=approve",
        "settings" => r#"{"taskApprovalMode":true}"#,
        "api-keys" => r#"{"name":"mine","kind":"human"}"#,
        "desktops" => r#"{"name":"mine"}"#,
        _ => "",
    }
}

/// Every route with every spelling of its path, each with another set of headers.
fn requests(task: &str, approval: &str, desktop: &str) -> Vec<(String, Vec<u8>)> {
    let mut requests = Vec::new();
    for route in ROUTES.iter().chain(PAGES) {
        let id = match route.path {
            path if path.contains("/approvals/") => approval,
            path if path.contains("/desktops/") => desktop,
            _ => task,
        };
        let path = route.path.replace("{id}", id).replace("{desktop}", desktop);
        let path = path.replace("{name}", "app.css").replace("{n}", "1");
        let (headers, body) = (headers(&path), body(route));
        let content = if body.starts_with('{') {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        for target in spellings(&path) {
            let told = &headers[requests.len() % headers.len()];
            let head = format!(
                "{} {target} HTTP/1.1\r\n{told}content-type: {content}\r\ncontent-length: {}\r\nKEY\r\n{body}",
                route.verb.as_str(),
                body.len()
            );
            requests.push((target, head.into_bytes()));
        }
    }
    requests
}

async fn no_spelling_of_a_path_leads_past_the_gate(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let approvals = world.get("/api/mission-control/approvals").await.is(200);
    let approval = approvals[0]["id"].as_str().expect("an id");
    let before = world.head().await;
    let all = requests(task, approval, &desktop);
    assert!(all.len() > 5_000, "{}", all.len());
    // another part of them with each round
    let every = all.len().div_ceil(rounds(1) * REQUESTS).max(1);
    let mut line = Line {
        world,
        stream: None,
    };
    let mut seen = BTreeSet::new();
    for (target, request) in all.iter().step_by(every) {
        let text = String::from_utf8_lossy(request);
        let by_nobody = text.replacen("KEY", "", 1);
        let status = line.status(by_nobody.as_bytes()).await.unwrap_or(0);
        let is_success = (200..300).contains(&status);
        assert!(
            !is_success || is_public(target),
            "nobody gets {status} for {text}"
        );
        seen.insert(status);
        let by_agent = text.replacen("KEY", &format!("x-api-key: {agent}\r\n"), 1);
        seen.insert(line.status(by_agent.as_bytes()).await.unwrap_or(0));
    }
    for status in [200, 400, 401, 403, 404] {
        assert!(
            seen.contains(&status),
            "{status} was never answered: {seen:?}"
        );
    }
    assert_eq!(world.status(task).await, "review");
    assert_eq!(world.head().await, before, "and nothing happened");
}

/// ADR 14: `localhost` and bare addresses, unless the server has a name.
async fn no_host_but_ours_is_believed_with_a_cookie(world: &World) {
    let cookie = world.person("owner@example.org").await.cookie;
    let mut line = Line {
        world,
        stream: None,
    };
    let ours = [
        "localhost",
        "LOCALHOST",
        "localhost:1",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:8080",
        "10.1.2.3",
        "[::1]",
        "[::1]:8080",
        "[fe80::1]",
    ];
    let others = [
        "",
        "other.example",
        "localhost.",
        "localhost.other.example",
        "other.example:80",
        "xlocalhost",
        "localhost/",
        "localhost/healthz",
        "localhost@other.example",
        "other.example@localhost",
        "localhost:80@other.example",
        "localhost:80:80x",
        "localhost#",
        "localhost?",
        "127.0.0.1.other.example",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1",
        "::1]",
        "[::1].other.example",
        "[localhost]",
        "localhost other.example",
        "localhost,other.example",
        "*",
        "%6cocalhost",
        "localhost%00.other.example",
        "\u{ff4c}ocalhost",
    ];
    let told = [
        "",
        "x-forwarded-host: localhost\r\n",
        "forwarded: host=localhost\r\n",
        "x-host: localhost\r\n",
        "x-original-host: localhost\r\n",
        "x-forwarded-server: localhost\r\n",
    ];
    for told in told {
        for (hosts, ours) in [(&ours[..], true), (&others[..], false)] {
            for host in hosts {
                let request = format!(
                    "GET {TASKS} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n{told}\r\n"
                );
                let status = line.status(request.as_bytes()).await.unwrap_or(0);
                let right = if ours {
                    status == 200
                } else {
                    matches!(status, 0 | 400 | 403)
                };
                assert!(right, "{host:?} with {told:?} gets {status}");
            }
        }
    }
    // what a change by cookie needs, with a foreign host
    let mine = json!({"name": "mine"}).to_string();
    for host in others {
        let request = format!(
            "POST /api/desktops HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nsec-fetch-site: same-origin\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{mine}",
            mine.len()
        );
        let status = line.status(request.as_bytes()).await.unwrap_or(0);
        assert!(matches!(status, 0 | 400 | 403), "{host:?} gets {status}");
    }
}
