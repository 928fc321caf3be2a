//! Talks to an agent over the Agent Client Protocol.
//!
//! The runner is the client; the agent is a child process whose standard input and output carry
//! the protocol. One prompt is one conversation: greet, open a session, ask, listen to the end of
//! the turn. The agent works with its own tools on this machine: it is offered neither our files
//! nor our terminals, and asks for permission only.

mod calls;
mod conversation;
mod error;
mod paths;
mod permission;
mod render;
mod text;
mod transcript;
mod wire;

#[cfg(test)]
mod tests;

use std::path::Path;

use agent_client_protocol::v1::schema::StopReason;

pub(crate) use self::conversation::converse;
pub(crate) use self::error::AcpError;

/// What is done with an agent's permission requests.
///
/// An agent that asks is polite; one that does not ask is not stopped by this. What its process may
/// reach is the matter of the desktop's confinement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// Allow once what concerns only paths inside the work folder; reject everything else.
    ///
    /// The paths are those the tool call names as its locations and in its diffs, in the request
    /// itself or earlier in the same call. All of them must lie inside, by their names and by
    /// where symbolic links lead. A call that names no path is allowed if it reads, searches,
    /// thinks or executes: what a command may touch is limited by the desktop's confinement, not
    /// by what its agent says about it. It is rejected if it edits, deletes, moves, fetches or
    /// does anything else. A change of the agent's mode is always rejected, because it would
    /// change what is asked later. Nothing is ever allowed for longer than once.
    AllowOnce,
    /// Reject everything.
    Reject,
}

/// What to ask an agent for.
pub(crate) struct Prompt<'a> {
    /// The prompt.
    pub(crate) text: &'a str,
    /// The folder to work in, as an absolute path.
    pub(crate) folder: &'a Path,
    /// What it may do when it asks.
    pub(crate) permissions: Permissions,
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What the agent said as its message: at most 1 MiB, and if that was too little, with a line
    /// at its end that says how many bytes are missing.
    pub(crate) output: String,
    /// Why the turn ended.
    pub(crate) stop: StopReason,
}

impl Answer {
    /// Whether the agent came to the end of its turn by itself.
    pub(crate) fn is_whole(&self) -> bool {
        self.stop == StopReason::EndTurn
    }

    /// What to say about the end of the turn, unless the agent came to its end by itself.
    pub(crate) fn error(&self) -> Option<String> {
        let reason = match self.stop {
            StopReason::EndTurn => return None,
            StopReason::MaxTokens => "the agent reached its limit of tokens",
            StopReason::MaxTurnRequests => "the agent reached its limit of requests in one turn",
            StopReason::Refusal => "the agent refused",
            StopReason::Cancelled => "the agent was cancelled",
            _ => "the agent stopped for a reason that this desktop does not know",
        };
        Some(reason.to_owned())
    }
}
