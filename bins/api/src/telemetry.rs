//! Logs, on standard error.

use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::cli::{Log, LogFormat};

/// Starts logging. What may be logged is in docs/logging.md.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&log.filter).map_err(|error| {
        format!("LOG (--log) is not a level or a list of directives like store=debug: {error}")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match log.log_format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
}
