//! `/tasks/new`: the form, as a page and in the dialog.

use actix_web::http::StatusCode;
use approval_core::{
    DesktopId, Invalid, NewTask as Wish, OnDependencyFailure, Refusal, TaskId, TaskType,
};
use store::{Answer, BoardFilter, BoardView, Command};

use super::board::choice;
use super::fields::{Fields, Form, new_key};
use super::frame::{Live, can, frame};
use super::html::{self, capitalised};
use super::translate::{kind, status, task_address};
use super::view::new_task::{Candidate, NewTask, NewTaskDialog, NewTaskPage};
use super::view::{Nav, TaskLink};
use crate::call::{Call, unexpected_answer};
use crate::problem::{Failure, Reply};
use crate::request::id_in_body;
use crate::show;

/// Tasks of a column that may be depended on.
const CANDIDATES: i64 = 20;

/// The form.
pub(crate) async fn form(call: Call, query: Fields) -> Reply {
    show_form(&call, StatusCode::OK, &query, None).await
}

/// Creates the task and goes to it.
pub(crate) async fn create(call: Call, form: Form) -> Reply {
    let command = match wish(&form.fields) {
        Ok(wish) => Command::CreateTask(wish),
        Err(refusal) => return again(&call, &form.fields, &refusal.into()).await,
    };
    match call.submit(command, form.idempotency).await {
        Ok(answered) => match &answered.answer {
            Answer::Task(task) => {
                let to = format!("{}?done=created", task_address(task.state.id));
                Ok(html::redirect(&call.request, &to))
            }
            _ => Err(unexpected_answer()),
        },
        Err(failure) if failure.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            again(&call, &form.fields, &failure).await
        }
        Err(failure) => Err(failure),
    }
}

fn wish(fields: &Fields) -> Result<Wish, Refusal> {
    let task_type: TaskType = fields.word(Invalid::Task, "type")?;
    let desktop = id_in_body(Invalid::Task, "desktopId", &fields.owned("desktopId"))?;
    let depends_on: Result<Vec<TaskId>, Refusal> = fields
        .all("dependsOn")
        .flat_map(str::split_whitespace)
        .map(|id| id_in_body(Invalid::Task, "dependsOn", id))
        .collect();
    Ok(Wish {
        title: fields.text("title").map(ToOwned::to_owned),
        requires_approval: fields.is_on("requiresApproval"),
        depends_on: depends_on?,
        auto_run: fields.is_on("autoRun"),
        on_dependency_failure: on_failure(fields),
        ..Wish::new(task_type, fields.owned("content"), desktop)
    })
}

fn on_failure(fields: &Fields) -> OnDependencyFailure {
    match fields.text("onDependencyFailure") {
        Some("cancel") => OnDependencyFailure::Cancel,
        _ => OnDependencyFailure::Block,
    }
}

async fn again(call: &Call, fields: &Fields, failure: &Failure) -> Reply {
    let error = format!("{}.", capitalised(failure.detail()));
    show_form(call, StatusCode::UNPROCESSABLE_ENTITY, fields, Some(error)).await
}

async fn show_form(
    call: &Call,
    status: StatusCode,
    fields: &Fields,
    error: Option<String>,
) -> Reply {
    let form = form_of(call, fields, error).await?;
    if html::wants_part(&call.request) {
        return html::with_status(&call.request, status, &NewTaskDialog { form });
    }
    let frame = frame(call, "New task", Nav::Board, Live::Account).await?;
    html::with_status(&call.request, status, &NewTaskPage { frame, form })
}

/// The form with what was typed so far.
async fn form_of(call: &Call, fields: &Fields, error: Option<String>) -> Result<NewTask, Failure> {
    let (account, scope) = (call.account(), call.scope());
    let filter = BoardFilter {
        desktop: None,
        text: None,
        limit: CANDIDATES,
    };
    let (board, settings) = call
        .read(move |reads| Ok((reads.board(scope, &filter)?, reads.settings(account)?)))
        .await?;
    let chosen: Option<DesktopId> = fields.parsed("desktopId");
    Ok(NewTask {
        idempotency_key: new_key(),
        kind: kind(fields.parsed("type").unwrap_or(TaskType::Prompt)),
        title: fields.owned("title"),
        content: fields.owned("content"),
        desktops: board.desktops.iter().map(|d| choice(d, chosen)).collect(),
        requires_approval: fields.is_on("requiresApproval"),
        locked_on: settings.task_approval_mode,
        auto_run: fields.is_on("autoRun"),
        can_run: can(call).run,
        cancel_with_dependency: on_failure(fields) == OnDependencyFailure::Cancel,
        candidates: candidates(&board, fields),
        error,
        can_add_desktop: can(call).desktops,
    })
}

/// Tasks that another may depend on: whatever can still become done, newest first, and those that
/// are done.
fn candidates(board: &BoardView, fields: &Fields) -> Vec<Candidate> {
    let cards = board
        .columns
        .iter()
        .take(4)
        .flat_map(|column| &column.cards);
    let mut candidates: Vec<&store::Card> = cards.collect();
    candidates.sort_by_key(|task| std::cmp::Reverse(task.id));
    let shown = candidates.into_iter().map(|task| {
        let name = board.desktops.iter().find(|(id, _)| *id == task.desktop);
        Candidate {
            id: task.id.to_string(),
            task: TaskLink {
                href: task_address(task.id),
                title: show::line(&task.title),
                status: status(task.status),
            },
            desktop: show::line(name.map_or("", |(_, name)| name)),
            checked: fields.all("dependsOn").any(|id| id == task.id.to_string()),
        }
    });
    shown.collect()
}
