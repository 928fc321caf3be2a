//! Why a call failed.

use std::time::Duration;

use contract::{Code, Problem};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be built: the address or the key is malformed. Nothing was sent.
    #[error("{0}")]
    Configuration(String),
    /// The server refused, and said why.
    #[error("{problem}")]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// How long it asked to wait before another try.
        retry_after: Option<Duration>,
    },
    /// No answer arrived. The call may have taken effect.
    #[error("no answer from the server: {}", with_causes(.0))]
    Transport(#[source] reqwest::Error),
    /// The answer is not of the contract: another program answered, or a proxy.
    #[error("unexpected answer with status {status}: {detail}")]
    Unexpected {
        /// Its HTTP status.
        status: u16,
        /// What is wrong with it.
        detail: String,
    },
}

impl ClientError {
    /// The problem document, if there is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            Self::Configuration(_) | Self::Transport(_) | Self::Unexpected { .. } => None,
        }
    }

    /// The problem's code, if it is one known to this version.
    pub fn code(&self) -> Option<Code> {
        self.problem().and_then(Problem::known_code)
    }

    /// How long the server asked to wait before another try.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            Self::Configuration(_) | Self::Transport(_) | Self::Unexpected { .. } => None,
        }
    }

    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Configuration(_) => false,
            Self::Problem { problem, .. } => {
                matches!(problem.status, 429 | 503)
                    || problem.known_code() == Some(Code::InProgress)
            }
            Self::Transport(error) => !error.is_builder(),
            Self::Unexpected { status, .. } => matches!(status, 502..=504),
        }
    }
}

/// The message of an error with those of its causes, on one line: reqwest's own says little.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
