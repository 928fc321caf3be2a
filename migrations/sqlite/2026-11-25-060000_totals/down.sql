DROP TRIGGER approvals_totals_update;
DROP TRIGGER approvals_totals_insert;
DROP TRIGGER tasks_totals_update;
DROP TRIGGER tasks_totals_insert;
DROP TABLE totals;
