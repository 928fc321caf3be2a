//! Work the server finds by itself, checked again here under the lock, done as `system`.

use approval_core::{AccountId, DesktopId, Event, Identity, LeaseEnd, Refusal, TaskId};

use super::super::world::World;
use super::cascade;
use crate::command::{Change, Sweep};
use crate::views::Answer;

/// After this many seconds of silence a desktop counts as stopped (contract section 5).
const SILENT_SECONDS: i64 = 30;

pub(super) fn sweep(
    world: &mut World,
    account: AccountId,
    sweep: Sweep,
) -> Result<Answer, Refusal> {
    match sweep {
        Sweep::ExpireLease(id) => expire_lease(world, account, id)?,
        Sweep::RearmLease(id) => rearm_lease(world, account, id)?,
        Sweep::TimeOut(id) => time_out(world, account, id)?,
        Sweep::StopDesktop(id) => stop_desktop(world, account, id),
        Sweep::ForgetAnswers => {
            world.forget_answers.insert(account);
        }
        Sweep::ForgetSessions => {
            world.forget_sessions.insert(account);
        }
    }
    Ok(Answer::Accepted)
}

fn expire_lease(world: &mut World, account: AccountId, id: TaskId) -> Result<(), Refusal> {
    let mut entry = world.task(account, id)?;
    match entry.task.expire_lease(world.now) {
        LeaseEnd::Alive => return Ok(()),
        LeaseEnd::Requeued => {
            world.log(
                account,
                &Identity::system(),
                Event::task_queued(&entry.task),
            );
            world.changes.push(Change::Queued {
                desktop: entry.task.desktop,
            });
            world.put_task(entry);
        }
        LeaseEnd::Failed => {
            world.log(
                account,
                &Identity::system(),
                Event::task_completed(&entry.task),
            );
            world.put_task(entry);
            cascade::spread(world, account, id)?;
        }
    }
    Ok(())
}

fn rearm_lease(world: &mut World, account: AccountId, id: TaskId) -> Result<(), Refusal> {
    let mut entry = world.task(account, id)?;
    entry.task.rearm_lease(world.now);
    world.put_task(entry);
    Ok(())
}

fn time_out(world: &mut World, account: AccountId, id: TaskId) -> Result<(), Refusal> {
    let mut entry = world.task(account, id)?;
    if entry.task.time_out(world.now) {
        world.log(
            account,
            &Identity::system(),
            Event::task_completed(&entry.task),
        );
        world.put_task(entry);
        cascade::spread(world, account, id)?;
    }
    Ok(())
}

fn stop_desktop(world: &mut World, account: AccountId, id: DesktopId) {
    let Some(mut entry) = world.desktop(account, id).filter(|d| d.view.running) else {
        return;
    };
    let silent = entry
        .view
        .last_seen_at
        .is_none_or(|at| at.plus_seconds(SILENT_SECONDS) <= world.now);
    if silent {
        entry.view.running = false;
        world.log(
            account,
            &Identity::system(),
            Event::desktop_status(id, false),
        );
        world.put_desktop(entry);
    }
}
