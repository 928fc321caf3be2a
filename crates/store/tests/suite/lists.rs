//! Lists: order, filters, totals and pages that stay stable while rows are added.

use approval_core::{ApprovalStatus, DecisionRequest, Outcome, Status, TaskId};
use store::{ApprovalFilter, Command, Page, TaskFilter, TaskView};
use test_support::Site;

async fn tasks(site: &Site, filter: TaskFilter) -> Page<TaskView> {
    let scope = site.everything();
    site.read(move |reads| reads.tasks(scope, &filter)).await
}

fn ids(page: &Page<TaskView>) -> Vec<TaskId> {
    page.items.iter().map(|view| view.state.id).collect()
}

pub async fn tasks_come_newest_first_in_stable_pages(site: &mut Site) {
    let mut created = Vec::new();
    for n in 0..7 {
        created.push(site.create(site.wish(&n.to_string())).await.state.id);
    }
    let newest_first: Vec<TaskId> = created.iter().rev().copied().collect();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = TaskFilter {
            limit: 3,
            after,
            ..TaskFilter::default()
        };
        let page = tasks(site, filter).await;
        seen.extend(ids(&page));
        let more = i64::try_from(seen.len()).unwrap() < 7;
        assert_eq!(page.next.is_some(), more);
        let Some(next) = page.next else { break };
        after = Some(next.parse().unwrap());
        // something new at the front moves nothing
        site.create(site.wish("new")).await;
    }
    assert_eq!(seen, newest_first);

    let elsewhere = site.add_desktop("elsewhere").await;
    let mut new = site.wish("there");
    new.desktop = elsewhere.id;
    let there = site.create(new).await.state.id;
    site.run(created[2]).await;
    site.done(&site.person, Command::CancelTask(created[4]))
        .await;
    let all = TaskFilter {
        limit: 200,
        ..TaskFilter::default()
    };
    let of_desktop = TaskFilter {
        desktop: Some(elsewhere.id),
        ..all.clone()
    };
    let page = tasks(site, of_desktop).await;
    assert_eq!((ids(&page), page.total, page.next), (vec![there], 1, None));
    let by_status = TaskFilter {
        statuses: vec![Status::Running, Status::Cancelled],
        limit: 1,
        ..TaskFilter::default()
    };
    let page = tasks(site, by_status).await;
    assert_eq!((ids(&page), page.total), (vec![created[4]], 2));
    assert_eq!(page.next, Some(created[4].to_string()));
    assert_eq!(tasks(site, all).await.total, 10);
}

pub async fn lists_cut_long_contents(site: &mut Site) {
    let exact = site.create(site.wish(&"é".repeat(2_000))).await.state.id;
    let long = site.create(site.wish(&"é".repeat(2_001))).await.state.id;
    let filter = TaskFilter {
        limit: 10,
        ..TaskFilter::default()
    };
    let page = tasks(site, filter).await;
    assert_eq!(ids(&page), [long, exact]);
    for (view, cut) in page.items.iter().zip([true, false]) {
        assert_eq!(view.content, "é".repeat(2_000));
        assert_eq!(view.content_truncated, cut);
    }
    let mut whole = site.task(long).await;
    assert_eq!(whole.content, "é".repeat(2_001));
    // otherwise a list shows what a single task shows
    whole.content = "é".repeat(2_000);
    whole.content_truncated = true;
    assert_eq!(page.items[0], whole);
}

pub async fn approvals_come_oldest_first_in_stable_pages(site: &mut Site) {
    let mut waiting = Vec::new();
    for n in 0..5 {
        let id = site.to_review(&n.to_string()).await.state.id;
        waiting.push(site.approval(id).await);
    }
    let decided = waiting.remove(1);
    site.review(decided.approval.task, DecisionRequest::approve())
        .await;
    let scope = site.everything();
    let list = async |site: &Site, filter| {
        site.read(move |reads| reads.approvals(scope, &filter))
            .await
    };
    let pending = ApprovalFilter {
        status: Some(ApprovalStatus::Pending),
        limit: 3,
        after: None,
    };
    let page = list(site, pending).await;
    assert_eq!((&page.items[..], page.total), (&waiting[..3], 4));
    let after = Some(page.next.unwrap().parse().unwrap());
    site.to_review("new").await;
    let page = list(site, ApprovalFilter { after, ..pending }).await;
    assert_eq!(page.items.len(), 2);
    assert_eq!(page.items[0], waiting[3]);
    assert_eq!((page.total, page.next), (5, None));

    for (status, total) in [
        (Some(ApprovalStatus::Approved), 1),
        (Some(ApprovalStatus::Rejected), 0),
        (None, 6),
    ] {
        let filter = ApprovalFilter {
            status,
            limit: 100,
            after: None,
        };
        let page = list(site, filter).await;
        assert_eq!(page.total, total);
        assert_eq!(i64::try_from(page.items.len()).unwrap(), total);
    }
}

pub async fn desktops_and_keys_come_in_pages(site: &mut Site) {
    let account = site.account;
    for n in 0..4 {
        site.add_desktop(&n.to_string()).await;
    }
    let first = site.read(move |r| r.desktops(account, 3, None)).await;
    let names: Vec<&str> = first.items.iter().map(|d| &*d.name).collect();
    assert_eq!((&names[..], first.total), (&["first", "0", "1"][..], 5));
    let after = Some(first.next.unwrap().parse().unwrap());
    let rest = site.read(move |r| r.desktops(account, 3, after)).await;
    let names: Vec<&str> = rest.items.iter().map(|d| &*d.name).collect();
    assert_eq!((&names[..], rest.next), (&["2", "3"][..], None));

    let first = site.read(move |r| r.keys(account, 4, None)).await;
    assert_eq!((first.items.len(), first.total), (4, 5));
    let revoked = first.items[0].id;
    site.done(&site.person, Command::RevokeKey(revoked)).await;
    let after = Some(first.next.unwrap().parse().unwrap());
    let rest = site.read(move |r| r.keys(account, 4, after)).await;
    assert_eq!((rest.items.len(), rest.total, rest.next), (1, 4, None));
    let all = site.read(move |r| r.keys(account, 10, None)).await;
    assert!(all.items.iter().all(|key| key.id != revoked));
}

pub async fn the_dashboard_counts(site: &mut Site) {
    let oldest = site.to_review("oldest").await.state.id;
    let next = site.to_review("next").await.state.id;
    site.succeed(site.wish("done")).await;
    let failing = site.start(site.wish("failed")).await;
    site.finish(&failing, Outcome::Failed).await;
    site.create(site.wish("pending")).await;
    site.add_desktop("silent").await;
    let account = site.account;
    let board = site.read(move |reads| reads.dashboard(account)).await;
    let counts: Vec<(Status, i64)> = Status::ALL
        .iter()
        .copied()
        .zip([1, 0, 2, 1, 1, 0])
        .collect();
    assert_eq!(board.tasks, counts);
    assert_eq!((board.pending_approvals, board.desktops_running), (2, 1));
    let since = site.approval(oldest).await.approval.created_at;
    assert_eq!(board.oldest_pending_at, Some(since));

    site.review(oldest, DecisionRequest::approve()).await;
    let board = site.read(move |reads| reads.dashboard(account)).await;
    let since = site.approval(next).await.approval.created_at;
    assert_eq!(board.oldest_pending_at, Some(since));
}
