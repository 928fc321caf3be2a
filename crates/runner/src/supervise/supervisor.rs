//! The parent of everything a task starts.

use std::collections::HashSet;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitOptions, getpid, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::helper::{cannot, cannot_start};
use super::kill::kill_below;
use super::lifeline::die_with_parent;
use super::mirror::mirror;
use super::strays::become_subreaper;
use super::tree::below;
use crate::secrecy::make_unreadable;

/// How long processes that were asked to end may take. Less than the runner waits for this one.
const GRACE: Duration = Duration::from_secs(4);
/// How often to look for processes that were forked while the others were asked to end.
const LOOKS: usize = 5;

/// Runs the command to its end, and everything it starts.
///
/// What is left when the command has ended is killed. SIGTERM, SIGINT, SIGHUP and the end of the
/// parent ask everything to end, and kill it after a grace of 4 s; a second signal does at once.
/// The process ends as the command did.
pub(super) fn supervise(command: &[OsString]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(run(command)));
    match outcome {
        Ok(Outcome::Ended(status)) => mirror(status),
        Ok(Outcome::NotStarted(code)) => code,
        Err(error) => cannot("supervise", error),
    }
}

enum Outcome {
    /// How the command ended, unless it could not be killed.
    Ended(Option<ExitStatus>),
    /// The exit code to end with; it was said why.
    NotStarted(ExitCode),
}

/// # Errors
/// When the process cannot become a supervisor. The command is not started then.
async fn run(command: &[OsString]) -> io::Result<Outcome> {
    // A task may not look into the one that watches it.
    make_unreadable()?;
    become_subreaper()?;
    let mut ended = signal(SignalKind::child())?;
    let mut stops = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    // The end of the parent is told by a signal, so after these can be heard.
    die_with_parent(Signal::TERM)?;
    let Some((program, args)) = command.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let child = match Command::new(program).args(args).spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Outcome::NotStarted(cannot_start(program, &error))),
    };

    let mut children = Children::new(Pid::from_child(&child));
    let mut deadline = None;
    loop {
        let left = children.reap();
        // A command that ends by itself has nothing more to do; one that was asked to end may
        // have processes that still tidy up.
        if !left || (deadline.is_none() && children.main_status.is_some()) {
            break;
        }
        let [terminate, interrupt, hang_up] = &mut stops;
        tokio::select! {
            _ = ended.recv() => continue,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
            () = reached(deadline) => {}
        }
        if deadline.is_some() {
            break;
        }
        ask_to_end();
        deadline = Some(Instant::now() + GRACE);
    }
    if !kill_below(&[], |_| !children.reap()) {
        let left = below(getpid(), &[]).len();
        let _ = cannot("kill", format!("{left} processes are left"));
    }
    Ok(Outcome::Ended(children.main_status))
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Sends SIGTERM to everything, once to each. Who is stopped is woken to hear it.
fn ask_to_end() {
    let mut asked = HashSet::new();
    for _ in 0..LOOKS {
        let found = below(getpid(), &[]);
        let new: Vec<_> = found
            .into_iter()
            .filter(|process| asked.insert(process.pid))
            .collect();
        if new.is_empty() {
            return;
        }
        for process in new {
            process.signal(Signal::TERM);
            process.signal(Signal::CONT);
        }
    }
}

/// The children of this process: the command, and the orphans it has left.
struct Children {
    main: Pid,
    main_status: Option<ExitStatus>,
}

impl Children {
    fn new(main: Pid) -> Self {
        Self {
            main,
            main_status: None,
        }
    }

    /// Reaps what has ended; the result is whether children are left. Every process below this
    /// one is below a child, so without children nothing is left at all.
    fn reap(&mut self) -> bool {
        loop {
            match retry_on_intr(|| wait(WaitOptions::NOHANG)) {
                Ok(Some((pid, status))) => self.note(pid, ExitStatus::from_raw(status.as_raw())),
                Ok(None) => return true,
                Err(error) => {
                    debug_assert_eq!(error, Errno::CHILD);
                    return false;
                }
            }
        }
    }

    /// Remembers how the command ended. Only the first with its number is the command: once it is
    /// reaped, an orphan may get the number.
    fn note(&mut self, pid: Pid, status: ExitStatus) {
        if pid == self.main {
            self.main_status.get_or_insert(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_used_again_does_not_change_the_end() {
        let (main, other) = (Pid::from_raw(7).unwrap(), Pid::from_raw(8).unwrap());
        let (code_3, killed) = (ExitStatus::from_raw(3 << 8), ExitStatus::from_raw(9));
        let mut children = Children::new(main);
        children.note(other, killed);
        assert_eq!(children.main_status, None);
        children.note(main, code_3);
        children.note(main, killed);
        assert_eq!(children.main_status, Some(code_3));
    }
}
