//! What tests of several crates share. A dev-dependency only.

mod db;
pub mod server;
mod site;

pub use db::{Engine, TestDb};
pub use site::{Runner, Site, Work, claim, log_entry, task};
