//! Agents at real work: prompts, what they change, and what a reviewer sees of it (the mission's own
//! example among them).

use contract::{CreateTask, Decide, RetryTask, TaskStatus, TaskType};
use serde_json::{Value, json};
use test_support::TestDb;
use test_support::server::{Process, beside, program};

use crate::at_work::{AtWork, SOON, sh};
use crate::evidence::{checked_activity, checked_evidence};
use crate::rest::{eventually, text};
use crate::site::{API, Site, TASKS, on_every_engine};

/// A repository with one commit.
pub const REPOSITORY: &str = "git init -q . && printf 'node_modules/\\n' > .gitignore && echo old > page.html && \
    git add . && git -c user.name=x -c user.email=x@example.org commit -qm start";
/// An agent that writes what it is told into a page.
const AGENT: &str = "echo thinking; cat > page.html; mkdir -p node_modules && touch node_modules/x";

/// The changed files of a task, by path.
async fn files(desk: &AtWork, id: &str) -> Vec<Value> {
    desk.owner.every(&format!("{TASKS}/{id}/files")).await
}

fn paths(files: &[Value]) -> Vec<&str> {
    files
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect()
}

#[test]
fn a_prompt_is_reviewed_by_its_diff_and_deployed_only_after_approval() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let flags = ["--prompt-command", AGENT];
        let desk = AtWork::with(&site, "builder", REPOSITORY, &flags).await;
        let client = site.owner.typed();
        let write = desk.create(&desk.prompt("Greet the world.")).await;
        let deploy = CreateTask {
            depends_on: Some(vec![write.clone()]),
            ..desk.command("cp page.html deployed.html")
        };
        let deploy = client.create_task(&deploy).await.expect("a task");

        let first = desk.at_rest(&write).await;
        assert_eq!(first["status"], "review", "{first}");
        assert_eq!(desk.log(&write).await.lines().next(), Some("thinking"));
        let changed = files(&desk, &write).await;
        assert_eq!(paths(&changed), ["page.html"]);
        let diff = text(&changed[0]["diff"]);
        assert!(
            diff.contains("\n-old\n") && diff.contains("\n+Greet the world."),
            "{diff}"
        );
        assert!(desk.log(&write).await.contains("1 ignored"), "counted");
        checked_evidence(&desk.owner, &first).await;

        let said = "Greet the moon, too.";
        client
            .review_task(&write, &Decide::reject(said))
            .await
            .expect("a decision");
        let retry = client
            .retry_task(&write, &RetryTask::default())
            .await
            .expect("a retry");
        let second = desk.at_rest(&retry.id).await;
        assert_eq!(second["status"], "review", "{second}");
        let page = std::fs::read_to_string(desk.work().join("page.html")).expect("a page");
        assert!(
            page.starts_with("Greet the world.") && page.contains(said),
            "{page}"
        );
        assert_eq!(second["content"], "Greet the world.", "never altered");
        checked_evidence(&desk.owner, &second).await;
        let waiting = client.task(&deploy.id).await.expect("a task");
        assert_eq!((waiting.status, waiting.attempt), (TaskStatus::Pending, 0));

        client
            .review_task(&retry.id, &Decide::approve())
            .await
            .expect("a decision");
        let deployed = desk.at_rest(&deploy.id).await;
        assert_eq!(deployed["status"], "done", "{deployed}");
        let copy = std::fs::read_to_string(desk.work().join("deployed.html"));
        assert_eq!(copy.expect("a copy"), page);
        assert_eq!(paths(&files(&desk, &deploy.id).await), ["deployed.html"]);
        checked_evidence(&desk.owner, &deployed).await;
        checked_activity(&site.owner).await;
    });
}

#[test]
fn what_changed_is_told_without_git_too() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let prepare =
            "echo a > changed; echo b > gone; echo c > moved; echo d > same; printf 'x\\0' > image";
        let desk = AtWork::with(&site, "plain", prepare, &[]).await;
        let change = "echo more >> changed; rm gone; mv moved there; printf 'y\\0' > image; \
                      ln -s /etc/passwd link; chmod +x same; echo new > 'ne w'";
        let task = desk.run(desk.command(change)).await;
        assert_eq!(task["status"], "done", "{task}");
        let found = files(&desk, &text(&task["id"])).await;
        let told: Vec<(&str, &str)> = found
            .iter()
            .map(|file| {
                let of = |member: &str| file[member].as_str().expect("text");
                (of("path"), of("change"))
            })
            .collect();
        assert_eq!(
            told,
            [
                ("changed", "modified"),
                ("gone", "deleted"),
                ("image", "modified"),
                ("link", "added"),
                ("ne w", "added"),
                ("same", "modified"),
                ("there", "renamed"),
            ]
        );
        let of = |path: &str| found.iter().find(|file| file["path"] == path).expect("it");
        assert_eq!(of("link")["mode"], "120000");
        assert!(!text(&of("link")["diff"]).contains("root:"), "not followed");
        assert_eq!(
            (&of("same")["oldMode"], &of("same")["mode"]),
            (&json!("100644"), &json!("100755"))
        );
        assert_eq!(of("there")["oldPath"], "moved");
        assert!(text(&of("image")["diff"]).contains("Binary files"));
        checked_evidence(&desk.owner, &task).await;
    });
}

#[test]
fn tasks_at_once_have_worktrees_and_what_they_did_goes_on_to_the_next() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let meet = "cat > page.html; touch ../$TASK_ID.here; \
                    while [ $(ls .. | grep -c here) -lt 2 ]; do sleep 0.05; done";
        let flags = ["--slots", "2", "--isolate", "--prompt-command", meet];
        let desk = AtWork::with(&site, "twins", REPOSITORY, &flags).await;
        let client = site.owner.typed();
        let one = desk.create(&desk.prompt("One.")).await;
        let two = desk.create(&desk.prompt("Two.")).await;
        for (id, said) in [(&one, "+One."), (&two, "+Two.")] {
            let task = desk.at_rest(id).await;
            assert_eq!(task["status"], "review", "{task}");
            let changed = files(&desk, id).await;
            assert_eq!(paths(&changed), ["page.html"]);
            assert!(text(&changed[0]["diff"]).contains(said));
            checked_evidence(&desk.owner, &task).await;
        }
        assert_eq!(
            sh(&desk.work(), "cat page.html; git status --porcelain"),
            "old\n"
        );

        let deploy = CreateTask {
            depends_on: Some(vec![two.clone()]),
            ..desk.command("cat page.html")
        };
        let deploy = desk.create(&deploy).await;
        client
            .review_task(&two, &Decide::approve())
            .await
            .expect("a decision");
        assert_eq!(desk.at_rest(&deploy).await["status"], "done");
        let log = desk.log(&deploy).await;
        assert!(log.ends_with("\nTwo."), "{log}");
        let kept = sh(
            &desk.work(),
            "git for-each-ref --format='%(refname)' refs/countersign",
        );
        for id in [&one, &two, &deploy] {
            assert!(
                kept.contains(&format!("refs/countersign/{id}/1\n")),
                "{kept}"
            );
        }
        assert_eq!(sh(&desk.work(), "git worktree list | wc -l").trim(), "1");
    });
}

/// An agent of our own that speaks the Agent Client Protocol and does what the lines of its prompt
/// say: `crates/runner/examples/test_agent.rs`.
fn test_agent() -> String {
    let agent = beside(API, "examples/test_agent");
    agent.into_os_string().into_string().expect("text")
}

#[test]
fn an_agent_of_the_protocol_works_asks_and_is_reviewed() {
    on_every_engine(async |db| {
        let site = Site::start(db);
        let flags = ["--acp", &test_agent()];
        let desk = AtWork::with(&site, "protocol", REPOSITORY, &flags).await;
        let client = site.owner.typed();
        let prompt = "think about it\nplan\nask page.html\nask /etc/passwd\nwrite page.html new\nsay written";
        let id = desk.create(&desk.prompt(prompt)).await;
        let task = desk.at_rest(&id).await;
        assert_eq!(task["status"], "review", "{task}");
        let output = site.owner.get(&text(&task["outputUrl"])).await;
        assert!(output.body.ends_with(b"written"), "{:?}", output.body);

        let lines = desk.owner.every(&format!("{TASKS}/{id}/logs")).await;
        let said: String = lines
            .iter()
            .filter(|line| line["stream"] == "agent")
            .map(|line| text(&line["text"]))
            .collect();
        for part in ["about it", "[plan]", "[tool]", "written"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let answers: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("[permission]"))
            .collect();
        assert_eq!(answers.len(), 2, "{said}");
        assert!(answers[0].contains("allowed once"), "{said}");
        assert!(answers[1].contains("rejected"), "{said}");
        assert_eq!(paths(&files(&desk, &id).await), ["page.html"]);
        checked_evidence(&desk.owner, &task).await;

        // what a reviewer said reaches the agent, here as a line that it does
        let said = Decide::reject("x\nwrite moon.html moon\n");
        client.review_task(&id, &said).await.expect("a decision");
        let retry = client
            .retry_task(&id, &RetryTask::default())
            .await
            .expect("a retry");
        let task = desk.at_rest(&retry.id).await;
        assert_eq!(task["status"], "review", "{task}");
        assert!(paths(&files(&desk, &retry.id).await).contains(&"moon.html"));

        for (prompt, error) in [
            ("refuse", "the agent refused"),
            ("exit", "the agent ended before it answered"),
            ("garbage", "session/prompt"),
        ] {
            let task = desk.run(desk.prompt(prompt)).await;
            assert_eq!(task["status"], "failed", "{task}");
            assert!(text(&task["error"]).contains(error), "{task}");
            checked_evidence(&desk.owner, &task).await;
        }

        // an agent that calls it success when it is told to stop
        let late = CreateTask {
            timeout_seconds: Some(1),
            ..desk.prompt("late")
        };
        let late = desk.run(late).await;
        assert_eq!(late["status"], "failed", "{late}");
        assert_eq!(late["error"], "timed out after 1 s");

        // one that would never end is cancelled with all it has said
        let id = desk.create(&desk.prompt("say begun\nhang")).await;
        eventually("it begins", SOON, async || {
            desk.log(&id).await.contains("begun").then_some(())
        })
        .await;
        client.cancel_task(&id).await.expect("cancelled");
        let next = desk.run(desk.command("echo next")).await;
        assert_eq!(next["status"], "done", "the runner goes on: {next}");
    });
}

/// The runner keeps its notes in the folder for temporary files; here that is a file system which is
/// full. Mounting one needs root.
#[test]
fn a_full_disk_fails_the_task_with_the_reason_and_not_the_runner() {
    let small = tempfile::tempdir().expect("a folder");
    let mount = format!(
        "mount -t tmpfs -o size=256k tmpfs {}",
        small.path().display()
    );
    let mounted = std::process::Command::new("/bin/sh")
        .args(["-c", &mount])
        .output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: no file system can be mounted here");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let site = Site::start(TestDb::migrated_sqlite());
        let desktop = site.desktop("full").await;
        let folder = tempfile::tempdir().expect("a folder");
        sh(folder.path(), "head -c 100000 /dev/urandom > data");
        let mut runner = Process::start(
            program(beside(API, "desktop"))
                .args(["--server", desktop.agent.url(), "--desktop", &desktop.id])
                .arg("--workdir")
                .arg(folder.path())
                .env("TMPDIR", small.path())
                .env("DESKTOP_API_KEY", desktop.agent.key()),
        );
        runner.wait_for_line(|line| line.contains("runner started").then_some(()));
        let run = async || {
            let task = CreateTask {
                auto_run: Some(true),
                ..CreateTask::new(TaskType::Command, "echo here", &desktop.id)
            };
            let task = site.owner.typed().create_task(&task).await.expect("a task");
            site.owner
                .task_in(&task.id, &["done", "failed"], SOON)
                .await
        };
        let fill = small.path().join("fill");
        sh(small.path(), "head -c 1000000 /dev/zero > fill || true");
        let failed = run().await;
        assert_eq!(failed["status"], "failed", "{failed}");
        assert!(text(&failed["error"]).contains("No space left"), "{failed}");
        std::fs::remove_file(fill).expect("removed");
        assert_eq!(run().await["status"], "done", "the runner goes on");
    });
    sh(
        small.path().parent().expect("a folder"),
        &format!("umount -l {}", small.path().display()),
    );
}
