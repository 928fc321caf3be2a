-- SHA-256 of the secret that the origin keeps at which a session was opened; every change by the session must bring the
-- secret. A browser sends cookies to every port of a host, but keeps storage by origin. NULL: opened without script.
ALTER TABLE sessions ADD COLUMN origin_sha256 TEXT CHECK (length(origin_sha256) = 64);

CREATE TRIGGER sessions_update_3 BEFORE UPDATE ON sessions
WHEN NEW.origin_sha256 IS NOT OLD.origin_sha256
BEGIN SELECT RAISE(ABORT, 'what a session is bound to never changes'); END;
