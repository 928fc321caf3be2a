//! What may be said to the server about one claimed attempt.

use std::future::Future;

use client::{Backoff, Client, ClientError, Secret};
use contract::{AddFiles, AppendLogs, Claim, Complete, Heartbeat, Task};
use tokio::time::sleep;
use tracing::{debug, warn};

/// The calls that carry a lease token. A trait, so that everything above can be tested without a
/// server.
pub(crate) trait Lease: Send + Sync + 'static {
    fn heartbeat(&self) -> impl Future<Output = Result<Heartbeat, ClientError>> + Send;
    fn append_logs(
        &self,
        logs: &AppendLogs,
    ) -> impl Future<Output = Result<(), ClientError>> + Send;
    fn add_files(&self, files: &AddFiles) -> impl Future<Output = Result<(), ClientError>> + Send;
    fn complete(
        &self,
        complete: &Complete,
    ) -> impl Future<Output = Result<Task, ClientError>> + Send;
}

/// The lease of a real claim.
#[derive(Debug)]
pub(crate) struct HeldLease {
    client: Client,
    task_id: String,
    token: Secret,
}

impl HeldLease {
    pub(crate) fn new(client: Client, claim: &Claim) -> Self {
        Self {
            client,
            task_id: claim.task.id.clone(),
            token: claim.lease.token.as_str().into(),
        }
    }
}

impl Lease for HeldLease {
    async fn heartbeat(&self) -> Result<Heartbeat, ClientError> {
        self.client.heartbeat(&self.task_id, &self.token).await
    }

    async fn append_logs(&self, logs: &AppendLogs) -> Result<(), ClientError> {
        self.client
            .append_logs(&self.task_id, &self.token, logs)
            .await
    }

    async fn add_files(&self, files: &AddFiles) -> Result<(), ClientError> {
        self.client
            .add_files(&self.task_id, &self.token, files)
            .await
    }

    async fn complete(&self, complete: &Complete) -> Result<Task, ClientError> {
        self.client
            .complete(&self.task_id, &self.token, complete)
            .await
    }
}

/// Whether repeating cannot help: the server understood the call and refused it, or it cannot be
/// sent at all. Anything else (no answer, overload, a fault) may be different next time.
pub(crate) fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Configuration(_) => true,
        ClientError::Problem { problem, .. } => !error.is_transient() && problem.status < 500,
        ClientError::Transport(_) | ClientError::Unexpected { .. } => false,
    }
}

/// Calls until there is an answer or a final refusal: a server that is away comes back.
pub(crate) async fn persist<T, F>(what: &str, mut call: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut backoff = Backoff::new();
    let mut failures: u32 = 0;
    loop {
        match call().await {
            Err(error) if !is_final(&error) => {
                if failures == 0 {
                    warn!(%error, "{what} failed; it is repeated until it succeeds");
                } else {
                    debug!(%error, failures, "{what} failed again");
                }
                failures += 1;
                sleep(backoff.next(error.retry_after())).await;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A lease whose answers are scripted.

    use std::collections::VecDeque;
    use std::sync::Mutex;

    use contract::{AddFile, Code, LogEntry, Problem};

    use super::*;

    /// A refusal with `code`.
    pub(crate) fn refused(code: Code) -> ClientError {
        ClientError::Problem {
            problem: Box::new(Problem::new(code, "scripted")),
            retry_after: None,
        }
    }

    /// Records what it is told. Each kind of call takes its answers from a script, and succeeds
    /// when the script is at its end.
    #[derive(Debug, Default)]
    pub(crate) struct FakeLease {
        pub(crate) heartbeats: Mutex<VecDeque<Result<bool, Code>>>,
        pub(crate) appends: Mutex<VecDeque<Code>>,
        pub(crate) uploads: Mutex<VecDeque<Code>>,
        pub(crate) completions: Mutex<VecDeque<Code>>,
        pub(crate) beaten: Mutex<u32>,
        pub(crate) requests: Mutex<Vec<Vec<LogEntry>>>,
        pub(crate) files: Mutex<Vec<Vec<AddFile>>>,
        pub(crate) completed: Mutex<Vec<Complete>>,
    }

    impl FakeLease {
        /// All entries that were accepted, in order.
        pub(crate) fn entries(&self) -> Vec<LogEntry> {
            self.requests.lock().unwrap().concat()
        }
    }

    fn next(script: &Mutex<VecDeque<Code>>) -> Result<(), ClientError> {
        script
            .lock()
            .unwrap()
            .pop_front()
            .map_or(Ok(()), |code| Err(refused(code)))
    }

    impl Lease for FakeLease {
        async fn heartbeat(&self) -> Result<Heartbeat, ClientError> {
            *self.beaten.lock().unwrap() += 1;
            match self
                .heartbeats
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Ok(false))
            {
                Ok(cancel_requested) => Ok(Heartbeat {
                    expires_at: crate::clock::now(),
                    cancel_requested,
                }),
                Err(code) => Err(refused(code)),
            }
        }

        async fn append_logs(&self, logs: &AppendLogs) -> Result<(), ClientError> {
            next(&self.appends)?;
            self.requests.lock().unwrap().push(logs.entries.clone());
            Ok(())
        }

        async fn add_files(&self, files: &AddFiles) -> Result<(), ClientError> {
            next(&self.uploads)?;
            self.files.lock().unwrap().push(files.files.clone());
            Ok(())
        }

        async fn complete(&self, complete: &Complete) -> Result<Task, ClientError> {
            next(&self.completions)?;
            self.completed.lock().unwrap().push(complete.clone());
            Ok(task("done"))
        }
    }

    /// A task of type `command` whose content is `content`.
    pub(crate) fn task(content: &str) -> Task {
        serde_json::from_value(serde_json::json!({
            "id": "task_a", "type": "command", "title": "t", "content": content,
            "contentTruncated": false, "status": "running", "desktopId": "desk_a",
            "requiresApproval": false, "gated": false, "dependsOn": [], "blockedBy": [],
            "dependents": [], "autoRun": false, "onDependencyFailure": "block",
            "timeoutSeconds": 3600, "attempt": 1, "maxAttempts": 1, "retryOf": null,
            "retriedBy": null, "priorFeedback": [], "createdAt": "2026-03-15T10:05:00Z",
            "createdBy": {"kind": "human", "id": "user_a", "name": "human"}, "startedAt": null,
            "completedAt": null, "exitCode": null, "error": null, "outputUrl": null,
            "evidenceSha256": null, "review": null,
        }))
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use contract::Code;

    use super::fake::refused;
    use super::*;

    #[test]
    fn refusals_are_final_and_faults_are_not() {
        for code in Code::ALL {
            let passing = matches!(
                code,
                Code::InProgress | Code::RateLimited | Code::Internal | Code::Unavailable
            );
            assert_eq!(is_final(&refused(*code)), !passing, "{code}");
        }
        let proxy = ClientError::Unexpected {
            status: 404,
            detail: "another program".to_owned(),
        };
        assert!(!is_final(&proxy));
        assert!(is_final(&ClientError::Configuration(
            "malformed".to_owned()
        )));
    }

    #[tokio::test(start_paused = true)]
    async fn persist_goes_on_until_an_answer_or_a_final_refusal() {
        let mut answers = vec![
            Ok(7),
            Err(refused(Code::Unavailable)),
            Err(refused(Code::Internal)),
        ];
        let answer = persist("a call", || std::future::ready(answers.pop().unwrap())).await;
        assert_eq!(answer.unwrap(), 7);

        let answer: Result<(), _> = persist("a call", || {
            std::future::ready(Err(refused(Code::LeaseLost)))
        })
        .await;
        assert_eq!(answer.unwrap_err().code(), Some(Code::LeaseLost));
    }
}
