//! What a runner uploads, from the wire to the store, hashed on arrival (contract section 5).

use approval_core::{Digest, Invalid, MAX_OUTPUT_BYTES, PathText, Refusal, Report};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::{AddFile, AddFiles, AppendLogs, Complete, LogEntry};
use store::{FileUpload, LogUpload, UploadedPart};

use crate::vocabulary::ToCore as _;

/// The entries of a log.
///
/// # Errors
/// 422 `invalid-logs`.
pub(crate) fn log_of(logs: &AppendLogs) -> Result<Vec<LogUpload>, Refusal> {
    logs.entries.iter().map(log_entry).collect()
}

fn log_entry(entry: &LogEntry) -> Result<LogUpload, Refusal> {
    if entry.seq < 0 {
        let reason = format!("is {}, the first entry has 0", entry.seq);
        return Err(invalid(Invalid::Logs, "seq", reason));
    }
    let bytes = decoded(Invalid::Logs, "base64", &entry.base64)?;
    Ok(LogUpload {
        seq: entry.seq,
        stream: entry.stream.to_core(),
        at: entry.at.to_core(),
        sha256: Digest::of(&bytes),
        bytes,
    })
}

/// Changed files.
///
/// # Errors
/// 422 `invalid-files`.
pub(crate) fn files_of(files: AddFiles) -> Result<Vec<FileUpload>, Refusal> {
    files.files.into_iter().map(file).collect()
}

fn file(file: AddFile) -> Result<FileUpload, Refusal> {
    let path = path("path", file.path, file.path_base64)?
        .ok_or_else(|| invalid(Invalid::Files, "path", "is missing".to_owned()))?;
    Ok(FileUpload {
        path,
        old_path: self::path("oldPath", file.old_path, file.old_path_base64)?,
        change: file.change.to_core(),
        mode: mode("mode", file.mode)?,
        old_mode: mode("oldMode", file.old_mode)?,
        diff: bytes("diffBase64", file.diff_base64)?.map(UploadedPart::diff),
        content: bytes("contentBase64", file.content_base64)?.map(UploadedPart::content),
        truncated: file.truncated.unwrap_or(false),
    })
}

/// A path as text or in base64; bytes that are UTF-8 are text, however they were sent.
fn path(
    field: &'static str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Option<PathText>, Refusal> {
    let path = match (text, base64) {
        (None, None) => return Ok(None),
        (Some(text), None) => PathText::Text(text),
        (None, Some(base64)) => {
            let bytes = decoded(Invalid::Files, field, &base64)?;
            match String::from_utf8(bytes) {
                Ok(text) => PathText::Text(text),
                Err(error) => PathText::Base64 {
                    bytes: error.into_bytes(),
                    base64,
                },
            }
        }
        (Some(_), Some(_)) => {
            let reason = "is given both as text and in base64".to_owned();
            return Err(invalid(Invalid::Files, field, reason));
        }
    };
    if path.bytes().is_empty() {
        return Err(invalid(Invalid::Files, field, "is empty".to_owned()));
    }
    Ok(Some(path))
}

fn mode(field: &'static str, mode: Option<String>) -> Result<Option<String>, Refusal> {
    let is_mode = |text: &String| text.len() == 6 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    if mode.as_ref().is_none_or(is_mode) {
        Ok(mode)
    } else {
        let reason = "expected six octal digits, such as 100644".to_owned();
        Err(invalid(Invalid::Files, field, reason))
    }
}

fn bytes(field: &'static str, base64: Option<String>) -> Result<Option<Vec<u8>>, Refusal> {
    base64
        .map(|base64| decoded(Invalid::Files, field, &base64))
        .transpose()
}

/// The report of a runner, and how many log entries it counts.
///
/// # Errors
/// 413 for an output above 1 MiB, 422 `invalid-completion`.
pub(crate) fn report_of(
    complete: &Complete,
    body: Digest,
) -> Result<(Report, Option<u64>), Refusal> {
    let output = complete.output.as_ref().map_or(0, String::len);
    if output > MAX_OUTPUT_BYTES {
        let detail = format!("the output has {output} bytes, at most 1 MiB are kept");
        return Err(Refusal::TooLarge(detail));
    }
    let counted = complete.log_entries.map(u64::try_from).transpose();
    let log_entries = counted.map_err(|_| {
        let reason = "must not be negative".to_owned();
        invalid(Invalid::Completion, "logEntries", reason)
    })?;
    let report = Report {
        outcome: complete.outcome.to_core(),
        exit_code: complete.exit_code,
        error: complete.error.clone(),
        body,
    };
    Ok((report, log_entries))
}

fn decoded(what: Invalid, field: &'static str, base64: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD
        .decode(base64)
        .map_err(|error| invalid(what, field, format!("is not base64: {error}")))
}

fn invalid(what: Invalid, field: &'static str, reason: String) -> Refusal {
    Refusal::Invalid {
        what,
        field,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn upload(file: &Value) -> Result<FileUpload, String> {
        let files = serde_json::from_value(json!({"files": [file]})).expect("the wire type");
        let uploads = files_of(files).map_err(|refusal| refusal.to_string());
        uploads.map(|mut uploads| uploads.remove(0))
    }

    #[test]
    fn a_path_is_text_where_it_can_be() {
        let text = upload(&json!({"pathBase64": "YQ==", "change": "deleted"}));
        assert_eq!(text.expect("a file").path, PathText::Text("a".to_owned()));
        let bytes = upload(&json!({"pathBase64": "/w==", "change": "deleted"}));
        assert_eq!(bytes.expect("a file").path.bytes(), [0xff]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        for (file, reason) in [
            (json!({"change": "added"}), "path: is missing"),
            (json!({"change": "added", "path": ""}), "path: is empty"),
            (
                json!({"change": "added", "path": "a", "pathBase64": "YQ=="}),
                "path: is given both",
            ),
            (
                json!({"change": "added", "path": "a", "mode": "644"}),
                "mode: expected six",
            ),
            (
                json!({"change": "added", "path": "a", "contentBase64": "?"}),
                "contentBase64: is not base64",
            ),
        ] {
            let refused = upload(&file).expect_err("refused");
            assert!(refused.starts_with(reason), "{refused}");
        }
    }

    #[test]
    fn a_negative_number_is_no_entry() {
        let entry =
            json!({"seq": -1, "stream": "stdout", "at": "2026-03-15T10:05:00Z", "base64": ""});
        let logs = serde_json::from_value(json!({"entries": [entry]})).expect("the wire type");
        assert!(log_of(&logs).is_err());
    }
}
