//! How much is looked at, kept and handed over. Whatever goes beyond is said in a note.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What a look at a folder may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How many names are listed, besides as many as before.
    pub(super) entries: usize,
    /// How long their paths may be together, besides as much as before.
    pub(super) path_bytes: usize,
    /// How many folders deep.
    pub(super) depth: usize,
    /// The largest file whose content is compared; of others, size and times are.
    pub(super) read_file: u64,
    /// How much is read in one look.
    pub(super) read: u64,
    /// The largest file of which a copy is kept.
    pub(super) copy_file: u64,
    /// How much the copies may take.
    pub(super) copies: u64,
    /// How many entries of ignored folders are counted one by one.
    pub(super) ignored: u64,
    /// How long a look may take.
    pub(super) time: Duration,
}

impl Limits {
    pub(super) fn of(is_repository: bool) -> Self {
        if is_repository { REPOSITORY } else { ELSEWHERE }
    }
}

/// In the work tree of a repository, which is somebody's project.
const REPOSITORY: Limits = Limits {
    entries: 300_000,
    path_bytes: 64 << 20,
    depth: 100,
    read_file: 10 * MIB,
    read: 2_048 * MIB,
    copy_file: SIDE,
    copies: 512 * MIB,
    ignored: 10_000,
    time: Duration::from_mins(1),
};

/// Anywhere else, which may be anything, such as somebody's home.
const ELSEWHERE: Limits = Limits {
    entries: 100_000,
    read: 512 * MIB,
    copy_file: 256 * KIB,
    copies: 64 * MIB,
    ..REPOSITORY
};

/// How much of an ignore file is obeyed, and of all of them.
pub(super) const RULES: u64 = 128 * KIB;
pub(super) const ALL_RULES: u64 = 2 * MIB;
/// How many changed files are handed over.
pub(super) const PATHS: usize = 10_000;
/// How many of them may be such that the task itself made ignored.
pub(super) const NEWLY_IGNORED: usize = 1_000;
/// The largest content that is handed over or compared line by line.
pub(super) const SIDE: u64 = 4 * MIB;
/// How much content is handed over in all.
pub(super) const CONTENTS: u64 = 100 * MIB;
/// The longest diff.
pub(super) const DIFF: usize = 1 << 20;
/// How much diff is handed over in all. With the contents this is less than the 200 MiB that the
/// server takes.
pub(super) const DIFFS: usize = 64 << 20;
/// How long the shortest diff is looked for, for one file and for all. Past that, diffs are longer.
pub(super) const DIFF_TIME: Duration = Duration::from_millis(500);
pub(super) const DIFFS_TIME: Duration = Duration::from_secs(20);
