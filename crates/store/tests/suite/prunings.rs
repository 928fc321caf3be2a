//! Giving up the bytes of finished work: what may go, what stays, and a run that was cut off.

use approval_core::{
    ChangeKind, DecisionRequest, Kept, LogStream, Outcome, PathText, Principal, Refusal, TaskId,
    Timestamp,
};
use store::{
    Answer, Command, FilePart, FileUpload, Freed, PruneTotal, Pruned, SubmitError, UploadedPart,
};
use test_support::{Site, Work, log_entry};

use super::{decide, events_after, log, log_end};

/// Bytes of [`upload`].
const LOG: i64 = 11;
const FILES: i64 = 12;

fn file(path: &str, diff: &[u8], content: &[u8]) -> FileUpload {
    FileUpload {
        path: PathText::Text(path.to_owned()),
        old_path: None,
        change: ChangeKind::Modified,
        mode: None,
        old_mode: None,
        diff: Some(UploadedPart::diff(diff.to_vec())),
        content: Some(UploadedPart::content(content.to_vec())),
        truncated: false,
    }
}

async fn upload(site: &Site, work: &Work) {
    site.print(work, 0, "first ").await;
    site.print(work, 1, "").await;
    site.print(work, 2, "last\n").await;
    site.change_files(
        work,
        vec![file("a", b"+a", b"aaaa"), file("b", b"", b"bbbbbb")],
    )
    .await;
}

/// A task with bytes, taken to its end.
async fn finished(site: &Site, content: &str, gated: bool, outcome: Outcome) -> TaskId {
    let mut new = site.wish(content);
    new.requires_approval = gated;
    let work = site.start(new).await;
    upload(site, &work).await;
    site.finish(&work, outcome).await.state.id
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is of one lifetime, the closure of all"
)]
async fn now(site: &Site) -> Timestamp {
    site.read(|reads| reads.now()).await
}

/// What an administrator's run does, beside the store.
async fn prune(site: &Site, older_than: Timestamp) -> PruneTotal {
    let (admin, account) = (site.admin(), site.account);
    let run = tokio::task::spawn_blocking(move || {
        let expected = admin.prunable(account, older_than)?;
        Ok((expected, admin.prune(account, older_than)?))
    });
    let both: Result<_, store::AdminError> = run.await.unwrap();
    let (expected, done) = both.unwrap();
    assert_eq!(expected, done, "a dry run says what a run does");
    done
}

async fn step(site: &Site, task: TaskId, older_than: Timestamp) -> Pruned {
    let (admin, account) = (site.admin(), site.account);
    let command = Command::Prune { task, older_than };
    let run = tokio::task::spawn_blocking(move || admin.run(account, command));
    match run.await.unwrap().unwrap().answer {
        Answer::Pruned(pruned) => pruned,
        other => panic!("not a pruning: {other:?}"),
    }
}

async fn is_pruned(site: &Site, task: TaskId) -> bool {
    let pruning = site.read(move |reads| reads.pruning(task, 1)).await;
    pruning.is_some()
}

/// Everything that is kept of an attempt, as text: without bytes of logs and files.
fn kept(site: &Site, task: TaskId) -> Vec<Vec<Option<String>>> {
    let of = format!("WHERE task_id = '{task}'");
    let queries = [
        format!("SELECT seq, stream, at, in_tail, size, sha256 FROM log_entries {of} ORDER BY 1"),
        format!(
            "SELECT n, path_sha256, diff_size, diff_sha256, content_size, content_sha256 FROM files {of} ORDER BY 1"
        ),
        format!("SELECT version, log_received, log_head_bytes, file_bytes FROM uploads {of}"),
        format!("SELECT sha256, manifest, sealed_at FROM evidence {of}"),
        format!(
            "SELECT id, status, evidence_sha256, decided_at, decided_by, feedback FROM approvals {of}"
        ),
        format!("SELECT status, evidence_sha256, completed_at FROM tasks WHERE id = '{task}'"),
    ];
    let rows = queries.iter().flat_map(|sql| site.db.query(sql).unwrap());
    rows.collect()
}

fn bytes_left(site: &Site, task: TaskId) -> Vec<Option<String>> {
    let of = format!("WHERE task_id = '{task}'");
    let queries = [
        format!("SELECT coalesce(sum(length(bytes)), 0) FROM log_entries {of}"),
        format!("SELECT coalesce(sum(length(bytes)), 0) FROM file_bytes {of}"),
    ];
    let sums = queries.map(|sql| site.db.query_scalar(&sql).unwrap());
    sums.to_vec()
}

fn none_left() -> Vec<Option<String>> {
    vec![Some("0".to_owned()); 2]
}

pub async fn bytes_of_finished_work_go_and_its_evidence_stays(site: &mut Site) {
    let id = finished(site, "work", true, Outcome::Succeeded).await;
    site.review(id, DecisionRequest::reject("words that stay"))
        .await;
    let (before, task, approval) = (kept(site, id), site.task(id).await, site.approval(id).await);
    let end = log_end(site).await;
    let older_than = now(site).await;

    let total = prune(site, older_than).await;
    let expected = PruneTotal {
        attempts: 1,
        log_bytes: LOG,
        file_bytes: FILES,
    };
    assert_eq!(total, expected);
    assert_eq!(bytes_left(site, id), none_left());
    assert_eq!(kept(site, id), before);
    assert_eq!(site.task(id).await, task);
    assert_eq!(site.approval(id).await, approval);
    let part = site.read(move |reads| reads.file_part(id, 1, 1, FilePart::Diff));
    assert_eq!(part.await, None);

    assert_eq!(events_after(site, end).await, ["task.pruned by system"]);
    let row = log(site).await.pop().unwrap();
    let evidence = task.state.evidence_sha256.unwrap();
    let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap();
    assert_eq!(payload["taskId"], id.to_string());
    assert_eq!(payload["evidenceSha256"], evidence.to_string());
    assert_eq!(
        (payload["logBytes"].as_i64(), payload["fileBytes"].as_i64()),
        (Some(LOG), Some(FILES))
    );
    let pruning = site.read(move |reads| reads.pruning(id, 1)).await.unwrap();
    assert_eq!(
        (pruning.at, pruning.log_bytes, pruning.file_bytes),
        (row.at, LOG, FILES)
    );

    // nothing is left for a second run
    assert_eq!(prune(site, now(site).await).await, PruneTotal::default());
    assert_eq!(log_end(site).await, end + 1);
}

pub async fn only_finished_and_decided_work_goes(site: &mut Site) {
    let reviewed = finished(site, "in review", true, Outcome::Succeeded).await;
    let late = finished(site, "decided too late", true, Outcome::Succeeded).await;
    let failed = finished(site, "failed", false, Outcome::Failed).await;
    let input = finished(site, "input of what waits", false, Outcome::Succeeded).await;
    let mut waits = site.wish("waits");
    waits.depends_on = vec![input];
    let waits = site.create(waits).await.state.id;
    let cancelled = site.start(site.wish("cancelled")).await;
    upload(site, &cancelled).await;
    site.done(&site.person, Command::CancelTask(cancelled.id()))
        .await;
    let empty = site.succeed(site.wish("without bytes")).await.state.id;
    let running = site.start(site.wish("running")).await;
    upload(site, &running).await;
    let older_than = now(site).await;
    site.review(late, DecisionRequest::approve()).await;
    let recent = finished(site, "recent", false, Outcome::Succeeded).await;

    let total = prune(site, older_than).await;
    assert_eq!(total.attempts, 1);
    assert!(is_pruned(site, failed).await);
    for (task, why) in [
        (reviewed, Pruned::Kept(Kept::Unfinished)),
        (running.id(), Pruned::Kept(Kept::Unfinished)),
        (waits, Pruned::Kept(Kept::Unfinished)),
        (late, Pruned::Kept(Kept::Recent)),
        (recent, Pruned::Kept(Kept::Recent)),
        (input, Pruned::Kept(Kept::Needed)),
        (cancelled.id(), Pruned::Kept(Kept::Unsealed)),
        (
            empty,
            Pruned::Freed(Freed {
                is_done: true,
                ..Freed::default()
            }),
        ),
    ] {
        assert_eq!(step(site, task, older_than).await, why, "{task}");
        assert!(!is_pruned(site, task).await, "{task}");
    }
    let lines = site.read(move |reads| reads.logs(input, 1, -1, 10)).await;
    let texts: Vec<_> = lines.iter().map(|line| &*line.bytes).collect();
    assert_eq!(texts, [&b"first "[..], b"", b"last\n"]);

    // once nobody needs it any more, and once it is decided
    site.done(&site.person, Command::CancelTask(waits)).await;
    site.submit(&site.person, decide(reviewed, DecisionRequest::approve()))
        .await
        .unwrap();
    assert_eq!(prune(site, now(site).await).await.attempts, 4);
    for task in [input, reviewed, late, recent] {
        assert!(is_pruned(site, task).await, "{task}");
    }
}

pub async fn only_administration_prunes_and_only_its_account(site: &mut Site) {
    let id = finished(site, "work", false, Outcome::Succeeded).await;
    let older_than = now(site).await;
    let command = || Command::Prune {
        task: id,
        older_than,
    };
    for by in [&site.person, &site.desktop.agent] {
        let refusal = site.refused(by, command()).await;
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    }
    let (other, _) = site.add_account("eve@example.org");
    let mut request = site.request(&Principal::system(), command());
    request.account = other;
    let refused = site.store.submit(request).await;
    assert!(
        matches!(
            refused,
            Err(SubmitError::Refused(Refusal::NotFound("task")))
        ),
        "{refused:?}"
    );
    let admin = site.admin();
    let elsewhere = tokio::task::spawn_blocking(move || admin.prune(other, older_than));
    assert_eq!(elsewhere.await.unwrap().unwrap(), PruneTotal::default());
    assert!(!is_pruned(site, id).await);
}

/// Several batches for one attempt. Between them it says already that its bytes are gone, and a later run goes
/// on whatever it is asked for.
pub async fn a_large_attempt_goes_in_steps_and_a_run_that_was_cut_off_is_gone_on_with(
    site: &mut Site,
) {
    const MIB: usize = 1 << 20;
    let work = site.start(site.wish("large")).await;
    let entries = (0..2_500).map(|seq| log_entry(seq, LogStream::Stderr, b"12345678"));
    let command = Command::AppendLogs {
        lease: work.lease,
        entries: entries.collect(),
    };
    site.done(&site.desktop.agent, command).await;
    for path in ["a", "b", "c"] {
        let file = file(path, b"d", &vec![7; 3 * MIB]);
        site.change_files(&work, vec![file]).await;
    }
    let id = work.id();
    let manifest = {
        site.finish(&work, Outcome::Succeeded).await;
        site.read(move |reads| reads.evidence(id, 1)).await
    };
    let older_than = now(site).await;
    let end = log_end(site).await;

    let Pruned::Freed(first) = step(site, id, older_than).await else {
        panic!("it may go");
    };
    assert!(first.is_first && !first.is_done);
    assert_eq!(
        (first.log_bytes, first.file_bytes),
        (8_000, 0),
        "1,000 rows"
    );
    assert!(is_pruned(site, id).await);
    assert_ne!(bytes_left(site, id), none_left());
    let Pruned::Freed(second) = step(site, id, older_than).await else {
        panic!("it may go");
    };
    assert!(!second.is_first && !second.is_done);

    let long_ago = older_than.plus_seconds(-1_000_000);
    let (admin, account) = (site.admin(), site.account);
    let rest = tokio::task::spawn_blocking(move || admin.prune(account, long_ago));
    let rest = rest.await.unwrap().unwrap();
    assert_eq!(rest.attempts, 0, "it was counted by the run that began it");
    let done = first.log_bytes + second.log_bytes + rest.log_bytes;
    assert_eq!(done, 8 * 2_500);
    assert_eq!(rest.file_bytes, i64::try_from(9 * MIB).unwrap() + 3);
    assert_eq!(bytes_left(site, id), none_left());
    assert_eq!(events_after(site, end).await, ["task.pruned by system"]);
    assert_eq!(
        site.read(move |reads| reads.evidence(id, 1)).await,
        manifest
    );
}
