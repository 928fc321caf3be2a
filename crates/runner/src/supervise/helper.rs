//! The program as a helper of a runner: what its first argument asks for.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::command::{CONFINE, SUPERVISE};
use crate::confine;

/// The exit code of a helper that cannot do its job, or start a command that exists.
pub(crate) const CANNOT: u8 = 126;
/// The exit code for a command that does not exist.
const NOT_FOUND: u8 = 127;

/// If this process was started as a helper of a runner (its first argument is `supervise` or
/// `confine`), does that job and returns the exit code to end with. The arguments are those of
/// the process, with its name.
///
/// A program that runs a runner calls this first in `main`, before it has any thread. On success
/// the process becomes something else or ends as its command ended, so a code other than the
/// command's is one of 126 (a helper or the command cannot start; standard error says why) and
/// 127 (the command does not exist).
pub fn helper(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.skip(1);
    let job = args.next()?;
    if job == SUPERVISE {
        Some(supervise(args))
    } else if job == CONFINE {
        Some(confine::confine(args))
    } else {
        None
    }
}

fn supervise(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    if args.next().is_none_or(|arg| arg != "--") {
        return cannot("supervise", "expected -- and a command");
    }
    let command: Vec<OsString> = args.collect();
    if command.is_empty() {
        return cannot("supervise", "expected a command after --");
    }
    super::supervise(&command)
}

/// Replaces this process by the command. Returns only when that fails.
pub(crate) fn become_command(command: &[OsString]) -> ExitCode {
    let Some((program, args)) = command.split_first() else {
        return cannot("start", "expected a command");
    };
    cannot_start(program, &Command::new(program).args(args).exec())
}

/// Says why the command did not start; the code is the one a shell would give.
pub(crate) fn cannot_start(program: &OsStr, error: &io::Error) -> ExitCode {
    let code = cannot(&format!("start {}", program.display()), error);
    if error.kind() == io::ErrorKind::NotFound {
        ExitCode::from(NOT_FOUND)
    } else {
        code
    }
}

/// Says why a helper cannot do its job.
pub(crate) fn cannot(job: &str, reason: impl std::fmt::Display) -> ExitCode {
    eprintln!("countersign: cannot {job}: {reason}");
    ExitCode::from(CANNOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_arguments_are_none_of_its_business() {
        for line in [&["desktop"][..], &["desktop", "--help"], &["supervise"]] {
            assert!(helper(line.iter().map(Into::into)).is_none(), "{line:?}");
        }
    }
}
