//! Starts programs for tasks: supervised, confined, and known, so that what others leave behind can
//! be told from them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;
use tokio::process::Child;

use crate::confine::Confinement;
use crate::environment::Environment;
use crate::process::{self, Input};
use crate::supervise;

/// The program of this process, for [`RunnerConfig::helper`](crate::RunnerConfig): on Linux also when
/// its file was replaced by a newer version since it was started.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// Starts programs as the runner's configuration wants it.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The program that knows how to supervise and to confine; without one neither happens.
    helper: Option<PathBuf>,
    /// What tasks may reach beside their own folders, if they are confined.
    confinement: Option<Confinement>,
    /// The supervisors that run. Held while one is started, so that none is taken for a stray.
    running: Mutex<HashSet<Pid>>,
}

/// A program that runs, known to its launcher until this is dropped.
#[derive(Debug)]
pub(crate) struct Launched<'a> {
    launcher: &'a Launcher,
    pid: Option<Pid>,
}

/// Where and with what a program is started.
pub(crate) struct Surroundings<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) environment: Environment,
    /// What it may read, if it is confined.
    pub(crate) read: Vec<PathBuf>,
    /// What it may write to, if it is confined.
    pub(crate) write: Vec<PathBuf>,
}

impl Launcher {
    /// With a helper the process becomes the parent of whatever its tasks leave behind.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(crate) fn new(
        helper: Option<PathBuf>,
        confinement: Option<Confinement>,
    ) -> io::Result<Self> {
        if helper.is_some() {
            supervise::become_subreaper()?;
        }
        Ok(Self {
            helper,
            confinement,
            running: Mutex::default(),
        })
    }

    /// Whether programs are confined.
    pub(crate) fn confines(&self) -> bool {
        self.confinement.is_some()
    }

    /// Starts a program. It must be followed to its end, and the second value kept until then.
    pub(crate) fn start(
        &self,
        command: Vec<OsString>,
        surroundings: Surroundings<'_>,
        input: Input,
    ) -> io::Result<(Child, Launched<'_>)> {
        let Surroundings {
            folder,
            environment,
            read,
            write,
        } = surroundings;
        let confinement = self.confinement.as_ref().map(|confinement| Confinement {
            write: [confinement.write.clone(), write].concat(),
            read: [confinement.read.clone(), read].concat(),
            protect: confinement.protect.clone(),
            local_sockets: confinement.local_sockets,
        });
        let command = match &self.helper {
            Some(helper) => supervise::command(helper, confinement.as_ref(), command),
            None => command,
        };
        let mut running = self.running();
        let child = process::start(&command, folder, environment, input)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        running.extend(pid);
        Ok((
            child,
            Launched {
                launcher: self,
                pid,
            },
        ))
    }

    /// Kills what programs left behind that ended before their supervisor could. Blocks, and holds up
    /// every start. The result is whether nothing is left.
    pub(crate) fn kill_strays(&self) -> bool {
        if self.helper.is_none() {
            return true;
        }
        let running = self.running();
        let known: Vec<Pid> = running.iter().copied().collect();
        supervise::kill_strays(&known)
    }

    fn running(&self) -> MutexGuard<'_, HashSet<Pid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Launched<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            self.launcher.running().remove(&pid);
        }
    }
}
