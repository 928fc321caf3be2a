//! Countersign: xtask.

fn main() {}
