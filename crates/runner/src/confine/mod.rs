//! Keeps a task away from everything but its work folder and what a build needs.
use std::ffi::OsString;
use std::path::{Path, PathBuf};
/// What a task may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// w
    pub write: Vec<PathBuf>,
    /// r
    pub read: Vec<PathBuf>,
    /// p
    pub protect: Vec<PathBuf>,
}
pub(crate) fn command(
    _helper: &Path,
    _confinement: Option<&Confinement>,
    command: Vec<OsString>,
) -> Vec<OsString> {
    command
}
/// tmp
#[derive(Debug)]
pub struct Level;
impl Level {
    /// tmp
    pub fn is_confined(&self) -> bool {
        false
    }
}
impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stub")
    }
}
/// tmp
pub fn level() -> Level {
    Level
}
/// tmp
pub fn helper(_a: impl Iterator<Item = OsString>) -> Option<std::process::ExitCode> {
    None
}
