//! What belongs to an account as a whole: settings, counts and the log.

use approval_core::{AccountId, Settings, Status, Timestamp};
use diesel::dsl::count_star;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};

use super::Reads;
use crate::connection::on_db;
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::rows::identity;
use crate::schema::{accounts, activity, approvals, desktops, tasks};
use crate::views::{ActivityRow, Dashboard};

impl Reads<'_> {
    /// The switches of an account.
    pub fn settings(&mut self, account: AccountId) -> Result<Settings, ReadError> {
        Ok(super::tasks::settings(self.conn, account)?)
    }

    /// Counts for the dashboard.
    pub fn dashboard(&mut self, account: AccountId) -> Result<Dashboard, ReadError> {
        let id = account.to_string();
        self.snapshot(|conn| {
            let counts: Vec<(String, i64)> = on_db!(conn, |c| tasks::table
                .filter(tasks::account_id.eq(&id))
                .group_by(tasks::status)
                .select((tasks::status, count_star()))
                .load(c))?;
            let count_of = |status: &Status| {
                counts
                    .iter()
                    .find(|(text, _)| text == status.as_str())
                    .map_or(0, |(_, n)| *n)
            };
            let pending_approvals = on_db!(conn, |c| approvals::table
                .filter(approvals::account_id.eq(&id))
                .filter(approvals::status.eq("pending"))
                .count()
                .get_result(c))?;
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
        #[expect(clippy::type_complexity, reason = "one row of one query")]
        let rows: Vec<(
            i64,
            String,
            String,
            String,
            String,
            String,
            i64,
            String,
            String,
        )> = on_db!(self.conn, |c| activity::table
            .filter(activity::account_id.eq(account.to_string()))
            .filter(activity::seq.gt(after))
            .order(activity::seq)
            .limit(limit)
            .select((
                activity::seq,
                activity::type_,
                activity::payload,
                activity::actor_id,
                activity::actor_kind,
                activity::actor_name,
                activity::at,
                activity::prev_hash,
                activity::hash,
            ))
            .load(c))
        .map_err(Fault::from)?;
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
        Ok(rows.collect::<Result<_, Fault>>()?)
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
