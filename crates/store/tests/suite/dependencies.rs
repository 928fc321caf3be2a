//! What a task waits for, and what the end of another sets off.

use approval_core::{
    DecisionRequest, NewTask, OnDependencyFailure, Outcome, RetryChanges, Status, TaskId,
};
use store::{Command, TaskView};
use test_support::{Site, task};

use super::{events_after, log_end};

fn after(site: &Site, content: &str, depends_on: &[TaskId]) -> NewTask {
    let mut new = site.wish(content);
    new.depends_on = depends_on.to_vec();
    new
}

fn dying_with(mut new: NewTask) -> NewTask {
    new.on_dependency_failure = OnDependencyFailure::Cancel;
    new
}

async fn retry(site: &Site, id: TaskId) -> TaskView {
    let changes = RetryChanges::default();
    task(
        site.done(&site.person, Command::RetryTask { task: id, changes })
            .await,
    )
}

/// Runs a task that requires approval until it waits for a decision.
async fn bring_to_review(site: &Site, id: TaskId) {
    site.run(id).await;
    let work = site.claim().await.unwrap();
    assert_eq!(work.id(), id);
    site.finish(&work, Outcome::Succeeded).await;
}

pub async fn the_newest_retry_of_a_dependency_counts(site: &mut Site) {
    let first = site.to_review("build").await.state.id;
    let mut deploy = after(site, "deploy", &[first]);
    deploy.auto_run = true;
    let deploy = site.create(deploy).await;
    assert_eq!(deploy.state.status, Status::Pending);
    assert_eq!(deploy.blocked_by, [first]);
    let id = deploy.state.id;

    site.review(first, DecisionRequest::reject("no")).await;
    assert_eq!(site.task(id).await.blocked_by, [first]);
    let second = retry(site, first).await;
    let second = (second.state.id, second.dependents);
    assert_eq!(second.1.len(), 1);
    assert_eq!(second.1[0].id, id);
    let waiting = site.task(id).await;
    assert_eq!(waiting.state.depends_on, [first]);
    assert_eq!(waiting.blocked_by, [second.0]);

    bring_to_review(site, second.0).await;
    let end = log_end(site).await;
    let approved = site.review(second.0, DecisionRequest::approve()).await;
    assert_eq!(approved.dependents[0].status, Status::Running);
    assert_eq!(
        events_after(site, end).await,
        ["approval.resolved by human", "task.queued by system"]
    );
    let work = site.claim().await.unwrap();
    assert_eq!(work.id(), id);
    assert!(work.claim.task.blocked_by.is_empty());
    let input = work.claim.inputs[0];
    assert_eq!(work.claim.inputs.len(), 1);
    assert_eq!((input.task, input.attempt), (second.0, 1));
    assert_eq!(Some(input.evidence_sha256), approved.state.evidence_sha256);
}

pub async fn a_task_starts_in_the_transaction_that_unblocks_it(site: &mut Site) {
    let gated = site.to_review("left").await.state.id;
    let free = site.start(site.wish("right")).await;
    let mut both = after(site, "both", &[gated, free.id()]);
    both.auto_run = true;
    let both = site.create(both).await.state.id;
    let by_hand = site.create(after(site, "by hand", &[free.id()])).await;
    assert_eq!(site.task(both).await.blocked_by, [gated, free.id()]);

    let end = log_end(site).await;
    site.finish(&free, Outcome::Succeeded).await;
    assert_eq!(events_after(site, end).await, ["task.completed by agent"]);
    assert_eq!(site.task(both).await.blocked_by, [gated]);
    assert_eq!(site.status(by_hand.state.id).await, Status::Pending);

    site.review(gated, DecisionRequest::approve()).await;
    assert_eq!(site.status(both).await, Status::Running);
    assert_eq!(site.status(by_hand.state.id).await, Status::Pending);
    assert_eq!(site.claim().await.unwrap().id(), both);
    site.run(by_hand.state.id).await;
}

pub async fn a_dead_dependency_cancels_those_that_ask_for_it_and_onward(site: &mut Site) {
    let root = site.start(site.wish("root")).await;
    let mut chain = vec![root.id()];
    for depth in 0..5 {
        let new = dying_with(after(site, &depth.to_string(), &[chain[depth]]));
        chain.push(site.create(new).await.state.id);
    }
    let patient = site.create(after(site, "patient", &[chain[5]])).await;
    let patient = patient.state.id;
    let end = log_end(site).await;
    site.finish(&root, Outcome::Failed).await;
    let mut expected = vec!["task.completed by agent".to_owned()];
    expected.extend(vec!["task.cancelled by system".to_owned(); 5]);
    assert_eq!(events_after(site, end).await, expected);
    for id in &chain[1..] {
        assert_eq!(site.status(*id).await, Status::Cancelled);
    }
    let waiting = site.task(patient).await;
    assert_eq!(waiting.state.status, Status::Pending);
    assert_eq!(waiting.blocked_by, [chain[5]]);

    // no retry revives them
    let again = retry(site, root.id()).await.state.id;
    site.run(again).await;
    let work = site.claim().await.unwrap();
    site.finish(&work, Outcome::Succeeded).await;
    assert_eq!(site.status(chain[1]).await, Status::Cancelled);
}

pub async fn every_death_of_a_dependency_counts(site: &mut Site) {
    let rejected = site.to_review("rejected").await.state.id;
    let cancelled = site.create(site.wish("cancelled")).await.state.id;
    let withdrawn = site.to_review("withdrawn").await.state.id;
    let elsewhere = site.add_desktop("elsewhere").await;
    let mut lost = site.wish("lost");
    lost.desktop = elsewhere.id;
    let lost = site.create(lost).await.state.id;
    let mut dependents = Vec::new();
    for parent in [rejected, cancelled, withdrawn, lost] {
        let new = dying_with(after(site, "dependent", &[parent]));
        dependents.push(site.create(new).await.state.id);
    }
    site.review(rejected, DecisionRequest::reject("no")).await;
    site.done(&site.person, Command::CancelTask(cancelled))
        .await;
    site.done(&site.person, Command::CancelTask(withdrawn))
        .await;
    site.done(&site.person, Command::DeleteDesktop(elsewhere.id))
        .await;
    for id in dependents {
        assert_eq!(site.status(id).await, Status::Cancelled);
    }
}

pub async fn a_dependency_that_is_dead_or_done_at_creation_counts(site: &mut Site) {
    let work = site.start(site.wish("fails")).await;
    let dead = site.finish(&work, Outcome::Failed).await.state.id;
    let done = site.succeed(site.wish("works")).await.state.id;

    let doomed = site
        .create(dying_with(after(site, "doomed", &[done, dead])))
        .await;
    assert_eq!(doomed.state.status, Status::Cancelled);
    assert_eq!(site.status(doomed.state.id).await, Status::Cancelled);
    let patient = site.create(after(site, "patient", &[done, dead])).await;
    assert_eq!(patient.state.status, Status::Pending);
    assert_eq!(patient.blocked_by, [dead]);

    let mut ready = dying_with(after(site, "ready", &[done]));
    ready.auto_run = true;
    let ready = site.create(ready).await;
    assert_eq!(ready.state.status, Status::Running);
    let claimed = site.claim().await.unwrap();
    assert_eq!(claimed.id(), ready.state.id);
    assert_eq!(claimed.claim.inputs[0].task, done);

    // a dead one that was retried is not dead any more
    let alive = retry(site, dead).await.state.id;
    let hopeful = site
        .create(dying_with(after(site, "hopeful", &[dead])))
        .await;
    assert_eq!(hopeful.state.status, Status::Pending);
    assert_eq!(hopeful.blocked_by, [alive]);
}

pub async fn a_retry_may_depend_on_what_was_itself_retried(site: &mut Site) {
    let first = site.to_review("build").await.state.id;
    let deploy = site.create(after(site, "deploy", &[first])).await.state.id;
    site.review(first, DecisionRequest::reject("no")).await;
    let second = retry(site, first).await.state.id;
    bring_to_review(site, second).await;
    site.review(second, DecisionRequest::reject("still no"))
        .await;
    let third = retry(site, second).await.state.id;
    site.done(&site.person, Command::CancelTask(deploy)).await;

    let again = retry(site, deploy).await;
    assert_eq!(again.state.depends_on, [first]);
    assert_eq!(again.blocked_by, [third]);
    assert_eq!(site.task(again.state.id).await, again);
    bring_to_review(site, third).await;
    site.review(third, DecisionRequest::approve()).await;
    site.run(again.state.id).await;
}
