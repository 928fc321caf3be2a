//! A request that may be repeated is answered again, not done again.

use approval_core::{DecisionRequest, Principal, Refusal, Status};
use store::{Answered, Command, Idempotency, Request, SubmitError, TaskFilter};
use test_support::{Site, task};

use super::{decide, in_one_batch, log_end};

fn keyed(site: &Site, by: &Principal, key: &str, body: &str, command: Command) -> Request {
    let path = "/api/mission-control/tasks";
    Request {
        session: None,
        idempotency: Some(Idempotency::new(key, "POST", path, body.as_bytes())),
        ..site.request(by, command)
    }
}

async fn submit(site: &Site, request: &Request) -> Answered {
    site.store.submit(request.clone()).await.unwrap()
}

async fn tasks(site: &Site) -> i64 {
    let scope = site.everything();
    let filter = TaskFilter {
        limit: 1,
        ..TaskFilter::default()
    };
    site.read(move |reads| reads.tasks(scope, &filter))
        .await
        .total
}

pub async fn a_repeat_is_answered_and_not_done_again(site: &mut Site) {
    let person = site.person.clone();
    let create = Command::CreateTask(site.wish("é content that is joined again"));
    let create = keyed(site, &person, "k1", "b", create);
    let first = submit(site, &create).await;
    assert!(!first.replayed);
    let id = task(first.answer.clone()).state.id;
    site.run(id).await;
    let end = log_end(site).await;
    let again = submit(site, &create).await;
    assert!(again.replayed);
    assert_eq!(again.answer, first.answer, "the answer as it was then");
    assert_eq!((tasks(site).await, log_end(site).await), (1, end));
    site.restart();
    assert_eq!(submit(site, &create).await.answer, first.answer);

    let work = site.claim().await.unwrap();
    site.finish(&work, approval_core::Outcome::Succeeded).await;
    let reviewed = site.to_review("decide once").await.state.id;
    let approval = site.approval(reviewed).await.approval.id;
    let resolve = Command::Decide {
        target: store::DecisionTarget::Approval(approval),
        request: DecisionRequest::approve(),
    };
    let resolve = keyed(site, &person, "k2", "b", resolve);
    let first = submit(site, &resolve).await;
    let again = submit(site, &resolve).await;
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(again.answer, first.answer);

    let settings = Command::ChangeSettings {
        task_approval_mode: Some(true),
        require_evidence: None,
    };
    let settings = keyed(site, &person, "k3", "b", settings);
    let first = submit(site, &settings).await;
    assert_eq!(submit(site, &settings).await.answer, first.answer);
}

pub async fn a_key_belongs_to_one_body_and_one_caller(site: &mut Site) {
    let person = site.person.clone();
    let create = Command::CreateTask(site.wish("x"));
    let request = keyed(site, &person, "k", "one body", create.clone());
    submit(site, &request).await;
    let other = keyed(site, &person, "k", "another body", create.clone());
    let refused = site.store.submit(other).await;
    assert!(matches!(refused, Err(SubmitError::IdempotencyMismatch)));
    assert_eq!(tasks(site).await, 1);

    let (_, service) = site
        .add_key(approval_core::KeyKind::Service, None, None)
        .await;
    let own = keyed(site, &service, "k", "another body", create.clone());
    assert!(!submit(site, &own).await.replayed);
    let mut elsewhere = request.clone();
    elsewhere.idempotency = Some(Idempotency::new("k", "POST", "/other", b"one body"));
    assert!(!submit(site, &elsewhere).await.replayed);
    assert_eq!(tasks(site).await, 3);
}

pub async fn a_repeat_in_the_same_batch_waits(site: &mut Site) {
    let create = Command::CreateTask(site.wish("x"));
    let request = keyed(site, &site.person, "k", "b", create);
    let outcomes = in_one_batch(site, vec![request.clone(); 3]).await;
    assert!(outcomes[0].as_ref().is_ok_and(|a| !a.replayed));
    for repeat in &outcomes[1..] {
        assert!(matches!(repeat, Err(SubmitError::InProgress)), "{repeat:?}");
    }
    assert_eq!(tasks(site).await, 1);
    assert!(submit(site, &request).await.replayed);

    // an upload is written after the decisions of its batch, but repeats like anything else
    let work = site.start(site.wish("y")).await;
    let entry = test_support::log_entry(0, approval_core::LogStream::Stdout, b"line");
    let append = Command::AppendLogs {
        lease: work.lease,
        entries: vec![entry],
    };
    let append = keyed(site, &site.desktop.agent, "k", "b", append);
    for outcome in in_one_batch(site, vec![append.clone(); 2]).await {
        assert!(
            matches!(outcome, Ok(_) | Err(SubmitError::InProgress)),
            "{outcome:?}"
        );
    }
    assert!(submit(site, &append).await.replayed);
}

pub async fn a_refusal_is_not_kept(site: &mut Site) {
    let person = site.person.clone();
    let id = site.create(site.wish("x")).await.state.id;
    let approve = decide(id, DecisionRequest::approve());
    let request = keyed(site, &person, "k", "b", approve);
    let refused = site.store.submit(request.clone()).await;
    let status = Status::Pending;
    assert!(matches!(
        refused,
        Err(SubmitError::Refused(refusal)) if refusal == Refusal::NotInReview { status }
    ));
    site.done(
        &person,
        Command::ChangeSettings {
            task_approval_mode: Some(true),
            require_evidence: None,
        },
    )
    .await;
    site.run(id).await;
    let work = site.claim().await.unwrap();
    site.finish(&work, approval_core::Outcome::Succeeded).await;
    assert!(!submit(site, &request).await.replayed);
    assert_eq!(site.status(id).await, Status::Done);
}
