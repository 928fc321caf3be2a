//! `/tasks/{id}/decide`: the second press. It shows what is decided and on which evidence, and
//! sends the decision with the digest that was on the screen.

use actix_web::http::StatusCode;
use approval_core::{Decision, DecisionRequest, Invalid, Status, TaskId};
use contract::Code;
use store::{Command, DecisionTarget, TaskPage};

use super::fields::{Fields, Form, new_key};
use super::frame::{Live, frame};
use super::html::{self, capitalised};
use super::task::{next, read, releases, seconds};
use super::translate::{changes, decision, kind, short, when};
use super::view::Nav;
use super::view::decide::{
    Decide, DecideDialog, DecidePage, Decided, DecidedDialog, DecidedPage, REASONS,
};
use super::view::words::{bytes, count};
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::request::Id;
use crate::show;

/// Asks for the second press.
pub(crate) async fn confirm(call: Call, id: Id<TaskId>, query: Fields) -> Reply {
    let task = read(&call, id.0).await?;
    if task.task.state.status != Status::Review {
        return show_decided(&call, &task, None).await;
    }
    ask(&call, StatusCode::OK, &task, &query, changed(&task, &query)).await
}

const CHANGED: &str = "The evidence has changed since you looked. What is shown now is what you would \
                       decide about: look again before you do.";

/// Whether the page that asks showed other evidence than there is now.
fn changed(page: &TaskPage, query: &Fields) -> Option<String> {
    let seen = query.text("evidenceSha256")?;
    let sealed = page.task.state.evidence_sha256?.to_string();
    (seen != sealed).then(|| CHANGED.to_owned())
}

/// Decides, by the same command as REST.
pub(crate) async fn decide(call: Call, id: Id<TaskId>, form: Form) -> Reply {
    let wish: Decision = form.fields.word(Invalid::Decision, "decision")?;
    let command = Command::Decide {
        target: DecisionTarget::Task(id.0),
        request: DecisionRequest {
            decision: wish,
            feedback: form.fields.text("feedback").map(ToOwned::to_owned),
            evidence_sha256: form.fields.text("evidenceSha256").map(ToOwned::to_owned),
        },
    };
    match call.submit(command, form.idempotency).await {
        Ok(_) => {
            let done = match wish {
                Decision::Approve => "approved",
                Decision::Reject => "rejected",
            };
            let to = format!("/tasks/{}?done={done}", id.0);
            Ok(html::redirect(&call.request, &to))
        }
        Err(failure) => explain(&call, id.0, &form.fields, failure).await,
    }
}

fn is_approval(fields: &Fields) -> bool {
    fields.text("decision") == Some("approve")
}

/// Why a decision was not taken, beside what can be done about it.
async fn explain(call: &Call, id: TaskId, fields: &Fields, failure: Failure) -> Reply {
    match failure.code() {
        // also a repeat with another note: what stands is what matters
        Some(Code::AlreadyDecided | Code::NotInReview | Code::IdempotencyMismatch) => {
            let task = read(call, id).await?;
            show_decided(call, &task, Some(is_approval(fields))).await
        }
        Some(Code::EvidenceMismatch) => {
            let task = read(call, id).await?;
            ask(
                call,
                failure.status(),
                &task,
                fields,
                Some(CHANGED.to_owned()),
            )
            .await
        }
        Some(Code::InvalidDecision | Code::EvidenceRequired) => {
            let task = read(call, id).await?;
            let error = format!("{}.", capitalised(failure.detail()));
            ask(call, failure.status(), &task, fields, Some(error)).await
        }
        _ => Err(failure),
    }
}

async fn ask(
    call: &Call,
    status: StatusCode,
    task: &TaskPage,
    fields: &Fields,
    error: Option<String>,
) -> Reply {
    let decide = question(task, fields, error);
    if html::wants_part(&call.request) {
        return html::with_status(&call.request, status, &DecideDialog { decide });
    }
    let title = if decide.approve { "Approve" } else { "Reject" };
    let frame = frame(call, title, Nav::Approvals, Live::Account).await?;
    html::with_status(&call.request, status, &DecidePage { frame, decide })
}

fn question(page: &TaskPage, fields: &Fields, error: Option<String>) -> Decide {
    let now = clock::now();
    let state = &page.task.state;
    Decide {
        task_id: state.id.to_string(),
        idempotency_key: new_key(),
        approve: is_approval(fields),
        title: short(&state.title),
        kind: kind(state.task_type),
        desktop: show::line(&page.desktop.name),
        exit_code: state.exit_code,
        seconds: seconds(page),
        completed: state.completed_at.map(|at| when(at, now)),
        attempt: state.attempt.into(),
        changes: changes(&page.summary),
        evidence: state
            .evidence_sha256
            .map(|d| d.to_string())
            .unwrap_or_default(),
        releases: releases(page),
        missing: missing(page),
        note: fields
            .text("feedback")
            .map_or_else(|| preset(fields), ToOwned::to_owned),
        error,
    }
}

/// The words of the reason that was chosen without script.
fn preset(fields: &Fields) -> String {
    let chosen: Option<usize> = fields.parsed("reason");
    let reason = chosen.and_then(|n| REASONS.get(n.checked_sub(1)?));
    reason.map_or("", |(_, text)| text).to_owned()
}

/// What nobody can look at any more, so that whoever approves has read that.
fn missing(page: &TaskPage) -> Vec<String> {
    let mut missing = Vec::new();
    if page.log.dropped_bytes > 0 {
        let dropped = bytes(page.log.dropped_bytes);
        missing.push(format!(
            "{dropped} in the middle of the log were dropped when it was written"
        ));
    }
    if page.summary.truncated > 0 {
        let files = count(
            page.summary.truncated,
            "changed file was",
            "changed files were",
        );
        missing.push(format!("{files} cut by the desktop when uploaded"));
    }
    missing
}

async fn show_decided(call: &Call, task: &TaskPage, tried: Option<bool>) -> Reply {
    let decided = standing(call, task, tried);
    // the same decision by the same person is what they wanted
    let status = match decided.tried_approve {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    if html::wants_part(&call.request) {
        return html::with_status(&call.request, status, &DecidedDialog { decided });
    }
    let frame = frame(call, "Decided", Nav::Approvals, Live::Account).await?;
    html::with_status(&call.request, status, &DecidedPage { frame, decided })
}

/// The decision that stands, beside the one that was tried if that is another.
fn standing(call: &Call, page: &TaskPage, tried: Option<bool>) -> Decided {
    let reader = call.principal().identity.id;
    let review = page.task.review.as_ref();
    let decision = review.and_then(|review| decision(review, reader, clock::now()));
    let stands = review.and_then(|review| review.status.decision());
    let is_mine = decision.as_ref().is_some_and(|decision| decision.by.is_you);
    let same = tried.map(|approves| stands == Some(wanted(approves)));
    Decided {
        task_id: page.task.state.id.to_string(),
        title: short(&page.task.state.title),
        tried_approve: tried.filter(|_| !(is_mine && same == Some(true))),
        decision,
        next: next(page),
    }
}

fn wanted(approves: bool) -> Decision {
    if approves {
        Decision::Approve
    } else {
        Decision::Reject
    }
}
