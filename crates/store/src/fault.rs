//! What can go wrong below the rules, and what the writer does about it.

use diesel::result::{DatabaseErrorKind, Error};

use crate::connection::ConnectError;

/// A failure of the database or of what is stored in it. Never shown to a caller; logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database refused or did not answer.
    #[error(transparent)]
    Database(#[from] Error),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A stored value that no version of this program writes.
    #[error("stored value makes no sense: {0}")]
    Corrupt(String),
}

/// What to do about a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The connection is gone: open another one and run the batch again.
    Reconnect,
    /// The database named no cause we know: run the batch again, then corner the culprit.
    Retry,
    /// Somebody else holds what the batch needs: run it again, then refuse it for now.
    Wait,
    /// One of the commands is at fault: run halves until it is alone.
    Isolate,
    /// No room: refuse for now, it may come back.
    Refuse,
    /// The disk lies: what is on it is only known after a restart.
    EndProcess,
}

impl Fault {
    /// The remedy. diesel passes on few of PostgreSQL's codes, so an error it does not name is
    /// first taken as a passing one; the writer isolates what keeps failing.
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Connect(_) => Remedy::Reconnect,
            Self::Database(Error::DatabaseError(kind, information)) => {
                remedy_of(*kind, information.message())
            }
            Self::Database(_) | Self::Corrupt(_) => Remedy::Isolate,
        }
    }
}

/// What PostgreSQL and SQLite say when another process is in the way.
const CONTENTION: [&str; 4] = [
    "lock timeout",
    "deadlock detected",
    "statement timeout",
    "database is locked",
];

fn remedy_of(kind: DatabaseErrorKind, message: &str) -> Remedy {
    use DatabaseErrorKind as Kind;
    match kind {
        Kind::UniqueViolation
        | Kind::ForeignKeyViolation
        | Kind::NotNullViolation
        | Kind::CheckViolation
        | Kind::RestrictViolation
        | Kind::ExclusionViolation => Remedy::Isolate,
        Kind::SerializationFailure => Remedy::Wait,
        Kind::UnableToSendCommand | Kind::ClosedConnection | Kind::ReadOnlyTransaction => {
            Remedy::Reconnect
        }
        _ if message.contains("disk I/O error") || message.contains("malformed") => {
            Remedy::EndProcess
        }
        _ if message.contains("disk is full") || message.contains("No space left") => {
            Remedy::Refuse
        }
        _ if message.contains("terminating connection") => Remedy::Reconnect,
        _ if CONTENTION.iter().any(|cause| message.contains(cause)) => Remedy::Wait,
        _ => Remedy::Retry,
    }
}

/// Reads a vocabulary, an id or a digest that we wrote ourselves.
pub(crate) fn stored<T: std::str::FromStr>(text: &str) -> Result<T, Fault>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Fault::Corrupt(format!("'{text}': {error}")))
}

/// The same for a column that may be empty.
pub(crate) fn stored_option<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Fault>
where
    T::Err: std::fmt::Display,
{
    text.map(stored).transpose()
}
