//! `strace` on a running program: it counts system calls, and makes them fail.

use std::path::PathBuf;

use tempfile::TempDir;
use test_support::server::{Process, program};

/// A tracer of every thread of a process. Dropped, it lets go.
pub struct Tracer {
    process: Process,
    folder: TempDir,
}

impl Tracer {
    /// Follows a running process with these arguments, such as `-e trace=fsync`; `None` where it
    /// cannot, after saying why.
    pub fn attach(id: u32, arguments: &[&str]) -> Option<Self> {
        if program("strace").arg("-V").output().is_err() {
            println!("skipped: strace is missing (Debian: apt-get install strace)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = program("strace");
        command
            .args(["--follow-forks", "--decode-fds=path"])
            .arg("--output")
            .arg(calls_in(&folder))
            .args(arguments)
            .args(["--attach", &id.to_string()]);
        let mut process = Process::start(&mut command);
        let refused = process.wait_for_line(|line| {
            let attached = line.contains("attached");
            let refused = line.contains("Operation not permitted");
            (attached || refused).then_some(refused)
        });
        if refused {
            println!("skipped: strace may not attach to a process here");
            return None;
        }
        Some(Self { process, folder })
    }

    /// Lets go; every call that it saw, a line each.
    pub fn calls(mut self) -> Vec<String> {
        // asked to end, it waits for a process that is just ending, and we wait for it
        self.process.kill();
        let calls = std::fs::read_to_string(calls_in(&self.folder)).expect("what strace wrote");
        calls.lines().map(str::to_owned).collect()
    }
}

fn calls_in(folder: &TempDir) -> PathBuf {
    folder.path().join("calls")
}
