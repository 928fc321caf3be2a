//! Tasks (contract section 3).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Decision, Identity, OnDependencyFailure, TaskStatus, TaskType, Timestamp};

/// A piece of work for one desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the contract's members, each independent of the others"
)]
pub struct Task {
    /// `task_…`.
    pub id: String,
    /// What the desktop is asked to do; on the wire `type`.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// One line, at most 200 characters.
    pub title: String,
    /// The prompt or command. Lists cut it at 2,000 characters.
    pub content: String,
    /// Whether `content` was cut.
    pub content_truncated: bool,
    /// Where the task stands.
    pub status: TaskStatus,
    /// The desktop that executes it.
    pub desktop_id: String,
    /// Whether its creator asked for an approval.
    pub requires_approval: bool,
    /// Whether its success leads to a review: asked for, or Task Approval Mode was found on so far,
    /// or (before the finish) is on now.
    pub gated: bool,
    /// The tasks it waits for, as given at creation.
    pub depends_on: Vec<String>,
    /// Those of them, each as its newest retry, that are not done.
    pub blocked_by: Vec<String>,
    /// The tasks that wait for it.
    pub dependents: Vec<Dependent>,
    /// Whether it starts by itself as soon as nothing blocks it.
    pub auto_run: bool,
    /// What a dead dependency does to it.
    pub on_dependency_failure: OnDependencyFailure,
    /// Seconds from a claim to the time-out.
    pub timeout_seconds: i64,
    /// The newest attempt; 0 before the first claim.
    pub attempt: i64,
    /// How many attempts it may have when runners vanish.
    pub max_attempts: i64,
    /// The task this one repeats.
    #[schema(required)]
    pub retry_of: Option<String>,
    /// The task that repeats this one.
    #[schema(required)]
    pub retried_by: Option<String>,
    /// What reviewers said about the tasks it repeats, oldest first.
    pub prior_feedback: Vec<PriorFeedback>,
    /// Who created it.
    pub created_by: Identity,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its newest attempt was claimed.
    #[schema(required)]
    pub started_at: Option<Timestamp>,
    /// When the agent finished.
    #[schema(required)]
    pub completed_at: Option<Timestamp>,
    /// The exit code that the runner reported.
    #[schema(required)]
    pub exit_code: Option<i64>,
    /// What went wrong, in the words of the agent or the system; never the reviewer's feedback.
    #[schema(required)]
    pub error: Option<String>,
    /// Path of the output.
    #[schema(required)]
    pub output_url: Option<String>,
    /// SHA-256 of the sealed evidence, in hex; null until the seal.
    #[schema(required)]
    pub evidence_sha256: Option<String>,
    /// The approval of the newest attempt; null before the review.
    #[schema(required)]
    pub review: Option<TaskReview>,
}

/// A task that waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependent {
    /// `task_…`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// On the wire `type`.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// Its desktop.
    pub desktop_id: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Whether it starts by itself once nothing blocks it.
    pub auto_run: bool,
}

/// What a reviewer said about an earlier task of a chain of retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriorFeedback {
    /// The task that was decided.
    pub task_id: String,
    /// What was said.
    pub feedback: String,
    /// Who said it.
    pub decided_by: Identity,
    /// When.
    pub decided_at: Timestamp,
}

/// The approval of a task, as seen on the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskReview {
    /// `appr_…`.
    pub approval_id: String,
    /// Null until decided, and after a cancellation in review.
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

/// `POST /api/mission-control/tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateTask {
    /// On the wire `type`.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// 1 to 100,000 characters.
    pub content: String,
    /// The desktop that shall execute it.
    pub desktop_id: String,
    /// At most 200 characters; absent: the first non-empty line of `content`, cut at 80.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether a person must approve the result. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// At most 50 tasks of the account that must be done first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// Start by itself as soon as nothing blocks it; needs `tasks:run`. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_run: Option<bool>,
    /// Default `block`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_dependency_failure: Option<OnDependencyFailure>,
    /// 1 to 604,800, counted from the claim. Default 3,600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// 1 to 10. Default 3 for a prompt and 1 for a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
}

impl CreateTask {
    /// A task with everything optional left to its default.
    pub fn new(
        task_type: TaskType,
        content: impl Into<String>,
        desktop_id: impl Into<String>,
    ) -> Self {
        Self {
            task_type,
            content: content.into(),
            desktop_id: desktop_id.into(),
            title: None,
            requires_approval: None,
            depends_on: None,
            auto_run: None,
            on_dependency_failure: None,
            timeout_seconds: None,
            max_attempts: None,
        }
    }
}

/// `POST /api/mission-control/tasks/:id/retry`. What is absent is taken from the task repeated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryTask {
    /// 1 to 100,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// False for a task that was ever gated needs `approvals:decide`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
}
