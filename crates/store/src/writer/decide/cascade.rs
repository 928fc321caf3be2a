//! What the end of a task sets off, in the very transaction of that end: dependents start or are
//! cancelled (contract section 3).

use approval_core::{AccountId, Consequence, Event, Identity, Refusal, TaskId, consequence};

use super::super::world::World;
use crate::command::Change;

/// Queues a pending task for its desktop.
///
/// # Errors
/// [`Refusal::NotPending`], [`Refusal::Blocked`].
pub(super) fn start(
    world: &mut World,
    account: AccountId,
    actor: &Identity,
    id: TaskId,
) -> Result<(), Refusal> {
    let mut entry = world.task(account, id)?;
    entry.task.run(&world.parents(&entry))?;
    let seq = world.log(account, actor, Event::task_queued(&entry.task));
    entry.queued_seq = Some(seq);
    world.changes.push(Change::Queued {
        desktop: entry.task.desktop,
    });
    world.put_task(entry);
    Ok(())
}

/// Lets a pending task follow its dependencies as they stand; returns whether it was cancelled.
pub(super) fn follow(
    world: &mut World,
    account: AccountId,
    actor: &Identity,
    id: TaskId,
) -> Result<bool, Refusal> {
    let mut entry = world.task(account, id)?;
    match consequence(&entry.task, &world.parents(&entry)) {
        Consequence::Nothing => Ok(false),
        Consequence::Start => start(world, account, actor, id).map(|()| false),
        Consequence::Cancel => {
            entry.task.cancel_by_dependency();
            world.log(
                account,
                &Identity::system(),
                Event::task_cancelled(&entry.task),
            );
            world.put_task(entry);
            Ok(true)
        }
    }
}

/// Lets everything that depends on an ended task follow, and onward.
pub(super) fn spread(world: &mut World, account: AccountId, ended: TaskId) -> Result<(), Refusal> {
    let mut ended = vec![ended];
    while let Some(id) = ended.pop() {
        let lineage = world.task(account, id)?.task.lineage;
        for dependent in world.dependents.get(&lineage).cloned().unwrap_or_default() {
            if follow(world, account, &Identity::system(), dependent)? {
                ended.push(dependent);
            }
        }
    }
    Ok(())
}
