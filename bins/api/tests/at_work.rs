//! A desktop with the real runner in a folder of its own, and what its tasks do there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use contract::{CreateTask, TaskType};
use serde_json::Value;
use tempfile::TempDir;
use test_support::server::Process;

use crate::evidence::bytes;
use crate::rest::{Caller, eventually};
use crate::site::{Desktop, Site, TASKS};

/// How long a shell may take for next to nothing.
pub const SOON: Duration = Duration::from_secs(20);
/// The name of the work folder, which lies in a folder of its own.
const WORK: &str = "work";
/// The states in which nothing moves any more without a person.
pub const RESTS: [&str; 4] = ["review", "done", "failed", "cancelled"];

/// A desktop at work: the real runner in a folder of its own.
pub struct AtWork {
    pub desktop: Desktop,
    folder: TempDir,
    pub process: Process,
    pub owner: Caller,
}

impl AtWork {
    /// With the runner's default flags in an empty folder.
    pub async fn start(site: &Site, name: &str) -> Self {
        Self::with(site, name, "true", &[]).await
    }

    /// With these flags, in a folder that a script has prepared.
    pub async fn with(site: &Site, name: &str, prepare: &str, flags: &[&str]) -> Self {
        let desktop = site.desktop(name).await;
        let folder = tempfile::tempdir().expect("a folder");
        let work = folder.path().join(WORK);
        std::fs::create_dir(&work).expect("a folder");
        sh(&work, prepare);
        let process = desktop.start_runner_with(&work, flags);
        Self {
            desktop,
            folder,
            process,
            owner: site.owner.clone(),
        }
    }

    /// The work folder.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join(WORK)
    }

    /// A prompt for this desktop that runs at once and waits for a reviewer.
    pub fn prompt(&self, content: &str) -> CreateTask {
        CreateTask {
            auto_run: Some(true),
            requires_approval: Some(true),
            ..CreateTask::new(TaskType::Prompt, content, &self.desktop.id)
        }
    }

    /// A command for this desktop that runs at once.
    pub fn command(&self, content: &str) -> CreateTask {
        CreateTask {
            auto_run: Some(true),
            ..CreateTask::new(TaskType::Command, content, &self.desktop.id)
        }
    }

    pub async fn create(&self, task: &CreateTask) -> String {
        let created = self.owner.typed().create_task(task).await;
        created.expect("a task").id
    }

    /// The task once nothing moves any more.
    pub async fn at_rest(&self, id: &str) -> Value {
        self.owner.task_in(id, &RESTS, SOON).await
    }

    /// Creates a task and waits for its end.
    pub async fn run(&self, task: CreateTask) -> Value {
        self.at_rest(&self.create(&task).await).await
    }

    /// What a task printed, all streams in the order of the log.
    pub async fn log(&self, id: &str) -> String {
        let lines = self.owner.every(&format!("{TASKS}/{id}/logs")).await;
        let bytes = lines.iter().flat_map(bytes).collect();
        String::from_utf8(bytes).expect("text")
    }

    /// What a task has written into a file of the work folder, once it is there.
    pub async fn written(&self, name: &str) -> String {
        let path = self.work().join(name);
        eventually(&format!("{name} is written"), SOON, async || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.ends_with('\n').then_some(text)
        })
        .await
    }
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub async fn is_gone(pid: &str, patience: Duration) {
    eventually(&format!("process {pid} is gone"), patience, async || {
        (!is_alive(pid)).then_some(())
    })
    .await;
}

/// What a script prints that must succeed.
#[track_caller]
pub fn sh(folder: &Path, script: &str) -> String {
    let done = Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{script}: {said} {}",
        String::from_utf8_lossy(&done.stderr)
    );
    said
}
