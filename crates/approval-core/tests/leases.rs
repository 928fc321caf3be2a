//! Leases, attempts and time-outs to the microsecond (contract section 5, G11).

use approval_core::*;

use crate::fixtures::{
    DEFAULT_TIMEOUT, MODE_OFF, at, claimed, evidence, in_review, mode, pending, queued, report,
    token, wish,
};

/// The last moment before `at(seconds)`.
fn just_before(seconds: i64) -> Timestamp {
    Timestamp::from_micros(at(seconds).micros() - 1)
}

#[test]
fn the_first_lease_lasts_5_seconds_and_every_later_one_30() {
    let fresh = claimed(&wish(), MODE_OFF);
    assert_eq!(fresh.lease.map(|l| l.expires_at), Some(at(5)));
    assert!(fresh.clone().heartbeat(token(1), just_before(5)).is_ok());
    assert_eq!(
        fresh.clone().heartbeat(token(1), at(5)),
        Err(Refusal::LeaseLost)
    );

    let mut heard = fresh.clone();
    assert_eq!(heard.heartbeat(token(1), at(2)), Ok(false));
    assert_eq!(heard.lease.map(|l| l.expires_at), Some(at(32)));
    assert!(heard.clone().heartbeat(token(1), just_before(32)).is_ok());
    assert_eq!(
        heard.clone().heartbeat(token(1), at(32)),
        Err(Refusal::LeaseLost)
    );

    let mut uploaded = fresh;
    assert_eq!(uploaded.admit_upload(token(1), at(2)), Ok(()));
    assert_eq!(
        uploaded.lease, heard.lease,
        "the first upload shows that the runner lives"
    );
    assert_eq!(uploaded.admit_upload(token(1), at(20)), Ok(()));
    assert_eq!(uploaded.lease, heard.lease, "a later one is no heartbeat");
}

/// The moment a lease ends is the same for the runner and for the sweep: no gap, no overlap.
#[test]
fn a_lease_ends_for_both_sides_at_once() {
    for (heard, end) in [(false, 5), (true, 31)] {
        let mut task = claimed(&wish(), MODE_OFF);
        if heard {
            task.heartbeat(token(1), at(1)).expect("current");
        }
        for (now, alive) in [(just_before(end), true), (at(end), false)] {
            let report = report(Outcome::Succeeded);
            let accepted = task
                .clone()
                .complete(token(1), &report, evidence(), MODE_OFF, now);
            assert_eq!(accepted.is_ok(), alive);
            assert_eq!(task.clone().admit_upload(token(1), now).is_ok(), alive);
            assert_eq!(task.clone().expire_lease(now) == LeaseEnd::Alive, alive);
        }
    }
}

#[test]
fn an_attempt_nobody_was_heard_in_does_not_count() {
    let mut task = claimed(&wish(), MODE_OFF);
    assert_eq!((task.attempt, task.started_at), (1, Some(at(0))));
    assert_eq!(task.expire_lease(at(5)), LeaseEnd::Requeued);
    assert_eq!((task.attempt, task.started_at), (0, None));
    assert!(task.is_claimable());
    // never used up, however often a client vanishes
    for round in 1..=20 {
        task.claim(token(2), MODE_OFF, at(round * 10))
            .expect("offered again");
        assert_eq!(task.attempt, 1);
        assert_eq!(task.expire_lease(at(round * 10 + 5)), LeaseEnd::Requeued);
    }
}

#[test]
fn a_dead_runners_task_is_offered_again_until_its_attempts_are_used_up() {
    for max_attempts in [1, 2, 10] {
        let new = NewTask {
            max_attempts: Some(max_attempts),
            ..wish()
        };
        let mut task = queued(&new);
        for attempt in 1..=max_attempts {
            let start = attempt * 100;
            task.claim(token(1), MODE_OFF, at(start)).expect("offered");
            assert_eq!(i64::from(task.attempt), attempt);
            task.heartbeat(token(1), at(start + 1)).expect("current");
            assert_eq!(task.expire_lease(just_before(start + 31)), LeaseEnd::Alive);
            let end = task.expire_lease(at(start + 31));
            if attempt < max_attempts {
                assert_eq!(end, LeaseEnd::Requeued);
                assert_eq!(task.status, Status::Running);
                assert_eq!(task.completed_at, None);
            } else {
                assert_eq!(end, LeaseEnd::Failed);
            }
        }
        assert_eq!(task.status, Status::Failed);
        assert_eq!(task.completed_at, Some(at(max_attempts * 100 + 31)));
        let error =
            format!("the desktop stopped answering in attempt {max_attempts} of {max_attempts}");
        assert_eq!(task.error, Some(error));
        assert_eq!(task.evidence_sha256, None, "nothing was sealed");
    }
}

/// A zombie: the lease ran out, another runner has the task, and the first one wakes up.
#[test]
fn nothing_the_old_holder_sends_is_accepted() {
    let mut task = claimed(&wish(), MODE_OFF);
    task.heartbeat(token(1), at(1)).expect("current");
    assert_eq!(task.expire_lease(at(31)), LeaseEnd::Requeued);
    for taken_over in [false, true] {
        if taken_over {
            task.claim(token(2), MODE_OFF, at(32))
                .expect("offered again");
        }
        let before = task.clone();
        let report = report(Outcome::Succeeded);
        assert_eq!(task.heartbeat(token(1), at(33)), Err(Refusal::LeaseLost));
        assert_eq!(task.admit_upload(token(1), at(33)), Err(Refusal::LeaseLost));
        let completed = task.complete(token(1), &report, evidence(), MODE_OFF, at(33));
        assert_eq!(completed, Err(Refusal::LeaseLost));
        assert_eq!(task, before);
    }
}

/// The mode at the claim of *any* attempt counts, also of one that was not counted.
#[test]
fn the_mode_at_an_earlier_claim_still_gates_the_last_attempt() {
    for heard in [false, true] {
        let mut task = claimed(&wish(), mode(true));
        if heard {
            task.heartbeat(token(1), at(1)).expect("current");
        }
        assert_eq!(task.expire_lease(at(40)), LeaseEnd::Requeued);
        task.claim(token(2), MODE_OFF, at(41))
            .expect("offered again");
        let report = report(Outcome::Succeeded);
        let end = task.complete(token(2), &report, evidence(), MODE_OFF, at(42));
        assert_eq!(end, Ok(Completion::Review(GateReason::Global)));
    }
}

/// A failed attempt never asks for approval, whatever gates the task.
#[test]
fn a_task_that_fails_on_its_own_needs_no_approval() {
    let new = NewTask {
        requires_approval: true,
        ..wish()
    };
    let mut task = claimed(&new, mode(true));
    let report = Report {
        exit_code: Some(2),
        error: Some("no such file".to_owned()),
        ..report(Outcome::Failed)
    };
    let end = task.complete(token(1), &report, evidence(), mode(true), at(1));
    assert_eq!((end, task.status), (Ok(Completion::Failed), Status::Failed));
    assert_eq!(
        (task.exit_code, task.error.as_deref()),
        (Some(2), Some("no such file"))
    );
    assert_eq!(task.completed_at, Some(at(1)));
    assert_eq!(
        task.open_approval(crate::fixtures::approval_id(1), at(1)),
        None
    );
}

#[test]
fn a_time_out_the_runner_ignored_is_enforced_a_minute_later() {
    for (seconds, timeout) in [
        (None, DEFAULT_TIMEOUT),
        (Some(1), 1),
        (Some(604_800), 604_800),
    ] {
        let new = NewTask {
            timeout_seconds: seconds,
            ..wish()
        };
        let mut task = claimed(&new, MODE_OFF);
        assert!(!task.time_out(just_before(timeout + 60)));
        assert_eq!(task.status, Status::Running);
        assert!(task.time_out(at(timeout + 60)));
        assert_eq!(task.status, Status::Failed);
        assert_eq!(task.error, Some(format!("timed out after {timeout} s")));
        assert_eq!(task.completed_at, Some(at(timeout + 60)));
        assert!(!task.time_out(at(timeout + 61)), "once");
    }
    let mut waiting = queued(&wish());
    assert!(
        !waiting.time_out(at(i64::from(u32::MAX))),
        "it counts from the claim"
    );
    let (mut reviewed, _) = in_review(&wish());
    assert!(
        !reviewed.time_out(at(i64::from(u32::MAX))),
        "a review has no time-out"
    );
}

/// After an outage of the server the runners are not to blame: a lease only ever gets longer.
#[test]
fn a_rearmed_lease_never_gets_shorter() {
    let mut task = claimed(&wish(), MODE_OFF);
    task.rearm_lease(at(4));
    assert_eq!(task.lease.map(|l| l.expires_at), Some(at(9)));
    task.heartbeat(token(1), at(8)).expect("current");
    task.rearm_lease(at(3));
    assert_eq!(task.lease.map(|l| l.expires_at), Some(at(38)));
    task.rearm_lease(at(100));
    assert_eq!(task.lease.map(|l| l.expires_at), Some(at(130)));
    assert_eq!(task.heartbeat(token(1), at(129)), Ok(false));

    for mut other in [pending(&wish()), queued(&wish()), in_review(&wish()).0] {
        let before = other.clone();
        other.rearm_lease(at(100));
        assert_eq!(other, before);
    }
    task.cancel(None, &crate::fixtures::human(), at(130))
        .expect("running");
    let before = task.clone();
    task.rearm_lease(at(200));
    assert_eq!(task, before, "a cancelled task's lease is not extended");
}

#[test]
fn a_cancelled_runner_learns_of_it_from_its_heartbeat() {
    let mut task = claimed(&wish(), MODE_OFF);
    task.cancel(None, &crate::fixtures::human(), at(1))
        .expect("running");
    assert_eq!((task.status, task.completed_at), (Status::Cancelled, None));
    assert_eq!(task.evidence_sha256, None);
    let before = task.clone();
    assert_eq!(task.heartbeat(token(1), at(2)), Ok(true));
    assert_eq!(task, before, "without extending");
    assert_eq!(task.admit_upload(token(1), at(2)), Err(Refusal::LeaseLost));
    assert_eq!(task.heartbeat(token(2), at(2)), Err(Refusal::LeaseLost));
}

/// `complete` may be sent again; the same body is the same answer, whatever happened since.
#[test]
fn a_repeated_report_changes_nothing() {
    let (mut task, mut approval) = in_review(&wish());
    let report = report(Outcome::Succeeded);
    let other = Report {
        body: Digest::of(b"another body"),
        ..report.clone()
    };
    let reviewer = Reviewer::of(&crate::fixtures::human()).expect("a person");
    for decided in [false, true] {
        if decided {
            let approve = DecisionRequest::approve();
            task.decide(Some(&mut approval), &reviewer, &approve, MODE_OFF, at(2))
                .expect("in review");
        }
        let before = task.clone();
        let again = task.complete(token(1), &report, Digest::of(b"x"), mode(true), at(9_999));
        assert_eq!(again, Ok(Completion::Repeated));
        let differs = task.complete(token(1), &other, evidence(), MODE_OFF, at(2));
        assert_eq!(differs, Err(Refusal::AlreadyCompleted));
        let foreign = task.complete(token(2), &report, evidence(), MODE_OFF, at(2));
        assert_eq!(foreign, Err(Refusal::LeaseLost));
        assert_eq!(task, before);
    }
}

#[test]
fn a_lost_desktop_fails_what_runs_and_leaves_what_waits_for_a_person() {
    let mut running = claimed(&wish(), MODE_OFF);
    assert!(running.lose_desktop(at(3)));
    assert_eq!(
        (running.error.as_deref(), running.completed_at),
        (Some("desktop deleted"), Some(at(3)))
    );
    assert_eq!(running.lease, None);
    let (mut reviewed, _) = in_review(&wish());
    assert!(!reviewed.lose_desktop(at(3)));
    assert_eq!(reviewed.status, Status::Review);
}
