//! Killing processes faster than they can fork.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid};

use super::tree::{Process, below};

/// How long it may take until nothing is left.
const LIMIT: Duration = Duration::from_secs(20);
/// How often to look for new processes before those that were found are killed. More than a few
/// rounds are needed only when the processes fork faster than they are stopped.
const FREEZES: usize = 20;
/// How long killed processes get to go before the next look, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// Kills everything below this process, except `spared` and what is below these, until `reaped`
/// says that nothing is left. That is asked before each round, with what the round before found,
/// and has to reap what has ended.
///
/// Blocks, for 20 s at most. The result is whether nothing is left: what runs with the rights of
/// somebody else or hangs in the kernel cannot be killed.
pub(super) fn kill_below(spared: &[Pid], mut reaped: impl FnMut(&[Process]) -> bool) -> bool {
    let begin = Instant::now();
    let (mut pause, longest) = PAUSES;
    let mut found = Vec::new();
    while !reaped(&found) {
        if begin.elapsed() > LIMIT {
            return false;
        }
        found = freeze(spared);
        for process in &found {
            process.signal(Signal::KILL);
        }
        sleep(pause);
        pause = longest.min(pause * 2);
    }
    true
}

/// Stops everything, so that nobody forks while the others are killed, until a look finds nothing
/// new; gives what was found.
fn freeze(spared: &[Pid]) -> Vec<Process> {
    let mut stopped = HashSet::new();
    for _ in 0..FREEZES {
        let found = below(getpid(), spared);
        let new: Vec<Process> = found
            .into_iter()
            .filter(|&process| stopped.insert(process))
            .collect();
        if new.is_empty() {
            break;
        }
        for process in new {
            process.signal(Signal::STOP);
        }
    }
    stopped.into_iter().collect()
}
