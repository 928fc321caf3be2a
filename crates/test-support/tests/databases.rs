//! Temporary databases are separate, usable from async code and gone afterwards.

use std::path::Path;

use test_support::{Engine, TestDb};

fn each(check: impl Fn(TestDb)) {
    for engine in Engine::ALL {
        if let Some(db) = TestDb::empty(engine) {
            check(db);
        }
    }
}

#[test]
fn raw_sql_reports_rows_values_and_refusals() {
    each(|db| {
        db.execute("CREATE TABLE t (x INTEGER CHECK (x > 0), y TEXT)")
            .unwrap();
        assert_eq!(
            db.execute("INSERT INTO t VALUES (1, 'a'), (2, NULL)"),
            Ok(2)
        );
        assert_eq!(db.execute("DELETE FROM t WHERE x = 9"), Ok(0));
        assert_eq!(
            db.query("SELECT x, y FROM t ORDER BY x").unwrap(),
            [
                vec![Some("1".to_owned()), Some("a".to_owned())],
                vec![Some("2".to_owned()), None]
            ]
        );
        assert_eq!(db.query_scalar("SELECT y FROM t WHERE x = 2"), Ok(None));
        assert_eq!(db.query_scalar("SELECT y FROM t WHERE x = 3"), Ok(None));
        let refused = db.execute("INSERT INTO t VALUES (0, 'b')").unwrap_err();
        assert!(refused.to_lowercase().contains("check"), "{refused}");
    });
}

#[test]
fn a_transaction_can_span_calls() {
    each(|db| {
        db.execute("CREATE TABLE t (x INTEGER)").unwrap();
        db.execute("BEGIN").unwrap();
        db.execute("INSERT INTO t VALUES (1)").unwrap();
        db.execute("ROLLBACK").unwrap();
        assert_eq!(
            db.query_scalar("SELECT count(*) FROM t"),
            Ok(Some("0".to_owned()))
        );
    });
}

#[test]
fn two_databases_share_nothing() {
    for engine in Engine::ALL {
        let (Some(one), Some(two)) = (TestDb::migrated(engine), TestDb::migrated(engine)) else {
            continue;
        };
        assert_ne!(one.url(), two.url());
        one.execute("CREATE TABLE only_here (x INTEGER)").unwrap();
        assert!(two.query("SELECT * FROM only_here").is_err());
        assert_eq!(
            store::migrations::pending(&two.url().parse().unwrap()).unwrap(),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_sqlite_file_goes_with_its_database() {
    let db = TestDb::migrated_sqlite();
    let path = db.url().strip_prefix("sqlite://").unwrap().to_owned();
    assert!(Path::new(&path).exists());
    drop(db);
    assert!(!Path::new(&path).exists());
}

#[test]
fn a_postgres_database_goes_even_while_in_use() {
    let (Some(db), Some(witness)) = (TestDb::postgres(), TestDb::postgres()) else {
        return;
    };
    db.execute("SELECT 1").unwrap();
    let name = db.url().rsplit('/').next().unwrap().to_owned();
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(witness.query_scalar(&count), Ok(Some("1".to_owned())));
    drop(db);
    assert_eq!(witness.query_scalar(&count), Ok(Some("0".to_owned())));
}

#[tokio::test]
async fn async_tests_may_use_and_drop_them() {
    for engine in Engine::ALL {
        if let Some(db) = TestDb::migrated(engine) {
            assert_eq!(db.query_scalar("SELECT 1"), Ok(Some("1".to_owned())));
        }
    }
}
