//! The migrations: the same on both engines, and each can be undone and applied again.

use std::path::Path;
use std::sync::Arc;

use store::migrations::{self, MigrationError, MigrationState};
use store::server_lock::{LockError, ServerLock};
use store::url::DatabaseUrl;
use test_support::{Engine, Site, TestDb};

fn url(db: &TestDb) -> DatabaseUrl {
    db.url().parse().unwrap()
}

/// The names of the migration directories of one engine, sorted.
fn directories(engine: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut names: Vec<String> = std::fs::read_dir(root.join(engine))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn both_engines_have_the_same_names_and_every_migration_is_embedded() {
    let names = directories("sqlite");
    assert!(!names.is_empty());
    assert_eq!(names, directories("postgres"));
    assert_eq!(migrations::pending(&url(&TestDb::sqlite())).unwrap(), names);
}

/// Undoes the newest `depth` migrations and applies them again, for every depth.
fn up_down_up(engine: Engine) {
    let Some(db) = TestDb::empty(engine) else {
        return;
    };
    let url = url(&db);
    let empty = db.schema();
    let all = migrations::run(&url).unwrap();
    let full = db.schema();
    assert_ne!(full, empty);
    for depth in 1..=all.len() {
        let reverted: Vec<String> = (0..depth)
            .map(|_| migrations::revert(&url).unwrap())
            .collect();
        let newest_first: Vec<String> = all.iter().rev().take(depth).cloned().collect();
        assert_eq!(reverted, newest_first);
        if depth == all.len() {
            assert_eq!(db.schema(), empty, "something survives the last down.sql");
        }
        assert_eq!(migrations::run(&url).unwrap(), all[all.len() - depth..]);
        assert_eq!(db.schema(), full, "down and up again changes the schema");
    }
}

#[test]
fn up_down_up_leaves_the_same_schema_on_sqlite() {
    up_down_up(Engine::Sqlite);
}

#[test]
fn up_down_up_leaves_the_same_schema_on_postgres() {
    up_down_up(Engine::Postgres);
}

/// Totals are counted when their table is made, on a database that is in use already.
fn totals_of_what_was_there(engine: Engine) {
    let Some(site) = Site::open(engine) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let id = site.to_review("approved").await.state.id;
        site.review(id, approval_core::DecisionRequest::approve())
            .await;
        site.to_review("waits").await;
    });
    let db = Arc::clone(&site.db);
    drop(site);
    while migrations::revert(&url(&db)).unwrap() != "2026-11-25-060000_totals" {}
    migrations::run(&url(&db)).unwrap();
    db.check_totals();
    let query = "SELECT kind, status, number FROM totals ORDER BY kind, status";
    let rows = db.query(query).unwrap();
    let rows: Vec<String> = rows
        .into_iter()
        .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "approval approved 1",
        "approval pending 1",
        "task done 1",
        "task review 1",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn totals_of_what_was_there_are_counted_on_sqlite() {
    totals_of_what_was_there(Engine::Sqlite);
}

#[test]
fn totals_of_what_was_there_are_counted_on_postgres() {
    totals_of_what_was_there(Engine::Postgres);
}

#[test]
fn reverting_nothing_is_an_error() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::empty(engine) else {
            continue;
        };
        assert!(matches!(
            migrations::revert(&url(&db)),
            Err(MigrationError::NothingApplied)
        ));
    }
}

#[test]
fn looking_changes_nothing() {
    let file = TestDb::sqlite();
    migrations::status(&url(&file)).unwrap();
    let path = file.url().strip_prefix("sqlite://").unwrap();
    assert!(!Path::new(path).exists(), "status made a database");

    if let Some(db) = TestDb::postgres() {
        migrations::status(&url(&db)).unwrap();
        assert_eq!(
            db.query_scalar("SELECT to_regclass('__diesel_schema_migrations')"),
            Ok(None)
        );
    }
}

#[test]
fn a_migration_of_a_newer_release_is_accepted_and_not_reverted() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::migrated(engine) else {
            continue;
        };
        db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')")
            .unwrap();
        let url = url(&db);
        assert!(migrations::pending(&url).unwrap().is_empty());
        let last = migrations::status(&url).unwrap().pop().unwrap();
        assert_eq!(
            (last.name.as_str(), last.state),
            ("99991231000000", MigrationState::Unknown)
        );
        assert!(migrations::run(&url).unwrap().is_empty());
        assert!(matches!(
            migrations::revert(&url),
            Err(MigrationError::NotOurs(version)) if version == "99991231000000"
        ));
    }
}

/// The first migration fails half way, at a table that exists already: nothing of it may remain.
#[test]
fn a_failed_migration_leaves_nothing_behind() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::empty(engine) else {
            continue;
        };
        let names = directories("sqlite");
        db.execute("CREATE TABLE idempotency (mine INTEGER)")
            .unwrap();
        let before = db.schema();
        match migrations::run(&url(&db)) {
            Err(MigrationError::Failed { name, reason }) => {
                assert_eq!(name, names[0]);
                assert!(reason.contains("idempotency"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(db.schema(), before);
        assert_eq!(migrations::pending(&url(&db)).unwrap(), names);
    }
}

/// Without the lock of the tool, as when PostgreSQL still works for one that was killed.
#[test]
fn of_many_runs_at_the_same_time_each_migration_is_applied_by_one() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::migrated(engine) else {
            continue;
        };
        let (url, full) = (url(&db), db.schema());
        for _ in 0..5 {
            let mut reverted = Vec::new();
            while migrations::pending(&url).unwrap().len() < directories("sqlite").len() - 1 {
                reverted.insert(0, migrations::revert(&url).unwrap());
            }
            let start = std::sync::Barrier::new(4);
            let mut applied: Vec<String> = std::thread::scope(|threads| {
                let runs = [(); 4].map(|()| {
                    threads.spawn(|| {
                        start.wait();
                        migrations::run(&url).unwrap()
                    })
                });
                let done = runs.into_iter().flat_map(|run| run.join().unwrap());
                done.collect()
            });
            applied.sort();
            assert_eq!(applied, reverted, "{engine:?}");
            assert_eq!(db.schema(), full);
        }
    }
}

#[test]
fn servers_share_a_postgres_database_and_keep_migrations_out() {
    let Some(db) = TestDb::postgres() else {
        return;
    };
    let url = url(&db);
    let mut one = ServerLock::acquire(&url).unwrap();
    let two = ServerLock::acquire(&url).unwrap();
    assert!(matches!(
        ServerLock::acquire_exclusive(&url),
        Err(LockError::InUse { .. })
    ));
    drop(two);

    // PostgreSQL forgets the lock with the connection; `renew` takes it again.
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .unwrap();
    one.renew().unwrap();
    assert!(matches!(
        ServerLock::acquire_exclusive(&url),
        Err(LockError::InUse { .. })
    ));
    drop(one);

    let migrating = ServerLock::acquire_exclusive(&url).unwrap();
    assert!(matches!(
        ServerLock::acquire(&url),
        Err(LockError::Migrating { .. })
    ));
    drop(migrating);
    ServerLock::acquire(&url).map(drop).unwrap();
}
