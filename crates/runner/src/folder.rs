//! Where an attempt works, and what it changed there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use contract::{AddFile, Claim};
use tempfile::TempDir;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::changes::{Before, Stopped, Summary, Watcher};
use crate::environment::Environment;
use crate::launcher::Launcher;
use crate::script::Script;
use crate::worktree::{Repository, Worktree};

/// Removes what is in a folder.
const EMPTY: &str =
    r#"chmod -R u+rwX "$FOLDER"; find "$FOLDER" -mindepth 1 -maxdepth 1 -exec rm -rf {} +"#;

/// Gives each attempt its folder.
#[derive(Debug)]
pub(crate) struct Folders {
    workdir: PathBuf,
    /// Set when each attempt has a worktree.
    repository: Option<Repository>,
    /// Of the scripts that clean up.
    environment: Environment,
    /// Watchers of the work folder that nobody uses now. They remember what they saw, so the next
    /// look is quick.
    idle: Arc<Mutex<Vec<Watcher>>>,
}

/// The folder of one attempt.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// For temporary files, if the attempt must not use the system's.
    temporary: Option<TempDir>,
    worktree: Option<Worktree>,
}

/// A folder whose state before the task is known.
pub(crate) struct Watched {
    watcher: Watcher,
    before: Before,
    /// Where the watcher goes when it is free again.
    idle: Option<Arc<Mutex<Vec<Watcher>>>>,
}

impl Folders {
    pub(crate) fn new(
        workdir: PathBuf,
        repository: Option<Repository>,
        environment: Environment,
    ) -> Self {
        Self {
            workdir,
            repository,
            environment,
            idle: Arc::default(),
        }
    }

    /// A folder for a claimed attempt.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub(crate) async fn prepare(
        &self,
        launcher: &Launcher,
        claim: &Claim,
    ) -> Result<Folder, String> {
        let temporary = if launcher.confines() {
            let made = tempfile::Builder::new().prefix("countersign-").tempdir();
            Some(made.map_err(|error| format!("cannot make a temporary folder: {error}"))?)
        } else {
            None
        };
        let worktree = match &self.repository {
            Some(repository) => Some(repository.add(launcher, claim).await?),
            None => None,
        };
        let path = worktree.as_ref().map(|worktree| worktree.path.clone());
        Ok(Folder {
            path: path.unwrap_or_else(|| self.workdir.clone()),
            temporary,
            worktree,
        })
    }

    /// What a confined attempt may read beside that.
    pub(crate) fn readable(&self) -> Vec<PathBuf> {
        let repository = self.repository.iter();
        repository
            .map(|repository| repository.data().to_owned())
            .collect()
    }

    /// What a confined attempt may write to.
    pub(crate) fn writable(&self, folder: &Folder) -> Vec<PathBuf> {
        let mut paths = vec![folder.path.clone()];
        paths.extend(folder.temporary().map(Path::to_owned));
        paths.extend(self.repository.iter().flat_map(Repository::writable));
        paths
    }

    /// Looks at a folder before a task.
    ///
    /// # Errors
    /// A sentence that says why that is not possible.
    pub(crate) async fn look(&self, folder: &Folder) -> Result<Watched, String> {
        let idle = folder.worktree.is_none().then(|| self.idle.clone());
        let known = idle.as_ref().and_then(|idle| lock(idle).pop());
        let path = folder.path.clone();
        blocking(move || {
            let mut watcher = known.unwrap_or_else(|| Watcher::new(path));
            let before = watcher.before().map_err(|error| error.to_string())?;
            Ok(Watched {
                watcher,
                before,
                idle,
            })
        })
        .await
    }

    /// Gives a folder back; `keep` says whether what is in it is of use to other tasks. The result
    /// is a sentence for the log, if there is something to say.
    pub(crate) async fn give_back(
        &self,
        launcher: &Launcher,
        folder: Folder,
        keep: bool,
    ) -> Result<Option<String>, String> {
        if let Some(temporary) = folder.temporary {
            self.remove(launcher, temporary.keep()).await;
        }
        let (Some(repository), Some(worktree)) = (&self.repository, folder.worktree) else {
            return Ok(None);
        };
        let kept = if keep {
            repository.keep(launcher, &worktree).await.map(Some)
        } else {
            Ok(None)
        };
        if let Err(error) = repository.remove(launcher, worktree).await {
            warn!(error, "a worktree stays behind");
        }
        kept
    }

    /// Removes a folder of a task by a script, which may have a hard time with it: folders can be
    /// nested deeper than a process of ours could follow.
    async fn remove(&self, launcher: &Launcher, folder: PathBuf) {
        let mut environment = self.environment.clone();
        environment.push(("FOLDER".into(), folder.clone().into_os_string()));
        let script = Script {
            text: EMPTY,
            folder: &self.workdir,
            environment,
            read: Vec::new(),
            write: vec![folder.clone()],
        };
        let emptied = script.run(launcher).await;
        let removed = std::fs::remove_dir(&folder).map_err(|error| error.to_string());
        if let Err(error) = emptied.and(removed) {
            warn!(folder = %folder.display(), error, "a temporary folder stays behind");
        }
    }
}

impl Folder {
    pub(crate) fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(TempDir::path)
    }

    /// What to say in the log about the folder before the task.
    pub(crate) fn note(&self) -> Option<String> {
        let worktree = self.worktree.as_ref()?;
        Some(format!(
            "works in a git worktree of commit {}, {}",
            worktree.base, worktree.origin
        ))
    }
}

impl Watched {
    /// Looks again and hands over what changed.
    ///
    /// # Errors
    /// A sentence that says why that is not possible.
    pub(crate) async fn compare(self, files: Sender<AddFile>) -> Result<Summary, String> {
        let Self {
            mut watcher,
            before,
            idle,
        } = self;
        blocking(move || {
            let summary = watcher
                .after(before, &mut |file| {
                    files.blocking_send(file).map_err(|_| Stopped)
                })
                .map_err(|error| error.to_string())?;
            // One is enough to be quick, and what it remembers is much.
            if let Some(mut idle) = idle.as_deref().map(lock)
                && idle.is_empty()
            {
                idle.push(watcher);
            }
            Ok(summary)
        })
        .await
    }
}

fn lock(idle: &Mutex<Vec<Watcher>>) -> std::sync::MutexGuard<'_, Vec<Watcher>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what would hold up everything else on a thread where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(format!("looking at the work folder failed: {error}")),
    }
}
