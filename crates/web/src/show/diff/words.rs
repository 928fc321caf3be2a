//! Which words of a changed line are new.

use std::ops::Range;

use similar::{ChangeTag, TextDiff};

use super::RowKind;
use super::read::Line;

/// Longer lines are compared as a whole only.
const LONGEST_LINE: usize = 2_000;

/// Blocks of more lines are not compared at all.
const LONGEST_BLOCK: usize = 400;

/// What comparing may cost in one diff. The cost of a block grows with the square of its size, so that
/// without a limit a diff could be made that keeps the server busy.
const BUDGET: usize = 16_000_000;

/// The bytes of one line that are marked, in order.
type Marks = Vec<Range<usize>>;

/// The marks of every line.
pub(super) fn marks(lines: &[Line<'_>]) -> Vec<Marks> {
    let mut marker = Marker {
        lines,
        marks: vec![Marks::new(); lines.len()],
        budget: BUDGET,
    };
    let mut old = Vec::new();
    let mut new = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_about_newline = line.kind == RowKind::Note && line.text.starts_with(b"\\");
        let stays = match line.kind {
            RowKind::Removed => new.is_empty(),
            RowKind::Added => true,
            RowKind::Hunk | RowKind::Context | RowKind::Note => is_about_newline,
        };
        if !stays {
            marker.block(&old, &new);
            old.clear();
            new.clear();
        }
        match line.kind {
            RowKind::Removed => old.push(at),
            RowKind::Added => new.push(at),
            RowKind::Hunk | RowKind::Context | RowKind::Note => {}
        }
    }
    marker.block(&old, &new);
    marker.marks
}

struct Marker<'a> {
    lines: &'a [Line<'a>],
    marks: Vec<Marks>,
    budget: usize,
}

impl Marker<'_> {
    /// Compares removed lines with the added lines that follow them.
    fn block(&mut self, old: &[usize], new: &[usize]) {
        if old.is_empty() || new.is_empty() || old.len() + new.len() > LONGEST_BLOCK {
            return;
        }
        let (Some(old_text), Some(new_text)) = (texts(self.lines, old), texts(self.lines, new))
        else {
            return;
        };
        let size: usize = old_text
            .iter()
            .chain(&new_text)
            .map(|text| tokens(text))
            .sum();
        let cost = size.saturating_mul(size);
        if cost > self.budget {
            return;
        }
        self.budget -= cost;
        let diff = TextDiff::from_slices(&old_text, &new_text);
        for op in diff.ops() {
            for change in diff.iter_inline_changes_deadline(op, None) {
                let (block, at) = match change.tag() {
                    ChangeTag::Equal => continue,
                    ChangeTag::Delete => (old, change.old_index()),
                    ChangeTag::Insert => (new, change.new_index()),
                };
                let line = at.and_then(|at| block.get(at));
                if let Some(marks) = line.and_then(|line| self.marks.get_mut(*line)) {
                    *marks = emphasized(change.values());
                }
            }
        }
    }
}

/// The lines as text. None: one is too long or not UTF-8.
fn texts<'a>(lines: &[Line<'a>], block: &[usize]) -> Option<Vec<&'a str>> {
    let text = |at: &usize| {
        // no character has more than four bytes
        let raw = lines
            .get(*at)
            .map(|line| line.text)
            .filter(|raw| raw.len() <= 4 * LONGEST_LINE)?;
        let text = std::str::from_utf8(raw).ok()?;
        (text.chars().count() <= LONGEST_LINE).then_some(text)
    };
    block.iter().map(text).collect()
}

/// How many words and gaps between them there are at most: only letters and digits of ASCII are sure to
/// form a word together.
fn tokens(text: &str) -> usize {
    let mut in_word = false;
    let starts = text.chars().filter(|c| {
        let was_in_word = std::mem::replace(&mut in_word, c.is_ascii_alphanumeric());
        !(was_in_word && in_word)
    });
    1 + starts.count()
}

/// The parts that changed. A line that changed as a whole has none: its sign says it all.
fn emphasized(values: &[(bool, &str)]) -> Marks {
    let mut at = 0;
    let mut marks = Marks::new();
    for (is_changed, value) in values {
        let end = at + value.len();
        if *is_changed {
            marks.push(at..end);
        }
        at = end;
    }
    let is_whole = values.iter().all(|(is_changed, _)| *is_changed);
    if is_whole { Marks::new() } else { marks }
}
