//! Tasks, approvals, settings and activity (contract sections 2 to 4).

use std::time::Duration;

use contract::{
    ActivityRow, ApprovalStatus, ChangedFile, CreateTask, Dashboard, Decide, Empty, LogLine,
    MissionApproval, PatchSettings, RetryTask, Settings, Task, TaskStatus,
};
use reqwest::{Method, Url};

use crate::{Client, ClientError, Page};

const MISSION: [&str; 2] = ["api", "mission-control"];

/// Which tasks to list. The default lists all, in pages of the server's choice.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only these; empty: all.
    pub status: Vec<TaskStatus>,
    /// Only those of this desktop.
    pub desktop_id: Option<String>,
    /// Length of a page, 1 to 200.
    pub limit: Option<u32>,
}

/// Which approvals to list. The default lists all that are pending.
#[derive(Debug, Clone, Default)]
pub enum ApprovalFilter {
    /// Those that wait for a decision, up to 1,000.
    #[default]
    Pending,
    /// Those of one status, in pages of at most so many.
    Status(ApprovalStatus, u32),
    /// Every one, in pages of at most so many.
    All(u32),
}

/// Which part of the activity log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivityQuery {
    /// Only rows after this one; 0: from the first.
    pub after: i64,
    /// How many at most, 1 to 500.
    pub limit: Option<u32>,
}

/// Which part of a task's log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Only entries after this one.
    pub after: Option<i64>,
    /// How many at most.
    pub limit: Option<u32>,
    /// Of this attempt; absent: of the newest.
    pub attempt: Option<i64>,
}

/// Adds `name=value` where there is a value.
fn add(url: &mut Url, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, &value.to_string());
    }
}

impl Client {
    fn mission(&self, segments: &[&str]) -> Url {
        self.url(&[&MISSION, segments].concat())
    }

    pub(crate) fn task_url(&self, id: &str, rest: &[&str]) -> Url {
        self.mission(&[&["tasks", id], rest].concat())
    }

    /// Creates a task.
    pub async fn create_task(&self, task: &CreateTask) -> Result<Task, ClientError> {
        self.change(Method::POST, self.mission(&["tasks"]), task)
            .await
    }

    /// A task with its whole content.
    pub async fn task(&self, id: &str) -> Result<Task, ClientError> {
        self.get(self.task_url(id, &[])).await
    }

    /// Tasks, newest first, their content cut at 2,000 characters.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Page<Task>, ClientError> {
        let mut url = self.mission(&["tasks"]);
        let words: Vec<&str> = filter.status.iter().map(|status| status.as_str()).collect();
        add(
            &mut url,
            "status",
            (!words.is_empty()).then(|| words.join(",")),
        );
        add(&mut url, "desktopId", filter.desktop_id.as_deref());
        add(&mut url, "limit", filter.limit);
        self.page(url).await
    }

    /// Puts a pending task into the queue of its desktop.
    pub async fn run_task(&self, id: &str) -> Result<Task, ClientError> {
        self.change(Method::POST, self.task_url(id, &["run"]), &Empty {})
            .await
    }

    /// Calls a task off.
    pub async fn cancel_task(&self, id: &str) -> Result<Task, ClientError> {
        self.change(Method::POST, self.task_url(id, &["cancel"]), &Empty {})
            .await
    }

    /// Repeats a failed or cancelled task as a new one.
    pub async fn retry_task(&self, id: &str, retry: &RetryTask) -> Result<Task, ClientError> {
        self.change(Method::POST, self.task_url(id, &["retry"]), retry)
            .await
    }

    /// Decides about a task in review.
    pub async fn review_task(&self, id: &str, decide: &Decide) -> Result<Task, ClientError> {
        self.change(Method::POST, self.task_url(id, &["review"]), decide)
            .await
    }

    /// What the task put out.
    pub async fn task_output(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(self.task_url(id, &["output"])).await
    }

    /// The log of a task, entry by entry.
    pub async fn task_logs(&self, id: &str, query: LogQuery) -> Result<Vec<LogLine>, ClientError> {
        let mut url = self.task_url(id, &["logs"]);
        add(&mut url, "after", query.after);
        add(&mut url, "limit", query.limit);
        add(&mut url, "attempt", query.attempt);
        self.get(url).await
    }

    /// The files that a task changed, by path.
    pub async fn task_files(&self, id: &str) -> Result<Page<ChangedFile>, ClientError> {
        self.page(self.task_url(id, &["files"])).await
    }

    /// What the file with number `n` holds.
    pub async fn task_file_content(&self, id: &str, n: i64) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(self.task_url(id, &["files", &n.to_string(), "raw"]))
            .await
    }

    /// The sealed evidence, byte for byte: its SHA-256 is `evidenceSha256`.
    pub async fn task_evidence(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(self.task_url(id, &["evidence"])).await
    }

    /// Approvals, oldest first.
    pub async fn approvals(
        &self,
        filter: &ApprovalFilter,
    ) -> Result<Page<MissionApproval>, ClientError> {
        let mut url = self.mission(&["approvals"]);
        let (status, limit) = match filter {
            ApprovalFilter::Pending => (None, None),
            ApprovalFilter::Status(status, limit) => (Some(status.as_str()), Some(limit)),
            ApprovalFilter::All(limit) => (Some("all"), Some(limit)),
        };
        add(&mut url, "status", status);
        add(&mut url, "limit", limit);
        self.page(url).await
    }

    /// An approval. While it is pending the answer waits up to `wait` (whole seconds, at most 60)
    /// for the decision.
    pub async fn approval(&self, id: &str, wait: Duration) -> Result<MissionApproval, ClientError> {
        let mut url = self.mission(&["approvals", id]);
        add(
            &mut url,
            "wait",
            (!wait.is_zero()).then_some(wait.as_secs()),
        );
        self.get_waiting(url, wait).await
    }

    /// Decides about an approval.
    pub async fn resolve_approval(
        &self,
        id: &str,
        decide: &Decide,
    ) -> Result<MissionApproval, ClientError> {
        let url = self.mission(&["approvals", id, "resolve"]);
        self.change(Method::POST, url, decide).await
    }

    /// The settings of the account.
    pub async fn settings(&self) -> Result<Settings, ClientError> {
        self.get(self.mission(&["settings"])).await
    }

    /// Changes settings.
    pub async fn patch_settings(&self, patch: &PatchSettings) -> Result<Settings, ClientError> {
        self.change(Method::PATCH, self.mission(&["settings"]), patch)
            .await
    }

    /// The state of the account in a few figures.
    pub async fn dashboard(&self) -> Result<Dashboard, ClientError> {
        self.get(self.mission(&["dashboard"])).await
    }

    /// Rows of the activity log, oldest first.
    pub async fn activity(&self, query: ActivityQuery) -> Result<Vec<ActivityRow>, ClientError> {
        let mut url = self.mission(&["activity"]);
        add(&mut url, "after", Some(query.after));
        add(&mut url, "limit", query.limit);
        self.get(url).await
    }
}
