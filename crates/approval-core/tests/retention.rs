//! What may be pruned: sealed, decided, finished long enough ago, and needed by nobody who still works.

use approval_core::*;

use crate::fixtures::{
    MODE_OFF, approval_id, at, claimed, evidence, failed, human, in_review, mode, pending, queued,
    report, token, wish,
};

fn reviewer() -> Reviewer {
    Reviewer::of(&human()).expect("a person")
}

/// Done at `at(1)`, without a gate.
fn done() -> Task {
    let mut task = claimed(&wish(), MODE_OFF);
    let report = report(Outcome::Succeeded);
    task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
        .expect("the lease is current");
    task
}

/// Finished at `at(1)`, decided at `at(5)`.
fn decided(decision: &DecisionRequest) -> (Task, Approval) {
    let (mut task, mut approval) = in_review(&wish());
    task.decide(Some(&mut approval), &reviewer(), decision, MODE_OFF, at(5))
        .expect("in review");
    (task, approval)
}

#[test]
fn only_sealed_work_that_ended_may_go() {
    let pruned = |task: &Task| prunable(task, None, [], at(100));
    assert_eq!(pruned(&pending(&wish())), Err(Kept::Unfinished));
    assert_eq!(pruned(&queued(&wish())), Err(Kept::Unfinished));
    assert_eq!(pruned(&claimed(&wish(), mode(true))), Err(Kept::Unfinished));
    assert_eq!(pruned(&in_review(&wish()).0), Err(Kept::Unfinished));

    let mut cancelled = claimed(&wish(), MODE_OFF);
    cancelled.cancel(None, &human(), at(1)).expect("running");
    assert_eq!(pruned(&cancelled), Err(Kept::Unsealed));

    assert_eq!(pruned(&done()), Ok(evidence()));
    assert_eq!(pruned(&failed(&wish(), &human())), Ok(evidence()));
    for decision in [DecisionRequest::approve(), DecisionRequest::reject("no")] {
        let (task, approval) = decided(&decision);
        assert_eq!(
            prunable(&task, Some(&approval), [], at(100)),
            Ok(evidence())
        );
    }
    let (mut task, mut approval) = in_review(&wish());
    task.cancel(Some(&mut approval), &human(), at(2))
        .expect("in review");
    assert_eq!(
        prunable(&task, Some(&approval), [], at(100)),
        Ok(evidence())
    );
}

/// Cannot come about by the rules; a row that says so is not believed.
#[test]
fn what_nobody_decided_stays() {
    let (_, waiting) = in_review(&wish());
    assert_eq!(waiting.id, approval_id(1));
    assert_eq!(
        prunable(&done(), Some(&waiting), [], at(100)),
        Err(Kept::Undecided)
    );
}

/// The later of end and decision counts, and the bound itself is too recent.
#[test]
fn work_is_as_old_as_the_last_that_happened_to_it() {
    let task = done();
    assert_eq!(prunable(&task, None, [], at(1)), Err(Kept::Recent));
    assert_eq!(prunable(&task, None, [], at(2)), Ok(evidence()));
    let (task, approval) = decided(&DecisionRequest::approve());
    for (older_than, expected) in [
        (at(2), Err(Kept::Recent)),
        (at(5), Err(Kept::Recent)),
        (at(6), Ok(evidence())),
    ] {
        assert_eq!(prunable(&task, Some(&approval), [], older_than), expected);
    }
}

/// What is done is the input of the tasks behind it until all of them have ended.
#[test]
fn the_input_of_unfinished_work_stays() {
    for status in Status::ALL {
        let dependents = [Status::Done, *status];
        let expected = if status.is_final() {
            Ok(evidence())
        } else {
            Err(Kept::Needed)
        };
        assert_eq!(
            prunable(&done(), None, dependents, at(100)),
            expected,
            "{status}"
        );
        // what failed is nobody's input
        let failed = failed(&wish(), &human());
        assert_eq!(prunable(&failed, None, dependents, at(100)), Ok(evidence()));
    }
}
