-- Portable columns: ids TEXT, times BIGINT (microseconds since 1970, UTC), vocabularies TEXT + CHECK,
-- digests TEXT (64 hexadecimal digits), JSON TEXT, bytes of agents BLOB/BYTEA.
-- Every foreign key carries the account, so that no row can point into another one.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    task_approval_mode BOOLEAN NOT NULL DEFAULT FALSE,
    require_evidence BOOLEAN NOT NULL DEFAULT FALSE,
    -- the head of the account's log
    head_seq BIGINT NOT NULL DEFAULT 0 CHECK (head_seq >= 0),
    head_hash TEXT NOT NULL DEFAULT '0000000000000000000000000000000000000000000000000000000000000000',
    created_at BIGINT NOT NULL
);

-- Whoever can act: people, keys and the server. Approvals, tasks, log and idempotency point here.
CREATE TABLE principals (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('human', 'service', 'agent', 'system')),
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, id, kind)
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'human' CHECK (kind = 'human'),
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (account_id, id, kind) REFERENCES principals (account_id, id, kind)
);

CREATE TABLE desktops (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    running BOOLEAN NOT NULL DEFAULT FALSE,
    last_seen_at BIGINT,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    UNIQUE (account_id, id)
);
CREATE INDEX desktops_running ON desktops (last_seen_at) WHERE running;

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('human', 'service', 'agent')),
    -- the names of the contract, separated by spaces
    capabilities TEXT NOT NULL,
    desktop_id TEXT,
    sha256 TEXT NOT NULL UNIQUE,
    last4 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT,
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, id, kind) REFERENCES principals (account_id, id, kind),
    FOREIGN KEY (account_id, desktop_id) REFERENCES desktops (account_id, id),
    CHECK ((kind = 'agent') = (desktop_id IS NOT NULL)),
    CHECK (kind = 'human' OR capabilities NOT LIKE '%approvals:decide%')
);

CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    type TEXT NOT NULL CHECK (type IN ('prompt', 'command')),
    title TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'review', 'done', 'failed', 'cancelled')),
    desktop_id TEXT NOT NULL,
    requires_approval BOOLEAN NOT NULL,
    gated BOOLEAN NOT NULL,
    auto_run BOOLEAN NOT NULL,
    on_dependency_failure TEXT NOT NULL CHECK (on_dependency_failure IN ('block', 'cancel')),
    timeout_seconds BIGINT NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 604800),
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    max_attempts BIGINT NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    lease_token TEXT,
    lease_expires_at BIGINT,
    lease_heard BOOLEAN NOT NULL DEFAULT FALSE,
    -- the sequence number of the event that queued it: first run, first served
    queued_seq BIGINT,
    retry_of TEXT,
    retried_by TEXT,
    -- the first task of the chain of retries; the newest one has no retried_by
    lineage_id TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_by_kind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    completed_at BIGINT,
    exit_code BIGINT,
    error TEXT,
    evidence_sha256 TEXT,
    completed_token TEXT,
    completed_body TEXT,
    UNIQUE (account_id, id),
    UNIQUE (account_id, retry_of),
    FOREIGN KEY (account_id, desktop_id) REFERENCES desktops (account_id, id),
    FOREIGN KEY (account_id, retry_of) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, retried_by) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, lineage_id) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, created_by, created_by_kind) REFERENCES principals (account_id, id, kind),
    CHECK (gated OR NOT requires_approval),
    CHECK (gated OR status <> 'review'),
    CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL)),
    CHECK ((completed_token IS NULL) = (completed_body IS NULL))
);
CREATE INDEX tasks_by_status ON tasks (account_id, status, id);
CREATE INDEX tasks_by_desktop ON tasks (account_id, desktop_id, status, id);
CREATE INDEX tasks_by_lineage ON tasks (account_id, lineage_id);
CREATE INDEX tasks_claimable ON tasks (desktop_id, queued_seq) WHERE status = 'running' AND lease_token IS NULL;
CREATE INDEX tasks_leased ON tasks (lease_expires_at) WHERE status = 'running' AND lease_token IS NOT NULL;

-- Insert-only: what the task says never changes.
CREATE TABLE task_contents (
    task_id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    content TEXT NOT NULL,
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

-- Insert-only. A dependency counts for the newest task of the parent's chain of retries.
CREATE TABLE task_dependencies (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    depends_on TEXT NOT NULL,
    parent_lineage TEXT NOT NULL,
    PRIMARY KEY (task_id, position),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, depends_on) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, parent_lineage) REFERENCES tasks (account_id, id)
);
CREATE INDEX task_dependencies_by_parent ON task_dependencies (account_id, parent_lineage);

-- What a runner has sent for an attempt so far: bookkeeping of limits and of dropped bytes.
CREATE TABLE uploads (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    -- counts accepted uploads, so that evidence computed before is known to be complete
    version BIGINT NOT NULL,
    -- the log sequence numbers that arrived, as JSON ranges [[first,last],…]
    log_received TEXT NOT NULL,
    log_head_open BOOLEAN NOT NULL,
    log_head_bytes BIGINT NOT NULL,
    log_tail_bytes BIGINT NOT NULL,
    log_dropped_bytes BIGINT NOT NULL,
    file_count BIGINT NOT NULL,
    file_bytes BIGINT NOT NULL,
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

CREATE TABLE log_entries (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    stream TEXT NOT NULL CHECK (stream IN ('stdout', 'stderr', 'agent')),
    at BIGINT NOT NULL,
    -- behind the first 4 MiB; the oldest of these make room for new ones
    in_tail BOOLEAN NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (task_id, attempt, seq),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

CREATE TABLE files (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    n BIGINT NOT NULL,
    path BLOB NOT NULL,
    path_sha256 TEXT NOT NULL,
    old_path BLOB,
    change TEXT NOT NULL CHECK (change IN ('added', 'modified', 'deleted', 'renamed')),
    mode TEXT,
    old_mode TEXT,
    diff_size BIGINT,
    diff_sha256 TEXT,
    content_size BIGINT,
    content_sha256 TEXT,
    truncated BOOLEAN NOT NULL,
    PRIMARY KEY (task_id, attempt, n),
    UNIQUE (task_id, attempt, path_sha256),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

CREATE TABLE file_bytes (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    n BIGINT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('diff', 'content')),
    bytes BLOB NOT NULL,
    PRIMARY KEY (task_id, attempt, n, part),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

-- The seal: once this row exists, nothing of the attempt can be added or changed.
CREATE TABLE evidence (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    manifest TEXT NOT NULL,
    -- the output the runner named; absent: the standard output of the log
    output BLOB,
    sealed_at BIGINT NOT NULL,
    PRIMARY KEY (task_id, attempt),
    UNIQUE (account_id, task_id, attempt, sha256),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

-- The row is the decision: one an attempt, by a person, about sealed evidence, never changed.
CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'cancelled')),
    reason TEXT NOT NULL CHECK (reason IN ('task', 'global')),
    evidence_sha256 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    decided_by_kind TEXT CHECK (decided_by_kind = 'human'),
    feedback TEXT,
    UNIQUE (account_id, id),
    UNIQUE (task_id, attempt),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, task_id, attempt, evidence_sha256)
        REFERENCES evidence (account_id, task_id, attempt, sha256),
    FOREIGN KEY (account_id, decided_by, decided_by_kind) REFERENCES principals (account_id, id, kind),
    CHECK ((status = 'pending') = (decided_at IS NULL)),
    CHECK ((decided_at IS NULL) = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_by_kind IS NULL)),
    CHECK (feedback IS NULL OR decided_at IS NOT NULL)
);
CREATE INDEX approvals_by_status ON approvals (account_id, status, id);

-- Feed, replay buffer and audit log at once: gapless, hash-chained, append-only.
CREATE TABLE activity (
    account_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 1),
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    at BIGINT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (account_id, seq),
    FOREIGN KEY (account_id, actor_id, actor_kind) REFERENCES principals (account_id, id, kind)
);

CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    -- digest of key, method and path
    scope TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    -- the answer without immutable text and without secrets
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, principal_id, scope),
    FOREIGN KEY (account_id, principal_id) REFERENCES principals (account_id, id)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- What the database itself refuses. INSERT OR REPLACE deletes without firing DELETE triggers, hence
-- the checks before INSERT.
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER activity_no_replace BEFORE INSERT ON activity
WHEN EXISTS (SELECT 1 FROM activity WHERE account_id = NEW.account_id AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'sealed evidence never changes'); END;
CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'sealed evidence never changes'); END;
CREATE TRIGGER evidence_no_replace BEFORE INSERT ON evidence
WHEN EXISTS (SELECT 1 FROM evidence WHERE task_id = NEW.task_id AND attempt = NEW.attempt)
BEGIN SELECT RAISE(ABORT, 'sealed evidence never changes'); END;
CREATE TRIGGER task_contents_no_update BEFORE UPDATE ON task_contents
BEGIN SELECT RAISE(ABORT, 'the content of a task never changes'); END;
CREATE TRIGGER task_contents_no_delete BEFORE DELETE ON task_contents
BEGIN SELECT RAISE(ABORT, 'the content of a task never changes'); END;
CREATE TRIGGER task_contents_no_replace BEFORE INSERT ON task_contents
WHEN EXISTS (SELECT 1 FROM task_contents WHERE task_id = NEW.task_id)
BEGIN SELECT RAISE(ABORT, 'the content of a task never changes'); END;
CREATE TRIGGER task_dependencies_no_update BEFORE UPDATE ON task_dependencies
BEGIN SELECT RAISE(ABORT, 'the dependencies of a task never change'); END;
CREATE TRIGGER task_dependencies_no_delete BEFORE DELETE ON task_dependencies
BEGIN SELECT RAISE(ABORT, 'the dependencies of a task never change'); END;
CREATE TRIGGER task_dependencies_no_replace BEFORE INSERT ON task_dependencies
WHEN EXISTS (SELECT 1 FROM task_dependencies WHERE task_id = NEW.task_id AND position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the dependencies of a task never change'); END;
CREATE TRIGGER principals_no_update BEFORE UPDATE ON principals
BEGIN SELECT RAISE(ABORT, 'a principal never changes'); END;
CREATE TRIGGER principals_no_delete BEFORE DELETE ON principals
BEGIN SELECT RAISE(ABORT, 'a principal never changes'); END;
CREATE TRIGGER principals_no_replace BEFORE INSERT ON principals
WHEN EXISTS (SELECT 1 FROM principals WHERE account_id = NEW.account_id AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a principal never changes'); END;
CREATE TRIGGER approvals_no_delete BEFORE DELETE ON approvals
BEGIN SELECT RAISE(ABORT, 'an approval is never deleted or replaced'); END;
CREATE TRIGGER approvals_no_replace BEFORE INSERT ON approvals
WHEN EXISTS (SELECT 1 FROM approvals WHERE id = NEW.id OR (task_id = NEW.task_id AND attempt = NEW.attempt))
BEGIN SELECT RAISE(ABORT, 'an approval is never deleted or replaced'); END;
CREATE TRIGGER tasks_no_delete BEFORE DELETE ON tasks
BEGIN SELECT RAISE(ABORT, 'a task is never deleted or replaced'); END;
CREATE TRIGGER tasks_no_replace BEFORE INSERT ON tasks
WHEN EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM tasks WHERE account_id = NEW.account_id AND retry_of = NEW.retry_of)
BEGIN SELECT RAISE(ABORT, 'a task is never deleted or replaced'); END;
CREATE TRIGGER users_no_replace BEFORE INSERT ON users
WHEN EXISTS (SELECT 1 FROM users WHERE id = NEW.id OR email = NEW.email)
BEGIN SELECT RAISE(ABORT, 'a person is never replaced'); END;
CREATE TRIGGER api_keys_no_delete BEFORE DELETE ON api_keys
BEGIN SELECT RAISE(ABORT, 'an API key is never deleted or replaced'); END;
CREATE TRIGGER api_keys_no_replace BEFORE INSERT ON api_keys
WHEN EXISTS (SELECT 1 FROM api_keys WHERE id = NEW.id OR sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'an API key is never deleted or replaced'); END;
CREATE TRIGGER uploads_sealed_insert BEFORE INSERT ON uploads
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER uploads_sealed_update BEFORE UPDATE ON uploads
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER uploads_sealed_delete BEFORE DELETE ON uploads
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER uploads_same_attempt BEFORE UPDATE ON uploads
WHEN NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt
BEGIN SELECT RAISE(ABORT, 'an upload never moves to another attempt'); END;
CREATE TRIGGER log_entries_sealed_insert BEFORE INSERT ON log_entries
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER log_entries_sealed_update BEFORE UPDATE ON log_entries
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER log_entries_sealed_delete BEFORE DELETE ON log_entries
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER log_entries_same_attempt BEFORE UPDATE ON log_entries
WHEN NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt
BEGIN SELECT RAISE(ABORT, 'an upload never moves to another attempt'); END;
CREATE TRIGGER files_sealed_insert BEFORE INSERT ON files
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER files_sealed_update BEFORE UPDATE ON files
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER files_sealed_delete BEFORE DELETE ON files
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER files_same_attempt BEFORE UPDATE ON files
WHEN NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt
BEGIN SELECT RAISE(ABORT, 'an upload never moves to another attempt'); END;
CREATE TRIGGER file_bytes_sealed_insert BEFORE INSERT ON file_bytes
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER file_bytes_sealed_update BEFORE UPDATE ON file_bytes
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER file_bytes_sealed_delete BEFORE DELETE ON file_bytes
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
CREATE TRIGGER file_bytes_same_attempt BEFORE UPDATE ON file_bytes
WHEN NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt
BEGIN SELECT RAISE(ABORT, 'an upload never moves to another attempt'); END;
CREATE TRIGGER tasks_insert_pending BEFORE INSERT ON tasks
WHEN NEW.status <> 'pending' OR NEW.attempt <> 0
BEGIN SELECT RAISE(ABORT, 'a task is created pending'); END;
CREATE TRIGGER tasks_update_1 BEFORE UPDATE ON tasks
WHEN NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.type <> OLD.type OR NEW.desktop_id <> OLD.desktop_id OR NEW.lineage_id <> OLD.lineage_id OR NEW.created_by <> OLD.created_by OR NEW.created_at <> OLD.created_at
BEGIN SELECT RAISE(ABORT, 'what a task is never changes'); END;
CREATE TRIGGER tasks_update_2 BEFORE UPDATE ON tasks
WHEN NEW.requires_approval <> OLD.requires_approval OR (OLD.gated AND NOT NEW.gated)
BEGIN SELECT RAISE(ABORT, 'a gate never opens'); END;
CREATE TRIGGER tasks_update_3 BEFORE UPDATE ON tasks
WHEN OLD.status IN ('done', 'failed', 'cancelled') AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'a final status never changes'); END;
CREATE TRIGGER tasks_update_4 BEFORE UPDATE ON tasks
WHEN NEW.status = 'pending' AND OLD.status <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a task never becomes pending again'); END;
CREATE TRIGGER tasks_update_5 BEFORE UPDATE ON tasks
WHEN NEW.status = 'review' AND OLD.status NOT IN ('review', 'running')
BEGIN SELECT RAISE(ABORT, 'only a running task enters review'); END;
CREATE TRIGGER tasks_update_6 BEFORE UPDATE ON tasks
WHEN NEW.status = 'done' AND OLD.status NOT IN ('done', 'running', 'review')
BEGIN SELECT RAISE(ABORT, 'only a running or reviewed task becomes done'); END;
CREATE TRIGGER tasks_update_7 BEFORE UPDATE ON tasks
WHEN NEW.status = 'done' AND OLD.status <> 'done' AND (NEW.gated OR OLD.status = 'review') AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'approved')
BEGIN SELECT RAISE(ABORT, 'a gated task becomes done only by an approval of its attempt'); END;
CREATE TRIGGER tasks_update_8 BEFORE UPDATE ON tasks
WHEN OLD.status = 'review' AND NEW.status = 'failed' AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'rejected')
BEGIN SELECT RAISE(ABORT, 'a task in review fails only by a rejection of its attempt'); END;
CREATE TRIGGER tasks_update_9 BEFORE UPDATE ON tasks
WHEN OLD.status = 'review' AND NEW.status = 'cancelled' AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'cancelled')
BEGIN SELECT RAISE(ABORT, 'a task in review is cancelled only by a person'); END;
CREATE TRIGGER tasks_update_10 BEFORE UPDATE ON tasks
WHEN NEW.status = 'running' AND OLD.status NOT IN ('running', 'pending')
BEGIN SELECT RAISE(ABORT, 'only a pending task is queued'); END;
CREATE TRIGGER tasks_update_11 BEFORE UPDATE ON tasks
WHEN NEW.status = 'failed' AND OLD.status NOT IN ('failed', 'running', 'review')
BEGIN SELECT RAISE(ABORT, 'only a running or reviewed task fails'); END;
CREATE TRIGGER approvals_update_1 BEFORE UPDATE ON approvals
WHEN OLD.status <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a decided approval never changes'); END;
CREATE TRIGGER approvals_update_2 BEFORE UPDATE ON approvals
WHEN NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt OR NEW.reason <> OLD.reason OR NEW.evidence_sha256 <> OLD.evidence_sha256 OR NEW.created_at <> OLD.created_at
BEGIN SELECT RAISE(ABORT, 'what an approval is about never changes'); END;
CREATE TRIGGER api_keys_update_1 BEFORE UPDATE ON api_keys
WHEN NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.kind <> OLD.kind OR NEW.capabilities <> OLD.capabilities OR NEW.sha256 <> OLD.sha256 OR coalesce(NEW.desktop_id, '') <> coalesce(OLD.desktop_id, '')
BEGIN SELECT RAISE(ABORT, 'what a key is and may do never changes'); END;
CREATE TRIGGER api_keys_update_2 BEFORE UPDATE ON api_keys
WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL
BEGIN SELECT RAISE(ABORT, 'a revoked key never comes back'); END;
CREATE TRIGGER accounts_head BEFORE UPDATE ON accounts
WHEN NEW.id <> OLD.id OR NEW.head_seq < OLD.head_seq
BEGIN SELECT RAISE(ABORT, 'the head of the log never goes back'); END;
CREATE TRIGGER accounts_no_delete BEFORE DELETE ON accounts
BEGIN SELECT RAISE(ABORT, 'an account is never deleted'); END;
