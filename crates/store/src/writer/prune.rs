//! The bytes that prunings give up: a bounded number in a batch, so that no decision waits long behind them.
//!
//! The row of the pruning is written first. Triggers let bytes of a sealed attempt go only where it stands.

use approval_core::TaskId;
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};

use super::world::{Origin, World};
use crate::connection::{Conn, on_db};
use crate::dialect::{Cell, Kind, Target};
use crate::fault::Fault;
use crate::rows::{int, text, time};
use crate::schema::{file_bytes, log_entries};
use crate::views::Freed;

use Kind::{Bytes, Int, Text};

/// Most bytes that go in one batch, unless a single part has more.
const BYTES: i64 = 4 << 20;
/// Most rows that are changed in one batch.
const ROWS: i64 = 1_000;

const PRUNINGS: Target = Target {
    table: "prunings",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("account_id", Text),
        ("evidence_sha256", Text),
        ("older_than", Int),
        ("log_bytes", Int),
        ("file_bytes", Int),
        ("pruned_at", Int),
    ],
    keys: 2,
};

const PRUNING_ENDS: Target = Target {
    table: "prunings",
    columns: &[("task_id", Text), ("attempt", Int), ("finished_at", Int)],
    keys: 2,
};

const LOG_BYTES: Target = Target {
    table: "log_entries",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("seq", Int),
        ("bytes", Bytes),
    ],
    keys: 3,
};

const FILE_PARTS: Target = Target {
    table: "file_bytes",
    columns: &[
        ("task_id", Text),
        ("attempt", Int),
        ("n", Int),
        ("part", Text),
    ],
    keys: 4,
};

/// How much may still go in this batch.
pub(super) struct Room {
    bytes: i64,
    rows: i64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: BYTES,
            rows: ROWS,
        }
    }
}

impl Room {
    /// Takes from the front of `sizes` what fits; something larger than all the room still fits alone.
    fn take(&mut self, sizes: impl Iterator<Item = i64>) -> usize {
        let taken = sizes.take_while(|size| {
            let fits = self.rows > 0 && (self.bytes >= *size || self.bytes == BYTES);
            if fits {
                self.bytes -= size;
                self.rows -= 1;
            }
            fits
        });
        taken.count()
    }
}

/// Writes the prunings that a batch begins.
pub(super) fn begin(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let new = world
        .prunings
        .iter()
        .filter(|(_, entry)| matches!(entry.origin, Origin::New(_)));
    let rows = new.map(|(task, entry)| {
        vec![
            text(task),
            int(entry.attempt),
            text(entry.account),
            text(entry.evidence_sha256),
            time(entry.older_than),
            int(entry.log_bytes),
            int(entry.file_bytes),
            time(world.now),
        ]
    });
    Ok(PRUNINGS.insert(conn, rows.collect())?)
}

/// Frees what there is room for, and notes when nothing is left.
pub(super) fn free(
    conn: &mut Conn,
    world: &World,
    task: TaskId,
    room: &mut Room,
) -> Result<Freed, Fault> {
    let Some(pruning) = world.prunings.get(&task) else {
        return Err(Fault::Corrupt(format!("{task} has no pruning")));
    };
    let (log_bytes, log_is_done) = empty_log(conn, task, pruning.attempt, room)?;
    let (file_bytes, files_are_done) = drop_files(conn, task, pruning.attempt, room)?;
    let is_done = log_is_done && files_are_done;
    if is_done {
        let row = vec![text(task), int(pruning.attempt), time(world.now)];
        PRUNING_ENDS.update(conn, vec![row])?;
    }
    Ok(Freed {
        log_bytes,
        file_bytes,
        is_done,
        ..Freed::default()
    })
}

/// Empties log entries; gives the bytes that went, and whether none is left.
fn empty_log(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    room: &mut Room,
) -> Result<(i64, bool), Fault> {
    let entries: Vec<(i64, i64)> = on_db!(conn, |c| log_entries::table
        .filter(log_entries::task_id.eq(task.to_string()))
        .filter(log_entries::attempt.eq(i64::from(attempt)))
        .filter(sql::<Bool>("length(bytes) > 0"))
        .order(log_entries::seq)
        .limit(room.rows + 1)
        .select((log_entries::seq, log_entries::size))
        .load(c))?;
    let fitting = room.take(entries.iter().map(|(_, size)| *size));
    let emptied = entries.iter().take(fitting);
    let bytes = emptied.clone().map(|(_, size)| size).sum();
    let rows = emptied.map(|(seq, _)| {
        let nothing = Cell::Bytes(Some(Vec::new()));
        vec![text(task), int(attempt), int(*seq), nothing]
    });
    LOG_BYTES.update(conn, rows.collect())?;
    Ok((bytes, fitting == entries.len()))
}

/// Deletes diffs and contents of files; gives the bytes that went, and whether none is left.
fn drop_files(
    conn: &mut Conn,
    task: TaskId,
    attempt: u32,
    room: &mut Room,
) -> Result<(i64, bool), Fault> {
    let parts: Vec<(i64, String, i64)> = on_db!(conn, |c| file_bytes::table
        .filter(file_bytes::task_id.eq(task.to_string()))
        .filter(file_bytes::attempt.eq(i64::from(attempt)))
        .order((file_bytes::n, file_bytes::part))
        .limit(room.rows + 1)
        .select((
            file_bytes::n,
            file_bytes::part,
            sql::<BigInt>("CAST(length(bytes) AS BIGINT)"),
        ))
        .load(c))?;
    let fitting = room.take(parts.iter().map(|(.., size)| *size));
    let dropped = parts.iter().take(fitting);
    let bytes = dropped.clone().map(|(.., size)| size).sum();
    let rows = dropped.map(|(n, part, _)| vec![text(task), int(attempt), int(*n), text(part)]);
    FILE_PARTS.delete(conn, rows.collect())?;
    Ok((bytes, fitting == parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_room_for_so_many_bytes_and_rows_or_for_one_part() {
        let mut room = Room::default();
        assert_eq!(room.take([3 << 20, 1 << 20, 1].into_iter()), 2);
        assert_eq!(room.take([1].into_iter()), 0, "the room is used up");
        let mut room = Room::default();
        assert_eq!(room.take([10 << 20, 1].into_iter()), 1, "too large alone");
        let mut room = Room::default();
        assert_eq!(room.take(std::iter::repeat_n(1, 2_000)), 1_000);
    }
}
