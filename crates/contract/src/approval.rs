//! Approvals and decisions (contract sections 2 and 3).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ApprovalKind, ApprovalReason, ApprovalStatus, Decision, Identity, TaskStatus, TaskType,
    Timestamp,
};

/// The question whether the result of a task counts, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissionApproval {
    /// `appr_…`.
    pub id: String,
    /// What is to be approved.
    pub kind: ApprovalKind,
    /// The task in question.
    pub task_id: String,
    /// Where the approval stands.
    pub status: ApprovalStatus,
    /// Why it was required.
    pub reason: ApprovalReason,
    /// The task, in brief.
    pub task: ApprovalTask,
    /// The desktop that executed it.
    pub desktop: ApprovalDesktop,
    /// When the agent finished.
    pub task_completed_at: Timestamp,
    /// Path of the output.
    pub output_url: String,
    /// SHA-256 of the evidence sealed at completion, in hex. A decision is bound to it.
    pub evidence_sha256: String,
    /// When the task entered review.
    pub created_at: Timestamp,
    /// When it was decided, or its task cancelled.
    #[schema(required)]
    pub decided_at: Option<Timestamp>,
    /// Who decided, or cancelled.
    #[schema(required)]
    pub decided_by: Option<Identity>,
    /// What the reviewer wrote.
    #[schema(required)]
    pub feedback: Option<String>,
}

/// The task of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTask {
    /// `task_…`.
    pub id: String,
    /// On the wire `type`.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// Its title.
    pub title: String,
    /// The prompt or command.
    pub content: String,
    /// Where it stands now.
    pub status: TaskStatus,
}

/// The desktop of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalDesktop {
    /// `desk_…`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The decision that stands: the member `standing` of the problem `already-decided`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// `appr_…`.
    pub approval_id: String,
    /// What it led to.
    pub status: ApprovalStatus,
    /// Null when the task was cancelled in review.
    #[schema(required)]
    pub decision: Option<Decision>,
    /// What the reviewer wrote.
    #[schema(required)]
    pub feedback: Option<String>,
    /// Who decided, or cancelled.
    #[schema(required)]
    pub decided_by: Option<Identity>,
    /// When.
    #[schema(required)]
    pub decided_at: Option<Timestamp>,
}

/// `POST /api/mission-control/tasks/:id/review` and `…/approvals/:id/resolve`: two doors to one
/// decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decide {
    /// Exactly `approve` or `reject`.
    pub decision: Decision,
    /// At most 10,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// The evidence the reviewer looked at. Absent: whatever was sealed at completion, unless the
    /// setting `requireEvidence` demands it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_sha256: Option<String>,
}

impl Decide {
    /// Approves, without a word.
    pub const fn approve() -> Self {
        Self {
            decision: Decision::Approve,
            feedback: None,
            evidence_sha256: None,
        }
    }

    /// Rejects and says why.
    pub fn reject(feedback: impl Into<String>) -> Self {
        Self {
            decision: Decision::Reject,
            feedback: Some(feedback.into()),
            evidence_sha256: None,
        }
    }
}
