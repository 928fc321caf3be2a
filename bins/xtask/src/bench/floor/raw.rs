//! The floor of writes: a bare program that writes the same rows in the same batches, one transaction
//! a batch, prepared statements, no HTTP, no rules, no hashing. Nothing that keeps the same promises on
//! the same database can be much faster.

use std::time::Instant;

use rusqlite::params;
use tokio_postgres::NoTls;

use crate::bench::load::Measured;
use crate::bench::site::Waiting;
use crate::bench::{Engine, failed};
use crate::shell::Failure;

/// Approves `tasks`, so many a transaction.
pub async fn decide(
    engine: Engine,
    url: &str,
    tasks: &[Waiting],
    batch: usize,
) -> Result<Measured, Failure> {
    let tasks: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
    match engine {
        Engine::Sqlite => sqlite(url, &tasks, batch).map_err(|e| failed("the floor on SQLite", &e)),
        Engine::Postgres => postgres(url, &tasks, batch).await,
    }
}

const PAYLOAD: &str = r#"{"approvalId":"appr_01m85jsk4ye4v9xdns35k19nqx","decision":"approve","status":"approved","taskId":"task_01m85jsk43ez9sj703kqm232vt","taskStatus":"done"}"#;
const HASH: &str = "ff68d4576a77963107f0df4377bf6f04a02b522f2e21167101f3a3828e8418f0";
/// As long as an answer that is kept.
const ANSWER: &str = concat!(
    r#"{"task":{"id":"task_01m85jsk43ez9sj703kqm232vt","type":"command","title":"make release && make deploy","#,
    r#""status":"done","desktopId":"desk_01m85jsk4ye4v9xdns35k19nqx","requiresApproval":true,"gated":true,"#,
    r#""attempt":1,"maxAttempts":1,"createdAt":1790000000000000,"startedAt":1790000000000000,"#,
    r#""completedAt":1790000000000000,"exitCode":0,"evidenceSha256":"#,
    r#""ff68d4576a77963107f0df4377bf6f04a02b522f2e21167101f3a3828e8418f0","review":{"decision":"approve"}}}"#,
);

fn sqlite(url: &str, tasks: &[String], batch: usize) -> rusqlite::Result<Measured> {
    let path = url.trim_start_matches("sqlite://");
    let mut conn = rusqlite::Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA recursive_triggers = ON; PRAGMA wal_autocheckpoint = 1000;",
    )?;
    let (account, mut seq, key): (String, i64, String) = conn.query_row(
        "SELECT a.id, a.head_seq, p.id FROM accounts a JOIN principals p ON p.account_id = a.id WHERE p.kind = 'human'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut measured = Measured::new();
    let started = Instant::now();
    for tasks in tasks.chunks(batch) {
        let sent = Instant::now();
        let transaction =
            conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut approve = transaction.prepare_cached(
                "UPDATE approvals SET status = 'approved', decided_at = 1, decided_by = ?2, decided_by_kind = 'human' WHERE task_id = ?1",
            )?;
            let mut finish =
                transaction.prepare_cached("UPDATE tasks SET status = 'done' WHERE id = ?1")?;
            let mut log = transaction.prepare_cached(
                "INSERT INTO activity (account_id, seq, type, payload, actor_id, actor_kind, actor_name, at, prev_hash, hash) \
                 VALUES (?1, ?2, 'approval.resolved', ?3, ?4, 'human', 'bench', 1, ?5, ?5)",
            )?;
            let mut answer = transaction.prepare_cached(
                "INSERT INTO idempotency (account_id, principal_id, scope, body_sha256, answer, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            )?;
            let mut head = transaction.prepare_cached(
                "UPDATE accounts SET head_seq = ?2, head_hash = ?3 WHERE id = ?1",
            )?;
            for task in tasks {
                seq += 1;
                approve.execute(params![task, key])?;
                finish.execute(params![task])?;
                log.execute(params![account, seq, PAYLOAD, key, HASH])?;
                answer.execute(params![account, key, format!("{task}{HASH}"), HASH, ANSWER])?;
            }
            head.execute(params![account, seq, HASH])?;
        }
        transaction.commit()?;
        for _ in tasks {
            measured.note(sent.elapsed());
        }
    }
    measured.elapsed = started.elapsed();
    Ok(measured)
}

async fn postgres(url: &str, tasks: &[String], batch: usize) -> Result<Measured, Failure> {
    let client = connect(url).await?;
    let floor = |e: tokio_postgres::Error| failed("the floor on PostgreSQL", &e);
    let row = client
        .query_one(
            "SELECT a.id, a.head_seq, p.id FROM accounts a JOIN principals p ON p.account_id = a.id WHERE p.kind = 'human'",
            &[],
        )
        .await
        .map_err(floor)?;
    let (account, mut seq, key): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
    let mut prepared = Vec::new();
    for statement in [
        "SELECT head_seq FROM accounts WHERE id = $1 FOR NO KEY UPDATE",
        "UPDATE approvals SET status = 'approved', decided_at = 1, decided_by = $2, decided_by_kind = 'human' WHERE task_id = ANY($1)",
        "UPDATE tasks SET status = 'done' WHERE id = ANY($1)",
        "INSERT INTO activity (account_id, seq, type, payload, actor_id, actor_kind, actor_name, at, prev_hash, hash) \
         SELECT $1, s, 'approval.resolved', $2, $3, 'human', 'bench', 1, $4, $4 FROM generate_series($5::bigint, $6::bigint) s",
        "INSERT INTO idempotency (account_id, principal_id, scope, body_sha256, answer, created_at) \
         SELECT $1, $2, t || $3, $3, $4, 1 FROM unnest($5::text[]) t",
        "UPDATE accounts SET head_seq = $2, head_hash = $3 WHERE id = $1",
    ] {
        prepared.push(client.prepare(statement).await.map_err(floor)?);
    }
    let mut measured = Measured::new();
    let started = Instant::now();
    for tasks in tasks.chunks(batch) {
        let sent = Instant::now();
        let first = seq + 1;
        seq += i64::try_from(tasks.len()).unwrap_or_default();
        client.batch_execute("BEGIN").await.map_err(floor)?;
        client
            .query(&prepared[0], &[&account])
            .await
            .map_err(floor)?;
        client
            .execute(&prepared[1], &[&tasks, &key])
            .await
            .map_err(floor)?;
        client
            .execute(&prepared[2], &[&tasks])
            .await
            .map_err(floor)?;
        client
            .execute(
                &prepared[3],
                &[&account, &PAYLOAD, &key, &HASH, &first, &seq],
            )
            .await
            .map_err(floor)?;
        client
            .execute(&prepared[4], &[&account, &key, &HASH, &ANSWER, &tasks])
            .await
            .map_err(floor)?;
        client
            .execute(&prepared[5], &[&account, &seq, &HASH])
            .await
            .map_err(floor)?;
        client.batch_execute("COMMIT").await.map_err(floor)?;
        for _ in tasks {
            measured.note(sent.elapsed());
        }
    }
    measured.elapsed = started.elapsed();
    Ok(measured)
}

pub async fn connect(url: &str) -> Result<tokio_postgres::Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(|e| failed("PostgreSQL", &e))?;
    tokio::spawn(connection);
    Ok(client)
}
