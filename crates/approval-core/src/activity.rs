//! The log: one gapless, hash-chained sequence of events an account (contract section 4).

use crate::approval::{Approval, ApprovalStatus};
use crate::canonical::Canonical;
use crate::digest::Digest;
use crate::gate::Settings;
use crate::id::{AccountId, DesktopId, KeyId};
use crate::key::KeyGrant;
use crate::principal::{Identity, PrincipalId};
use crate::status::Status;
use crate::task::TaskState;
use crate::timestamp::Timestamp;

/// The `prevHash` of the first entry: 64 zeros.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// Something that happened: its type and payload, ids plus the state after the change, never
/// content or feedback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The type, for example `task.created`.
    pub kind: &'static str,
    /// The payload as canonical JSON.
    pub payload: String,
}

impl Event {
    fn new<const N: usize>(
        kind: &'static str,
        members: [(&'static str, Canonical<'_>); N],
    ) -> Self {
        Self {
            kind,
            payload: Canonical::object(members).to_json(),
        }
    }

    /// A task was created.
    pub fn task_created(task: &TaskState) -> Self {
        Self::task("task.created", task)
    }

    /// A task was queued for its desktop.
    pub fn task_queued(task: &TaskState) -> Self {
        Self::task("task.queued", task)
    }

    /// A runner claimed a task.
    pub fn task_started(task: &TaskState) -> Self {
        Self::new(
            "task.started",
            [
                ("taskId", Canonical::display(task.id)),
                ("desktopId", Canonical::display(task.desktop)),
                ("status", Canonical::text(task.status.as_str())),
                ("attempt", Canonical::Int(task.attempt.into())),
            ],
        )
    }

    /// An attempt ended for good: review, done or failed.
    pub fn task_completed(task: &TaskState) -> Self {
        Self::ended("task.completed", task)
    }

    /// A task was withdrawn.
    pub fn task_cancelled(task: &TaskState) -> Self {
        Self::ended("task.cancelled", task)
    }

    /// The log and file bytes of the sealed attempt were given up; names the evidence that stays and how many
    /// bytes there were.
    pub fn task_pruned(
        task: &TaskState,
        evidence_sha256: Digest,
        log_bytes: i64,
        file_bytes: i64,
    ) -> Self {
        Self::new(
            "task.pruned",
            [
                ("taskId", Canonical::display(task.id)),
                ("desktopId", Canonical::display(task.desktop)),
                ("status", Canonical::text(task.status.as_str())),
                ("attempt", Canonical::Int(task.attempt.into())),
                ("evidenceSha256", Canonical::display(evidence_sha256)),
                ("logBytes", Canonical::Int(log_bytes)),
                ("fileBytes", Canonical::Int(file_bytes)),
            ],
        )
    }

    /// A task entered review; names the evidence the decision will be about.
    pub fn approval_created(approval: &Approval, task: &TaskState) -> Self {
        Self::new(
            "approval.created",
            [
                ("approvalId", Canonical::display(approval.id)),
                ("taskId", Canonical::display(approval.task)),
                ("desktopId", Canonical::display(task.desktop)),
                ("status", Canonical::text(ApprovalStatus::Pending.as_str())),
                ("reason", Canonical::text(approval.reason.as_str())),
                (
                    "evidenceSha256",
                    Canonical::display(approval.evidence_sha256),
                ),
                ("taskStatus", Canonical::text(Status::Review.as_str())),
            ],
        )
    }

    /// The waiting ended: approved, rejected or cancelled.
    pub fn approval_resolved(approval: &Approval, task_status: Status) -> Self {
        let decision = approval.status.decision();
        Self::new(
            "approval.resolved",
            [
                ("approvalId", Canonical::display(approval.id)),
                ("taskId", Canonical::display(approval.task)),
                ("status", Canonical::text(approval.status.as_str())),
                (
                    "decision",
                    Canonical::option(decision, |d| Canonical::text(d.as_str())),
                ),
                ("taskStatus", Canonical::text(task_status.as_str())),
            ],
        )
    }

    /// A setting of the account changed.
    pub fn settings_changed(settings: Settings) -> Self {
        Self::new(
            "settings.changed",
            [
                (
                    "taskApprovalMode",
                    Canonical::Bool(settings.task_approval_mode),
                ),
                (
                    "requireEvidence",
                    Canonical::Bool(settings.require_evidence),
                ),
            ],
        )
    }

    /// A desktop was added.
    pub fn desktop_created(id: DesktopId) -> Self {
        Self::desktop("desktop.created", id, "stopped")
    }

    /// A desktop was heard from again, or fell silent.
    pub fn desktop_status(id: DesktopId, running: bool) -> Self {
        Self::desktop(
            "desktop.status",
            id,
            if running { "running" } else { "stopped" },
        )
    }

    /// A desktop was removed.
    pub fn desktop_deleted(id: DesktopId) -> Self {
        Self::desktop("desktop.deleted", id, "deleted")
    }

    /// An API key was made.
    pub fn key_created(id: KeyId, grant: &KeyGrant) -> Self {
        let capabilities = grant
            .capabilities
            .iter()
            .map(|c| Canonical::text(c.as_str()))
            .collect();
        Self::new(
            "key.created",
            [
                ("keyId", Canonical::display(id)),
                ("kind", Canonical::text(grant.kind.as_str())),
                ("capabilities", Canonical::Array(capabilities)),
                (
                    "desktopId",
                    Canonical::option(grant.desktop, Canonical::display),
                ),
            ],
        )
    }

    /// An API key was revoked.
    pub fn key_revoked(id: KeyId) -> Self {
        Self::new("key.revoked", [("keyId", Canonical::display(id))])
    }

    fn task(kind: &'static str, task: &TaskState) -> Self {
        Self::new(
            kind,
            [
                ("taskId", Canonical::display(task.id)),
                ("desktopId", Canonical::display(task.desktop)),
                ("status", Canonical::text(task.status.as_str())),
            ],
        )
    }

    fn ended(kind: &'static str, task: &TaskState) -> Self {
        Self::new(
            kind,
            [
                ("taskId", Canonical::display(task.id)),
                ("desktopId", Canonical::display(task.desktop)),
                ("status", Canonical::text(task.status.as_str())),
                (
                    "completedAt",
                    Canonical::option(task.completed_at, Canonical::display),
                ),
            ],
        )
    }

    fn desktop(kind: &'static str, id: DesktopId, status: &'static str) -> Self {
        Self::new(
            kind,
            [
                ("desktopId", Canonical::display(id)),
                ("status", Canonical::text(status)),
            ],
        )
    }
}

/// One row of the log, before or after its hash is known.
#[derive(Debug, Clone, Copy)]
pub struct ActivityEntry<'a> {
    /// From 1, without gaps.
    pub seq: i64,
    /// Whose log.
    pub account: AccountId,
    /// The type of the event.
    pub kind: &'a str,
    /// The payload: canonical JSON of one object.
    pub payload: &'a str,
    /// Who did it.
    pub actor: &'a Identity,
    /// When.
    pub at: Timestamp,
    /// The hash of the entry before, [`GENESIS`] for the first.
    pub prev_hash: Digest,
}

impl ActivityEntry<'_> {
    /// SHA-256 of the RFC 8785 JSON of the row without `hash` (contract section 4).
    ///
    /// The members stand in their canonical order here, so that the payload, canonical already,
    /// is not parsed again.
    pub fn hash(&self) -> Digest {
        let actor_id = match self.actor.id {
            PrincipalId::System => Canonical::Null,
            id @ (PrincipalId::User(_) | PrincipalId::Key(_)) => Canonical::display(id),
        };
        let actor = Canonical::object([
            ("id", actor_id),
            ("kind", Canonical::text(self.actor.kind.as_str())),
            ("name", Canonical::text(self.actor.name.as_str())),
        ]);
        let json = format!(
            r#"{{"accountId":"{}","actor":{},"at":"{}","payload":{},"prevHash":"{}","seq":{},"type":{}}}"#,
            self.account,
            actor.to_json(),
            self.at,
            self.payload,
            self.prev_hash,
            self.seq,
            Canonical::text(self.kind).to_json(),
        );
        Digest::of(json.as_bytes())
    }
}
