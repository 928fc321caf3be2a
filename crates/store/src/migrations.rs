//! The schema's history: which migrations this build brings, which ones a database has, and the way
//! from one to the other.
//!
//! Both engines have the same migrations under the same names. A database may have more than this
//! build knows: a newer release has prepared it (expand/contract, `docs/migrations.md`).
//!
//! Everything here blocks. [`run`] and [`revert`] take no lock of their own: the caller holds a
//! [`ServerLock`](crate::server_lock::ServerLock).

use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::Sqlite;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::{Conn, ConnectError, PgConn, Role, on_db};
use crate::sabotage::Mistake;
use crate::url::DatabaseUrl;

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// One migration, as seen by this build and by a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The directory's name, `<stamp>_<name>`; the bare version when this build does not know it.
    pub name: String,
    /// Where it stands.
    pub state: MigrationState,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// The database has it.
    Applied,
    /// This build needs it and the database lacks it.
    Pending,
    /// The database has it and this build does not know it.
    Unknown,
}

/// Why the history could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The list of applied migrations cannot be read.
    #[error("cannot read the applied migrations: {0}")]
    History(#[source] diesel::result::Error),
    /// A migration failed and was rolled back; those before it stay applied.
    #[error("migration {name} failed and was rolled back: {reason}")]
    Failed {
        /// The migration's name.
        name: String,
        /// What the database said.
        reason: String,
    },
    /// There is nothing to revert.
    #[error("no migration is applied, so there is nothing to revert")]
    NothingApplied,
    /// The newest applied migration is not part of this build.
    #[error("migration {0} was applied by a newer release; revert it with that release's tool")]
    NotOurs(String),
}

/// The names of the migrations this build needs and the database lacks, oldest first. Changes
/// nothing: a SQLite file that does not exist yet is not created.
///
/// # Errors
/// [`MigrationError::Connect`] or [`MigrationError::History`].
pub fn pending(url: &DatabaseUrl) -> Result<Vec<String>, MigrationError> {
    Ok(status(url)?
        .into_iter()
        .filter(|migration| migration.state == MigrationState::Pending)
        .map(|migration| migration.name)
        .collect())
}

/// Every migration that this build or the database knows, oldest first. Changes nothing.
///
/// # Errors
/// [`MigrationError::Connect`] or [`MigrationError::History`].
pub fn status(url: &DatabaseUrl) -> Result<Vec<MigrationStatus>, MigrationError> {
    let applied = match url {
        DatabaseUrl::Sqlite(path) if !path.exists() => Vec::new(),
        _ => {
            let mut conn = Conn::open(url, Role::Admin)?;
            on_db!(&mut conn, |c| applied_versions(c)).map_err(MigrationError::History)?
        }
    };
    let known = match url {
        DatabaseUrl::Sqlite(_) => known_migrations::<SqliteConnection>(),
        DatabaseUrl::Postgres(_) => known_migrations::<PgConn>(),
    };
    Ok(compare(&known, &applied))
}

/// Whether a database has a migration of this build: whether it is one of ours at all.
///
/// # Errors
/// [`MigrationError::History`].
pub(crate) fn is_ours(conn: &mut Conn) -> Result<bool, MigrationError> {
    let applied = on_db!(conn, |c| applied_versions(c)).map_err(MigrationError::History)?;
    // both engines bring the same
    let known = known_migrations::<SqliteConnection>();
    Ok(known.iter().any(|(version, _)| applied.contains(version)))
}

/// Applies what is pending, oldest first, and returns the names. Each migration and its row in the
/// table of versions are one transaction, in which it is looked once more whether it is still pending.
/// The caller holds the lock.
///
/// # Errors
/// [`MigrationError::Failed`] names the migration that was rolled back.
pub fn run(url: &DatabaseUrl) -> Result<Vec<String>, MigrationError> {
    let mut conn = Conn::open(url, Role::Admin)?;
    on_db!(&mut conn, |c| run_pending(c))
}

/// Undoes the newest applied migration in one transaction and returns its name. The caller holds
/// the lock.
///
/// # Errors
/// [`MigrationError::NothingApplied`], [`MigrationError::NotOurs`] or [`MigrationError::Failed`].
pub fn revert(url: &DatabaseUrl) -> Result<String, MigrationError> {
    let mut conn = Conn::open(url, Role::Admin)?;
    on_db!(&mut conn, |c| revert_newest(c))
}

type StepError = Box<dyn std::error::Error + Send + Sync>;

/// What differs between the engines when their schema changes.
trait Engine: MigrationHarness<Self::Db> + Connection<Backend = Self::Db> + 'static {
    type Db: Backend;

    /// The migrations embedded for this engine.
    fn source() -> EmbeddedMigrations;

    /// The versions in diesel's table, oldest first; none without the table. Reads only: diesel's
    /// own way creates the table, which `status` must not.
    fn recorded_versions(&mut self) -> diesel::QueryResult<Vec<String>>;

    /// Runs one step so that it happens whole or not at all, and alone: of two at the same time the
    /// second sees what the first has done.
    fn atomically<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, StepError>;
}

/// The number of the advisory lock of one migration, any fixed one but that of
/// [`ServerLock`](crate::server_lock::ServerLock).
const MIGRATION_KEY: i64 = i64::from_be_bytes(*b"cntrmigr");

const VERSIONS: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version";

impl Engine for SqliteConnection {
    type Db = Sqlite;

    fn source() -> EmbeddedMigrations {
        SQLITE
    }

    fn recorded_versions(&mut self) -> diesel::QueryResult<Vec<String>> {
        let exists: bool = sql::<Bool>(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations')",
        )
        .get_result(self)?;
        if exists {
            sql::<Text>(VERSIONS).load(self)
        } else {
            Ok(Vec::new())
        }
    }

    /// SQLite changes a table by building a new one and dropping the old, which only works while
    /// foreign keys are not enforced; they are checked as a whole before the commit instead. The
    /// pragma does nothing inside a transaction, hence its place.
    fn atomically<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.batch_execute("PRAGMA foreign_keys = OFF")?;
        let done = self.immediate_transaction(|conn| {
            let done = step(conn)?;
            let dangling: Vec<String> =
                sql::<Text>("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check")
                    .load(conn)?;
            if dangling.is_empty() {
                Ok(done)
            } else {
                Err(format!("rows without their parent in: {}", dangling.join(", ")).into())
            }
        });
        self.batch_execute("PRAGMA foreign_keys = ON")?;
        done
    }
}

impl Engine for PgConn {
    type Db = Pg;

    fn source() -> EmbeddedMigrations {
        POSTGRES
    }

    fn recorded_versions(&mut self) -> diesel::QueryResult<Vec<String>> {
        let exists: bool =
            sql::<Bool>("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL")
                .get_result(self)?;
        if exists {
            sql::<Text>(VERSIONS).load(self)
        } else {
            Ok(Vec::new())
        }
    }

    /// The lock of the migration tool is on another connection: when the tool is killed, PostgreSQL may
    /// give that lock back while it still works on this one. The lock taken here goes with the
    /// transaction. Another holder is waited for as long as the connection's `lock_timeout` says.
    fn atomically<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.transaction(|conn| {
            conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({MIGRATION_KEY})"))?;
            step(conn)
        })
    }
}

fn applied_versions<C: Engine>(conn: &mut C) -> diesel::QueryResult<Vec<String>> {
    conn.recorded_versions()
}

/// Version and name of every embedded migration, oldest first.
fn known_migrations<C: Engine>() -> Vec<(String, String)> {
    let mut known: Vec<(String, String)> = embedded::<C>()
        .iter()
        .map(|migration| (version(migration.as_ref()), migration.name().to_string()))
        .collect();
    known.sort();
    known
}

fn embedded<C: Engine>() -> Vec<Box<dyn Migration<C::Db>>> {
    MigrationSource::<C::Db>::migrations(&C::source())
        .expect("embedded migrations were read when this was compiled")
}

fn version<Db: Backend>(migration: &dyn Migration<Db>) -> String {
    migration.name().version().to_string()
}

/// Merges what this build knows with what the database has; versions sort by time.
fn compare(known: &[(String, String)], applied: &[String]) -> Vec<MigrationStatus> {
    let ours = known.iter().map(|(version, name)| {
        let state = if applied.contains(version) {
            MigrationState::Applied
        } else {
            MigrationState::Pending
        };
        (version.clone(), name.clone(), state)
    });
    let foreign = applied
        .iter()
        .filter(|version| !known.iter().any(|(ours, _)| ours == *version))
        .map(|version| (version.clone(), version.clone(), MigrationState::Unknown));
    let mut all: Vec<_> = ours.chain(foreign).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.into_iter()
        .map(|(_, name, state)| MigrationStatus { name, state })
        .collect()
}

fn run_pending<C: Engine>(conn: &mut C) -> Result<Vec<String>, MigrationError> {
    // Creates diesel's table when it is missing.
    let pending = conn
        .pending_migrations(C::source())
        .map_err(|error| MigrationError::Failed {
            name: "table".to_owned(),
            reason: error.to_string(),
        })?;
    let mut done = Vec::with_capacity(pending.len());
    for migration in pending {
        let name = migration.name().to_string();
        if apply(conn, migration.as_ref()).map_err(|error| failed(&name, error.as_ref()))? {
            done.push(name);
        }
    }
    Ok(done)
}

/// Applies one migration; `false` when somebody else has done so meanwhile.
fn apply<C: Engine>(conn: &mut C, migration: &dyn Migration<C::Db>) -> Result<bool, StepError> {
    if Mistake::MigrationByHalves.made() {
        migration.run(conn)?;
        let record = "INSERT INTO __diesel_schema_migrations (version) VALUES";
        let version = version(migration);
        conn.batch_execute(&format!("{record} ('{version}')"))?;
        return Ok(true);
    }
    conn.atomically(|conn| {
        if applied_versions(conn)?.contains(&version(migration)) {
            return Ok(false);
        }
        conn.run_migration(migration)?;
        Ok(true)
    })
}

fn revert_newest<C: Engine>(conn: &mut C) -> Result<String, MigrationError> {
    let applied = applied_versions(conn).map_err(MigrationError::History)?;
    let newest = applied.last().ok_or(MigrationError::NothingApplied)?;
    let migration = embedded::<C>()
        .into_iter()
        .find(|migration| version(migration.as_ref()) == *newest)
        .ok_or_else(|| MigrationError::NotOurs(newest.clone()))?;
    let name = migration.name().to_string();
    conn.atomically(|conn| conn.revert_migration(migration.as_ref()).map(drop))
        .map_err(|error| failed(&name, error.as_ref()))?;
    Ok(name)
}

fn failed(name: &str, error: &(dyn std::error::Error + Send + Sync)) -> MigrationError {
    MigrationError::Failed {
        name: name.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_may_know_more_and_less_than_this_build() {
        let known = [("1", "1_first"), ("3", "3_third")].map(|(v, n)| (v.into(), n.into()));
        let applied = ["1", "2"].map(String::from);
        let states: Vec<_> = compare(&known, &applied)
            .into_iter()
            .map(|migration| (migration.name, migration.state))
            .collect();
        assert_eq!(
            states,
            [
                ("1_first".to_owned(), MigrationState::Applied),
                ("2".to_owned(), MigrationState::Unknown),
                ("3_third".to_owned(), MigrationState::Pending),
            ]
        );
    }

    #[test]
    fn both_engines_bring_the_same_migrations() {
        assert_eq!(
            known_migrations::<SqliteConnection>(),
            known_migrations::<PgConn>()
        );
    }

    #[test]
    fn a_migration_that_orphans_rows_on_sqlite_is_rolled_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut conn = crate::connection::connect_sqlite(&directory.path().join("a.db")).unwrap();
        conn.batch_execute(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (parent INTEGER REFERENCES parent (id));
             INSERT INTO parent VALUES (1);
             INSERT INTO child VALUES (1);",
        )
        .unwrap();
        let error = conn
            .atomically(|c| Ok(c.batch_execute("DELETE FROM parent")?))
            .unwrap_err();
        assert_eq!(error.to_string(), "rows without their parent in: child");
        let parents: bool = sql::<Bool>("SELECT EXISTS (SELECT 1 FROM parent)")
            .get_result(&mut conn)
            .unwrap();
        assert!(parents);
        assert!(
            conn.batch_execute("DELETE FROM parent").is_err(),
            "foreign keys are enforced again"
        );
    }
}
