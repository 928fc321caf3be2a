//! The search itself: it finds the order of histories that have one, and none of those that have none.

use approval_core::{ApprovalStatus, Status};
use proptest::prelude::*;

use crate::search::{Call, order};
use crate::spec::{Answer, Op, State, View};

/// A history in which calls were made and answered at these moments.
fn history(calls: &[(Op, u64, u64, Answer)]) -> Vec<Call> {
    let call = |(op, made, end, answer): &(Op, u64, u64, Answer)| Call {
        op: *op,
        made: *made,
        answered: Some((*end, *answer)),
    };
    calls.iter().map(call).collect()
}

fn unheard(op: Op, made: u64) -> Call {
    Call {
        op,
        made,
        answered: None,
    }
}

fn has_order(calls: &[Call]) -> bool {
    order(State::pending(true), calls).is_some()
}

fn seen(status: Status, approval: Option<ApprovalStatus>) -> Answer {
    Answer::Task(View {
        status,
        attempt: u32::from(!matches!(status, Status::Pending)),
        gated: true,
        approval,
    })
}

/// A gated task that is in review after moment 8.
fn reviewed() -> Vec<Call> {
    let running = |attempt| {
        Answer::Task(View {
            status: Status::Running,
            attempt,
            gated: true,
            approval: None,
        })
    };
    let review = seen(Status::Review, Some(ApprovalStatus::Pending));
    history(&[
        (Op::Run, 1, 2, running(0)),
        (Op::Claim(1), 3, 4, running(1)),
        (Op::Complete(1, true), 5, 8, review),
    ])
}

fn after_review(calls: &[(Op, u64, u64, Answer)]) -> Vec<Call> {
    [reviewed(), history(calls)].concat()
}

const APPROVED: Option<ApprovalStatus> = Some(ApprovalStatus::Approved);
const REJECTED: Option<ApprovalStatus> = Some(ApprovalStatus::Rejected);

#[test]
fn a_second_decision_has_no_place() {
    let approve = (Op::Decide(true), 10, 20, seen(Status::Done, APPROVED));
    let reject = (Op::Decide(false), 11, 19, seen(Status::Failed, REJECTED));
    assert!(has_order(&after_review(&[approve])));
    assert!(has_order(&after_review(&[reject])));
    assert!(!has_order(&after_review(&[approve, reject])));
    let told = Answer::AlreadyDecided(ApprovalStatus::Approved);
    assert!(has_order(&after_review(&[
        approve,
        (Op::Decide(false), 11, 19, told)
    ])));
    // but not when that was said before anybody approved
    assert!(!has_order(&after_review(&[
        approve,
        (Op::Decide(false), 8, 9, told)
    ])));
}

#[test]
fn a_stale_read_has_no_place() {
    let approve = (Op::Decide(true), 10, 20, seen(Status::Done, APPROVED));
    let old = seen(Status::Review, Some(ApprovalStatus::Pending));
    let new = seen(Status::Done, APPROVED);
    assert!(has_order(&after_review(&[
        approve,
        (Op::Read, 15, 16, old)
    ])));
    assert!(has_order(&after_review(&[
        approve,
        (Op::Read, 15, 16, new)
    ])));
    assert!(!has_order(&after_review(&[
        approve,
        (Op::Read, 21, 22, old)
    ])));
    assert!(!has_order(&after_review(&[approve, (Op::Read, 8, 9, new)])));
    // two readers see it change in one order only
    let back = [(Op::Read, 11, 12, new), (Op::Read, 13, 14, old)];
    assert!(!has_order(&after_review(&[approve, back[0], back[1]])));
}

#[test]
fn one_lease_at_a_time() {
    let running = Answer::Task(View {
        status: Status::Running,
        attempt: 2,
        gated: true,
        approval: None,
    });
    let mut calls = reviewed();
    calls.pop();
    calls.extend(history(&[(Op::Claim(2), 5, 6, running)]));
    assert!(!has_order(&calls));
    // unless the first one's time was over
    calls.push(Call {
        op: Op::Heartbeat(1),
        made: 4,
        answered: Some((
            6,
            Answer::Beat {
                cancel_requested: false,
            },
        )),
    });
    calls.push(unheard(Op::Expire(1), 4));
    assert!(has_order(&calls));
}

#[test]
fn what_nobody_heard_may_have_happened_or_not() {
    let done = (Op::Read, 30, 31, seen(Status::Done, APPROVED));
    let waits = (
        Op::Read,
        32,
        33,
        seen(Status::Review, Some(ApprovalStatus::Pending)),
    );
    let lost = unheard(Op::Decide(true), 12);
    let with_lost = |calls: &[(Op, u64, u64, Answer)]| [after_review(calls), vec![lost]].concat();
    assert!(has_order(&with_lost(&[done])));
    assert!(has_order(&with_lost(&[waits])));
    assert!(!has_order(&after_review(&[done])));
    assert!(!has_order(&with_lost(&[done, waits])), "it was undone");
    // not before it was asked for
    let early = (Op::Read, 10, 11, seen(Status::Done, APPROVED));
    assert!(!has_order(&with_lost(&[early])));
    // and once
    let twice = (Op::Decide(true), 40, 41, seen(Status::Done, APPROVED));
    assert!(!has_order(&with_lost(&[done, twice])));
}

#[test]
fn a_mode_that_was_answered_holds() {
    let task = |status, attempt, gated| {
        Answer::Task(View {
            status,
            attempt,
            gated,
            approval: None,
        })
    };
    let has_order = |end_of_mode| {
        let calls = history(&[
            (Op::Run, 1, 2, task(Status::Running, 0, false)),
            (Op::Mode(true), 3, end_of_mode, Answer::Done),
            (Op::Claim(1), 5, 6, task(Status::Running, 1, false)),
            (Op::Complete(1, true), 7, 8, task(Status::Done, 1, false)),
        ]);
        order(State::pending(false), &calls).is_some()
    };
    assert!(has_order(9), "it may have been set after the finish");
    assert!(!has_order(6), "it was set before the finish");
    assert!(!has_order(4), "it was set before the claim");
}

#[test]
fn a_failure_has_no_place() {
    let calls = [(Op::Decide(true), 10, 20, Answer::Failure)];
    assert!(!has_order(&after_review(&calls)));
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => any::<bool>().prop_map(Op::Mode),
        2 => Just(Op::Run),
        4 => (0_usize..3).prop_map(Op::Claim),
        1 => (0_usize..3).prop_map(Op::Heartbeat),
        4 => (0_usize..3, any::<bool>()).prop_map(|(token, ok)| Op::Complete(token, ok)),
        3 => any::<bool>().prop_map(Op::Decide),
        1 => Just(Op::Cancel),
        2 => Just(Op::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// What one client after the other did has an order; however long each call is then said to have
    /// lasted, and also when some were not heard. One other answer, and it has none.
    #[test]
    fn what_happened_is_found_and_what_did_not_is_not(
        flag: bool,
        ops in prop::collection::vec(op(), 1..40),
        longer in prop::collection::vec((0_u64..60, 0_u64..60, prop::bool::weighted(0.1)), 40),
        wrong: prop::sample::Index,
    ) {
        let start = State::pending(flag);
        let mut state = start;
        let mut calls = Vec::new();
        for (op, place) in ops.into_iter().zip(0_u64..) {
            let Some((next, answer)) = state.apply(op) else {
                continue;
            };
            state = next;
            let moment = 100 + place * 10;
            calls.push(Call { op, made: moment, answered: Some((moment + 5, answer)) });
        }
        prop_assume!(!calls.is_empty());
        let in_turn: Vec<usize> = (0..calls.len()).collect();
        prop_assert_eq!(order(start, &calls), Some(in_turn));

        let mut stretched = calls.clone();
        for (call, (earlier, later, lost)) in stretched.iter_mut().zip(longer) {
            call.made -= earlier;
            call.answered = call.answered.filter(|_| !lost).map(|(end, a)| (end + later, a));
        }
        prop_assert!(order(start, &stretched).is_some());

        let wrong = wrong.index(calls.len());
        let (end, answer) = calls[wrong].answered.expect("answered");
        let other = if answer == Answer::LeaseLost { Answer::Done } else { Answer::LeaseLost };
        calls[wrong].answered = Some((end, other));
        prop_assert_eq!(order(start, &calls), None);
    }
}
