//! What a hostile task can reach from the local desktop of the quick start: its work folder, and
//! nothing that would let it approve itself (contract section 8).

use std::time::Duration;

use serde_json::json;

use crate::agents::REPOSITORY;
use crate::at_work::{AtWork, SOON, sh};
use crate::quick_start::Home;
use crate::rest::text;
use crate::site::{Site, TASKS, on_every_engine};

/// Where Landlock is missing there is nothing to test; the quick start then says so on the terminal,
/// which its own test shows.
fn can_confine() -> bool {
    let level = runner::level();
    if !level.confines() {
        eprintln!("SKIPPED: {level}");
    }
    level.confines()
}

/// The output of a task of the local desktop.
async fn said(home: &Home, script: &str) -> String {
    let id = home.run(script).await;
    let task = home
        .owner
        .task_in(&id, &["review", "failed"], SOON * 2)
        .await;
    let log = home.owner.every(&format!("{TASKS}/{id}/logs")).await;
    let log: String = log.iter().map(|line| text(&line["text"])).collect();
    format!("{log}{}", task["status"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_cannot_reach_the_data_folder_or_the_server() {
    if !can_confine() {
        return;
    }
    let mut home = Home::start();
    let server = home.server.process().id();
    let data = home
        .folder
        .path()
        .join("data")
        .canonicalize()
        .expect("a folder");
    let outside = home.folder.path().join("secret");
    std::fs::write(&outside, "do not read\n").expect("a file");
    let before = std::fs::read_dir(&data).expect("a folder").count();
    let (data, outside) = (data.display().to_string(), outside.display().to_string());

    for attempt in [
        format!("ls {data}"),
        format!("cat {data}/countersign.db"),
        format!("ln -s {data}/countersign.db link; cat link"),
        format!("ln {data}/countersign.db hard && cat hard"),
        format!("mv {data} here"),
        format!("touch {data}/new"),
        format!("echo x >> {data}/countersign.db"),
        format!("rm {data}/countersign.db"),
        format!("cd {data} && ls"),
        format!("cat {outside}"),
        format!("echo x > {outside}"),
        format!("cat /proc/{server}/environ"),
        format!("head -c 1 /proc/{server}/mem"),
        format!("ls /proc/{server}/root/"),
        format!("readlink /proc/{server}/fd/0"),
        format!("readlink /proc/{server}/exe"),
        format!("ls /proc/{server}/cwd/"),
        "cat /etc/shadow".to_owned(),
        "touch /tmp/countersign-was-here".to_owned(),
    ] {
        let said = said(&home, &format!("if {attempt}; then echo REACHED; fi")).await;
        assert!(
            said.ends_with("\"review\""),
            "the task itself runs: {attempt}: {said}"
        );
        assert!(!said.contains("REACHED"), "{attempt}: {said}");
        let refusals = ["ermission denied", "not permitted", "can't", "cross-device"];
        assert!(
            attempt.contains("readlink") || refusals.iter().any(|refusal| said.contains(refusal)),
            "{attempt}: {said}"
        );
    }
    assert_eq!(std::fs::read_dir(&data).expect("a folder").count(), before);

    // no key of anybody lies about
    let keys = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c 'csk[_]'; env | grep -c 'csk[_]'";
    assert_eq!(
        said(&home, &format!("{keys}; true")).await,
        "0\n0\n\"review\""
    );
    assert!(
        home.server
            .process()
            .stderr()
            .contains("tasks are confined")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_cannot_signal_or_trace_the_server() {
    let level = runner::level().to_string();
    if !can_confine() || !level.contains("signals") || level.contains("not signals") {
        return;
    }
    let mut home = Home::start();
    let server = home.server.process().id();
    for attempt in [
        format!("kill -0 {server}"),
        format!("kill -KILL {server}"),
        "kill -KILL $PPID".to_owned(),
    ] {
        let said = said(&home, &format!("if {attempt}; then echo REACHED; fi")).await;
        assert!(
            said.ends_with("\"review\"") && !said.contains("REACHED"),
            "{attempt}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_task_can_build() {
    if !can_confine() {
        return;
    }
    let home = Home::start();
    let build = "set -e; mkdir -p src && echo hello > src/a && git init -q . && git add src && \
        git -c user.name=x -c user.email=x@x commit -qm one && tar cf a.tar src && gzip a.tar && \
        mktemp >/dev/null && date >/dev/null && sort </dev/null && cat /proc/cpuinfo >/dev/null && \
        (echo one | cat > /dev/null) && sleep 0 & wait $! && echo built";
    let said = said(&home, build).await;
    assert_eq!(said, "built\n\"review\"");
}

/// The desktop program does the same when it is asked to.
#[test]
fn a_desktop_confines_its_tasks_with_all_that_they_start() {
    if !can_confine() {
        return;
    }
    on_every_engine(async |db| {
        let site = Site::start(db);
        let flags = [
            "--confine",
            "--prompt-command",
            "cat ../secret; cat > answer",
        ];
        let desk = AtWork::with(&site, "confined", "echo do not read > ../secret", &flags).await;
        let task = desk.run(desk.prompt("Read the secret.")).await;
        assert_eq!(task["status"], "review", "{task}");
        let log = desk.log(&text(&task["id"])).await;
        assert!(
            log.contains("ermission denied") && !log.contains("do not read"),
            "{log}"
        );
        let files = desk
            .owner
            .every(&format!("{TASKS}/{}/files", text(&task["id"])))
            .await;
        assert_eq!(files.len(), 1);
        assert_eq!(files[0]["path"], json!("answer"));
        // its folder for temporary files is its own and gone afterwards
        let temporary = desk
            .run(desk.command("echo x > $TMPDIR/x && echo $TMPDIR"))
            .await;
        let folder = desk.log(&text(&temporary["id"])).await;
        assert!(folder.trim().starts_with('/'), "{folder}");
        crate::rest::eventually("it is gone", Duration::from_secs(5), async || {
            (!std::path::Path::new(folder.trim()).exists()).then_some(())
        })
        .await;
    });
}

/// Writes a page, and tries to leave what git would execute for whoever comes next.
const PLANT: &str = "cat > page; ls ../../..; c=$(git rev-parse --path-format=absolute --git-common-dir); \
    mkdir -p $c/hooks; echo evil > $c/hooks/post-checkout && echo PLANTED; \
    git config filter.x.clean evil && echo PLANTED; \
    echo '* filter=x' > $c/info/attributes && echo PLANTED; true";

/// Git itself works in there: the worktree is made, kept and removed by confined scripts.
#[test]
fn confined_tasks_can_have_worktrees() {
    if !can_confine() {
        return;
    }
    on_every_engine(async |db| {
        let site = Site::start(db);
        let flags = ["--confine", "--isolate", "--prompt-command", PLANT];
        let desk = AtWork::with(&site, "apart", REPOSITORY, &flags).await;
        let task = desk.run(desk.prompt("Hello.")).await;
        assert_eq!(task["status"], "review", "{task}");
        let id = text(&task["id"]);
        let log = desk.log(&id).await;
        assert!(log.contains("ermission denied"), "only its own: {log}");
        assert!(!log.contains("PLANTED"), "{log}");
        let files = desk.owner.every(&format!("{TASKS}/{id}/files")).await;
        assert_eq!(files[0]["path"], json!("page"), "{files:?}");
        let kept = "git show refs/countersign/$(git for-each-ref --format='%(refname:lstrip=2)' refs/countersign):page";
        assert_eq!(sh(&desk.work(), kept), "Hello.");
        assert_eq!(sh(&desk.work(), "ls ../work.worktrees/desk_*"), "");
    });
}
