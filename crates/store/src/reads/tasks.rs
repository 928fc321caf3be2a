//! Tasks, alone and in lists.

use std::collections::{BTreeSet, HashMap};

use approval_core::{AccountId, DesktopId, Settings, Status, TaskId};
use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl};

use super::{Reads, Scope, cut, totals};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::sabotage::Mistake;
use crate::schema::{accounts, task_contents, task_dependencies, tasks};
use crate::views::{Page, TaskView};
use crate::writer::load;

/// Characters of content that lists show.
const LISTED_CONTENT: i32 = 2_000;

diesel::define_sql_function! {
    /// The first characters of a text, on both engines.
    fn substr(text: diesel::sql_types::Text, from: diesel::sql_types::Integer, count: diesel::sql_types::Integer) -> diesel::sql_types::Text;
}

/// Which tasks to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only these; empty: all.
    pub statuses: Vec<Status>,
    /// Only those of this desktop.
    pub desktop: Option<DesktopId>,
    /// At most this many.
    pub limit: i64,
    /// Only those older than this one.
    pub after: Option<TaskId>,
}

impl Reads<'_> {
    /// A task with its whole content; `None` outside the scope.
    pub fn task(&mut self, scope: Scope, id: TaskId) -> Result<Option<TaskView>, ReadError> {
        self.snapshot(|conn| {
            if !is_visible(conn, scope, id)? {
                return Ok(None);
            }
            let mut views = views(conn, scope.account, &[id.to_string()])?;
            let content: Option<String> = on_db!(conn, |c| task_contents::table
                .find(id.to_string())
                .select(task_contents::content)
                .first(c)
                .optional())?;
            for view in &mut views {
                view.content = content.clone().unwrap_or_default();
            }
            Ok(views.pop())
        })
    }

    /// A page of tasks, newest first, their contents cut at 2,000 characters.
    pub fn tasks(
        &mut self,
        scope: Scope,
        filter: &TaskFilter,
    ) -> Result<Page<TaskView>, ReadError> {
        self.snapshot(|conn| {
            let (mut ids, total) = listed(conn, scope, filter)?;
            let next = cut(&mut ids, filter.limit, Clone::clone);
            let mut items = views(conn, scope.account, &ids)?;
            let contents = listed_contents(conn, &ids)?;
            for view in &mut items {
                if let Some((content, truncated)) = contents.get(&view.state.id) {
                    view.content.clone_from(content);
                    view.content_truncated = *truncated;
                }
            }
            Ok(Page { items, total, next })
        })
    }
}

/// The ids of a page and one more, and how many there are in all.
fn listed(conn: &mut Conn, scope: Scope, filter: &TaskFilter) -> Result<(Vec<String>, i64), Fault> {
    let lineages = match scope.desktop {
        Some(desktop) => dependency_lineages(conn, scope.account, desktop)?,
        None => Vec::new(),
    };
    let statuses = &filter.statuses;
    let total = totals::tasks(conn, scope, &lineages, statuses, filter.desktop)?;
    let mut ids = Vec::new();
    for shelf in shelves(scope, &lineages, filter) {
        ids.extend(shelf.newest(conn, scope.account, filter)?);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let page = usize::try_from(filter.limit + 1).unwrap_or(usize::MAX);
    ids.truncate(page);
    Ok((ids, total))
}

/// Tasks that an index holds in the order of their ids, so that the newest are found without looking at
/// the others.
enum Shelf<'a> {
    /// All of the account.
    Account,
    /// Of one status.
    Status(Status),
    /// Of one desktop and one status.
    Desktop(DesktopId, Status),
    /// What an agent sees besides the tasks of its desktop. Its own dependencies are few, so these may be
    /// sorted.
    Lineages(DesktopId, &'a [String]),
}

/// What together holds each task that is asked for once.
fn shelves<'a>(scope: Scope, lineages: &'a [String], filter: &TaskFilter) -> Vec<Shelf<'a>> {
    let statuses: &[Status] = match &*filter.statuses {
        [] => Status::ALL,
        some => some,
    };
    let of_desktop = |desktop| statuses.iter().map(move |s| Shelf::Desktop(desktop, *s));
    match (scope.desktop, filter.desktop) {
        (None, None) if filter.statuses.is_empty() => vec![Shelf::Account],
        (None, None) => statuses.iter().map(|s| Shelf::Status(*s)).collect(),
        (None, Some(desktop)) => of_desktop(desktop).collect(),
        (Some(own), Some(other)) if own != other => vec![Shelf::Lineages(own, lineages)],
        (Some(own), Some(_)) => of_desktop(own).collect(),
        (Some(own), None) => of_desktop(own)
            .chain([Shelf::Lineages(own, lineages)])
            .collect(),
    }
}

impl Shelf<'_> {
    /// The ids of the newest, one more than a page.
    fn newest(
        &self,
        conn: &mut Conn,
        account: AccountId,
        filter: &TaskFilter,
    ) -> Result<Vec<String>, Fault> {
        Ok(on_db!(conn, |c| {
            let mut query = tasks::table
                .filter(tasks::account_id.eq(account.to_string()))
                .order(tasks::id.desc())
                .limit(filter.limit + 1)
                .select(tasks::id)
                .into_boxed();
            if let Some(after) = filter.after {
                query = query.filter(tasks::id.lt(after.to_string()));
            }
            match self {
                Self::Account => {}
                Self::Status(status) => query = query.filter(tasks::status.eq(status.as_str())),
                Self::Desktop(desktop, status) => {
                    query = query
                        .filter(tasks::desktop_id.eq(desktop.to_string()))
                        .filter(tasks::status.eq(status.as_str()));
                }
                Self::Lineages(own, lineages) => {
                    query = query
                        .filter(tasks::lineage_id.eq_any(*lineages))
                        .filter(tasks::desktop_id.ne(own.to_string()));
                    if let Some(desktop) = filter.desktop {
                        query = query.filter(tasks::desktop_id.eq(desktop.to_string()));
                    }
                    if !filter.statuses.is_empty() {
                        let statuses = filter.statuses.iter().map(|status| status.as_str());
                        query = query.filter(tasks::status.eq_any(statuses));
                    }
                }
            }
            query.load(c)
        })?)
    }
}

/// The first 2,000 characters of each content, and whether that was not all.
fn listed_contents(
    conn: &mut Conn,
    ids: &[String],
) -> Result<HashMap<TaskId, (String, bool)>, Fault> {
    let rows: Vec<(String, String)> = on_db!(conn, |c| task_contents::table
        .filter(task_contents::task_id.eq_any(ids))
        .select((
            task_contents::task_id,
            substr(task_contents::content, 1, LISTED_CONTENT + 1)
        ))
        .load(c))?;
    rows.into_iter()
        .map(|(id, content)| {
            let shown: String = content
                .chars()
                .take(LISTED_CONTENT.unsigned_abs() as usize)
                .collect();
            let truncated = shown.len() < content.len();
            Ok((stored(&id)?, (shown, truncated)))
        })
        .collect()
}

/// Everything that is shown with some tasks, in the order of `ids`, without their contents.
fn views(conn: &mut Conn, account: AccountId, ids: &[String]) -> Result<Vec<TaskView>, Fault> {
    let settings = settings(conn, account)?;
    let wanted: BTreeSet<String> = ids.iter().cloned().collect();
    let world = load::look(conn, account, settings, &wanted)?;
    ids.iter()
        .filter_map(|id| stored(id).ok())
        .filter_map(|id| world.task_view(id).ok())
        .map(Ok)
        .collect()
}

/// The switches of an account.
pub(super) fn settings(conn: &mut Conn, account: AccountId) -> Result<Settings, Fault> {
    let row: Option<(bool, bool)> = on_db!(conn, |c| accounts::table
        .find(account.to_string())
        .select((accounts::task_approval_mode, accounts::require_evidence))
        .first(c)
        .optional())?;
    let (task_approval_mode, require_evidence) = row.unwrap_or_default();
    Ok(Settings {
        task_approval_mode,
        require_evidence,
    })
}

/// The chains of retries that tasks of a desktop depend on.
pub(super) fn dependency_lineages(
    conn: &mut Conn,
    account: AccountId,
    desktop: DesktopId,
) -> Result<Vec<String>, Fault> {
    Ok(on_db!(conn, |c| task_dependencies::table
        .inner_join(tasks::table.on(tasks::id.eq(task_dependencies::task_id)))
        .filter(tasks::account_id.eq(account.to_string()))
        .filter(tasks::desktop_id.eq(desktop.to_string()))
        .select(task_dependencies::parent_lineage)
        .distinct()
        .load(c))?)
}

/// Whether a task exists in the scope.
pub(super) fn is_visible(conn: &mut Conn, scope: Scope, id: TaskId) -> Result<bool, Fault> {
    if Mistake::ForeignTasks.made() {
        return Ok(true);
    }
    let row: Option<(String, String)> = on_db!(conn, |c| tasks::table
        .filter(tasks::account_id.eq(scope.account.to_string()))
        .filter(tasks::id.eq(id.to_string()))
        .select((tasks::desktop_id, tasks::lineage_id))
        .first(c)
        .optional())?;
    let Some((desktop, lineage)) = row else {
        return Ok(false);
    };
    match scope.desktop {
        Some(own) if own.to_string() != desktop => {
            Ok(dependency_lineages(conn, scope.account, own)?.contains(&lineage))
        }
        _ => Ok(true),
    }
}
