//! Migrations that are killed at any moment: each has happened whole or not at all, the next run goes
//! on from there, and no row is lost (guarantee D9).
//!
//! `cargo xtask torture migrations` does the same with many more kills.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use test_support::server::{Process, beside, program};
use test_support::{Engine, Rows, TestDb, rounds};

use crate::rest::eventually;
use crate::site::{API, Site, on_every_engine, printed};

/// How often the tool is killed, when nobody asks for more.
const KILLS: usize = 12;
/// Tools at the same time.
const RUNNERS: usize = 6;

fn migrate(db: &TestDb, action: &str) -> Command {
    let mut command = program(beside(API, "migrate"));
    command.arg(action).env("DATABASE_URL", db.url());
    command
}

/// What the tool says that succeeds.
#[track_caller]
fn migrated(db: &TestDb, action: &str) -> String {
    let output = migrate(db, action).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// How many migrations the tool calls applied: always the first ones.
#[track_caller]
fn applied(db: &TestDb) -> usize {
    let said = migrated(db, "status");
    let states: Vec<bool> = said
        .lines()
        .map(|line| line.ends_with("  applied"))
        .collect();
    let applied = states.iter().filter(|applied| **applied).count();
    assert!(states[..applied].iter().all(|applied| *applied), "{said}");
    applied
}

/// A database in which something happened, with the schema of the first release.
struct Old {
    db: TestDb,
    /// The schema by the number of applied migrations, from the first release's on.
    schemas: Vec<Rows>,
    /// What a run that nobody disturbs makes of the rows.
    rows: Rows,
    /// How long such a run takes.
    time: Duration,
}

impl Old {
    async fn make(db: TestDb) -> Self {
        let mut site = Site::start(db);
        crate::audit::busy_log(&site).await;
        site.server.process().terminate();
        let Site { db, .. } = site;
        let mut schemas = vec![db.schema()];
        while applied(&db) > 1 {
            migrated(&db, "revert");
            schemas.insert(0, db.schema());
        }
        let begin = Instant::now();
        migrated(&db, "run");
        let time = begin.elapsed();
        let mut old = Self {
            rows: db.rows(),
            db,
            schemas,
            time,
        };
        assert!(old.rows.len() > 50, "there is something to lose");
        old.go_back();
        old
    }

    /// Makes it old again.
    fn go_back(&mut self) {
        for _ in 1..self.schemas.len() {
            migrated(&self.db, "revert");
        }
        assert_eq!(applied(&self.db), 1);
    }

    /// Waits until PostgreSQL has noticed that a client is dead.
    async fn nobody_else_is_connected(&self) {
        if self.db.engine() == Engine::Sqlite {
            return;
        }
        let others = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        eventually("the dead are gone", Duration::from_secs(20), async || {
            (self.db.query_scalar(others) == Ok(Some("0".to_owned()))).then_some(())
        })
        .await;
    }
}

#[test]
fn a_killed_migration_is_whole_or_undone_and_the_next_run_goes_on() {
    let kills = rounds(KILLS);
    on_every_engine(async |db| {
        let mut old = Old::make(db).await;
        let engine = old.db.engine();
        let (mut random, mut stopped_at) = (1_u64, vec![0; old.schemas.len()]);
        for kill in 0..kills {
            let mut run = Process::start(&mut migrate(&old.db, "run"));
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let thousandths = u32::try_from((random >> 33) % 1_100).expect("small");
            std::thread::sleep(old.time * thousandths / 1_000);
            run.kill();
            // every second time at once, while PostgreSQL may still be working for the dead
            if kill % 2 == 0 {
                old.nobody_else_is_connected().await;
                let number = applied(&old.db);
                assert_eq!(old.db.schema(), old.schemas[number - 1], "{number} applied");
                stopped_at[number - 1] += 1;
            }
            migrated(&old.db, "run");
            old.nobody_else_is_connected().await;
            assert_eq!(applied(&old.db), old.schemas.len());
            assert_eq!(Some(&old.db.schema()), old.schemas.last());
            assert_eq!(old.db.rows(), old.rows);
            assert_eq!(migrated(&old.db, "run"), "nothing to apply\n");
            old.go_back();
        }
        println!(
            "{engine:?}: {kills} migrations killed; looked at with 1, 2, … applied: {stopped_at:?}"
        );
    });
}

#[test]
fn of_many_migrations_at_the_same_time_each_happens_once() {
    on_every_engine(async |db| {
        let mut old = Old::make(db).await;
        for _ in 0..3 {
            let runs: Vec<Output> = std::thread::scope(|threads| {
                let runs: Vec<_> = (0..RUNNERS)
                    .map(|_| threads.spawn(|| migrate(&old.db, "run").output().expect("it starts")))
                    .collect();
                let ended = runs.into_iter().map(|run| run.join().expect("a thread"));
                ended.collect()
            });
            let mut done = 0;
            for run in &runs {
                if run.status.success() {
                    let said = String::from_utf8_lossy(&run.stdout);
                    done += said
                        .lines()
                        .filter(|line| line.starts_with("applied "))
                        .count();
                } else {
                    let refused = String::from_utf8_lossy(&run.stderr);
                    assert!(refused.contains("stop"), "{refused}");
                }
            }
            assert_eq!(done, old.schemas.len() - 1, "{runs:?}");
            assert_eq!(Some(&old.db.schema()), old.schemas.last());
            assert_eq!(old.db.rows(), old.rows);
            old.nobody_else_is_connected().await;
            old.go_back();
        }
        migrated(&old.db, "run");
        printed(&crate::site::administer(old.db.url(), &["audit", "head"]));
    });
}
