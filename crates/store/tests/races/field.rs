//! Where races are held: one account, and on PostgreSQL several stores, as several server processes
//! would be.

use std::collections::HashMap;

use approval_core::{AccountId, Approval, Outcome, Principal, Status, TaskId};
use store::{Answer, ApprovalFilter, Command, Request, Store, SubmitError, TaskFilter};
use test_support::{Engine, Runner, Site, Work, check_chain, claim};
use tokio::task::JoinSet;

/// Stores on one PostgreSQL.
const STORES: usize = 3;

pub fn hold(engine: Engine, race: impl AsyncFnOnce(&Field)) {
    let Some(mut site) = Site::open(engine) else {
        return;
    };
    let mut stores = vec![site.store.clone()];
    if engine == Engine::Postgres {
        for _ in 1..STORES {
            stores.push(site.add_replica());
        }
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
        field.site.db.check_totals();
    });
}

/// One account and every store on its database.
pub struct Field {
    pub site: Site,
    pub stores: Vec<Store>,
}

impl Field {
    /// The store of the n-th client.
    pub fn store(&self, n: usize) -> Store {
        self.stores[n % self.stores.len()].clone()
    }

    pub fn request(&self, by: &Principal, command: Command) -> Request {
        self.site.request(by, command)
    }

    /// Submits commands at once, each through the next store, and returns the answers in order.
    pub async fn at_once(&self, requests: Vec<Request>) -> Vec<Result<Answer, SubmitError>> {
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
    pub async fn queue(&self, count: usize, requires_approval: bool) -> Vec<TaskId> {
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
    pub async fn claim_all(&self, claimers: usize) -> Vec<Work> {
        let mut running = JoinSet::new();
        for n in 0..claimers {
            let (store, account) = (self.store(n), self.site.account);
            let runner = self.site.desktop.clone();
            running.spawn(drain(store, account, runner));
        }
        running.join_all().await.into_iter().flatten().collect()
    }

    /// Lets `runners` end what they claimed, each one after the other.
    pub async fn complete_all(&self, works: &[Work], runners: usize) {
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
    pub async fn approvals(&self) -> HashMap<TaskId, Approval> {
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

    pub async fn statuses(&self) -> HashMap<TaskId, Status> {
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
    pub async fn check_log(&self) {
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
