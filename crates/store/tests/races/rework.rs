//! An approval is of one attempt: what was said of rejected work says nothing of the work that replaces it.

use std::collections::HashSet;

use approval_core::{ApprovalStatus, DecisionRequest, Refusal, RetryChanges, Status};
use store::{Command, DecisionTarget, SubmitError};
use test_support::rounds;
use tokio::task::JoinSet;

use crate::field::Field;

/// Rejections that are reworked, when nobody asks for more.
const ROUNDS: usize = 100;
/// Reworked at the same time.
const AT_ONCE: usize = 20;

/// Reject, retry and complete; then approve through the rejected approval and the rejected task, by
/// several clients while others decide about the new work.
pub async fn no_approval_outlives_the_rework(field: &Field) {
    let mut left = rounds(ROUNDS);
    let mut seen = HashSet::new();
    while left > 0 {
        let share = left.min(AT_ONCE) as usize;
        left -= left.min(AT_ONCE);
        let rejected = field.queue(share, true).await;
        let works = field.claim_all(4).await;
        field.complete_all(&works, 4).await;
        let person = &field.site.person;
        let by_task = |id, request| Command::Decide {
            target: DecisionTarget::Task(id),
            request,
        };
        let reject = rejected
            .iter()
            .map(|id| field.request(person, by_task(*id, DecisionRequest::reject("again"))));
        for answer in field.at_once(reject.collect()).await {
            answer.unwrap();
        }
        let retry = rejected.iter().map(|id| {
            let changes = RetryChanges::default();
            field.request(person, Command::RetryTask { task: *id, changes })
        });
        let answers = field.at_once(retry.collect()).await;
        let reworked: Vec<_> = answers
            .into_iter()
            .map(|answer| test_support::task(answer.unwrap()))
            .collect();
        assert!(reworked.iter().all(|t| t.state.gated), "retried ungated");
        let works = field.claim_all(4).await;
        assert_eq!(works.len(), share);

        // the old approvals, while the new work comes to its review
        let approvals = field.approvals().await;
        let mut replays = JoinSet::new();
        for (n, id) in rejected.iter().enumerate() {
            let old = approvals[id].clone();
            assert!(seen.insert(old.id), "an approval for two attempts");
            for target in [DecisionTarget::Task(*id), DecisionTarget::Approval(old.id)] {
                let request = DecisionRequest::approve();
                let request = field.request(person, Command::Decide { target, request });
                let (store, old) = (field.store(n), old.clone());
                replays.spawn(async move {
                    match store.submit(request).await.map(|a| a.answer) {
                        Err(SubmitError::Refused(Refusal::AlreadyDecided { approval })) => {
                            assert_eq!(*approval, old);
                        }
                        other => panic!("an old approval was used: {other:?}"),
                    }
                });
            }
        }
        field.complete_all(&works, 4).await;
        replays.join_all().await;

        let approvals = field.approvals().await;
        let statuses = field.statuses().await;
        for (old, new) in rejected.iter().zip(&reworked) {
            let id = new.state.id;
            assert_eq!(approvals[old].status, ApprovalStatus::Rejected);
            assert_eq!(approvals[&id].status, ApprovalStatus::Pending);
            assert_ne!(approvals[&id].id, approvals[old].id);
            assert_eq!(
                (statuses[old], statuses[&id]),
                (Status::Failed, Status::Review)
            );
        }
    }
}
