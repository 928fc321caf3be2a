//! Hands over what changed, as the contract has it, one file at a time.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{AddFile, FileChange};

use super::compare::Change;
use super::diff::{self, Diff, Side};
use super::limits;
use super::path;
use super::stash::Stash;
use super::tree::{Entry, Kind};
use super::walk;

/// Makes the changes ready to be sent, as long as all of it is not too much.
pub(super) struct Report<'a> {
    root: &'a Path,
    stash: &'a Stash,
    contents_left: u64,
    diffs_left: usize,
    time_left: Duration,
    /// Files that are shown without their whole content or diff.
    pub(super) truncated: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(root: &'a Path, stash: &'a Stash) -> Self {
        Self {
            root,
            stash,
            contents_left: limits::CONTENTS,
            diffs_left: limits::DIFFS,
            time_left: limits::DIFFS_TIME,
            truncated: 0,
        }
    }

    /// A change as it is sent.
    ///
    /// # Errors
    /// When the stash cannot be read.
    pub(super) fn file(&mut self, change: &Change) -> io::Result<AddFile> {
        let old = self.old_content(change.old.as_ref())?;
        let new = self.new_content(&change.path, change.new.as_ref())?;
        let diff = self.diff(change, old.as_deref(), new.as_deref());
        let content = new.filter(|content| self.takes(content));
        let lacks_content = change.new.is_some() && content.is_none();
        let is_truncated = lacks_content || diff.as_ref().is_none_or(|diff| diff.is_cut);
        self.truncated += u64::from(is_truncated);

        let (path, path_base64) = path::on_the_wire(&change.path);
        let old_path = change.renamed.as_ref().map(|renamed| &renamed.from);
        let (old_path, old_path_base64) =
            old_path.map_or((None, None), |path| path::on_the_wire(path));
        let mode = |entry: Option<&Entry>| entry.map(|entry| format!("{:06o}", entry.mode));
        Ok(AddFile {
            path,
            path_base64,
            change: match (&change.old, &change.new, &change.renamed) {
                (_, _, Some(_)) => FileChange::Renamed,
                (None, _, _) => FileChange::Added,
                (_, None, _) => FileChange::Deleted,
                _ => FileChange::Modified,
            },
            old_path,
            old_path_base64,
            mode: mode(change.new.as_ref()),
            old_mode: mode(change.old.as_ref()),
            diff_base64: diff.map(|diff| STANDARD.encode(diff.bytes)),
            content_base64: content.map(|content| STANDARD.encode(content)),
            truncated: is_truncated.then_some(true),
        })
    }

    fn old_content(&self, entry: Option<&Entry>) -> io::Result<Option<Vec<u8>>> {
        match entry.and_then(|entry| entry.digest) {
            Some(digest) => self.stash.get(&digest),
            None => Ok(None),
        }
    }

    /// What was seen, or else what is there now: the same, unless somebody writes to it still.
    fn new_content(&self, path: &[u8], entry: Option<&Entry>) -> io::Result<Option<Vec<u8>>> {
        if let Some(seen) = self.old_content(entry)? {
            return Ok(Some(seen));
        }
        let file = entry.filter(|entry| entry.kind == Kind::File);
        Ok(file.and_then(|_| walk::content(self.root, path, limits::SIDE)))
    }

    /// Whether there is room for this content.
    fn takes(&mut self, content: &[u8]) -> bool {
        let left = self.contents_left.checked_sub(content.len() as u64);
        self.contents_left = left.unwrap_or(self.contents_left);
        left.is_some()
    }

    /// The diff, unless a side of it is not known or there is no room any more.
    fn diff(&mut self, change: &Change, old: Option<&[u8]>, new: Option<&[u8]>) -> Option<Diff> {
        let from = change
            .renamed
            .as_ref()
            .map_or(&change.path, |renamed| &renamed.from);
        let (old, new) = match (&change.old, &change.new) {
            // Nothing but the name or the mode, of whatever size.
            (Some(a), Some(b))
                if a.kind == b.kind && a.digest.is_some() && a.digest == b.digest =>
            {
                (Some((a, &b""[..])), Some((b, &b""[..])))
            }
            (a, b) => {
                if a.is_some() != old.is_some() || b.is_some() != new.is_some() {
                    return None;
                }
                (a.as_ref().zip(old), b.as_ref().zip(new))
            }
        };
        let longest = limits::DIFF.min(self.diffs_left);
        if longest < limits::DIFF {
            return None;
        }
        let side = |path, (entry, content): (&Entry, _)| Side {
            path,
            mode: entry.mode,
            content,
        };
        let begin = Instant::now();
        let until = begin + limits::DIFF_TIME.min(self.time_left);
        let diff = diff::diff(
            old.map(|old| side(from.as_slice(), old)),
            new.map(|new| side(change.path.as_slice(), new)),
            change.renamed.as_ref().map(|renamed| renamed.alike),
            longest,
            until,
        );
        self.time_left = self.time_left.saturating_sub(begin.elapsed());
        self.diffs_left = self.diffs_left.saturating_sub(diff.bytes.len());
        Some(diff)
    }
}
