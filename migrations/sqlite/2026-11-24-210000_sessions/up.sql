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
CREATE INDEX activity_by_task ON activity (account_id, json_extract(payload, '$.taskId'), seq);

CREATE TRIGGER sessions_no_replace BEFORE INSERT ON sessions
WHEN EXISTS (SELECT 1 FROM sessions WHERE id = NEW.id OR sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'a session is never replaced'); END;
CREATE TRIGGER sessions_update_1 BEFORE UPDATE ON sessions
WHEN NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.user_id <> OLD.user_id OR NEW.sha256 <> OLD.sha256 OR NEW.created_at <> OLD.created_at
BEGIN SELECT RAISE(ABORT, 'whose a session is never changes'); END;
CREATE TRIGGER sessions_update_2 BEFORE UPDATE ON sessions
WHEN OLD.ended_at IS NOT NULL AND NEW.ended_at IS NULL
BEGIN SELECT RAISE(ABORT, 'an ended session never comes back'); END;
CREATE TRIGGER sign_in_links_no_replace BEFORE INSERT ON sign_in_links
WHEN EXISTS (SELECT 1 FROM sign_in_links WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'a link is never replaced'); END;
CREATE TRIGGER sign_in_links_update_1 BEFORE UPDATE ON sign_in_links
WHEN NEW.sha256 <> OLD.sha256 OR NEW.account_id <> OLD.account_id OR NEW.user_id <> OLD.user_id OR NEW.expires_at > OLD.expires_at
BEGIN SELECT RAISE(ABORT, 'what a link is for never changes'); END;
CREATE TRIGGER sign_in_links_update_2 BEFORE UPDATE ON sign_in_links
WHEN OLD.used_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a link is used once'); END;
