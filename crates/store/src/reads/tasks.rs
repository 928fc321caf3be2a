//! Tasks, alone and in lists.

use std::collections::{BTreeSet, HashMap};

use approval_core::{AccountId, DesktopId, Settings, Status, TaskId};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl,
};

use super::{Reads, Scope, cut};
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
    let foreign = match scope.desktop {
        Some(desktop) => dependency_lineages(conn, scope.account, desktop)?,
        None => Vec::new(),
    };
    let statuses: Vec<&str> = filter.statuses.iter().map(|s| s.as_str()).collect();
    on_db!(conn, |c| {
        macro_rules! query {
            () => {{
                let mut query = tasks::table
                    .filter(tasks::account_id.eq(scope.account.to_string()))
                    .into_boxed();
                if let Some(own) = scope.desktop {
                    let own = tasks::desktop_id.eq(own.to_string());
                    query = query.filter(own.or(tasks::lineage_id.eq_any(&foreign)));
                }
                if let Some(desktop) = filter.desktop {
                    query = query.filter(tasks::desktop_id.eq(desktop.to_string()));
                }
                if !statuses.is_empty() {
                    query = query.filter(tasks::status.eq_any(&statuses));
                }
                query
            }};
        }
        let total = query!().count().get_result(c)?;
        let mut page = query!().order(tasks::id.desc()).limit(filter.limit + 1);
        if let Some(after) = filter.after {
            page = page.filter(tasks::id.lt(after.to_string()));
        }
        Ok((page.select(tasks::id).load(c)?, total))
    })
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
