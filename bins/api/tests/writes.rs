//! Writes of many clients at once while something is made to fail, and what must be found of them
//! afterwards: what was acknowledged is there, nothing is there by half, and a repeat with the same
//! Idempotency-Key tells what became of the rest (docs/guarantees.md, G1 to G3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::evidence::{checked_activity, checked_evidence, payloads};
use crate::rest::{Answer, Caller, answer, text};
use crate::site::{APPROVALS, Desktop, TASKS};

/// Clients that write at the same time, half of them tasks, half decisions.
pub const WRITERS: usize = 8;
/// Decisions of a load.
pub const DECISIONS: usize = 24;
/// More creations a load than there is time for.
const CREATIONS: usize = 4_000;

/// How long a client waits that was told to try again: less than it was told, so that more goes on.
const BEFORE_A_REPEAT: Duration = Duration::from_millis(50);

/// A write, and its answer if one came.
pub struct Write {
    path: String,
    body: Value,
    key: String,
    acknowledged: Option<Acknowledged>,
}

struct Acknowledged {
    answer: Value,
    at: Instant,
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

    /// Of a task with this key as its title.
    pub fn creation(desktop: &Desktop, key: String) -> Self {
        let body = json!({
            "type": "command", "content": "true", "desktopId": desktop.id, "title": key,
        });
        Self::new(TASKS.to_owned(), body, key)
    }

    /// By one of the two doors, one or the other way.
    pub fn decision(number: usize, task: &Value) -> Self {
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

    pub fn is_creation(&self) -> bool {
        self.path == TASKS
    }

    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// Sends it once; `None` when no whole answer came.
    pub async fn send(&self, caller: &Caller) -> Option<Answer> {
        let request = caller
            .request(Method::POST, &self.path)
            .header("idempotency-key", &self.key)
            .json(&self.body);
        answer(request).await.ok()
    }

    /// Sends it for the first time and notes the answer; `false` when there is none, or one that
    /// says that the outcome is unknown.
    pub async fn try_once(&mut self, caller: &Caller) -> bool {
        let Some(answer) = self.send(caller).await else {
            return false;
        };
        if answer.status == 503 {
            answer.is_unavailable();
            return false;
        }
        self.acknowledge(answer.is(self.success()));
        true
    }

    /// Sends it until it succeeds, at one server after the other, and notes the answer; how often it
    /// was told to try again. Nothing else may be said to it, and each server answers.
    pub async fn insist(&mut self, callers: &[Caller]) -> usize {
        let mut refusals = 0;
        for caller in callers.iter().cycle() {
            let answer = self.send(caller).await.expect("a server that lives");
            match answer.status {
                503 => answer.is_unavailable(),
                // the one before it is still at it
                409 => drop(answer.refuses(409, "in-progress")),
                _ => {
                    self.acknowledge(answer.is(self.success()));
                    break;
                }
            }
            refusals += 1;
            sleep(BEFORE_A_REPEAT).await;
        }
        refusals
    }

    /// Notes the answer.
    pub fn acknowledge(&mut self, answer: Value) {
        let at = Instant::now();
        self.acknowledged = Some(Acknowledged { answer, at });
    }

    /// An answer that came after this moment was never given in the world that goes on from it.
    pub fn forget_after(&mut self, moment: Instant) {
        self.acknowledged = self.acknowledged.take().filter(|word| word.at < moment);
    }

    pub fn success(&self) -> u16 {
        if self.is_creation() { 201 } else { 200 }
    }
}

/// Clients that write until one of their writes gets no answer.
pub struct Load {
    writers: Vec<JoinHandle<Vec<Write>>>,
    acknowledged: watch::Receiver<usize>,
}

impl Load {
    /// Starts them at a server, with tasks of the desktop for them to decide about. `name` makes
    /// their keys unlike those of any other load.
    pub async fn start(owner: &Caller, desktop: &Desktop, name: &str) -> Self {
        let (count, acknowledged) = watch::channel(0);
        let writers = plans(owner, desktop, name)
            .await
            .into_iter()
            .map(|plan| tokio::spawn(write_while_it_answers(owner.clone(), plan, count.clone())))
            .collect();
        Self {
            writers,
            acknowledged,
        }
    }

    /// Waits until so many writes were acknowledged.
    pub async fn acknowledged(&mut self, writes: usize) {
        let enough = self.acknowledged.wait_for(|count| *count >= writes).await;
        enough.expect("writers");
    }

    /// Waits until all of them have ended; every write that was sent.
    pub async fn end(self) -> Vec<Write> {
        let written = join_all(self.writers).await.into_iter();
        written
            .flat_map(|writes| writes.expect("a writer"))
            .collect()
    }
}

/// What each writer of a load is to write, one after the other.
pub async fn plans(owner: &Caller, desktop: &Desktop, name: &str) -> Vec<Vec<Write>> {
    let desktop = desktop.at(owner.url());
    let in_review = desktop.tasks_in_review(owner, DECISIONS).await;
    let mut plans: Vec<Vec<Write>> = (0..WRITERS).map(|_| Vec::new()).collect();
    for (number, task) in in_review.iter().enumerate() {
        plans[number % (WRITERS / 2)].push(Write::decision(number, task));
    }
    for number in 0..CREATIONS {
        let key = format!("{name} task {number}");
        let writer = WRITERS / 2 + number % (WRITERS / 2);
        plans[writer].push(Write::creation(&desktop, key));
    }
    plans
}

/// Writes one after the other until there is no answer; gives those that were sent.
async fn write_while_it_answers(
    owner: Caller,
    plan: Vec<Write>,
    acknowledged: watch::Sender<usize>,
) -> Vec<Write> {
    let mut sent = Vec::new();
    for mut write in plan {
        let answered = write.try_once(&owner).await;
        sent.push(write);
        if !answered {
            break;
        }
        acknowledged.send_modify(|count| *count += 1);
    }
    sent
}

/// Every acknowledged write is there, and the log tells of the same writes as the state.
pub async fn check_what_is_there(owner: &Caller, writes: impl IntoIterator<Item = &Write>) {
    let titles = titles(owner).await;
    let approvals = approvals(owner).await;
    let rows = checked_activity(owner).await;

    for write in writes {
        let Some(Acknowledged { answer, .. }) = &write.acknowledged else {
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

/// The evidence of every task about which an acknowledged decision was made is what was sealed.
pub async fn check_evidence(owner: &Caller, writes: impl IntoIterator<Item = &Write>) {
    for write in writes {
        if write.is_acknowledged() && !write.is_creation() {
            let id = text(&write.body["feedback"]);
            let task = owner.get(&format!("{TASKS}/{id}")).await.is(200);
            checked_evidence(owner, &task).await;
        }
    }
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
pub async fn repeat(owner: &Caller, writes: Vec<Write>) -> Vec<Write> {
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
            assert_eq!(now, then.answer);
        }
        write.acknowledge(now);
        write
    });
    join_all(repeats).await
}

/// In a log of these writes, each done in the end, and of `others` more tasks, every write has one
/// row.
pub async fn check_rows(owner: &Caller, writes: &[Write], others: usize) {
    let rows = checked_activity(owner).await;
    let creations = writes.iter().filter(|write| write.is_creation()).count();
    let created = payloads(&rows, "task.created").len();
    assert_eq!(created, creations + others);
    let resolved = payloads(&rows, "approval.resolved").len();
    assert_eq!(resolved, writes.len() - creations);
}

/// What clients were told before something failed.
#[derive(Default)]
pub struct Told {
    pub creations: usize,
    pub decisions: usize,
    /// Writes without an answer.
    pub unknown: usize,
}

impl Told {
    pub fn by(writes: &[Write]) -> Self {
        let mut told = Self::default();
        for write in writes {
            match (write.is_acknowledged(), write.is_creation()) {
                (false, _) => told.unknown += 1,
                (true, true) => told.creations += 1,
                (true, false) => told.decisions += 1,
            }
        }
        told
    }
}

impl AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.creations += other.creations;
        self.decisions += other.decisions;
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} creations and {} decisions acknowledged before, all there; {} unanswered, done once",
            self.creations, self.decisions, self.unknown
        )
    }
}
