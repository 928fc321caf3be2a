//! Settings and the dashboard's figures of an account (contract section 3).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::TaskStatus;

/// The settings of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// While on, every task that finishes successfully goes to review.
    pub task_approval_mode: bool,
    /// While on, a decision must name the evidence it is about.
    pub require_evidence: bool,
}

/// `PATCH /api/mission-control/settings`. What is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchSettings {
    /// Turns Task Approval Mode on or off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_approval_mode: Option<bool>,
    /// Makes `evidenceSha256` mandatory in decisions, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_evidence: Option<bool>,
}

/// The state of an account in a few figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// Tasks by status.
    pub tasks: TaskCounts,
    /// Approvals that wait for a decision.
    pub pending_approvals: i64,
    /// Whole seconds since the oldest of them was created; null when there is none.
    #[schema(required)]
    pub oldest_pending_seconds: Option<i64>,
    /// Desktops heard from in the last 30 seconds.
    pub desktops_running: i64,
}

/// How many tasks have each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskCounts {
    /// Created, not started.
    pub pending: i64,
    /// Queued or executing.
    pub running: i64,
    /// Waiting for a decision.
    pub review: i64,
    /// Done.
    pub done: i64,
    /// Failed or rejected.
    pub failed: i64,
    /// Called off.
    pub cancelled: i64,
}

impl TaskCounts {
    /// The count of one status, to read or set.
    pub const fn of(&mut self, status: TaskStatus) -> &mut i64 {
        match status {
            TaskStatus::Pending => &mut self.pending,
            TaskStatus::Running => &mut self.running,
            TaskStatus::Review => &mut self.review,
            TaskStatus::Done => &mut self.done,
            TaskStatus::Failed => &mut self.failed,
            TaskStatus::Cancelled => &mut self.cancelled,
        }
    }
}
