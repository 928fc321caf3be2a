//! A graph that grows while its tasks are worked on, by commands of the store.

use std::collections::BTreeMap;

use approval_core::{
    DecisionRequest, Digest, Invalid, OnDependencyFailure, Outcome, Refusal, RetryChanges, Status,
    TaskId,
};
use proptest::prelude::*;
use store::{Command, Sweep, TaskView};
use test_support::{Site, Work, task};

/// What a node is created as.
#[derive(Debug, Clone)]
pub struct Node {
    flag: bool,
    auto_run: bool,
    dies_with_parent: bool,
    /// Numbers that choose among the nodes before it.
    parents: Vec<usize>,
}

pub fn node() -> impl Strategy<Value = Node> {
    let parents = prop::collection::vec(any::<usize>(), 0..4);
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

/// The sealed attempt of a node that took effect.
type Release = (TaskId, u32, Digest);

/// A graph in an account of its own, and what was seen of it.
pub struct Graph<'a> {
    pub site: &'a mut Site,
    /// Those that were not created yet, the next one last.
    wishes: Vec<Node>,
    /// The numbers of each node's parents.
    pub parents: Vec<Vec<usize>>,
    /// Each node's tries, the newest last.
    pub tries: Vec<Vec<TaskId>>,
    /// The runner's hold on each task that has one.
    works: BTreeMap<TaskId, Work>,
    /// What took effect of each node.
    released: BTreeMap<usize, Release>,
    mode: bool,
}

impl<'a> Graph<'a> {
    pub async fn new(site: &'a mut Site, number: u32, nodes: Vec<Node>) -> Self {
        (site.account, site.person) = site.add_account(&format!("{number}@example.org"));
        site.desktop = site.add_desktop("one").await;
        Self {
            site,
            wishes: nodes.into_iter().rev().collect(),
            parents: Vec::new(),
            tries: Vec::new(),
            works: BTreeMap::new(),
            released: BTreeMap::new(),
            mode: false,
        }
    }

    /// One command that `choice` picks: of a random task what fits its status.
    pub async fn event(&mut self, choice: usize) {
        let (kind, choice) = (choice % 16, choice / 16);
        let all: Vec<TaskId> = self.tries.concat();
        let Some(id) = choice.checked_rem(all.len()).map(|n| all[n]) else {
            return self.grow(choice).await;
        };
        let status = self.site.status(id).await;
        match (status, kind) {
            (_, 0..=3) => self.grow(choice / 16).await,
            (_, 4) => self.flip().await,
            (Status::Pending | Status::Review, 5) => self.cancel(id).await,
            (Status::Pending, _) => self.run(id).await,
            (Status::Running, 5) => self.expire(id).await,
            (Status::Running, 6) => self.work(id, Outcome::Failed).await,
            (Status::Running, _) => self.work(id, Outcome::Succeeded).await,
            (Status::Review, 6 | 7) => self.decide(id, DecisionRequest::reject("no")).await,
            (Status::Review, _) => self.decide(id, DecisionRequest::approve()).await,
            (Status::Failed | Status::Cancelled, _) => self.retry(id).await,
            (Status::Done, _) => {}
        }
    }

    /// Now everybody does their best: whatever waits is run, worked on, approved and retried, and every
    /// node takes effect.
    pub async fn finish(&mut self) {
        while !self.wishes.is_empty() {
            self.grow(0).await;
        }
        for node in 0..self.tries.len() {
            // nodes come after their parents; at most: retry, run, claim others' tasks and its own, end
            // it, approve it
            for _ in 0..6 + self.tries.concat().len() {
                let id = *self.tries[node].last().expect("a try");
                match self.site.status(id).await {
                    Status::Pending => self.run(id).await,
                    Status::Running => self.work(id, Outcome::Succeeded).await,
                    Status::Review => self.decide(id, DecisionRequest::approve()).await,
                    Status::Failed | Status::Cancelled => self.retry(id).await,
                    Status::Done => break,
                }
            }
        }
        assert_eq!(
            self.released.len(),
            self.tries.len(),
            "something never ends"
        );
    }

    fn node_of(&self, id: TaskId) -> usize {
        let has = |tries: &Vec<TaskId>| tries.contains(&id);
        self.tries
            .iter()
            .position(has)
            .expect("a task of the graph")
    }

    /// Creates the next node, depending on any try of its parents. First it asks for a cycle, with the id
    /// of a task that is still to come.
    async fn grow(&mut self, choice: usize) {
        let Some(node) = self.wishes.pop() else {
            return;
        };
        let all = self.tries.len();
        let parents = node.parents.iter().filter_map(|n| n.checked_rem(all));
        let mut parents: Vec<usize> = parents.collect();
        parents.sort_unstable();
        parents.dedup();
        let any_try = |p: &usize| self.tries[*p][choice % self.tries[*p].len()];
        let mut new = self.site.wish("x");
        new.depends_on = parents.iter().map(any_try).collect();
        new.requires_approval = node.flag;
        new.auto_run = node.auto_run;
        new.max_attempts = Some(2);
        if node.dies_with_parent {
            new.on_dependency_failure = OnDependencyFailure::Cancel;
        }
        let mut round = new.clone();
        round.depends_on.push(TaskId::new());
        let person = self.site.person.clone();
        match self.site.refused(&person, Command::CreateTask(round)).await {
            Refusal::Invalid { what, field, .. } => {
                assert_eq!((what, field), (Invalid::Task, "dependsOn"));
            }
            other => panic!("a cycle: {other}"),
        }
        let view = self.site.create(new).await;
        self.parents.push(parents);
        self.tries.push(vec![view.state.id]);
    }

    async fn flip(&mut self) {
        self.mode = !self.mode;
        let command = Command::ChangeSettings {
            task_approval_mode: Some(self.mode),
            require_evidence: None,
        };
        self.site.done(&self.site.person, command).await;
    }

    async fn run(&mut self, id: TaskId) {
        let parents = &self.parents[self.node_of(id)];
        let free = parents.iter().all(|p| self.released.contains_key(p));
        let answer = self
            .site
            .submit(&self.site.person, Command::RunTask(id))
            .await;
        assert_eq!(answer.is_ok(), free, "{answer:?}");
    }

    /// The runner goes on with the task: ends it if it holds it, else claims whatever is next.
    async fn work(&mut self, id: TaskId, outcome: Outcome) {
        let Some(work) = self.works.remove(&id) else {
            return self.claim().await;
        };
        let view = self.site.finish(&work, outcome).await;
        if view.state.status == Status::Done {
            self.release(&view);
        }
    }

    /// A runner takes the next task, and reads what it builds on.
    async fn claim(&mut self) {
        let work = self.site.claim().await.expect("something is queued");
        self.site.heartbeat(&work).await;
        let node = self.node_of(work.id());
        let inputs = work.claim.inputs.iter();
        let mut read: Vec<Release> = inputs
            .map(|i| (i.task, i.attempt, i.evidence_sha256))
            .collect();
        let mut approved: Vec<Release> = self.parents[node]
            .iter()
            .map(|p| *self.released.get(p).expect("started too early"))
            .collect();
        read.sort_unstable();
        approved.sort_unstable();
        assert_eq!(read, approved, "it reads something else");
        self.works.insert(work.id(), work);
    }

    /// The runner is not heard from any more, if there is one.
    async fn expire(&mut self, id: TaskId) {
        if self.works.remove(&id).is_none() {
            return;
        }
        let late = format!("UPDATE tasks SET lease_expires_at = 1 WHERE id = '{id}'");
        self.site.db.execute(&late).unwrap();
        let system = approval_core::Principal::system();
        let sweep = Command::Sweep(Sweep::ExpireLease(id));
        self.site.done(&system, sweep).await;
    }

    async fn decide(&mut self, id: TaskId, request: DecisionRequest) {
        let sealed = self.site.task(id).await.state.evidence_sha256;
        let view = self.site.review(id, request).await;
        assert_eq!(view.state.evidence_sha256, sealed);
        if view.state.status == Status::Done {
            self.release(&view);
        }
    }

    fn release(&mut self, view: &TaskView) {
        let state = &view.state;
        let release = (
            state.id,
            state.attempt,
            state.evidence_sha256.expect("sealed"),
        );
        let node = self.node_of(state.id);
        let before = self.released.insert(node, release);
        assert_eq!(before, None, "node {node} took effect twice");
    }

    async fn cancel(&mut self, id: TaskId) {
        let person = &self.site.person;
        self.site.done(person, Command::CancelTask(id)).await;
    }

    /// Retries the task, unless it was.
    async fn retry(&mut self, id: TaskId) {
        let node = self.node_of(id);
        if self.tries[node].last() != Some(&id) {
            return;
        }
        let changes = RetryChanges::default();
        let command = Command::RetryTask { task: id, changes };
        let retry = task(self.site.done(&self.site.person, command).await);
        self.tries[node].push(retry.state.id);
    }
}
