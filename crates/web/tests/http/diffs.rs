//! Nothing about a changed file is hidden: what kind of change it is stands in the manifest and is called
//! out on the page, and no file is folded up because of what an agent says (guarantee B9).

use serde_json::{Value, json};

use crate::attempt::{Attempt, base64};
use crate::people::Person;
use crate::world::{World, of_task};

crate::on_both_engines! {
    every_kind_of_change_is_called_out
}

/// A changed file, and what must be said about it.
struct Fixture {
    file: Value,
    /// What stands beside its path, such as `Deleted` and `Symbolic link`.
    called: &'static [&'static str],
    /// What is to be read below it.
    shown: &'static [&'static str],
}

fn modes(change: &str, old: Option<&str>, new: Option<&str>) -> Value {
    json!({"change": change, "oldMode": old, "mode": new})
}

fn diff(change: &str, text: impl AsRef<[u8]>) -> Value {
    json!({"change": change, "oldMode": "100644", "mode": "100644", "diffBase64": base64(text)})
}

fn content(change: &str, bytes: impl AsRef<[u8]>) -> Value {
    json!({"change": change, "mode": "100644", "contentBase64": base64(bytes)})
}

/// A file with further members.
fn with(mut file: Value, members: Value) -> Value {
    if let (Value::Object(file), Value::Object(members)) = (&mut file, members) {
        file.extend(members);
    }
    file
}

/// A diff that adds these lines.
fn adds(lines: &str) -> Value {
    let count = lines.lines().count();
    let added: String = lines
        .split_inclusive('\n')
        .flat_map(|line| ["+", line])
        .collect();
    diff("modified", format!("@@ -0,0 +1,{count} @@\n{added}"))
}

fn named(name: &str, file: Value) -> Value {
    with(file, json!({"path": name}))
}

fn fixtures() -> Vec<Fixture> {
    let of = |file: Value, called, shown| Fixture {
        file,
        called,
        shown,
    };
    let none: &[&str] = &[];
    let plain = Some("100644");
    let exec = Some("100755");
    let link = Some("120000");
    let module = Some("160000");
    let mut all = vec![
        // the executable bit and other modes
        of(
            modes("added", None, exec),
            &["Added", "Now executable"],
            none,
        ),
        of(
            modes("modified", plain, exec),
            &["Modified", "Now executable"],
            none,
        ),
        of(
            modes("modified", exec, plain),
            &["Modified", "No longer executable"],
            none,
        ),
        of(
            modes("renamed", plain, exec),
            &["Renamed", "Now executable"],
            none,
        ),
        of(modes("deleted", exec, None), &["Deleted"], none),
        of(
            with(adds("#!/bin/sh\n"), json!({"mode": "100755"})),
            &["Modified", "Now executable"],
            &["#!/bin/sh"],
        ),
        of(
            modes("modified", plain, Some("100600")),
            &["Mode 100644 → 100600"],
            none,
        ),
        of(
            modes("modified", exec, Some("104755")),
            &["Mode 100755 → 104755"],
            none,
        ),
        of(
            modes("added", None, Some("104755")),
            &["Now executable", "Mode 104755"],
            none,
        ),
        of(modes("added", None, Some("102644")), &["Mode 102644"], none),
        of(modes("added", None, Some("100666")), &["Mode 100666"], none),
        of(
            modes("modified", plain, Some("100711")),
            &["Now executable"],
            none,
        ),
        // symbolic links
        of(
            modes("added", None, link),
            &["Added", "Symbolic link"],
            none,
        ),
        of(
            modes("modified", plain, link),
            &["Symbolic link", "Mode 100644 → 120000"],
            none,
        ),
        of(
            modes("modified", link, plain),
            &["Mode 120000 → 100644"],
            none,
        ),
        of(modes("modified", link, exec), &["Now executable"], none),
        of(
            modes("modified", link, link),
            &["Modified", "Symbolic link"],
            none,
        ),
        of(
            modes("deleted", link, None),
            &["Deleted", "Symbolic link"],
            none,
        ),
        of(
            modes("renamed", link, link),
            &["Renamed", "Symbolic link"],
            none,
        ),
        of(
            with(content("added", "/etc/passwd"), json!({"mode": "120000"})),
            &["Symbolic link"],
            none,
        ),
        of(
            with(
                diff(
                    "modified",
                    "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+/etc/shadow\n\\ No newline at end of file\n",
                ),
                json!({"mode": "120000", "oldMode": "120000"}),
            ),
            &["Symbolic link"],
            &["/etc/shadow"],
        ),
        // submodules
        of(modes("added", None, module), &["Added", "Submodule"], none),
        of(
            modes("modified", module, module),
            &["Modified", "Submodule"],
            none,
        ),
        of(modes("modified", plain, module), &["Submodule"], none),
        of(
            modes("deleted", module, None),
            &["Deleted", "Submodule"],
            none,
        ),
        of(
            with(
                diff(
                    "modified",
                    "@@ -1 +1 @@\n-Subproject commit 1111\n+Subproject commit 2222\n",
                ),
                json!({"mode": "160000", "oldMode": "160000"}),
            ),
            &["Submodule"],
            &["Subproject commit ", "2222"],
        ),
        // deletions
        of(
            modes("deleted", plain, None),
            &["Deleted"],
            &["sent no diff of this file"],
        ),
        of(
            with(
                diff("deleted", "@@ -1,2 +0,0 @@\n-guard\n-check\n"),
                json!({"mode": null}),
            ),
            &["Deleted", "−2"],
            &["guard", "check"],
        ),
        of(
            with(
                diff("deleted", "Binary files a/x and /dev/null differ\n"),
                json!({"mode": null}),
            ),
            &["Deleted", "Binary"],
            none,
        ),
        of(
            with(modes("deleted", plain, None), json!({"truncated": true})),
            &["Deleted", "Cut at upload"],
            none,
        ),
        of(with(content("added", ""), json!({})), &["Added"], none),
        // renames
        of(
            with(
                modes("renamed", plain, plain),
                json!({"oldPath": "before.txt"}),
            ),
            &["Renamed", "before.txt"],
            none,
        ),
        of(
            with(
                diff("renamed", "@@ -1 +1 @@\n-a\n+evil\n"),
                json!({"oldPath": "before.rs"}),
            ),
            &["Renamed", "before.rs", "+1"],
            &["evil"],
        ),
        of(
            with(
                modes("renamed", plain, plain),
                json!({"oldPath": "src/\u{202e}sr.ecruos"}),
            ),
            &["Renamed", "U+202E"],
            none,
        ),
        of(
            with(
                modes("renamed", plain, plain),
                json!({"oldPathBase64": base64(b"old\xff\nname")}),
            ),
            &["Renamed", "old", "FF", "U+000A"],
            none,
        ),
        // binary files
        of(
            content("added", b"\x89PNG\0"),
            &["Added", "Binary"],
            &["there are no lines to compare"],
        ),
        of(
            diff("modified", "Binary files a/x and b/x differ\n"),
            &["Modified", "Binary"],
            &["Binary files a/x and b/x differ"],
        ),
        of(
            diff(
                "modified",
                "GIT binary patch\nliteral 3\nKcmZQzWMT#Y01f~L\n\n",
            ),
            &["Binary"],
            &["GIT binary patch"],
        ),
        of(
            with(
                adds("text after all\n"),
                json!({"contentBase64": base64(b"\0")}),
            ),
            &["Binary", "+1"],
            &["text after all"],
        ),
        of(
            diff(
                "modified",
                "Binary files a/x and b/x differ\n@@ -0,0 +1 @@\n+hidden?\n",
            ),
            &["Binary", "+1"],
            &["hidden?"],
        ),
        of(
            with(content("added", b"\0"), json!({"truncated": true})),
            &["Binary", "Cut at upload"],
            none,
        ),
        // ends of lines
        of(adds("dos\r\nunix\n"), &["Modified"], &["CR"]),
        of(
            diff("modified", "@@ -1 +1 @@\n-same\n+same\r\n"),
            &["+1", "−1"],
            &["CR"],
        ),
        of(
            diff(
                "modified",
                "@@ -1 +1 @@\n-x\n+x\n\\ No newline at end of file\n",
            ),
            &["Modified"],
            &["No newline at end of file"],
        ),
        of(
            diff(
                "modified",
                "@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n",
            ),
            &["Modified"],
            &["No newline at end of file"],
        ),
        of(
            adds("over\rwritten\n"),
            &["1 invisible character"],
            &["U+000D"],
        ),
        of(
            adds("end   \n"),
            &["Modified"],
            &["class=\"mark\">   </span>"],
        ),
        // what cannot be seen
        of(
            adds("if admin \u{2066}{ // \u{2069}\n"),
            &["2 invisible characters"],
            &["U+2066", "U+2069"],
        ),
        of(
            adds("a\u{200b}b\u{feff}c\u{ad}\n"),
            &["3 invisible characters"],
            &["U+200B"],
        ),
        of(adds("\u{1b}[2J\n"), &["1 invisible character"], &["U+001B"]),
        of(
            adds("tag\u{e0041}\u{e0042}\n"),
            &["2 invisible characters"],
            &["U+E0041"],
        ),
        of(
            with(
                modes("added", None, plain),
                json!({"pathBase64": base64(b"na\xffme\n2")}),
            ),
            &["FF", "U+000A"],
            none,
        ),
        // too much of it
        of(
            adds(&"line\n".repeat(10_000)),
            &["+10,000"],
            &["lines are not shown here"],
        ),
        of(
            adds(&format!("{}\n", "x".repeat(100_000))),
            &["+1"],
            &["98,000 characters more"],
        ),
        of(
            with(adds("part\n"), json!({"truncated": true})),
            &["Cut at upload"],
            &["part"],
        ),
        // diffs that say other things than they hold
        of(
            diff("modified", "@@ -1,5 +1,0 @@\n+added all the same\n"),
            &["Modified"],
            &["added all the same"],
        ),
        of(
            diff(
                "modified",
                "diff --git a/other b/other\n--- a/other\n+++ b/other\n@@ -1 +1 @@\n-a\n+b\n",
            ),
            &["+1"],
            &["+++ b/other"],
        ),
        of(
            diff("modified", "no diff at all\n"),
            &["Modified"],
            &["no diff at all"],
        ),
    ];
    // what other places fold up because the agent says that it was generated
    for (name, line) in [
        (".gitattributes", "*.rs linguist-generated=true\n"),
        ("src/lib.rs", "// @generated\n"),
        ("vendor/x.min.js", "!function(){evil()}()\n"),
        (
            "package-lock.json",
            "\"resolved\": \"https://evil.invalid/x.tgz\"\n",
        ),
        ("dist/bundle.js.map", "{\"mappings\":\"evil\"}\n"),
        (
            "api.pb.go",
            "// Code generated by protoc-gen-go. DO NOT EDIT.\n",
        ),
    ] {
        let shown: &[&str] = &["class=\"d-add\""];
        all.push(of(named(name, adds(line)), &["+1"], shown));
    }
    all
}

/// The heads and bodies of all files, page after page.
async fn files_of(world: &World, person: &Person, task: &str, view: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut next = Some(format!("/tasks/{task}?tab=files{view}"));
    while let Some(address) = next {
        let page = world.page(&person.cookie, &address).await.shows(200);
        for file in page.split("<details class=\"file\" id=\"file-").skip(1) {
            let (tag, file) = file.split_once('>').expect("a tag");
            assert!(tag.ends_with(" open"), "{tag} is folded up");
            let (head, body) = file.split_once("</summary>").expect("a head");
            let body = body.split("</details>").next().expect("an end");
            files.push((words(head), body.to_owned()));
        }
        let more = page
            .split("href=\"")
            .find(|link| link.contains(">More files</a>"));
        next = more.map(|link| {
            link.split('"')
                .next()
                .unwrap_or_default()
                .replace("&#38;", "&")
        });
    }
    files
}

/// What a piece of a page says.
fn words(html: &str) -> String {
    let texts = html
        .split('<')
        .map(|tag| tag.split_once('>').map_or(tag, |(_, text)| text));
    let said: Vec<&str> = texts.flat_map(str::split_whitespace).collect();
    said.join(" ")
}

async fn every_kind_of_change_is_called_out(world: &World) {
    let person = world.person("owner@example.org").await;
    let desktop = world.desktop().await;
    let fixtures = fixtures();
    assert!(fixtures.len() >= 60, "{}", fixtures.len());
    // one attempt each: the order of files is that of their paths, and a path is part of what is tried
    for fixture in &fixtures {
        let attempt = Attempt::start(world, &desktop, "A change", "change it").await;
        let is_named =
            fixture.file.get("path").is_some() || fixture.file.get("pathBase64").is_some();
        let file = if is_named {
            fixture.file.clone()
        } else {
            named("a/file", fixture.file.clone())
        };
        attempt.files(std::slice::from_ref(&file)).await;
        attempt.complete(&json!({})).await;

        let sealed = world.get(&of_task(&attempt.task, "evidence")).await.is(200);
        let sealed = &sealed["files"][0];
        for member in ["change", "mode", "oldMode"] {
            assert_eq!(
                sealed[member], file[member],
                "{member} in the manifest of {file}"
            );
        }
        assert_eq!(sealed["truncated"], file["truncated"] == true, "{file}");
        for (part, sent) in [("diff", "diffBase64"), ("content", "contentBase64")] {
            assert_eq!(
                sealed[part].is_null(),
                file.get(sent).is_none(),
                "{part} in the manifest of {file}"
            );
        }

        for view in ["", "&view=split"] {
            let shown = files_of(world, &person, &attempt.task, view).await;
            let [(head, body)] = shown.as_slice() else {
                panic!("{} files for one", shown.len());
            };
            for called in fixture.called {
                assert!(head.contains(called), "{called:?} in {head:?} of {file}");
            }
            for text in fixture.shown {
                let text = if view.is_empty() {
                    (*text).to_owned()
                } else {
                    text.replace("class=\"d-add\"", "code d-add")
                };
                assert!(
                    body.contains(&text),
                    "{text:?} in the body of {head:?} {view}: {body:.600}"
                );
            }
        }
    }
}
