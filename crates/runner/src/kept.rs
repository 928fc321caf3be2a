//! Which commit was kept of an attempt, written down where its repository is not: a task may move the
//! references of the repository, and what was approved must be what the next task starts from
//! (guarantees, G10).

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

/// The commits kept of attempts, a file each.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// The notes in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Notes the commit of an attempt.
    ///
    /// # Errors
    /// When it is none, or cannot be written.
    pub(crate) fn note(&self, task: &str, attempt: i64, commit: &str) -> io::Result<()> {
        if !is_commit(commit) {
            return Err(io::Error::other(format!("{commit:?} is no commit")));
        }
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(commit.as_bytes())?;
        file.persist(self.path(task, attempt))?;
        Ok(())
    }

    /// The commit of an attempt, if one was kept.
    ///
    /// # Errors
    /// When the note cannot be read or names none.
    pub(crate) fn of(&self, task: &str, attempt: i64) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(task, attempt)) {
            Ok(commit) if is_commit(&commit) => Ok(Some(commit)),
            Ok(_) => Err(io::Error::other(format!(
                "the note of what was kept of {task} is damaged"
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, task: &str, attempt: i64) -> PathBuf {
        self.folder.join(format!("{task}-{attempt}"))
    }
}

/// The name of a commit in full: SHA-1 or SHA-256 in hexadecimal.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_commit_is_noted_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path().join("kept")).unwrap();
        assert_eq!(kept.of("task_a", 1).unwrap(), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        kept.note("task_a", 1, commit).unwrap();
        assert_eq!(kept.of("task_a", 1).unwrap().as_deref(), Some(commit));
        assert_eq!(kept.of("task_a", 2).unwrap(), None);
        for bad in [
            "HEAD",
            "",
            &commit[1..],
            "--upload-pack=0123456789abcdef01234567",
        ] {
            assert!(kept.note("task_b", 1, bad).is_err(), "{bad}");
        }
        fs::write(folder.path().join("kept/task_a-1"), "main").unwrap();
        assert!(kept.of("task_a", 1).is_err());
    }
}
