//! What was sealed and logged, hashed once more by other code than the server's.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use test_support::canonical;

use crate::rest::{Caller, text};

/// SHA-256 in hex.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

/// The bytes of a log entry.
pub fn bytes(line: &Value) -> Vec<u8> {
    match line["base64"].as_str() {
        Some(base64) => STANDARD.decode(base64).expect("base64"),
        None => text(&line["text"]).into_bytes(),
    }
}

/// The sealed evidence of a task, after each of its digests was found to be that of what the
/// server hands out (contract section 5).
pub async fn checked_evidence(caller: &Caller, task: &Value) -> Value {
    let path = format!("/api/mission-control/tasks/{}", text(&task["id"]));
    let sealed = caller.get(&format!("{path}/evidence")).await;
    let evidence = sealed.is(200);
    assert_eq!(sealed.body, canonical(&evidence).into_bytes());
    assert_eq!(sha256(&sealed.body), text(&task["evidenceSha256"]));

    for (member, of_task) in [
        ("taskId", "id"),
        ("attempt", "attempt"),
        ("type", "type"),
        ("desktopId", "desktopId"),
        ("exitCode", "exitCode"),
        ("error", "error"),
    ] {
        assert_eq!(evidence[member], task[of_task], "{member}");
    }
    assert_eq!(evidence["contentSha256"], sha256(text(&task["content"])));

    let output = caller.get(&format!("{path}/output")).await;
    assert_eq!(output.status, 200);
    assert_eq!(evidence["output"]["sha256"], sha256(&output.body));
    assert_eq!(evidence["output"]["bytes"], output.body.len());

    let lines = caller.every(&format!("{path}/logs")).await;
    let entries: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "seq": line["seq"], "stream": line["stream"], "at": line["at"],
                "sha256": sha256(bytes(line)),
            })
        })
        .collect();
    assert_eq!(evidence["logs"]["entries"], entries.len());
    assert_eq!(
        evidence["logs"]["bytes"],
        lines.iter().map(|line| bytes(line).len()).sum::<usize>()
    );
    assert_eq!(
        evidence["logs"]["sha256"],
        sha256(canonical(&Value::Array(entries)))
    );
    check_files(caller, &path, &evidence).await;
    evidence
}

/// Each file of the manifest is one of the list, and its diff and content are what was hashed.
async fn check_files(caller: &Caller, path: &str, evidence: &Value) {
    let files = caller.every(&format!("{path}/files")).await;
    let sealed = crate::rest::elements(evidence["files"].clone());
    assert_eq!(files.len(), sealed.len());
    for (file, sealed) in files.iter().zip(&sealed) {
        for member in ["path", "oldPath", "change", "mode", "oldMode", "truncated"] {
            assert_eq!(file[member], sealed[member], "{file}");
        }
        for (part, name) in [("diff", "diff"), ("content", "raw")] {
            let answer = caller
                .get(&format!("{path}/files/{}/{name}", file["n"]))
                .await;
            if sealed[part].is_null() {
                assert_eq!(answer.status, 404, "{file}");
            } else {
                assert_eq!(sealed[part]["sha256"], sha256(&answer.body), "{file}");
                assert_eq!(sealed[part]["bytes"], answer.body.len(), "{file}");
            }
        }
    }
}

/// The whole activity log, after its numbers were found without gap and its chain of hashes whole
/// (contract section 4).
pub async fn checked_activity(caller: &Caller) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let path = format!(
            "/api/mission-control/activity?limit=500&after={}",
            rows.len()
        );
        let page = crate::rest::elements(caller.get(&path).await.is(200));
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    let mut before = "0".repeat(64);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["seq"], index + 1);
        assert_eq!(row["prevHash"], before, "{row}");
        let mut hashed = row.clone();
        hashed.as_object_mut().expect("a row").remove("hash");
        before = sha256(canonical(&hashed));
        assert_eq!(row["hash"], before, "{row}");
    }
    rows
}

/// The payloads of the rows of a type.
pub fn payloads(rows: &[Value], kind: &str) -> Vec<Value> {
    rows.iter()
        .filter(|row| row["type"] == kind)
        .map(|row| row["payload"].clone())
        .collect()
}
