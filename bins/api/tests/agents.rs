//! Agents at real work: prompts, what they change, and what a reviewer sees of it (the mission's own
//! example among them).

use contract::{CreateTask, Decide, RetryTask, TaskStatus};
use serde_json::{Value, json};

use crate::at_work::{AtWork, sh};
use crate::evidence::{checked_activity, checked_evidence};
use crate::rest::text;
use crate::site::{Site, TASKS, on_every_engine};

/// A repository with one commit.
const REPOSITORY: &str = "git init -q . && printf 'node_modules/\\n' > .gitignore && echo old > page.html && \
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
