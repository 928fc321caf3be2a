//! `api backup`: what it refuses and how it says so, and what is left when it is killed
//! (docs/operations.md). `restores` has what a backup under load is worth.
//!
//! `cargo xtask torture backup` kills more often.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_support::server::{Process, beside, program};
use test_support::{TestDb, rounds};

use crate::audit::{export, head, said, verify};
use crate::rest::{elements, text};
use crate::site::{API, APPROVALS, Site, TASKS, administer, owner_key, printed};

/// How often it is killed, when nobody asks for more.
const KILLS: usize = 12;
/// Bytes beside the data, so that a copy takes a while.
const BALLAST: usize = 8 << 20;

/// `api backup` to this file.
pub fn back_up(database_url: &str, file: &Path) -> Output {
    administer(database_url, &["backup", path(file)])
}

/// What a backup that succeeded says: path, bytes, and for each account where its log ends.
#[track_caller]
pub fn backed_up(output: &Output) -> (String, u64, Vec<String>) {
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout.clone()).expect("text");
    let line = line.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "one line: {line}");
    let mut parts = line.split('\t').map(str::to_owned);
    let path = parts.next().expect("a path");
    let bytes = parts.next().expect("a size").parse().expect("a number");
    (path, bytes, parts.collect())
}

/// What `api backup` says that fails; nothing of it may be left.
#[track_caller]
fn refused(database_url: &str, file: &Path) -> String {
    let before = names(file.parent().expect("a folder"));
    let output = back_up(database_url, file);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, b"");
    assert_eq!(names(file.parent().expect("a folder")), before);
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.starts_with("api: "), "{message}");
    message
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn path(file: &Path) -> &str {
    file.to_str().expect("temporary paths are UTF-8")
}

fn partial(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.partial", path(file)))
}

/// The file of a SQLite database.
fn file_of(db: &TestDb) -> PathBuf {
    PathBuf::from(db.url().strip_prefix("sqlite://").expect("SQLite"))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A database with an account in which something happened.
fn database() -> TestDb {
    let db = TestDb::migrated_sqlite();
    owner_key(db.url());
    db
}

#[test]
fn a_backup_is_one_private_file_that_says_where_the_logs_end() {
    let (db, folder) = (database(), folder());
    printed(&administer(db.url(), &["account", "create", "--name", "2"]));
    // a URI would end at the first of these
    let file = folder.path().join("a?b#c %41.db");
    let (shown, bytes, heads) = backed_up(&back_up(db.url(), &file));
    assert_eq!(shown, path(&file));
    let metadata = file.metadata().expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), bytes);
    assert_eq!(names(folder.path()).len(), 1, "one file");

    let copy = TestDb::restored_sqlite(&file);
    assert_eq!(copy.schema(), db.schema());
    assert_eq!(copy.rows(), db.rows());
    let ends: Vec<&str> = heads
        .iter()
        .filter_map(|head| head.split_once('='))
        .map(|(_, end)| end)
        .collect();
    let empty = format!("0:{}", "0".repeat(64));
    assert_eq!(ends, [head(&copy).as_str(), &empty]);
    assert!(heads.iter().all(|head| head.starts_with("acct_")));
    assert_eq!(head(&copy), head(&db));
}

#[test]
fn a_backup_replaces_nothing_and_leaves_the_database_alone() {
    let (db, folder) = (database(), folder());
    let file = folder.path().join("copy.db");
    fs::write(&file, "mine").expect("a file");
    assert!(refused(db.url(), &file).contains("exists already"));
    assert_eq!(fs::read_to_string(&file).expect("text"), "mine");
    let link = folder.path().join("link");
    symlink("/nonexistent/target", &link).expect("a link");
    assert!(refused(db.url(), &link).contains("exists already"));

    // by every name of it and of what lies beside it
    let database = file_of(&db);
    let link = folder.path().join("database");
    symlink(&database, &link).expect("a link");
    let own = ["", "-wal", "-shm", "-journal", ".lock"]
        .map(|suffix| PathBuf::from(format!("{}{suffix}", database.display())));
    let home = database.parent().expect("a folder");
    let roundabout = home.join("..").join(home.file_name().expect("a name"));
    let roundabout = roundabout.join(database.file_name().expect("a name"));
    for file in own.iter().chain([&link, &roundabout]) {
        let message = refused(db.url(), file);
        assert!(message.contains("belongs to the database"), "{message}");
    }
    // a database that is called like a left-over
    let odd = folder.path().join("odd.partial");
    fs::copy(&database, &odd).expect("a copy");
    let before = fs::read(&odd).expect("bytes");
    let message = refused(
        &format!("sqlite://{}", odd.display()),
        &folder.path().join("odd"),
    );
    assert!(message.contains("belongs to the database"), "{message}");
    assert_eq!(fs::read(&odd).expect("bytes"), before);
    // and one that has such a name beside its own
    let second = folder.path().join("second.partial");
    fs::hard_link(&database, &second).expect("a second name");
    let message = refused(db.url(), &folder.path().join("second"));
    assert!(message.contains("belongs to the database"), "{message}");
    assert_eq!(fs::read(&second).expect("bytes"), before);
}

#[test]
fn what_is_in_the_way_stays_unless_a_killed_backup_left_it() {
    let (db, folder) = (database(), folder());
    let file = folder.path().join("copy.db");
    let partial = partial(&file);

    fs::write(&partial, "mine").expect("a file");
    assert!(refused(db.url(), &file).contains("in the way"));
    assert_eq!(fs::read_to_string(&partial).expect("text"), "mine");

    fs::remove_file(&partial).expect("ours");
    symlink(file_of(&db), &partial).expect("a link");
    refused(db.url(), &file);
    assert_eq!(
        fs::read_link(&partial).expect("a link"),
        file_of(&db),
        "never followed"
    );

    fs::remove_file(&partial).expect("ours");
    let running = File::create(&partial).expect("a file");
    running.lock().expect("the lock");
    assert!(refused(db.url(), &file).contains("another backup"));
    drop(running);

    for left in [&b""[..], &[0; 5_000], b"SQLite format 3\0 and half of it"] {
        fs::write(&partial, left).expect("a file");
        fs::write(format!("{}-journal", path(&partial)), left).expect("a file");
        backed_up(&back_up(db.url(), &file));
        assert_eq!(names(folder.path()), ["copy.db"]);
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&file).expect("ours");
    }
}

#[test]
fn a_failure_says_what_is_wrong() {
    let (db, folder) = (database(), folder());
    let file = folder.path().join("copy.db");
    for nowhere in ["/nonexistent/copy.db", "/proc/sys/copy.db"] {
        let message = refused(db.url(), Path::new(nowhere));
        assert!(
            message.contains("cannot write") && message.contains(nowhere),
            "{message}"
        );
    }
    let message = refused("sqlite:///nonexistent/a.db", &file);
    assert!(
        message.contains("there is no database /nonexistent/a.db"),
        "{message}"
    );
    let text = folder.path().join("text");
    fs::write(
        &text,
        "no database, but long enough to be asked. ".repeat(100),
    )
    .expect("a file");
    let message = refused(&format!("sqlite://{}", path(&text)), &file);
    assert!(message.contains("not a database"), "{message}");
    let foreign = TestDb::sqlite();
    foreign.execute("CREATE TABLE t (x)").expect("a table");
    let message = refused(foreign.url(), &file);
    assert!(message.contains("not a Countersign database"), "{message}");
    assert!(
        administer(db.url(), &["backup"]).status.code() == Some(2),
        "as every wrong command line"
    );
}

#[test]
fn a_full_disk_ends_a_backup_and_leaves_nothing() {
    let (db, folder) = (database(), folder());
    let file = folder.path().join("copy.db");
    if program("strace").arg("-V").output().is_err() {
        println!("skipped: strace is missing (Debian: apt-get install strace)");
        return;
    }
    let run = |fault: &str| {
        program("strace")
            .args(["--follow-forks", "--output", "/dev/null"])
            .args(["-P", path(&partial(&file)), "-e", fault])
            .args([API, "backup", path(&file)])
            .env("DATABASE_URL", db.url())
            .output()
            .expect("strace")
    };
    for fault in [
        "inject=pwrite64:error=ENOSPC:when=3+",
        "inject=fsync,fdatasync:error=EIO",
    ] {
        let output = run(fault);
        if String::from_utf8_lossy(&output.stderr).contains("Operation not permitted") {
            println!("skipped: strace may not trace here");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{fault}: {output:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        let cause = ["full", "I/O error", "Input/output error"];
        assert!(
            message.contains(path(&partial(&file))) && cause.iter().any(|c| message.contains(c)),
            "{message}"
        );
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
    backed_up(&back_up(db.url(), &file));
}

#[test]
fn what_does_not_pass_its_checks_is_no_backup() {
    let folder = folder();
    let file = folder.path().join("copy.db");

    let altered = database();
    altered
        .execute(
            "DROP TRIGGER activity_no_update;
             UPDATE activity SET actor_name = 'somebody' WHERE seq = 1",
        )
        .expect("altered");
    let message = refused(altered.url(), &file);
    assert!(
        message.contains("seq 1") && message.contains("not as the server wrote it"),
        "{message}"
    );

    let dangling = database();
    dangling
        .execute(
            "PRAGMA foreign_keys = OFF;
             DROP TRIGGER principals_no_delete;
             DELETE FROM principals WHERE kind = 'human'",
        )
        .expect("deleted");
    let message = refused(dangling.url(), &file);
    assert!(message.contains("without their parent"), "{message}");
}

#[test]
fn a_database_is_copied_before_an_update_and_after_going_back() {
    let folder = folder();
    let older = database();
    let migrate = |url: &str, action: &str| {
        let output = program(beside(API, "migrate"))
            .arg(action)
            .env("DATABASE_URL", url)
            .output()
            .expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let migrations = migrate(older.url(), "status").lines().count();
    for _ in 1..migrations {
        migrate(older.url(), "revert");
    }
    let before = older.rows();
    let file = folder.path().join("older.db");
    backed_up(&back_up(older.url(), &file));
    let restored = TestDb::restored_sqlite(&file);
    assert_eq!(restored.rows(), before);
    let pending = migrate(restored.url(), "check");
    assert_eq!(pending.lines().count(), migrations - 1, "{pending}");
    migrate(restored.url(), "run");
    printed(&administer(restored.url(), &["audit", "head"]));

    let newer = database();
    newer
        .execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')")
        .expect("a row");
    backed_up(&back_up(newer.url(), &folder.path().join("newer.db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_takes_the_place_of_the_database_of_a_killed_server() {
    let folder = folder();
    let file = folder.path().join("copy.db");
    let mut site = Site::start(TestDb::migrated_sqlite());
    let desktop = site.desktop("machine").await;
    desktop.tasks_in_review(&site.owner, 3).await;
    let (_, _, heads) = backed_up(&back_up(site.db.url(), &file));
    let tasks = desktop.tasks_in_review(&site.owner, 5).await;
    site.server.process().kill();

    // the lines of docs/operations.md, without the service manager's
    let database = file_of(&site.db);
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", path(&database))).expect("it was killed");
    }
    fs::copy(&file, &database).expect("in its place");
    assert!(heads[0].ends_with(&format!("={}", head(&site.db))));
    site.restart();
    let pending = site.owner.get(APPROVALS).await.is(200);
    assert_eq!(elements(pending).len(), 3);
    let gone = format!("{TASKS}/{}", text(&tasks[0]["id"]));
    site.owner.get(&gone).await.refuses(404, "not-found");
    let desktop = desktop.at(site.server.url());
    desktop.tasks_in_review(&site.owner, 2).await;
    let log = export(&site.db);
    let kept = heads[0].split_once('=').expect("ACCOUNT=SEQ:HASH").1;
    said(&verify(&log, &[kept]), 0);
}

/// The lines of docs/operations.md that begin with this program's name.
pub fn documented(name: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = fs::read_to_string(page).expect("docs/operations.md");
    let begins = format!("{name} ");
    let lines: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(&begins))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].to_owned()
}

#[test]
fn on_postgres_it_shows_the_documented_lines() {
    let folder = folder();
    let url = "postgres://ann:hunter2@127.0.0.1:1/d";
    let message = refused(url, &folder.path().join("copy"));
    for name in ["pg_dump", "pg_restore"] {
        assert!(message.contains(&documented(name)), "{message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

/// A small generator: the moments of a run can be had again.
struct Random(u64);

impl Random {
    /// A part of a time, up to the whole.
    fn part_of(&mut self, time: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let thousandths = u32::try_from((self.0 >> 33) % 1_000).expect("below a thousand");
        time * thousandths / 1_000
    }
}

#[test]
fn a_killed_backup_is_there_whole_or_not_at_all_and_the_next_one_works() {
    let (db, folder, kills) = (database(), folder(), rounds(KILLS));
    db.execute(&format!(
        "CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (randomblob({BALLAST}))"
    ))
    .expect("ballast");
    let file = folder.path().join("copy.db");
    let begin = Instant::now();
    let (_, bytes, heads) = backed_up(&back_up(db.url(), &file));
    let (whole, mut random) = (begin.elapsed(), Random(1));
    fs::remove_file(&file).expect("ours");

    let (mut left, mut ended) = (0, 0);
    for kill in 0..kills {
        let mut backup = Process::start(
            program(API)
                .args(["backup", path(&file)])
                .env("DATABASE_URL", db.url()),
        );
        // every second one is killed only once it has begun to write
        while kill % 2 == 1 && !partial(&file).exists() && backup.ended().is_none() {
            std::thread::yield_now();
        }
        // the first of them at once, the others some time later
        let later = random.part_of(whole);
        std::thread::sleep(if kill == 1 { Duration::ZERO } else { later });
        backup.kill();
        if file.exists() {
            ended += 1;
            assert!(!partial(&file).exists());
        } else {
            left += usize::from(partial(&file).exists());
            let (_, again, ends) = backed_up(&back_up(db.url(), &file));
            assert_eq!((again, &ends), (bytes, &heads));
        }
        let copy = TestDb::restored_sqlite(&file);
        let intact = copy.query_scalar("PRAGMA integrity_check");
        assert_eq!(intact, Ok(Some("ok".to_owned())));
        assert_eq!(copy.rows(), db.rows());
        assert_eq!(names(folder.path()), ["copy.db"]);
        fs::remove_file(&file).expect("ours");
    }
    assert!(left > 0, "never killed while it wrote");
    println!("{kills} backups killed: {left} left a part, {ended} had ended");
}
