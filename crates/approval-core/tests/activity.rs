//! The log: what each event says, and a chain in which nothing can be changed unnoticed
//! (contract section 4).

use approval_core::*;
use proptest::prelude::*;
use uuid::Uuid;

use crate::fixtures::{
    approval_id, at, claimed, desktop_id, failed, human, in_review, mode, pending, queued, wish,
};

/// Names that would break out of JSON written by hand.
const HOSTILE_NAMES: [&str; 7] = [
    "",
    r#"","kind":"human","x":""#,
    "\\\",\u{0}\u{1f}\u{7f}",
    "line\nbreak\r\ttab",
    "\u{202e}evil\u{2028}\u{feff}",
    "日本 😀 é e\u{301}",
    "{}[]:,\"seq\":1",
];

fn account() -> AccountId {
    Uuid::from_u128(5).into()
}

/// The row without `hash`, built without looking at the order of its members.
fn row(entry: &ActivityEntry<'_>, payload: Canonical<'static>) -> String {
    let actor_id = match entry.actor.id {
        PrincipalId::System => Canonical::Null,
        id => Canonical::display(id),
    };
    Canonical::object([
        ("seq", Canonical::Int(entry.seq)),
        ("accountId", Canonical::display(entry.account)),
        ("type", Canonical::text(entry.kind.to_owned())),
        ("payload", payload),
        (
            "actor",
            Canonical::object([
                ("kind", Canonical::text(entry.actor.kind.as_str())),
                ("id", actor_id),
                ("name", Canonical::text(entry.actor.name.clone())),
            ]),
        ),
        ("at", Canonical::display(entry.at)),
        ("prevHash", Canonical::display(entry.prev_hash)),
    ])
    .to_json()
}

fn any_name() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(&HOSTILE_NAMES[..]).prop_map(ToOwned::to_owned);
    prop_oneof![hostile, ".*", "[\\x00-\\x7f]*"]
}

fn any_actor() -> impl Strategy<Value = Identity> {
    let id = prop_oneof![
        any::<u128>().prop_map(|n| PrincipalId::User(Uuid::from_u128(n).into())),
        any::<u128>().prop_map(|n| PrincipalId::Key(Uuid::from_u128(n).into())),
        Just(PrincipalId::System),
    ];
    (prop::sample::select(ActorKind::ALL), id, any_name()).prop_map(|(kind, id, name)| Identity {
        kind,
        id,
        name,
    })
}

fn any_payload() -> impl Strategy<Value = Canonical<'static>> {
    let value = prop_oneof![
        Just(Canonical::Null),
        any::<bool>().prop_map(Canonical::Bool),
        any::<u64>().prop_map(Canonical::count),
        ".*".prop_map(Canonical::text),
    ];
    let members = prop::collection::btree_map(".*", value, 0..5);
    members.prop_map(|m| Canonical::Object(m.into_iter().map(|(k, v)| (k.into(), v)).collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The hash is what any other implementation of RFC 8785 computes from the row.
    #[test]
    fn the_hash_is_that_of_the_canonical_row(
        seq in 1_i64..1 << 53,
        account in any::<u128>(),
        kind in any_name(),
        payload in any_payload(),
        actor in any_actor(),
        seconds in 0_i64..4_000_000_000,
        prev in any::<[u8; 32]>(),
    ) {
        let json = payload.to_json();
        let entry = ActivityEntry {
            seq,
            account: Uuid::from_u128(account).into(),
            kind: &kind,
            payload: &json,
            actor: &actor,
            at: at(seconds),
            prev_hash: Digest::from_bytes(prev),
        };
        let row = row(&entry, payload);
        prop_assert_eq!(entry.hash(), Digest::of(row.as_bytes()));
        let parsed: serde_json::Value = serde_json::from_str(&row).expect("a row is JSON");
        prop_assert_eq!(parsed["actor"]["name"].as_str(), Some(actor.name.as_str()));
    }
}

/// A row of the log as somebody would store it.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    seq: i64,
    account: AccountId,
    kind: String,
    payload: String,
    actor: Identity,
    at: Timestamp,
    prev_hash: Digest,
    hash: Digest,
}

impl Stored {
    fn hashed(mut self) -> Self {
        self.hash = self.entry().hash();
        self
    }

    fn entry(&self) -> ActivityEntry<'_> {
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

fn log(length: i64) -> Vec<Stored> {
    let mut prev_hash = GENESIS;
    let rows = (1..=length).map(|seq| {
        let event = Event::desktop_created(desktop_id(u128::from(seq.unsigned_abs())));
        let row = Stored {
            seq,
            account: account(),
            kind: event.kind.to_owned(),
            payload: event.payload,
            actor: human().identity,
            at: at(seq),
            prev_hash,
            hash: GENESIS,
        }
        .hashed();
        prev_hash = row.hash;
        row
    });
    rows.collect()
}

/// What a verifier with a saved head does.
fn verify(rows: &[Stored], head: Digest) -> bool {
    let mut prev_hash = GENESIS;
    for (index, row) in rows.iter().enumerate() {
        let in_sequence = usize::try_from(row.seq) == Ok(index + 1);
        if !in_sequence || row.prev_hash != prev_hash || row.entry().hash() != row.hash {
            return false;
        }
        prev_hash = row.hash;
    }
    prev_hash == head
}

/// E10: any edit, swap, deletion or insertion is found, also when the hashes after it are made
/// anew: then the head differs from the one that was saved.
#[test]
fn the_chain_detects_every_kind_of_tampering() {
    type Edit = (&'static str, fn(&mut Stored));
    let edits: [Edit; 9] = [
        ("seq", |r| r.seq += 1),
        ("account", |r| r.account = Uuid::from_u128(6).into()),
        ("type", |r| r.kind.push('x')),
        ("payload", |r| {
            r.payload = r.payload.replace("stopped", "running");
        }),
        ("actor's kind", |r| r.actor.kind = ActorKind::Agent),
        ("actor's id", |r| r.actor.id = PrincipalId::System),
        ("actor's name", |r| r.actor.name.push(' ')),
        ("time", |r| r.at = Timestamp::from_micros(r.at.micros() + 1)),
        ("prevHash", |r| r.prev_hash = Digest::of(b"")),
    ];
    let rows = log(6);
    let head = rows[5].hash;
    assert!(verify(&rows, head), "an untouched log verifies");
    for index in 0..rows.len() {
        for (name, edit) in edits {
            let mut edited = rows.clone();
            edit(&mut edited[index]);
            assert_ne!(edited, rows, "{name}");
            assert!(!verify(&edited, head), "{name} of row {index}");
            edited[index] = edited[index].clone().hashed();
            assert!(!verify(&edited, head), "{name} of row {index}, hashed anew");
            // chaining anew puts these two right again, which undoes the edit
            let undone = matches!(name, "seq" | "prevHash");
            assert_eq!(
                verify(&rechained(edited), head),
                undone,
                "{name} of row {index}, chained anew"
            );
        }
        let mut deleted = rows.clone();
        deleted.remove(index);
        assert!(!verify(&deleted, head), "row {index} deleted");
        assert!(
            !verify(&rechained(deleted), head),
            "row {index} deleted, chained anew"
        );
        let mut doubled = rows.clone();
        doubled.insert(index, rows[index].clone());
        assert!(!verify(&doubled, head), "row {index} doubled");
        for other in 0..index {
            let mut swapped = rows.clone();
            swapped.swap(index, other);
            assert!(!verify(&swapped, head), "rows {index} and {other} swapped");
            assert!(
                !verify(&rechained(swapped), head),
                "{index} and {other} swapped, chained anew"
            );
        }
    }
}

/// The forger's best: everything consistent again, from the first row on.
fn rechained(mut rows: Vec<Stored>) -> Vec<Stored> {
    let mut prev_hash = GENESIS;
    for (seq, row) in (1..).zip(&mut rows) {
        row.seq = seq;
        row.prev_hash = prev_hash;
        *row = row.clone().hashed();
        prev_hash = row.hash;
    }
    rows
}

#[test]
fn the_chain_begins_with_64_zeros() {
    assert_eq!(GENESIS.to_string(), "0".repeat(64));
}

/// The one place that holds every type and payload together, as clients see them.
#[test]
fn every_event_says_what_the_contract_says() {
    let secret = NewTask {
        title: Some("the title".to_owned()),
        ..NewTask::new(TaskType::Command, "the content", desktop_id(1))
    };
    let reviewer = Reviewer::of(&human()).expect("a person");
    let (mut task, mut approval) = in_review(&secret);
    let created = Event::approval_created(&approval, &task);
    let finished = Event::task_completed(&task);
    let reject = DecisionRequest::reject("the feedback");
    task.decide(Some(&mut approval), &reviewer, &reject, mode(false), at(2))
        .expect("in review");
    let (mut recalled, mut ended) = in_review(&wish());
    recalled
        .cancel(Some(&mut ended), &human(), at(2))
        .expect("in review");
    let mut withdrawn = claimed(&wish(), mode(false));
    withdrawn.cancel(None, &human(), at(2)).expect("running");
    let grant = KeyGrant {
        kind: KeyKind::Agent,
        capabilities: [Capability::TasksWrite, Capability::TasksRead]
            .into_iter()
            .collect(),
        desktop: Some(desktop_id(1)),
    };
    let key = Uuid::from_u128(3).into();
    let settings = Settings {
        task_approval_mode: true,
        require_evidence: false,
    };
    let ids = r#""desktopId":"desk_00000000000000000000000001","#;
    let task_member = r#""taskId":"task_00000000000000000000000034"}"#;
    let approval_member = r#""approvalId":"appr_00000000000000000000000001","#;
    let desktop = |status| format!(r#"{{{ids}"status":"{status}"}}"#);
    let evidence = crate::fixtures::evidence();
    let table = [
        (
            Event::task_created(&pending(&secret)),
            "task.created",
            format!(r#"{{{ids}"status":"pending",{task_member}"#),
        ),
        (
            Event::task_queued(&queued(&secret)),
            "task.queued",
            format!(r#"{{{ids}"status":"running",{task_member}"#),
        ),
        (
            Event::task_started(&claimed(&secret, mode(false))),
            "task.started",
            format!(r#"{{"attempt":1,{ids}"status":"running",{task_member}"#),
        ),
        (
            finished,
            "task.completed",
            format!(
                r#"{{"completedAt":"2026-03-15T10:00:01.000000Z",{ids}"status":"review",{task_member}"#
            ),
        ),
        (
            Event::task_completed(&failed(&secret, &human())),
            "task.completed",
            format!(
                r#"{{"completedAt":"2026-03-15T10:00:01.000000Z",{ids}"status":"failed",{task_member}"#
            ),
        ),
        (
            Event::task_cancelled(&withdrawn),
            "task.cancelled",
            format!(r#"{{"completedAt":null,{ids}"status":"cancelled",{task_member}"#),
        ),
        (
            Event::task_pruned(&failed(&secret, &human()), evidence, 7, 1_000),
            "task.pruned",
            format!(
                r#"{{"attempt":1,{ids}"evidenceSha256":"{evidence}","fileBytes":1000,"logBytes":7,"status":"failed",{task_member}"#
            ),
        ),
        (
            created,
            "approval.created",
            format!(
                r#"{{{approval_member}{ids}"evidenceSha256":"{evidence}","reason":"global","status":"pending",{}"#,
                r#""taskId":"task_00000000000000000000000034","taskStatus":"review"}"#
            ),
        ),
        (
            Event::approval_resolved(&approval, task.status),
            "approval.resolved",
            format!(
                r#"{{{approval_member}"decision":"reject","status":"rejected",{}"#,
                r#""taskId":"task_00000000000000000000000034","taskStatus":"failed"}"#
            ),
        ),
        (
            Event::approval_resolved(&ended, recalled.status),
            "approval.resolved",
            format!(
                r#"{{{approval_member}"decision":null,"status":"cancelled",{}"#,
                r#""taskId":"task_00000000000000000000000034","taskStatus":"cancelled"}"#
            ),
        ),
        (
            Event::settings_changed(settings),
            "settings.changed",
            r#"{"requireEvidence":false,"taskApprovalMode":true}"#.to_owned(),
        ),
        (
            Event::desktop_created(desktop_id(1)),
            "desktop.created",
            desktop("stopped"),
        ),
        (
            Event::desktop_status(desktop_id(1), true),
            "desktop.status",
            desktop("running"),
        ),
        (
            Event::desktop_status(desktop_id(1), false),
            "desktop.status",
            desktop("stopped"),
        ),
        (
            Event::desktop_deleted(desktop_id(1)),
            "desktop.deleted",
            desktop("deleted"),
        ),
        (
            Event::key_created(key, &grant),
            "key.created",
            format!(
                r#"{{"capabilities":["tasks:read","tasks:write"],{ids}"keyId":"key_00000000000000000000000003","kind":"agent"}}"#
            ),
        ),
        (
            Event::key_revoked(key),
            "key.revoked",
            r#"{"keyId":"key_00000000000000000000000003"}"#.to_owned(),
        ),
    ];
    assert_eq!(approval.id, approval_id(1));
    for (event, kind, payload) in table {
        assert_eq!(event.kind, kind);
        assert_eq!(event.payload, payload, "{kind}");
        for told in ["the title", "the content", "the feedback"] {
            assert!(!event.payload.contains(told), "{kind} tells {told}");
        }
    }
}
