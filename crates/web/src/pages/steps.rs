//! What moves a task besides a decision: **Run**, **Cancel task**, **Retry**.

use actix_web::http::StatusCode;
use approval_core::{RetryChanges, Status, TaskId};
use contract::Code;
use store::{Answer, Command, TaskPage};

use super::fields::{Fields, Form, new_key};
use super::frame::{Live, can, frame};
use super::html::{self, capitalised};
use super::task::{feedback, read};
use super::translate::{kind, short, task_address};
use super::view::Nav;
use super::view::confirm::{Confirm, ConfirmDialog, ConfirmPage};
use super::view::retry::{Retry, RetryDialog, RetryPage};
use super::view::words::count;
use crate::call::{Call, unexpected_answer};
use crate::problem::Reply;
use crate::request::Id;
use crate::show;

/// Puts a pending task into the queue of its desktop.
pub(crate) async fn run(call: Call, id: Id<TaskId>, form: Form) -> Reply {
    match call.submit(Command::RunTask(id.0), form.idempotency).await {
        // somebody else pressed Run first: the task shows what became of it
        Err(failure) if failure.code() != Some(Code::NotPending) => Err(failure),
        _ => Ok(html::redirect(&call.request, &task_address(id.0))),
    }
}

/// Asks before a task is called off.
pub(crate) async fn confirm_cancel(call: Call, id: Id<TaskId>) -> Reply {
    let task = read(&call, id.0).await?;
    question(&call, StatusCode::OK, cancellation(&task, None)).await
}

/// Calls a task off.
pub(crate) async fn cancel(call: Call, id: Id<TaskId>, form: Form) -> Reply {
    match call
        .submit(Command::CancelTask(id.0), form.idempotency)
        .await
    {
        Ok(_) => {
            let to = format!("{}?done=cancelled", task_address(id.0));
            Ok(html::redirect(&call.request, &to))
        }
        Err(failure) if failure.code() == Some(Code::AlreadyFinal) => {
            Ok(html::redirect(&call.request, &task_address(id.0)))
        }
        Err(failure) => Err(failure),
    }
}

fn cancellation(page: &TaskPage, error: Option<String>) -> Confirm {
    let state = &page.task.state;
    let address = task_address(state.id);
    Confirm {
        question: "Cancel this task?",
        subject: short(&state.title),
        consequences: consequences(page),
        button: "Cancel task",
        idempotency_key: new_key(),
        action: format!("{address}/cancel"),
        back: address,
        error,
    }
}

fn consequences(page: &TaskPage) -> Vec<String> {
    let first = match page.task.state.status {
        Status::Running => "The work on the desktop is stopped. Nothing of it is kept as evidence.",
        Status::Review => "Its approval is withdrawn and counts as decided by you.",
        Status::Pending | Status::Done | Status::Failed | Status::Cancelled => {
            "It does not run. It can be retried later."
        }
    };
    let mut all = vec![first.to_owned()];
    let waiting = page
        .task
        .dependents
        .iter()
        .filter(|task| task.status == Status::Pending);
    let waiting = waiting.count();
    if waiting > 0 {
        let tasks = count(
            waiting,
            "task that depends on it stays",
            "tasks that depend on it stay",
        );
        all.push(format!(
            "{tasks} blocked until a retry is done, or are cancelled if they say so."
        ));
    }
    all
}

/// Shows a question as a page or in the dialog.
pub(super) async fn question(call: &Call, status: StatusCode, confirm: Confirm) -> Reply {
    if html::wants_part(&call.request) {
        return html::with_status(&call.request, status, &ConfirmDialog { confirm });
    }
    let frame = frame(call, confirm.question, Nav::Board, Live::Account).await?;
    html::with_status(&call.request, status, &ConfirmPage { frame, confirm })
}

/// The form that starts from the old task, with all feedback beside it.
pub(crate) async fn retry_form(call: Call, id: Id<TaskId>) -> Reply {
    show_retry(&call, StatusCode::OK, id.0, None, None).await
}

/// Repeats the task with changes, and runs it if asked to.
pub(crate) async fn retry(call: Call, id: Id<TaskId>, form: Form) -> Reply {
    let fields = &form.fields;
    let task = read(&call, id.0).await?;
    let changes = RetryChanges {
        content: Some(fields.owned("content")).filter(|text| *text != task.task.content),
        title: fields
            .text("title")
            .map(ToOwned::to_owned)
            .filter(|text| *text != task.task.state.title),
        requires_approval: requires_approval(&call, &task, fields),
    };
    let command = Command::RetryTask {
        task: id.0,
        changes,
    };
    let answered = match call.submit(command, form.idempotency).await {
        Ok(answered) => answered,
        Err(failure) if failure.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            let error = format!("{}.", capitalised(failure.detail()));
            return show_retry(&call, failure.status(), id.0, Some(fields), Some(error)).await;
        }
        Err(failure) => return Err(failure),
    };
    let Answer::Task(retried) = &answered.answer else {
        return Err(unexpected_answer());
    };
    if fields.is_on("run") && retried.state.status == Status::Pending {
        let run = call.submit(
            Command::RunTask(retried.state.id),
            form.second(&call.request),
        );
        // it may be blocked: the new task says by what
        if let Err(failure) = run.await
            && failure.status() != StatusCode::CONFLICT
        {
            return Err(failure);
        }
    }
    let to = format!("{}?done=retried", task_address(retried.state.id));
    Ok(html::redirect(&call.request, &to))
}

/// What the switch says, where it may be moved at all; otherwise the rules decide alone.
fn requires_approval(call: &Call, page: &TaskPage, fields: &Fields) -> Option<bool> {
    let wished = fields.is_on("requiresApproval");
    (wished || lock(call, page).is_none()).then_some(wished)
}

/// Why the retry is gated whatever the form says.
fn lock(call: &Call, page: &TaskPage) -> Option<&'static str> {
    if page.settings.task_approval_mode {
        Some("Task Approval is on for the account")
    } else if page.task.gated && !can(call).decide {
        Some("The task was gated, and only somebody who may approve can change that")
    } else {
        None
    }
}

async fn show_retry(
    call: &Call,
    status: StatusCode,
    id: TaskId,
    typed: Option<&Fields>,
    error: Option<String>,
) -> Reply {
    let task = read(call, id).await?;
    let retry = retry_of(call, &task, typed, error);
    if html::wants_part(&call.request) {
        return html::with_status(&call.request, status, &RetryDialog { retry });
    }
    let frame = frame(call, retry.button(), Nav::Board, Live::Account).await?;
    html::with_status(&call.request, status, &RetryPage { frame, retry })
}

fn retry_of(call: &Call, page: &TaskPage, typed: Option<&Fields>, error: Option<String>) -> Retry {
    let state = &page.task.state;
    let lock = lock(call, page);
    let last = page.task.review.as_ref().and_then(|review| {
        let decided = review
            .decided
            .clone()
            .filter(|decided| decided.feedback.is_some())?;
        Some(store::PriorFeedback {
            task: state.id,
            decided,
        })
    });
    let said = page.task.prior_feedback.iter().chain(&last);
    let typed_or = |name: &str, old: &str| typed.map_or_else(|| old.to_owned(), |f| f.owned(name));
    Retry {
        task_id: state.id.to_string(),
        idempotency_key: new_key(),
        after_reject: was_rejected(page),
        old_title: short(&state.title),
        kind: kind(state.task_type),
        desktop: show::line(&page.desktop.name),
        title: typed_or("title", &state.title),
        content: typed_or("content", &page.task.content),
        requires_approval: typed.map_or(page.task.gated, |f| f.is_on("requiresApproval")),
        locked_on: lock.is_some(),
        lock_reason: lock.unwrap_or_default(),
        run: typed.is_none_or(|fields| fields.is_on("run")),
        can_run: can(call).run,
        feedback: said.map(|prior| feedback(call, prior)).collect(),
        agent_error: state.error.as_deref().map(show::block),
        error,
    }
}

fn was_rejected(page: &TaskPage) -> bool {
    let review = page.task.review.as_ref();
    let decision = review.and_then(|review| review.status.decision());
    decision == Some(approval_core::Decision::Reject)
}
