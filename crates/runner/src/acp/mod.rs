//! Talks to an agent over the Agent Client Protocol.
use crate::pump::Piece;
use std::path::Path;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
/// What is done with an agent's permission requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// a
    AllowOnce,
    /// b
    Reject,
}
pub(crate) struct Prompt<'a> {
    pub(crate) text: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) permissions: Permissions,
}
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) output: String,
}
impl Answer {
    pub(crate) fn error(&self) -> Option<String> {
        None
    }
}
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub(crate) struct AcpError;
pub(crate) async fn converse(
    _i: tokio::process::ChildStdin,
    _o: tokio::process::ChildStdout,
    _p: Prompt<'_>,
    _pieces: Sender<Piece>,
    _stop: &CancellationToken,
) -> Result<Answer, AcpError> {
    Err(AcpError)
}
