//! Approvals, alone and in lists.

use std::collections::{BTreeSet, HashMap};

use approval_core::{ApprovalId, ApprovalStatus};
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::tasks::{dependency_lineages, is_visible, settings};
use super::{Reads, Scope, cut, totals};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::schema::{approvals, task_contents, tasks};
use crate::views::{ApprovalView, Page};
use crate::writer::load;

/// Which approvals to list, oldest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApprovalFilter {
    /// Only these; `None`: all.
    pub status: Option<ApprovalStatus>,
    /// At most this many.
    pub limit: i64,
    /// Only those younger than this one.
    pub after: Option<ApprovalId>,
}

impl Reads<'_> {
    /// An approval; `None` outside the scope.
    pub fn approval(
        &mut self,
        scope: Scope,
        id: ApprovalId,
    ) -> Result<Option<ApprovalView>, ReadError> {
        self.snapshot(|conn| {
            let task: Option<String> = on_db!(conn, |c| approvals::table
                .filter(approvals::account_id.eq(scope.account.to_string()))
                .filter(approvals::id.eq(id.to_string()))
                .select(approvals::task_id)
                .first(c)
                .optional())?;
            let Some(task) = task else {
                return Ok(None);
            };
            if !is_visible(conn, scope, stored(&task)?)? {
                return Ok(None);
            }
            Ok(views(conn, scope, &[(id.to_string(), task)])?.pop())
        })
    }

    /// A page of approvals, oldest first.
    pub fn approvals(
        &mut self,
        scope: Scope,
        filter: &ApprovalFilter,
    ) -> Result<Page<ApprovalView>, ReadError> {
        self.snapshot(|conn| {
            let (mut ids, total) = listed(conn, scope, filter)?;
            let next = cut(&mut ids, filter.limit, |(id, _)| id.clone());
            Ok(Page {
                items: views(conn, scope, &ids)?,
                total,
                next,
            })
        })
    }
}

/// The ids of a page and one more, with their tasks, and how many there are in all.
fn listed(
    conn: &mut Conn,
    scope: Scope,
    filter: &ApprovalFilter,
) -> Result<(Vec<(String, String)>, i64), Fault> {
    let lineages = match scope.desktop {
        Some(desktop) => dependency_lineages(conn, scope.account, desktop)?,
        None => Vec::new(),
    };
    let total = totals::approvals(conn, scope, &lineages, filter.status)?;
    let ids = on_db!(conn, |c| {
        let mut page = approvals::table
            .filter(approvals::account_id.eq(scope.account.to_string()))
            .order(approvals::id.asc())
            .limit(filter.limit + 1)
            .into_boxed();
        // only a desktop needs the tasks: for a whole account, the index tells alone
        if let Some(own) = scope.desktop {
            let own = tasks::desktop_id.eq(own.to_string());
            let visible = tasks::table
                .filter(tasks::account_id.eq(scope.account.to_string()))
                .filter(own.or(tasks::lineage_id.eq_any(&lineages)))
                .select(tasks::id);
            page = page.filter(approvals::task_id.eq_any(visible));
        }
        if let Some(status) = filter.status {
            page = page.filter(approvals::status.eq(status.as_str()));
        }
        if let Some(after) = filter.after {
            page = page.filter(approvals::id.gt(after.to_string()));
        }
        page.select((approvals::id, approvals::task_id)).load(c)
    })?;
    Ok((ids, total))
}

/// Everything that is shown with some approvals, in their order.
pub(super) fn views(
    conn: &mut Conn,
    scope: Scope,
    ids: &[(String, String)],
) -> Result<Vec<ApprovalView>, Fault> {
    let settings = settings(conn, scope.account)?;
    let tasks: BTreeSet<String> = ids.iter().map(|(_, task)| task.clone()).collect();
    let world = load::look(conn, scope.account, settings, &tasks)?;
    let contents: Vec<(String, String)> = on_db!(conn, |c| task_contents::table
        .filter(task_contents::task_id.eq_any(&tasks))
        .select((task_contents::task_id, task_contents::content))
        .load(c))?;
    let mut contents: HashMap<String, String> = contents.into_iter().collect();
    let mut views = Vec::with_capacity(ids.len());
    for (_, task) in ids {
        let Some(entry) = world.approvals.get(&stored(task)?) else {
            continue;
        };
        if let Ok(mut view) = world.approval_view(&entry.approval) {
            view.content = contents.remove(task).unwrap_or_default();
            views.push(view);
        }
    }
    Ok(views)
}
