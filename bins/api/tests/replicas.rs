//! Three servers on one PostgreSQL: any of them is as good as any other (contract sections 1, 2, 4
//! and 6).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::TestDb;
use test_support::server::Server;
use tokio::sync::watch;

use crate::evidence::{checked_activity, payloads};
use crate::rest::{Caller, answer, elements, eventually, text};
use crate::site::{API, APPROVALS, Desktop, TASKS, owner_key};

/// What passes for "at once" on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_secs(2);
const SETTINGS: &str = "/api/mission-control/settings";

/// The servers, their database and a key of its owner.
pub struct Replicas {
    servers: [Server; 3],
    key: String,
    _db: TestDb,
}

impl Replicas {
    /// `None` without a PostgreSQL server for tests.
    pub fn start() -> Option<Self> {
        let db = TestDb::migrated_postgres()?;
        let key = owner_key(db.url());
        let servers = [(); 3].map(|()| Server::serve(API, db.url()));
        Some(Self {
            servers,
            key,
            _db: db,
        })
    }

    /// The same key at each of them.
    pub fn owners(&self) -> [Caller; 3] {
        self.servers
            .each_ref()
            .map(|server| Caller::new(server.url(), &self.key))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_one_decision_and_a_reader_that_moves_about_misses_nothing() {
    const TASKS_IN_ALL: usize = 60;
    let Some(replicas) = Replicas::start() else {
        return;
    };
    let owners = replicas.owners();
    let (end, reader_end) = watch::channel(None);
    let reader = tokio::spawn(read_about(owners.clone(), reader_end));

    let desktop = Desktop::create(&owners[0], "shared").await;
    let shares = owners.each_ref().map(|owner| async {
        let desktop = desktop.at(owner.url());
        desktop.tasks_in_review(owner, TASKS_IN_ALL / 3).await
    });
    let tasks = join_all(shares).await.concat();
    assert_eq!(tasks.len(), TASKS_IN_ALL);

    let decided = join_all(tasks.iter().map(|task| decide_six_times(&owners, task)));
    let mut decisions = [0; 2];
    for decision in decided.await {
        decisions[usize::from(decision == "approve")] += 1;
    }
    assert_eq!(decisions.iter().sum::<usize>(), TASKS_IN_ALL);

    let rows = checked_activity(&owners[1]).await;
    assert_eq!(rows, checked_activity(&owners[2]).await);
    let resolved = payloads(&rows, "approval.resolved");
    assert_eq!(resolved.len(), TASKS_IN_ALL);
    for task in &tasks {
        let of_task = resolved
            .iter()
            .filter(|payload| payload["taskId"] == task["id"]);
        assert_eq!(of_task.count(), 1);
    }
    assert_eq!(payloads(&rows, "approval.created").len(), TASKS_IN_ALL);

    let head = i64::try_from(rows.len()).expect("a number");
    end.send(Some(head)).expect("the reader reads");
    let (seen, cuts) = reader.await.expect("the reader");
    let logged: Vec<(i64, Value)> = (1..)
        .zip(&rows)
        .map(|(seq, row)| (seq, json!({"type": row["type"], "payload": row["payload"]})))
        .collect();
    assert_eq!(seen, logged);
    assert!(cuts > 5, "{cuts}");
}

/// Decides about a task at every replica, by both doors, at the same time: one is first, and all
/// others learn what it was. Gives the decision.
async fn decide_six_times(owners: &[Caller; 3], task: &Value) -> String {
    let review = format!("{TASKS}/{}/review", text(&task["id"]));
    let resolve = format!(
        "{APPROVALS}/{}/resolve",
        text(&task["review"]["approvalId"])
    );
    let approve = json!({"decision": "approve"});
    let reject = json!({"decision": "reject", "feedback": "no"});
    let calls = owners
        .iter()
        .flat_map(|owner| [(owner, &review, &approve), (owner, &resolve, &reject)])
        .map(|(owner, path, body)| async move { (body, owner.post(path, body).await) });
    let (first, others): (Vec<_>, Vec<_>) = join_all(calls)
        .await
        .into_iter()
        .partition(|(_, answer)| answer.status == 200);
    assert_eq!(first.len(), 1, "{task}");
    let decision = &first[0].0["decision"];
    for (_, refused) in others {
        let standing = &refused.refuses(409, "already-decided")["standing"];
        assert_eq!(&standing["decision"], decision);
        assert_eq!(standing["approvalId"], task["review"]["approvalId"]);
    }
    let now = owners[0]
        .get(&format!("{TASKS}/{}", text(&task["id"])))
        .await
        .is(200);
    let expected = if decision == "approve" {
        "done"
    } else {
        "failed"
    };
    assert_eq!(now["status"], expected);
    text(decision)
}

/// Reads the stream of events up to the end it is told, cut off again and again, each time at
/// another replica. Gives what it saw, and how often it was cut off.
async fn read_about(
    owners: [Caller; 3],
    mut end: watch::Receiver<Option<i64>>,
) -> (Vec<(i64, Value)>, usize) {
    let mut seen: Vec<(i64, Value)> = Vec::new();
    for (cuts, owner) in owners.iter().cycle().enumerate() {
        let last = |seen: &Vec<(i64, Value)>| seen.last().map_or(0, |(seq, _)| *seq);
        let mut events = owner.events(last(&seen)).await;
        // 7, 20, 33, … events, then cut
        for _ in 0..7 + 13 * (cuts % 4) {
            let arrived = tokio::select! {
                event = events.next() => event,
                _ = end.wait_for(|end| end.is_some_and(|end| end <= last(&seen))) => {
                    return (seen, cuts);
                }
            };
            seen.push(arrived.expect("the stream goes on"));
        }
    }
    unreachable!("the replicas go round and round")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_or_set_at_one_holds_at_the_others_at_once() {
    let Some(replicas) = Replicas::start() else {
        return;
    };
    let [a, b, c] = replicas.owners();
    let desktop = Desktop::create(&a, "shared").await.at(b.url());

    let mut waited = Duration::ZERO;
    for task in desktop.tasks_in_review(&a, 4).await {
        waited += decide_beside_a_wait(&a, &c, &task).await;
    }
    // looking once a second would take twice as long
    assert!(waited < Duration::from_secs(1), "{waited:?}");

    // the mode, on and off at A, as claims and completions at B find it
    let report = json!({"outcome": "succeeded"});
    for (at_claim, at_finish) in [(false, false), (true, false), (false, true)] {
        a.patch(SETTINGS, &json!({"taskApprovalMode": false}))
            .await
            .is(200);
        let task = json!({
            "type": "command", "content": "true", "desktopId": desktop.id, "autoRun": true,
        });
        c.post(TASKS, &task).await.is(201);
        a.patch(SETTINGS, &json!({"taskApprovalMode": at_claim}))
            .await
            .is(200);
        let (claimed, token) = desktop.claim().await;
        a.patch(SETTINGS, &json!({"taskApprovalMode": at_finish}))
            .await
            .is(200);
        let finished = desktop.complete(&claimed, &token, &report).await;
        let expected = if at_claim || at_finish {
            "review"
        } else {
            "done"
        };
        assert_eq!(finished["status"], expected, "{at_claim} {at_finish}");
        if at_claim || at_finish {
            assert_eq!(finished["requiresApproval"], false);
        }
    }
    let off = a
        .patch(SETTINGS, &json!({"taskApprovalMode": false}))
        .await
        .is(200);
    assert_eq!(off["taskApprovalMode"], false);
    let pending = elements(c.get(APPROVALS).await.is(200));
    assert_eq!(pending.len(), 2, "switching it off releases nothing");
    assert!(
        pending
            .iter()
            .all(|approval| approval["reason"] == "global")
    );
    checked_activity(&b).await;
}

/// Decides at one replica while another one's client waits; how long it took to hear of it.
async fn decide_beside_a_wait(here: &Caller, there: &Caller, task: &Value) -> Duration {
    let approval = format!("{APPROVALS}/{}", text(&task["review"]["approvalId"]));
    let waiting = tokio::spawn({
        let (there, path) = (there.clone(), format!("{approval}?wait=50"));
        async move { (there.get(&path).await.is(200), Instant::now()) }
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!waiting.is_finished(), "nobody has decided");
    let approve = json!({"decision": "approve"});
    let resolve = format!("{approval}/resolve");
    here.post(&resolve, &approve).await.is(200);
    let decided = Instant::now();
    let (approval, answered) = waiting.await.expect("an answer");
    assert_eq!(approval["status"], "approved");
    answered.saturating_duration_since(decided)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_everywhere() {
    let Some(replicas) = Replicas::start() else {
        return;
    };
    let owners = replicas.owners();
    let desktop = Desktop::create(&owners[0], "shared").await;
    let pending = desktop.tasks_in_review(&owners[0], 1).await.remove(0);
    let key = json!({"name": "soon revoked", "kind": "human"});
    let key = owners[0].post("/api/auth/api-keys", &key).await.is(201);
    let revoked = owners
        .each_ref()
        .map(|owner| owner.with_key(&text(&key["key"])));

    // in use everywhere: streams, waits, reads
    let approval = format!("{APPROVALS}/{}", text(&pending["review"]["approvalId"]));
    let mut open = Vec::new();
    for caller in &revoked {
        open.push(tokio::spawn(
            caller.events(0).await.end(Duration::from_secs(30)),
        ));
        let waiting = caller.request(Method::GET, &format!("{approval}?wait=60"));
        open.push(tokio::spawn(async move {
            assert_eq!(answer(waiting).await.expect("an answer").status, 401);
        }));
        caller.get(TASKS).await.is(200);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(open.iter().all(|open| !open.is_finished()));
    join_all(revoked.iter().map(|caller| caller.get(TASKS))).await;

    let path = format!("/api/auth/api-keys/{}", text(&key["id"]));
    owners[0].delete(&path).await.is(204);
    let begin = Instant::now();
    let task = json!({"type": "command", "content": "true", "desktopId": desktop.id});
    let review = format!("{TASKS}/{}/review", text(&pending["id"]));
    let approve = json!({"decision": "approve"});
    let commands = revoked
        .iter()
        .flat_map(|caller| [caller.post(TASKS, &task), caller.post(&review, &approve)]);
    for refused in join_all(commands).await {
        refused.refuses(401, "unauthenticated");
    }
    // a read that begins a second later finds it refused
    for caller in &revoked {
        eventually("reads end", AT_ONCE, async || {
            let asked = begin.elapsed();
            let status = caller.get(TASKS).await.status;
            assert!(status == 401 || asked < Duration::from_secs(1), "{asked:?}");
            (status == 401).then_some(())
        })
        .await;
    }
    for open in open {
        open.await.expect("ended");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );

    let tasks = elements(owners[1].get(TASKS).await.is(200));
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["status"], "review");
    let rows = checked_activity(&owners[2]).await;
    assert_eq!(rows.last().expect("a row")["type"], "key.revoked");
}
