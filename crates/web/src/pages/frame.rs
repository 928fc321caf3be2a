//! What surrounds every page: navigation, the count of pending approvals, what the person may do,
//! the address of the live stream.

use approval_core::{Capability, PrincipalId, TaskId};

use super::fields::Fields;
use super::view::{Can, Frame, Nav};
use crate::call::Call;
use crate::problem::Failure;

/// What a page keeps itself current with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    /// The log of the account.
    Account,
    /// The same, and the log of a running task behind an entry.
    Log(TaskId, i64),
}

/// The frame of a page.
pub(super) async fn frame(
    call: &Call,
    title: impl Into<String>,
    nav: Nav,
    live: Live,
) -> Result<Frame, Failure> {
    let account = call.account();
    let user = match call.principal().identity.id {
        PrincipalId::User(user) => Some(user),
        PrincipalId::Key(_) | PrincipalId::System => None,
    };
    let (head, pending, person) = call
        .read(move |reads| {
            let heads = reads.heads(&[account])?;
            let person = match user {
                Some(user) => reads.user(account, user)?,
                None => None,
            };
            let pending = reads.pending_approvals(account)?;
            Ok((heads.first().map_or(0, |(_, head)| *head), pending, person))
        })
        .await?;
    Ok(Frame {
        title: title.into(),
        nav,
        pending,
        user: call.principal().identity.name.clone(),
        needs_password: person.is_some_and(|person| person.password_hash.is_none()),
        live: live.address(head),
        can: can(call),
        notice: notice(&Fields::of(&call.request)),
    })
}

impl Live {
    /// The stream of what comes after what the page shows.
    fn address(self, head: i64) -> String {
        match self {
            Self::Account => format!("/live?after={head}"),
            Self::Log(task, entry) => format!("/live?after={head}&task={task}&log={entry}"),
        }
    }
}

pub(super) fn can(call: &Call) -> Can {
    let has = |capability| call.principal().require(capability).is_ok();
    Can {
        decide: has(Capability::ApprovalsDecide),
        write: has(Capability::TasksWrite),
        run: has(Capability::TasksRun),
        settings: has(Capability::SettingsWrite),
        desktops: has(Capability::DesktopsWrite),
        keys: has(Capability::KeysWrite),
    }
}

/// What was just done, named in the address by one of our own words: no page of others can put a
/// sentence here.
fn notice(fields: &Fields) -> Option<&'static str> {
    Some(match fields.text("done")? {
        "approved" => "Approved. The task is done.",
        "rejected" => "Rejected. The task has failed, your feedback is kept.",
        "created" => "Task created.",
        "retried" => "This is the retry. It starts from your changes.",
        "cancelled" => "Task cancelled.",
        "saved" => "Saved.",
        "removed" => "Desktop removed.",
        "revoked" => "API key revoked.",
        "password" => "Password saved. Other sessions were signed out.",
        "ended" => "That session was signed out.",
        _ => return None,
    })
}
