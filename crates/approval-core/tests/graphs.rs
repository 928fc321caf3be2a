//! Random graphs of tasks in random orders of events (contract section 3, docs/guarantees.md G10): a
//! task starts once, only when all it depends on is done, and reads what was approved of that.
//!
//! `cargo xtask torture graphs` draws many more.

use std::collections::BTreeMap;

use approval_core::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::fixtures::{
    MODE_OFF, approval_id, at, human, invalid_field, report, rounds, task_id, token, wish,
};

/// Graphs, when nobody asks for more.
const GRAPHS: usize = 300;
/// Most nodes of one.
const NODES: usize = 12;
/// Events before everybody does their best.
const EVENTS: usize = 120;

/// What a node is created as.
#[derive(Debug, Clone)]
struct Node {
    flag: bool,
    auto_run: bool,
    dies_with_parent: bool,
    /// Numbers that choose among the nodes before it.
    parents: Vec<usize>,
}

fn node() -> impl Strategy<Value = Node> {
    let parents = prop::collection::vec(any::<usize>(), 0..5);
    let dies = prop::bool::weighted(0.2);
    (any::<[bool; 2]>(), dies, parents).prop_map(|([flag, auto_run], dies_with_parent, parents)| {
        Node {
            flag,
            auto_run,
            dies_with_parent,
            parents,
        }
    })
}

/// The attempt of a node that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Release {
    task: usize,
    attempt: u32,
    evidence: Digest,
}

/// A graph that grows while it is worked on, and what was seen of it.
struct Graph {
    /// Those that were not created yet, the next one last.
    wishes: Vec<Node>,
    /// The numbers of each node's parents.
    parents: Vec<Vec<usize>>,
    /// Each node's tries: task numbers, the newest last.
    tries: Vec<Vec<usize>>,
    tasks: Vec<Task>,
    approvals: BTreeMap<usize, Approval>,
    settings: Settings,
    seconds: i64,
    tokens: u64,
    /// How often each task was seen to become `running`.
    starts: BTreeMap<usize, u32>,
    /// What the runner of each task handed in last.
    sealed: BTreeMap<usize, Release>,
    /// What took effect of each node.
    released: BTreeMap<usize, Release>,
    seen: BTreeMap<&'static str, u32>,
}

impl Graph {
    fn new(nodes: Vec<Node>) -> Self {
        Self {
            wishes: nodes.into_iter().rev().collect(),
            parents: Vec::new(),
            tries: Vec::new(),
            tasks: Vec::new(),
            approvals: BTreeMap::new(),
            settings: MODE_OFF,
            seconds: 0,
            tokens: 0,
            starts: BTreeMap::new(),
            sealed: BTreeMap::new(),
            released: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn now(&self) -> Timestamp {
        at(self.seconds)
    }

    fn node_of(&self, task: usize) -> usize {
        let has = |tries: &Vec<usize>| tries.contains(&task);
        self.tries.iter().position(has).expect("a try of some node")
    }

    fn newest(&self, node: usize) -> usize {
        *self.tries[node].last().expect("created")
    }

    /// The dependencies of a task as an embedder resolves them: by the chain of retries.
    fn resolved(&self, task: usize) -> Vec<&Task> {
        let find = |id: TaskId| self.tasks.iter().find(|t| t.id == id).expect("known");
        let newest = |id: &TaskId| {
            let mut task = find(*id);
            while let Some(next) = task.retried_by {
                task = find(next);
            }
            task
        };
        self.tasks[task].depends_on.iter().map(newest).collect()
    }

    fn parents_of(&self, task: usize) -> Vec<Parent> {
        let parent = |t: &Task| Parent {
            id: t.id,
            status: t.status,
        };
        self.resolved(task).into_iter().map(parent).collect()
    }

    fn add(&mut self, new: &NewTask) -> Result<Task, Refusal> {
        let find = |id: &TaskId| self.tasks.iter().find(|t| t.id == *id).map(|t| &**t);
        let known: Vec<Option<&TaskState>> = new.depends_on.iter().map(find).collect();
        let id = task_id(self.tasks.len() as u128);
        Task::create(id, new, &human(), true, &known, self.now())
    }

    /// Creates the next node, depending on any try of its parents. First it asks for a cycle: on
    /// itself, and on a task that comes after it.
    fn grow(&mut self, choice: usize) {
        let Some(node) = self.wishes.pop() else {
            return;
        };
        let all = self.tries.len();
        let parents = node.parents.iter().filter_map(|n| n.checked_rem(all));
        let mut parents: Vec<usize> = parents.collect();
        parents.sort_unstable();
        parents.dedup();
        let any_try = |p: &usize| self.tries[*p][choice % self.tries[*p].len()];
        let tries: Vec<usize> = parents.iter().map(any_try).collect();
        let mut new = NewTask {
            requires_approval: node.flag,
            auto_run: node.auto_run,
            on_dependency_failure: if node.dies_with_parent {
                OnDependencyFailure::Cancel
            } else {
                OnDependencyFailure::Block
            },
            depends_on: tries.iter().map(|t| self.tasks[*t].id).collect(),
            ..wish()
        };
        let own = self.tasks.len();
        for cycle in [own, own + 1] {
            let mut round = new.clone();
            round.depends_on.push(task_id(cycle as u128));
            let answer = self.add(&round);
            assert_eq!(invalid_field(Invalid::Task, answer), Some("dependsOn"));
        }
        new.max_attempts = Some(1 + i64::try_from(choice % 3).expect("small"));
        let task = self.add(&new).expect("a sound wish");
        self.tasks.push(task);
        self.parents.push(parents);
        self.tries.push(vec![own]);
    }

    fn run(&mut self, task: usize) {
        let parents = self.parents_of(task);
        let node = self.node_of(task);
        let free = self.parents[node]
            .iter()
            .all(|p| self.released.contains_key(p));
        let was = self.tasks[task].status;
        let answer = self.tasks[task].run(&parents);
        assert_eq!(answer.is_ok(), was == Status::Pending && free, "{answer:?}");
        self.see(if free { "run" } else { "run blocked" });
    }

    /// A runner takes the task, and reads what it builds on.
    fn claim(&mut self, task: usize) {
        self.tokens += 1;
        let (token, settings, now) = (token(self.tokens), self.settings, self.now());
        self.tasks[task]
            .claim(token, settings, now)
            .expect("claimable");
        let read: Vec<_> = self
            .resolved(task)
            .iter()
            .map(|t| (t.id, t.attempt, t.evidence_sha256.expect("sealed")))
            .collect();
        let approved = self.parents[self.node_of(task)].iter().map(|p| {
            let release = self.released[p];
            let id = self.tasks[release.task].id;
            (id, release.attempt, release.evidence)
        });
        let mut approved: Vec<_> = approved.collect();
        let mut read = read;
        read.sort_unstable();
        approved.sort_unstable();
        assert_eq!(read, approved, "task {task} reads something else");
        let retried = |id: &TaskId| self.tasks.iter().any(|t| t.retried_by == Some(*id));
        let later = read.iter().any(|(id, ..)| retried(id));
        self.see(if later { "claim on a retry" } else { "claim" });
    }

    fn complete(&mut self, task: usize, outcome: Outcome) {
        let token = self.tasks[task].lease.expect("held").token;
        let attempt = self.tasks[task].attempt;
        let evidence = Digest::of(format!("{task} {attempt} {}", self.tokens).as_bytes());
        let (settings, now) = (self.settings, self.now());
        let completion = self.tasks[task]
            .complete(token, &report(outcome), evidence, settings, now)
            .expect("the lease is current");
        let sealed = Release {
            task,
            attempt,
            evidence,
        };
        self.sealed.insert(task, sealed);
        match completion {
            Completion::Done => self.release(task),
            Completion::Review(_) => {
                let approval = self.tasks[task].open_approval(approval_id(task as u128), now);
                let before = self.approvals.insert(task, approval.expect("in review"));
                assert_eq!(before, None, "two reviews of task {task}");
            }
            Completion::Failed => self.see("failed"),
            Completion::Repeated => panic!("nobody repeats"),
        }
    }

    fn decide(&mut self, task: usize, request: &DecisionRequest) {
        let reviewer = Reviewer::of(&human()).expect("a person");
        let approval = self.approvals.get_mut(&task).expect("in review");
        assert_eq!(approval.evidence_sha256, self.sealed[&task].evidence);
        let (settings, now) = (self.settings, at(self.seconds));
        self.tasks[task]
            .decide(Some(approval), &reviewer, request, settings, now)
            .expect("in review");
        match request.decision {
            Decision::Approve => self.release(task),
            Decision::Reject => self.see("rejected"),
        }
    }

    fn release(&mut self, task: usize) {
        let node = self.node_of(task);
        let before = self.released.insert(node, self.sealed[&task]);
        assert_eq!(before, None, "node {node} took effect twice");
        let gated = self.tasks[task].gated;
        self.see(if gated { "approved" } else { "done" });
    }

    /// The runner is not heard from any more.
    fn expire(&mut self, task: usize) {
        self.seconds += LEASE_SECONDS;
        let now = self.now();
        match self.tasks[task].expire_lease(now) {
            LeaseEnd::Alive => panic!("the lease has run out"),
            LeaseEnd::Requeued => self.see("offered again"),
            LeaseEnd::Failed => self.see("given up"),
        }
    }

    fn retry(&mut self, task: usize) {
        let changes = RetryChanges::default();
        let new = self.tasks[task].retry("again", &changes, &human());
        let mut retry = self
            .add(&new.expect("retryable"))
            .expect("as sound as before");
        self.tasks[task].link_retry(&mut retry);
        let node = self.node_of(task);
        self.tries[node].push(self.tasks.len());
        self.tasks.push(retry);
        self.see("retried");
    }

    fn cancel(&mut self, task: usize) {
        let now = self.now();
        let approval = self.approvals.get_mut(&task);
        self.tasks[task]
            .cancel(approval, &human(), now)
            .expect("not final");
        self.see("cancelled");
    }

    /// One event that `choice` picks: of a random task what fits its state.
    fn event(&mut self, choice: usize) {
        let (kind, choice) = (choice % 16, choice / 16);
        let Some(task) = choice.checked_rem(self.tasks.len()) else {
            return self.grow(choice);
        };
        let more = choice / 16;
        match (self.tasks[task].status, kind) {
            (_, 0..=2) => self.grow(more),
            (_, 3) => self.settings.task_approval_mode ^= true,
            (_, 4) if !self.tasks[task].status.is_final() => self.cancel(task),
            (Status::Pending, _) => self.run(task),
            (Status::Running, _) if self.tasks[task].lease.is_none() => self.claim(task),
            (Status::Running, 5..=7) => self.expire(task),
            (Status::Running, 8) => self.end(task, Outcome::Failed),
            (Status::Running, 9..=12) => {
                let (token, now) = (self.tasks[task].lease.expect("held").token, self.now());
                // a lease that another's silence let run out is lost
                let _lost = self.tasks[task].heartbeat(token, now).is_err();
            }
            (Status::Running, _) => self.end(task, Outcome::Succeeded),
            (Status::Review, 5..=8) => self.decide(task, &DecisionRequest::reject("no")),
            (Status::Review, _) => self.decide(task, &DecisionRequest::approve()),
            (Status::Failed | Status::Cancelled, _) => {
                if self.tasks[task].retried_by.is_none() {
                    self.retry(task);
                }
            }
            (Status::Done, _) => {}
        }
    }

    /// The attempt ends, if its time is not over.
    fn end(&mut self, task: usize, outcome: Outcome) {
        let lease = self.tasks[task].lease.expect("held");
        if lease.expires_at > self.now() {
            self.complete(task, outcome);
        } else {
            self.expire(task);
        }
    }

    /// Lets every pending task follow its dependencies until nothing moves.
    fn follow(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for task in 0..self.tasks.len() {
                let parents = self.parents_of(task);
                match consequence(&self.tasks[task], &parents) {
                    Consequence::Nothing => continue,
                    Consequence::Start => self.tasks[task].run(&parents).expect("free"),
                    Consequence::Cancel => self.tasks[task].cancel_by_dependency(),
                }
                assert_ne!(self.tasks[task].status, Status::Pending, "it stays");
                moved = true;
            }
        }
    }

    /// Notes which tasks are running that were not before, and whether they may.
    fn check_starts(&mut self, before: &[Status]) {
        for task in 0..self.tasks.len() {
            let was = before.get(task).copied().unwrap_or(Status::Pending);
            let is = self.tasks[task].status;
            if was == is || is != Status::Running {
                continue;
            }
            let starts = self.starts.entry(task).or_default();
            *starts += 1;
            assert_eq!(*starts, 1, "task {task} was started again");
            let node = self.node_of(task);
            for parent in &self.parents[node] {
                let newest = self.newest(*parent);
                let release = self.released.get(parent);
                let release = release.unwrap_or_else(|| panic!("task {task}: too early"));
                assert_eq!(
                    (release.task, self.tasks[newest].status),
                    (newest, Status::Done)
                );
                let approval = self.approvals.get(&newest).map(|a| a.status);
                let wanted = self.tasks[newest].gated.then_some(ApprovalStatus::Approved);
                assert_eq!(approval, wanted, "task {task}: a parent was not decided");
            }
        }
    }

    fn step(&mut self, event: impl FnOnce(&mut Self)) {
        let before: Vec<Status> = self.tasks.iter().map(|t| t.status).collect();
        event(self);
        // what follows may start a task that ended already, but none of these events ends one
        self.follow();
        self.check_starts(&before);
    }

    /// Now everybody does their best: whatever waits is run, worked on, approved and retried, and every
    /// node takes effect.
    fn finish(&mut self) {
        while !self.wishes.is_empty() {
            self.step(|graph| graph.grow(0));
        }
        for node in 0..self.tries.len() {
            // nodes come after their parents; at most: retry, run, claim, time over, claim, end, approve
            for _ in 0..7 {
                let task = self.newest(node);
                match self.tasks[task].status {
                    Status::Pending => self.step(|graph| graph.run(task)),
                    Status::Running if self.tasks[task].lease.is_none() => {
                        self.step(|graph| graph.claim(task));
                    }
                    Status::Running => self.step(|graph| graph.end(task, Outcome::Succeeded)),
                    Status::Review => {
                        self.step(|graph| graph.decide(task, &DecisionRequest::approve()));
                    }
                    Status::Failed | Status::Cancelled => self.step(|graph| graph.retry(task)),
                    Status::Done => {}
                }
            }
        }
        assert_eq!(
            self.released.len(),
            self.tries.len(),
            "something never ends"
        );
        let position = |id: &TaskId| self.tasks.iter().position(|t| t.id == *id);
        for (task, state) in self.tasks.iter().enumerate() {
            let mut parents = state.depends_on.iter().map(position);
            assert!(parents.all(|p| p < Some(task)), "a cycle");
        }
    }
}

#[test]
fn a_task_starts_once_after_its_parents_and_reads_what_was_approved() {
    let graphs = rounds(GRAPHS);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: u32::try_from(graphs).expect("fewer than 4,294,967,296"),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let nodes = prop::collection::vec(node(), 2..=NODES);
    let events = prop::collection::vec(any::<usize>(), EVENTS);
    let seen = std::cell::RefCell::new(BTreeMap::<&str, u32>::new());
    let outcome = runner.run(&(nodes, events), |(nodes, events)| {
        let mut graph = Graph::new(nodes);
        for choice in events {
            graph.step(|graph| graph.event(choice));
        }
        graph.finish();
        for (what, times) in graph.seen {
            *seen.borrow_mut().entry(what).or_default() += times;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    println!("{graphs} graphs: {seen:?}");
    let kinds = [
        "run",
        "run blocked",
        "claim",
        "claim on a retry",
        "approved",
        "done",
        "rejected",
        "failed",
        "offered again",
        "given up",
        "retried",
        "cancelled",
    ];
    for kind in kinds {
        assert!(seen.get(kind) > Some(&5), "{kind} is rare: {seen:?}");
    }
}
