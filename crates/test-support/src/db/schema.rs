//! What a database consists of: its schema as the catalogue has it, and its rows.

use super::{Engine, Rows, TestDb};

impl TestDb {
    /// Everything the schema consists of, as text: the catalogue's own definitions, without diesel's
    /// table.
    ///
    /// # Panics
    /// When the catalogue cannot be read.
    pub fn schema(&self) -> Rows {
        let queries: &[&str] = match self.engine() {
            Engine::Sqlite => &["SELECT type, name, tbl_name, sql FROM sqlite_master
                 WHERE tbl_name <> '__diesel_schema_migrations' ORDER BY 1, 2"],
            Engine::Postgres => &[
                // by their order: the number of a dropped column is not given again
                "SELECT c.relname, c.relkind, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
                        a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                 WHERE c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped
                   AND c.relname NOT LIKE '\\_\\_diesel%' ORDER BY 1, 3",
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE connamespace = 'public'::regnamespace
                   AND conrelid::regclass::text NOT LIKE '\\_\\_diesel%' ORDER BY 1, 2",
                "SELECT indexdef FROM pg_indexes
                 WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_diesel%' ORDER BY 1",
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
                "SELECT pg_get_functiondef(oid) FROM pg_proc
                 WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
                "SELECT typname FROM pg_type
                 WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') ORDER BY 1",
            ],
        };
        queries
            .iter()
            .flat_map(|query| self.query(query).expect("the catalogue"))
            .collect()
    }

    /// Every row of every table with its table's name in front, in an order of their own; without
    /// diesel's table.
    ///
    /// # Panics
    /// When a table cannot be read.
    pub fn rows(&self) -> Rows {
        let tables = match self.engine() {
            Engine::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            }
            Engine::Postgres => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        };
        let tables = self.query(tables).expect("the catalogue").into_iter();
        let tables = tables.map(|row| row.into_iter().flatten().collect::<String>());
        let mut all = Rows::new();
        for table in tables.filter(|table| !table.starts_with("__diesel")) {
            let rows = self
                .query(&format!("SELECT * FROM \"{table}\""))
                .expect("rows");
            all.extend(rows.into_iter().map(|mut row| {
                row.insert(0, Some(table.clone()));
                row
            }));
        }
        all.sort();
        all
    }
}
