//! What belongs to an account as a whole: settings, counts and the log.

use approval_core::{AccountId, ApprovalStatus, Settings, Status, TaskId, Timestamp};
use diesel::dsl::sql;
use diesel::sql_types::{Bool, Integer, Text};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::{Reads, Scope, cut, totals};
use crate::connection::{Conn, on_db};
use crate::dialect;
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::rows::identity;
use crate::schema::{accounts, activity, approvals, desktops};
use crate::views::{ActivityPage, ActivityRow, Dashboard};

diesel::define_sql_function! {
    /// The first characters of a text, on both engines.
    fn substr(text: Text, from: Integer, count: Integer) -> Text;
}

/// Of so many rows a type is looked for in one page.
const LOOKED_AT: i64 = 20_000;

impl Reads<'_> {
    /// The switches of an account.
    pub fn settings(&mut self, account: AccountId) -> Result<Settings, ReadError> {
        Ok(super::tasks::settings(self.conn, account)?)
    }

    /// Counts for the dashboard.
    pub fn dashboard(&mut self, account: AccountId) -> Result<Dashboard, ReadError> {
        let id = account.to_string();
        self.snapshot(|conn| {
            let counts = totals::tasks_by_status(conn, account)?;
            let count_of = |status: &Status| {
                let of_status = counts.iter().filter(|(text, _)| text == status.as_str());
                of_status.map(|(_, n)| n).sum()
            };
            let everything = Scope {
                account,
                desktop: None,
            };
            let pending = Some(ApprovalStatus::Pending);
            let pending_approvals = totals::approvals(conn, everything, &[], pending)?;
            let oldest: Option<i64> = on_db!(conn, |c| approvals::table
                .filter(approvals::account_id.eq(&id))
                .filter(approvals::status.eq("pending"))
                .order(approvals::id)
                .select(approvals::created_at)
                .first(c)
                .optional())?;
            let desktops_running = on_db!(conn, |c| desktops::table
                .filter(desktops::account_id.eq(&id))
                .filter(desktops::running.eq(true))
                .filter(desktops::removed_at.is_null())
                .count()
                .get_result(c))?;
            Ok(Dashboard {
                tasks: Status::ALL.iter().map(|s| (*s, count_of(s))).collect(),
                pending_approvals,
                oldest_pending_at: oldest.map(Timestamp::from_micros),
                desktops_running,
            })
        })
    }

    /// The rows of the log behind `after`, oldest first.
    pub fn activity(
        &mut self,
        account: AccountId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ActivityRow>, ReadError> {
        Ok(log_after(self.conn, account, after, limit)?)
    }

    /// The rows of the log before `before`, newest first; of the types that begin with `kind`
    /// only. No index finds a type: of no more than 20,000 rows it is looked for, and the page then
    /// goes on from there.
    pub fn activity_before(
        &mut self,
        account: AccountId,
        before: Option<i64>,
        kind: Option<&str>,
        limit: i64,
    ) -> Result<ActivityPage, ReadError> {
        let head = self.activity_total(account)?;
        let before = before.unwrap_or(head + 1).clamp(0, head + 1);
        let first = match kind {
            Some(_) => before - LOOKED_AT,
            None => 0,
        };
        let kind = kind.unwrap_or_default();
        let length = i32::try_from(kind.chars().count()).unwrap_or(i32::MAX);
        let mut rows: Vec<LogRow> = on_db!(self.conn, |c| activity::table
            .filter(activity::account_id.eq(account.to_string()))
            .filter(activity::seq.lt(before))
            .filter(activity::seq.ge(first))
            // not LIKE, which has wildcards, and on SQLite takes upper and lower case as one
            .filter(substr(activity::type_, 1, length).eq(kind))
            .order(activity::seq.desc())
            .limit(limit + 1)
            .select(log_columns!())
            .load(c))
        .map_err(Fault::from)?;
        let more = cut(&mut rows, limit, |row| row.0.to_string()).is_some();
        let next = match rows.last() {
            Some(last) if more => Some(last.0),
            _ if first > 1 => Some(first),
            _ => None,
        };
        Ok(ActivityPage {
            rows: log_rows(rows)?,
            next,
        })
    }

    /// What happened to a task, oldest first.
    pub fn activity_of_task(
        &mut self,
        account: AccountId,
        task: TaskId,
        limit: i64,
    ) -> Result<Vec<ActivityRow>, ReadError> {
        let task = task.to_string();
        let rows: Vec<LogRow> = match self.conn {
            Conn::Sqlite(c) => of_task!(c, dialect::SQLITE_TASK_OF_PAYLOAD, account, task, limit),
            Conn::Postgres(c) => {
                of_task!(c, dialect::POSTGRES_TASK_OF_PAYLOAD, account, task, limit)
            }
        }
        .map_err(Fault::from)?;
        Ok(log_rows(rows)?)
    }

    /// How many rows the log has: its last sequence number, as it has no gaps.
    pub fn activity_total(&mut self, account: AccountId) -> Result<i64, ReadError> {
        let heads = self.heads(&[account])?;
        Ok(heads.first().map_or(0, |(_, seq)| *seq))
    }

    /// Where the logs of some accounts end.
    pub fn heads(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, i64)>, ReadError> {
        let ids: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let rows: Vec<(String, i64)> = on_db!(self.conn, |c| accounts::table
            .filter(accounts::id.eq_any(&ids))
            .select((accounts::id, accounts::head_seq))
            .load(c))
        .map_err(Fault::from)?;
        let heads = rows.into_iter().map(|(id, seq)| Ok((stored(&id)?, seq)));
        Ok(heads.collect::<Result<_, Fault>>()?)
    }
}

/// The rows of the log behind `after`, oldest first.
pub(crate) fn log_after(
    conn: &mut Conn,
    account: AccountId,
    after: i64,
    limit: i64,
) -> Result<Vec<ActivityRow>, Fault> {
    let rows: Vec<LogRow> = on_db!(conn, |c| activity::table
        .filter(activity::account_id.eq(account.to_string()))
        .filter(activity::seq.gt(after))
        .order(activity::seq)
        .limit(limit)
        .select(log_columns!())
        .load(c))?;
    log_rows(rows)
}

/// A row of `activity`.
type LogRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
);

/// The columns of a [`LogRow`].
macro_rules! log_columns {
    () => {
        (
            activity::seq,
            activity::type_,
            activity::payload,
            activity::actor_id,
            activity::actor_kind,
            activity::actor_name,
            activity::at,
            activity::prev_hash,
            activity::hash,
        )
    };
}
use log_columns;

/// The rows of the log about a task: the index is on an expression, which the engines write
/// differently.
macro_rules! of_task {
    ($conn:expr, $task_of_payload:expr, $account:expr, $task:expr, $limit:expr) => {
        activity::table
            .filter(activity::account_id.eq($account.to_string()))
            .filter(sql::<Bool>($task_of_payload).bind::<Text, _>($task))
            .order(activity::seq)
            .limit($limit)
            .select(log_columns!())
            .load($conn)
    };
}
use of_task;

fn log_rows(rows: Vec<LogRow>) -> Result<Vec<ActivityRow>, Fault> {
    let rows = rows.into_iter().map(
        |(seq, kind, payload, id, actor_kind, name, at, prev_hash, hash)| {
            let actor = identity(&actor_kind, &id, name)?;
            let at = Timestamp::from_micros(at);
            Ok(ActivityRow {
                seq,
                kind,
                payload,
                actor,
                at,
                prev_hash,
                hash,
            })
        },
    );
    rows.collect()
}
