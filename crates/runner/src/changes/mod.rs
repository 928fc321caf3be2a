//! What a task changed in its folder.
use contract::AddFile;
use std::path::PathBuf;
#[derive(Debug)]
pub(crate) struct Watcher {}
pub(crate) struct Before {}
pub(crate) struct Summary {
    pub(crate) files: u64,
    pub(crate) omitted: u64,
    pub(crate) ignored: u64,
    pub(crate) notes: Vec<String>,
}
#[derive(Debug)]
pub(crate) struct Stopped;
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub(crate) struct ChangesError;
impl Watcher {
    pub(crate) fn new(_folder: PathBuf) -> Self {
        Self {}
    }
    pub(crate) fn before(&mut self) -> Result<Before, ChangesError> {
        Ok(Before {})
    }
    pub(crate) fn after(
        &mut self,
        _b: Before,
        _sink: &mut dyn FnMut(AddFile) -> Result<(), Stopped>,
    ) -> Result<Summary, ChangesError> {
        Ok(Summary {
            files: 0,
            omitted: 0,
            ignored: 0,
            notes: vec![],
        })
    }
}
