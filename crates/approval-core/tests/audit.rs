//! The check of an exported log: each thing it looks at, altered alone in a log that is whole.

use approval_core::*;
use uuid::Uuid;

use crate::fixtures::{approval_id, at, human, task_id, token};

const MANIFEST: &str = r#"{"sealed":true}"#;

fn account(number: u128) -> AccountId {
    Uuid::from_u128(number).into()
}

/// What is fed to the check; each test alters one member.
struct Export {
    rows: Vec<Row>,
    approvals: Vec<(Approval, &'static str, (TaskId, u32))>,
    saved: Vec<AuditHead>,
    /// Of the trailer; `None` for a file without one.
    counts: Option<(u64, u64)>,
}

#[derive(Clone)]
struct Row {
    account: AccountId,
    seq: i64,
    prev_hash: Digest,
    hash: Digest,
    actor: Identity,
    event: Option<AuditEvent>,
}

impl Row {
    fn entry(&self) -> ActivityEntry<'_> {
        ActivityEntry {
            seq: self.seq,
            account: self.account,
            kind: "any",
            payload: "{}",
            actor: &self.actor,
            at: at(self.seq),
            prev_hash: self.prev_hash,
        }
    }
}

/// Gives the rows from here on the hashes that they should have.
fn rechain(rows: &mut [Row], from: usize) {
    for index in from..rows.len() {
        rows[index].prev_hash = match index {
            0 => GENESIS,
            _ => rows[index - 1].hash,
        };
        rows[index].hash = rows[index].entry().hash();
    }
}

/// Five rows: one approval that was approved, one that waits.
fn whole() -> Export {
    let person = human().identity;
    let created = |number| AuditEvent::Created {
        approval: approval_id(number),
        task: task_id(number),
        reason: GateReason::Task,
        evidence_sha256: Digest::of(MANIFEST.as_bytes()),
    };
    let resolved = AuditEvent::Resolved {
        approval: approval_id(1),
        task: task_id(1),
        status: ApprovalStatus::Approved,
    };
    let events = [
        None,
        Some(created(1)),
        Some(created(2)),
        Some(resolved),
        None,
    ];
    let mut rows: Vec<Row> = (1..)
        .zip(events)
        .map(|(seq, event)| Row {
            account: account(1),
            seq,
            prev_hash: GENESIS,
            hash: GENESIS,
            actor: person.clone(),
            event,
        })
        .collect();
    rechain(&mut rows, 0);
    let approval = |number, created| Approval {
        id: approval_id(number),
        task: task_id(number),
        attempt: 1,
        reason: GateReason::Task,
        evidence_sha256: Digest::of(MANIFEST.as_bytes()),
        created_at: at(created),
        status: ApprovalStatus::Pending,
        decided: None,
    };
    let approved = Approval {
        status: ApprovalStatus::Approved,
        decided: Some(Decided {
            by: person,
            at: at(4),
            feedback: None,
        }),
        ..approval(1, 2)
    };
    let head = AuditHead {
        seq: 5,
        hash: rows[4].hash,
    };
    Export {
        rows,
        approvals: vec![
            (approved, MANIFEST, (task_id(1), 1)),
            (approval(2, 3), MANIFEST, (task_id(2), 1)),
        ],
        saved: vec![head],
        counts: Some((5, 2)),
    }
}

fn check(export: &Export) -> AuditVerdict {
    let mut verifier = AuditVerifier::new(&export.saved);
    let mut lines = 1..;
    let mut line = || lines.next().unwrap_or_default();
    verifier.header(line(), account(1));
    for row in &export.rows {
        let row = AuditRow {
            entry: row.entry(),
            hash: row.hash,
            event: row.event,
        };
        verifier.row(line(), &row);
    }
    for (approval, manifest, manifest_of) in &export.approvals {
        let approval = AuditApproval {
            approval,
            manifest,
            manifest_of: *manifest_of,
        };
        verifier.approval(line(), &approval);
    }
    if let Some((rows, approvals)) = export.counts {
        let last = export.rows.last().expect("rows");
        let head = AuditHead {
            seq: last.seq,
            hash: last.hash,
        };
        verifier.trailer(line(), head, rows, approvals);
    }
    verifier.finish()
}

/// What is found in a whole log after it was altered so.
fn found(alter: impl FnOnce(&mut Export)) -> Vec<String> {
    let mut export = whole();
    alter(&mut export);
    let verdict = check(&export);
    assert_eq!(verdict.is_clean(), verdict.findings.is_empty());
    verdict.findings.iter().map(ToString::to_string).collect()
}

/// One edit is one finding.
#[track_caller]
fn one(alter: impl FnOnce(&mut Export), expected: &str) {
    assert_eq!(found(alter), [expected]);
}

#[test]
fn a_whole_log_is_whole() {
    let verdict = check(&whole());
    assert_eq!(verdict.findings, []);
    assert!(verdict.is_clean());
    assert_eq!((verdict.rows, verdict.approvals, verdict.more), (5, 2, 0));
    assert_eq!(verdict.head, whole().saved[0]);
    let text = verdict.head.to_string();
    assert_eq!(text.parse(), Ok(verdict.head));
}

#[test]
fn each_row_is_looked_at() {
    let altered = "the row does not have its hash: it was altered";
    let name = |e: &mut Export| e.rows[0].actor.name.push('x');
    one(name, &format!("line 2, seq 1: {altered}"));
    let foreign = |e: &mut Export| e.rows[4].account = account(2);
    let other = format!("a row of another account, {}", account(2));
    one(foreign, &format!("line 6, seq 5: {other}"));
    let swapped = |e: &mut Export| e.rows[4].prev_hash = token(1);
    one(
        swapped,
        "line 6, seq 5: prevHash is not the hash of the row before",
    );
    let gone = |e: &mut Export| {
        e.rows.remove(0);
        e.counts = Some((4, 2));
    };
    one(gone, "line 2, seq 2: row 1 was expected here");
}

#[test]
fn each_approval_is_what_was_logged() {
    let first = |what: &str| format!("line 7, seq 2: {}: {what}", approval_id(1));
    let decided = |what: &str| format!("line 7, seq 4: {}: {what}", approval_id(1));
    one(
        |e| e.approvals[0].0.task = task_id(9),
        &first("another task than approval.created names"),
    );
    one(
        |e| e.approvals[0].0.reason = GateReason::Global,
        &first("another reason than approval.created names"),
    );
    one(
        |e| e.approvals[0].0.created_at = at(9),
        &first("another time than that of approval.created"),
    );
    one(
        |e| e.approvals[0].0.evidence_sha256 = token(1),
        &first("another evidence digest than approval.created names"),
    );
    one(
        |e| e.approvals[0].1 = "{}",
        &first("the manifest is not what was sealed"),
    );
    one(
        |e| e.approvals[0].0.attempt = 2,
        &first("the manifest is of another task or attempt"),
    );
    one(
        |e| e.approvals[0].2 = (task_id(2), 1),
        &first("the manifest is of another task or attempt"),
    );
    one(
        |e| e.approvals[0].0.status = ApprovalStatus::Rejected,
        &decided("another status than approval.resolved names"),
    );
    one(
        |e| e.approvals[0].0.decided = None,
        &decided("undecided, but the log has an approval.resolved"),
    );
    one(
        |e| {
            let decision = e.approvals[0].0.decided.as_mut().expect("decided");
            decision.by.name.push('x');
        },
        &decided("another decider than the actor of approval.resolved"),
    );
    one(
        |e| e.approvals[0].0.decided.as_mut().expect("decided").at = at(9),
        &decided("another time than that of approval.resolved"),
    );
    let undecided = format!(
        "line 8, seq 3: {}: decided, but the log has no approval.resolved",
        approval_id(2)
    );
    one(
        |e| e.approvals[1].0.status = ApprovalStatus::Approved,
        &undecided,
    );
}

#[test]
fn every_approval_is_there_once() {
    let gone = |e: &mut Export| {
        e.approvals.pop();
        e.counts = Some((5, 1));
    };
    one(
        gone,
        &format!(
            "end, seq 3: {} has no line among the approvals",
            approval_id(2)
        ),
    );
    let swapped = |e: &mut Export| e.approvals.swap(0, 1);
    one(
        swapped,
        &format!(
            "line 8: {} does not stand in the order of ids",
            approval_id(1)
        ),
    );
    let invented = |e: &mut Export| e.approvals[1].0.id = approval_id(3);
    let found = found(invented);
    assert!(
        found[0].contains("the log has no approval.created"),
        "{found:?}"
    );
}

#[test]
fn events_follow_the_rules() {
    let event = |index: usize, event: AuditEvent| {
        move |e: &mut Export| {
            e.rows[index].event = Some(event);
        }
    };
    let resolved = |approval, task| AuditEvent::Resolved {
        approval: approval_id(approval),
        task: task_id(task),
        status: ApprovalStatus::Approved,
    };
    one(event(4, resolved(1, 1)), "line 6, seq 5: a second decision");
    one(
        event(0, resolved(1, 1)),
        "line 2, seq 1: a decision about an approval that was never created",
    );
    one(
        event(3, resolved(1, 2)),
        "line 5, seq 4: a decision about another task than the approval's",
    );
    let again = whole().rows[1].event.expect("created");
    one(
        event(4, again),
        "line 6, seq 5: an approval that was created before",
    );
    let machine = |e: &mut Export| {
        e.rows[3].actor = Identity::system();
        rechain(&mut e.rows, 3);
        e.approvals[0].0.decided.as_mut().expect("decided").by = Identity::system();
        e.saved.clear();
    };
    one(machine, "line 5, seq 4: a decision by no person");
}

#[test]
fn the_end_and_the_kept_heads_hold() {
    one(
        |e| e.counts = None,
        "end: the file has no trailer: it was cut",
    );
    one(
        |e| e.counts = Some((4, 2)),
        "line 9: the trailer counts 4 rows and 2 approvals, there are 5 and 2",
    );
    let cut = |e: &mut Export| {
        e.rows.pop();
        e.counts = Some((4, 2));
    };
    one(
        cut,
        "end, seq 5: the saved head is beyond the end: the tail was cut",
    );
    let rewritten = |e: &mut Export| {
        e.rows[0].actor.name.push('x');
        rechain(&mut e.rows, 0);
    };
    one(
        rewritten,
        "line 6, seq 5: another hash than the saved head: history was rewritten",
    );
    let start = |hash| AuditHead { seq: 0, hash };
    assert_eq!(found(|e| e.saved = vec![start(GENESIS)]), [""; 0]);
    assert_eq!(found(|e| e.saved = vec![start(token(1))]).len(), 1);
    for wrong in ["", "1", "1:", ":1", "-1:", "1:00"] {
        assert!(wrong.parse::<AuditHead>().is_err(), "{wrong}");
    }
}

#[test]
fn findings_are_counted_when_there_are_too_many() {
    let mut verifier = AuditVerifier::new(&[]);
    for line in 1..=150 {
        verifier.unreadable(line, "nonsense");
    }
    let verdict = verifier.finish();
    assert_eq!((verdict.findings.len(), verdict.more), (MAX_FINDINGS, 51));
}

/// The findings of lines in another order than `check` feeds them.
fn fed(feed: impl FnOnce(&mut AuditVerifier, &AuditRow<'_>, &AuditApproval<'_>)) -> Vec<String> {
    let export = whole();
    let mut verifier = AuditVerifier::new(&[]);
    let row = AuditRow {
        entry: export.rows[0].entry(),
        hash: export.rows[0].hash,
        event: None,
    };
    let (approval, manifest, manifest_of) = &export.approvals[0];
    let approval = AuditApproval {
        approval,
        manifest,
        manifest_of: *manifest_of,
    };
    feed(&mut verifier, &row, &approval);
    let verdict = verifier.finish();
    verdict.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn each_line_has_its_place() {
    let end = |row: &AuditRow<'_>| AuditHead {
        seq: 1,
        hash: row.hash,
    };
    let headless = fed(|verifier, row, _| {
        verifier.row(1, row);
        verifier.trailer(2, end(row), 1, 0);
    });
    assert_eq!(
        headless,
        ["line 1, seq 1: a row of the log where the header belongs"]
    );
    for (line, other) in [(2, account(1)), (1, account(2))] {
        let twice = fed(|verifier, row, _| {
            verifier.header(1, account(1));
            verifier.header(line, other);
            verifier.row(3, row);
            verifier.trailer(4, end(row), 1, 0);
        });
        let expected = format!("line {line}: a header that is not the first line");
        assert_eq!(twice, [expected]);
    }
    let late = fed(|verifier, row, approval| {
        verifier.header(1, account(1));
        verifier.approval(2, approval);
        verifier.row(3, row);
        verifier.trailer(4, end(row), 1, 1);
    });
    assert_eq!(
        late[1..],
        ["line 3, seq 1: a row of the log behind the approvals"]
    );
    let behind = fed(|verifier, row, _| {
        verifier.header(1, account(1));
        verifier.row(2, row);
        verifier.trailer(3, end(row), 1, 0);
        verifier.trailer(4, end(row), 1, 0);
    });
    assert_eq!(behind, ["line 4: a trailer behind the trailer"]);
    let elsewhere = fed(|verifier, row, _| {
        verifier.header(1, account(1));
        verifier.row(2, row);
        verifier.trailer(3, AuditHead { seq: 2, ..end(row) }, 1, 0);
    });
    assert!(
        elsewhere.len() == 1 && elsewhere[0].starts_with("line 3: the trailer names the head 2:"),
        "{elsewhere:?}"
    );
}

#[test]
fn an_unreadable_row_is_one_finding() {
    let row = &whole().rows[4];
    let row = AuditRow {
        entry: row.entry(),
        hash: row.hash,
        event: None,
    };
    let unread = fed(|verifier, _, _| {
        verifier.header(1, account(1));
        verifier.unreadable(2, "nonsense");
        verifier.row(3, &row);
        let head = AuditHead {
            seq: 5,
            hash: row.hash,
        };
        verifier.trailer(4, head, 1, 0);
    });
    assert_eq!(unread, ["line 2: nonsense"]);
}
