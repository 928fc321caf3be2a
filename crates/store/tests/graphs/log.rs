//! What the log says of a graph, row by row: the order in which everything really happened.

use std::collections::{BTreeMap, BTreeSet};

use approval_core::{Status, TaskId};
use serde_json::Value;
use test_support::check_chain;

use crate::graph::Graph;

/// Where the tasks stood after the rows read so far.
#[derive(Default)]
struct Replay {
    statuses: BTreeMap<TaskId, Status>,
    /// Tasks that asked for a decision.
    reviewed: BTreeSet<TaskId>,
    approved: BTreeSet<TaskId>,
    started: BTreeSet<TaskId>,
    /// Tasks at which a runner works.
    claimed: BTreeSet<TaskId>,
    seen: BTreeMap<&'static str, u32>,
}

impl Replay {
    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The task becomes `running`: once, and after all of its parents.
    fn start(&mut self, graph: &Graph<'_>, id: TaskId) {
        assert!(self.started.insert(id), "{id} was started again");
        let has = |tries: &Vec<TaskId>| tries.contains(&id);
        let node = graph.tries.iter().position(has).expect("of the graph");
        let mut on_a_retry = false;
        for parent in &graph.parents[node] {
            let tries = &graph.tries[*parent];
            let is_done = |id: &&TaskId| self.statuses.get(*id) == Some(&Status::Done);
            let done = tries.iter().find(is_done).expect("started too early");
            assert_eq!(
                self.reviewed.contains(done),
                self.approved.contains(done),
                "{id} started on undecided work"
            );
            on_a_retry |= tries[0] != *done;
        }
        self.see(if on_a_retry {
            "start on a retry"
        } else {
            "start"
        });
    }

    fn row(&mut self, graph: &Graph<'_>, kind: &str, payload: &Value) {
        let id = || -> TaskId { payload["taskId"].as_str().unwrap().parse().unwrap() };
        let status = |name: &str| -> Status { payload[name].as_str().unwrap().parse().unwrap() };
        match kind {
            "task.started" => assert!(self.claimed.insert(id()), "claimed twice"),
            // a silent runner's task is offered again, which is no start
            "task.queued" if self.claimed.remove(&id()) => self.see("offered again"),
            "task.queued" => self.start(graph, id()),
            "task.completed" if status("status") == Status::Review => {
                self.claimed.remove(&id());
                self.reviewed.insert(id());
            }
            "task.completed" | "task.cancelled" => self.end(id(), status("status")),
            "approval.resolved" => {
                if payload["decision"] == "approve" {
                    self.approved.insert(id());
                    self.see("approved");
                }
                self.end(id(), status("taskStatus"));
            }
            _ => {}
        }
    }

    fn end(&mut self, id: TaskId, status: Status) {
        self.see(if status.is_dead() { "dead" } else { "done" });
        self.claimed.remove(&id);
        self.statuses.insert(id, status);
    }
}

/// Replays the log of the graph's account; returns how often what was seen.
///
/// # Panics
/// When a task was started twice, or before what it depends on was done and decided.
pub async fn check(graph: &Graph<'_>) -> BTreeMap<&'static str, u32> {
    let account = graph.site.account;
    let rows = graph
        .site
        .read(move |reads| reads.activity(account, 0, 100_000))
        .await;
    check_chain(account, &rows);
    let mut replay = Replay::default();
    for row in &rows {
        let payload = serde_json::from_str(&row.payload).unwrap();
        replay.row(graph, &row.kind, &payload);
    }
    replay.seen
}
