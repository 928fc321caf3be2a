//! Requests that a proxy and this server could tell apart in two ways, so that one hides in the body of
//! another; and what one request of a connection lends to the next, which is nothing.

use std::time::Duration;

use test_support::TestDb;

use super::wire::{PATIENCE, Wire, request};
use crate::rest::text;
use crate::site::{APPROVALS, Site, TASKS, on_every_engine};

/// After so long nothing more comes: the server answers what it has read at once.
const SILENCE: Duration = Duration::from_millis(700);

#[test]
fn no_request_hides_in_another() {
    on_every_engine(async |db| {
        let place = Place::new(db).await;
        let inner = place.approving();
        for (what, framing) in ambiguous(&inner) {
            place.is_one_request(what, &framing).await;
        }
        place.nothing_was_decided().await;
    });
}

#[test]
fn a_request_lends_its_credentials_to_no_other() {
    on_every_engine(async |db| {
        let place = Place::new(db).await;
        place.pipelined().await;
        place.one_after_the_other().await;
        place.nothing_was_decided().await;
    });
}

/// A server with a task in review.
struct Place {
    site: Site,
    task: String,
}

impl Place {
    async fn new(db: TestDb) -> Self {
        let site = Site::start(db);
        let desktop = site.desktop("smuggling").await;
        let tasks = desktop.tasks_in_review(&site.owner, 1).await;
        let task = text(&tasks[0]["id"]);
        Self { site, task }
    }

    /// The request to smuggle: an approval by somebody who may.
    fn approving(&self) -> String {
        let path = format!("{TASKS}/{}/review", self.task);
        let headers = "content-type: application/json\r\n";
        let body = br#"{"decision":"approve"}"#;
        let bytes = request("POST", &path, self.site.owner.key(), headers, body);
        String::from_utf8(bytes).expect("text")
    }

    /// Sends a request of unclear end to calls that everybody may make, that a key is needed for, and with
    /// a key. It gets one answer at most, and what hides in it is not carried out.
    async fn is_one_request(&self, what: &str, framing: &str) {
        let key = format!("x-api-key: {}\r\n", self.site.owner.key());
        for (target, key) in [
            ("GET /healthz", ""),
            ("POST /sign-in", ""),
            ("GET /api/mission-control/tasks", ""),
            ("POST /api/mission-control/tasks", ""),
            ("POST /api/mission-control/tasks", key.as_str()),
            ("GET /api/mission-control/tasks", key.as_str()),
        ] {
            let mut wire = Wire::open(self.site.server.url()).await;
            let bytes = format!("{target} HTTP/1.1\r\nhost: localhost\r\n{key}{framing}");
            wire.send(bytes.as_bytes()).await;
            let replies = wire.replies(SILENCE).await;
            let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
            assert!(replies.len() <= 1, "{what}, {target}: {statuses:?}");
            let public = target == "GET /healthz" || !key.is_empty();
            let success = statuses.iter().any(|status| (200..300).contains(status));
            assert!(public || !success, "{what}, {target}: {statuses:?}");
        }
    }

    /// The connection brings a request with a key, and others without or with another one, at once.
    async fn pipelined(&self) {
        let owner = request("GET", APPROVALS, self.site.owner.key(), "", b"");
        let bare = request("GET", APPROVALS, "", "", b"");
        let bad = request("GET", APPROVALS, "csk_human_nonsense", "", b"");
        let cookie = request("GET", APPROVALS, "", "cookie: session=x\r\n", b"");
        let mut wire = Wire::open(self.site.server.url()).await;
        wire.send(&[&*owner, &bare, &owner, &bad, &owner, &cookie].concat())
            .await;
        for turn in 0..6 {
            let reply = wire.reply(PATIENCE).await.expect("an answer");
            let expected = if turn % 2 == 0 { 200..201 } else { 401..430 };
            assert!(expected.contains(&reply.status), "{turn}: {}", reply.status);
            assert!(turn % 2 == 0 || !reply.code().is_empty());
        }
    }

    /// The same, each after the answer before.
    async fn one_after_the_other(&self) {
        let mut wire = Wire::open(self.site.server.url()).await;
        for _ in 0..3 {
            wire.send(&request("GET", APPROVALS, self.site.owner.key(), "", b""))
                .await;
            assert_eq!(wire.reply(PATIENCE).await.expect("an answer").status, 200);
            // one with a body would end the connection, unread
            wire.send(&request("GET", APPROVALS, "", "", b"")).await;
            let refused = wire.reply(PATIENCE).await.expect("an answer");
            assert!(matches!(refused.status, 401 | 429), "{}", refused.status);
        }
    }

    async fn nothing_was_decided(&self) {
        let task = self
            .site
            .owner
            .get(&format!("{TASKS}/{}", self.task))
            .await
            .is(200);
        assert_eq!(task["status"], "review");
        let tasks = self.site.owner.get(TASKS).await;
        assert_eq!(tasks.header("x-total-count"), "1");
    }
}

/// Ends of heads, and bodies, that two readers could end at two places; `inner` is what hides there.
fn ambiguous(inner: &str) -> Vec<(&'static str, String)> {
    let length = inner.len();
    let inner_head = inner.split("\r\n\r\n").next().unwrap_or_default();
    let chunk = format!("{length:x}\r\n{inner}\r\n0\r\n\r\n");
    let te = "transfer-encoding: chunked\r\n";
    let both = format!("content-length: 4\r\n{te}\r\n0\r\n\r\n{inner}");
    let all = format!("content-length: {length}\r\n");
    let in_chunked = |field: &str| format!("{field}\r\n\r\n0\r\n\r\n{inner}");
    vec![
        ("a length and chunks", both),
        ("chunks and a length", format!("{te}{all}\r\n{chunk}")),
        (
            "chunks, and a length of all",
            format!("{te}content-length: {}\r\n\r\n{chunk}", chunk.len()),
        ),
        (
            "two lengths",
            format!("content-length: 0\r\n{all}\r\n{inner}"),
        ),
        (
            "two lengths, the other way",
            format!("{all}content-length: 0\r\n\r\n{inner}"),
        ),
        (
            "two lengths in one",
            format!("content-length: 0, {length}\r\n\r\n{inner}"),
        ),
        (
            "twice the same length in one",
            format!("content-length: {length}, {length}\r\n\r\n{inner}"),
        ),
        (
            "a length with a sign",
            format!("content-length: +{length}\r\n\r\n{inner}"),
        ),
        (
            "a negative length",
            format!("content-length: -{length}\r\n\r\n{inner}"),
        ),
        (
            "a length in hexadecimal",
            format!("content-length: 0x{length:x}\r\n\r\n{inner}"),
        ),
        (
            "a length with a space",
            format!("content-length: 1 0\r\n\r\n{inner}"),
        ),
        (
            "a length that is no number",
            format!("content-length: many\r\n\r\n{inner}"),
        ),
        (
            "a length that overflows",
            format!("content-length: 18446744073709551616\r\n\r\n{inner}"),
        ),
        (
            "an empty length",
            format!("content-length: \r\n\r\n{inner}"),
        ),
        (
            "chunked twice",
            in_chunked(&format!("{te}transfer-encoding: chunked")),
        ),
        (
            "chunked and identity",
            in_chunked("transfer-encoding: chunked, identity"),
        ),
        (
            "identity, then chunked",
            in_chunked("transfer-encoding: identity\r\ntransfer-encoding: chunked"),
        ),
        (
            "an unknown coding",
            in_chunked("transfer-encoding: xchunked"),
        ),
        (
            "gzip, then chunked",
            in_chunked("transfer-encoding: gzip, chunked"),
        ),
        (
            "chunked with a tab",
            in_chunked("transfer-encoding:\tchunked\tx"),
        ),
        (
            "chunked in quotes",
            in_chunked("transfer-encoding: \"chunked\""),
        ),
        ("an empty coding", in_chunked("transfer-encoding: ")),
        (
            "identity and a length",
            format!("transfer-encoding: identity\r\n{all}\r\n{inner}"),
        ),
        (
            "a space before the colon",
            in_chunked("transfer-encoding : chunked"),
        ),
        (
            "a tab before the colon",
            in_chunked("transfer-encoding\t: chunked"),
        ),
        (
            "a length with a space before the colon",
            format!("content-length : {length}\r\n\r\n{inner}"),
        ),
        (
            "a folded line",
            format!("x-folded: a\r\n content-length: {length}\r\n\r\n{inner}"),
        ),
        (
            "a folded coding",
            in_chunked("transfer-encoding:\r\n chunked"),
        ),
        (
            "a header that begins with a space",
            format!(" {all}\r\n{inner}"),
        ),
        ("NUL in a name", in_chunked("transfer\0-encoding: chunked")),
        ("NUL in a value", in_chunked("transfer-encoding: chunked\0")),
        (
            "a bare CR between headers",
            in_chunked("x-a: b\rtransfer-encoding: chunked"),
        ),
        (
            "a bare CR at the end of the head",
            format!("{all}\r\r\n{inner}"),
        ),
        ("no colon", in_chunked("transfer-encoding chunked")),
        ("an empty name", in_chunked(": chunked")),
        (
            "a second host",
            format!("host: other.example\r\n{all}\r\n{inner}"),
        ),
        (
            "a chunk that is shorter than it says",
            format!("{te}\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", length + 5),
        ),
        (
            "a chunk that is longer than it says",
            format!("{te}\r\n3\r\n{inner}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size with a sign",
            format!("{te}\r\n+0\r\n\r\n{inner}"),
        ),
        (
            "a negative chunk size",
            format!("{te}\r\n-1\r\n\r\n{inner}"),
        ),
        ("a chunk size in C", format!("{te}\r\n0x0\r\n\r\n{inner}")),
        (
            "a chunk size that overflows",
            format!("{te}\r\n10000000000000000\r\n\r\n{inner}"),
        ),
        ("an empty chunk size", format!("{te}\r\n\r\n\r\n{inner}")),
        (
            "a chunk size with a bare LF",
            format!("{te}\r\n0\n\n{inner}"),
        ),
        (
            "a chunk extension with a bare LF",
            format!("{te}\r\n0;a\n\r\n{inner}"),
        ),
        (
            "a chunk extension with CR",
            format!("{te}\r\n0;a\rb\r\n\r\n{inner}"),
        ),
        (
            "a chunk extension and an inner request",
            format!("{te}\r\n{length:x};a=\"\r\n\"\r\n{inner}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk without its end",
            format!("{te}\r\n1\r\naX0\r\n\r\n{inner}"),
        ),
        (
            "a chunk ended by a bare LF",
            format!("{te}\r\n1\r\na\n0\r\n\r\n{inner}"),
        ),
        (
            "trailers that name a length",
            format!("{te}\r\n0\r\ncontent-length: {length}\r\n{inner_head}\r\n\r\n"),
        ),
        (
            "an upgrade",
            format!("connection: upgrade\r\nupgrade: websocket\r\n\r\n{inner}"),
        ),
        (
            "an upgrade to HTTP/2",
            format!(
                "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n{all}\r\n{inner}"
            ),
        ),
    ]
}
