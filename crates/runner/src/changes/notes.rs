//! What a reviewer should know about how complete the list of changes is.

use super::compare::Chosen;
use super::limits::{self, Limits};
use super::tree::Look;

const MIB: u64 = 1 << 20;

/// Sentences about everything that is not as it could be expected.
pub(super) fn notes(
    before: &Look,
    after: &Look,
    limits: &Limits,
    chosen: &Chosen,
    truncated: u64,
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |count: u64, sentence: &dyn Fn() -> String| {
        if count > 0 {
            notes.push(sentence());
        }
    };
    note(u64::from(before.root != after.root), &|| {
        "the task replaced the folder itself by another one".to_owned()
    });
    for (when, look) in [("before", before), ("after", after)] {
        let (entries, seconds) = (limits.entries, limits.time.as_secs());
        note(u64::from(look.cut.is_some()), &|| {
            format!(
                "the look {when} the task was ended by its limits ({entries} names, \
                 {seconds} s): of what comes later only files known from before are compared"
            )
        });
    }
    note(chosen.unknown, &|| {
        let count = chosen.unknown;
        format!(
            "{count} files are not compared: they are where the look before the task did not come"
        )
    });
    note(chosen.omitted, &|| {
        let (count, most) = (chosen.omitted, limits::PATHS);
        format!("{count} more files changed than the {most} that are listed")
    });
    note(chosen.newly_ignored, &|| {
        let (count, most) = (chosen.newly_ignored, limits::NEWLY_IGNORED);
        format!(
            "the task changed what is ignored: besides {most} that are listed, {count} new files \
             are ignored now"
        )
    });
    note(truncated, &|| {
        format!("{truncated} changed files are listed without their whole diff or content")
    });
    note(after.unread.count, &|| {
        let (count, names) = (after.unread.count, after.unread.names());
        let (one, all) = (limits.read_file / MIB, limits.read / MIB);
        format!(
            "{count} files are too large to be read (more than {one} MiB, or {all} MiB in all): \
             only their size and times are compared ({names})"
        )
    });
    for (tally, what) in [
        (&after.unreadable, "files or folders could not be read"),
        (&after.too_deep, "folders are too deep to be looked at"),
        (
            &after.long_rules,
            "ignore files are too long to be obeyed to their end",
        ),
        (&after.special, "FIFOs, sockets or devices are not shown"),
    ] {
        note(tally.count, &|| {
            format!("{} {what} ({})", tally.count, tally.names())
        });
    }
    notes
}
