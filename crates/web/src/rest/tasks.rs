//! Tasks: list, create, run, cancel, retry (contract section 3).

use actix_web::http::StatusCode;
use approval_core::{DesktopId, Invalid, NewTask, Refusal, RetryChanges, Status, TaskId};
use contract::{CreateTask, Empty, OnDependencyFailure, RetryTask, Task};
use serde::Deserialize;
use store::sabotage::Mistake;
use store::{Command, TaskFilter};
use utoipa::IntoParams;

use super::{PAGE_LENGTH, PAGE_LENGTHS, Repeatable};
use crate::call::Call;
use crate::page;
use crate::problem::{Failure, Reply};
use crate::request::{AnyType, Body, Id, MayBeAbsent, Query, id_in_body, in_range, malformed};
use crate::vocabulary::ToCore as _;

/// Which tasks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// Statuses, separated by commas; absent: all.
    #[param(example = "pending,running")]
    status: Option<String>,
    /// Only those of this desktop.
    desktop_id: Option<String>,
    /// Length of a page, 1 to 200; default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// From the `Link` header of the page before.
    cursor: Option<String>,
}

impl TaskQuery {
    fn filter(&self) -> Result<TaskFilter, Failure> {
        Ok(TaskFilter {
            statuses: self.statuses()?,
            desktop: self.desktop()?,
            limit: in_range("limit", self.limit, PAGE_LENGTHS, PAGE_LENGTH)?,
            after: page::cursor(self.cursor.as_deref())?,
        })
    }

    fn statuses(&self) -> Result<Vec<Status>, Failure> {
        let words = self.status.iter().flat_map(|words| words.split(','));
        words
            .map(|word| word.parse().map_err(|error| malformed("status", error)))
            .collect()
    }

    fn desktop(&self) -> Result<Option<DesktopId>, Failure> {
        let id = self.desktop_id.as_deref().map(str::parse).transpose();
        id.map_err(|_| malformed("desktopId", "is not the id of a desktop"))
    }
}

/// Tasks, newest first, their content cut at 2,000 characters.
#[utoipa::path(get, path = "/api/mission-control/tasks", tag = "tasks", operation_id = "listTasks",
    params(TaskQuery), responses((status = 200, description = "A page of tasks", body = [Task])))]
pub(crate) async fn list(call: Call, query: Query<TaskQuery>) -> Reply {
    let (scope, filter) = (call.scope(), query.0.filter()?);
    let page = call.read(move |reads| reads.tasks(scope, &filter)).await?;
    let viewer = call.viewer();
    Ok(page::answer(&call.request, &page, |task| viewer.task(task)))
}

/// A task with its whole content.
#[utoipa::path(get, path = "/api/mission-control/tasks/{id}", tag = "tasks", operation_id = "getTask",
    params(("id" = String, Path)), responses((status = 200, description = "The task", body = Task)))]
pub(crate) async fn get(call: Call, id: Id<TaskId>) -> Reply {
    let (scope, id) = (call.scope(), id.0);
    if Mistake::GetThatActs.made() {
        call.submit(Command::RunTask(id), None).await.ok();
    }
    let task = call.read(move |reads| reads.task(scope, id)).await?;
    let task = task.ok_or_else(|| Failure::not_found("task"))?;
    Ok(actix_web::HttpResponse::Ok().json(call.viewer().task(&task)))
}

/// Creates a task.
#[utoipa::path(post, path = "/api/mission-control/tasks", tag = "tasks", operation_id = "createTask",
    params(Repeatable), request_body = CreateTask,
    responses((status = 201, description = "The task; `Location` is its path", body = Task)))]
pub(crate) async fn create(call: Call, body: Body<CreateTask>) -> Reply {
    let command = Command::CreateTask(new_task(body.value)?);
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::CREATED, &answered)
}

/// Puts a pending task into the queue of its desktop.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/run", tag = "tasks", operation_id = "runTask",
    params(("id" = String, Path), Repeatable), request_body = Option<Empty>,
    responses((status = 200, description = "The task, running", body = Task)))]
pub(crate) async fn run(call: Call, id: Id<TaskId>, body: Body<Empty, AnyType>) -> Reply {
    let answered = call
        .submit(Command::RunTask(id.0), body.idempotency)
        .await?;
    call.answer(StatusCode::OK, &answered)
}

/// Calls a task off. In review that is a decision and needs `approvals:decide`.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/cancel", tag = "tasks", operation_id = "cancelTask",
    params(("id" = String, Path), Repeatable), request_body = Option<Empty>,
    responses((status = 200, description = "The task, cancelled", body = Task)))]
pub(crate) async fn cancel(call: Call, id: Id<TaskId>, body: Body<Empty, AnyType>) -> Reply {
    let answered = call
        .submit(Command::CancelTask(id.0), body.idempotency)
        .await?;
    call.answer(StatusCode::OK, &answered)
}

/// Repeats a failed or cancelled task as a new one.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/retry", tag = "tasks", operation_id = "retryTask",
    params(("id" = String, Path), Repeatable), request_body = Option<RetryTask>,
    responses((status = 201, description = "The new task; `Location` is its path", body = Task)))]
pub(crate) async fn retry(call: Call, id: Id<TaskId>, body: Body<RetryTask, MayBeAbsent>) -> Reply {
    let changes = RetryChanges {
        content: body.value.content,
        title: body.value.title,
        requires_approval: body.value.requires_approval,
    };
    let command = Command::RetryTask {
        task: id.0,
        changes,
    };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::CREATED, &answered)
}

fn new_task(body: CreateTask) -> Result<NewTask, Refusal> {
    let depends_on = body.depends_on.unwrap_or_default();
    let on_failure = body
        .on_dependency_failure
        .unwrap_or(OnDependencyFailure::Block);
    Ok(NewTask {
        task_type: body.task_type.to_core(),
        content: body.content,
        title: body.title,
        desktop: id_in_body(Invalid::Task, "desktopId", &body.desktop_id)?,
        requires_approval: body.requires_approval.unwrap_or(false),
        depends_on: depends_on
            .iter()
            .map(|id| id_in_body(Invalid::Task, "dependsOn", id))
            .collect::<Result<_, _>>()?,
        auto_run: body.auto_run.unwrap_or(false),
        on_dependency_failure: on_failure.to_core(),
        timeout_seconds: body.timeout_seconds,
        max_attempts: body.max_attempts,
    })
}
