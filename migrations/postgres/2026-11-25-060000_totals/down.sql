DROP TRIGGER approvals_totals_update ON approvals;
DROP TRIGGER approvals_totals_insert ON approvals;
DROP TRIGGER tasks_totals_update ON tasks;
DROP TRIGGER tasks_totals_insert ON tasks;
DROP FUNCTION countersign_totals_of_approvals_updated();
DROP FUNCTION countersign_totals_of_approvals_inserted();
DROP FUNCTION countersign_totals_of_tasks_updated();
DROP FUNCTION countersign_totals_of_tasks_inserted();
DROP TABLE totals;
