//! A unified diff as rows to look at.
//!
//! Every line of the diff becomes a row, whatever stands in it: hunks are read by [`diffy`], one by one, and
//! what it refuses is shown line by line by its first character. Only the limits leave anything out, and
//! what they leave out is counted.

mod cut;
mod draw;
mod read;
mod words;

use super::run::Run;

/// How much of a diff is shown. The defaults suit a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiffLimits {
    /// Rows; those beyond are counted in [`FileDiff::hidden_rows`].
    pub(crate) rows: usize,
    /// Characters of one line; a run of class `cut` at its end says how many are missing.
    pub(crate) line_chars: usize,
}

impl Default for DiffLimits {
    fn default() -> Self {
        Self {
            rows: 5_000,
            line_chars: 2_000,
        }
    }
}

/// A diff, ready to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileDiff {
    /// The lines of the diff, in its order.
    pub(crate) rows: Vec<Row>,
    /// Lines that are added, hidden rows included.
    pub(crate) added: usize,
    /// Lines that are removed, hidden rows included.
    pub(crate) removed: usize,
    /// What had to be drawn in the rows. The `CR` of a line that ends in CR LF is drawn, too, but not
    /// counted: a file with such lines is no cause for alarm.
    pub(crate) escapes: usize,
    /// Rows left out because there were too many.
    pub(crate) hidden_rows: usize,
    /// Bytes left out: those of hidden rows, and of the ends of lines that were too long.
    pub(crate) hidden_bytes: usize,
    /// The diff says that a file is binary. It hides nothing.
    pub(crate) is_binary: bool,
    /// Rows, hidden ones included, that look like lines of a hunk but are in none that is well formed.
    /// They are shown by their first character, with no line numbers.
    pub(crate) unparsed: usize,
}

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// What the line is.
    pub(crate) kind: RowKind,
    /// Its number in the old file.
    pub(crate) old: Option<u32>,
    /// Its number in the new file.
    pub(crate) new: Option<u32>,
    /// Its text; without the first character if it is context, added or removed.
    pub(crate) runs: Vec<Run>,
}

/// What a line of a diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// The head of a hunk.
    Hunk,
    /// In both files.
    Context,
    /// Only in the new file.
    Added,
    /// Only in the old file.
    Removed,
    /// Everything else: the head of a file, modes, names, `\ No newline at end of file`.
    Note,
}

/// Reads a diff. Never fails: what cannot be read as a diff is shown as it stands.
pub(crate) fn diff(diff: &[u8], limits: DiffLimits) -> FileDiff {
    let (lines, mut file) = read::read(diff, limits.rows);
    let marks = words::marks(&lines);
    for (line, marks) in lines.iter().zip(marks) {
        draw::row(line, &marks, limits.line_chars, &mut file);
    }
    file
}

impl FileDiff {
    /// The rows side by side, old left and new right. The head of a hunk, context and notes stand on both
    /// sides; a note about a missing last newline stands on the side of its line.
    pub(crate) fn split(&self) -> Vec<(Option<&Row>, Option<&Row>)> {
        let mut pairs = Vec::with_capacity(self.rows.len());
        let mut block = Block::default();
        for row in &self.rows {
            match row.kind {
                RowKind::Removed => {
                    if !block.new.is_empty() {
                        block.pair(&mut pairs);
                    }
                    block.old.push(row);
                }
                RowKind::Added => block.new.push(row),
                RowKind::Note if row.is_about_newline() && !block.is_empty() => block.note(row),
                RowKind::Hunk | RowKind::Context | RowKind::Note => {
                    block.pair(&mut pairs);
                    pairs.push((Some(row), Some(row)));
                }
            }
        }
        block.pair(&mut pairs);
        pairs
    }
}

impl Row {
    fn is_about_newline(&self) -> bool {
        self.runs
            .first()
            .is_some_and(|run| run.text.starts_with('\\'))
    }
}

/// Removed rows and the added ones that replace them.
#[derive(Default)]
struct Block<'a> {
    old: Vec<&'a Row>,
    new: Vec<&'a Row>,
}

impl<'a> Block<'a> {
    fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }

    fn note(&mut self, row: &'a Row) {
        if self.new.is_empty() {
            self.old.push(row);
        } else {
            self.new.push(row);
        }
    }

    fn pair(&mut self, pairs: &mut Vec<(Option<&'a Row>, Option<&'a Row>)>) {
        let length = self.old.len().max(self.new.len());
        let side = |rows: &[&'a Row], at: usize| rows.get(at).copied();
        pairs.extend((0..length).map(|at| (side(&self.old, at), side(&self.new, at))));
        *self = Self::default();
    }
}
