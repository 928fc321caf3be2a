//! Connections to the two engines, behind one blocking interface.
//!
//! SQLite is diesel's own connection. PostgreSQL is `tokio-postgres` behind diesel-async's blocking
//! wrapper: no libpq, no OpenSSL. Everything here **blocks**; call it from a plain thread or a
//! blocking pool, never from an async task, where the wrapper panics.

use std::future::Future;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::sabotage::Mistake;
use crate::url::{DatabaseUrl, PostgresUrl};

/// A blocking PostgreSQL connection.
pub type PgConn = AsyncConnectionWrapper<AsyncPgConnection, DbRt>;

/// The runtime that drives the sockets of every PostgreSQL connection of the process.
///
/// The wrapper's default gives each connection a runtime of its own, and dropping one of those
/// inside async code panics ("Cannot drop a runtime in a context where blocking is not allowed").
/// This one lives as long as the process and is never dropped.
#[derive(Debug, Clone)]
pub struct DbRt(Handle);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("postgres-io")
        .enable_all()
        .build()
        .expect("the operating system grants one thread and an epoll handle")
});

impl BlockOn for DbRt {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn get_runtime() -> Self {
        Self(RUNTIME.handle().clone())
    }
}

/// Runs a future beside the PostgreSQL connections.
pub(crate) fn spawn_io(
    future: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    RUNTIME.spawn(future)
}

/// A connection to either engine. Queries are written once, inside `on_db!`.
#[expect(clippy::large_enum_variant, reason = "a process has a handful of them")]
pub enum Conn {
    /// SQLite.
    Sqlite(SqliteConnection),
    /// PostgreSQL.
    Postgres(PgConn),
}

/// Expands an expression once for each engine, with the concrete connection bound to a name:
/// `on_db!(&mut conn, |c| tasks::table.count().get_result::<i64>(c))`.
///
/// diesel's `MultiConnection` would do without the double expansion, but refuses every
/// `ON CONFLICT` and `as_returning`, and forces libpq.
macro_rules! on_db {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::connection::Conn::Sqlite($c) => $body,
            $crate::connection::Conn::Postgres($c) => $body,
        }
    };
}
pub(crate) use on_db;

/// What a connection is for; decides which time-outs the database enforces on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that commits batches. It holds account rows, so the database ends it rather than let
    /// a stopped replica freeze every account (5 s idle in a transaction, 5 s for a lock, 30 s a
    /// statement).
    Writer,
    /// Queries only: the database refuses a write, and a statement after 30 s.
    Reader,
    /// Migrations, locks and notifications: no limit but 10 s for a lock.
    Admin,
    /// A finished copy of a SQLite database, which nobody writes: it is only read, without locks, and no
    /// file is made beside it. On PostgreSQL the same as [`Role::Reader`].
    Copy,
}

/// Why no connection could be made. The text names the database without its password.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {database}: {reason}")]
pub struct ConnectError {
    database: String,
    reason: String,
}

impl ConnectError {
    /// A connection that was open and is not any more.
    pub(crate) fn lost(url: &DatabaseUrl, error: &diesel::result::Error) -> Self {
        Self::new(url, error)
    }

    fn new(database: &impl ToString, reason: &impl ToString) -> Self {
        Self {
            database: database.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl Conn {
    /// Opens a connection to either engine. A missing SQLite file is created; its directory is not.
    ///
    /// # Errors
    /// [`ConnectError`] when the file or the server cannot be reached.
    pub fn open(url: &DatabaseUrl, role: Role) -> Result<Self, ConnectError> {
        match url {
            DatabaseUrl::Sqlite(path) if role == Role::Copy => open_copy(path).map(Self::Sqlite),
            DatabaseUrl::Sqlite(path) => {
                let mut conn = connect_sqlite(path)?;
                if role == Role::Reader {
                    conn.batch_execute("PRAGMA query_only = ON")
                        .map_err(|error| ConnectError::new(url, &error))?;
                }
                Ok(Self::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => connect_postgres(url, role).map(Self::Postgres),
        }
    }
}

/// What every SQLite connection sets. Foreign keys and recursive triggers are part of what the
/// database refuses, and SQLite forgets both with the connection.
///
/// WAL with `synchronous = FULL`: an acknowledged commit survives a power cut (NORMAL lost some in
/// 12 of 30). `recursive_triggers` makes INSERT OR REPLACE fire the triggers that forbid it. The
/// write-ahead log is folded back every 1,000 pages, which keeps the slowest batches short. Another
/// process's write is waited for 5 s. No page is mapped into memory: an I/O error there would be a
/// signal and not an error, and a stray write of the process would reach the file.
pub const SQLITE_PRAGMAS: &str = "\
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA recursive_triggers = ON;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA mmap_size = 0;";

/// The oldest SQLite that is accepted. Before it a commit could be lost from the write-ahead log when
/// another connection began it anew at the same moment (<https://www.sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: Version = (3, 51, 3);

/// Major, minor and patch.
type Version = (u32, u32, u32);

/// Opens a SQLite database with [`SQLITE_PRAGMAS`], creating a missing file (not its directory).
///
/// # Errors
/// [`ConnectError`] when the file cannot be opened or is not a database.
pub fn connect_sqlite(path: &Path) -> Result<SqliteConnection, ConnectError> {
    let database = || format!("SQLite database {}", path.display());
    let name = path
        .to_str()
        .ok_or_else(|| ConnectError::new(&database(), &"the path is not UTF-8"))?;
    // "./" in front keeps a file called `file:x` from being read as a URI with options.
    let name = if path.is_absolute() {
        name.to_owned()
    } else {
        format!("./{name}")
    };
    let mut conn = SqliteConnection::establish(&name)
        .map_err(|error| ConnectError::new(&database(), &error))?;
    refuse_old_sqlite(&mut conn).map_err(|reason| ConnectError::new(&database(), &reason))?;
    conn.batch_execute(SQLITE_PRAGMAS)
        .map_err(|error| ConnectError::new(&database(), &error))?;
    if Mistake::SyncNormal.made() {
        conn.batch_execute("PRAGMA synchronous = NORMAL")
            .map_err(|error| ConnectError::new(&database(), &error))?;
    }
    Ok(conn)
}

/// Opens a finished copy as a file that nobody changes. Nothing is set that would: a copy is not in WAL
/// mode, and stays so.
fn open_copy(path: &Path) -> Result<SqliteConnection, ConnectError> {
    let database = || format!("copy {}", path.display());
    let mut conn = SqliteConnection::establish(&immutable_uri(path))
        .map_err(|error| ConnectError::new(&database(), &error))?;
    refuse_old_sqlite(&mut conn).map_err(|reason| ConnectError::new(&database(), &reason))?;
    Ok(conn)
}

/// A file as a URI with the options that SQLite needs to take no lock on it.
fn immutable_uri(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    let escaped = bytes.map(|byte| {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            char::from(*byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    // without "//" in front the path may be relative
    format!("file:{}?mode=ro&immutable=1", escaped.collect::<String>())
}

/// Refuses a program that was linked with another SQLite than the one it brings.
fn refuse_old_sqlite(conn: &mut SqliteConnection) -> Result<(), String> {
    let version: String = sql::<Text>("SELECT sqlite_version()")
        .get_result(conn)
        .map_err(|error| error.to_string())?;
    let linked = if Mistake::OldSqlite.made() {
        "3.51.2"
    } else {
        &version
    };
    if parse_version(linked).is_some_and(|version| version >= OLDEST_SQLITE) {
        return Ok(());
    }
    let (major, minor, patch) = OLDEST_SQLITE;
    Err(format!(
        "this program was linked with SQLite {linked}, which can lose commits; it needs \
         {major}.{minor}.{patch} or newer"
    ))
}

fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

/// Opens a PostgreSQL connection without TLS (a URL that demands it has been refused by
/// [`DatabaseUrl`]).
///
/// # Errors
/// [`ConnectError`] when no server answers, it refuses the user or it refuses the settings.
///
/// # Panics
/// When called on an async task.
pub fn connect_postgres(url: &PostgresUrl, role: Role) -> Result<PgConn, ConnectError> {
    let config = tuned(url.config());
    let client = RUNTIME
        .block_on(async {
            let (client, socket) = config
                .connect(tokio_postgres::NoTls)
                .await
                .map_err(|error| reason(&error))?;
            AsyncPgConnection::try_from_client_and_connection(client, socket)
                .await
                .map_err(|error| error.to_string())
        })
        .map_err(|error| ConnectError::new(url, &error))?;
    let mut conn = PgConn::from(client);
    conn.batch_execute(settings(role))
        .map_err(|error| ConnectError::new(url, &error))?;
    Ok(conn)
}

/// The driver's message with its cause: on its own it only says "error connecting to server".
fn reason(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Fills in what notices a dead server within about half a minute; what the URL sets stands.
fn tuned(url: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = url.clone();
    if config.get_application_name().is_none() {
        config.application_name("countersign");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(15));
    }
    if config.get_keepalives_idle() == tokio_postgres::Config::new().get_keepalives_idle() {
        config.keepalives_idle(Duration::from_secs(15));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(5));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
    config
}

/// What the session asks of the server: the time-outs of its [`Role`], and the server's own
/// keepalives, so that locks of a machine that vanished are given back.
fn settings(role: Role) -> &'static str {
    match role {
        Role::Writer => {
            "SET idle_in_transaction_session_timeout = '5s';
             SET lock_timeout = '5s';
             SET statement_timeout = '30s';
             SET tcp_keepalives_idle = 15;
             SET tcp_keepalives_interval = 5;
             SET tcp_keepalives_count = 3;
             SET tcp_user_timeout = '15s';"
        }
        Role::Reader | Role::Copy => {
            "SET default_transaction_read_only = on;
             SET idle_in_transaction_session_timeout = '5s';
             SET statement_timeout = '30s';"
        }
        Role::Admin => {
            "SET lock_timeout = '10s';
             SET tcp_keepalives_idle = 15;
             SET tcp_keepalives_interval = 5;
             SET tcp_keepalives_count = 3;
             SET tcp_user_timeout = '15s';"
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;

    use super::*;

    fn pragma(conn: &mut SqliteConnection, name: &str) -> i64 {
        sql::<BigInt>(&format!("PRAGMA {name}"))
            .get_result(conn)
            .unwrap()
    }

    #[test]
    fn a_sqlite_connection_is_durable_and_strict() {
        let directory = tempfile::tempdir().unwrap();
        let mut conn = connect_sqlite(&directory.path().join("a.db")).unwrap();
        let mode: String = sql::<Text>("PRAGMA journal_mode")
            .get_result(&mut conn)
            .unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(pragma(&mut conn, "synchronous"), 2, "FULL");
        assert_eq!(pragma(&mut conn, "foreign_keys"), 1);
        assert_eq!(pragma(&mut conn, "recursive_triggers"), 1);
        assert_eq!(pragma(&mut conn, "busy_timeout"), 5_000);
        assert_eq!(pragma(&mut conn, "wal_autocheckpoint"), 1_000);
        assert_eq!(pragma(&mut conn, "mmap_size"), 0);
    }

    diesel::define_sql_function! {
        /// In a test's connection it takes the place of SQLite's own.
        fn sqlite_version() -> Text;
    }

    #[test]
    fn an_old_sqlite_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (version, accepted) in [
            ("3.7.17", false),
            ("3.50.4", false),
            ("3.51.2", false),
            ("3.51.3", true),
            ("3.51.10", true),
            ("3.52.0", true),
            ("4.0.0", true),
            ("3.53", false),
            ("3.53.2.1", false),
            ("new", false),
            ("", false),
        ] {
            let mut conn = connect_sqlite(&directory.path().join("a.db")).unwrap();
            sqlite_version_utils::register_impl(&conn, move || version.to_owned()).unwrap();
            let refused = refuse_old_sqlite(&mut conn);
            assert_eq!(refused.is_ok(), accepted, "{version}: {refused:?}");
            if let Err(message) = refused {
                assert!(
                    message.contains(version) && message.contains("3.51.3"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn a_copy_is_opened_whatever_its_name_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a?b#c%41 ü.db");
        let mut conn =
            SqliteConnection::establish(directory.path().join("plain.db").to_str().unwrap())
                .unwrap();
        conn.batch_execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        drop(conn);
        std::fs::rename(directory.path().join("plain.db"), &path).unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut copy = open_copy(&path).unwrap();
        assert_eq!(pragma(&mut copy, "application_id"), 0);
        let written = copy.batch_execute("INSERT INTO t VALUES (2)");
        assert!(written.unwrap_err().to_string().contains("readonly"));
        let names = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!((names, std::fs::read(&path).unwrap()), (1, before));
    }

    #[test]
    fn a_sqlite_reader_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("a.db"));
        let mut reader = Conn::open(&url, Role::Reader).unwrap();
        let written = on_db!(&mut reader, |c| c.batch_execute("CREATE TABLE t (x)"));
        assert!(written.unwrap_err().to_string().contains("readonly"));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = connect_sqlite(Path::new("/nonexistent/a.db"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("/nonexistent/a.db"), "{error}");
    }

    #[test]
    fn a_file_name_is_never_read_as_a_uri() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file:a.db");
        drop(connect_sqlite(&path).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn an_unreachable_server_is_named_without_the_password() {
        let url: DatabaseUrl = "postgres://ann:hunter2@127.0.0.1:1/db".parse().unwrap();
        let error = Conn::open(&url, Role::Writer).err().unwrap().to_string();
        assert!(
            error.contains("127.0.0.1:1/db") && error.contains("refused"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
