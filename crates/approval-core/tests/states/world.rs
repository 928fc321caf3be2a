//! One account small enough to know all its states, and what can be asked of it.

use std::rc::Rc;

use approval_core::*;

use crate::fixtures::{MODE_OFF, agent, approval_id, at, human, report, task_id, token, wish};

/// A step of the clock in seconds: longer than a first lease, half as long as a lease.
const STEP: i64 = 15;
/// A token that was just handed out; [`World::settle`] gives it the name of the task's last one.
const FRESH: u64 = 9;

/// What the account is made of.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, named where it is set"
)]
pub struct Plan {
    /// The first task requires approval.
    pub flag: bool,
    /// An agent created the first task.
    pub by_agent: bool,
    pub require_evidence: bool,
    /// The dependent starts by itself.
    pub auto_run: bool,
    /// What the end of the first task does to the dependent.
    pub on_dependency_failure: OnDependencyFailure,
    pub attempts: i64,
    /// In seconds.
    pub timeout: i64,
    /// Most retries, of all tasks together.
    pub retries: usize,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Person,
    Agent,
}

impl Who {
    pub const ALL: [Self; 2] = [Self::Person, Self::Agent];

    fn principal(self) -> Principal {
        match self {
            Self::Person => human(),
            Self::Agent => agent(),
        }
    }
}

/// Which evidence a decision names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    None,
    Sealed,
    /// What was, or could have been, sealed instead.
    Other,
}

/// Which runner calls. A claim is anybody's; after it there is one who has the token that the task
/// knows, and all others, who once had another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    Last,
    Earlier,
}

impl Runner {
    pub const ALL: [Self; 2] = [Self::Last, Self::Earlier];

    pub fn token(self) -> Digest {
        token(self as u64)
    }
}

/// Something that is asked, or happens. Tasks are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Run(usize),
    Claim(usize),
    Heartbeat(usize, Runner),
    Upload(usize, Runner),
    Complete(usize, Runner, Outcome),
    Decide(usize, Who, Decision, Named),
    Cancel(usize, Who),
    Retry(usize, Who, Option<bool>),
    Mode,
    Expire(usize),
    TimeOut(usize),
    Clock,
    /// The dependents follow; always next, and on nobody's command.
    Follow,
}

/// One task with all that was said about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Slot {
    pub task: Task,
    pub approvals: Vec<Approval>,
    /// It required approval, or the mode was on, at a claim or when it finished: from our own notes.
    pub owes: bool,
    /// Something was uploaded in this attempt.
    pub uploaded: bool,
    /// The number of the task that it depends on, if any.
    pub parent: Option<usize>,
    /// The state in bytes: what the rules can tell apart.
    key: Vec<u8>,
}

#[derive(Clone)]
pub struct World {
    pub slots: Vec<Rc<Slot>>,
    pub settings: Settings,
    retries_left: usize,
}

/// The one moment at which everything happens: the clock goes on by moving the past away.
pub fn now() -> Timestamp {
    at(1_000_000)
}

/// What is sealed of an attempt, with or without an upload.
fn evidence(task: usize, attempt: u32, uploaded: bool) -> Digest {
    Digest::of(format!("{task} {attempt} {uploaded}").as_bytes())
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        let first = NewTask {
            requires_approval: plan.flag,
            max_attempts: Some(plan.attempts),
            timeout_seconds: Some(plan.timeout),
            ..wish()
        };
        let second = NewTask {
            requires_approval: false,
            auto_run: plan.auto_run,
            on_dependency_failure: plan.on_dependency_failure,
            depends_on: vec![task_id(0)],
            ..first.clone()
        };
        let mut world = Self {
            slots: Vec::new(),
            settings: Settings {
                require_evidence: plan.require_evidence,
                ..MODE_OFF
            },
            retries_left: plan.retries,
        };
        let by = if plan.by_agent {
            Who::Agent
        } else {
            Who::Person
        };
        world.create(&first, by, None).expect("a sound wish");
        world
            .create(&second, Who::Person, Some(0))
            .expect("a sound wish");
        world.settle(None);
        world
    }

    fn create(&mut self, new: &NewTask, by: Who, parent: Option<usize>) -> Result<usize, Refusal> {
        let known = |id: &TaskId| Some(&*self.slots[index(*id)].task);
        let known: Vec<Option<&TaskState>> = new.depends_on.iter().map(known).collect();
        let number = self.slots.len();
        let id = task_id(number as u128);
        let task = Task::create(id, new, &by.principal(), true, &known, now())?;
        self.slots.push(Rc::new(Slot {
            task,
            approvals: Vec::new(),
            owes: false,
            uploaded: false,
            parent,
            key: Vec::new(),
        }));
        Ok(number)
    }

    /// Everything that can be asked, whether or not it makes sense now.
    pub fn commands(&self) -> Vec<Command> {
        use Command::{
            Cancel, Claim, Clock, Complete, Decide, Expire, Heartbeat, Mode, Retry, Run, TimeOut,
            Upload,
        };
        let mut all = vec![Mode, Clock];
        for task in 0..self.slots.len() {
            all.extend([Run(task), Claim(task), Expire(task), TimeOut(task)]);
            for runner in Runner::ALL {
                all.extend([Heartbeat(task, runner), Upload(task, runner)]);
                all.extend(Outcome::ALL.iter().map(|o| Complete(task, runner, *o)));
            }
            for by in Who::ALL {
                all.push(Cancel(task, by));
                all.extend([None, Some(false)].map(|flag| Retry(task, by, flag)));
            }
            for decision in Decision::ALL {
                let named = [Named::None, Named::Sealed, Named::Other];
                all.extend(named.map(|named| Decide(task, Who::Person, *decision, named)));
                all.push(Decide(task, Who::Agent, *decision, Named::Sealed));
            }
        }
        all
    }

    fn slot(&mut self, task: usize) -> &mut Slot {
        Rc::make_mut(&mut self.slots[task])
    }

    /// Does it, as an embedder would; the state is not settled yet.
    ///
    /// # Errors
    /// What the rules say against it.
    pub fn apply(&mut self, command: Command) -> Result<(), Refusal> {
        let settings = self.settings;
        match command {
            Command::Run(task) => {
                let parents = self.parents(task);
                self.slot(task).task.run(&parents)
            }
            Command::Claim(task) => {
                let slot = self.slot(task);
                slot.task.claim(token(FRESH), settings, now())?;
                slot.owes |= slot.task.requires_approval || settings.task_approval_mode;
                slot.uploaded = false;
                Ok(())
            }
            Command::Heartbeat(task, runner) => {
                let slot = self.slot(task);
                slot.task.heartbeat(runner.token(), now()).map(drop)
            }
            Command::Upload(task, runner) => {
                let slot = self.slot(task);
                slot.task.admit_upload(runner.token(), now())?;
                slot.uploaded = true;
                Ok(())
            }
            Command::Complete(task, runner, outcome) => self.complete(task, runner, outcome),
            Command::Decide(task, who, decision, named) => {
                let reviewer = Reviewer::of(&who.principal())?;
                let slot = self.slot(task);
                let (attempt, uploaded) = (slot.task.attempt, slot.uploaded);
                let request = DecisionRequest {
                    decision,
                    feedback: None,
                    evidence_sha256: match named {
                        Named::None => None,
                        Named::Sealed => Some(evidence(task, attempt, uploaded).to_string()),
                        Named::Other => Some(evidence(task, attempt, !uploaded).to_string()),
                    },
                };
                let approval = slot.approvals.last_mut();
                slot.task
                    .decide(approval, &reviewer, &request, settings, now())
            }
            Command::Cancel(task, who) => {
                let slot = self.slot(task);
                let approval = slot.approvals.last_mut();
                slot.task.cancel(approval, &who.principal(), now())
            }
            Command::Retry(task, who, flag) => self.retry(task, who, flag),
            Command::Mode => {
                self.settings.task_approval_mode ^= true;
                Ok(())
            }
            Command::Expire(task) => {
                self.slot(task).task.expire_lease(now());
                Ok(())
            }
            Command::TimeOut(task) => {
                self.slot(task).task.time_out(now());
                Ok(())
            }
            Command::Clock => {
                self.let_time_pass();
                Ok(())
            }
            Command::Follow => {
                self.follow();
                Ok(())
            }
        }
    }

    fn complete(&mut self, task: usize, runner: Runner, outcome: Outcome) -> Result<(), Refusal> {
        let settings = self.settings;
        let slot = self.slot(task);
        let sealed = evidence(task, slot.task.attempt, slot.uploaded);
        let ended =
            slot.task
                .complete(runner.token(), &report(outcome), sealed, settings, now())?;
        if ended != Completion::Repeated {
            slot.owes |= slot.task.requires_approval || settings.task_approval_mode;
        }
        if let Completion::Review(_) = ended {
            let id = approval_id(task as u128 * 8 + slot.approvals.len() as u128);
            slot.approvals
                .push(slot.task.open_approval(id, now()).expect("in review"));
        }
        Ok(())
    }

    fn retry(&mut self, task: usize, who: Who, flag: Option<bool>) -> Result<(), Refusal> {
        let changes = RetryChanges {
            requires_approval: flag,
            ..RetryChanges::default()
        };
        let parent = self.slots[task].parent;
        let new = self.slots[task]
            .task
            .retry("again", &changes, &who.principal())?;
        if self.retries_left == 0 {
            return Ok(()); // beyond what is looked at
        }
        let retry = self.create(&new, who, parent)?;
        self.retries_left -= 1;
        let (old, new) = self.slots.split_at_mut(retry);
        let new = Rc::make_mut(&mut new[0]);
        Rc::make_mut(&mut old[task]).task.link_retry(&mut new.task);
        Ok(())
    }

    /// The newest retry of a task.
    pub fn newest(&self, task: usize) -> usize {
        let next = self.slots[task].task.retried_by;
        next.map_or(task, |next| self.newest(index(next)))
    }

    fn parents(&self, task: usize) -> Vec<Parent> {
        let parent = self.slots[task]
            .parent
            .map(|p| &self.slots[self.newest(p)].task);
        let parent = parent.map(|t| Parent {
            id: t.id,
            status: t.status,
        });
        parent.into_iter().collect()
    }

    fn follow(&mut self) {
        for task in 0..self.slots.len() {
            let parents = self.parents(task);
            match consequence(&self.slots[task].task, &parents) {
                Consequence::Nothing => {}
                Consequence::Start => self.slot(task).task.run(&parents).expect("not blocked"),
                Consequence::Cancel => self.slot(task).task.cancel_by_dependency(),
            }
        }
    }

    fn let_time_pass(&mut self) {
        for slot in &mut self.slots {
            if slot.task.lease.is_some() {
                alter(slot, |state| {
                    let lease = state.lease.as_mut().expect("seen");
                    lease.expires_at = lease.expires_at.plus_seconds(-STEP);
                    state.started_at = state.started_at.map(|t| t.plus_seconds(-STEP));
                });
            }
        }
    }

    /// Brings the state to the one form of all that the rules cannot tell apart; `before` is the settled
    /// state that it came from, if any.
    pub fn settle(&mut self, before: Option<&Self>) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let old = before.and_then(|world| world.slots.get(number));
            if old.is_some_and(|old| Rc::ptr_eq(old, slot)) {
                continue;
            }
            let settled = settled(&slot.task);
            if settled != *slot.task {
                alter(slot, |state| *state = settled);
            }
            let slot = Rc::make_mut(slot);
            // what was sealed matters as long as it can be decided about
            slot.uploaded &= !slot.task.status.is_final();
            slot.key = key(slot);
        }
    }

    /// The state in bytes.
    pub fn key(&self) -> Vec<u8> {
        let mut key = vec![u8::from(self.settings.task_approval_mode)];
        for slot in &self.slots {
            key.extend_from_slice(&slot.key);
        }
        key
    }
}

/// Moments count from now and only while they can matter, and the one token that a task knows (of its
/// lease, or of the end of its last attempt) always has the same name.
fn settled(task: &TaskState) -> TaskState {
    let mut settled = task.clone();
    let due = i64::from(task.timeout_seconds) + TIMEOUT_GRACE_SECONDS;
    let ages = task.lease.is_some() && task.status == Status::Running && due < STEP * 10;
    settled.started_at = task.started_at.map(|started| {
        if ages {
            started.max(now().plus_seconds(-due))
        } else {
            now()
        }
    });
    let token = Runner::Last.token();
    let runs = task.status == Status::Running;
    settled.lease = task.lease.map(|lease| Lease {
        token,
        expires_at: if runs {
            lease.expires_at.max(now())
        } else {
            now()
        },
        heard: runs && lease.heard,
    });
    settled.completed_with = task.completed_with.map(|(_, body)| (token, body));
    settled
}

/// The number of a task.
pub fn index(id: TaskId) -> usize {
    (0..8)
        .find(|n| task_id(*n as u128) == id)
        .expect("one of ours")
}

/// Rewrites what the rules alone may write; only for what they cannot tell apart, and for time.
fn alter(slot: &mut Rc<Slot>, change: impl FnOnce(&mut TaskState)) {
    let slot = Rc::make_mut(slot);
    let mut state = (*slot.task).clone();
    change(&mut state);
    slot.task = Task::restore(state);
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("small")
}

/// Half minutes and the like: the distance from now in seconds.
fn distance(moment: Timestamp) -> u8 {
    let micros = (now().micros() - moment.micros()).abs();
    u8::try_from(micros / 1_000_000).expect("near")
}

/// What the rules can tell apart of one task. Titles, names and words are read by none.
fn key(slot: &Slot) -> Vec<u8> {
    let task = &slot.task;
    let mut key = vec![
        task.status as u8,
        u8::from(task.gated)
            | u8::from(task.requires_approval) << 1
            | u8::from(slot.owes) << 2
            | u8::from(slot.uploaded) << 3
            | u8::from(task.created_by.kind == ActorKind::Agent) << 4,
        byte(task.attempt as usize),
        task.retried_by.map_or(255, |id| byte(index(id))),
        task.retry_of.map_or(255, |id| byte(index(id))),
        task.started_at.map_or(255, distance),
    ];
    if let Some(lease) = task.lease {
        key.extend([100, u8::from(lease.heard), distance(lease.expires_at)]);
    }
    if let Some((_, body)) = task.completed_with {
        let succeeded = body == report(Outcome::Succeeded).body;
        key.extend([101, u8::from(succeeded)]);
    }
    for approval in &slot.approvals {
        key.extend([200 + approval.status as u8, byte(approval.attempt as usize)]);
    }
    key.push(254);
    key
}
