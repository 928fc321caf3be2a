//! A runner's side: claim, heartbeat, uploads and the sealed end of an attempt.

use approval_core::{
    Completion, DesktopId, Digest, Event, Evidence, Refusal, Report, Status, Task, TaskId,
};

use super::super::world::{ApprovalEntry, Origin, Sealing, TaskEntry, World};
use super::desktops::{heard_from, own_desktop};
use super::ids::new_id;
use super::{cascade, visible_task};
use crate::command::{Leased, Request, SubmitError};
use crate::prepare::Prepared;
use crate::sabotage::Mistake;
use crate::views::{Answer, ClaimView};

pub(super) fn claim(
    world: &mut World,
    request: &Request,
    desktop: DesktopId,
    token: Digest,
) -> Result<Answer, Refusal> {
    own_desktop(world, request, desktop)?;
    heard_from(world, request, desktop);
    let Some(mut entry) = next_queued(world, request, desktop) else {
        return Ok(Answer::Claim(None));
    };
    let settings = world.settings(request.account);
    entry.task.claim(token, settings, world.now)?;
    let event = Event::task_started(&entry.task);
    world.log(request.account, &request.principal.identity, event);
    let inputs = world.inputs(&entry);
    let id = entry.task.id;
    let lease = entry.task.lease.ok_or(Refusal::LeaseLost)?;
    world.put_task(entry);
    let task = world.task_view(id)?;
    let claim = ClaimView {
        task,
        inputs,
        expires_at: lease.expires_at,
    };
    Ok(Answer::Claim(Some(Box::new(claim))))
}

/// The first task in `run` order that nobody took since it was loaded.
fn next_queued(world: &mut World, request: &Request, desktop: DesktopId) -> Option<TaskEntry> {
    let mut queue = world.queues.remove(&desktop)?;
    let found = std::iter::from_fn(|| queue.pop_front()).find_map(|id| {
        let entry = world.task(request.account, id).ok()?;
        entry.task.is_claimable().then_some(entry)
    });
    world.queues.insert(desktop, queue);
    found
}

pub(super) fn heartbeat(
    world: &mut World,
    request: &Request,
    lease: Leased,
) -> Result<Answer, Refusal> {
    let mut entry = own_task(world, request, lease.task)?;
    let cancel_requested = entry.task.heartbeat(lease.token, world.now)?;
    let expires_at = entry
        .task
        .lease
        .map(|l| l.expires_at)
        .ok_or(Refusal::LeaseLost)?;
    let desktop = entry.task.desktop;
    if !cancel_requested {
        world.put_task(entry);
    }
    heard_from(world, request, desktop);
    Ok(Answer::Heartbeat {
        expires_at,
        cancel_requested,
    })
}

pub(super) fn admit_upload(
    world: &mut World,
    request: &Request,
    lease: Leased,
) -> Result<(), Refusal> {
    let mut entry = own_task(world, request, lease.task)?;
    let before = entry.task.lease;
    let checked = entry.task.admit_upload(lease.token, world.now);
    let is_sealed = entry.task.status != Status::Running;
    if !(is_sealed && Mistake::UploadAfterSeal.made()
        || !is_sealed && Mistake::UploadWithoutLease.made())
    {
        checked?;
    }
    if entry.task.lease != before {
        world.put_task(entry);
    }
    Ok(())
}

/// What a runner sends at the end.
pub(super) struct Ending<'a> {
    pub lease: Leased,
    pub report: &'a Report,
    pub output: Option<&'a [u8]>,
    pub log_entries: Option<u64>,
    pub prepared: &'a Prepared,
}

pub(super) fn complete(
    world: &mut World,
    request: &Request,
    ending: &Ending<'_>,
) -> Result<Answer, SubmitError> {
    let (id, token) = (ending.lease.task, ending.lease.token);
    let mut entry = own_task(world, request, id)?;
    let repeated = entry
        .task
        .check_completion(token, ending.report.body, world.now)?;
    if !repeated {
        check_uploads(world, &entry.task, ending)?;
        let sealed = evidence(&entry.task, ending).seal();
        let mut settings = world.settings(request.account);
        if Mistake::ModeForgottenAtFinish.made() {
            settings.task_approval_mode = false;
        }
        let completion =
            entry
                .task
                .complete(token, ending.report, sealed.sha256, settings, world.now)?;
        world.sealings.push(Sealing {
            account: request.account,
            task: id,
            attempt: entry.task.attempt,
            sealed,
            output: ending.output.map(ToOwned::to_owned),
        });
        let actor = &request.principal.identity;
        world.log(request.account, actor, Event::task_completed(&entry.task));
        if let Completion::Review(_) = completion {
            open_approval(world, request, &entry.task);
        }
        world.put_task(entry);
        cascade::spread(world, request.account, id)?;
    }
    Ok(world
        .task_view(id)
        .map(|view| Answer::Task(Box::new(view)))?)
}

fn open_approval(world: &mut World, request: &Request, task: &Task) {
    let Some(approval) = task.open_approval(new_id(world.now), world.now) else {
        return;
    };
    let event = Event::approval_created(&approval, task);
    world.log(request.account, &request.principal.identity, event);
    world.approval_tasks.insert(approval.id, approval.task);
    let entry = ApprovalEntry {
        account: request.account,
        approval,
        origin: Origin::New(None),
    };
    world.approvals.insert(task.id, entry);
}

/// Everything the runner counts has arrived, and nothing arrived since it was hashed.
fn check_uploads(world: &World, task: &Task, ending: &Ending<'_>) -> Result<(), SubmitError> {
    let head = world
        .uploads
        .get(&(task.id, task.attempt))
        .copied()
        .unwrap_or_default();
    if let Some(expected) = ending.log_entries.filter(|n| *n > head.contiguous) {
        let received = head.received.min(expected);
        return Err(Refusal::LogsIncomplete { received, expected }.into());
    }
    if ending.prepared.attempt == task.attempt && ending.prepared.version == head.version {
        Ok(())
    } else {
        Err(SubmitError::Stale)
    }
}

fn evidence(task: &Task, ending: &Ending<'_>) -> Evidence {
    Evidence {
        task: task.id,
        attempt: task.attempt,
        task_type: task.task_type,
        desktop: task.desktop,
        outcome: ending.report.outcome,
        exit_code: ending.report.exit_code,
        error: ending.report.error.clone(),
        content_sha256: ending.prepared.content_sha256,
        output: ending.prepared.output,
        logs: ending.prepared.logs,
        files: ending.prepared.files.clone(),
    }
}

/// A task of the agent's own desktop; its runner calls reach no other.
fn own_task(world: &World, request: &Request, id: TaskId) -> Result<TaskEntry, Refusal> {
    let entry = visible_task(world, request, id)?;
    let own = request.principal.confined_to() == Some(entry.task.desktop);
    if own {
        Ok(entry)
    } else {
        Err(Refusal::NotFound("task"))
    }
}
