//! Flags and environment variables, read once. A value that does not parse stops the program with
//! the variable's name and what was expected.

use std::net::SocketAddr;
use std::path::PathBuf;

use approval_core::{AuditHead, Capability, DesktopId, KeyKind};
use clap::{Args, Parser, Subcommand};
use store::url::DatabaseUrl;
use web::Cidr;

/// The database of the quick start, which administration takes when none is named.
pub(crate) const QUICK_START_DATABASE: &str = "sqlite://data/countersign.db";

/// The forms of a database URL.
const DATABASE_HELP: &str = "sqlite://relative/path.db, sqlite:///absolute/path.db or \
                             postgres://user:password@host:port/database";

/// Countersign: the gate between what AI agents do and what takes effect.
///
/// Without a command this is the quick start: a SQLite database in ./data, migrations applied, a
/// first account with an API key, and a local desktop that executes tasks in ./work.
#[derive(Parser)]
#[command(name = "api", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub quick_start: QuickStart,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server alone, on a database whose migrations were applied
    Serve(Serve),
    /// Create accounts
    Account {
        #[command(subcommand)]
        action: AccountAction,
    },
    /// Create people
    User {
        #[command(subcommand)]
        action: UserAction,
    },
    /// Print a link that lets a person in, once, within 15 minutes
    SignInLink(SignInLink),
    /// Create API keys
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Export the audit log, check an exported one, print where it ends
    Audit {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Copy the SQLite database into a file, also beside a running server
    Backup(Backup),
    /// Give up log and file bytes of finished work to make room; evidence and decisions stay
    Prune(Prune),
    /// Print the OpenAPI document of this server
    Openapi,
}

#[derive(Args)]
pub(crate) struct QuickStart {
    /// Where to listen
    #[arg(long, env = "LISTEN", value_name = "LISTEN", default_value = "127.0.0.1:8080", value_parser = listen)]
    pub listen: SocketAddr,

    /// Folder of the database; created with access for its owner only
    #[arg(
        long,
        env = "DATA_DIR",
        value_name = "DATA_DIR",
        default_value = "data"
    )]
    pub data_dir: PathBuf,

    /// Folder in which the local desktop executes tasks; must not be inside the data folder
    #[arg(long, env = "WORKDIR", value_name = "WORKDIR", default_value = "work")]
    pub workdir: PathBuf,

    #[command(flatten)]
    pub tasks: runner::Options,

    #[command(flatten)]
    pub disk: Disk,

    #[command(flatten)]
    pub web: Web,

    #[command(flatten)]
    pub metrics: Metrics,

    #[command(flatten)]
    pub log: Log,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub database: Database,

    /// Where to listen
    #[arg(long, env = "LISTEN", value_name = "LISTEN", default_value = "127.0.0.1:8080", value_parser = listen)]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub disk: Disk,

    #[command(flatten)]
    pub web: Web,

    #[command(flatten)]
    pub metrics: Metrics,

    #[command(flatten)]
    pub log: Log,
}

#[derive(Args)]
pub(crate) struct Database {
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE_URL",
        help = DATABASE_HELP
    )]
    database_url: String,
}

#[derive(Args)]
pub(crate) struct AdminDatabase {
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE_URL",
        default_value = QUICK_START_DATABASE,
        help = DATABASE_HELP
    )]
    database_url: String,
}

impl Database {
    pub(crate) fn url(&self) -> Result<DatabaseUrl, String> {
        parse_url(&self.database_url)
    }
}

impl AdminDatabase {
    pub(crate) fn url(&self) -> Result<DatabaseUrl, String> {
        parse_url(&self.database_url)
    }
}

/// Not left to clap, whose message would repeat a password.
fn parse_url(text: &str) -> Result<DatabaseUrl, String> {
    text.parse()
        .map_err(|error| format!("DATABASE_URL (--database-url) is not a database URL: {error}"))
}

#[derive(Args)]
pub(crate) struct Web {
    /// Requests a minute a credential; 0 switches the limit off
    #[arg(
        long,
        env = "RATE_LIMIT",
        value_name = "RATE_LIMIT",
        default_value_t = 1_200,
        value_parser = rate_limit
    )]
    pub rate_limit: u32,

    /// MiB that a desktop's runner may upload a minute a credential; 0 switches the limit off
    #[arg(
        long,
        env = "UPLOAD_LIMIT",
        value_name = "UPLOAD_LIMIT",
        default_value_t = 600,
        value_parser = upload_limit
    )]
    pub upload_limit: u32,

    /// Address under which people reach the server, when it stands behind a proxy
    #[arg(long, env = "PUBLIC_URL", value_name = "PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Networks of proxies whose X-Forwarded-For is believed, for example 10.0.0.0/8
    #[arg(
        long,
        env = "TRUSTED_PROXY",
        value_name = "TRUSTED_PROXY",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Cidr>,
}

#[derive(Args)]
pub(crate) struct Disk {
    /// MiB of the disk of SQLite that are kept for decisions: while less is free, uploads and new tasks are
    /// refused; 0 keeps none
    #[arg(
        long,
        env = "DISK_RESERVE",
        value_name = "DISK_RESERVE",
        default_value_t = store::DISK_RESERVE >> 20,
        value_parser = disk_reserve
    )]
    pub disk_reserve: u64,
}

impl Disk {
    /// How the server opens a database.
    pub(crate) fn store(&self, url: DatabaseUrl) -> store::StoreConfig {
        store::StoreConfig {
            disk_reserve: self.disk_reserve << 20,
            ..store::StoreConfig::new(url)
        }
    }
}

fn disk_reserve(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(reserve @ 0..=1_000_000) => Ok(reserve),
        Ok(_) | Err(_) => Err("expected a whole number of MiB, or 0 to keep none".to_owned()),
    }
}

#[derive(Args)]
pub(crate) struct Metrics {
    /// Where to serve GET /metrics for Prometheus, without a credential; off when absent
    #[arg(long, env = "METRICS_LISTEN", value_name = "METRICS_LISTEN", value_parser = listen)]
    pub metrics_listen: Option<SocketAddr>,
}

impl Web {
    pub(crate) fn config(&self) -> web::WebConfig {
        web::WebConfig {
            rate_limit: self.rate_limit,
            upload_limit: self.upload_limit,
            trusted_proxies: self.trusted_proxy.clone(),
            public_url: self.public_url.clone(),
            unconfined: false,
        }
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected ADDRESS:PORT, for example 127.0.0.1:8080 or [::]:8080".to_owned())
}

fn rate_limit(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "expected a whole number of requests a minute, 0 for no limit".to_owned())
}

/// A request of 8 MiB must fit.
fn upload_limit(text: &str) -> Result<u32, String> {
    let expected = "expected a whole number of MiB a minute, at least 8, or 0 for no limit";
    match text.parse() {
        Ok(limit @ (0 | 8..=1_000_000)) => Ok(limit),
        Ok(_) | Err(_) => Err(expected.to_owned()),
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.trim_end_matches('/').is_empty() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("expected http://HOST or https://HOST".to_owned()),
    }
}

#[derive(Args)]
pub(crate) struct Log {
    /// What to log on standard error: a level (error, warn, info, debug) or directives
    #[arg(long = "log", env = "LOG", value_name = "LOG", default_value = "info")]
    pub filter: String,

    /// How to log
    #[arg(long, env = "LOG_FORMAT", value_name = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
pub(crate) enum AccountAction {
    /// Create an account and print its id
    Create(CreateAccount),
}

#[derive(Args)]
pub(crate) struct CreateAccount {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// What to call it, 1 to 100 characters
    #[arg(long)]
    pub name: String,
}

#[derive(Subcommand)]
pub(crate) enum UserAction {
    /// Create a person and print the id
    Create(CreateUser),
}

#[derive(Args)]
pub(crate) struct CreateUser {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Id or name of the account; the first one when absent
    #[arg(long)]
    pub account: Option<String>,

    /// What the person signs in with
    #[arg(long)]
    pub email: String,

    /// Read the password from standard input, 12 to 1,000 characters
    #[arg(long, required = true)]
    pub password_stdin: bool,
}

#[derive(Args)]
pub(crate) struct SignInLink {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Whom to let in
    #[arg(long)]
    pub email: String,

    /// Address under which people reach the server
    #[arg(
        long,
        env = "PUBLIC_URL",
        value_name = "PUBLIC_URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = public_url
    )]
    pub public_url: String,
}

#[derive(Subcommand)]
pub(crate) enum KeyAction {
    /// Create an API key and print it, this one time
    Create(CreateKey),
}

#[derive(Args)]
pub(crate) struct CreateKey {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Id or name of the account; the first one when absent
    #[arg(long)]
    pub account: Option<String>,

    /// What to call it, 1 to 100 characters
    #[arg(long)]
    pub name: String,

    /// human, service or agent
    #[arg(long)]
    pub kind: KeyKind,

    /// The desktop an agent key is bound to
    #[arg(long)]
    pub desktop: Option<DesktopId>,

    /// What it may do, for example tasks:read,tasks:write; the default of its kind when absent
    #[arg(long, value_delimiter = ',')]
    pub can: Option<Vec<Capability>>,
}

#[derive(Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Id or name of the account; all of them when absent
    #[arg(long)]
    pub account: Option<String>,

    /// Only work that was finished, and decided, this long ago: a number with s, m, h or d, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub older_than: Age,

    /// Say what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A time span of at least a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    pub seconds: i64,
}

fn age(text: &str) -> Result<Age, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = number.parse().ok().filter(|_| is_number)?;
        number.checked_mul(seconds)
    });
    match parsed {
        Some(seconds @ 1..=MAX_AGE_SECONDS) => Ok(Age { seconds }),
        _ => Err(
            "expected a whole number with s, m, h or d, from 1s to 36500d, such as 90d".to_owned(),
        ),
    }
}

/// A hundred years.
const MAX_AGE_SECONDS: i64 = 36_500 * 86_400;

#[derive(Subcommand)]
pub(crate) enum AuditAction {
    /// Write the log and all approvals of an account as JSON Lines
    Export(AuditExport),
    /// Check an exported file, without a database; exits with 1 when something is wrong with it
    Verify(AuditVerify),
    /// Print where the log ends, as SEQ:HASH, to be kept elsewhere
    Head(AuditHeadOptions),
}

#[derive(Args)]
pub(crate) struct AuditExport {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Id or name of the account; the first one when absent
    #[arg(long)]
    pub account: Option<String>,

    /// A file that does not exist yet; standard output when absent
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct AuditVerify {
    /// The exported file; - reads standard input
    pub file: PathBuf,

    /// A head that was kept, as `api audit head` printed it; may be repeated
    #[arg(long, value_name = "SEQ:HASH")]
    pub head: Vec<AuditHead>,
}

#[derive(Args)]
pub(crate) struct AuditHeadOptions {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// Id or name of the account; the first one when absent
    #[arg(long)]
    pub account: Option<String>,
}

#[derive(Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub database: AdminDatabase,

    /// A file that does not exist yet; it is there whole or not at all
    pub file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_a_unit() {
        for (text, seconds) in [
            ("1s", 1),
            ("90m", 5_400),
            ("24h", 86_400),
            ("90d", 7_776_000),
            ("36500d", MAX_AGE_SECONDS),
        ] {
            assert_eq!(age(text), Ok(Age { seconds }), "{text}");
        }
        for text in [
            "",
            "d",
            "90",
            "0s",
            "0d",
            "-1d",
            "+1d",
            "1.5d",
            "1 d",
            "1w",
            "36501d",
            "9223372036854775807d",
        ] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
