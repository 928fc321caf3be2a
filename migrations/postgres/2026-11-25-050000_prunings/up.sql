-- A row says that the log and file bytes of a sealed attempt were given up to make room; where it stands, and only
-- there, these bytes may go. Manifest, digests, sizes and decision stay.
CREATE TABLE prunings (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    evidence_sha256 TEXT NOT NULL,
    -- the work was finished before this time
    older_than BIGINT NOT NULL,
    log_bytes BIGINT NOT NULL CHECK (log_bytes >= 0),
    file_bytes BIGINT NOT NULL CHECK (file_bytes >= 0),
    pruned_at BIGINT NOT NULL,
    -- when the last byte was gone; a run that was cut off leaves it open, and the next one goes on
    finished_at BIGINT,
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id),
    FOREIGN KEY (account_id, task_id, attempt, evidence_sha256)
        REFERENCES evidence (account_id, task_id, attempt, sha256),
    CHECK (older_than <= pruned_at)
);
CREATE INDEX prunings_open ON prunings (account_id, task_id) WHERE finished_at IS NULL;

CREATE FUNCTION countersign_prunings_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.finished_at IS NOT NULL
        OR NOT EXISTS (SELECT 1 FROM tasks t JOIN evidence e ON e.task_id = t.id AND e.attempt = NEW.attempt
            WHERE t.id = NEW.task_id AND t.status IN ('done', 'failed', 'cancelled') AND e.sealed_at < NEW.older_than)
        OR EXISTS (SELECT 1 FROM approvals a WHERE a.task_id = NEW.task_id
            AND (a.status = 'pending' OR a.decided_at >= NEW.older_than))
    THEN
        RAISE EXCEPTION 'only work that was finished before is pruned' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prunings_insert BEFORE INSERT ON prunings
    FOR EACH ROW EXECUTE FUNCTION countersign_prunings_insert();

CREATE FUNCTION countersign_prunings_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL OR NEW.finished_at IS NULL
        OR NEW.account_id <> OLD.account_id OR NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt
        OR NEW.evidence_sha256 <> OLD.evidence_sha256 OR NEW.older_than <> OLD.older_than
        OR NEW.log_bytes <> OLD.log_bytes OR NEW.file_bytes <> OLD.file_bytes OR NEW.pruned_at <> OLD.pruned_at
    THEN
        RAISE EXCEPTION 'a pruning is never changed or deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prunings_update BEFORE UPDATE ON prunings
    FOR EACH ROW EXECUTE FUNCTION countersign_prunings_update();
CREATE TRIGGER prunings_no_delete BEFORE DELETE ON prunings
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse('a pruning is never changed or deleted');
CREATE TRIGGER prunings_no_truncate BEFORE TRUNCATE ON prunings
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse('a pruning is never changed or deleted');

-- Of a sealed attempt that is pruned a log entry loses its bytes and nothing else, and parts of files go.
CREATE FUNCTION countersign_log_entries_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
        AND NEW.bytes = ''::bytea
        AND NEW.account_id = OLD.account_id AND NEW.task_id = OLD.task_id AND NEW.attempt = OLD.attempt
        AND NEW.seq = OLD.seq AND NEW.stream = OLD.stream AND NEW.at = OLD.at AND NEW.in_tail = OLD.in_tail
        AND NEW.size = OLD.size AND NEW.sha256 = OLD.sha256
        AND EXISTS (SELECT 1 FROM prunings p WHERE p.task_id = OLD.task_id AND p.attempt = OLD.attempt)
    THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
        OR EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = NEW.task_id AND e.attempt = NEW.attempt)
    THEN
        RAISE EXCEPTION 'this attempt is sealed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.task_id <> OLD.task_id OR NEW.attempt <> OLD.attempt THEN
        RAISE EXCEPTION 'an upload never moves to another attempt' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER log_entries_sealed ON log_entries;
CREATE TRIGGER log_entries_sealed BEFORE INSERT OR DELETE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER log_entries_update BEFORE UPDATE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION countersign_log_entries_update();

CREATE FUNCTION countersign_file_bytes_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
        AND NOT EXISTS (SELECT 1 FROM prunings p WHERE p.task_id = OLD.task_id AND p.attempt = OLD.attempt)
    THEN
        RAISE EXCEPTION 'this attempt is sealed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER file_bytes_sealed ON file_bytes;
CREATE TRIGGER file_bytes_sealed BEFORE INSERT OR UPDATE ON file_bytes
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
CREATE TRIGGER file_bytes_delete BEFORE DELETE ON file_bytes
    FOR EACH ROW EXECUTE FUNCTION countersign_file_bytes_delete();
