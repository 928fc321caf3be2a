//! What a task waits for, and what the end of a dependency sets off (contract section 3).
//!
//! A dependency always counts for its newest retry: callers resolve that before they ask.

use crate::id::TaskId;
use crate::status::Status;
use crate::task::{OnDependencyFailure, TaskState};

/// A dependency as it stands: its newest retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The newest retry.
    pub id: TaskId,
    /// Where that stands.
    pub status: Status,
}

impl Parent {
    /// Those of `parents` that are not done, in order: the `blockedBy` of the task.
    pub fn unfinished(parents: &[Self]) -> Vec<TaskId> {
        parents
            .iter()
            .filter(|p| p.status != Status::Done)
            .map(|p| p.id)
            .collect()
    }
}

/// What must happen to a pending task because of its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// It stays as it is.
    Nothing,
    /// All dependencies are done and it starts by itself.
    Start,
    /// A dependency is dead and the task asked to be cancelled then.
    Cancel,
}

/// The consequence for `task` of its dependencies as they stand.
pub fn consequence(task: &TaskState, parents: &[Parent]) -> Consequence {
    if task.status != Status::Pending {
        return Consequence::Nothing;
    }
    let dead = parents.iter().any(|p| p.status.is_dead());
    if dead && task.on_dependency_failure == OnDependencyFailure::Cancel {
        Consequence::Cancel
    } else if task.auto_run && parents.iter().all(|p| p.status == Status::Done) {
        Consequence::Start
    } else {
        Consequence::Nothing
    }
}
