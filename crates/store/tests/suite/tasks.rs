//! Create, run, cancel and retry.

use approval_core::{
    ApprovalStatus, Capability, DecisionRequest, KeyKind, NewTask, OnDependencyFailure, Outcome,
    Refusal, RetryChanges, Status, TaskId, TaskType,
};
use store::{Answer, Command};
use test_support::{Site, task};

use super::{decide, events_after, log_end};

pub async fn creation_fills_in_what_is_absent(site: &mut Site) {
    let content = format!("\n  \n  {}é\nsecond line\t\u{1F600}", "x".repeat(79));
    let view = site.create(site.wish(&content)).await;
    let state = &view.state;
    assert_eq!(state.title, format!("{}é", "x".repeat(79)));
    assert_eq!(view.content, content);
    assert!(!view.content_truncated);
    assert_eq!(
        (state.status, state.attempt, state.timeout_seconds),
        (Status::Pending, 0, 3_600)
    );
    assert_eq!(state.max_attempts, 1);
    assert_eq!(
        (state.requires_approval, view.gated, state.auto_run),
        (false, false, false)
    );
    assert_eq!(state.on_dependency_failure, OnDependencyFailure::Block);
    assert_eq!(state.created_by, site.person.identity);
    assert_eq!(state.lineage, state.id);
    assert_eq!((state.started_at, state.completed_at), (None, None));
    assert_eq!((view.review.clone(), state.evidence_sha256), (None, None));
    assert_eq!(site.task(state.id).await, view);

    let prompt = NewTask::new(TaskType::Prompt, "write", site.desktop.id);
    assert_eq!(site.create(prompt).await.state.max_attempts, 3);
    let mut long = site.wish(&"é".repeat(100_000));
    long.title = Some("t".repeat(200));
    let view = site.create(long).await;
    assert_eq!(site.task(view.state.id).await.content, "é".repeat(100_000));
}

/// Breaks one member of a wish; may name a task that does not exist.
type Spoil = fn(&mut NewTask, TaskId);

pub async fn creation_refuses_what_breaks_a_limit(site: &mut Site) {
    let end = log_end(site).await;
    let unknown: TaskId = uuid::Uuid::now_v7().into();
    let wishes: [(&str, Spoil); 8] = [
        ("content", |new, _| new.content.clear()),
        ("content", |new, _| new.content = "x".repeat(100_001)),
        ("title", |new, _| new.title = Some("t".repeat(201))),
        ("desktopId", |new, _| {
            new.desktop = uuid::Uuid::now_v7().into();
        }),
        ("dependsOn", |new, id| new.depends_on = vec![id]),
        ("dependsOn", |new, id| new.depends_on = vec![id; 51]),
        ("timeoutSeconds", |new, _| {
            new.timeout_seconds = Some(604_801);
        }),
        ("maxAttempts", |new, _| new.max_attempts = Some(11)),
    ];
    for (field, spoil) in wishes {
        let mut new = site.wish("true");
        spoil(&mut new, unknown);
        match site.refused(&site.person, Command::CreateTask(new)).await {
            Refusal::Invalid { field: named, .. } => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert_eq!(log_end(site).await, end, "a refusal was logged");
}

pub async fn first_run_is_first_served(site: &mut Site) {
    let mut ids = Vec::new();
    for content in ["a", "b", "c"] {
        ids.push(site.create(site.wish(content)).await.state.id);
    }
    for id in [ids[2], ids[0], ids[1]] {
        let queued = site.run(id).await;
        assert_eq!(queued.state.status, Status::Running);
        assert_eq!((queued.state.started_at, queued.state.attempt), (None, 0));
    }
    for id in [ids[2], ids[0], ids[1]] {
        let work = site.claim().await.unwrap();
        assert_eq!(work.id(), id);
        let state = &work.claim.task.state;
        assert_eq!((state.status, state.attempt), (Status::Running, 1));
        assert!(state.started_at.is_some());
    }
    assert!(site.claim().await.is_none());
}

pub async fn only_a_pending_task_is_run(site: &mut Site) {
    let first = site.create(site.wish("first")).await.state.id;
    let mut new = site.wish("second");
    new.depends_on = vec![first];
    let second = site.create(new).await.state.id;
    let refusal = site.refused(&site.person, Command::RunTask(second)).await;
    let blocked_by = vec![first];
    assert_eq!(refusal, Refusal::Blocked { blocked_by });
    site.run(first).await;
    let refusal = site.refused(&site.person, Command::RunTask(first)).await;
    let status = Status::Running;
    assert_eq!(refusal, Refusal::NotPending { status });
    assert_eq!(site.status(second).await, Status::Pending);
}

pub async fn a_task_is_cancelled_in_every_state_but_the_last(site: &mut Site) {
    let person = site.person.clone();
    let cancel = async |site: &Site, id| task(site.done(&person, Command::CancelTask(id)).await);

    let pending = site.create(site.wish("pending")).await.state.id;
    let cancelled = cancel(site, pending).await;
    assert_eq!(cancelled.state.status, Status::Cancelled);
    assert_eq!(cancelled.state.completed_at, None);

    let queued = site.queue(site.wish("queued")).await;
    cancel(site, queued).await;
    assert!(site.claim().await.is_none(), "a cancelled task is offered");

    let work = site.start(site.wish("claimed")).await;
    site.heartbeat(&work).await;
    cancel(site, work.id()).await;
    let agent = site.desktop.agent.clone();
    let expires_at = site.task(work.id()).await.state.lease.unwrap().expires_at;
    match site.done(&agent, Command::Heartbeat(work.lease)).await {
        Answer::Heartbeat {
            expires_at: said,
            cancel_requested,
        } => assert_eq!((said, cancel_requested), (expires_at, true)),
        other => panic!("{other:?}"),
    }
    let completion = site.completion(&work, Outcome::Succeeded);
    let error = site.store.complete(completion).await.unwrap_err();
    assert_eq!(error.to_string(), Refusal::LeaseLost.to_string());
    let cancelled = site.task(work.id()).await.state;
    assert_eq!(
        (cancelled.completed_at, cancelled.evidence_sha256),
        (None, None)
    );

    in_review(site).await;

    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        let work = site.start(site.wish("ends")).await;
        let status = site.finish(&work, outcome).await.state.status;
        let refusal = site.refused(&person, Command::CancelTask(work.id())).await;
        assert_eq!(refusal, Refusal::AlreadyFinal { status });
    }
    let refusal = site.refused(&person, Command::CancelTask(pending)).await;
    let status = Status::Cancelled;
    assert_eq!(refusal, Refusal::AlreadyFinal { status });
}

/// In review a cancel is a decision: a person's, and the only one.
async fn in_review(site: &Site) {
    let id = site.to_review("reviewed").await.state.id;
    let (_, service) = site.add_key(KeyKind::Service, None, None).await;
    let refusal = site.refused(&service, Command::CancelTask(id)).await;
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    let end = log_end(site).await;
    site.done(&site.person, Command::CancelTask(id)).await;
    assert_eq!(
        events_after(site, end).await,
        ["task.cancelled by human", "approval.resolved by human"]
    );
    let view = site.approval(id).await;
    assert_eq!(view.task_status, Status::Cancelled);
    assert_eq!(view.approval.status, ApprovalStatus::Cancelled);
    let decided = view.approval.decided.clone().unwrap();
    assert_eq!(decided.by, site.person.identity);
    let decision = decide(id, DecisionRequest::approve());
    let approval = Box::new(view.approval);
    assert_eq!(
        site.refused(&site.person, decision).await,
        Refusal::AlreadyDecided { approval }
    );
}

pub async fn a_retry_copies_and_carries_the_feedback(site: &mut Site) {
    let mut new = site.wish("make it");
    new.title = Some("A title".to_owned());
    new.requires_approval = true;
    new.on_dependency_failure = OnDependencyFailure::Cancel;
    new.timeout_seconds = Some(77);
    new.max_attempts = Some(5);
    let mut id = site.succeed(new).await.state.id;
    let mut chain = vec![id];
    for words in ["too slow", "too ugly"] {
        site.review(id, DecisionRequest::reject(words)).await;
        let retry = Command::RetryTask {
            task: id,
            changes: RetryChanges::default(),
        };
        let view = task(site.done(&site.person, retry).await);
        let state = &view.state;
        assert_eq!((&*view.content, &*state.title), ("make it", "A title"));
        assert_eq!(state.retry_of, Some(id));
        assert_eq!((state.requires_approval, view.gated), (true, true));
        assert_eq!((state.timeout_seconds, state.max_attempts), (77, 5));
        assert_eq!(state.on_dependency_failure, OnDependencyFailure::Cancel);
        assert_eq!(site.task(id).await.state.retried_by, Some(state.id));
        assert_eq!(site.task(state.id).await, view);
        id = view.state.id;
        chain.push(id);
        site.run(id).await;
        let work = site.claim().await.unwrap();
        let told = |view: &store::TaskView| -> Vec<(TaskId, String)> {
            let words = |f: &store::PriorFeedback| {
                let words = f.decided.feedback.as_ref().unwrap();
                (f.task, words.as_str().to_owned())
            };
            view.prior_feedback.iter().map(words).collect()
        };
        let expected: Vec<_> = chain
            .iter()
            .copied()
            .zip(["too slow".to_owned(), "too ugly".to_owned()])
            .take(chain.len() - 1)
            .collect();
        assert_eq!(told(&work.claim.task), expected);
        assert_eq!(told(&site.task(id).await), expected);
        site.finish(&work, Outcome::Succeeded).await;
    }
    let oldest = site.task(chain[0]).await;
    assert!(oldest.prior_feedback.is_empty(), "feedback from the future");
}

pub async fn a_task_is_retried_once_and_only_when_dead(site: &mut Site) {
    let retry = |id, content: &str| Command::RetryTask {
        task: id,
        changes: RetryChanges {
            content: Some(content.to_owned()),
            title: Some("new".to_owned()),
            requires_approval: None,
        },
    };
    let id = site.create(site.wish("one")).await.state.id;
    let refusal = site.refused(&site.person, retry(id, "x")).await;
    let status = Status::Pending;
    assert_eq!(refusal, Refusal::NotRetryable { status });
    site.done(&site.person, Command::CancelTask(id)).await;
    let second = task(site.done(&site.person, retry(id, "two")).await);
    assert_eq!(
        (&*second.content, &*second.state.title, second.state.status),
        ("two", "new", Status::Pending)
    );
    let retried_by = second.state.id;
    assert_eq!(
        site.refused(&site.person, retry(id, "three")).await,
        Refusal::AlreadyRetried { retried_by }
    );
    assert_eq!(site.task(id).await.content, "one");
}

pub async fn a_retry_opens_no_gate(site: &mut Site) {
    let retry = |id, flag| Command::RetryTask {
        task: id,
        changes: RetryChanges {
            requires_approval: flag,
            ..RetryChanges::default()
        },
    };
    // gated by the mode only, found on at the claim
    let mode = |on| Command::ChangeSettings {
        task_approval_mode: Some(on),
        require_evidence: None,
    };
    site.done(&site.person, mode(true)).await;
    let work = site.start(site.wish("gated by the mode")).await;
    site.done(&site.person, mode(false)).await;
    let failed = site.finish(&work, Outcome::Failed).await.state.id;

    let (_, service) = site.add_key(KeyKind::Service, None, None).await;
    let (_, writer) = site
        .add_key(KeyKind::Human, Some(vec![Capability::TasksWrite]), None)
        .await;
    for by in [&service, &writer] {
        let refusal = site.refused(by, retry(failed, Some(false))).await;
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    }
    let gated = task(site.done(&service, retry(failed, None)).await);
    assert!(gated.state.requires_approval && gated.gated);

    site.done(&site.person, Command::CancelTask(gated.state.id))
        .await;
    let open = retry(gated.state.id, Some(false));
    let open = task(site.done(&site.person, open).await);
    assert!(!open.state.requires_approval && !open.gated);
}
