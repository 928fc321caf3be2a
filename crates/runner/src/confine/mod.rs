//! Keeps a task away from everything but its work folder and what a build needs.
//!
//! A task runs as the same user as its runner, and may not read what that user can: keys in the
//! home folder, other work, and before all the data of a server on the same machine. Landlock is
//! how a Linux process gives up rights for itself and all that it starts, without any privilege.
//! So the helper `confine` restricts itself and becomes the command.
//!
//! What Landlock cannot take: names, sizes and modes of files can be seen everywhere, and modes and
//! times changed where the user may; command lines of other processes can be read. Sockets in
//! folders can be connected to before ABI 9, so there local sockets are refused as a whole, unless the
//! runner allows them. Terminals are not granted: a task could type there. Root's capabilities reach
//! around Landlock (`/proc/kcore`, modules, with `CAP_PERFMON` the memory of others), so they are
//! given up, too.

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod grants;
#[cfg(target_os = "linux")]
mod landlock;
mod level;
#[cfg(target_os = "linux")]
mod sockets;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use level::{Level, level};

use crate::supervise::cannot;

/// What a task may reach, for building the command line. Folders mean all that is below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Folders and files the task may do everything with.
    pub write: Vec<PathBuf>,
    /// What it may read and execute, beside what every build needs.
    pub read: Vec<PathBuf>,
    /// What it may never reach. What is granted elsewhere does not contain it.
    pub protect: Vec<PathBuf>,
    /// Whether it may use local sockets also where the kernel cannot tell which.
    pub local_sockets: bool,
}

/// The helper `confine`: takes the arguments after its name, restricts this process and becomes
/// the command. Returns only when that fails; the command is not run unconfined.
#[cfg(target_os = "linux")]
pub(crate) fn confine(args: impl Iterator<Item = OsString>) -> ExitCode {
    match prepare(args) {
        Ok(command) => crate::supervise::become_command(&command),
        Err(reason) => cannot("confine", reason),
    }
}

/// Restricts this process; the command is what to become.
#[cfg(target_os = "linux")]
fn prepare(args: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, String> {
    let (confinement, command) = arguments::parse(args)?;
    if let Level::None { reason } = level() {
        return Err(reason.to_owned());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let grants = grants::of(&confinement, home.as_deref())?;
    landlock::restrict(&grants).map_err(|error| error.to_string())?;
    capabilities::give_up().map_err(|error| error.to_string())?;
    if !confinement.local_sockets && !level().knows_sockets() {
        sockets::give_up().map_err(|error| error.to_string())?;
    }
    leave_terminal();
    // Stays through the execution: a supervisor that is killed takes the command along.
    crate::supervise::die_with_parent(rustix::process::Signal::KILL)
        .map_err(|error| error.to_string())?;
    Ok(command)
}

/// Leaves the session, and with it the terminal of whoever started the runner: a task could type
/// there.
#[cfg(target_os = "linux")]
fn leave_terminal() {
    // It fails for the leader of a group, which is none of the runner's: somebody tries this out.
    let _ = rustix::process::setsid();
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn confine(_args: impl Iterator<Item = OsString>) -> ExitCode {
    let Level::None { reason } = level();
    cannot("confine", reason)
}
