//! The migration tool: shows, applies and reverts the schema changes of a Countersign database
//! (contract section 8). It is built on the store alone, so it builds without the server.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use store::migrations::{self, MigrationState};
use store::server_lock::ServerLock;
use store::url::DatabaseUrl;

/// Show, apply and revert the schema changes of a Countersign database.
///
/// `run` and `revert` take the database for themselves: stop the servers first. Each migration is
/// one transaction, so a failure leaves the database at the last one that succeeded.
#[derive(Parser)]
#[command(name = "migrate", version, about)]
struct Arguments {
    #[command(subcommand)]
    action: Action,

    // Read as text here and parsed by `database_url`, whose message never repeats a password.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL",
        help = "sqlite://relative/path.db, sqlite:///absolute/path.db or \
                postgres://user:password@host:port/database"
    )]
    database_url: Option<String>,
}

#[derive(Subcommand, Clone, Copy)]
enum Action {
    /// List every migration and whether the database has it; changes nothing
    Status,
    /// Apply what is pending, oldest first
    Run,
    /// Undo the newest applied migration
    Revert,
    /// Exit with 1 while something is pending, with 0 otherwise; changes nothing
    Check,
}

/// Exit code of `check` while something is pending, and of every failure.
const FAILED: u8 = 1;
/// Exit code for a wrong command line, as clap's own.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let url = match database_url(arguments.database_url.as_deref()) {
        Ok(url) => url,
        Err(message) => return fail(USAGE, &message),
    };
    let done = match arguments.action {
        Action::Status => status(&url),
        Action::Run => run(&url),
        Action::Revert => revert(&url),
        Action::Check => check(&url),
    };
    done.unwrap_or_else(|error| fail(FAILED, &error))
}

/// Reads the flag or variable; the message names both and says what was expected.
fn database_url(text: Option<&str>) -> Result<DatabaseUrl, String> {
    let name = "DATABASE_URL (--database-url)";
    let text = text.ok_or_else(|| {
        format!(
            "{name} is missing; expected sqlite://path or postgres://user:password@host:port/database"
        )
    })?;
    text.parse()
        .map_err(|error| format!("{name} is not a database URL: {error}"))
}

fn status(url: &DatabaseUrl) -> Result<ExitCode, Box<dyn Error>> {
    for migration in migrations::status(url)? {
        let state = match migration.state {
            MigrationState::Applied => "applied",
            MigrationState::Pending => "pending",
            MigrationState::Unknown => "applied by a newer release",
        };
        println!("{}  {state}", migration.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn run(url: &DatabaseUrl) -> Result<ExitCode, Box<dyn Error>> {
    let _lock = ServerLock::acquire_exclusive(url)?;
    let applied = migrations::run(url)?;
    if applied.is_empty() {
        println!("nothing to apply");
    }
    for name in applied {
        println!("applied {name}");
    }
    Ok(ExitCode::SUCCESS)
}

fn revert(url: &DatabaseUrl) -> Result<ExitCode, Box<dyn Error>> {
    let _lock = ServerLock::acquire_exclusive(url)?;
    let name = migrations::revert(url)?;
    println!("reverted {name}");
    Ok(ExitCode::SUCCESS)
}

fn check(url: &DatabaseUrl) -> Result<ExitCode, Box<dyn Error>> {
    let pending = migrations::pending(url)?;
    for name in &pending {
        println!("pending {name}");
    }
    Ok(if pending.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn fail(code: u8, message: &dyn Display) -> ExitCode {
    eprintln!("migrate: {message}");
    ExitCode::from(code)
}
