//! The real runner at the real server, on both engines (contract sections 3, 5 and 8).

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use contract::{CreateTask, Decide, LogStream, Outcome, RetryTask, Task, TaskStatus};
use serde_json::{Value, json};
use test_support::TestDb;
use test_support::server::{Process, beside, program};

use crate::at_work::{AtWork, RESTS, SOON, is_alive, is_gone};
use crate::evidence::{bytes, checked_activity, checked_evidence};
use crate::rest::text;
use crate::site::{API, Site, TASKS, on_every_engine};

#[test]
fn what_a_command_prints_and_how_it_ends_is_reported() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desk = AtWork::start(&site, "reporter").await;
        exit_codes(&desk).await;
        order_and_characters(&desk).await;
        environment(&desk).await;
        time_out(&desk).await;
        checked_activity(&site.owner).await;
    });
}

async fn exit_codes(desk: &AtWork) {
    let done = desk.run(desk.command("echo out; echo err >&2")).await;
    assert_eq!(done["status"], "done", "{done}");
    assert_eq!(
        (&done["exitCode"], &done["error"]),
        (&json!(0), &Value::Null)
    );
    checked_evidence(&desk.owner, &done).await;

    let failed = desk
        .run(desk.command("echo out; echo err >&2; exit 3"))
        .await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(
        (&failed["exitCode"], &failed["error"]),
        (&json!(3), &json!("exit code 3"))
    );
    let evidence = checked_evidence(&desk.owner, &failed).await;
    assert_eq!(evidence["outcome"], Outcome::Failed.as_str());

    // the typed client reads the same
    let client = desk.owner.typed();
    let id = text(&failed["id"]);
    let task: Task = client.task(&id).await.expect("a task");
    assert_eq!((task.status, task.exit_code), (TaskStatus::Failed, Some(3)));
    let lines = client
        .task_logs(&id, client::LogQuery::default())
        .await
        .expect("a log");
    let of = |stream| -> String {
        let lines = lines.iter().filter(|line| line.stream == stream);
        lines.map(|line| line.text.as_str()).collect()
    };
    assert_eq!(
        (of(LogStream::Stdout), of(LogStream::Stderr)),
        ("out\n".into(), "err\n".into())
    );
    let files = client.task_files(&id).await.expect("files");
    assert_eq!(files.items, []);
}

async fn order_and_characters(desk: &AtWork) {
    let command = "i=0; while [ $i -lt 500 ]; do echo \"o$i €\"; echo \"e$i\" >&2; i=$((i+1)); done; \
                   printf '\\342'; sleep 0.2; printf '\\202\\254\\n'; printf '\\377\\n'";
    let task = desk.run(desk.command(command)).await;
    assert_eq!(task["status"], "done", "{task}");
    let lines = desk
        .owner
        .every(&format!("{TASKS}/{}/logs?limit=7", text(&task["id"])))
        .await;
    for (seq, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], seq);
    }
    let of = |stream: &str| -> Vec<u8> {
        let lines = lines.iter().filter(|line| line["stream"] == stream);
        lines.flat_map(bytes).collect()
    };
    let mut out: Vec<u8> = (0..500)
        .flat_map(|i| format!("o{i} €\n").into_bytes())
        .collect();
    out.extend("€\n".as_bytes());
    out.extend(b"\xff\n");
    let err: Vec<u8> = (0..500)
        .flat_map(|i| format!("e{i}\n").into_bytes())
        .collect();
    assert!(
        of("stdout") == out,
        "{}",
        String::from_utf8_lossy(&of("stdout"))
    );
    assert!(of("stderr") == err);
    let torn = lines.iter().filter(|line| {
        line["text"]
            .as_str()
            .is_some_and(|text| text.contains('\u{fffd}'))
    });
    assert_eq!(torn.count(), 1, "only what never was UTF-8");
    checked_evidence(&desk.owner, &task).await;
}

/// The key is in no environment that a task can look into.
async fn environment(desk: &AtWork) {
    // the runner itself, and the supervisor between it and the task
    let look = format!(
        "env; cat /proc/self/environ; for p in {} $PPID; do cat /proc/$p/environ /proc/$p/cmdline; done; true",
        desk.process.id()
    );
    let task = desk.run(desk.command(&look)).await;
    let printed = desk.log(&text(&task["id"])).await;
    assert!(
        printed.contains(&format!("TASK_ID={}", text(&task["id"]))),
        "{printed}"
    );
    assert!(printed.contains("TASK_ATTEMPT=1"), "{printed}");
    assert!(
        !printed.contains("csk_") && !printed.contains("API_KEY"),
        "{printed}"
    );
}

async fn time_out(desk: &AtWork) {
    let task = CreateTask {
        timeout_seconds: Some(1),
        ..desk.command("echo before; sleep 60")
    };
    let begin = Instant::now();
    let task = desk.run(task).await;
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(task["status"], "failed");
    assert_eq!(task["error"], "timed out after 1 s");
    assert_eq!(desk.log(&text(&task["id"])).await, "before\n");
    checked_evidence(&desk.owner, &task).await;
}

#[test]
fn a_rejected_task_is_retried_with_feedback_and_only_approval_releases_the_next() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desk = AtWork::start(&site, "builder").await;
        let client = site.owner.typed();
        let build = CreateTask {
            requires_approval: Some(true),
            ..desk.command("printf '%s' \"feedback=$TASK_FEEDBACK\"")
        };
        let build = desk.create(&build).await;
        let deploy = CreateTask {
            depends_on: Some(vec![build.clone()]),
            ..desk.command("printf '%s' \"$TASK_INPUTS\"")
        };
        let deploy = client.create_task(&deploy).await.expect("a task");
        assert_eq!(deploy.status, TaskStatus::Pending);
        assert_eq!(deploy.blocked_by, [build.as_str()]);

        let in_review = desk.at_rest(&build).await;
        assert_eq!(in_review["status"], "review");
        assert_eq!(desk.log(&build).await, "feedback=");
        let said = "Use \"two\"; not\n$(one) – €";
        client
            .review_task(&build, &Decide::reject(said))
            .await
            .expect("a decision");
        let retry = client
            .retry_task(&build, &RetryTask::default())
            .await
            .expect("a retry");
        assert_eq!(retry.prior_feedback[0].feedback, said);

        let in_review = desk.at_rest(&retry.id).await;
        assert_eq!(in_review["status"], "review", "once gated, always gated");
        assert_eq!(desk.log(&retry.id).await, format!("feedback={said}"));
        let waiting = client.task(&deploy.id).await.expect("a task");
        assert_eq!((waiting.status, waiting.attempt), (TaskStatus::Pending, 0));
        assert_eq!(waiting.blocked_by, [retry.id.as_str()]);

        client
            .review_task(&retry.id, &Decide::approve())
            .await
            .expect("a decision");
        let deployed = desk.at_rest(&deploy.id).await;
        assert_eq!(deployed["status"], "done");
        let inputs: Value = serde_json::from_str(&desk.log(&deploy.id).await).expect("JSON");
        let sealed = &in_review["evidenceSha256"];
        assert_eq!(
            inputs,
            json!([{"taskId": retry.id, "attempt": 1, "evidenceSha256": sealed}])
        );
        checked_activity(&site.owner).await;
    });
}

#[test]
fn of_a_long_log_head_and_tail_are_kept_and_the_rest_is_counted() {
    const LINES: usize = 250_000;
    const KEPT: usize = 4 << 20;
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desk = AtWork::start(&site, "chatterbox").await;
        let line = "0123456789012345678901234567890123456789012345678901234567890123456789";
        // 79 bytes a line, 19,750,000 in all
        let command = format!("seq -f '%07.0f {line}' 1 {LINES}");
        let task = desk.create(&desk.command(&command)).await;
        let task = desk.owner.task_in(&task, &RESTS, SOON * 2).await;
        assert_eq!(
            (&task["status"], &task["exitCode"]),
            (&json!("done"), &json!(0))
        );

        let evidence = checked_evidence(&desk.owner, &task).await;
        let count = |name: &str| evidence["logs"][name].as_u64().expect("a number");
        let printed = 79 * LINES;
        assert_eq!(count("bytes") + count("droppedBytes"), printed as u64);
        assert!(count("droppedBytes") > 0);
        assert_eq!(evidence["output"]["truncated"], true);

        let text = desk.log(&text(&task["id"])).await;
        let whole: String = (1..=LINES).fold(String::new(), |mut whole, n| {
            writeln!(whole, "{n:07} {line}").expect("a String takes everything");
            whole
        });
        let head = text
            .bytes()
            .zip(whole.bytes())
            .take_while(|(kept, printed)| kept == printed)
            .count();
        assert!(whole.ends_with(&text[head..]), "one gap");
        let entry = 64 << 10;
        for kept in [head, text.len() - head] {
            assert!(kept.abs_diff(KEPT) <= entry, "{kept}");
        }
    });
}

/// Both wait, so they wait together: for the heartbeat that brings the news of a cancellation, and
/// for the end of a dead runner's lease.
#[test]
fn a_cancelled_tree_of_processes_is_killed_and_a_dead_runners_task_is_offered_again() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        tokio::join!(
            a_cancelled_task_goes_with_all_its_processes(&site),
            a_killed_runner_costs_an_attempt(&site),
        );
        checked_activity(&site.owner).await;
    });
}

async fn a_cancelled_task_goes_with_all_its_processes(site: &Site) {
    let desk = AtWork::start(site, "patient").await;
    let tree = "sh -c 'sleep 300 & echo $! > grandchild; wait' & echo $$ > leader; wait";
    let id = desk.create(&desk.command(tree)).await;
    let pids = [
        desk.written("leader").await,
        desk.written("grandchild").await,
    ];
    let pids = pids.each_ref().map(|pid| pid.trim());
    assert!(pids.into_iter().all(is_alive));

    let cancelled = desk
        .owner
        .typed()
        .cancel_task(&id)
        .await
        .expect("cancelled");
    assert_eq!(cancelled.status, TaskStatus::Cancelled, "at once");
    for pid in pids {
        is_gone(pid, Duration::from_secs(12)).await;
    }
    let next = desk.run(desk.command("echo next")).await;
    assert_eq!(next["status"], "done", "the runner goes on");
    let task = desk.at_rest(&id).await;
    assert_eq!(
        (&task["status"], &task["evidenceSha256"]),
        (&json!("cancelled"), &Value::Null)
    );
}

async fn a_killed_runner_costs_an_attempt(site: &Site) {
    let (mut desk, mut other) = (
        AtWork::start(site, "mortal").await,
        AtWork::start(site, "mortal too").await,
    );
    let command = "echo $$ > pid$TASK_ATTEMPT; [ $TASK_ATTEMPT = 2 ] || exec sleep 60";
    let twice = CreateTask {
        max_attempts: Some(2),
        ..desk.command(command)
    };
    let twice = desk.create(&twice).await;
    let once = other.create(&other.command(command)).await;
    let orphans = [desk.written("pid1").await, other.written("pid1").await];
    // the lease of the attempt began before the file was written
    desk.process.kill();
    other.process.kill();
    let killed = Instant::now();

    desk.process = desk.desktop.start_runner(&desk.work());
    let again = Duration::from_secs(37);
    let done = desk.owner.task_in(&twice, &["done", "failed"], again).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("done"), &json!(2)),
        "{done}"
    );
    assert!(
        killed.elapsed() > Duration::from_secs(15),
        "not while it might be alive"
    );
    checked_evidence(&desk.owner, &done).await;

    let rest = again.saturating_sub(killed.elapsed()) + Duration::from_secs(1);
    let failed = desk.owner.task_in(&once, &["done", "failed"], rest).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(1))
    );
    assert!(failed["error"].is_string(), "{failed}");
    for orphan in orphans {
        assert!(!is_alive(orphan.trim()), "it went with its runner");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_works_only_with_the_agent_key_of_its_desktop() {
    let site = Site::start(TestDb::migrated_sqlite());
    let (mine, other) = (site.desktop("mine").await, site.desktop("other").await);
    let url = site.server.url();
    for (key, why) in [
        (site.owner.key(), "does not begin with csk_agent_"),
        (other.agent.key(), "the server refuses this runner"),
    ] {
        let said = refused_runner(url, &mine.id, key, Path::new("."));
        assert!(said.contains(why), "{said}");
        assert!(!said.contains(key), "{said}");
    }
    let agent = site.owner.get("/api/auth/api-keys").await.is(200);
    let agent = crate::rest::elements(agent)
        .into_iter()
        .find(|key| key["desktopId"] == mine.id.as_str())
        .expect("its key");
    let path = format!("/api/auth/api-keys/{}", text(&agent["id"]));
    site.owner.delete(&path).await.is(204);
    let said = refused_runner(url, &mine.id, mine.agent.key(), Path::new("."));
    assert!(said.contains("401"), "{said}");
}

/// What the runner says when it gives up.
fn refused_runner(url: &str, desktop: &str, key: &str, workdir: &Path) -> String {
    let mut process = Process::start(
        program(beside(API, "desktop"))
            .args(["--server", url, "--desktop", desktop])
            .arg("--workdir")
            .arg(workdir)
            .env("DESKTOP_API_KEY", key),
    );
    assert_eq!(process.wait().code(), Some(1));
    process.stderr()
}

#[test]
fn a_deleted_desktop_fails_its_task_and_ends_its_runner() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let mut desk = AtWork::start(&site, "short-lived").await;
        let id = desk
            .create(&desk.command("echo $$ > pid; setsid sleep 300 & wait"))
            .await;
        let pid = desk.written("pid").await;
        let path = format!("/api/desktops/{}", desk.desktop.id);
        site.owner.delete(&path).await.is(204);
        let task = desk.at_rest(&id).await;
        assert_eq!(
            (&task["status"], &task["error"]),
            (&json!("failed"), &json!("desktop deleted"))
        );
        assert_eq!(desk.process.wait().code(), Some(1), "its key is refused");
        is_gone(pid.trim(), SOON).await;
    });
}
