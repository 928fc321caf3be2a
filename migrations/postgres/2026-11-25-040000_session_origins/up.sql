-- SHA-256 of the secret that the origin keeps at which a session was opened; every change by the session must bring the
-- secret. A browser sends cookies to every port of a host, but keeps storage by origin. NULL: opened without script.
ALTER TABLE sessions ADD COLUMN origin_sha256 TEXT CHECK (length(origin_sha256) = 64);

CREATE FUNCTION countersign_sessions_origin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.origin_sha256 IS DISTINCT FROM OLD.origin_sha256 THEN
        RAISE EXCEPTION 'what a session is bound to never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sessions_origin BEFORE UPDATE ON sessions
    FOR EACH ROW EXECUTE FUNCTION countersign_sessions_origin();
