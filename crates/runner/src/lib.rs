#![doc = include_str!("../README.md")]

mod acp;
mod attempt;
mod changes;
mod claims;
mod clock;
mod config;
mod confine;
mod environment;
mod execution;
mod folder;
mod heartbeat;
mod launcher;
mod lease;
mod life;
mod options;
mod process;
mod process_group;
mod program;
mod prompt;
mod pump;
mod report;
mod secrecy;
mod succession;
mod supervise;
mod upload;
mod utf8;
mod worktree;

pub use acp::Permissions;
pub use claims::run;
pub use client::Secret;
pub use config::{Agent, RunnerConfig, RunnerError};
pub use confine::{Confinement, Level, level};
pub use launcher::own_program;
pub use options::Options;
pub use secrecy::make_unreadable;
pub use supervise::helper;
