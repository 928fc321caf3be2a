#![doc = include_str!("../README.md")]

pub mod connection;
pub mod migrations;
pub mod server_lock;
pub mod url;

mod command;
mod key_text;
mod prepare;
mod schema;
mod views;

pub use command::{
    Answered, Command, CreatedUser, DecisionTarget, FileUpload, Idempotency, Leased, LogUpload,
    Request, SubmitError, Sweep, UploadedPart,
};
pub use key_text::{KeyDigest, KeyText, random_digest};
pub use prepare::Prepared;
pub use views::{
    ActivityRow, Answer, ApprovalView, AttemptView, ClaimInput, ClaimView, Credential, Dashboard,
    Dependent, DesktopView, FileView, KeyView, LogLine, Page, PriorFeedback, TaskView,
};
