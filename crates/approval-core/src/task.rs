//! A task and the only ways its state can change (contract sections 1, 3 and 5).
//!
//! [`TaskState`] is plain data; [`Task`] guards it: reading is free, writing goes through the
//! transitions below. Time, tokens and ids are arguments.

use std::ops::Deref;

use crate::approval::{Approval, ApprovalStatus, Decision, DecisionRequest};
use crate::canonical::Canonical;
use crate::codes::codes;
use crate::dependency::Parent;
use crate::digest::Digest;
use crate::gate::{GateReason, Settings};
use crate::id::{ApprovalId, DesktopId, TaskId};
use crate::limits::MAX_DEPENDENCIES;
use crate::principal::{ActorKind, Capability, Identity, Principal, Reviewer};
use crate::refusal::{Invalid, Refusal};
use crate::status::Status;
use crate::timestamp::Timestamp;

/// How long a lease lasts after a heartbeat, in seconds.
pub const LEASE_SECONDS: i64 = 30;
/// How long a lease lasts until its first heartbeat, in seconds.
pub const FIRST_LEASE_SECONDS: i64 = 5;
/// How long after a task's time-out the server enforces it, in seconds.
pub const TIMEOUT_GRACE_SECONDS: i64 = 60;

codes! {
    /// What executes a task.
    TaskType {
        /// An AI agent.
        Prompt = "prompt",
        /// A shell.
        Command = "command",
    }
}

codes! {
    /// What becomes of a pending task when a dependency is dead.
    OnDependencyFailure {
        /// It waits for a retry of the dependency.
        Block = "block",
        /// It is cancelled.
        Cancel = "cancel",
    }
}

codes! {
    /// How an attempt ended; this alone decides between review/done and failed.
    Outcome {
        /// The agent finished its work.
        Succeeded = "succeeded",
        /// The agent failed on its own.
        Failed = "failed",
    }
}

/// The right of one runner to work on one attempt until a moment in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    /// SHA-256 of the random token; the token itself is known to the runner only.
    pub token: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether the runner was heard from since the claim; an attempt without does not count.
    pub heard: bool,
}

/// Everything the rules know of a task. The content is not part of it: no rule reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskState {
    /// Its id.
    pub id: TaskId,
    /// Prompt or command.
    pub task_type: TaskType,
    /// Up to 200 characters.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// Where it runs.
    pub desktop: DesktopId,
    /// The task's own flag.
    pub requires_approval: bool,
    /// The flag, or the mode at a claim or at the finish; never goes back.
    pub gated: bool,
    /// Whether it starts as soon as nothing blocks it.
    pub auto_run: bool,
    /// What a dead dependency does to it.
    pub on_dependency_failure: OnDependencyFailure,
    /// From the claim, 1 to 604,800.
    pub timeout_seconds: u32,
    /// The current or last attempt; 0 before the first claim.
    pub attempt: u32,
    /// 1 to 10.
    pub max_attempts: u32,
    /// The runner at work. Kept after a cancel so that its heartbeat learns of it.
    pub lease: Option<Lease>,
    /// The task it is a retry of.
    pub retry_of: Option<TaskId>,
    /// Its one retry.
    pub retried_by: Option<TaskId>,
    /// The first task of the chain of retries: itself, unless it is a retry.
    pub lineage: TaskId,
    /// The tasks it depends on, as given at creation.
    pub depends_on: Vec<TaskId>,
    /// Who created it.
    pub created_by: Identity,
    /// When.
    pub created_at: Timestamp,
    /// The last claim.
    pub started_at: Option<Timestamp>,
    /// When the agent, or the server in its stead, finished.
    pub completed_at: Option<Timestamp>,
    /// The exit code reported.
    pub exit_code: Option<i64>,
    /// What the agent or the system said went wrong; never a reviewer's words.
    pub error: Option<String>,
    /// Digest of the sealed evidence of the last attempt.
    pub evidence_sha256: Option<Digest>,
    /// Digests of the lease token and the body that completed it, to know a repeat.
    pub completed_with: Option<(Digest, Digest)>,
}

impl TaskState {
    /// Whether the gate is closed as far as can be known now: found on so far, or, before the
    /// finish, on now (contract section 3).
    pub fn shown_as_gated(&self, settings: Settings) -> bool {
        let open = matches!(self.status, Status::Pending | Status::Running);
        self.gated || (open && settings.task_approval_mode)
    }
}

/// A task whose state changes by its rules only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task(TaskState);

impl Deref for Task {
    type Target = TaskState;

    fn deref(&self) -> &TaskState {
        &self.0
    }
}

/// A wish for a new task, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Prompt or command.
    pub task_type: TaskType,
    /// What to do: 1 to 100,000 characters.
    pub content: String,
    /// Up to 200 characters; absent: the first non-empty line of the content, cut to 80.
    pub title: Option<String>,
    /// Where.
    pub desktop: DesktopId,
    /// The task's own flag.
    pub requires_approval: bool,
    /// Up to 50 existing tasks.
    pub depends_on: Vec<TaskId>,
    /// Start as soon as nothing blocks.
    pub auto_run: bool,
    /// What a dead dependency does.
    pub on_dependency_failure: OnDependencyFailure,
    /// 1 to 604,800; absent: 3,600.
    pub timeout_seconds: Option<i64>,
    /// 1 to 10; absent: 3 for a prompt, 1 for a command.
    pub max_attempts: Option<i64>,
}

impl NewTask {
    /// A wish with the defaults of contract section 3: titled by its content, ungated, without
    /// dependencies, started by hand, blocked by a dead dependency, default limits.
    pub fn new(task_type: TaskType, content: impl Into<String>, desktop: DesktopId) -> Self {
        Self {
            task_type,
            content: content.into(),
            title: None,
            desktop,
            requires_approval: false,
            depends_on: Vec::new(),
            auto_run: false,
            on_dependency_failure: OnDependencyFailure::Block,
            timeout_seconds: None,
            max_attempts: None,
        }
    }
}

/// What a retry changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryChanges {
    /// A better prompt.
    pub content: Option<String>,
    /// Another title.
    pub title: Option<String>,
    /// Another flag; opening a gate that was ever closed needs `approvals:decide`.
    pub requires_approval: Option<bool>,
}

/// What a runner says at the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Decides between review/done and failed.
    pub outcome: Outcome,
    /// The exit code of the process, within ±2^53 as every number of the evidence.
    pub exit_code: Option<i64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Digest of the whole request, to know a repeat from another report.
    pub body: Digest,
}

impl Report {
    /// A report of the outcome alone.
    pub const fn new(outcome: Outcome, body: Digest) -> Self {
        Self {
            outcome,
            exit_code: None,
            error: None,
            body,
        }
    }

    /// Another number would be written differently by every other RFC 8785 implementation.
    fn check(&self) -> Result<(), Refusal> {
        let exact = -Canonical::MAX_INT..=Canonical::MAX_INT;
        match self.exit_code.filter(|code| !exact.contains(code)) {
            None => Ok(()),
            Some(code) => Err(Refusal::Invalid {
                what: Invalid::Completion,
                field: "exitCode",
                reason: format!("is {code}, allowed is what a JSON number holds exactly"),
            }),
        }
    }
}

/// What the end of an attempt led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// No gate: the task is done.
    Done,
    /// The task waits in review for this reason.
    Review(GateReason),
    /// The agent failed on its own.
    Failed,
    /// The same report as before: nothing changed.
    Repeated,
}

/// What the end of a lease led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// The lease has not ended.
    Alive,
    /// The task is offered again.
    Requeued,
    /// It was the last attempt: the task has failed.
    Failed,
}

impl Task {
    /// A task from its stored state.
    pub fn restore(state: TaskState) -> Self {
        Self(state)
    }

    /// The state, given up.
    pub fn into_state(self) -> TaskState {
        self.0
    }

    /// Creates a pending task from a wish.
    ///
    /// `dependencies` holds what is known of each of `new.depends_on`, `None` for an unknown one;
    /// `desktop_exists` whether the desktop is one of the account's.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for `autoRun` without `tasks:run`, [`Refusal::Invalid`] for a
    /// broken length, range or reference.
    pub fn create(
        id: TaskId,
        new: &NewTask,
        by: &Principal,
        desktop_exists: bool,
        dependencies: &[Option<&TaskState>],
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        by.require(Capability::TasksWrite)?;
        if new.auto_run {
            by.require(Capability::TasksRun)?;
        }
        check_content(&new.content)?;
        let title = title_of(new)?;
        check_desktop(new.desktop, by, desktop_exists)?;
        check_dependencies(new, by, dependencies)?;
        let requires_approval = new.requires_approval || by.identity.kind == ActorKind::Agent;
        let default_attempts = match new.task_type {
            TaskType::Prompt => 3,
            TaskType::Command => 1,
        };
        Ok(Self(TaskState {
            id,
            task_type: new.task_type,
            title,
            status: Status::Pending,
            desktop: new.desktop,
            requires_approval,
            gated: requires_approval,
            auto_run: new.auto_run,
            on_dependency_failure: new.on_dependency_failure,
            timeout_seconds: in_range("timeoutSeconds", new.timeout_seconds, 3_600, 604_800)?,
            attempt: 0,
            max_attempts: in_range("maxAttempts", new.max_attempts, default_attempts, 10)?,
            lease: None,
            retry_of: None,
            retried_by: None,
            lineage: id,
            depends_on: new.depends_on.clone(),
            created_by: by.identity.clone(),
            created_at: now,
            started_at: None,
            completed_at: None,
            exit_code: None,
            error: None,
            evidence_sha256: None,
            completed_with: None,
        }))
    }

    /// Queues a pending task for its desktop.
    ///
    /// # Errors
    /// [`Refusal::NotPending`], [`Refusal::Blocked`].
    pub fn run(&mut self, parents: &[Parent]) -> Result<(), Refusal> {
        if self.status != Status::Pending {
            return Err(Refusal::NotPending {
                status: self.status,
            });
        }
        let blocked_by = Parent::unfinished(parents);
        if !blocked_by.is_empty() {
            return Err(Refusal::Blocked { blocked_by });
        }
        self.become_status(Status::Running);
        Ok(())
    }

    /// Whether a runner may claim the task: queued and nobody at work.
    pub fn is_claimable(&self) -> bool {
        self.status == Status::Running && self.lease.is_none()
    }

    /// Hands the task to a runner: a new attempt under a new lease. The mode closes the gate.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`] when it is not claimable.
    pub fn claim(
        &mut self,
        token: Digest,
        settings: Settings,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.is_claimable() {
            return Err(Refusal::LeaseLost);
        }
        self.0.attempt += 1;
        self.0.started_at = Some(now);
        self.0.gated |= settings.task_approval_mode;
        self.0.lease = Some(Lease {
            token,
            expires_at: now.plus_seconds(FIRST_LEASE_SECONDS),
            heard: false,
        });
        Ok(())
    }

    /// Renews the lease and says whether the task was cancelled meanwhile.
    ///
    /// A cancelled task's lease is not extended.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`].
    pub fn heartbeat(&mut self, token: Digest, now: Timestamp) -> Result<bool, Refusal> {
        let lease = self
            .lease
            .filter(|l| l.token == token)
            .ok_or(Refusal::LeaseLost)?;
        if self.status == Status::Cancelled {
            return Ok(true);
        }
        self.check_lease(token, now)?;
        let expires_at = now.plus_seconds(LEASE_SECONDS);
        self.0.lease = Some(Lease {
            expires_at,
            heard: true,
            ..lease
        });
        Ok(false)
    }

    /// Admits logs or files of the runner at work. What it sends shows that it lives, so the
    /// first of it ends the short first lease as a heartbeat does.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`].
    pub fn admit_upload(&mut self, token: Digest, now: Timestamp) -> Result<(), Refusal> {
        let lease = self.check_lease(token, now)?;
        if !lease.heard {
            let expires_at = now.plus_seconds(LEASE_SECONDS);
            self.0.lease = Some(Lease {
                expires_at,
                heard: true,
                ..lease
            });
        }
        Ok(())
    }

    /// Whether `token` may complete the attempt, or has already done so with this body.
    ///
    /// # Errors
    /// [`Refusal::AlreadyCompleted`] for another body, [`Refusal::LeaseLost`].
    pub fn check_completion(
        &self,
        token: Digest,
        body: Digest,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        match self.completed_with {
            Some((by, with)) if by == token && with == body => Ok(true),
            Some((by, _)) if by == token => Err(Refusal::AlreadyCompleted),
            _ => self.check_lease(token, now).map(|_| false),
        }
    }

    /// Ends the attempt and applies the rule: success goes to review when gated, else to done;
    /// failure goes to failed.
    ///
    /// # Errors
    /// As [`Self::check_completion`], then [`Refusal::Invalid`] for an exit code out of range.
    pub fn complete(
        &mut self,
        token: Digest,
        report: &Report,
        evidence: Digest,
        settings: Settings,
        now: Timestamp,
    ) -> Result<Completion, Refusal> {
        if self.check_completion(token, report.body, now)? {
            return Ok(Completion::Repeated);
        }
        report.check()?;
        self.0.gated |= settings.task_approval_mode;
        self.0.exit_code = report.exit_code;
        self.0.error.clone_from(&report.error);
        self.0.completed_at = Some(now);
        self.0.evidence_sha256 = Some(evidence);
        self.0.completed_with = Some((token, report.body));
        self.0.lease = None;
        let (status, completion) = match report.outcome {
            Outcome::Failed => (Status::Failed, Completion::Failed),
            Outcome::Succeeded if self.gated => {
                let reason = GateReason::of(self.requires_approval);
                (Status::Review, Completion::Review(reason))
            }
            Outcome::Succeeded => (Status::Done, Completion::Done),
        };
        self.become_status(status);
        Ok(completion)
    }

    /// The request for a decision about a task that is in review.
    pub fn open_approval(&self, id: ApprovalId, now: Timestamp) -> Option<Approval> {
        let evidence_sha256 = self.evidence_sha256?;
        (self.status == Status::Review).then(|| Approval {
            id,
            task: self.id,
            attempt: self.attempt,
            reason: GateReason::of(self.requires_approval),
            evidence_sha256,
            created_at: now,
            status: ApprovalStatus::Pending,
            decided: None,
        })
    }

    /// Applies a person's decision to the task and its approval.
    ///
    /// # Errors
    /// [`Refusal::AlreadyDecided`], [`Refusal::NotInReview`], [`Refusal::EvidenceRequired`],
    /// [`Refusal::EvidenceMismatch`], [`Refusal::Invalid`], in this order.
    pub fn decide(
        &mut self,
        approval: Option<&mut Approval>,
        reviewer: &Reviewer,
        request: &DecisionRequest,
        settings: Settings,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let not_in_review = Refusal::NotInReview {
            status: self.status,
        };
        let Some(approval) = self.own_approval(approval) else {
            return Err(not_in_review);
        };
        if approval.status == ApprovalStatus::Pending && self.status != Status::Review {
            return Err(not_in_review);
        }
        approval.decide(reviewer, request, settings, now)?;
        self.become_status(match request.decision {
            Decision::Approve => Status::Done,
            Decision::Reject => Status::Failed,
        });
        Ok(())
    }

    /// Withdraws the task. In review that is a person's decision like any other, and needs the
    /// approval that it ends.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] without the authority the state asks for, [`Refusal::Invalid`] for
    /// an agent outside its desktop, [`Refusal::AlreadyFinal`]; in review [`Refusal::NotFound`]
    /// without the approval of this attempt and [`Refusal::AlreadyDecided`].
    pub fn cancel(
        &mut self,
        approval: Option<&mut Approval>,
        by: &Principal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.status == Status::Review {
            let reviewer = Reviewer::of(by)?;
            let approval = self.own_approval(approval);
            let approval = approval.ok_or(Refusal::NotFound("approval"))?;
            approval.cancel(&reviewer, now)?;
        } else {
            by.require(Capability::TasksWrite)?;
            self.check_agent_created(by)?;
        }
        if self.status.is_final() {
            return Err(Refusal::AlreadyFinal {
                status: self.status,
            });
        }
        self.become_status(Status::Cancelled);
        Ok(())
    }

    /// Cancels a pending task because a dependency is dead; any other stays as it is.
    pub fn cancel_by_dependency(&mut self) {
        if self.status == Status::Pending {
            self.become_status(Status::Cancelled);
        }
    }

    /// Ends a lease that has run out: the task is offered again until its attempts are used up.
    pub fn expire_lease(&mut self, now: Timestamp) -> LeaseEnd {
        let Some(lease) = self.lease.filter(|l| l.expires_at <= now) else {
            return LeaseEnd::Alive;
        };
        if self.status != Status::Running {
            return LeaseEnd::Alive;
        }
        self.0.lease = None;
        if !lease.heard {
            self.0.attempt -= 1;
            if self.attempt == 0 {
                self.0.started_at = None;
            }
            return LeaseEnd::Requeued;
        }
        if self.attempt < self.max_attempts {
            return LeaseEnd::Requeued;
        }
        self.fail(
            &format!(
                "the desktop stopped answering in attempt {} of {}",
                self.attempt, self.max_attempts
            ),
            now,
        );
        LeaseEnd::Failed
    }

    /// Gives the runner at work a whole lease again, after an outage that was not its fault.
    pub fn rearm_lease(&mut self, now: Timestamp) {
        if let Some(lease) = self.lease.filter(|_| self.status == Status::Running) {
            let seconds = if lease.heard {
                LEASE_SECONDS
            } else {
                FIRST_LEASE_SECONDS
            };
            let expires_at = lease.expires_at.max(now.plus_seconds(seconds));
            self.0.lease = Some(Lease {
                expires_at,
                ..lease
            });
        }
    }

    /// Fails a task whose runner did not enforce the time-out, a minute after it.
    /// Returns whether that was due.
    pub fn time_out(&mut self, now: Timestamp) -> bool {
        let due = self.started_at.is_some_and(|started| {
            started.plus_seconds(i64::from(self.timeout_seconds) + TIMEOUT_GRACE_SECONDS) <= now
        });
        if !due || self.status != Status::Running || self.lease.is_none() {
            return false;
        }
        self.fail(&format!("timed out after {} s", self.timeout_seconds), now);
        true
    }

    /// The desktop is gone: what runs fails, what is pending is cancelled, what is in review
    /// stays (contract section 5). Returns whether anything changed.
    pub fn lose_desktop(&mut self, now: Timestamp) -> bool {
        match self.status {
            Status::Running => self.fail("desktop deleted", now),
            Status::Pending => self.become_status(Status::Cancelled),
            Status::Review | Status::Done | Status::Failed | Status::Cancelled => return false,
        }
        true
    }

    /// The wish for a retry of this task: a copy with `changes`.
    ///
    /// # Errors
    /// [`Refusal::NotRetryable`], [`Refusal::AlreadyRetried`], [`Refusal::Forbidden`] for
    /// opening the gate without `approvals:decide` or starting by itself without `tasks:run`.
    pub fn retry(
        &self,
        content: &str,
        changes: &RetryChanges,
        by: &Principal,
    ) -> Result<NewTask, Refusal> {
        by.require(Capability::TasksWrite)?;
        self.check_agent_created(by)?;
        let was_gated = self.gated || self.requires_approval;
        let opens_gate = was_gated && changes.requires_approval == Some(false);
        if opens_gate && by.identity.kind != ActorKind::Agent {
            by.require(Capability::ApprovalsDecide)?;
        }
        if self.auto_run {
            by.require(Capability::TasksRun)?;
        }
        if !self.status.is_dead() {
            return Err(Refusal::NotRetryable {
                status: self.status,
            });
        }
        if let Some(retried_by) = self.retried_by {
            return Err(Refusal::AlreadyRetried { retried_by });
        }
        Ok(NewTask {
            task_type: self.task_type,
            content: changes
                .content
                .clone()
                .unwrap_or_else(|| content.to_owned()),
            title: Some(changes.title.clone().unwrap_or_else(|| self.title.clone())),
            desktop: self.desktop,
            requires_approval: changes.requires_approval.unwrap_or(was_gated),
            depends_on: self.depends_on.clone(),
            auto_run: self.auto_run,
            on_dependency_failure: self.on_dependency_failure,
            timeout_seconds: Some(self.timeout_seconds.into()),
            max_attempts: Some(self.max_attempts.into()),
        })
    }

    /// Ties a task made from [`Self::retry`] to this one.
    pub fn link_retry(&mut self, retry: &mut Self) {
        self.0.retried_by = Some(retry.id);
        retry.0.retry_of = Some(self.id);
        retry.0.lineage = self.lineage;
    }

    /// The approval given, if it is about this attempt of this task.
    fn own_approval<'a>(&self, approval: Option<&'a mut Approval>) -> Option<&'a mut Approval> {
        approval.filter(|a| a.task == self.id && a.attempt == self.attempt)
    }

    /// An agent touches only what an agent of its desktop made (contract section 6).
    fn check_agent_created(&self, by: &Principal) -> Result<(), Refusal> {
        let Some(desktop) = by.confined_to() else {
            return Ok(());
        };
        if self.desktop != desktop {
            return Err(Refusal::task(
                "desktopId",
                "this key works on tasks of its own desktop only",
            ));
        }
        if self.created_by.kind != ActorKind::Agent {
            return Err(Refusal::Forbidden(
                "this key changes only tasks that an agent of its desktop created".to_owned(),
            ));
        }
        Ok(())
    }

    /// The lease behind `token`, if it is current (G11: an expired one never comes back).
    fn check_lease(&self, token: Digest, now: Timestamp) -> Result<Lease, Refusal> {
        self.lease
            .filter(|l| self.status == Status::Running && l.token == token && l.expires_at > now)
            .ok_or(Refusal::LeaseLost)
    }

    fn fail(&mut self, error: &str, now: Timestamp) {
        self.0.error = Some(error.to_owned());
        self.0.completed_at = Some(now);
        self.0.lease = None;
        self.become_status(Status::Failed);
    }

    /// The one place where a status changes.
    fn become_status(&mut self, next: Status) {
        debug_assert!(self.status.can_become(next), "{} -> {next}", self.status);
        self.0.status = next;
    }
}

fn check_content(content: &str) -> Result<(), Refusal> {
    match content.chars().count() {
        0 => Err(Refusal::task("content", "must not be empty")),
        1..=100_000 => Ok(()),
        n => Err(Refusal::task(
            "content",
            format!("has {n} characters, at most 100000 are allowed"),
        )),
    }
}

/// The title given, or the first non-empty line of the content cut to 80 characters.
fn title_of(new: &NewTask) -> Result<String, Refusal> {
    if let Some(title) = new.title.as_deref().filter(|t| !t.trim().is_empty()) {
        return match title.chars().count() {
            0..=200 => Ok(title.to_owned()),
            n => Err(Refusal::task(
                "title",
                format!("has {n} characters, at most 200 are allowed"),
            )),
        };
    }
    let line = new
        .content
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty());
    Ok(line.map_or_else(
        || new.task_type.to_string(),
        |line| line.chars().take(80).collect(),
    ))
}

fn check_desktop(desktop: DesktopId, by: &Principal, exists: bool) -> Result<(), Refusal> {
    if by.confined_to().is_some_and(|own| own != desktop) {
        return Err(Refusal::task(
            "desktopId",
            "this key works on tasks of its own desktop only",
        ));
    }
    if exists {
        Ok(())
    } else {
        Err(Refusal::task(
            "desktopId",
            format!("there is no desktop {desktop}"),
        ))
    }
}

fn check_dependencies(
    new: &NewTask,
    by: &Principal,
    dependencies: &[Option<&TaskState>],
) -> Result<(), Refusal> {
    if new.depends_on.len() > MAX_DEPENDENCIES {
        let n = new.depends_on.len();
        return Err(Refusal::task(
            "dependsOn",
            format!("names {n} tasks, at most {MAX_DEPENDENCIES} are allowed"),
        ));
    }
    for (index, id) in new.depends_on.iter().enumerate() {
        if new.depends_on[..index].contains(id) {
            return Err(Refusal::task("dependsOn", format!("names {id} twice")));
        }
        let known = dependencies.get(index).copied().flatten();
        let outside = |task: &TaskState| by.confined_to().is_some_and(|own| own != task.desktop);
        if known.is_none_or(outside) {
            return Err(Refusal::task("dependsOn", format!("there is no task {id}")));
        }
    }
    Ok(())
}

fn in_range(
    field: &'static str,
    value: Option<i64>,
    default: u32,
    max: u32,
) -> Result<u32, Refusal> {
    let Some(value) = value else {
        return Ok(default);
    };
    u32::try_from(value)
        .ok()
        .filter(|v| (1..=max).contains(v))
        .ok_or_else(|| Refusal::task(field, format!("is {value}, allowed are 1 to {max}")))
}
