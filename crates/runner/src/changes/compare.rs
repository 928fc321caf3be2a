//! What is different between two looks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use sha2::{Digest as _, Sha256};

use super::limits;
use super::stash::Stash;
use super::tree::{Digest, Entry, Kind, Look};

/// How many files may have gone, and as many have come, for their contents to be compared: that is
/// work for each pair.
const PAIRED: usize = 50;
/// The largest file that is compared so.
const PAIRED_SIZE: u64 = 256 << 10;
/// How alike two files are that count as one that was renamed, in percent. As in git.
const ALIKE: u64 = 50;

/// A difference at a path.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: Vec<u8>,
    pub(super) old: Option<Entry>,
    pub(super) new: Option<Entry>,
    pub(super) renamed: Option<Renamed>,
}

/// Where a file was.
#[derive(Debug)]
pub(super) struct Renamed {
    pub(super) from: Vec<u8>,
    /// How much of it is the same, in percent.
    pub(super) alike: u64,
}

/// The changes that are handed over, and how many are not.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// By path.
    pub(super) changes: Vec<Change>,
    pub(super) omitted: u64,
    /// New files that are not counted as changes, because the task made them ignored.
    pub(super) newly_ignored: u64,
    /// New files where the look before did not come.
    pub(super) unknown: u64,
}

/// What changed. Of too many changes those are taken that matter most.
pub(super) fn changes(before: &Look, after: &Look, stash: &Stash) -> io::Result<Chosen> {
    let mut chosen = Chosen::default();
    let mut changes = Vec::new();
    for (path, old) in &before.entries {
        let new = after.entries.get(path);
        if new.is_none_or(|new| !old.equals(new)) {
            changes.push(change(path, Some(old), new));
        }
    }
    let mut newly_ignored = 0;
    for (path, new) in &after.entries {
        if before.entries.contains_key(path) {
            continue;
        }
        if !before.reached(path) {
            chosen.unknown += 1;
        } else if new.newly_ignored && newly_ignored >= limits::NEWLY_IGNORED {
            chosen.newly_ignored += 1;
        } else {
            newly_ignored += usize::from(new.newly_ignored);
            changes.push(change(path, None, Some(new)));
        }
    }
    join_renamed(&mut changes, stash)?;
    // An agent could make so many files that the one that matters is not among the first.
    changes.sort_by(|one, other| (rank(one), &one.path).cmp(&(rank(other), &other.path)));
    chosen.omitted = changes.len().saturating_sub(limits::PATHS) as u64;
    changes.truncate(limits::PATHS);
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    chosen.changes = changes;
    Ok(chosen)
}

fn change(path: &[u8], old: Option<&Entry>, new: Option<&Entry>) -> Change {
    Change {
        path: path.to_vec(),
        old: old.cloned(),
        new: new.cloned(),
        renamed: None,
    }
}

/// What matters comes first: what git may execute, what was there, what is new, what is ignored.
fn rank(change: &Change) -> u8 {
    let is_in_git = |path: &[u8]| {
        let mut names = path.split(|byte| *byte == b'/');
        names.any(|name| name == b".git")
    };
    match (&change.old, &change.new) {
        _ if is_in_git(&change.path) => 0,
        (Some(_), _) => 1,
        (None, Some(new)) if new.newly_ignored => 3,
        (None, _) => 2,
    }
}

/// Makes one change of a file that is gone and a new one that is like it.
fn join_renamed(changes: &mut Vec<Change>, stash: &Stash) -> io::Result<()> {
    let files = |side: fn(&Change) -> (Option<&Entry>, Option<&Entry>)| {
        let is_file = move |change: &Change| match side(change) {
            (Some(entry), None) => entry.kind == Kind::File && entry.stamp.size > 0,
            _ => false,
        };
        let found = changes.iter().enumerate();
        found.filter(move |(_, change)| is_file(change))
    };
    let gone = files(|change| (change.old.as_ref(), change.new.as_ref()));
    let come = files(|change| (change.new.as_ref(), change.old.as_ref()));

    let mut by_digest: HashMap<Digest, VecDeque<usize>> = HashMap::new();
    let mut left_gone = Vec::new();
    for (at, change) in gone {
        if let Some(digest) = change.old.as_ref().and_then(|old| old.digest) {
            by_digest.entry(digest).or_default().push_back(at);
        }
    }
    let mut pairs: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
    let mut left_come = Vec::new();
    for (at, change) in come {
        let digest = change.new.as_ref().and_then(|new| new.digest);
        let Some(same) = digest.and_then(|digest| by_digest.get_mut(&digest)) else {
            left_come.push(at);
            continue;
        };
        // Of a few that were the same, the one of the same name is it.
        let is_namesake = |gone: &usize| name(&changes[*gone].path) == name(&change.path);
        let which = same.iter().take(PAIRED).position(is_namesake);
        match same.remove(which.unwrap_or(0)) {
            Some(gone) => _ = pairs.insert(at, (gone, 100)),
            None => left_come.push(at),
        }
    }
    left_gone.extend(by_digest.into_values().flatten());
    left_gone.sort_unstable();
    if left_gone.len() <= PAIRED && left_come.len() <= PAIRED {
        pair_alike(changes, left_gone, &left_come, stash, &mut pairs)?;
    }

    let mut is_joined = vec![false; changes.len()];
    for (come, (gone, alike)) in pairs {
        is_joined[gone] = true;
        let old = changes[gone].old.clone();
        let from = changes[gone].path.clone();
        changes[come].old = old;
        changes[come].renamed = Some(Renamed { from, alike });
    }
    let mut is_joined = is_joined.into_iter();
    changes.retain(|_| !is_joined.next().unwrap_or_default());
    Ok(())
}

fn name(path: &[u8]) -> Option<&[u8]> {
    path.rsplit(|byte| *byte == b'/').next()
}

/// Pairs what is most alike first.
fn pair_alike(
    changes: &[Change],
    gone: Vec<usize>,
    come: &[usize],
    stash: &Stash,
    pairs: &mut BTreeMap<usize, (usize, u64)>,
) -> io::Result<()> {
    let lines = |entry: Option<&Entry>| -> io::Result<Option<Lines>> {
        let small = entry.filter(|entry| entry.stamp.size <= PAIRED_SIZE);
        let Some(digest) = small.and_then(|entry| entry.digest) else {
            return Ok(None);
        };
        Ok(stash.get(&digest)?.map(|content| Lines::of(&content)))
    };
    let mut olds = Vec::new();
    for at in gone {
        if let Some(lines) = lines(changes[at].old.as_ref())? {
            olds.push((at, lines));
        }
    }
    let mut found = Vec::new();
    for &at in come {
        let Some(new) = lines(changes[at].new.as_ref())? else {
            continue;
        };
        for (old_at, old) in &olds {
            let alike = old.alike(&new);
            if alike >= ALIKE {
                found.push((alike, *old_at, at));
            }
        }
    }
    found.sort_by(|one, other| other.0.cmp(&one.0).then(one.cmp(other)));
    let mut taken = Vec::new();
    for (alike, gone, come) in found {
        if !taken.contains(&gone) && !pairs.contains_key(&come) {
            taken.push(gone);
            pairs.insert(come, (gone, alike));
        }
    }
    Ok(())
}

/// The lines of a content, however they are ordered: how many bytes there are of each.
struct Lines {
    bytes: HashMap<Digest, u64>,
    length: u64,
}

impl Lines {
    fn of(content: &[u8]) -> Self {
        let mut bytes = HashMap::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            *bytes.entry(Sha256::digest(line).into()).or_default() += line.len() as u64;
        }
        Self {
            bytes,
            length: content.len() as u64,
        }
    }

    /// How much of the longer one is in both, in percent.
    fn alike(&self, other: &Self) -> u64 {
        let shared = |(line, bytes): (&Digest, &u64)| other.bytes.get(line).map(|b| *b.min(bytes));
        let shared: u64 = self.bytes.iter().filter_map(shared).sum();
        // Never all of it: what is the same was found by its digest.
        (shared * 100 / self.length.max(other.length).max(1)).min(99)
    }
}
