DROP TRIGGER file_bytes_sealed_delete;
CREATE TRIGGER file_bytes_sealed_delete BEFORE DELETE ON file_bytes
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
DROP TRIGGER log_entries_sealed_update;
CREATE TRIGGER log_entries_sealed_update BEFORE UPDATE ON log_entries
WHEN EXISTS (SELECT 1 FROM evidence e WHERE e.task_id = OLD.task_id AND e.attempt = OLD.attempt)
BEGIN SELECT RAISE(ABORT, 'this attempt is sealed'); END;
DROP TABLE prunings;
