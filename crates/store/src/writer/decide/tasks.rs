//! Create, run, cancel and retry.

use approval_core::{
    AccountId, Capability, Event, NewTask, Refusal, RetryChanges, Task, TaskId, TaskState,
};

use super::super::world::{Origin, TaskEntry, World};
use super::ids::new_id;
use super::{cascade, visible_task};
use crate::command::Request;
use crate::views::Answer;

pub(super) fn create(
    world: &mut World,
    request: &Request,
    new: &NewTask,
) -> Result<Answer, Refusal> {
    let entry = plan(world, request, new)?;
    let id = insert(world, request, entry, new)?;
    world.task_view(id).map(|view| Answer::Task(Box::new(view)))
}

pub(super) fn run(world: &mut World, request: &Request, id: TaskId) -> Result<Answer, Refusal> {
    request.principal.require(Capability::TasksRun)?;
    visible_task(world, request, id)?;
    cascade::start(world, request.account, &request.principal.identity, id)?;
    world.task_view(id).map(|view| Answer::Task(Box::new(view)))
}

pub(super) fn cancel(world: &mut World, request: &Request, id: TaskId) -> Result<Answer, Refusal> {
    let mut entry = visible_task(world, request, id)?;
    let mut approval = world.approval_of(&entry.task);
    let was_in_review = entry.task.status == approval_core::Status::Review;
    entry.task.cancel(
        approval
            .as_mut()
            .filter(|_| was_in_review)
            .map(|a| &mut a.approval),
        &request.principal,
        world.now,
    )?;
    let actor = &request.principal.identity;
    world.log(request.account, actor, Event::task_cancelled(&entry.task));
    if let Some(approval) = approval.filter(|_| was_in_review) {
        let event = Event::approval_resolved(&approval.approval, entry.task.status);
        world.log(request.account, actor, event);
        world.put_approval(approval);
    }
    world.put_task(entry);
    cascade::spread(world, request.account, id)?;
    world.task_view(id).map(|view| Answer::Task(Box::new(view)))
}

pub(super) fn retry(
    world: &mut World,
    request: &Request,
    id: TaskId,
    changes: &RetryChanges,
) -> Result<Answer, Refusal> {
    let mut old = visible_task(world, request, id)?;
    let content = world.contents.get(&id).cloned().unwrap_or_default();
    let new = old.task.retry(&content, changes, &request.principal)?;
    let mut entry = plan(world, request, &new)?;
    old.task.link_retry(&mut entry.task);
    let chain = world
        .chains
        .entry(old.task.lineage)
        .or_insert_with(|| vec![id]);
    chain.push(entry.task.id);
    world.put_task(old);
    let id = insert(world, request, entry, &new)?;
    world.task_view(id).map(|view| Answer::Task(Box::new(view)))
}

/// The task that a wish leads to, if the rules allow it.
fn plan(world: &World, request: &Request, new: &NewTask) -> Result<TaskEntry, Refusal> {
    let dependencies: Vec<Option<TaskEntry>> = new
        .depends_on
        .iter()
        .map(|id| world.task(request.account, *id).ok())
        .collect();
    let states: Vec<Option<&TaskState>> = dependencies
        .iter()
        .map(|d| d.as_ref().map(|e| &*e.task))
        .collect();
    let task = Task::create(
        new_id(world.now),
        new,
        &request.principal,
        world.desktop(request.account, new.desktop).is_some(),
        &states,
        world.now,
    )?;
    Ok(TaskEntry {
        account: request.account,
        origin: Origin::New(None),
        task,
        queued_seq: None,
        parent_lineages: dependencies
            .into_iter()
            .flatten()
            .map(|d| d.task.lineage)
            .collect(),
    })
}

/// Puts a new task into the world and lets it start, or end, by its dependencies.
fn insert(
    world: &mut World,
    request: &Request,
    mut entry: TaskEntry,
    new: &NewTask,
) -> Result<TaskId, Refusal> {
    let (account, actor) = (request.account, &request.principal.identity);
    let id = entry.task.id;
    entry.origin = Origin::New(Some(Box::new(entry.task.clone().into_state())));
    world.contents.insert(id, new.content.clone());
    link(world, &entry);
    world.log(account, actor, Event::task_created(&entry.task));
    world.tasks.insert(id, entry);
    follow(world, account, actor, id)?;
    Ok(id)
}

fn follow(
    world: &mut World,
    account: AccountId,
    actor: &approval_core::Identity,
    id: TaskId,
) -> Result<(), Refusal> {
    if cascade::follow(world, account, actor, id)? {
        cascade::spread(world, account, id)?;
    }
    Ok(())
}

/// Makes the task known to its parents and as the newest of its chain of retries.
fn link(world: &mut World, entry: &TaskEntry) {
    let id = entry.task.id;
    world.newest.insert(entry.task.lineage, id);
    world.dependents.entry(entry.task.lineage).or_default();
    for lineage in &entry.parent_lineages {
        let known = world.dependents.entry(*lineage).or_default();
        if !known.contains(&id) {
            known.push(id);
        }
    }
}
