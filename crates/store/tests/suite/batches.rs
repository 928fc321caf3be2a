//! Commands of one batch: decided one after the other, each sees what the one before it did.

use approval_core::{
    ApprovalStatus, DecisionRequest, Digest, LogSummary, Outcome, Part, Refusal, Report,
    RetryChanges, Status, TextPart, log_digest,
};
use store::{Answered, Command, Prepared, SubmitError};
use test_support::{Site, Work, task};

use super::{decide, events_after, in_one_batch, log_end};

/// The end of an attempt that sent nothing, prepared by hand to be queued with other commands.
fn complete(work: &Work, content: &str) -> Command {
    let prepared = Prepared {
        attempt: 1,
        version: 0,
        content_sha256: Digest::of(content.as_bytes()),
        logs: LogSummary {
            entries: 0,
            bytes: 0,
            dropped_bytes: 0,
            sha256: log_digest([]),
        },
        output: TextPart {
            part: Part::of(b""),
            truncated: false,
        },
        files: Vec::new(),
    };
    Command::Complete {
        lease: work.lease,
        report: Report::new(Outcome::Succeeded, Digest::of(b"")),
        output: None,
        log_entries: None,
        prepared: Box::new(prepared),
    }
}

fn refusal(outcome: &Result<Answered, SubmitError>) -> &Refusal {
    match outcome {
        Err(SubmitError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn work_ends_and_is_decided_once_in_one_batch(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let mode = Command::ChangeSettings {
        task_approval_mode: Some(true),
        require_evidence: None,
    };
    let by_person = |command| site.request(&site.person, command);
    let end = log_end(site).await;
    let outcomes = in_one_batch(
        site,
        vec![
            by_person(mode),
            site.request(&site.desktop.agent, complete(&work, "x")),
            by_person(decide(work.id(), DecisionRequest::approve())),
            by_person(decide(work.id(), DecisionRequest::reject("late"))),
        ],
    )
    .await;
    let completed = task(outcomes[1].as_ref().unwrap().answer.clone());
    assert_eq!(completed.state.status, Status::Review, "the mode was on");
    let decided = task(outcomes[2].as_ref().unwrap().answer.clone());
    assert_eq!(decided.state.status, Status::Done);
    let Refusal::AlreadyDecided { approval } = refusal(&outcomes[3]) else {
        panic!("{:?}", outcomes[3]);
    };
    assert_eq!(approval.status, ApprovalStatus::Approved);
    assert_eq!(site.task(work.id()).await, decided);
    assert_eq!(
        events_after(site, end).await,
        [
            "settings.changed by human",
            "task.completed by agent",
            "approval.created by agent",
            "approval.resolved by human"
        ]
    );
}

pub async fn a_second_try_in_the_same_batch_is_refused(site: &mut Site) {
    let pending = site.create(site.wish("run me")).await.state.id;
    let dead = site.create(site.wish("retry me")).await.state.id;
    site.done(&site.person, Command::CancelTask(dead)).await;
    let retry = Command::RetryTask {
        task: dead,
        changes: RetryChanges::default(),
    };
    let commands = [
        Command::RunTask(pending),
        Command::RunTask(pending),
        retry.clone(),
        retry,
        Command::CancelTask(pending),
        Command::CancelTask(pending),
    ];
    let requests = commands.map(|command| site.request(&site.person, command));
    let outcomes = in_one_batch(site, requests.to_vec()).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok() && outcomes[4].is_ok());
    let status = Status::Running;
    assert_eq!(*refusal(&outcomes[1]), Refusal::NotPending { status });
    let retried_by = task(outcomes[2].as_ref().unwrap().answer.clone()).state.id;
    assert_eq!(
        *refusal(&outcomes[3]),
        Refusal::AlreadyRetried { retried_by }
    );
    let status = Status::Cancelled;
    assert_eq!(*refusal(&outcomes[5]), Refusal::AlreadyFinal { status });
    assert_eq!(site.status(pending).await, Status::Cancelled);
    assert_eq!(site.status(retried_by).await, Status::Pending);
}
