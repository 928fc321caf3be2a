//! What was seen in a folder.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};

use super::ignore::Rules;
use super::path;

/// The SHA-256 of a content.
pub(super) type Digest = [u8; 32];

/// How old a change must be before its time alone tells it from a later one. File systems keep time
/// in steps, the coarsest in steps of two seconds.
const STEP: i64 = 2;

/// How a walk through a folder ended up.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The files and symbolic links, by path.
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
    /// The ignore files, by the folder they are in.
    pub(super) rules: HashMap<Vec<u8>, Arc<Rules>>,
    /// What `.git/info/exclude` says.
    pub(super) exclude: Arc<Rules>,
    /// Whether it is the work tree of a repository: only there are files ignored.
    pub(super) is_repository: bool,
    /// The names that git tracks.
    pub(super) tracked: Vec<Vec<u8>>,
    /// How many ignored files there are.
    pub(super) ignored: u64,
    /// How many names were listed, of whatever.
    pub(super) listed: usize,
    /// How long all paths are together.
    pub(super) path_bytes: usize,
    /// Where the walk stopped, if it did not come to the end: paths before it were seen.
    pub(super) cut: Option<Vec<u8>>,
    /// When it began, in seconds since 1970.
    pub(super) begun: i64,
    /// The folder it began in, which an agent may have replaced by another.
    pub(super) root: (u64, u64),
    /// What is neither a file nor a symbolic link.
    pub(super) special: Tally,
    /// What could not be read.
    pub(super) unreadable: Tally,
    /// Folders that are too far down.
    pub(super) too_deep: Tally,
    /// Ignore files that are not obeyed to their end.
    pub(super) long_rules: Tally,
    /// Files of which only size and times are known.
    pub(super) unread: Tally,
}

/// A file or a symbolic link.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// As git writes it.
    pub(super) mode: u32,
    pub(super) stamp: Stamp,
    /// Of the content, or of the target of a link. None if that was not read.
    pub(super) digest: Option<Digest>,
    /// Whether the present rules ignore it, while those before the task do not.
    pub(super) newly_ignored: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
}

/// What changes when a file does. The time of the last change (ctime) cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) raw_mode: u32,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Look {
    /// What is known of an entry that has this stamp still.
    pub(super) fn known(&self, path: &[u8], stamp: &Stamp) -> Option<&Entry> {
        let entry = self.entries.get(path)?;
        (entry.stamp == *stamp && stamp.changed.0 + STEP < self.begun).then_some(entry)
    }

    /// Whether the walk came as far as `path`.
    pub(super) fn reached(&self, path: &[u8]) -> bool {
        self.cut.as_deref().is_none_or(|cut| path < cut)
    }
}

impl Entry {
    /// Whether it is the same to a reviewer.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let same_content = match (self.digest, other.digest) {
            (Some(own), Some(others)) => own == others,
            _ => self.stamp == other.stamp,
        };
        self.kind == other.kind && self.mode == other.mode && same_content
    }
}

impl Stamp {
    // The types of these fields differ from platform to platform.
    #[allow(
        clippy::allow_attributes,
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::cast_possible_wrap,
        clippy::useless_conversion,
        trivial_numeric_casts
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            raw_mode: stat.st_mode as u32,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        #[allow(
            clippy::allow_attributes,
            clippy::useless_conversion,
            clippy::unnecessary_fallible_conversions,
            reason = "the type differs from platform to platform"
        )]
        self.raw_mode
            .try_into()
            .map_or(FileType::Unknown, FileType::from_raw_mode)
    }

    /// The mode of a regular file as git writes it; but what lends the rights of its owner is not
    /// kept from a reviewer.
    pub(super) fn file_mode(&self) -> u32 {
        let permissions = if self.raw_mode & 0o100 == 0 {
            0o644
        } else {
            0o755
        };
        0o100_000 | permissions | (self.raw_mode & 0o6_000)
    }
}

/// How many there are of a kind, and the first few by name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) count: u64,
    first: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < 3 {
            let mut shown = String::from_utf8_lossy(&path::quoted(b"", path)).into_owned();
            let cut = shown.floor_char_boundary(200);
            shown.truncate(cut);
            self.first.push(shown);
        }
    }

    /// The first names, and that there are more.
    pub(super) fn names(&self) -> String {
        let more = self.first.len() as u64 != self.count;
        self.first.join(", ") + if more { ", …" } else { "" }
    }
}
