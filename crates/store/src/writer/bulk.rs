//! Uploads of a runner: log entries and changed files, written after the decisions of a batch.
//!
//! The lease was checked by then; what is checked here are the limits of contract section 5.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use approval_core::{AccountId, Canonical, Digest, Invalid, Refusal, TaskId};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::world::{Bulk, World};
use crate::command::{Change, FileUpload, LogUpload, SubmitError};
use crate::connection::{Conn, on_db};
use crate::dialect::{Cell, Kind, Target};
use crate::fault::{Fault, stored};
use crate::ranges::{MAX_RANGES, Ranges};
use crate::rows::{int, text, text_option, time};
use crate::schema::{files, log_entries, uploads};

use Kind::{Bool, Bytes, Int, Text};

/// The numbers a log entry can have: they are written into the evidence, exactly.
const LOG_NUMBERS: RangeInclusive<i64> = 0..=Canonical::MAX_INT;
/// Bytes kept from the start of a log, and as many from its end.
const LOG_KEPT: i64 = 4 << 20;
/// Most paths of an attempt.
const MAX_FILES: i64 = 10_000;
/// Most bytes of one content or diff.
const MAX_CONTENT: u64 = 10 << 20;
/// Most bytes of all contents and diffs of an attempt.
const MAX_FILE_BYTES: i64 = 200 << 20;
/// How many entries of the tail are looked at a time when room is made.
const EVICT_AT_A_TIME: i64 = 256;

const UPLOADS: Target = Target {
    table: "uploads",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("account_id", Text),
        ("version", Int),
        ("log_received", Text),
        ("log_head_open", Bool),
        ("log_head_bytes", Int),
        ("log_tail_bytes", Int),
        ("log_dropped_bytes", Int),
        ("file_count", Int),
        ("file_bytes", Int),
    ],
    keys: 2,
};

const LOG_ENTRIES: Target = Target {
    table: "log_entries",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("seq", Int),
        ("account_id", Text),
        ("stream", Text),
        ("at", Int),
        ("in_tail", Bool),
        ("size", Int),
        ("sha256", Text),
        ("bytes", Bytes),
    ],
    keys: 3,
};

const LOG_KEYS: Target = Target {
    table: "log_entries",
    columns: &[("task_id", Text), ("attempt", Int), ("seq", Int)],
    keys: 3,
};

const FILES: Target = Target {
    table: "files",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("n", Int),
        ("account_id", Text),
        ("path", Bytes),
        ("path_sha256", Text),
        ("old_path", Bytes),
        ("change", Text),
        ("mode", Text),
        ("old_mode", Text),
        ("diff_size", Int),
        ("diff_sha256", Text),
        ("content_size", Int),
        ("content_sha256", Text),
        ("truncated", Bool),
        ("added_lines", Int),
        ("removed_lines", Int),
        ("is_binary", Bool),
    ],
    keys: 3,
};

const FILE_BYTES: Target = Target {
    table: "file_bytes",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("n", Int),
        ("part", Text),
        ("account_id", Text),
        ("bytes", Bytes),
    ],
    keys: 4,
};

const FILE_KEYS: Target = Target {
    table: "file_bytes",
    columns: &[("task_id", Text), ("attempt", Int), ("n", Int)],
    keys: 3,
};

/// The bookkeeping of an attempt's uploads.
struct Uploads {
    exists: bool,
    version: i64,
    received: Ranges,
    head_open: bool,
    head_bytes: i64,
    tail_bytes: i64,
    dropped_bytes: i64,
    file_count: i64,
    file_bytes: i64,
}

/// An attempt and whose it is.
#[derive(Clone, Copy)]
struct Attempt {
    account: AccountId,
    task: TaskId,
    number: u32,
}

/// Writes one upload, or refuses it and writes nothing.
pub(super) fn write(
    conn: &mut Conn,
    world: &mut World,
    account: AccountId,
    bulk: &Bulk<'_>,
) -> Result<Result<(), SubmitError>, Fault> {
    let (Bulk::Logs { lease, .. } | Bulk::Files { lease, .. }) = bulk;
    let Ok(entry) = world.task(account, lease.task) else {
        return Ok(Err(Refusal::NotFound("task").into()));
    };
    let attempt = Attempt {
        account,
        task: lease.task,
        number: entry.task.attempt,
    };
    let uploads = load(conn, attempt)?;
    let refused = match bulk {
        Bulk::Logs { entries, .. } => append_logs(conn, attempt, uploads, entries)?,
        Bulk::Files { files, .. } => add_files(conn, attempt, uploads, files)?,
    };
    if let Some(refusal) = refused {
        return Ok(Err(refusal.into()));
    }
    world.changes.push(Change::Uploaded { task: lease.task });
    Ok(Ok(()))
}

#[expect(clippy::type_complexity, reason = "one row of one query")]
fn load(conn: &mut Conn, attempt: Attempt) -> Result<Uploads, Fault> {
    let row: Option<(i64, String, bool, i64, i64, i64, i64, i64)> =
        on_db!(conn, |c| uploads::table
            .filter(uploads::task_id.eq(attempt.task.to_string()))
            .filter(uploads::attempt.eq(i64::from(attempt.number)))
            .filter(uploads::account_id.eq(attempt.account.to_string()))
            .select((
                uploads::version,
                uploads::log_received,
                uploads::log_head_open,
                uploads::log_head_bytes,
                uploads::log_tail_bytes,
                uploads::log_dropped_bytes,
                uploads::file_count,
                uploads::file_bytes,
            ))
            .first(c)
            .optional())?;
    Ok(match row {
        None => Uploads {
            exists: false,
            version: 0,
            received: Ranges::default(),
            head_open: true,
            head_bytes: 0,
            tail_bytes: 0,
            dropped_bytes: 0,
            file_count: 0,
            file_bytes: 0,
        },
        Some((
            version,
            received,
            head_open,
            head_bytes,
            tail_bytes,
            dropped_bytes,
            file_count,
            file_bytes,
        )) => Uploads {
            exists: true,
            version,
            received: stored(&received)?,
            head_open,
            head_bytes,
            tail_bytes,
            dropped_bytes,
            file_count,
            file_bytes,
        },
    })
}

fn save(conn: &mut Conn, attempt: Attempt, uploads: &Uploads) -> Result<(), Fault> {
    let row = vec![
        text(attempt.task),
        int(attempt.number),
        text(attempt.account),
        int(uploads.version + 1),
        text(&uploads.received),
        Cell::Bool(uploads.head_open),
        int(uploads.head_bytes),
        int(uploads.tail_bytes),
        int(uploads.dropped_bytes),
        int(uploads.file_count),
        int(uploads.file_bytes),
    ];
    if uploads.exists {
        UPLOADS.update(conn, vec![row])?;
    } else {
        UPLOADS.insert(conn, vec![row])?;
    }
    Ok(())
}

/// Adds the entries that are new. The first 4 MiB stay; behind them the newest 4 MiB do, and what
/// falls out between is counted.
fn append_logs(
    conn: &mut Conn,
    attempt: Attempt,
    mut uploads: Uploads,
    entries: &[LogUpload],
) -> Result<Option<Refusal>, Fault> {
    if let Some(entry) = entries.iter().find(|e| !LOG_NUMBERS.contains(&e.seq)) {
        return Ok(Some(wrong_number(format!(
            "is {}, allowed are 0 to {}",
            entry.seq,
            Canonical::MAX_INT
        ))));
    }
    let mut rows = Vec::new();
    for entry in entries {
        if !uploads.received.insert(entry.seq) {
            continue;
        }
        let size = length(&entry.bytes);
        uploads.head_open &= uploads.head_bytes + size <= LOG_KEPT;
        if uploads.head_open {
            uploads.head_bytes += size;
        } else {
            uploads.tail_bytes += size;
        }
        rows.push(log_row(attempt, entry, !uploads.head_open));
    }
    if uploads.received.pieces() > MAX_RANGES {
        return Ok(Some(wrong_number(format!(
            "leaves more than {MAX_RANGES} gaps; send entries in order"
        ))));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    LOG_ENTRIES.insert(conn, rows)?;
    evict(conn, attempt, &mut uploads)?;
    save(conn, attempt, &uploads)?;
    Ok(None)
}

fn wrong_number(reason: String) -> Refusal {
    Refusal::Invalid {
        what: Invalid::Logs,
        field: "seq",
        reason,
    }
}

fn log_row(attempt: Attempt, entry: &LogUpload, in_tail: bool) -> Vec<Cell> {
    vec![
        text(attempt.task),
        int(attempt.number),
        int(entry.seq),
        text(attempt.account),
        text(entry.stream),
        time(entry.at),
        Cell::Bool(in_tail),
        int(length(&entry.bytes)),
        text(entry.sha256),
        Cell::Bytes(Some(entry.bytes.clone())),
    ]
}

/// Drops the oldest entries of the tail until it fits.
fn evict(conn: &mut Conn, attempt: Attempt, uploads: &mut Uploads) -> Result<(), Fault> {
    while uploads.tail_bytes > LOG_KEPT {
        let oldest: Vec<(i64, i64)> = on_db!(conn, |c| log_entries::table
            .filter(log_entries::task_id.eq(attempt.task.to_string()))
            .filter(log_entries::attempt.eq(i64::from(attempt.number)))
            .filter(log_entries::in_tail.eq(true))
            .order(log_entries::seq)
            .limit(EVICT_AT_A_TIME)
            .select((log_entries::seq, log_entries::size))
            .load(c))?;
        if oldest.is_empty() {
            return Err(Fault::Corrupt(format!(
                "the log tail of {} is not what was counted",
                attempt.task
            )));
        }
        let mut dropped = Vec::new();
        for (seq, size) in oldest {
            if uploads.tail_bytes <= LOG_KEPT {
                break;
            }
            uploads.tail_bytes -= size;
            uploads.dropped_bytes += size;
            dropped.push(vec![text(attempt.task), int(attempt.number), int(seq)]);
        }
        LOG_KEYS.delete(conn, dropped)?;
    }
    Ok(())
}

/// Adds files; a path that was sent before takes the place of its earlier version.
fn add_files(
    conn: &mut Conn,
    attempt: Attempt,
    mut uploads: Uploads,
    files: &[FileUpload],
) -> Result<Option<Refusal>, Fault> {
    // the last of several with one path wins, also within one request
    let mut last: HashMap<Digest, &FileUpload> = HashMap::new();
    for file in files {
        last.insert(Digest::of(file.path.bytes()), file);
    }
    let known = known_files(conn, attempt, &last)?;
    let mut plan = Vec::new();
    for file in files {
        let path = Digest::of(file.path.bytes());
        let Some(file) = last.remove(&path) else {
            continue;
        };
        let (n, replaced) = if let Some((n, size)) = known.get(&path) {
            (*n, Some(*size))
        } else {
            uploads.file_count += 1;
            (uploads.file_count, None)
        };
        uploads.file_bytes += size_of(file) - replaced.unwrap_or(0);
        if let Some(refusal) = over_limits(&uploads, file) {
            return Ok(Some(refusal));
        }
        plan.push((n, replaced.is_some(), path, file));
    }
    if plan.is_empty() {
        return Ok(None);
    }
    let rows = |replace: bool| {
        let rows = plan
            .iter()
            .filter(move |(_, replaced, ..)| *replaced == replace);
        rows.map(|(n, _, path, file)| file_row(attempt, *n, *path, file))
            .collect::<Vec<_>>()
    };
    let replaced = plan.iter().filter(|(_, replaced, ..)| *replaced);
    let replaced = replaced.map(|(n, ..)| vec![text(attempt.task), int(attempt.number), int(*n)]);
    FILE_KEYS.delete(conn, replaced.collect())?;
    FILES.update(conn, rows(true))?;
    FILES.insert(conn, rows(false))?;
    let bytes = plan
        .iter()
        .flat_map(|(n, _, _, file)| bytes_rows(attempt, *n, file));
    FILE_BYTES.insert(conn, bytes.collect())?;
    save(conn, attempt, &uploads)?;
    Ok(None)
}

/// Number and size of those of `paths` that were sent before.
fn known_files(
    conn: &mut Conn,
    attempt: Attempt,
    paths: &HashMap<Digest, &FileUpload>,
) -> Result<HashMap<Digest, (i64, i64)>, Fault> {
    let paths: Vec<String> = paths.keys().map(Digest::to_string).collect();
    let rows: Vec<(String, i64, Option<i64>, Option<i64>)> = on_db!(conn, |c| files::table
        .filter(files::task_id.eq(attempt.task.to_string()))
        .filter(files::attempt.eq(i64::from(attempt.number)))
        .filter(files::path_sha256.eq_any(&paths))
        .select((
            files::path_sha256,
            files::n,
            files::diff_size,
            files::content_size
        ))
        .load(c))?;
    rows.into_iter()
        .map(|(path, n, diff, content)| {
            Ok((
                stored(&path)?,
                (n, diff.unwrap_or(0) + content.unwrap_or(0)),
            ))
        })
        .collect()
}

fn over_limits(uploads: &Uploads, file: &FileUpload) -> Option<Refusal> {
    let part = [&file.diff, &file.content]
        .into_iter()
        .flatten()
        .map(|p| p.part.bytes)
        .max();
    if part > Some(MAX_CONTENT) {
        return Some(Refusal::TooLarge(
            "a diff or content has more than 10 MiB".to_owned(),
        ));
    }
    if uploads.file_count > MAX_FILES {
        return Some(Refusal::TooLarge(format!(
            "an attempt has at most {MAX_FILES} changed files"
        )));
    }
    if uploads.file_bytes > MAX_FILE_BYTES {
        return Some(Refusal::TooLarge(
            "the files of an attempt have more than 200 MiB".to_owned(),
        ));
    }
    None
}

fn size_of(file: &FileUpload) -> i64 {
    [&file.diff, &file.content]
        .into_iter()
        .flatten()
        .map(|part| length(&part.bytes))
        .sum()
}

fn file_row(attempt: Attempt, n: i64, path: Digest, file: &FileUpload) -> Vec<Cell> {
    let size = |part: &Option<crate::command::UploadedPart>| {
        Cell::Int(part.as_ref().map(|p| length(&p.bytes)))
    };
    let digest = |part: &Option<crate::command::UploadedPart>| {
        text_option(part.as_ref().map(|p| p.part.sha256))
    };
    let facts = file.facts();
    vec![
        text(attempt.task),
        int(attempt.number),
        int(n),
        text(attempt.account),
        Cell::Bytes(Some(file.path.bytes().to_vec())),
        text(path),
        Cell::Bytes(file.old_path.as_ref().map(|p| p.bytes().to_vec())),
        text(file.change),
        text_option(file.mode.as_deref()),
        text_option(file.old_mode.as_deref()),
        size(&file.diff),
        digest(&file.diff),
        size(&file.content),
        digest(&file.content),
        Cell::Bool(file.truncated),
        Cell::Int(facts.lines.map(|lines| lines.added)),
        Cell::Int(facts.lines.map(|lines| lines.removed)),
        Cell::Bool(facts.is_binary),
    ]
}

fn bytes_rows(attempt: Attempt, n: i64, file: &FileUpload) -> Vec<Vec<Cell>> {
    let parts = [("diff", &file.diff), ("content", &file.content)];
    let rows = parts.into_iter().filter_map(|(name, part)| {
        let bytes = part.as_ref()?.bytes.clone();
        Some(vec![
            text(attempt.task),
            int(attempt.number),
            int(n),
            text(name),
            text(attempt.account),
            Cell::Bytes(Some(bytes)),
        ])
    });
    rows.collect()
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
