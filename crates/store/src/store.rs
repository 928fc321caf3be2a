//! The store of a server: one writer, one sweeper, a pool of readers.

use std::sync::Arc;

use approval_core::{AccountId, Part, Principal, Report};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::command::{Answered, Change, Command, Idempotency, Leased, Request, SubmitError};
use crate::connection::{Conn, ConnectError, Role};
use crate::dialect;
use crate::durability;
use crate::migrations::{self, MigrationError};
use crate::notify::Hints;
use crate::pool::{ReadError, ReadPool};
use crate::reads::Reads;
use crate::server_lock::{LockError, ServerLock};
use crate::sweeper::Sweeper;
use crate::url::DatabaseUrl;
use crate::writer::Writer;
use crate::writer::batch::Batcher;
use crate::writer::reserve::Reserve;

/// Hints that a slow listener may fall behind before it must look at everything again.
const HINTS: usize = 4_096;
/// How often evidence is hashed again because uploads came between.
const PREPARATIONS: u32 = 5;

/// What is usually kept of a disk, in bytes. A batch of uploads may go beyond by some MiB, in the write-ahead
/// log and in the database; a decision takes a few KiB of each.
pub const DISK_RESERVE: u64 = 64 << 20;

/// What a store needs to know.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Which database.
    pub url: DatabaseUrl,
    /// Most connections for reading.
    pub readers: u32,
    /// Bytes of the disk of SQLite that are kept for decisions: while less is free, uploads and new tasks
    /// are refused with [`SubmitError::NoRoom`]. 0 keeps none.
    pub disk_reserve: u64,
}

impl StoreConfig {
    /// The usual configuration for a database.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            readers: 4,
            disk_reserve: DISK_RESERVE,
        }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The schema is older than this program.
    #[error("{database} lacks {} migration(s): {}; run `migrate run --database-url …` first", pending.len(), pending.join(", "))]
    Pending {
        /// Which database.
        database: String,
        /// The names of the missing migrations.
        pending: Vec<String>,
    },
    /// The state of the schema could not be read.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// Somebody else has the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The write-ahead log could not be folded back.
    #[error("cannot checkpoint the database: {0}")]
    Checkpoint(diesel::result::Error),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// All persistence of a server. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writer: Arc<Writer>,
    sweeper: Sweeper,
    pool: ReadPool,
    clock: Clock,
    changes: broadcast::Sender<Change>,
    hints: Option<Hints>,
}

/// The end of an attempt, as a runner reports it.
#[derive(Debug, Clone)]
pub struct CompleteRequest {
    /// Whose world.
    pub account: AccountId,
    /// The credential.
    pub principal: Principal,
    /// For retries.
    pub idempotency: Option<Idempotency>,
    /// Which attempt.
    pub lease: Leased,
    /// What the runner says.
    pub report: Report,
    /// The output it names.
    pub output: Option<Vec<u8>>,
    /// How many log entries it sent.
    pub log_entries: Option<u64>,
}

impl Store {
    /// Opens the database and starts the threads. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]: migrations are missing, another server has the database, or it cannot be
    /// reached.
    pub fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        let url = &config.url;
        let pending = migrations::pending(url)?;
        if !pending.is_empty() {
            return Err(OpenError::Pending {
                database: url.to_string(),
                pending,
            });
        }
        let lock = ServerLock::acquire(url)?;
        // after an I/O error only this tells what is really on the disk
        let mut conn = Conn::open(url, Role::Writer)?;
        dialect::checkpoint(&mut conn).map_err(OpenError::Checkpoint)?;
        drop(conn);
        for setting in durability::weak_settings(url)? {
            tracing::warn!(
                setting,
                "PostgreSQL runs with this off: decisions that were acknowledged are lost when it crashes"
            );
        }
        let clock = Clock::start();
        let pool = ReadPool::open(url, config.readers)?;
        let (changes, _) = broadcast::channel(HINTS);
        let reserve = Reserve::new(url, config.disk_reserve);
        let batcher = Batcher::new(url.clone(), clock, reserve);
        let hints = Hints::start(url, &changes);
        let outgoing = hints.as_ref().map(Hints::outgoing);
        let writer = Arc::new(Writer::start(batcher, changes.clone(), outgoing)?);
        // on SQLite this process is the only server: while it was down no runner could be heard
        let rearm = matches!(url, DatabaseUrl::Sqlite(_));
        let sweeper = Sweeper::start(pool.clone(), Arc::clone(&writer), clock, lock, rearm)?;
        Ok(Self(Arc::new(Inner {
            writer,
            sweeper,
            pool,
            clock,
            changes,
            hints,
        })))
    }

    /// Changes something. The answer comes after the commit.
    ///
    /// # Errors
    /// [`SubmitError`]; all but [`SubmitError::Unavailable`] mean that nothing changed.
    pub async fn submit(&self, request: Request) -> Result<Answered, SubmitError> {
        self.0.writer.submit(request).await
    }

    /// Ends an attempt: hashes what was uploaded, then seals it, again if uploads came between.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn complete(&self, request: CompleteRequest) -> Result<Answered, SubmitError> {
        let output = request.output.as_deref().map(Part::of);
        let task = request.lease.task;
        for _ in 0..PREPARATIONS {
            let prepared = self.read(move |reads| reads.prepare(task, output)).await?;
            let prepared = prepared.ok_or(approval_core::Refusal::NotFound("task"))?;
            let command = Command::Complete {
                lease: request.lease,
                report: request.report.clone(),
                output: request.output.clone(),
                log_entries: request.log_entries,
                prepared: Box::new(prepared),
            };
            let outcome = self.submit(Request {
                account: request.account,
                principal: request.principal.clone(),
                session: None,
                idempotency: request.idempotency,
                command,
            });
            match outcome.await {
                Err(SubmitError::Stale) => {}
                outcome => return outcome,
            }
        }
        Err(SubmitError::Busy)
    }

    /// Reads on a thread that may block.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reads<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (pool, clock) = (self.0.pool.clone(), self.0.clock);
        let reading = tokio::task::spawn_blocking(move || {
            let mut conn = pool.get()?;
            read(&mut Reads::new(&mut conn, clock))
        });
        reading.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a read panicked");
            Err(ReadError::Internal)
        })
    }

    /// Hints of what was committed: by this process at once, by other replicas soon. A listener
    /// that falls behind must look at everything again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    /// Takes no more commands, answers what is queued and ends the threads. Blocks.
    pub fn close(&self) {
        self.0.sweeper.close();
        self.0.writer.close();
        if let Some(hints) = &self.0.hints {
            hints.stop();
        }
    }
}

impl From<ReadError> for SubmitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable => Self::Unavailable,
            ReadError::Internal => Self::Internal,
        }
    }
}
