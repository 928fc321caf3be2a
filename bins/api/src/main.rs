//! Countersign: api.

fn main() {}
