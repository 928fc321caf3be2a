//! The processes of the system as a tree, and signals that reach who was meant.

use std::collections::HashMap;
use std::fs;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, RawPid, Signal, kill_process, pidfd_open, pidfd_send_signal,
};

/// A process as it was seen in `/proc`. Its number may be another's later, the number together
/// with the start is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pid: Pid,
    parent: RawPid,
    pub(super) session: RawPid,
    /// When it was started, in clock ticks since the system was.
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub(super) fn look_up(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &stat)
    }

    /// Reads `/proc/PID/stat`. The name of the program may contain anything, even the bracket
    /// that ends it, so what counts comes after the last one.
    fn parse(pid: Pid, stat: &[u8]) -> Option<Self> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        // proc_pid_stat(5) counts from 1, and the state, the first one here, is field 3.
        let parent = fields.nth(4 - 3)?.parse().ok()?;
        let session = fields.nth(6 - 5)?.parse().ok()?;
        let started = fields.nth(22 - 7)?.parse().ok()?;
        Some(Self {
            pid,
            parent,
            session,
            started,
        })
    }

    /// Sends a signal to this process, and to no other that got its number since it was seen.
    ///
    /// Errors say nothing of interest: a process that is gone needs no signal, and one that may
    /// not be signalled is still there when it is looked for the next time.
    pub(super) fn signal(&self, signal: Signal) {
        match pidfd_open(self.pid, PidfdFlags::empty()) {
            // In this order: the descriptor belongs to whoever had the number before the look.
            Ok(pidfd) if self.is_there() => {
                let _ = pidfd_send_signal(pidfd, signal);
            }
            // Old systems and strict containers have no such descriptors. What is left is a
            // race of microseconds against the reuse of a number.
            Err(Errno::NOSYS | Errno::PERM) if self.is_there() => {
                let _ = kill_process(self.pid, signal);
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn is_there(&self) -> bool {
        Self::look_up(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// All processes below `root`, without those in `spared` and what is below these.
///
/// The system changes while one looks at it: what is forked or orphaned meanwhile may be missing.
pub(super) fn below(root: Pid, spared: &[Pid]) -> Vec<Process> {
    descendants(all(), root, spared)
}

/// An unreadable `/proc` shows nobody.
fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|number| Process::look_up(Pid::from_raw(number)?))
        .collect()
}

fn descendants(all: Vec<Process>, root: Pid, spared: &[Pid]) -> Vec<Process> {
    let mut children: HashMap<RawPid, Vec<Process>> = HashMap::new();
    for process in all {
        if !spared.contains(&process.pid) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![root.as_raw_pid()];
    // A taken entry is not found again, so a snapshot that is torn into a circle does no harm.
    while let Some(parent) = parents.pop() {
        let next = children.remove(&parent).unwrap_or_default();
        parents.extend(next.iter().map(|process| process.pid.as_raw_pid()));
        found.extend(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: RawPid) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    fn process(number: RawPid, parent: RawPid) -> Process {
        Process {
            pid: pid(number),
            parent,
            session: 1,
            started: 0,
        }
    }

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let stat = b"7 (x) S 1 1) R 5 7 6 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let parsed = Process::parse(pid(7), stat).unwrap();
        assert_eq!((parsed.parent, parsed.session), (5, 6));
        assert_eq!(parsed.started, 4711);
        assert_eq!(Process::parse(pid(7), b"7 (x"), None);
        assert_eq!(Process::parse(pid(7), b"7 (x) S 1"), None);
    }

    #[test]
    fn the_own_entry_reads_as_it_is() {
        let me = Process::look_up(rustix::process::getpid()).unwrap();
        assert_eq!(
            Some(me.parent),
            rustix::process::getppid().map(Pid::as_raw_pid)
        );
        assert!(me.is_there());
        let other = Process {
            started: me.started + 1,
            ..me
        };
        assert!(
            !other.is_there(),
            "the number is the same, the start is not"
        );
    }

    #[test]
    fn what_is_spared_is_spared_with_its_tree() {
        let all = || {
            [
                (2, 1),
                (3, 2),
                (4, 3),
                (5, 2),
                (6, 5),
                (7, 1),
                (8, 9),
                (9, 8),
            ]
            .map(|(number, parent)| process(number, parent))
            .to_vec()
        };
        let numbers = |spared: &[Pid]| {
            let mut found: Vec<RawPid> = descendants(all(), pid(2), spared)
                .iter()
                .map(|process| process.pid.as_raw_pid())
                .collect();
            found.sort_unstable();
            found
        };
        assert_eq!(numbers(&[]), [3, 4, 5, 6]);
        assert_eq!(numbers(&[pid(3)]), [5, 6]);
    }

    #[test]
    fn a_signal_is_not_for_the_next_owner_of_a_number() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let seen = Process::look_up(Pid::from_child(&child)).unwrap();
        let earlier = Process {
            started: seen.started - 1,
            ..seen
        };
        earlier.signal(Signal::KILL);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none());
        seen.signal(Signal::KILL);
        assert!(!child.wait().unwrap().success());
    }
}
