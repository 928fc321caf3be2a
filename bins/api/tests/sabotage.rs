//! No program that is released can be told to make a mistake (`crates/store/src/sabotage.rs`).

use crate::site::API;

/// Written apart, so that this test's own program does not hold it.
fn variable() -> Vec<u8> {
    ["COUNTERSIGN", "SABOTAGE"].join("_").into_bytes()
}

#[test]
fn only_a_sabotaged_build_knows_how_to_make_mistakes() {
    let program = std::fs::read(API).expect("the program");
    let variable = variable();
    let knows = program
        .windows(variable.len())
        .any(|bytes| bytes == variable);
    assert_eq!(knows, cfg!(sabotage));
}
