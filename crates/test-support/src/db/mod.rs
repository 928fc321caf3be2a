//! Temporary databases of both kinds: each test has its own, removed when the test ends.

mod contents;
mod postgres;
mod schema;
mod sqlite;
mod totals;

use std::fmt;
use std::path::Path;

use postgres::PostgresDb;
use sqlite::SqliteDb;
use tempfile::TempDir;

/// The two database engines, to instantiate a suite for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// A SQLite file in a directory of its own.
    Sqlite,
    /// A database on the PostgreSQL server at `TEST_POSTGRES_URL`.
    Postgres,
}

impl Engine {
    /// Both engines.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// A database that is removed on drop.
///
/// It may be used and dropped in async tests as well: it works on threads of its own. Errors of the
/// set-up panic, because a test cannot go on without its database.
pub struct TestDb(Kind);

enum Kind {
    Sqlite(SqliteDb),
    Postgres(PostgresDb),
}

/// Rows of a query; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

impl TestDb {
    /// The SQLite database that a program has made in a folder, which goes with it.
    pub fn made_in(folder: TempDir, file: &str) -> Self {
        Self(Kind::Sqlite(SqliteDb::of(folder, file)))
    }

    /// An empty SQLite database; the file appears with the first connection.
    pub fn sqlite() -> Self {
        Self(Kind::Sqlite(SqliteDb::empty()))
    }

    /// A SQLite database with every migration applied.
    pub fn migrated_sqlite() -> Self {
        Self(Kind::Sqlite(SqliteDb::migrated()))
    }

    /// A SQLite database that is restored from a backup: the file is put where it belongs.
    pub fn restored_sqlite(backup: &Path) -> Self {
        Self(Kind::Sqlite(SqliteDb::restored(backup)))
    }

    /// An empty PostgreSQL database.
    ///
    /// Without `TEST_POSTGRES_URL` it is `None` and says so on stderr: the test returns early.
    ///
    /// # Panics
    /// Without `TEST_POSTGRES_URL` when `CI` is `true`: continuous integration skips nothing.
    pub fn postgres() -> Option<Self> {
        Some(Self(Kind::Postgres(PostgresDb::empty(&server()?))))
    }

    /// A PostgreSQL database with every migration applied; `None` and panics as
    /// [`TestDb::postgres`].
    pub fn migrated_postgres() -> Option<Self> {
        Some(Self(Kind::Postgres(PostgresDb::migrated(&server()?))))
    }

    /// An empty database of either kind; `None` and panics as [`TestDb::postgres`].
    pub fn empty(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Sqlite => Some(Self::sqlite()),
            Engine::Postgres => Self::postgres(),
        }
    }

    /// A migrated database of either kind; `None` and panics as [`TestDb::postgres`].
    pub fn migrated(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Sqlite => Some(Self::migrated_sqlite()),
            Engine::Postgres => Self::migrated_postgres(),
        }
    }

    /// Its URL, as `DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        match &self.0 {
            Kind::Sqlite(db) => db.url(),
            Kind::Postgres(db) => db.url(),
        }
    }

    /// Which of the two it is.
    pub fn engine(&self) -> Engine {
        match &self.0 {
            Kind::Sqlite(_) => Engine::Sqlite,
            Kind::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs SQL past the store, one statement or several, on one connection kept for this database
    /// (with the settings of the store's own), and returns how many rows the last one changed.
    ///
    /// # Errors
    /// The database's message: how tests see that it refuses something.
    pub fn execute(&self, sql: &str) -> Result<u64, String> {
        match &self.0 {
            Kind::Sqlite(db) => db.execute(sql),
            Kind::Postgres(db) => db.execute(sql),
        }
    }

    /// Every row of one statement, as text. Bytes read `\x00ff`; booleans as the engine writes them
    /// (`1` or `t`).
    ///
    /// # Errors
    /// The database's message.
    pub fn query(&self, sql: &str) -> Result<Rows, String> {
        match &self.0 {
            Kind::Sqlite(db) => db.query(sql),
            Kind::Postgres(db) => db.query(sql),
        }
    }

    /// The first column of the first row, as [`TestDb::query`] writes it; `None` for NULL and for
    /// no row.
    ///
    /// # Errors
    /// The database's message.
    pub fn query_scalar(&self, sql: &str) -> Result<Option<String>, String> {
        let first = self.query(sql)?.into_iter().next();
        Ok(first.and_then(|row| row.into_iter().next()).flatten())
    }
}

impl fmt::Debug for TestDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestDb").field(&self.url()).finish()
    }
}

/// The PostgreSQL server for tests, if there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no command line of ours to carry configuration"
)]
fn server() -> Option<String> {
    if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
        return Some(url);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !in_ci,
        "TEST_POSTGRES_URL is not set, and CI must not skip the PostgreSQL tests"
    );
    eprintln!("skipped on PostgreSQL: TEST_POSTGRES_URL is not set (cargo xtask test sets it)");
    None
}

/// Runs blocking work where no async runtime is entered, so that async tests can call it.
pub(crate) fn off_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Applies every migration through the store.
///
/// # Panics
/// When the database refuses.
pub fn migrate(url: &str) {
    let url = url
        .parse()
        .unwrap_or_else(|error| panic!("test database: {error}"));
    off_runtime(|| store::migrations::run(&url))
        .unwrap_or_else(|error| panic!("test database: {error}"));
}
