//! The Countersign runner: executes the tasks of one desktop.
//!
//! It reads its flags and its key and leaves the work to the crate `runner`.

mod key;
mod shutdown;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use runner::{Level, Options, RunnerConfig, RunnerError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::key::KeyError;

const AFTER_HELP: &str = "\
The agent key of the desktop is read from the environment variable DESKTOP_API_KEY.
SIGTERM and SIGINT end the runner; a task that is running is killed and reported as failed.
Logs go to standard error; RUST_LOG chooses how much (default: info).";

/// Executes the tasks of one desktop.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Args {
    /// Address of the server, http://… or https://…
    #[arg(long, env = "SERVER", value_name = "URL")]
    server: String,
    /// The desktop whose tasks to execute (desk_…)
    #[arg(long, env = "DESKTOP", value_name = "ID")]
    desktop: String,
    /// The folder to execute them in
    #[arg(long, env = "WORKDIR", value_name = "DIR", default_value = ".")]
    workdir: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Confine tasks to the work folder and what a build needs, by Landlock; where the kernel cannot,
    /// the runner does not start
    #[arg(long, env = "CONFINE", value_parser = clap::builder::BoolishValueParser::new())]
    confine: bool,
    /// Read the key from standard input instead of the environment
    #[arg(long)]
    key_stdin: bool,
}

/// Why the program ends with a failure.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("CONFINE (--confine): tasks cannot be confined here: {0}")]
    Unconfined(Level),
    #[error("{0}")]
    Path(String),
    #[error("{culprit}{0}", culprit = culprit(.0))]
    Runner(#[from] RunnerError),
}

/// The variable to correct, as contract section 8 demands.
const fn culprit(error: &RunnerError) -> &'static str {
    match error {
        RunnerError::KeyKind => "DESKTOP_API_KEY: ",
        RunnerError::Workdir(_) => "WORKDIR: ",
        RunnerError::Desktop(_) => "DESKTOP: ",
        RunnerError::Client(_) => "SERVER: ",
        RunnerError::PassesKey => "PASS_ENV: ",
        RunnerError::Isolate { .. } => "ISOLATE: ",
        RunnerError::System(_) | RunnerError::Refused(_) => "",
    }
}

fn main() -> ExitCode {
    if let Some(code) = runner::helper(std::env::args_os()) {
        return code;
    }
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    match work(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn work(args: Args) -> Result<(), Failure> {
    let key = key::obtain(args.key_stdin)?;
    let mut config = RunnerConfig::new(args.server, args.desktop, key, args.workdir);
    args.options.apply(&mut config);
    config.helper = Some(runner::own_program()?);
    if args.confine {
        let level = runner::level();
        if !level.confines() {
            return Err(Failure::Unconfined(level));
        }
        info!(%level, "tasks are confined");
        config.confinement = Some(
            args.options
                .confinement(Vec::new())
                .map_err(Failure::Path)?,
        );
    }
    // One thread: tasks die with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let token = CancellationToken::new();
        shutdown::on_signal(token.clone())?;
        Ok(runner::run(config, token).await?)
    })
}
