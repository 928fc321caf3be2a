//! Clients that do everything to the same few tasks at the same time, and write down what they asked,
//! what they were told, and in which order. Some stop listening before the answer comes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use approval_core::{
    AccountId, DecisionRequest, Digest, Outcome, Principal, Refusal, Report, TaskId,
};
use store::{
    Answer as Told, Command, CompleteRequest, DecisionTarget, Leased, Request, Scope, Store,
    SubmitError, TaskView,
};
use test_support::{Runner, Site, task};
use tokio::task::JoinSet;

use crate::search::Call;
use crate::spec::{Answer, Op, State, View};

const CLIENTS: usize = 8;
/// Operations of each client.
const OPERATIONS: usize = 100;
const TASKS: usize = 40;
/// How many of them are in play at a time.
const IN_PLAY: usize = 6;
/// Of a hundred calls, how many go unheard.
const UNHEARD: u64 = 4;
/// In a history that took longer a lease may have run out: the first one lasts five seconds.
const LEASES_LAST: Duration = Duration::from_millis(4_500);

/// What all clients did.
pub struct History {
    starts: Vec<State>,
    entries: Vec<Entry>,
    took: Duration,
}

/// A call, and the task it was about, if that is known and it was only one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    task: Option<usize>,
    call: Call,
}

impl History {
    pub fn tasks(&self) -> usize {
        self.starts.len()
    }

    /// The calls that were about a task, or may have been.
    pub fn of_task(&self, task: usize) -> (State, Vec<Call>) {
        let concerns = |entry: &&Entry| entry.task.is_none_or(|t| t == task);
        let mut calls: Vec<Call> = self
            .entries
            .iter()
            .filter(concerns)
            .map(|entry| entry.call)
            .collect();
        if self.took > LEASES_LAST {
            let ends = calls.iter().filter_map(|call| match call.op {
                Op::Claim(token) => Some(Call {
                    op: Op::Expire(token),
                    made: call.made,
                    answered: None,
                }),
                _ => None,
            });
            let ends: Vec<Call> = ends.collect();
            calls.extend(ends);
        }
        (self.starts[task], calls)
    }

    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for Entry { call, .. } in &self.entries {
            let words = |text: String| {
                let end = text.find([' ', '(', '{']).unwrap_or(text.len());
                text[..end].to_owned()
            };
            let answer = call.answered.map_or("unheard".to_owned(), |(_, answer)| {
                words(format!("{answer:?}"))
            });
            let name = format!("{} {answer}", words(format!("{:?}", call.op)));
            *figures.0.entry(name).or_default() += 1;
        }
        figures
    }
}

/// How often what was asked and answered.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, usize>);

impl Figures {
    pub fn add(&mut self, other: &Self) {
        for (name, times) in &other.0 {
            *self.0.entry(name.clone()).or_default() += times;
        }
    }

    /// # Panics
    /// When chance did not find what the histories are for.
    pub fn check_reach(&self) {
        for name in [
            "Run Task",
            "Run NotPending",
            "Claim Task",
            "Heartbeat Beat",
            "Complete Task",
            "Complete LeaseLost",
            "Decide Task",
            "Decide AlreadyDecided",
            "Decide NotInReview",
            "Cancel Task",
            "Mode Done",
            "Read Task",
        ] {
            assert!(self.0.get(name) > Some(&0), "no {name}: {self:?}");
        }
        let unheard = self.0.iter().filter(|(name, _)| name.ends_with("unheard"));
        assert!(unheard.count() > 2, "everything was heard: {self:?}");
    }
}

/// Where the clients meet.
struct Table {
    account: AccountId,
    person: Principal,
    runner: Runner,
    ids: Vec<TaskId>,
    /// Counts beginnings and ends of calls.
    clock: AtomicU64,
    /// The leases that somebody got: task and token.
    leases: Mutex<Vec<(usize, usize)>>,
    tokens: AtomicU64,
    entries: Mutex<Vec<Entry>>,
}

/// Plays a history in the account and on the desktop of the site; `number` seeds what is asked.
pub async fn play(site: &Site, stores: &[Store], number: usize) -> History {
    let mut starts = Vec::new();
    let mut ids = Vec::new();
    for n in 0..TASKS {
        let mut new = site.wish(&n.to_string());
        new.requires_approval = n % 2 == 0;
        new.max_attempts = Some(10);
        starts.push(State::pending(new.requires_approval));
        ids.push(site.create(new).await.state.id);
    }
    let table = Arc::new(Table {
        account: site.account,
        person: site.person.clone(),
        runner: site.desktop.clone(),
        ids,
        clock: AtomicU64::new(0),
        leases: Mutex::default(),
        tokens: AtomicU64::new(0),
        entries: Mutex::default(),
    });
    let began = Instant::now();
    let mut running = JoinSet::new();
    for n in 0..CLIENTS {
        let client = Client {
            table: Arc::clone(&table),
            store: stores[n % stores.len()].clone(),
            dice: Dice(0x9e37_79b9_7f4a_7c15 ^ ((number * CLIENTS + n) as u64 + 1)),
        };
        running.spawn(client.work());
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    // where everything ended up
    let mut reader = Client {
        table: Arc::clone(&table),
        store: stores[0].clone(),
        dice: Dice(1),
    };
    for task in 0..TASKS {
        reader.read(task, None).await;
    }
    let entries = std::mem::take(&mut *table.entries.lock().unwrap());
    History {
        starts,
        entries,
        took: began.elapsed(),
    }
}

/// Random numbers that a seed repeats (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).expect("below the length")
    }
}

struct Client {
    table: Arc<Table>,
    store: Store,
    dice: Dice,
}

impl Client {
    async fn work(mut self) {
        for step in 0..OPERATIONS {
            let first = step * (TASKS - IN_PLAY) / OPERATIONS;
            let task = first + self.dice.index(IN_PLAY);
            let unheard = self.dice.roll(100) < UNHEARD;
            let patience = unheard.then(|| Duration::from_micros(self.dice.roll(4_000)));
            match self.dice.roll(100) {
                0..20 => self.command(task, Op::Run, patience).await,
                20..40 => self.claim(patience).await,
                40..63 => self.run_on(patience).await,
                63..81 => {
                    let approve = self.dice.roll(3) > 0;
                    let task = self.ended().unwrap_or(task);
                    self.command(task, Op::Decide(approve), patience).await;
                }
                81..84 => self.command(task, Op::Cancel, patience).await,
                84..98 => self.read(task, patience).await,
                _ => {
                    let on = self.dice.roll(2) == 0;
                    self.mode(on, patience).await;
                }
            }
        }
    }

    /// Mostly a task that was worked on lately, about which there may be something to decide.
    fn ended(&mut self) -> Option<usize> {
        let recent = self.recent();
        if recent.is_empty() || self.dice.roll(4) == 0 {
            return None;
        }
        Some(recent[self.dice.index(recent.len())].0)
    }

    /// The last leases that somebody got.
    fn recent(&self) -> Vec<(usize, usize)> {
        let leases = self.table.leases.lock().unwrap();
        leases[leases.len().saturating_sub(IN_PLAY)..].to_vec()
    }

    fn tick(&self) -> u64 {
        self.table.clock.fetch_add(1, SeqCst)
    }

    fn note(&self, task: Option<usize>, op: Op, made: u64, answer: Option<Answer>) {
        let answered = answer.map(|answer| (self.tick(), answer));
        let call = Call { op, made, answered };
        self.table
            .entries
            .lock()
            .unwrap()
            .push(Entry { task, call });
    }

    async fn submit(&self, by: &Principal, command: Command) -> Result<Told, SubmitError> {
        let request = Request {
            account: self.table.account,
            principal: by.clone(),
            session: None,
            idempotency: None,
            command,
        };
        Ok(self.store.submit(request).await?.answer)
    }

    /// What a person asks about one task.
    async fn command(&mut self, task: usize, op: Op, patience: Option<Duration>) {
        let id = self.table.ids[task];
        let command = match op {
            Op::Run => Command::RunTask(id),
            Op::Cancel => Command::CancelTask(id),
            Op::Decide(approve) => Command::Decide {
                target: DecisionTarget::Task(id),
                request: if approve {
                    DecisionRequest::approve()
                } else {
                    DecisionRequest::reject("no")
                },
            },
            _ => unreachable!("not a person's: {op:?}"),
        };
        let made = self.tick();
        let told = hear(patience, self.submit(&self.table.person, command)).await;
        self.note(Some(task), op, made, told.map(answer));
    }

    async fn mode(&mut self, on: bool, patience: Option<Duration>) {
        let command = Command::ChangeSettings {
            task_approval_mode: Some(on),
            require_evidence: None,
        };
        let made = self.tick();
        let told = hear(patience, self.submit(&self.table.person, command)).await;
        self.note(None, Op::Mode(on), made, told.map(answer));
    }

    async fn read(&mut self, task: usize, patience: Option<Duration>) {
        let scope = Scope {
            account: self.table.account,
            desktop: None,
        };
        let id = self.table.ids[task];
        let made = self.tick();
        let read = self.store.read(move |reads| reads.task(scope, id));
        let told = hear(patience, read).await;
        let seen = told.map(|read| match read {
            Ok(Some(view)) => shown(&view),
            Ok(None) | Err(_) => Answer::Failure,
        });
        self.note(Some(task), Op::Read, made, seen);
    }

    /// Takes whatever is next, and says at once that the runner lives: a first lease is short.
    async fn claim(&mut self, patience: Option<Duration>) {
        let number = usize::try_from(self.table.tokens.fetch_add(1, SeqCst)).expect("few");
        let command = Command::Claim {
            desktop: self.table.runner.id,
            token: token(number),
        };
        let made = self.tick();
        let told = hear(patience, self.submit(&self.table.runner.agent, command)).await;
        let op = Op::Claim(number);
        match told {
            Some(Ok(Told::Claim(None))) => {}
            Some(Ok(Told::Claim(Some(claim)))) => {
                let id = claim.task.state.id;
                let task = self.table.ids.iter().position(|i| *i == id);
                let task = task.expect("one of ours");
                self.note(Some(task), op, made, Some(shown(&claim.task)));
                self.heartbeat(task, number, None).await;
                self.table.leases.lock().unwrap().push((task, number));
            }
            None => self.note(None, op, made, None),
            Some(other) => self.note(None, op, made, Some(answer(other))),
        }
    }

    /// Goes on with what somebody claimed lately: mostly to its end, by whoever comes first.
    async fn run_on(&mut self, patience: Option<Duration>) {
        let recent = self.recent();
        if recent.is_empty() {
            return;
        }
        let (task, number) = recent[self.dice.index(recent.len())];
        match self.dice.roll(10) {
            0..3 => self.heartbeat(task, number, patience).await,
            n => self.complete(task, number, n < 9, patience).await,
        }
    }

    async fn heartbeat(&mut self, task: usize, number: usize, patience: Option<Duration>) {
        let beat = Command::Heartbeat(self.lease(task, number));
        let made = self.tick();
        let told = hear(patience, self.submit(&self.table.runner.agent, beat)).await;
        self.note(Some(task), Op::Heartbeat(number), made, told.map(answer));
    }

    async fn complete(
        &mut self,
        task: usize,
        number: usize,
        succeeded: bool,
        patience: Option<Duration>,
    ) {
        let outcome = if succeeded {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        };
        let request = CompleteRequest {
            account: self.table.account,
            principal: self.table.runner.agent.clone(),
            idempotency: None,
            lease: self.lease(task, number),
            report: Report::new(outcome, Digest::of(outcome.as_str().as_bytes())),
            output: None,
            log_entries: None,
        };
        let made = self.tick();
        let told = hear(patience, self.store.complete(request)).await;
        let op = Op::Complete(number, succeeded);
        let told = told.map(|told| answer(told.map(|answered| answered.answer)));
        self.note(Some(task), op, made, told);
    }

    fn lease(&self, task: usize, number: usize) -> Leased {
        Leased {
            task: self.table.ids[task],
            token: token(number),
        }
    }
}

/// Listens for so long, or to the end; `None` when nothing was heard. What was asked goes on.
async fn hear<T>(patience: Option<Duration>, asked: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, asked).await.ok(),
        None => Some(asked.await),
    }
}

fn token(number: usize) -> Digest {
    Digest::of(format!("token {number}").as_bytes())
}

fn shown(view: &TaskView) -> Answer {
    Answer::Task(View {
        status: view.state.status,
        attempt: view.state.attempt,
        gated: view.gated,
        approval: view.review.as_ref().map(|review| review.status),
    })
}

/// What the store told, in the words of the model.
fn answer(told: Result<Told, SubmitError>) -> Answer {
    match told {
        Ok(Told::Heartbeat {
            cancel_requested, ..
        }) => Answer::Beat { cancel_requested },
        Ok(Told::Settings(_)) => Answer::Done,
        Ok(told) => shown(&task(told)),
        Err(SubmitError::Refused(refusal)) => match refusal {
            Refusal::NotPending { status } => Answer::NotPending(status),
            Refusal::NotInReview { status } => Answer::NotInReview(status),
            Refusal::AlreadyDecided { approval } => Answer::AlreadyDecided(approval.status),
            Refusal::AlreadyFinal { status } => Answer::AlreadyFinal(status),
            Refusal::LeaseLost => Answer::LeaseLost,
            Refusal::AlreadyCompleted => Answer::AlreadyCompleted,
            _ => Answer::Failure,
        },
        Err(_) => Answer::Failure,
    }
}
