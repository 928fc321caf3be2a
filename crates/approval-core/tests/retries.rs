//! Retry: a copy that stays gated, once, and is counted in the place of the first (contract
//! section 3).

use approval_core::*;

use crate::fixtures::{
    MODE_OFF, agent, at, claimed, code, create, desktop_id, evidence, failed, human, human_without,
    in_review, mode, pending, principal, report, service, task_id, token, wish,
};

/// What a retry of a gated or an ungated failed task gives: the flag of the wish, or a refusal.
fn flag(gated: bool, wanted: Option<bool>, by: &Principal) -> Result<bool, &'static str> {
    let new = NewTask {
        requires_approval: gated,
        ..wish()
    };
    let task = failed(&new, &human());
    let changes = RetryChanges {
        requires_approval: wanted,
        ..RetryChanges::default()
    };
    let retry = task.retry("x", &changes, by);
    retry.map(|new| new.requires_approval).map_err(|r| code(&r))
}

#[test]
fn the_gate_stays_unless_somebody_who_may_decide_opens_it() {
    let clerk = human_without(Capability::ApprovalsDecide);
    for by in [&human(), &clerk, &service()] {
        assert_eq!(flag(true, None, by), Ok(true));
        assert_eq!(flag(true, Some(true), by), Ok(true));
        assert_eq!(flag(false, None, by), Ok(false));
        assert_eq!(flag(false, Some(false), by), Ok(false));
        assert_eq!(flag(false, Some(true), by), Ok(true));
    }
    assert_eq!(flag(true, Some(false), &human()), Ok(false));
    assert_eq!(flag(true, Some(false), &clerk), Err("forbidden"));
    assert_eq!(flag(true, Some(false), &service()), Err("forbidden"));
}

/// Ever gated: by the flag, by the mode at the claim, by the mode at the finish, or by a retry.
#[test]
fn a_task_that_was_ever_gated_is_retried_gated() {
    let keep = RetryChanges::default();
    let by_mode_at_claim = {
        let mut task = claimed(&wish(), mode(true));
        let report = report(Outcome::Failed);
        task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
            .expect("current");
        task
    };
    let by_mode_at_finish = {
        let mut task = claimed(&wish(), MODE_OFF);
        let report = report(Outcome::Failed);
        task.complete(token(1), &report, evidence(), mode(true), at(1))
            .expect("current");
        task
    };
    let rejected = {
        let (mut task, mut approval) = in_review(&wish());
        let reviewer = Reviewer::of(&human()).expect("a person");
        let no = DecisionRequest::reject("no");
        task.decide(Some(&mut approval), &reviewer, &no, MODE_OFF, at(2))
            .expect("in review");
        task
    };
    for task in [by_mode_at_claim, by_mode_at_finish, rejected] {
        assert!(!task.requires_approval);
        let retry = task.retry("x", &keep, &service()).expect("dead");
        assert!(retry.requires_approval);
        let again = failed(&retry, &human())
            .retry("x", &keep, &service())
            .expect("dead");
        assert!(again.requires_approval, "and so is the retry of the retry");
    }
}

#[test]
fn a_retry_copies_all_but_what_it_changes() {
    let new = NewTask {
        task_type: TaskType::Command,
        content: "make release".to_owned(),
        title: Some("Release".to_owned()),
        desktop: desktop_id(1),
        requires_approval: true,
        depends_on: vec![],
        auto_run: true,
        on_dependency_failure: OnDependencyFailure::Cancel,
        timeout_seconds: Some(77),
        max_attempts: Some(7),
    };
    let task = Task::restore(TaskState {
        depends_on: vec![task_id(3), task_id(1)],
        ..failed(&new, &human()).into_state()
    });
    let copy = task.retry("make release", &RetryChanges::default(), &human());
    let same = NewTask {
        depends_on: vec![task_id(3), task_id(1)],
        ..new
    };
    assert_eq!(copy, Ok(same.clone()));
    let changes = RetryChanges {
        content: Some("make dist".to_owned()),
        title: Some("Again".to_owned()),
        requires_approval: Some(false),
    };
    let better = NewTask {
        content: "make dist".to_owned(),
        title: Some("Again".to_owned()),
        requires_approval: false,
        ..same
    };
    assert_eq!(task.retry("make release", &changes, &human()), Ok(better));
}

#[test]
fn starting_by_itself_takes_the_right_to_run() {
    let new = NewTask {
        auto_run: true,
        ..wish()
    };
    let task = failed(&new, &human());
    let keep = RetryChanges::default();
    assert!(task.retry("x", &keep, &service()).is_ok());
    let clerk = human_without(Capability::TasksRun);
    assert_eq!(
        task.retry("x", &keep, &clerk).map_err(|r| code(&r)),
        Err("forbidden")
    );
}

/// Authority is answered before the state.
#[test]
fn a_retry_takes_the_right_to_write() {
    let reader = human_without(Capability::TasksWrite);
    for task in [pending(&wish()), failed(&wish(), &human())] {
        let answer = task.retry("x", &RetryChanges::default(), &reader);
        assert_eq!(answer.map_err(|r| code(&r)), Err("forbidden"));
    }
}

#[test]
fn a_task_is_retried_once_and_its_retry_stands_in_its_place() {
    let keep = RetryChanges::default();
    let mut first = failed(&wish(), &human());
    let new = first.retry("x", &keep, &human()).expect("dead");
    let make =
        |number| Task::create(task_id(number), &new, &human(), true, &[], at(5)).expect("sound");
    let mut second = make(101);
    first.link_retry(&mut second);
    assert_eq!((first.retried_by, first.retry_of), (Some(second.id), None));
    assert_eq!((second.retry_of, second.retried_by), (Some(first.id), None));
    let again = first.retry("x", &keep, &human());
    assert_eq!(
        again,
        Err(Refusal::AlreadyRetried {
            retried_by: second.id
        })
    );

    second.cancel(None, &human(), at(6)).expect("pending");
    let mut third = make(102);
    second.link_retry(&mut third);
    assert_eq!(third.retry_of, Some(second.id));
    assert_eq!(
        [first.lineage, second.lineage, third.lineage],
        [first.id; 3]
    );
}

/// An agent retries what an agent of its desktop made, and what it gets is gated like all it makes.
#[test]
fn an_agents_retry_is_gated_whatever_it_asks() {
    let task = failed(&wish(), &agent());
    for wanted in [None, Some(true), Some(false)] {
        let changes = RetryChanges {
            requires_approval: wanted,
            ..RetryChanges::default()
        };
        let new = task.retry("x", &changes, &agent()).expect("its own task");
        let retry = create(&new, &agent()).expect("sound");
        assert!(retry.requires_approval && retry.gated, "{wanted:?}");
    }
    let greedy = principal(ActorKind::Agent, Capabilities::ALL);
    let of_a_person = failed(&wish(), &human());
    let answer = of_a_person.retry("x", &RetryChanges::default(), &greedy);
    assert_eq!(answer.map_err(|r| code(&r)), Err("forbidden"));
}
