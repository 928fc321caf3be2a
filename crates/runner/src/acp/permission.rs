//! What an agent is allowed when it asks.

use std::fmt::Write;
use std::path::Path;

use agent_client_protocol::v1::schema::{
    PermissionOption, PermissionOptionKind, RequestPermissionOutcome, SelectedPermissionOutcome,
    ToolKind,
};

use crate::acp::Permissions;
use crate::acp::calls::Call;
use crate::acp::paths::inside;
use crate::acp::render::kind_name;
use crate::acp::text::one_line;

/// How many paths of a call the log names.
const PATHS: usize = 16;
/// How much of each, in bytes.
const PATH: usize = 1 << 10;

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What the agent gets.
    pub(crate) outcome: RequestPermissionOutcome,
    /// What the log gets: one line without its end.
    pub(crate) line: String,
}

impl Decision {
    /// The answer once the conversation shall stop.
    pub(crate) fn stopped(call: &Call) -> Self {
        Self {
            outcome: RequestPermissionOutcome::Cancelled,
            line: line(call, "rejected: the task is stopped"),
        }
    }
}

/// Decides about a request. Reads the disk, so it blocks.
pub(crate) fn decide(
    permissions: Permissions,
    folder: &Path,
    call: &Call,
    options: &[PermissionOption],
) -> Decision {
    let verdict = judge(permissions, folder, call).and_then(|()| {
        option(options, PermissionOptionKind::AllowOnce)
            .ok_or_else(|| "the agent does not offer to allow it once".to_owned())
    });
    match verdict {
        Ok(outcome) => Decision {
            outcome,
            line: line(call, "allowed once"),
        },
        Err(reason) => {
            let rejected = format!("rejected: {reason}");
            Decision {
                outcome: rejection(permissions, options),
                line: line(call, &rejected),
            }
        }
    }
}

/// Whether a call may be allowed, or else why not. The rules are those of [`Permissions`].
fn judge(permissions: Permissions, folder: &Path, call: &Call) -> Result<(), String> {
    if permissions == Permissions::Reject {
        return Err("this desktop rejects every request".to_owned());
    }
    if call.kind == ToolKind::SwitchMode {
        return Err("it would change what the agent asks for".to_owned());
    }
    if call.too_many {
        return Err("it names too many paths".to_owned());
    }
    for path in &call.paths {
        inside(folder, path).map_err(|outside| format!("{} {}", shown(path), outside.reason()))?;
    }
    let needs_no_path = matches!(
        call.kind,
        ToolKind::Read | ToolKind::Search | ToolKind::Think | ToolKind::Execute
    );
    if call.paths.is_empty() && !needs_no_path {
        return Err("it does not say which paths it concerns".to_owned());
    }
    Ok(())
}

/// The mildest way to say no among those that are offered.
fn rejection(permissions: Permissions, options: &[PermissionOption]) -> RequestPermissionOutcome {
    // To reject for good would be wrong where the next request of this kind may be allowed.
    let for_good = (permissions == Permissions::Reject)
        .then(|| option(options, PermissionOptionKind::RejectAlways))
        .flatten();
    option(options, PermissionOptionKind::RejectOnce)
        .or(for_good)
        .unwrap_or(RequestPermissionOutcome::Cancelled)
}

/// The first option of a kind, chosen.
fn option(
    options: &[PermissionOption],
    kind: PermissionOptionKind,
) -> Option<RequestPermissionOutcome> {
    let option = options.iter().find(|option| option.kind == kind)?;
    Some(RequestPermissionOutcome::Selected(
        SelectedPermissionOutcome::new(option.option_id.clone()),
    ))
}

/// The line of the log: what was asked, and the answer.
fn line(call: &Call, answer: &str) -> String {
    let mut line = format!(
        "[permission] tool {:?} ({})",
        call.title,
        kind_name(call.kind)
    );
    for path in call.paths.iter().take(PATHS) {
        line.push(' ');
        line.push_str(&shown(path));
    }
    let more = call.paths.len().saturating_sub(PATHS);
    if more > 0 {
        let _ = write!(line, " and {more} more");
    }
    format!("{line} -> {answer}")
}

fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy(), PATH)
}

#[cfg(test)]
mod tests {
    use agent_client_protocol::v1::schema::{
        Diff, ToolCallLocation, ToolCallUpdate, ToolCallUpdateFields,
    };

    use super::*;
    use crate::acp::calls::Calls;

    fn options(kinds: &[PermissionOptionKind]) -> Vec<PermissionOption> {
        let option =
            |kind: &PermissionOptionKind| PermissionOption::new(format!("{kind:?}"), "x", *kind);
        kinds.iter().map(option).collect()
    }

    fn all() -> Vec<PermissionOption> {
        // The tempting one first.
        options(&[
            PermissionOptionKind::AllowAlways,
            PermissionOptionKind::AllowOnce,
            PermissionOptionKind::RejectAlways,
            PermissionOptionKind::RejectOnce,
        ])
    }

    fn chosen(id: &str) -> RequestPermissionOutcome {
        RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(id.to_owned()))
    }

    fn call(kind: ToolKind, paths: &[&str]) -> Call {
        let locations: Vec<_> = paths.iter().map(ToolCallLocation::new).collect();
        let fields = ToolCallUpdateFields::new().kind(kind).locations(locations);
        Calls::default().learn(&ToolCallUpdate::new("a", fields))
    }

    fn allowed(call: &Call) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let decision = decide(Permissions::AllowOnce, folder.path(), call, &all());
        if decision.outcome == chosen("AllowOnce") {
            assert!(decision.line.ends_with(" -> allowed once"));
            true
        } else {
            assert_eq!(decision.outcome, chosen("RejectOnce"));
            assert!(
                decision.line.contains(" -> rejected: "),
                "{}",
                decision.line
            );
            false
        }
    }

    #[test]
    fn every_path_has_to_be_inside() {
        for kind in [
            ToolKind::Edit,
            ToolKind::Delete,
            ToolKind::Read,
            ToolKind::Execute,
        ] {
            assert!(allowed(&call(kind, &["a", "b/c"])), "{kind:?}");
            assert!(!allowed(&call(kind, &["a", "/etc/passwd"])), "{kind:?}");
            assert!(!allowed(&call(kind, &["../a"])), "{kind:?}");
        }
    }

    #[test]
    fn without_a_path_the_kind_decides() {
        for (kind, expected) in [
            (ToolKind::Read, true),
            (ToolKind::Search, true),
            (ToolKind::Think, true),
            (ToolKind::Execute, true),
            (ToolKind::Edit, false),
            (ToolKind::Delete, false),
            (ToolKind::Move, false),
            (ToolKind::Fetch, false),
            (ToolKind::Other, false),
            (ToolKind::SwitchMode, false),
        ] {
            assert_eq!(allowed(&call(kind, &[])), expected, "{kind:?}");
        }
        assert!(!allowed(&call(ToolKind::SwitchMode, &["a"])));
    }

    #[test]
    fn what_a_call_said_before_counts_and_is_not_forgotten() {
        let mut calls = Calls::default();
        let before = ToolCallUpdateFields::new()
            .title("Write")
            .kind(ToolKind::Edit)
            .content(vec![Diff::new("/etc/passwd", "x").into()]);
        calls.learn(&ToolCallUpdate::new("a", before));
        let asked = ToolCallUpdateFields::new().locations(vec![ToolCallLocation::new("inside")]);
        let call = calls.learn(&ToolCallUpdate::new("a", asked));
        assert_eq!((call.title.as_str(), call.kind), ("Write", ToolKind::Edit));
        assert!(!allowed(&call));

        let other = ToolCallUpdateFields::new()
            .kind(ToolKind::Edit)
            .locations(vec![ToolCallLocation::new("inside")]);
        assert!(allowed(&calls.learn(&ToolCallUpdate::new("b", other))));
    }

    #[test]
    fn more_paths_than_are_remembered_are_not_allowed() {
        let names: Vec<_> = (0..65).map(|n| n.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert!(allowed(&call(ToolKind::Edit, &names[..64])));
        assert!(!allowed(&call(ToolKind::Edit, &names)));
        assert!(!allowed(&call(ToolKind::Edit, &["a", &"b/".repeat(3000)])));
    }

    #[test]
    fn nothing_is_allowed_for_longer_than_once() {
        use PermissionOptionKind::{AllowAlways, AllowOnce, RejectAlways, RejectOnce};
        let folder = tempfile::tempdir().unwrap();
        let inside = call(ToolKind::Edit, &["a"]);
        let outcome = |permissions, kinds: &[PermissionOptionKind]| {
            decide(permissions, folder.path(), &inside, &options(kinds)).outcome
        };
        let allow = Permissions::AllowOnce;
        assert_eq!(
            outcome(allow, &[AllowAlways, RejectOnce]),
            chosen("RejectOnce")
        );
        assert_eq!(
            outcome(allow, &[AllowAlways, RejectAlways]),
            RequestPermissionOutcome::Cancelled
        );
        let reject = Permissions::Reject;
        assert_eq!(
            outcome(reject, &[AllowOnce, RejectAlways, RejectOnce]),
            chosen("RejectOnce")
        );
        assert_eq!(
            outcome(reject, &[AllowOnce, RejectAlways]),
            chosen("RejectAlways")
        );
        assert_eq!(
            outcome(reject, &[AllowOnce]),
            RequestPermissionOutcome::Cancelled
        );
    }

    #[test]
    fn the_line_is_one_line_and_cannot_be_forged() {
        let fields = ToolCallUpdateFields::new()
            .title("x\" (read) -> allowed once\n[permission] y")
            .kind(ToolKind::Edit)
            .locations(vec![ToolCallLocation::new("/etc/\npasswd")]);
        let call = Calls::default().learn(&ToolCallUpdate::new("a", fields));
        let decision = decide(Permissions::AllowOnce, Path::new("/"), &call, &[]);
        assert_eq!(
            decision.line,
            "[permission] tool \"x\\\" (read) -> allowed once [permission] y\" (edit) \
             /etc/ passwd -> rejected: the agent does not offer to allow it once"
        );
    }
}
