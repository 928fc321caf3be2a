//! The lines of a diff and what they are.

use std::iter::Peekable;

use diffy::{Hunk, Patch};

use super::{FileDiff, RowKind};

/// One line of a diff that will be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) kind: RowKind,
    pub(super) old: Option<u32>,
    pub(super) new: Option<u32>,
    /// Without the first character where the kind says it all, and without the line break.
    pub(super) text: &'a [u8],
    /// The line break was CR LF.
    pub(super) crlf: bool,
}

/// What `git` and `diff` write after a line that ends its file without a newline.
const NO_NEWLINE: &[u8] = b"\\ No newline at end of file";

/// Reads at most so many lines, and counts all of them.
pub(super) fn read(diff: &[u8], limit: usize) -> (Vec<Line<'_>>, FileDiff) {
    let mut reader = Reader {
        limit,
        lines: Vec::new(),
        file: FileDiff::default(),
    };
    for section in sections(diff) {
        reader.section(section);
    }
    (reader.lines, reader.file)
}

/// Cuts a diff before each head of a hunk. No line inside a hunk begins like one, so a hunk that is broken
/// spoils only itself.
fn sections(diff: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let mut rest = diff;
    let mut end = 0;
    for line in physical(diff) {
        if line.starts_with(b"@@ ") && end > 0 {
            let (section, after) = rest.split_at(end);
            sections.push(section);
            rest = after;
            end = 0;
        }
        end += line.len();
    }
    sections.push(rest);
    sections
}

/// The lines as they are, each with its line break.
fn physical(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

struct Reader<'a> {
    limit: usize,
    lines: Vec<Line<'a>>,
    file: FileDiff,
}

impl<'a> Reader<'a> {
    fn section(&mut self, section: &'a [u8]) {
        let mut lines = physical(section).peekable();
        if section.starts_with(b"@@ ") {
            match Patch::from_bytes(section).as_ref().map(Patch::hunks) {
                Ok([hunk]) => self.hunk(hunk, &mut lines),
                _ => self.broken(&mut lines),
            }
        }
        self.outside(&mut lines);
    }

    /// The lines of a good hunk, with their numbers.
    fn hunk(
        &mut self,
        hunk: &Hunk<'_, [u8]>,
        lines: &mut Peekable<impl Iterator<Item = &'a [u8]>>,
    ) {
        if let Some(head) = lines.next() {
            self.push(RowKind::Hunk, None, None, head);
        }
        let mut old = hunk.old_range().start();
        let mut new = hunk.new_range().start();
        for line in hunk.lines() {
            let Some(raw) = lines.next() else { return };
            let (kind, in_old, in_new) = match line {
                diffy::Line::Context(_) => (RowKind::Context, true, true),
                diffy::Line::Delete(_) => (RowKind::Removed, true, false),
                diffy::Line::Insert(_) => (RowKind::Added, false, true),
            };
            self.push(kind, in_old.then_some(old), in_new.then_some(new), raw);
            old = old.saturating_add(usize::from(in_old));
            new = new.saturating_add(usize::from(in_new));
            if let Some(note) = lines.next_if(|line| line.starts_with(NO_NEWLINE)) {
                self.push(RowKind::Note, None, None, note);
            }
        }
    }

    /// The lines of a hunk that says other things about itself than it holds. It reaches to the next file.
    fn broken(&mut self, lines: &mut Peekable<impl Iterator<Item = &'a [u8]>>) {
        while let Some(line) = lines.next_if(|line| !line.starts_with(b"diff --git ")) {
            self.file.unparsed += 1;
            self.push(kind_by_first(line), None, None, line);
        }
    }

    /// The lines before the first hunk and after a good one: the heads of files, and perhaps lines that
    /// claim to be part of a hunk.
    fn outside(&mut self, lines: &mut Peekable<impl Iterator<Item = &'a [u8]>>) {
        while let Some(line) = lines.next() {
            let is_pair = line.starts_with(b"--- ")
                && lines.peek().is_some_and(|next| next.starts_with(b"+++ "));
            if is_pair {
                self.push(RowKind::Note, None, None, line);
                if let Some(next) = lines.next() {
                    self.push(RowKind::Note, None, None, next);
                }
                continue;
            }
            let kind = kind_by_first(line);
            if kind == RowKind::Note {
                self.file.is_binary |= says_binary(line);
            } else {
                self.file.unparsed += 1;
            }
            self.push(kind, None, None, line);
        }
    }

    fn push(&mut self, kind: RowKind, old: Option<usize>, new: Option<usize>, raw: &'a [u8]) {
        match kind {
            RowKind::Added => self.file.added += 1,
            RowKind::Removed => self.file.removed += 1,
            RowKind::Hunk | RowKind::Context | RowKind::Note => {}
        }
        if self.lines.len() >= self.limit {
            self.file.hidden_rows += 1;
            self.file.hidden_bytes += raw.len();
            return;
        }
        let (text, crlf) = without_break(without_first(kind, raw));
        let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
        self.lines.push(Line {
            kind,
            old: number(old),
            new: number(new),
            text,
            crlf,
        });
    }
}

fn kind_by_first(line: &[u8]) -> RowKind {
    match line {
        [b'@', b'@', ..] => RowKind::Hunk,
        [b'+', ..] => RowKind::Added,
        [b'-', ..] => RowKind::Removed,
        [b' ', ..] => RowKind::Context,
        _ => RowKind::Note,
    }
}

/// The first character is the kind of a line, and of an empty line of context it may be missing.
fn without_first(kind: RowKind, raw: &[u8]) -> &[u8] {
    let first: &[u8] = match kind {
        RowKind::Added => b"+",
        RowKind::Removed => b"-",
        RowKind::Context => b" ",
        RowKind::Hunk | RowKind::Note => b"",
    };
    raw.strip_prefix(first).unwrap_or(raw)
}

fn without_break(line: &[u8]) -> (&[u8], bool) {
    match line {
        [text @ .., b'\r', b'\n'] => (text, true),
        [text @ .., b'\n'] => (text, false),
        _ => (line, false),
    }
}

fn says_binary(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line == b"GIT binary patch"
        || (line.starts_with(b"Binary files ") && line.ends_with(b" differ"))
}
