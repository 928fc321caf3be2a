//! What must hold for any bytes whatever: called by the fuzz targets in `fuzz/`, and by ordinary tests
//! with what those found worth keeping. In no other build.

use approval_core::{Digest, MAX_OUTPUT_BYTES, Part, PathText};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::{
    AddFile, AddFiles, AppendLogs, ClaimRequest, Complete, CreateApiKey, CreateDesktop, CreateTask,
    Decide, Empty, FileChange, PatchSettings, RetryTask,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::request::parse_json;
use crate::rest::{files_of, log_of, report_of};
use crate::show::invariants;

/// The output of a terminal program; the first byte says in which pieces it arrives.
///
/// # Panics
/// When something does not hold.
pub fn terminal(data: &[u8]) {
    let (size, stream) = data.split_first().unwrap_or((&1, data));
    invariants::terminal(stream, usize::from(*size).max(1));
}

/// A title, a path, a block of text.
///
/// # Panics
/// When something does not hold.
pub fn text(data: &[u8]) {
    invariants::text(data);
}

/// A diff; the first two bytes say how much of it there is room for.
///
/// # Panics
/// When something does not hold.
pub fn diff(data: &[u8]) {
    let (limits, diff) = data.split_at(data.len().min(2));
    let limit = |at: usize| {
        limits
            .get(at)
            .map_or(100, |limit| usize::from(*limit))
            .max(1)
    };
    invariants::diff(diff, limit(0), limit(1));
}

/// The body of each call that takes one.
///
/// # Panics
/// When something does not hold.
pub fn bodies(data: &[u8]) {
    strict::<CreateTask>(data);
    strict::<RetryTask>(data);
    strict::<Decide>(data);
    strict::<ClaimRequest>(data);
    strict::<CreateDesktop>(data);
    strict::<CreateApiKey>(data);
    strict::<PatchSettings>(data);
    strict::<Empty>(data);
    if let Some(logs) = strict::<AppendLogs>(data) {
        let sent = logs.entries.len();
        if let Ok(entries) = log_of(&logs) {
            assert_eq!(entries.len(), sent);
            for entry in entries {
                assert!(entry.seq >= 0);
                assert_eq!(entry.sha256, Digest::of(&entry.bytes));
            }
        }
    }
    if let Some(complete) = strict::<Complete>(data)
        && let Ok((report, entries)) = report_of(&complete, Digest::of(data))
    {
        assert_eq!(report.error, complete.error);
        assert!(
            complete
                .output
                .is_none_or(|output| output.len() <= MAX_OUTPUT_BYTES)
        );
        assert_eq!(
            entries.map(u128::from),
            complete.log_entries.and_then(|n| u128::try_from(n).ok())
        );
    }
    if let Some(files) = strict::<AddFiles>(data) {
        taken(files);
    }
}

/// A path of a changed file, as text and in base64.
///
/// # Panics
/// When something does not hold.
pub fn paths(data: &[u8]) {
    let file = |path, path_base64| AddFile {
        path,
        path_base64,
        old_path: None,
        old_path_base64: Some(STANDARD.encode(data)),
        change: FileChange::Renamed,
        mode: None,
        old_mode: None,
        diff_base64: None,
        content_base64: None,
        truncated: None,
    };
    let mut files = vec![file(None, Some(STANDARD.encode(data)))];
    if let Ok(text) = std::str::from_utf8(data) {
        files.push(file(Some(text.to_owned()), None));
    }
    for file in files {
        let uploads = files_of(AddFiles { files: vec![file] });
        assert_eq!(
            uploads.is_err(),
            data.is_empty(),
            "only an empty path is refused here"
        );
        for upload in uploads.into_iter().flatten() {
            for path in [Some(upload.path), upload.old_path].into_iter().flatten() {
                assert_eq!(path.bytes(), data, "a path is what was sent");
                let is_text = matches!(path, PathText::Text(_));
                assert_eq!(is_text, std::str::from_utf8(data).is_ok());
            }
        }
    }
    invariants::path(data);
}

/// What a strict body has in common: it is an object, and has no U+0000.
fn strict<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    let body = parse_json::<T>(data).ok()?;
    let value: Value = serde_json::from_slice(data).expect("it was read as JSON");
    assert!(value.is_object(), "{value}");
    assert!(!has_nul(&value), "{value}");
    Some(body)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Files that were taken: their names are not empty, their modes are modes, their digests right.
fn taken(files: AddFiles) {
    let sent = files.files.len();
    let Ok(uploads) = files_of(files) else {
        return;
    };
    assert_eq!(uploads.len(), sent);
    for upload in uploads {
        assert!(!upload.path.bytes().is_empty());
        for mode in [upload.mode, upload.old_mode].into_iter().flatten() {
            assert!(
                mode.len() == 6 && u32::from_str_radix(&mode, 8).is_ok(),
                "{mode}"
            );
        }
        for part in [upload.diff, upload.content].into_iter().flatten() {
            assert_eq!(part.part, Part::of(&part.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use test_support::corpus::replay;

    #[test]
    fn terminals_of_the_corpus() {
        replay("terminal", super::terminal);
    }

    #[test]
    fn texts_of_the_corpus() {
        replay("text", super::text);
    }

    #[test]
    fn diffs_of_the_corpus() {
        replay("diff", super::diff);
    }

    #[test]
    fn bodies_of_the_corpus() {
        replay("bodies", super::bodies);
    }

    #[test]
    fn paths_of_the_corpus() {
        replay("paths", super::paths);
    }
}
