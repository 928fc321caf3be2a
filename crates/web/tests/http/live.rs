//! What waits and streams: long polls, server-sent events, revocations, limits, the end
//! (contract sections 4 to 7).

use std::time::Duration;

use crate::world::{Event, Events, TASKS, World, of_task, send};
use serde_json::{Value, json};
use test_support::Engine;
use tokio::time::{Instant, sleep, timeout};
use web::WebConfig;

crate::on_both_engines! {
    a_stream_misses_nothing
    a_stream_begins_where_it_is_told
    a_log_stream_ends_with_its_attempt
    an_approval_is_waited_for
    a_claim_waits_for_work
    a_newer_claim_ends_the_older
    a_revocation_ends_what_is_open
    the_use_of_keys_is_noted
}

const STREAM: &str = "/api/mission-control/activity/stream";

async fn open(world: &World, path: &str, after: Option<&str>) -> Events {
    let mut request = world.request(&world.owner, "GET", path);
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let response = request.timeout(Duration::from_mins(1)).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert!(response.headers().get("content-encoding").is_none());
    Events::new(response)
}

/// The events there should be, from the rows of the log.
async fn expected(world: &World) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let path = format!(
            "/api/mission-control/activity?limit=500&after={}",
            events.len()
        );
        let rows = world.get(&path).await.is(200);
        let rows = rows.as_array().expect("rows");
        if rows.is_empty() {
            return events;
        }
        events.extend(rows.iter().map(|row| Event {
            id: row["seq"].to_string(),
            name: String::new(),
            data: format!(r#"{{"type":{},"payload":{}}}"#, row["type"], row["payload"]),
        }));
    }
}

async fn take(events: &mut Events, count: usize) -> Vec<Event> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(events.next().await.expect("an event"));
    }
    taken
}

async fn a_stream_misses_nothing(world: &World) {
    let (desktop, _) = world.desktop().await;
    let before = usize::try_from(world.head().await).expect("a count");
    let mut live = open(world, STREAM, None).await;
    let mut replaying = open(world, STREAM, Some("0")).await;
    // more than a page and than what a feed keeps
    let tasks = 700;
    let body = json!({"type": "command", "content": "true", "desktopId": desktop, "autoRun": true});
    for _ in 0..tasks / 50 {
        let batch = (0..50).map(|_| world.post(TASKS, &body));
        for answer in futures_util::future::join_all(batch).await {
            answer.is(201);
        }
    }
    let expected = expected(world).await;
    assert_eq!(expected.len(), before + 2 * tasks);
    assert_eq!(take(&mut replaying, expected.len()).await, expected);
    assert_eq!(take(&mut live, 2 * tasks).await, expected[before..]);

    drop(live);
    let mut resumed = open(world, STREAM, Some(&(before + 3).to_string())).await;
    assert_eq!(
        take(&mut resumed, 5).await,
        expected[before + 3..before + 8]
    );
}

async fn a_stream_begins_where_it_is_told(world: &World) {
    for _ in 0..3 {
        world.desktop().await;
    }
    let expected = expected(world).await;
    let by_query = format!("{STREAM}?after=2");
    let mut events = open(world, &by_query, None).await;
    assert_eq!(take(&mut events, 2).await, expected[2..4]);
    let mut events = open(world, &by_query, Some("4")).await;
    assert_eq!(
        take(&mut events, 1).await,
        expected[4..5],
        "the header wins"
    );
    let mut events = open(world, STREAM, Some("999999")).await;
    let (desktop, _) = world.desktop().await;
    let event = events.next().await.expect("an event");
    assert!(
        event.data.contains(&desktop),
        "a number of the future hides nothing"
    );
    let head = world.request(&world.owner, "HEAD", STREAM);
    let head = timeout(Duration::from_secs(5), send(head))
        .await
        .expect("at once");
    assert_eq!(head.status, 200);
}

async fn a_log_stream_ends_with_its_attempt(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.task(&desktop, json!({})).await;
    let path = of_task(&task, "logs/stream");
    let mut early = open(world, &path, None).await;
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    let (_, token) = world.claim(&desktop, &agent).await;
    for sent in 0..3 {
        let entry = json!({"seq": sent, "stream": "stdout", "at": "2026-03-15T10:05:00Z", "base64": "eAo="});
        let logs = json!({"entries": [entry]});
        world
            .leased(&agent, &token, &of_task(&task, "logs"), &logs)
            .await
            .is(202);
        let event = early.next().await.expect("a line");
        assert_eq!(event.id, sent.to_string());
        let line: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!(line["text"], "x\n");
    }
    let report = json!({"outcome": "succeeded"});
    world
        .leased(&agent, &token, &of_task(&task, "complete"), &report)
        .await
        .is(200);
    let end = early.next().await.expect("the end");
    assert_eq!(
        (end.name.as_str(), end.data.as_str()),
        ("end", r#"{"status":"done"}"#)
    );
    assert_eq!(early.next().await, None);
    let mut late = open(world, &path, Some("1")).await;
    assert_eq!(late.next().await.expect("the last line").id, "2");
    assert_eq!(late.next().await.expect("the end").name, "end");
}

async fn an_approval_is_waited_for(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let approval = task["review"]["approvalId"].as_str().expect("an id");
    let path = format!("/api/mission-control/approvals/{approval}");
    let begin = Instant::now();
    let short = world.get(&format!("{path}?wait=1")).await.is(200);
    assert_eq!(short["status"], "pending");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let long = format!("{path}?wait=20");
    let decide = async {
        sleep(Duration::from_millis(300)).await;
        let review = of_task(task["id"].as_str().expect("an id"), "review");
        world
            .post(&review, &json!({"decision": "approve"}))
            .await
            .is(200);
    };
    let begin = Instant::now();
    let (answer, ()) = tokio::join!(world.get(&long), decide);
    assert_eq!(answer.is(200)["status"], "approved");
    assert!(begin.elapsed() < Duration::from_secs(5));
    let begin = Instant::now();
    world.get(&long).await.is(200);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "a decided one is not waited for"
    );
}

async fn a_claim_waits_for_work(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let claim = format!("/api/desktops/{desktop}/claim");
    let begin = Instant::now();
    world
        .post_as(&agent, &claim, &json!({"wait": 1}))
        .await
        .is(204);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let task = world.task(&desktop, json!({})).await;
    let run = async {
        sleep(Duration::from_millis(300)).await;
        world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    };
    let begin = Instant::now();
    let body = json!({"wait": 20});
    let (claimed, ()) = tokio::join!(world.post_as(&agent, &claim, &body), run);
    assert_eq!(claimed.is(200)["task"]["id"], task);
    assert!(begin.elapsed() < Duration::from_secs(3));
}

async fn a_newer_claim_ends_the_older(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let claim = format!("/api/desktops/{desktop}/claim");
    let begin = Instant::now();
    let newer = async {
        sleep(Duration::from_millis(300)).await;
        world.post_as(&agent, &claim, &json!({"wait": 3})).await
    };
    let body = json!({"wait": 20});
    let older = async {
        let answer = world.post_as(&agent, &claim, &body).await;
        (answer, begin.elapsed())
    };
    let ((older, taken), newer) = tokio::join!(older, newer);
    assert_eq!((older.status, newer.status), (204, 204));
    assert!(taken < Duration::from_secs(2), "{taken:?}");
    assert!(begin.elapsed() >= Duration::from_secs(3));
}

/// Everything until the stream ends.
async fn rest(stream: &mut Events) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event);
    }
    events
}

async fn a_revocation_ends_what_is_open(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let body = json!({"name": "to be revoked", "kind": "human"});
    let made = world.post("/api/auth/api-keys", &body).await.is(201);
    let key = made["key"].as_str().expect("a key");
    let stream = world.request(key, "GET", STREAM).send().await;
    let mut stream = Events::new(stream.expect("an answer"));
    let task = world.reviewed(&desktop, &agent).await;
    while let Ok(Some(_)) = timeout(Duration::from_millis(300), stream.next()).await {}
    let approval = task["review"]["approvalId"].as_str().expect("an id");
    let wait = format!("/api/mission-control/approvals/{approval}?wait=30");
    let revoke = async {
        sleep(Duration::from_millis(300)).await;
        let path = format!("/api/auth/api-keys/{}", made["id"].as_str().expect("an id"));
        send(world.request(&world.owner, "DELETE", &path))
            .await
            .is(204);
        Instant::now()
    };
    let (waited, ended, revoked) = tokio::join!(
        async { (world.get_as(key, &wait).await, Instant::now()) },
        async { (rest(&mut stream).await, Instant::now()) },
        revoke
    );
    waited.0.problem(401, "unauthenticated");
    let own = |event: &Event| event.data.contains(r#""type":"key.revoked""#);
    assert!(ended.0.iter().all(own), "nothing else comes: {:?}", ended.0);
    for end in [waited.1, ended.1] {
        assert!(end.duration_since(revoked) < Duration::from_secs(5));
    }
    sleep(Duration::from_secs(1)).await;
    world
        .get_as(key, TASKS)
        .await
        .problem(401, "unauthenticated");
}

async fn the_use_of_keys_is_noted(world: &World) {
    let head = world.head().await;
    for _ in 0..50 {
        let keys = world.get("/api/auth/api-keys").await.is(200);
        if keys[0]["lastUsedAt"].is_string() {
            assert_eq!(world.head().await, head, "that is no event");
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the use of the owner's key was not noted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets() {
    let config = WebConfig {
        rate_limit: 30,
        ..WebConfig::default()
    };
    let world = World::with(Engine::Sqlite, config).await.expect("SQLite");
    for _ in 0..30 {
        world.get(TASKS).await.is(200);
    }
    let limited = world.get(TASKS).await;
    limited.problem(429, "rate-limited");
    let seconds: u64 = limited.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds));
    let nothing = of_task("task_00000000000000000000000000", "review");
    let decide = json!({"decision": "approve"});
    world
        .post(&nothing, &decide)
        .await
        .problem(404, "not-found");

    let bad = |from: &str| {
        world
            .request("nonsense", "GET", TASKS)
            .header("x-forwarded-for", from.to_owned())
    };
    for _ in 0..10 {
        send(bad("1.2.3.4")).await.problem(401, "unauthenticated");
    }
    let limited = send(bad("1.2.3.4")).await;
    limited.problem(429, "rate-limited");
    assert!(!limited.header("retry-after").is_empty());
    send(bad("1.2.3.5")).await.problem(401, "unauthenticated");
    let valid = world.request(&world.owner, "POST", &nothing).json(&decide);
    let valid = valid.header("x-forwarded-for", "1.2.3.4");
    send(valid).await.problem(404, "not-found");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_are_counted_and_end_with_the_server() {
    let world = World::start(Engine::Sqlite).await.expect("SQLite");
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open(&world, STREAM, None).await);
    }
    let one_more = send(world.request(&world.owner, "GET", STREAM)).await;
    one_more.problem(429, "rate-limited");
    streams.pop();
    let mut freed = false;
    for _ in 0..20 {
        let again = world.request(&world.owner, "GET", STREAM).send().await;
        freed = again.expect("an answer").status() == 200;
        if freed {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(freed, "a place is free again when its client goes");
    let (desktop, agent) = world.desktop().await;
    let claim = format!("/api/desktops/{desktop}/claim");
    let claim = world
        .request(&agent, "POST", &claim)
        .json(&json!({"wait": 20}));
    let waiting = tokio::spawn(send(claim));
    sleep(Duration::from_millis(300)).await;
    let taken = world.end().await;
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    assert_eq!(waiting.await.expect("no panic").status, 204);
    while let Some(event) = streams[0].next().await {
        assert!(event.data.contains("desktop") || event.data.contains("key."));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_tell_each_other() {
    let Some(world) = World::start(Engine::Postgres).await else {
        return;
    };
    let other = world.replica().await;
    let stream = world.request_to(other.address, &world.owner, "GET", STREAM);
    let mut events = Events::new(stream.send().await.expect("an answer"));
    let (desktop, agent) = world.desktop().await;
    let event = events.next().await.expect("an event");
    assert!(event.data.contains(&desktop));
    let task = world.task(&desktop, json!({})).await;
    let claim = format!("/api/desktops/{desktop}/claim");
    let claim = world.request_to(other.address, &agent, "POST", &claim);
    let claim = tokio::spawn(send(claim.json(&json!({"wait": 20}))));
    sleep(Duration::from_millis(300)).await;
    let begin = Instant::now();
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    assert_eq!(claim.await.expect("no panic").is(200)["task"]["id"], task);
    assert!(begin.elapsed() < Duration::from_secs(3));

    let body = json!({"name": "to be revoked", "kind": "human"});
    let made = world.post("/api/auth/api-keys", &body).await.is(201);
    let key = made["key"].as_str().expect("a key");
    let stream = world.request_to(other.address, key, "GET", STREAM).send();
    let mut stream = Events::new(stream.await.expect("an answer"));
    let path = format!("/api/auth/api-keys/{}", made["id"].as_str().expect("an id"));
    send(world.request(&world.owner, "DELETE", &path))
        .await
        .is(204);
    let begin = Instant::now();
    while stream.next().await.is_some() {}
    assert!(begin.elapsed() < Duration::from_secs(5));
    let read = world.request_to(other.address, key, "GET", TASKS);
    sleep(Duration::from_secs(1).saturating_sub(begin.elapsed())).await;
    send(read).await.problem(401, "unauthenticated");
    other.end().await;
    world.end().await;
}
