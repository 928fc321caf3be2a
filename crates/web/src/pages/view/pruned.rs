//! What is said where the bytes of an attempt were given up, never as if there had been none.

use super::When;

/// When they went, and how many there were.
#[derive(Clone, Debug)]
pub struct Pruned {
    pub at: When,
    pub log_bytes: i64,
    pub file_bytes: i64,
}
