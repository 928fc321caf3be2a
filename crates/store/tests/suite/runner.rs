//! A runner's calls: leases, logs, files and the sealed end of an attempt.

use approval_core::{
    ChangeKind, Digest, LogStream, Outcome, PathText, Refusal, Report, Status, TaskId,
};
use base64::Engine as _;
use serde_json::Value;
use store::{
    Answer, Command, FilePart, FileUpload, LogLine, LogUpload, SubmitError, TaskView, UploadedPart,
};
use test_support::{Site, Work, log_entry};

use super::{events_after, log_end, seconds_between};

const MIB: usize = 1 << 20;

fn append(work: &Work, entries: Vec<LogUpload>) -> Command {
    Command::AppendLogs {
        lease: work.lease,
        entries,
    }
}

fn file(path: &str, change: ChangeKind, content: Option<&[u8]>) -> FileUpload {
    FileUpload {
        path: PathText::Text(path.to_owned()),
        old_path: None,
        change,
        mode: Some("100644".to_owned()),
        old_mode: None,
        diff: None,
        content: content.map(|bytes| UploadedPart::content(bytes.to_vec())),
        truncated: false,
    }
}

async fn logs(site: &Site, id: TaskId) -> Vec<LogLine> {
    site.read(move |reads| reads.logs(id, 1, -1, 10_000)).await
}

async fn output(site: &Site, id: TaskId) -> Vec<u8> {
    site.read(move |reads| reads.output(id, 1)).await.bytes
}

/// The sealed manifest, after a check that its bytes are what was hashed, in their canonical form.
async fn manifest(site: &Site, view: &TaskView) -> Value {
    let (id, attempt) = (view.state.id, view.state.attempt);
    let json = site.read(move |r| r.evidence(id, attempt)).await.unwrap();
    assert_eq!(
        Some(Digest::of(json.as_bytes())),
        view.state.evidence_sha256
    );
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        test_support::canonical(&value),
        json,
        "not the canonical form"
    );
    value
}

pub async fn a_lease_is_short_until_the_first_sign_of_life(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let started = work.claim.task.state.started_at.unwrap();
    assert!((seconds_between(started, work.claim.expires_at) - 5.0).abs() < 0.001);
    let agent = site.desktop.agent.clone();
    match site.done(&agent, Command::Heartbeat(work.lease)).await {
        Answer::Heartbeat {
            expires_at,
            cancel_requested,
        } => {
            assert!(!cancel_requested);
            let lease = seconds_between(started, expires_at);
            assert!((30.0..40.0).contains(&lease), "{lease}");
            let kept = site.task(work.id()).await.state.lease.unwrap();
            assert_eq!((kept.expires_at, kept.heard), (expires_at, true));
        }
        other => panic!("{other:?}"),
    }
    let other = site.start(site.wish("y")).await;
    site.print(&other, 0, "uploads are a sign of life").await;
    let kept = site.task(other.id()).await.state.lease.unwrap();
    assert!(kept.heard && seconds_between(started, kept.expires_at) > 29.0);
}

pub async fn nothing_is_taken_without_the_current_lease(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let mut forged = work.clone();
    forged.lease.token = Digest::of(b"a guess");
    let agent = site.desktop.agent.clone();
    let end = log_end(site).await;
    for command in [
        Command::Heartbeat(forged.lease),
        append(&forged, vec![log_entry(0, LogStream::Stdout, b"forged")]),
        Command::AddFiles {
            lease: forged.lease,
            files: vec![file("forged", ChangeKind::Added, Some(b"x"))],
        },
    ] {
        assert_eq!(site.refused(&agent, command).await, Refusal::LeaseLost);
    }
    let completion = site.completion(&forged, Outcome::Succeeded);
    let refused = site.store.complete(completion).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Refused(Refusal::LeaseLost))
    ));
    site.finish(&work, Outcome::Succeeded).await;
    // nor with one that has ended
    for command in [
        Command::Heartbeat(work.lease),
        append(&work, vec![log_entry(0, LogStream::Stdout, b"late")]),
    ] {
        assert_eq!(site.refused(&agent, command).await, Refusal::LeaseLost);
    }
    assert_eq!(events_after(site, end).await, ["task.completed by agent"]);
    assert_eq!(logs(site, work.id()).await, []);
    let id = work.id();
    assert_eq!(site.read(move |r| r.files(id, 1, None)).await.items, []);
}

pub async fn a_repeated_log_entry_is_ignored(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    let agent = site.desktop.agent.clone();
    let entries = vec![
        log_entry(1, LogStream::Stderr, b"two\n"),
        log_entry(0, LogStream::Stdout, b"one\n"),
        log_entry(1, LogStream::Stderr, b"repeated in the request"),
    ];
    site.done(&agent, append(&work, entries)).await;
    let entries = vec![
        log_entry(0, LogStream::Stdout, b"repeated later"),
        log_entry(2, LogStream::Agent, b"\xff\x00\xfe"),
        log_entry(3, LogStream::Stdout, b"three\n"),
    ];
    site.done(&agent, append(&work, entries)).await;
    let kept = logs(site, id).await;
    let shown: Vec<(i64, LogStream, &[u8])> =
        kept.iter().map(|l| (l.seq, l.stream, &*l.bytes)).collect();
    assert_eq!(
        shown,
        [
            (0, LogStream::Stdout, &b"one\n"[..]),
            (1, LogStream::Stderr, b"two\n"),
            (2, LogStream::Agent, b"\xff\x00\xfe"),
            (3, LogStream::Stdout, b"three\n")
        ]
    );
    let page = site.read(move |reads| reads.logs(id, 1, 0, 2)).await;
    assert_eq!(page, kept[1..3]);
    assert_eq!(output(site, id).await, b"one\nthree\n");
}

pub async fn missing_log_entries_hold_up_the_end(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    site.print(&work, 0, "a").await;
    site.print(&work, 2, "c").await;
    let mut completion = site.completion(&work, Outcome::Succeeded);
    completion.log_entries = Some(3);
    let refused = site.store.complete(completion.clone()).await;
    let incomplete = Refusal::LogsIncomplete {
        received: 2,
        expected: 3,
    };
    assert!(matches!(refused, Err(SubmitError::Refused(r)) if r == incomplete));
    assert_eq!(site.status(work.id()).await, Status::Running);
    site.print(&work, 1, "b").await;
    let done = site.store.complete(completion).await.unwrap();
    let view = test_support::task(done.answer);
    assert_eq!(view.state.status, Status::Done);
    assert_eq!(output(site, work.id()).await, b"abc");
    assert_eq!(manifest(site, &view).await["logs"]["entries"], 3);
}

pub async fn a_log_keeps_its_first_and_last_four_mebibytes(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    let agent = site.desktop.agent.clone();
    // 0..3 fill the head to its last byte but two; 4 does not fit, so the tail begins, though 5 would
    let sizes = [MIB, MIB, MIB, MIB - 2, 3, 1]
        .into_iter()
        .chain([MIB; 6])
        .chain([7]);
    let entries: Vec<LogUpload> = sizes
        .zip(0_u8..)
        .map(|(size, n)| log_entry(n.into(), LogStream::Stdout, &vec![n; size]))
        .collect();
    for entry in &entries {
        site.done(&agent, append(&work, vec![entry.clone()])).await;
    }
    let kept: Vec<i64> = logs(site, id).await.iter().map(|l| l.seq).collect();
    assert_eq!(kept, [0, 1, 2, 3, 9, 10, 11, 12]);
    // repeats of dropped entries stay dropped
    site.done(&agent, append(&work, vec![entries[4].clone()]))
        .await;

    let mut completion = site.completion(&work, Outcome::Succeeded);
    completion.log_entries = Some(13);
    let done = site.store.complete(completion).await.unwrap();
    let evidence = manifest(site, &test_support::task(done.answer)).await;
    let dropped = 3 + 1 + 3 * MIB;
    let bytes = entries.iter().map(|e| e.bytes.len()).sum::<usize>() - dropped;
    assert_eq!(evidence["logs"]["droppedBytes"], dropped);
    assert_eq!(evidence["logs"]["bytes"], bytes);
    assert_eq!(evidence["logs"]["entries"], 8);
    assert_eq!(evidence["output"]["truncated"], true);
    assert_eq!(evidence["output"]["bytes"], bytes);
    assert_eq!(output(site, id).await.len(), bytes);

    // a tail of exactly four mebibytes loses nothing
    let work = site.start(site.wish("y")).await;
    let exact = (0_u8..8).map(|n| log_entry(n.into(), LogStream::Stderr, &vec![n; MIB]));
    site.done(&agent, append(&work, exact.collect())).await;
    let view = site.finish(&work, Outcome::Succeeded).await;
    let evidence = manifest(site, &view).await;
    assert_eq!(evidence["logs"]["droppedBytes"], 0);
    assert_eq!(evidence["logs"]["entries"], 8);
    assert_eq!(evidence["output"]["truncated"], false);
}

pub async fn the_last_version_of_a_file_counts(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    let mut renamed = file("z/new", ChangeKind::Renamed, None);
    renamed.old_path = Some(PathText::Text("z/old".to_owned()));
    renamed.diff = Some(UploadedPart::diff(b"@@ first @@".to_vec()));
    let first = vec![
        file("b", ChangeKind::Added, Some(b"twice in one request")),
        file("a", ChangeKind::Added, Some(b"first version")),
        renamed.clone(),
        file("b", ChangeKind::Added, Some(b"b")),
    ];
    site.change_files(&work, first).await;
    let numbers = async |site: &Site| -> Vec<(i64, Vec<u8>)> {
        let files = site.read(move |reads| reads.files(id, 1, None)).await.items;
        files.into_iter().map(|f| (f.n, f.path)).collect()
    };
    let before = numbers(site).await;
    let paths: Vec<&[u8]> = before.iter().map(|(_, path)| &**path).collect();
    assert_eq!(paths, [&b"a"[..], b"b", b"z/new"]);

    renamed.diff = Some(UploadedPart::diff(b"@@ second @@".to_vec()));
    renamed.truncated = true;
    let gone = file("a", ChangeKind::Deleted, None);
    site.change_files(&work, vec![gone, renamed]).await;
    assert_eq!(numbers(site).await, before, "a file changed its number");
    let files = site.read(move |reads| reads.files(id, 1, None)).await.items;
    assert_eq!(
        (files[0].change, files[0].content),
        (ChangeKind::Deleted, None)
    );
    assert_eq!(files[2].diff.as_deref(), Some(&b"@@ second @@"[..]));
    assert_eq!(files[2].old_path.as_deref(), Some(&b"z/old"[..]));
    assert!(files[2].truncated);
    let content = FilePart::Content;
    let contents = site
        .read(move |r| {
            Ok((
                r.file_part(id, 1, 1, content)?,
                r.file_part(id, 1, 2, content)?,
            ))
        })
        .await;
    assert_eq!(contents, (Some(b"b".to_vec()), None));
}

pub async fn files_have_limits(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let agent = site.desktop.agent.clone();
    let add = |files| Command::AddFiles {
        lease: work.lease,
        files,
    };
    let largest = vec![7; 10 << 20];
    let fits = file("large", ChangeKind::Added, Some(&largest));
    site.done(&agent, add(vec![fits.clone()])).await;
    let mut too_large = fits;
    too_large.diff = Some(UploadedPart::diff(vec![7; (10 << 20) + 1]));
    let refusal = site.refused(&agent, add(vec![too_large])).await;
    assert!(matches!(refusal, Refusal::TooLarge(_)), "{refusal:?}");

    // the counters stand one below the limits of an attempt
    let almost = format!("UPDATE uploads SET file_bytes = {}", (200 << 20) - 1);
    site.db.execute(&almost).unwrap();
    let two_bytes = vec![file("two", ChangeKind::Added, Some(b"12"))];
    let refusal = site.refused(&agent, add(two_bytes)).await;
    assert!(matches!(refusal, Refusal::TooLarge(_)), "{refusal:?}");
    let one_byte = vec![file("one", ChangeKind::Added, Some(b"1"))];
    site.done(&agent, add(one_byte)).await;
    site.db
        .execute("UPDATE uploads SET file_count = 9999, file_bytes = 0")
        .unwrap();
    let two = ["p", "q"].map(|path| file(path, ChangeKind::Added, None));
    let refusal = site.refused(&agent, add(two.to_vec())).await;
    assert!(matches!(refusal, Refusal::TooLarge(_)), "{refusal:?}");
    site.done(&agent, add(two[..1].to_vec())).await;
    // a new version of a known path needs no room
    site.done(&agent, add(two[..1].to_vec())).await;

    let id = work.id();
    let files = site.read(move |reads| reads.files(id, 1, None)).await.items;
    let paths: Vec<&[u8]> = files.iter().map(|f| &*f.path).collect();
    assert_eq!(paths, [&b"large"[..], b"one", b"p"], "half a request");
}

pub async fn files_come_in_pages_of_4_mib_of_diffs(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let id = work.id();
    // sent in another order than that of their paths
    let diffs = [
        ("d", 1),
        ("c", 5 * MIB),
        ("b", MIB),
        ("a", 3 * MIB),
        ("e", 0),
    ];
    for (path, bytes) in diffs {
        let mut changed = file(path, ChangeKind::Modified, None);
        changed.diff = Some(UploadedPart::diff(vec![b'+'; bytes]));
        site.change_files(&work, vec![changed]).await;
    }
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = site.read(move |reads| reads.files(id, 1, after)).await;
        assert_eq!(page.total, 5);
        let shown = page.items.iter().map(|file| {
            let diff = file.diff.as_ref().map(Vec::len);
            (String::from_utf8(file.path.clone()).unwrap(), diff)
        });
        pages.push(shown.collect::<Vec<_>>());
        after = page.next.map(|n| n.parse().unwrap());
        if after.is_none() {
            break;
        }
    }
    let file = |path: &str, bytes| (path.to_owned(), Some(bytes));
    let expected = [
        vec![file("a", 3 * MIB), file("b", MIB)],
        vec![file("c", 5 * MIB)],
        vec![file("d", 1), file("e", 0)],
    ];
    assert_eq!(pages, expected);
    let beyond = site.read(move |reads| reads.files(id, 1, Some(9))).await;
    assert_eq!((beyond.items, beyond.next), (vec![], None));
}

pub async fn evidence_is_what_was_stored(site: &mut Site) {
    let content = "make \u{1F600}";
    let mut new = site.wish(content);
    new.requires_approval = true;
    let work = site.start(new).await;
    let id = work.id();
    let agent = site.desktop.agent.clone();
    let entries = vec![
        log_entry(0, LogStream::Stdout, b"out\n"),
        log_entry(1, LogStream::Stderr, b"\xff"),
    ];
    site.done(&agent, append(&work, entries)).await;
    let mut changed = file("src/é", ChangeKind::Modified, Some(b"content"));
    changed.diff = Some(UploadedPart::diff(b"diff".to_vec()));
    changed.old_mode = Some("100755".to_owned());
    let raw = vec![b'd', 0xff];
    let base64 = base64::engine::general_purpose::STANDARD.encode(&raw);
    let mut strange = file("", ChangeKind::Deleted, None);
    strange.path = PathText::Base64 { bytes: raw, base64 };
    site.change_files(&work, vec![changed, strange]).await;

    let mut completion = site.completion(&work, Outcome::Succeeded);
    completion.report.exit_code = Some(-3);
    completion.report.error = Some("a \"warning\"\n".to_owned());
    completion.output = Some(b"named output".to_vec());
    let done = site.store.complete(completion).await.unwrap();
    let view = test_support::task(done.answer);
    let evidence = manifest(site, &view).await;

    let hex = |bytes: &[u8]| Digest::of(bytes).to_string();
    let part = |bytes: &[u8]| serde_json::json!({"bytes": bytes.len(), "sha256": hex(bytes)});
    let kept = logs(site, id).await;
    let rows: Vec<Value> = kept
        .iter()
        .map(|l| {
            serde_json::json!({"seq": l.seq, "stream": l.stream.as_str(),
                "at": l.at.to_string(), "sha256": hex(&l.bytes)})
        })
        .collect();
    let expected = serde_json::json!({
        "v": 1, "taskId": id.to_string(), "attempt": 1, "type": "command",
        "desktopId": site.desktop.id.to_string(), "outcome": "succeeded", "exitCode": -3,
        "error": "a \"warning\"\n", "contentSha256": hex(content.as_bytes()),
        "output": {"bytes": 12, "sha256": hex(b"named output"), "truncated": false},
        "logs": {"entries": 2, "bytes": 5, "droppedBytes": 0,
            "sha256": hex(test_support::canonical(&rows.into()).as_bytes())},
        "files": [
            {"pathBase64": "ZP8=", "oldPath": null, "change": "deleted", "mode": "100644",
                "oldMode": null, "diff": null, "content": null, "truncated": false},
            {"path": "src/é", "oldPath": null, "change": "modified", "mode": "100644",
                "oldMode": "100755", "diff": part(b"diff"), "content": part(b"content"),
                "truncated": false}
        ]
    });
    assert_eq!(evidence, expected);
    assert_eq!(output(site, id).await, b"named output");
    let approval = site.approval(id).await.approval;
    assert_eq!(Some(approval.evidence_sha256), view.state.evidence_sha256);
    assert_eq!(view.state.exit_code, Some(-3));
    assert_eq!(view.state.error.as_deref(), Some("a \"warning\"\n"));

    let unsealed = site.start(site.wish("open")).await.id();
    assert_eq!(site.read(move |r| r.evidence(unsealed, 1)).await, None);
}

pub async fn a_repeated_completion_changes_nothing(site: &mut Site) {
    let mut new = site.wish("x");
    new.requires_approval = true;
    let work = site.start(new).await;
    let view = site.finish(&work, Outcome::Succeeded).await;
    let end = log_end(site).await;
    assert_eq!(site.finish(&work, Outcome::Succeeded).await, view);
    let other = site.completion(&work, Outcome::Failed);
    let refused = site.store.complete(other).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Refused(Refusal::AlreadyCompleted))
    ));
    let mut stranger = work.clone();
    stranger.lease.token = Digest::of(b"a guess");
    let completion = site.completion(&stranger, Outcome::Succeeded);
    let refused = site.store.complete(completion).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Refused(Refusal::LeaseLost))
    ));
    assert_eq!(log_end(site).await, end);
    let decided = site
        .review(work.id(), approval_core::DecisionRequest::approve())
        .await;
    assert_eq!(site.finish(&work, Outcome::Succeeded).await, decided);
}

pub async fn evidence_hashed_before_an_upload_is_stale(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    site.print(&work, 0, "counted").await;
    let agent = site.desktop.agent.clone();
    let nothing = Digest::of(b"");
    let prepared = store::Prepared {
        attempt: 1,
        version: 0,
        content_sha256: nothing,
        logs: approval_core::LogSummary {
            entries: 0,
            bytes: 0,
            dropped_bytes: 0,
            sha256: nothing,
        },
        output: approval_core::TextPart {
            part: approval_core::Part::of(b""),
            truncated: false,
        },
        files: Vec::new(),
    };
    for (attempt, version) in [(1, 0), (0, 1), (2, 1)] {
        let command = Command::Complete {
            lease: work.lease,
            report: Report::new(Outcome::Succeeded, nothing),
            output: None,
            log_entries: None,
            prepared: Box::new(store::Prepared {
                attempt,
                version,
                ..prepared.clone()
            }),
        };
        let stale = site.submit(&agent, command).await;
        assert!(matches!(stale, Err(SubmitError::Stale)), "{stale:?}");
    }
    assert_eq!(site.status(work.id()).await, Status::Running);
    // the store prepares again and again while a runner still sends
    let mut tasks = Vec::new();
    for seq in 1..20 {
        let store = site.store.clone();
        let entry = log_entry(seq, LogStream::Stdout, b".");
        let request = site.request(&agent, append(&work, vec![entry]));
        tasks.push(tokio::spawn(async move { store.submit(request).await }));
    }
    let view = site.finish(&work, Outcome::Succeeded).await;
    for task in tasks {
        let outcome = task.await.unwrap();
        assert!(
            matches!(
                outcome,
                Ok(_) | Err(SubmitError::Refused(Refusal::LeaseLost))
            ),
            "{outcome:?}"
        );
    }
    let evidence = manifest(site, &view).await;
    let kept = logs(site, work.id()).await;
    assert_eq!(evidence["logs"]["entries"], kept.len());
}

pub async fn a_report_out_of_range_is_refused(site: &mut Site) {
    let work = site.start(site.wish("x")).await;
    let mut completion = site.completion(&work, Outcome::Succeeded);
    completion.report.exit_code = Some(i64::MAX);
    let refused = site.store.complete(completion).await;
    assert!(
        matches!(
            refused,
            Err(SubmitError::Refused(Refusal::Invalid {
                field: "exitCode",
                ..
            }))
        ),
        "{refused:?}"
    );
    let agent = site.desktop.agent.clone();
    for seq in [-1, (1 << 53) + 1, i64::MAX] {
        let entry = log_entry(seq, LogStream::Stdout, b"x");
        let refusal = site.refused(&agent, append(&work, vec![entry])).await;
        assert!(
            matches!(refusal, Refusal::Invalid { field: "seq", .. }),
            "{refusal:?}"
        );
    }
    let scattered = (0..1_001).map(|n| log_entry(2 * n, LogStream::Stdout, b"x"));
    let refusal = site
        .refused(&agent, append(&work, scattered.collect()))
        .await;
    assert!(
        matches!(refusal, Refusal::Invalid { field: "seq", .. }),
        "{refusal:?}"
    );
    assert_eq!(logs(site, work.id()).await, []);
    site.finish(&work, Outcome::Succeeded).await;
}
