//! Copies of files, so that there is something to compare with. They are kept apart from the
//! folder, where an agent cannot rewrite what was before.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::tree::Digest;

/// How much of what is needed no more is tolerated before the rest is moved to a new file.
const SLACK: u64 = 16 << 20;

/// Contents by digest, in a file without a name: it goes when this process does, whatever its end.
#[derive(Debug)]
pub(super) struct Stash {
    file: File,
    places: HashMap<Digest, Place>,
    end: u64,
    capacity: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    length: usize,
}

impl Stash {
    pub(super) fn new(capacity: u64) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile()?,
            places: HashMap::new(),
            end: 0,
            capacity,
        })
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.places.contains_key(digest)
    }

    pub(super) fn has_room(&self, length: u64) -> bool {
        length <= self.capacity.saturating_sub(self.end)
    }

    /// Keeps a content, if there is room for it.
    pub(super) fn add(&mut self, digest: Digest, content: &[u8]) -> io::Result<()> {
        if self.has(&digest) || !self.has_room(content.len() as u64) {
            return Ok(());
        }
        self.file.write_all_at(content, self.end)?;
        let place = Place {
            start: self.end,
            length: content.len(),
        };
        self.places.insert(digest, place);
        self.end += content.len() as u64;
        Ok(())
    }

    pub(super) fn get(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        let Some(place) = self.places.get(digest) else {
            return Ok(None);
        };
        let mut content = vec![0; place.length];
        self.file.read_exact_at(&mut content, place.start)?;
        Ok(Some(content))
    }

    /// Gives the room of all but these contents back, when that is worth the copying.
    pub(super) fn retain<'a>(
        &mut self,
        needed: &(impl Iterator<Item = &'a Digest> + Clone),
    ) -> io::Result<()> {
        let places = || needed.clone().filter_map(|digest| self.places.get(digest));
        // A content that is needed twice is counted twice, which only delays the move.
        let length: u64 = places().map(|place| place.length as u64).sum();
        if self.end <= length.saturating_mul(2) + SLACK.min(self.capacity / 4) {
            return Ok(());
        }
        let mut moved = Self::new(self.capacity)?;
        for digest in needed.clone() {
            if let Some(content) = self.get(digest)? {
                moved.add(*digest, &content)?;
            }
        }
        *self = moved;
        Ok(())
    }
}
