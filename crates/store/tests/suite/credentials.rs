//! Keys, an agent's narrow world, and accounts that know nothing of each other.

use approval_core::{
    ApprovalStatus, Capability, DecisionRequest, Digest, KeyKind, KeyRequest, LogStream, NewTask,
    Refusal, RetryChanges, Status, TaskId,
};
use store::{
    ApprovalFilter, Command, CredentialId, DecisionTarget, KeyText, Leased, Request, Scope,
    SubmitError, TaskFilter,
};
use test_support::{Runner, Site, log_entry, task};

use super::{decide, hears, in_one_batch, log_end};

fn key_of(principal: &approval_core::Principal) -> approval_core::KeyId {
    match principal.identity.id {
        approval_core::PrincipalId::Key(id) => id,
        other => panic!("{other} is not a key"),
    }
}

fn on(site: &Site, runner: &Runner, content: &str) -> NewTask {
    let mut new = site.wish(content);
    new.desktop = runner.id;
    new
}

pub async fn a_key_has_what_it_was_given(site: &mut Site) {
    use Capability::{ApprovalsDecide, KeysWrite, TasksRead, TasksRun, TasksWrite};
    let (view, service) = site.add_key(KeyKind::Service, None, None).await;
    assert_eq!(view.capabilities, [TasksRead, TasksWrite, TasksRun]);
    assert_eq!(
        service.capabilities,
        view.capabilities.iter().copied().collect()
    );
    assert_eq!((view.last_used_at, view.desktop), (None, None));
    let (view, all) = site.add_key(KeyKind::Human, None, None).await;
    assert_eq!(view.capabilities, Capability::ALL);
    assert_eq!(site.desktop.agent.desktop, Some(site.desktop.id));
    let (_, giver) = site
        .add_key(KeyKind::Human, Some(vec![KeysWrite, TasksRead]), None)
        .await;

    let mint = |kind, capabilities, desktop| {
        let digest = KeyText::generate(kind).unwrap().digest();
        let request = KeyRequest {
            name: "minted".to_owned(),
            kind,
            capabilities,
            desktop,
        };
        Command::CreateKey { request, digest }
    };
    let minted = site.done(&giver, mint(KeyKind::Human, None, None)).await;
    let store::Answer::Key(view) = minted else {
        panic!("{minted:?}")
    };
    assert_eq!(view.capabilities, [TasksRead, KeysWrite]);
    let unknown = Some(uuid::Uuid::now_v7().into());
    for (by, command) in [
        (
            &giver,
            mint(KeyKind::Human, Some(vec![ApprovalsDecide]), None),
        ),
        (&service, mint(KeyKind::Human, None, None)),
        (
            &all,
            mint(KeyKind::Service, Some(vec![ApprovalsDecide]), None),
        ),
        (
            &all,
            mint(
                KeyKind::Agent,
                Some(vec![ApprovalsDecide]),
                Some(site.desktop.id),
            ),
        ),
        (&all, mint(KeyKind::Agent, None, None)),
        (&all, mint(KeyKind::Agent, None, unknown)),
    ] {
        let refusal = site.refused(by, command).await;
        assert!(
            matches!(refusal, Refusal::Forbidden(_) | Refusal::Invalid { .. }),
            "{refusal:?}"
        );
    }
    let nobody = Digest::of(b"nobody's key");
    assert_eq!(site.read(move |r| r.credential(&nobody)).await, None);
}

pub async fn a_revoked_key_commits_nothing(site: &mut Site) {
    let (view, key) = site.add_key(KeyKind::Human, None, None).await;
    let reviewed = site.to_review("x").await.state.id;
    let mut hints = site.store.changes();
    let revoke = Command::RevokeKey(view.id);
    // the revocation and a decision by that key, in one batch
    let approve = decide(reviewed, DecisionRequest::approve());
    let outcomes = in_one_batch(
        site,
        vec![
            site.request(&site.person, revoke.clone()),
            site.request(&key, approve.clone()),
        ],
    )
    .await;
    assert!(outcomes[0].is_ok(), "{:?}", outcomes[0]);
    assert!(matches!(outcomes[1], Err(SubmitError::Revoked)));
    let end = log_end(site).await;
    let later = site.submit(&key, approve).await;
    assert!(matches!(later, Err(SubmitError::Revoked)));
    assert_eq!(log_end(site).await, end);
    assert_eq!(site.status(reviewed).await, Status::Review);

    hears(
        &mut hints,
        store::Change::Revoked {
            credential: CredentialId::Key(view.id),
        },
    )
    .await;
    let ids = [view.id, key_of(&site.desktop.agent)].map(CredentialId::Key);
    let ended = site.read(move |reads| reads.ended(&ids)).await;
    assert_eq!(ended, [CredentialId::Key(view.id)]);
    assert_eq!(
        site.refused(&site.person, revoke).await,
        Refusal::NotFound("API key")
    );
    let text = KeyText::generate(KeyKind::Service).unwrap().digest();
    let sha256 = text.sha256;
    let request = KeyRequest {
        name: "short-lived".to_owned(),
        kind: KeyKind::Service,
        capabilities: None,
        desktop: None,
    };
    let create = Command::CreateKey {
        request,
        digest: text,
    };
    let answer = site.done(&site.person, create).await;
    let store::Answer::Key(view) = answer else {
        panic!("{answer:?}")
    };
    let known = site.read(move |reads| reads.credential(&sha256)).await;
    assert_eq!(known.unwrap().id, CredentialId::Key(view.id));
    site.done(&site.person, Command::RevokeKey(view.id)).await;
    assert_eq!(site.read(move |r| r.credential(&sha256)).await, None);
}

pub async fn the_use_of_keys_is_noted(site: &mut Site) {
    let id = key_of(&site.desktop.agent);
    let end = log_end(site).await;
    site.done(&site.person, Command::TouchKeys(vec![id])).await;
    let account = site.account;
    let keys = site.read(move |reads| reads.keys(account, 9, None)).await;
    assert!(keys.items[0].last_used_at.is_some());
    assert_eq!(log_end(site).await, end, "a use is not an event");
}

pub async fn an_agent_works_on_its_desktop_only(site: &mut Site) {
    let agent = site.desktop.agent.clone();
    let elsewhere = site.add_desktop("elsewhere").await;
    let foreign = site.create(on(site, &elsewhere, "foreign")).await.state.id;
    let retry = |id| Command::RetryTask {
        task: id,
        changes: RetryChanges::default(),
    };
    for command in [Command::CancelTask(foreign), retry(foreign)] {
        let refusal = site.refused(&agent, command).await;
        assert_eq!(refusal, Refusal::NotFound("task"));
    }
    let lease = Leased {
        task: foreign,
        token: Digest::of(b"guess"),
    };
    site.done(&site.person, Command::RunTask(foreign)).await;
    let claim = Command::Claim {
        desktop: elsewhere.id,
        token: lease.token,
    };
    assert_eq!(
        site.refused(&agent, claim).await,
        Refusal::NotFound("desktop")
    );
    let theirs = site.claim_on(&elsewhere).await.unwrap();
    // a dependency is there to be seen, not to be touched
    let mut child = site.wish("child");
    child.depends_on = vec![foreign];
    site.create(child).await;
    let refusal = site.refused(&agent, Command::CancelTask(foreign)).await;
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    for command in [
        Command::Heartbeat(theirs.lease),
        Command::AppendLogs {
            lease: theirs.lease,
            entries: vec![log_entry(0, LogStream::Stdout, b"x")],
        },
    ] {
        let refusal = site.refused(&agent, command).await;
        assert_eq!(refusal, Refusal::NotFound("task"));
    }

    let mut outside = on(site, &elsewhere, "outside");
    let mut leaning = site.wish("leaning");
    leaning.depends_on = vec![foreign];
    for new in [outside.clone(), leaning] {
        let refusal = site.refused(&agent, Command::CreateTask(new)).await;
        assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    }
    outside.desktop = site.desktop.id;
    outside.auto_run = true;
    let refusal = site.refused(&agent, Command::CreateTask(outside)).await;
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");

    let own = task(
        site.done(&agent, Command::CreateTask(site.wish("own")))
            .await,
    );
    assert!(own.state.requires_approval && own.gated);
    let theirs = site.create(site.wish("a person's")).await.state.id;
    for command in [Command::CancelTask(theirs), Command::RunTask(own.state.id)] {
        let refusal = site.refused(&agent, command).await;
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    }
    site.done(&agent, Command::CancelTask(own.state.id)).await;
    let again = task(site.done(&agent, retry(own.state.id)).await);
    assert!(again.state.requires_approval);
}

pub async fn an_agent_sees_its_desktop_and_what_that_builds_on(site: &mut Site) {
    let elsewhere = site.add_desktop("elsewhere").await;
    let mut parent = on(site, &elsewhere, "parent");
    parent.requires_approval = true;
    parent.auto_run = true;
    let first = site.create(parent.clone()).await.state.id;
    let unseen = site.create(parent).await.state.id;
    for _ in 0..2 {
        let mut work = site.claim_on(&elsewhere).await.unwrap();
        work.claim.inputs.clear();
        let mut completion = site.completion(&work, approval_core::Outcome::Succeeded);
        completion.principal = elsewhere.agent.clone();
        site.store.complete(completion).await.unwrap();
    }
    let mut child = site.wish("child");
    child.depends_on = vec![first];
    let child = site.create(child).await.state.id;
    site.review(first, DecisionRequest::reject("again")).await;
    let changes = RetryChanges::default();
    let retry = Command::RetryTask {
        task: first,
        changes,
    };
    let second = task(site.done(&site.person, retry).await).state.id;

    let world = Scope {
        account: site.account,
        desktop: Some(site.desktop.id),
    };
    let sees = async |site: &Site, id: TaskId| {
        let found = site
            .read(move |r| Ok((r.task(world, id)?, r.attempt(world, id)?)))
            .await;
        assert_eq!(found.0.is_some(), found.1.is_some());
        found.0.is_some()
    };
    for (id, seen) in [
        (child, true),
        (first, true),
        (second, true),
        (unseen, false),
    ] {
        assert_eq!(sees(site, id).await, seen, "{id}");
    }
    let filter = TaskFilter {
        limit: 10,
        ..TaskFilter::default()
    };
    let page = site.read(move |reads| reads.tasks(world, &filter)).await;
    let ids: Vec<TaskId> = page.items.iter().map(|t| t.state.id).collect();
    assert_eq!((ids, page.total), (vec![second, child, first], 3));

    let all = ApprovalFilter {
        status: None,
        limit: 10,
        after: None,
    };
    let page = site.read(move |reads| reads.approvals(world, &all)).await;
    assert_eq!((page.items.len(), page.total), (1, 1));
    assert_eq!(page.items[0].approval.task, first);
    assert_eq!(page.items[0].approval.status, ApprovalStatus::Rejected);
    for (task, seen) in [(first, true), (unseen, false)] {
        let id = site.approval(task).await.approval.id;
        let found = site.read(move |reads| reads.approval(world, id)).await;
        assert_eq!(found.is_some(), seen);
    }
}

pub async fn accounts_are_separate_worlds(site: &mut Site) {
    let (account, stranger) = site.add_account("eve@example.org");
    let desktop = Command::CreateDesktop {
        name: "theirs".to_owned(),
    };
    let theirs = Request {
        account,
        ..site.request(&stranger, desktop)
    };
    let theirs = match site.store.submit(theirs).await.unwrap().answer {
        store::Answer::Desktop(view) => view.id,
        other => panic!("{other:?}"),
    };
    let reviewed = site.to_review("mine").await.state.id;
    let approval = site.approval(reviewed).await.approval.id;
    let pending = site.create(site.wish("mine too")).await.state.id;
    let request = DecisionRequest::approve();
    let mut leaning = site.wish("leaning");
    leaning.desktop = theirs;
    leaning.depends_on = vec![pending];
    let changes = RetryChanges::default();
    let key = key_of(&site.desktop.agent);
    let commands = [
        Command::RunTask(pending),
        Command::CancelTask(pending),
        Command::RetryTask {
            task: pending,
            changes,
        },
        decide(reviewed, request.clone()),
        Command::Decide {
            target: DecisionTarget::Approval(approval),
            request,
        },
        Command::DeleteDesktop(site.desktop.id),
        Command::RevokeKey(key),
        Command::CreateTask(site.wish("on a foreign desktop")),
        Command::CreateTask(leaning),
    ];
    let end = log_end(site).await;
    // one batch with a command of the account itself, so that all its rows are at hand
    let mut requests = vec![site.request(&site.person, Command::TouchKeys(Vec::new()))];
    for command in commands {
        requests.push(Request {
            account,
            ..site.request(&stranger, command)
        });
    }
    // a key of one account says nothing in another
    requests.push(Request {
        account,
        ..site.request(&site.desktop.agent, Command::SeeDesktop(site.desktop.id))
    });
    let mut outcomes = in_one_batch(site, requests).await;
    let smuggled = outcomes.pop().unwrap();
    assert!(
        matches!(smuggled, Err(SubmitError::Revoked)),
        "{smuggled:?}"
    );
    for outcome in &outcomes[1..] {
        match outcome {
            Err(SubmitError::Refused(
                Refusal::NotFound(_)
                | Refusal::Invalid {
                    field: "desktopId" | "dependsOn",
                    ..
                },
            )) => {}
            other => panic!("{other:?}"),
        }
    }

    let theirs = Scope {
        account,
        desktop: None,
    };
    let desktop = site.desktop.id;
    let found = site
        .read(move |r| {
            let filter = TaskFilter {
                limit: 9,
                ..TaskFilter::default()
            };
            Ok((
                r.task(theirs, pending)?.is_some(),
                r.approval(theirs, approval)?.is_some(),
                r.attempt(theirs, pending)?.is_some(),
                r.desktop(account, desktop)?.is_some(),
                r.tasks(theirs, &filter)?.total,
                r.keys(account, 9, None)?.total,
                r.activity_total(account)?,
            ))
        })
        .await;
    assert_eq!(found, (false, false, false, false, 0, 0, 1));
    assert_eq!(log_end(site).await, end);
    assert_eq!(site.status(pending).await, Status::Pending);
}
