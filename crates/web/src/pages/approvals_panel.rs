//! `/approvals`: what waits for a person, oldest first, and what was decided.

use std::collections::HashMap;

use approval_core::{ApprovalId, ApprovalStatus, TaskId};
use store::{ApprovalFilter, ApprovalView, ChangeSummary, Page};

use super::fields::Fields;
use super::frame::{Live, can, frame};
use super::html;
use super::translate::{changes, decision, gate, kind, when};
use super::view::Nav;
use super::view::approvals::{ApprovalItem, Approvals, ApprovalsList, ApprovalsPage};
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::show;

/// Approvals of a page.
const LENGTH: i64 = 50;

/// What a page of the panel is made of.
struct Panel {
    page: Page<ApprovalView>,
    summaries: HashMap<TaskId, ChangeSummary>,
    pending: i64,
    task_approval: bool,
}

/// The panel.
pub(crate) async fn page(call: Call, query: Fields) -> Reply {
    let list = approvals(&call, &query).await?;
    let page = ApprovalsPage {
        frame: frame(&call, "Approvals", Nav::Approvals, Live::Account).await?,
        list,
    };
    html::ok(&call.request, &page)
}

/// Its list alone, for the page that keeps itself current.
pub(crate) async fn list(call: Call, query: Fields) -> Reply {
    let list = approvals(&call, &query).await?;
    html::ok(&call.request, &ApprovalsList { list })
}

async fn approvals(call: &Call, query: &Fields) -> Result<Approvals, Failure> {
    let decided = query.text("tab") == Some("decided");
    let cursor: Option<ApprovalId> = query.parsed("cursor");
    let panel = read(call, decided, cursor).await?;
    let items = panel.page.items.iter();
    Ok(Approvals {
        live: address("/approvals/list", decided, cursor),
        decided,
        pending: panel.pending,
        items: items
            .map(|view| item(call, view, &panel.summaries))
            .collect(),
        more: next(&panel.page).map(|next| address("/approvals", decided, Some(next))),
        task_approval: panel.task_approval,
        can_settings: can(call).settings,
    })
}

async fn read(call: &Call, decided: bool, cursor: Option<ApprovalId>) -> Result<Panel, Failure> {
    let (account, scope) = (call.account(), call.scope());
    call.read(move |reads| {
        let page = if decided {
            reads.decided_approvals(scope, LENGTH, cursor)?
        } else {
            reads.approvals(scope, &pending(cursor))?
        };
        let tasks: Vec<TaskId> = page.items.iter().map(|view| view.approval.task).collect();
        Ok(Panel {
            summaries: reads.change_summaries(account, &tasks)?,
            pending: reads.pending_approvals(account)?,
            task_approval: reads.settings(account)?.task_approval_mode,
            page,
        })
    })
    .await
}

fn pending(after: Option<ApprovalId>) -> ApprovalFilter {
    ApprovalFilter {
        status: Some(ApprovalStatus::Pending),
        limit: LENGTH,
        after,
    }
}

fn next(page: &Page<ApprovalView>) -> Option<ApprovalId> {
    page.next.as_deref().and_then(|id| id.parse().ok())
}

fn address(path: &str, decided: bool, cursor: Option<ApprovalId>) -> String {
    let tab = if decided { "decided" } else { "pending" };
    match cursor {
        Some(cursor) => format!("{path}?tab={tab}&cursor={cursor}"),
        None => format!("{path}?tab={tab}"),
    }
}

fn item(
    call: &Call,
    view: &ApprovalView,
    summaries: &HashMap<TaskId, ChangeSummary>,
) -> ApprovalItem {
    let now = clock::now();
    let approval = &view.approval;
    let summary = summaries.get(&approval.task).copied().unwrap_or_default();
    ApprovalItem {
        id: approval.id.to_string(),
        task_id: approval.task.to_string(),
        title: show::line(&view.title),
        kind: kind(view.task_type),
        gate: gate(approval.reason),
        desktop: show::line(&view.desktop_name),
        completed: when(view.task_completed_at.unwrap_or(approval.created_at), now),
        exit_code: summary.exit_code,
        changes: changes(&summary),
        decision: decision(approval, call.principal().identity.id, now),
    }
}
