//! What tests of several crates share. A dev-dependency only.

mod db;

pub use db::{Engine, TestDb};
