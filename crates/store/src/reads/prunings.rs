//! What was pruned, and what may be: an unlocked search; the writer checks again.

use approval_core::{AccountId, Status, TaskId, Timestamp};
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl,
};

use super::Reads;
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::prune::Prunable;
use crate::schema::{prunings, tasks, uploads};
use crate::views::Pruning;

impl Reads<'_> {
    /// Whether and when the log and file bytes of an attempt were given up.
    ///
    /// Bytes are read before this is asked: then what was read is whole if the answer is `None`.
    pub fn pruning(&mut self, task: TaskId, attempt: u32) -> Result<Option<Pruning>, ReadError> {
        Ok(pruning(self.conn, task, attempt)?)
    }

    /// Tasks of one final status whose last attempt may be pruned, in the order of ids from the one behind
    /// `after`: the conditions of [`approval_core::prunable`].
    pub(crate) fn prunable(
        &mut self,
        account: AccountId,
        status: Status,
        older_than: Timestamp,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Prunable>, ReadError> {
        let rows: Vec<(String, i64, i64, i64)> = on_db!(self.conn, |c| tasks::table
            .inner_join(
                uploads::table.on(uploads::task_id
                    .eq(tasks::id)
                    .and(uploads::attempt.eq(tasks::attempt))),
            )
            .filter(tasks::account_id.eq(account.to_string()))
            .filter(tasks::status.eq(status.as_str()))
            .filter(tasks::id.gt(after))
            .filter(tasks::evidence_sha256.is_not_null())
            .filter(tasks::completed_at.lt(older_than.micros()))
            .filter(sql::<Bool>("log_head_bytes + log_tail_bytes + file_bytes > 0"))
            .filter(sql::<Bool>(
                "NOT EXISTS (SELECT 1 FROM prunings p WHERE p.task_id = tasks.id AND p.attempt = tasks.attempt)"
            ))
            .filter(
                sql::<Bool>(
                    "NOT EXISTS (SELECT 1 FROM approvals a WHERE a.task_id = tasks.id AND a.attempt = tasks.attempt
                     AND (a.status = 'pending' OR a.decided_at >= ",
                )
                .bind::<BigInt, _>(older_than.micros())
                .sql("))"),
            )
            .filter(sql::<Bool>(
                "(tasks.status <> 'done' OR NOT EXISTS (SELECT 1 FROM task_dependencies d JOIN tasks t ON t.id = d.task_id
                 WHERE d.account_id = tasks.account_id AND d.parent_lineage = tasks.lineage_id
                 AND t.status NOT IN ('done', 'failed', 'cancelled')))"
            ))
            .order(tasks::id)
            .limit(limit)
            .select((
                tasks::id,
                uploads::log_head_bytes,
                uploads::log_tail_bytes,
                uploads::file_bytes,
            ))
            .load(c))
        .map_err(Fault::from)?;
        let found = rows.iter().map(|(task, head, tail, files)| {
            Ok(Prunable {
                task: stored(task)?,
                log_bytes: head + tail,
                file_bytes: *files,
            })
        });
        Ok(found.collect::<Result<_, Fault>>()?)
    }

    /// Tasks whose pruning was cut off, in the order of ids from the one behind `after`.
    pub(crate) fn open_prunings(
        &mut self,
        account: AccountId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<TaskId>, ReadError> {
        let rows: Vec<String> = on_db!(self.conn, |c| prunings::table
            .filter(prunings::account_id.eq(account.to_string()))
            .filter(prunings::finished_at.is_null())
            .filter(prunings::task_id.gt(after))
            .order(prunings::task_id)
            .limit(limit)
            .select(prunings::task_id)
            .load(c))
        .map_err(Fault::from)?;
        let ids = rows.iter().map(|task| stored(task));
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

/// The pruning of an attempt, if there is one.
pub(super) fn pruning(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
) -> Result<Option<Pruning>, Fault> {
    let row: Option<(i64, i64, i64)> = on_db!(conn, |c| prunings::table
        .find((task.to_string(), i64::from(attempt)))
        .select((
            prunings::pruned_at,
            prunings::log_bytes,
            prunings::file_bytes
        ))
        .first(c)
        .optional())?;
    Ok(row.map(|(at, log_bytes, file_bytes)| Pruning {
        at: Timestamp::from_micros(at),
        log_bytes,
        file_bytes,
    }))
}
