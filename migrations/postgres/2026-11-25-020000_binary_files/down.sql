ALTER TABLE files DROP COLUMN is_binary;
