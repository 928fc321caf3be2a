//! Where the two engines truly differ: transactions, locks, the clock and writing many rows.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl};

use crate::connection::{Conn, on_db};
use crate::sabotage::Mistake;
use crate::schema::accounts;

/// Starts the one transaction of a batch.
pub(crate) fn begin(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(c) if Mistake::BeginDeferred.made() => c.batch_execute("BEGIN DEFERRED"),
        // a deferred transaction that reads before it writes ends in SQLITE_BUSY_SNAPSHOT
        Conn::Sqlite(c) => c.batch_execute("BEGIN IMMEDIATE"),
        Conn::Postgres(c) => c.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
    }
}

/// Starts a read that sees one state of the database in all its queries.
pub(crate) fn begin_snapshot(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(c) => c.batch_execute("BEGIN DEFERRED"),
        Conn::Postgres(c) => c.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    }
}

/// Ends it for good.
pub(crate) fn commit(conn: &mut Conn) -> QueryResult<()> {
    on_db!(conn, |c| c.batch_execute("COMMIT"))
}

/// Takes it back.
pub(crate) fn rollback(conn: &mut Conn) -> QueryResult<()> {
    on_db!(conn, |c| c.batch_execute("ROLLBACK"))
}

/// The columns of an account that a batch works on.
pub(crate) type AccountRow = (String, bool, bool, i64, String);

/// Reads and locks the accounts of a batch: the only lock there is, taken in the order of ids.
pub(crate) fn lock_accounts(conn: &mut Conn, ids: &[String]) -> QueryResult<Vec<AccountRow>> {
    macro_rules! query {
        () => {
            accounts::table
                .filter(accounts::id.eq_any(ids))
                .order(accounts::id)
                .select((
                    accounts::id,
                    accounts::task_approval_mode,
                    accounts::require_evidence,
                    accounts::head_seq,
                    accounts::head_hash,
                ))
        };
    }
    match conn {
        Conn::Sqlite(c) => query!().load(c), // BEGIN IMMEDIATE has locked the whole database
        Conn::Postgres(c) if Mistake::NoAccountLock.made() => query!().load(c),
        Conn::Postgres(c) => query!().for_no_key_update().load(c),
    }
}

/// The clock of PostgreSQL, which all replicas share. `None` on SQLite, where the one server
/// process has its own.
pub(crate) fn database_clock(conn: &mut Conn) -> QueryResult<Option<i64>> {
    match conn {
        Conn::Sqlite(_) => Ok(None),
        Conn::Postgres(c) => Clock.get_result(c).map(Some),
    }
}

/// Makes what a retry reads durable: folds the write-ahead log of SQLite into the database.
pub(crate) fn checkpoint(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(c) => c.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)"),
        Conn::Postgres(_) => Ok(()),
    }
}

/// Bytes of the file of SQLite that are free for new data. `None` on PostgreSQL.
pub(crate) fn free_bytes(conn: &mut Conn) -> QueryResult<Option<i64>> {
    match conn {
        Conn::Sqlite(c) => {
            let bytes = "SELECT freelist_count * page_size AS bytes FROM pragma_freelist_count, pragma_page_size";
            let row: FreeBytes = diesel::sql_query(bytes).get_result(c)?;
            Ok(Some(row.bytes))
        }
        Conn::Postgres(_) => Ok(None),
    }
}

#[derive(diesel::QueryableByName)]
struct FreeBytes {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// The condition of the index on the task that a row of the log is about, to be followed by the id.
pub(crate) const SQLITE_TASK_OF_PAYLOAD: &str = "json_extract(payload, '$.taskId') = ";
pub(crate) const POSTGRES_TASK_OF_PAYLOAD: &str = "((payload::jsonb) ->> 'taskId') = ";

/// Tells the servers on this database that something was committed. A hint only.
pub(crate) fn notify(conn: &mut Conn, payload: &str) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => c.batch_execute(&crate::notify::notification(payload)),
    }
}

/// The clock of PostgreSQL in microseconds. A statement of its own, because diesel prepares a
/// query with literal SQL anew every time, which costs round trips in every batch.
struct Clock;

impl QueryFragment<Pg> for Clock {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
        Ok(())
    }
}

impl QueryId for Clock {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Clock {
    type SqlType = BigInt;
}

impl<C> RunQueryDsl<C> for Clock {}

/// The types a column can have on both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Bool,
    Bytes,
}

/// A value on its way into a column.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
}

/// A table as it is written: the key columns come first.
pub(crate) struct Target {
    pub table: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// How many of the columns identify the row, for updates and deletions.
    pub keys: usize,
}

#[derive(Clone, Copy)]
enum Verb {
    Insert,
    Update,
    Delete,
}

impl Target {
    /// Inserts rows, in their order.
    pub(crate) fn insert(&self, conn: &mut Conn, rows: Vec<Vec<Cell>>) -> QueryResult<()> {
        self.write(conn, Verb::Insert, rows)
    }

    /// Updates rows by their keys.
    pub(crate) fn update(&self, conn: &mut Conn, rows: Vec<Vec<Cell>>) -> QueryResult<()> {
        self.write(conn, Verb::Update, rows)
    }

    /// Deletes rows by their keys, which are all their cells.
    pub(crate) fn delete(&self, conn: &mut Conn, rows: Vec<Vec<Cell>>) -> QueryResult<()> {
        self.write(conn, Verb::Delete, rows)
    }

    /// PostgreSQL takes all rows in one statement whose text does not depend on their number, so
    /// that it is prepared once and a batch of any size is one round trip. SQLite, which has no
    /// round trips, takes one cached statement a row.
    fn write(&self, conn: &mut Conn, verb: Verb, rows: Vec<Vec<Cell>>) -> QueryResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        match conn {
            Conn::Sqlite(c) => {
                for cells in rows {
                    SqliteRow {
                        target: self,
                        verb,
                        cells,
                    }
                    .execute(c)?;
                }
                Ok(())
            }
            Conn::Postgres(c) => {
                let columns = self.transpose(rows);
                PostgresRows {
                    target: self,
                    verb,
                    columns,
                }
                .execute(c)
                .map(|_| ())
            }
        }
    }

    fn transpose(&self, rows: Vec<Vec<Cell>>) -> Vec<Column> {
        let mut columns: Vec<Column> = self
            .columns
            .iter()
            .map(|(_, kind)| Column::new(*kind, rows.len()))
            .collect();
        for row in rows {
            debug_assert_eq!(row.len(), columns.len(), "{}", self.table);
            for (column, cell) in columns.iter_mut().zip(row) {
                column.push(cell);
            }
        }
        columns
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.columns.iter().map(|(name, _)| *name)
    }
}

/// The values of one column of many rows.
enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Bool(Vec<Option<bool>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
            Kind::Int => Self::Int(Vec::with_capacity(rows)),
            Kind::Bool => Self::Bool(Vec::with_capacity(rows)),
            Kind::Bytes => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(values), Cell::Text(value)) => values.push(value),
            (Self::Int(values), Cell::Int(value)) => values.push(value),
            (Self::Bool(values), Cell::Bool(value)) => values.push(Some(value)),
            (Self::Bytes(values), Cell::Bytes(value)) => values.push(value),
            _ => unreachable!("a row does not fit the columns it is written to"),
        }
    }
}

/// One row on its way into SQLite.
struct SqliteRow<'a> {
    target: &'a Target,
    verb: Verb,
    cells: Vec<Cell>,
}

impl QueryFragment<Sqlite> for SqliteRow<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Target {
            table,
            columns,
            keys,
        } = self.target;
        match self.verb {
            Verb::Insert => {
                out.push_sql("INSERT INTO ");
                out.push_sql(table);
                out.push_sql(" (");
                separated(&mut out, ", ", self.target.names(), |out, name| {
                    out.push_sql(name);
                    Ok(())
                })?;
                out.push_sql(") VALUES (");
                separated(&mut out, ", ", self.cells.iter(), push_cell)?;
                out.push_sql(")");
            }
            Verb::Update | Verb::Delete => {
                let assignments = self.target.names().zip(&self.cells);
                let assignment = |out: &mut AstPass<'_, 'b, Sqlite>, (name, cell)| {
                    out.push_sql(name);
                    out.push_sql(" = ");
                    push_cell(out, cell)
                };
                if matches!(self.verb, Verb::Update) {
                    out.push_sql("UPDATE ");
                    out.push_sql(table);
                    out.push_sql(" SET ");
                    separated(&mut out, ", ", assignments.clone().skip(*keys), assignment)?;
                } else {
                    debug_assert_eq!(*keys, columns.len());
                    out.push_sql("DELETE FROM ");
                    out.push_sql(table);
                }
                out.push_sql(" WHERE ");
                separated(&mut out, " AND ", assignments.take(*keys), assignment)?;
            }
        }
        Ok(())
    }
}

fn push_cell<'b>(out: &mut AstPass<'_, 'b, Sqlite>, cell: &'b Cell) -> QueryResult<()> {
    match cell {
        Cell::Text(value) => out.push_bind_param::<Nullable<Text>, _>(value),
        Cell::Int(value) => out.push_bind_param::<Nullable<BigInt>, _>(value),
        Cell::Bool(value) => out.push_bind_param::<Bool, _>(value),
        Cell::Bytes(value) => out.push_bind_param::<Nullable<Binary>, _>(value),
    }
}

fn separated<'b, DB, T>(
    out: &mut AstPass<'_, 'b, DB>,
    separator: &str,
    items: impl Iterator<Item = T>,
    mut push: impl FnMut(&mut AstPass<'_, 'b, DB>, T) -> QueryResult<()>,
) -> QueryResult<()>
where
    DB: diesel::backend::Backend,
{
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_sql(separator);
        }
        push(out, item)?;
    }
    Ok(())
}

/// Many rows on their way into PostgreSQL, a column an array.
struct PostgresRows<'a> {
    target: &'a Target,
    verb: Verb,
    columns: Vec<Column>,
}

impl PostgresRows<'_> {
    /// `unnest($1::text[], $2::bigint[], …)`: one row an element.
    fn unnest<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("unnest(");
        separated(out, ", ", self.columns.iter(), |out, column| match column {
            Column::Text(values) => {
                out.push_bind_param::<Array<Nullable<Text>>, _>(values)?;
                out.push_sql("::text[]");
                Ok(())
            }
            Column::Int(values) => {
                out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?;
                out.push_sql("::bigint[]");
                Ok(())
            }
            Column::Bool(values) => {
                out.push_bind_param::<Array<Nullable<Bool>>, _>(values)?;
                out.push_sql("::boolean[]");
                Ok(())
            }
            Column::Bytes(values) => {
                out.push_bind_param::<Array<Nullable<Binary>>, _>(values)?;
                out.push_sql("::bytea[]");
                Ok(())
            }
        })?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Pg> for PostgresRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Target { table, keys, .. } = self.target;
        let names = |out: &mut AstPass<'_, 'b, Pg>| {
            separated(out, ", ", self.target.names(), |out, name| {
                out.push_sql(name);
                Ok(())
            })
        };
        match self.verb {
            Verb::Insert => {
                out.push_sql("INSERT INTO ");
                out.push_sql(table);
                out.push_sql(" (");
                names(&mut out)?;
                out.push_sql(") SELECT * FROM ");
                return self.unnest(&mut out);
            }
            Verb::Update => {
                out.push_sql("UPDATE ");
                out.push_sql(table);
                out.push_sql(" AS t SET ");
                separated(
                    &mut out,
                    ", ",
                    self.target.names().skip(*keys),
                    |out, name| {
                        out.push_sql(name);
                        out.push_sql(" = u.");
                        out.push_sql(name);
                        Ok(())
                    },
                )?;
                out.push_sql(" FROM ");
            }
            Verb::Delete => {
                out.push_sql("DELETE FROM ");
                out.push_sql(table);
                out.push_sql(" AS t USING ");
            }
        }
        self.unnest(&mut out)?;
        out.push_sql(" AS u (");
        names(&mut out)?;
        out.push_sql(") WHERE ");
        separated(
            &mut out,
            " AND ",
            self.target.names().take(*keys),
            |out, name| {
                out.push_sql("t.");
                out.push_sql(name);
                out.push_sql(" = u.");
                out.push_sql(name);
                Ok(())
            },
        )
    }
}

/// Both are cached by their text, which depends on table and verb only.
macro_rules! runnable {
    ($($statement:ident),+) => {$(
        impl QueryId for $statement<'_> {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl Query for $statement<'_> {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl<C> RunQueryDsl<C> for $statement<'_> {}
    )+};
}

runnable!(SqliteRow, PostgresRows);
