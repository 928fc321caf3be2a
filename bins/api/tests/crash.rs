//! `kill -9` at any moment: nothing acknowledged is lost, nothing is there by half, and a repeat
//! with the same Idempotency-Key tells what became of the rest (docs/guarantees.md, G1 to G3).
//!
//! `cargo xtask torture kills` does the same with many more rounds.

use std::time::Instant;

use test_support::TestDb;

use crate::site::{Desktop, Site, on_every_engine};
use crate::writes::{
    DECISIONS, Load, Told, WRITERS, Write, check_rows, check_what_is_there, repeat,
};
use test_support::rounds;

/// How often a server is killed, when nobody asks for more.
const ROUNDS: usize = 8;
/// Kills of one database: each is checked as a whole after every kill.
const CHAPTER: usize = 8;

#[test]
fn a_killed_server_has_kept_every_word_it_gave() {
    let rounds = rounds(ROUNDS);
    on_every_engine(async |db| {
        let (engine, begin) = (db.engine(), Instant::now());
        let mut told = Told::default();
        let mut db = Some(db);
        for first in (0..rounds).step_by(CHAPTER) {
            let db = db.take().or_else(|| TestDb::migrated(engine));
            let kills = first..rounds.min(first + CHAPTER);
            told += chapter(db.expect("a database"), kills).await;
        }
        assert!(told.unknown >= rounds, "it was idle when killed");
        assert!(told.creations > WRITERS && told.decisions > WRITERS);
        let seconds = begin.elapsed().as_secs_f64();
        println!("{engine:?}: {rounds} kills in {seconds:.0} s; {told}");
    });
}

/// Kills the server of a fresh database, again and again.
async fn chapter(db: TestDb, kills: std::ops::Range<usize>) -> Told {
    let mut site = Site::start(db);
    let desktop = site.desktop("under load").await;
    let (mut kept, mut told, others) = (Vec::new(), Told::default(), DECISIONS * kills.len());
    for kill in kills {
        let writes = load_until_killed(&mut site, &desktop, kill).await;
        site.restart();
        check_what_is_there(&site.owner, writes.iter().chain(&kept)).await;
        each_write_has_a_kept_answer(&site.db);
        told += Told::by(&writes);
        kept.extend(repeat(&site.owner, writes).await);
    }
    check_what_is_there(&site.owner, &kept).await;
    check_rows(&site.owner, &kept, others).await;
    told
}

/// Writes with many clients, kills the server in the midst of it, and gives every write that was
/// sent.
async fn load_until_killed(site: &mut Site, desktop: &Desktop, kill: usize) -> Vec<Write> {
    let mut load = Load::start(&site.owner, desktop, &format!("kill {kill}")).await;
    // another moment each time, from the first write to the time after the last decision
    load.acknowledged(kill * 13 % 71).await;
    site.server.process().kill();
    load.end().await
}

/// A write and the answer that is kept for its repeats are there together or not at all. Of the
/// writes of this site only those of a load have an Idempotency-Key.
fn each_write_has_a_kept_answer(db: &TestDb) {
    let without = db.query_scalar(
        "SELECT (SELECT count(*) FROM tasks WHERE title LIKE 'kill %')
              + (SELECT count(*) FROM approvals WHERE status <> 'pending')
              - (SELECT count(*) FROM idempotency)",
    );
    assert_eq!(without, Ok(Some("0".to_owned())), "writes less answers");
}
