//! A PostgreSQL that crashes, and connections to it that are killed, under three servers whose
//! clients write: no acknowledged write is lost and none is done twice, clients are told to try again
//! and nothing else, and all goes on by itself (docs/guarantees.md, G1 to G3).
//!
//! `cargo xtask torture postgres` does the same with many more failures.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use test_support::TestDb;
use test_support::server::Server;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::rest::Caller;
use crate::scratch::Scratch;
use crate::site::{API, Desktop, Site, owner_key};
use crate::writes::{DECISIONS, Write, check_rows, check_what_is_there, plans};
use test_support::rounds;

/// How often PostgreSQL crashes, when nobody asks for more.
const CRASHES: usize = 3;
/// Connections that are killed before each crash.
const KILLS: usize = 7;
/// Crashes of one database: it is checked as a whole.
const CHAPTER: usize = 5;
/// Writes between two failures, at least: more than the decisions that there are, over all of them.
const WRITES_BETWEEN: usize = 5;
/// The longest that the servers may take to go on after a failure, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_crashes_costs_its_clients_nothing_but_repeats() {
    let folder = Scratch::new();
    let Some(cluster) = Cluster::start_in(folder.path()) else {
        return;
    };
    let (begin, crashes) = (Instant::now(), rounds(CRASHES));
    let (mut writes, mut refusals, mut slowest) = (0, 0, Duration::ZERO);
    for first in (0..crashes).step_by(CHAPTER) {
        let site = Replicas::start(&cluster, &format!("chapter_{first}"));
        let desktop = Desktop::create(&site.owners[0], "under load").await;
        let mut done = Vec::new();
        let in_chapter = first..crashes.min(first + CHAPTER);
        let others = DECISIONS * in_chapter.len();
        for crash in in_chapter {
            let mut load = Insistent::start(&site.owners, &desktop, crash).await;
            for _ in 0..KILLS {
                slowest = slowest.max(load.go_on().await);
                kill_a_connection(&cluster);
            }
            slowest = slowest.max(load.go_on().await);
            cluster.crash();
            cluster.start();
            slowest = slowest.max(load.go_on().await);
            let (written, told) = load.end().await;
            refusals += told;
            done.extend(written);
        }
        writes += done.len();
        for owner in &site.owners {
            check_what_is_there(owner, &done).await;
        }
        check_rows(&site.owners[0], &done, others).await;
    }
    println!(
        "{crashes} crashes of PostgreSQL and {} killed connections in {:.0} s: {writes} writes, each \
         done once; {refusals} times 503, at most {:.1} s until {WRITES_BETWEEN} writes were done",
        crashes * KILLS,
        begin.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
    );
}

/// Ends one of the connections that our servers have, whichever.
fn kill_a_connection(cluster: &Cluster) {
    let killed = cluster.query(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
         WHERE application_name = 'countersign' ORDER BY random() LIMIT 1) AS one",
    );
    assert_eq!(killed.as_deref(), Ok("1"), "a connection of ours");
}

/// Three servers on one database.
struct Replicas {
    _servers: [Server; 3],
    owners: [Caller; 3],
}

impl Replicas {
    fn start(cluster: &Cluster, database: &str) -> Self {
        let url = cluster.create_database(database);
        let key = owner_key(&url);
        let servers = [(); 3].map(|()| Server::serve(API, &url));
        let owners = servers
            .each_ref()
            .map(|server| Caller::new(server.url(), &key));
        Self {
            _servers: servers,
            owners,
        }
    }
}

/// Clients that repeat each of their writes until it is done, until they are told to end.
struct Insistent {
    writers: Vec<JoinHandle<(Vec<Write>, usize)>>,
    done: watch::Receiver<usize>,
    end: watch::Sender<bool>,
}

impl Insistent {
    async fn start(owners: &[Caller; 3], desktop: &Desktop, crash: usize) -> Self {
        let plans = plans(&owners[0], desktop, &format!("crash {crash}")).await;
        Self::with(owners, plans)
    }

    /// Each writer begins at another server.
    fn with(owners: &[Caller], plans: Vec<Vec<Write>>) -> Self {
        let (count, done) = watch::channel(0);
        let (end, ended) = watch::channel(false);
        let writers = plans
            .into_iter()
            .enumerate()
            .map(|(number, plan)| {
                let mut owners = owners.to_vec();
                let first = number % owners.len();
                owners.rotate_left(first);
                tokio::spawn(write_until_told(owners, plan, count.clone(), ended.clone()))
            })
            .collect();
        Self { writers, done, end }
    }

    /// Waits until some more writes are done; how long it took.
    async fn go_on(&mut self) -> Duration {
        let (begin, before) = (Instant::now(), *self.done.borrow());
        let more = self.done.wait_for(|done| *done >= before + WRITES_BETWEEN);
        let went_on = timeout(RECOVERY, more).await;
        assert!(went_on.is_ok(), "nothing was written for {RECOVERY:?}");
        begin.elapsed()
    }

    /// What was done, and how often somebody was told to try again.
    async fn end(self) -> (Vec<Write>, usize) {
        self.end.send_replace(true);
        let ended = join_all(self.writers).await.into_iter();
        let (writes, refusals): (Vec<_>, Vec<_>) = ended.map(|one| one.expect("a writer")).unzip();
        (
            writes.into_iter().flatten().collect(),
            refusals.iter().sum(),
        )
    }
}

/// Writes one after the other, decisions all of them; gives those that were done, and how often it
/// was told to try again.
async fn write_until_told(
    owners: Vec<Caller>,
    plan: Vec<Write>,
    done: watch::Sender<usize>,
    end: watch::Receiver<bool>,
) -> (Vec<Write>, usize) {
    let (mut written, mut refusals) = (Vec::new(), 0);
    for mut write in plan {
        if write.is_creation() && *end.borrow() {
            break;
        }
        refusals += write.insist(&owners).await;
        written.push(write);
        done.send_modify(|count| *count += 1);
    }
    (written, refusals)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_in_a_transaction_holds_up_the_others_for_seconds_only() {
    // PostgreSQL ends its transaction after five
    const HELD: Duration = Duration::from_secs(10);
    let Some(db) = TestDb::migrated_postgres() else {
        return;
    };
    let mut site = Site::start(db);
    let desktop = site.desktop("under load").await;
    let other = Server::serve(API, site.db.url());
    let at_other = site.owner.at(other.url());
    let (creations, mut decisions): (Vec<_>, Vec<_>) = plans(&site.owner, &desktop, "held")
        .await
        .into_iter()
        .partition(|plan| plan.first().is_some_and(Write::is_creation));
    let mut load = Insistent::with([site.owner.clone()].as_slice(), creations);

    load.go_on().await;
    stop_in_a_transaction(&mut site).await;
    let mut decision = decisions[0].remove(0);
    let begin = Instant::now();
    decision.insist(std::slice::from_ref(&at_other)).await;
    let held = begin.elapsed();
    assert!(held < HELD, "{held:?}");
    site.server.process().resume();

    load.go_on().await;
    let (mut done, _) = load.end().await;
    done.push(decision);
    for owner in [&site.owner, &at_other] {
        check_what_is_there(owner, &done).await;
    }
    check_rows(&at_other, &done, DECISIONS).await;
    println!("held up for {:.1} s", held.as_secs_f64());
}

/// Stops a server that is busy at a moment at which it holds the account.
async fn stop_in_a_transaction(site: &mut Site) {
    let is_held = |db: &TestDb| {
        let held = db.query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND state = 'idle in transaction' AND backend_xid IS NOT NULL",
        );
        held != Ok(Some("0".to_owned()))
    };
    loop {
        site.server.process().stop();
        // whatever the database still had to do for it is done by then
        sleep(Duration::from_millis(200)).await;
        if is_held(&site.db) {
            return;
        }
        site.server.process().resume();
        sleep(Duration::from_millis(7)).await;
    }
}
