//! What an agent reports, as lines of text.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use agent_client_protocol::v1::schema::{
    ContentBlock, Diff, EmbeddedResourceResource, Plan, PlanEntryStatus, ToolCallContent,
    ToolCallLocation, ToolCallStatus, ToolKind,
};
use similar::{DiffOp, TextDiff};

use crate::acp::calls::Call;
use crate::acp::text::{head, marker, one_line};

/// How much of one content of a tool call is shown, in bytes.
const CONTENT: usize = 4 << 10;
/// How many contents, locations or such of one call are shown.
const ITEMS: usize = 16;
/// How many entries of a plan are shown.
const ENTRIES: usize = 64;
/// How much of a name, a path or an entry is shown, in bytes.
const NAME: usize = 512;
/// How long lines may be compared. After that they count as changed.
const COMPARING: Duration = Duration::from_millis(100);

/// A tool call: what it is, how it is going, and where.
pub(crate) fn call(
    call: &Call,
    status: Option<ToolCallStatus>,
    locations: &[ToolCallLocation],
) -> String {
    let mut line = format!("[tool] {} ({})", call.title, kind_name(call.kind));
    if let Some(status) = status {
        line.push(' ');
        line.push_str(status_name(status));
    }
    for location in locations.iter().take(ITEMS) {
        line.push(' ');
        line.push_str(&one_line(&location.path.to_string_lossy(), NAME));
        if let Some(number) = location.line {
            let _ = write!(line, ":{number}");
        }
    }
    more(&mut line, locations.len());
    line.push('\n');
    line
}

/// What a tool call produced: indented lines.
pub(crate) fn contents(contents: &[ToolCallContent]) -> String {
    let mut lines = String::new();
    for content in contents.iter().take(ITEMS) {
        match content {
            ToolCallContent::Content(content) => indent(&mut lines, &block(&content.content)),
            ToolCallContent::Diff(diff) => indent(&mut lines, &changes(diff)),
            _ => {}
        }
    }
    if contents.len() > ITEMS {
        lines.push(' ');
        more(&mut lines, contents.len());
        lines.push('\n');
    }
    lines
}

/// A plan: a line for every entry.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut lines = String::new();
    for entry in plan.entries.iter().take(ENTRIES) {
        let mark = match entry.status {
            PlanEntryStatus::InProgress => '~',
            PlanEntryStatus::Completed => 'x',
            _ => ' ',
        };
        let _ = writeln!(lines, "[plan] [{mark}] {}", one_line(&entry.content, NAME));
    }
    if plan.entries.len() > ENTRIES {
        let _ = writeln!(lines, "[plan] and {} more", plan.entries.len() - ENTRIES);
    }
    lines
}

/// A block of content: its text, or what it is if it is no text.
pub(crate) fn block(block: &ContentBlock) -> Cow<'_, str> {
    match block {
        ContentBlock::Text(text) => Cow::Borrowed(&text.text),
        ContentBlock::Image(image) => {
            format!("[image {}]", one_line(&image.mime_type, NAME)).into()
        }
        ContentBlock::Audio(audio) => {
            format!("[audio {}]", one_line(&audio.mime_type, NAME)).into()
        }
        ContentBlock::ResourceLink(link) => {
            format!("[resource {}]", one_line(&link.uri, NAME)).into()
        }
        ContentBlock::Resource(resource) => match &resource.resource {
            EmbeddedResourceResource::TextResourceContents(text) => {
                format!("[resource {}]", one_line(&text.uri, NAME)).into()
            }
            EmbeddedResourceResource::BlobResourceContents(blob) => {
                format!("[resource {}]", one_line(&blob.uri, NAME)).into()
            }
            _ => "[resource]".into(),
        },
        _ => "[content]".into(),
    }
}

/// The name of a kind of tool, as the protocol writes it.
pub(crate) fn kind_name(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Read => "read",
        ToolKind::Edit => "edit",
        ToolKind::Delete => "delete",
        ToolKind::Move => "move",
        ToolKind::Search => "search",
        ToolKind::Execute => "execute",
        ToolKind::Think => "think",
        ToolKind::Fetch => "fetch",
        ToolKind::SwitchMode => "switch_mode",
        _ => "other",
    }
}

fn status_name(status: ToolCallStatus) -> &'static str {
    match status {
        ToolCallStatus::Pending => "pending",
        ToolCallStatus::InProgress => "in_progress",
        ToolCallStatus::Completed => "completed",
        ToolCallStatus::Failed => "failed",
        _ => "unknown",
    }
}

/// A change of a file: its path, and how many lines come and go.
fn changes(diff: &Diff) -> String {
    let old = diff.old_text.as_deref().unwrap_or_default();
    let compared = TextDiff::configure()
        .timeout(COMPARING)
        .diff_lines(old, diff.new_text.as_str());
    let (mut added, mut removed) = (0, 0);
    for op in compared.ops() {
        match *op {
            DiffOp::Equal { .. } => {}
            DiffOp::Insert { new_len, .. } => added += new_len,
            DiffOp::Delete { old_len, .. } => removed += old_len,
            DiffOp::Replace {
                old_len, new_len, ..
            } => {
                added += new_len;
                removed += old_len;
            }
        }
    }
    let path = one_line(&diff.path.to_string_lossy(), NAME);
    format!("diff {path} +{added} -{removed}")
}

/// Adds the beginning of a text, every line indented.
fn indent(lines: &mut String, text: &str) {
    let (head, missing) = head(text, CONTENT);
    for line in head.lines() {
        let _ = writeln!(lines, "  {line}");
    }
    if missing > 0 {
        let _ = writeln!(lines, "  {}", marker(missing));
    }
}

/// Says how many of `count` things are not shown.
fn more(line: &mut String, count: usize) {
    if count > ITEMS {
        let _ = write!(line, " and {} more", count - ITEMS);
    }
}

#[cfg(test)]
mod tests {
    use agent_client_protocol::v1::schema::{
        ImageContent, TextContent, ToolCallUpdate, ToolCallUpdateFields,
    };

    use super::*;
    use crate::acp::calls::Calls;

    #[test]
    fn a_call_is_one_line_with_its_places() {
        let fields = ToolCallUpdateFields::new()
            .title("Edit\nfile")
            .kind(ToolKind::Edit);
        let known = Calls::default().learn(&ToolCallUpdate::new("a", fields));
        let locations = [
            ToolCallLocation::new("/w/a b").line(7),
            ToolCallLocation::new("c"),
        ];
        assert_eq!(
            call(&known, Some(ToolCallStatus::InProgress), &locations),
            "[tool] Edit file (edit) in_progress /w/a b:7 c\n"
        );
        let many = vec![ToolCallLocation::new("x"); ITEMS + 3];
        assert!(call(&known, None, &many).ends_with(" x x and 3 more\n"));
    }

    #[test]
    fn contents_are_shown_shortly() {
        let shown = contents(&[
            ToolCallContent::from("one\ntwo"),
            Diff::new("/w/file", "a\nB\nc\nd\n")
                .old_text("a\nb\nc\n".to_owned())
                .into(),
            Diff::new("/w/new", "a\nb\n").into(),
            ContentBlock::Image(ImageContent::new("AAAA", "image/png")).into(),
            ContentBlock::Text(TextContent::new("€".repeat(CONTENT))).into(),
        ]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "  one",
                "  two",
                "  diff /w/file +2 -1",
                "  diff /w/new +2 -0",
                "  [image image/png]",
            ]
        );
        assert_eq!(lines[5], format!("  {}", "€".repeat(CONTENT / 3)));
        assert_eq!(
            lines[6],
            format!("  [{} bytes are missing]", 3 * CONTENT - CONTENT / 3 * 3)
        );
    }
}
