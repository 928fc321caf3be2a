//! What the server finds to do by itself: an unlocked search; the writer checks again.

use approval_core::{AccountId, TIMEOUT_GRACE_SECONDS, Timestamp};
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};

use super::Reads;
use crate::command::Sweep;
use crate::connection::on_db;
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::schema::{desktops, idempotency, sessions, sign_in_links, tasks};
use crate::writer::write::{KEEP_ANSWERS_SECONDS, KEEP_ENDED_SECONDS};

/// Most finds of each kind in one search.
const AT_A_TIME: i64 = 500;
/// After this many seconds of silence a desktop counts as stopped (contract section 5).
const SILENT_SECONDS: i64 = 30;

impl Reads<'_> {
    /// Leases that ran out, time-outs nobody enforced, silent desktops, old answers.
    pub(crate) fn due(&mut self) -> Result<Vec<(AccountId, Sweep)>, ReadError> {
        let now = self.time()?;
        let mut due = Vec::new();
        self.expired_leases(now, &mut due)?;
        self.timed_out(now, &mut due)?;
        self.silent_desktops(now, &mut due)?;
        self.old_answers(now, &mut due)?;
        self.old_sessions(now, &mut due)?;
        Ok(due)
    }

    /// Every lease there is, so that an outage of ours ends none of them.
    pub(crate) fn leases(&mut self) -> Result<Vec<(AccountId, Sweep)>, ReadError> {
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::status.eq("running"))
            .filter(tasks::lease_token.is_not_null())
            .order(tasks::lease_expires_at)
            .select((tasks::account_id, tasks::id))
            .load(c))
        .map_err(Fault::from)?;
        let found = rows
            .iter()
            .map(|(account, task)| Ok((stored(account)?, Sweep::RearmLease(stored(task)?))));
        Ok(found.collect::<Result<_, Fault>>()?)
    }

    fn expired_leases(
        &mut self,
        now: Timestamp,
        due: &mut Vec<(AccountId, Sweep)>,
    ) -> Result<(), Fault> {
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::status.eq("running"))
            .filter(tasks::lease_token.is_not_null())
            .filter(tasks::lease_expires_at.le(now.micros()))
            .order((tasks::lease_expires_at, tasks::id))
            .limit(AT_A_TIME)
            .select((tasks::account_id, tasks::id))
            .load(c))?;
        for (account, task) in rows {
            due.push((stored(&account)?, Sweep::ExpireLease(stored(&task)?)));
        }
        Ok(())
    }

    fn timed_out(
        &mut self,
        now: Timestamp,
        due: &mut Vec<(AccountId, Sweep)>,
    ) -> Result<(), Fault> {
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::status.eq("running"))
            .filter(tasks::lease_token.is_not_null())
            .filter(
                sql::<Bool>("started_at + timeout_seconds * 1000000 <= ")
                    .bind::<BigInt, _>(now.plus_seconds(-TIMEOUT_GRACE_SECONDS).micros()),
            )
            .order((tasks::started_at, tasks::id))
            .limit(AT_A_TIME)
            .select((tasks::account_id, tasks::id))
            .load(c))?;
        for (account, task) in rows {
            due.push((stored(&account)?, Sweep::TimeOut(stored(&task)?)));
        }
        Ok(())
    }

    fn silent_desktops(
        &mut self,
        now: Timestamp,
        due: &mut Vec<(AccountId, Sweep)>,
    ) -> Result<(), Fault> {
        let before = now.plus_seconds(-SILENT_SECONDS).micros();
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| desktops::table
            .filter(desktops::running.eq(true))
            .filter(desktops::last_seen_at.le(before))
            .order((desktops::last_seen_at, desktops::id))
            .limit(AT_A_TIME)
            .select((desktops::account_id, desktops::id))
            .load(c))?;
        for (account, desktop) in rows {
            due.push((stored(&account)?, Sweep::StopDesktop(stored(&desktop)?)));
        }
        Ok(())
    }

    fn old_answers(
        &mut self,
        now: Timestamp,
        due: &mut Vec<(AccountId, Sweep)>,
    ) -> Result<(), Fault> {
        let before = now.plus_seconds(-KEEP_ANSWERS_SECONDS).micros();
        let mut accounts: Vec<String> = on_db!(self.conn, |c| idempotency::table
            .filter(idempotency::created_at.lt(before))
            .order((idempotency::created_at, idempotency::scope))
            .limit(AT_A_TIME)
            .select(idempotency::account_id)
            .load(c))?;
        accounts.sort();
        accounts.dedup();
        for account in accounts {
            due.push((stored(&account)?, Sweep::ForgetAnswers));
        }
        Ok(())
    }

    fn old_sessions(
        &mut self,
        now: Timestamp,
        due: &mut Vec<(AccountId, Sweep)>,
    ) -> Result<(), Fault> {
        let before = now.plus_seconds(-KEEP_ENDED_SECONDS).micros();
        let mut accounts: Vec<String> = on_db!(self.conn, |c| sessions::table
            .filter(sessions::expires_at.lt(before))
            .order((sessions::expires_at, sessions::id))
            .limit(AT_A_TIME)
            .select(sessions::account_id)
            .load(c))?;
        let links: Vec<String> = on_db!(self.conn, |c| sign_in_links::table
            .filter(sign_in_links::expires_at.lt(before))
            .order((sign_in_links::expires_at, sign_in_links::sha256))
            .limit(AT_A_TIME)
            .select(sign_in_links::account_id)
            .load(c))?;
        accounts.extend(links);
        accounts.sort();
        accounts.dedup();
        for account in accounts {
            due.push((stored(&account)?, Sweep::ForgetSessions));
        }
        Ok(())
    }
}
