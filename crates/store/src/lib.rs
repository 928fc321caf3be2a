#![doc = include_str!("../README.md")]

pub mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod migrations;
#[doc(hidden)]
pub mod sabotage;
pub mod server_lock;
pub mod url;

mod admin;
mod audit;
mod backup;
mod clock;
mod command;
mod dialect;
mod durability;
mod fault;
mod file_facts;
mod key_text;
mod notify;
mod pool;
mod prepare;
mod prune;
mod ranges;
mod reads;
mod rows;
mod schema;
mod store;
mod sweeper;
mod views;
mod writer;

pub use admin::{Admin, AdminError};
pub use audit::ExportedApproval;
pub use backup::{BackupError, Snapshot};
pub use command::{
    ActingSession, Answered, Change, Command, DecisionTarget, EndSessions, FileUpload, Idempotency,
    Leased, LogUpload, Login, Request, SubmitError, Sweep, UploadedPart,
};
pub use durability::weak_settings;
pub use file_facts::{DiffLines, FileFacts};
pub use key_text::{KeyDigest, KeyText, random_digest};
pub use pool::ReadError;
pub use prepare::Prepared;
pub use prune::{Prunable, PruneTotal};
pub use reads::{ApprovalFilter, BoardFilter, Reads, Scope, TaskFilter};
pub use store::{CompleteRequest, DISK_RESERVE, OpenError, Store, StoreConfig};
pub use views::{
    ActivityPage, ActivityRow, Answer, ApprovalView, AttemptView, BoardColumn, BoardView, Card,
    ChangeSummary, ClaimInput, ClaimView, Credential, CredentialId, Dashboard, Dependent,
    DesktopView, FilePart, FileSummary, FileView, Freed, KeyView, LogEnds, LogLine, LogSummary,
    LoginView, Page, PriorFeedback, Pruned, Pruning, SessionView, TaskOutput, TaskPage, TaskView,
};
