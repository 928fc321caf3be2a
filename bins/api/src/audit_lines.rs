//! The lines of an exported log (ADR 0018): written here, and read back only in exactly this form, so
//! that no altered byte is without consequence.

use approval_core::{
    AccountId, ActivityEntry, Approval, AuditEvent, AuditHead, Canonical, Decided, Digest,
    Identity, PrincipalId, TaskId, Timestamp,
};
use serde_json::Value;
use store::{ActivityRow, ExportedApproval};

/// A line of an export.
#[derive(Debug)]
pub(crate) enum Line {
    /// Whose log it is.
    Header(AccountId),
    /// A row of the log.
    Row(Box<Row>),
    /// An approval.
    Approval(Box<SealedApproval>),
    /// Where the log ends.
    Trailer(Trailer),
}

/// A row of the log, as REST shows it.
#[derive(Debug)]
pub(crate) struct Row {
    seq: i64,
    account: AccountId,
    kind: String,
    /// Canonical JSON.
    payload: String,
    actor: Identity,
    at: Timestamp,
    prev_hash: Digest,
    pub(crate) hash: Digest,
    /// What the payload says about an approval.
    pub(crate) event: Option<AuditEvent>,
}

impl Row {
    /// What is hashed.
    pub(crate) fn entry(&self) -> ActivityEntry<'_> {
        ActivityEntry {
            seq: self.seq,
            account: self.account,
            kind: &self.kind,
            payload: &self.payload,
            actor: &self.actor,
            at: self.at,
            prev_hash: self.prev_hash,
        }
    }
}

/// An approval and its evidence.
#[derive(Debug)]
pub(crate) struct SealedApproval {
    pub(crate) approval: Approval,
    pub(crate) manifest: String,
    /// The task and the attempt that the manifest names.
    pub(crate) manifest_of: (TaskId, u32),
}

/// Where the log ends, and how much there is.
#[derive(Debug)]
pub(crate) struct Trailer {
    pub(crate) head: AuditHead,
    pub(crate) rows: u64,
    pub(crate) approvals: u64,
}

/// Reads a line, without the end of line.
///
/// # Errors
/// A sentence without an end, for a line that [`header`], [`row`], [`approval`] or [`trailer`] would not
/// have written.
pub(crate) fn read(line: &[u8]) -> Result<Line, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let (read, written) = if value.get("countersign").is_some() {
        let account = parsed(&value, "accountId")?;
        (Line::Header(account), header(account))
    } else if value.get("seq").is_some() {
        let row = read_row(&value)?;
        let written = row_text(&row.entry(), &row.hash.to_string());
        (Line::Row(Box::new(row)), written)
    } else if let Some(value) = value.get("approval") {
        let sealed = read_approval(value)?;
        let written = approval_text(&sealed.approval, &sealed.manifest);
        (Line::Approval(Box::new(sealed)), written)
    } else if let Some(head) = value.get("head") {
        let head = AuditHead {
            seq: number(head, "seq")?,
            hash: parsed(head, "hash")?,
        };
        let (rows, approvals) = (number(&value, "rows")?, number(&value, "approvals")?);
        let written = trailer(head, rows, approvals);
        let trailer = Trailer {
            head,
            rows,
            approvals,
        };
        (Line::Trailer(trailer), written)
    } else {
        return Err("neither header, row, approval nor trailer".to_owned());
    };
    if written.as_bytes() == line {
        Ok(read)
    } else {
        Err("not written as an export writes it".to_owned())
    }
}

/// The first line.
pub(crate) fn header(account: AccountId) -> String {
    format!(r#"{{"countersign":"audit","v":1,"accountId":"{account}"}}"#)
}

/// A row of the log, member for member as REST shows it.
///
/// # Errors
/// When a stored hash is none.
pub(crate) fn row(account: AccountId, row: &ActivityRow) -> Result<String, String> {
    let entry = ActivityEntry {
        seq: row.seq,
        account,
        kind: &row.kind,
        payload: &row.payload,
        actor: &row.actor,
        at: row.at,
        prev_hash: row.prev_hash.parse()?,
    };
    Ok(row_text(&entry, &row.hash))
}

fn row_text(entry: &ActivityEntry<'_>, hash: &str) -> String {
    format!(
        r#"{{"seq":{},"accountId":"{}","type":{},"payload":{},"actor":{},"at":"{}","prevHash":"{}","hash":"{hash}"}}"#,
        entry.seq,
        entry.account,
        Canonical::text(entry.kind).to_json(),
        entry.payload,
        identity_text(entry.actor),
        entry.at,
        entry.prev_hash,
    )
}

/// An approval; without its feedback, which nothing in the log binds.
pub(crate) fn approval(exported: &ExportedApproval) -> String {
    approval_text(&exported.approval, &exported.manifest)
}

fn approval_text(approval: &Approval, manifest: &str) -> String {
    let (at, by) = match &approval.decided {
        Some(Decided { by, at, .. }) => (format!(r#""{at}""#), identity_text(by)),
        None => ("null".to_owned(), "null".to_owned()),
    };
    format!(
        r#"{{"approval":{{"id":"{}","taskId":"{}","attempt":{},"status":"{}","reason":"{}","createdAt":"{}","decidedAt":{at},"decidedBy":{by},"evidenceSha256":"{}","manifest":{}}}}}"#,
        approval.id,
        approval.task,
        approval.attempt,
        approval.status,
        approval.reason,
        approval.created_at,
        approval.evidence_sha256,
        Canonical::text(manifest).to_json(),
    )
}

/// The last line.
pub(crate) fn trailer(head: AuditHead, rows: u64, approvals: u64) -> String {
    format!(
        r#"{{"head":{{"seq":{},"hash":"{}"}},"rows":{rows},"approvals":{approvals}}}"#,
        head.seq, head.hash
    )
}

fn identity_text(identity: &Identity) -> String {
    let id = match identity.id {
        PrincipalId::System => Canonical::Null,
        id @ (PrincipalId::User(_) | PrincipalId::Key(_)) => Canonical::display(id),
    };
    format!(
        r#"{{"kind":"{}","id":{},"name":{}}}"#,
        identity.kind,
        id.to_json(),
        Canonical::text(identity.name.as_str()).to_json()
    )
}

fn read_row(value: &Value) -> Result<Row, String> {
    let payload = member(value, "payload")?;
    let kind = text(value, "type")?;
    let event = match kind {
        "approval.created" => Some(AuditEvent::Created {
            approval: parsed(payload, "approvalId")?,
            task: parsed(payload, "taskId")?,
            reason: parsed(payload, "reason")?,
            evidence_sha256: parsed(payload, "evidenceSha256")?,
        }),
        "approval.resolved" => Some(AuditEvent::Resolved {
            approval: parsed(payload, "approvalId")?,
            task: parsed(payload, "taskId")?,
            status: parsed(payload, "status")?,
        }),
        _ => None,
    };
    Ok(Row {
        seq: number(value, "seq")?,
        account: parsed(value, "accountId")?,
        kind: kind.to_owned(),
        payload: canonical(payload)?.to_json(),
        actor: read_identity(member(value, "actor")?)?,
        at: Timestamp::parse(text(value, "at")?)?,
        prev_hash: parsed(value, "prevHash")?,
        hash: parsed(value, "hash")?,
        event,
    })
}

fn read_approval(value: &Value) -> Result<SealedApproval, String> {
    let manifest = text(value, "manifest")?;
    let sealed: Value = serde_json::from_str(manifest)
        .map_err(|error| format!("a manifest that is not JSON: {error}"))?;
    let manifest_of = (parsed(&sealed, "taskId")?, number(&sealed, "attempt")?);
    let decided = match (member(value, "decidedAt")?, member(value, "decidedBy")?) {
        (Value::Null, Value::Null) => None,
        (_, by) => Some(Decided {
            by: read_identity(by)?,
            at: Timestamp::parse(text(value, "decidedAt")?)?,
            feedback: None,
        }),
    };
    let approval = Approval {
        id: parsed(value, "id")?,
        task: parsed(value, "taskId")?,
        attempt: number(value, "attempt")?,
        reason: parsed(value, "reason")?,
        evidence_sha256: parsed(value, "evidenceSha256")?,
        created_at: Timestamp::parse(text(value, "createdAt")?)?,
        status: parsed(value, "status")?,
        decided,
    };
    Ok(SealedApproval {
        approval,
        manifest: manifest.to_owned(),
        manifest_of,
    })
}

fn read_identity(value: &Value) -> Result<Identity, String> {
    let id = match member(value, "id")? {
        Value::Null => PrincipalId::System,
        _ => parsed(value, "id")?,
    };
    Ok(Identity {
        kind: parsed(value, "kind")?,
        id,
        name: text(value, "name")?.to_owned(),
    })
}

fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    value.get(name).ok_or_else(|| format!("no member {name}"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    let text = member(value, name)?.as_str();
    text.ok_or_else(|| format!("{name} is not text"))
}

fn parsed<T: std::str::FromStr>(value: &Value, name: &str) -> Result<T, String> {
    let parsed = text(value, name)?.parse();
    parsed.map_err(|_| format!("{name} makes no sense"))
}

fn number<T: TryFrom<i64>>(value: &Value, name: &str) -> Result<T, String> {
    let number = member(value, name)?.as_i64().map(T::try_from);
    number
        .and_then(Result::ok)
        .ok_or_else(|| format!("{name} is not a number of its range"))
}

/// For RFC 8785; the log holds whole numbers only.
fn canonical(value: &Value) -> Result<Canonical<'_>, String> {
    Ok(match value {
        Value::Null => Canonical::Null,
        Value::Bool(value) => Canonical::Bool(*value),
        Value::Number(number) => {
            let number = number.as_i64().ok_or("a number that is not whole")?;
            Canonical::Int(number)
        }
        Value::String(text) => Canonical::text(text.as_str()),
        Value::Array(values) => {
            Canonical::Array(values.iter().map(canonical).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Ok((name.as_str().into(), canonical(value)?)));
            Canonical::Object(members.collect::<Result<_, String>>()?)
        }
    })
}
