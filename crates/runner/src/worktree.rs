//! A git worktree for each task, so that tasks which run at once do not see each other's files.
//!
//! What a task leaves in its worktree is kept as a commit under `refs/countersign/TASK/ATTEMPT`, and
//! the commit is noted beside the worktrees ([`Kept`]). A task with exactly one approved dependency of
//! which a commit was noted starts from it, any other from `HEAD` of the work folder. The reference is
//! for people and for `git gc`; what it says is not believed.
//!
//! All of git runs as tasks do, confined where they are: an earlier task may have configured the
//! repository to execute something.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use contract::Claim;

use tracing::warn;

use crate::environment::Environment;
use crate::kept::Kept;
use crate::launcher::Launcher;
use crate::script::Script;

/// The parts of a repository's data that git writes to when it commits in a worktree.
const WRITTEN: &[&str] = &["objects", "refs", "logs", "worktrees"];

/// Prints where the repository is and where its data are, one a line.
const FIND: &str = r#"set -eu
git rev-parse --quiet --verify "HEAD^{commit}" >/dev/null || { echo "there is no commit yet" >&2; exit 1; }
git rev-parse --path-format=absolute --show-toplevel --git-common-dir"#;

/// Makes a worktree and prints the commit it has.
const ADD: &str = r#"set -eu
git rev-parse --quiet --verify "$BASE^{commit}" >/dev/null || { echo "the commit $BASE that was kept for this task is gone" >&2; exit 1; }
git worktree remove --force "$WORKTREE" 2>/dev/null || rm -rf "$WORKTREE"
git worktree prune
git -c core.hooksPath=/dev/null worktree add --quiet --detach "$WORKTREE" "$BASE"
git -C "$WORKTREE" rev-parse HEAD"#;

/// Keeps what is in the worktree as a commit and prints it. With an index and a base of the runner's:
/// a task can mark files in its own as unchanged, and move its `HEAD`.
const KEEP: &str = r#"set -eu
export GIT_INDEX_FILE="$(git rev-parse --path-format=absolute --git-dir)/countersign.index"
rm -f "$GIT_INDEX_FILE"
git -c core.fsmonitor=false read-tree "$BASE"
git -c core.hooksPath=/dev/null -c core.fsmonitor=false add --all
tree=$(git write-tree)
rm -f "$GIT_INDEX_FILE"
commit=$BASE
if [ "$tree" != "$(git rev-parse "$BASE^{tree}")" ]; then
  commit=$(git -c user.name=Countersign -c user.email=countersign@localhost commit-tree "$tree" -p "$BASE" -m "$MESSAGE")
fi
git update-ref "$REF" "$commit"
echo "$commit""#;

/// Removes what an earlier runner of the same desktop has left behind.
const CLEAN: &str = r#"set -eu
chmod -R u+rwX "$WORKTREES"
find "$WORKTREES" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
git worktree prune"#;

const REMOVE: &str = r#"chmod -R u+rwX "$WORKTREE"
git worktree remove --force "$WORKTREE" 2>/dev/null || rm -rf "$WORKTREE"
git worktree prune"#;

/// The repository of a work folder, and where worktrees of it are made.
#[derive(Debug)]
pub(crate) struct Repository {
    /// The work tree that the work folder belongs to.
    root: PathBuf,
    /// Its objects and references.
    data: PathBuf,
    /// The folder of this desktop's worktrees, beside the root.
    worktrees: PathBuf,
    /// What was kept of every attempt in this work tree.
    kept: Kept,
    environment: Environment,
}

/// The worktree of one attempt.
#[derive(Debug)]
pub(crate) struct Worktree {
    pub(crate) path: PathBuf,
    /// The commit it began with.
    pub(crate) base: String,
    /// What that commit is, in words.
    pub(crate) origin: String,
    task: String,
    attempt: i64,
    message: String,
}

impl Repository {
    /// The repository of `workdir`, and in it no worktree of an earlier runner of `desktop`.
    ///
    /// # Errors
    /// A sentence that says why there is none to work with.
    pub(crate) async fn find(
        workdir: &Path,
        desktop: &str,
        environment: &Environment,
        launcher: &Launcher,
    ) -> Result<Self, String> {
        let script = Script {
            text: FIND,
            folder: workdir,
            environment: environment.clone(),
            read: vec![workdir.to_owned()],
            write: Vec::new(),
        };
        let found = script.run(launcher).await?;
        let mut lines = found.lines().map(PathBuf::from);
        let (Some(root), Some(data)) = (lines.next(), lines.next()) else {
            return Err(format!("git answered {found:?}"));
        };
        let name = root.file_name().ok_or("it is the root folder")?;
        let mut folder = name.to_owned();
        folder.push(".worktrees");
        let folder = root.with_file_name(folder);
        let kept = Kept::open(folder.join("kept"))
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let repository = Self {
            worktrees: folder.join(desktop),
            kept,
            root,
            data,
            environment: environment.clone(),
        };
        // a confined script may write below a folder, and not make it
        for folder in repository.writable().iter().chain([&repository.worktrees]) {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
        let variables = [("WORKTREES", repository.worktrees.clone().into_os_string())];
        let cleaned = repository
            .git(launcher, &repository.root, CLEAN, &variables)
            .await;
        if let Err(reason) = cleaned {
            warn!(reason, "worktrees of an earlier run stay behind");
        }
        Ok(repository)
    }

    /// What a confined task must be able to read beside its worktree, for git to work.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What it must be able to write to: commits and branches, and not the settings and hooks that
    /// git executes for whoever comes next.
    pub(crate) fn writable(&self) -> Vec<PathBuf> {
        WRITTEN.iter().map(|part| self.data.join(part)).collect()
    }

    /// A worktree for a claimed attempt.
    ///
    /// # Errors
    /// What git said.
    pub(crate) async fn add(&self, launcher: &Launcher, claim: &Claim) -> Result<Worktree, String> {
        let (task, attempt) = (&claim.task.id, claim.lease.attempt);
        let path = self.worktrees.join(format!("{task}-{attempt}"));
        let (base, origin) = self.base(claim)?;
        let variables = [
            ("WORKTREE", path.clone().into_os_string()),
            ("BASE", base.into()),
        ];
        let base = self.git(launcher, &self.root, ADD, &variables).await?;
        Ok(Worktree {
            path,
            base,
            origin,
            task: task.clone(),
            attempt,
            message: format!("{}\n\nTask: {task}\nAttempt: {attempt}", claim.task.title),
        })
    }

    /// What a task starts from, and how to say that.
    fn base(&self, claim: &Claim) -> Result<(String, String), String> {
        let head = |why: String| ("HEAD".to_owned(), format!("HEAD of the work folder{why}"));
        let [input] = claim.inputs.as_slice() else {
            return Ok(head(String::new()));
        };
        let kept = self.kept.of(&input.task_id, input.attempt);
        let kept = kept.map_err(|error| format!("cannot tell what was kept: {error}"))?;
        Ok(match kept {
            Some(commit) => (commit, format!("kept of {}", input.task_id)),
            None => head(format!(", for nothing was kept here of {}", input.task_id)),
        })
    }

    /// Keeps what is in a worktree, and says under which name.
    ///
    /// # Errors
    /// What git said.
    pub(crate) async fn keep(
        &self,
        launcher: &Launcher,
        worktree: &Worktree,
    ) -> Result<String, String> {
        let name = reference(&worktree.task, worktree.attempt);
        let variables = [
            ("BASE", OsString::from(&worktree.base)),
            ("REF", OsString::from(&name)),
            ("MESSAGE", OsString::from(&worktree.message)),
        ];
        let commit = self.git(launcher, &worktree.path, KEEP, &variables).await?;
        let noted = self.kept.note(&worktree.task, worktree.attempt, &commit);
        noted.map_err(|error| format!("cannot note what was kept: {error}"))?;
        Ok(name)
    }

    /// Removes a worktree; what was kept of it stays.
    ///
    /// # Errors
    /// What git said.
    pub(crate) async fn remove(
        &self,
        launcher: &Launcher,
        worktree: Worktree,
    ) -> Result<(), String> {
        let variables = [("WORKTREE", worktree.path.into_os_string())];
        self.git(launcher, &self.root, REMOVE, &variables).await?;
        Ok(())
    }

    /// Executes a script of git commands, and gives what it printed.
    async fn git(
        &self,
        launcher: &Launcher,
        folder: &Path,
        script: &str,
        variables: &[(&str, OsString)],
    ) -> Result<String, String> {
        let mut environment = self.environment.clone();
        for (name, value) in variables {
            environment.push((name.into(), value.clone()));
        }
        environment.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        let script = Script {
            text: script,
            folder,
            environment,
            read: vec![self.root.clone(), self.data.clone()],
            write: [self.writable(), vec![self.worktrees.clone()]].concat(),
        };
        script.run(launcher).await
    }
}

/// The name under which the result of an attempt is kept.
fn reference(task: &str, attempt: i64) -> String {
    format!("refs/countersign/{task}/{attempt}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lease::fake::task;

    struct Site {
        _folder: tempfile::TempDir,
        root: PathBuf,
        launcher: Launcher,
    }

    impl Site {
        async fn repository(&self) -> Repository {
            let found = Repository::find(&self.root, "desk_a", &inherited(), &self.launcher).await;
            found.unwrap()
        }
    }

    fn inherited() -> Environment {
        vec![("PATH".into(), std::env::var_os("PATH").unwrap())]
    }

    /// A repository with one commit that has the file `a`.
    fn site() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("site");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "a\n").unwrap();
        let setup =
            "git init -q . && git add a && git -c user.name=x -c user.email=x@x commit -qm one";
        assert!(sh(&root, setup).0);
        Site {
            _folder: folder,
            root,
            launcher: Launcher::new(None, None).unwrap(),
        }
    }

    fn sh(folder: &Path, script: &str) -> (bool, String) {
        let mut command = std::process::Command::new("/bin/sh");
        let done = command
            .args(["-c", script])
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
        (done.status.success(), text)
    }

    fn claim(id: &str, inputs: &[&str]) -> Claim {
        let mut task = task("true");
        task.id = id.to_owned();
        let input = |id: &&str| json!({"taskId": id, "attempt": 1, "evidenceSha256": "00"});
        let inputs: Vec<_> = inputs.iter().map(input).collect();
        serde_json::from_value(json!({
            "task": task, "inputs": inputs,
            "lease": {"token": "t", "expiresAt": "2026-03-15T10:05:00Z", "attempt": 1},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_task_goes_on_where_its_input_ended() {
        let site = site();
        let repository = site.repository().await;
        let first = repository
            .add(&site.launcher, &claim("task_a", &[]))
            .await
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(first.path.join("a")).unwrap(),
            "a\n"
        );
        std::fs::write(first.path.join("b"), "b\n").unwrap();
        let name = repository.keep(&site.launcher, &first).await.unwrap();
        assert_eq!(name, "refs/countersign/task_a/1");
        let path = first.path.clone();
        repository.remove(&site.launcher, first).await.unwrap();
        assert!(!path.exists());
        assert_eq!(sh(&site.root, "git worktree list | wc -l").1, "1");
        assert_eq!(sh(&site.root, "git status --porcelain").1, "", "untouched");

        let next = repository
            .add(&site.launcher, &claim("task_b", &["task_a"]))
            .await
            .unwrap();
        assert_eq!(std::fs::read_to_string(next.path.join("b")).unwrap(), "b\n");
        // what changes nothing is the same commit
        repository.keep(&site.launcher, &next).await.unwrap();
        let same =
            "git rev-parse refs/countersign/task_a/1 refs/countersign/task_b/1 | uniq | wc -l";
        assert_eq!(sh(&site.root, same).1, "1");

        let other = repository
            .add(&site.launcher, &claim("task_c", &[]))
            .await
            .unwrap();
        assert!(
            !other.path.join("b").exists(),
            "worktrees do not see each other"
        );
        let two = claim("task_d", &["task_a", "task_b"]);
        let two = repository.add(&site.launcher, &two).await.unwrap();
        assert!(!two.path.join("b").exists(), "several inputs: from HEAD");
    }

    #[tokio::test]
    async fn a_reference_that_somebody_moved_leads_nowhere() {
        let site = site();
        let repository = site.repository().await;
        let first = repository
            .add(&site.launcher, &claim("task_a", &[]))
            .await
            .unwrap();
        std::fs::write(first.path.join("b"), "good\n").unwrap();
        let name = repository.keep(&site.launcher, &first).await.unwrap();
        let evil = "echo evil > b && git add b && git -c user.name=x -c user.email=x@x commit -qm evil && git rev-parse HEAD";
        let (done, evil) = sh(&first.path, evil);
        assert!(done && sh(&site.root, &format!("git update-ref {name} {evil}")).0);
        let made_up = format!("git update-ref refs/countersign/task_x/1 {evil}");
        assert!(sh(&site.root, &made_up).0);

        let next = claim("task_b", &["task_a"]);
        let next = repository.add(&site.launcher, &next).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(next.path.join("b")).unwrap(),
            "good\n"
        );
        assert_eq!(next.origin, "kept of task_a");
        let other = claim("task_c", &["task_x"]);
        let other = repository.add(&site.launcher, &other).await.unwrap();
        assert!(!other.path.join("b").exists(), "it was never kept");
        assert!(other.origin.contains("nothing was kept here of task_x"));
    }

    #[tokio::test]
    async fn a_commit_that_is_gone_is_said_and_not_replaced() {
        let site = site();
        let repository = site.repository().await;
        let lost = "0123456789abcdef0123456789abcdef01234567";
        repository.kept.note("task_a", 1, lost).unwrap();
        let next = claim("task_b", &["task_a"]);
        let error = repository.add(&site.launcher, &next).await.unwrap_err();
        assert!(error.contains(lost) && error.contains("is gone"), "{error}");
    }

    #[tokio::test]
    async fn a_worktree_that_was_left_behind_is_made_anew() {
        let site = site();
        let repository = site.repository().await;
        for _ in 0..2 {
            let worktree = repository
                .add(&site.launcher, &claim("task_a", &[]))
                .await
                .unwrap();
            assert!(!worktree.path.join("left").exists());
            std::fs::write(worktree.path.join("left"), "").unwrap();
        }
    }

    #[tokio::test]
    async fn what_an_earlier_runner_left_behind_is_removed() {
        let site = site();
        let left = site.repository().await;
        let left = left
            .add(&site.launcher, &claim("task_a", &[]))
            .await
            .unwrap();
        let other = Repository::find(&site.root, "desk_b", &inherited(), &site.launcher).await;
        assert!(
            other.is_ok() && left.path.exists(),
            "another desktop's stays"
        );
        site.repository().await;
        assert!(!left.path.exists());
        assert_eq!(sh(&site.root, "git worktree list | wc -l").1, "1");
    }

    #[tokio::test]
    async fn what_is_kept_is_what_lies_there() {
        let site = site();
        let repository = site.repository().await;
        let worktree = repository
            .add(&site.launcher, &claim("task_a", &[]))
            .await
            .unwrap();
        let hide = "echo evil > a && git add a && git update-index --skip-worktree a && \
                    git -c user.name=x -c user.email=x@x commit -qm evil && echo good > a";
        assert!(sh(&worktree.path, hide).0);
        let name = repository.keep(&site.launcher, &worktree).await.unwrap();
        assert_eq!(sh(&site.root, &format!("git show {name}:a")).1, "good");
        assert_eq!(
            sh(&site.root, &format!("git rev-list --count {name}")).1,
            "2"
        );
    }

    #[tokio::test]
    async fn hooks_of_the_repository_are_not_executed() {
        let site = site();
        let mark = site.root.join("mark");
        let hook = site.root.join(".git/hooks/post-checkout");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        assert!(sh(&site.root, "chmod +x .git/hooks/post-checkout").0);
        site.repository()
            .await
            .add(&site.launcher, &claim("task_a", &[]))
            .await
            .unwrap();
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn without_a_commit_it_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(None, None).unwrap();
        let find =
            async || Repository::find(folder.path(), "desk_a", &inherited(), &launcher).await;
        assert!(find().await.unwrap_err().contains("not a git repository"));
        assert!(sh(folder.path(), "git init -q .").0);
        assert!(find().await.unwrap_err().contains("there is no commit yet"));
    }
}
