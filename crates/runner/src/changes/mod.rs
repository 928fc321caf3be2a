//! What a task changed in its folder: looked at before it runs and after, and compared.
//!
//! The work tree of a repository is looked at as git would, but not by git: the repository is an
//! agent's. Looking alters nothing in the folder, and needs no place of its own in it.

mod compare;
mod diff;
mod git_index;
mod glob;
mod ignore;
mod limits;
mod notes;
mod path;
mod report;
mod repository;
mod stash;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::AddFile;

use compare::Chosen;
use limits::Limits;
use report::Report;
use repository::Repository;
use stash::Stash;
use tree::Look;

/// Looks at one folder, task after task. It remembers what it saw, so that files that stay as they
/// are need not be read again.
#[derive(Debug)]
pub(crate) struct Watcher {
    folder: PathBuf,
    /// The folder that was looked at. It may only grow: a repository that a task makes in the
    /// folder does not hide what is around it.
    root: Option<PathBuf>,
    last: Option<Arc<Look>>,
    stash: Option<Stash>,
    #[cfg(test)]
    limits: Option<Limits>,
}

/// The state before a task.
#[derive(Debug)]
pub(crate) struct Before {
    root: PathBuf,
    limits: Limits,
    look: Arc<Look>,
}

/// What there was to hand over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Changed files that were handed over.
    pub(crate) files: u64,
    /// Changed files beyond the 10,000 that are handed over.
    pub(crate) omitted: u64,
    /// Files that are there and ignored, by the rules before the task. From the 10,000th on, an
    /// ignored folder counts as one.
    pub(crate) ignored: u64,
    /// Whether something may have changed that is not among them: a look did not come to its end, or
    /// more than before could not be read.
    pub(crate) is_incomplete: bool,
    /// Sentences for the log.
    pub(crate) notes: Vec<String>,
}

/// Whoever received the files is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped;

/// Why the changes are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangesError {
    /// The folder cannot be read.
    #[error("cannot look at the folder {}: {error}", folder.display())]
    Folder {
        /// Which one.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The copies cannot be kept.
    #[error("cannot keep copies of files for comparison: {0}")]
    Copies(io::Error),
    /// There was no look before the task that this one can be compared with.
    #[error("the folder was not looked at before the task")]
    NoLookBefore,
    /// The receiver wants no more.
    #[error("nobody takes the changed files any more")]
    Stopped,
}

impl Watcher {
    /// A watcher of `folder`, which looks at nothing yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            root: None,
            last: None,
            stash: None,
            #[cfg(test)]
            limits: None,
        }
    }

    /// Notes the state before a task. In the work tree of a repository, that is all of it.
    ///
    /// # Errors
    /// When the folder cannot be read, or there is no room for the copies.
    pub(crate) fn before(&mut self) -> Result<Before, ChangesError> {
        let folder = self
            .folder
            .canonicalize()
            .map_err(|e| cannot(&self.folder, e))?;
        let around = Repository::around(&folder);
        let mut root = around.map_or(folder, |repository| repository.top);
        if let Some(earlier) = self.root.take().filter(|earlier| root.starts_with(earlier)) {
            root = earlier;
        }
        let repository = Repository::at(&root);
        let limits = self.limits(repository.is_some());
        let last = self.last.take();
        let stash = match &mut self.stash {
            Some(stash) => stash,
            None => self
                .stash
                .insert(Stash::new(limits.copies).map_err(ChangesError::Copies)?),
        };
        if let Some(last) = &last {
            let needed = last
                .entries
                .values()
                .filter_map(|entry| entry.digest.as_ref());
            stash.retain(&needed).map_err(ChangesError::Copies)?;
        }
        let look = walk::look(&root, repository.as_ref(), last.as_deref(), &limits, stash)
            .map_err(|error| cannot(&root, error))?;
        let look = Arc::new(look);
        self.last = Some(look.clone());
        self.root = Some(root.clone());
        Ok(Before { root, limits, look })
    }

    /// Compares with the state before the task, and hands each changed file to `sink`, in the order
    /// of the bytes of their paths. At most one of them is in memory at a time.
    ///
    /// # Errors
    /// When the folder or a copy cannot be read, or `sink` takes no more.
    pub(crate) fn after(
        &mut self,
        before: Before,
        sink: &mut dyn FnMut(AddFile) -> Result<(), Stopped>,
    ) -> Result<Summary, ChangesError> {
        let Before {
            root,
            limits,
            look: before,
        } = before;
        let stash = self.stash.as_mut().ok_or(ChangesError::NoLookBefore)?;
        let after = walk::look_again(&root, &before, &limits, stash)
            .map_err(|error| cannot(&root, error))?;
        let chosen = compare::changes(&before, &after, stash).map_err(ChangesError::Copies)?;
        let mut report = Report::new(&root, stash);
        for change in &chosen.changes {
            let file = report.file(change).map_err(ChangesError::Copies)?;
            sink(file).map_err(|Stopped| ChangesError::Stopped)?;
        }
        let summary = Summary {
            files: chosen.changes.len() as u64,
            omitted: chosen.omitted,
            ignored: after.ignored,
            is_incomplete: is_incomplete(&before, &after, &chosen),
            notes: notes::notes(&before, &after, &limits, &chosen, report.truncated),
        };
        self.last = Some(Arc::new(after));
        Ok(summary)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests have limits of their own")]
    fn limits(&self, is_repository: bool) -> Limits {
        Limits::of(is_repository)
    }

    #[cfg(test)]
    fn limits(&self, is_repository: bool) -> Limits {
        self.limits.unwrap_or(Limits::of(is_repository))
    }
}

/// What could not be read before the task either is none of its doing.
fn is_incomplete(before: &Look, after: &Look, chosen: &Chosen) -> bool {
    chosen.omitted > 0
        || chosen.unknown > 0
        || before.cut.is_some()
        || after.cut.is_some()
        || after.unreadable.count > before.unreadable.count
        || after.too_deep.count > before.too_deep.count
        || after.root != before.root
}

fn cannot(folder: &Path, error: io::Error) -> ChangesError {
    ChangesError::Folder {
        folder: folder.to_owned(),
        error,
    }
}
