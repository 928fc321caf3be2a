//! The check that the totals which triggers keep are what counting gives.

use super::TestDb;

/// Kept, and counted anew with the other sign.
const DIFFERENCES: &str = "SELECT account_id, desktop_id, kind, status, sum(number) FROM (
    SELECT account_id, desktop_id, kind, status, number FROM totals
    UNION ALL SELECT account_id, desktop_id, 'task', status, -1 FROM tasks
    UNION ALL SELECT t.account_id, t.desktop_id, 'approval', a.status, -1
        FROM approvals a JOIN tasks t ON t.id = a.task_id
    ) n GROUP BY account_id, desktop_id, kind, status HAVING sum(number) <> 0";

impl TestDb {
    /// Panics unless each total is the number of rows it stands for.
    pub fn check_totals(&self) {
        let wrong = self.query(DIFFERENCES).unwrap();
        assert!(wrong.is_empty(), "totals are wrong: {wrong:?}");
    }
}
