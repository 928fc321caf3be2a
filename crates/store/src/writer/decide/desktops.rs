//! Desktops: added, heard from, removed with everything that was on them.

use approval_core::{Capability, DesktopId, DesktopName, Event, Identity, Refusal, Status, TaskId};

use super::super::world::{DesktopEntry, Origin, World};
use super::cascade;
use super::ids::new_id;
use super::keys::revoke_entry;
use crate::command::Request;
use crate::views::{Answer, DesktopView};

/// How old `lastSeenAt` may become while a desktop is heard from, in seconds: a third of the time
/// after which it counts as stopped, so that a heartbeat need not always be a write.
const SEEN_SECONDS: i64 = 10;

pub(super) fn create(world: &mut World, request: &Request, name: &str) -> Result<Answer, Refusal> {
    request.principal.require(Capability::DesktopsWrite)?;
    let name = DesktopName::new(name)?;
    let view = DesktopView {
        id: new_id(world.now),
        name: name.as_str().to_owned(),
        running: false,
        last_seen_at: None,
        running_tasks: Vec::new(),
        created_at: world.now,
    };
    let event = Event::desktop_created(view.id);
    world.log(request.account, &request.principal.identity, event);
    let entry = DesktopEntry {
        account: request.account,
        view: view.clone(),
        removed_at: None,
        origin: Origin::New(None),
    };
    world.desktops.insert(view.id, entry);
    Ok(Answer::Desktop(view))
}

pub(super) fn see(world: &mut World, request: &Request, id: DesktopId) -> Result<Answer, Refusal> {
    own_desktop(world, request, id)?;
    heard_from(world, request, id);
    Ok(Answer::Accepted)
}

/// The desktop an agent key is bound to.
pub(super) fn own_desktop(
    world: &World,
    request: &Request,
    id: DesktopId,
) -> Result<DesktopEntry, Refusal> {
    let own = request.principal.confined_to() == Some(id);
    world
        .desktop(request.account, id)
        .filter(|_| own)
        .ok_or(Refusal::NotFound("desktop"))
}

/// Notes that the runner of a desktop is there.
pub(super) fn heard_from(world: &mut World, request: &Request, id: DesktopId) {
    let Some(mut entry) = world.desktop(request.account, id) else {
        return;
    };
    let fresh = entry
        .view
        .last_seen_at
        .is_some_and(|at| at.plus_seconds(SEEN_SECONDS) > world.now);
    if fresh && entry.view.running {
        return;
    }
    if !entry.view.running {
        entry.view.running = true;
        let event = Event::desktop_status(id, true);
        world.log(request.account, &request.principal.identity, event);
    }
    entry.view.last_seen_at = Some(world.now);
    world.put_desktop(entry);
}

pub(super) fn delete(
    world: &mut World,
    request: &Request,
    id: DesktopId,
) -> Result<Answer, Refusal> {
    request.principal.require(Capability::DesktopsWrite)?;
    let mut entry = world
        .desktop(request.account, id)
        .ok_or(Refusal::NotFound("desktop"))?;
    for task in tasks_on(world, id) {
        lose(world, request, task)?;
    }
    for key in world
        .keys
        .values()
        .filter(|k| k.view.desktop == Some(id))
        .cloned()
        .collect::<Vec<_>>()
    {
        revoke_entry(world, request, key);
    }
    entry.view.running = false;
    entry.removed_at = Some(world.now);
    world.put_desktop(entry);
    world.log(
        request.account,
        &request.principal.identity,
        Event::desktop_deleted(id),
    );
    Ok(Answer::Accepted)
}

fn tasks_on(world: &World, id: DesktopId) -> Vec<TaskId> {
    let mut tasks: Vec<TaskId> = world
        .tasks
        .values()
        .filter(|e| e.task.desktop == id)
        .map(|e| e.task.id)
        .collect();
    tasks.sort();
    tasks
}

/// Ends a task whose desktop is gone.
fn lose(world: &mut World, request: &Request, id: TaskId) -> Result<(), Refusal> {
    let mut entry = world.task(request.account, id)?;
    if !entry.task.lose_desktop(world.now) {
        return Ok(());
    }
    let event = match entry.task.status {
        Status::Failed => Event::task_completed(&entry.task),
        _ => Event::task_cancelled(&entry.task),
    };
    world.log(request.account, &Identity::system(), event);
    world.put_task(entry);
    cascade::spread(world, request.account, id)
}
