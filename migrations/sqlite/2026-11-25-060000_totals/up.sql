-- How many tasks and approvals of each status a desktop has, kept by triggers: lists say how many there are in all
-- (X-Total-Count), and counting would cost more with every task of the past.
CREATE TABLE totals (
    account_id TEXT NOT NULL,
    desktop_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('task', 'approval')),
    status TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 0),
    PRIMARY KEY (account_id, kind, status, desktop_id),
    FOREIGN KEY (account_id, desktop_id) REFERENCES desktops (account_id, id)
) WITHOUT ROWID;
INSERT INTO totals (account_id, desktop_id, kind, status, number)
    SELECT account_id, desktop_id, 'task', status, count(*) FROM tasks GROUP BY account_id, desktop_id, status;
INSERT INTO totals (account_id, desktop_id, kind, status, number)
    SELECT t.account_id, t.desktop_id, 'approval', a.status, count(*)
    FROM approvals a JOIN tasks t ON t.id = a.task_id GROUP BY t.account_id, t.desktop_id, a.status;

CREATE TRIGGER tasks_totals_insert AFTER INSERT ON tasks
BEGIN
    INSERT INTO totals (account_id, desktop_id, kind, status, number)
        VALUES (NEW.account_id, NEW.desktop_id, 'task', NEW.status, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER tasks_totals_update AFTER UPDATE OF status ON tasks
WHEN NEW.status <> OLD.status
BEGIN
    UPDATE totals SET number = number - 1
        WHERE account_id = OLD.account_id AND kind = 'task' AND status = OLD.status AND desktop_id = OLD.desktop_id;
    INSERT INTO totals (account_id, desktop_id, kind, status, number)
        VALUES (NEW.account_id, NEW.desktop_id, 'task', NEW.status, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER approvals_totals_insert AFTER INSERT ON approvals
BEGIN
    INSERT INTO totals (account_id, desktop_id, kind, status, number)
        SELECT NEW.account_id, t.desktop_id, 'approval', NEW.status, 1 FROM tasks t WHERE t.id = NEW.task_id
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER approvals_totals_update AFTER UPDATE OF status ON approvals
WHEN NEW.status <> OLD.status
BEGIN
    UPDATE totals SET number = number - 1
        WHERE account_id = OLD.account_id AND kind = 'approval' AND status = OLD.status
            AND desktop_id = (SELECT t.desktop_id FROM tasks t WHERE t.id = OLD.task_id);
    INSERT INTO totals (account_id, desktop_id, kind, status, number)
        SELECT NEW.account_id, t.desktop_id, 'approval', NEW.status, 1 FROM tasks t WHERE t.id = NEW.task_id
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
