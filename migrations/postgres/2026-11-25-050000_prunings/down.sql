DROP TRIGGER file_bytes_delete ON file_bytes;
DROP TRIGGER file_bytes_sealed ON file_bytes;
CREATE TRIGGER file_bytes_sealed BEFORE INSERT OR UPDATE OR DELETE ON file_bytes
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
DROP FUNCTION countersign_file_bytes_delete();
DROP TRIGGER log_entries_update ON log_entries;
DROP TRIGGER log_entries_sealed ON log_entries;
CREATE TRIGGER log_entries_sealed BEFORE INSERT OR UPDATE OR DELETE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION countersign_refuse_sealed();
DROP FUNCTION countersign_log_entries_update();
DROP TABLE prunings;
DROP FUNCTION countersign_prunings_update();
DROP FUNCTION countersign_prunings_insert();
