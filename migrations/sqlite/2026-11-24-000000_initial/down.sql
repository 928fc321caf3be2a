-- DROP TABLE fires no trigger. The order is that of the foreign keys.
DROP TABLE idempotency;
DROP TABLE activity;
DROP TABLE approvals;
DROP TABLE evidence;
DROP TABLE file_bytes;
DROP TABLE files;
DROP TABLE log_entries;
DROP TABLE uploads;
DROP TABLE task_dependencies;
DROP TABLE task_contents;
DROP TABLE tasks;
DROP TABLE api_keys;
DROP TABLE desktops;
DROP TABLE users;
DROP TABLE principals;
DROP TABLE accounts;
