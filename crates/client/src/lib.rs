#![doc = include_str!("../README.md")]

mod administration;
mod backoff;
mod error;
mod http;
mod mission;
mod page;
mod runner_calls;
mod secret;

pub use backoff::Backoff;
pub use error::ClientError;
pub use http::Client;
pub use mission::{ActivityQuery, ApprovalFilter, LogQuery, TaskFilter};
pub use page::Page;
pub use secret::Secret;
