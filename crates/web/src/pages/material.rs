//! What an attempt left behind, made safe to look at: output, log, changed files. A page shows a
//! bounded part of each and says how much it leaves out; the whole is a download.

use std::collections::HashMap;

use approval_core::{LogStream, Status};
use store::{FileSummary, FileView, LogEnds, LogLine, Pruning, TaskPage};

use super::fields::Fields;
use super::search;
use super::translate::{Shape, callouts, change, task_address, when};
use super::view::files::{FileDiffView, FileEntry, Files};
use super::view::logs::{Chunk, Gap, Hit, Hits, Logs, Stream};
use super::view::pruned::Pruned;
use super::view::task::Output;
use super::view::words::{count, number};
use crate::call::Call;
use crate::clock;
use crate::problem::Failure;
use crate::show::{self, Ansi, DiffLimits, FileDiff};

/// Bytes of the output that a page shows.
const OUTPUT: usize = 256 * 1024;
/// Bytes of the log that a page shows from the start, and from the end.
const LOG_END: i64 = 128 * 1024;
/// Bytes of the log that a search looks through: all that is kept.
const SEARCHED: i64 = 8 * 1024 * 1024;
/// Lines that a search shows.
const HITS: usize = 200;
/// Bytes of the end of the log in which a phone finds its last lines, and how many those are.
const LAST_BYTES: i64 = 16 * 1024;
const LAST_LINES: usize = 20;
/// Bytes of diffs of a page, and files in the list beside them.
const DIFFS: i64 = 128 * 1024;
const LISTED: i64 = 1_000;
/// Rows of a diff that a page shows, and those that a phone shows before the tabs.
const DIFF_ROWS: usize = 3_000;
const SUMMARY_ROWS: usize = 60;

/// What the agent says it did.
pub(super) async fn output(call: &Call, page: &TaskPage) -> Result<Output, Failure> {
    let state = &page.task.state;
    let (id, attempt) = (state.id, state.attempt);
    let (output, pruning) = call
        .read(move |reads| {
            let output = reads.output(id, attempt)?;
            Ok((output, reads.pruning(id, attempt)?))
        })
        .await?;
    let pruning = pruning.filter(|_| !output.is_named);
    let output = output.bytes;
    let shown = output.get(..OUTPUT).unwrap_or(&output);
    Ok(Output {
        text: whole(shown),
        bytes: length(output.len()),
        hidden_bytes: length(output.len() - shown.len()),
        // without a named output it is made of the log, whose middle may be gone
        truncated: page.log.dropped_bytes > 0,
        pruned: pruning.map(pruned),
        raw: download(page, "output"),
    })
}

/// The log, and the number of the last entry in it, -1 for none.
pub(super) async fn logs(
    call: &Call,
    page: &TaskPage,
    query: &Fields,
) -> Result<(Logs, i64), Failure> {
    let (ends, pruning) = read_ends(call, page, LOG_END, LOG_END).await?;
    let last = ends
        .tail
        .last()
        .or(ends.head.last())
        .map_or(-1, |line| line.seq);
    let mut pens = Pens::default();
    let head = pens.chunks(&ends.head);
    // what lies between may have changed the colours
    let mut pens_of_tail = if ends.between_bytes + ends.dropped_bytes > 0 {
        Pens::default()
    } else {
        std::mem::take(&mut pens)
    };
    let mut tail = pens_of_tail.chunks(&ends.tail);
    let is_running = page.task.state.status == Status::Running;
    if !is_running {
        pens_of_tail.end(&mut tail);
    }
    let needle = query.owned("q");
    let logs = Logs {
        task_id: page.task.state.id.to_string(),
        head,
        gap: gap(&ends),
        tail,
        entries: page.log.entries,
        bytes: page.log.kept_bytes,
        escapes: pens.escapes + pens_of_tail.escapes,
        streaming: is_running,
        pruned: pruning.map(pruned),
        hits: if needle.is_empty() || pruning.is_some() {
            None
        } else {
            Some(hits(call, page, &needle).await?)
        },
        query: needle,
        raw: download(page, "logs"),
    };
    Ok((logs, last))
}

/// The last lines of the log, for a phone, or that they were pruned.
pub(super) async fn last_lines(
    call: &Call,
    page: &TaskPage,
) -> Result<(Vec<Chunk>, Option<Pruned>), Failure> {
    let (ends, pruning) = read_ends(call, page, 0, LAST_BYTES).await?;
    let lines = if ends.tail.is_empty() {
        ends.head
    } else {
        ends.tail
    };
    let chunks = Pens::default().chunks(&last_of(lines));
    Ok((chunks, pruning.map(pruned)))
}

/// The entries that hold the last lines, the first of them cut to where these begin.
fn last_of(entries: Vec<LogLine>) -> Vec<LogLine> {
    let mut wanted = LAST_LINES;
    let mut kept = Vec::new();
    for mut entry in entries.into_iter().rev() {
        let ends_line = entry.bytes.last() == Some(&b'\n') && kept.is_empty();
        let body = entry.bytes.len() - usize::from(ends_line);
        let breaks = entry.bytes.iter().take(body).enumerate().rev();
        let cut = breaks.filter(|(_, byte)| **byte == b'\n').nth(wanted - 1);
        let lines = entry
            .bytes
            .iter()
            .take(body)
            .filter(|byte| **byte == b'\n')
            .count();
        if let Some((at, _)) = cut {
            entry.bytes.drain(..=at);
            kept.push(entry);
            break;
        }
        wanted -= lines;
        kept.push(entry);
    }
    kept.reverse();
    kept
}

/// The two ends of the log; of one that was pruned, nothing and the fact that it was.
async fn read_ends(
    call: &Call,
    page: &TaskPage,
    head: i64,
    tail: i64,
) -> Result<(LogEnds, Option<Pruning>), Failure> {
    let state = &page.task.state;
    let (id, attempt) = (state.id, state.attempt);
    call.read(move |reads| {
        let ends = reads.log_ends(id, attempt, head, tail)?;
        Ok(match reads.pruning(id, attempt)? {
            None => (ends, None),
            pruning => (LogEnds::default(), pruning),
        })
    })
    .await
}

/// That bytes were given up, for those who look for them.
pub(super) fn pruned(pruning: Pruning) -> Pruned {
    Pruned {
        at: when(pruning.at, clock::now()),
        log_bytes: pruning.log_bytes,
        file_bytes: pruning.file_bytes,
    }
}

fn gap(ends: &LogEnds) -> Option<Gap> {
    (ends.between_bytes + ends.dropped_bytes > 0).then_some(Gap {
        kept: ends.between_bytes,
        dropped: ends.dropped_bytes,
    })
}

/// A text in terminal colours, with what its end cut off.
fn whole(bytes: &[u8]) -> show::Shown {
    let mut pen = Ansi::new();
    let mut shown = pen.feed(bytes);
    let rest = pen.finish();
    shown.runs.extend(rest.runs);
    shown.escapes += rest.escapes;
    shown
}

/// Draws the entries of a log, each stream with its own colours.
#[derive(Default)]
pub(super) struct Pens {
    stdout: Ansi,
    stderr: Ansi,
    agent: Ansi,
    pub(super) escapes: usize,
}

impl Pens {
    pub(super) fn chunks(&mut self, lines: &[LogLine]) -> Vec<Chunk> {
        lines.iter().map(|line| self.chunk(line)).collect()
    }

    /// Shows what the end of each stream cut off.
    fn end(&mut self, chunks: &mut Vec<Chunk>) {
        for (pen, stream) in [
            (&mut self.stdout, Stream::Stdout),
            (&mut self.stderr, Stream::Stderr),
            (&mut self.agent, Stream::Agent),
        ] {
            let rest = std::mem::take(pen).finish();
            if !rest.runs.is_empty() {
                self.escapes += rest.escapes;
                chunks.push(Chunk {
                    stream,
                    at: String::new(),
                    runs: rest.runs,
                });
            }
        }
    }

    fn chunk(&mut self, line: &LogLine) -> Chunk {
        let (pen, stream) = match line.stream {
            LogStream::Stdout => (&mut self.stdout, Stream::Stdout),
            LogStream::Stderr => (&mut self.stderr, Stream::Stderr),
            LogStream::Agent => (&mut self.agent, Stream::Agent),
        };
        let shown = pen.feed(&line.bytes);
        self.escapes += shown.escapes;
        Chunk {
            stream,
            at: line.at.to_string(),
            runs: shown.runs,
        }
    }
}

/// Looks for `needle`, without regard to case, in everything that is kept of the log.
async fn hits(call: &Call, page: &TaskPage, needle: &str) -> Result<Hits, Failure> {
    let (all, _) = read_ends(call, page, SEARCHED, SEARCHED).await?;
    let needle = search::lower(needle.as_bytes());
    let found = actix_web::web::block(move || find(&all, &needle));
    found.await.map_err(|_| Failure::internal())
}

fn find(ends: &LogEnds, needle: &str) -> Hits {
    let mut hits = Hits {
        count: 0,
        lines: Vec::new(),
        searched: None,
    };
    for (number, (stream, line)) in (1..).zip(lines(ends)) {
        let Some(hit) = search::first(&line, needle) else {
            continue;
        };
        hits.count += 1;
        if hits.lines.len() < HITS {
            hits.lines.push(Hit {
                line: number,
                stream,
                runs: search::shown(&line, hit),
            });
        }
    }
    hits
}

/// The lines of the log: entries of one stream one after the other form lines.
fn lines(ends: &LogEnds) -> Vec<(Stream, Vec<u8>)> {
    let mut open: HashMap<&'static str, (Stream, Vec<u8>)> = HashMap::new();
    let mut lines = Vec::new();
    for entry in ends.head.iter().chain(&ends.tail) {
        let stream = match entry.stream {
            LogStream::Stdout => Stream::Stdout,
            LogStream::Stderr => Stream::Stderr,
            LogStream::Agent => Stream::Agent,
        };
        for piece in entry.bytes.split_inclusive(|byte| *byte == b'\n') {
            let (_, line) = open.entry(stream.code()).or_insert((stream, Vec::new()));
            line.extend_from_slice(piece);
            if line.pop_if(|byte| *byte == b'\n').is_some() {
                lines.push((stream, std::mem::take(line)));
            }
        }
    }
    lines.extend(open.into_values().filter(|(_, line)| !line.is_empty()));
    lines
}

/// The changed files: a list of them, and diffs page by page.
pub(super) async fn files(call: &Call, page: &TaskPage, query: &Fields) -> Result<Files, Failure> {
    let state = &page.task.state;
    let (id, attempt) = (state.id, state.attempt);
    let after: Option<i64> = query.parsed("after");
    let (list, mut diffs, pruning) = call
        .read(move |reads| {
            let list = reads.file_list(id, attempt, None, LISTED)?;
            let diffs = reads.file_diffs(id, attempt, after, DIFFS)?;
            Ok((list, diffs, reads.pruning(id, attempt)?))
        })
        .await?;
    if pruning.is_some() {
        diffs.items.clear();
        diffs.next = None;
    }
    let split = query.text("view") == Some("split");
    let shown: Vec<FileDiffView> = diffs
        .items
        .iter()
        .map(|f| file(page, f, DIFF_ROWS))
        .collect();
    let address = |after: Option<&str>| files_address(page, split, after);
    let here: Vec<i64> = shown.iter().map(|file| file.n).collect();
    let mut before = None;
    let list_entries = list.items.iter().map(|summary| {
        let entry = entry(page, summary, split, &here, before);
        before = Some(summary.n);
        entry
    });
    Ok(Files {
        task_id: id.to_string(),
        split,
        list: list_entries.collect(),
        total: list.total,
        list_more: list.total - length(list.items.len()),
        pruned: pruning.map(pruned),
        escapes: shown
            .iter()
            .filter_map(|f| f.diff.as_ref())
            .map(|d| d.escapes)
            .sum(),
        diffs: shown,
        next: diffs.next.as_deref().map(|next| address(Some(next))),
        first: after.is_some().then(|| address(None)),
    })
}

fn files_address(page: &TaskPage, split: bool, after: Option<&str>) -> String {
    let task = task_address(page.task.state.id);
    let view = if split { "&view=split" } else { "" };
    let after = after
        .map(|after| format!("&after={after}"))
        .unwrap_or_default();
    format!("{task}?tab=files{view}{after}")
}

/// An entry of the list. It leads to the diff on this page, or to the page that begins with it.
fn entry(
    page: &TaskPage,
    file: &FileSummary,
    split: bool,
    here: &[i64],
    before: Option<i64>,
) -> FileEntry {
    let anchor = format!("#file-{}", file.n);
    let href = if here.contains(&file.n) {
        anchor
    } else {
        let before = before.map(|n| n.to_string());
        format!("{}{anchor}", files_address(page, split, before.as_deref()))
    };
    let shape = Shape {
        old_mode: file.old_mode.as_deref(),
        mode: file.mode.as_deref(),
        is_binary: file.is_binary,
        is_cut: file.truncated,
        // counted where the diff is shown
        escapes: 0,
    };
    let (added, removed) = line_counts(file.added, file.removed, file.is_binary);
    FileEntry {
        href,
        path: show::line_bytes(&file.path),
        change: change(file.change),
        added,
        removed,
        callouts: callouts(&shape),
    }
}

/// The first file that has a diff, for a phone.
pub(super) async fn first_diff(
    call: &Call,
    page: &TaskPage,
) -> Result<Option<FileDiffView>, Failure> {
    let state = &page.task.state;
    let (id, attempt) = (state.id, state.attempt);
    if page.summary.files == 0 || page.pruning.is_some() {
        return Ok(None);
    }
    let files = call
        .read(move |reads| reads.file_diffs(id, attempt, None, DIFFS))
        .await?;
    let first = files.items.iter().find(|file| file.diff.is_some());
    Ok(first.map(|first| file(page, first, SUMMARY_ROWS)))
}

fn file(page: &TaskPage, file: &FileView, rows: usize) -> FileDiffView {
    let limits = DiffLimits {
        rows,
        ..DiffLimits::default()
    };
    let diff = file.diff.as_deref().map(|diff| show::diff(diff, limits));
    let is_binary = file.is_binary || diff.as_ref().is_some_and(|diff| diff.is_binary);
    let shape = Shape {
        old_mode: file.old_mode.as_deref(),
        mode: file.mode.as_deref(),
        is_binary,
        is_cut: file.truncated,
        escapes: diff.as_ref().map_or(0, |diff| diff.escapes),
    };
    let added = diff.as_ref().map(|diff| length(diff.added));
    let removed = diff.as_ref().map(|diff| length(diff.removed));
    let (added, removed) = line_counts(added, removed, is_binary);
    let raw = |what: &str| download(page, &format!("files/{}/{what}", file.n));
    FileDiffView {
        n: file.n,
        path: show::line_bytes(&file.path),
        old_path: file.old_path.as_deref().map(show::line_bytes),
        change: change(file.change),
        callouts: callouts(&shape),
        added,
        removed,
        note: note(diff.as_ref(), is_binary),
        raw: file.content.is_some().then(|| raw("raw")),
        raw_diff: file.diff.is_some().then(|| raw("diff")),
        diff,
    }
}

/// The lines to name. A binary file has none, unless its diff has some all the same.
fn line_counts(
    added: Option<i64>,
    removed: Option<i64>,
    is_binary: bool,
) -> (Option<i64>, Option<i64>) {
    if is_binary && added.unwrap_or(0) == 0 && removed.unwrap_or(0) == 0 {
        (None, None)
    } else {
        (added, removed)
    }
}

/// Why there is nothing to see, or how much of it is hidden.
fn note(diff: Option<&FileDiff>, is_binary: bool) -> Option<String> {
    let Some(diff) = diff else {
        let why = if is_binary {
            "A binary file: there are no lines to compare."
        } else {
            "The desktop sent no diff of this file."
        };
        return Some(why.to_owned());
    };
    (diff.hidden_rows > 0).then(|| {
        let rows = count(diff.hidden_rows, "line is", "lines are");
        format!(
            "{rows} not shown here: the diff has {} bytes more.",
            number(length(diff.hidden_bytes))
        )
    })
}

/// The call of the REST API that gives the whole.
fn download(page: &TaskPage, what: &str) -> String {
    format!("/api/mission-control/tasks/{}/{what}", page.task.state.id)
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use approval_core::Timestamp;

    use super::*;

    fn entry(seq: i64, text: &str) -> LogLine {
        LogLine {
            seq,
            stream: LogStream::Stdout,
            at: Timestamp::from_micros(0),
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn text_of(entries: &[LogLine]) -> String {
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.bytes.clone())
            .collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_last_twenty_lines_are_found_across_entries() {
        let text = |numbers: std::ops::Range<i64>| {
            let lines: Vec<String> = numbers.map(|n| format!("line {n}\n")).collect();
            lines.concat()
        };
        let (all, wanted) = (text(0..50), text(30..50));
        for size in [1, 7, 64, 1_000] {
            let pieces = all.as_bytes().chunks(size).enumerate();
            let entries = pieces
                .map(|(n, piece)| entry(length(n), std::str::from_utf8(piece).expect("text")));
            assert_eq!(text_of(&last_of(entries.collect())), wanted, "{size}");
        }
        assert_eq!(text_of(&last_of(vec![entry(0, "a\nb")])), "a\nb");
    }

    #[test]
    fn a_search_finds_lines_that_entries_tear_apart() {
        let ends = LogEnds {
            head: vec![entry(0, "one\ntwo DEP"), entry(1, "LOYED ok\nthree")],
            ..LogEnds::default()
        };
        let hits = find(&ends, "deployed");
        assert_eq!(hits.count, 1);
        assert_eq!(hits.lines[0].line, 2);
        let marked: Vec<_> = hits.lines[0]
            .runs
            .iter()
            .map(|r| (&*r.class, &*r.text))
            .collect();
        assert_eq!(marked, [("", "two "), ("mark", "DEPLOYED"), ("", " ok")]);
        assert_eq!(find(&ends, "absent").count, 0);
    }
}
