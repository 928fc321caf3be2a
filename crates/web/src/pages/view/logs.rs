//! The tab Logs, and what the stream adds to it.

use askama::Template;

use super::pruned::Pruned;
use super::words;
use crate::show::Run;

/// Chunks that came while the page was open; the data of `event: log`, appended to `#log`.
#[derive(Template)]
#[template(path = "task/log_chunks.html")]
pub struct LogChunks {
    pub chunks: Vec<Chunk>,
}

/// The log as it is now.
#[derive(Clone, Debug)]
pub struct Logs {
    pub task_id: String,
    /// From the start; all of it when nothing lies between.
    pub head: Vec<Chunk>,
    /// What is not shown between the two.
    pub gap: Option<Gap>,
    pub tail: Vec<Chunk>,
    pub entries: i64,
    pub bytes: i64,
    /// Invisible characters drawn in what is shown.
    pub escapes: usize,
    /// The bytes were given up: nothing of the log is left to show.
    pub pruned: Option<Pruned>,
    /// The task still runs: new chunks arrive.
    pub streaming: bool,
    /// What is searched for; empty for nothing.
    pub query: String,
    pub hits: Option<Hits>,
    /// The whole log as text, as a download.
    pub raw: String,
}

/// A piece of one stream.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub stream: Stream,
    /// The exact time, for the tooltip.
    pub at: String,
    pub runs: Vec<Run>,
}

/// Where a piece came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    Agent,
}

impl Stream {
    /// Its class and its name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Agent => "agent",
        }
    }
}

/// What lies between head and tail.
#[derive(Clone, Debug)]
pub struct Gap {
    /// Kept, and part of the download.
    pub kept: i64,
    /// Gone for good.
    pub dropped: i64,
}

impl Gap {
    /// The marker, with the exact number of bytes.
    pub fn text(&self) -> String {
        let bytes = |amount| words::count(amount, "byte", "bytes");
        match (self.kept, self.dropped) {
            (kept, 0) => format!("{} not shown here; they are in the download", bytes(kept)),
            (0, dropped) => format!("{} were dropped when the log was written", bytes(dropped)),
            (kept, dropped) => format!(
                "{} not shown here (they are in the download), {} were dropped when the log was written",
                bytes(kept),
                bytes(dropped)
            ),
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Hits {
    /// Lines that match, shown or not.
    pub count: i64,
    pub lines: Vec<Hit>,
    /// Only so many bytes were searched; `None`: all of them.
    pub searched: Option<i64>,
}

/// One line that matches; the match has the class `mark`.
#[derive(Clone, Debug)]
pub struct Hit {
    pub line: i64,
    pub stream: Stream,
    pub runs: Vec<Run>,
}
