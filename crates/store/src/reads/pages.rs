//! What pages show together: a task with everything around it, summaries for lists.

use std::collections::{BTreeSet, HashMap};

use approval_core::{AccountId, ApprovalId, ApprovalStatus, DesktopId, Parent, Status, TaskId};
use diesel::dsl::{count, count_star, sql};
use diesel::sql_types::BigInt;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::tasks::{is_visible, settings};
use super::{Reads, Scope, approvals, attempts, cut, prunings, totals};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::rows::small;
use crate::schema::{
    approvals as approval_rows, desktops, files, principals, task_contents, tasks,
};
use crate::views::{ApprovalView, ChangeSummary, Dependent, Page, TaskPage};
use crate::writer::load;
use crate::writer::world::World;

impl Reads<'_> {
    /// A task with everything a page shows around it; `None` outside the scope.
    pub fn task_page(&mut self, scope: Scope, id: TaskId) -> Result<Option<TaskPage>, ReadError> {
        self.snapshot(|conn| {
            if !is_visible(conn, scope, id)? {
                return Ok(None);
            }
            let settings = settings(conn, scope.account)?;
            let wanted = BTreeSet::from([id.to_string()]);
            let world = load::look(conn, scope.account, settings, &wanted)?;
            let (Ok(mut task), Some(desktop)) = (
                world.task_view(id),
                world
                    .tasks
                    .get(&id)
                    .and_then(|task| world.desktops.get(&task.task.desktop)),
            ) else {
                return Ok(None);
            };
            task.content = content(conn, id)?;
            let attempt = task.state.attempt;
            Ok(Some(TaskPage {
                blocked: behind(&world, &task.blocked_by),
                retry_of: behind(&world, task.state.retry_of.as_slice()).pop(),
                retried_by: behind(&world, task.state.retried_by.as_slice()).pop(),
                releases: releases(&world, id),
                desktop_names: desktop_names(&world),
                summary: summaries(conn, &[(id, attempt, task.state.exit_code)])?
                    .remove(&id)
                    .unwrap_or_default(),
                log: attempts::kept_log(conn, id, attempt)?,
                pruning: prunings::pruning(conn, id, attempt)?,
                next_pending: next_pending(conn, scope.account, id)?,
                pending: pending(conn, scope.account)?,
                desktop: desktop.view.clone(),
                desktop_removed: desktop.removed_at.is_some(),
                settings,
                task,
            }))
        })
    }

    /// Decided approvals, newest first.
    pub fn decided_approvals(
        &mut self,
        scope: Scope,
        limit: i64,
        before: Option<ApprovalId>,
    ) -> Result<Page<ApprovalView>, ReadError> {
        self.snapshot(|conn| {
            let decided = [
                ApprovalStatus::Approved,
                ApprovalStatus::Rejected,
                ApprovalStatus::Cancelled,
            ];
            let mut ids: Vec<(String, String)> = Vec::new();
            let mut total = 0;
            // one index range a status, each in its order
            for status in decided {
                let (found, count) = newest_of(conn, scope, status, limit, before)?;
                ids.extend(found);
                total += count;
            }
            ids.sort_by(|a, b| b.cmp(a));
            ids.truncate(usize::try_from(limit + 1).unwrap_or(usize::MAX));
            let next = cut(&mut ids, limit, |(id, _)| id.clone());
            let items = approvals::views(conn, scope, &ids)?;
            Ok(Page { items, total, next })
        })
    }

    /// How many approvals wait.
    pub fn pending_approvals(&mut self, account: AccountId) -> Result<i64, ReadError> {
        Ok(pending(self.conn, account)?)
    }

    /// What the last attempts of some tasks changed.
    pub fn change_summaries(
        &mut self,
        account: AccountId,
        tasks: &[TaskId],
    ) -> Result<HashMap<TaskId, ChangeSummary>, ReadError> {
        self.snapshot(|conn| {
            let ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            let rows: Vec<(String, i64, Option<i64>)> = on_db!(conn, |c| tasks::table
                .filter(tasks::account_id.eq(account.to_string()))
                .filter(tasks::id.eq_any(&ids))
                .select((tasks::id, tasks::attempt, tasks::exit_code))
                .load(c))?;
            let last = rows
                .into_iter()
                .map(|(id, attempt, exit_code)| Ok((stored(&id)?, small(attempt)?, exit_code)));
            let last: Vec<_> = last.collect::<Result<_, Fault>>()?;
            summaries(conn, &last)
        })
    }

    /// The titles of some tasks.
    pub fn titles(
        &mut self,
        account: AccountId,
        tasks: &[TaskId],
    ) -> Result<HashMap<TaskId, String>, ReadError> {
        let ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::account_id.eq(account.to_string()))
            .filter(tasks::id.eq_any(&ids))
            .select((tasks::id, tasks::title))
            .load(c))
        .map_err(Fault::from)?;
        let titles = rows
            .into_iter()
            .map(|(id, title)| Ok((stored(&id)?, title)));
        Ok(titles.collect::<Result<_, Fault>>()?)
    }
}

impl Reads<'_> {
    /// The names of some people, keys and desktops, removed ones too.
    pub fn names(
        &mut self,
        account: AccountId,
        ids: &[String],
    ) -> Result<HashMap<String, String>, ReadError> {
        self.snapshot(|conn| {
            let actors: Vec<(String, String)> = on_db!(conn, |c| principals::table
                .filter(principals::account_id.eq(account.to_string()))
                .filter(principals::id.eq_any(ids))
                .select((principals::id, principals::name))
                .load(c))?;
            let desktops: Vec<(String, String)> = on_db!(conn, |c| desktops::table
                .filter(desktops::account_id.eq(account.to_string()))
                .filter(desktops::id.eq_any(ids))
                .select((desktops::id, desktops::name))
                .load(c))?;
            Ok(actors.into_iter().chain(desktops).collect())
        })
    }
}

fn content(conn: &mut Conn, id: TaskId) -> Result<String, Fault> {
    let content: Option<String> = on_db!(conn, |c| task_contents::table
        .find(id.to_string())
        .select(task_contents::content)
        .first(c)
        .optional())?;
    Ok(content.unwrap_or_default())
}

/// The tasks behind some ids, as far as they were loaded.
fn behind(world: &World, ids: &[TaskId]) -> Vec<Dependent> {
    let tasks = ids.iter().filter_map(|id| world.tasks.get(id));
    tasks.map(|entry| Dependent::of(&entry.task)).collect()
}

/// What starts by itself once a task is done: pending tasks with `autoRun` that wait for nothing
/// else.
fn releases(world: &World, id: TaskId) -> Vec<Dependent> {
    let Some(entry) = world.tasks.get(&id) else {
        return Vec::new();
    };
    let dependents = world.dependents.get(&entry.task.lineage);
    let dependents = dependents
        .into_iter()
        .flatten()
        .filter_map(|id| world.tasks.get(id));
    let released = dependents.filter(|dependent| {
        let task = &dependent.task;
        let waits_for = Parent::unfinished(&world.parents(dependent));
        task.auto_run && task.status == Status::Pending && waits_for == [id]
    });
    released.map(|entry| Dependent::of(&entry.task)).collect()
}

fn desktop_names(world: &World) -> HashMap<DesktopId, String> {
    let desktops = world.desktops.iter();
    desktops
        .map(|(id, desktop)| (*id, desktop.view.name.clone()))
        .collect()
}

fn pending(conn: &mut Conn, account: AccountId) -> Result<i64, Fault> {
    let everything = Scope {
        account,
        desktop: None,
    };
    totals::approvals(conn, everything, &[], Some(ApprovalStatus::Pending))
}

/// The task of the oldest pending approval that is not about `but`.
fn next_pending(conn: &mut Conn, account: AccountId, but: TaskId) -> Result<Option<TaskId>, Fault> {
    let next: Option<String> = on_db!(conn, |c| approval_rows::table
        .filter(approval_rows::account_id.eq(account.to_string()))
        .filter(approval_rows::status.eq(ApprovalStatus::Pending.as_str()))
        .filter(approval_rows::task_id.ne(but.to_string()))
        .order(approval_rows::id)
        .select(approval_rows::task_id)
        .first(c)
        .optional())?;
    next.map(|id| stored(&id)).transpose()
}

type Approvals = (Vec<(String, String)>, i64);

/// The newest approvals of a status, one more than asked for, and how many there are.
fn newest_of(
    conn: &mut Conn,
    scope: Scope,
    status: ApprovalStatus,
    limit: i64,
    before: Option<ApprovalId>,
) -> Result<Approvals, Fault> {
    let total = totals::approvals(conn, scope, &[], Some(status))?;
    let ids = on_db!(conn, |c| {
        let mut page = approval_rows::table
            .filter(approval_rows::account_id.eq(scope.account.to_string()))
            .filter(approval_rows::status.eq(status.as_str()))
            .order(approval_rows::id.desc())
            .limit(limit + 1)
            .into_boxed();
        if let Some(own) = scope.desktop {
            let of_desktop = tasks::table
                .filter(tasks::account_id.eq(scope.account.to_string()))
                .filter(tasks::desktop_id.eq(own.to_string()))
                .select(tasks::id);
            page = page.filter(approval_rows::task_id.eq_any(of_desktop));
        }
        if let Some(before) = before {
            page = page.filter(approval_rows::id.lt(before.to_string()));
        }
        page.select((approval_rows::id, approval_rows::task_id))
            .load(c)
    })?;
    Ok((ids, total))
}

/// Task, attempt, files, files with known lines, lines added and removed, files that were cut.
type FileSums = (String, i64, i64, i64, i64, i64, i64);

/// What some attempts changed. Lines are those of the files whose lines are known, if any are.
fn summaries(
    conn: &mut Conn,
    attempts: &[(TaskId, u32, Option<i64>)],
) -> Result<HashMap<TaskId, ChangeSummary>, Fault> {
    let ids: Vec<String> = attempts.iter().map(|(id, ..)| id.to_string()).collect();
    // added up by the database: an attempt may have 10,000 files
    let rows: Vec<FileSums> = on_db!(conn, |c| files::table
        .filter(files::task_id.eq_any(&ids))
        .group_by((files::task_id, files::attempt))
        .select((
            files::task_id,
            files::attempt,
            count_star(),
            count(files::added_lines),
            sql::<BigInt>("CAST(coalesce(sum(added_lines), 0) AS BIGINT)"),
            sql::<BigInt>("CAST(coalesce(sum(removed_lines), 0) AS BIGINT)"),
            sql::<BigInt>("CAST(sum(CASE WHEN truncated THEN 1 ELSE 0 END) AS BIGINT)"),
        ))
        .load(c))?;
    let mut sums = HashMap::new();
    for (id, attempt, files, known, added, removed, truncated) in rows {
        let is_known = known > 0;
        let summary = ChangeSummary {
            exit_code: None,
            files,
            added: is_known.then_some(added),
            removed: is_known.then_some(removed),
            truncated,
        };
        sums.insert((stored::<TaskId>(&id)?, small(attempt)?), summary);
    }
    let nothing = ChangeSummary {
        added: Some(0),
        removed: Some(0),
        ..ChangeSummary::default()
    };
    let summaries = attempts.iter().map(|(id, attempt, exit_code)| {
        let summary = sums.get(&(*id, *attempt)).copied().unwrap_or(nothing);
        let exit_code = *exit_code;
        (
            *id,
            ChangeSummary {
                exit_code,
                ..summary
            },
        )
    });
    Ok(summaries.collect())
}
