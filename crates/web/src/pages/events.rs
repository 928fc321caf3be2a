//! Rows of the log in words: who did what to which task.

use std::collections::HashMap;

use approval_core::{AccountId, PrincipalId, Status, TaskId};
use serde_json::Value;
use store::{ActivityRow, ReadError, Reads};

use super::translate::{actor, status, task_address, when};
use super::view::TaskLink;
use super::view::activity::{Event, Mark};
use super::view::words::bytes;
use crate::call::Call;
use crate::clock;
use crate::problem::Failure;
use crate::show;

/// Rows of the history of a task.
const HISTORY: i64 = 200;

/// What happened to a task, oldest first.
pub(super) async fn of_task(call: &Call, task: TaskId) -> Result<Vec<Event>, Failure> {
    let account = call.account();
    let rows = call
        .read(move |reads| reads.activity_of_task(account, task, HISTORY))
        .await?;
    Ok(in_words(call, &rows, &Names::default()))
}

/// What rows are about, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    titles: HashMap<TaskId, String>,
    /// Of keys and desktops.
    subjects: HashMap<String, String>,
}

/// Looks up what rows are about.
pub(super) fn names(
    reads: &mut Reads<'_>,
    account: AccountId,
    rows: &[ActivityRow],
) -> Result<Names, ReadError> {
    let payloads: Vec<Value> = rows.iter().map(payload).collect();
    let tasks: Vec<TaskId> = payloads.iter().filter_map(task_of).collect();
    let subjects = payloads
        .iter()
        .filter_map(subject_of)
        .map(ToOwned::to_owned);
    Ok(Names {
        titles: reads.titles(account, &tasks)?,
        subjects: reads.names(account, &subjects.collect::<Vec<_>>())?,
    })
}

/// Rows in words.
pub(super) fn in_words(call: &Call, rows: &[ActivityRow], names: &Names) -> Vec<Event> {
    let reader = call.principal().identity.id;
    rows.iter().map(|row| event(row, names, reader)).collect()
}

fn payload(row: &ActivityRow) -> Value {
    serde_json::from_str(&row.payload).unwrap_or_default()
}

fn task_of(payload: &Value) -> Option<TaskId> {
    payload["taskId"].as_str()?.parse().ok()
}

fn event(row: &ActivityRow, names: &Names, reader: PrincipalId) -> Event {
    let payload = payload(row);
    let (mark, verb, note) = words(&row.kind, &payload);
    let subject = subject_of(&payload);
    let subject = subject.map(|id| names.subjects.get(id).map_or(id, String::as_str));
    Event {
        seq: row.seq,
        code: row.kind.clone(),
        mark,
        actor: actor(&row.actor, reader),
        verb: verb.to_owned(),
        task: task_of(&payload).and_then(|task| link(task, &payload, &names.titles)),
        subject: subject.map(show::line),
        note,
        at: when(row.at, clock::now()),
        hash: row.hash.clone(),
    }
}

/// The key or desktop that a row is about, if it is not about a task.
fn subject_of(payload: &Value) -> Option<&str> {
    if payload["taskId"].is_string() {
        return None;
    }
    ["keyId", "desktopId"]
        .iter()
        .find_map(|name| payload[*name].as_str())
}

fn link(task: TaskId, payload: &Value, titles: &HashMap<TaskId, String>) -> Option<TaskLink> {
    let now = payload["taskStatus"]
        .as_str()
        .or(payload["status"].as_str());
    Some(TaskLink {
        href: task_address(task),
        title: show::line(titles.get(&task)?),
        status: status(
            now.and_then(|word| word.parse().ok())
                .unwrap_or(Status::Pending),
        ),
    })
}

/// Mark, verb and note of a type of the contract (section 4).
fn words(kind: &str, payload: &Value) -> (Mark, &'static str, String) {
    let text = |name: &str| payload[name].as_str().unwrap_or_default();
    let none = String::new;
    match kind {
        "task.created" => (Mark::Created, "created", none()),
        "task.queued" => (Mark::Queued, "queued", none()),
        "task.started" => {
            let attempt = payload["attempt"].as_i64().unwrap_or(1);
            (Mark::Started, "started", format!("attempt {attempt}"))
        }
        "task.completed" => match text("status") {
            "failed" => (Mark::Failed, "ended", "now Failed".to_owned()),
            "review" => (Mark::Completed, "finished", "now in Review".to_owned()),
            _ => (Mark::Completed, "finished", "now Done".to_owned()),
        },
        "task.cancelled" => (Mark::Cancelled, "cancelled", none()),
        "task.pruned" => (Mark::Pruned, "pruned log and files of", pruned(payload)),
        "approval.created" => (Mark::Asked, "asked for approval of", none()),
        "approval.resolved" => match text("status") {
            "approved" => (Mark::Approved, "approved", "now Done".to_owned()),
            "rejected" => (Mark::Rejected, "rejected", "now Failed".to_owned()),
            _ => (Mark::Cancelled, "withdrew the approval of", none()),
        },
        "settings.changed" => (Mark::Settings, "changed the settings", settings(payload)),
        "desktop.created" => (Mark::Desktop, "added the desktop", none()),
        "desktop.deleted" => (Mark::Desktop, "removed the desktop", none()),
        "desktop.status" => (
            Mark::Desktop,
            "noticed the desktop",
            format!("now {}", text("status")),
        ),
        "key.created" => (
            Mark::Key,
            "created the API key",
            format!("of kind {}", text("kind")),
        ),
        "key.revoked" => (Mark::Key, "revoked the API key", none()),
        _ => (Mark::Other, "did something newer than this page", none()),
    }
}

fn pruned(payload: &Value) -> String {
    let of = |name: &str| bytes(payload[name].as_i64().unwrap_or_default());
    format!("{} of log, {} of files", of("logBytes"), of("fileBytes"))
}

fn settings(payload: &Value) -> String {
    let switch = |name: &str| match payload[name].as_bool() {
        Some(true) => "on",
        _ => "off",
    };
    format!(
        "Task Approval {}, require evidence {}",
        switch("taskApprovalMode"),
        switch("requireEvidence")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_of_the_contract_has_words() {
        for kind in [
            "task.created",
            "task.queued",
            "task.started",
            "task.completed",
            "task.cancelled",
            "task.pruned",
            "approval.created",
            "approval.resolved",
            "settings.changed",
            "desktop.created",
            "desktop.status",
            "desktop.deleted",
            "key.created",
            "key.revoked",
        ] {
            assert_ne!(words(kind, &json!({})).0, Mark::Other, "{kind}");
        }
        assert_eq!(words("from.the-future", &json!({})).0, Mark::Other);
    }

    #[test]
    fn a_decision_reads_as_what_it_was() {
        let rejected = json!({"status": "rejected", "taskStatus": "failed"});
        assert_eq!(words("approval.resolved", &rejected).1, "rejected");
        let settings = json!({"taskApprovalMode": true, "requireEvidence": false});
        assert_eq!(
            words("settings.changed", &settings).2,
            "Task Approval on, require evidence off"
        );
    }
}
