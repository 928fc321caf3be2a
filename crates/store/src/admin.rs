//! Administration on the database itself, also beside a running server: accounts, people, keys.
//!
//! The same commands through the same code as a server, as a batch of one.

use std::path::PathBuf;

use approval_core::{AccountId, Principal, Timestamp};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use uuid::Uuid;

use crate::clock::Clock;
use crate::command::{Answered, Command, Request, SubmitError};
use crate::connection::{Conn, ConnectError, Role, on_db};
use crate::dialect::{self, Kind, Target};
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::reads::Reads;
use crate::rows::{int, text};
use crate::schema::accounts;
use crate::url::DatabaseUrl;
use crate::writer::batch::Batcher;
use crate::writer::reserve::Reserve;
use crate::writer::write::PRINCIPALS;

/// Longest name of an account, in characters.
const MAX_NAME: usize = 100;

const ACCOUNTS: Target = Target {
    table: "accounts",
    columns: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("created_at", Kind::Int),
    ],
    keys: 1,
};

/// Why administration failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The command was refused or failed.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(String),
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(String),
    /// A name that cannot be used.
    #[error("the name must have 1 to {MAX_NAME} characters, none of them a control character")]
    Name,
}

impl From<Fault> for AdminError {
    fn from(fault: Fault) -> Self {
        Self::Database(fault.to_string())
    }
}

impl From<ReadError> for AdminError {
    fn from(error: ReadError) -> Self {
        Self::Database(error.to_string())
    }
}

/// A connection for administration. Everything here blocks.
pub struct Admin {
    url: DatabaseUrl,
    clock: Clock,
    /// How it reads.
    reader: Role,
}

impl Admin {
    /// Administration of this database, whose migrations must have been applied.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            clock: Clock::start(),
            reader: Role::Reader,
        }
    }

    /// The same for a finished copy, which can only be read.
    pub(crate) fn of_copy(path: PathBuf) -> Self {
        Self {
            reader: Role::Copy,
            ..Self::new(DatabaseUrl::Sqlite(path))
        }
    }

    /// Which database.
    pub(crate) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// A connection for queries.
    pub(crate) fn reader(&self) -> Result<Conn, ConnectError> {
        Conn::open(&self.url, self.reader)
    }

    /// The clock of this process.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Creates an account and the `system` principal in it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn create_account(&self, name: &str) -> Result<AccountId, AdminError> {
        let length = name.chars().count();
        if name.trim().is_empty() || length > MAX_NAME || name.chars().any(char::is_control) {
            return Err(AdminError::Name);
        }
        let id: AccountId = Uuid::now_v7().into();
        let mut conn = Conn::open(&self.url, Role::Writer)?;
        let now = self.clock.now().micros();
        dialect::begin(&mut conn).map_err(Fault::from)?;
        let account = vec![text(id), text(name), int(now)];
        let system = vec![text(id), text("system"), text("system"), text("system")];
        ACCOUNTS
            .insert(&mut conn, vec![account])
            .map_err(Fault::from)?;
        PRINCIPALS
            .insert(&mut conn, vec![system])
            .map_err(Fault::from)?;
        dialect::commit(&mut conn).map_err(Fault::from)?;
        Ok(id)
    }

    /// The account with this id or name; without one, the first.
    ///
    /// # Errors
    /// [`AdminError::NoAccount`].
    pub fn account(&self, wanted: Option<&str>) -> Result<AccountId, AdminError> {
        let mut conn = self.reader()?;
        let id: Option<String> = on_db!(&mut conn, |c| {
            let mut query = accounts::table
                .order(accounts::id)
                .select(accounts::id)
                .into_boxed();
            if let Some(wanted) = wanted {
                query = query
                    .filter(accounts::id.eq(wanted))
                    .or_filter(accounts::name.eq(wanted));
            }
            query.first(c).optional()
        })
        .map_err(Fault::from)?;
        let id = id.ok_or_else(|| AdminError::NoAccount(wanted.unwrap_or("yet").to_owned()))?;
        Ok(stored(&id)?)
    }

    /// All accounts with their names, oldest first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn accounts(&self) -> Result<Vec<(AccountId, String)>, AdminError> {
        let mut conn = self.reader()?;
        let rows: Vec<(String, String)> = on_db!(&mut conn, |c| accounts::table
            .order(accounts::id)
            .select((accounts::id, accounts::name))
            .load(c))
        .map_err(Fault::from)?;
        let accounts = rows.into_iter().map(|(id, name)| Ok((stored(&id)?, name)));
        Ok(accounts.collect::<Result<_, Fault>>()?)
    }

    /// Runs a command as the server itself, beside whatever else runs.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn run(&self, account: AccountId, command: Command) -> Result<Answered, AdminError> {
        let principal = Principal::system();
        let request = Request {
            account,
            principal,
            session: None,
            idempotency: None,
            command,
        };
        let mut batcher = Batcher::new(self.url.clone(), self.clock, Reserve::none(&self.url));
        let mut committed = batcher.run(&[&request]);
        batcher.commit_late();
        batcher.announce(&committed.changes);
        let outcome = committed.outcomes.pop();
        Ok(outcome.unwrap_or(Err(SubmitError::Internal))?)
    }

    /// The time by which the store judges: the database's, or that of this process.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn now(&self) -> Result<Timestamp, AdminError> {
        let mut conn = self.reader()?;
        Ok(Reads::new(&mut conn, self.clock).now()?)
    }

    /// Reads something.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn read<T>(
        &self,
        read: impl FnOnce(&mut Reads<'_>) -> Result<T, ReadError>,
    ) -> Result<T, AdminError> {
        let mut conn = self.reader()?;
        Ok(read(&mut Reads::new(&mut conn, self.clock))?)
    }
}
