#![doc = include_str!("../README.md")]

mod attempt;
mod claims;
mod clock;
mod config;
mod environment;
mod heartbeat;
mod lease;
mod process_group;
mod pump;
mod shell;
mod utf8;

pub use claims::run;
pub use client::Secret;
pub use config::{RunnerConfig, RunnerError};
