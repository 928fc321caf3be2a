//! The gate: when finished work must wait for a person (contract section 1).

use crate::codes::codes;

/// What an account has switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// Task Approval Mode: every task of the account needs approval.
    pub task_approval_mode: bool,
    /// A decision must name the sealed evidence it was made on.
    pub require_evidence: bool,
}

codes! {
    /// Why a task was gated; the task's own flag is named first.
    GateReason {
        /// The task says *requires approval*.
        Task = "task",
        /// Task Approval Mode was on at a claim or at the finish.
        Global = "global",
    }
}

impl GateReason {
    /// The reason of a gated task.
    pub const fn of(requires_approval: bool) -> Self {
        if requires_approval {
            Self::Task
        } else {
            Self::Global
        }
    }
}
