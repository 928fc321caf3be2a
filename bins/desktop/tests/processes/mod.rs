//! Real processes for tests, which do not survive them.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses its part"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The program under test.
pub const DESKTOP: &str = env!("CARGO_BIN_EXE_desktop");

/// A script below a supervisor, in a folder, in a group of its own as a runner starts it.
pub fn supervised(folder: &Path, script: &str) -> Command {
    let mut command = Command::new(DESKTOP);
    command
        .args(["supervise", "--", "/bin/sh", "-c", script])
        .current_dir(folder)
        .env("DESKTOP", DESKTOP)
        .process_group(0);
    command
}

/// A started process that is killed at the end of the test, with its group and whatever was noted.
pub struct Running {
    pub child: Child,
    output: BufReader<ChildStdout>,
    noted: Vec<Pid>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            output,
            noted: Vec::new(),
        }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The process whose number is the next line.
    pub fn process(&mut self) -> Pid {
        let line = self.line();
        let number = line.parse().unwrap_or_else(|_| panic!("{line:?}"));
        let pid = Pid::from_raw(number).unwrap();
        self.noted.push(pid);
        pid
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// How it ended, within the time of a slow machine.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for &pid in &self.noted {
            let _ = kill_process(pid, Signal::KILL);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until it is so: up to 10 s, and longer than any grace.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "no {what}");
        sleep(Duration::from_millis(10));
    }
}
