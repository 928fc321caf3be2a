//! What holds after any sequence of commands: several tasks that depend on each other, several
//! runners, people and agents, time that jumps, a mode that is switched, approvals mixed up.

use std::collections::BTreeMap;

use approval_core::*;
use proptest::prelude::*;

use crate::fixtures::{
    MODE_OFF, agent, approval_id, at, desktop_id, evidence, human, human_without, in_review,
    principal, report, service, stranger, task_id, token, wish,
};

const TEN_YEARS: i64 = 10 * 365 * 86_400;

/// One command. [`Account::aim`] points it at a task that exists.
#[derive(Debug, Clone)]
enum Step {
    Create {
        by: usize,
        flag: bool,
        auto_run: bool,
        cancel_with_parent: bool,
        attempts: i64,
        parents: Vec<usize>,
    },
    Run {
        task: usize,
    },
    Claim {
        task: usize,
    },
    Heartbeat {
        task: usize,
        token: usize,
    },
    Upload {
        task: usize,
        token: usize,
    },
    Complete {
        task: usize,
        token: usize,
        outcome: Outcome,
        body: u8,
    },
    Decide {
        task: usize,
        approval: Option<usize>,
        by: usize,
        approve: bool,
        feedback: Option<String>,
    },
    Cancel {
        task: usize,
        approval: Option<usize>,
        by: usize,
    },
    Retry {
        task: usize,
        by: usize,
        open: Option<bool>,
    },
    LoseDesktop {
        task: usize,
    },
    Sweep,
    Mode {
        on: bool,
    },
    Wait {
        seconds: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let some = || 0_usize..64;
    // mostly a person, then everybody
    let by = || prop_oneof![1 => Just(0_usize), 1 => 0_usize..9];
    // mostly the approval of the task itself
    let approval = || prop_oneof![5 => Just(None), 1 => (0_usize..4).prop_map(Some)];
    // mostly the newest token of the task, sometimes an old one or one that never was
    let token = || prop_oneof![5 => Just(0_usize), 1 => 1_usize..3, 1 => Just(99)];
    let parents = prop::collection::vec(some(), 0..3);
    let outcome = prop_oneof![4 => Just(Outcome::Succeeded), 1 => Just(Outcome::Failed)];
    let wait = prop_oneof![
        12 => 0_i64..4,
        4 => 4_i64..40,
        1 => 3_000_i64..4_000,
        1 => Just(TEN_YEARS),
    ];
    prop_oneof![
        8 => (by(), any::<bool>(), any::<bool>(), any::<bool>(), 1_i64..4, parents).prop_map(
            |(by, flag, auto_run, cancel_with_parent, attempts, parents)| Step::Create {
                by, flag, auto_run, cancel_with_parent, attempts, parents,
            }
        ),
        12 => some().prop_map(|task| Step::Run { task }),
        24 => some().prop_map(|task| Step::Claim { task }),
        12 => (some(), token()).prop_map(|(task, token)| Step::Heartbeat { task, token }),
        6 => (some(), token()).prop_map(|(task, token)| Step::Upload { task, token }),
        24 => (some(), token(), outcome, 0_u8..2).prop_map(|(task, token, outcome, body)| {
            Step::Complete { task, token, outcome, body }
        }),
        24 => (some(), approval(), by(), any::<bool>(), prop::option::of("[a-z ]{0,3}")).prop_map(
            |(task, approval, by, approve, feedback)| Step::Decide {
                task, approval, by, approve, feedback,
            }
        ),
        4 => (some(), approval(), by()).prop_map(|(task, approval, by)| {
            Step::Cancel { task, approval, by }
        }),
        6 => (some(), by(), any::<Option<bool>>()).prop_map(|(task, by, open)| {
            Step::Retry { task, by, open }
        }),
        1 => some().prop_map(|task| Step::LoseDesktop { task }),
        8 => Just(Step::Sweep),
        6 => any::<bool>().prop_map(|on| Step::Mode { on }),
        8 => wait.prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn actors() -> Vec<Principal> {
    vec![
        human(),
        human(),
        human_without(Capability::ApprovalsDecide),
        service(),
        agent(),
        stranger(),
        // credentials that claim more than their kind may have
        principal(ActorKind::Agent, Capabilities::ALL),
        principal(ActorKind::Service, Capabilities::ALL),
        Principal::system(),
    ]
}

/// An account as an embedder would keep it.
#[derive(Clone)]
struct Account {
    tasks: Vec<Task>,
    approvals: Vec<Approval>,
    /// The tokens handed out for each task, the newest first.
    tokens: BTreeMap<usize, Vec<Digest>>,
    tokens_made: u64,
    settings: Settings,
    seconds: i64,
}

impl Account {
    /// Three tasks: one free, one behind it, one that starts by itself behind both.
    fn new() -> Self {
        let mut account = Self {
            tasks: Vec::new(),
            approvals: Vec::new(),
            tokens: BTreeMap::new(),
            tokens_made: 0,
            settings: MODE_OFF,
            seconds: 0,
        };
        for (auto_run, parents) in [(false, vec![]), (false, vec![0]), (true, vec![0, 1])] {
            let new = NewTask {
                auto_run,
                depends_on: account.ids(&parents),
                ..wish()
            };
            account.create(&new, &human()).expect("sound wishes");
        }
        account
    }

    fn ids(&self, indices: &[usize]) -> Vec<TaskId> {
        let mut ids: Vec<_> = indices
            .iter()
            .map(|i| self.tasks[i % self.tasks.len()].id)
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn now(&self) -> Timestamp {
        at(self.seconds)
    }

    fn index(&self, id: TaskId) -> usize {
        self.tasks
            .iter()
            .position(|t| t.id == id)
            .expect("no task is ever lost")
    }

    /// The dependencies of a task, each as its newest retry.
    fn parents(&self, task: &TaskState) -> Vec<Parent> {
        let newest = |id: &TaskId| {
            let mut task = &self.tasks[self.index(*id)];
            while let Some(next) = task.retried_by {
                task = &self.tasks[self.index(next)];
            }
            Parent {
                id: task.id,
                status: task.status,
            }
        };
        task.depends_on.iter().map(newest).collect()
    }

    fn create(&mut self, new: &NewTask, by: &Principal) -> Result<usize, Refusal> {
        let known: Vec<Option<&TaskState>> = new
            .depends_on
            .iter()
            .map(|id| Some(&*self.tasks[self.index(*id)]))
            .collect();
        let id = task_id(100 + self.tasks.len() as u128);
        let task = Task::create(id, new, by, true, &known, self.now())?;
        self.tasks.push(task);
        Ok(self.tasks.len() - 1)
    }

    /// Points a command at a task it is meant for, three times out of four when there is one.
    fn aim(&self, mut step: Step) -> Step {
        let (index, fits): (&mut usize, fn(&Task) -> bool) = match &mut step {
            Step::Run { task } => (task, |t| t.status == Status::Pending),
            Step::Claim { task } => (task, |t| t.is_claimable()),
            Step::Heartbeat { task, .. }
            | Step::Upload { task, .. }
            | Step::Complete { task, .. } => (task, |t| t.lease.is_some()),
            Step::Decide { task, .. } | Step::Cancel { task, .. } => {
                (task, |t| t.status == Status::Review)
            }
            Step::Retry { task, .. } => (task, |t| t.status.is_dead() && t.retried_by.is_none()),
            Step::LoseDesktop { task } => (task, |_| true),
            Step::Create { .. } | Step::Sweep | Step::Mode { .. } | Step::Wait { .. } => {
                return step;
            }
        };
        let all = || 0..self.tasks.len();
        let fitting: Vec<usize> = all().filter(|i| fits(&self.tasks[*i])).collect();
        let (chosen, anywhere) = (*index / 4, *index % 4 == 0);
        *index = if fitting.is_empty() || anywhere {
            chosen % self.tasks.len()
        } else {
            fitting[chosen % fitting.len()]
        };
        step
    }

    /// A token of the task's past, the newest for 0, or one that was never handed out.
    fn token(&self, task: usize, which: usize) -> Digest {
        let known = self.tokens.get(&task).and_then(|tokens| tokens.get(which));
        known.copied().unwrap_or_else(|| token(u64::MAX))
    }

    /// The approval named, or the newest of the task itself.
    fn approval(&self, task: usize, named: Option<usize>) -> Option<usize> {
        match named {
            Some(index) => Some(index).filter(|i| *i < self.approvals.len()),
            None => self
                .approvals
                .iter()
                .rposition(|a| a.task == self.tasks[task].id),
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), Refusal> {
        let (now, settings) = (self.now(), self.settings);
        let actor = |by: usize| actors().swap_remove(by % actors().len());
        match step.clone() {
            Step::Create {
                by,
                flag,
                auto_run,
                cancel_with_parent,
                attempts,
                parents,
            } => {
                let policy = [OnDependencyFailure::Block, OnDependencyFailure::Cancel];
                let new = NewTask {
                    requires_approval: flag,
                    auto_run,
                    on_dependency_failure: policy[usize::from(cancel_with_parent)],
                    max_attempts: Some(attempts),
                    depends_on: self.ids(&parents),
                    ..wish()
                };
                self.create(&new, &actor(by))?;
            }
            Step::Run { task } => {
                let parents = self.parents(&self.tasks[task]);
                self.tasks[task].run(&parents)?;
            }
            Step::Claim { task } => {
                self.tokens_made += 1;
                let new = token(self.tokens_made);
                self.tasks[task].claim(new, settings, now)?;
                self.tokens.entry(task).or_default().insert(0, new);
            }
            Step::Heartbeat { task, token } => {
                let token = self.token(task, token);
                self.tasks[task].heartbeat(token, now)?;
            }
            Step::Upload { task, token } => {
                let token = self.token(task, token);
                self.tasks[task].admit_upload(token, now)?;
            }
            Step::Complete {
                task,
                token,
                outcome,
                body,
            } => {
                let token = self.token(task, token);
                let report = Report {
                    body: Digest::of(&[body]),
                    ..report(outcome)
                };
                let done = self.tasks[task].complete(token, &report, evidence(), settings, now)?;
                if let Completion::Review(_) = done {
                    let id = approval_id(self.approvals.len() as u128);
                    let approval = self.tasks[task].open_approval(id, now).expect("in review");
                    self.approvals.push(approval);
                }
            }
            Step::Decide {
                task,
                approval,
                by,
                approve,
                feedback,
            } => {
                let reviewer = Reviewer::of(&actor(by))?;
                let decision = if approve {
                    Decision::Approve
                } else {
                    Decision::Reject
                };
                let request = DecisionRequest {
                    decision,
                    feedback,
                    evidence_sha256: None,
                };
                let approval = self.approval(task, approval);
                let approval = approval.map(|i| &mut self.approvals[i]);
                self.tasks[task].decide(approval, &reviewer, &request, settings, now)?;
            }
            Step::Cancel { task, approval, by } => {
                let approval = self.approval(task, approval);
                let approval = approval.map(|i| &mut self.approvals[i]);
                self.tasks[task].cancel(approval, &actor(by), now)?;
            }
            Step::Retry { task, by, open } => {
                let changes = RetryChanges {
                    requires_approval: open,
                    ..RetryChanges::default()
                };
                let new = self.tasks[task].retry("again", &changes, &actor(by))?;
                let index = self.create(&new, &actor(by))?;
                let (old, new) = self.tasks.split_at_mut(index);
                old[task].link_retry(&mut new[0]);
            }
            Step::LoseDesktop { task } => {
                self.tasks[task].lose_desktop(now);
            }
            Step::Sweep => {
                for task in &mut self.tasks {
                    task.expire_lease(now);
                    task.time_out(now);
                }
            }
            Step::Mode { on } => self.settings.task_approval_mode = on,
            Step::Wait { seconds } => self.seconds += seconds,
        }
        Ok(())
    }

    /// Lets every pending task follow its dependencies until nothing moves.
    fn follow(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for index in 0..self.tasks.len() {
                let parents = self.parents(&self.tasks[index]);
                let task = &mut self.tasks[index];
                match consequence(task, &parents) {
                    Consequence::Nothing => continue,
                    Consequence::Start => task.run(&parents).expect("nothing blocks"),
                    Consequence::Cancel => task.cancel_by_dependency(),
                }
                assert_ne!(task.status, Status::Pending, "a consequence without effect");
                moved = true;
            }
        }
    }
}

/// What must hold between the moment before a step and the moment after it.
fn check(step: &Step, refused: bool, before: &Account, after: &Account) {
    if refused {
        assert_eq!(
            after.tasks, before.tasks,
            "a refused {step:?} changed a task"
        );
        assert_eq!(
            after.approvals, before.approvals,
            "a refused {step:?} changed an approval"
        );
    }
    check_token(step, before, after);
    for (index, (old, new)) in before.tasks.iter().zip(&after.tasks).enumerate() {
        check_task(step, index, old, new, before, after);
    }
    for (old, new) in before.approvals.iter().zip(&after.approvals) {
        if old.status != ApprovalStatus::Pending {
            assert_eq!(old, new, "a decided approval changed by {step:?}");
        }
        if old != new {
            assert!(
                matches!(step, Step::Decide { .. } | Step::Cancel { .. }),
                "{step:?} decided"
            );
        }
    }
    for approval in &after.approvals {
        check_approval(approval, after);
    }
    for task in &after.tasks {
        if task.status == Status::Done && task.gated {
            let approved = after.approvals.iter().any(|a| {
                a.task == task.id
                    && a.attempt == task.attempt
                    && a.status == ApprovalStatus::Approved
            });
            assert!(approved, "gated and done undecided: {task:?}");
        }
    }
}

fn check_task(
    step: &Step,
    index: usize,
    old: &Task,
    new: &Task,
    before: &Account,
    after: &Account,
) {
    use Status::{Cancelled, Done, Failed, Pending, Review, Running};
    let name = format!("{step:?} on task {index}");
    let steps = [
        (Pending, Running),
        (Pending, Cancelled),
        (Running, Review),
        (Running, Done),
        (Running, Failed),
        (Running, Cancelled),
        (Review, Done),
        (Review, Failed),
        (Review, Cancelled),
    ];
    if old.status != new.status {
        // a cascade may take two: started by itself in the step that created or unblocked it
        assert!(
            steps.contains(&(old.status, new.status)),
            "{name}: {} -> {}",
            old.status,
            new.status
        );
        assert_eq!(
            new.status == Failed && old.status == Review,
            is_decision(step, Decision::Reject),
            "{name}"
        );
    }
    if old.status.is_final() {
        let retried = TaskState {
            retried_by: new.retried_by,
            ..(**old).clone()
        };
        assert_eq!(retried, **new, "{name}: a final task changed");
        assert!(
            old.retried_by.is_none() || old.retried_by == new.retried_by,
            "{name}: retried twice"
        );
    }
    if old.status == Review && new.status == Done {
        assert!(
            is_decision(step, Decision::Approve),
            "{name}: done without an approval"
        );
    }
    if old.status == Running && new.status == Done {
        assert!(
            !new.gated && !before.settings.task_approval_mode,
            "{name}: past the gate"
        );
    }
    if old.status == Pending && new.status == Running {
        let blocked = after.parents(new).iter().any(|p| p.status != Done);
        assert!(!blocked, "{name}: a blocked task runs");
    }
    assert!(new.gated || !old.gated, "{name}: the gate opened");
    assert!(
        new.gated || !new.requires_approval,
        "{name}: flagged and not gated"
    );
    assert_eq!(old.requires_approval, new.requires_approval, "{name}");
    if new.attempt > old.attempt || (old.status == Running && new.status == Review) {
        assert!(
            new.gated || !before.settings.task_approval_mode,
            "{name}: the mode was on"
        );
    }
    assert!(
        new.attempt <= new.max_attempts,
        "{name}: attempt {}",
        new.attempt
    );
    if new.created_by.kind == ActorKind::Agent {
        assert!(
            new.requires_approval && new.desktop == desktop_id(1),
            "{name}"
        );
    }
    if let Some(lease) = new.lease.filter(|_| new.status == Running) {
        assert!(
            lease.expires_at <= after.now().plus_seconds(30),
            "{name}: too long a lease"
        );
    }
}

fn is_decision(step: &Step, wanted: Decision) -> bool {
    let Step::Decide { approve, by, .. } = step else {
        return false;
    };
    let kind = actors()[by % actors().len()].identity.kind;
    kind == ActorKind::Human && *approve == (wanted == Decision::Approve)
}

/// An expired or a foreign token changes nothing, accepted or refused.
fn check_token(step: &Step, before: &Account, after: &Account) {
    let (Step::Heartbeat { task, token: which }
    | Step::Upload { task, token: which }
    | Step::Complete {
        task, token: which, ..
    }) = *step
    else {
        return;
    };
    let is_newest = which == 0 && before.tokens.contains_key(&task);
    let lease = before.tasks[task].lease;
    let is_alive = lease.is_some_and(|l| l.expires_at > before.now());
    if !is_newest || !is_alive {
        assert_eq!(before.tasks, after.tasks, "{step:?} with a dead token");
        assert_eq!(
            before.approvals, after.approvals,
            "{step:?} with a dead token"
        );
    }
}

fn check_approval(approval: &Approval, account: &Account) {
    let same = |a: &&Approval| a.task == approval.task && a.attempt == approval.attempt;
    assert_eq!(
        account.approvals.iter().filter(same).count(),
        1,
        "two approvals of one attempt"
    );
    let task = &account.tasks[account.index(approval.task)];
    let expected = match approval.status {
        ApprovalStatus::Pending => Status::Review,
        ApprovalStatus::Approved => Status::Done,
        ApprovalStatus::Rejected => Status::Failed,
        ApprovalStatus::Cancelled => Status::Cancelled,
    };
    assert_eq!(
        task.status, expected,
        "task and approval disagree: {approval:?}"
    );
    let Some(decided) = &approval.decided else {
        assert_eq!(
            approval.status,
            ApprovalStatus::Pending,
            "decided by nobody"
        );
        return;
    };
    assert_ne!(approval.status, ApprovalStatus::Pending);
    assert_eq!(decided.by, human().identity, "somebody else decided");
    if let Some(feedback) = &decided.feedback {
        assert!(!feedback.as_str().trim().is_empty(), "blank feedback");
        assert_ne!(
            approval.status,
            ApprovalStatus::Cancelled,
            "feedback without a decision"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_breaks_the_rule(steps in prop::collection::vec(step(), 1..80)) {
        let mut account = Account::new();
        for step in steps {
            let step = account.aim(step);
            let before = account.clone();
            let answer = account.apply(&step);
            let decided = account.clone();
            account.follow();
            check(&step, answer.is_err(), &before, &decided);
            // dependents follow in a step of their own, on nobody's command
            check(&Step::Sweep, false, &decided, &account);
        }
    }
}

/// The sequences above are worth something only if they get everywhere.
#[test]
fn random_sequences_reach_every_status_and_approval() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut statuses = BTreeMap::<Status, u32>::new();
    let mut approvals = BTreeMap::<&str, u32>::new();
    let mut fed_back = 0;
    for _ in 0..300 {
        let steps = prop::collection::vec(step(), 80)
            .new_tree(&mut runner)
            .expect("steps")
            .current();
        let mut account = Account::new();
        for step in steps {
            let _refused = account.apply(&account.aim(step)).is_err();
            account.follow();
        }
        for task in &account.tasks {
            *statuses.entry(task.status).or_default() += 1;
        }
        for approval in &account.approvals {
            *approvals.entry(approval.status.as_str()).or_default() += 1;
            fed_back += u32::from(
                approval
                    .decided
                    .as_ref()
                    .is_some_and(|d| d.feedback.is_some()),
            );
        }
    }
    assert!(
        Status::ALL.iter().all(|s| statuses.get(s) > Some(&20)),
        "{statuses:?}"
    );
    assert!(
        ApprovalStatus::ALL
            .iter()
            .all(|s| approvals.get(s.as_str()) > Some(&5)),
        "{approvals:?}"
    );
    assert!(fed_back > 20, "{fed_back}");
}

/// G9: ten years of sweeps, and whatever waited still waits.
#[test]
fn time_alone_approves_nothing() {
    let (mut task, approval) = in_review(&wish());
    let before = task.clone();
    for year in 1..=10 {
        let now = at(year * 365 * 86_400);
        assert_eq!(task.expire_lease(now), LeaseEnd::Alive);
        assert!(!task.time_out(now));
        task.rearm_lease(now);
        assert_eq!(task.heartbeat(token(1), now), Err(Refusal::LeaseLost));
        assert_eq!(consequence(&task, &[]), Consequence::Nothing);
    }
    assert_eq!(task, before);
    assert_eq!(approval.status, ApprovalStatus::Pending);
    assert_eq!(approval.decided, None);
}
