//! How many there are in all, without counting them: the table `totals` is kept by triggers, for each
//! desktop. Only what an agent sees of other desktops is counted, which its own dependencies bound.

use approval_core::{AccountId, ApprovalStatus, DesktopId, Status};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};

use super::Scope;
use crate::connection::{Conn, on_db};
use crate::fault::Fault;
use crate::schema::{approvals, tasks, totals};

const TASK: &str = "task";
const APPROVAL: &str = "approval";

/// Tasks of an account by status; a status that no task has may be missing.
pub(super) fn tasks_by_status(
    conn: &mut Conn,
    account: AccountId,
) -> Result<Vec<(String, i64)>, Fault> {
    Ok(on_db!(conn, |c| totals::table
        .filter(totals::account_id.eq(account.to_string()))
        .filter(totals::kind.eq(TASK))
        .select((totals::status, totals::number))
        .load(c))?)
}

/// Tasks that are visible in the scope: of these statuses (none: of all), of this desktop if one is named.
/// `lineages` is what an agent sees besides the tasks of its desktop.
pub(super) fn tasks(
    conn: &mut Conn,
    scope: Scope,
    lineages: &[String],
    statuses: &[Status],
    desktop: Option<DesktopId>,
) -> Result<i64, Fault> {
    let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let Some(own) = scope.desktop else {
        return kept(conn, scope.account, TASK, &statuses, desktop);
    };
    let of_own = match desktop {
        Some(other) if other != own => 0,
        _ => kept(conn, scope.account, TASK, &statuses, Some(own))?,
    };
    Ok(of_own + foreign_tasks(conn, scope.account, own, lineages, &statuses, desktop)?)
}

/// Approvals of tasks that are visible in the scope, of this status or of all.
pub(super) fn approvals(
    conn: &mut Conn,
    scope: Scope,
    lineages: &[String],
    status: Option<ApprovalStatus>,
) -> Result<i64, Fault> {
    let statuses: Vec<&str> = status.iter().map(|status| status.as_str()).collect();
    let kept = kept(conn, scope.account, APPROVAL, &statuses, scope.desktop)?;
    match scope.desktop {
        Some(own) => Ok(kept + foreign_approvals(conn, scope.account, own, lineages, &statuses)?),
        None => Ok(kept),
    }
}

/// The sum of what triggers have counted.
fn kept(
    conn: &mut Conn,
    account: AccountId,
    kind: &str,
    statuses: &[&str],
    desktop: Option<DesktopId>,
) -> Result<i64, Fault> {
    let numbers: Vec<i64> = on_db!(conn, |c| {
        let mut query = totals::table
            .filter(totals::account_id.eq(account.to_string()))
            .filter(totals::kind.eq(kind))
            .select(totals::number)
            .into_boxed();
        if !statuses.is_empty() {
            query = query.filter(totals::status.eq_any(statuses));
        }
        if let Some(desktop) = desktop {
            query = query.filter(totals::desktop_id.eq(desktop.to_string()));
        }
        query.load(c)
    })?;
    Ok(numbers.iter().sum())
}

fn foreign_tasks(
    conn: &mut Conn,
    account: AccountId,
    own: DesktopId,
    lineages: &[String],
    statuses: &[&str],
    desktop: Option<DesktopId>,
) -> Result<i64, Fault> {
    if lineages.is_empty() {
        return Ok(0);
    }
    Ok(on_db!(conn, |c| {
        let mut query = tasks::table
            .filter(tasks::account_id.eq(account.to_string()))
            .filter(tasks::lineage_id.eq_any(lineages))
            .filter(tasks::desktop_id.ne(own.to_string()))
            .into_boxed();
        if !statuses.is_empty() {
            query = query.filter(tasks::status.eq_any(statuses));
        }
        if let Some(desktop) = desktop {
            query = query.filter(tasks::desktop_id.eq(desktop.to_string()));
        }
        query.count().get_result(c)
    })?)
}

fn foreign_approvals(
    conn: &mut Conn,
    account: AccountId,
    own: DesktopId,
    lineages: &[String],
    statuses: &[&str],
) -> Result<i64, Fault> {
    if lineages.is_empty() {
        return Ok(0);
    }
    Ok(on_db!(conn, |c| {
        let mut query = tasks::table
            .inner_join(approvals::table.on(approvals::task_id.eq(tasks::id)))
            .filter(tasks::account_id.eq(account.to_string()))
            .filter(tasks::lineage_id.eq_any(lineages))
            .filter(tasks::desktop_id.ne(own.to_string()))
            .into_boxed();
        if !statuses.is_empty() {
            query = query.filter(approvals::status.eq_any(statuses));
        }
        query.count().get_result(c)
    })?)
}
