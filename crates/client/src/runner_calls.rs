//! The calls of a desktop's runner (contract section 5).

use std::time::Duration;

use contract::{AddFiles, AppendLogs, Claim, ClaimRequest, Complete, Empty, Heartbeat, Task};
use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::http::{Answer, CALL_TIMEOUT, Repeat, WAIT_MARGIN};
use crate::{Client, ClientError, Secret};

const LEASE_TOKEN: HeaderName = HeaderName::from_static("x-lease-token");
/// A heartbeat that takes longer has missed its purpose: the first lease lasts 5 s.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4);

impl Client {
    /// Takes the next task of a desktop, waiting for one up to `wait` (whole seconds, at most 60).
    /// Sent once: a claim whose answer is lost is offered again by the server.
    pub async fn claim(
        &self,
        desktop_id: &str,
        wait: Duration,
    ) -> Result<Option<Claim>, ClientError> {
        let body = ClaimRequest {
            wait: Some(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)),
        };
        let request = self
            .post(self.desktop_url(&[desktop_id, "claim"]), &body)
            .timeout(wait + WAIT_MARGIN);
        let answer = self.send(request, Repeat::Never).await?;
        if answer.is_empty() {
            Ok(None)
        } else {
            answer.json().map(Some)
        }
    }

    /// Says that the runner is alive and working on the task. Sent once.
    pub async fn heartbeat(&self, task_id: &str, lease: &Secret) -> Result<Heartbeat, ClientError> {
        self.leased(
            task_id,
            "heartbeat",
            lease,
            &Empty {},
            HEARTBEAT_TIMEOUT,
            Repeat::Never,
        )
        .await?
        .json()
    }

    /// Adds to the log of the task. An entry whose `seq` the server has already is ignored.
    pub async fn append_logs(
        &self,
        task_id: &str,
        lease: &Secret,
        logs: &AppendLogs,
    ) -> Result<(), ClientError> {
        self.leased(task_id, "logs", lease, logs, CALL_TIMEOUT, Repeat::Safe)
            .await
            .map(drop)
    }

    /// Adds changed files to the evidence of the task. For a path sent twice, the last counts.
    pub async fn add_files(
        &self,
        task_id: &str,
        lease: &Secret,
        files: &AddFiles,
    ) -> Result<(), ClientError> {
        self.leased(task_id, "files", lease, files, CALL_TIMEOUT, Repeat::Safe)
            .await
            .map(drop)
    }

    /// Ends the attempt: seals its evidence and applies the rule. A repeat with the same body gets
    /// the task as it is then.
    pub async fn complete(
        &self,
        task_id: &str,
        lease: &Secret,
        complete: &Complete,
    ) -> Result<Task, ClientError> {
        self.leased(
            task_id,
            "complete",
            lease,
            complete,
            CALL_TIMEOUT,
            Repeat::Safe,
        )
        .await?
        .json()
    }

    async fn leased(
        &self,
        task_id: &str,
        call: &str,
        lease: &Secret,
        body: &(impl Serialize + Sync),
        timeout: Duration,
        repeat: Repeat,
    ) -> Result<Answer, ClientError> {
        let mut token = HeaderValue::from_str(lease.expose())
            .map_err(|_| ClientError::Configuration("the lease token is malformed".to_owned()))?;
        token.set_sensitive(true);
        let request = self
            .post(self.task_url(task_id, &[call]), body)
            .header(LEASE_TOKEN, token)
            .timeout(timeout);
        self.send(request, repeat).await
    }
}
