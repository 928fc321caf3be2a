//! Replies that never arrive: a proxy passes each request on, waits until the server answers, which it
//! does after its commit, and cuts the connection instead of passing the answer on. A client that repeats
//! with the same Idempotency-Key until it is answered has decided once, and learns the first answer
//! (docs/guarantees.md, G3; F5).
//!
//! `cargo xtask torture lost-replies` does the same many times more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::rounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::evidence::{checked_activity, payloads};
use crate::rest::{Answer, Caller, answer, text};
use crate::site::{APPROVALS, Site, TASKS, on_every_engine};

/// Decisions on each engine, when nobody asks for more.
const DECISIONS: usize = 200;
/// Clients that decide at the same time, each about tasks of its own.
const CLIENTS: usize = 8;
/// The same request, sent at the same time.
const COPIES: usize = 4;

#[test]
fn a_decision_whose_reply_is_lost_is_made_once_and_answered_on_repeat() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let thief = Thief::before(site.server.url()).await;
        let desktop = site.desktop("one").await;
        let (mut lost, mut in_progress) = (0, 0);
        let mut left = rounds(DECISIONS);
        let decisions = left;
        while left > 0 {
            let share = left.min(CLIENTS * 5);
            left -= share;
            let tasks = desktop.tasks_in_review(&site.owner, share).await;
            let shares = tasks.chunks(share.div_ceil(CLIENTS)).map(async |tasks| {
                let mut counts = [0, 0];
                for (number, task) in tasks.iter().enumerate() {
                    let counted = decide(&site.owner, &thief, number, task).await;
                    counts = [counts[0] + counted[0], counts[1] + counted[1]];
                }
                counts
            });
            for [unanswered, refused] in join_all(shares).await {
                lost += unanswered;
                in_progress += refused;
            }
        }
        let rows = checked_activity(&site.owner).await;
        assert_eq!(payloads(&rows, "approval.resolved").len(), decisions);
        assert!(
            lost >= decisions / 2,
            "{lost} of {decisions} replies were lost"
        );
        assert!(in_progress > 0, "no two copies met");
        println!(
            "{decisions} decisions, {lost} replies lost, {in_progress} met the first in progress"
        );
    });
}

/// Decides about one task through the thief until an answer comes; then nothing else is to be had for the
/// same key. Gives how many replies were lost, and how many copies met the first one in progress.
async fn decide(owner: &Caller, thief: &Thief, number: usize, task: &Value) -> [usize; 2] {
    let id = text(&task["id"]);
    let door = if number.is_multiple_of(2) {
        format!("{TASKS}/{id}/review")
    } else {
        let approval = text(&task["review"]["approvalId"]);
        format!("{APPROVALS}/{approval}/resolve")
    };
    let (decision, other) = if number % 4 < 2 {
        ("approve", "reject")
    } else {
        ("reject", "approve")
    };
    let body = json!({"decision": decision, "feedback": id});
    let send = async |caller: &Caller, body: &Value| {
        let request = caller.request(Method::POST, &door);
        answer(request.header("idempotency-key", &id).json(body)).await
    };

    // several copies at once, whose answers may all be lost; then one after the other
    let behind = owner.at(&thief.url);
    let mut tried: Vec<reqwest::Result<Answer>> =
        join_all((0..COPIES).map(|_| send(&behind, &body))).await;
    let answered = |tried: &[reqwest::Result<Answer>]| {
        let mut known = tried.iter().flatten();
        known.any(|answer| answer.status == 200)
    };
    while !answered(&tried) {
        tried.push(send(&behind, &body).await);
    }

    let mut firsts = 0;
    let (mut lost, mut in_progress) = (0, 0);
    let first = send(owner, &body).await.expect("an answer");
    assert_eq!(first.header("idempotency-replayed"), "true", "{id}");
    let first = first.is(200);
    assert_eq!(standing(&first), [decision, &id]);
    for answer in tried {
        match answer {
            Err(_) => lost += 1,
            Ok(answer) if answer.status == 409 => {
                answer.refuses(409, "in-progress");
                in_progress += 1;
            }
            Ok(answer) => {
                firsts += usize::from(answer.header("idempotency-replayed").is_empty());
                assert_eq!(answer.is(200), first, "{id}: another answer");
            }
        }
    }
    assert!(firsts <= 1, "{id} was decided {firsts} times");

    let changed = json!({"decision": other, "feedback": id});
    let refused = send(owner, &changed).await.expect("an answer");
    refused.refuses(422, "idempotency-mismatch");
    let unkeyed = owner.post(&door, &changed).await;
    let refused = unkeyed.refuses(409, "already-decided");
    assert_eq!(refused["standing"]["decision"], decision);
    [lost, in_progress]
}

/// Decision and feedback in the answer of either door.
fn standing(answer: &Value) -> [&str; 2] {
    let review = answer.get("review").unwrap_or(answer);
    let decision = review["decision"]
        .as_str()
        .unwrap_or_else(|| match &review["status"] {
            status if status == "approved" => "approve",
            status if status == "rejected" => "reject",
            other => panic!("decided, not {other}"),
        });
    [decision, review["feedback"].as_str().expect("feedback")]
}

/// A proxy that loses two of three replies, each after the server has given it.
struct Thief {
    url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Thief {
    /// In front of the server at `http://…`.
    async fn before(url: &str) -> Self {
        let target = url.strip_prefix("http://").and_then(|a| a.parse().ok());
        let target: SocketAddr = target.expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let replies = Arc::new(AtomicU32::new(0));
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target, Arc::clone(&replies)));
            }
        });
        Self {
            url,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

/// Passes one connection on until one of its replies is to be lost: then both ends are closed.
async fn pass(mut client: TcpStream, target: SocketAddr, replies: Arc<AtomicU32>) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut asked, mut answered) = (vec![0; 16_384], vec![0; 16_384]);
    let mut is_new = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                is_new = true;
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                let number = || replies.fetch_add(1, Ordering::Relaxed);
                if is_new && !number().is_multiple_of(3) {
                    return;
                }
                is_new = false;
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
