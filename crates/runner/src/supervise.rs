//! Follows all processes of a task to their end.
use rustix::process::Pid;
pub(crate) fn become_subreaper() -> std::io::Result<()> {
    Ok(())
}
pub(crate) fn kill_strays(_known: &[Pid]) {}
