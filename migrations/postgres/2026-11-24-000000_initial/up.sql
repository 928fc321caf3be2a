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
    bytes BYTEA NOT NULL,
    PRIMARY KEY (task_id, attempt, seq),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);

CREATE TABLE files (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    n BIGINT NOT NULL,
    path BYTEA NOT NULL,
    path_sha256 TEXT NOT NULL,
    old_path BYTEA,
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
    bytes BYTEA NOT NULL,
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
    output BYTEA,
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

-- What the database itself refuses.
CREATE FUNCTION countersign_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION countersign_refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
        OR TG_OP <> 'DELETE' AND EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
    THEN
        RAISE EXCEPTION 'this attempt is sealed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt) THEN
        RAISE EXCEPTION 'an upload never moves to another attempt' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER activity_frozen BEFORE UPDATE OR DELETE ON activity
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('the log is append-only');
CREATE TRIGGER activity_no_truncate BEFORE TRUNCATE ON activity
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('the log is append-only');
CREATE TRIGGER evidence_frozen BEFORE UPDATE OR DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('sealed evidence never changes');
CREATE TRIGGER evidence_no_truncate BEFORE TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('sealed evidence never changes');
CREATE TRIGGER task_contents_frozen BEFORE UPDATE OR DELETE ON task_contents
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('the content of a task never changes');
CREATE TRIGGER task_contents_no_truncate BEFORE TRUNCATE ON task_contents
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('the content of a task never changes');
CREATE TRIGGER task_dependencies_frozen BEFORE UPDATE OR DELETE ON task_dependencies
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('the dependencies of a task never change');
CREATE TRIGGER task_dependencies_no_truncate BEFORE TRUNCATE ON task_dependencies
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('the dependencies of a task never change');
CREATE TRIGGER principals_frozen BEFORE UPDATE OR DELETE ON principals
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('a principal never changes');
CREATE TRIGGER principals_no_truncate BEFORE TRUNCATE ON principals
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('a principal never changes');
CREATE TRIGGER approvals_no_delete BEFORE DELETE ON approvals
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('an approval is never deleted or replaced');
CREATE TRIGGER approvals_no_truncate BEFORE TRUNCATE ON approvals
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('an approval is never deleted or replaced');
CREATE TRIGGER tasks_no_delete BEFORE DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('a task is never deleted or replaced');
CREATE TRIGGER tasks_no_truncate BEFORE TRUNCATE ON tasks
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('a task is never deleted or replaced');
CREATE TRIGGER api_keys_no_delete BEFORE DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('an API key is never deleted or replaced');
CREATE TRIGGER api_keys_no_truncate BEFORE TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('an API key is never deleted or replaced');
CREATE TRIGGER uploads_sealed BEFORE INSERT OR UPDATE OR DELETE ON uploads
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER uploads_no_truncate BEFORE TRUNCATE ON uploads
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('uploads of sealed attempts are kept');
CREATE TRIGGER log_entries_sealed BEFORE INSERT OR UPDATE OR DELETE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER log_entries_no_truncate BEFORE TRUNCATE ON log_entries
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('uploads of sealed attempts are kept');
CREATE TRIGGER files_sealed BEFORE INSERT OR UPDATE OR DELETE ON files
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER files_no_truncate BEFORE TRUNCATE ON files
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('uploads of sealed attempts are kept');
CREATE TRIGGER file_bytes_sealed BEFORE INSERT OR UPDATE OR DELETE ON file_bytes
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER file_bytes_no_truncate BEFORE TRUNCATE ON file_bytes
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('uploads of sealed attempts are kept');

CREATE FUNCTION countersign_tasks_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'pending' OR NEW.attempt <> 0 THEN
        RAISE EXCEPTION 'a task is created pending' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tasks_insert BEFORE INSERT ON tasks
    FOR EACH ROW EXECUTE FUNCTION countersign_tasks_insert();

CREATE FUNCTION countersign_tasks_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.type <> OLD.type OR NEW.desktop_id <> OLD.desktop_id OR NEW.lineage_id <> OLD.lineage_id OR NEW.created_by <> OLD.created_by OR NEW.created_at <> OLD.created_at THEN
        RAISE EXCEPTION 'what a task is never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.requires_approval <> OLD.requires_approval OR (OLD.gated AND NOT NEW.gated) THEN
        RAISE EXCEPTION 'a gate never opens' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status IN ('done', 'failed', 'cancelled') AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'a final status never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'pending' AND OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'a task never becomes pending again' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'running' AND OLD.status NOT IN ('running', 'pending') THEN
        RAISE EXCEPTION 'only a pending task is queued' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'failed' AND OLD.status NOT IN ('failed', 'running', 'review') THEN
        RAISE EXCEPTION 'only a running or reviewed task fails' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'review' AND OLD.status NOT IN ('review', 'running') THEN
        RAISE EXCEPTION 'only a running task enters review' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'done' AND OLD.status NOT IN ('done', 'running', 'review') THEN
        RAISE EXCEPTION 'only a running or reviewed task becomes done' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status = 'done' AND OLD.status <> 'done' AND (NEW.gated OR OLD.status = 'review') AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'approved') THEN
        RAISE EXCEPTION 'a gated task becomes done only by an approval of its attempt' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status = 'review' AND NEW.status = 'failed' AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'rejected') THEN
        RAISE EXCEPTION 'a task in review fails only by a rejection of its attempt' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status = 'review' AND NEW.status = 'cancelled' AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.account_id = NEW.account_id AND a.task_id = NEW.id AND a.attempt = NEW.attempt AND a.status = 'cancelled') THEN
        RAISE EXCEPTION 'a task in review is cancelled only by a person' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tasks_update BEFORE UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION countersign_tasks_update();

CREATE FUNCTION countersign_approvals_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'a decided approval never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt OR NEW.reason <> OLD.reason OR NEW.evidence_sha256 <> OLD.evidence_sha256 OR NEW.created_at <> OLD.created_at THEN
        RAISE EXCEPTION 'what an approval is about never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_update BEFORE UPDATE ON approvals
    FOR EACH ROW EXECUTE FUNCTION countersign_approvals_update();

CREATE FUNCTION countersign_api_keys_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.kind <> OLD.kind OR NEW.capabilities <> OLD.capabilities OR NEW.sha256 <> OLD.sha256 OR coalesce(NEW.desktop_id, '') <> coalesce(OLD.desktop_id, '') THEN
        RAISE EXCEPTION 'what a key is and may do never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL THEN
        RAISE EXCEPTION 'a revoked key never comes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER api_keys_update BEFORE UPDATE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION countersign_api_keys_update();

CREATE FUNCTION countersign_accounts_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.head_seq < OLD.head_seq THEN
        RAISE EXCEPTION 'the head of the log never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER accounts_update BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION countersign_accounts_update();
CREATE TRIGGER accounts_no_delete BEFORE DELETE ON accounts
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('an account is never deleted');
