//! Clients that take their time: each is cut off after the time that docs/configuration.md says.

use std::time::Duration;

use futures_util::future::join_all;
use test_support::rounds;

use super::wire::{JSON, PATIENCE, Wire, request};
use crate::site::{Site, TASKS, on_every_engine};

/// The head of a request within this.
const HEAD: Duration = Duration::from_secs(10);
/// A body that pauses longer is given up.
const PAUSE: Duration = Duration::from_secs(15);
/// A body that takes longer is given up.
const BODY: Duration = Duration::from_mins(2);
/// Between an answer and the end of the next head.
const KEPT: Duration = Duration::from_secs(75);
/// A busy machine may be late by this.
const LATE: Duration = Duration::from_secs(20);
/// Between two bytes of somebody slow.
const BYTE: Duration = Duration::from_millis(700);

/// Checks that something ended when it should.
#[track_caller]
fn is_about(took: Duration, documented: Duration, what: &str) {
    let least = documented.saturating_sub(Duration::from_secs(1));
    assert!(
        (least..documented + LATE).contains(&took),
        "{what} is cut off after {took:?}, documented are {documented:?}"
    );
}

#[test]
fn whoever_is_slow_is_cut_off_and_others_are_served() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let (url, key) = (site.server.url(), site.owner.key());
        tokio::join!(
            slow_head(url),
            silence(url),
            silent_bodies(url, key),
            working(&site)
        );
        // minutes of doing nothing: `cargo xtask torture abuse`
        if rounds(1) > 1 {
            tokio::join!(
                slow_body(url, key),
                second_head(url),
                refused_body_without_end(url),
                trailers_without_end(url, key),
            );
        }
    });
}

/// The first head of a connection, byte by byte.
async fn slow_head(url: &str) {
    let mut wire = Wire::open(url).await;
    wire.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        .await;
    let took = wire.dribble(b"a", BYTE, HEAD + LATE).await;
    is_about(took, HEAD, "a slow head");
}

/// Nothing at all.
async fn silence(url: &str) {
    let begin = tokio::time::Instant::now();
    assert!(Wire::open(url).await.closes(HEAD + LATE).await);
    is_about(begin.elapsed(), HEAD, "a silent connection");
}

/// Bodies that stop in the middle, of every framing.
async fn silent_bodies(url: &str, key: &str) {
    let json = format!("POST {TASKS} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{JSON}");
    let form = "POST /sign-in HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/x-www-form-urlencoded\r\n";
    let beginnings = [
        format!("{json}content-length: 1000\r\n\r\n{{"),
        format!("{json}transfer-encoding: chunked\r\n\r\n100\r\n{{"),
        format!("{json}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n100;a"),
        format!("{form}content-length: 100\r\n\r\nemail="),
    ];
    let cut = beginnings.iter().map(|beginning| async move {
        let begin = tokio::time::Instant::now();
        let mut wire = Wire::open(url).await;
        wire.send(beginning.as_bytes()).await;
        let reply = wire.reply(PAUSE + LATE).await.expect("an answer");
        is_about(begin.elapsed(), PAUSE, beginning);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "invalid-body"),
            "{beginning}"
        );
        // chunks are waited for as long as for the next head
        let is_chunked = beginning.contains("chunked");
        assert!(is_chunked || wire.closes(PATIENCE).await, "{beginning}");
    });
    join_all(cut).await;
}

/// Meanwhile the others are served.
async fn working(site: &Site) {
    let desktop = site.desktop("beside").await;
    for task in desktop.tasks_in_review(&site.owner, 3).await {
        let path = format!("{TASKS}/{}/review", crate::rest::text(&task["id"]));
        let approve = serde_json::json!({"decision": "approve"});
        assert_eq!(
            site.owner.post(&path, &approve).await.is(200)["status"],
            "done"
        );
    }
}

/// A body that never pauses for long and never ends.
async fn slow_body(url: &str, key: &str) {
    let begin = tokio::time::Instant::now();
    let mut wire = Wire::open(url).await;
    let head = format!(
        "POST {TASKS} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{JSON}content-length: 10000\r\n\r\n"
    );
    wire.send(head.as_bytes()).await;
    wire.dribble(b" ", BYTE, BODY + LATE).await;
    is_about(begin.elapsed(), BODY, "a slow body");
}

/// A head after one that was answered.
async fn second_head(url: &str) {
    let mut wire = Wire::open(url).await;
    wire.send(&request("GET", "/healthz", "", "", b"")).await;
    assert_eq!(wire.reply(PATIENCE).await.expect("an answer").status, 200);
    let took = wire.dribble(b"G", BYTE, KEPT + LATE).await;
    is_about(took, KEPT, "the second head");
}

/// A body whose request was refused already.
async fn refused_body_without_end(url: &str) {
    let begin = tokio::time::Instant::now();
    let mut wire = Wire::open(url).await;
    let head =
        format!("POST {TASKS} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    wire.send(head.as_bytes()).await;
    let reply = wire.reply(PATIENCE).await.expect("an answer");
    assert!(matches!(reply.status, 401 | 429));
    wire.dribble(b"1\r\na\r\n", BYTE, KEPT + LATE).await;
    assert!(begin.elapsed() < KEPT + LATE);
}

/// Trailers of a chunked body.
async fn trailers_without_end(url: &str, key: &str) {
    let begin = tokio::time::Instant::now();
    let mut wire = Wire::open(url).await;
    let head = format!(
        "POST {TASKS} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{JSON}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\nx"
    );
    wire.send(head.as_bytes()).await;
    wire.dribble(b"x", BYTE, PAUSE + KEPT + LATE).await;
    assert!(begin.elapsed() > PAUSE.saturating_sub(Duration::from_secs(1)));
}
