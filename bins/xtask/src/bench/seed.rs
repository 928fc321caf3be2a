//! An account with many tasks, put into the database without the server but along all its rules.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use tokio_postgres::NoTls;

use super::server::program;
use super::{Engine, failed};
use crate::shell::{Failure, Shell};

pub const EMAIL: &str = "bench@example.com";
pub const PASSWORD: &str = "a long password of the bench";
/// When the first task was created, in microseconds; each next one a second later.
const EPOCH: &str = "1790000000000000";
/// A number from 0 to 999 that says what becomes of a task: 600 done, half of them by approval, 150
/// failed, 50 cancelled, 20 pending, 1 running, 179 in review.
const LOT: &str = "((created_at - 1790000000000000) / 1000000 * 7919 % 1000)";
const DIGEST: &str = "ff68d4576a77963107f0df4377bf6f04a02b522f2e21167101f3a3828e8418f0";
/// A person of the only account, and their id.
pub fn create_user(shell: &Shell, url: &str) -> Result<String, Failure> {
    let failure = |e: std::io::Error| failed("user create", &e);
    let mut child = program(shell, "api")
        .args(["user", "create", "--password-stdin", "--email", EMAIL])
        .args(["--database-url", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failure)?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{PASSWORD}").map_err(failure)?;
    }
    let output = child.wait_with_output().map_err(failure)?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(id)
    } else {
        Err(failed("user create", &output.status))
    }
}

/// Where tasks are put without the server.
pub enum Database {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

impl Database {
    pub async fn open(engine: Engine, url: &str) -> Result<Self, Failure> {
        if engine == Engine::Sqlite {
            let open = || {
                let conn = rusqlite::Connection::open(url.trim_start_matches("sqlite://"))?;
                conn.busy_timeout(Duration::from_mins(1))?;
                conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;")?;
                Ok(conn)
            };
            return open()
                .map(Self::Sqlite)
                .map_err(|e: rusqlite::Error| failed("SQLite", &e));
        }
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .map_err(|e| failed("PostgreSQL", &e))?;
        tokio::spawn(connection);
        Ok(Self::Postgres(client))
    }

    pub async fn run(&mut self, statement: &str) -> Result<(), Failure> {
        let start: String = statement.chars().take(200).collect();
        match self {
            Self::Sqlite(conn) => conn
                .execute_batch(statement)
                .map_err(|e| failed(&start, &e)),
            Self::Postgres(client) => client.batch_execute(statement).await.map_err(|e| {
                let said = e.as_db_error().map_or(e.to_string(), ToString::to_string);
                failed(&start, &said)
            }),
        }
    }

    /// The one number that a query gives.
    pub async fn number(&mut self, query: &str) -> Result<f64, Failure> {
        match self {
            Self::Sqlite(conn) => conn
                .query_row(query, [], |row| row.get(0))
                .map_err(|e| failed(query, &e)),
            Self::Postgres(client) => {
                let row = client.query_one(query, &[]).await;
                row.map(|row| row.get(0)).map_err(|e| failed(query, &e))
            }
        }
    }

    /// Bytes of the whole database.
    pub async fn size(&mut self) -> Result<f64, Failure> {
        let query = match self {
            Self::Sqlite(_) => {
                "SELECT CAST(page_count * page_size AS REAL) FROM pragma_page_count(), pragma_page_size()"
            }
            Self::Postgres(_) => "SELECT pg_database_size(current_database())::float8",
        };
        self.number(query).await
    }

    /// What PostgreSQL does by itself in the minutes after.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.run("VACUUM ANALYZE").await,
        }
    }
}

/// SQL of both engines that makes an account with many tasks, along every rule of the database.
pub struct Seed {
    user: String,
    /// What all ids have in common behind their kind.
    stem: String,
}

impl Seed {
    pub fn of(user: &str) -> Result<Self, Failure> {
        let stem = user.split_once('_').and_then(|(_, id)| id.get(..18));
        let stem = stem.ok_or_else(|| failed("user create", &"printed no id"))?;
        Ok(Self {
            user: user.to_owned(),
            stem: stem.to_owned(),
        })
    }

    pub fn id(&self, kind: &str, number: u32) -> String {
        format!("{kind}_{}{number:08}", self.stem)
    }

    /// The same in SQL.
    fn ids(&self, kind: &str, number: &str) -> String {
        let stem = &self.stem;
        format!("'{kind}_{stem}' || substr(CAST(100000000 + {number} AS TEXT), 2)")
    }

    pub fn tasks(&self, engine: Engine, from: u32, to: u32) -> Vec<String> {
        let (user, task) = (&self.user, self.ids("task", "i"));
        let numbers = |from: u32, to: u32| {
            format!(
                "WITH RECURSIVE n (i) AS (SELECT CAST({from} AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {to})"
            )
        };
        let range = numbers(from, to);
        let new = format!("created_at >= {EPOCH} + {from} * CAST(1000000 AS BIGINT)");
        let approved = format!("({LOT} < 300 OR {LOT} > 820)");
        let number = format!("((created_at - {EPOCH}) / 1000000)");
        let mut statements = vec!["BEGIN".to_owned()];
        if from == 1 {
            let desktop = self.ids("desk", "i");
            statements.push(format!(
                "INSERT INTO desktops (id, account_id, name, created_at) {} \
                 SELECT {desktop}, a.id, 'desktop ' || CAST(i AS TEXT), {EPOCH} FROM n, accounts a",
                numbers(1, 20)
            ));
        }
        statements.push(format!(
            "INSERT INTO tasks (id, account_id, type, title, status, desktop_id, requires_approval, gated, auto_run, \
             on_dependency_failure, timeout_seconds, attempt, max_attempts, lineage_id, created_by, created_by_kind, created_at) {range} \
             SELECT {task}, a.id, 'command', 'Release build ' || CAST(i AS TEXT) || ' of the service', 'pending', {}, \
             i * 7919 % 1000 < 300 OR i * 7919 % 1000 > 820, i * 7919 % 1000 < 300 OR i * 7919 % 1000 > 820, TRUE, \
             'block', 3600, 0, 3, {task}, '{user}', 'human', {EPOCH} + i * 1000000 FROM n, accounts a",
            self.ids("desk", "(i % 20 + 1)")
        ));
        statements.push(format!(
            "INSERT INTO task_contents (task_id, account_id, content) {range} \
             SELECT {task}, a.id, 'make release && make deploy' FROM n, accounts a"
        ));
        statements.push(format!(
            "UPDATE tasks SET status = 'running', attempt = 1, queued_seq = 1, started_at = created_at WHERE {new} AND ({LOT} < 750 OR {LOT} > 819)"
        ));
        statements.push(format!(
            "UPDATE tasks SET status = 'cancelled', completed_at = created_at WHERE {new} AND {LOT} BETWEEN 750 AND 799"
        ));
        if from == 1 {
            statements.extend(self.log(engine));
            statements.extend(self.files(engine));
        }
        statements.extend([
            format!("INSERT INTO evidence (account_id, task_id, attempt, sha256, manifest, sealed_at) SELECT account_id, id, 1, '{DIGEST}', '{{}}', created_at FROM tasks WHERE {new} AND {approved}"),
            format!("UPDATE tasks SET status = 'review', evidence_sha256 = '{DIGEST}', completed_at = created_at, exit_code = 0 WHERE {new} AND {approved}"),
            format!("INSERT INTO approvals (id, account_id, task_id, attempt, status, reason, evidence_sha256, created_at) SELECT {}, account_id, id, 1, 'pending', 'task', '{DIGEST}', created_at FROM tasks WHERE {new} AND {approved}", self.ids("appr", &number)),
            format!("UPDATE approvals SET status = 'approved', decided_at = created_at, decided_by = '{user}', decided_by_kind = 'human' WHERE {new} AND {LOT} < 300"),
            format!("UPDATE tasks SET status = 'done', completed_at = created_at, exit_code = 0 WHERE {new} AND {LOT} < 600"),
            format!("UPDATE tasks SET status = 'failed', completed_at = created_at, exit_code = 1 WHERE {new} AND {LOT} BETWEEN 600 AND 749"),
            format!("INSERT INTO activity (account_id, seq, type, payload, actor_id, actor_kind, actor_name, at, prev_hash, hash) {range} \
             SELECT a.id, a.head_seq + i - {from} + 1, 'task.created', '{{\"taskId\":\"' || {task} || '\"}}', '{user}', 'human', 'bench', {EPOCH} + i * 1000000, '{DIGEST}', '{DIGEST}' FROM n, accounts a"),
            format!("UPDATE accounts SET head_seq = head_seq + {to} - {from} + 1, head_hash = '{DIGEST}'"),
            "COMMIT".to_owned(),
        ]);
        statements
    }

    /// A log of 4 MiB.
    fn log(&self, engine: Engine) -> Vec<String> {
        let task = self.id("task", 1);
        let line = "compiling module after module, which takes a while and says little\n";
        let bytes = literal(engine, &line.repeat(65_536 / line.len() + 1)[..65_536]);
        let insert = |seq: u32| {
            format!(
                "INSERT INTO log_entries (account_id, task_id, attempt, seq, stream, at, in_tail, size, sha256, bytes) \
             SELECT id, '{task}', 1, {seq}, 'stdout', {EPOCH}, FALSE, 65536, '{DIGEST}', {bytes} FROM accounts"
            )
        };
        (1..=64).map(insert).collect()
    }

    /// 100 changed files.
    fn files(&self, engine: Engine) -> Vec<String> {
        let task = self.id("task", 2);
        let diff = format!(
            "@@ -1,20 +1,40 @@\n{}{}",
            "-the old line of the file\n".repeat(20),
            "+the new line of the file\n".repeat(40)
        );
        let (size, diff) = (diff.len(), literal(engine, &diff));
        let insert = |n: u32| {
            let path = literal(engine, &format!("src/module_{n:03}.rs"));
            format!(
                "INSERT INTO files (account_id, task_id, attempt, n, path, path_sha256, change, diff_size, diff_sha256, truncated, added_lines, removed_lines) \
             SELECT id, '{task}', 1, {n}, {path}, '{n:064}', 'modified', {size}, '{DIGEST}', FALSE, 40, 20 FROM accounts; \
             INSERT INTO file_bytes (account_id, task_id, attempt, n, part, bytes) SELECT id, '{task}', 1, {n}, 'diff', {diff} FROM accounts"
            )
        };
        (1..=100).map(insert).collect()
    }

    /// Decides what waits, except the newest.
    pub fn approve_all_but(&self, few: u32) -> Vec<String> {
        let user = &self.user;
        let kept = format!(
            "(SELECT id FROM approvals WHERE status = 'pending' ORDER BY id DESC LIMIT {few})"
        );
        vec![
            format!("UPDATE approvals SET status = 'approved', decided_at = created_at, decided_by = '{user}', decided_by_kind = 'human' WHERE status = 'pending' AND id NOT IN {kept}"),
            "UPDATE tasks SET status = 'done' WHERE status = 'review' AND id IN (SELECT task_id FROM approvals WHERE status = 'approved')".to_owned(),
        ]
    }
}

/// Bytes as the engine writes them.
fn literal(engine: Engine, text: &str) -> String {
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    let hex: String = digits.collect();
    match engine {
        Engine::Sqlite => format!("X'{hex}'"),
        Engine::Postgres => format!("'\\x{hex}'::bytea"),
    }
}
