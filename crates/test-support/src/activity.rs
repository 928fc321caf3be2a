//! The check that a log is whole.

use approval_core::{AccountId, ActivityEntry, GENESIS};
use store::ActivityRow;

/// Panics unless `rows`, read from the beginning, have no gap and every hash follows from its row
/// and the hash before.
pub fn check_chain(account: AccountId, rows: &[ActivityRow]) {
    let mut prev_hash = GENESIS;
    for (row, seq) in rows.iter().zip(1..) {
        assert_eq!(row.seq, seq, "the log has a gap");
        assert_eq!(row.prev_hash, prev_hash.to_string(), "before row {seq}");
        let entry = ActivityEntry {
            seq,
            account,
            kind: &row.kind,
            payload: &row.payload,
            actor: &row.actor,
            at: row.at,
            prev_hash,
        };
        prev_hash = entry.hash();
        assert_eq!(row.hash, prev_hash.to_string(), "row {seq}");
    }
}
