//! Runs other programs in the workspace root, and lets a signal end them without ending us: what we
//! started, we also remove.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Why a task ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A program said no; what it printed says why.
    #[error("failed: {command} ({status})")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status, with the captured stderr if its output was not on the terminal.
        status: String,
    },
    /// A program could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or directory could not be used.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Ctrl-C, or another request to end.
    #[error("interrupted")]
    Interrupted,
    /// A check of ours found something.
    #[error("{0}")]
    Check(String),
}

impl Failure {
    /// 130 after a signal, as shells do it, and 1 otherwise.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

/// The workspace root.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // bins/xtask
    root.pop();
    root.pop();
    root
});

/// Runs programs one at a time, and knows which one to end when a signal arrives.
pub struct Shell {
    interrupted: Arc<AtomicBool>,
    /// Process id of the program being run; 0 between programs.
    running: Arc<AtomicU32>,
}

impl Shell {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// When the operating system refuses the handler.
    pub fn new() -> Result<Self, Failure> {
        let shell = Self {
            interrupted: Arc::default(),
            running: Arc::default(),
        };
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|source| Failure::Start {
            command: "the signal handler".to_owned(),
            source,
        })?;
        let (interrupted, running) = (shell.interrupted.clone(), shell.running.clone());
        thread::spawn(move || forward(signals, &interrupted, &running));
        Ok(shell)
    }

    /// A file or directory of the workspace.
    #[expect(
        clippy::unused_self,
        reason = "read as `shell.path(…)` beside the commands"
    )]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        ROOT.join(relative)
    }

    /// The text of a file of the workspace.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn read(&self, relative: &str) -> Result<String, Failure> {
        let path = self.path(relative);
        fs::read_to_string(&path).map_err(|source| Failure::File { path, source })
    }

    /// Runs a program with our own output.
    ///
    /// # Errors
    /// When it cannot be started, does not exit with 0, or a signal arrived.
    pub fn run(&self, command: &mut Command) -> Result<(), Failure> {
        let status = self.wait(command)?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::Command {
                command: line(command),
                status: status.to_string(),
            })
        }
    }

    /// Runs a short program and returns what it wrote to stdout.
    ///
    /// # Errors
    /// As for [`Shell::run`]; the message holds what it wrote to stderr.
    pub fn output(&self, command: &mut Command) -> Result<String, Failure> {
        self.still_wanted()?;
        if command.get_current_dir().is_none() {
            command.current_dir(&*ROOT);
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Failure::Start {
                command: line(command),
                source,
            })?;
        self.still_wanted()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(Failure::Command {
                command: line(command),
                status: format!("{}\n{}", output.status, stderr.trim_end()),
            })
        }
    }

    fn wait(&self, command: &mut Command) -> Result<ExitStatus, Failure> {
        self.still_wanted()?;
        let mut child = command
            .current_dir(&*ROOT)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Failure::Start {
                command: line(command),
                source,
            })?;
        self.running.store(child.id(), Ordering::SeqCst);
        let status = child.wait();
        self.running.store(0, Ordering::SeqCst);
        self.still_wanted()?;
        status.map_err(|source| Failure::Start {
            command: line(command),
            source,
        })
    }

    fn still_wanted(&self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::SeqCst) {
            Err(Failure::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Notes each signal and asks the running program to end. On Ctrl-C the terminal has already told
/// it; a second request does no harm.
fn forward(mut signals: Signals, interrupted: &AtomicBool, running: &AtomicU32) {
    for _ in signals.forever() {
        interrupted.store(true, Ordering::SeqCst);
        let process = running.load(Ordering::SeqCst);
        if process != 0 {
            let sent = Command::new("sh")
                .args(["-c", &format!("kill -TERM {process}")])
                .stderr(Stdio::null())
                .status();
            // It may have ended by itself a moment ago.
            drop(sent);
        }
    }
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `cargo` with these arguments.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    command
}
