//! The runner protocol: what a desktop's runner sends and gets (contract section 5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FileChange, LogStream, Outcome, Task, Timestamp};

/// `POST /api/desktops/:id/claim`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRequest {
    /// Seconds to wait for work, 0 to 60. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<i64>,
}

/// A task to execute, and the lease that lets this runner alone report on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The task, content uncut.
    pub task: Task,
    /// What its approved dependencies produced.
    pub inputs: Vec<ClaimInput>,
    /// The lease of this attempt.
    pub lease: Lease,
}

/// An approved dependency of a claimed task, named by what was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimInput {
    /// `task_…`.
    pub task_id: String,
    /// The attempt that was approved.
    pub attempt: i64,
    /// SHA-256 of its sealed evidence, in hex.
    pub evidence_sha256: String,
}

/// The right to report on one attempt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Goes into the header `x-lease-token` of every call about the attempt: a secret.
    pub token: String,
    /// When it ends unless a heartbeat extends it.
    pub expires_at: Timestamp,
    /// The attempt it is for, from 1.
    pub attempt: i64,
}

/// Never prints the token.
impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("expires_at", &self.expires_at)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// When the lease ends now.
    pub expires_at: Timestamp,
    /// The task was cancelled: stop working on it.
    pub cancel_requested: bool,
}

/// `POST …/tasks/:id/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppendLogs {
    /// The entries; one whose `seq` is known already is ignored.
    pub entries: Vec<LogEntry>,
}

/// A piece of a task's log, as the runner sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogEntry {
    /// Position in the log of the attempt, counted from 0 over all streams.
    pub seq: i64,
    /// Where it came from.
    pub stream: LogStream,
    /// When the runner read it.
    pub at: Timestamp,
    /// The bytes, in base64 (RFC 4648 section 4, padded).
    pub base64: String,
}

/// `POST …/tasks/:id/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddFiles {
    /// The files; for a path sent twice, the last counts.
    pub files: Vec<AddFile>,
}

/// A changed file, as the runner sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddFile {
    /// Where it is, relative to the work folder. Exactly one of `path` and `pathBase64` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The bytes of a path that is not UTF-8, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// What happened to it.
    pub change: FileChange,
    /// Where it was, when it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// The bytes of an old path that is not UTF-8, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path_base64: Option<String>,
    /// Its mode as six octal digits, as git writes it: `100644`, `100755`, `120000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Its mode before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_mode: Option<String>,
    /// The change as a unified diff, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_base64: Option<String>,
    /// What it holds now, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Whether the runner cut the diff or the content. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// `POST …/tasks/:id/complete`: seals the evidence and applies the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Complete {
    /// How the attempt ended. It alone decides.
    pub outcome: Outcome,
    /// The exit code of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The result to show, at most 1 MiB. Absent: standard output, joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How many log entries were sent; refused with `logs-incomplete` while some have not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_entries: Option<i64>,
}
