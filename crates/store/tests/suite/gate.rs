//! The rule: gated work waits for one decision of a person.

use approval_core::{
    ActorKind, ApprovalStatus, Capability, Decision, DecisionRequest, GateReason, KeyKind, Outcome,
    Principal, Refusal, Status,
};
use store::{Answer, Command, DecisionTarget, Sweep};
use test_support::Site;

use super::{decide, events_after, log_end};

fn mode(on: bool) -> Command {
    Command::ChangeSettings {
        task_approval_mode: Some(on),
        require_evidence: None,
    }
}

pub async fn gated_work_waits_for_a_person(site: &mut Site) {
    let end = log_end(site).await;
    let mut new = site.wish("deploy");
    new.requires_approval = true;
    let id = site.create(new).await.state.id;
    site.run(id).await;
    let work = site.claim().await.unwrap();
    let view = site.finish(&work, Outcome::Succeeded).await;
    assert_eq!(view.state.status, Status::Review);
    assert!(view.state.completed_at.is_some() && view.gated);
    assert_eq!(site.task(id).await, view);

    let waiting = site.approval(id).await;
    let approval = &waiting.approval;
    assert_eq!(
        (approval.status, approval.reason, approval.attempt),
        (ApprovalStatus::Pending, GateReason::Task, 1)
    );
    assert_eq!(Some(approval.evidence_sha256), view.state.evidence_sha256);
    assert_eq!(
        (&*waiting.content, &*waiting.title, &*waiting.desktop_name),
        ("deploy", "deploy", "first")
    );
    assert_eq!(waiting.task_status, Status::Review);
    assert_eq!(waiting.task_completed_at, view.state.completed_at);

    let done = site.review(id, DecisionRequest::approve()).await;
    assert_eq!(done.state.status, Status::Done);
    assert_eq!(
        done.state.completed_at, view.state.completed_at,
        "a decision is not the finish"
    );
    let decided = done.review.clone().unwrap();
    assert_eq!(decided.status, ApprovalStatus::Approved);
    assert_eq!(decided.decided.unwrap().by, site.person.identity);
    assert_eq!(site.task(id).await, done);
    assert_eq!(
        events_after(site, end).await,
        [
            "task.created by human",
            "task.queued by human",
            "desktop.status by agent",
            "task.started by agent",
            "task.completed by agent",
            "approval.created by agent",
            "approval.resolved by human"
        ]
    );
}

pub async fn ungated_work_is_done_and_failed_work_fails(site: &mut Site) {
    let done = site.succeed(site.wish("free")).await;
    assert_eq!((done.state.status, done.review), (Status::Done, None));
    let mut new = site.wish("gated");
    new.requires_approval = true;
    let work = site.start(new).await;
    let failed = site.finish(&work, Outcome::Failed).await;
    assert_eq!((failed.state.status, failed.review), (Status::Failed, None));
    for (id, status) in [
        (done.state.id, Status::Done),
        (failed.state.id, Status::Failed),
    ] {
        let refusal = site
            .refused(&site.person, decide(id, DecisionRequest::approve()))
            .await;
        assert_eq!(refusal, Refusal::NotInReview { status });
    }
}

pub async fn two_doors_lead_to_one_decision(site: &mut Site) {
    let id = site.to_review("once").await.state.id;
    let waiting = site.approval(id).await;
    let door = DecisionTarget::Approval(waiting.approval.id);
    let resolve = |request| Command::Decide {
        target: door,
        request,
    };
    let answer = site
        .done(&site.person, resolve(DecisionRequest::approve()))
        .await;
    let Answer::Approval(decided) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(decided.approval.status, ApprovalStatus::Approved);
    assert_eq!(decided.task_status, Status::Done);
    assert_eq!(decided.content, "once");
    assert_eq!(site.approval(id).await, *decided);

    let end = log_end(site).await;
    for request in [DecisionRequest::approve(), DecisionRequest::reject("late")] {
        for command in [resolve(request.clone()), decide(id, request)] {
            let approval = Box::new(decided.approval.clone());
            assert_eq!(
                site.refused(&site.person, command).await,
                Refusal::AlreadyDecided { approval }
            );
        }
    }
    assert_eq!(log_end(site).await, end);
}

pub async fn a_rejection_keeps_its_words(site: &mut Site) {
    let id = site.to_review("reject me").await.state.id;
    let too_long = decide(id, DecisionRequest::reject("x".repeat(10_001)));
    let refusal = site.refused(&site.person, too_long).await;
    assert!(
        matches!(
            refusal,
            Refusal::Invalid {
                field: "feedback",
                ..
            }
        ),
        "{refusal:?}"
    );
    let words = format!("{}\n\u{1F600}'; DROP TABLE tasks; --", "é".repeat(9_000));
    let view = site.review(id, DecisionRequest::reject(&words)).await;
    assert_eq!(
        (view.state.status, view.state.error),
        (Status::Failed, None)
    );
    let kept = view.review.unwrap().decided.unwrap().feedback.unwrap();
    assert_eq!(kept.as_str(), words);
    let read = site.approval(id).await.approval;
    assert_eq!(read.status.decision(), Some(Decision::Reject));
    assert_eq!(read.decided.unwrap().feedback, Some(kept));

    let blank = site.to_review("approve me").await.state.id;
    let mut request = DecisionRequest::approve();
    request.feedback = Some(" \n".to_owned());
    site.review(blank, request).await;
    let decided = site.approval(blank).await.approval.decided.unwrap();
    assert_eq!(decided.feedback, None);
}

pub async fn the_mode_closes_the_gate_at_a_claim_and_at_the_finish(site: &mut Site) {
    let person = site.person.clone();
    for (at_claim, at_finish) in [(false, false), (true, false), (false, true), (true, true)] {
        site.done(&person, mode(false)).await;
        let id = site.queue(site.wish("x")).await;
        site.done(&person, mode(at_claim)).await;
        assert_eq!(site.task(id).await.gated, at_claim, "shown while queued");
        let work = site.claim().await.unwrap();
        site.done(&person, mode(at_finish)).await;
        assert_eq!(site.task(id).await.gated, at_claim || at_finish);
        let view = site.finish(&work, Outcome::Succeeded).await;
        let gated = at_claim || at_finish;
        assert_eq!(view.state.status == Status::Review, gated);
        // neither releases nor catches what has finished
        site.done(&person, mode(false)).await;
        assert_eq!(site.status(id).await, view.state.status);
        site.done(&person, mode(true)).await;
        assert_eq!(site.task(id).await.gated, gated);
        if gated {
            let reason = site.approval(id).await.approval.reason;
            assert_eq!(reason, GateReason::Global);
        }
    }

    // the first of two attempts met the mode
    site.done(&person, mode(true)).await;
    let mut new = site.wish("twice");
    new.max_attempts = Some(2);
    let first = site.start(new).await;
    site.heartbeat(&first).await;
    site.done(&person, mode(false)).await;
    site.db
        .execute("UPDATE tasks SET lease_expires_at = 1 WHERE lease_token IS NOT NULL")
        .unwrap();
    let expire = Command::Sweep(Sweep::ExpireLease(first.id()));
    site.done(&Principal::system(), expire).await;
    let second = site.claim().await.unwrap();
    assert_eq!(second.claim.task.state.attempt, 2);
    let view = site.finish(&second, Outcome::Succeeded).await;
    assert_eq!(view.state.status, Status::Review);
}

pub async fn a_decision_names_the_sealed_evidence_or_none(site: &mut Site) {
    let view = site.to_review("evidence").await;
    let id = view.state.id;
    let sealed = view.state.evidence_sha256.unwrap();
    let naming = |text: &str| {
        let mut request = DecisionRequest::approve();
        request.evidence_sha256 = Some(text.to_owned());
        decide(id, request)
    };
    for other in ["0".repeat(64), String::new(), sealed.to_string() + "0"] {
        assert_eq!(
            site.refused(&site.person, naming(&other)).await,
            Refusal::EvidenceMismatch { sealed }
        );
    }
    let require = Command::ChangeSettings {
        task_approval_mode: None,
        require_evidence: Some(true),
    };
    site.done(&site.person, require).await;
    let bare = decide(id, DecisionRequest::approve());
    assert_eq!(
        site.refused(&site.person, bare).await,
        Refusal::EvidenceRequired
    );
    assert_eq!(site.status(id).await, Status::Review);
    site.done(&site.person, naming(&sealed.to_string())).await;
    assert_eq!(site.status(id).await, Status::Done);
}

pub async fn only_people_decide(site: &mut Site) {
    let id = site.to_review("people only").await.state.id;
    let approval = site.approval(id).await.approval.id;
    let (_, service) = site.add_key(KeyKind::Service, None, None).await;
    let (_, reader) = site
        .add_key(KeyKind::Human, Some(vec![Capability::TasksRead]), None)
        .await;
    let mut disguised = site.desktop.agent.clone();
    disguised.capabilities = Capability::ALL.iter().copied().collect();
    let system = Principal::system();
    for by in [&service, &reader, &site.desktop.agent, &disguised, &system] {
        for target in [DecisionTarget::Task(id), DecisionTarget::Approval(approval)] {
            let request = DecisionRequest::approve();
            let refusal = site.refused(by, Command::Decide { target, request }).await;
            assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
        }
    }
    assert_eq!(site.status(id).await, Status::Review);

    let (_, key) = site
        .add_key(
            KeyKind::Human,
            Some(vec![Capability::ApprovalsDecide]),
            None,
        )
        .await;
    site.done(&key, decide(id, DecisionRequest::approve()))
        .await;
    let decided = site.approval(id).await.approval.decided.unwrap();
    assert_eq!(decided.by, key.identity);
    assert_eq!(decided.by.kind, ActorKind::Human);
}
