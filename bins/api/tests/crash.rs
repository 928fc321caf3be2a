//! `kill -9` at any moment: nothing acknowledged is lost, nothing is there by half, and a repeat
//! with the same Idempotency-Key tells what became of the rest (docs/guarantees.md, G1 to G3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::evidence::{checked_activity, payloads};
use crate::rest::{Answer, Caller, answer, text};
use crate::site::{APPROVALS, Desktop, Site, TASKS, on_every_engine};

const ROUNDS: u32 = 8;
/// Clients that write at the same time, half of them tasks, half decisions.
const WRITERS: usize = 8;
/// Decisions a round.
const DECISIONS: usize = 24;
/// More creations a round than there is time for.
const CREATIONS: usize = 4_000;

/// A write, and its answer if one came.
struct Write {
    path: String,
    body: Value,
    key: String,
    acknowledged: Option<Value>,
}

impl Write {
    fn new(path: String, body: Value, key: String) -> Self {
        Self {
            path,
            body,
            key,
            acknowledged: None,
        }
    }

    fn creation(desktop: &Desktop, key: String) -> Self {
        let body = json!({
            "type": "command", "content": "true", "desktopId": desktop.id, "title": key,
        });
        Self::new(TASKS.to_owned(), body, key)
    }

    /// By one of the two doors, one or the other way.
    fn decision(number: usize, task: &Value) -> Self {
        let id = text(&task["id"]);
        let path = if number.is_multiple_of(2) {
            format!("{TASKS}/{id}/review")
        } else {
            format!(
                "{APPROVALS}/{}/resolve",
                text(&task["review"]["approvalId"])
            )
        };
        let decision = if number % 4 < 2 { "approve" } else { "reject" };
        Self::new(
            path,
            json!({"decision": decision, "feedback": id}),
            format!("decide {id}"),
        )
    }

    fn is_creation(&self) -> bool {
        self.path == TASKS
    }

    /// Sends it once; `None` when no whole answer came.
    async fn send(&self, caller: &Caller) -> Option<Answer> {
        let request = caller
            .request(Method::POST, &self.path)
            .header("idempotency-key", &self.key)
            .json(&self.body);
        answer(request).await.ok()
    }

    /// Sends it for the first time and notes the answer; `false` when there is none.
    async fn try_once(&mut self, caller: &Caller) -> bool {
        let answer = self.send(caller).await;
        self.acknowledged = answer.map(|answer| answer.is(self.success()));
        self.acknowledged.is_some()
    }

    fn success(&self) -> u16 {
        if self.is_creation() { 201 } else { 200 }
    }
}

#[test]
fn a_killed_server_has_kept_every_word_it_gave() {
    on_every_engine(async |db| {
        let mut site = Site::start(db);
        let desktop = site.desktop("under load").await;
        let mut kept = Vec::new();
        let mut unknown = 0;
        for round in 0..ROUNDS {
            let writes = load_until_killed(&mut site, &desktop, round).await;
            site.restart();
            check_what_is_there(&site.owner, writes.iter().chain(&kept)).await;
            unknown += writes
                .iter()
                .filter(|write| write.acknowledged.is_none())
                .count();
            kept.extend(repeat(&site.owner, writes).await);
        }
        check_what_is_there(&site.owner, &kept).await;
        let rows = checked_activity(&site.owner).await;
        let (creations, decisions): (Vec<_>, Vec<_>) =
            kept.iter().partition(|write| write.is_creation());
        let created = payloads(&rows, "task.created").len();
        assert_eq!(created, creations.len() + DECISIONS * ROUNDS as usize);
        let resolved = payloads(&rows, "approval.resolved").len();
        assert_eq!(resolved, decisions.len());
        assert!(unknown >= ROUNDS as usize, "it was idle when killed");
        assert!(creations.len() > WRITERS && decisions.len() > WRITERS);
    });
}

/// Writes with many clients, kills the server in the midst of it, and gives every write that was
/// sent.
async fn load_until_killed(site: &mut Site, desktop: &Desktop, round: u32) -> Vec<Write> {
    let owner = site.owner.clone();
    let desktop = desktop.at(owner.url());
    let in_review = desktop.tasks_in_review(&owner, DECISIONS).await;
    let mut plans: Vec<Vec<Write>> = (0..WRITERS).map(|_| Vec::new()).collect();
    for (number, task) in in_review.iter().enumerate() {
        plans[number % (WRITERS / 2)].push(Write::decision(number, task));
    }
    for number in 0..CREATIONS {
        let key = format!("round {round} task {number}");
        let writer = WRITERS / 2 + number % (WRITERS / 2);
        plans[writer].push(Write::creation(&desktop, key));
    }
    let writers: Vec<_> = plans
        .into_iter()
        .map(|plan| tokio::spawn(write_while_it_lives(owner.clone(), plan)))
        .collect();
    // another moment each round, from the first write to the midst of the decisions
    tokio::time::sleep(Duration::from_millis(u64::from(5 + 12 * round))).await;
    site.server.process().kill();
    let written = join_all(writers).await.into_iter();
    written
        .flat_map(|writes| writes.expect("a writer"))
        .collect()
}

/// Writes one after the other until there is no answer; gives those that were sent.
async fn write_while_it_lives(owner: Caller, plan: Vec<Write>) -> Vec<Write> {
    let mut sent = Vec::new();
    for mut write in plan {
        let answered = write.try_once(&owner).await;
        sent.push(write);
        if !answered {
            break;
        }
    }
    sent
}

/// Every acknowledged write is there, and the log tells of the same writes as the state.
async fn check_what_is_there(owner: &Caller, writes: impl IntoIterator<Item = &Write>) {
    let titles = titles(owner).await;
    let approvals = approvals(owner).await;
    let rows = checked_activity(owner).await;

    for write in writes {
        let Some(answer) = &write.acknowledged else {
            continue;
        };
        if write.is_creation() {
            let ids = titles
                .get(&write.key)
                .map(Vec::as_slice)
                .unwrap_or_default();
            assert_eq!(ids, [text(&answer["id"])], "{}", write.key);
        } else {
            let approval = &approvals[&text(&write.body["feedback"])];
            assert_eq!(approval["feedback"], write.body["feedback"]);
            let status = match write.body["decision"].as_str() {
                Some("approve") => "approved",
                _ => "rejected",
            };
            assert_eq!(approval["status"], status, "{approval}");
        }
    }

    let ids: BTreeSet<String> = titles.into_values().flatten().collect();
    assert_eq!(named(&payloads(&rows, "task.created"), "taskId"), ids);
    let all: BTreeSet<String> = approvals.keys().cloned().collect();
    assert_eq!(named(&payloads(&rows, "approval.created"), "taskId"), all);
    let resolved = payloads(&rows, "approval.resolved");
    let decided = approvals
        .values()
        .filter(|approval| approval["status"] != "pending");
    let decided: BTreeSet<String> = decided.map(|approval| text(&approval["taskId"])).collect();
    assert_eq!(named(&resolved, "taskId"), decided);
    for payload in &resolved {
        let approval = &approvals[&text(&payload["taskId"])];
        assert_eq!(payload["status"], approval["status"]);
        assert_eq!(payload["taskStatus"], approval["task"]["status"]);
    }
    let undecided = approvals
        .values()
        .filter(|approval| approval["status"] == "pending");
    assert!(
        undecided
            .into_iter()
            .all(|approval| approval["task"]["status"] == "review")
    );
}

/// The ids that rows of the log name, each once.
fn named(payloads: &[Value], member: &str) -> BTreeSet<String> {
    let ids: BTreeSet<String> = payloads
        .iter()
        .map(|payload| text(&payload[member]))
        .collect();
    assert_eq!(ids.len(), payloads.len(), "one row each");
    ids
}

/// The ids of the tasks by their title.
async fn titles(owner: &Caller) -> BTreeMap<String, Vec<String>> {
    let mut titles = BTreeMap::<String, Vec<String>>::new();
    for task in owner.every(&format!("{TASKS}?limit=200")).await {
        titles
            .entry(text(&task["title"]))
            .or_default()
            .push(text(&task["id"]));
    }
    titles
}

/// The approvals by the id of their task.
async fn approvals(owner: &Caller) -> BTreeMap<String, Value> {
    let all = owner.every(&format!("{APPROVALS}?status=all")).await;
    all.into_iter()
        .map(|approval| (text(&approval["taskId"]), approval))
        .collect()
}

/// Sends everything again: what was acknowledged gets the same answer, what was not is done now or
/// was done then, and all of it once.
async fn repeat(owner: &Caller, writes: Vec<Write>) -> Vec<Write> {
    let repeats = writes.into_iter().map(|mut write| async {
        let answer = write.send(owner).await.expect("an answer");
        let now = answer.is(write.success());
        if let Some(then) = &write.acknowledged {
            assert_eq!(
                answer.header("idempotency-replayed"),
                "true",
                "{}",
                write.key
            );
            assert_eq!(&now, then);
        }
        write.acknowledged = Some(now);
        write
    });
    join_all(repeats).await
}
