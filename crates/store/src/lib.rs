#![doc = include_str!("../README.md")]

pub mod connection;
pub mod migrations;
pub mod server_lock;
pub mod url;

mod admin;
mod clock;
mod command;
mod dialect;
mod fault;
mod key_text;
mod notify;
mod pool;
mod prepare;
mod ranges;
mod reads;
mod rows;
mod schema;
mod store;
mod sweeper;
mod views;
mod writer;

pub use admin::{Admin, AdminError};
pub use command::{
    Answered, Change, Command, DecisionTarget, FileUpload, Idempotency, Leased, LogUpload, Request,
    SubmitError, Sweep, UploadedPart,
};
pub use key_text::{KeyDigest, KeyText, random_digest};
pub use pool::ReadError;
pub use prepare::Prepared;
pub use reads::{ApprovalFilter, Reads, Scope, TaskFilter};
pub use store::{CompleteRequest, OpenError, Store, StoreConfig};
pub use views::{
    ActivityRow, Answer, ApprovalView, AttemptView, ClaimInput, ClaimView, Credential, Dashboard,
    Dependent, DesktopView, FileView, KeyView, LogLine, Page, PriorFeedback, TaskView,
};
