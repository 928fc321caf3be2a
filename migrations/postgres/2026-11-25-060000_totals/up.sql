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
) WITH (fillfactor = 50); -- rows change with every decision, and stay on their page
INSERT INTO totals (account_id, desktop_id, kind, status, number)
    SELECT account_id, desktop_id, 'task', status, count(*) FROM tasks GROUP BY account_id, desktop_id, status;
INSERT INTO totals (account_id, desktop_id, kind, status, number)
    SELECT t.account_id, t.desktop_id, 'approval', a.status, count(*)
    FROM approvals a JOIN tasks t ON t.id = a.task_id GROUP BY t.account_id, t.desktop_id, a.status;

-- Once a statement, not once a row: a batch changes many rows of one desktop.
CREATE FUNCTION countersign_totals_of_tasks_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals AS kept (account_id, desktop_id, kind, status, number)
        SELECT account_id, desktop_id, 'task', status, count(*) FROM added GROUP BY account_id, desktop_id, status
        ON CONFLICT (account_id, kind, status, desktop_id) DO UPDATE SET number = kept.number + EXCLUDED.number;
    RETURN NULL;
END $$;
CREATE FUNCTION countersign_totals_of_tasks_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals AS kept (account_id, desktop_id, kind, status, number)
        SELECT n.account_id, n.desktop_id, 'task', n.status, count(*)
        FROM added n JOIN removed o ON o.id = n.id WHERE o.status <> n.status GROUP BY 1, 2, 4
        ON CONFLICT (account_id, kind, status, desktop_id) DO UPDATE SET number = kept.number + EXCLUDED.number;
    UPDATE totals t SET number = t.number - gone.number
        FROM (SELECT o.account_id, o.desktop_id, o.status, count(*) AS number
            FROM added n JOIN removed o ON o.id = n.id WHERE o.status <> n.status GROUP BY 1, 2, 3) gone
        WHERE t.account_id = gone.account_id AND t.kind = 'task' AND t.status = gone.status
            AND t.desktop_id = gone.desktop_id;
    RETURN NULL;
END $$;
CREATE FUNCTION countersign_totals_of_approvals_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals AS kept (account_id, desktop_id, kind, status, number)
        SELECT n.account_id, t.desktop_id, 'approval', n.status, count(*)
        FROM added n JOIN tasks t ON t.id = n.task_id GROUP BY 1, 2, 4
        ON CONFLICT (account_id, kind, status, desktop_id) DO UPDATE SET number = kept.number + EXCLUDED.number;
    RETURN NULL;
END $$;
CREATE FUNCTION countersign_totals_of_approvals_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals AS kept (account_id, desktop_id, kind, status, number)
        SELECT n.account_id, t.desktop_id, 'approval', n.status, count(*)
        FROM added n JOIN removed o ON o.id = n.id JOIN tasks t ON t.id = n.task_id
        WHERE o.status <> n.status GROUP BY 1, 2, 4
        ON CONFLICT (account_id, kind, status, desktop_id) DO UPDATE SET number = kept.number + EXCLUDED.number;
    UPDATE totals x SET number = x.number - gone.number
        FROM (SELECT o.account_id, t.desktop_id, o.status, count(*) AS number
            FROM added n JOIN removed o ON o.id = n.id JOIN tasks t ON t.id = n.task_id
            WHERE o.status <> n.status GROUP BY 1, 2, 3) gone
        WHERE x.account_id = gone.account_id AND x.kind = 'approval' AND x.status = gone.status
            AND x.desktop_id = gone.desktop_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_totals_insert AFTER INSERT ON tasks REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_totals_of_tasks_inserted();
CREATE TRIGGER tasks_totals_update AFTER UPDATE ON tasks REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_totals_of_tasks_updated();
CREATE TRIGGER approvals_totals_insert AFTER INSERT ON approvals REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_totals_of_approvals_inserted();
CREATE TRIGGER approvals_totals_update AFTER UPDATE ON approvals REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_totals_of_approvals_updated();
