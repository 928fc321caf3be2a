//! A change as a diff, in the format of git.

use std::io::Write;
use std::ops::Range;
use std::time::Instant;

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use super::path::quoted;

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 3;
/// The most lines for which it is tried.
const MOST_LINES: usize = 200_000;
/// How far a NUL is looked for, which makes a file binary to git.
const LOOKED_AT: usize = 8_000;

/// One side of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) content: &'a [u8],
}

/// A diff.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Diff {
    pub(super) bytes: Vec<u8>,
    /// Whether it had to be cut. It is a diff all the same.
    pub(super) is_cut: bool,
}

/// Whether a content is not text, to git.
pub(super) fn is_binary(content: &[u8]) -> bool {
    content.iter().take(LOOKED_AT).any(|byte| *byte == 0)
}

/// The diff between two sides that are not both none, at most `longest` bytes of it. `alike` is how
/// much of a renamed file is the same, in percent. The shortest diff is looked for until `until`; after
/// that, a longer one does.
pub(super) fn diff(
    old: Option<Side<'_>>,
    new: Option<Side<'_>>,
    alike: Option<u64>,
    longest: usize,
    until: Instant,
) -> Diff {
    // What became something else is written as one thing that is gone and one that is new.
    if let (Some(gone), Some(come)) = (old, new)
        && gone.mode >> 12 != come.mode >> 12
    {
        let mut first = diff(Some(gone), None, None, longest, until);
        let left = longest.saturating_sub(first.bytes.len());
        let second = diff(None, Some(come), None, left, until);
        first.bytes.extend(second.bytes);
        first.is_cut |= second.is_cut;
        return first;
    }
    let mut writer = Writer {
        bytes: Vec::new(),
        longest,
        is_cut: false,
    };
    writer.head(old, new, alike);
    let old_content = old.map_or(&b""[..], |side| side.content);
    let new_content = new.map_or(&b""[..], |side| side.content);
    if old_content != new_content {
        let (old_name, new_name) = names(old, new);
        if is_binary(old_content) || is_binary(new_content) {
            let line = [
                b"Binary files ".as_slice(),
                &old_name,
                b" and ",
                &new_name,
                b" differ",
            ];
            writer.line(&line);
        } else {
            let lines = Lines::of(old_content, new_content);
            let operations = lines.operations(until);
            writer.hunks(&lines, operations, &old_name, &new_name);
        }
    }
    Diff {
        bytes: writer.bytes,
        is_cut: writer.is_cut,
    }
}

/// The names of both sides as they stand in a diff.
fn names(old: Option<Side<'_>>, new: Option<Side<'_>>) -> (Vec<u8>, Vec<u8>) {
    let name = |prefix: &[u8], side: Option<Side<'_>>| {
        side.map_or_else(|| b"/dev/null".to_vec(), |side| quoted(prefix, side.path))
    };
    (name(b"a/", old), name(b"b/", new))
}

struct Writer {
    bytes: Vec<u8>,
    longest: usize,
    is_cut: bool,
}

impl Writer {
    fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(b'\n');
    }

    /// Says what happened to the file as a whole.
    fn head(&mut self, old: Option<Side<'_>>, new: Option<Side<'_>>, alike: Option<u64>) {
        let (Some(a), Some(b)) = (old.or(new), new.or(old)) else {
            return;
        };
        let (a_name, b_name) = (quoted(b"a/", a.path), quoted(b"b/", b.path));
        self.line(&[b"diff --git ", &a_name, b" ", &b_name]);
        match (old, new) {
            (None, _) => self.mode("new file mode", b.mode),
            (_, None) => self.mode("deleted file mode", a.mode),
            (Some(a), Some(b)) if a.mode != b.mode => {
                self.mode("old mode", a.mode);
                self.mode("new mode", b.mode);
            }
            _ => {}
        }
        if let Some(alike) = alike {
            self.line(&[format!("similarity index {alike}%").as_bytes()]);
            self.line(&[b"rename from ", &quoted(b"", a.path)]);
            self.line(&[b"rename to ", &quoted(b"", b.path)]);
        }
    }

    fn mode(&mut self, what: &str, mode: u32) {
        self.line(&[format!("{what} {mode:06o}").as_bytes()]);
    }

    fn hunks(
        &mut self,
        lines: &Lines<'_>,
        operations: Vec<DiffOp>,
        old_name: &[u8],
        new_name: &[u8],
    ) {
        // A name with a space ends at the tab.
        let end = |name: &[u8]| if name.contains(&b' ') { "\t" } else { "" };
        self.line(&[b"--- ", old_name, end(old_name).as_bytes()]);
        self.line(&[b"+++ ", new_name, end(new_name).as_bytes()]);
        for group in group_diff_ops(operations, CONTEXT) {
            if self.is_cut {
                return;
            }
            self.hunk(lines, &group);
        }
    }

    /// Writes a hunk, or its beginning: then its head counts what is there.
    fn hunk(&mut self, lines: &Lines<'_>, group: &[DiffOp]) {
        // The longest head has four numbers of at most seven digits.
        let room = self.longest.saturating_sub(self.bytes.len() + 64);
        let mut hunk = Hunk::default();
        for operation in group {
            let (tag, old, new) = operation.as_tag_tuple();
            let (old, new) = (&lines.old[old], &lines.new[new]);
            let whole = match tag {
                DiffTag::Equal => hunk.add(b' ', old, room),
                DiffTag::Delete => hunk.add(b'-', old, room),
                DiffTag::Insert => hunk.add(b'+', new, room),
                DiffTag::Replace => hunk.add(b'-', old, room) && hunk.add(b'+', new, room),
            };
            if !whole {
                self.is_cut = true;
                break;
            }
        }
        let Some(first) = group.first().filter(|_| hunk.changes) else {
            return;
        };
        let old = range(first.old_range(), hunk.old);
        let new = range(first.new_range(), hunk.new);
        // Writing to a vector cannot fail.
        let _ = writeln!(self.bytes, "@@ -{old} +{new} @@");
        self.bytes.extend_from_slice(&hunk.body);
    }
}

/// The lines of a hunk, and how many of each side there are.
#[derive(Default)]
struct Hunk {
    body: Vec<u8>,
    old: usize,
    new: usize,
    changes: bool,
}

impl Hunk {
    /// Adds lines; false if there is not enough room for all of them.
    fn add(&mut self, mark: u8, lines: &[&[u8]], room: usize) -> bool {
        const NO_NEWLINE: &[u8] = b"\n\\ No newline at end of file\n";
        for line in lines {
            let end = if line.ends_with(b"\n") {
                &[]
            } else {
                NO_NEWLINE
            };
            if self.body.len() + 1 + line.len() + end.len() > room {
                return false;
            }
            self.body.push(mark);
            self.body.extend_from_slice(line);
            self.body.extend_from_slice(end);
            self.old += usize::from(mark != b'+');
            self.new += usize::from(mark != b'-');
            self.changes |= mark != b' ';
        }
        true
    }
}

/// A range of lines as the head of a hunk has it: an empty one is named by the line before it.
fn range(lines: Range<usize>, length: usize) -> String {
    match length {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        _ => format!("{},{length}", lines.start + 1),
    }
}

/// The lines of both sides.
struct Lines<'a> {
    old: Vec<&'a [u8]>,
    new: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn of(old: &'a [u8], new: &'a [u8]) -> Self {
        let lines = |content: &'a [u8]| content.split_inclusive(|byte| *byte == b'\n').collect();
        Self {
            old: lines(old),
            new: lines(new),
        }
    }

    /// How to make the new lines of the old ones.
    fn operations(&self, until: Instant) -> Vec<DiffOp> {
        let (old, new) = (&self.old[..], &self.new[..]);
        if old.len() + new.len() <= MOST_LINES {
            return capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(until));
        }
        // An agent can write what takes very long to compare, so all between the ends is replaced.
        let same = |(one, other): &(&&[u8], &&[u8])| one == other;
        let head = old.iter().zip(new).take_while(same).count();
        let (old_rest, new_rest) = (&old[head..], &new[head..]);
        let tail = old_rest.iter().rev().zip(new_rest.iter().rev());
        let tail = tail.take_while(same).count();
        let (old_len, new_len) = (old_rest.len() - tail, new_rest.len() - tail);
        let equal = |old_index, new_index, len| DiffOp::Equal {
            old_index,
            new_index,
            len,
        };
        let middle = match (old_len, new_len) {
            (_, 0) => DiffOp::Delete {
                old_index: head,
                old_len,
                new_index: head,
            },
            (0, _) => DiffOp::Insert {
                old_index: head,
                new_index: head,
                new_len,
            },
            _ => DiffOp::Replace {
                old_index: head,
                old_len,
                new_index: head,
                new_len,
            },
        };
        let all = [
            equal(0, 0, head),
            middle,
            equal(head + old_len, head + new_len, tail),
        ];
        all.into_iter()
            .filter(|operation| {
                operation.tag() != DiffTag::Equal || !operation.old_range().is_empty()
            })
            .collect()
    }
}
