//! Sealed evidence: what a decision is about, as bytes that never change (contract section 5).

use sha2::{Digest as _, Sha256};

use crate::canonical::Canonical;
use crate::codes::codes;
use crate::digest::Digest;
use crate::id::{DesktopId, TaskId};
use crate::task::{Outcome, TaskType};
use crate::timestamp::Timestamp;

codes! {
    /// Where a log entry came from.
    LogStream {
        /// Standard output of the process.
        Stdout = "stdout",
        /// Standard error of the process.
        Stderr = "stderr",
        /// Messages and tool calls of an agent.
        Agent = "agent",
    }
}

codes! {
    /// What happened to a file.
    ChangeKind {
        /// It is new.
        Added = "added",
        /// Its content or mode changed.
        Modified = "modified",
        /// It is gone.
        Deleted = "deleted",
        /// It has another path.
        Renamed = "renamed",
    }
}

/// Length and digest of some stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

impl Part {
    /// The part that `bytes` are.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: Digest::of(bytes),
        }
    }

    fn canonical(self) -> Canonical<'static> {
        Canonical::object([
            ("bytes", Canonical::count(self.bytes)),
            ("sha256", Canonical::display(self.sha256)),
        ])
    }
}

/// A part that may have lost its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPart {
    /// What is kept.
    pub part: Part,
    /// Whether something is missing.
    pub truncated: bool,
}

/// The log of an attempt as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSummary {
    /// Entries kept.
    pub entries: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// Bytes that arrived and were dropped from the middle.
    pub dropped_bytes: u64,
    /// [`log_digest`] of the entries kept.
    pub sha256: Digest,
}

/// Digest of the kept log entries: SHA-256 of the RFC 8785 array of `{seq,stream,at,sha256}`.
pub fn log_digest(
    entries: impl IntoIterator<Item = (i64, LogStream, Timestamp, Digest)>,
) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"[");
    for (index, (seq, stream, at, sha256)) in entries.into_iter().enumerate() {
        if index > 0 {
            hasher.update(b",");
        }
        let entry = Canonical::object([
            ("seq", Canonical::Int(seq)),
            ("stream", Canonical::text(stream.as_str())),
            ("at", Canonical::display(at)),
            ("sha256", Canonical::display(sha256)),
        ]);
        hasher.update(entry.to_json());
    }
    hasher.update(b"]");
    Digest::from_bytes(hasher.finalize().into())
}

/// A path on a desktop: bytes, which mostly are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathText {
    /// UTF-8, as almost always.
    Text(String),
    /// Other bytes and their base64.
    Base64 {
        /// The path as the desktop has it.
        bytes: Vec<u8>,
        /// The same in base64, as on the wire.
        base64: String,
    },
}

impl PathText {
    /// The bytes of the path.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Base64 { bytes, .. } => bytes,
        }
    }

    fn member<'a>(
        &'a self,
        text: &'static str,
        base64: &'static str,
    ) -> (&'static str, Canonical<'a>) {
        match self {
            Self::Text(path) => (text, Canonical::text(path.as_str())),
            Self::Base64 { base64: path, .. } => (base64, Canonical::text(path.as_str())),
        }
    }
}

/// A changed file of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// Its path now.
    pub path: PathText,
    /// Its path before a rename.
    pub old_path: Option<PathText>,
    /// What happened.
    pub change: ChangeKind,
    /// Its mode now, as text of octal digits.
    pub mode: Option<String>,
    /// Its mode before.
    pub old_mode: Option<String>,
    /// The diff, if there is one.
    pub diff: Option<Part>,
    /// The content, if it was sent.
    pub content: Option<Part>,
    /// Whether diff or content were cut on the desktop.
    pub truncated: bool,
}

impl EvidenceFile {
    fn canonical(&self) -> Canonical<'_> {
        let mode = |m: &Option<String>| Canonical::option(m.clone(), Canonical::text);
        let old_path = self
            .old_path
            .as_ref()
            .map_or(("oldPath", Canonical::Null), |p| {
                p.member("oldPath", "oldPathBase64")
            });
        Canonical::object([
            self.path.member("path", "pathBase64"),
            old_path,
            ("change", Canonical::text(self.change.as_str())),
            ("mode", mode(&self.mode)),
            ("oldMode", mode(&self.old_mode)),
            ("diff", Canonical::option(self.diff, Part::canonical)),
            ("content", Canonical::option(self.content, Part::canonical)),
            ("truncated", Canonical::Bool(self.truncated)),
        ])
    }
}

/// Everything a decision about one attempt is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// Prompt or command.
    pub task_type: TaskType,
    /// Where it ran.
    pub desktop: DesktopId,
    /// What the runner reported.
    pub outcome: Outcome,
    /// The exit code, if there was a process.
    pub exit_code: Option<i64>,
    /// What the runner said went wrong.
    pub error: Option<String>,
    /// Digest of the task's content.
    pub content_sha256: Digest,
    /// The output.
    pub output: TextPart,
    /// The log.
    pub logs: LogSummary,
    /// The changed files, in any order.
    pub files: Vec<EvidenceFile>,
}

/// The canonical bytes of some evidence, and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEvidence {
    /// RFC 8785 JSON.
    pub json: String,
    /// SHA-256 of `json`: the `evidenceSha256` of contract section 5.
    pub sha256: Digest,
}

impl Evidence {
    /// Writes the manifest of contract section 5, files sorted by the bytes of their paths.
    pub fn seal(&self) -> SealedEvidence {
        let mut files: Vec<&EvidenceFile> = self.files.iter().collect();
        files.sort_by(|a, b| a.path.bytes().cmp(b.path.bytes()));
        let json = Canonical::object([
            ("v", Canonical::Int(1)),
            ("taskId", Canonical::display(self.task)),
            ("attempt", Canonical::Int(self.attempt.into())),
            ("type", Canonical::text(self.task_type.as_str())),
            ("desktopId", Canonical::display(self.desktop)),
            ("outcome", Canonical::text(self.outcome.as_str())),
            (
                "exitCode",
                Canonical::option(self.exit_code, Canonical::Int),
            ),
            (
                "error",
                Canonical::option(self.error.as_deref(), Canonical::text),
            ),
            ("contentSha256", Canonical::display(self.content_sha256)),
            ("output", self.output_member()),
            ("logs", self.logs_member()),
            (
                "files",
                Canonical::Array(files.into_iter().map(EvidenceFile::canonical).collect()),
            ),
        ])
        .to_json();
        let sha256 = Digest::of(json.as_bytes());
        SealedEvidence { json, sha256 }
    }

    fn output_member(&self) -> Canonical<'static> {
        Canonical::object([
            ("bytes", Canonical::count(self.output.part.bytes)),
            ("sha256", Canonical::display(self.output.part.sha256)),
            ("truncated", Canonical::Bool(self.output.truncated)),
        ])
    }

    fn logs_member(&self) -> Canonical<'static> {
        Canonical::object([
            ("entries", Canonical::count(self.logs.entries)),
            ("bytes", Canonical::count(self.logs.bytes)),
            ("droppedBytes", Canonical::count(self.logs.dropped_bytes)),
            ("sha256", Canonical::display(self.logs.sha256)),
        ])
    }
}
