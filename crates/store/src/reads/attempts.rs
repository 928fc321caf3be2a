//! What an attempt left behind: output, log, files, evidence.

use std::collections::HashMap;

use approval_core::{
    ChangeKind, Digest, EvidenceFile, LogStream, LogSummary, Part, PathText, TaskId, TextPart,
    Timestamp, log_digest,
};
use base64::Engine;
use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl};

use super::tasks::is_visible;
use super::{Reads, Scope, cut};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored, stored_option};
use crate::pool::ReadError;
use crate::prepare::Prepared;
use crate::rows::small;
use crate::schema::{evidence, file_bytes, files, log_entries, task_contents, tasks, uploads};
use crate::views::{
    self, AttemptView, FilePart, FileSummary, FileView, LogEnds, LogLine, Page, TaskOutput,
};

/// The most bytes of diffs in one page of changed files, unless a single one has more.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

/// A row of `files` without the bytes.
type FileRow = (
    i64,
    Vec<u8>,
    Option<Vec<u8>>,
    String,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<String>,
    bool,
    Option<bool>,
);

/// The columns of [`FileRow`].
macro_rules! file_columns {
    () => {
        (
            files::n,
            files::path,
            files::old_path,
            files::change,
            files::mode,
            files::old_mode,
            files::diff_size,
            files::diff_sha256,
            files::content_size,
            files::content_sha256,
            files::truncated,
            files::is_binary,
        )
    };
}
impl Reads<'_> {
    /// The attempt that a task's sub-resources show; `None` outside the scope.
    pub fn attempt(
        &mut self,
        scope: Scope,
        task: TaskId,
    ) -> Result<Option<AttemptView>, ReadError> {
        self.snapshot(|conn| {
            if !is_visible(conn, scope, task)? {
                return Ok(None);
            }
            let (status, attempt): (String, i64) = on_db!(conn, |c| tasks::table
                .find(task.to_string())
                .select((tasks::status, tasks::attempt))
                .first(c))?;
            Ok(Some(AttemptView {
                status: stored(&status)?,
                attempt: small(attempt)?,
            }))
        })
    }

    /// The output the runner named, or else the standard output of the kept log.
    pub fn output(&mut self, task: TaskId, attempt: u32) -> Result<TaskOutput, ReadError> {
        self.snapshot(|conn| {
            let named: Option<Option<Vec<u8>>> = on_db!(conn, |c| evidence::table
                .find((task.to_string(), i64::from(attempt)))
                .select(evidence::output)
                .first(c)
                .optional())?;
            let is_named = named.as_ref().is_some_and(Option::is_some);
            let bytes = match named.flatten() {
                Some(output) => output,
                None => stdout(conn, task, attempt)?,
            };
            Ok(TaskOutput { bytes, is_named })
        })
    }

    /// Kept log entries with a number above `after`, in order.
    pub fn logs(
        &mut self,
        task: TaskId,
        attempt: u32,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LogLine>, ReadError> {
        Ok(log_lines(self.conn, task, attempt, after, limit)?)
    }

    /// How many log entries are kept.
    pub fn log_total(&mut self, task: TaskId, attempt: u32) -> Result<i64, ReadError> {
        let total = on_db!(self.conn, |c| log_entries::table
            .filter(log_entries::task_id.eq(task.to_string()))
            .filter(log_entries::attempt.eq(i64::from(attempt)))
            .count()
            .get_result(c));
        Ok(total.map_err(Fault::from)?)
    }

    /// The changed files in the order of the bytes of their paths, from the one that follows the
    /// file with the number `after`: as many as have 4 MiB of diffs together, at least
    /// one. An attempt may hold 200 MiB of diffs, more than one answer should.
    pub fn files(
        &mut self,
        task: TaskId,
        attempt: u32,
        after: Option<i64>,
    ) -> Result<Page<FileView>, ReadError> {
        self.snapshot(|conn| files_page(conn, task, attempt, after, PAGE_BYTES))
    }

    /// Changed files without their bytes, in the order of the bytes of their paths, from the one
    /// that follows the file with the number `after`.
    pub fn file_list(
        &mut self,
        task: TaskId,
        attempt: u32,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Page<FileSummary>, ReadError> {
        self.snapshot(|conn| {
            let mut rows = file_summaries(conn, task, attempt)?;
            let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            rows.sort_by(|a, b| a.path.cmp(&b.path));
            let first = position_after(rows.iter().map(|row| row.n), after);
            let mut items = rows.split_off(first.min(rows.len()));
            let next = cut(&mut items, limit, |row| row.n.to_string());
            Ok(Page { items, total, next })
        })
    }

    /// As [`Self::files`], with as many as have `max_bytes` of diffs together, at least one.
    pub fn file_diffs(
        &mut self,
        task: TaskId,
        attempt: u32,
        after: Option<i64>,
        max_bytes: i64,
    ) -> Result<Page<FileView>, ReadError> {
        self.snapshot(|conn| files_page(conn, task, attempt, after, max_bytes))
    }

    /// The two ends of a log: entries from the start until they have `head` bytes, and up to the
    /// end from where they have `tail`; at least one each unless `0` bytes are asked for.
    pub fn log_ends(
        &mut self,
        task: TaskId,
        attempt: u32,
        head: i64,
        tail: i64,
    ) -> Result<LogEnds, ReadError> {
        // one snapshot: the middle of a log that still grows goes away between two
        self.snapshot(|conn| {
            let sizes: Vec<(i64, i64)> = on_db!(conn, |c| log_entries::table
                .filter(log_entries::task_id.eq(task.to_string()))
                .filter(log_entries::attempt.eq(i64::from(attempt)))
                .order(log_entries::seq)
                .select((log_entries::seq, log_entries::size))
                .load(c))?;
            let dropped_bytes = dropped_bytes(conn, task, attempt)?;
            let first = fitting(sizes.iter(), head);
            let last = fitting(sizes.iter().rev(), tail);
            if first + last >= sizes.len() && head > 0 {
                return Ok(LogEnds {
                    head: log_lines(conn, task, attempt, -1, i64::MAX)?,
                    dropped_bytes,
                    ..LogEnds::default()
                });
            }
            let last = last.min(sizes.len() - first);
            let between = sizes.get(first..sizes.len() - last).unwrap_or_default();
            let before_tail = sizes
                .len()
                .checked_sub(last + 1)
                .and_then(|at| sizes.get(at))
                .map_or(-1, |(seq, _)| *seq);
            let count = |entries: usize| i64::try_from(entries).unwrap_or(i64::MAX);
            Ok(LogEnds {
                head: log_lines(conn, task, attempt, -1, count(first))?,
                tail: log_lines(conn, task, attempt, before_tail, count(last))?,
                between_bytes: between.iter().map(|(_, size)| size).sum(),
                dropped_bytes,
            })
        })
    }

    /// A part of a changed file, if it was sent.
    pub fn file_part(
        &mut self,
        task: TaskId,
        attempt: u32,
        n: i64,
        part: FilePart,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let bytes = on_db!(self.conn, |c| file_bytes::table
            .find((task.to_string(), i64::from(attempt), n, part.as_str()))
            .select(file_bytes::bytes)
            .first(c)
            .optional());
        Ok(bytes.map_err(Fault::from)?)
    }

    /// Whether a part of a changed file was sent, be it pruned since or not.
    pub fn was_sent(
        &mut self,
        task: TaskId,
        attempt: u32,
        n: i64,
        part: FilePart,
    ) -> Result<bool, ReadError> {
        let sizes: Option<(Option<i64>, Option<i64>)> = on_db!(self.conn, |c| files::table
            .find((task.to_string(), i64::from(attempt), n))
            .select((files::diff_size, files::content_size))
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        let (diff, content) = sizes.unwrap_or_default();
        Ok(match part {
            FilePart::Diff => diff.is_some(),
            FilePart::Content => content.is_some(),
        })
    }

    /// The sealed evidence: exactly the bytes that were hashed.
    pub fn evidence(&mut self, task: TaskId, attempt: u32) -> Result<Option<String>, ReadError> {
        let manifest = on_db!(self.conn, |c| evidence::table
            .find((task.to_string(), i64::from(attempt)))
            .select(evidence::manifest)
            .first(c)
            .optional());
        Ok(manifest.map_err(Fault::from)?)
    }

    /// What the current attempt of a task holds, hashed; `None` when there is no such task.
    pub(crate) fn prepare(
        &mut self,
        task: TaskId,
        output: Option<Part>,
    ) -> Result<Option<Prepared>, ReadError> {
        self.snapshot(|conn| {
            let row: Option<(i64, String)> = on_db!(conn, |c| tasks::table
                .inner_join(task_contents::table.on(task_contents::task_id.eq(tasks::id)))
                .filter(tasks::id.eq(task.to_string()))
                .select((tasks::attempt, task_contents::content))
                .first(c)
                .optional())?;
            let Some((attempt, content)) = row else {
                return Ok(None);
            };
            let attempt = small(attempt)?;
            let uploaded: Option<(i64, i64)> = on_db!(conn, |c| uploads::table
                .find((task.to_string(), i64::from(attempt)))
                .select((uploads::version, uploads::log_dropped_bytes))
                .first(c)
                .optional())?;
            let (version, dropped_bytes) = uploaded.unwrap_or_default();
            let output = match output {
                Some(part) => TextPart {
                    part,
                    truncated: false,
                },
                None => TextPart {
                    part: Part::of(&stdout(conn, task, attempt)?),
                    truncated: dropped_bytes > 0,
                },
            };
            Ok(Some(Prepared {
                attempt,
                version,
                content_sha256: Digest::of(content.as_bytes()),
                logs: log_summary(conn, task, attempt, dropped_bytes)?,
                output,
                files: evidence_files(conn, task, attempt)?,
            }))
        })
    }
}

/// Kept log entries with a number above `after`, in order.
fn log_lines(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    after: i64,
    limit: i64,
) -> Result<Vec<LogLine>, Fault> {
    let rows: Vec<(i64, String, i64, Vec<u8>)> = on_db!(conn, |c| log_entries::table
        .filter(log_entries::task_id.eq(task.to_string()))
        .filter(log_entries::attempt.eq(i64::from(attempt)))
        .filter(log_entries::seq.gt(after))
        .order(log_entries::seq)
        .limit(limit)
        .select((
            log_entries::seq,
            log_entries::stream,
            log_entries::at,
            log_entries::bytes
        ))
        .load(c))?;
    let lines = rows.into_iter().map(|(seq, stream, at, bytes)| {
        Ok(LogLine {
            seq,
            stream: stored(&stream)?,
            at: Timestamp::from_micros(at),
            bytes,
        })
    });
    lines.collect()
}

/// A page of changed files that has at most `max_bytes` of diffs, or one file.
fn files_page(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    after: Option<i64>,
    max_bytes: i64,
) -> Result<Page<FileView>, Fault> {
    let mut rows = file_rows(conn, task, attempt)?;
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    let first = position_after(rows.iter().map(|row| row.0), after);
    let mut rows = rows.split_off(first.min(rows.len()));
    let rest = rows.split_off(page_length(&rows, max_bytes));
    let next = rows.last().filter(|_| !rest.is_empty());
    let next = next.map(|row| row.0.to_string());
    let mut diffs = diffs(conn, task, attempt, &rows)?;
    let items = rows
        .into_iter()
        .map(|row| {
            let diff = diffs.remove(&row.0);
            file_view(row, diff)
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Page { items, total, next })
}

/// Where a list goes on behind the number `after`; at its end when nothing has that number.
fn position_after(mut numbers: impl Iterator<Item = i64>, after: Option<i64>) -> usize {
    after.map_or(0, |after| {
        let found = numbers.position(|n| n == after);
        found.map_or(usize::MAX, |found| found + 1)
    })
}

/// How many entries, in this order, have `limit` bytes together: at least one, unless none is
/// asked for.
fn fitting<'a>(sizes: impl Iterator<Item = &'a (i64, i64)>, limit: i64) -> usize {
    let mut bytes = 0;
    let fitting = sizes.take_while(|(_, size)| {
        let is_first = bytes == 0;
        bytes += size.max(&1);
        limit > 0 && (is_first || bytes <= limit)
    });
    fitting.count()
}

/// How much of the log of an attempt there is.
pub(super) fn kept_log(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
) -> Result<views::LogSummary, Fault> {
    let kept: Option<(i64, i64, i64)> = on_db!(conn, |c| uploads::table
        .find((task.to_string(), i64::from(attempt)))
        .select((
            uploads::log_head_bytes,
            uploads::log_tail_bytes,
            uploads::log_dropped_bytes
        ))
        .first(c)
        .optional())?;
    let entries = on_db!(conn, |c| log_entries::table
        .filter(log_entries::task_id.eq(task.to_string()))
        .filter(log_entries::attempt.eq(i64::from(attempt)))
        .count()
        .get_result(c))?;
    let (head, tail, dropped_bytes) = kept.unwrap_or_default();
    Ok(views::LogSummary {
        entries,
        kept_bytes: head + tail,
        dropped_bytes,
    })
}

fn dropped_bytes(conn: &mut Conn, task: TaskId, attempt: u32) -> Result<i64, Fault> {
    let dropped: Option<i64> = on_db!(conn, |c| uploads::table
        .find((task.to_string(), i64::from(attempt)))
        .select(uploads::log_dropped_bytes)
        .first(c)
        .optional())?;
    Ok(dropped.unwrap_or(0))
}

fn file_summaries(conn: &mut Conn, task: TaskId, attempt: u32) -> Result<Vec<FileSummary>, Fault> {
    #[expect(clippy::type_complexity, reason = "one row of one query")]
    let rows: Vec<(
        i64,
        Vec<u8>,
        String,
        Option<String>,
        Option<String>,
        Option<i64>,
        Option<i64>,
        bool,
        Option<bool>,
    )> = on_db!(conn, |c| files::table
        .filter(files::task_id.eq(task.to_string()))
        .filter(files::attempt.eq(i64::from(attempt)))
        .order(files::n)
        .select((
            files::n,
            files::path,
            files::change,
            files::mode,
            files::old_mode,
            files::added_lines,
            files::removed_lines,
            files::truncated,
            files::is_binary,
        ))
        .load(c))?;
    let summaries = rows.into_iter().map(
        |(n, path, change, mode, old_mode, added, removed, truncated, is_binary)| {
            Ok(FileSummary {
                n,
                path,
                change: stored(&change)?,
                mode,
                old_mode,
                added,
                removed,
                is_binary: is_binary.unwrap_or(false),
                truncated,
            })
        },
    );
    summaries.collect()
}

fn stdout(conn: &mut Conn, task: TaskId, attempt: u32) -> Result<Vec<u8>, Fault> {
    let entries: Vec<Vec<u8>> = on_db!(conn, |c| log_entries::table
        .filter(log_entries::task_id.eq(task.to_string()))
        .filter(log_entries::attempt.eq(i64::from(attempt)))
        .filter(log_entries::stream.eq(LogStream::Stdout.as_str()))
        .order(log_entries::seq)
        .select(log_entries::bytes)
        .load(c))?;
    Ok(entries.concat())
}

fn log_summary(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    dropped_bytes: i64,
) -> Result<LogSummary, Fault> {
    let rows: Vec<(i64, String, i64, i64, String)> = on_db!(conn, |c| log_entries::table
        .filter(log_entries::task_id.eq(task.to_string()))
        .filter(log_entries::attempt.eq(i64::from(attempt)))
        .order(log_entries::seq)
        .select((
            log_entries::seq,
            log_entries::stream,
            log_entries::at,
            log_entries::size,
            log_entries::sha256,
        ))
        .load(c))?;
    let bytes: i64 = rows.iter().map(|row| row.3).sum();
    let entries = rows.len() as u64;
    let parsed = rows
        .into_iter()
        .map(|(seq, stream, at, _, sha256)| {
            Ok((
                seq,
                stored(&stream)?,
                Timestamp::from_micros(at),
                stored(&sha256)?,
            ))
        })
        .collect::<Result<Vec<(i64, LogStream, Timestamp, Digest)>, Fault>>()?;
    Ok(LogSummary {
        entries,
        bytes: bytes.unsigned_abs(),
        dropped_bytes: dropped_bytes.unsigned_abs(),
        sha256: log_digest(parsed),
    })
}

fn evidence_files(conn: &mut Conn, task: TaskId, attempt: u32) -> Result<Vec<EvidenceFile>, Fault> {
    let rows = file_rows(conn, task, attempt)?;
    rows.into_iter().map(evidence_file).collect()
}

fn file_rows(conn: &mut Conn, task: TaskId, attempt: u32) -> Result<Vec<FileRow>, Fault> {
    Ok(on_db!(conn, |c| files::table
        .filter(files::task_id.eq(task.to_string()))
        .filter(files::attempt.eq(i64::from(attempt)))
        .order(files::n)
        .select(file_columns!())
        .load(c))?)
}

/// How many of the first `rows` fit into a page: those whose diffs fit, at least one.
fn page_length(rows: &[FileRow], max_bytes: i64) -> usize {
    let mut bytes = 0;
    let fitting = rows.iter().take_while(|row| {
        bytes += row.6.unwrap_or_default();
        bytes <= max_bytes
    });
    fitting.count().max(1).min(rows.len())
}

/// The diffs of changed files by the number of the file.
fn diffs(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    rows: &[FileRow],
) -> Result<HashMap<i64, Vec<u8>>, Fault> {
    let with_diff = rows.iter().filter(|row| row.6.is_some());
    let numbers: Vec<i64> = with_diff.map(|row| row.0).collect();
    let diffs: Vec<(i64, Vec<u8>)> = on_db!(conn, |c| file_bytes::table
        .filter(file_bytes::task_id.eq(task.to_string()))
        .filter(file_bytes::attempt.eq(i64::from(attempt)))
        .filter(file_bytes::part.eq("diff"))
        .filter(file_bytes::n.eq_any(&numbers))
        .select((file_bytes::n, file_bytes::bytes))
        .load(c))?;
    Ok(diffs.into_iter().collect())
}

fn evidence_file(row: FileRow) -> Result<EvidenceFile, Fault> {
    let (
        _,
        path,
        old_path,
        change,
        mode,
        old_mode,
        diff_size,
        diff_sha256,
        content_size,
        content_sha256,
        truncated,
        _,
    ) = row;
    Ok(EvidenceFile {
        path: path_text(path),
        old_path: old_path.map(path_text),
        change: stored(&change)?,
        mode,
        old_mode,
        diff: part(diff_size, diff_sha256.as_deref())?,
        content: part(content_size, content_sha256.as_deref())?,
        truncated,
    })
}

fn file_view(row: FileRow, diff: Option<Vec<u8>>) -> Result<FileView, Fault> {
    let (n, path, old_path, change, mode, old_mode, _, _, size, sha256, truncated, is_binary) = row;
    Ok(FileView {
        n,
        path,
        old_path,
        change: stored::<ChangeKind>(&change)?,
        mode,
        old_mode,
        diff,
        content: part(size, sha256.as_deref())?,
        is_binary: is_binary.unwrap_or(false),
        truncated,
    })
}

fn part(size: Option<i64>, sha256: Option<&str>) -> Result<Option<Part>, Fault> {
    let sha256 = stored_option(sha256)?;
    Ok(size.zip(sha256).map(|(size, sha256)| Part {
        bytes: size.unsigned_abs(),
        sha256,
    }))
}

/// A path as the evidence names it: text where it is UTF-8.
fn path_text(bytes: Vec<u8>) -> PathText {
    match String::from_utf8(bytes) {
        Ok(text) => PathText::Text(text),
        Err(error) => {
            let bytes = error.into_bytes();
            let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
            PathText::Base64 { bytes, base64 }
        }
    }
}
