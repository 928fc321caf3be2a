//! What is measured of the rules: by time in `benches/rules.rs`, by instructions in
//! `examples/instructions.rs`.

use std::hint::black_box;

use approval_core::{
    ActivityEntry, Approval, ChangeKind, DecisionRequest, Digest, Evidence, EvidenceFile,
    LogStream, LogSummary, NewTask, Outcome, Part, PathText, Principal, Refusal, Report, Reviewer,
    Settings, Task, TaskType, TextPart, Timestamp, log_digest,
};
use uuid::Uuid;

/// One thing that is measured.
pub struct Work {
    /// Its name in tables; it never changes, recorded figures go by it.
    pub name: &'static str,
    /// Prepares it, and gives what does it once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// Everything that is measured.
pub const WORKS: &[Work] = &[
    Work {
        name: "approve",
        prepare: approve,
    },
    Work {
        name: "create-to-approval",
        prepare: create_to_approval,
    },
    Work {
        name: "seal-no-files",
        prepare: || seal(0),
    },
    Work {
        name: "seal-100-files",
        prepare: || seal(100),
    },
    Work {
        name: "seal-2000-files",
        prepare: || seal(2_000),
    },
    Work {
        name: "log-digest-1000-entries",
        prepare: log_of_1000,
    },
    Work {
        name: "hash-an-activity-row",
        prepare: hash_a_row,
    },
];

fn now() -> Timestamp {
    Timestamp::from_micros(1_773_568_800_000_000)
}

fn ada() -> Principal {
    Principal::person(Uuid::from_u128(10).into(), "Ada")
}

fn wish() -> NewTask {
    let mut wish = NewTask::new(
        TaskType::Command,
        "make release && make deploy",
        Uuid::from_u128(1).into(),
    );
    wish.requires_approval = true;
    wish
}

fn in_review(ada: &Principal, wish: &NewTask) -> Result<(Task, Option<Approval>), Refusal> {
    let (token, off) = (Digest::of(b"token"), Settings::default());
    let mut task = Task::create(Uuid::from_u128(2).into(), wish, ada, true, &[], now())?;
    task.run(&[])?;
    task.claim(token, off, now())?;
    let report = Report::new(Outcome::Succeeded, Digest::of(b"report"));
    task.complete(token, &report, Digest::of(b"evidence"), off, now())?;
    let approval = task.open_approval(Uuid::from_u128(3).into(), now());
    Ok((task, approval))
}

fn decide(ada: &Principal, task: &mut Task, approval: Option<&mut Approval>) {
    let reviewer = Reviewer::of(ada).expect("a person");
    let mut request = DecisionRequest::approve();
    request.evidence_sha256 = Some(Digest::of(b"evidence").to_string());
    task.decide(approval, &reviewer, &request, Settings::default(), now())
        .expect("in review");
}

fn approve() -> Box<dyn FnMut()> {
    let ada = ada();
    let review = in_review(&ada, &wish()).expect("along the rules");
    Box::new(move || {
        let (mut task, mut approval) = black_box(review.clone());
        decide(&ada, &mut task, approval.as_mut());
        black_box((task, approval));
    })
}

fn create_to_approval() -> Box<dyn FnMut()> {
    let (ada, wish) = (ada(), wish());
    Box::new(move || {
        let (mut task, mut approval) = in_review(&ada, &wish).expect("along the rules");
        decide(&ada, &mut task, approval.as_mut());
        black_box((task, approval));
    })
}

fn seal(files: usize) -> Box<dyn FnMut()> {
    let file = |n: usize| EvidenceFile {
        path: PathText::Text(format!(
            "crates/module_{}/src/part_{n}.rs",
            n * 7_919 % 1_000
        )),
        old_path: None,
        change: ChangeKind::Modified,
        mode: Some("100644".to_owned()),
        old_mode: Some("100644".to_owned()),
        diff: Some(Part::of(b"a diff")),
        content: Some(Part::of(b"content")),
        truncated: false,
    };
    let part = Part::of(b"output");
    let evidence = Evidence {
        task: Uuid::from_u128(2).into(),
        attempt: 1,
        task_type: TaskType::Command,
        desktop: Uuid::from_u128(1).into(),
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        error: None,
        content_sha256: Digest::of(b"make"),
        output: TextPart {
            part,
            truncated: false,
        },
        logs: LogSummary {
            entries: 100,
            bytes: 10_000,
            dropped_bytes: 0,
            sha256: part.sha256,
        },
        files: (0..files).map(file).collect(),
    };
    Box::new(move || drop(black_box(black_box(&evidence).seal())))
}

fn log_of_1000() -> Box<dyn FnMut()> {
    let line = Digest::of(b"a line");
    Box::new(move || {
        let entries = (1..=1_000).map(|seq| (seq, LogStream::Stdout, now(), line));
        black_box(log_digest(entries));
    })
}

fn hash_a_row() -> Box<dyn FnMut()> {
    let actor = ada().identity;
    let payload = r#"{"approvalId":"appr_01kkrb58h2e0tvgvhbmjbgj1d7","decision":"approve","status":"approved","taskId":"task_01kkrb58h2e0tvgvhbmjbgj1d6","taskStatus":"done"}"#;
    Box::new(move || {
        let entry = ActivityEntry {
            seq: 4_711,
            account: Uuid::from_u128(9).into(),
            kind: "approval.resolved",
            payload: black_box(payload),
            actor: &actor,
            at: now(),
            prev_hash: Digest::of(b"the row before"),
        };
        black_box(entry.hash());
    })
}
