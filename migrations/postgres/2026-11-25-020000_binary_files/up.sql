-- Whether a changed file is binary, told when it arrives; unknown for files from before this migration.
ALTER TABLE files ADD COLUMN is_binary BOOLEAN;
