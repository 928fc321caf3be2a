DROP TRIGGER sessions_origin ON sessions;
DROP FUNCTION countersign_sessions_origin();
ALTER TABLE sessions DROP COLUMN origin_sha256;
