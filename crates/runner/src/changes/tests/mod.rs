//! The changes of real folders and real repositories.

mod hostile;
mod kinds;
mod limited;
mod oracles;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{AddFile, FileChange};
use tempfile::TempDir;

use super::*;

/// A folder, and a watcher of it.
struct Place {
    _holder: TempDir,
    root: PathBuf,
    watcher: Watcher,
}

impl Place {
    fn folder() -> Self {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path().canonicalize().unwrap().join("work");
        fs::create_dir(&root).unwrap();
        Self {
            _holder: holder,
            watcher: Watcher::new(root.clone()),
            root,
        }
    }

    fn repository() -> Self {
        let place = Self::folder();
        place.git(&["init", "-q"]);
        place
    }

    fn both() -> [Self; 2] {
        [Self::folder(), Self::repository()]
    }

    fn outside(&self) -> PathBuf {
        self.root.parent().unwrap().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> Output {
        git(&self.root, arguments)
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "x", "--allow-empty"]);
    }

    fn path(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_ref()))
    }

    fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, path: impl AsRef<[u8]>, target: &str) {
        symlink(target, self.path(path)).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What `task` changes.
    fn changes(&mut self, task: impl FnOnce(&Self)) -> (Vec<AddFile>, Summary) {
        let before = self.watcher.before().unwrap();
        task(self);
        let mut files = Vec::new();
        let mut sink = |file| {
            files.push(file);
            Ok(())
        };
        let summary = self.watcher.after(before, &mut sink).unwrap();
        (files, summary)
    }

    /// The paths that `task` changes, each with the first letter of how.
    fn names(&mut self, task: impl FnOnce(&Self)) -> Vec<String> {
        let (files, _) = self.changes(task);
        files.iter().map(shown).collect()
    }
}

fn shown(file: &AddFile) -> String {
    let letter = &file.change.as_str()[..1];
    format!("{letter} {}", String::from_utf8_lossy(&path_of(file)))
}

fn path_of(file: &AddFile) -> Vec<u8> {
    match (&file.path, &file.path_base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(base64)) => STANDARD.decode(base64).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn diff_of(file: &AddFile) -> String {
    let diff = file
        .diff_base64
        .as_ref()
        .map(|diff| STANDARD.decode(diff).unwrap());
    String::from_utf8_lossy(&diff.unwrap_or_default()).into_owned()
}

fn content_of(file: &AddFile) -> Option<Vec<u8>> {
    file.content_base64
        .as_ref()
        .map(|content| STANDARD.decode(content).unwrap())
}

/// Lines that all are different.
fn numbered(word: &str, numbers: impl Iterator<Item = usize>) -> String {
    numbers
        .flat_map(|n| [word.to_owned(), n.to_string(), "\n".to_owned()])
        .collect()
}

/// Git as somebody would use it who trusts the folder.
fn git_command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.envs([
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@b"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@b"),
    ]);
    command
}

fn git(folder: &Path, arguments: &[&str]) -> Output {
    let output = git_command(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

/// Mode, times and content of a file.
type Known = (u32, [i64; 4], Vec<u8>);

/// Everything in a folder but its access times: type, mode, times, content.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Known> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let all = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for path in all.chain([folder.clone()]) {
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_file() {
                fs::read(&path).unwrap()
            } else if stat.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else {
                Vec::new()
            };
            if stat.is_dir() && path != folder {
                folders.push(path.clone());
            }
            let times = [
                stat.mtime(),
                stat.mtime_nsec(),
                stat.ctime(),
                stat.ctime_nsec(),
            ];
            let known = (stat.mode(), times, content);
            found.insert(path, known);
        }
    }
    found
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
