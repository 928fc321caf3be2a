//! The floor of PostgreSQL without batches: `pgbench`, which decides a task a transaction on the same
//! schema with the same triggers, from 64 clients with prepared statements.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use super::raw::connect;
use crate::bench::failed;
use crate::bench::site::Waiting;
use crate::postgres;
use crate::shell::{Failure, Shell};

const CLIENTS: usize = 64;

/// One decision: the same rows as a decision of the server, and the same lock.
const SCRIPT: &str = r"
SELECT nextval('bench_next') AS n \gset
SELECT account_id AS account, task_id AS task, decider FROM bench_queue WHERE n = :n \gset
BEGIN;
SELECT head_seq + 1 AS seq FROM accounts WHERE id = :account FOR NO KEY UPDATE \gset
UPDATE approvals SET status = 'approved', decided_at = 1, decided_by = :decider, decided_by_kind = 'human' WHERE task_id = :task;
UPDATE tasks SET status = 'done' WHERE id = :task;
INSERT INTO activity (account_id, seq, type, payload, actor_id, actor_kind, actor_name, at, prev_hash, hash)
  SELECT account_id, :seq, 'approval.resolved', payload, :decider, 'human', 'bench', 1, hash, hash FROM bench_queue WHERE n = :n;
INSERT INTO idempotency (account_id, principal_id, scope, body_sha256, answer, created_at)
  SELECT account_id, :decider, task_id || hash, hash, answer, 1 FROM bench_queue WHERE n = :n;
UPDATE accounts SET head_seq = :seq WHERE id = :account;
COMMIT;
";

/// Decides these tasks, in this order; gives decisions a second.
///
/// # Errors
/// When pgbench is missing or fails.
pub async fn decide(shell: &Shell, url: &str, tasks: &[Waiting]) -> Result<f64, Failure> {
    queue(url, tasks).await?;
    let binaries = postgres::find(shell).ok_or_else(|| failed("pgbench", &"no PostgreSQL"))?;
    let mut script = tempfile::NamedTempFile::new().map_err(|e| failed("pgbench", &e))?;
    script
        .write_all(SCRIPT.as_bytes())
        .map_err(|e| failed("pgbench", &e))?;
    let mut pgbench = Command::new(binaries.join("pgbench"));
    pgbench
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={CLIENTS}"))
        .arg(format!("--transactions={}", tasks.len() / CLIENTS))
        .arg(format!("--file={}", script.path().display()))
        .arg(url);
    let said = shell.output(&mut pgbench)?;
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .and_then(|line| line.split_whitespace().next());
    line.and_then(|tps| tps.parse().ok())
        .ok_or_else(|| failed("pgbench", &said))
}

/// The tasks to decide, in a table of their own.
async fn queue(url: &str, tasks: &[Waiting]) -> Result<(), Failure> {
    let client = connect(url).await?;
    let mut rows = String::new();
    for (n, task) in tasks.iter().enumerate() {
        let separator = if n == 0 { "" } else { "," };
        // writing to a string cannot fail
        let _done = write!(rows, "{separator}({},'{}')", n + 1, task.id);
    }
    let statement = format!(
        "DROP TABLE IF EXISTS bench_queue; DROP SEQUENCE IF EXISTS bench_next; CREATE SEQUENCE bench_next;
         CREATE TABLE bench_queue AS
           SELECT w.n::bigint AS n, t.account_id, t.id AS task_id, p.id AS decider, '{{\"taskId\":\"' || t.id || '\"}}' AS payload,
                  repeat('f', 64) AS hash, repeat('x', 600) AS answer
           FROM (VALUES {rows}) w(n, id) JOIN tasks t ON t.id = w.id
           JOIN LATERAL (SELECT id FROM principals WHERE account_id = t.account_id AND kind = 'human' LIMIT 1) p ON true;
         ALTER TABLE bench_queue ADD PRIMARY KEY (n); ANALYZE bench_queue;"
    );
    client
        .batch_execute(&statement)
        .await
        .map_err(|e| failed("pgbench's queue", &e))
}
