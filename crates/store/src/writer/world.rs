//! What a batch knows and what it will write: the rows its commands need, in memory.
//!
//! `load` fills it, `decide` changes it by the rules, `write` stores the difference.

use std::collections::{HashMap, HashSet, VecDeque};

use approval_core::{
    AccountId, ActivityEntry, Approval, ApprovalId, DesktopId, Digest, Event, Identity, KeyId,
    Parent, PrincipalId, Refusal, SealedEvidence, SessionId, Settings, Task, TaskId, TaskState,
    Timestamp, UserId,
};

use crate::command::{Change, FileUpload, Leased, LogUpload};
use crate::views::{
    Answer, ApprovalView, ClaimInput, Dependent, DesktopView, KeyView, PriorFeedback, SessionView,
    TaskView,
};

/// An account, locked for the batch.
#[derive(Debug, Clone)]
pub(crate) struct AccountEntry {
    pub settings: Settings,
    pub head_seq: i64,
    pub head_hash: Digest,
    pub changed: bool,
}

/// A task the batch works on or looks at.
#[derive(Debug, Clone)]
pub(crate) struct TaskEntry {
    pub account: AccountId,
    pub task: Task,
    pub queued_seq: Option<i64>,
    /// The lineages of `depends_on`, in the same order.
    pub parent_lineages: Vec<TaskId>,
    pub origin: Origin,
}

/// What the database has of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// The row as it was loaded, unchanged so far.
    Stored,
    /// The row differs from what was loaded.
    Changed,
    /// There is no row yet; a task is inserted as it was created, then updated.
    New(Option<Box<TaskState>>),
}

impl Origin {
    pub(super) fn touch(&mut self) {
        if *self == Self::Stored {
            *self = Self::Changed;
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ApprovalEntry {
    pub account: AccountId,
    pub approval: Approval,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct DesktopEntry {
    pub account: AccountId,
    pub view: DesktopView,
    pub removed_at: Option<Timestamp>,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct KeyEntry {
    pub account: AccountId,
    pub view: KeyView,
    pub sha256: Digest,
    pub revoked_at: Option<Timestamp>,
    pub origin: Origin,
}

/// A row of the log on its way.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub account: AccountId,
    pub seq: i64,
    pub event: Event,
    pub actor: Identity,
    pub prev_hash: Digest,
    pub hash: Digest,
}

/// Evidence on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sealing {
    pub account: AccountId,
    pub task: TaskId,
    pub attempt: u32,
    pub sealed: SealedEvidence,
    pub output: Option<Vec<u8>>,
}

/// The pruning of a sealed attempt: the last of its task, no other is sealed.
#[derive(Debug, Clone)]
pub(crate) struct PruningEntry {
    pub account: AccountId,
    pub attempt: u32,
    pub evidence_sha256: Digest,
    pub older_than: Timestamp,
    pub log_bytes: i64,
    pub file_bytes: i64,
    pub is_finished: bool,
    pub origin: Origin,
}

/// A session of a person.
#[derive(Debug, Clone)]
pub(crate) struct SessionEntry {
    pub account: AccountId,
    pub user: UserId,
    pub view: SessionView,
    pub sha256: Digest,
    /// SHA-256 of the secret of the origin that opened it.
    pub bound_to: Option<Digest>,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub origin: Origin,
}

/// A one-time link.
#[derive(Debug, Clone)]
pub(crate) struct LinkEntry {
    pub account: AccountId,
    pub user: UserId,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub origin: Origin,
}

/// A person as the batch knows them.
#[derive(Debug, Clone)]
pub(crate) struct UserEntry {
    pub account: AccountId,
    pub password_hash: Option<String>,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    pub account: AccountId,
    pub id: UserId,
    pub email: String,
    pub password_hash: Option<String>,
}

/// Whose answer to which request.
pub(crate) type AnswerKey = (AccountId, PrincipalId, Digest);

/// An answer given before.
#[derive(Debug, Clone)]
pub(crate) struct StoredAnswer {
    pub body: Digest,
    pub answer: Answer,
}

/// An answer to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewAnswer {
    pub key: AnswerKey,
    pub body: Digest,
    pub json: String,
}

/// Uploads that passed the lease check; their rows are written after the decisions.
#[derive(Debug, Clone)]
pub(crate) enum Bulk<'a> {
    Logs {
        lease: Leased,
        entries: &'a [LogUpload],
    },
    Files {
        lease: Leased,
        files: &'a [FileUpload],
    },
}

/// Everything a batch knows and will write.
#[derive(Debug)]
pub(crate) struct World {
    pub now: Timestamp,
    pub accounts: HashMap<AccountId, AccountEntry>,
    pub tasks: HashMap<TaskId, TaskEntry>,
    /// The newest task of each chain of retries that was loaded.
    pub newest: HashMap<TaskId, TaskId>,
    /// All members of the chains of retries whose feedback matters, oldest first.
    pub chains: HashMap<TaskId, Vec<TaskId>>,
    /// The tasks that depend on a chain of retries, in order of their ids.
    pub dependents: HashMap<TaskId, Vec<TaskId>>,
    pub contents: HashMap<TaskId, String>,
    pub approvals: HashMap<TaskId, ApprovalEntry>,
    pub approval_tasks: HashMap<ApprovalId, TaskId>,
    pub desktops: HashMap<DesktopId, DesktopEntry>,
    pub keys: HashMap<KeyId, KeyEntry>,
    pub emails: HashSet<String>,
    pub users: HashMap<UserId, UserEntry>,
    pub sessions: HashMap<SessionId, SessionEntry>,
    /// One-time links by the digest of their token.
    pub links: HashMap<Digest, LinkEntry>,
    /// Versions of uploads and the log sequence numbers they hold, of attempts to be completed.
    pub uploads: HashMap<(TaskId, u32), UploadHead>,
    /// Bytes of logs and of files that attempts to be pruned have.
    pub upload_bytes: HashMap<(TaskId, u32), (i64, i64)>,
    pub prunings: HashMap<TaskId, PruningEntry>,
    /// Queued tasks of the desktops that ask for work, in `run` order.
    pub queues: HashMap<DesktopId, VecDeque<TaskId>>,
    pub answers: HashMap<AnswerKey, StoredAnswer>,
    /// Requests with a key that this batch has begun and not yet committed.
    pub begun: HashSet<AnswerKey>,

    pub logged: Vec<Logged>,
    pub sealings: Vec<Sealing>,
    pub new_users: Vec<NewUser>,
    pub new_answers: Vec<NewAnswer>,
    pub forget_answers: HashSet<AccountId>,
    pub forget_sessions: HashSet<AccountId>,
    pub changes: Vec<Change>,
}

/// What a completion must know of the uploads of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UploadHead {
    pub version: i64,
    /// How many log entries arrived without a gap from 0.
    pub contiguous: u64,
    /// How many arrived at all.
    pub received: u64,
}

impl World {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            accounts: HashMap::new(),
            tasks: HashMap::new(),
            newest: HashMap::new(),
            chains: HashMap::new(),
            dependents: HashMap::new(),
            contents: HashMap::new(),
            approvals: HashMap::new(),
            approval_tasks: HashMap::new(),
            desktops: HashMap::new(),
            keys: HashMap::new(),
            emails: HashSet::new(),
            users: HashMap::new(),
            sessions: HashMap::new(),
            links: HashMap::new(),
            uploads: HashMap::new(),
            upload_bytes: HashMap::new(),
            prunings: HashMap::new(),
            queues: HashMap::new(),
            answers: HashMap::new(),
            begun: HashSet::new(),
            logged: Vec::new(),
            sealings: Vec::new(),
            new_users: Vec::new(),
            new_answers: Vec::new(),
            forget_answers: HashSet::new(),
            forget_sessions: HashSet::new(),
            changes: Vec::new(),
        }
    }

    pub(crate) fn settings(&self, account: AccountId) -> Settings {
        self.accounts
            .get(&account)
            .map(|a| a.settings)
            .unwrap_or_default()
    }

    /// A copy of a task of this account. Changes go back with [`Self::put_task`], so that a
    /// command refused half-way leaves nothing behind.
    pub(crate) fn task(&self, account: AccountId, id: TaskId) -> Result<TaskEntry, Refusal> {
        self.tasks
            .get(&id)
            .filter(|entry| entry.account == account)
            .cloned()
            .ok_or(Refusal::NotFound("task"))
    }

    pub(crate) fn put_task(&mut self, mut entry: TaskEntry) {
        entry.origin.touch();
        self.tasks.insert(entry.task.id, entry);
    }

    pub(crate) fn approval_of(&self, task: &TaskState) -> Option<ApprovalEntry> {
        self.approvals
            .get(&task.id)
            .filter(|a| a.approval.attempt == task.attempt)
            .cloned()
    }

    pub(crate) fn put_approval(&mut self, mut entry: ApprovalEntry) {
        entry.origin.touch();
        self.approval_tasks
            .insert(entry.approval.id, entry.approval.task);
        self.approvals.insert(entry.approval.task, entry);
    }

    /// A desktop of this account that was not removed.
    pub(crate) fn desktop(&self, account: AccountId, id: DesktopId) -> Option<DesktopEntry> {
        self.desktops
            .get(&id)
            .filter(|d| d.account == account && d.removed_at.is_none())
            .cloned()
    }

    pub(crate) fn put_desktop(&mut self, mut entry: DesktopEntry) {
        entry.origin.touch();
        self.desktops.insert(entry.view.id, entry);
    }

    pub(crate) fn put_key(&mut self, mut entry: KeyEntry) {
        entry.origin.touch();
        self.keys.insert(entry.view.id, entry);
    }

    /// Appends to the account's log and returns the sequence number.
    pub(crate) fn log(&mut self, account: AccountId, actor: &Identity, event: Event) -> i64 {
        let Some(head) = self.accounts.get_mut(&account) else {
            return 0;
        };
        let seq = head.head_seq + 1;
        let prev_hash = head.head_hash;
        let entry = ActivityEntry {
            seq,
            account,
            kind: event.kind,
            payload: &event.payload,
            actor,
            at: self.now,
            prev_hash,
        };
        let hash = entry.hash();
        head.head_seq = seq;
        head.head_hash = hash;
        head.changed = true;
        self.logged.push(Logged {
            account,
            seq,
            event,
            actor: actor.clone(),
            prev_hash,
            hash,
        });
        seq
    }

    /// The dependencies of a task as they stand: the newest retry of each.
    pub(crate) fn parents(&self, entry: &TaskEntry) -> Vec<Parent> {
        let newest = |lineage: &TaskId| self.newest.get(lineage).and_then(|id| self.tasks.get(id));
        let known = entry.parent_lineages.iter().filter_map(newest);
        known
            .map(|e| Parent {
                id: e.task.id,
                status: e.task.status,
            })
            .collect()
    }

    /// The sealed attempts a task builds on.
    pub(crate) fn inputs(&self, entry: &TaskEntry) -> Vec<ClaimInput> {
        let parents = self.parents(entry);
        let sealed = parents.iter().filter_map(|parent| {
            let task = &self.tasks.get(&parent.id)?.task;
            let evidence_sha256 = task.evidence_sha256?;
            Some(ClaimInput {
                task: task.id,
                attempt: task.attempt,
                evidence_sha256,
            })
        });
        sealed.collect()
    }

    /// A task as it is shown at this point of the batch.
    pub(crate) fn task_view(&self, id: TaskId) -> Result<TaskView, Refusal> {
        let entry = self.tasks.get(&id).ok_or(Refusal::NotFound("task"))?;
        let state: &TaskState = &entry.task;
        let dependents = self.dependents.get(&state.lineage).into_iter().flatten();
        Ok(TaskView {
            state: state.clone(),
            content: self.contents.get(&id).cloned().unwrap_or_default(),
            content_truncated: false,
            gated: state.shown_as_gated(self.settings(entry.account)),
            blocked_by: Parent::unfinished(&self.parents(entry)),
            dependents: dependents
                .filter_map(|d| self.tasks.get(d))
                .map(|d| Dependent::of(&d.task))
                .collect(),
            prior_feedback: self.prior_feedback(state),
            review: self.approval_of(state).map(|a| a.approval),
        })
    }

    fn prior_feedback(&self, state: &TaskState) -> Vec<PriorFeedback> {
        let chain = self.chains.get(&state.lineage).into_iter().flatten();
        let earlier = chain.take_while(|id| **id != state.id);
        let approvals = earlier.filter_map(|id| self.approvals.get(id));
        approvals
            .filter_map(|a| PriorFeedback::of(&a.approval))
            .collect()
    }

    /// An approval as it is shown at this point of the batch.
    pub(crate) fn approval_view(&self, approval: &Approval) -> Result<ApprovalView, Refusal> {
        let task = &self
            .tasks
            .get(&approval.task)
            .ok_or(Refusal::NotFound("approval"))?
            .task;
        let desktop = self.desktops.get(&task.desktop);
        Ok(ApprovalView {
            approval: approval.clone(),
            task_type: task.task_type,
            title: task.title.clone(),
            content: self.contents.get(&task.id).cloned().unwrap_or_default(),
            task_status: task.status,
            task_completed_at: task.completed_at,
            desktop: task.desktop,
            desktop_name: desktop.map(|d| d.view.name.clone()).unwrap_or_default(),
        })
    }
}
