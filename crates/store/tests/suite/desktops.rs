//! Desktops: heard from, silent, deleted.

use approval_core::{DecisionRequest, Refusal, Status};
use store::{Command, SubmitError};
use test_support::Site;

use super::{events_after, log_end};

pub async fn a_deleted_desktop_takes_its_work_and_keys_along(site: &mut Site) {
    let reviewed = site.to_review("reviewed").await.state.id;
    let done = site.succeed(site.wish("done")).await.state.id;
    let claimed = site.start(site.wish("claimed")).await;
    let queued = site.queue(site.wish("queued")).await;
    let pending = site.create(site.wish("pending")).await.state.id;
    let agent = site.desktop.agent.clone();
    let end = log_end(site).await;
    site.done(&site.person, Command::DeleteDesktop(site.desktop.id))
        .await;

    for (id, status, error) in [
        (reviewed, Status::Review, None),
        (done, Status::Done, None),
        (claimed.id(), Status::Failed, Some("desktop deleted")),
        (queued, Status::Failed, Some("desktop deleted")),
        (pending, Status::Cancelled, None),
    ] {
        let state = site.task(id).await.state;
        assert_eq!((state.status, state.error.as_deref()), (status, error));
    }
    let mut events = events_after(site, end).await;
    events.sort();
    assert_eq!(
        events,
        [
            "desktop.deleted by human",
            "key.revoked by human",
            "task.cancelled by system",
            "task.completed by system",
            "task.completed by system"
        ]
    );
    let heartbeat = site.submit(&agent, Command::Heartbeat(claimed.lease)).await;
    assert!(matches!(heartbeat, Err(SubmitError::Revoked)));
    let (account, id) = (site.account, site.desktop.id);
    let found = site
        .read(move |r| {
            Ok((
                r.desktop(account, id)?,
                r.desktops(account, 10, None)?.total,
            ))
        })
        .await;
    assert_eq!(found, (None, 0));
    for command in [
        Command::DeleteDesktop(id),
        Command::CreateTask(site.wish("late")),
    ] {
        let refusal = site.refused(&site.person, command).await;
        assert!(matches!(
            refusal,
            Refusal::NotFound("desktop") | Refusal::Invalid { .. }
        ));
    }
    site.review(reviewed, DecisionRequest::approve()).await;
    assert_eq!(site.approval(reviewed).await.desktop_name, "first");
}

pub async fn a_desktop_runs_while_it_is_heard_from(site: &mut Site) {
    let (account, id) = (site.account, site.desktop.id);
    let look = async |site: &Site| {
        let view = site.read(move |reads| reads.desktop(account, id)).await;
        view.unwrap()
    };
    let before = look(site).await;
    assert_eq!((before.running, before.last_seen_at), (false, None));
    let agent = site.desktop.agent.clone();
    site.done(&agent, Command::SeeDesktop(id)).await;
    let seen = look(site).await;
    assert!(seen.running && seen.last_seen_at.is_some());

    // within ten seconds it is not written again
    let work = site.start(site.wish("x")).await;
    let claimed = look(site).await;
    assert_eq!(claimed.last_seen_at, seen.last_seen_at);
    assert_eq!(claimed.running_tasks, [work.id()]);
    let back = "UPDATE desktops SET last_seen_at = last_seen_at - 10000000";
    site.db.execute(back).unwrap();
    site.heartbeat(&work).await;
    assert!(look(site).await.last_seen_at >= seen.last_seen_at);
    let known = site
        .read(move |reads| reads.desktop_seen(account, id))
        .await;
    assert_eq!(known, Some(look(site).await.last_seen_at));

    let stranger = site.add_desktop("stranger").await;
    let see = Command::SeeDesktop(id);
    assert_eq!(
        site.refused(&stranger.agent, see).await,
        Refusal::NotFound("desktop")
    );
}
