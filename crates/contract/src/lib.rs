#![doc = include_str!("../README.md")]

pub mod activity;
pub mod approval;
pub mod desktop;
pub mod identity;
pub mod key;
pub mod problem;
pub mod recording;
pub mod runner;
pub mod settings;
pub mod task;
mod timestamp;
mod vocabulary;

pub use activity::{ActivityEvent, ActivityRow};
pub use approval::{ApprovalDesktop, ApprovalTask, Decide, MissionApproval, Standing};
pub use desktop::{CreateDesktop, Desktop};
pub use identity::Identity;
pub use key::{ApiKey, CreateApiKey, CreatedApiKey};
pub use problem::{Code, Problem};
pub use recording::{ChangedFile, LogLine};
pub use runner::{
    AddFile, AddFiles, AppendLogs, Claim, ClaimInput, ClaimRequest, Complete, Heartbeat, Lease,
    LogEntry,
};
pub use settings::{Dashboard, PatchSettings, Settings, TaskCounts};
pub use task::{CreateTask, Dependent, PriorFeedback, RetryTask, Task, TaskReview};
pub use timestamp::Timestamp;
pub use vocabulary::{
    ActorKind, ApprovalKind, ApprovalReason, ApprovalStatus, Capability, Decision, DesktopStatus,
    FileChange, KeyKind, LogStream, OnDependencyFailure, Outcome, TaskStatus, TaskType,
    UnknownWord,
};

/// The body of a call that takes none: `{}` (contract section 0).
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Empty {}
