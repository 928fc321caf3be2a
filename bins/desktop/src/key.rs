//! Where the key comes from, and how it leaves the environment (contract section 8).
//!
//! A task runs as the same user as its runner, and could read the runner's environment in `/proc`,
//! which always shows what the program was started with. So the program starts itself once more,
//! in the same process, without the variable, and hands the key over through a pipe. From then on
//! the key is in memory only, and other programs of the user may not look into that.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use runner::Secret;

const VARIABLE: &str = "DESKTOP_API_KEY";
/// What a pipe takes without a reader on any system, and more than any key.
const LONGEST: usize = 4096;

/// Why there is no key to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{VARIABLE} is not set: expected the agent key of the desktop (csk_agent_…)")]
    Missing,
    #[error("{VARIABLE} is set beside --key-stdin: expected the key in one place only")]
    Twice,
    #[error(
        "{VARIABLE}: the key is malformed: expected printable ASCII, at most {LONGEST} characters"
    )]
    Malformed,
    #[error("cannot read the key from standard input: {0}")]
    Stdin(io::Error),
    #[error("cannot take the key out of the environment: {0}")]
    HandOver(io::Error),
    #[error("cannot protect the key in memory: {0}")]
    Protect(io::Error),
}

/// The key, from standard input or the environment. In the latter case the program starts again
/// and this does not return.
pub(crate) fn obtain(from_stdin: bool) -> Result<Secret, KeyError> {
    runner::make_unreadable().map_err(KeyError::Protect)?;
    match (from_stdin, std::env::var_os(VARIABLE)) {
        (true, None) => read(io::stdin().lock()),
        (true, Some(_)) => Err(KeyError::Twice),
        (false, None) => Err(KeyError::Missing),
        (false, Some(key)) => hand_over(key),
    }
}

fn read(input: impl Read) -> Result<Secret, KeyError> {
    let mut text = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    input
        .take(limit)
        .read_to_string(&mut text)
        .map_err(KeyError::Stdin)?;
    let key = text.trim();
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Malformed);
    }
    Ok(key.into())
}

/// Replaces this program by itself, with the key in its standard input instead of the environment.
fn hand_over(key: OsString) -> Result<Secret, KeyError> {
    let key = key.into_string().map_err(|_| KeyError::Malformed)?;
    if key.len() > LONGEST {
        return Err(KeyError::Malformed);
    }
    let (input, mut output) = io::pipe().map_err(KeyError::HandOver)?;
    output
        .write_all(key.as_bytes())
        .map_err(KeyError::HandOver)?;
    drop(output);
    let program = std::env::current_exe().map_err(KeyError::HandOver)?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(&program);
    command
        .arg0(arguments.next().unwrap_or_else(|| program.into()))
        .args(arguments)
        .arg("--key-stdin")
        .env_remove(VARIABLE)
        .stdin(input);
    Err(KeyError::HandOver(command.exec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_its_line_end() {
        assert_eq!(read(&b"csk_agent_x\n"[..]).unwrap().expose(), "csk_agent_x");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(matches!(
            read(&b"csk_agent_x y"[..]),
            Err(KeyError::Malformed)
        ));
        assert!(matches!(read(&b"\xff"[..]), Err(KeyError::Stdin(_))));
    }
}
