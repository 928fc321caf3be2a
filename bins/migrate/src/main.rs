//! Countersign: migrate.

fn main() {}
