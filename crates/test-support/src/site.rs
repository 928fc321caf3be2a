//! A running store with an account, a person and a desktop, and the calls that tests make again and
//! again.

use std::sync::Arc;

use approval_core::{
    AccountId, Capability, DecisionRequest, DesktopId, Digest, KeyKind, KeyRequest, LogStream,
    NewTask, Outcome, Principal, Refusal, Report, Status, TaskId, TaskType, Timestamp,
};
use store::{
    Admin, Answer, ApprovalView, ClaimView, Command, CompleteRequest, DecisionTarget, FileUpload,
    KeyText, KeyView, Leased, LogUpload, ReadError, Reads, Request, Scope, Store, StoreConfig,
    SubmitError, TaskView, random_digest,
};

use crate::db::off_runtime;
use crate::{Engine, TestDb};

/// A store on a temporary database. Closed and removed on drop.
pub struct Site {
    /// The store.
    pub store: Store,
    /// The account that everything belongs to.
    pub account: AccountId,
    /// A person signed in there, who may do everything.
    pub person: Principal,
    /// A desktop of the account.
    pub desktop: Runner,
    /// More stores on the same database.
    replicas: Vec<Store>,
    /// Last: removed when nobody is connected any more.
    pub db: Arc<TestDb>,
}

/// A desktop with the credential of its runner.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The desktop.
    pub id: DesktopId,
    /// An agent key bound to it, which may also read and write tasks.
    pub agent: Principal,
}

/// A claimed task and the lease it is held by.
#[derive(Debug, Clone)]
pub struct Work {
    /// What the claim answered.
    pub claim: ClaimView,
    /// Names the attempt in the runner's further calls.
    pub lease: Leased,
}

impl Work {
    /// The task.
    pub fn id(&self) -> TaskId {
        self.lease.task
    }
}

impl Site {
    /// A store on a new database; `None` and panics as [`TestDb::postgres`].
    pub fn open(engine: Engine) -> Option<Self> {
        TestDb::migrated(engine).map(Self::on)
    }

    /// A store on this migrated database, which has no account yet.
    pub fn on(db: TestDb) -> Self {
        off_runtime(|| {
            let url = db.url().parse().expect("a database URL");
            let admin = Admin::new(url);
            let account = admin.create_account("Test").expect("an account");
            let person = add_person(&admin, account, "ada@example.org");
            let store = open_store(&db);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let desktop = runtime.block_on(add_desktop(&store, account, &person, "first"));
            Self {
                store,
                account,
                person,
                desktop,
                replicas: Vec::new(),
                db: Arc::new(db),
            }
        })
    }

    /// One more store on the same database, as another server process would be. SQLite refuses.
    pub fn add_replica(&mut self) -> Store {
        let store = off_runtime(|| open_store(&self.db));
        self.replicas.push(store.clone());
        store
    }

    /// Closes the store and opens another on what it left.
    pub fn restart(&mut self) {
        self.store = off_runtime(|| {
            self.store.close();
            open_store(&self.db)
        });
    }

    /// Administration beside the store.
    pub fn admin(&self) -> Admin {
        Admin::new(self.db.url().parse().expect("a database URL"))
    }

    /// Another account with a person of its own.
    pub fn add_account(&self, email: &str) -> (AccountId, Principal) {
        off_runtime(|| {
            let admin = self.admin();
            let account = admin.create_account(email).expect("an account");
            (account, add_person(&admin, account, email))
        })
    }

    /// Another desktop of the account.
    pub async fn add_desktop(&self, name: &str) -> Runner {
        add_desktop(&self.store, self.account, &self.person, name).await
    }

    /// A new key, as its holder authenticates with it.
    pub async fn add_key(
        &self,
        kind: KeyKind,
        capabilities: Option<Vec<Capability>>,
        desktop: Option<DesktopId>,
    ) -> (KeyView, Principal) {
        add_key(
            &self.store,
            self.account,
            &self.person,
            kind,
            capabilities,
            desktop,
        )
        .await
    }

    /// A request of this account, without an idempotency key.
    pub fn request(&self, by: &Principal, command: Command) -> Request {
        Request {
            account: self.account,
            principal: by.clone(),
            session: None,
            idempotency: None,
            command,
        }
    }

    /// Submits a command.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub async fn submit(&self, by: &Principal, command: Command) -> Result<Answer, SubmitError> {
        let answered = self.store.submit(self.request(by, command)).await?;
        Ok(answered.answer)
    }

    /// Submits a command that the rules allow.
    pub async fn done(&self, by: &Principal, command: Command) -> Answer {
        let name = format!("{command:.60?}");
        self.submit(by, command)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Submits a command that the rules refuse, and returns why.
    pub async fn refused(&self, by: &Principal, command: Command) -> Refusal {
        match self.submit(by, command).await {
            Err(SubmitError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Reads something.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reads<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> T {
        self.store.read(read).await.expect("a read")
    }

    /// The whole account.
    pub fn everything(&self) -> Scope {
        Scope {
            account: self.account,
            desktop: None,
        }
    }

    /// A task as it stands.
    pub async fn task(&self, id: TaskId) -> TaskView {
        let scope = self.everything();
        self.read(move |reads| reads.task(scope, id))
            .await
            .expect("a task")
    }

    /// The status of a task.
    pub async fn status(&self, id: TaskId) -> Status {
        self.task(id).await.state.status
    }

    /// The approval of a task that is, or was, in review.
    pub async fn approval(&self, task: TaskId) -> ApprovalView {
        let review = self.task(task).await.review.expect("a review");
        let scope = self.everything();
        self.read(move |reads| reads.approval(scope, review.id))
            .await
            .expect("an approval")
    }

    /// A wish for a command task on the desktop.
    pub fn wish(&self, content: &str) -> NewTask {
        NewTask::new(TaskType::Command, content, self.desktop.id)
    }

    /// Creates a task as the person.
    pub async fn create(&self, new: NewTask) -> TaskView {
        task(self.done(&self.person, Command::CreateTask(new)).await)
    }

    /// Creates a task and queues it.
    pub async fn queue(&self, new: NewTask) -> TaskId {
        let id = self.create(new).await.state.id;
        self.run(id).await.state.id
    }

    /// Queues a pending task.
    pub async fn run(&self, id: TaskId) -> TaskView {
        task(self.done(&self.person, Command::RunTask(id)).await)
    }

    /// Claims the next task of the desktop.
    pub async fn claim(&self) -> Option<Work> {
        self.claim_on(&self.desktop).await
    }

    /// Claims the next task of a desktop.
    pub async fn claim_on(&self, runner: &Runner) -> Option<Work> {
        claim(&self.store, self.account, runner)
            .await
            .expect("a claim")
    }

    /// Claims a task, which must be the next one.
    pub async fn start(&self, new: NewTask) -> Work {
        let id = self.queue(new).await;
        let work = self.claim().await.expect("the task just queued");
        assert_eq!(work.id(), id, "something else was queued before");
        work
    }

    /// Renews a lease.
    pub async fn heartbeat(&self, work: &Work) {
        self.done(&self.desktop.agent, Command::Heartbeat(work.lease))
            .await;
    }

    /// Sends a line of standard output.
    pub async fn print(&self, work: &Work, seq: i64, text: &str) {
        let entries = vec![log_entry(seq, LogStream::Stdout, text.as_bytes())];
        let command = Command::AppendLogs {
            lease: work.lease,
            entries,
        };
        self.done(&self.desktop.agent, command).await;
    }

    /// Sends changed files.
    pub async fn change_files(&self, work: &Work, files: Vec<FileUpload>) {
        let command = Command::AddFiles {
            lease: work.lease,
            files,
        };
        self.done(&self.desktop.agent, command).await;
    }

    /// The end of an attempt, as the desktop's runner reports it.
    pub fn completion(&self, work: &Work, outcome: Outcome) -> CompleteRequest {
        CompleteRequest {
            account: self.account,
            principal: self.desktop.agent.clone(),
            idempotency: None,
            lease: work.lease,
            report: Report::new(outcome, Digest::of(outcome.as_str().as_bytes())),
            output: None,
            log_entries: None,
        }
    }

    /// Ends an attempt.
    pub async fn finish(&self, work: &Work, outcome: Outcome) -> TaskView {
        let answered = self.store.complete(self.completion(work, outcome)).await;
        task(answered.expect("a completion").answer)
    }

    /// Takes a new task to its end: `done`, or `review` when it is gated.
    pub async fn succeed(&self, new: NewTask) -> TaskView {
        let work = self.start(new).await;
        self.finish(&work, Outcome::Succeeded).await
    }

    /// Takes a new task that requires approval to its review.
    pub async fn to_review(&self, content: &str) -> TaskView {
        let mut new = self.wish(content);
        new.requires_approval = true;
        let view = self.succeed(new).await;
        assert_eq!(view.state.status, Status::Review);
        view
    }

    /// Decides as the person, by the door of the task.
    pub async fn review(&self, id: TaskId, request: DecisionRequest) -> TaskView {
        let target = DecisionTarget::Task(id);
        task(
            self.done(&self.person, Command::Decide { target, request })
                .await,
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for store in self.replicas.iter().chain([&self.store]) {
            store.close();
        }
    }
}

/// The task that a command answered with.
pub fn task(answer: Answer) -> TaskView {
    match answer {
        Answer::Task(view) => *view,
        other => panic!("not a task: {other:?}"),
    }
}

/// A log entry with its digest, at a moment that follows from its number.
pub fn log_entry(seq: i64, stream: LogStream, bytes: &[u8]) -> LogUpload {
    LogUpload {
        seq,
        stream,
        at: Timestamp::from_micros(1_773_568_800_000_000_i64.saturating_add(seq)),
        bytes: bytes.to_vec(),
        sha256: Digest::of(bytes),
    }
}

/// Claims the next task of a desktop through one of several stores.
///
/// # Errors
/// As [`Store::submit`].
pub async fn claim(
    store: &Store,
    account: AccountId,
    runner: &Runner,
) -> Result<Option<Work>, SubmitError> {
    let token = random_digest().expect("random numbers");
    let request = Request {
        account,
        principal: runner.agent.clone(),
        session: None,
        idempotency: None,
        command: Command::Claim {
            desktop: runner.id,
            token,
        },
    };
    match store.submit(request).await?.answer {
        Answer::Claim(claim) => Ok(claim.map(|claim| Work {
            lease: Leased {
                task: claim.task.state.id,
                token,
            },
            claim: *claim,
        })),
        other => panic!("not a claim: {other:?}"),
    }
}

fn open_store(db: &TestDb) -> Store {
    let url = db.url().parse().expect("a database URL");
    Store::open(&StoreConfig::new(url)).expect("a store")
}

fn add_person(admin: &Admin, account: AccountId, email: &str) -> Principal {
    let command = Command::CreateUser {
        email: email.to_owned(),
        password_hash: None,
    };
    match admin.run(account, command).expect("a person").answer {
        Answer::User(id) => Principal::person(id, email),
        other => panic!("not a person: {other:?}"),
    }
}

async fn add_desktop(store: &Store, account: AccountId, person: &Principal, name: &str) -> Runner {
    let request = Request {
        account,
        principal: person.clone(),
        session: None,
        idempotency: None,
        command: Command::CreateDesktop {
            name: name.to_owned(),
        },
    };
    let id = match store.submit(request).await.expect("a desktop").answer {
        Answer::Desktop(view) => view.id,
        other => panic!("not a desktop: {other:?}"),
    };
    let capabilities = vec![Capability::TasksRead, Capability::TasksWrite];
    let (_, agent) = add_key(
        store,
        account,
        person,
        KeyKind::Agent,
        Some(capabilities),
        Some(id),
    )
    .await;
    Runner { id, agent }
}

async fn add_key(
    store: &Store,
    account: AccountId,
    person: &Principal,
    kind: KeyKind,
    capabilities: Option<Vec<Capability>>,
    desktop: Option<DesktopId>,
) -> (KeyView, Principal) {
    let text = KeyText::generate(kind).expect("random numbers");
    let digest = text.digest();
    let sha256 = digest.sha256;
    let request = KeyRequest {
        name: format!("a {kind}"),
        kind,
        capabilities,
        desktop,
    };
    let request = Request {
        account,
        principal: person.clone(),
        session: None,
        idempotency: None,
        command: Command::CreateKey { request, digest },
    };
    let view = match store.submit(request).await.expect("a key").answer {
        Answer::Key(view) => view,
        other => panic!("not a key: {other:?}"),
    };
    let credential = store.read(move |reads| reads.credential(&sha256)).await;
    let credential = credential.expect("a read").expect("the key just made");
    (view, credential.principal)
}
