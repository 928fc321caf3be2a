//! Where the work tree of a repository begins, and the two files of the repository that decide
//! which of its files count. Nothing of git is executed: in a repository that an agent can write
//! to, git runs what the agent configured, waits for FIFOs, and follows links.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::git_index;
use super::ignore::Rules;

/// The longest file of git's that is read, in bytes.
const LONGEST_INDEX: u64 = 64 << 20;
const LONGEST_TEXT: u64 = 128 << 10;

/// A repository with a work tree.
#[derive(Debug)]
pub(super) struct Repository {
    /// The folder that `.git` is in.
    pub(super) top: PathBuf,
    /// Has the index.
    git: PathBuf,
    /// Has the rest; another one for a work tree that `git worktree` made.
    common: PathBuf,
}

impl Repository {
    /// The repository whose work tree `folder` is in.
    pub(super) fn around(folder: &Path) -> Option<Self> {
        folder.ancestors().find_map(Self::at)
    }

    /// The repository whose work tree begins at `top`.
    pub(super) fn at(top: &Path) -> Option<Self> {
        let dot_git = top.join(".git");
        let git = match fs::symlink_metadata(&dot_git).ok()? {
            found if found.is_dir() => dot_git,
            found if found.is_file() => pointed_to(top, &dot_git)?,
            _ => return None,
        };
        let common = match text(&git.join("commondir")) {
            Some(path) => git.join(path),
            None => git.clone(),
        };
        let is_repository = git.join("HEAD").exists() && common.join("objects").is_dir();
        is_repository.then(|| Self {
            top: top.to_owned(),
            git,
            common,
        })
    }

    /// The names in the index, sorted. None if there is an index that cannot be read.
    pub(super) fn tracked(&self) -> Option<Vec<Vec<u8>>> {
        let path = self.git.join("index");
        if fs::symlink_metadata(&path).is_err() {
            return Some(Vec::new());
        }
        git_index::names(&read(&path, LONGEST_INDEX)?)
    }

    /// The rules that are not part of the work tree.
    pub(super) fn exclude(&self) -> Rules {
        let path = self.common.join("info").join("exclude");
        Rules::parse(&read(&path, LONGEST_TEXT).unwrap_or_default())
    }
}

/// Where a `.git` that is a file points to. It must be pointed back from there: an agent that may
/// write in its folder only cannot make the runner read elsewhere.
fn pointed_to(top: &Path, dot_git: &Path) -> Option<PathBuf> {
    let git = top.join(text(dot_git)?.strip_prefix("gitdir: ")?);
    let back = git.join(text(&git.join("gitdir"))?);
    let points_back = fs::canonicalize(back).ok()? == fs::canonicalize(dot_git).ok()?;
    points_back.then_some(git)
}

/// The single line of a file.
fn text(path: &Path) -> Option<String> {
    let text = String::from_utf8(read(path, 8 << 10)?).ok()?;
    Some(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The content of a regular file that is not too long. Links are not followed, and nothing that
/// would have to be waited for is.
fn read(path: &Path, longest: u64) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(openat(CWD, path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= longest).then_some(content)
}
