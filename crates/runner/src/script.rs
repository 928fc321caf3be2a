//! A short script of the runner's own, executed as tasks are: supervised, and confined where they
//! are. It may meet what a task has left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::LogStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::launcher::{Launcher, Surroundings};
use crate::process::{Input, follow};
use crate::program::shell;
use crate::pump::Piece;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How much of what it says is kept.
const LONGEST: usize = 4 << 10;

/// What to execute, and where.
pub(crate) struct Script<'a> {
    pub(crate) text: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) environment: Environment,
    /// What it may read and write, if it is confined.
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

impl Script<'_> {
    /// Executes it, and gives what it printed.
    ///
    /// # Errors
    /// What it said, when it did not succeed.
    pub(crate) async fn run(self, launcher: &Launcher) -> Result<String, String> {
        let surroundings = Surroundings {
            folder: self.folder,
            environment: self.environment,
            read: self.read,
            write: self.write,
        };
        let (child, _running) = launcher
            .start(shell(self.text), surroundings, Input::Nothing)
            .map_err(|error| format!("cannot start the shell: {error}"))?;
        let (sender, mut receiver) = mpsc::channel(16);
        let mut said = Said::default();
        let following = follow(child, sender, CancellationToken::new());
        let reading = async {
            while let Some(piece) = receiver.recv().await {
                said.add(&piece);
            }
        };
        let both = async { tokio::join!(following, reading).0 };
        let exit = timeout(PATIENCE, both)
            .await
            .map_err(|_| format!("took longer than {} s", PATIENCE.as_secs()))?
            .map_err(|error| format!("cannot be followed: {error}"))?;
        match exit.error {
            None => Ok(said.out.trim_end().to_owned()),
            Some(error) => Err(format!("{} ({error})", said.err.trim())),
        }
    }
}

/// What a script printed, cut.
#[derive(Default)]
struct Said {
    out: String,
    err: String,
}

impl Said {
    fn add(&mut self, piece: &Piece) {
        let text = match piece.stream {
            LogStream::Stdout => &mut self.out,
            LogStream::Stderr | LogStream::Agent => &mut self.err,
        };
        if text.len() < LONGEST {
            text.push_str(&String::from_utf8_lossy(&piece.bytes));
        }
    }
}
