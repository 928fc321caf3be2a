//! What no command may break, whatever the state.

use approval_core::*;

use super::world::{Command, Named, Runner, Slot, Who, World, now};
use crate::fixtures::human;

/// Checks the state after a command against the one before.
///
/// # Panics
/// When the rule is broken; says by which commands.
pub fn check(
    command: Command,
    answer: &Result<(), Refusal>,
    before: &World,
    after: &World,
    way: &dyn Fn() -> Vec<Command>,
) {
    let broken = find(command, answer, before, after);
    if let Some(broken) = broken {
        panic!("{broken}: {command:?} after {:?}", way());
    }
}

fn find(
    command: Command,
    answer: &Result<(), Refusal>,
    before: &World,
    after: &World,
) -> Option<String> {
    if answer.is_err() {
        let changed = before.slots != after.slots;
        return changed.then(|| "a refused command changed something".to_owned());
    }
    if acts_for_agent(command) && answer.is_ok() {
        return Some("an agent decided".to_owned());
    }
    if let Some((task, runner)) = call_of(command)
        && !holds(before, task, runner)
        && before.slots != after.slots
    {
        return Some("a dead lease was accepted".to_owned());
    }
    let mut slots = after.slots.iter().enumerate();
    slots.find_map(|(task, new)| {
        let old = before.slots.get(task);
        if old.is_some_and(|old| std::rc::Rc::ptr_eq(old, new)) {
            return None;
        }
        let broken = of_slot(new)
            .or_else(|| of_decisions(command, old.map(|o| &**o), new))
            .or_else(|| of_start(task, old.map(|o| &**o), new, after))?;
        Some(format!("task {task}: {broken}"))
    })
}

/// A decision that an agent asks for; whether it may cancel depends on the state.
fn acts_for_agent(command: Command) -> bool {
    matches!(command, Command::Decide(_, Who::Agent, ..))
}

fn call_of(command: Command) -> Option<(usize, Runner)> {
    match command {
        Command::Heartbeat(task, runner)
        | Command::Upload(task, runner)
        | Command::Complete(task, runner, _) => Some((task, runner)),
        _ => None,
    }
}

/// Whether the runner's token is that of a running task, and its time is not over.
fn holds(world: &World, task: usize, runner: Runner) -> bool {
    let task = &world.slots[task].task;
    let current = |l: Lease| l.token == runner.token() && l.expires_at > now();
    task.status == Status::Running && task.lease.is_some_and(current)
}

fn of_slot(slot: &Slot) -> Option<&'static str> {
    let task = &slot.task;
    let own = |a: &&Approval| a.attempt == task.attempt;
    let approval = slot.approvals.iter().rfind(own);
    let status = approval.map(|a| a.status);
    if slot.owes && !task.gated && task.status != Status::Running {
        return Some("the gate was forgotten");
    }
    if task.status == Status::Done && slot.owes && status != Some(ApprovalStatus::Approved) {
        return Some("done undecided");
    }
    if (task.status == Status::Review) != (status == Some(ApprovalStatus::Pending)) {
        return Some("review without a question, or a question without review");
    }
    let person = human().identity;
    let decided = slot.approvals.iter().filter_map(|a| a.decided.as_ref());
    if decided.map(|d| &d.by).any(|by| *by != person) {
        return Some("somebody else decided");
    }
    let attempts = slot.approvals.iter().map(|a| a.attempt);
    let mut attempts: Vec<u32> = attempts.collect();
    attempts.dedup();
    if attempts.len() != slot.approvals.len() {
        return Some("two questions about one attempt");
    }
    if task.attempt > task.max_attempts {
        return Some("one attempt too many");
    }
    None
}

fn of_decisions(command: Command, old: Option<&Slot>, new: &Slot) -> Option<&'static str> {
    let old = old?;
    if old.task.gated && !new.task.gated {
        return Some("the gate opened");
    }
    if old.task.status.is_final() && old.task.status != new.task.status {
        return Some("a final status changed");
    }
    for (was, is) in old.approvals.iter().zip(&new.approvals) {
        if was == is {
            continue;
        }
        if was.status != ApprovalStatus::Pending {
            return Some("a second decision");
        }
        let by_whom = matches!(
            command,
            Command::Decide(_, Who::Person, ..) | Command::Cancel(_, Who::Person)
        );
        if !by_whom || is.evidence_sha256 != was.evidence_sha256 {
            return Some("decided without a person, or about something else");
        }
        if let Command::Decide(.., Named::Other) = command {
            return Some("decided about other evidence");
        }
    }
    None
}

/// A task becomes `running` once, and when that on which it depends is done and decided.
fn of_start(task: usize, old: Option<&Slot>, new: &Slot, world: &World) -> Option<&'static str> {
    let was = old.map_or(Status::Pending, |old| old.task.status);
    if was == new.task.status || new.task.status != Status::Running {
        return None;
    }
    if was != Status::Pending {
        return Some("started again");
    }
    let parent = &world.slots[world.newest(world.slots[task].parent?)];
    if parent.task.status != Status::Done {
        return Some("started too early");
    }
    let approved = parent.approvals.iter().any(|a| {
        a.status == ApprovalStatus::Approved
            && a.attempt == parent.task.attempt
            && Some(a.evidence_sha256) == parent.task.evidence_sha256
    });
    (parent.owes && !approved).then_some("started on undecided work")
}
