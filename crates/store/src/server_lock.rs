//! Who may serve a database, and who may change its schema.
//!
//! SQLite has one server process: it holds a lock on the file `DATABASE.lock` for its life. Any
//! number of servers share a PostgreSQL database: each holds the same advisory lock in shared mode.
//! The migration tool takes the same lock for itself alone, so no schema changes under a running
//! server. The operating system or PostgreSQL gives the lock back when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use diesel::dsl::sql;
use diesel::sql_types::Bool;

use crate::connection::{ConnectError, PgConn, Role, connect_postgres};
use crate::url::{DatabaseUrl, PostgresUrl};

/// The advisory lock's number, any fixed one; other programs in the same database are unlikely to
/// have spelt the same eight letters.
const ADVISORY_KEY: i64 = i64::from_be_bytes(*b"cntrsign");

/// How long to wait for PostgreSQL to notice that a holder has just died.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to serve a database, or to change its schema; given back on drop.
#[must_use = "dropping it gives the lock back"]
pub struct ServerLock(Held);

#[expect(clippy::large_enum_variant, reason = "a process has one")]
enum Held {
    File {
        /// Keeps the lock; closing the file gives it back.
        _file: File,
    },
    Advisory {
        url: PostgresUrl,
        mode: Mode,
        conn: PgConn,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Shared,
    Exclusive,
}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has the SQLite database.
    #[error(
        "another Countersign server or migration is using {database} (it holds {lock}); stop it first"
    )]
    FileHeld {
        /// The database file.
        database: String,
        /// The lock file.
        lock: String,
    },
    /// The migration tool wants the PostgreSQL database for itself while servers use it.
    #[error("Countersign servers or another migration are using {database}; stop them first")]
    InUse {
        /// The database, without password.
        database: String,
    },
    /// A server wants to start while a migration is running.
    #[error("a migration is running on {database}; start again when it has finished")]
    Migrating {
        /// The database, without password.
        database: String,
    },
    /// The lock file cannot be opened.
    #[error("cannot lock {lock}: {source}")]
    File {
        /// The lock file.
        lock: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// PostgreSQL cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// PostgreSQL failed while asked for the lock.
    #[error("cannot lock the database: {0}")]
    Query(#[from] diesel::result::Error),
}

impl ServerLock {
    /// Takes the lock of a server: alone on SQLite, together with other servers on PostgreSQL.
    ///
    /// # Errors
    /// [`LockError::FileHeld`] or [`LockError::Migrating`] when somebody else has it.
    pub fn acquire(url: &DatabaseUrl) -> Result<Self, LockError> {
        Self::take(url, Mode::Shared)
    }

    /// Takes the lock of the migration tool: alone on both engines.
    ///
    /// # Errors
    /// [`LockError::FileHeld`] or [`LockError::InUse`] when a server is running.
    pub fn acquire_exclusive(url: &DatabaseUrl) -> Result<Self, LockError> {
        Self::take(url, Mode::Exclusive)
    }

    fn take(url: &DatabaseUrl, mode: Mode) -> Result<Self, LockError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                lock_file(path).map(|file| Self(Held::File { _file: file }))
            }
            DatabaseUrl::Postgres(url) => Ok(Self(Held::Advisory {
                conn: lock_advisory(url, mode)?,
                url: url.clone(),
                mode,
            })),
        }
    }

    /// Makes sure that the lock is still ours. PostgreSQL forgets it when the connection breaks or
    /// the server restarts; a server calls this after it has reconnected.
    ///
    /// # Errors
    /// As for [`ServerLock::acquire`]; the lock is lost then, and the next call tries again.
    pub fn renew(&mut self) -> Result<(), LockError> {
        match &mut self.0 {
            Held::File { .. } => Ok(()),
            Held::Advisory { url, mode, conn } => {
                if diesel::sql_query("SELECT 1").execute(conn).is_err() {
                    *conn = lock_advisory(url, *mode)?;
                }
                Ok(())
            }
        }
    }
}

/// The lock file of a SQLite database. It stays behind: removing it would let two processes lock
/// two files of the same name.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn lock_file(database: &Path) -> Result<File, LockError> {
    let path = lock_path(database);
    let failed = |source| LockError::File {
        lock: path.display().to_string(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::FileHeld {
            database: database.display().to_string(),
            lock: path.display().to_string(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn lock_advisory(url: &PostgresUrl, mode: Mode) -> Result<PgConn, LockError> {
    let mut conn = connect_postgres(url, Role::Admin)?;
    let call = match mode {
        Mode::Shared => format!("SELECT pg_try_advisory_lock_shared({ADVISORY_KEY})"),
        Mode::Exclusive => format!("SELECT pg_try_advisory_lock({ADVISORY_KEY})"),
    };
    let deadline = Instant::now() + PATIENCE;
    while !sql::<Bool>(&call).get_result::<bool>(&mut conn)? {
        if Instant::now() >= deadline {
            let database = url.to_string();
            return Err(match mode {
                Mode::Shared => LockError::Migrating { database },
                Mode::Exclusive => LockError::InUse { database },
            });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_database_has_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("a.db"));
        let first = ServerLock::acquire(&url).unwrap();
        for second in [
            ServerLock::acquire(&url),
            ServerLock::acquire_exclusive(&url),
        ] {
            assert!(matches!(second, Err(LockError::FileHeld { .. })));
        }
        drop(first);
        let mut again = ServerLock::acquire_exclusive(&url).unwrap();
        again.renew().unwrap();
    }

    #[test]
    fn a_lock_file_that_cannot_be_made_is_named() {
        let url = DatabaseUrl::Sqlite("/nonexistent/a.db".into());
        let error = ServerLock::acquire(&url).err().unwrap();
        assert!(
            error.to_string().contains("/nonexistent/a.db.lock"),
            "{error}"
        );
    }
}
