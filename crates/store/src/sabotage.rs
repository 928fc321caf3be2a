//! Mistakes on purpose, so that a test suite can be seen to fail: a suite that stays green while the
//! thing it guards is broken proves nothing (docs/guarantees.md).
//!
//! They exist only in a build with `--cfg sabotage`; there the environment variable
//! `COUNTERSIGN_SABOTAGE` names the one that is made. In every other build [`Mistake::made`] is the
//! constant `false`, and `bins/api/tests/sabotage.rs` looks for the variable's name in the program.
//! `bins/xtask/src/controls.rs` says which suite must fail from which.

macro_rules! mistakes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A mistake that one suite must notice.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mistake {
            $($(#[$doc])* $name,)*
        }

        impl Mistake {
            /// How `COUNTERSIGN_SABOTAGE` calls it.
            #[cfg(sabotage)]
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

mistakes! {
    /// A batch on PostgreSQL reads the accounts without locking them.
    NoAccountLock = "no-account-lock",
    /// A batch on SQLite reads before it has the right to write.
    BeginDeferred = "begin-deferred",
    /// SQLite acknowledges commits that are not on the disk.
    SyncNormal = "sync-normal",
    /// Answers are given a moment before the commit.
    AnswerBeforeCommit = "answer-before-commit",
    /// Uploads are taken without the lease.
    UploadWithoutLease = "upload-without-lease",
    /// Uploads are taken after the seal.
    UploadAfterSeal = "upload-after-seal",
    /// The mode is not looked at when an attempt ends.
    ModeForgottenAtFinish = "mode-forgotten-at-finish",
    /// One route asks for no capability.
    RouteUnguarded = "route-unguarded",
    /// One check of whose task it is is left out.
    ForeignTasks = "foreign-tasks",
    /// Answers are not kept for repeats.
    AnswersForgotten = "answers-forgotten",
    /// Pages of another site may change things.
    CrossSite = "cross-site",
    /// A session is believed without the secret of its origin.
    UnboundSessions = "unbound-sessions",
    /// A bad cursor is refused with a status that the OpenAPI document does not name.
    UndocumentedStatus = "undocumented-status",
    /// Looking at a task runs it.
    GetThatActs = "get-that-acts",
    /// The headers of a request are logged, credentials included.
    SecretInLog = "secret-in-log",
    /// A stream goes on after its credential was revoked.
    StreamsForEver = "streams-for-ever",
    /// The log is written in a transaction of its own, after what it records was committed.
    LogAfterCommit = "log-after-commit",
    /// Work is pruned however short ago it was finished or decided.
    PruneRecent = "prune-recent",
    /// A backup is a copy of the database file alone, without its write-ahead log.
    BackupByCopy = "backup-by-copy",
    /// A migration and its row in the table of versions are not one transaction.
    MigrationByHalves = "migration-by-halves",
    /// The head of a request may take for ever.
    NoRequestTimeout = "no-request-timeout",
    /// Nothing of the disk is kept for decisions.
    NoReserve = "no-reserve",
    /// The program is linked with an old SQLite.
    OldSqlite = "old-sqlite",
}

impl Mistake {
    /// Whether this mistake is to be made.
    #[cfg(sabotage)]
    #[expect(
        clippy::disallowed_methods,
        reason = "no configuration: not in any program that is released"
    )]
    pub fn made(self) -> bool {
        use std::sync::LazyLock;
        static WANTED: LazyLock<String> =
            LazyLock::new(|| std::env::var("COUNTERSIGN_SABOTAGE").unwrap_or_default());
        *WANTED == self.name()
    }

    /// Never.
    #[cfg(not(sabotage))]
    pub const fn made(self) -> bool {
        false
    }
}
