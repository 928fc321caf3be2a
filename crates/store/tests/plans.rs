//! The lists of the dashboard with 100,000 tasks: served by indexes on both engines.

use approval_core::{ApprovalStatus, Status, TaskId};
use store::{ApprovalFilter, BoardFilter, Scope, TaskFilter};
use test_support::{Engine, Site};

const TASKS: usize = 100_000;

/// Adds done tasks, each with a decided approval, past the store: copies of one that is real.
fn fill(site: &Site, like: TaskId) {
    let (numbers, id) = match site.db.engine() {
        Engine::Sqlite => (
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TASKS}) \
                 SELECT i FROM n"
            ),
            "printf('%026d', i)",
        ),
        Engine::Postgres => (
            format!("SELECT i FROM generate_series(1, {TASKS}) g(i)"),
            "lpad(i::text, 26, '0')",
        ),
    };
    let copy = |table: &str, key: &str, changes: &[(&str, &str)]| {
        let columns = columns(site, table);
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let change = changes.iter().find(|(name, _)| name == column);
                change.map_or_else(|| format!("t.{column}"), |(_, value)| (*value).to_owned())
            })
            .collect();
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM ({numbers}) n, {table} t WHERE t.{key} = '{like}'",
            columns.join(", "),
            values.join(", ")
        )
    };
    let task = format!("'task_' || {id}");
    let approval = format!("'appr_' || {id}");
    // a task is inserted as a pending one, and evidence comes before an approval
    let triggers = match site.db.engine() {
        Engine::Sqlite => {
            let names = site.db.query(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('tasks', 'approvals', 'evidence')",
            );
            let names = names.unwrap().into_iter().flatten().flatten();
            let drops: Vec<String> = names.map(|name| format!("DROP TRIGGER {name}")).collect();
            drops.join("; ")
        }
        Engine::Postgres => "SET session_replication_role = replica;".to_owned(),
    };
    site.db.execute(&triggers).unwrap();
    site.db.execute("BEGIN").unwrap();
    let of_task = [("id", &*task), ("lineage_id", &*task)];
    let of_evidence = [("task_id", &*task)];
    let of_approval = [("id", &*approval), ("task_id", &*task)];
    for sql in [
        copy("tasks", "id", &of_task),
        copy("evidence", "task_id", &of_evidence),
        copy("approvals", "task_id", &of_approval),
    ] {
        site.db.execute(&sql).unwrap();
    }
    // nor do the triggers that keep the totals run
    for sql in [
        "DELETE FROM totals",
        "INSERT INTO totals (account_id, desktop_id, kind, status, number)
         SELECT account_id, desktop_id, 'task', status, count(*) FROM tasks GROUP BY 1, 2, 4",
        "INSERT INTO totals (account_id, desktop_id, kind, status, number)
         SELECT t.account_id, t.desktop_id, 'approval', a.status, count(*)
         FROM approvals a JOIN tasks t ON t.id = a.task_id GROUP BY 1, 2, 4",
    ] {
        site.db.execute(sql).unwrap();
    }
    site.db.execute("COMMIT").unwrap();
    if site.db.engine() == Engine::Postgres {
        site.db.execute("VACUUM ANALYZE tasks").unwrap();
        site.db.execute("VACUUM ANALYZE approvals").unwrap();
    }
}

fn columns(site: &Site, table: &str) -> Vec<String> {
    let sql = match site.db.engine() {
        Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
        Engine::Postgres => format!(
            "SELECT column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}'"
        ),
    };
    let rows = site.db.query(&sql).unwrap();
    rows.into_iter().flatten().flatten().collect()
}

/// The plan of a query, a line a step.
fn plan(site: &Site, sql: &str) -> Vec<String> {
    let (explain, column) = match site.db.engine() {
        Engine::Sqlite => ("EXPLAIN QUERY PLAN", 3),
        Engine::Postgres => ("EXPLAIN", 0),
    };
    let rows = site.db.query(&format!("{explain} {sql}")).unwrap();
    let steps = rows.into_iter().map(|mut row| row.swap_remove(column));
    steps.map(Option::unwrap).collect()
}

/// Neither a whole table is read nor are its rows sorted.
fn is_served_by_an_index(site: &Site, sql: &str) {
    let steps = plan(site, sql);
    for step in &steps {
        let bad = ["SCAN", "TEMP B-TREE", "Seq Scan", "Sort"];
        let scans = bad.iter().any(|word| step.contains(word));
        assert!(!scans, "{sql}\n{steps:#?}");
    }
}

async fn play(engine: Engine) {
    let Some(site) = Site::open(engine) else {
        return;
    };
    let id = site.to_review("a task among many").await.state.id;
    site.review(id, approval_core::DecisionRequest::approve())
        .await;
    site.to_review("waits").await;
    fill(&site, id);
    let account = format!("account_id = '{}'", site.account);
    let desktop = format!("desktop_id = '{}'", site.desktop.id);
    let newest = "ORDER BY id DESC LIMIT 51";
    for filter in [String::new(), format!("AND {desktop}")] {
        for status in ["pending", "done", "failed"] {
            let of = format!("FROM tasks WHERE {account} AND status = '{status}' {filter}");
            is_served_by_an_index(&site, &format!("SELECT * {of} {newest}"));
            is_served_by_an_index(&site, &format!("SELECT * {of} AND id < 'task_1' {newest}"));
            let bound = "ORDER BY id DESC LIMIT 1 OFFSET 4999";
            is_served_by_an_index(&site, &format!("SELECT id {of} {bound}"));
        }
    }
    let all = format!("FROM tasks WHERE {account}");
    is_served_by_an_index(&site, &format!("SELECT id {all} {newest}"));
    is_served_by_an_index(
        &site,
        &format!("SELECT id {all} AND id < 'task_1' {newest}"),
    );
    for status in ["pending", "approved"] {
        let of = format!("FROM approvals WHERE {account} AND status = '{status}'");
        for order in ["id", "id DESC"] {
            let sql = format!("SELECT id, task_id {of} ORDER BY {order} LIMIT 51");
            is_served_by_an_index(&site, &sql);
        }
    }

    let scope = site.everything();
    lists_say_how_many_there_are(&site).await;
    for text in [None, Some("MANY"), Some("nowhere"), Some("Ü")] {
        let filter = BoardFilter {
            text: text.map(str::to_owned),
            limit: 50,
            ..BoardFilter::default()
        };
        let view = site.read(move |reads| reads.board(scope, &filter)).await;
        let done = &view.columns[3];
        let (count, searched) = match text {
            None => (100_001, None),
            Some("MANY") => (5_000, Some(5_000)),
            Some(_) => (0, Some(5_000)),
        };
        assert_eq!((done.count, done.searched), (count, searched));
    }
    let decided = site.read(move |reads| reads.decided_approvals(scope, 50, None));
    assert_eq!(decided.await.total, 100_001);
}

/// Whatever is asked for, the page is the newest and the total is all.
async fn lists_say_how_many_there_are(site: &Site) {
    let scope = site.everything();
    let own = Scope {
        desktop: Some(site.desktop.id),
        ..scope
    };
    for scope in [scope, own] {
        for desktop in [None, Some(site.desktop.id)] {
            for (statuses, total) in [
                (vec![], 100_002),
                (vec![Status::Done], 100_001),
                (vec![Status::Review, Status::Done], 100_002),
                (vec![Status::Failed], 0),
            ] {
                let filter = TaskFilter {
                    statuses,
                    desktop,
                    limit: 50,
                    after: None,
                };
                let page = site.read(move |reads| reads.tasks(scope, &filter)).await;
                assert_eq!(page.total, total, "{desktop:?}");
                let ids: Vec<_> = page.items.iter().map(|view| view.state.id).collect();
                assert_eq!(ids.len(), usize::try_from(total.min(50)).unwrap());
                assert!(ids.windows(2).all(|pair| pair[0] > pair[1]));
            }
        }
        for (status, total) in [
            (None, 100_002),
            (Some(ApprovalStatus::Approved), 100_001),
            (Some(ApprovalStatus::Pending), 1),
        ] {
            let filter = ApprovalFilter {
                status,
                limit: 50,
                after: None,
            };
            let page = site
                .read(move |reads| reads.approvals(scope, &filter))
                .await;
            assert_eq!(page.total, total, "{status:?}");
        }
    }
}

fn on(engine: Engine) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play(engine));
}

#[test]
fn a_large_account_is_served_by_indexes_on_sqlite() {
    on(Engine::Sqlite);
}

#[test]
fn a_large_account_is_served_by_indexes_on_postgres() {
    on(Engine::Postgres);
}
