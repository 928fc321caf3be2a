//! Follows all processes of a task to their end.
//!
//! A process group or a session can be left, so neither says what a task has started. Ancestry
//! can not: an orphan goes to the nearest subreaper above it. So each task runs below a process
//! of its own, the supervisor, which is a subreaper and ends when nothing is left below it. The
//! runner is a subreaper too ([`become_subreaper`]), in case that somebody kills a supervisor.
//!
//! Systems without subreapers have no supervisor: there a task is its process group.

mod command;
mod helper;
#[cfg(target_os = "linux")]
mod kill;
#[cfg(target_os = "linux")]
mod lifeline;
#[cfg(target_os = "linux")]
mod mirror;
mod strays;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod tree;

pub(crate) use command::command;
#[cfg(target_os = "linux")]
pub(crate) use helper::become_command;
pub(crate) use helper::cannot;
pub use helper::helper;
#[cfg(target_os = "linux")]
pub(crate) use lifeline::die_with_parent;
pub(crate) use strays::{become_subreaper, kill_strays};

#[cfg(not(target_os = "linux"))]
use std::{ffi::OsString, process::ExitCode};

#[cfg(target_os = "linux")]
use supervisor::supervise;

/// Becomes the command: without a subreaper there is nothing to supervise.
#[cfg(not(target_os = "linux"))]
fn supervise(command: &[OsString]) -> ExitCode {
    helper::become_command(command)
}
