//! What is true of everything that is shown, whatever was written. For tests and fuzz targets only.

use store::FileFacts;

use super::ansi::name_of;
use super::visible::{is_invisible, is_mark};
use super::{
    Ansi, DiffLimits, FileDiff, Row, RowKind, Run, Shown, block, bytes, diff as diff_of, line_bytes,
};

/// Text in a block and on a line: safe, whole, and the same when it is shown once more.
pub(crate) fn text(raw: &[u8]) {
    for shown in [bytes(raw), line_bytes(raw)] {
        assert_safe(&shown.runs);
        assert_eq!(original(&shown.runs), raw);
    }
    let once = bytes(raw).text();
    let twice = block(&once);
    assert_eq!((twice.escapes, twice.text()), (0, once));
    let cut = bytes(raw).cut(7);
    assert_safe(&cut.runs);
}

/// A path stands on one line, whatever is in it.
pub(crate) fn path(raw: &[u8]) {
    let shown = line_bytes(raw);
    assert_safe(&shown.runs);
    assert_eq!(original(&shown.runs), raw);
    assert!(!shown.text().contains(['\n', '\t']));
}

/// The output of a terminal program: safe, in whatever pieces it comes; nothing of it is lost; and what is
/// shown stays what it is when it is shown once more.
pub(crate) fn terminal(raw: &[u8], size: usize) {
    let whole = fed([raw]);
    let pieces = fed(raw.chunks(size));
    assert_safe(&whole.runs);
    assert_safe(&pieces.runs);
    assert_eq!(pieces.escapes, whole.escapes);
    assert_nothing_lost(raw, &whole.runs);
    assert_nothing_lost(raw, &pieces.runs);
    let once = whole.text();
    let twice = fed([once.as_bytes()]);
    assert_eq!((twice.escapes, twice.text()), (0, once));
}

/// A diff: every byte of it in a row or in a count, and counted as the list of files counts it.
pub(crate) fn diff(raw: &[u8], rows: usize, line_chars: usize) {
    let limits = DiffLimits { rows, line_chars };
    let file = diff_of(raw, limits);
    file.rows.iter().for_each(|row| assert_safe(&row.runs));
    assert_accounted(raw, limits);
    assert_accounted(raw, DiffLimits::default());
    let facts = FileFacts::of_diff(raw);
    // where everything could be read, list and diff say the same
    if file.unparsed == 0 {
        let lines = facts.lines.expect("a diff has lines");
        let count = |count: i64| usize::try_from(count).expect("a count");
        assert_eq!(
            (file.added, file.removed),
            (count(lines.added), count(lines.removed))
        );
        assert!(facts.is_binary || !file.is_binary);
    }
}

/// The whole of a stream fed in these pieces.
fn fed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Shown {
    let mut ansi = Ansi::new();
    let mut whole = Shown::default();
    for piece in pieces {
        let shown = ansi.feed(piece);
        whole.escapes += shown.escapes;
        whole.runs.extend(shown.runs);
    }
    let rest = ansi.finish();
    whole.escapes += rest.escapes;
    whole.runs.extend(rest.runs);
    whole
}

/// Walks along the stream and what is shown of it: only styles and the carriage returns of line breaks are
/// not there to be seen.
fn assert_nothing_lost(raw: &[u8], runs: &[Run]) {
    let mut rest = raw;
    for run in runs {
        if !run.class.starts_with("esc") {
            for byte in run.text.bytes() {
                while rest.first() != Some(&byte) {
                    rest = unseen(rest).unwrap_or_else(|| {
                        panic!("before {:?} of {:?}: {rest:x?}", run.text, char::from(byte))
                    });
                }
                rest = &rest[1..];
            }
            continue;
        }
        rest = drawn(rest, &run.text);
    }
    while let Some(after) = unseen(rest) {
        rest = after;
    }
    assert!(rest.is_empty(), "not shown: {rest:x?}");
}

/// What follows a style, or the carriage return of a line break.
fn unseen(stream: &[u8]) -> Option<&[u8]> {
    if stream.starts_with(b"\r\n") {
        return stream.get(1..);
    }
    style(stream).and_then(|style| stream.get(style.len()..))
}

/// The style that a stream begins with.
fn style(stream: &[u8]) -> Option<&[u8]> {
    let body = stream.strip_prefix(b"\x1b[")?;
    let end = body.iter().position(|byte| !matches!(byte, b'0'..=b';'))?;
    (body[end] == b'm').then(|| &stream[..end + 3])
}

/// What follows the characters, bytes or sequences that were drawn under this name.
fn drawn<'a>(stream: &'a [u8], name: &str) -> &'a [u8] {
    if let Some(after) = one_drawn(stream, name) {
        return after;
    }
    let counted = name
        .rsplit_once(" ×")
        .and_then(|(name, times)| Some((name, times.replace(',', "").parse::<usize>().ok()?)));
    let Some((name, times)) = counted else {
        panic!("{name} is not at {:x?}", &stream[..stream.len().min(60)]);
    };
    (0..times).fold(stream, |stream, _| {
        one_drawn(stream, name).unwrap_or_else(|| panic!("{name} ×{times}"))
    })
}

fn one_drawn<'a>(mut stream: &'a [u8], name: &str) -> Option<&'a [u8]> {
    loop {
        // a style that is drawn is too long to be obeyed; any other leaves nothing to be seen
        let style = style(stream).filter(|style| name_of(style) != name);
        if style.is_none()
            && let Some(after) = exactly_drawn(stream, name)
        {
            return Some(after);
        }
        stream = unseen(stream)?;
    }
}

fn exactly_drawn<'a>(stream: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if stream.first() == Some(&0x1b) {
        // the longest of this name: the bell that ends a string is not in it. Cancel and substitute end every
        // sequence, and a bell after them is one of its own.
        let cancelled = stream.iter().position(|byte| matches!(byte, 0x18 | 0x1a));
        let most = cancelled.map_or(stream.len(), |at| at + 1);
        let lengths = 1..=most.min(4_096);
        let length = lengths
            .rev()
            .find(|length| name_of(&stream[..*length]) == name)?;
        let (sequence, after) = stream.split_at(length);
        // nor is the second sequence that closes one
        let is_open = matches!(sequence.get(1), Some(b']' | b'P' | b'X' | b'^' | b'_'))
            && !(sequence[1] == b']' && sequence.ends_with(b"\x07"));
        let closed = after.strip_prefix(b"\x1b\\").filter(|_| is_open);
        return Some(closed.unwrap_or(after));
    }
    if let Some(code) = name.strip_prefix("U+") {
        let c = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
        return stream.strip_prefix(c.to_string().as_bytes());
    }
    let byte = u8::from_str_radix(name, 16).ok()?;
    stream.strip_prefix(&[byte])
}

/// What everything that is shown has in common: our classes, nothing invisible, no towers of marks.
pub(super) fn assert_safe(runs: &[Run]) {
    let mut marks = 4;
    for run in runs {
        assert!(!run.text.is_empty(), "an empty run");
        for class in run.class.split(' ') {
            let is_ours = matches!(class, "" | "esc" | "mark" | "mixed" | "cut")
                || matches!(
                    class,
                    "a-bold" | "a-dim" | "a-italic" | "a-underline" | "a-inverse" | "a-strike"
                )
                || ["a-fg-", "a-bg-"].iter().any(|prefix| {
                    class
                        .strip_prefix(prefix)
                        .and_then(|number| number.parse::<u8>().ok())
                        .is_some_and(|number| number < 16)
                });
            assert!(is_ours, "class {class:?}");
        }
        let is_drawn = run.class.starts_with("esc");
        for c in run.text.chars() {
            assert!(
                !is_invisible(c) || (!is_drawn && matches!(c, '\n' | '\t')),
                "{:?} holds {c:?}",
                run.text
            );
            if is_mark(c) {
                marks += 1;
                assert!(marks <= 4, "too many marks in {:?}", run.text);
            } else {
                marks = if matches!(c, '\n' | '\t') { 4 } else { 0 };
            }
        }
        if is_drawn || run.class == "cut" {
            marks = 4;
        }
    }
}

/// The bytes that were shown: exactly the original, as nothing is left out.
pub(super) fn original(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for run in runs {
        if !run.class.starts_with("esc") {
            bytes.extend(run.text.bytes());
            continue;
        }
        let (name, times) = run.text.split_once(" ×").unwrap_or((&run.text, "1"));
        let times: usize = times.replace(',', "").parse().unwrap();
        let one = if name == "CR" {
            vec![b'\r']
        } else if let Some(code) = name.strip_prefix("U+") {
            let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
            c.to_string().into_bytes()
        } else {
            vec![u8::from_str_radix(name, 16).unwrap()]
        };
        bytes.extend(one.repeat(times));
    }
    bytes
}

/// Every byte of a diff is in a row or in a count.
pub(super) fn assert_accounted(raw: &[u8], limits: DiffLimits) {
    let file = diff_of(raw, limits);
    let lines: Vec<&[u8]> = raw.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(file.rows.len() + file.hidden_rows, lines.len());
    assert_eq!(file.rows.len(), lines.len().min(limits.rows));
    let mut hidden: usize = lines.iter().skip(limits.rows).map(|line| line.len()).sum();
    for (row, line) in file.rows.iter().zip(&lines) {
        hidden += hidden_of(row, line, limits.line_chars);
    }
    assert_eq!(file.hidden_bytes, hidden);
    assert_side_by_side(&file);
}

/// How many bytes of a line are not in its row; all others are, in their order.
fn hidden_of(row: &Row, line: &[u8], limit: usize) -> usize {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = match row.kind {
        RowKind::Context => text.strip_prefix(b" ").unwrap_or(text),
        RowKind::Added => text.strip_prefix(b"+").unwrap(),
        RowKind::Removed => text.strip_prefix(b"-").unwrap(),
        RowKind::Hunk | RowKind::Note => text,
    };
    let Some(cut) = row.runs.iter().position(|run| run.class == "cut") else {
        assert_eq!(original(&row.runs), text);
        return 0;
    };
    let head = original(&row.runs[..cut]);
    let tail = original(&row.runs[cut + 1..]);
    assert!(text.starts_with(&head) && text.ends_with(&tail));
    let characters = head
        .utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len());
    assert_eq!(characters.sum::<usize>(), limit);
    text.len() - head.len() - tail.len()
}

/// Side by side, every row is there once, in its order, on the side where it belongs.
fn assert_side_by_side(file: &FileDiff) {
    let pairs = file.split();
    let left: Vec<&Row> = pairs.iter().filter_map(|(old, _)| *old).collect();
    let right: Vec<&Row> = pairs.iter().filter_map(|(_, new)| *new).collect();
    for (side, foreign) in [(&left, RowKind::Added), (&right, RowKind::Removed)] {
        assert!(side.iter().all(|row| row.kind != foreign));
        let mut all = file.rows.iter();
        assert!(
            side.iter()
                .all(|row| all.any(|other| std::ptr::eq(*row, other))),
            "out of order"
        );
    }
    for row in &file.rows {
        let on = |side: &[&Row]| side.iter().any(|other| std::ptr::eq(*other, row));
        assert!(on(&left) || on(&right));
        if matches!(row.kind, RowKind::Hunk | RowKind::Context) {
            assert!(on(&left) && on(&right));
        }
    }
}
