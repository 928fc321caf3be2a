//! What an agent sent is stored and handed out byte for byte, names are only data, and values that no
//! database likes get the same answer on both engines (guarantees B3, B4, E8, E9).
//!
//! `cargo xtask torture bytes` does the same with 100,000 byte strings and many more requests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_support::{Engine, canonical, rounds};

use crate::attempt::{Attempt, base64};
use crate::world::{World, of_task, send};

crate::on_both_engines! {
    bytes_are_handed_out_as_they_came
    names_are_only_data
    the_middle_of_a_log_is_missed_to_the_byte
}

/// Byte strings of one attempt; each of them is a log entry, a file, its diff and its path.
const STRINGS: usize = 100;
/// How many attempts, unless `cargo xtask torture` says how many.
const ATTEMPTS: usize = 20;

/// A small generator of numbers; the same ones at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Random bytes, and pieces that programs like to repair.
    fn bytes(&mut self) -> Vec<u8> {
        const PIECES: &[&[u8]] = &[
            b"\0",
            b"\r\n",
            b"\r",
            b"\n",
            b" ",
            b"\t",
            b"  \n",
            b"\xef\xbb\xbf",
            b"\xff",
            b"\xfe\xff",
            b"\xed\xa0\x80",
            b"\xc0\x80",
            b"\xf4\x90\x80\x80",
            b"e\xcc\x81",
            b"\xc3\xa9",
            b"\xe2\x80\xae",
            b"\x1b[2J",
            b"\\x00",
            b"\\",
            b"'",
            b"\"",
            b"%00",
            b"&amp;",
            b"<",
            b"@@ -1 +1 @@\n",
            b"+",
            b"-",
            b"\xe1\xba\x9e",
            b"\xef\xac\x81",
            b"\x1a",
            b"\x7f",
            b"\xc2\x85",
            b"\xe2\x80\xa8",
        ];
        let mut bytes = Vec::new();
        for _ in 0..self.below(24) {
            match self.below(3) {
                0 => bytes.push(u8::try_from(self.below(256)).expect("a byte")),
                1 => bytes.extend(self.pick(PIECES)),
                _ => bytes.extend(b"word"),
            }
        }
        // a few that are longer than a page of a database
        if self.below(50) == 0 {
            bytes = bytes.repeat(1 + self.below(600));
        }
        bytes
    }
}

fn sha256(bytes: &[u8]) -> String {
    approval_core::Digest::from_bytes(Sha256::digest(bytes).into()).to_string()
}

/// What the server hands out under a path.
async fn download(world: &World, task: &str, what: &str) -> Vec<u8> {
    let request = world.request(&world.owner, "GET", &of_task(task, what));
    let answer = send(request.header("accept", "text/plain")).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.body
}

async fn manifest(world: &World, task: &Value) -> Value {
    let id = task["id"].as_str().expect("an id");
    let sealed = world.get(&of_task(id, "evidence")).await;
    assert_eq!(sha256(&sealed.body), task["evidenceSha256"]);
    let manifest = sealed.is(200);
    assert_eq!(sealed.body, canonical(&manifest).into_bytes());
    manifest
}

/// The whole of a list, page by page.
async fn every(world: &World, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = world.get(&path).await;
        let link = page.header("link").strip_prefix('<');
        next = link.and_then(|link| Some(link.split_once('>')?.0.to_owned()));
        all.extend(page.is(200).as_array().expect("a list").clone());
    }
    all
}

async fn bytes_are_handed_out_as_they_came(world: &World) {
    let desktop = world.desktop().await;
    let mut numbers = Numbers(3);
    let attempts = rounds(ATTEMPTS);
    for _ in 0..attempts {
        let strings: Vec<Vec<u8>> = (0..STRINGS).map(|_| numbers.bytes()).collect();
        let mut attempt = Attempt::start(world, &desktop, "Bytes", "bytes").await;
        let entries: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        attempt.log(&entries).await;
        // by its path: a name of its own for each, and the bytes themselves
        let mut sent = BTreeMap::new();
        let mut files = Vec::new();
        for (n, bytes) in strings.iter().enumerate() {
            let path = [bytes, format!("{n}").as_bytes()].concat();
            files.push(json!({
                "pathBase64": base64(&path), "change": "modified",
                "diffBase64": base64(bytes), "contentBase64": base64([bytes.as_slice(), b"!"].concat()),
            }));
            sent.insert(path, bytes);
        }
        attempt.files(&files).await;
        let task = attempt.complete(&json!({})).await;
        let sealed = manifest(world, &task).await;

        let whole = strings.concat();
        for (what, member) in [("output", "output"), ("logs", "logs")] {
            let got = download(world, &attempt.task, what).await;
            assert!(
                got == whole,
                "{what} is {} bytes, not {}",
                got.len(),
                whole.len()
            );
            assert_eq!(sealed[member]["bytes"], whole.len());
        }
        assert_eq!(sealed["output"]["sha256"], sha256(&whole));
        let lines = every(world, &of_task(&attempt.task, "logs")).await;
        let hashed: Vec<Value> = lines
            .iter()
            .zip(&strings)
            .map(|(line, bytes)| {
                let is_text = std::str::from_utf8(bytes).is_ok();
                assert_eq!(line["base64"].is_null(), is_text, "{line}");
                if is_text {
                    assert_eq!(line["text"].as_str().map(str::as_bytes), Some(bytes.as_slice()));
                } else {
                    assert_eq!(line["base64"], base64(bytes));
                }
                json!({"seq": line["seq"], "stream": "stdout", "at": line["at"], "sha256": sha256(bytes)})
            })
            .collect();
        assert_eq!(hashed.len(), STRINGS);
        assert_eq!(
            sealed["logs"]["sha256"],
            sha256(canonical(&Value::Array(hashed)).as_bytes())
        );

        // the manifest is in the order of the bytes of paths, as a BTreeMap is
        let listed = every(world, &of_task(&attempt.task, "files")).await;
        let files = sealed["files"].as_array().expect("files");
        assert_eq!((files.len(), listed.len()), (STRINGS, STRINGS));
        for ((file, listed), (path, bytes)) in files.iter().zip(&listed).zip(&sent) {
            let (member, text) = match std::str::from_utf8(path) {
                Ok(text) => ("path", text.to_owned()),
                Err(_) => ("pathBase64", base64(path)),
            };
            assert_eq!(file[member], text, "{file}");
            assert_eq!(listed[member], text, "{listed}");
            let n = &listed["n"];
            for (part, name, expected) in [
                ("diff", "diff", (*bytes).clone()),
                ("content", "raw", [bytes.as_slice(), b"!"].concat()),
            ] {
                let got = download(world, &attempt.task, &format!("files/{n}/{name}")).await;
                assert!(got == expected, "{name} of {file}");
                assert_eq!(file[part]["sha256"], sha256(&got));
                assert_eq!(file[part]["bytes"], got.len());
            }
        }
    }
    println!("{} byte strings, each in five places", attempts * STRINGS);
}

/// Names that mean something to a file system, 250 of them.
fn names() -> Vec<String> {
    let long = "n".repeat(300);
    let deep = "d/".repeat(500) + "deep";
    let mut names: Vec<String> = [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "~",
        "~root",
        "-",
        "--help",
        "-rf",
        " ",
        "  x  ",
        "x.",
        "x ",
        "\n",
        "\r\n",
        "\t",
        ".git/hooks/pre-commit",
        ".git/config",
        ".GIT/hooks/x",
        ".git /hooks/x",
        "git~1/hooks/x",
        ".git\u{200c}/config",
        ".gitattributes",
        ".gitmodules",
        "CON",
        "con.txt",
        "NUL",
        "aux",
        "COM1",
        "lpt9.log",
        "PRN:",
        "a:b",
        "a::$DATA",
        "\\\\?\\C:\\x",
        "\\\\server\\share",
        "C:\\Windows\\x",
        "C:x",
        "/dev/null",
        "/dev/stdout",
        "/proc/self/mem",
        "file:///etc/passwd",
        "http://evil.invalid/",
        "%2e%2e%2fx",
        "..%2fx",
        "..\\x",
        "%00",
        "x\u{2044}y",
        "\u{ff0e}\u{ff0e}/x",
        "\u{2025}/x",
        "x\u{ff0f}y",
        "\u{202e}txt.exe",
        "\u{feff}x",
        "e\u{301}",
        "\u{e9}",
        "\u{212b}",
        "\u{c5}",
        "\u{fb01}",
        "fi",
        "\u{130}",
        "i\u{307}",
        "\u{df}",
        "ss",
        "SS",
        "readme",
        "README",
        "ReadMe",
        "\u{3c3}",
        "\u{3c2}",
        "\u{1f980}",
        "$HOME/x",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a>b",
        "a*b",
        "a?b",
        "a'b",
        "a\"b",
        "{a,b}",
        "[ab]",
        "!x",
        "#x",
        "%s%n",
        "\u{85}",
        "\u{2028}",
        "sqlite.db",
        "countersign.db-wal",
        "x' OR '1'='1",
        "null",
        "undefined",
        "true",
        "0",
        "-1",
        "1e9",
        "NaN",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend([long, deep, "x".repeat(4_000)]);
    for target in [
        "etc/cron.d/x",
        "tmp/countersign-escape",
        "escape",
        ".ssh/authorized_keys",
        "root/.bashrc",
    ] {
        for before in [
            "../",
            "../../",
            "../../../../../../../../",
            "/",
            "//",
            "./",
            "./../",
            "a/../../",
            "a/b/../../../",
            "..//",
            "/../",
            "/./",
            "....//",
            "..\\",
            "..\\..\\",
            "\\",
            "C:\\",
            "C:/",
            "~/",
            "%2e%2e/",
            "..%c0%af",
            "..;/",
            ".. /",
            "..\u{200b}/",
            "\u{2024}\u{2024}/",
            "file://",
            "/proc/self/cwd/",
            "/proc/self/root/",
            "x/./",
            "x//",
            "../\u{202e}",
        ] {
            names.push(format!("{before}{target}"));
        }
    }
    names
}

/// Everything in a folder.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok));
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

async fn names_are_only_data(world: &World) {
    let desktop = world.desktop().await;
    let person = world.person("owner@example.org").await;
    let names = names();
    assert!(names.len() >= 250, "{}", names.len());
    let here = std::env::current_dir().expect("a folder");
    let data = match world.db.url().strip_prefix("sqlite://") {
        Some(file) => Path::new(file).parent().expect("a folder").to_owned(),
        None => std::env::temp_dir(),
    };
    // wherever a name could lead
    let could_be = |name: &String| {
        let slashes = name.replace('\\', "/");
        let roots = [
            here.as_path(),
            data.as_path(),
            Path::new("/"),
            Path::new("/tmp"),
        ];
        let paths = roots.map(|root| {
            [
                root.join(name),
                root.join(&slashes),
                root.join(slashes.trim_start_matches('/')),
            ]
        });
        paths.into_iter().flatten()
    };
    let look = || -> Vec<(PathBuf, Option<u64>)> {
        let all = names.iter().flat_map(could_be);
        let size = |path: &Path| {
            fs::symlink_metadata(path)
                .ok()
                .filter(fs::Metadata::is_file)
                .map(|file| file.len())
        };
        all.map(|path| {
            let size = size(&path);
            (path, size)
        })
        .filter(|(path, _)| !path.starts_with("/proc") && !path.starts_with("/dev"))
        .collect()
    };
    let before = look();
    let (ours, theirs) = (listing(&here), listing(&data));

    let attempt = Attempt::start(world, &desktop, "Names", "names").await;
    for some in names.chunks(50) {
        let files: Vec<Value> = some
            .iter()
            .map(|name| json!({
                "path": name, "oldPath": format!("{name}.old"), "change": "renamed",
                "contentBase64": base64(name), "diffBase64": base64(format!("@@ -0,0 +1 @@\n+{name}\n")),
            }))
            .collect();
        attempt.files(&files).await;
    }
    // U+0000 is no part of any path
    for path in [
        json!({"path": "a\0b"}),
        json!({"pathBase64": base64(b"a\0b")}),
    ] {
        let mut file = json!({"change": "deleted"});
        file.as_object_mut()
            .expect("an object")
            .extend(path.as_object().expect("an object").clone());
        let answer = attempt.call("files", &json!({"files": [file]})).await;
        assert!(
            matches!(answer.status, 202 | 400 | 422),
            "{}",
            answer.text()
        );
    }
    let task = attempt.complete(&json!({})).await;
    let sealed = manifest(world, &task).await;
    let files = sealed["files"].as_array().expect("files");
    for name in &names {
        let file = files.iter().find(|file| file["path"] == *name);
        let file = file.unwrap_or_else(|| panic!("{name:?} is in the manifest"));
        assert_eq!(file["oldPath"], format!("{name}.old"));
        assert_eq!(file["content"]["sha256"], sha256(name.as_bytes()));
    }
    for file in every(world, &of_task(&attempt.task, "files")).await {
        let Some(path) = file["path"].as_str().filter(|path| !path.contains('\0')) else {
            continue;
        };
        let answer = world
            .get(&of_task(&attempt.task, &format!("files/{}/raw", file["n"])))
            .await;
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, path.as_bytes())
        );
        let download = answer.header("content-disposition");
        let expected = format!("attachment; filename=\"{}-{}\"", attempt.task, file["n"]);
        assert_eq!(download, expected, "a download has a name of ours");
    }
    world
        .page(
            &person.cookie,
            &format!("/tasks/{}?tab=files", attempt.task),
        )
        .await
        .shows(200);

    assert_eq!(look(), before, "a file outside the database");
    assert_eq!(listing(&here), ours);
    if data != std::env::temp_dir() {
        assert_eq!(listing(&data), theirs);
    }
}

/// Bytes of a log that are kept at its head, and as many at its tail (contract section 5).
const KEPT: usize = 4 << 20;

async fn the_middle_of_a_log_is_missed_to_the_byte(world: &World) {
    let person = world.person("owner@example.org").await;
    let desktop = world.desktop().await;
    for size in [1_000, 100_000, 2 * KEPT, 2 * KEPT + 300_001, 3 * KEPT] {
        let mut attempt = Attempt::start(world, &desktop, "A log", "talk").await;
        let log = log_of(size);
        for piece in log.chunks(3 << 20) {
            let entries: Vec<&[u8]> = piece.chunks(64 << 10).collect();
            attempt.log(&entries).await;
        }
        let task = attempt.complete(&json!({})).await;
        let sealed = manifest(world, &task).await;
        let kept = download(world, &attempt.task, "logs").await;
        let dropped = size - kept.len();
        assert_eq!(sealed["logs"]["droppedBytes"], dropped, "{size}");
        assert_eq!(sealed["logs"]["bytes"], kept.len());
        assert_eq!(sealed["output"]["truncated"], dropped > 0);
        // whole entries are dropped, so that at each end at most one is less than there is room for
        let room = KEPT - (64 << 10);
        let (head, tail) = (room.min(size), room.min(size));
        assert!(
            kept[..head] == log[..head] && kept[kept.len() - tail..] == log[size - tail..],
            "{size}"
        );
        assert_eq!(dropped > 0, size > 2 * KEPT, "{size}");

        let page = world
            .page(&person.cookie, &format!("/tasks/{}?tab=logs", attempt.task))
            .await
            .shows(200);
        for (marker, is_there) in [
            ("FIRST-LINE", true),
            ("LAST-LINE", true),
            ("MIDDLE-LINE", size <= 256 << 10),
        ] {
            assert_eq!(page.contains(marker), is_there, "{marker} of {size}");
        }
        let shown: usize = 2 * (128 << 10);
        let hidden = kept.len().saturating_sub(shown);
        if dropped > 0 {
            let says = format!(
                "{} bytes were dropped when the log was written",
                grouped(dropped)
            );
            assert!(page.contains(&says), "{says}");
        }
        // entries are shown whole: as much as fits, and the rest is said to the byte
        assert_eq!(page.contains("not shown here"), hidden > 0, "{size}");
        if hidden > 0 {
            let bytes = number_before(&page, " bytes not shown here");
            assert!(
                bytes >= hidden && bytes < hidden + 2 * (64 << 10),
                "{bytes} of {hidden}"
            );
        }
        let facts = world
            .page(
                &person.cookie,
                &format!("/tasks/{}/decide?decision=approve", attempt.task),
            )
            .await
            .shows(200);
        assert_eq!(
            facts.contains("in the middle of the log were dropped"),
            dropped > 0,
            "the decision says so"
        );
    }
}

/// A log of this size whose first, middle and last lines can be told from the others.
fn log_of(size: usize) -> Vec<u8> {
    let mut log: Vec<u8> = b"0123456789abcdef\n"
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect();
    for (at, marker) in [
        (0, "FIRST-LINE\n"),
        (size / 2, "\nMIDDLE-LINE\n"),
        (size - 10, "\nLAST-LINE"),
    ] {
        log[at..at + marker.len()].copy_from_slice(marker.as_bytes());
    }
    log
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}

/// The number in front of these words.
fn number_before(page: &str, words: &str) -> usize {
    let (before, _) = page.split_once(words).expect("the words");
    let digits = before
        .rsplit(|c: char| !c.is_ascii_digit() && c != ',')
        .next()
        .unwrap_or_default();
    digits.replace(',', "").parse().expect("a number")
}

/// The tokens that a database, a JSON reader or a counter may stumble over.
const VALUES: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "-0",
    "1e400",
    "-1e400",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "4294967296",
    "99999999999999999999999999999999",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ufffe\\uffff\"",
    "\"\\u202e\"",
    "\"\u{10ffff}\"",
    "\"' OR 1=1 --\"",
    "\"\\\\x00\"",
    "\"$1\"",
    "\"%00\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[\"\\u0000\"]",
    "{\"a\":1}",
    "\"task_00000000000000000000000000\"",
    "\"2026-03-15T10:05:00Z\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"AA==\"",
    "\"/w==\"",
    "\"A\"",
    "\"\\n\\n\\n\"",
];

/// A call that takes a body, and a body that it takes.
fn calls(desktop: &str, task: &str) -> Vec<(&'static str, String, Value)> {
    let entry =
        json!({"seq": 0, "stream": "stdout", "at": "2026-03-15T10:05:00Z", "base64": "AA=="});
    let file = json!({
        "path": "a", "oldPath": "b", "change": "renamed", "mode": "100644", "oldMode": "100644",
        "diffBase64": "AA==", "contentBase64": "AA==", "truncated": false,
    });
    vec![
        (
            "POST",
            "/api/mission-control/tasks".to_owned(),
            json!({
                "type": "command", "content": "x", "title": "t", "desktopId": desktop, "requiresApproval": false,
                "dependsOn": [task], "autoRun": false, "onDependencyFailure": "block", "timeoutSeconds": 1, "maxAttempts": 1,
            }),
        ),
        (
            "POST",
            of_task(task, "retry"),
            json!({"content": "x", "title": "t", "requiresApproval": true}),
        ),
        (
            "POST",
            of_task(task, "review"),
            json!({"decision": "approve", "feedback": "f", "evidenceSha256": "0"}),
        ),
        ("POST", of_task(task, "logs"), json!({"entries": [entry]})),
        ("POST", of_task(task, "files"), json!({"files": [file]})),
        (
            "POST",
            of_task(task, "complete"),
            json!({
                "outcome": "succeeded", "exitCode": 0, "error": "e", "output": "o", "logEntries": 0,
            }),
        ),
        (
            "POST",
            format!("/api/desktops/{desktop}/claim"),
            json!({"wait": 0}),
        ),
        ("POST", "/api/desktops".to_owned(), json!({"name": "d"})),
        (
            "POST",
            "/api/auth/api-keys".to_owned(),
            json!({
                "name": "k", "kind": "agent", "capabilities": ["tasks:read"], "desktopId": desktop,
            }),
        ),
        (
            "PATCH",
            "/api/mission-control/settings".to_owned(),
            json!({"taskApprovalMode": false, "requireEvidence": false}),
        ),
    ]
}

/// One of the members, at any depth, replaced by a token; or the whole text broken.
fn mutated(numbers: &mut Numbers, body: &Value) -> Vec<u8> {
    let text = body.to_string();
    match numbers.below(12) {
        0 => {
            // any byte for any other
            let mut bytes = text.into_bytes();
            let at = numbers.below(bytes.len());
            bytes[at] = u8::try_from(numbers.below(256)).expect("a byte");
            bytes
        }
        1 => {
            let length = numbers.below(text.len());
            text.as_bytes()[..length].to_vec()
        }
        2 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        3 => format!("{}{}{}", "[".repeat(5_000), text, "]".repeat(5_000)).into_bytes(),
        4 => {
            // twice the same member
            let member = text[1..]
                .split(',')
                .next()
                .unwrap_or_default()
                .trim_end_matches('}');
            format!("{{{member},{}", &text[1..]).into_bytes()
        }
        _ => {
            let colons: Vec<usize> = text.match_indices("\":").map(|(at, _)| at + 2).collect();
            let start = colons[numbers.below(colons.len())];
            let rest = &text[start..];
            let end = if rest.starts_with('[') {
                rest.find(']').map(|at| at + 1)
            } else {
                rest.find([',', '}'])
            };
            let long = format!(
                "\"{}\"",
                numbers
                    .pick(&["a", "\u{e9}", "\\u0001", "A"])
                    .repeat(200_000)
            );
            let token = if numbers.below(20) == 0 {
                long.as_str()
            } else {
                numbers.pick(VALUES)
            };
            format!(
                "{}{token}{}",
                &text[..start],
                &rest[end.unwrap_or(rest.len())..]
            )
            .into_bytes()
        }
    }
}

/// Parts of addresses that are no ids, numbers or cursors.
const ADDRESSES: &[&str] = &[
    "/api/mission-control/tasks/%00",
    "/api/mission-control/tasks/task_%00",
    "/api/mission-control/tasks/%ff%fe",
    "/api/mission-control/tasks/task_00000000000000000000000000",
    "/api/mission-control/tasks/'",
    "/api/mission-control/tasks/..%2f",
    "/api/mission-control/tasks?cursor=%00",
    "/api/mission-control/tasks?cursor=%ff",
    "/api/mission-control/tasks?cursor=task_",
    "/api/mission-control/tasks?limit=99999999999999999999",
    "/api/mission-control/tasks?limit=-1",
    "/api/mission-control/tasks?limit=1e2",
    "/api/mission-control/tasks?status=%00",
    "/api/mission-control/tasks?status=,",
    "/api/mission-control/tasks?desktopId=%00",
    "/api/mission-control/approvals?status=all&cursor=%00",
    "/api/mission-control/approvals/%00?wait=0",
    "/api/mission-control/approvals/appr_00000000000000000000000000?wait=0",
    "/api/mission-control/activity?after=9223372036854775807",
    "/api/mission-control/activity?after=9223372036854775808",
    "/api/mission-control/activity?after=-9223372036854775808",
    "/api/mission-control/activity?after=%00",
    "/api/desktops/%00",
    "/api/desktops/desk_%ff",
];

/// The status and the code of an answer, and for another size of it nothing more: ids differ.
async fn verdict(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = send(request).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (
        answer.status,
        body["code"].as_str().unwrap_or_default().to_owned(),
    )
}

/// A world with a task in each place that a body is sent to.
struct Side {
    world: World,
    desktop: (String, String),
    task: String,
    token: String,
}

impl Side {
    async fn start(engine: Engine) -> Option<Self> {
        let world = World::start(engine).await?;
        let desktop = world.desktop().await;
        let members = json!({"requiresApproval": true, "autoRun": true, "timeoutSeconds": 600_000});
        let task = world.task(&desktop.0, members).await;
        let (_, token) = world.claim(&desktop.0, &desktop.1).await;
        Some(Self {
            world,
            desktop,
            task,
            token,
        })
    }

    /// Sends one request; whether it is a call of the runner is told by its path.
    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String) {
        let is_runner = ["/logs", "/files", "/complete", "/claim"]
            .iter()
            .any(|end| path.ends_with(end));
        let key = if is_runner {
            &self.desktop.1
        } else {
            &self.world.owner
        };
        let request = self.world.request(key, method, path);
        let request = if is_runner {
            request.header("x-lease-token", &self.token)
        } else {
            request
        };
        verdict(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_makes_the_engines_differ() {
    let sqlite = Side::start(Engine::Sqlite)
        .await
        .expect("SQLite is always there");
    let postgres = Side::start(Engine::Postgres).await;
    let mut numbers = Numbers(11);
    let mut answers = BTreeMap::new();
    let requests = rounds(15) * 40;
    for n in 0..requests {
        // a lease needs a sign of life now and then
        if n % 200 == 0 {
            for side in [Some(&sqlite), postgres.as_ref()].into_iter().flatten() {
                let path = of_task(&side.task, "heartbeat");
                side.world
                    .leased(&side.desktop.1, &side.token, &path, &json!({}))
                    .await;
            }
        }
        let which = numbers.below(13);
        let seed = Numbers(numbers.0);
        let ask = async |side: &Side| {
            let mut numbers = Numbers(seed.0);
            let calls = calls(&side.desktop.0, &side.task);
            let Some((method, path, body)) = calls.get(which) else {
                let path = numbers.pick(ADDRESSES);
                let answer = side.send("GET", path, Vec::new()).await;
                return (format!("GET {path}"), String::new(), answer);
            };
            // ids are equally long, so that the same bytes change on both sides
            let body = mutated(&mut numbers, body);
            let path_of_all = path
                .replace(&side.task, "TASK")
                .replace(&side.desktop.0, "DESKTOP");
            let begin = String::from_utf8_lossy(&body).chars().take(300).collect();
            let answer = side.send(method, path, body).await;
            (format!("{method} {path_of_all}"), begin, answer)
        };
        numbers.below(2);
        let (call, body, first) = ask(&sqlite).await;
        assert!(first.0 < 500, "{call} answers {first:?} to {body}");
        if let Some(postgres) = &postgres {
            let (_, _, second) = ask(postgres).await;
            assert_eq!(first, second, "{call} on SQLite and on PostgreSQL: {body}");
        }
        *answers.entry(first).or_insert(0) += 1;
    }
    println!("{requests} requests on each engine: {answers:?}");
    sqlite.world.end().await;
    if let Some(postgres) = postgres {
        postgres.world.end().await;
    }
}
