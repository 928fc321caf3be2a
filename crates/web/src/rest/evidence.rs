//! What an attempt left behind: output, log, files, sealed evidence (contract section 5).
//!
//! All of it was written by an agent: it is served as text, as data or as a download, never as
//! something a browser runs.

use actix_web::http::header::ContentType;
use actix_web::http::header::{Accept, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, Header as _};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use approval_core::TaskId;
use contract::{ChangedFile, LogLine};
use serde::Deserialize;
use store::{FilePart, ReadError, Reads};
use utoipa::IntoParams;

use super::StreamEvent;
use crate::call::Call;
use crate::live::{self, LogStream, Topic};
use crate::page;
use crate::problem::{Failure, Reply};
use crate::render;
use crate::request::{Id, Number, Query, in_range, last_event_id};

/// Most and default lines of an answer.
const LINES: std::ops::RangeInclusive<i64> = 1..=10_000;
const DEFAULT_LINES: i64 = 1_000;

/// What an agent wrote is no page, wherever a browser ends up with it.
const DOWNLOADED: &str = "sandbox";

/// Which part of a log to read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Only entries after this number; absent: from the first, 0.
    #[param(minimum = -1)]
    after: Option<i64>,
    /// How many at most, 1 to 10,000; default 1,000, and all as `text/plain`.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<i64>,
    /// Of this attempt, from 1; absent: of the newest.
    #[param(minimum = 1, maximum = 4_294_967_295_i64)]
    attempt: Option<i64>,
}

/// Which part of a log to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogStreamQuery {
    /// Only entries after this number. `Last-Event-ID` wins.
    #[param(minimum = -1)]
    after: Option<i64>,
    /// Of this attempt, from 1; absent: of the newest.
    #[param(minimum = 1, maximum = 4_294_967_295_i64)]
    attempt: Option<i64>,
}

/// Which changed files to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilesQuery {
    /// Where the page before ended, from its `Link` header.
    cursor: Option<String>,
}

/// What the task put out: what the runner named, or its standard output.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/output", tag = "evidence", operation_id = "getOutput",
    params(("id" = String, Path)), responses((status = 200, description = "The output", body = String, content_type = "text/plain")))]
pub(crate) async fn output(call: Call, id: Id<TaskId>) -> Reply {
    let task = id.0;
    let (output, pruning) = read(&call, task, None, move |reads, attempt| {
        let output = reads.output(task, attempt)?;
        Ok((output, reads.pruning(task, attempt)?))
    })
    .await?;
    match pruning.filter(|_| !output.is_named) {
        Some(pruning) => Err(Failure::pruned(&pruning)),
        None => Ok(sandboxed(ContentType::plaintext()).body(output.bytes)),
    }
}

/// The log: as JSON, or with `Accept: text/plain` its bytes.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/logs", tag = "evidence", operation_id = "listLogs",
    params(("id" = String, Path), LogQuery),
    responses((status = 200, description = "Entries of the log", content((Vec<LogLine> = "application/json"), (String = "text/plain")))))]
pub(crate) async fn logs(call: Call, id: Id<TaskId>, query: Query<LogQuery>) -> Reply {
    let as_text = wants_text(&call.request);
    let after = in_range("after", query.0.after, -1..=i64::MAX, -1)?;
    let limit = match query.0.limit {
        None if as_text => i64::MAX,
        limit => in_range("limit", limit, LINES, DEFAULT_LINES)?,
    };
    let attempt = asked_attempt(query.0.attempt)?;
    let task = id.0;
    let (lines, total) = read_bytes(&call, task, attempt, move |reads, attempt| {
        // one more than is shown tells whether there is a next page
        let asked = limit.saturating_add(i64::from(!as_text));
        let lines = reads.logs(task, attempt, after, asked)?;
        Ok((lines, reads.log_total(task, attempt)?))
    })
    .await?;
    if as_text {
        let bytes: Vec<u8> = lines.into_iter().flat_map(|line| line.bytes).collect();
        return Ok(sandboxed(ContentType::plaintext()).body(bytes));
    }
    let fitting = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = lines.len() > fitting;
    let shown: Vec<_> = lines.iter().take(fitting).map(render::log_line).collect();
    let last = shown.last().filter(|_| is_cut);
    let next = last.map(|line| ("after", line.seq.to_string()));
    Ok(page::head(&call.request, total, next).json(shown))
}

/// The log as server-sent events while it grows; it ends with an event of the type `end`.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/logs/stream", tag = "evidence", operation_id = "streamLogs",
    params(("id" = String, Path), LogStreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last entry received")),
    responses((status = 200, description = "Entries of the log, then `event: end`", body = StreamEvent, content_type = "text/event-stream")))]
pub(crate) async fn log_stream(call: Call, id: Id<TaskId>, query: Query<LogStreamQuery>) -> Reply {
    let after = last_event_id(&call.request)?.or(query.0.after);
    let after = in_range("after", after, -1..=i64::MAX, -1)?;
    let attempt = asked_attempt(query.0.attempt)?;
    let task = id.0;
    let uploads = call.hub().subscribe(Topic::Uploaded(task));
    let attempt = read_bytes(&call, task, attempt, |_, attempt| Ok(attempt)).await?;
    let open = call.open()?;
    let store = call.store().clone();
    let source = LogStream::start(store, call.scope(), task, attempt, after, open, uploads);
    Ok(live::response(&call.request, source))
}

/// The files the task changed.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/files", tag = "evidence", operation_id = "listFiles",
    params(("id" = String, Path), FilesQuery), responses((status = 200, description = "The files", body = [ChangedFile])))]
pub(crate) async fn files(call: Call, id: Id<TaskId>, query: Query<FilesQuery>) -> Reply {
    let after = page::cursor(query.0.cursor.as_deref())?;
    let task = id.0;
    let files = read_bytes(&call, task, None, move |reads, attempt| {
        reads.files(task, attempt, after)
    })
    .await?;
    Ok(page::answer(&call.request, &files, render::file))
}

/// What a changed file holds, as a download.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/files/{n}/raw", tag = "evidence", operation_id = "getFile",
    params(("id" = String, Path), ("n" = i64, Path)),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(crate) async fn raw(call: Call, id: Id<TaskId>, n: Number) -> Reply {
    download(&call, id.0, n.0, FilePart::Content, "").await
}

/// The diff of a changed file exactly as it was uploaded, as a download.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/files/{n}/diff", tag = "evidence", operation_id = "getFileDiff",
    params(("id" = String, Path), ("n" = i64, Path)),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(crate) async fn diff(call: Call, id: Id<TaskId>, n: Number) -> Reply {
    download(&call, id.0, n.0, FilePart::Diff, ".diff").await
}

/// Bytes of the newest attempt, named by us: a name from an agent is no name for a file.
async fn download(call: &Call, task: TaskId, n: i64, part: FilePart, ending: &str) -> Reply {
    let (bytes, pruning) = read(call, task, None, move |reads, attempt| {
        let bytes = reads.file_part(task, attempt, n, part)?;
        // of a pruned attempt, parts that never were are told from those that went
        let pruning = match bytes {
            None if reads.was_sent(task, attempt, n, part)? => reads.pruning(task, attempt)?,
            _ => None,
        };
        Ok((bytes, pruning))
    })
    .await?;
    let bytes = bytes.ok_or_else(|| {
        pruning.map_or_else(|| Failure::not_found("file"), |p| Failure::pruned(&p))
    })?;
    Ok(sandboxed(ContentType::octet_stream())
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{task}-{n}{ending}\""),
        ))
        .body(bytes))
}

/// The evidence exactly as it was sealed: its SHA-256 is the `evidenceSha256` of the task.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}/evidence", tag = "evidence", operation_id = "getEvidence",
    params(("id" = String, Path)), responses((status = 200, description = "The sealed bytes", body = Object)))]
pub(crate) async fn sealed(call: Call, id: Id<TaskId>) -> Reply {
    let task = id.0;
    let sealed = read(&call, task, None, move |reads, attempt| {
        reads.evidence(task, attempt)
    })
    .await?;
    let sealed = sealed.ok_or_else(|| Failure::not_found("evidence"))?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(sealed))
}

/// Reads something of an attempt of a task that the caller can see: of the newest one, or of the
/// one asked for.
async fn read<T: Send + 'static>(
    call: &Call,
    task: TaskId,
    asked: Option<u32>,
    read: impl FnOnce(&mut Reads<'_>, u32) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Failure> {
    let scope = call.scope();
    let found = call
        .read(move |reads| {
            let Some(view) = reads.attempt(scope, task)? else {
                return Ok(Err("task"));
            };
            match asked {
                Some(attempt) if attempt > view.attempt => Ok(Err("attempt")),
                asked => read(reads, asked.unwrap_or(view.attempt)).map(Ok),
            }
        })
        .await?;
    found.map_err(Failure::not_found)
}

/// As [`read`], of bytes that are gone when the attempt was pruned.
async fn read_bytes<T: Send + 'static>(
    call: &Call,
    task: TaskId,
    asked: Option<u32>,
    look: impl FnOnce(&mut Reads<'_>, u32) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Failure> {
    let (found, pruning) = read(call, task, asked, move |reads, attempt| {
        let found = look(reads, attempt)?;
        Ok((found, reads.pruning(task, attempt)?))
    })
    .await?;
    match pruning {
        Some(pruning) => Err(Failure::pruned(&pruning)),
        None => Ok(found),
    }
}

fn asked_attempt(attempt: Option<i64>) -> Result<Option<u32>, Failure> {
    let Some(attempt) = attempt else {
        return Ok(None);
    };
    let attempt = in_range("attempt", Some(attempt), 1..=i64::from(u32::MAX), 1)?;
    Ok(u32::try_from(attempt).ok())
}

/// An answer that a browser neither runs nor guesses about.
fn sandboxed(content_type: ContentType) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, DOWNLOADED));
    response
}

/// Whether a client prefers text to JSON.
fn wants_text(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else {
        return false;
    };
    let is_known = |essence: &str| matches!(essence, "text/plain" | "application/json");
    accept
        .ranked()
        .iter()
        .find(|media| is_known(media.essence_str()))
        .is_some_and(|media| media.essence_str() == "text/plain")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn wants(accept: &str) -> bool {
        let request = TestRequest::default().insert_header(("accept", accept));
        wants_text(&request.to_http_request())
    }

    #[test]
    fn text_is_for_those_who_prefer_it() {
        assert!(wants("text/plain"));
        assert!(wants("text/plain; charset=utf-8, */*;q=0.1"));
        assert!(!wants("*/*"));
        assert!(!wants("application/json, text/plain"));
        assert!(wants("application/json;q=0.5, text/plain"));
        assert!(!wants_text(&TestRequest::default().to_http_request()));
    }
}
