//! The check of an exported log (contract section 4): whether it is whole, and whether every decision
//! is the one that the log records, about the evidence that was sealed.
//!
//! It is fed line by line, in order, by whoever reads the export, and keeps a few facts an approval.
//! It trusts nothing but the saved heads: whoever may write the whole file can also write a chain that
//! is whole in itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::activity::{ActivityEntry, GENESIS};
use crate::approval::{Approval, ApprovalStatus, Decided};
use crate::digest::Digest;
use crate::gate::GateReason;
use crate::id::{AccountId, ApprovalId, TaskId};
use crate::principal::{ActorKind, Identity};
use crate::timestamp::Timestamp;

/// So many findings are kept; the rest is counted.
pub const MAX_FINDINGS: usize = 100;

/// Where a log ends, or ended when somebody kept it: the last row and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The last row; 0 for an empty log.
    pub seq: i64,
    /// Its hash; [`GENESIS`] for an empty log.
    pub hash: Digest,
}

/// `SEQ:HASH`
impl std::fmt::Display for AuditHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl std::str::FromStr for AuditHead {
    type Err = String;

    /// # Errors
    /// A sentence saying what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(seq, hash)| {
            let seq = seq.parse().ok().filter(|seq: &i64| *seq >= 0)?;
            let hash = hash.parse().ok()?;
            Some(Self { seq, hash })
        });
        parsed.ok_or_else(|| "expected SEQ:HASH, as `audit head` prints it".to_owned())
    }
}

/// A row of the log as it was exported.
#[derive(Debug, Clone, Copy)]
pub struct AuditRow<'a> {
    /// What is hashed.
    pub entry: ActivityEntry<'a>,
    /// The hash that stands in the row.
    pub hash: Digest,
    /// What its payload says about an approval, if that is its subject.
    pub event: Option<AuditEvent>,
}

/// The payloads that the check compares with approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditEvent {
    /// `approval.created`
    Created {
        /// Which approval.
        approval: ApprovalId,
        /// Of which task.
        task: TaskId,
        /// Why there is one.
        reason: GateReason,
        /// What was sealed.
        evidence_sha256: Digest,
    },
    /// `approval.resolved`
    Resolved {
        /// Which approval.
        approval: ApprovalId,
        /// Of which task.
        task: TaskId,
        /// How it ended.
        status: ApprovalStatus,
    },
}

/// An approval as it was exported.
#[derive(Debug, Clone, Copy)]
pub struct AuditApproval<'a> {
    /// The approval. Its feedback is not looked at: nothing in the log binds it.
    pub approval: &'a Approval,
    /// The sealed evidence: the exact bytes.
    pub manifest: &'a str,
    /// The task and the attempt that the manifest names.
    pub manifest_of: (TaskId, u32),
}

/// Something that is not as the server wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFinding {
    /// The line of the export, from 1; `None` for what is missing altogether.
    pub line: Option<u64>,
    /// The row of the log it is about.
    pub seq: Option<i64>,
    /// What is wrong, a sentence without an end.
    pub what: String,
}

impl std::fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}")?,
            None => f.write_str("end")?,
        }
        if let Some(seq) = self.seq {
            write!(f, ", seq {seq}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Rows of the log that were read.
    pub rows: u64,
    /// Approvals that were read.
    pub approvals: u64,
    /// The last row that was read.
    pub head: AuditHead,
    /// The first [`MAX_FINDINGS`].
    pub findings: Vec<AuditFinding>,
    /// How many more there were.
    pub more: u64,
}

impl AuditVerdict {
    /// Whether nothing was found.
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What the log says about one approval.
struct Logged {
    seq: i64,
    task: TaskId,
    reason: GateReason,
    evidence_sha256: Digest,
    at: Timestamp,
    resolved: Option<Resolved>,
    /// Whether its line was read.
    exported: bool,
}

struct Resolved {
    seq: i64,
    status: ApprovalStatus,
    actor: Identity,
    at: Timestamp,
}

/// The check, line by line: [`header`](Self::header), each [`row`](Self::row), each
/// [`approval`](Self::approval), [`trailer`](Self::trailer), and [`finish`](Self::finish).
pub struct AuditVerifier {
    saved: BTreeMap<i64, Vec<Digest>>,
    account: Option<AccountId>,
    /// What the next row follows; `None` behind a line that could not be read.
    before: Option<AuditHead>,
    head: AuditHead,
    rows: u64,
    approvals: u64,
    last_approval: Option<ApprovalId>,
    logged: BTreeMap<ApprovalId, Logged>,
    ended: bool,
    findings: Vec<AuditFinding>,
    more: u64,
}

const START: AuditHead = AuditHead {
    seq: 0,
    hash: GENESIS,
};

impl AuditVerifier {
    /// A check that holds the log against the heads somebody kept.
    pub fn new(saved: &[AuditHead]) -> Self {
        let mut by_seq: BTreeMap<i64, Vec<Digest>> = BTreeMap::new();
        for head in saved {
            by_seq.entry(head.seq).or_default().push(head.hash);
        }
        let mut verifier = Self {
            saved: by_seq,
            account: None,
            before: Some(START),
            head: START,
            rows: 0,
            approvals: 0,
            last_approval: None,
            logged: BTreeMap::new(),
            ended: false,
            findings: Vec::new(),
            more: 0,
        };
        verifier.check_saved(None, START);
        verifier
    }

    /// The first line: whose log it is.
    pub fn header(&mut self, line: u64, account: AccountId) {
        if line != 1 || self.account.is_some() {
            self.find(line, None, "a header that is not the first line");
        }
        self.account.get_or_insert(account);
    }

    /// A line that is not as an export writes it. What follows is taken as it stands, so that it is
    /// one finding.
    pub fn unreadable(&mut self, line: u64, why: &str) {
        self.find(line, None, why);
        self.before = None;
    }

    /// The next row of the log.
    pub fn row(&mut self, line: u64, row: &AuditRow<'_>) {
        let AuditRow { entry, hash, event } = row;
        let seq = entry.seq;
        self.in_order(line, Some(seq), "a row of the log");
        if let Some(wrong) = self.wrong_with(row) {
            self.find(line, Some(seq), wrong);
        }
        if self.approvals > 0 {
            self.find(line, Some(seq), "a row of the log behind the approvals");
        }
        self.rows += 1;
        // from what stands there, so that one edit is one finding
        self.head = AuditHead { seq, hash: *hash };
        self.before = Some(self.head);
        self.check_saved(Some(line), self.head);
        if let Some(event) = event {
            self.remember(line, entry, event);
        }
    }

    /// The first thing that is wrong with a row.
    fn wrong_with(&self, row: &AuditRow<'_>) -> Option<String> {
        let AuditRow { entry, hash, .. } = row;
        if self.account.is_some_and(|account| account != entry.account) {
            return Some(format!("a row of another account, {}", entry.account));
        }
        if let Some(before) = self.before {
            if entry.seq != before.seq + 1 {
                let expected = before.seq + 1;
                return Some(format!("row {expected} was expected here"));
            }
            if entry.prev_hash != before.hash {
                return Some("prevHash is not the hash of the row before".to_owned());
            }
        }
        (entry.hash() != *hash).then(|| "the row does not have its hash: it was altered".to_owned())
    }

    /// Holds a row against the heads that were kept.
    fn check_saved(&mut self, line: Option<u64>, head: AuditHead) {
        let saved = self.saved.remove(&head.seq).unwrap_or_default();
        if saved.iter().any(|hash| *hash != head.hash) {
            self.push(AuditFinding {
                line,
                seq: Some(head.seq),
                what: "another hash than the saved head: history was rewritten".to_owned(),
            });
        }
    }

    fn remember(&mut self, line: u64, entry: &ActivityEntry<'_>, event: &AuditEvent) {
        let problem = match *event {
            AuditEvent::Created {
                approval,
                task,
                reason,
                evidence_sha256,
            } => {
                let created = Logged {
                    seq: entry.seq,
                    task,
                    reason,
                    evidence_sha256,
                    at: entry.at,
                    resolved: None,
                    exported: false,
                };
                self.created(approval, created)
            }
            AuditEvent::Resolved {
                approval,
                task,
                status,
            } => {
                let resolved = Resolved {
                    seq: entry.seq,
                    status,
                    actor: entry.actor.clone(),
                    at: entry.at,
                };
                self.resolved(approval, task, resolved)
            }
        };
        if let Some(what) = problem {
            self.find(line, Some(entry.seq), what);
        }
    }

    fn created(&mut self, id: ApprovalId, created: Logged) -> Option<&'static str> {
        match self.logged.entry(id) {
            Entry::Vacant(place) => {
                place.insert(created);
                None
            }
            Entry::Occupied(_) => Some("an approval that was created before"),
        }
    }

    fn resolved(
        &mut self,
        id: ApprovalId,
        task: TaskId,
        resolved: Resolved,
    ) -> Option<&'static str> {
        let Some(logged) = self.logged.get_mut(&id) else {
            return Some("a decision about an approval that was never created");
        };
        if logged.resolved.is_some() {
            return Some("a second decision");
        }
        let by = resolved.actor.kind;
        logged.resolved = Some(resolved);
        if logged.task != task {
            Some("a decision about another task than the approval's")
        } else if by != ActorKind::Human {
            Some("a decision by no person")
        } else {
            None
        }
    }

    /// The next approval, in the order of ids.
    pub fn approval(&mut self, line: u64, approval: &AuditApproval<'_>) {
        let id = approval.approval.id;
        self.in_order(line, None, "an approval");
        if self.last_approval.is_some_and(|last| last >= id) {
            let what = format!("{id} does not stand in the order of ids");
            self.find(line, None, what);
        }
        self.last_approval = Some(id);
        self.approvals += 1;
        let Some(logged) = self.logged.get_mut(&id) else {
            self.find(
                line,
                None,
                format!("the log has no approval.created of {id}"),
            );
            return;
        };
        logged.exported = true;
        if let Some((seq, what)) = differs(logged, approval) {
            self.find(line, Some(seq), format!("{id}: {what}"));
        }
    }

    /// The last line: where the log ends and how many lines there are.
    pub fn trailer(&mut self, line: u64, head: AuditHead, rows: u64, approvals: u64) {
        self.in_order(line, None, "a trailer");
        self.ended = true;
        if head != self.head {
            let what = format!(
                "the trailer names the head {head}, the log ends at {}",
                self.head
            );
            self.find(line, None, what);
        }
        if (rows, approvals) != (self.rows, self.approvals) {
            let what = format!(
                "the trailer counts {rows} rows and {approvals} approvals, there are {} and {}",
                self.rows, self.approvals
            );
            self.find(line, None, what);
        }
    }

    /// The end of the file.
    #[must_use]
    pub fn finish(mut self) -> AuditVerdict {
        if !self.ended {
            self.push(AuditFinding {
                line: None,
                seq: None,
                what: "the file has no trailer: it was cut".to_owned(),
            });
        }
        for seq in std::mem::take(&mut self.saved).into_keys() {
            let what = if seq > self.head.seq {
                "the saved head is beyond the end: the tail was cut"
            } else {
                "the row of the saved head is missing"
            };
            self.push(AuditFinding {
                line: None,
                seq: Some(seq),
                what: what.to_owned(),
            });
        }
        for (id, logged) in std::mem::take(&mut self.logged) {
            if !logged.exported {
                self.push(AuditFinding {
                    line: None,
                    seq: Some(logged.seq),
                    what: format!("{id} has no line among the approvals"),
                });
            }
        }
        AuditVerdict {
            rows: self.rows,
            approvals: self.approvals,
            head: self.head,
            findings: self.findings,
            more: self.more,
        }
    }

    /// Whether a line may stand here at all: behind the header, before the trailer.
    fn in_order(&mut self, line: u64, seq: Option<i64>, what: &str) {
        if self.ended {
            self.find(line, seq, format!("{what} behind the trailer"));
        } else if line == 1 {
            self.find(line, seq, format!("{what} where the header belongs"));
        }
    }

    fn find(&mut self, line: u64, seq: Option<i64>, what: impl Into<String>) {
        self.push(AuditFinding {
            line: Some(line),
            seq,
            what: what.into(),
        });
    }

    fn push(&mut self, finding: AuditFinding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// The first thing in which an approval is not as the log has it, and the row that says so.
fn differs(logged: &Logged, exported: &AuditApproval<'_>) -> Option<(i64, &'static str)> {
    let approval = exported.approval;
    let created = if approval.task != logged.task {
        "another task than approval.created names"
    } else if approval.reason != logged.reason {
        "another reason than approval.created names"
    } else if approval.created_at != logged.at {
        "another time than that of approval.created"
    } else if approval.evidence_sha256 != logged.evidence_sha256 {
        "another evidence digest than approval.created names"
    } else if Digest::of(exported.manifest.as_bytes()) != logged.evidence_sha256 {
        "the manifest is not what was sealed"
    } else if exported.manifest_of != (approval.task, approval.attempt) {
        "the manifest is of another task or attempt"
    } else {
        return resolution_differs(logged, approval);
    };
    Some((logged.seq, created))
}

fn resolution_differs(logged: &Logged, approval: &Approval) -> Option<(i64, &'static str)> {
    let what = match (&logged.resolved, &approval.decided) {
        (None, None) if approval.status == ApprovalStatus::Pending => return None,
        (None, _) => return Some((logged.seq, "decided, but the log has no approval.resolved")),
        (Some(_), None) => "undecided, but the log has an approval.resolved",
        (Some(resolved), Some(Decided { by, at, .. })) => {
            if approval.status != resolved.status {
                "another status than approval.resolved names"
            } else if *by != resolved.actor {
                "another decider than the actor of approval.resolved"
            } else if *at != resolved.at {
                "another time than that of approval.resolved"
            } else {
                return None;
            }
        }
    };
    logged
        .resolved
        .as_ref()
        .map(|resolved| (resolved.seq, what))
}
