//! PostgreSQL databases for tests: a database of its own on a shared server, copied from a template
//! that is migrated once for each set of migrations.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{Rows, migrate, off_runtime};

/// The advisory lock under which the template is made; any number but the servers' own.
const TEMPLATE_LOCK: i64 = i64::from_be_bytes(*b"template");

/// Drives the sockets of every raw connection.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// A database, dropped on drop with whoever is still connected.
pub(super) struct PostgresDb {
    /// The server's maintenance database.
    server: String,
    name: String,
    url: String,
    /// Opened by the first raw statement.
    raw: Mutex<Option<Raw>>,
}

impl PostgresDb {
    pub(super) fn empty(server: &str) -> Self {
        Self::create(server, "template0")
    }

    pub(super) fn migrated(server: &str) -> Self {
        let template = migrated_template(server);
        Self::create(server, &template)
    }

    fn create(server: &str, template: &str) -> Self {
        let name = unique_name();
        on_server(
            server,
            &[&format!("CREATE DATABASE {name} TEMPLATE {template}")],
        );
        Self {
            server: server.to_owned(),
            url: with_database(server, &name),
            name,
            raw: Mutex::new(None),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn execute(&self, sql: &str) -> Result<u64, String> {
        let messages = self.simple_query(sql)?;
        let last = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        });
        Ok(last.unwrap_or(0))
    }

    pub(super) fn query(&self, sql: &str) -> Result<Rows, String> {
        let rows = self.simple_query(sql)?.into_iter();
        Ok(rows
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect())
    }

    fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, String> {
        off_runtime(|| {
            let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
            if raw.is_none() {
                *raw = Some(Raw::connect(&self.url)?);
            }
            raw.as_ref().expect("opened above").simple_query(sql)
        })
    }
}

impl Drop for PostgresDb {
    fn drop(&mut self) {
        let drop_database = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = off_runtime(|| Raw::connect(&self.server)?.simple_query(&drop_database));
        // No panic: it would hide the test's own result, and a server that has gone took the
        // database with it.
        if let Err(error) = dropped {
            eprintln!("test database {} stays behind: {error}", self.name);
        }
    }
}

/// A connection for raw SQL; blocks, so it is used off the runtime only.
struct Raw(Client);

impl Raw {
    fn connect(url: &str) -> Result<Self, String> {
        RUNTIME.block_on(async {
            let (client, socket) = tokio_postgres::connect(url, NoTls)
                .await
                .map_err(|error| describe(&error))?;
            // Ends with the client, or when the server closes the connection, which the next
            // statement reports.
            tokio::spawn(async move { drop(socket.await) });
            Ok(Self(client))
        })
    }

    fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, String> {
        RUNTIME
            .block_on(self.0.simple_query(sql))
            .map_err(|error| describe(&error))
    }
}

/// The server's message with its SQLSTATE; the driver's own text is only "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Runs statements in the maintenance database, on one connection.
fn on_server(server: &str, statements: &[&str]) {
    off_runtime(|| {
        let raw = Raw::connect(server)?;
        statements
            .iter()
            .try_for_each(|sql| raw.simple_query(sql).map(drop))
    })
    .unwrap_or_else(|error| panic!("TEST_POSTGRES_URL: {error}"));
}

/// The name of a migrated template, made first if this server has none for these migrations.
///
/// It is built under another name and renamed when complete, so a killed test leaves no half of
/// one, and under a lock, so that test processes starting together build it once.
fn migrated_template(server: &str) -> String {
    let template = format!("countersign_template_{:016x}", migrations_hash());
    let building = format!("{template}_building");
    off_runtime(|| {
        let raw = Raw::connect(server)?;
        // Given back with the connection.
        raw.simple_query(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})"))?;
        let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
        let rows = raw.simple_query(&exists)?;
        if rows
            .iter()
            .any(|row| matches!(row, SimpleQueryMessage::Row(_)))
        {
            return Ok(());
        }
        raw.simple_query(&format!("DROP DATABASE IF EXISTS {building}"))?;
        raw.simple_query(&format!("CREATE DATABASE {building} TEMPLATE template0"))?;
        migrate(&with_database(server, &building));
        rename_when_unused(&raw, &building, &template)
    })
    .unwrap_or_else(|error: String| panic!("TEST_POSTGRES_URL: {error}"));
    template
}

/// Renames a database as soon as the connection that migrated it is gone from the server, which
/// takes a moment after the client has closed it.
fn rename_when_unused(raw: &Raw, from: &str, to: &str) -> Result<(), String> {
    let rename = format!("ALTER DATABASE {from} RENAME TO {to}");
    for _ in 0..200 {
        match raw.simple_query(&rename) {
            Err(error) if error.contains("55006") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            done => return done.map(drop),
        }
    }
    Err(format!("{from} is still in use"))
}

/// A number that changes with any byte of any PostgreSQL migration.
fn migrations_hash() -> u64 {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut migrations: Vec<_> = std::fs::read_dir(&directory)
        .expect("migrations/postgres")
        .map(|entry| entry.expect("a migration").path())
        .collect();
    migrations.sort();
    let mut hasher = DefaultHasher::new();
    for migration in migrations {
        migration.file_name().hash(&mut hasher);
        std::fs::read(migration.join("up.sql"))
            .expect("a migration has an up.sql")
            .hash(&mut hasher);
    }
    hasher.finish()
}

/// A name no other test has, on a server that may be shared and kept.
fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "only makes a name unique")]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_nanos();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("countersign_test_{}_{now:x}_{count}", std::process::id())
}

/// The same server, another database.
fn with_database(server: &str, name: &str) -> String {
    let (address, options) = match server.split_once('?') {
        Some((address, options)) => (address, format!("?{options}")),
        None => (server, String::new()),
    };
    let scheme_end = address.find("://").map_or(0, |at| at + "://".len());
    let host_end = address[scheme_end..]
        .find('/')
        .map_or(address.len(), |at| scheme_end + at);
    format!("{}/{name}{options}", &address[..host_end])
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_changes() {
        for server in ["postgres://u@h:1/postgres", "postgres://u@h:1"] {
            assert_eq!(with_database(server, "x"), "postgres://u@h:1/x");
        }
        assert_eq!(
            with_database("postgres://h/postgres?connect_timeout=3", "x"),
            "postgres://h/x?connect_timeout=3"
        );
    }
}
