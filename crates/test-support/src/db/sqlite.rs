//! SQLite databases for tests: a file in a temporary directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use store::connection::SQLITE_PRAGMAS;
use tempfile::TempDir;

use super::{Rows, migrate};

/// A database file, removed with its directory on drop.
pub(super) struct SqliteDb {
    /// Opened by the first raw statement, closed before the directory goes.
    raw: Mutex<Option<Connection>>,
    url: String,
    path: PathBuf,
    _directory: TempDir,
}

impl SqliteDb {
    pub(super) fn empty() -> Self {
        let directory = TempDir::with_prefix("countersign-test-").expect("a temporary directory");
        Self::of(directory, "test.db")
    }

    pub(super) fn of(directory: TempDir, file: &str) -> Self {
        let path = directory.path().join(file);
        Self {
            raw: Mutex::new(None),
            url: url_of(&path),
            path,
            _directory: directory,
        }
    }

    pub(super) fn migrated() -> Self {
        let db = Self::empty();
        std::fs::write(&db.path, template()).expect("a copy of the template database");
        db
    }

    pub(super) fn restored(backup: &Path) -> Self {
        let db = Self::empty();
        std::fs::copy(backup, &db.path).expect("a copy of the backup");
        db
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn execute(&self, sql: &str) -> Result<u64, String> {
        self.with_connection(|conn| {
            let before = conn.total_changes();
            conn.execute_batch(sql)?;
            // `changes` still tells of an earlier statement when this one changed nothing.
            Ok(if conn.total_changes() == before {
                0
            } else {
                conn.changes()
            })
        })
    }

    pub(super) fn query(&self, sql: &str) -> Result<Rows, String> {
        self.with_connection(|conn| {
            let mut statement = conn.prepare(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..columns)
                    .map(|column| row.get_ref(column).map(text_of))
                    .collect()
            })?;
            rows.collect()
        })
    }

    fn with_connection<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        if raw.is_none() {
            let conn = Connection::open(&self.path).map_err(|error| error.to_string())?;
            conn.execute_batch(SQLITE_PRAGMAS)
                .map_err(|error| error.to_string())?;
            *raw = Some(conn);
        }
        let conn = raw.as_ref().expect("opened above");
        work(conn).map_err(|error| error.to_string())
    }
}

fn url_of(path: &Path) -> String {
    let path = path.to_str().expect("temporary paths are UTF-8");
    format!("sqlite://{path}")
}

/// The bytes of a migrated database, made once a process. Its only connection is closed by then,
/// so nothing is left in a write-ahead log.
fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let db = SqliteDb::empty();
        migrate(&db.url);
        std::fs::read(&db.path).expect("the template database")
    })
}

fn text_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })),
    }
}
