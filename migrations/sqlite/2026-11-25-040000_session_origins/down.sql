DROP TRIGGER sessions_update_3;
ALTER TABLE sessions DROP COLUMN origin_sha256;
