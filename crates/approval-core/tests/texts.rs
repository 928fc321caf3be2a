//! Texts that leave the core: vocabularies, digests, times and ids, there and back.

use approval_core::*;
use proptest::prelude::*;

/// Every value of a vocabulary, as the contract spells it, in its order.
macro_rules! spelled {
    ($($name:ident: $texts:expr;)+) => {$({
        let all: Vec<&str> = $name::ALL.iter().map(|v| v.as_str()).collect();
        assert_eq!(all, $texts, stringify!($name));
        for value in $name::ALL {
            assert_eq!(value.as_str().parse(), Ok(*value));
            assert_eq!(value.to_string(), value.as_str());
            assert!(value.as_str().to_uppercase().parse::<$name>().is_err());
        }
        let error = "".parse::<$name>().unwrap_err();
        assert!(error.contains(all[0]), "names what there is: {error}");
    })+};
}

#[test]
fn vocabularies_are_spelled_as_in_the_contract() {
    spelled! {
        Status: ["pending", "running", "review", "done", "failed", "cancelled"];
        TaskType: ["prompt", "command"];
        OnDependencyFailure: ["block", "cancel"];
        Outcome: ["succeeded", "failed"];
        Decision: ["approve", "reject"];
        ApprovalStatus: ["pending", "approved", "rejected", "cancelled"];
        GateReason: ["task", "global"];
        ActorKind: ["human", "service", "agent", "system"];
        KeyKind: ["human", "service", "agent"];
        LogStream: ["stdout", "stderr", "agent"];
        ChangeKind: ["added", "modified", "deleted", "renamed"];
        Capability: [
            "tasks:read", "tasks:write", "tasks:run", "approvals:decide", "settings:write",
            "desktops:write", "keys:write",
        ];
    }
}

#[test]
fn ids_carry_their_prefix_and_accept_no_other() {
    let suffix = "01kkrb58h2e0tvgvhbmjbgj1d4";
    let task: TaskId = format!("task_{suffix}").parse().expect("a task id");
    assert_eq!(task.to_string(), format!("task_{suffix}"));
    for wrong in [
        "",
        "task",
        "task_",
        suffix,
        "desk_01kkrb58h2e0tvgvhbmjbgj1d4",
        "task_1",
        "task_81kkrb58h2e0tvgvhbmjbgj1d4",
    ] {
        assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
    }
    let prefixes = [
        format!("acct_{suffix}")
            .parse::<AccountId>()
            .map(|i| i.to_string()),
        format!("appr_{suffix}")
            .parse::<ApprovalId>()
            .map(|i| i.to_string()),
        format!("desk_{suffix}")
            .parse::<DesktopId>()
            .map(|i| i.to_string()),
        format!("key_{suffix}")
            .parse::<KeyId>()
            .map(|i| i.to_string()),
        format!("user_{suffix}")
            .parse::<UserId>()
            .map(|i| i.to_string()),
    ];
    assert!(
        prefixes
            .iter()
            .all(|id| id.as_ref().is_ok_and(|id| id.ends_with(suffix)))
    );
}

#[test]
fn a_principals_id_is_a_users_a_keys_or_the_servers() {
    for text in [
        "system",
        "user_01kkrb58h2e0tvgvhbmjbgj1d4",
        "key_01kkrb58h2e0tvgvhbmjbgj1d4",
    ] {
        let id: PrincipalId = text.parse().expect("an id");
        assert_eq!(id.to_string(), text);
    }
    for wrong in [
        "",
        "System",
        "task_01kkrb58h2e0tvgvhbmjbgj1d4",
        "user_",
        "human",
    ] {
        assert!(wrong.parse::<PrincipalId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let digest = Digest::of(b"abc");
    assert_eq!(digest.to_string(), abc);
    assert_eq!(format!("{digest:?}"), format!("Digest({abc})"));
    assert_eq!(abc.parse(), Ok(digest));
    assert_eq!(abc.to_uppercase().parse(), Ok(digest));
    let odd = format!("{abc}0");
    let long = format!("{abc}00");
    let wide = format!("é{}", &abc[2..]);
    for wrong in [
        "",
        &abc[1..],
        &abc[2..],
        &odd,
        &long,
        &wide,
        &abc.replace('b', "g"),
        &abc.replace('b', "+"),
    ] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}

#[test]
fn a_time_is_utc_with_six_digits() {
    let table = [
        ("2026-03-15T10:05:00Z", "2026-03-15T10:05:00.000000Z"),
        (
            "2026-03-15T10:05:00.1234567Z",
            "2026-03-15T10:05:00.123456Z",
        ),
        ("2026-03-15T12:35:00.5+02:30", "2026-03-15T10:05:00.500000Z"),
        (
            "1969-12-31T23:59:59.9999999Z",
            "1969-12-31T23:59:59.999999Z",
        ),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ];
    for (text, canonical) in table {
        assert_eq!(
            Timestamp::parse(text).map(|t| t.to_string()),
            Ok(canonical.to_owned())
        );
    }
    for wrong in [
        "",
        "2026-03-15",
        "2026-03-15T10:05:00",
        "2026-02-30T10:05:00Z",
        "1773568800",
    ] {
        assert!(Timestamp::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_time_reads_back(micros in any::<i64>(), seconds in any::<i64>()) {
        let time = Timestamp::from_micros(micros);
        prop_assert_eq!(Timestamp::from_micros(time.micros()), time);
        prop_assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        let moved = time.plus_seconds(seconds);
        prop_assert_eq!(moved >= time, seconds >= 0 || moved == time);
        prop_assert_eq!(Timestamp::parse(&moved.to_string()), Ok(moved));
    }

    #[test]
    fn every_digest_reads_back(bytes in any::<[u8; 32]>()) {
        let digest = Digest::from_bytes(bytes);
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        prop_assert_eq!(digest.as_bytes(), &bytes);
    }
}

/// What is stored as JSON comes back as it was, and spells its words as the wire does.
#[cfg(feature = "serde")]
#[test]
fn the_state_of_a_task_survives_json() {
    use crate::fixtures::{claimed, human, in_review, mode, wish};

    let (mut task, mut approval) = in_review(&wish());
    let reviewer = Reviewer::of(&human()).expect("a person");
    let reject = DecisionRequest::reject("no");
    task.decide(
        Some(&mut approval),
        &reviewer,
        &reject,
        mode(false),
        crate::fixtures::at(2),
    )
    .expect("in review");
    for state in [task.into_state(), claimed(&wish(), mode(true)).into_state()] {
        let json = serde_json::to_string(&state).expect("JSON");
        assert!(json.contains(r#""status":"failed""#) || json.contains(r#""status":"running""#));
        assert!(json.contains(r#""id":"user_"#), "{json}");
        assert_eq!(serde_json::from_str::<TaskState>(&json).ok(), Some(state));
    }
    let json = serde_json::to_string(&approval).expect("JSON");
    assert_eq!(serde_json::from_str::<Approval>(&json).ok(), Some(approval));
}
