//! The small pool of read connections.

use std::time::Duration;

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};
use diesel::{RunQueryDsl, dsl::sql, sql_types::Integer};

use crate::connection::{Conn, ConnectError, Role};
use crate::fault::{Fault, Remedy};
use crate::url::DatabaseUrl;

/// How long a read waits for a connection before it is told that the database is unavailable.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a read has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The database did not answer.
    #[error("the database is unavailable")]
    Unavailable,
    /// A fault of ours, logged where it happened.
    #[error("internal error")]
    Internal,
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        tracing::error!(%fault, "a read failed");
        match fault.remedy() {
            Remedy::Isolate => Self::Internal,
            Remedy::Reconnect
            | Remedy::Retry
            | Remedy::Wait
            | Remedy::Refuse
            | Remedy::EndProcess => Self::Unavailable,
        }
    }
}

/// Opens read connections.
pub(crate) struct Readers(DatabaseUrl);

impl ManageConnection for Readers {
    type Connection = Conn;
    type Error = ConnectError;

    fn connect(&self) -> Result<Conn, ConnectError> {
        Conn::open(&self.0, Role::Reader)
    }

    /// A PostgreSQL connection may have died in the pool; a SQLite one cannot.
    fn is_valid(&self, conn: &mut Conn) -> Result<(), ConnectError> {
        match conn {
            Conn::Sqlite(_) => Ok(()),
            Conn::Postgres(c) => match sql::<Integer>("SELECT 1").get_result::<i32>(c) {
                Ok(_) => Ok(()),
                Err(error) => Err(ConnectError::lost(&self.0, &error)),
            },
        }
    }

    fn has_broken(&self, _conn: &mut Conn) -> bool {
        false
    }
}

/// A pool of read connections.
#[derive(Clone)]
pub(crate) struct ReadPool(Pool<Readers>);

impl ReadPool {
    /// Opens the pool with its first connection.
    pub(crate) fn open(url: &DatabaseUrl, size: u32) -> Result<Self, ReadError> {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .build(Readers(url.clone()));
        pool.map(Self).map_err(|error| {
            tracing::error!(%error, "cannot open connections for reading");
            ReadError::Unavailable
        })
    }

    /// A connection; blocks until one is free.
    pub(crate) fn get(&self) -> Result<PooledConnection<Readers>, ReadError> {
        self.0.get().map_err(|error| {
            tracing::error!(%error, "no connection for reading");
            ReadError::Unavailable
        })
    }
}
