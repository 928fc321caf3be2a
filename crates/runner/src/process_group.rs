//! A child process and all that it starts, as long as they stay in its process group.

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::task::spawn_blocking;

/// The process group led by a child of this process. While the child is not reaped, its number
/// cannot be given to another group, so signals never hit strangers.
///
/// Dropped while the group may still be alive, it kills it.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    leader: Pid,
    ended: bool,
}

impl ProcessGroup {
    /// The group of a child that was started as the leader of one and is not reaped.
    pub(crate) fn of(leader: Pid) -> Self {
        Self {
            leader,
            ended: false,
        }
    }

    /// Waits until the leader has exited, without reaping it.
    pub(crate) async fn leader_exited(&self) {
        let leader = self.leader;
        let waited = spawn_blocking(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            retry_on_intr(|| waitid(WaitId::Pid(leader), options))
        })
        .await;
        // Neither can fail: the leader is our own unreaped child, and the closure does not panic.
        debug_assert!(matches!(waited, Ok(Ok(_))), "{waited:?}");
    }

    /// Asks every process of the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills every process of the group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Kills what is left of the group, for good: the leader may be reaped after this.
    pub(crate) fn end(mut self) {
        self.kill();
        self.ended = true;
    }

    /// A group that is gone already needs no signal, so the error says nothing of interest.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.leader, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
    }
}
