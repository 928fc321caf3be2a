#![doc = include_str!("../README.md")]

mod acp;
mod attempt;
mod changes;
mod claims;
mod clock;
mod config;
mod confine;
mod environment;
mod heartbeat;
mod lease;
mod process_group;
mod pump;
mod shell;
mod supervise;
mod utf8;

pub use claims::run;
pub use client::Secret;
pub use config::{RunnerConfig, RunnerError};
pub use confine::{Confinement, Level, level};
pub use supervise::helper;
