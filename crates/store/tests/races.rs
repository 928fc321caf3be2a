//! Many at once, on PostgreSQL through two stores, as two server processes would be: one winner each
//! time, nothing lost, nothing twice, and nobody pays for a neighbour.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use approval_core::{
    AccountId, Approval, DecisionRequest, Outcome, Principal, Refusal, Status, TaskId,
};
use store::{
    Answer, ApprovalFilter, Command, DecisionTarget, Request, Store, SubmitError, TaskFilter,
};
use test_support::{Engine, Runner, Site, Work, check_chain, claim, on_both_engines};
use tokio::task::JoinSet;

/// Tasks in each race.
const TASKS: usize = 500;

on_both_engines! { hold:
    one_of_four_deciders_wins_each_task,
    thirty_two_claimers_share_the_queue,
    a_bad_command_costs_its_neighbours_nothing,
    no_gated_task_is_done_while_the_mode_flips,
}

fn hold(engine: Engine, race: impl AsyncFnOnce(&Field)) {
    let Some(mut site) = Site::open(engine) else {
        return;
    };
    let mut stores = vec![site.store.clone()];
    if engine == Engine::Postgres {
        stores.push(site.add_replica());
    }
    let field = Field { site, stores };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        race(&field).await;
        field.check_log().await;
    });
}

/// One account and every store on its database.
struct Field {
    site: Site,
    stores: Vec<Store>,
}

impl Field {
    /// The store of the n-th client.
    fn store(&self, n: usize) -> Store {
        self.stores[n % self.stores.len()].clone()
    }

    fn request(&self, by: &Principal, command: Command) -> Request {
        self.site.request(by, command)
    }

    /// Submits commands at once, each through the next store, and returns the answers in order.
    async fn at_once(&self, requests: Vec<Request>) -> Vec<Result<Answer, SubmitError>> {
        let mut running = JoinSet::new();
        let mut answers: Vec<_> = requests.iter().map(|_| None).collect();
        for (n, request) in requests.into_iter().enumerate() {
            let store = self.store(n);
            running.spawn(async move { (n, store.submit(request).await.map(|a| a.answer)) });
        }
        while let Some(done) = running.join_next().await {
            let (n, answer) = done.unwrap();
            answers[n] = Some(answer);
        }
        answers.into_iter().map(Option::unwrap).collect()
    }

    /// Creates and queues tasks.
    async fn queue(&self, count: usize, requires_approval: bool) -> Vec<TaskId> {
        let wishes = (0..count).map(|n| {
            let mut new = self.site.wish(&n.to_string());
            new.requires_approval = requires_approval;
            new.auto_run = true;
            self.request(&self.site.person, Command::CreateTask(new))
        });
        let answers = self.at_once(wishes.collect()).await;
        let ids = answers
            .into_iter()
            .map(|answer| test_support::task(answer.unwrap()).state.id);
        ids.collect()
    }

    /// Lets `claimers` runners empty the queue.
    async fn claim_all(&self, claimers: usize) -> Vec<Work> {
        let mut running = JoinSet::new();
        for n in 0..claimers {
            let (store, account) = (self.store(n), self.site.account);
            let runner = self.site.desktop.clone();
            running.spawn(drain(store, account, runner));
        }
        running.join_all().await.into_iter().flatten().collect()
    }

    /// Lets `runners` end what they claimed, each one after the other.
    async fn complete_all(&self, works: &[Work], runners: usize) {
        let mut running = JoinSet::new();
        for (n, share) in works.chunks(works.len().div_ceil(runners)).enumerate() {
            let store = self.store(n);
            let ends: Vec<_> = share
                .iter()
                .map(|work| self.site.completion(work, Outcome::Succeeded))
                .collect();
            running.spawn(async move {
                for end in ends {
                    store.complete(end).await.unwrap();
                }
            });
        }
        running.join_all().await;
    }

    /// Every approval of the account, by its task.
    async fn approvals(&self) -> HashMap<TaskId, Approval> {
        let scope = self.site.everything();
        let filter = ApprovalFilter {
            limit: 10_000,
            ..ApprovalFilter::default()
        };
        let page = self.site.read(move |reads| reads.approvals(scope, &filter));
        let approvals = page.await.items.into_iter().map(|view| view.approval);
        approvals
            .map(|approval| (approval.task, approval))
            .collect()
    }

    async fn statuses(&self) -> HashMap<TaskId, Status> {
        let scope = self.site.everything();
        let filter = TaskFilter {
            limit: 10_000,
            ..TaskFilter::default()
        };
        let page = self
            .site
            .read(move |reads| reads.tasks(scope, &filter))
            .await;
        page.items
            .into_iter()
            .map(|t| (t.state.id, t.state.status))
            .collect()
    }

    /// Whatever happened, the log has no gap and its hashes chain.
    async fn check_log(&self) {
        let account = self.site.account;
        let rows = self
            .site
            .read(move |reads| reads.activity(account, 0, 100_000))
            .await;
        check_chain(account, &rows);
        assert!(
            rows.is_sorted_by_key(|row| row.at),
            "time goes back in the log"
        );
        let total = self
            .site
            .read(move |reads| reads.activity_total(account))
            .await;
        assert_eq!(total, i64::try_from(rows.len()).unwrap());
    }
}

async fn drain(store: Store, account: AccountId, runner: Runner) -> Vec<Work> {
    let mut works = Vec::new();
    // two empty answers: the first may have met a batch that another claimer shared
    let mut empty = 0;
    while empty < 2 {
        let Some(work) = claim(&store, account, &runner).await.unwrap() else {
            empty += 1;
            continue;
        };
        // the first lease is too short for a slow machine
        let request = Request {
            account,
            principal: runner.agent.clone(),
            session: None,
            idempotency: None,
            command: Command::Heartbeat(work.lease),
        };
        store.submit(request).await.unwrap();
        works.push(work);
    }
    works
}

async fn one_of_four_deciders_wins_each_task(field: &Field) {
    let ids = field.queue(TASKS, true).await;
    let works = field.claim_all(8).await;
    field.complete_all(&works, 32).await;
    let mut people = vec![field.site.person.clone()];
    for _ in 0..3 {
        let key = field
            .site
            .add_key(approval_core::KeyKind::Human, None, None)
            .await;
        people.push(key.1);
    }
    let waiting = field.approvals().await;
    let mut requests = Vec::new();
    for id in &ids {
        let approval = waiting[id].id;
        for (n, person) in people.iter().enumerate() {
            let target = match n % 2 {
                0 => DecisionTarget::Task(*id),
                _ => DecisionTarget::Approval(approval),
            };
            let request = match n {
                0 | 3 => DecisionRequest::approve(),
                _ => DecisionRequest::reject(format!("by {n}")),
            };
            requests.push(field.request(person, Command::Decide { target, request }));
        }
    }
    let answers = field.at_once(requests).await;
    let decided = field.approvals().await;
    for (id, answers) in ids.iter().zip(answers.chunks(people.len())) {
        let stands = &decided[id];
        let mut winners = 0;
        for answer in answers {
            match answer {
                Ok(Answer::Task(view)) => {
                    winners += 1;
                    assert_eq!(view.review.as_ref(), Some(stands));
                }
                Ok(Answer::Approval(view)) => {
                    winners += 1;
                    assert_eq!(view.approval, *stands);
                }
                Err(SubmitError::Refused(Refusal::AlreadyDecided { approval })) => {
                    assert_eq!(**approval, *stands);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1, "{id}");
    }
    let resolved = field
        .site
        .db
        .query_scalar("SELECT count(*) FROM activity WHERE type = 'approval.resolved'");
    assert_eq!(resolved, Ok(Some(TASKS.to_string())));
}

async fn thirty_two_claimers_share_the_queue(field: &Field) {
    let queued: HashSet<TaskId> = field.queue(TASKS, false).await.into_iter().collect();
    let works = field.claim_all(32).await;
    let claimed: HashSet<TaskId> = works.iter().map(Work::id).collect();
    assert_eq!(works.len(), TASKS, "a task was claimed twice, or never");
    assert_eq!(claimed, queued);
    assert!(works.iter().all(|w| w.claim.task.state.attempt == 1));
}

/// Fifty good commands and one that the database chokes on, in the middle of their batch.
async fn a_bad_command_costs_its_neighbours_nothing(field: &Field) {
    let raise = match field.site.db.engine() {
        Engine::Sqlite => {
            "CREATE TRIGGER choke BEFORE INSERT ON tasks WHEN NEW.title = 'choke'
             BEGIN SELECT RAISE(ABORT, 'choked'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.title = 'choke' THEN RAISE EXCEPTION 'choked'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER choke BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION choke()"
        }
    };
    field.site.db.execute(raise).unwrap();
    let reviewed = field.site.to_review("reviewed").await.state.id;
    let mut requests: Vec<Request> = (0..51)
        .map(|n| {
            let content = if n == 25 {
                "choke".to_owned()
            } else {
                n.to_string()
            };
            let create = Command::CreateTask(field.site.wish(&content));
            field.request(&field.site.person, create)
        })
        .collect();
    let target = DecisionTarget::Task(reviewed);
    let request = DecisionRequest::approve();
    let decide = Command::Decide { target, request };
    requests.push(field.request(&field.site.person, decide));
    let answers = field.at_once(requests).await;
    for (n, answer) in answers.iter().enumerate() {
        if n == 25 {
            assert!(matches!(answer, Err(SubmitError::Internal)), "{answer:?}");
        } else {
            assert!(answer.is_ok(), "{n}: {answer:?}");
        }
    }
    let statuses = field.statuses().await;
    assert_eq!((statuses.len(), statuses[&reviewed]), (51, Status::Done));
}

/// Mode, claim and finish in every order that chance finds.
async fn no_gated_task_is_done_while_the_mode_flips(field: &Field) {
    let count = 200;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut running = JoinSet::new();
    for n in 0..2 {
        let (store, done) = (field.store(n), Arc::clone(&done));
        let site = &field.site;
        let flip = |on| {
            let command = Command::ChangeSettings {
                task_approval_mode: Some(on),
                require_evidence: None,
            };
            site.request(&site.person, command)
        };
        let (on, off) = (flip(true), flip(false));
        running.spawn(async move {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for flip in [&on, &off] {
                    store.submit(flip.clone()).await.unwrap();
                    // long enough for some batches to find it so
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            }
        });
    }
    let ids = field.queue(count, false).await;
    let works = field.claim_all(4).await;
    assert_eq!(works.len(), count);
    field.complete_all(&works, 4).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(flipper) = running.join_next().await {
        flipper.unwrap();
    }

    // the log tells in which order it really happened
    let account = field.site.account;
    let rows = field
        .site
        .read(move |reads| reads.activity(account, 0, 100_000))
        .await;
    let mut mode = false;
    let mut gated = HashSet::new();
    let mut finished = HashMap::new();
    for row in &rows {
        let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap();
        let task = || -> TaskId { payload["taskId"].as_str().unwrap().parse().unwrap() };
        match &*row.kind {
            "settings.changed" => mode = payload["taskApprovalMode"].as_bool().unwrap(),
            "task.started" if mode => drop(gated.insert(task())),
            "task.completed" => {
                if mode {
                    gated.insert(task());
                }
                finished.insert(task(), payload["status"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    let statuses = field.statuses().await;
    for id in &ids {
        let expected = if gated.contains(id) { "review" } else { "done" };
        assert_eq!(finished[id], expected);
        assert_eq!(statuses[id].as_str(), expected);
    }
    assert!(
        !gated.is_empty() && gated.len() < count,
        "chance found one order only: {} of {count} were gated",
        gated.len()
    );
}
