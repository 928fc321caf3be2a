//! `docs/api.md` names every call, and none that does not exist.

use std::collections::BTreeSet;

use web::ROUTES;

#[test]
fn the_document_names_the_calls() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");
    let document = std::fs::read_to_string(path).expect("docs/api.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let calls: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.verb.as_str(), route.path))
        .collect();
    assert_eq!(named, calls.iter().map(String::as_str).collect());
}
