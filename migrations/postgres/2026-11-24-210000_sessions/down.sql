DROP INDEX activity_by_task;
ALTER TABLE files DROP COLUMN removed_lines;
ALTER TABLE files DROP COLUMN added_lines;
DROP TABLE sign_in_links;
DROP TABLE sessions;
DROP FUNCTION countersign_sign_in_links_update();
DROP FUNCTION countersign_sessions_update();
