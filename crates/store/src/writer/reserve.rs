//! Room on the disk that is kept for decisions: while less is free, nothing that makes the database grow
//! is taken, so that what is under way can still be ended and decided (docs/guarantees.md, a full disk).

use std::path::{Path, PathBuf};

use crate::command::Request;
use crate::sabotage::Mistake;
use crate::url::DatabaseUrl;

/// The disk of SQLite and how much of it is kept. Of PostgreSQL's disk a client sees nothing.
pub(crate) struct Reserve {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    /// In bytes.
    least: u64,
    is_low: bool,
}

impl Reserve {
    /// Keeps `least` bytes free; 0 keeps none.
    pub(crate) fn new(url: &DatabaseUrl, least: u64) -> Self {
        let folder = match url {
            DatabaseUrl::Sqlite(file) if least > 0 => Some(folder_of(file)),
            DatabaseUrl::Sqlite(_) | DatabaseUrl::Postgres(_) => None,
        };
        Self {
            folder,
            least,
            is_low: false,
        }
    }

    /// For administration, which makes room.
    pub(crate) fn none(url: &DatabaseUrl) -> Self {
        Self::new(url, 0)
    }

    /// Which of the requests must wait for room; `None` when none of them must. Asks the file system only
    /// when one of them grows.
    pub(crate) fn holds_back(&mut self, requests: &[&Request]) -> Option<fn(&Request) -> bool> {
        let is_low = requests.iter().any(|request| request.command.grows()) && self.ask();
        is_low.then_some(|request| request.command.grows())
    }

    /// Whether less than the reserve is free; says so once when that changes.
    fn ask(&mut self) -> bool {
        let free = self.folder.as_deref().and_then(free);
        let is_low = free.is_some_and(|free| free < self.least) && !Mistake::NoReserve.made();
        if is_low && !self.is_low {
            tracing::warn!(
                free,
                reserve = self.least,
                "the disk of the database is nearly full: uploads and new tasks are refused until there is room"
            );
        } else if self.is_low && !is_low {
            tracing::info!(free, "the disk of the database has room again");
        }
        self.is_low = is_low;
        is_low
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Bytes that an ordinary user may still write to the file system of a folder; `None` when it does not say.
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_is_free() {
        assert!(free(Path::new(".")).is_some_and(|bytes| bytes > 0));
        assert_eq!(free(Path::new("/no such folder")), None);
        assert_eq!(folder_of(Path::new("a.db")), Path::new("."));
    }

    #[test]
    fn what_is_kept_is_compared_with_what_is_free() {
        let url: DatabaseUrl = "sqlite:///tmp/reserve.db".parse().unwrap();
        assert!(Reserve::new(&url, u64::MAX).ask());
        assert!(!Reserve::new(&url, 1).ask());
        assert!(!Reserve::none(&url).ask());
    }
}
