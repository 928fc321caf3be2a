//! What root could do in spite of Landlock, taken away.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What root needs to work with files of others and to bind low ports, all of it within the rights
/// that Landlock leaves. Everything else is a way around them: raw memory and disks, modules, mounts,
/// tracing, files by handle.
const HARMLESS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Gives up all other capabilities for this thread and what it becomes. With `no_new_privs`, which
/// must be set, executing a program as root does not bring them back.
///
/// # Errors
/// When the system refuses.
pub(super) fn give_up() -> io::Result<()> {
    let held = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective.intersection(HARMLESS),
            permitted: held.permitted.intersection(HARMLESS),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}
