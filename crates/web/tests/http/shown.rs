//! What an agent wrote is text on every page, and nothing in it is invisible (guarantees B5, B7).

use std::fmt::Write as _;

use serde_json::json;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::attempt::{Attempt, base64};
use crate::people::Person;
use crate::world::{World, of_task, send};

crate::on_both_engines! {
    no_character_is_invisible
    no_field_is_markup
}

/// Characters that are no letters, and letters that look like others; at least 2,000.
fn characters() -> Vec<char> {
    let ranges: [(u32, u32); 30] = [
        (0x01, 0x1F), // C0, but not NUL, which no text may have
        (0x7F, 0xA0), // DEL, C1, no-break space
        (0xAD, 0xAD),
        (0x2B0, 0x36F), // letters that modify, marks
        (0x370, 0x3E1), // Greek
        (0x400, 0x45F), // Cyrillic
        (0x483, 0x489),
        (0x559, 0x5C7),
        (0x600, 0x61C), // Arabic format characters
        (0x6DD, 0x70F),
        (0x8E2, 0x8E2),
        (0x115F, 0x1160),
        (0x1680, 0x1680),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2000, 0x206F), // blanks, joiners, directions
        (0x20D0, 0x20F0), // marks that enclose
        (0x2400, 0x2426), // pictures of controls
        (0x2800, 0x2810),
        (0x3000, 0x3000),
        (0x3164, 0x3164),
        (0xE000, 0xE080), // private
        (0xFDD0, 0xFDEF),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFFFF), // byte order mark, full and half width, specials
        (0x1_3430, 0x1_3455),
        (0x1_BCA0, 0x1_BCA3),
        (0x1_D165, 0x1_D182),
        (0xE_0000, 0xE_01EF), // tags, variation selectors
        (0x10_FF80, 0x10_FFFF),
    ];
    let all = ranges.iter().flat_map(|(first, last)| *first..=*last);
    all.filter_map(char::from_u32).collect()
}

/// Whether nobody would see the character. Not our own table: what Unicode says, and the blanks that
/// it calls letters, marks or symbols.
fn is_unseen(c: char) -> bool {
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, SpaceSeparator, Surrogate,
        Unassigned,
    };
    let category = c.general_category();
    let is_blank = matches!(c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180d}'
        | '\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        | '\u{e0100}'..='\u{e01ef}');
    c != ' '
        && (is_blank
            || matches!(
                category,
                Control
                    | Format
                    | LineSeparator
                    | ParagraphSeparator
                    | PrivateUse
                    | SpaceSeparator
                    | Surrogate
                    | Unassigned
            ))
}

/// Every page that shows something of a task, with what it shows of it.
async fn views(world: &World, person: &Person, task: &str) -> Vec<(&'static str, String)> {
    let mut views = Vec::new();
    for (name, address) in [
        ("title, content, output, error", format!("/tasks/{task}")),
        ("log", format!("/tasks/{task}?tab=logs")),
        ("search", format!("/tasks/{task}?tab=logs&q=zq")),
        ("files", format!("/tasks/{task}?tab=files")),
        (
            "files side by side",
            format!("/tasks/{task}?tab=files&view=split"),
        ),
        ("history", format!("/tasks/{task}?tab=history")),
        ("decide", format!("/tasks/{task}/decide?decision=approve")),
    ] {
        let page = world.page(&person.cookie, &address).await;
        // after the decision there is nothing to decide: what stands is shown
        assert!(
            matches!(page.status, 200 | 409),
            "{address}: {}",
            page.text()
        );
        views.push((name, page.text()));
    }
    views
}

/// Puts text into every field of a task, its files and its log; and as feedback into its rejection.
async fn told(world: &World, desktop: &(String, String), text: &str) -> String {
    let short: String = text.chars().take(190).collect();
    let mut attempt = Attempt::start(world, desktop, &format!("zq {short}"), text).await;
    attempt.log(&[format!("zq {text}\n").as_bytes()]).await;
    let lines = text.split('\n').fold(String::new(), |mut lines, line| {
        let _ = writeln!(lines, "+{line}");
        lines
    });
    let count = lines.lines().count();
    let diff = format!(
        "--- a\n+++ b\n@@ -0,0 +1,{count} @@ {}\n{lines}",
        text.replace('\n', " ")
    );
    attempt
        .files(&[json!({
            "path": format!("path/{text}"), "oldPath": format!("old/{text}"), "change": "renamed",
            "diffBase64": base64(diff), "contentBase64": base64(text),
        })])
        .await;
    let error: String = text.chars().take(9_000).collect();
    attempt
        .complete(&json!({"output": text, "error": error}))
        .await;
    attempt.task
}

async fn reject(world: &World, task: &str, feedback: &str) {
    let feedback: String = feedback.chars().take(9_000).collect();
    let body = json!({"decision": "reject", "feedback": feedback});
    world.post(&of_task(task, "review"), &body).await.is(200);
}

async fn no_character_is_invisible(world: &World) {
    let person = world.person("owner@example.org").await;
    let desktop = world.desktop().await;
    let characters = characters();
    assert!(characters.len() >= 2_000, "{}", characters.len());
    // so many that a title has room for them, each between two letters
    for group in characters.chunks(60) {
        let text: String = group.iter().flat_map(|c| ['a', *c, 'b']).collect();
        let task = told(world, &desktop, &text).await;
        let mut seen = views(world, &person, &task).await;
        reject(world, &task, &text).await;
        seen.extend(views(world, &person, &task).await);
        let decided = world.page(&person.cookie, "/approvals?tab=decided").await;
        seen.push(("feedback", decided.shows(200)));
        for (view, page) in &seen {
            let raw = page
                .chars()
                .find(|c| is_unseen(*c) && !matches!(c, '\n' | '\t'));
            assert_eq!(raw.map(|c| format!("{c:?}")), None, "{view}");
        }
        let all: String = seen.iter().map(|(_, page)| page.as_str()).collect();
        for c in group
            .iter()
            .filter(|c| is_unseen(**c) && !matches!(c, '\n' | '\t'))
        {
            let name = format!("U+{:04X}", u32::from(*c));
            // in the fields that are no terminal: a line, a block, a diff, a path, feedback
            assert!(
                all.matches(&name).count() >= 5,
                "{name} is drawn everywhere"
            );
        }
    }
    for list in [
        "/board",
        "/approvals",
        "/approvals?tab=decided",
        "/activity",
        "/desktops",
    ] {
        let page = world.page(&person.cookie, list).await.shows(200);
        let raw = page
            .chars()
            .find(|c| is_unseen(*c) && !matches!(c, '\n' | '\t'));
        assert_eq!(raw.map(|c| format!("{c:?}")), None, "{list}");
    }
}

async fn no_field_is_markup(world: &World) {
    let person = world.person("owner@example.org").await;
    let desktop = world.desktop().await;
    for payload in [
        "<i class=evil>x</i>",
        "\"><i class=evil>",
        "'><i class=evil>",
        "</bdi></pre></td></textarea><i class=evil>",
        "--><i class=evil>",
        "&lt;i class=evil&gt;",
        "&#60;i class=evil&#62;",
    ] {
        let task = told(world, &desktop, payload).await;
        let mut seen = views(world, &person, &task).await;
        reject(world, &task, payload).await;
        seen.extend(views(world, &person, &task).await);
        for (view, page) in seen {
            assert!(
                !page.contains("<i class"),
                "{view}: {payload} is an element"
            );
            assert!(
                !page.contains("&lt;i class") && !page.contains("&#60;i class=evil&#62;")
                    || !payload.starts_with('&'),
                "{view}: {payload} is no longer what was written"
            );
        }
        // the text as it is, and nothing a browser would look into
        for what in ["output", "logs"] {
            let request = world.request(&world.owner, "GET", &of_task(&task, what));
            let raw = send(request.header("accept", "text/plain")).await;
            assert!(raw.text().contains(payload), "{what}");
            assert!(raw.header("content-type").starts_with("text/plain"));
            assert_eq!(raw.header("content-security-policy"), "sandbox");
            assert_eq!(raw.header("x-content-type-options"), "nosniff");
        }
        for part in ["raw", "diff"] {
            let raw = world.get(&of_task(&task, &format!("files/1/{part}"))).await;
            assert_eq!(raw.status, 200, "{}", raw.text());
            assert_eq!(raw.header("content-type"), "application/octet-stream");
            assert!(
                raw.header("content-disposition")
                    .starts_with("attachment; filename=\"task_")
            );
            assert_eq!(raw.header("content-security-policy"), "sandbox");
            assert_eq!(raw.header("x-content-type-options"), "nosniff");
        }
    }
}
