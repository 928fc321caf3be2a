//! The tab Files changed: the list, and diffs page by page.

use super::pruned::Pruned;
use crate::show::{FileDiff, RowKind, Shown};

/// The tab.
#[derive(Clone, Debug)]
pub struct Files {
    pub task_id: String,
    /// Side by side; else unified.
    pub split: bool,
    pub list: Vec<FileEntry>,
    /// In the whole attempt.
    pub total: i64,
    /// Entries after those in `list`.
    pub list_more: i64,
    pub diffs: Vec<FileDiffView>,
    /// The next page of diffs.
    pub next: Option<String>,
    /// The first page again, when this is a later one.
    pub first: Option<String>,
    /// Diffs and contents were given up: the list is all that is left.
    pub pruned: Option<Pruned>,
    /// Invisible characters drawn in the diffs of this page.
    pub escapes: usize,
}

/// One file of the list.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// `#file-N`, or the page of diffs that has it.
    pub href: String,
    pub path: Shown,
    pub change: Change,
    pub added: Option<i64>,
    pub removed: Option<i64>,
    /// What must not be overlooked.
    pub callouts: Vec<Callout>,
}

/// One file with its diff.
#[derive(Clone, Debug)]
pub struct FileDiffView {
    pub n: i64,
    pub path: Shown,
    pub old_path: Option<Shown>,
    pub change: Change,
    pub callouts: Vec<Callout>,
    pub added: Option<i64>,
    pub removed: Option<i64>,
    /// `None`: there is none, or it is binary.
    pub diff: Option<FileDiff>,
    /// Why there is no diff to see, or how much of it is hidden.
    pub note: Option<String>,
    /// The content after the change, as a download.
    pub raw: Option<String>,
    /// The diff as it was uploaded, as a download.
    pub raw_diff: Option<String>,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
    Renamed,
}

impl Change {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Modified => "Modified",
            Self::Deleted => "Deleted",
            Self::Renamed => "Renamed",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Added => "file-plus",
            Self::Modified => "file-pen",
            Self::Deleted => "file-x",
            Self::Renamed => "file-output",
        }
    }

    /// Its class.
    pub fn code(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Renamed => "renamed",
        }
    }
}

/// What is called out beside the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callout {
    Binary,
    /// It became, or is, a symbolic link.
    Symlink,
    Submodule,
    /// It became executable.
    Executable,
    /// No longer executable.
    NotExecutable,
    /// Another change of the mode, `100644 → 100600`.
    Mode(String),
    /// Content or diff was cut when it was uploaded.
    Truncated,
    /// So many invisible characters.
    Escapes(usize),
}

impl Callout {
    /// As people read it.
    pub fn text(&self) -> String {
        match self {
            Self::Binary => "Binary".to_owned(),
            Self::Symlink => "Symbolic link".to_owned(),
            Self::Submodule => "Submodule".to_owned(),
            Self::Executable => "Now executable".to_owned(),
            Self::NotExecutable => "No longer executable".to_owned(),
            Self::Mode(text) => format!("Mode {text}"),
            Self::Truncated => "Cut at upload".to_owned(),
            Self::Escapes(count) => {
                super::words::count(*count, "invisible character", "invisible characters")
            }
        }
    }

    /// Whether it deserves a second look.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Binary | Self::NotExecutable | Self::Mode(_) => "info",
            Self::Symlink
            | Self::Submodule
            | Self::Executable
            | Self::Truncated
            | Self::Escapes(_) => "warn",
        }
    }
}

/// The class of a row.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "templates pass references"
)]
pub fn row_class(kind: &RowKind) -> &'static str {
    match kind {
        RowKind::Hunk => "hunk",
        RowKind::Context => "ctx",
        RowKind::Added => "add",
        RowKind::Removed => "del",
        RowKind::Note => "note",
    }
}

/// The sign in front of a row, which tells additions from removals without colour.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "templates pass references"
)]
pub fn row_sign(kind: &RowKind) -> &'static str {
    match kind {
        RowKind::Added => "+",
        RowKind::Removed => "−",
        RowKind::Hunk | RowKind::Context | RowKind::Note => " ",
    }
}
