//! The calls of a desktop's runner (contract section 5).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use approval_core::{DesktopId, Digest, Refusal, TaskId};
use contract::{AddFiles, AppendLogs, Claim, ClaimRequest, Code, Complete, Empty, Heartbeat, Task};
use store::{Command, Leased};

use super::uploads::{files_of, log_of, report_of};
use super::{LeaseToken, Repeatable, WAITS, claims};
use crate::call::Call;
use crate::problem::{Failure, Reply};
use crate::request::{AnyType, Body, Bulk, Id, Unkeyed, id_of_segment, off_thread};

/// Takes the next task of the desktop, waiting for one up to `wait` seconds.
#[utoipa::path(post, path = "/api/desktops/{id}/claim", tag = "runner", operation_id = "claimTask",
    params(("id" = String, Path)), request_body = Option<ClaimRequest>,
    responses((status = 200, description = "A task and the lease to work on it", body = Claim),
        (status = 204, description = "There is nothing to do")))]
pub(crate) async fn claim(
    call: Call,
    id: Id<DesktopId>,
    body: Body<ClaimRequest, Unkeyed>,
) -> Reply {
    let wait = body.value.wait.unwrap_or(0);
    if !WAITS.contains(&wait) {
        let detail = format!("wait is {wait}, allowed are 0 to {}", WAITS.end());
        return Err(Failure::new(Code::InvalidBody, detail));
    }
    let desktop = call.own_desktop(id.0)?;
    claims::claim(&call, desktop, Duration::from_secs(wait.unsigned_abs())).await
}

/// Renews the lease, and says whether the task was cancelled.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/heartbeat", tag = "runner", operation_id = "heartbeat",
    params(("id" = String, Path), LeaseToken, Repeatable), request_body = Option<Empty>,
    responses((status = 200, description = "The lease", body = Heartbeat)))]
pub(crate) async fn heartbeat(call: Call, id: Id<TaskId>, body: Body<Empty, AnyType>) -> Reply {
    let command = Command::Heartbeat(leased(&call, id.0)?);
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::OK, &answered)
}

/// Adds to the log. An entry whose `seq` is known already is ignored.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/logs", tag = "runner", operation_id = "appendLogs",
    params(("id" = String, Path), LeaseToken, Repeatable), request_body = AppendLogs,
    responses((status = 202, description = "They are taken in")))]
pub(crate) async fn logs(call: Call, id: Id<TaskId>, body: Body<AppendLogs, Bulk>) -> Reply {
    let lease = leased(&call, id.0)?;
    let entries = off_thread(body.bytes.len(), move || log_of(&body.value)).await?;
    let entries = existing(&call, id.0, entries).await?;
    let command = Command::AppendLogs { lease, entries };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::ACCEPTED, &answered)
}

/// Adds changed files. For a path sent twice, the last counts.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/files", tag = "runner", operation_id = "addFiles",
    params(("id" = String, Path), LeaseToken, Repeatable), request_body = AddFiles,
    responses((status = 202, description = "They are taken in")))]
pub(crate) async fn files(call: Call, id: Id<TaskId>, body: Body<AddFiles, Bulk>) -> Reply {
    let lease = leased(&call, id.0)?;
    let files = off_thread(body.bytes.len(), move || files_of(body.value)).await?;
    let files = existing(&call, id.0, files).await?;
    let command = Command::AddFiles { lease, files };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::ACCEPTED, &answered)
}

/// Ends the attempt: seals its evidence and applies the rule. A repeat with the same body gets the
/// task as it is then.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/complete", tag = "runner", operation_id = "completeTask",
    params(("id" = String, Path), LeaseToken, Repeatable), request_body = Complete,
    responses((status = 200, description = "The task", body = Task)))]
pub(crate) async fn complete(call: Call, id: Id<TaskId>, body: Body<Complete, Bulk>) -> Reply {
    let lease = leased(&call, id.0)?;
    let report = report_of(&body.value, Digest::of(&body.bytes));
    let (report, log_entries) = existing(&call, id.0, report).await?;
    let output = body.value.output.map(String::into_bytes);
    let request = call.completion(body.idempotency, lease, report, output, log_entries);
    let answered = call.store().complete(request).await?;
    call.answer(StatusCode::OK, &answered)
}

/// The claim to an attempt that a call makes. Without a token it is one that nobody has.
///
/// # Errors
/// 404 when the path names another desktop than the caller's.
fn leased(call: &Call, task: TaskId) -> Result<Leased, Failure> {
    if let Some(desktop) = call.request.match_info().get("desktop") {
        call.own_desktop(id_of_segment(desktop))?;
    }
    Ok(Leased {
        task,
        token: Digest::of(token(&call.request)),
    })
}

fn token(request: &HttpRequest) -> &[u8] {
    let token = request.headers().get("x-lease-token");
    token.map_or(&[], HeaderValue::as_bytes)
}

/// What was uploaded; what breaks a rule is only told to whom the task exists for.
async fn existing<T>(
    call: &Call,
    task: TaskId,
    uploaded: Result<T, Refusal>,
) -> Result<T, Failure> {
    let refusal = match uploaded {
        Ok(uploaded) => return Ok(uploaded),
        Err(refusal) => refusal,
    };
    let scope = call.scope();
    match call.read(move |reads| reads.attempt(scope, task)).await? {
        Some(_) => Err(refusal.into()),
        None => Err(Failure::not_found("task")),
    }
}
