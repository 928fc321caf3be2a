//! Sealed evidence: canonical bytes that anybody can write again, and a digest that every byte
//! counts in (contract section 5, G4).

use approval_core::*;
use proptest::prelude::*;

use crate::fixtures::{at, desktop_id, task_id};

/// A manifest written by hand after the contract, members sorted by name.
const GOLDEN: &str = concat!(
    r#"{"attempt":2,"contentSha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","#,
    r#""desktopId":"desk_00000000000000000000000001","error":"exit \"3\"\n\u001b[31m","exitCode":-3,"files":["#,
    r#"{"change":"deleted","content":null,"diff":null,"mode":null,"oldMode":"100644","oldPath":null,"path":"Z","truncated":false},"#,
    r#"{"change":"renamed","content":{"bytes":4,"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},"#,
    r#""diff":{"bytes":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"#,
    r#""mode":"100755","oldMode":"100644","oldPathBase64":"/w==","path":"a","truncated":true},"#,
    r#"{"change":"added","content":null,"diff":null,"mode":"100644","oldMode":null,"oldPath":null,"path":"ä","truncated":false},"#,
    r#"{"change":"added","content":null,"diff":null,"mode":null,"oldMode":null,"oldPath":null,"pathBase64":"/i8=","truncated":false}"#,
    r#"],"logs":{"bytes":11,"droppedBytes":7,"entries":2,"sha256":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"},"#,
    r#""outcome":"failed","output":{"bytes":4,"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","truncated":true},"#,
    r#""taskId":"task_0000000000000000000000000a","type":"command","v":1}"#,
);
/// SHA-256 of [`GOLDEN`], by sha256sum.
const GOLDEN_SHA256: &str = "b3bda5abf5cf7ca15c189b2c8b97468808b3f6bc179c90569ddbcb03763234da";

fn added(path: &str) -> EvidenceFile {
    EvidenceFile {
        path: PathText::Text(path.to_owned()),
        old_path: None,
        change: ChangeKind::Added,
        mode: None,
        old_mode: None,
        diff: None,
        content: None,
        truncated: false,
    }
}

fn bytes(path: &[u8], base64: &str) -> PathText {
    PathText::Base64 {
        bytes: path.to_vec(),
        base64: base64.to_owned(),
    }
}

/// The evidence that [`GOLDEN`] is the manifest of; the files stand in another order.
fn golden() -> Evidence {
    let test = Part::of(b"test");
    Evidence {
        task: task_id(10),
        attempt: 2,
        task_type: TaskType::Command,
        desktop: desktop_id(1),
        outcome: Outcome::Failed,
        exit_code: Some(-3),
        error: Some("exit \"3\"\n\u{1b}[31m".to_owned()),
        content_sha256: test.sha256,
        output: TextPart {
            part: test,
            truncated: true,
        },
        logs: LogSummary {
            entries: 2,
            bytes: 11,
            dropped_bytes: 7,
            sha256: log_digest([]),
        },
        files: vec![
            EvidenceFile {
                path: bytes(b"\xfe/", "/i8="),
                ..added("")
            },
            EvidenceFile {
                mode: Some("100644".to_owned()),
                ..added("ä")
            },
            EvidenceFile {
                old_path: Some(bytes(b"\xff", "/w==")),
                change: ChangeKind::Renamed,
                mode: Some("100755".to_owned()),
                old_mode: Some("100644".to_owned()),
                diff: Some(Part::of(b"")),
                content: Some(test),
                truncated: true,
                ..added("a")
            },
            EvidenceFile {
                change: ChangeKind::Deleted,
                old_mode: Some("100644".to_owned()),
                ..added("Z")
            },
        ],
    }
}

#[test]
fn the_manifest_is_exactly_the_golden_one() {
    let sealed = golden().seal();
    assert_eq!(sealed.json, GOLDEN);
    assert_eq!(sealed.sha256.to_string(), GOLDEN_SHA256);
    let parsed: serde_json::Value = serde_json::from_str(&sealed.json).expect("JSON");
    assert_eq!(parsed["error"], "exit \"3\"\n\u{1b}[31m");
}

#[test]
fn what_is_unknown_is_null_and_no_files_are_an_empty_array() {
    let bare = Evidence {
        exit_code: None,
        error: None,
        files: vec![],
        ..golden()
    };
    let json = bare.seal().json;
    assert!(
        json.contains(r#""error":null,"exitCode":null,"files":[],"#),
        "{json}"
    );
}

/// The order in which files arrived is no part of the evidence; their paths' bytes order them.
#[test]
fn files_are_sorted_by_the_bytes_of_their_paths() {
    // UTF-16 would put U+10000 before U+FFFD, a locale would put "B" after "a"
    let sorted = [
        "",
        "B",
        "a",
        "a/b",
        "a0",
        "aa",
        "é",
        "\u{fffd}",
        "\u{10000}",
    ];
    let mut files: Vec<EvidenceFile> = sorted.iter().map(|p| added(p)).collect();
    files.insert(
        7,
        EvidenceFile {
            path: bytes(b"\xc3\xff", "w/8="),
            ..added("")
        },
    );
    let expected = Evidence {
        files: files.clone(),
        ..golden()
    }
    .seal();
    for rotation in 0..files.len() {
        files.rotate_left(1);
        files.swap(0, rotation);
        let sealed = Evidence {
            files: files.clone(),
            ..golden()
        }
        .seal();
        assert_eq!(sealed, expected);
    }
    let mut from = 0;
    let names = sorted[..7].iter().map(|p| format!(r#""path":"{p}""#));
    let names = names.chain([r#""pathBase64":"w/8=""#.to_owned()]);
    for name in names.chain(sorted[7..].iter().map(|p| format!(r#""path":"{p}""#))) {
        let found = expected.json[from..]
            .find(&name)
            .unwrap_or_else(|| panic!("{name} is not where it belongs"));
        from += found + name.len();
    }
}

/// Every member counts: one change in any of them is another digest.
#[test]
fn one_change_anywhere_is_another_digest() {
    type Change = (&'static str, fn(&mut Evidence));
    let changes: [Change; 32] = [
        ("task", |e| e.task = task_id(11)),
        ("attempt", |e| e.attempt = 3),
        ("type", |e| e.task_type = TaskType::Prompt),
        ("desktop", |e| e.desktop = desktop_id(2)),
        ("outcome", |e| e.outcome = Outcome::Succeeded),
        ("exit code", |e| e.exit_code = Some(3)),
        ("no exit code", |e| e.exit_code = None),
        ("error", |e| {
            e.error = Some("exit \"3\"\n\u{1b}[31m ".to_owned());
        }),
        ("no error", |e| e.error = None),
        ("empty error", |e| e.error = Some(String::new())),
        ("content", |e| e.content_sha256 = Digest::of(b"tesu")),
        ("output bytes", |e| e.output.part.bytes = 5),
        ("output", |e| e.output.part.sha256 = Digest::of(b"")),
        ("output truncated", |e| e.output.truncated = false),
        ("log entries", |e| e.logs.entries = 3),
        ("log bytes", |e| e.logs.bytes = 12),
        ("dropped bytes", |e| e.logs.dropped_bytes = 0),
        ("log", |e| e.logs.sha256 = Digest::of(b"")),
        ("a file less", |e| drop(e.files.pop())),
        ("a file more", |e| e.files.push(added("b"))),
        ("a file twice", |e| e.files.push(e.files[0].clone())),
        ("path", |e| {
            e.files[1].path = PathText::Text("a\u{308}".to_owned());
        }),
        ("path bytes", |e| e.files[0].path = bytes(b"\xfd/", "/S8=")),
        ("old path", |e| e.files[2].old_path = None),
        ("change", |e| e.files[1].change = ChangeKind::Modified),
        ("mode", |e| e.files[1].mode = Some("120000".to_owned())),
        ("old mode", |e| e.files[3].old_mode = None),
        ("diff", |e| e.files[2].diff = None),
        ("diff bytes", |e| e.files[2].diff = Some(Part::of(b"+"))),
        ("file content", |e| {
            e.files[2].content = Some(Part::of(b"tess"));
        }),
        ("other file's content", |e| {
            e.files[1].content = Some(Part::of(b"test"));
        }),
        ("truncated", |e| e.files[2].truncated = false),
    ];
    let mut digests = std::collections::BTreeSet::from([golden().seal().sha256]);
    for (name, change) in changes {
        let mut evidence = golden();
        change(&mut evidence);
        assert!(
            digests.insert(evidence.seal().sha256),
            "{name} does not count"
        );
    }
}

#[test]
fn a_part_is_the_length_and_the_digest_of_its_bytes() {
    let part = Part::of(&[0; 1_000]);
    assert_eq!(part.bytes, 1_000);
    assert_eq!(part.sha256, Digest::of(&[0; 1_000]));
}

fn any_entries() -> impl Strategy<Value = Vec<(i64, LogStream, Timestamp, Digest)>> {
    let stream = prop::sample::select(LogStream::ALL);
    let entry = (
        0_i64..1 << 53,
        stream,
        0_i64..4_000_000_000,
        any::<[u8; 32]>(),
    );
    let entry = entry.prop_map(|(seq, stream, seconds, hash)| {
        (seq, stream, at(seconds), Digest::from_bytes(hash))
    });
    prop::collection::vec(entry, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Written entry by entry or as one array: the same bytes.
    #[test]
    fn the_digest_of_a_log_is_that_of_the_whole_array(entries in any_entries()) {
        let whole = entries.iter().map(|(seq, stream, at, sha256)| {
            format!(r#"{{"at":"{at}","seq":{seq},"sha256":"{sha256}","stream":"{stream}"}}"#)
        });
        let whole = format!("[{}]", whole.collect::<Vec<_>>().join(","));
        prop_assert_eq!(log_digest(entries), Digest::of(whole.as_bytes()));
    }

    /// RFC 8785 section 3.2.2.2 escapes as ECMAScript does, and so does serde_json.
    #[test]
    fn text_is_escaped_as_serde_json_does(text in "\\PC*|[\\x00-\\x7f]*|.*") {
        let ours = Canonical::text(text.as_str()).to_json();
        prop_assert_eq!(ours, serde_json::to_string(&text).expect("text"));
    }

    /// One flipped bit of any digest of a file is another manifest.
    #[test]
    fn one_bit_of_a_file_is_another_digest(byte in 0_usize..32, bit in 0_u8..8) {
        let content = golden().files[2].content.expect("has content");
        let mut flipped = *content.sha256.as_bytes();
        flipped[byte] ^= 1 << bit;
        let mut evidence = golden();
        evidence.files[2].content = Some(Part { sha256: Digest::from_bytes(flipped), ..content });
        prop_assert_ne!(evidence.seal().sha256, golden().seal().sha256);
    }
}

/// Every character below U+0100, and those that escape differently elsewhere.
#[test]
fn every_low_character_is_escaped_as_the_standard_says() {
    for code in (0..0x100).chain([
        0x2028, 0x2029, 0xd7ff, 0xe000, 0xfeff, 0xffff, 0x1_0000, 0x10_ffff,
    ]) {
        let character = char::from_u32(code).expect("a scalar value");
        let expected = match character {
            '"' => r#"\""#.to_owned(),
            '\\' => r"\\".to_owned(),
            '\u{8}' => r"\b".to_owned(),
            '\t' => r"\t".to_owned(),
            '\n' => r"\n".to_owned(),
            '\u{c}' => r"\f".to_owned(),
            '\r' => r"\r".to_owned(),
            '\0'..='\u{1f}' => format!(r"\u{code:04x}"),
            _ => character.to_string(),
        };
        let json = Canonical::display(character).to_json();
        assert_eq!(json, format!("\"{expected}\""), "U+{code:04X}");
    }
}

/// The sorting example of RFC 8785 section 3.2.3: by UTF-16 code units, not by UTF-8 bytes.
#[test]
fn members_are_sorted_as_the_standard_sorts_them() {
    let keys = [
        "\u{20ac}",
        "\r",
        "\u{fb33}",
        "1",
        "\u{1f600}",
        "\u{80}",
        "\u{f6}",
    ];
    let members = keys.map(|k| (k.into(), Canonical::Null));
    let json = Canonical::Object(members.to_vec()).to_json();
    let expected = "{\"\\r\":null,\"1\":null,\"\u{80}\":null,\"\u{f6}\":null,\"\u{20ac}\":null,\"\u{1f600}\":null,\"\u{fb33}\":null}";
    assert_eq!(json, expected);
}

#[test]
fn every_shape_is_written_without_spaces() {
    let value = Canonical::object([
        (
            "z",
            Canonical::Array(vec![
                Canonical::Int(-1),
                Canonical::Bool(true),
                Canonical::Null,
            ]),
        ),
        ("a", Canonical::object([("b", Canonical::Bool(false))])),
        ("n", Canonical::option(None::<bool>, Canonical::Bool)),
        ("e", Canonical::Array(vec![])),
        ("", Canonical::text("")),
    ]);
    assert_eq!(
        value.to_json(),
        r#"{"":"","a":{"b":false},"e":[],"n":null,"z":[-1,true,null]}"#
    );
}

#[test]
fn a_count_saturates_where_a_double_would_lose_digits() {
    let exact = 1_u64 << 53;
    for (count, expected) in [
        (0, 0),
        (exact - 1, exact - 1),
        (exact, exact),
        (exact + 1, exact),
        (u64::MAX, exact),
    ] {
        assert_eq!(Canonical::count(count).to_json(), expected.to_string());
    }
}
