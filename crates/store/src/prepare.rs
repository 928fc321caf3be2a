//! The heavy half of `complete`, outside the transaction: what the kept logs, files and output
//! hash to. The writer takes it over only if nothing was uploaded since (`version`).

use approval_core::{Digest, EvidenceFile, LogSummary, TextPart};

/// What an attempt holds, as of one version of its uploads.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The attempt that was read.
    pub attempt: u32,
    /// The version of the uploads that was read.
    pub version: i64,
    /// Digest of the task's content.
    pub content_sha256: Digest,
    /// The kept log.
    pub logs: LogSummary,
    /// The standard output of the kept log, or the output the runner named.
    pub output: TextPart,
    /// The changed files.
    pub files: Vec<EvidenceFile>,
}
