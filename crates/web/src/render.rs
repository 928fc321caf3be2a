//! From what the store answers to what the contract shows (contract sections 3 to 6).

use approval_core as core;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract as wire;
use store::{
    ApprovalView, ClaimView, Dashboard, Dependent, DesktopView, FileView, KeyView, LogLine,
    PriorFeedback, TaskView,
};

use crate::vocabulary::ToWire;

/// Whose eyes an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// A person or a program of the account.
    Account,
    /// An agent of this desktop, which sees every person as `human` (contract section 3) and
    /// nothing of tasks that depend on its work elsewhere (section 6).
    Agent(core::DesktopId),
}

impl Viewer {
    pub(crate) fn of(principal: &core::Principal) -> Self {
        principal.confined_to().map_or(Self::Account, Self::Agent)
    }

    fn identity(self, identity: &core::Identity) -> wire::Identity {
        let masked = self != Self::Account && identity.kind == core::ActorKind::Human;
        wire::Identity {
            kind: identity.kind.to_wire(),
            id: principal_id(identity.id),
            name: if masked {
                "human".to_owned()
            } else {
                identity.name.clone()
            },
        }
    }

    fn dependents(self, all: &[Dependent]) -> Vec<wire::Dependent> {
        let in_sight = |task: &&Dependent| match self {
            Self::Account => true,
            Self::Agent(own) => task.desktop == own,
        };
        all.iter().filter(in_sight).map(dependent).collect()
    }

    pub(crate) fn task(self, view: &TaskView) -> wire::Task {
        let state = &view.state;
        wire::Task {
            id: state.id.to_string(),
            task_type: state.task_type.to_wire(),
            title: state.title.clone(),
            content: view.content.clone(),
            content_truncated: view.content_truncated,
            status: state.status.to_wire(),
            desktop_id: state.desktop.to_string(),
            requires_approval: state.requires_approval,
            gated: view.gated,
            depends_on: ids(&state.depends_on),
            blocked_by: ids(&view.blocked_by),
            dependents: self.dependents(&view.dependents),
            auto_run: state.auto_run,
            on_dependency_failure: state.on_dependency_failure.to_wire(),
            timeout_seconds: state.timeout_seconds.into(),
            attempt: state.attempt.into(),
            max_attempts: state.max_attempts.into(),
            retry_of: state.retry_of.map(|id| id.to_string()),
            retried_by: state.retried_by.map(|id| id.to_string()),
            prior_feedback: view
                .prior_feedback
                .iter()
                .filter_map(|prior| self.prior_feedback(prior))
                .collect(),
            created_by: self.identity(&state.created_by),
            created_at: state.created_at.to_wire(),
            started_at: state.started_at.map(time),
            completed_at: state.completed_at.map(time),
            exit_code: state.exit_code,
            error: state.error.clone(),
            output_url: Some(output_url(state.id)),
            evidence_sha256: state.evidence_sha256.map(|digest| digest.to_string()),
            review: view.review.as_ref().map(|approval| self.review(approval)),
        }
    }

    /// Feedback that says nothing is none.
    fn prior_feedback(self, prior: &PriorFeedback) -> Option<wire::PriorFeedback> {
        Some(wire::PriorFeedback {
            task_id: prior.task.to_string(),
            feedback: prior.decided.feedback.as_ref()?.as_str().to_owned(),
            decided_by: self.identity(&prior.decided.by),
            decided_at: prior.decided.at.to_wire(),
        })
    }

    fn review(self, approval: &core::Approval) -> wire::TaskReview {
        let (feedback, decided_by, decided_at) = self.decided(approval);
        wire::TaskReview {
            approval_id: approval.id.to_string(),
            decision: decision(approval),
            feedback,
            decided_by,
            decided_at,
        }
    }

    pub(crate) fn approval(self, view: &ApprovalView) -> wire::MissionApproval {
        let approval = &view.approval;
        let (feedback, decided_by, decided_at) = self.decided(approval);
        wire::MissionApproval {
            id: approval.id.to_string(),
            kind: wire::ApprovalKind::Task,
            task_id: approval.task.to_string(),
            status: approval.status.to_wire(),
            reason: approval.reason.to_wire(),
            task: wire::ApprovalTask {
                id: approval.task.to_string(),
                task_type: view.task_type.to_wire(),
                title: view.title.clone(),
                content: view.content.clone(),
                status: view.task_status.to_wire(),
            },
            desktop: wire::ApprovalDesktop {
                id: view.desktop.to_string(),
                name: view.desktop_name.clone(),
            },
            // a task enters review in the moment it completes
            task_completed_at: view
                .task_completed_at
                .unwrap_or(approval.created_at)
                .to_wire(),
            output_url: output_url(approval.task),
            evidence_sha256: approval.evidence_sha256.to_string(),
            created_at: approval.created_at.to_wire(),
            decided_at,
            decided_by,
            feedback,
        }
    }

    fn decided(
        self,
        approval: &core::Approval,
    ) -> (
        Option<String>,
        Option<wire::Identity>,
        Option<wire::Timestamp>,
    ) {
        let Some(decided) = &approval.decided else {
            return (None, None, None);
        };
        let feedback = decided.feedback.as_ref().map(|f| f.as_str().to_owned());
        let by = self.identity(&decided.by);
        (feedback, Some(by), Some(decided.at.to_wire()))
    }

    /// A claim with the token that only its runner ever sees.
    pub(crate) fn claim(self, view: &ClaimView, token: String) -> wire::Claim {
        wire::Claim {
            task: self.task(&view.task),
            inputs: view
                .inputs
                .iter()
                .map(|input| wire::ClaimInput {
                    task_id: input.task.to_string(),
                    attempt: input.attempt.into(),
                    evidence_sha256: input.evidence_sha256.to_string(),
                })
                .collect(),
            lease: wire::Lease {
                token,
                expires_at: view.expires_at.to_wire(),
                attempt: view.task.state.attempt.into(),
            },
        }
    }
}

/// The decision that stands, as `already-decided` shows it. Agents cannot ask for one.
pub(crate) fn standing(approval: &core::Approval) -> wire::Standing {
    let (feedback, decided_by, decided_at) = Viewer::Account.decided(approval);
    wire::Standing {
        approval_id: approval.id.to_string(),
        status: approval.status.to_wire(),
        decision: decision(approval),
        feedback,
        decided_by,
        decided_at,
    }
}

pub(crate) fn settings(settings: core::Settings) -> wire::Settings {
    wire::Settings {
        task_approval_mode: settings.task_approval_mode,
        require_evidence: settings.require_evidence,
    }
}

pub(crate) fn dashboard(figures: &Dashboard, now: core::Timestamp) -> wire::Dashboard {
    let mut tasks = wire::TaskCounts::default();
    for (status, count) in &figures.tasks {
        *tasks.of(status.to_wire()) = *count;
    }
    wire::Dashboard {
        tasks,
        pending_approvals: figures.pending_approvals,
        oldest_pending_seconds: figures
            .oldest_pending_at
            .map(|at| seconds_between(at, now).max(0)),
        desktops_running: figures.desktops_running,
    }
}

/// Whole seconds from `start` to `end`.
pub(crate) fn seconds_between(start: core::Timestamp, end: core::Timestamp) -> i64 {
    (end.micros() - start.micros()).div_euclid(1_000_000)
}

pub(crate) fn heartbeat(expires_at: core::Timestamp, cancel_requested: bool) -> wire::Heartbeat {
    wire::Heartbeat {
        expires_at: expires_at.to_wire(),
        cancel_requested,
    }
}

pub(crate) fn desktop(view: &DesktopView) -> wire::Desktop {
    wire::Desktop {
        id: view.id.to_string(),
        name: view.name.clone(),
        status: if view.running {
            wire::DesktopStatus::Running
        } else {
            wire::DesktopStatus::Stopped
        },
        last_seen_at: view.last_seen_at.map(time),
        running_task_ids: ids(&view.running_tasks),
        created_at: view.created_at.to_wire(),
    }
}

pub(crate) fn key(view: &KeyView) -> wire::ApiKey {
    wire::ApiKey {
        id: view.id.to_string(),
        name: view.name.clone(),
        kind: view.kind.to_wire(),
        capabilities: view.capabilities.iter().map(|c| c.to_wire()).collect(),
        desktop_id: view.desktop.map(|id| id.to_string()),
        last4: view.last4.clone(),
        created_at: view.created_at.to_wire(),
        last_used_at: view.last_used_at.map(time),
    }
}

/// A row of the log; `None` if its payload is no JSON, which we never write.
pub(crate) fn activity(
    account: core::AccountId,
    row: &store::ActivityRow,
) -> Option<wire::ActivityRow> {
    Some(wire::ActivityRow {
        seq: row.seq,
        account_id: account.to_string(),
        event_type: row.kind.clone(),
        payload: serde_json::from_str(&row.payload).ok()?,
        actor: Viewer::Account.identity(&row.actor),
        at: row.at.to_wire(),
        prev_hash: row.prev_hash.clone(),
        hash: row.hash.clone(),
    })
}

pub(crate) fn log_line(line: &LogLine) -> wire::LogLine {
    let text = String::from_utf8_lossy(&line.bytes);
    let is_utf8 = matches!(text, std::borrow::Cow::Borrowed(_));
    wire::LogLine {
        seq: line.seq,
        stream: line.stream.to_wire(),
        at: line.at.to_wire(),
        base64: (!is_utf8).then(|| STANDARD.encode(&line.bytes)),
        text: text.into_owned(),
    }
}

pub(crate) fn file(view: &FileView) -> wire::ChangedFile {
    let (path, path_base64) = path_text(&view.path);
    let (old_path, old_path_base64) = view.old_path.as_deref().map_or((None, None), path_text);
    wire::ChangedFile {
        n: view.n,
        path,
        path_base64,
        old_path,
        old_path_base64,
        change: view.change.to_wire(),
        mode: view.mode.clone(),
        old_mode: view.old_mode.clone(),
        diff: view
            .diff
            .as_ref()
            .map(|diff| String::from_utf8_lossy(diff).into_owned()),
        bytes: view
            .content
            .map(|part| i64::try_from(part.bytes).unwrap_or(i64::MAX)),
        sha256: view.content.map(|part| part.sha256.to_string()),
        truncated: view.truncated,
    }
}

/// A path as text, or in base64 where it is not UTF-8.
fn path_text(path: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(path) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(path))),
    }
}

fn time(at: core::Timestamp) -> wire::Timestamp {
    at.to_wire()
}

fn dependent(dependent: &Dependent) -> wire::Dependent {
    wire::Dependent {
        id: dependent.id.to_string(),
        title: dependent.title.clone(),
        task_type: dependent.task_type.to_wire(),
        desktop_id: dependent.desktop.to_string(),
        status: dependent.status.to_wire(),
        auto_run: dependent.auto_run,
    }
}

fn decision(approval: &core::Approval) -> Option<wire::Decision> {
    approval.status.decision().map(ToWire::to_wire)
}

fn principal_id(id: core::PrincipalId) -> Option<String> {
    match id {
        core::PrincipalId::User(id) => Some(id.to_string()),
        core::PrincipalId::Key(id) => Some(id.to_string()),
        core::PrincipalId::System => None,
    }
}

fn output_url(task: core::TaskId) -> String {
    format!("/api/mission-control/tasks/{task}/output")
}

/// The texts of some ids.
pub(crate) fn ids<T: std::fmt::Display>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
