//! A disk that reports errors: an error means *unknown*, never *no* (docs/guarantees.md, G1 and G3).
//! The server ends or refuses, after a restart the state is that before or after the write, and a
//! repeat makes it exactly once.
//!
//! `cargo xtask torture io-errors` does the same with many more errors.

use std::time::Instant;

use test_support::TestDb;

use crate::site::{Desktop, Site};
use crate::tracer::Tracer;
use crate::writes::{Write, check_rows, check_what_is_there, repeat};
use test_support::rounds;

/// The error comes at the first, second, … call, in as many rounds.
const ROUNDS: usize = 10;
/// Rounds of one database: each is checked as a whole in every round.
const CHAPTER: usize = 20;
/// Decisions around the call that fails.
const DECISIONS: usize = 4;

/// Synchronises a file with the disk: SQLite uses the one or the other.
const SYNC: &str = "fsync,fdatasync";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_server_and_a_repeat_tells_what_became_of_the_write() {
    fail_again_and_again(SYNC, "EIO", rounds(ROUNDS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_the_server_and_a_repeat_tells_what_became_of_it() {
    fail_again_and_again("pwrite64", "EIO", rounds(ROUNDS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_the_server_goes_on() {
    fail_again_and_again("pwrite64", "ENOSPC", rounds(ROUNDS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_was_synced_before_it_was_answered() {
    const ONE_AFTER_THE_OTHER: usize = 20;
    let mut site = Site::start(TestDb::migrated_sqlite());
    let desktop = site.desktop("one after the other").await;
    let tasks = desktop
        .tasks_in_review(&site.owner, ONE_AFTER_THE_OTHER)
        .await;
    let trace = format!("trace={SYNC}");
    let Some(tracer) = Tracer::attach(site.server.process().id(), &["-e", &trace]) else {
        return;
    };
    for (number, task) in tasks.iter().enumerate() {
        assert!(Write::decision(number, task).try_once(&site.owner).await);
    }
    let calls = tracer.calls();
    let synced = calls.iter().filter(|call| call.contains("-wal>"));
    let synced = synced.count();
    assert!(synced >= ONE_AFTER_THE_OTHER, "{synced}: {calls:#?}");
    println!("{ONE_AFTER_THE_OTHER} decisions one after the other, {synced} syncs");
}

/// What became of the servers whose disk failed.
#[derive(Default)]
struct Ends {
    /// Ended with code 70.
    ended: usize,
    /// Answered 503 and went on.
    refused: usize,
    /// The error was in nothing that somebody waited for.
    unnoticed: usize,
}

/// Lets the first call fail, then the second, and so on.
async fn fail_again_and_again(call: &str, error: &str, rounds: usize) {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    for first in (1..=rounds).step_by(CHAPTER) {
        let mut site = Site::start(TestDb::migrated_sqlite());
        let desktop = site.desktop("on a bad disk").await;
        let (mut kept, mut others) = (Vec::new(), 0);
        for number in first..=rounds.min(first + CHAPTER - 1) {
            let Some(writes) = fail_once(&mut site, &desktop, call, error, number).await else {
                return;
            };
            others += DECISIONS;
            ends.count(&mut site, &writes, error);
            check_what_is_there(&site.owner, writes.iter().chain(&kept)).await;
            kept.extend(repeat(&site.owner, writes).await);
            check_what_is_there(&site.owner, &kept).await;
        }
        check_rows(&site.owner, &kept, others).await;
    }
    let Ends {
        ended,
        refused,
        unnoticed,
    } = ends;
    println!(
        "{error} of {call} at 1..={rounds} in {:.0} s: {ended} servers ended, {refused} refused and \
         went on, {unnoticed} lost nothing by it; every write done once",
        begin.elapsed().as_secs_f64(),
    );
    assert!(unnoticed <= rounds / 2, "hardly an error reached a write");
}

impl Ends {
    /// Notes what became of a server, and starts it again if it has ended.
    fn count(&mut self, site: &mut Site, writes: &[Write], error: &str) {
        if let Some(status) = site.server.process().ended() {
            assert_eq!(status.code(), Some(70), "{status}");
            assert_eq!(error, "EIO", "a full disk is no reason to end");
            self.ended += 1;
            site.restart();
        } else if writes.iter().all(Write::is_acknowledged) {
            self.unnoticed += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// Writes one after the other while one call fails, until there is no answer or 503; gives what was
/// sent. `None` where nothing can be made to fail.
async fn fail_once(
    site: &mut Site,
    desktop: &Desktop,
    call: &str,
    error: &str,
    number: usize,
) -> Option<Vec<Write>> {
    let owner = site.owner.clone();
    let desktop = desktop.at(owner.url());
    let in_review = desktop.tasks_in_review(&owner, DECISIONS).await;
    let inject = format!("inject={call}:error={error}:when={number}");
    let process = site.server.process();
    let tracer = Tracer::attach(process.id(), &["-e", &inject])?;

    let key = |position| format!("{error} {number} task {position}");
    // each write has a sync of its own, so the failing one is among the decisions
    let creations =
        (0..number.saturating_sub(2)).map(|position| Write::creation(&desktop, key(position)));
    let decisions = in_review
        .iter()
        .enumerate()
        .map(|(position, task)| Write::decision(position, task));
    let mut sent = Vec::new();
    for mut write in creations.chain(decisions) {
        let answered = write.try_once(&owner).await;
        sent.push(write);
        if !answered {
            break;
        }
    }
    if error == "EIO" && !sent.iter().all(Write::is_acknowledged) {
        site.server.process().wait();
    }
    let calls = tracer.calls();
    let injected = calls.iter().any(|call| call.contains("INJECTED"));
    assert!(injected, "nothing failed: {calls:#?}");
    Some(sent)
}
