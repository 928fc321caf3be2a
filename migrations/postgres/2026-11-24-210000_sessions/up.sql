-- Sessions and one-time links of the dashboard, and what its pages need to find.

-- A login of a person: the row ends, the person stays.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'human' CHECK (kind = 'human'),
    -- of the text in the cookie
    sha256 TEXT NOT NULL UNIQUE,
    -- what the browser says it is
    agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    FOREIGN KEY (account_id, user_id, kind) REFERENCES principals (account_id, id, kind)
);
CREATE INDEX sessions_by_user ON sessions (account_id, user_id, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE sign_in_links (
    -- of the token behind the '#'
    sha256 TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'human' CHECK (kind = 'human'),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    FOREIGN KEY (account_id, user_id, kind) REFERENCES principals (account_id, id, kind)
);
CREATE INDEX sign_in_links_by_expiry ON sign_in_links (expires_at);

-- Lines that the diff of a file adds and removes; unknown for files from before this migration.
ALTER TABLE files ADD COLUMN added_lines BIGINT;
ALTER TABLE files ADD COLUMN removed_lines BIGINT;

-- What happened to one task.
CREATE INDEX activity_by_task ON activity (account_id, ((payload::jsonb) ->> 'taskId'), seq);

CREATE FUNCTION countersign_sessions_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.user_id <> OLD.user_id OR NEW.sha256 <> OLD.sha256 OR NEW.created_at <> OLD.created_at THEN
        RAISE EXCEPTION 'whose a session is never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL AND NEW.ended_at IS NULL THEN
        RAISE EXCEPTION 'an ended session never comes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sessions_update BEFORE UPDATE ON sessions
    FOR EACH ROW EXECUTE FUNCTION countersign_sessions_update();

CREATE FUNCTION countersign_sign_in_links_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sha256 <> OLD.sha256 OR NEW.account_id <> OLD.account_id OR NEW.user_id <> OLD.user_id OR NEW.expires_at > OLD.expires_at THEN
        RAISE EXCEPTION 'what a link is for never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.used_at IS NOT NULL THEN
        RAISE EXCEPTION 'a link is used once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sign_in_links_update BEFORE UPDATE ON sign_in_links
    FOR EACH ROW EXECUTE FUNCTION countersign_sign_in_links_update();
