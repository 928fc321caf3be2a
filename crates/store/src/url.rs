//! Where the database is: the URLs of contract section 8, read by us and not by a driver, so that
//! every mistake gets a message that names it and no message ever shows a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::config::{Host, SslMode};

/// A database of one of the two engines: `sqlite://relative/path.db`, `sqlite:///abs/path.db`,
/// `postgres://…` or `postgresql://…`.
///
/// `Debug` and `Display` show no password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite database file; a relative path counts from the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// A PostgreSQL database: host, port, user, password, database and connection options.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Box<tokio_postgres::Config>);

/// Why a text is not a [`DatabaseUrl`]. The messages repeat nothing that may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// There is no `scheme://` in front.
    #[error("no scheme; {EXPECTED}")]
    NoScheme,
    /// The scheme is neither `sqlite` nor `postgres` nor `postgresql`.
    #[error("unknown scheme `{0}`; {EXPECTED}")]
    UnknownScheme(String),
    /// A SQLite URL without a usable file name.
    #[error("{0}; expected sqlite://relative/path.db or sqlite:///absolute/path.db")]
    Sqlite(&'static str),
    /// PostgreSQL parameters that cannot be read.
    #[error("not a PostgreSQL URL ({0}); expected postgres://user:password@host:port/database")]
    Postgres(String),
    /// The URL asks for an encrypted connection, which is not built in: refusing is better than
    /// going on in the clear.
    #[error(
        "sslmode={0} asks for TLS, which this build does not speak; \
         use sslmode=disable on a private network or a local TLS tunnel"
    )]
    TlsUnsupported(String),
}

const EXPECTED: &str = "expected sqlite://path or postgres://user:password@host:port/database";

impl DatabaseUrl {
    /// `SQLite` or `PostgreSQL`, for messages.
    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(DatabaseUrlError::NoScheme)?;
        match scheme {
            "sqlite" => sqlite_path(rest).map(Self::Sqlite),
            "postgres" | "postgresql" => PostgresUrl::parse(text).map(Self::Postgres),
            other => Err(DatabaseUrlError::UnknownScheme(other.to_owned())),
        }
    }
}

/// The file named by what follows `sqlite://`, literally: nothing is percent-decoded.
fn sqlite_path(rest: &str) -> Result<PathBuf, DatabaseUrlError> {
    if rest.is_empty() || rest.ends_with('/') {
        return Err(DatabaseUrlError::Sqlite("a file name is missing"));
    }
    if rest.contains(":memory:") {
        return Err(DatabaseUrlError::Sqlite(
            "a database in memory would be another one for each connection",
        ));
    }
    if rest.contains('?') {
        return Err(DatabaseUrlError::Sqlite("a SQLite URL takes no parameters"));
    }
    if rest.contains('\0') {
        return Err(DatabaseUrlError::Sqlite(
            "a file name cannot contain U+0000",
        ));
    }
    Ok(PathBuf::from(rest))
}

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let options = text.split_once('?').map_or("", |(_, options)| options);
        let sslmode = options
            .split('&')
            .filter_map(|option| option.strip_prefix("sslmode="))
            .next_back();
        if let Some(mode @ ("require" | "verify-ca" | "verify-full")) = sslmode {
            return Err(DatabaseUrlError::TlsUnsupported(mode.to_owned()));
        }
        let config: tokio_postgres::Config =
            text.parse().map_err(|error: tokio_postgres::Error| {
                let reason = error
                    .into_source()
                    .map_or_else(|| "unreadable".to_owned(), |source| source.to_string());
                DatabaseUrlError::Postgres(reason)
            })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(DatabaseUrlError::TlsUnsupported("require".to_owned()));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseUrlError::Postgres("no host".to_owned()));
        }
        Ok(Self(Box::new(config)))
    }

    /// The parameters as the driver takes them, password included.
    pub(crate) fn config(&self) -> &tokio_postgres::Config {
        &self.0
    }

    fn port(&self, host: usize) -> u16 {
        let ports = self.0.get_ports();
        ports.get(host).or(ports.first()).copied().unwrap_or(5432)
    }
}

/// Built anew from the parsed parts rather than cut out of the text, so nothing secret can be
/// overlooked. Connection options are left out.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.0.get_user() {
            f.write_str(user)?;
            if self.0.get_password().is_some() {
                f.write_str(":***")?;
            }
            f.write_str("@")?;
        }
        for (index, host) in self.0.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => write!(f, "{name}:{}", self.port(index))?,
                Host::Unix(directory) => {
                    write!(f, "{}:{}", directory.display(), self.port(index))?;
                }
            }
        }
        if self.0.get_hosts().is_empty() {
            for (index, address) in self.0.get_hostaddrs().iter().enumerate() {
                write!(f, "{address}:{}", self.port(index))?;
            }
        }
        match self.0.get_dbname() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", Path::display(path)),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        text.parse()
    }

    #[test]
    fn sqlite_paths_are_relative_or_absolute() {
        assert_eq!(
            parse("sqlite://data/a b.db"),
            Ok(DatabaseUrl::Sqlite("data/a b.db".into()))
        );
        assert_eq!(
            parse("sqlite:///var/lib/x.db"),
            Ok(DatabaseUrl::Sqlite("/var/lib/x.db".into()))
        );
    }

    #[test]
    fn sqlite_urls_that_name_no_file_are_refused() {
        for text in [
            "sqlite://",
            "sqlite:///",
            "sqlite://dir/",
            "sqlite://:memory:",
            "sqlite://x.db?mode=ro",
            "sqlite://x\0.db",
        ] {
            assert!(
                matches!(parse(text), Err(DatabaseUrlError::Sqlite(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn both_postgres_schemes_are_read() {
        for scheme in ["postgres", "postgresql"] {
            let url = parse(&format!("{scheme}://ann:secret@db.example:6543/sign")).unwrap();
            assert_eq!(url.to_string(), "postgres://ann:***@db.example:6543/sign");
            assert_eq!(url.engine(), "PostgreSQL");
        }
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = parse("mysql://root:secret@h/db").unwrap_err();
        assert_eq!(error, DatabaseUrlError::UnknownScheme("mysql".into()));
        assert!(error.to_string().starts_with("unknown scheme `mysql`"));
        assert_eq!(parse("./data/x.db"), Err(DatabaseUrlError::NoScheme));
    }

    #[test]
    fn no_password_is_shown_wherever_it_stands() {
        for text in [
            "postgres://ann:hunter2@h/db",
            "postgres://ann@h/db?password=hunter2",
            "postgres://h/db?user=ann&password=hunter2",
        ] {
            let url = parse(text).unwrap();
            let shown = format!("{url} {url:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("ann:***@h:5432/db"), "{shown}");
        }
        let error = parse("postgres://ann:hunter2@h:nan/db").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn tls_is_refused_rather_than_ignored() {
        for mode in ["require", "verify-ca", "verify-full"] {
            assert_eq!(
                parse(&format!("postgres://h/db?connect_timeout=3&sslmode={mode}")),
                Err(DatabaseUrlError::TlsUnsupported(mode.into()))
            );
        }
        assert!(parse("postgres://h/db?sslmode=%72equire").is_err());
        assert!(parse("postgres://h/db?sslmode=prefer").is_ok());
        assert!(parse("postgres://h/db?sslmode=disable").is_ok());
    }

    #[test]
    fn a_postgres_url_needs_a_host_and_known_options() {
        assert!(matches!(
            parse("postgres:///db"),
            Err(DatabaseUrlError::Postgres(_))
        ));
        let error = parse("postgres://h/db?colour=red").unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
