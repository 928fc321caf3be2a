//! Reads: never through the writer, each on one snapshot, only queries that an index serves.

pub(crate) mod account;
mod approvals;
mod attempts;
mod board;
mod desktops;
mod keys;
mod pages;
mod prunings;
mod sessions;
mod sweeps;
mod tasks;
mod totals;

use approval_core::{AccountId, DesktopId, Timestamp};

use crate::clock::Clock;
use crate::connection::Conn;
use crate::dialect;
use crate::fault::Fault;
use crate::pool::ReadError;

pub use approvals::ApprovalFilter;
pub use board::BoardFilter;
pub use tasks::TaskFilter;

/// Whose world a read looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// An agent's desktop, which with the direct dependencies of its tasks is all it sees.
    pub desktop: Option<DesktopId>,
}

/// A read connection.
pub struct Reads<'a> {
    conn: &'a mut Conn,
    clock: Clock,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(conn: &'a mut Conn, clock: Clock) -> Self {
        Self { conn, clock }
    }

    /// The time by which leases and sessions run out.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the database does not say.
    pub fn now(&mut self) -> Result<Timestamp, ReadError> {
        Ok(self.time()?)
    }

    /// The database's clock, or that of the one process.
    fn time(&mut self) -> Result<Timestamp, Fault> {
        let now = dialect::database_clock(self.conn)?;
        Ok(now.map_or_else(|| self.clock.now(), Timestamp::from_micros))
    }

    /// Runs several queries on one state of the database.
    fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&mut Conn) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        dialect::begin_snapshot(self.conn).map_err(Fault::from)?;
        let result = read(self.conn);
        let ended = dialect::rollback(self.conn).map_err(Fault::from);
        let value = result?;
        ended?;
        Ok(value)
    }
}

/// Cuts a page to its size and says where to go on: queries ask for one row more.
fn cut<T>(rows: &mut Vec<T>, limit: i64, id: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(id)
}
