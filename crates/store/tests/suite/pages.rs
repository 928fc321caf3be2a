//! What pages show together: a task with everything around it, decided approvals, changes, logs.

use approval_core::{
    ApprovalStatus, ChangeKind, DecisionRequest, LogStream, Outcome, PathText, RetryChanges, TaskId,
};
use store::{ActivityPage, Command, FileUpload, LogEnds, LogLine, Scope, TaskPage, UploadedPart};
use test_support::{Site, Work, log_entry, task};

use super::log;

async fn page(site: &Site, id: TaskId) -> TaskPage {
    let scope = site.everything();
    let page = site.read(move |reads| reads.task_page(scope, id)).await;
    page.expect("a page")
}

async fn after(site: &Site, content: &str, parents: Vec<TaskId>, auto_run: bool) -> TaskId {
    let mut new = site.wish(content);
    new.depends_on = parents;
    new.auto_run = auto_run;
    site.create(new).await.state.id
}

fn file(path: &str, diff: Option<&str>) -> FileUpload {
    FileUpload {
        path: PathText::Text(path.to_owned()),
        old_path: None,
        change: ChangeKind::Modified,
        mode: None,
        old_mode: None,
        diff: diff.map(|text| UploadedPart::diff(text.as_bytes().to_vec())),
        content: None,
        truncated: false,
    }
}

/// A diff that adds and removes so many lines.
fn diff(added: usize, removed: usize) -> String {
    let (minus, plus) = ("-old\n".repeat(removed), "+new\n".repeat(added));
    format!("--- a\n+++ b\n@@ -1,{removed} +1,{added} @@\n{minus}{plus}")
}

pub async fn a_task_is_shown_with_what_surrounds_it(site: &mut Site) {
    let parent = site.to_review("parent").await.state.id;
    let other = site.to_review("other").await.state.id;
    let third = site.to_review("third").await.state.id;
    let starts = after(site, "released", vec![parent], true).await;
    let by_hand = after(site, "by hand", vec![parent], false).await;
    let waits_more = after(site, "waits more", vec![parent, other], true).await;

    let shown = page(site, parent).await;
    assert_eq!(shown.task, site.task(parent).await);
    let ids = |list: &[store::Dependent]| list.iter().map(|d| d.id).collect::<Vec<_>>();
    assert_eq!(ids(&shown.releases), [starts]);
    assert_eq!((shown.next_pending, shown.pending), (Some(other), 3));
    assert_eq!(page(site, other).await.next_pending, Some(parent));
    assert_eq!(shown.desktop.id, site.desktop.id);
    assert!(!shown.desktop_removed && shown.blocked.is_empty());
    assert_eq!(shown.desktop_names[&site.desktop.id], "first");
    assert_eq!(ids(&page(site, waits_more).await.blocked), [parent, other]);
    assert_eq!(ids(&page(site, by_hand).await.blocked), [parent]);

    site.review(other, DecisionRequest::approve()).await;
    let shown = page(site, parent).await;
    let mut releases = ids(&shown.releases);
    releases.sort();
    assert_eq!(releases, [starts, waits_more]);
    assert_eq!((shown.next_pending, shown.pending), (Some(third), 2));
    site.review(third, DecisionRequest::approve()).await;
    assert_eq!(page(site, parent).await.next_pending, None);

    site.review(parent, DecisionRequest::reject("no")).await;
    let retry = Command::RetryTask {
        task: parent,
        changes: RetryChanges::default(),
    };
    let retried = task(site.done(&site.person, retry).await).state.id;
    let of = |one: Option<store::Dependent>| one.map(|d| d.id);
    assert_eq!(of(page(site, parent).await.retried_by), Some(retried));
    assert_eq!(of(page(site, retried).await.retry_of), Some(parent));
    assert_eq!(of(page(site, retried).await.retried_by), None);
}

pub async fn a_removed_desktop_is_named_and_a_stranger_sees_no_page(site: &mut Site) {
    let id = site.succeed(site.wish("done")).await.state.id;
    let remove = Command::DeleteDesktop(site.desktop.id);
    site.done(&site.person, remove).await;
    let shown = page(site, id).await;
    assert!(shown.desktop_removed);
    assert_eq!(shown.desktop.name, "first");
    let (account, _) = site.add_account("eve@example.org");
    let scope = Scope {
        account,
        desktop: None,
    };
    let theirs = site.read(move |reads| reads.task_page(scope, id)).await;
    assert!(theirs.is_none());
    let titles = site.read(move |reads| reads.titles(account, &[id])).await;
    assert!(titles.is_empty());
    let own = site.account;
    let titles = site.read(move |reads| reads.titles(own, &[id])).await;
    assert_eq!(titles[&id], "done");
    let changes = site.read(move |reads| reads.change_summaries(account, &[id]));
    assert!(changes.await.is_empty());
}

pub async fn decided_approvals_come_newest_first_in_pages(site: &mut Site) {
    let mut expected = Vec::new();
    for n in 0..5 {
        let id = site.to_review(&n.to_string()).await.state.id;
        match n {
            0 | 3 => drop(site.review(id, DecisionRequest::approve()).await),
            1 => drop(site.review(id, DecisionRequest::reject("no")).await),
            2 => drop(site.done(&site.person, Command::CancelTask(id)).await),
            _ => continue,
        }
        expected.insert(0, site.approval(id).await);
    }
    let scope = site.everything();
    for limit in [1, 2, 3, 4] {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = site
                .read(move |reads| reads.decided_approvals(scope, limit, before))
                .await;
            assert!(page.items.len() <= usize::try_from(limit).unwrap());
            assert_eq!(page.total, 4);
            found.extend(page.items);
            match page.next {
                Some(next) => before = Some(next.parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(found, expected);
    }
    assert_eq!(expected[1].approval.status, ApprovalStatus::Cancelled);
    let account = site.account;
    assert_eq!(site.read(move |r| r.pending_approvals(account)).await, 1);
    // an agent's desktop
    let other = site.add_desktop("other").await.id;
    for (desktop, total) in [(site.desktop.id, 4), (other, 0)] {
        let scope = Scope {
            account,
            desktop: Some(desktop),
        };
        let page = site
            .read(move |r| r.decided_approvals(scope, 9, None))
            .await;
        assert_eq!(page.total, total);
        assert_eq!(i64::try_from(page.items.len()).unwrap(), total);
    }
}

pub async fn lines_of_changes_are_counted(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let (id, account) = (work.id(), site.account);
    let summary = async |site: &Site| {
        let read = site.read(move |reads| reads.change_summaries(account, &[id]));
        read.await[&id]
    };
    assert_eq!(
        (summary(site).await.files, summary(site).await.added),
        (0, Some(0))
    );
    let mut cut = file("b", Some(&diff(1, 4)));
    cut.truncated = true;
    let sent = vec![file("a", Some(&diff(3, 2))), cut, file("no diff", None)];
    site.change_files(&work, sent).await;
    let shown = summary(site).await;
    assert_eq!((shown.files, shown.truncated), (3, 1));
    assert_eq!((shown.added, shown.removed), (Some(4), Some(6)));
    let list = site
        .read(move |reads| reads.file_list(id, 1, None, 9))
        .await;
    assert_eq!(list.items[2].added, None, "nobody counted them");
    // sent again, its lines are those of the last version
    site.change_files(&work, vec![file("a", Some(&diff(10, 0)))])
        .await;
    let shown = summary(site).await;
    assert_eq!(
        (shown.files, shown.added, shown.removed),
        (3, Some(11), Some(4))
    );
    site.finish(&work, Outcome::Succeeded).await;
    let shown = page(site, id).await.summary;
    assert_eq!(shown, summary(site).await);
    assert_eq!(shown.exit_code, site.task(id).await.state.exit_code);
}

pub async fn a_second_attempt_counts_its_own_changes(site: &mut Site) {
    let mut new = site.wish("twice");
    new.max_attempts = Some(2);
    let first = site.start(new).await;
    let id = first.id();
    site.change_files(&first, vec![file("a", Some(&diff(3, 2)))])
        .await;
    site.print(&first, 0, "line").await;
    site.db
        .execute("UPDATE tasks SET lease_expires_at = 1 WHERE lease_token IS NOT NULL")
        .unwrap();
    let expire = Command::Sweep(store::Sweep::ExpireLease(id));
    site.done(&approval_core::Principal::system(), expire).await;
    let second = site.claim().await.unwrap();
    site.change_files(&second, vec![file("b", Some(&diff(1, 1)))])
        .await;
    let shown = page(site, id).await;
    assert_eq!((shown.summary.files, shown.summary.added), (1, Some(1)));
    assert_eq!(shown.log.entries, 0);
}

pub async fn files_come_in_pages(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    let one = diff(1, 0);
    let bytes = i64::try_from(one.len()).unwrap();
    let sent = ["c", "a", "d", "b", "e"].map(|path| file(path, Some(&one)));
    site.change_files(&work, sent.to_vec()).await;
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = site.read(move |r| r.file_list(id, 1, after, 2)).await;
        assert_eq!(page.total, 5);
        assert!(page.items.len() <= 2);
        for file in page.items {
            assert_eq!((file.added, file.removed), (Some(1), Some(0)));
            found.push(file.path);
        }
        match page.next {
            Some(next) => after = Some(next.parse().unwrap()),
            None => break,
        }
    }
    let sorted = [b"a", b"b", b"c", b"d", b"e"].map(|path| path.to_vec());
    assert_eq!(found, sorted);
    for (max, lengths) in [
        (1, vec![1, 1, 1, 1, 1]),
        (2 * bytes, vec![2, 2, 1]),
        (3 * bytes - 1, vec![2, 2, 1]),
        (5 * bytes, vec![5]),
    ] {
        let (mut after, mut found) = (None, Vec::new());
        let mut pages = Vec::new();
        loop {
            let page = site.read(move |r| r.file_diffs(id, 1, after, max)).await;
            pages.push(page.items.len());
            assert!(
                page.items
                    .iter()
                    .all(|f| f.diff.as_deref() == Some(one.as_bytes()))
            );
            found.extend(page.items.into_iter().map(|file| file.path));
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => break,
            }
        }
        assert_eq!((pages, &found[..]), (lengths, &sorted[..]));
    }
}

fn seqs(lines: &[LogLine]) -> Vec<i64> {
    lines.iter().map(|line| line.seq).collect()
}

async fn ends(site: &Site, work: &Work, head: i64, tail: i64) -> LogEnds {
    let id = work.id();
    site.read(move |reads| reads.log_ends(id, 1, head, tail))
        .await
}

pub async fn the_ends_of_a_log(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    assert_eq!(ends(site, &work, 20, 20).await, LogEnds::default());
    for seq in 0..6 {
        site.print(&work, seq, "0123456789").await;
    }
    for (head, tail, first, last, between) in [
        (100, 100, vec![0, 1, 2, 3, 4, 5], vec![], 0),
        (30, 30, vec![0, 1, 2, 3, 4, 5], vec![], 0),
        (60, 0, vec![0, 1, 2, 3, 4, 5], vec![], 0),
        (20, 30, vec![0, 1], vec![3, 4, 5], 10),
        (29, 11, vec![0, 1], vec![5], 30),
        (1, 1, vec![0], vec![5], 40),
        (10, 0, vec![0], vec![], 50),
        (0, 20, vec![], vec![4, 5], 40),
        (0, 100, vec![], vec![0, 1, 2, 3, 4, 5], 0),
        (0, 0, vec![], vec![], 60),
    ] {
        let found = ends(site, &work, head, tail).await;
        assert_eq!(seqs(&found.head), first, "{head} {tail}");
        assert_eq!(seqs(&found.tail), last, "{head} {tail}");
        assert_eq!((found.between_bytes, found.dropped_bytes), (between, 0));
    }
    assert_eq!(page(site, work.id()).await.log.kept_bytes, 60);
}

pub async fn the_ends_of_a_log_that_lost_its_middle(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    for seq in 0..10 {
        let entries = vec![log_entry(seq, LogStream::Stdout, &vec![b'x'; 1 << 20])];
        let lease = work.lease;
        let send = Command::AppendLogs { lease, entries };
        site.done(&site.desktop.agent, send).await;
    }
    let mib = 1 << 20;
    let found = ends(site, &work, mib, mib).await;
    assert_eq!((seqs(&found.head), seqs(&found.tail)), (vec![0], vec![9]));
    assert_eq!(
        (found.between_bytes, found.dropped_bytes),
        (6 * mib, 2 * mib)
    );
    let whole = ends(site, &work, 5 * mib, 5 * mib).await;
    assert_eq!(seqs(&whole.head), [0, 1, 2, 3, 6, 7, 8, 9]);
    assert_eq!(whole.dropped_bytes, 2 * mib);
    let summary = page(site, work.id()).await.log;
    assert_eq!((summary.entries, summary.kept_bytes), (8, 8 * mib));
    assert_eq!(summary.dropped_bytes, 2 * mib);
}

async fn before(
    site: &Site,
    before: Option<i64>,
    kind: Option<&'static str>,
    limit: i64,
) -> ActivityPage {
    let account = site.account;
    site.read(move |reads| reads.activity_before(account, before, kind, limit))
        .await
}

pub async fn the_log_is_read_backwards(site: &mut Site) {
    site.to_review("x").await;
    site.create(site.wish("y")).await;
    let mut all = log(site).await;
    all.reverse();
    let head = all[0].seq;
    let (mut next, mut found) = (None, Vec::new());
    loop {
        let page = before(site, next, None, 2).await;
        assert!(page.rows.len() <= 2);
        found.extend(page.rows);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(found, all);
    for kind in ["task.", "task.created", "approval.", "settings."] {
        let expected = all.iter().filter(|row| row.kind.starts_with(kind));
        let page = before(site, None, Some(kind), 100).await;
        assert_eq!(page.rows, expected.cloned().collect::<Vec<_>>(), "{kind}");
        assert_eq!(page.next, None);
    }
    // neither another case nor a wildcard is a type
    for kind in ["TASK.", "%", "task_"] {
        assert_eq!(before(site, None, Some(kind), 100).await.rows, [], "{kind}");
    }
    for (bound, expected) in [(i64::MIN, 0), (0, 0), (1, 0), (2, 1), (i64::MAX, head)] {
        for kind in [None, Some("")] {
            let page = before(site, Some(bound), kind, 1_000).await;
            assert_eq!(i64::try_from(page.rows.len()).unwrap(), expected, "{bound}");
            assert_eq!(page.next, None);
        }
    }
    let exact = before(site, None, None, head).await;
    assert_eq!(exact.next, None, "exactly full is no more");
}

pub async fn a_rare_type_is_looked_for_in_steps(site: &mut Site) {
    let head = super::log_end(site).await;
    // many rows of another type, past the store
    let numbers = match site.db.engine() {
        test_support::Engine::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20500) SELECT i FROM n"
        }
        test_support::Engine::Postgres => "SELECT i FROM generate_series(1, 20500) g(i)",
    };
    let (account, last) = (site.account, head + 20_500);
    let fill = format!(
        "INSERT INTO activity SELECT account_id, seq + i, 'filler', '{{}}', actor_id, actor_kind, \
         actor_name, at, prev_hash, hash FROM ({numbers}) numbers, activity \
         WHERE account_id = '{account}' AND seq = {head}"
    );
    assert_eq!(site.db.execute(&fill), Ok(20_500));
    let raise = format!("UPDATE accounts SET head_seq = {last} WHERE id = '{account}'");
    site.db.execute(&raise).unwrap();
    let first = before(site, None, Some("desktop."), 50).await;
    assert_eq!(first.rows, []);
    assert_eq!(first.next, Some(last + 1 - 20_000));
    let second = before(site, first.next, Some("desktop."), 50).await;
    assert!(!second.rows.is_empty());
    assert_eq!(second.next, None);
}

pub async fn the_log_of_one_task(site: &mut Site) {
    let id = site.to_review("x").await.state.id;
    let other = site.to_review("y").await.state.id;
    site.review(id, DecisionRequest::approve()).await;
    let account = site.account;
    let found = site
        .read(move |reads| reads.activity_of_task(account, id, 100))
        .await;
    let about = |row: &store::ActivityRow| row.payload.contains(&format!("\"taskId\":\"{id}\""));
    let expected: Vec<_> = log(site).await.into_iter().filter(about).collect();
    assert!(expected.len() > 4, "{expected:?}");
    assert_eq!(found, expected);
    let found = site
        .read(move |reads| reads.activity_of_task(account, id, 2))
        .await;
    assert_eq!(found, expected[..2]);
    let (foreign, _) = site.add_account("eve@example.org");
    let found = site
        .read(move |reads| reads.activity_of_task(foreign, other, 100))
        .await;
    assert_eq!(found, []);
}
