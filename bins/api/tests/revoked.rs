//! Revoked credentials at three servers on one PostgreSQL: reads end within a second, streams
//! within five, no command is carried out, and nothing more is heard (guarantee G14, row E2).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::rounds;
use tokio::task::JoinHandle;

use crate::replicas::Replicas;
use crate::rest::{Caller, Events, text};
use crate::site::{Desktop, TASKS};

/// How long a credential may go on reading.
const READS_END: Duration = Duration::from_secs(1);
/// How long a stream may stay open.
const STREAMS_END: Duration = Duration::from_secs(5);
/// How many keys are revoked at the same time.
const AT_ONCE: usize = 8;

/// What one revocation took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    reads: Duration,
    streams: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_hears_and_does_nothing_more() {
    let Some(replicas) = Replicas::start() else {
        return;
    };
    let owners = replicas.owners();
    let desktop = Desktop::create(&owners[0], "watched").await;
    let (all, mut done) = (rounds(AT_ONCE), 0);
    let mut slowest = Took::default();
    while done < all {
        let keys = (0..AT_ONCE.min(all - done)).map(|n| revoke_one(&owners, &desktop, done + n));
        for took in join_all(keys).await {
            slowest.reads = slowest.reads.max(took.reads);
            slowest.streams = slowest.streams.max(took.streams);
            done += 1;
        }
    }
    let tasks = owners[0].get(TASKS).await.is(200);
    assert_eq!(tasks, json!([]), "none of their commands was carried out");
    println!("{done} revocations, at the slowest: {slowest:?}");
}

/// A key in use everywhere is revoked at one of the servers.
async fn revoke_one(owners: &[Caller; 3], desktop: &Desktop, n: usize) -> Took {
    let key = json!({"name": "soon revoked", "kind": "human"});
    let key = owners[n % 3].post("/api/auth/api-keys", &key).await.is(201);
    let callers = owners
        .each_ref()
        .map(|owner| owner.with_key(&text(&key["key"])));
    let mut open = Vec::new();
    for caller in &callers {
        caller.get(TASKS).await.is(200);
        let events = caller.events(0).await;
        open.push(listen(events, caller.clone()).await);
    }
    let path = format!("/api/auth/api-keys/{}", text(&key["id"]));
    let asked = Instant::now();
    owners[(n + 1) % 3].delete(&path).await.is(204);
    let revoked = Instant::now();

    // a command that comes after the answer is not carried out, whoever still believes the key
    let task = json!({"type": "command", "content": "revoked", "desktopId": desktop.id});
    for caller in &callers {
        let status = caller.post(TASKS, &task).await.status;
        assert!(is_refused(status), "{status}");
    }
    let mut took = Took::default();
    for caller in &callers {
        took.reads = took.reads.max(reads_end(caller, revoked).await);
    }
    // what happens from now on, nobody hears who was revoked: this is the mark
    let mark = json!({"name": format!("after {n}")});
    let mark = owners[n % 3].post("/api/desktops", &mark).await.is(201);
    for open in open {
        let (ended, events) = open.await.expect("it ends");
        took.streams = took.streams.max(ended.saturating_duration_since(asked));
        let id = text(&mark["id"]);
        let hears = events
            .iter()
            .any(|event| event["payload"]["desktopId"] == id.as_str());
        assert!(!hears, "{n}: it hears of {id}");
    }
    assert!(
        took.reads <= READS_END,
        "{n}: reads go on for {:?}",
        took.reads
    );
    assert!(
        took.streams <= STREAMS_END,
        "{n}: streams go on for {:?}",
        took.streams
    );
    took
}

/// A key that was found to be none: 401, and 429 after the tenth from an address.
const fn is_refused(status: u16) -> bool {
    matches!(status, 401 | 429)
}

/// When a read that began so long after the revocation was refused.
async fn reads_end(caller: &Caller, revoked: Instant) -> Duration {
    loop {
        let begun = revoked.elapsed();
        if is_refused(caller.get(TASKS).await.status) {
            return begun;
        }
        assert!(begun < READS_END, "a read that began {begun:?} after it");
    }
}

/// Listens until the stream ends: when that was, and what was heard since the key of it was made.
async fn listen(mut events: Events, caller: Caller) -> JoinHandle<(Instant, Vec<Value>)> {
    let rows = caller.get("/api/mission-control/activity?limit=1").await;
    let last: i64 = rows.header("x-total-count").parse().expect("a number");
    let (caught_up, ready) = tokio::sync::oneshot::channel();
    let listening = tokio::spawn(async move {
        let (mut heard, mut caught_up) = (Vec::new(), Some(caught_up));
        loop {
            let event = tokio::time::timeout(Duration::from_secs(30), events.next());
            let Some((seq, event)) = event.await.expect("it ends some time") else {
                return (Instant::now(), heard);
            };
            if seq >= last
                && let Some(caught_up) = caught_up.take()
            {
                // whoever waits may have gone
                let _gone = caught_up.send(());
            }
            heard.push(event);
        }
    });
    ready.await.expect("it hears what there was");
    listening
}
