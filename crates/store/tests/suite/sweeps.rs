//! What time makes due. Only one scenario waits for it; the others move the clock of a row.

use approval_core::{LogStream, Outcome, Principal, Refusal, Status, TaskId};
use store::{Answered, Command, Idempotency, Request, Sweep};
use test_support::{Site, Work, log_entry};

use super::{events_after, eventually, log_end};

async fn sweep(site: &Site, sweep: Sweep) {
    site.done(&Principal::system(), Command::Sweep(sweep)).await;
}

/// Lets a lease end, as if its time had passed.
async fn expire(site: &Site, work: &Work) {
    let id = work.id();
    let sql = format!("UPDATE tasks SET lease_expires_at = 1 WHERE id = '{id}'");
    site.db.execute(&sql).unwrap();
    sweep(site, Sweep::ExpireLease(id)).await;
}

async fn attempts(site: &Site, id: TaskId) -> (u32, Status) {
    let state = site.task(id).await.state;
    (state.attempt, state.status)
}

pub async fn a_claim_without_a_sign_of_life_does_not_count(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    eventually(
        "a claim that came to nothing is offered again",
        async || site.task(id).await.state.lease.is_none(),
    )
    .await;
    let state = site.task(id).await.state;
    assert_eq!((state.attempt, state.status), (0, Status::Running));
    assert_eq!(state.started_at, None);
    let agent = site.desktop.agent.clone();
    let late = site.refused(&agent, Command::Heartbeat(work.lease)).await;
    assert_eq!(late, Refusal::LeaseLost);
    let again = site.claim().await.unwrap();
    assert_eq!(again.claim.task.state.attempt, 1);
    let view = site.finish(&again, Outcome::Succeeded).await;
    assert_eq!((view.state.attempt, view.state.status), (1, Status::Done));
}

pub async fn a_silent_runner_is_replaced_until_its_attempts_are_used_up(site: &mut Site) {
    let mut new = site.wish("x");
    new.max_attempts = Some(2);
    let first = site.start(new).await;
    let id = first.id();
    site.print(&first, 0, "of the first attempt").await;
    let mut waiting = site.wish("waits");
    waiting.depends_on = vec![id];
    waiting.on_dependency_failure = approval_core::OnDependencyFailure::Cancel;
    let waiting = site.create(waiting).await.state.id;
    let other = site.queue(site.wish("was queued later")).await;

    let end = log_end(site).await;
    expire(site, &first).await;
    assert_eq!(events_after(site, end).await, ["task.queued by system"]);
    assert_eq!(attempts(site, id).await, (1, Status::Running));
    let agent = site.desktop.agent.clone();
    let late = Command::AppendLogs {
        lease: first.lease,
        entries: vec![log_entry(1, LogStream::Stdout, b"late")],
    };
    assert_eq!(site.refused(&agent, late).await, Refusal::LeaseLost);

    let second = site.claim().await.unwrap();
    assert_eq!(second.id(), id, "it keeps its place in the queue");
    assert_eq!(second.claim.task.state.attempt, 2);
    site.print(&second, 0, "of the second attempt").await;
    let logs = site
        .read(move |r| Ok((r.logs(id, 1, -1, 9)?, r.logs(id, 2, -1, 9)?)))
        .await;
    assert_eq!((logs.0.len(), logs.1.len()), (1, 1));
    assert_eq!(logs.1[0].bytes, b"of the second attempt");

    let end = log_end(site).await;
    expire(site, &second).await;
    assert_eq!(
        events_after(site, end).await,
        ["task.completed by system", "task.cancelled by system"]
    );
    assert_eq!(attempts(site, id).await, (2, Status::Failed));
    assert_eq!(site.status(waiting).await, Status::Cancelled);
    let error = site.task(id).await.state.error.unwrap();
    assert!(error.contains("2 of 2"), "{error}");
    let late = site
        .store
        .complete(site.completion(&second, Outcome::Succeeded))
        .await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(site.claim().await.unwrap().id(), other);
}

pub async fn a_living_lease_is_left_alone(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    site.heartbeat(&work).await;
    let before = site.task(work.id()).await;
    let end = log_end(site).await;
    sweep(site, Sweep::ExpireLease(work.id())).await;
    sweep(site, Sweep::TimeOut(work.id())).await;
    sweep(site, Sweep::StopDesktop(site.desktop.id)).await;
    assert_eq!(site.task(work.id()).await, before);
    assert_eq!(log_end(site).await, end);

    // an outage of ours does not cost a runner its lease
    site.db
        .execute("UPDATE tasks SET lease_expires_at = 1 WHERE lease_token IS NOT NULL")
        .unwrap();
    sweep(site, Sweep::RearmLease(work.id())).await;
    sweep(site, Sweep::ExpireLease(work.id())).await;
    site.heartbeat(&work).await;
    assert_eq!(attempts(site, work.id()).await, (1, Status::Running));
}

pub async fn a_time_out_is_enforced_a_minute_late(site: &mut Site) {
    let mut new = site.wish("x");
    new.timeout_seconds = Some(100);
    let work = site.start(new).await;
    site.heartbeat(&work).await;
    let back = |seconds: i64| {
        format!(
            "UPDATE tasks SET started_at = created_at - {} WHERE id = '{}'",
            seconds * 1_000_000,
            work.id()
        )
    };
    // created a moment ago, so ten seconds are left
    site.db.execute(&back(150)).unwrap();
    sweep(site, Sweep::TimeOut(work.id())).await;
    assert_eq!(site.status(work.id()).await, Status::Running);
    site.db.execute(&back(160)).unwrap();
    sweep(site, Sweep::TimeOut(work.id())).await;
    let state = site.task(work.id()).await.state;
    assert_eq!(state.status, Status::Failed);
    assert_eq!(state.error.as_deref(), Some("timed out after 100 s"));
    assert!(state.completed_at.is_some());
}

/// The thread itself, once for each thing it looks for, but leases.
pub async fn the_sweeper_finds_what_is_due(site: &mut Site) {
    let mut new = site.wish("x");
    new.timeout_seconds = Some(100);
    let work = site.start(new).await;
    site.heartbeat(&work).await;
    let answer = keyed(site, "k").await;
    assert!(!answer.replayed);
    let account = site.account;
    let running = async |site: &Site| {
        let board = site.read(move |reads| reads.dashboard(account)).await;
        board.desktops_running
    };
    assert_eq!(running(site).await, 1);
    site.db
        .execute("UPDATE tasks SET started_at = 1 WHERE lease_token IS NOT NULL")
        .unwrap();
    site.db
        .execute("UPDATE desktops SET last_seen_at = 1 WHERE running")
        .unwrap();
    site.db
        .execute("UPDATE idempotency SET created_at = 1")
        .unwrap();
    eventually("the sweeper has done everything", async || {
        let answers = site.db.query_scalar("SELECT count(*) FROM idempotency");
        site.status(work.id()).await == Status::Failed
            && running(site).await == 0
            && answers.unwrap().as_deref() == Some("0")
    })
    .await;
}

pub async fn a_silent_desktop_counts_as_stopped(site: &mut Site) {
    let (account, id) = (site.account, site.desktop.id);
    let agent = site.desktop.agent.clone();
    site.done(&agent, Command::SeeDesktop(id)).await;
    let end = log_end(site).await;
    let back = |seconds: i64| {
        format!("UPDATE desktops SET last_seen_at = last_seen_at - {seconds} * 1000000")
    };
    site.db.execute(&back(20)).unwrap();
    sweep(site, Sweep::StopDesktop(id)).await;
    assert_eq!(log_end(site).await, end, "silent for twenty seconds only");
    site.db.execute(&back(10)).unwrap();
    sweep(site, Sweep::StopDesktop(id)).await;
    let view = site.read(move |reads| reads.desktop(account, id)).await;
    assert!(!view.unwrap().running);
    let seen = site
        .read(move |reads| reads.desktop_seen(account, id))
        .await;
    assert_eq!(seen, Some(None));
    site.done(&agent, Command::SeeDesktop(id)).await;
    assert_eq!(
        events_after(site, end).await,
        ["desktop.status by system", "desktop.status by agent"]
    );
}

async fn keyed(site: &Site, key: &str) -> Answered {
    let create = Command::CreateTask(site.wish("keyed"));
    let request = Request {
        session: None,
        idempotency: Some(Idempotency::new(key, "POST", "/", b"")),
        ..site.request(&site.person, create)
    };
    site.store.submit(request).await.unwrap()
}

pub async fn old_answers_are_forgotten(site: &mut Site) {
    for key in ["old", "new"] {
        assert!(!keyed(site, key).await.replayed);
    }
    let day = 24 * 60 * 60 * 1_000_000_i64;
    let age = format!(
        "UPDATE idempotency SET created_at = created_at - {day}
         WHERE created_at = (SELECT min(created_at) FROM idempotency)"
    );
    assert_eq!(site.db.execute(&age), Ok(1));
    sweep(site, Sweep::ForgetAnswers).await;
    assert!(!keyed(site, "old").await.replayed);
    assert!(keyed(site, "new").await.replayed);
}
