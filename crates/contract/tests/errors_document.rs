//! `docs/errors.md` lists exactly the codes there are, as the table in `problem.rs` has them.

use std::fmt::Write;

use contract::Code;

/// The table as it must stand in the document.
fn table() -> String {
    let mut table = String::from("| status | code | meaning | what to do |\n|---|---|---|---|\n");
    for code in Code::ALL {
        writeln!(
            table,
            "| {} | `{}` | {} | {} |",
            code.status(),
            code.as_str(),
            code.title(),
            code.advice()
        )
        .expect("writing to a string");
    }
    table
}

#[test]
fn the_document_has_the_table_of_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let document = std::fs::read_to_string(path).expect("docs/errors.md");
    let rows: String = document
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(
        rows,
        table(),
        "docs/errors.md must hold this table:\n{}",
        table()
    );
}
