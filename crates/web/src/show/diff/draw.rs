//! One line of a diff as a row.

use std::borrow::Cow;
use std::ops::Range;

use super::super::pen::{Breaks, Pen};
use super::super::run::{ESC, MARK, Run, missing_run};
use super::read::Line;
use super::{FileDiff, Row, RowKind, cut};

/// Adds a line to the rows, with its changed parts marked.
pub(super) fn row(line: &Line<'_>, marks: &[Range<usize>], limit: usize, file: &mut FileDiff) {
    let (head, rest) = cut::at(line.text, limit);
    let blank_end = trailing_blank(line.kind, head, rest);
    let mut pen = Pen::new(Breaks::Kept);
    let mut done = 0;
    for mark in marks {
        let end = mark.end.min(blank_end);
        stretch(&mut pen, head, done..mark.start.min(end), "");
        stretch(&mut pen, head, mark.start..end, MARK);
        done = done.max(end);
    }
    stretch(&mut pen, head, done..blank_end, "");
    stretch(&mut pen, head, blank_end..head.len(), MARK);
    if !rest.is_empty() {
        pen.own(missing_run(cut::characters(rest)));
        file.hidden_bytes += rest.len();
    }
    if line.crlf {
        pen.own(Run {
            class: Cow::Borrowed(ESC),
            text: "CR".to_owned(),
        });
    }
    let shown = pen.finish();
    file.escapes += shown.escapes;
    file.rows.push(Row {
        kind: line.kind,
        old: line.old,
        new: line.new,
        runs: shown.runs,
    });
}

/// Where the blank end of an added or removed line begins: it would not be seen without a mark.
fn trailing_blank(kind: RowKind, head: &[u8], rest: &[u8]) -> usize {
    let is_change = matches!(kind, RowKind::Added | RowKind::Removed);
    if !is_change || !rest.is_empty() {
        return head.len();
    }
    head.iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t'))
        .map_or(0, |last| last + 1)
}

fn stretch(pen: &mut Pen, text: &[u8], range: Range<usize>, class: &'static str) {
    if let Some(part) = text.get(range).filter(|part| !part.is_empty()) {
        pen.set_class(class);
        pen.bytes(part);
    }
}
