//! What is answered where the bytes of finished work were given up: never as if there had been none.

use serde_json::{Value, json};
use store::Admin;
use tokio::task::spawn_blocking;

use crate::attempt::{Attempt, base64};
use crate::world::{World, of_task, send};

crate::on_both_engines! {
    bytes_that_went_are_gone_and_evidence_stays
    pages_say_when_bytes_went
}

/// Gives up whatever was finished before now.
async fn prune(world: &World) {
    let (url, account) = (world.db.url().parse().expect("a database"), world.account);
    let run = move || {
        let admin = Admin::new(url);
        let now = admin.now().expect("a clock");
        admin.prune(account, now).expect("a run")
    };
    let total = spawn_blocking(run).await.expect("no panic");
    assert!(total.attempts > 0);
}

/// A task with a log and a file, in review.
async fn reviewed(world: &World, desktop: &(String, String), report: &Value) -> String {
    let mut attempt = Attempt::start(world, desktop, "work", "true").await;
    attempt.log(&[b"what it ", b"printed\n"]).await;
    let diff = base64("--- a\n+++ b\n@@ -0,0 +1 @@\n+line\n");
    attempt
        .files(&[
            json!({"path": "changed.txt", "change": "modified", "diffBase64": diff, "contentBase64": base64("line\n")}),
            json!({"path": "gone.txt", "change": "deleted"}),
        ])
        .await;
    attempt.complete(report).await;
    attempt.task
}

async fn approve(world: &World, task: &str) {
    let approve = json!({"decision": "approve"});
    world.post(&of_task(task, "review"), &approve).await.is(200);
}

/// The ways to bytes of an attempt.
const WAYS: [&str; 7] = [
    "logs",
    "logs?attempt=1&after=0",
    "logs/stream",
    "output",
    "files",
    "files/1/raw",
    "files/1/diff",
];

async fn bytes_that_went_are_gone_and_evidence_stays(world: &World) {
    let desktop = world.desktop().await;
    let task = reviewed(world, &desktop, &json!({})).await;
    let named = reviewed(world, &desktop, &json!({"output": "what it says"})).await;
    let waiting = reviewed(world, &desktop, &json!({})).await;
    approve(world, &task).await;
    approve(world, &named).await;
    let shown = world.get(&of_task(&task, "")).await.is(200);
    let evidence = world.get(&of_task(&task, "evidence")).await;
    prune(world).await;

    for way in WAYS {
        let answer = world.get(&of_task(&task, way)).await;
        let problem = answer.is(410);
        assert_eq!(problem["code"], "pruned", "{way}");
        let at = problem["prunedAt"].as_str().expect("a time");
        assert!(at.ends_with('Z') && at.len() == 27, "{at}");
        if way != "logs/stream" {
            let whole = world.get(&of_task(&waiting, way)).await;
            assert_eq!(whole.status, 200, "{way}");
            assert!(!whole.body.is_empty(), "{way}");
        }
    }
    let text = world.request(&world.owner, "GET", &of_task(&task, "logs"));
    send(text.header("accept", "text/plain")).await.is(410);
    // what never was is not what went
    for never in [
        "files/2/raw",
        "files/2/diff",
        "files/3/raw",
        "logs?attempt=2",
    ] {
        world.get(&of_task(&task, never)).await.is(404);
    }
    let said = world.get(&of_task(&named, "output")).await;
    assert_eq!((said.status, said.text().as_str()), (200, "what it says"));
    world.get(&of_task(&named, "logs")).await.is(410);

    assert_eq!(world.get(&of_task(&task, "")).await.is(200), shown);
    let after = world.get(&of_task(&task, "evidence")).await;
    assert_eq!((after.status, after.body), (200, evidence.body));
    let rows = world
        .get("/api/mission-control/activity?limit=500")
        .await
        .json();
    let rows = rows.as_array().expect("rows").iter();
    let pruned: Vec<&Value> = rows.filter(|row| row["type"] == "task.pruned").collect();
    assert_eq!(pruned.len(), 2);
    assert_eq!(pruned[0]["actor"]["kind"], "system");
    assert_eq!(
        pruned[0]["payload"]["evidenceSha256"],
        shown["evidenceSha256"]
    );
}

async fn pages_say_when_bytes_went(world: &World) {
    let desktop = world.desktop().await;
    let task = reviewed(world, &desktop, &json!({})).await;
    approve(world, &task).await;
    let person = world.person("ada@example.org").await;
    let tab = async |name: &str| {
        let path = format!("/tasks/{task}?tab={name}");
        world.page(&person.cookie, &path).await.shows(200)
    };
    for name in ["output", "logs", "files"] {
        assert!(!tab(name).await.contains("Pruned"), "{name}");
    }
    prune(world).await;
    for (name, there, never) in [
        (
            "output",
            "of log, of which the output was made,",
            "No output",
        ),
        ("logs", "2 entries", "The log is empty"),
        ("files", "changed.txt", "No files changed"),
    ] {
        let page = tab(name).await;
        assert!(page.contains("Pruned on <time"), "{name}");
        assert!(page.contains(there), "{name}: {page}");
        for nothing in [never, "The log is empty", "sent no diff", "what it printed"] {
            assert!(!page.contains(nothing), "{name}: {nothing}");
        }
        assert!(page.contains("Approved"), "the decision stays");
    }
    let searched = tab("logs&q=printed").await;
    assert!(searched.contains("Pruned on <time") && !searched.contains("No line contains"));
    let history = tab("history").await;
    assert!(history.contains("pruned log and files of"), "{history}");
}
