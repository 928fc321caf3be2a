//! All that is in a database, for tests of what does not change and of what is nowhere.

use std::collections::BTreeMap;

use super::{Engine, TestDb};

impl TestDb {
    /// Every row of every table, as text and sorted; without the columns that `leaves_out` names.
    /// Bytes are hexadecimal, after `\x`.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub fn contents(&self, leaves_out: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        let tables = self.query(match self.engine() {
            Engine::Sqlite => {
                "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c
                 WHERE t.type = 'table' ORDER BY t.name, c.cid"
            }
            Engine::Postgres => {
                "SELECT table_name, column_name FROM information_schema.columns
                 WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
            }
        });
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in tables.expect("the tables") {
            let [Some(table), Some(column)] = row.as_slice() else {
                panic!("names: {row:?}");
            };
            let chosen = columns.entry(table.clone()).or_default();
            if !leaves_out.contains(&(table.as_str(), column.as_str())) {
                chosen.push(format!("\"{column}\""));
            }
        }
        let read = |(table, columns): (String, Vec<String>)| {
            let rows = self.query(&format!("SELECT {} FROM \"{table}\"", columns.join(", ")));
            let rows = rows.expect("the rows").into_iter();
            let mut rows: Vec<_> = rows.map(|row| format!("{row:?}")).collect();
            rows.sort_unstable();
            (table, rows)
        };
        columns.into_iter().map(read).collect()
    }
}
