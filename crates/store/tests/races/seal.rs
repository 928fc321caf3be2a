//! The seal: whatever is uploaded, appended, completed and approved at the same moment, what is stored is
//! what was sealed, what was sealed is what was approved, and nothing comes after (docs/guarantees.md, G4).

use std::collections::BTreeMap;

use approval_core::{
    ApprovalStatus, ChangeKind, DecisionRequest, Digest, LogStream, Outcome, PathText, Refusal,
    Status,
};
use serde_json::{Value, json};
use store::{
    Command, DecisionTarget, FilePart, FileUpload, Request, Store, SubmitError, UploadedPart,
};
use test_support::{Work, canonical, log_entry, rounds};
use tokio::task::JoinSet;

use crate::field::Field;

/// Attempts, when nobody asks for more.
const ATTEMPTS: usize = 400;
/// Attempts at the same time.
const AT_ONCE: usize = 40;
/// Log entries and files of each.
const UPLOADS: i64 = 4;
/// Ends of each, of which one counts.
const ENDS: usize = 2;

/// What was said to the runner.
#[derive(Default)]
struct Taken {
    logs: Vec<i64>,
    files: Vec<i64>,
    /// How many uploads were refused.
    refused: usize,
    /// The outputs of the ends that were accepted.
    ends: Vec<String>,
}

pub async fn what_was_sealed_is_what_is_stored(field: &Field) {
    let mut left = rounds(ATTEMPTS);
    let (mut taken, mut refused) = (0, 0);
    while left > 0 {
        let share = left.min(AT_ONCE) as usize;
        left -= left.min(AT_ONCE);
        field.queue(share, true).await;
        let works = field.claim_all(4).await;
        assert_eq!(works.len(), share);
        let mut racing = JoinSet::new();
        for (n, work) in works.iter().enumerate() {
            let race = Race {
                stores: (0..field.stores.len())
                    .map(|s| field.store(n + s))
                    .collect(),
                person: field.request(&field.site.person, approve(work)),
                agent: field.request(&field.site.desktop.agent, Command::Heartbeat(work.lease)),
                work: work.clone(),
            };
            racing.spawn(async move { (n, race.run(n).await) });
        }
        while let Some(raced) = racing.join_next().await {
            let (n, said) = raced.unwrap();
            taken += said.logs.len() + said.files.len();
            refused += said.refused;
            check(field, &works[n], &said).await;
        }
    }
    assert!(
        taken > 0 && refused > 0,
        "one order only: {taken} taken, {refused} refused"
    );
    println!(
        "{} attempts: {taken} uploads before the seal, {refused} after",
        rounds(ATTEMPTS)
    );
}

fn approve(work: &Work) -> Command {
    Command::Decide {
        target: DecisionTarget::Task(work.id()),
        request: DecisionRequest::approve(),
    }
}

/// Everything that happens to one attempt at the same time.
struct Race {
    stores: Vec<Store>,
    /// The decision of a person.
    person: Request,
    /// Any call of the runner.
    agent: Request,
    work: Work,
}

enum Call {
    Log(i64),
    File(i64),
    End(usize),
    Approve,
}

impl Race {
    /// Starts every call at once, another one first each time, and says what was accepted.
    async fn run(self, turn: usize) -> Taken {
        let mut calls = Vec::new();
        for n in 0..UPLOADS {
            calls.extend([Call::Log(n), Call::File(n)]);
        }
        // in the midst of the uploads
        for n in 0..ENDS {
            calls.insert((turn * 3 + n * 5) % calls.len(), Call::End(n));
        }
        calls.push(Call::Approve);
        let mut running = JoinSet::new();
        for (n, call) in calls.into_iter().enumerate() {
            let store = self.stores[n % self.stores.len()].clone();
            let (person, agent, work) =
                (self.person.clone(), self.agent.clone(), self.work.clone());
            running.spawn(async move {
                let accepted = match call {
                    Call::Log(n) => upload(&store, &agent, append(&work, n)).await,
                    Call::File(n) => upload(&store, &agent, add(&work, n)).await,
                    Call::End(n) => end(&store, &agent, &work, n).await,
                    Call::Approve => {
                        decide(&store, &person).await;
                        true
                    }
                };
                (call, accepted)
            });
        }
        let mut taken = Taken::default();
        for (call, accepted) in running.join_all().await {
            match call {
                Call::Log(n) if accepted => taken.logs.push(n),
                Call::File(n) if accepted => taken.files.push(n),
                Call::End(n) if accepted => taken.ends.push(output(n)),
                Call::Log(_) | Call::File(_) => taken.refused += 1,
                Call::End(_) | Call::Approve => {}
            }
        }
        for late in [append(&self.work, 99), add(&self.work, 99)] {
            assert!(
                !upload(&self.stores[0], &self.agent, late).await,
                "taken after the seal"
            );
        }
        taken
    }
}

fn log_text(n: i64) -> Vec<u8> {
    format!("line {n}\n").into_bytes()
}

fn content(n: i64) -> Vec<u8> {
    format!("content {n}").into_bytes()
}

fn output(n: usize) -> String {
    format!("output {n}")
}

fn append(work: &Work, n: i64) -> Command {
    Command::AppendLogs {
        lease: work.lease,
        entries: vec![log_entry(n, LogStream::Stdout, &log_text(n))],
    }
}

fn add(work: &Work, n: i64) -> Command {
    let file = FileUpload {
        path: PathText::Text(n.to_string()),
        old_path: None,
        change: ChangeKind::Added,
        mode: None,
        old_mode: None,
        diff: None,
        content: Some(UploadedPart::content(content(n))),
        truncated: false,
    };
    Command::AddFiles {
        lease: work.lease,
        files: vec![file],
    }
}

/// Whether it was taken; refused it is because of the seal and for no other reason.
async fn upload(store: &Store, agent: &Request, command: Command) -> bool {
    let request = Request {
        command,
        ..agent.clone()
    };
    match store.submit(request).await {
        Ok(_) => true,
        Err(SubmitError::Refused(Refusal::LeaseLost)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// Ends the attempt with an output of its own; whether that end counts.
async fn end(store: &Store, agent: &Request, work: &Work, n: usize) -> bool {
    let output = output(n);
    let request = store::CompleteRequest {
        account: agent.account,
        principal: agent.principal.clone(),
        idempotency: None,
        lease: work.lease,
        report: approval_core::Report::new(Outcome::Succeeded, Digest::of(output.as_bytes())),
        output: Some(output.into_bytes()),
        log_entries: None,
    };
    loop {
        match store.complete(request.clone()).await {
            Ok(_) => return true,
            // uploads came between again and again
            Err(SubmitError::Busy) => {}
            Err(SubmitError::Refused(Refusal::AlreadyCompleted)) => return false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Approves as soon as there is something to approve.
async fn decide(store: &Store, person: &Request) {
    loop {
        match store.submit(person.clone()).await {
            Ok(_) => return,
            Err(SubmitError::Refused(Refusal::NotInReview { status })) => {
                assert_eq!(status, Status::Running);
                tokio::task::yield_now().await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The digest of what is stored now, hashed anew, is what was sealed and what was approved.
async fn check(field: &Field, work: &Work, said: &Taken) {
    let id = work.id();
    let view = field.site.task(id).await;
    assert_eq!(view.state.status, Status::Done);
    let approval = view.review.expect("an approval");
    assert_eq!(approval.status, ApprovalStatus::Approved);
    let (manifest, logs, files, kept_output) = field
        .site
        .read(move |reads| {
            let manifest = reads.evidence(id, 1)?.expect("sealed");
            let logs = reads.logs(id, 1, -1, 1_000)?;
            let mut files = BTreeMap::new();
            for file in reads.file_list(id, 1, None, 1_000)?.items {
                let bytes = reads.file_part(id, 1, file.n, FilePart::Content)?;
                files.insert(file.path, bytes.expect("a content"));
            }
            Ok((manifest, logs, files, reads.output(id, 1)?.bytes))
        })
        .await;
    let hex = |bytes: &[u8]| Digest::of(bytes).to_string();
    assert_eq!(
        view.state.evidence_sha256,
        Some(Digest::of(manifest.as_bytes()))
    );
    assert_eq!(approval.evidence_sha256, Digest::of(manifest.as_bytes()));
    let sealed: Value = serde_json::from_str(&manifest).unwrap();
    let rows: Vec<Value> = logs
        .iter()
        .map(|l| {
            json!({"seq": l.seq, "stream": l.stream.as_str(), "at": l.at.to_string(),
                "sha256": hex(&l.bytes)})
        })
        .collect();
    let bytes: usize = logs.iter().map(|l| l.bytes.len()).sum();
    let digest = hex(canonical(&rows.into()).as_bytes());
    assert_eq!(
        sealed["logs"],
        json!({"entries": logs.len(), "bytes": bytes, "droppedBytes": 0, "sha256": digest})
    );
    let listed = |path: &[u8], content: &[u8]| {
        json!({"path": String::from_utf8_lossy(path), "oldPath": null, "change": "added",
            "mode": null, "oldMode": null, "diff": null, "truncated": false,
            "content": {"bytes": content.len(), "sha256": hex(content)}})
    };
    let listed: Vec<Value> = files
        .iter()
        .map(|(path, bytes)| listed(path, bytes))
        .collect();
    assert_eq!(sealed["files"], Value::Array(listed));
    assert_eq!(sealed["output"]["sha256"], hex(&kept_output));

    // and that is what the runner was told
    let mut taken = said.logs.clone();
    taken.sort_unstable();
    assert_eq!(logs.iter().map(|l| l.seq).collect::<Vec<_>>(), taken);
    assert!(logs.iter().all(|l| l.bytes == log_text(l.seq)));
    let expected = said
        .files
        .iter()
        .map(|n| (n.to_string().into_bytes(), content(*n)));
    assert_eq!(files, expected.collect());
    assert_eq!(said.ends, [String::from_utf8(kept_output).unwrap()]);
}
