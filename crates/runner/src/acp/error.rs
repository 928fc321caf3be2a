//! What goes wrong between a runner and an agent.

use std::fmt;
use std::io;
use std::time::Duration;

use agent_client_protocol::{Error, ErrorCode, is_incoming_transport_closed};

use crate::acp::text::{cut, one_line};

/// How much of what an agent says about an error is repeated, in bytes.
const QUOTE: usize = 1 << 10;

/// Why a conversation did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{cause} ({step})")]
pub(crate) struct AcpError {
    /// The step it happened at.
    pub(crate) step: Step,
    /// What happened.
    pub(crate) cause: Cause,
}

/// A step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Greeting the agent.
    Initialize,
    /// Opening a session.
    NewSession,
    /// The turn.
    Prompt,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Initialize => "at initialize",
            Self::NewSession => "at session/new",
            Self::Prompt => "at session/prompt",
        })
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// It closed its output before the answer.
    #[error("the agent ended before it answered")]
    Gone,
    /// It does not read, or cannot be read.
    #[error("cannot talk to the agent: {0}")]
    Pipe(#[source] io::Error),
    /// A line that is no message.
    #[error("the agent wrote what is not the Agent Client Protocol: {0}")]
    Garbage(String),
    /// A line without an end.
    #[error("the agent wrote a line of more than {0} bytes")]
    TooLong(usize),
    /// No answer in time.
    #[error("the agent did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It speaks something else.
    #[error("the agent speaks version {theirs} of the protocol, and this desktop version {ours}")]
    Version {
        /// The agent's version.
        theirs: u16,
        /// The runner's version.
        ours: u16,
    },
    /// Nobody signed it in.
    #[error(
        "the agent wants to be signed in: sign it in on this desktop beforehand, as the user who \
         runs the desktop ({0})"
    )]
    SignIn(String),
    /// It answered with an error.
    #[error("the agent answered with an error: {0}")]
    Refused(String),
    /// The runner wanted no more before the turn had begun.
    #[error("stopped before the agent began")]
    Stopped,
    /// Nobody takes what the agent says.
    #[error("nobody takes the log any more")]
    Unheard,
    /// The library gave up.
    #[error("the connection to the agent failed: {0}")]
    Connection(String),
}

impl From<Error> for Cause {
    /// What an unanswered or refused request means.
    fn from(error: Error) -> Self {
        if is_incoming_transport_closed(&error) {
            Self::Gone
        } else if error.code == ErrorCode::AUTH_REQUIRED {
            Self::SignIn(told(&error))
        } else {
            Self::Refused(told(&error))
        }
    }
}

/// An error in the agent's words: its message, and what it says in addition.
pub(crate) fn told(error: &Error) -> String {
    let mut told = one_line(&error.message, QUOTE);
    if let Some(data) = &error.data {
        let data = match data.as_str() {
            Some(text) => text.to_owned(),
            None => data.to_string(),
        };
        told.push_str(": ");
        told.push_str(&one_line(&data, QUOTE));
    }
    format!("{told} [{}]", i32::from(error.code))
}

/// The beginning of a line that is no message.
pub(crate) fn quote(line: &[u8]) -> String {
    let (head, _) = cut(line, QUOTE);
    format!("{:?}", String::from_utf8_lossy(head))
}
