//! `api prune` beside a running server: what goes, what stays, and a run that is killed
//! (docs/operations.md). The rule itself and the triggers under it are tested in the store.
//!
//! `cargo xtask torture prune` kills more often.

use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use test_support::rounds;
use test_support::server::{Process, program};

use crate::audit::{export, said, verify};
use crate::rest::{answer, elements, eventually, text};
use crate::site::{API, APPROVALS, Desktop, Site, TASKS, administer, on_every_engine};

/// How often a run is killed, when nobody asks for more.
const KILLS: usize = 6;
/// Entries of one log; a step of a pruning takes a thousand.
const ENTRIES: usize = 400;

/// Takes a claimed task into review with a log of [`ENTRIES`] entries.
async fn reviewed(site: &Site, desktop: &Desktop) -> String {
    let command = json!({
        "type": "command", "content": "make", "desktopId": desktop.id,
        "requiresApproval": true, "autoRun": true,
    });
    site.owner.post(TASKS, &command).await.is(201);
    let (task, token) = desktop.claim().await;
    let id = text(&task["id"]);
    let entry = |seq| {
        json!({
            "seq": seq, "stream": "stdout", "at": "2026-11-25T00:00:00Z", "base64": STANDARD.encode("a line\n"),
        })
    };
    let entries: Vec<Value> = (0..ENTRIES).map(entry).collect();
    let path = format!("/api/desktops/{}/tasks/{id}/logs", desktop.id);
    let request = desktop.agent.request(reqwest::Method::POST, &path);
    let request = request.header("x-lease-token", &token);
    let request = request.json(&json!({"entries": entries}));
    answer(request).await.expect("an answer").is(202);
    desktop
        .complete(&task, &token, &json!({"outcome": "succeeded"}))
        .await;
    id
}

async fn decide(site: &Site, task: &str) {
    let path = format!("{TASKS}/{task}/review");
    let decision = json!({"decision": "approve"});
    site.owner.post(&path, &decision).await.is(200);
}

fn prune(site: &Site, flags: &[&str]) -> Output {
    let mut arguments = vec!["prune", "--older-than", "1s"];
    arguments.extend(flags);
    administer(site.db.url(), &arguments)
}

/// Waits until so many attempts are old enough.
async fn old_enough(site: &Site, attempts: usize) {
    let wanted = format!("would prune {attempts} attempt");
    let patience = Duration::from_secs(20);
    eventually("all of it is old enough", patience, async || {
        let dry = prune(site, &["--dry-run"]);
        assert!(dry.status.success(), "{dry:?}");
        let said = String::from_utf8(dry.stdout).expect("text");
        said.contains(&wanted).then_some(())
    })
    .await;
}

#[test]
fn a_killed_run_is_gone_on_with_beside_a_server_that_decides() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desktop = site.desktop("machine").await;
        let (mut pruned, mut waiting) = (Vec::new(), Vec::new());
        let (kills, mut in_the_middle) = (rounds(KILLS), 0);
        let mut finished = Vec::new();
        for kill in 0..kills {
            for _ in 0..4 {
                let task = reviewed(&site, &desktop).await;
                decide(&site, &task).await;
                finished.push(task);
            }
            let kept = reviewed(&site, &desktop).await;
            old_enough(&site, finished.len()).await;

            let mut run = Process::start(
                program(API)
                    .args(["prune", "--older-than", "1s"])
                    .env("DATABASE_URL", site.db.url()),
            );
            let begun = async || {
                let went = gone(&site, &finished).await;
                (went > kill % 2).then_some(())
            };
            // others are killed when the second attempt has begun to go
            eventually("it has begun", Duration::from_secs(20), begun).await;
            // a decision goes on meanwhile
            decide(&site, &kept).await;
            run.kill();
            let went = gone(&site, &finished).await;
            in_the_middle += usize::from(went < finished.len());

            let rest = prune(&site, &[]);
            assert!(rest.status.success(), "{rest:?}");
            waiting.push(reviewed(&site, &desktop).await);
            assert_eq!(gone(&site, &finished).await, finished.len());
            pruned.append(&mut finished);
            finished.push(kept);
        }
        check(&site, &pruned, &waiting).await;
        println!("{kills} kills, {in_the_middle} of them before all was gone");
    });
}

/// How many of these logs are read no more.
async fn gone(site: &Site, tasks: &[String]) -> usize {
    let mut gone = 0;
    for task in tasks {
        let logs = site.owner.get(&format!("{TASKS}/{task}/logs")).await;
        gone += usize::from(logs.status == 410);
    }
    gone
}

/// Bytes of decided work are gone, with a row of the log for each; evidence, decisions and what waits
/// for one are there, and the log is whole.
async fn check(site: &Site, pruned: &[String], waiting: &[String]) {
    for task in pruned {
        let path = format!("{TASKS}/{task}");
        let problem = site.owner.get(&format!("{path}/logs")).await;
        assert!(problem.refuses(410, "pruned")["prunedAt"].is_string());
        site.owner.get(&format!("{path}/evidence")).await.is(200);
        assert_eq!(site.owner.get(&path).await.is(200)["status"], "done");
        let of = format!("WHERE task_id = '{task}'");
        let left = format!("SELECT coalesce(sum(length(bytes)), 0) FROM log_entries {of}");
        assert_eq!(site.db.query_scalar(&left), Ok(Some("0".to_owned())));
        let rows = format!(
            "SELECT count(*) FROM activity WHERE payload LIKE '%{task}%' AND payload LIKE '%\"logBytes\"%'"
        );
        assert_eq!(site.db.query_scalar(&rows), Ok(Some("1".to_owned())));
    }
    for task in waiting {
        let path = format!("{TASKS}/{task}/logs?limit=1000");
        let logs = site.owner.get(&path).await.is(200);
        assert_eq!(elements(logs).len(), ENTRIES);
    }
    let pending = site.owner.get(APPROVALS).await.is(200);
    assert_eq!(elements(pending).len(), waiting.len());
    said(&verify(&export(&site.db), &[]), 0);
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desktop = site.desktop("machine").await;
        let task = reviewed(&site, &desktop).await;
        decide(&site, &task).await;
        old_enough(&site, 1).await;
        let before = site.db.rows();
        let dry = prune(&site, &["--dry-run"]);
        let bytes = ENTRIES * "a line\n".len();
        let expected = format!(
            "site: would prune 1 attempt, {bytes} bytes of logs and 0 bytes of files\nnothing was changed\n"
        );
        assert_eq!(String::from_utf8(dry.stdout), Ok(expected));
        assert_eq!(site.db.rows(), before);

        for flags in [&["--account", "nobody"][..], &["--older-than", "0d"]] {
            let refused = prune(&site, flags);
            assert!(!refused.status.success(), "{refused:?}");
        }
        assert_eq!(site.db.rows(), before);
        let done = String::from_utf8(prune(&site, &[]).stdout).expect("text");
        assert!(done.starts_with("site: pruned 1 attempt, "), "{done}");
    });
}
