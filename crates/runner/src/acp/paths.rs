//! Whether a path that an agent named lies inside the work folder.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Why a path does not count as inside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// It leads somewhere else.
    Elsewhere,
    /// It is written in a way that agents and systems understand differently.
    Unclear,
    /// What is on the disk does not let us follow it.
    Unreadable,
}

impl Outside {
    /// In words, after the path.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Elsewhere => "is outside of the work folder",
            Self::Unclear => "is not a plain path",
            Self::Unreadable => "cannot be followed",
        }
    }
}

/// Whether `path`, absolute or relative to `folder`, lies inside `folder`. The folder itself does.
///
/// A path with `..` after a symbolic link means one thing to those who shorten its text and
/// another to the system, which follows the link first. It has to be inside for both. Of a path
/// that does not exist yet, as much as exists is followed. The answer is about the disk as it is
/// now: an agent that changes a link afterwards is a matter of the confinement.
///
/// Reads the disk, so it blocks.
pub(crate) fn inside(folder: &Path, path: &Path) -> Result<(), Outside> {
    if !is_plain(path) {
        return Err(Outside::Unclear);
    }
    let root = folder.canonicalize().map_err(|_| Outside::Unreadable)?;
    let whole = folder.join(path);
    for way in [shortened(&whole), whole] {
        let real = followed(&way).map_err(|_| Outside::Unreadable)?;
        if !real.starts_with(&root) {
            return Err(Outside::Elsewhere);
        }
    }
    Ok(())
}

/// Whether everybody reads `path` as a path: no URL, no home folder of a shell, not empty.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        !text.is_empty()
            && !text.starts_with('~')
            && !text.starts_with("file:")
            && !text.contains("://")
            && !text.contains('\0')
    })
}

/// The path without `.` and `..`, by its text alone.
fn shortened(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                short.pop();
            }
            other => short.push(other),
        }
    }
    short
}

/// Where the system ends when it follows an absolute path, step by step.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => real = step(real.join(name))?,
            root => real.push(root),
        }
    }
    Ok(real)
}

/// One step of [`followed`]: where `path` leads if its last part is a link.
fn step(path: PathBuf) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(real) => Ok(real),
        // A link to what does not exist yet is followed by whoever creates it: not ours to guess.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => Err(error),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A work folder beside a folder with secrets, reached through a link as desktops often are.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("real/work/sub")).unwrap();
        fs::create_dir_all(place.path().join("secret/deep")).unwrap();
        fs::create_dir_all(place.path().join("real/work-not")).unwrap();
        fs::write(place.path().join("real/work/file"), "").unwrap();
        symlink(place.path().join("real"), place.path().join("alias")).unwrap();
        let work = place.path().join("alias/work");
        symlink("../../secret", work.join("out")).unwrap();
        symlink("../../secret/deep", work.join("deep")).unwrap();
        symlink("../../secret/new", work.join("dangling")).unwrap();
        symlink("sub", work.join("in")).unwrap();
        fs::create_dir(work.join("sub/low")).unwrap();
        symlink("sub/low", work.join("low")).unwrap();
        symlink("loop", work.join("loop")).unwrap();
        (place, work)
    }

    #[test]
    fn inside_is_inside_however_it_is_written() {
        let (place, work) = place();
        for path in [
            "",
            "file",
            "new/file",
            "sub/../file",
            "./sub",
            "in/new",
            "x/../y",
        ] {
            let absolute = work.join(path);
            assert_eq!(inside(&work, &absolute), Ok(()), "{}", absolute.display());
        }
        for path in ["file", "new/file", "sub/../file", ".", "in/../file"] {
            assert_eq!(inside(&work, Path::new(path)), Ok(()), "{path}");
        }
        let real = place.path().join("real/work/file");
        assert_eq!(inside(&work, &real), Ok(()), "the folder's other name");
    }

    #[test]
    fn outside_is_outside_however_it_is_written() {
        let (place, work) = place();
        for path in [
            "/etc/passwd",
            "..",
            "../work-not/x",
            "sub/../../x",
            "new/../../x",
            "out/x",
            "out",
            // The text says `work/x`, the system goes to `secret/x`.
            "deep/../x",
            // The system goes to `work/x`, the text says `alias/x`.
            "low/../../x",
        ] {
            assert_eq!(
                inside(&work, Path::new(path)),
                Err(Outside::Elsewhere),
                "{path}"
            );
        }
        let beside = place.path().join("real/work-not/x");
        assert_eq!(inside(&work, &beside), Err(Outside::Elsewhere));
    }

    #[test]
    fn what_cannot_be_followed_is_not_inside() {
        let (_place, work) = place();
        for path in ["dangling", "dangling/x", "loop/x", "file/x"] {
            assert_eq!(
                inside(&work, Path::new(path)),
                Err(Outside::Unreadable),
                "{path}"
            );
        }
        for path in [
            "",
            "~/x",
            "~root",
            "file:/etc/passwd",
            "file:///etc/passwd",
            "https://x/y",
        ] {
            assert_eq!(
                inside(&work, Path::new(path)),
                Err(Outside::Unclear),
                "{path}"
            );
        }
    }
}
