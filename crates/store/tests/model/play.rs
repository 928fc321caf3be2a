//! Does an operation with the store and with the model, and compares what they answer and what is stored.

use std::collections::{BTreeMap, HashMap};

use approval_core::{
    ApprovalStatus, Capability, DecisionRequest, Digest, KeyKind, LogStream, NewTask, Outcome,
    PathText, Principal, Refusal, RetryChanges, Status, TaskId, TaskType,
};
use store::{
    Answer, ApprovalFilter, Command, DecisionTarget, FileUpload, Leased, SubmitError, Sweep,
    TaskFilter, TaskView, UploadedPart,
};
use test_support::{Runner, Site, check_chain, claim, log_entry};

use crate::ops::{Call, DESKTOPS, Op, Who, aim};
use crate::reference::Account;

/// An account of the store beside the model's.
pub struct Play<'a> {
    site: &'a mut Site,
    model: Account,
    clerk: Principal,
    service: Principal,
    desktops: Vec<Runner>,
    /// The ids of the model's tasks.
    ids: Vec<TaskId>,
    /// The lease tokens handed out, by the model's number.
    tokens: Vec<Digest>,
    /// The numbers of each task's tokens, the newest last.
    tokens_of: Vec<Vec<usize>>,
}

impl<'a> Play<'a> {
    /// A new account of its own.
    pub async fn start(site: &'a mut Site, number: u32) -> Self {
        (site.account, site.person) = site.add_account(&format!("{number}@example.org"));
        let mut desktops = Vec::new();
        for n in 0..DESKTOPS {
            desktops.push(site.add_desktop(&n.to_string()).await);
        }
        let all = Capability::ALL.iter().copied();
        let most = all.filter(|c| *c != Capability::ApprovalsDecide).collect();
        let (_, clerk) = site.add_key(KeyKind::Human, Some(most), None).await;
        let (_, service) = site.add_key(KeyKind::Service, None, None).await;
        Self {
            site,
            model: Account::default(),
            clerk,
            service,
            desktops,
            ids: Vec::new(),
            tokens: Vec::new(),
            tokens_of: Vec::new(),
        }
    }

    /// One operation; returns its name and what came of it.
    ///
    /// # Panics
    /// When the store and the model disagree.
    pub async fn step(&mut self, op: Op) -> Option<String> {
        let op = aim(op, &self.model, &self.tokens_of)?;
        let expected = self.model.apply(&op);
        let answer = self.give(&op).await;
        let given = answer.as_ref().map(drop).map_err(code);
        assert_eq!(given, expected, "{op:?}");
        // what a refusal changed would be found after the next step
        if let Ok(answer) = answer {
            self.learn(&op, answer);
            self.compare(&format!("{op:?}")).await;
        }
        Some(format!("{} {}", name(&op), given.err().unwrap_or("ok")))
    }

    /// The log has no gap, its hashes chain, and it tells of each approval once.
    pub async fn end(self) {
        self.compare("the end").await;
        let account = self.site.account;
        let read = self.site.read(move |reads| {
            Ok((
                reads.activity(account, 0, 100_000)?,
                reads.activity_total(account)?,
            ))
        });
        let (rows, total) = read.await;
        check_chain(account, &rows);
        assert_eq!(total, i64::try_from(rows.len()).unwrap());
        let count = |kind: &str| rows.iter().filter(|row| row.kind == kind).count();
        let approvals = || self.model.tasks.iter().filter_map(|t| t.approval);
        assert_eq!(count("approval.created"), approvals().count());
        let resolved = approvals().filter(|(_, status)| *status != ApprovalStatus::Pending);
        assert_eq!(count("approval.resolved"), resolved.count());
        assert_eq!(count("task.created"), self.ids.len());
        self.site.db.check_totals();
    }

    fn principal(&self, who: Who) -> Principal {
        match who {
            Who::Person => self.site.person.clone(),
            Who::Clerk => self.clerk.clone(),
            Who::Service => self.service.clone(),
            Who::Agent(desktop) => self.desktops[desktop].agent.clone(),
        }
    }

    async fn give(&self, op: &Op) -> Result<Answer, SubmitError> {
        let by = op.who().map(|who| self.principal(who));
        let by = by.unwrap_or_else(Principal::system);
        let command = match *op {
            Op::Create { ref wish, .. } => Command::CreateTask(NewTask {
                requires_approval: wish.flag,
                depends_on: wish.parents.iter().map(|p| self.ids[*p]).collect(),
                auto_run: wish.auto_run,
                on_dependency_failure: if wish.dies_with_parent {
                    approval_core::OnDependencyFailure::Cancel
                } else {
                    approval_core::OnDependencyFailure::Block
                },
                max_attempts: Some(wish.max_attempts.into()),
                ..NewTask::new(TaskType::Command, "x", self.desktops[wish.desktop].id)
            }),
            Op::Run { task, .. } => Command::RunTask(self.ids[task]),
            Op::Claim { desktop } => return self.claim(desktop).await,
            Op::Call {
                task, token, call, ..
            } => {
                let token = self.tokens.get(token).copied();
                let lease = Leased {
                    task: self.ids[task],
                    token: token.unwrap_or_else(|| Digest::of(b"alien")),
                };
                return self.call(&by, lease, call).await;
            }
            Op::Decide {
                task,
                resolve,
                approve,
                other_evidence,
                ..
            } => {
                let target = self.door(self.ids[task], resolve).await;
                let mut request = if approve {
                    DecisionRequest::approve()
                } else {
                    DecisionRequest::reject("no")
                };
                request.evidence_sha256 = other_evidence.then(|| "0".repeat(64));
                Command::Decide { target, request }
            }
            Op::Cancel { task, .. } => Command::CancelTask(self.ids[task]),
            Op::Retry { task, flag, .. } => Command::RetryTask {
                task: self.ids[task],
                changes: RetryChanges {
                    requires_approval: flag,
                    ..RetryChanges::default()
                },
            },
            Op::Expire { task } => {
                self.turn_clock(task, "lease_expires_at = 1");
                Command::Sweep(Sweep::ExpireLease(self.ids[task]))
            }
            Op::TimeOut { task } => {
                self.turn_clock(task, "started_at = 1");
                Command::Sweep(Sweep::TimeOut(self.ids[task]))
            }
            Op::Mode { on, .. } => Command::ChangeSettings {
                task_approval_mode: Some(on),
                require_evidence: None,
            },
            Op::DeleteDesktop { desktop, .. } => Command::DeleteDesktop(self.desktops[desktop].id),
        };
        self.site.submit(&by, command).await
    }

    /// The door of the approval, where there is one and it is wished.
    async fn door(&self, id: TaskId, resolve: bool) -> DecisionTarget {
        let review = self.site.task(id).await.review.filter(|_| resolve);
        review.map_or(DecisionTarget::Task(id), |r| DecisionTarget::Approval(r.id))
    }

    /// Lets time pass for a task that a runner holds. What is due may be done by the sweeper before our
    /// own sweep comes: the outcome is the same.
    fn turn_clock(&self, task: usize, what: &str) {
        let id = self.ids[task];
        let held = "status = 'running' AND lease_token IS NOT NULL";
        let sql = format!("UPDATE tasks SET {what} WHERE id = '{id}' AND {held}");
        self.site.db.execute(&sql).unwrap();
    }

    async fn claim(&self, desktop: usize) -> Result<Answer, SubmitError> {
        let runner = &self.desktops[desktop];
        let work = claim(&self.site.store, self.site.account, runner).await?;
        if let Some(work) = &work {
            // a slow machine ends no lease: here time passes only when it is told to
            let later = "lease_expires_at = lease_expires_at + 3600000000";
            let sql = format!("UPDATE tasks SET {later} WHERE id = '{}'", work.id());
            self.site.db.execute(&sql).unwrap();
        }
        Ok(Answer::Claim(work.map(|work| Box::new(work.claim))))
    }

    async fn call(&self, by: &Principal, lease: Leased, call: Call) -> Result<Answer, SubmitError> {
        let outcome = match call {
            Call::Heartbeat => return self.site.submit(by, Command::Heartbeat(lease)).await,
            Call::Log => {
                let entries = vec![log_entry(0, LogStream::Stdout, b"x\n")];
                return self
                    .site
                    .submit(by, Command::AppendLogs { lease, entries })
                    .await;
            }
            Call::File => {
                let files = vec![file()];
                return self
                    .site
                    .submit(by, Command::AddFiles { lease, files })
                    .await;
            }
            Call::Succeed => Outcome::Succeeded,
            Call::Fail => Outcome::Failed,
        };
        let body = Digest::of(outcome.as_str().as_bytes());
        let request = store::CompleteRequest {
            account: self.site.account,
            principal: by.clone(),
            idempotency: None,
            lease,
            report: approval_core::Report::new(outcome, body),
            output: None,
            log_entries: None,
        };
        Ok(self.site.store.complete(request).await?.answer)
    }

    /// Ids and tokens that the store has chosen.
    fn learn(&mut self, op: &Op, answer: Answer) {
        match (op, answer) {
            (Op::Create { .. } | Op::Retry { .. }, Answer::Task(view)) => {
                self.ids.push(view.state.id);
                self.tokens_of.push(Vec::new());
            }
            (Op::Claim { desktop }, Answer::Claim(claim)) => {
                let offered = self.model.offered(*desktop);
                let Some(claim) = claim else {
                    assert_eq!(offered, [0; 0], "{op:?}: there was work");
                    return;
                };
                let task = self.number(claim.task.state.id);
                assert!(offered.contains(&task), "{op:?}: {task} of {offered:?}");
                let token = self.model.claim(task);
                self.tokens
                    .push(claim.task.state.lease.expect("a lease").token);
                assert_eq!(self.tokens.len() - 1, token);
                self.tokens_of[task].push(token);
                let inputs = claim
                    .inputs
                    .iter()
                    .map(|i| (self.number(i.task), i.attempt));
                let parents = self.model.tasks[task].wish.parents.iter();
                let newest = parents.map(|p| self.model.newest(*p));
                let sealed: Vec<_> = newest.map(|p| (p, self.model.tasks[p].attempt)).collect();
                assert_eq!(inputs.collect::<Vec<_>>(), sealed, "{op:?}: inputs");
            }
            _ => {}
        }
    }

    fn number(&self, id: TaskId) -> usize {
        self.ids
            .iter()
            .position(|i| *i == id)
            .expect("a known task")
    }

    /// Every task and every approval is stored as the model has it.
    async fn compare(&self, op: &str) {
        let scope = self.site.everything();
        let (tasks, approvals) = self
            .site
            .read(move |reads| {
                let limit = 10_000;
                let tasks = reads.tasks(
                    scope,
                    &TaskFilter {
                        limit,
                        ..TaskFilter::default()
                    },
                )?;
                let filter = ApprovalFilter {
                    limit,
                    ..ApprovalFilter::default()
                };
                Ok((tasks.items, reads.approvals(scope, &filter)?.items))
            })
            .await;
        assert_eq!(tasks.len(), self.model.tasks.len(), "{op}: tasks");
        let tasks: HashMap<TaskId, TaskView> = tasks.into_iter().map(|t| (t.state.id, t)).collect();
        for (number, id) in self.ids.iter().enumerate() {
            self.compare_task(op, number, &tasks[id]);
        }
        let stored: BTreeMap<(usize, u32), ApprovalStatus> = approvals
            .iter()
            .map(|a| {
                (
                    (self.number(a.approval.task), a.approval.attempt),
                    a.approval.status,
                )
            })
            .collect();
        assert_eq!(
            stored.len(),
            approvals.len(),
            "{op}: two approvals of one attempt"
        );
        let expected = self.model.tasks.iter().enumerate();
        let expected = expected.filter_map(|(n, t)| t.approval.map(|(a, status)| ((n, a), status)));
        assert_eq!(stored, expected.collect(), "{op}: approvals");
        for (id, task) in &tasks {
            let state = &task.state;
            let approved = (self.number(*id), state.attempt);
            assert!(
                !(state.gated && state.status == Status::Done)
                    || stored.get(&approved) == Some(&ApprovalStatus::Approved),
                "{op}: gated and done undecided: {state:?}"
            );
        }
    }

    fn compare_task(&self, op: &str, number: usize, view: &TaskView) {
        let (task, state) = (&self.model.tasks[number], &view.state);
        let ids = |numbers: &[usize]| numbers.iter().map(|n| self.ids[*n]).collect::<Vec<_>>();
        let name = format!("{op}: task {number}");
        assert_eq!(
            (
                state.status,
                state.attempt,
                state.requires_approval,
                state.gated
            ),
            (task.status, task.attempt, task.wish.flag, task.gated),
            "{name}"
        );
        let open = matches!(task.status, Status::Pending | Status::Running);
        assert_eq!(
            view.gated,
            task.gated || (open && self.model.mode),
            "{name}: shown gate"
        );
        assert_eq!(
            view.blocked_by,
            ids(&self.model.blocked_by(number)),
            "{name}: blockedBy"
        );
        assert_eq!(
            state.depends_on,
            ids(&task.wish.parents),
            "{name}: dependsOn"
        );
        assert_eq!(
            (state.retry_of, state.retried_by),
            (
                task.retry_of.map(|n| self.ids[n]),
                task.retried_by.map(|n| self.ids[n])
            ),
            "{name}: retries"
        );
        let lease = task.lease.map(|l| (self.tokens[l.token], l.heard));
        assert_eq!(
            state.lease.map(|l| (l.token, l.heard)),
            lease,
            "{name}: lease"
        );
        let review = view.review.as_ref().map(|a| (a.attempt, a.status));
        assert_eq!(review, task.approval, "{name}: review");
    }
}

fn file() -> FileUpload {
    FileUpload {
        path: PathText::Text("a".to_owned()),
        old_path: None,
        change: approval_core::ChangeKind::Added,
        mode: None,
        old_mode: None,
        diff: None,
        content: Some(UploadedPart::content(b"x".to_vec())),
        truncated: false,
    }
}

fn code(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::Revoked => "revoked",
        SubmitError::Refused(refusal) => match refusal {
            Refusal::Forbidden(_) => "forbidden",
            Refusal::NotFound(_) => "not-found",
            Refusal::NotPending { .. } => "not-pending",
            Refusal::Blocked { .. } => "blocked",
            Refusal::NotInReview { .. } => "not-in-review",
            Refusal::AlreadyDecided { .. } => "already-decided",
            Refusal::AlreadyFinal { .. } => "already-final",
            Refusal::NotRetryable { .. } => "not-retryable",
            Refusal::AlreadyRetried { .. } => "already-retried",
            Refusal::LeaseLost => "lease-lost",
            Refusal::AlreadyCompleted => "already-completed",
            Refusal::EvidenceMismatch { .. } => "evidence-mismatch",
            Refusal::Invalid { .. } => "invalid",
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::Create { .. } => "create",
        Op::Run { .. } => "run",
        Op::Claim { .. } => "claim",
        Op::Call { call, .. } => match call {
            Call::Heartbeat => "heartbeat",
            Call::Log => "log",
            Call::File => "file",
            Call::Succeed => "succeed",
            Call::Fail => "fail",
        },
        Op::Decide { .. } => "decide",
        Op::Cancel { .. } => "cancel",
        Op::Retry { .. } => "retry",
        Op::Expire { .. } => "expire",
        Op::TimeOut { .. } => "time out",
        Op::Mode { .. } => "mode",
        Op::DeleteDesktop { .. } => "delete desktop",
    }
}

/// Sequences are worth something only if they get everywhere.
pub fn check_reach(answers: &BTreeMap<String, u32>) {
    for wanted in [
        "create ok",
        "create invalid",
        "create forbidden",
        "run ok",
        "run blocked",
        "run not-pending",
        "claim ok",
        "claim revoked",
        "heartbeat ok",
        "log ok",
        "file ok",
        "succeed ok",
        "fail ok",
        "succeed lease-lost",
        "succeed already-completed",
        "log lease-lost",
        "decide ok",
        "decide already-decided",
        "decide not-in-review",
        "decide evidence-mismatch",
        "decide forbidden",
        "cancel ok",
        "cancel already-final",
        "retry ok",
        "retry not-retryable",
        "retry already-retried",
        "expire ok",
        "time out ok",
        "mode ok",
        "delete desktop ok",
    ] {
        assert!(answers.contains_key(wanted), "never: {wanted}");
    }
}
