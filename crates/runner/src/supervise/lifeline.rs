//! Ending together with the parent.

use std::io;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use super::tree::Process;

/// Has the system send `signal` to this process as soon as the thread that started it ends.
///
/// # Errors
/// When the parent has gone already, or the system refuses.
pub(crate) fn die_with_parent(signal: Signal) -> io::Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(signal))?;
    // The signal is for deaths from now on. A parent that died in between has left this process
    // to another one.
    if getppid() != parent || was_left_to_init(parent) {
        return Err(io::Error::other("the process that started it has ended"));
    }
    Ok(())
}

/// Whether the parent that was seen first is the one that takes orphans.
///
/// The number alone does not say: in a container a runner may well be process 1. But a runner
/// starts its helpers in its own session, and an init of a system shares its session with
/// nobody. Where it does (a small init of a container), a runner that dies before this process
/// has looked for the first time goes unnoticed; such an init ends with its only child, and the
/// container with it.
fn was_left_to_init(parent: Option<Pid>) -> bool {
    let session = |pid| Process::look_up(pid).map(|process| process.session);
    let (own, inits) = (session(getpid()), session(Pid::INIT));
    parent == Some(Pid::INIT) && own.is_some() && inits.is_some() && own != inits
}
