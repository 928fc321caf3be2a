//! The board: all tasks in five columns, whatever their number. Cards are cheap: they show no
//! content, no chains of retries and nothing of what depends on them.

use std::collections::HashMap;

use approval_core::{AccountId, DesktopId, Status, TaskId, Timestamp};
use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, JoinOnDsl,
    OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper, TextExpressionMethods,
};

use super::tasks::dependency_lineages;
use super::{Reads, Scope, totals};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::rows::{TaskRow, small};
use crate::schema::{desktops, task_dependencies, tasks};
use crate::views::{BoardColumn, BoardView, Card};

/// The columns of the board and what each holds.
const COLUMNS: [&[Status]; 5] = [
    &[Status::Pending],
    &[Status::Running],
    &[Status::Review],
    &[Status::Done],
    &[Status::Failed, Status::Cancelled],
];
/// With a text filter so many of the newest tasks of each status are looked at: no index finds a
/// text within a title.
const LOOKED_AT: i64 = 5_000;
/// Most desktops that a board names.
const DESKTOPS: i64 = 200;

diesel::define_sql_function! {
    /// A text in lower case, on both engines.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Which tasks the board shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardFilter {
    /// Only those of this desktop.
    pub desktop: Option<DesktopId>,
    /// Only those with this text in their title; upper and lower case are one.
    pub text: Option<String>,
    /// Cards of a column.
    pub limit: i64,
}

impl Reads<'_> {
    /// The board.
    pub fn board(&mut self, scope: Scope, filter: &BoardFilter) -> Result<BoardView, ReadError> {
        self.snapshot(|conn| {
            let lineages = visible_lineages(conn, scope)?;
            let find = Find {
                scope,
                filter,
                lineages: &lineages,
            };
            let columns = COLUMNS
                .iter()
                .map(|statuses| find.column(conn, statuses, None));
            Ok(BoardView {
                columns: columns.collect::<Result<_, Fault>>()?,
                desktops: desktop_names(conn, scope.account)?,
            })
        })
    }

    /// One column from a task on, with the names of the desktops.
    pub fn board_column(
        &mut self,
        scope: Scope,
        statuses: &'static [Status],
        filter: &BoardFilter,
        after: Option<TaskId>,
    ) -> Result<(BoardColumn, Vec<(DesktopId, String)>), ReadError> {
        self.snapshot(|conn| {
            let lineages = visible_lineages(conn, scope)?;
            let find = Find {
                scope,
                filter,
                lineages: &lineages,
            };
            let column = find.column(conn, statuses, after)?;
            Ok((column, desktop_names(conn, scope.account)?))
        })
    }
}

/// What an agent sees besides the tasks of its desktop.
fn visible_lineages(conn: &mut Conn, scope: Scope) -> Result<Vec<String>, Fault> {
    match scope.desktop {
        Some(desktop) => dependency_lineages(conn, scope.account, desktop),
        None => Ok(Vec::new()),
    }
}

fn desktop_names(conn: &mut Conn, account: AccountId) -> Result<Vec<(DesktopId, String)>, Fault> {
    let rows: Vec<(String, String)> = on_db!(conn, |c| desktops::table
        .filter(desktops::account_id.eq(account.to_string()))
        .filter(desktops::removed_at.is_null())
        .order(desktops::id)
        .limit(DESKTOPS)
        .select((desktops::id, desktops::name))
        .load(c))?;
    let names = rows.into_iter().map(|(id, name)| Ok((stored(&id)?, name)));
    names.collect()
}

/// A search for cards.
struct Find<'a> {
    scope: Scope,
    filter: &'a BoardFilter,
    lineages: &'a [String],
}

/// Tasks of one status in the scope and of the desktop asked for.
macro_rules! of_status {
    ($find:expr, $status:expr) => {{
        let scope = $find.scope;
        let mut query = tasks::table
            .filter(tasks::account_id.eq(scope.account.to_string()))
            .filter(tasks::status.eq($status.as_str()))
            .into_boxed();
        if let Some(own) = scope.desktop {
            let own = tasks::desktop_id.eq(own.to_string());
            let visible = tasks::lineage_id.eq_any($find.lineages);
            query = query.filter(own.or(visible));
        }
        if let Some(desktop) = $find.filter.desktop {
            query = query.filter(tasks::desktop_id.eq(desktop.to_string()));
        }
        query
    }};
}

impl Find<'_> {
    fn column(
        &self,
        conn: &mut Conn,
        statuses: &'static [Status],
        after: Option<TaskId>,
    ) -> Result<BoardColumn, Fault> {
        let mut column = BoardColumn {
            statuses,
            count: 0,
            cards: Vec::new(),
            next: None,
            searched: None,
        };
        for status in statuses {
            let total = self.count(conn, *status)?;
            let rows = match self.filter.text.as_deref() {
                None => {
                    column.count += total;
                    self.newest(conn, *status, after)?
                }
                Some(text) => {
                    if total > LOOKED_AT {
                        column.searched = Some(LOOKED_AT);
                    }
                    let found = self.with_text(conn, *status, text)?;
                    column.count += i64::try_from(found.len()).unwrap_or(i64::MAX);
                    let after = after.map(|id| id.to_string());
                    let is_older = |id: &String| after.as_ref().is_none_or(|after| id < after);
                    let ids = found.into_iter().filter(is_older).take(self.one_more());
                    self.by_ids(conn, &ids.collect::<Vec<_>>())?
                }
            };
            column.cards.extend(cards(conn, self.scope.account, rows)?);
        }
        column.cards.sort_by_key(|card| std::cmp::Reverse(card.id));
        let limit = usize::try_from(self.filter.limit).unwrap_or(usize::MAX);
        if column.cards.len() > limit {
            column.cards.truncate(limit);
            column.next = column.cards.last().map(|card| card.id);
        }
        Ok(column)
    }

    fn one_more(&self) -> usize {
        usize::try_from(self.filter.limit + 1).unwrap_or(usize::MAX)
    }

    fn count(&self, conn: &mut Conn, status: Status) -> Result<i64, Fault> {
        let desktop = self.filter.desktop;
        totals::tasks(conn, self.scope, self.lineages, &[status], desktop)
    }

    fn newest(
        &self,
        conn: &mut Conn,
        status: Status,
        after: Option<TaskId>,
    ) -> Result<Vec<TaskRow>, Fault> {
        Ok(on_db!(conn, |c| {
            let mut query = of_status!(self, status);
            if let Some(after) = after {
                query = query.filter(tasks::id.lt(after.to_string()));
            }
            query
                .order(tasks::id.desc())
                .limit(self.filter.limit + 1)
                .select(TaskRow::as_select())
                .load(c)
        })?)
    }

    /// Those of the newest tasks that have the text in their title, newest first.
    fn with_text(&self, conn: &mut Conn, status: Status, text: &str) -> Result<Vec<String>, Fault> {
        let oldest: Option<String> = on_db!(conn, |c| of_status!(self, status)
            .order(tasks::id.desc())
            .limit(1)
            .offset(LOOKED_AT - 1)
            .select(tasks::id)
            .first(c)
            .optional())?;
        // with fewer there is no bound: every id is greater than nothing
        let oldest = oldest.unwrap_or_default();
        // SQLite knows upper and lower case of ASCII only, so other texts are compared here
        if text.is_ascii() {
            let pattern = format!("%{}%", escaped(&text.to_lowercase()));
            return Ok(on_db!(conn, |c| of_status!(self, status)
                .filter(tasks::id.ge(oldest))
                .filter(lower(tasks::title).like(&pattern).escape('!'))
                .order(tasks::id.desc())
                .select(tasks::id)
                .load(c))?);
        }
        let titles: Vec<(String, String)> = on_db!(conn, |c| of_status!(self, status)
            .filter(tasks::id.ge(oldest))
            .order(tasks::id.desc())
            .select((tasks::id, tasks::title))
            .load(c))?;
        let text = text.to_lowercase();
        let found = titles
            .into_iter()
            .filter(|(_, title)| title.to_lowercase().contains(&text));
        Ok(found.map(|(id, _)| id).collect())
    }

    fn by_ids(&self, conn: &mut Conn, ids: &[String]) -> Result<Vec<TaskRow>, Fault> {
        Ok(on_db!(conn, |c| tasks::table
            .filter(tasks::account_id.eq(self.scope.account.to_string()))
            .filter(tasks::id.eq_any(ids))
            .select(TaskRow::as_select())
            .load(c))?)
    }
}

/// A text of which LIKE takes every character as itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(character);
    }
    escaped
}

fn cards(conn: &mut Conn, account: AccountId, rows: Vec<TaskRow>) -> Result<Vec<Card>, Fault> {
    let pending = rows
        .iter()
        .filter(|row| row.status == Status::Pending.as_str());
    let pending: Vec<&str> = pending.map(|row| row.id.as_str()).collect();
    let mut blocked_by = unfinished(conn, account, &pending)?;
    rows.into_iter()
        .map(|row| card(&mut blocked_by, row))
        .collect()
}

fn card(blocked_by: &mut HashMap<String, usize>, row: TaskRow) -> Result<Card, Fault> {
    Ok(Card {
        blocked_by: blocked_by.remove(&row.id).unwrap_or(0),
        id: stored(&row.id)?,
        title: row.title,
        task_type: stored(&row.type_)?,
        status: stored(&row.status)?,
        desktop: stored(&row.desktop_id)?,
        requires_approval: row.requires_approval,
        gated: row.gated,
        attempt: small(row.attempt)?,
        claimed: row.lease_token.is_some(),
        created_at: Timestamp::from_micros(row.created_at),
        started_at: row.started_at.map(Timestamp::from_micros),
        completed_at: row.completed_at.map(Timestamp::from_micros),
    })
}

/// How many dependencies of some tasks are not done: the newest retry of each counts.
fn unfinished(
    conn: &mut Conn,
    account: AccountId,
    ids: &[&str],
) -> Result<HashMap<String, usize>, Fault> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<String> = on_db!(conn, |c| task_dependencies::table
        // the account in the join, so that the index by lineage finds each dependency
        .inner_join(
            tasks::table.on(tasks::account_id
                .eq(task_dependencies::account_id)
                .and(tasks::lineage_id.eq(task_dependencies::parent_lineage))),
        )
        .filter(task_dependencies::account_id.eq(account.to_string()))
        .filter(task_dependencies::task_id.eq_any(ids))
        .filter(tasks::retried_by.is_null())
        .filter(tasks::status.ne(Status::Done.as_str()))
        .select(task_dependencies::task_id)
        .load(c))?;
    let mut counts = HashMap::new();
    for id in rows {
        *counts.entry(id).or_insert(0) += 1;
    }
    Ok(counts)
}
