//! What may be given up to make room: log and file bytes of finished work, never its evidence or decision.

use crate::approval::{Approval, ApprovalStatus};
use crate::digest::Digest;
use crate::status::Status;
use crate::task::TaskState;
use crate::timestamp::Timestamp;

/// Why the bytes of an attempt stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The task has not ended.
    Unfinished,
    /// The last attempt was never sealed: no digest says what its bytes were.
    Unsealed,
    /// Nobody has decided about it.
    Undecided,
    /// It ended, or was decided, too recently.
    Recent,
    /// A task that has not ended builds on it.
    Needed,
}

/// Whether the log and file bytes of the last attempt of a task may go, in the order of [`Kept`]; gives the
/// digest of the evidence that stays. `dependents` are the states of the tasks that depend on it.
///
/// # Errors
/// Why they stay.
pub fn prunable(
    task: &TaskState,
    approval: Option<&Approval>,
    dependents: impl IntoIterator<Item = Status>,
    older_than: Timestamp,
) -> Result<Digest, Kept> {
    if !task.status.is_final() {
        return Err(Kept::Unfinished);
    }
    let (Some(sealed), Some(completed_at)) = (task.evidence_sha256, task.completed_at) else {
        return Err(Kept::Unsealed);
    };
    if approval.is_some_and(|approval| approval.status == ApprovalStatus::Pending) {
        return Err(Kept::Undecided);
    }
    let decided_at = approval.and_then(|approval| approval.decided.as_ref().map(|d| d.at));
    if completed_at.max(decided_at.unwrap_or(completed_at)) >= older_than {
        return Err(Kept::Recent);
    }
    // only what is done is handed to the tasks behind it
    let is_needed =
        || task.status == Status::Done && dependents.into_iter().any(|status| !status.is_final());
    if is_needed() {
        return Err(Kept::Needed);
    }
    Ok(sealed)
}
