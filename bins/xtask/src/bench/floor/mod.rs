//! Floors: what the same machine does at best, measured in the same run.

pub mod memory;
pub mod pgbench;
pub mod raw;
