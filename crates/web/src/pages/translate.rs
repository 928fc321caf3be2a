//! From the words of the core and the views of the store to what pages show.

use approval_core as core;
use core::{ApprovalStatus, GateReason, Identity, PrincipalId, Timestamp};
use store::{ChangeSummary, Dependent, DesktopView};

use super::view::files::{Callout, Change};
use super::view::task::{Changes, Decision, DesktopFact, DesktopState, Outcome, Release};
use super::view::terms::ActorKind;
use super::view::{Actor, Gate, Kind, Status, TaskLink, When};
use crate::show::{self, Shown};

/// Characters of a title where nothing of an agent may take much room.
const SHORT_TITLE: usize = 120;
/// The types of a file in its mode (git's): symbolic link and submodule.
const SYMLINK: &str = "120000";
const SUBMODULE: &str = "160000";

pub(super) fn status(status: core::Status) -> Status {
    match status {
        core::Status::Pending => Status::Pending,
        core::Status::Running => Status::Running,
        core::Status::Review => Status::Review,
        core::Status::Done => Status::Done,
        core::Status::Failed => Status::Failed,
        core::Status::Cancelled => Status::Cancelled,
    }
}

pub(super) fn kind(kind: core::TaskType) -> Kind {
    match kind {
        core::TaskType::Prompt => Kind::Prompt,
        core::TaskType::Command => Kind::Command,
    }
}

pub(super) fn gate(reason: GateReason) -> Gate {
    match reason {
        GateReason::Task => Gate::Task,
        GateReason::Global => Gate::Global,
    }
}

/// Why a task is gated, before there is an approval that says so.
pub(super) fn gate_of(requires_approval: bool, gated: bool) -> Gate {
    match (requires_approval, gated) {
        (true, _) => Gate::Task,
        (false, true) => Gate::Global,
        (false, false) => Gate::None,
    }
}

/// How a moment reads now.
pub(super) fn when(at: Timestamp, now: Timestamp) -> When {
    When::new(at.into(), now.into())
}

/// Who did something, for the one who reads it.
pub(super) fn actor(identity: &Identity, reader: PrincipalId) -> Actor {
    Actor {
        name: show::line(&identity.name),
        kind: match identity.kind {
            core::ActorKind::Human => ActorKind::Human,
            core::ActorKind::Service => ActorKind::Service,
            core::ActorKind::Agent => ActorKind::Agent,
            core::ActorKind::System => ActorKind::System,
        },
        is_you: identity.id == reader,
    }
}

/// The decision that stands on an approval.
pub(super) fn decision(
    approval: &core::Approval,
    reader: PrincipalId,
    now: Timestamp,
) -> Option<Decision> {
    let outcome = match approval.status {
        ApprovalStatus::Pending => return None,
        ApprovalStatus::Approved => Outcome::Approved,
        ApprovalStatus::Rejected => Outcome::Rejected,
        ApprovalStatus::Cancelled => Outcome::Cancelled,
    };
    let decided = approval.decided.as_ref()?;
    Some(Decision {
        outcome,
        by: actor(&decided.by, reader),
        at: when(decided.at, now),
        feedback: decided
            .feedback
            .as_ref()
            .map(|text| show::block(text.as_str())),
    })
}

pub(super) fn desktop(view: &DesktopView, is_removed: bool, now: Timestamp) -> DesktopFact {
    DesktopFact {
        name: show::line(&view.name),
        state: desktop_state(view.running, is_removed),
        last_seen: view.last_seen_at.map(|at| when(at, now)),
    }
}

pub(super) fn desktop_state(running: bool, is_removed: bool) -> DesktopState {
    match (is_removed, running) {
        (true, _) => DesktopState::Removed,
        (false, true) => DesktopState::Running,
        (false, false) => DesktopState::Stopped,
    }
}

pub(super) fn changes(summary: &ChangeSummary) -> Changes {
    Changes {
        files: summary.files,
        added: summary.added,
        removed: summary.removed,
    }
}

/// A link to a task that depends on another, or is depended on.
pub(super) fn link(task: &Dependent) -> TaskLink {
    TaskLink {
        href: task_address(task.id),
        title: show::line(&task.title),
        status: status(task.status),
    }
}

/// What an approval sets off.
pub(super) fn release(task: &Dependent, desktop: &str) -> Release {
    Release {
        href: task_address(task.id),
        title: short(&task.title),
        kind: kind(task.task_type),
        desktop: show::line(desktop),
    }
}

pub(super) fn task_address(id: core::TaskId) -> String {
    format!("/tasks/{id}")
}

/// A title where nothing of an agent may take much room; it says how much is left out.
pub(super) fn short(title: &str) -> Shown {
    show::line(title).cut(SHORT_TITLE)
}

pub(super) fn change(change: core::ChangeKind) -> Change {
    match change {
        core::ChangeKind::Added => Change::Added,
        core::ChangeKind::Modified => Change::Modified,
        core::ChangeKind::Deleted => Change::Deleted,
        core::ChangeKind::Renamed => Change::Renamed,
    }
}

/// What must not be overlooked about the modes of a file.
fn mode_callouts(old: Option<&str>, new: Option<&str>) -> Vec<Callout> {
    let is = |mode: Option<&str>, wanted: &str| mode == Some(wanted);
    let mut callouts = Vec::new();
    if is(new, SYMLINK) || (new.is_none() && is(old, SYMLINK)) {
        callouts.push(Callout::Symlink);
    }
    if is(new, SUBMODULE) || (new.is_none() && is(old, SUBMODULE)) {
        callouts.push(Callout::Submodule);
    }
    match (old, new) {
        (_, Some(new)) if is_executable(new) && !old.is_some_and(is_executable) => {
            callouts.push(Callout::Executable);
        }
        (Some(old), Some(new)) if is_executable(old) && !is_executable(new) => {
            callouts.push(Callout::NotExecutable);
        }
        (Some(old), Some(new)) if old != new => callouts.push(changed_mode(old, new)),
        _ => {}
    }
    // beside what was called out: such a file is more than executable
    if let Some(new) = new
        && has_special_bits(new)
        && old != Some(new)
        && !callouts.iter().any(|each| matches!(each, Callout::Mode(_)))
    {
        callouts.push(old.map_or_else(|| Callout::Mode(plain(new)), |old| changed_mode(old, new)));
    }
    callouts
}

fn changed_mode(old: &str, new: &str) -> Callout {
    Callout::Mode(format!("{} → {}", plain(old), plain(new)))
}

/// Whether a plain file runs as its owner or group, is sticky, or may be written by everybody.
fn has_special_bits(mode: &str) -> bool {
    let bits = u32::from_str_radix(mode, 8).unwrap_or(0);
    bits & 0o7002 != 0 && mode.starts_with("10")
}

/// Whether a mode in octal digits lets anybody execute a plain file.
fn is_executable(mode: &str) -> bool {
    let bits = u32::from_str_radix(mode, 8).unwrap_or(0);
    bits & 0o111 != 0 && mode != SUBMODULE
}

/// A mode as text without anything invisible.
fn plain(mode: &str) -> String {
    show::line(mode).text()
}

/// What there is about a file beside its lines.
pub(super) struct Shape<'a> {
    pub(super) old_mode: Option<&'a str>,
    pub(super) mode: Option<&'a str>,
    pub(super) is_binary: bool,
    /// Diff or content were cut at upload.
    pub(super) is_cut: bool,
    /// Invisible characters in what is shown.
    pub(super) escapes: usize,
}

/// What must not be overlooked about a file.
pub(super) fn callouts(shape: &Shape<'_>) -> Vec<Callout> {
    let mut callouts = mode_callouts(shape.old_mode, shape.mode);
    if shape.is_binary {
        callouts.push(Callout::Binary);
    }
    if shape.is_cut {
        callouts.push(Callout::Truncated);
    }
    if shape.escapes > 0 {
        callouts.push(Callout::Escapes(shape.escapes));
    }
    callouts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_matter_are_called_out() {
        let of = |old, new| mode_callouts(old, new);
        assert_eq!(of(Some("100644"), Some("100755")), [Callout::Executable]);
        assert_eq!(of(None, Some("100755")), [Callout::Executable]);
        assert_eq!(of(Some("100755"), Some("100644")), [Callout::NotExecutable]);
        assert_eq!(
            of(Some("100644"), Some("120000")),
            [
                Callout::Symlink,
                Callout::Mode("100644 → 120000".to_owned())
            ]
        );
        assert_eq!(of(None, Some("160000")), [Callout::Submodule]);
        assert_eq!(
            of(Some("120000"), None),
            [Callout::Symlink],
            "a deleted link"
        );
        assert_eq!(of(Some("100644"), Some("100644")), []);
        let mode = |text: &str| Callout::Mode(text.to_owned());
        assert_eq!(
            of(None, Some("104755")),
            [Callout::Executable, mode("104755")]
        );
        assert_eq!(
            of(Some("100755"), Some("104755")),
            [mode("100755 → 104755")]
        );
        assert_eq!(of(None, Some("100666")), [mode("100666")]);
        assert_eq!(of(None, Some("100664")), []);
        assert_eq!(of(None, None), []);
    }
}
