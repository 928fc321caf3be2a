//! The whole log of an account and all its approvals, from one state of the database, in pages.

use approval_core::{AccountId, Approval, AuditHead};
use diesel::{BoolExpressionMethods, SelectableHelper};
use diesel::{ExpressionMethods, JoinOnDsl, NullableExpressionMethods, QueryDsl, RunQueryDsl};

use crate::admin::{Admin, AdminError};
use crate::connection::{Conn, Role, on_db};
use crate::dialect;
use crate::fault::{Fault, stored};
use crate::reads::account::log_after;
use crate::rows::ApprovalRow;
use crate::schema::{accounts, approvals, evidence, principals};
use crate::url::DatabaseUrl;
use crate::views::ActivityRow;

/// Rows of the log in a page.
const ROWS: i64 = 500;
/// Approvals in a page; a manifest of theirs is read at a time, which may have several MiB.
const APPROVALS: i64 = 200;

/// An approval with what it was about.
#[derive(Debug, Clone)]
pub struct ExportedApproval {
    /// The approval.
    pub approval: Approval,
    /// The sealed evidence: the exact bytes.
    pub manifest: String,
}

impl Admin {
    /// Where the log of an account ends.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn audit_head(&self, account: AccountId) -> Result<AuditHead, AdminError> {
        let mut conn = self.reader()?;
        Ok(head(&mut conn, account)?)
    }

    /// Hands out the log of an account, oldest first, then its approvals in the order of ids, all
    /// from one state of the database, however long that takes. Gives the head of the log.
    ///
    /// # Errors
    /// Of the database, and of whoever takes a row or an approval.
    pub fn audit<E: From<AdminError>>(
        &self,
        account: AccountId,
        mut row: impl FnMut(&ActivityRow) -> Result<(), E>,
        mut approval: impl FnMut(&ExportedApproval) -> Result<(), E>,
    ) -> Result<AuditHead, E> {
        // PostgreSQL ends a reader that is idle in its transaction for 5 s, as one behind a slow
        // pipe is; the snapshot itself is read only there.
        let conn = match self.url() {
            DatabaseUrl::Sqlite(_) => self.reader(),
            DatabaseUrl::Postgres(_) => Conn::open(self.url(), Role::Admin),
        };
        let conn = &mut conn.map_err(AdminError::from)?;
        dialect::begin_snapshot(conn).map_err(database)?;
        let head = head(conn, account).map_err(AdminError::from)?;
        let mut after = 0;
        loop {
            let page = log_after(conn, account, after, ROWS).map_err(AdminError::from)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            page.iter().try_for_each(&mut row)?;
        }
        let mut after = String::new();
        loop {
            let page = approvals_after(conn, account, &after).map_err(database)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(&last.id);
            for (stored, decider) in page {
                let manifest = manifest(conn, &stored).map_err(database)?;
                let stored = stored.into_approval(decider).map_err(AdminError::from)?;
                approval(&ExportedApproval {
                    approval: stored,
                    manifest,
                })?;
            }
        }
        dialect::rollback(conn).map_err(database)?;
        Ok(head)
    }
}

fn database(error: diesel::result::Error) -> AdminError {
    Fault::from(error).into()
}

fn head(conn: &mut Conn, account: AccountId) -> Result<AuditHead, Fault> {
    let (seq, hash): (i64, String) = on_db!(conn, |c| accounts::table
        .filter(accounts::id.eq(account.to_string()))
        .select((accounts::head_seq, accounts::head_hash))
        .first(c))?;
    Ok(AuditHead {
        seq,
        hash: stored(&hash)?,
    })
}

/// The next approvals, each with the name of who decided it.
fn approvals_after(
    conn: &mut Conn,
    account: AccountId,
    after: &str,
) -> Result<Vec<(ApprovalRow, Option<String>)>, diesel::result::Error> {
    on_db!(conn, |c| approvals::table
        .left_join(
            principals::table.on(principals::account_id
                .eq(approvals::account_id)
                .and(principals::id.nullable().eq(approvals::decided_by))),
        )
        .filter(approvals::account_id.eq(account.to_string()))
        .filter(approvals::id.gt(after))
        .order(approvals::id)
        .limit(APPROVALS)
        .select((ApprovalRow::as_select(), principals::name.nullable()))
        .load(c))
}

fn manifest(conn: &mut Conn, approval: &ApprovalRow) -> Result<String, diesel::result::Error> {
    on_db!(conn, |c| evidence::table
        .filter(evidence::task_id.eq(&approval.task_id))
        .filter(evidence::attempt.eq(approval.attempt))
        .select(evidence::manifest)
        .first(c))
}
