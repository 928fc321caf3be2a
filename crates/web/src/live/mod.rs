//! What changes while somebody waits: hints of the store passed to those whom they concern, event
//! streams, and the end of both (contract sections 4, 5 and 7).

mod activity;
mod feed;
mod hub;
mod logs;
mod open;
pub(crate) mod sse;
mod topic;

pub(crate) use activity::ActivityStream;
pub(crate) use hub::Hub;
pub(crate) use logs::LogStream;
pub(crate) use open::{Ended, Open};
pub(crate) use sse::{Source, response};
pub(crate) use topic::{Signal, Topic};
