//! Ids, actors and tasks that the tests share. Nothing here is random: a number names each thing.

use approval_core::*;
use uuid::Uuid;

/// The desktop every task runs on unless a test says otherwise.
pub const DESKTOP: u128 = 1;
/// Another desktop of the account.
pub const ELSEWHERE: u128 = 2;
/// The time-out of a task that does not name one, in seconds.
pub const DEFAULT_TIMEOUT: i64 = 3_600;
/// Everything is off.
pub const MODE_OFF: Settings = Settings {
    task_approval_mode: false,
    require_evidence: false,
};

/// The number that `cargo xtask torture` asks for with `TORTURE_ROUNDS`; `few` when nobody asks.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no command line of ours to carry configuration"
)]
pub fn rounds(few: usize) -> usize {
    std::env::var("TORTURE_ROUNDS").map_or(few, |text| text.parse().expect("a number"))
}

pub fn task_id(number: u128) -> TaskId {
    Uuid::from_u128(number).into()
}

pub fn approval_id(number: u128) -> ApprovalId {
    Uuid::from_u128(number).into()
}

pub fn desktop_id(number: u128) -> DesktopId {
    Uuid::from_u128(number).into()
}

/// A moment `seconds` after the beginning of every test.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_773_568_800_000_000).plus_seconds(seconds)
}

/// The digest of a runner's token, or of anything else that only has to differ.
pub fn token(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

pub fn mode(on: bool) -> Settings {
    Settings {
        task_approval_mode: on,
        ..MODE_OFF
    }
}

/// A credential of the given kind with exactly these capabilities, an agent's bound to [`DESKTOP`].
pub fn principal(kind: ActorKind, capabilities: Capabilities) -> Principal {
    let id = match kind {
        ActorKind::Human => PrincipalId::User(Uuid::from_u128(10).into()),
        ActorKind::Service => PrincipalId::Key(Uuid::from_u128(11).into()),
        ActorKind::Agent => PrincipalId::Key(Uuid::from_u128(12).into()),
        ActorKind::System => PrincipalId::System,
    };
    Principal {
        identity: Identity {
            kind,
            id,
            name: kind.to_string(),
        },
        capabilities,
        desktop: (kind == ActorKind::Agent).then(|| desktop_id(DESKTOP)),
    }
}

pub fn human() -> Principal {
    principal(ActorKind::Human, Capabilities::ALL)
}

pub fn human_without(missing: Capability) -> Principal {
    let rest = Capabilities::ALL.iter().filter(|c| *c != missing);
    principal(ActorKind::Human, rest.collect())
}

pub fn service() -> Principal {
    use Capability::{TasksRead, TasksRun, TasksWrite};
    let all = [TasksRead, TasksWrite, TasksRun];
    principal(ActorKind::Service, all.into_iter().collect())
}

/// An agent of [`DESKTOP`] with all that an agent may have.
pub fn agent() -> Principal {
    use Capability::{TasksRead, TasksWrite};
    let all = [TasksRead, TasksWrite];
    principal(ActorKind::Agent, all.into_iter().collect())
}

/// An agent with the same rights on another desktop.
pub fn stranger() -> Principal {
    Principal {
        desktop: Some(desktop_id(ELSEWHERE)),
        ..agent()
    }
}

/// A prompt for [`DESKTOP`], which may be tried three times.
pub fn wish() -> NewTask {
    NewTask::new(
        TaskType::Prompt,
        "Write the release notes",
        desktop_id(DESKTOP),
    )
}

/// Creates a task of its own id, without dependencies.
pub fn create(new: &NewTask, by: &Principal) -> Result<Task, Refusal> {
    Task::create(task_id(100), new, by, true, &[], at(0))
}

/// A pending task of a person.
pub fn pending(new: &NewTask) -> Task {
    create(new, &human()).expect("the wish is sound")
}

/// A queued task of a person.
pub fn queued(new: &NewTask) -> Task {
    let mut task = pending(new);
    task.run(&[]).expect("pending and not blocked");
    task
}

/// A task claimed at `at(0)` with `token(1)`; the runner was not heard yet.
pub fn claimed(new: &NewTask, settings: Settings) -> Task {
    let mut task = queued(new);
    task.claim(token(1), settings, at(0)).expect("claimable");
    task
}

/// What a runner reports; the body names the outcome.
pub fn report(outcome: Outcome) -> Report {
    Report::new(outcome, Digest::of(outcome.as_str().as_bytes()))
}

/// The digest of the evidence of every test's attempt.
pub fn evidence() -> Digest {
    Digest::of(b"evidence")
}

/// A task in review since `at(1)`, and the approval that asks for a decision.
pub fn in_review(new: &NewTask) -> (Task, Approval) {
    let mut task = claimed(new, mode(true));
    let report = report(Outcome::Succeeded);
    task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
        .expect("the lease is current");
    let approval = task.open_approval(approval_id(1), at(1));
    (task, approval.expect("in review"))
}

/// A failed task of `by`, gated by its own flag or not at all.
pub fn failed(new: &NewTask, by: &Principal) -> Task {
    let mut task = create(new, by).expect("the wish is sound");
    task.run(&[]).expect("pending and not blocked");
    task.claim(token(1), MODE_OFF, at(0)).expect("claimable");
    let report = report(Outcome::Failed);
    task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
        .expect("the lease is current");
    task
}

/// The stable name of a refusal, for tables.
pub fn code(refusal: &Refusal) -> &'static str {
    match refusal {
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
        Refusal::LogsIncomplete { .. } => "logs-incomplete",
        Refusal::EvidenceMismatch { .. } => "evidence-mismatch",
        Refusal::EvidenceRequired => "evidence-required",
        Refusal::Invalid { .. } => "invalid",
        Refusal::TooLarge(_) => "too-large",
    }
}

/// The member an [`Refusal::Invalid`] is about, if it is one of `what`.
pub fn invalid_field<T>(what: Invalid, result: Result<T, Refusal>) -> Option<&'static str> {
    match result.err()? {
        Refusal::Invalid { what: w, field, .. } if w == what => Some(field),
        other => panic!("expected a broken rule about a {what}, got: {other}"),
    }
}
