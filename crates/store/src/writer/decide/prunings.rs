//! Giving up the bytes of finished work, by administration only.

use approval_core::{Event, Identity, PrincipalId, Refusal, TaskId, Timestamp, prunable};

use super::super::world::{Origin, PruningEntry, TaskEntry, World};
use super::Step;
use crate::command::{Answered, Request, SubmitError};
use crate::sabotage::Mistake;
use crate::views::{Answer, Freed, Pruned};

/// Begins a pruning, or goes on with one that was cut off.
pub(super) fn prune<'a>(
    world: &mut World,
    request: &Request,
    id: TaskId,
    older_than: Timestamp,
) -> Result<Step<'a>, SubmitError> {
    if request.principal.identity.id != PrincipalId::System {
        let reason = "work is pruned by administration only".to_owned();
        return Err(Refusal::Forbidden(reason).into());
    }
    let entry = world.task(request.account, id)?;
    if let Some(pruning) = world.prunings.get(&id) {
        return Ok(if pruning.is_finished {
            answered(Pruned::Freed(nothing_left()))
        } else {
            Step::Prune {
                task: id,
                is_first: false,
            }
        });
    }
    let approval = world.approval_of(&entry.task).map(|a| a.approval);
    let finished_before = if Mistake::PruneRecent.made() {
        older_than.plus_seconds(86_400)
    } else {
        older_than
    };
    let sealed = prunable(
        &entry.task,
        approval.as_ref(),
        dependents(world, &entry),
        finished_before,
    );
    let evidence_sha256 = match sealed {
        Ok(sealed) => sealed,
        Err(kept) => return Ok(answered(Pruned::Kept(kept))),
    };
    let attempt = entry.task.attempt;
    let bytes = world.upload_bytes.get(&(id, attempt)).copied();
    let (log_bytes, file_bytes) = bytes.unwrap_or_default();
    if log_bytes + file_bytes == 0 {
        return Ok(answered(Pruned::Freed(nothing_left())));
    }
    let event = Event::task_pruned(&entry.task, evidence_sha256, log_bytes, file_bytes);
    world.log(request.account, &Identity::system(), event);
    let pruning = PruningEntry {
        account: request.account,
        attempt,
        evidence_sha256,
        older_than,
        log_bytes,
        file_bytes,
        is_finished: false,
        origin: Origin::New(None),
    };
    world.prunings.insert(id, pruning);
    Ok(Step::Prune {
        task: id,
        is_first: true,
    })
}

/// The states of the tasks that depend on the chain of retries of a task.
fn dependents(world: &World, entry: &TaskEntry) -> Vec<approval_core::Status> {
    let ids = world.dependents.get(&entry.task.lineage);
    let known = ids
        .into_iter()
        .flatten()
        .filter_map(|id| world.tasks.get(id));
    known.map(|dependent| dependent.task.status).collect()
}

fn nothing_left() -> Freed {
    Freed {
        is_done: true,
        ..Freed::default()
    }
}

fn answered<'a>(pruned: Pruned) -> Step<'a> {
    Step::Answered(Answered {
        answer: Answer::Pruned(pruned),
        replayed: false,
    })
}
