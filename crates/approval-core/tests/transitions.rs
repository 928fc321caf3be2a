//! The full table: where a task stands, what is asked, who asks, the task's flag and Task Approval
//! Mode (contract sections 1, 3, 5 and 6).
//!
//! The expected results stand below as text. Each cell is tried with the flag on and off, the mode
//! on and off at the claim, and on and off now.

use std::collections::BTreeSet;

use approval_core::*;

use crate::fixtures::{
    ELSEWHERE, MODE_OFF, agent, approval_id, at, code, create, desktop_id, evidence, human,
    human_without, mode, principal, report, service, stranger, token, wish,
};

/// Rows: command, actors (`*` all), kind of the task's creator (`*` any). Columns: see `stand`.
///
/// A status is what the task is afterwards. `same`: accepted, nothing changes. `gate`: review when
/// the flag is set or the mode was on at the claim or is on now, else done. `standing`: when the
/// task was gated a decision stands (already-decided), else there was none (not-in-review).
/// `wish`: a retry is wished for, gated when the task was. The rest are refusals.
const TABLE: &str = "
command          actors                         of    | pending       queued        fresh         held          last          review            done              failed            rejected          cancelled      withdrawn      recalled
run              human,clerk,service,system     *     | running       not-pending   not-pending   not-pending   not-pending   not-pending       not-pending       not-pending       not-pending       not-pending    not-pending    not-pending
run              agent,bare,stranger,lost       *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
run-blocked      human,clerk,service,system     *     | blocked       not-pending   not-pending   not-pending   not-pending   not-pending       not-pending       not-pending       not-pending       not-pending    not-pending    not-pending
run-blocked      agent,bare,stranger,lost       *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
claim            *                              *     | lease-lost    running       lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
heartbeat        *                              *     | lease-lost    lease-lost    running       running       running       lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     same           lease-lost
heartbeat-late   *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     same           lease-lost
heartbeat-alien  *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
upload           *                              *     | lease-lost    lease-lost    running       same          same          lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
upload-late      *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
upload-alien     *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
succeed          *                              *     | lease-lost    lease-lost    gate          gate          gate          same              same              already-completed same              lease-lost     lease-lost     same
succeed-late     *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    same              same              already-completed same              lease-lost     lease-lost     same
succeed-alien    *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
fail             *                              *     | lease-lost    lease-lost    failed        failed        failed        already-completed already-completed same              already-completed lease-lost     lease-lost     already-completed
fail-late        *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    already-completed already-completed same              already-completed lease-lost     lease-lost     already-completed
fail-alien       *                              *     | lease-lost    lease-lost    lease-lost    lease-lost    lease-lost    lease-lost        lease-lost        lease-lost        lease-lost        lease-lost     lease-lost     lease-lost
approve          human                          *     | not-in-review not-in-review not-in-review not-in-review not-in-review done              standing          not-in-review     already-decided   not-in-review  not-in-review  already-decided
approve          clerk,service,system           *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
approve          agent,bare,stranger,lost       *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
reject           human                          *     | not-in-review not-in-review not-in-review not-in-review not-in-review failed            standing          not-in-review     already-decided   not-in-review  not-in-review  already-decided
reject           clerk,service,system           *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
reject           agent,bare,stranger,lost       *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
cancel           human                          *     | cancelled     cancelled     cancelled     cancelled     cancelled     cancelled         already-final     already-final     already-final     already-final  already-final  already-final
cancel           clerk,service,system           *     | cancelled     cancelled     cancelled     cancelled     cancelled     forbidden         already-final     already-final     already-final     already-final  already-final  already-final
cancel           agent                          agent | cancelled     cancelled     cancelled     cancelled     cancelled     forbidden         already-final     already-final     already-final     already-final  already-final  already-final
cancel           agent                          human | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
cancel           bare,lost                      *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
cancel           stranger                       *     | invalid       invalid       invalid       invalid       invalid       forbidden         invalid           invalid           invalid           invalid        invalid        invalid
retry            human,clerk,service,system     *     | not-retryable not-retryable not-retryable not-retryable not-retryable not-retryable     not-retryable     wish              wish              wish           wish           wish
retry            agent                          agent | not-retryable not-retryable not-retryable not-retryable not-retryable not-retryable     not-retryable     wish              wish              wish           wish           wish
retry            agent                          human | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
retry            bare,lost                      *     | forbidden     forbidden     forbidden     forbidden     forbidden     forbidden         forbidden         forbidden         forbidden         forbidden      forbidden      forbidden
retry            stranger                       *     | invalid       invalid       invalid       invalid       invalid       invalid           invalid           invalid           invalid           invalid        invalid        invalid
expire-early     *                              *     | same          same          same          same          same          same              same              same              same              same           same           same
expire           *                              *     | same          same          running       running       failed        same              same              same              same              same           same           same
time-out-early   *                              *     | same          same          same          same          same          same              same              same              same              same           same           same
time-out         *                              *     | same          same          failed        failed        failed        same              same              same              same              same           same           same
lose-desktop     *                              *     | cancelled     failed        failed        failed        failed        same              same              same              same              same           same           same
parent-died      *                              *     | cancelled     same          same          same          same          same              same              same              same              same           same           same
";

/// `clerk`: a person without `approvals:decide`; `bare`: an agent without capabilities;
/// `stranger`: an agent of another desktop; `lost`: an agent without a desktop.
const ACTORS: [&str; 8] = [
    "human", "clerk", "service", "agent", "bare", "stranger", "lost", "system",
];

fn actor(name: &str) -> Principal {
    match name {
        "human" => human(),
        "clerk" => human_without(Capability::ApprovalsDecide),
        "service" => service(),
        "agent" => agent(),
        "bare" => principal(ActorKind::Agent, Capabilities::NONE),
        "stranger" => stranger(),
        "lost" => Principal {
            desktop: None,
            ..agent()
        },
        "system" => Principal::system(),
        other => panic!("no actor {other}"),
    }
}

/// How a task came to where it stands.
#[derive(Clone, Copy)]
struct Past {
    by_agent: bool,
    flag: bool,
    mode_at_claim: bool,
}

/// A task, the request for a decision about it, and whether its gate is closed.
#[derive(Clone)]
struct Stand {
    task: Task,
    approval: Option<Approval>,
    gated: bool,
}

/// Brings a new task to where the column says: claimed and not heard of (`fresh`), heard of
/// (`held`), in its last attempt (`last`), failed by the agent or `rejected`, cancelled before the
/// claim, under a lease (`withdrawn`) or in review (`recalled`).
fn stand(column: &str, past: Past) -> Stand {
    let creator = if past.by_agent { agent() } else { human() };
    let new = NewTask {
        requires_approval: past.flag,
        max_attempts: Some(if column == "last" { 1 } else { 2 }),
        ..wish()
    };
    let mut task = create(&new, &creator).expect("a sound wish");
    let flag = past.flag || past.by_agent;
    let (mut approval, mut gated) = (None, flag);
    if column != "pending" && column != "cancelled" {
        task.run(&[]).expect("pending");
        if column != "queued" {
            task.claim(token(1), mode(past.mode_at_claim), at(0))
                .expect("queued");
            gated |= past.mode_at_claim;
        }
    }
    let asks = matches!(column, "review" | "rejected" | "recalled");
    match column {
        "pending" | "queued" | "fresh" => {}
        "held" | "last" => assert_eq!(task.heartbeat(token(1), at(1)), Ok(false)),
        "failed" => {
            let report = report(Outcome::Failed);
            task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
                .expect("held");
        }
        "cancelled" | "withdrawn" => task.cancel(None, &human(), at(1)).expect("open"),
        "done" | "review" | "rejected" | "recalled" => {
            let report = report(Outcome::Succeeded);
            // what nothing else gates is gated by the mode at the finish
            task.complete(token(1), &report, evidence(), mode(asks), at(1))
                .expect("held");
            gated |= asks;
            approval = task.open_approval(approval_id(1), at(1));
        }
        other => panic!("no column {other}"),
    }
    let decision = match column {
        "done" if gated => Some(DecisionRequest::approve()),
        "rejected" => Some(DecisionRequest::reject("no")),
        _ => None,
    };
    if let Some(decision) = decision {
        let reviewer = Reviewer::of(&human()).expect("a person");
        task.decide(approval.as_mut(), &reviewer, &decision, MODE_OFF, at(2))
            .expect("in review");
    }
    if column == "recalled" {
        task.cancel(approval.as_mut(), &human(), at(2))
            .expect("in review");
    }
    Stand {
        task,
        approval,
        gated,
    }
}

/// The status that the column promises.
fn status_of(column: &str) -> Status {
    match column {
        "pending" => Status::Pending,
        "queued" | "fresh" | "held" | "last" => Status::Running,
        "review" => Status::Review,
        "done" => Status::Done,
        "failed" | "rejected" => Status::Failed,
        "cancelled" | "withdrawn" | "recalled" => Status::Cancelled,
        other => panic!("no column {other}"),
    }
}

/// Gives the command as the server does: authority first, then the rule. The answer says what a
/// retry wishes for.
fn give(
    command: &str,
    by: &Principal,
    on: bool,
    s: &mut Stand,
) -> Result<Option<NewTask>, Refusal> {
    let (verb, when) = match command.rsplit_once('-') {
        Some((verb, suffix @ ("late" | "alien" | "early" | "blocked"))) => (verb, suffix),
        _ => (command, ""),
    };
    let settings = mode(on);
    let key = token(if when == "alien" { 9 } else { 1 });
    // leases of the table end at 5 s (fresh) and 31 s (held, last), time-outs are due at 3,660 s
    let now = at(match (verb, when) {
        ("expire", "") | (_, "late") => 31,
        ("time-out", "") => 3_660,
        ("time-out", "early") => 3_659,
        _ => 4,
    });
    let before = s.task.clone();
    let (task, approval) = (&mut s.task, s.approval.as_mut());
    match verb {
        "run" => {
            let parent = Parent {
                id: task.id,
                status: Status::Review,
            };
            by.require(Capability::TasksRun)?;
            task.run(if when == "blocked" {
                std::slice::from_ref(&parent)
            } else {
                &[]
            })?;
        }
        "claim" => task.claim(token(2), settings, now)?,
        "heartbeat" => {
            let cancelled = task.status == Status::Cancelled;
            assert_eq!(task.heartbeat(key, now)?, cancelled);
        }
        "upload" => task.admit_upload(key, now)?,
        "succeed" | "fail" => {
            let outcome = if verb == "fail" {
                Outcome::Failed
            } else {
                Outcome::Succeeded
            };
            let said = task.complete(key, &report(outcome), evidence(), settings, now)?;
            let done = match said {
                Completion::Repeated => before.status,
                Completion::Done => Status::Done,
                Completion::Failed => Status::Failed,
                Completion::Review(_) => Status::Review,
            };
            assert_eq!(task.status, done, "{said:?}");
            assert_eq!(*task == before, said == Completion::Repeated);
        }
        "approve" => {
            let reviewer = Reviewer::of(by)?;
            task.decide(
                approval,
                &reviewer,
                &DecisionRequest::approve(),
                settings,
                now,
            )?;
        }
        "reject" => {
            let reviewer = Reviewer::of(by)?;
            task.decide(
                approval,
                &reviewer,
                &DecisionRequest::reject("no"),
                settings,
                now,
            )?;
        }
        "cancel" => task.cancel(approval, by, now)?,
        "retry" => return task.retry("again", &RetryChanges::default(), by).map(Some),
        "expire" => {
            let said = task.expire_lease(now);
            assert_eq!(*task == before, said == LeaseEnd::Alive);
            assert_eq!(task.status != before.status, said == LeaseEnd::Failed);
        }
        "time-out" => assert_eq!(task.time_out(now), *task != before),
        "lose-desktop" => assert_eq!(task.lose_desktop(now), *task != before),
        "parent-died" => task.cancel_by_dependency(),
        other => panic!("no command {other}"),
    }
    Ok(None)
}

/// One cell: the command is given to the task and what comes out is what the table says.
fn check(cell: &str, column: &str, command: &str, by: &str, past: Past, on: bool) {
    let name = format!(
        "{command} by {by} of {column}, created by an agent: {}, flag {}, mode {} then {on}",
        past.by_agent, past.flag, past.mode_at_claim
    );
    let before = stand(column, past);
    assert_eq!(
        before.task.status,
        status_of(column),
        "{name}: the column itself"
    );
    assert_eq!(before.task.gated, before.gated, "{name}: the column itself");
    let mut after = before.clone();
    let answer = give(command, &actor(by), on, &mut after);

    let reads_mode = matches!(command, "claim" | "succeed" | "fail");
    let gated = before.gated || (reads_mode && on);
    let status = match cell {
        "gate" if gated => Some(Status::Review),
        "gate" => Some(Status::Done),
        other => other.parse().ok(),
    };
    if let Some(status) = status {
        assert_eq!(answer, Ok(None), "{name}");
        assert_eq!(after.task.status, status, "{name}");
        assert_eq!(after.task.gated, gated, "{name}: gated");
        assert_ne!(after.task, before.task, "{name}: nothing happened");
        check_approval(command, column, &before, &after, &name);
        return;
    }
    match (cell, answer) {
        ("same", Ok(None)) => {}
        ("wish", Ok(Some(wish))) => assert_eq!(wish.requires_approval, before.gated, "{name}"),
        ("standing", Err(refusal)) => {
            let expected = if before.gated {
                "already-decided"
            } else {
                "not-in-review"
            };
            assert_eq!(code(&refusal), expected, "{name}");
        }
        (expected, Err(refusal)) => assert_eq!(code(&refusal), expected, "{name}"),
        (expected, Ok(answer)) => panic!("{name}: expected {expected}, got {answer:?}"),
    }
    assert_eq!(after.task, before.task, "{name}: the task changed");
    assert_eq!(
        after.approval, before.approval,
        "{name}: the approval changed"
    );
}

/// A decision and a withdrawal in review end the approval, an entry into review opens one with its
/// reason, and nothing else touches it.
fn check_approval(command: &str, column: &str, before: &Stand, after: &Stand, name: &str) {
    let expected = match (command, column) {
        ("approve", _) => ApprovalStatus::Approved,
        ("reject", _) => ApprovalStatus::Rejected,
        ("cancel", "review") => ApprovalStatus::Cancelled,
        _ => {
            assert_eq!(after.approval, before.approval, "{name}");
            let opened = after.task.open_approval(approval_id(2), at(5));
            let reason = opened.map(|a| a.reason);
            let flagged = if after.task.requires_approval {
                GateReason::Task
            } else {
                GateReason::Global
            };
            let in_review = after.task.status == Status::Review;
            assert_eq!(reason, in_review.then_some(flagged), "{name}");
            return;
        }
    };
    let approval = after.approval.as_ref().expect("the column is in review");
    assert_eq!(approval.status, expected, "{name}");
    let decided = approval.decided.as_ref().expect("decided");
    assert_eq!(decided.by, human().identity, "{name}");
    assert_eq!(
        decided.feedback.as_ref().map(Feedback::as_str),
        (command == "reject").then_some("no"),
        "{name}"
    );
}

#[test]
fn every_cell_of_the_table_holds() {
    let mut lines = TABLE.lines().filter(|l| !l.is_empty()).map(|line| {
        let (left, right) = line.split_once('|').expect("a bar");
        (words(left), words(right))
    });
    let (_, columns) = lines.next().expect("a heading");
    assert_eq!(columns.len(), 12);
    let mut seen = BTreeSet::new();
    let mut tried = 0;
    for (left, cells) in lines {
        let [command, actors, of] = left[..] else {
            panic!("command, actors, creator: {left:?}")
        };
        assert_eq!(cells.len(), columns.len(), "{command} {actors}");
        let actors = if actors == "*" {
            ACTORS.to_vec()
        } else {
            actors.split(',').collect()
        };
        for by in actors {
            for by_agent in [false, true]
                .into_iter()
                .filter(|a| of == "*" || *a == (of == "agent"))
            {
                assert!(
                    seen.insert((command, by, by_agent)),
                    "{command} by {by} stands twice"
                );
                for (column, cell) in columns.iter().zip(&cells) {
                    for bits in 0..8 {
                        let past = Past {
                            by_agent,
                            flag: bits & 1 != 0,
                            mode_at_claim: bits & 2 != 0,
                        };
                        check(cell, column, command, by, past, bits & 4 != 0);
                        tried += 1;
                    }
                }
            }
        }
    }
    let commands: BTreeSet<&str> = seen.iter().map(|(command, ..)| *command).collect();
    assert_eq!(commands.len(), 25, "{commands:?}");
    assert_eq!(
        seen.len(),
        commands.len() * ACTORS.len() * 2,
        "a command without an actor"
    );
    assert_eq!(tried, 25 * 8 * 2 * 12 * 8);
}

fn words(line: &'static str) -> Vec<&'static str> {
    line.split_whitespace().collect()
}

/// The steps of contract section 1, and nothing else.
#[test]
fn only_the_steps_of_the_contract_exist() {
    use Status::{Cancelled, Done, Failed, Pending, Review, Running};
    let steps = [
        (Pending, vec![Running, Cancelled]),
        (Running, vec![Review, Done, Failed, Cancelled]),
        (Review, vec![Done, Failed, Cancelled]),
        (Done, vec![]),
        (Failed, vec![]),
        (Cancelled, vec![]),
    ];
    assert_eq!(steps.len(), Status::ALL.len());
    for (from, to) in steps {
        for next in Status::ALL {
            assert_eq!(
                from.can_become(*next),
                to.contains(next),
                "{from} -> {next}"
            );
        }
        assert_eq!(from.is_final(), to.is_empty(), "{from}");
    }
}

/// `gated` as shown: found on so far, or, before the finish, on now.
#[test]
fn a_task_shows_the_gate_as_far_as_it_is_known() {
    for column in [
        "pending",
        "queued",
        "held",
        "review",
        "done",
        "failed",
        "cancelled",
    ] {
        for bits in 0..8 {
            let past = Past {
                by_agent: false,
                flag: bits & 1 != 0,
                mode_at_claim: bits & 2 != 0,
            };
            let on = bits & 4 != 0;
            let stand = stand(column, past);
            let unfinished = matches!(column, "pending" | "queued" | "held");
            let expected = stand.gated || (unfinished && on);
            assert_eq!(
                stand.task.shown_as_gated(mode(on)),
                expected,
                "{column} {bits:03b}"
            );
        }
    }
}

/// A decision counts for the very attempt it names, and a task that is not in review has none to
/// offer, whatever approval is handed in.
#[test]
fn an_approval_of_something_else_decides_and_ends_nothing() {
    let past = Past {
        by_agent: false,
        flag: true,
        mode_at_claim: false,
    };
    let Stand { task, approval, .. } = stand("review", past);
    let real = approval.expect("in review");
    let other_task = Approval {
        task: crate::fixtures::task_id(7),
        ..real.clone()
    };
    let other_attempt = Approval {
        attempt: 2,
        ..real.clone()
    };
    for wrong in [None, Some(other_task), Some(other_attempt)] {
        let (mut task, mut given) = (task.clone(), wrong.clone());
        let reviewer = Reviewer::of(&human()).expect("a person");
        let decided = task.decide(
            given.as_mut(),
            &reviewer,
            &DecisionRequest::approve(),
            MODE_OFF,
            at(2),
        );
        assert_eq!(
            decided,
            Err(Refusal::NotInReview {
                status: Status::Review
            })
        );
        let cancelled = task.cancel(given.as_mut(), &human(), at(2));
        assert_eq!(cancelled, Err(Refusal::NotFound("approval")));
        assert_eq!((task.status, given), (Status::Review, wrong));
    }
    for column in ["held", "failed", "cancelled"] {
        let mut task = stand(column, past).task.into_state();
        task.attempt = real.attempt;
        let (mut task, mut given) = (Task::restore(task), real.clone());
        let reviewer = Reviewer::of(&human()).expect("a person");
        let decided = task.decide(
            Some(&mut given),
            &reviewer,
            &DecisionRequest::approve(),
            MODE_OFF,
            at(2),
        );
        assert_eq!(
            decided,
            Err(Refusal::NotInReview {
                status: status_of(column)
            })
        );
        assert_eq!(given, real);
    }
}

/// A decided approval never changes, not even where task and approval were stored at odds.
#[test]
fn a_withdrawal_leaves_a_decided_approval_alone() {
    let past = Past {
        by_agent: false,
        flag: true,
        mode_at_claim: false,
    };
    let mut task = stand("review", past).task;
    for column in ["done", "rejected", "recalled"] {
        let mut decided = stand(column, past).approval.expect("was in review");
        let before = (task.clone(), decided.clone());
        let answer = task.cancel(Some(&mut decided), &human(), at(9));
        let standing = Box::new(before.1.clone());
        assert_eq!(
            answer,
            Err(Refusal::AlreadyDecided { approval: standing }),
            "{column}"
        );
        assert_eq!((task.clone(), decided), before, "{column}");
    }
}

/// Two deciders, one decision: the second learns what stands, also when it says the same.
#[test]
fn a_second_decision_is_told_the_standing_one() {
    let past = Past {
        by_agent: false,
        flag: true,
        mode_at_claim: false,
    };
    let Stand {
        mut task, approval, ..
    } = stand("review", past);
    let mut approval = approval.expect("in review");
    let reviewer = Reviewer::of(&human()).expect("a person");
    let reject = DecisionRequest::reject("not yet");
    task.decide(Some(&mut approval), &reviewer, &reject, MODE_OFF, at(2))
        .expect("first");
    for second in [reject, DecisionRequest::approve()] {
        let answer = task.decide(Some(&mut approval), &reviewer, &second, MODE_OFF, at(3));
        let Err(Refusal::AlreadyDecided { approval: standing }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(*standing, approval);
        assert_eq!(standing.status, ApprovalStatus::Rejected);
        assert_eq!(standing.decided.as_ref().map(|d| d.at), Some(at(2)));
    }
    assert_eq!(task.status, Status::Failed);
    assert_eq!(
        task.error, None,
        "the reviewer's words are never the agent's error"
    );
}

/// An agent of another desktop is not confined to this one by accident of a default.
#[test]
fn a_stranger_lives_elsewhere() {
    assert_eq!(stranger().confined_to(), Some(desktop_id(ELSEWHERE)));
    assert_eq!(human().confined_to(), None);
}
