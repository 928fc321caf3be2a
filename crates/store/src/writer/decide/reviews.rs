//! The decision: two doors, one rule.

use approval_core::{DecisionRequest, Event, Refusal, Reviewer};

use super::super::world::World;
use super::{cascade, visible_task};
use crate::command::{DecisionTarget, Request};
use crate::views::Answer;

pub(super) fn decide(
    world: &mut World,
    request: &Request,
    target: DecisionTarget,
    decision: &DecisionRequest,
) -> Result<Answer, Refusal> {
    let reviewer = Reviewer::of(&request.principal)?;
    let id = match target {
        DecisionTarget::Task(id) => id,
        DecisionTarget::Approval(id) => *world
            .approval_tasks
            .get(&id)
            .ok_or(Refusal::NotFound("approval"))?,
    };
    let mut entry = visible_task(world, request, id).map_err(|_| match target {
        DecisionTarget::Task(_) => Refusal::NotFound("task"),
        DecisionTarget::Approval(_) => Refusal::NotFound("approval"),
    })?;
    let mut approval = world.approval_of(&entry.task);
    let settings = world.settings(request.account);
    entry.task.decide(
        approval.as_mut().map(|a| &mut a.approval),
        &reviewer,
        decision,
        settings,
        world.now,
    )?;
    let approval = approval.ok_or(Refusal::NotInReview {
        status: entry.task.status,
    })?;
    let event = Event::approval_resolved(&approval.approval, entry.task.status);
    world.log(request.account, &request.principal.identity, event);
    let decided = approval.approval.clone();
    world.put_approval(approval);
    world.put_task(entry);
    cascade::spread(world, request.account, id)?;
    match target {
        DecisionTarget::Task(_) => world.task_view(id).map(|view| Answer::Task(Box::new(view))),
        DecisionTarget::Approval(_) => world
            .approval_view(&decided)
            .map(|view| Answer::Approval(Box::new(view))),
    }
}
