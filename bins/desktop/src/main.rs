//! Countersign: desktop.

fn main() {}
