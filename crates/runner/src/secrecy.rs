//! Keeps what is in the memory of this process from other programs of the same user.

use std::io;

/// Marks this process as not dumpable: other programs of its user can neither trace it nor look into
/// its memory, environment or open files, and it leaves no core. On systems other than Linux nothing
/// is done.
///
/// # Errors
/// When the system refuses.
pub fn make_unreadable() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}
