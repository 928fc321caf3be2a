//! What a task left behind, as readers see it: log lines and changed files (contract section 5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FileChange, LogStream, Timestamp};

/// A piece of a task's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Position in the log of the attempt, counted from 0 over all streams.
    pub seq: i64,
    /// Where it came from.
    pub stream: LogStream,
    /// When the runner read it.
    pub at: Timestamp,
    /// The text; bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// The bytes in base64 when they are not UTF-8, null otherwise.
    #[schema(required)]
    pub base64: Option<String>,
}

/// A file that a task changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFile {
    /// Number in the list, as in `…/files/:n/raw`.
    pub n: i64,
    /// Where it is, relative to the work folder; null when that is not UTF-8.
    #[schema(required)]
    pub path: Option<String>,
    /// The bytes of a path that is not UTF-8, in base64.
    #[schema(required)]
    pub path_base64: Option<String>,
    /// Where it was, when it was renamed.
    #[schema(required)]
    pub old_path: Option<String>,
    /// The bytes of an old path that is not UTF-8, in base64.
    #[schema(required)]
    pub old_path_base64: Option<String>,
    /// What happened to it.
    pub change: FileChange,
    /// Its mode as six octal digits, as git writes it.
    #[schema(required)]
    pub mode: Option<String>,
    /// Its mode before.
    #[schema(required)]
    pub old_mode: Option<String>,
    /// The change as a unified diff; bytes that are not UTF-8 are replaced by U+FFFD.
    #[schema(required)]
    pub diff: Option<String>,
    /// Length of the content; null when there is none.
    #[schema(required)]
    pub bytes: Option<i64>,
    /// SHA-256 of the content, in hex; null when there is none.
    #[schema(required)]
    pub sha256: Option<String>,
    /// Whether the runner cut the diff or the content.
    pub truncated: bool,
}
