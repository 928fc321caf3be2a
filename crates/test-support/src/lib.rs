//! What tests of several crates share. A dev-dependency only.

mod db;
mod site;

pub use db::{Engine, TestDb};
pub use site::{Runner, Site, Work, claim, log_entry, task};
