//! Ending as another process has ended.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

/// The exit code to end with for whoever waits for this process to see the same `status`. A
/// process that a signal has ended is mirrored here and now: this does not return then.
///
/// Without a status the process could not be killed: that counts as if it had been.
pub(super) fn mirror(status: Option<ExitStatus>) -> ExitCode {
    let code = status.and_then(|status| status.code());
    if let Some(code) = code.and_then(|code| u8::try_from(code).ok()) {
        return ExitCode::from(code);
    }
    let signal = status.and_then(|status| status.signal());
    end_by(signal.unwrap_or(Signal::KILL.as_raw()))
}

/// Ends by a signal, or with the code a shell gives for it if even that fails.
///
/// This process has handlers for some signals and ignores others. A program that is executed
/// starts without, so the shell takes its place and gets the signal.
fn end_by(signal: i32) -> ExitCode {
    forbid_core_dump();
    let _failed = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("kill -{signal} $$"))
        .env_clear()
        .exec();
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// A core of the command may be of use, one of the shell is not. The limit 1 means none even
/// where cores go to a program, which 0 does not; where it is out of reach, 0 has to do.
fn forbid_core_dump() {
    let hard = getrlimit(Resource::Core).maximum;
    let limit = hard.unwrap_or(1).min(1);
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(limit),
            maximum: hard,
        },
    );
}
