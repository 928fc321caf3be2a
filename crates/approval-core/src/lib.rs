#![doc = include_str!("../README.md")]

mod activity;
mod approval;
mod audit;
mod canonical;
mod codes;
mod dependency;
mod digest;
mod evidence;
mod gate;
mod id;
mod key;
mod limits;
mod principal;
mod refusal;
mod retention;
mod status;
mod task;
mod timestamp;

pub use activity::{ActivityEntry, Event, GENESIS};
pub use approval::{
    Approval, ApprovalStatus, Decided, Decision, DecisionRequest, Feedback, MAX_FEEDBACK,
};
pub use audit::{
    AuditApproval, AuditEvent, AuditFinding, AuditHead, AuditRow, AuditVerdict, AuditVerifier,
    MAX_FINDINGS,
};
pub use canonical::Canonical;
pub use dependency::{Consequence, Parent, consequence};
pub use digest::Digest;
pub use evidence::{
    ChangeKind, Evidence, EvidenceFile, LogStream, LogSummary, Part, PathText, SealedEvidence,
    TextPart, log_digest,
};
pub use gate::{GateReason, Settings};
pub use id::{AccountId, ApprovalId, DesktopId, KeyId, SessionId, TaskId, UserId};
pub use key::{KeyGrant, KeyKind, KeyRequest};
pub use limits::{DesktopName, MAX_DEPENDENCIES, MAX_OUTPUT_BYTES};
pub use principal::{
    ActorKind, Capabilities, Capability, Identity, Principal, PrincipalId, Reviewer,
};
pub use refusal::{Invalid, Refusal};
pub use retention::{Kept, prunable};
pub use status::Status;
pub use task::{
    Completion, FIRST_LEASE_SECONDS, LEASE_SECONDS, Lease, LeaseEnd, NewTask, OnDependencyFailure,
    Outcome, Report, RetryChanges, TIMEOUT_GRACE_SECONDS, Task, TaskState, TaskType,
};
pub use timestamp::Timestamp;
