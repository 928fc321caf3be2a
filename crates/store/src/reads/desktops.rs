//! Desktops, what they run, and whether something waits for them.

use std::collections::HashMap;

use approval_core::{AccountId, DesktopId, TaskId, Timestamp};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::{Reads, cut};
use crate::connection::{Conn, on_db};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::schema::{desktops, tasks};
use crate::views::{DesktopView, Page};

type Row = (String, String, bool, Option<i64>, i64);

/// The columns of a desktop that are shown.
macro_rules! columns {
    () => {
        (
            desktops::id,
            desktops::name,
            desktops::running,
            desktops::last_seen_at,
            desktops::created_at,
        )
    };
}

impl Reads<'_> {
    /// A page of desktops, in the order of their ids.
    pub fn desktops(
        &mut self,
        account: AccountId,
        limit: i64,
        after: Option<DesktopId>,
    ) -> Result<Page<DesktopView>, ReadError> {
        self.snapshot(|conn| {
            let (mut rows, total): (Vec<Row>, i64) = on_db!(conn, |c| {
                macro_rules! all {
                    () => {
                        desktops::table
                            .filter(desktops::account_id.eq(account.to_string()))
                            .filter(desktops::removed_at.is_null())
                    };
                }
                let total = all!().count().get_result(c)?;
                let after = after.map(|id| id.to_string()).unwrap_or_default();
                let page = all!().filter(desktops::id.gt(after)).order(desktops::id);
                Ok::<_, Fault>((page.limit(limit + 1).select(columns!()).load(c)?, total))
            })?;
            let next = cut(&mut rows, limit, |row| row.0.clone());
            Ok(Page {
                items: views(conn, account, rows)?,
                total,
                next,
            })
        })
    }

    /// A desktop that was not removed.
    pub fn desktop(
        &mut self,
        account: AccountId,
        id: DesktopId,
    ) -> Result<Option<DesktopView>, ReadError> {
        self.snapshot(|conn| {
            let row: Option<Row> = on_db!(conn, |c| desktops::table
                .filter(desktops::account_id.eq(account.to_string()))
                .filter(desktops::id.eq(id.to_string()))
                .filter(desktops::removed_at.is_null())
                .select(columns!())
                .first(c)
                .optional())?;
            Ok(views(conn, account, row.into_iter().collect())?.pop())
        })
    }

    /// When a desktop was last heard from; the outer `None`: there is no such desktop. A stopped
    /// one counts as never heard from.
    pub fn desktop_seen(
        &mut self,
        account: AccountId,
        id: DesktopId,
    ) -> Result<Option<Option<Timestamp>>, ReadError> {
        let row: Option<(bool, Option<i64>)> = on_db!(self.conn, |c| desktops::table
            .filter(desktops::account_id.eq(account.to_string()))
            .filter(desktops::id.eq(id.to_string()))
            .filter(desktops::removed_at.is_null())
            .select((desktops::running, desktops::last_seen_at))
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        Ok(row.map(|(running, at)| at.filter(|_| running).map(Timestamp::from_micros)))
    }

    /// Those of some desktops for which a task is queued.
    pub fn claimable(&mut self, desktops: &[DesktopId]) -> Result<Vec<DesktopId>, ReadError> {
        let ids: Vec<String> = desktops.iter().map(ToString::to_string).collect();
        let rows: Vec<String> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::desktop_id.eq_any(&ids))
            .filter(tasks::status.eq("running"))
            .filter(tasks::lease_token.is_null())
            .select(tasks::desktop_id)
            .distinct()
            .load(c))
        .map_err(Fault::from)?;
        let desktops = rows.iter().map(|id| stored(id));
        Ok(desktops.collect::<Result<_, Fault>>()?)
    }
}

fn views(conn: &mut Conn, account: AccountId, rows: Vec<Row>) -> Result<Vec<DesktopView>, Fault> {
    let ids: Vec<&String> = rows.iter().map(|row| &row.0).collect();
    let claimed: Vec<(String, String)> = on_db!(conn, |c| tasks::table
        .filter(tasks::account_id.eq(account.to_string()))
        .filter(tasks::desktop_id.eq_any(&ids))
        .filter(tasks::status.eq("running"))
        .filter(tasks::lease_token.is_not_null())
        .order(tasks::id)
        .select((tasks::desktop_id, tasks::id))
        .load(c))?;
    let mut running: HashMap<String, Vec<TaskId>> = HashMap::new();
    for (desktop, task) in claimed {
        running.entry(desktop).or_default().push(stored(&task)?);
    }
    rows.into_iter()
        .map(|(id, name, is_running, last_seen_at, created_at)| {
            Ok(DesktopView {
                running_tasks: running.remove(&id).unwrap_or_default(),
                id: stored(&id)?,
                name,
                running: is_running,
                last_seen_at: last_seen_at.map(Timestamp::from_micros),
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .collect()
}
