//! A backup that is taken while clients write is one moment of the database: everything that was
//! acknowledged before it began is in it, nothing is there by half, its log is whole, and a server on it
//! goes on (docs/guarantees.md, G1 and G15). On PostgreSQL the lines of docs/operations.md do it.
//!
//! `cargo xtask torture backup` does the same with many more restores.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use tempfile::TempDir;
use test_support::server::{Server, program};
use test_support::{Engine, TestDb, rounds};

use crate::audit::{export, head, said, verify};
use crate::backup::{back_up, backed_up, documented};
use crate::cluster;
use crate::site::{API, Desktop, Site, on_every_engine};
use crate::writes::{
    DECISIONS, Load, Told, WRITERS, Write, check_evidence, check_rows, check_what_is_there, repeat,
};

/// How often a database is restored, when nobody asks for more.
const RESTORES: usize = 5;
/// Restores one after the other, each a backup of the one before: each is checked as a whole.
const CHAPTER: usize = 10;
/// What must have been acknowledged since a backup ended before the power goes: it was taken in the
/// midst of writes.
const AFTERWARDS: usize = 4;

#[test]
fn a_backup_under_load_is_one_moment_and_a_server_goes_on_from_it() {
    let restores = rounds(RESTORES);
    on_every_engine(async |db| {
        let (engine, begin) = (db.engine(), Instant::now());
        let mut told = Told::default();
        let mut db = Some(db);
        for first in (0..restores).step_by(CHAPTER) {
            let db = db.take().or_else(|| TestDb::migrated(engine));
            let numbers = first..restores.min(first + CHAPTER);
            told += chapter(db.expect("a database"), numbers).await;
        }
        assert!(told.creations > WRITERS && told.decisions > WRITERS);
        let seconds = begin.elapsed().as_secs_f64();
        println!("{engine:?}: {restores} restores in {seconds:.0} s; {told}");
    });
}

/// Restores a database from a backup of itself, again and again.
async fn chapter(db: TestDb, numbers: std::ops::Range<usize>) -> Told {
    let mut site = Site::start(db);
    let desktop = site.desktop("under load").await;
    let (mut kept, mut told, others) = (Vec::new(), Told::default(), DECISIONS * numbers.len());
    for number in numbers {
        let (backup, writes) = back_up_under_load(&mut site, &desktop, number).await;
        site = backup.restore(&site);
        let owner = &site.owner;
        check_what_is_there(owner, writes.iter().chain(&kept)).await;
        check_evidence(owner, &writes).await;
        told += Told::by(&writes);
        kept.extend(repeat(owner, writes).await);
    }
    check_what_is_there(&site.owner, &kept).await;
    check_rows(&site.owner, &kept, others).await;
    told
}

/// Takes a backup while many clients write, and ends the server some time after it. Gives every write
/// that was sent; what was acknowledged after the backup began counts as unknown.
async fn back_up_under_load(
    site: &mut Site,
    desktop: &Desktop,
    number: usize,
) -> (Backup, Vec<Write>) {
    let mut load = Load::start(&site.owner, desktop, &format!("restore {number}")).await;
    // another moment each time, from the first write to the time after the last decision
    let before = 1 + number * 13 % 71;
    load.acknowledged(before).await;
    let moment = Instant::now();
    let (engine, url) = (site.db.engine(), site.db.url().to_owned());
    let taking = tokio::task::spawn_blocking(move || Backup::take(engine, &url));
    let backup = taking.await.expect("a backup");
    load.acknowledged(before + AFTERWARDS).await;
    site.server.process().kill();
    let mut writes = load.end().await;
    for write in &mut writes {
        write.forget_after(moment);
    }
    (backup, writes)
}

/// A file that a database can be restored from.
struct Backup {
    engine: Engine,
    folder: TempDir,
    /// Where the log ended before the backup began.
    head_before: String,
    /// Where the log ends in it, as far as the program says so.
    head: Option<String>,
}

/// The file's name; on PostgreSQL the documented one.
const NAME: &str = "countersign.dump";

impl Backup {
    fn take(engine: Engine, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let head_before = crate::site::administer(url, &["audit", "head"]);
        let head_before = crate::site::printed(&head_before);
        let head = match engine {
            Engine::Sqlite => {
                let (_, _, heads) = backed_up(&back_up(url, &folder.path().join(NAME)));
                let head = heads[0].split_once('=').expect("ACCOUNT=SEQ:HASH").1;
                Some(head.to_owned())
            }
            Engine::Postgres => {
                succeed(&run_documented("pg_dump", url, folder.path()));
                None
            }
        };
        Self {
            engine,
            folder,
            head_before,
            head,
        }
    }

    /// Restores it as an operator would, looks at it, and starts a server on it.
    fn restore(&self, site: &Site) -> Site {
        let db = match self.engine {
            Engine::Sqlite => TestDb::restored_sqlite(&self.folder.path().join(NAME)),
            Engine::Postgres => {
                let db = TestDb::postgres().expect("the server of the one before");
                succeed(&run_documented("pg_restore", db.url(), self.folder.path()));
                db
            }
        };
        self.check(&db, &site.db);
        let server = Server::serve(API, db.url());
        let owner = site.owner.at(server.url());
        Site { server, owner, db }
    }

    /// What must be true of every restored database, before a server touches it.
    fn check(&self, db: &TestDb, origin: &TestDb) {
        assert_eq!(db.schema(), origin.schema());
        if self.engine == Engine::Sqlite {
            let intact = db.query_scalar("PRAGMA integrity_check");
            assert_eq!(intact, Ok(Some("ok".to_owned())));
            // PostgreSQL checks them while it restores
            let dangling = db.query("SELECT * FROM pragma_foreign_key_check");
            assert_eq!(dangling, Ok(Vec::new()));
        }
        // the log, each decision against its row and its evidence
        let end = head(db);
        said(&verify(&export(db), &[&self.head_before, &end]), 0);
        if let Some(head) = &self.head {
            assert_eq!(head, &end);
        }
        // and the log of the origin, which went on from there
        said(&verify(&export(origin), &[&end]), 0);
        let decided_without_a_row = db.query_scalar(
            "SELECT (SELECT count(*) FROM approvals WHERE status <> 'pending')
                  - (SELECT count(*) FROM activity WHERE type = 'approval.resolved')",
        );
        assert_eq!(decided_without_a_row, Ok(Some("0".to_owned())));
    }
}

/// Runs the one line of docs/operations.md that begins with a program's name, in a folder.
fn run_documented(name: &str, database_url: &str, folder: &Path) -> Output {
    let line = documented(name);
    shell(&line)
        .current_dir(folder)
        .env("DATABASE_URL", database_url)
        .output()
        .expect("a shell")
}

/// A shell that finds PostgreSQL's programs of the server's own version first.
fn shell(line: &str) -> Command {
    let mut command = program("/bin/sh");
    let binaries = cluster::binaries().expect("there is a server, so there are its programs");
    let script = format!("PATH={}:$PATH\n{line}", binaries.display());
    command.args(["-c", &script]);
    command
}

#[track_caller]
fn succeed(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}
