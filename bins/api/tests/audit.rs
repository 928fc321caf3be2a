//! The exported log: what an honest server's looks like, and what is said about a wrong one
//! (guarantees E10 and G15).

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use test_support::server::program;
use test_support::{Engine, TestDb};

use crate::rest::{Caller, text};
use crate::site::{API, APPROVALS, Desktop, Site, TASKS, administer, on_every_engine, printed};

const SETTINGS: &str = "/api/mission-control/settings";

/// The exported log of the first account.
pub fn export(db: &TestDb) -> String {
    let output = administer(db.url(), &["audit", "export"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Where the log ends, to be kept.
pub fn head(db: &TestDb) -> String {
    printed(&administer(db.url(), &["audit", "head"]))
}

/// `api audit verify -` on this file.
pub fn verify(export: &str, heads: &[&str]) -> Output {
    let heads = heads.iter().flat_map(|head| ["--head", head]);
    let mut child = program(API)
        .args(["audit", "verify", "-"])
        .args(heads)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    // one that refuses its command line is gone before it reads
    let _ = input.write_all(export.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

/// What `verify` says, after it ended with this code.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// One of everything that is in a log: decisions of two people, one withdrawn, one that waits, both
/// reasons; at its end rows that are about no approval.
pub async fn busy_log(site: &Site) {
    let owner = &site.owner;
    let second = ["key", "create", "--name", "Zoë \"2\"", "--kind", "human"];
    let second = owner.with_key(&printed(&administer(site.db.url(), &second)));
    let desktop = site.desktop("machine").await;
    let tasks = desktop.tasks_in_review(owner, 6).await;
    for (task, (who, decision)) in tasks.iter().zip([
        (owner, json!({"decision": "approve"})),
        (&second, json!({"decision": "reject", "feedback": "no"})),
        (&second, json!({"decision": "approve"})),
        (owner, json!({"decision": "reject"})),
    ]) {
        let path = format!("{TASKS}/{}/review", text(&task["id"]));
        who.post(&path, &decision).await.is(200);
    }
    let withdrawn = format!("{TASKS}/{}/cancel", text(&tasks[4]["id"]));
    owner.post(&withdrawn, &json!({})).await.is(200);
    let on = json!({"taskApprovalMode": true});
    owner.patch(SETTINGS, &on).await.is(200);
    let ungated = json!({
        "type": "command", "content": "true", "desktopId": desktop.id, "autoRun": true,
    });
    owner.post(TASKS, &ungated).await.is(201);
    assert_eq!(desktop.work().await["status"], "review");
    for on in [false, true, false, true] {
        let switch = json!({"taskApprovalMode": on});
        owner.patch(SETTINGS, &switch).await.is(200);
    }
}

#[test]
fn an_honest_export_is_whole_and_is_what_rest_shows() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let empty = administer(site.db.url(), &["account", "create", "--name", "empty"]);
        printed(&empty);
        busy_log(&site).await;

        let middle = head(&site.db);
        let switch = json!({"requireEvidence": true});
        site.owner.patch(SETTINGS, &switch).await.is(200);
        let end = head(&site.db);
        let exported = export(&site.db);
        let checked = said(&verify(&exported, &[&middle, &end]), 0);
        assert!(
            checked.contains(&end) && !checked.contains("--head"),
            "{checked}"
        );
        let unsaved = said(&verify(&exported, &[]), 0);
        assert!(unsaved.contains("cannot be seen"), "{unsaved}");

        let lines: Vec<Value> = exported
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let rows = crate::evidence::checked_activity(&site.owner).await;
        assert_eq!(lines[1..=rows.len()], rows);
        assert_eq!(lines[0]["accountId"], rows[0]["accountId"]);
        let shown = format!("{APPROVALS}?status=all&limit=100");
        let shown = crate::rest::elements(site.owner.get(&shown).await.is(200));
        let approvals = &lines[rows.len() + 1..lines.len() - 1];
        assert_eq!((approvals.len(), shown.len()), (7, 7));
        for (line, shown) in approvals.iter().zip(&shown) {
            let line = &line["approval"];
            for member in [
                "id",
                "taskId",
                "status",
                "reason",
                "createdAt",
                "decidedAt",
                "decidedBy",
                "evidenceSha256",
            ] {
                assert_eq!(line[member], shown[member], "{member}");
            }
            let task = format!("{TASKS}/{}/evidence", text(&line["taskId"]));
            let sealed = site.owner.get(&task).await;
            assert_eq!(text(&line["manifest"]).into_bytes(), sealed.body);
        }
        let end = lines.last().expect("a trailer");
        assert_eq!(
            (&end["rows"], &end["approvals"]),
            (&json!(rows.len()), &json!(7))
        );

        // an account in which nothing happened
        let empty = ["audit", "export", "--account", "empty"];
        let empty = String::from_utf8(administer(site.db.url(), &empty).stdout).expect("text");
        let start = format!("0:{}", "0".repeat(64));
        said(&verify(&empty, &[&start]), 0);
    });
}

/// Decides and switches until it is told to stop.
async fn keep_busy(owner: &Caller, desktop: &Desktop, stop: &std::sync::atomic::AtomicBool) {
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        for task in desktop.tasks_in_review(owner, 4).await {
            let path = format!("{TASKS}/{}/review", text(&task["id"]));
            let approve = json!({"decision": "approve"});
            owner.post(&path, &approve).await.is(200);
        }
    }
}

#[test]
fn an_export_beside_decisions_shows_one_moment() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desktop = site.desktop("machine").await;
        let stop = std::sync::atomic::AtomicBool::new(false);
        let exporting = async {
            let db = &site.db;
            let url = db.url().to_owned();
            let exports = tokio::task::spawn_blocking(move || {
                let mut saved = Vec::new();
                for _ in 0..10 {
                    let before = printed(&administer(&url, &["audit", "head"]));
                    let output = administer(&url, &["audit", "export"]);
                    assert!(output.status.success(), "{output:?}");
                    let exported = String::from_utf8(output.stdout).expect("text");
                    saved.push(before);
                    let heads: Vec<&str> = saved.iter().map(String::as_str).collect();
                    said(&verify(&exported, &heads), 0);
                }
                saved
            });
            let saved = exports.await;
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            saved.expect("exports")
        };
        let (saved, ()) =
            futures_util::future::join(exporting, keep_busy(&site.owner, &desktop, &stop)).await;
        assert_ne!(saved.first(), saved.last(), "something happened meanwhile");
    });
}

#[test]
fn an_exported_file_is_there_whole_and_for_its_owner_only() {
    let db = TestDb::migrated_sqlite();
    crate::site::owner_key(db.url());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.jsonl");
    let file = path.to_str().expect("UTF-8");
    let to_file = ["audit", "export", "--out", file];
    let output = administer(db.url(), &to_file);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let mode = path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).expect("text"), export(&db));
    let checked = program(API).args(["audit", "verify", file]).output();
    said(&checked.expect("it starts"), 0);

    let again = administer(db.url(), &to_file);
    assert_eq!(again.status.code(), Some(1));
    let message = String::from_utf8_lossy(&again.stderr);
    assert!(
        message.contains(file) && message.contains("exists"),
        "{message}"
    );
    let nowhere = ["audit", "export", "--out", "/nonexistent/log"];
    let nowhere = administer(db.url(), &nowhere);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nonexistent/log"));
    let names = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 1, "no part of a file stays");
}

#[test]
fn what_is_asked_wrongly_is_told_from_what_is_found() {
    let db = TestDb::migrated_sqlite();
    crate::site::owner_key(db.url());
    let exported = export(&db);
    for head in ["1", "x:y", "1:00", &format!("1:{}", "g".repeat(64))] {
        let output = verify(&exported, &[head]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let missing = program(API)
        .args(["audit", "verify", "/nonexistent/log"])
        .output()
        .expect("it starts");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nonexistent/log"));
    for nothing in ["", "\n", "{}\n", "[]\n", "null\n", "{\"seq\":1}\n", "\u{0}"] {
        said(&verify(nothing, &[]), 1);
    }
    let unknown = ["audit", "head", "--account", "nobody"];
    let unknown = administer(db.url(), &unknown);
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(1), 0));

    let twice = exported.replace("\"seq\":1,", "\"seq\":3,");
    let found = said(&verify(&twice, &[]), 1);
    assert!(
        found.contains("line 2, seq 3: row 1 was expected here"),
        "{found}"
    );
    let many = "x\n".repeat(250);
    let found = said(&verify(&many, &[]), 1);
    assert!(found.contains("\nand 151 more\n"), "{found}");
}

/// Lets the database refuse rows of these types in the log, or take them again.
fn refuse_log(db: &TestDb, refuse: bool) {
    let sql = match (db.engine(), refuse) {
        (Engine::Sqlite, true) => {
            "CREATE TRIGGER no_log BEFORE INSERT ON activity
             WHEN NEW.type IN ('approval.resolved', 'settings.changed')
             BEGIN SELECT RAISE(ABORT, 'no log today'); END;"
        }
        (Engine::Sqlite, false) => "DROP TRIGGER no_log;",
        (Engine::Postgres, true) => {
            "CREATE FUNCTION no_log() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'no log today'; END $$;
             CREATE TRIGGER no_log BEFORE INSERT ON activity FOR EACH ROW
             WHEN (NEW.type IN ('approval.resolved', 'settings.changed'))
             EXECUTE FUNCTION no_log();"
        }
        (Engine::Postgres, false) => "DROP TRIGGER no_log ON activity;",
    };
    db.execute(sql).expect("a trigger");
}

#[test]
fn what_cannot_be_logged_does_not_happen() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let owner = &site.owner;
        let desktop = site.desktop("machine").await;
        let tasks = desktop.tasks_in_review(owner, 3).await;
        let before = head(&site.db);
        let on = json!({"taskApprovalMode": true});
        let doors = [
            (
                format!("{TASKS}/{}/review", text(&tasks[0]["id"])),
                json!({"decision": "approve"}),
            ),
            (
                format!(
                    "{APPROVALS}/{}/resolve",
                    text(&tasks[1]["review"]["approvalId"])
                ),
                json!({"decision": "reject", "feedback": "no"}),
            ),
            (
                format!("{TASKS}/{}/cancel", text(&tasks[2]["id"])),
                json!({}),
            ),
        ];

        refuse_log(&site.db, true);
        for (path, body) in &doors {
            let answer = owner.post(path, body).await;
            assert!(answer.status >= 500, "{path}: {}", answer.status);
        }
        let answer = owner.patch(SETTINGS, &on).await;
        assert!(answer.status >= 500, "settings: {}", answer.status);
        for task in &tasks {
            let path = format!("{TASKS}/{}", text(&task["id"]));
            let now = owner.get(&path).await.is(200);
            assert_eq!(now["status"], "review");
            assert_eq!(now["review"]["decision"], Value::Null);
        }
        let mode = owner.get(SETTINGS).await.is(200);
        assert_eq!(mode["taskApprovalMode"], false);
        assert_eq!(head(&site.db), before);

        refuse_log(&site.db, false);
        for (path, body) in &doors {
            owner.post(path, body).await.is(200);
        }
        owner.patch(SETTINGS, &on).await.is(200);
        said(&verify(&export(&site.db), &[&before, &head(&site.db)]), 0);
    });
}

/// Lets whoever owns the database do what its triggers refuse.
fn unguard(db: &TestDb) {
    match db.engine() {
        Engine::Sqlite => {
            let named = "SELECT name FROM sqlite_master WHERE type = 'trigger'
                         AND tbl_name IN ('activity', 'accounts', 'approvals', 'evidence')";
            for row in db.query(named).expect("triggers") {
                let name = row[0].as_ref().expect("a name");
                db.execute(&format!("DROP TRIGGER {name};")).expect("gone");
            }
        }
        Engine::Postgres => {
            for table in ["activity", "accounts", "approvals", "evidence"] {
                let off = format!("ALTER TABLE {table} DISABLE TRIGGER ALL;");
                db.execute(&off).expect("off");
            }
        }
    }
}

#[test]
fn what_the_owner_of_the_database_alters_is_found() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        busy_log(&site).await;
        let (kept, db) = (head(&site.db), &site.db);
        let alter = |sql: &str| db.execute(sql).expect("altered");
        alter_is_refused(db);
        unguard(db);

        alter("UPDATE approvals SET status = 'cancelled' WHERE status = 'rejected'");
        let found = said(&verify(&export(db), &[&kept]), 1);
        assert_eq!(found.matches("another status").count(), 2, "{found}");

        alter("UPDATE activity SET actor_name = 'somebody' WHERE seq = 3");
        let found = said(&verify(&export(db), &[&kept]), 1);
        assert!(
            found.contains("seq 3: the row does not have its hash"),
            "{found}"
        );

        alter("DELETE FROM activity WHERE seq = 5");
        let found = said(&verify(&export(db), &[&kept]), 1);
        assert!(found.contains("seq 6: row 5 was expected here"), "{found}");

        let last = "(SELECT max(seq) FROM activity)";
        alter(&format!("DELETE FROM activity WHERE seq = {last}"));
        alter(&format!(
            "UPDATE accounts SET head_seq = {last},
             head_hash = (SELECT hash FROM activity WHERE seq = {last})"
        ));
        let found = said(&verify(&export(db), &[&kept]), 1);
        assert!(found.contains("the tail was cut"), "{found}");
    });
}

/// As long as the triggers are there, the log cannot be altered at all.
fn alter_is_refused(db: &TestDb) {
    for sql in [
        "UPDATE activity SET actor_name = 'somebody' WHERE seq = 3",
        "DELETE FROM activity WHERE seq = 5",
    ] {
        assert!(db.execute(sql).is_err(), "{sql}");
    }
}
