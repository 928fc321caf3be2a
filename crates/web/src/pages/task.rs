//! `/tasks/{id}`: made for judging. Facts of the server first, then what the agent left behind.

use approval_core::{Approval, ApprovalStatus, Status, TaskId};
use store::{PriorFeedback, TaskPage, TaskView};

use super::events;
use super::fields::Fields;
use super::frame::{Live, can, frame};
use super::html;
use super::material;
use super::translate::{
    actor, changes, decision, desktop, gate, gate_of, kind, link, release, short, status,
    task_address, when,
};
use super::view::task::{
    Actions, Facts, Feedback, LogFact, Next, Summary, Tab, TaskFacts, TaskPage as Page,
};
use super::view::{Gate, Nav};
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::render::seconds_between;
use crate::request::Id;
use crate::show;

/// Characters of a title as it is drawn: twice what a title may have. Only one that is full of what cannot
/// be seen is cut, and says so.
const TITLE: usize = 400;

/// The page.
pub(crate) async fn page(call: Call, id: Id<TaskId>, query: Fields) -> Reply {
    let task = read(&call, id.0).await?;
    let state = &task.task.state;
    let (tab, live) = match query.text("tab") {
        Some("logs") => {
            let (logs, last) = material::logs(&call, &task, &query).await?;
            let live = match state.status {
                Status::Running => Live::Log(state.id, last),
                _ => Live::Account,
            };
            (Tab::Logs(logs), live)
        }
        Some("files") => (
            Tab::Files(material::files(&call, &task, &query).await?),
            Live::Account,
        ),
        Some("history") => (
            Tab::History(events::of_task(&call, state.id).await?),
            Live::Account,
        ),
        _ => (
            Tab::Output(material::output(&call, &task).await?),
            Live::Account,
        ),
    };
    let page = Page {
        frame: frame(&call, tab_title(&state.title), Nav::Board, live).await?,
        summary: summary(&call, &task).await?,
        facts: facts_of(&call, &task),
        tab,
    };
    html::ok(&call.request, &page)
}

/// Everything above the tabs and the decision bar, for the page that keeps itself current.
pub(crate) async fn facts(call: Call, id: Id<TaskId>) -> Reply {
    let task = read(&call, id.0).await?;
    let facts = facts_of(&call, &task);
    html::ok(&call.request, &TaskFacts { facts })
}

/// The task with everything that is shown around it.
pub(super) async fn read(call: &Call, id: TaskId) -> Result<TaskPage, Failure> {
    let scope = call.scope();
    let task = call.read(move |reads| reads.task_page(scope, id)).await?;
    task.ok_or_else(|| Failure::not_found("task"))
}

/// A title for the tab of the browser, with everything invisible drawn.
fn tab_title(title: &str) -> String {
    short(title).text()
}

async fn summary(call: &Call, task: &TaskPage) -> Result<Summary, Failure> {
    let (last_lines, pruned) = material::last_lines(call, task).await?;
    Ok(Summary {
        last_lines,
        first_diff: material::first_diff(call, task).await?,
        pruned,
    })
}

fn facts_of(call: &Call, page: &TaskPage) -> Facts {
    let now = clock::now();
    let reader = call.principal().identity.id;
    let state = &page.task.state;
    let (title, content) = (show::line(&state.title), show::block(&page.task.content));
    let title = title.cut(TITLE);
    let error = state.error.as_deref().map(show::block);
    let escapes = title.escapes + content.escapes + error.as_ref().map_or(0, |e| e.escapes);
    Facts {
        id: state.id.to_string(),
        title,
        status: status(state.status),
        kind: kind(state.task_type),
        content,
        created_by: actor(&state.created_by, reader),
        created: when(state.created_at, now),
        desktop: desktop(&page.desktop, page.desktop_removed, now),
        unclaimed: state.status == Status::Running && state.lease.is_none(),
        started: state.started_at.map(|at| when(at, now)),
        completed: state.completed_at.map(|at| when(at, now)),
        seconds: seconds(page),
        exit_code: state.exit_code,
        error,
        attempt: state.attempt.into(),
        max_attempts: state.max_attempts.into(),
        gate: gate_shown(&page.task),
        evidence: state.evidence_sha256.map(|digest| digest.to_string()),
        changes: changes(&page.summary),
        log: LogFact {
            entries: page.log.entries,
            bytes: page.log.kept_bytes,
            dropped: page.log.dropped_bytes,
            pruned: page.pruning.map(material::pruned),
        },
        blocked_by: page.blocked.iter().map(link).collect(),
        releases: releases(page),
        feedback: page
            .task
            .prior_feedback
            .iter()
            .map(|f| feedback(call, f))
            .collect(),
        decision: page
            .task
            .review
            .as_ref()
            .and_then(|review| decision(review, reader, now)),
        retry_of: page.retry_of.as_ref().map(link),
        retried_by: page.retried_by.as_ref().map(link),
        actions: actions(call, page),
        next: next(page),
        escapes,
    }
}

/// From the claim to the end, or till now.
pub(super) fn seconds(page: &TaskPage) -> Option<i64> {
    let state = &page.task.state;
    let end = match state.status {
        Status::Running => Some(clock::now()),
        _ => state.completed_at,
    };
    Some(seconds_between(state.started_at?, end?).max(0))
}

pub(super) fn gate_shown(task: &TaskView) -> Gate {
    match &task.review {
        Some(review) => gate(review.reason),
        None => gate_of(task.state.requires_approval, task.gated),
    }
}

/// What an approval starts at once.
pub(super) fn releases(page: &TaskPage) -> Vec<super::view::task::Release> {
    let name = |task: &store::Dependent| {
        let name = page.desktop_names.get(&task.desktop);
        name.map_or("a removed desktop", String::as_str)
    };
    page.releases
        .iter()
        .map(|task| release(task, name(task)))
        .collect()
}

pub(super) fn feedback(call: &Call, prior: &PriorFeedback) -> Feedback {
    let text = prior
        .decided
        .feedback
        .as_ref()
        .map_or("", |text| text.as_str());
    Feedback {
        text: show::block(text),
        by: actor(&prior.decided.by, call.principal().identity.id),
        at: when(prior.decided.at, clock::now()),
        href: task_address(prior.task),
    }
}

/// What applies to the task as it stands, of what the reader may do.
fn actions(call: &Call, page: &TaskPage) -> Actions {
    let can = can(call);
    let state = &page.task.state;
    let has_ended = matches!(state.status, Status::Failed | Status::Cancelled);
    Actions {
        decide: state.status == Status::Review && can.decide,
        run: state.status == Status::Pending && page.task.blocked_by.is_empty() && can.run,
        cancel: match state.status {
            Status::Pending | Status::Running => can.write,
            Status::Review => can.decide,
            Status::Done | Status::Failed | Status::Cancelled => false,
        },
        retry: has_ended && state.retried_by.is_none() && can.write,
    }
}

/// The oldest other task that waits for a decision.
pub(super) fn next(page: &TaskPage) -> Option<Next> {
    Some(Next {
        href: task_address(page.next_pending?),
        left: others_pending(page),
    })
}

fn others_pending(page: &TaskPage) -> i64 {
    let is_pending = |review: &Approval| review.status == ApprovalStatus::Pending;
    let own = page.task.review.as_ref().is_some_and(is_pending);
    page.pending - i64::from(own)
}
