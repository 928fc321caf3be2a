//! Looks at all files in a folder, and alters none. The folder is an agent's: names are only
//! followed one step from a folder that is open already, never through a symbolic link, and nothing
//! is opened that one would have to wait for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::ignore::Rules;
use super::limits::{self, Limits};
use super::repository::Repository;
use super::stash::Stash;
use super::tree::{Digest, Entry, Kind, Look, Stamp};
use crate::clock;

/// What git itself stores in a repository and changes all the time, none of which it executes or takes
/// as settings. Everything else in `.git` is looked at: settings and hooks, an unfinished rebase, and
/// whatever does not belong there.
const STORED: &[&[u8]] = &[
    b"AUTO_MERGE",
    b"CHERRY_PICK_HEAD",
    b"COMMIT_EDITMSG",
    b"FETCH_HEAD",
    b"HEAD",
    b"MERGE_HEAD",
    b"MERGE_MODE",
    b"MERGE_MSG",
    b"MERGE_RR",
    b"ORIG_HEAD",
    b"REBASE_HEAD",
    b"REVERT_HEAD",
    b"SQUASH_MSG",
    b"description",
    b"gc.log",
    b"gc.pid",
    b"index",
    b"index.lock",
    b"lfs/",
    b"logs/",
    b"objects/",
    b"packed-refs",
    b"refs/",
    b"rr-cache/",
    b"shallow",
];

/// The same in its folder `info`.
const STORED_INFO: &[&[u8]] = &[b"refs"];

/// Looks at `root`. `known` is an earlier look, of which is taken what did not change.
///
/// # Errors
/// When the folder cannot be opened, or the stash cannot be written.
pub(super) fn look(
    root: &Path,
    repository: Option<&Repository>,
    known: Option<&Look>,
    limits: &Limits,
    stash: &mut Stash,
) -> io::Result<Look> {
    let mut walker = Walker::new(known, limits, stash);
    if let Some(repository) = repository {
        walker.look.is_repository = true;
        walker.look.exclude = Arc::new(repository.exclude());
        walker.rules.push((0, walker.look.exclude.clone()));
        walker.track(repository);
    }
    walker.all(&open_root(root)?)?;
    Ok(walker.look)
}

/// Looks at `root` again after a task. What was ignored before the task is ignored, whatever the
/// ignore files say now.
///
/// # Errors
/// When the folder cannot be opened, or the stash cannot be written.
pub(super) fn look_again(
    root: &Path,
    before: &Look,
    limits: &Limits,
    stash: &mut Stash,
) -> io::Result<Look> {
    let mut walker = Walker::new(Some(before), limits, stash);
    walker.most_listed += before.listed;
    walker.most_path_bytes += before.path_bytes;
    if before.is_repository {
        walker.look.is_repository = true;
        walker.before = Some(before);
        walker.rules.push((0, before.exclude.clone()));
        let repository = Repository::at(root);
        let exclude = repository.as_ref().map(Repository::exclude);
        walker.rules_now = Some(vec![(0, Arc::new(exclude.unwrap_or_default()))]);
        // Tracked is what was, and what the task made so.
        if let Some(repository) = repository {
            walker.track(&repository);
        }
        walker.look.tracked.extend_from_slice(&before.tracked);
        walker.look.tracked.sort_unstable();
    }
    let folder = open_root(root)?;
    walker.all(&folder)?;
    // New files cannot push known ones out of sight.
    for path in before.entries.keys() {
        if !walker.look.reached(path) {
            walker.single(&folder, path)?;
        }
    }
    Ok(walker.look)
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, root, folder_flags(), Mode::empty())?)
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// What holds in a folder, given what holds above it.
#[derive(Debug, Clone, Copy, Default)]
struct Scope {
    depth: usize,
    /// Everything but what git tracks is ignored.
    only_tracked: bool,
    /// The rules as they are now ignore everything.
    newly_ignored: bool,
    /// Part of a repository, where rules have no say.
    in_git: bool,
}

/// Rules, and how much of a path is the folder they are in.
type RulesAbove = Vec<(usize, Arc<Rules>)>;

struct Walker<'a> {
    known: Option<&'a Look>,
    limits: &'a Limits,
    stash: &'a mut Stash,
    /// The look whose rules are applied; none when those that are met are.
    before: Option<&'a Look>,
    rules: RulesAbove,
    /// The rules that are met, if others are applied.
    rules_now: Option<RulesAbove>,
    most_listed: usize,
    most_path_bytes: usize,
    read_left: u64,
    rules_left: u64,
    until: Instant,
    look: Look,
}

impl<'a> Walker<'a> {
    fn new(known: Option<&'a Look>, limits: &'a Limits, stash: &'a mut Stash) -> Self {
        let look = Look {
            begun: clock::now().get().unix_timestamp(),
            ..Look::default()
        };
        Self {
            known,
            limits,
            stash,
            before: None,
            rules: Vec::new(),
            rules_now: None,
            most_listed: limits.entries,
            most_path_bytes: limits.path_bytes,
            read_left: limits.read,
            rules_left: limits::ALL_RULES,
            until: Instant::now() + limits.time,
            look,
        }
    }

    fn track(&mut self, repository: &Repository) {
        match repository.tracked() {
            Some(tracked) => self.look.tracked = tracked,
            None => self.look.unreadable.add(b".git/index"),
        }
    }

    fn all(&mut self, root: &OwnedFd) -> io::Result<()> {
        let stamp = Stamp::of(&fstat(root)?);
        self.look.root = (stamp.device, stamp.inode);
        self.folder(root, &mut Vec::new(), Scope::default())
    }

    /// Ends the walk at `path`, unless it has ended before.
    fn cut(&mut self, path: &[u8]) {
        self.look.cut.get_or_insert_with(|| path.to_vec());
    }

    /// Whether the walk has not ended, which it does when time is up.
    fn may_go_on(&mut self, path: &[u8]) -> bool {
        if self.look.cut.is_none() && Instant::now() > self.until {
            self.cut(path);
        }
        self.look.cut.is_none()
    }

    /// Looks at what is in an open folder, in the order of the bytes of whole paths.
    fn folder(&mut self, folder: &OwnedFd, path: &mut Vec<u8>, scope: Scope) -> io::Result<()> {
        let Some(children) = self.children(folder, path) else {
            return Ok(());
        };
        let (own, own_now) = (
            self.rules.len(),
            self.rules_now.as_ref().map_or(0, Vec::len),
        );
        if self.look.is_repository && !scope.in_git {
            self.enter_rules(folder, path, &children);
        }
        for (name, kind) in children {
            if !self.may_go_on(path) {
                break;
            }
            let length = path.len();
            path.extend_from_slice(&name);
            self.child(folder, path, length, kind, scope)?;
            path.truncate(length);
        }
        self.rules.truncate(own);
        if let Some(now) = &mut self.rules_now {
            now.truncate(own_now);
        }
        Ok(())
    }

    /// The names in a folder, sorted; those of folders end with a slash.
    fn children(&mut self, folder: &OwnedFd, path: &[u8]) -> Option<Vec<(Vec<u8>, FileType)>> {
        let Ok(listing) = Dir::read_from(folder) else {
            self.look.unreadable.add(path);
            return None;
        };
        let mut children = Vec::new();
        for item in listing {
            let Ok(item) = item else {
                self.look.unreadable.add(path);
                break;
            };
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Counted here, since all of them are kept until the last one was looked at.
            self.look.listed += 1;
            if self.look.listed > self.most_listed {
                self.cut(path);
                return None;
            }
            let kind = match item.file_type() {
                FileType::Unknown => type_of(folder, name),
                known => known,
            };
            children.push((listed(name, kind), kind));
        }
        children.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Some(children)
    }

    /// Adds the rules of a folder to those from above.
    fn enter_rules(&mut self, folder: &OwnedFd, path: &[u8], children: &[(Vec<u8>, FileType)]) {
        let name = b".gitignore";
        let has_rules = children
            .iter()
            .any(|(child, kind)| child == name && *kind == FileType::RegularFile);
        let met = if has_rules {
            Arc::new(self.read_rules(folder, path, name))
        } else {
            Arc::default()
        };
        let applied = match (&mut self.rules_now, self.before) {
            (Some(now), Some(before)) => {
                if !met.is_empty() {
                    now.push((path.len(), met.clone()));
                }
                before.rules.get(path).cloned()
            }
            _ => Some(met.clone()),
        };
        if let Some(applied) = applied.filter(|rules| !rules.is_empty()) {
            self.rules.push((path.len(), applied));
        }
        if !met.is_empty() {
            self.look.rules.insert(path.to_vec(), met);
        }
    }

    fn read_rules(&mut self, folder: &OwnedFd, path: &[u8], name: &[u8]) -> Rules {
        let mut content = Vec::new();
        let longest = limits::RULES.min(self.rules_left);
        if let Ok((file, stamp)) = open_file(folder.as_fd(), name) {
            // Half a file has half the rules, so more is shown.
            let _ = file.take(longest).read_to_end(&mut content);
            if stamp.size > longest {
                self.look.long_rules.add(&[path, name].concat());
            }
        }
        self.rules_left = self.rules_left.saturating_sub(content.len() as u64);
        Rules::parse(&content)
    }

    /// Looks at one name in a folder. `path` ends with it, from `start` on.
    fn child(
        &mut self,
        folder: &OwnedFd,
        path: &mut Vec<u8>,
        start: usize,
        kind: FileType,
        scope: Scope,
    ) -> io::Result<()> {
        let is_folder = kind == FileType::Directory;
        let name = path[start..].strip_suffix(b"/").unwrap_or(&path[start..]);
        let is_git = name == b".git";
        let below = if is_git || scope.in_git {
            Some(scope)
        } else {
            self.scope_of(path, is_folder, scope)
        };
        let Some(below) = below else {
            self.look.ignored += if is_folder {
                self.count(folder, name)
            } else {
                1
            };
            return Ok(());
        };
        if !is_folder {
            return self.leaf(folder.as_fd(), path, start, below.newly_ignored);
        }
        let Some(child) = self.open_folder(folder, path, start, scope) else {
            return Ok(());
        };
        let below = Scope {
            depth: scope.depth + 1,
            ..below
        };
        if is_git {
            self.repository(&child, path, below)
        } else {
            self.folder(&child, path, below)
        }
    }

    /// What holds for a path and below it; none if it is ignored.
    fn scope_of(&self, path: &[u8], is_folder: bool, scope: Scope) -> Option<Scope> {
        if !self.look.is_repository {
            return Some(scope);
        }
        let ignores = |rules: &RulesAbove| is_ignored(rules, path, is_folder, self.until);
        let is_newly_ignored = || {
            let now = self.rules_now.as_ref();
            scope.newly_ignored || now.is_some_and(ignores)
        };
        if !(scope.only_tracked || ignores(&self.rules)) {
            let newly_ignored = is_newly_ignored() && !self.is_tracked(path, is_folder);
            return Some(Scope {
                newly_ignored,
                ..scope
            });
        }
        self.is_tracked(path, is_folder).then_some(Scope {
            only_tracked: is_folder,
            newly_ignored: false,
            ..scope
        })
    }

    /// Whether git tracks this, or something in it.
    fn is_tracked(&self, path: &[u8], is_folder: bool) -> bool {
        let tracked = &self.look.tracked;
        let at = tracked.partition_point(|name| name.as_slice() < path);
        let found = tracked.get(at);
        found.is_some_and(|name| name == path || (is_folder && name.starts_with(path)))
    }

    /// Opens a folder, whose name `path` ends with from `start` on, with a slash.
    fn open_folder(
        &mut self,
        folder: &OwnedFd,
        path: &[u8],
        start: usize,
        scope: Scope,
    ) -> Option<OwnedFd> {
        if scope.depth >= self.limits.depth {
            self.look.too_deep.add(path);
            return None;
        }
        let name = &path[start..path.len() - 1];
        match openat(folder, name, folder_flags(), Mode::empty()) {
            Ok(child) => Some(child),
            // It became something else a moment ago.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
            Err(_) => {
                self.look.unreadable.add(path);
                None
            }
        }
    }

    /// Looks at what is in a repository, or in that of a submodule in it, beside what git stores.
    fn repository(&mut self, git: &OwnedFd, path: &mut Vec<u8>, scope: Scope) -> io::Result<()> {
        let scope = Scope {
            depth: scope.depth,
            in_git: true,
            ..Scope::default()
        };
        self.parts(git, path, STORED, scope)
    }

    /// Looks at what is in a folder of a repository, except for some names.
    fn parts(
        &mut self,
        folder: &OwnedFd,
        path: &mut Vec<u8>,
        except: &[&[u8]],
        scope: Scope,
    ) -> io::Result<()> {
        for (name, kind) in self.children(folder, path).unwrap_or_default() {
            if !self.may_go_on(path) {
                break;
            }
            if !except.contains(&&name[..]) {
                self.part(folder, path, &name, kind, scope)?;
            }
        }
        Ok(())
    }

    /// Looks at one thing in a repository.
    fn part(
        &mut self,
        parent: &OwnedFd,
        path: &mut Vec<u8>,
        name: &[u8],
        kind: FileType,
        scope: Scope,
    ) -> io::Result<()> {
        let start = path.len();
        path.extend_from_slice(name);
        if kind != FileType::Directory {
            self.leaf(parent.as_fd(), path, start, false)?;
        } else if let Some(folder) = self.open_folder(parent, path, start, scope) {
            match name {
                b"modules/" | b"worktrees/" => self.repositories(&folder, path, scope)?,
                b"info/" => self.parts(&folder, path, STORED_INFO, scope)?,
                _ => self.folder(&folder, path, scope)?,
            }
        }
        path.truncate(start);
        Ok(())
    }

    /// Looks at the repositories in a folder. The name of one may have slashes.
    fn repositories(
        &mut self,
        folder: &OwnedFd,
        path: &mut Vec<u8>,
        scope: Scope,
    ) -> io::Result<()> {
        for (name, kind) in self.children(folder, path).unwrap_or_default() {
            let start = path.len();
            path.extend_from_slice(&name);
            if kind != FileType::Directory {
                self.leaf(folder.as_fd(), path, start, false)?;
            } else if let Some(child) = self.open_folder(folder, path, start, scope) {
                let below = Scope {
                    depth: scope.depth + 1,
                    ..scope
                };
                if type_of(&child, b"HEAD") == FileType::Unknown {
                    self.repositories(&child, path, below)?;
                } else {
                    self.repository(&child, path, below)?;
                }
            }
            path.truncate(start);
        }
        Ok(())
    }

    /// Looks at something that is not a folder.
    fn leaf(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        start: usize,
        newly_ignored: bool,
    ) -> io::Result<()> {
        let name = &path[start..];
        let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        let stamp = Stamp::of(&found);
        let is_new = || {
            self.before
                .is_some_and(|before| !before.entries.contains_key(path))
        };
        let newly_ignored = newly_ignored && is_new();
        let entry = match stamp.file_type() {
            FileType::RegularFile => self.file(folder, path, name, stamp, newly_ignored)?,
            FileType::Symlink => self.link(folder, path, name, stamp)?,
            // A folder only if it was none a moment ago.
            FileType::Directory => return Ok(()),
            _ => {
                self.look.special.add(path);
                return Ok(());
            }
        };
        let entry = Entry {
            newly_ignored,
            ..entry
        };
        self.look.path_bytes += path.len();
        self.look.entries.insert(path.to_vec(), entry);
        if self.look.path_bytes > self.most_path_bytes {
            self.cut(path);
        }
        Ok(())
    }

    fn file(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        stamp: Stamp,
        newly_ignored: bool,
    ) -> io::Result<Entry> {
        let entry = |stamp: Stamp, digest| Entry {
            kind: Kind::File,
            mode: stamp.file_mode(),
            stamp,
            digest,
            newly_ignored,
        };
        let known = self.known.and_then(|look| look.known(path, &stamp));
        let digest = known.and_then(|known| known.digest);
        let wants_copy = stamp.size <= self.limits.copy_file && self.stash.has_room(stamp.size);
        if digest.is_some_and(|digest| self.stash.has(&digest) || !wants_copy) {
            return Ok(entry(stamp, digest));
        }
        // What is ignored by now is often a flood of files that were fetched or built.
        if newly_ignored {
            return Ok(entry(stamp, None));
        }
        if stamp.size > self.limits.read_file.min(self.read_left) {
            self.look.unread.add(path);
            return Ok(entry(stamp, None));
        }
        let Ok((file, stamp)) = open_file(folder, name) else {
            self.look.unreadable.add(path);
            return Ok(entry(stamp, None));
        };
        let longest = self.limits.read_file.min(self.read_left);
        let keep = if wants_copy { self.limits.copy_file } else { 0 };
        let Ok((digest, length, copy)) = read(file, longest, keep) else {
            self.look.unreadable.add(path);
            return Ok(entry(stamp, None));
        };
        self.read_left = self.read_left.saturating_sub(length);
        if let (Some(digest), Some(copy)) = (digest, copy) {
            self.stash.add(digest, &copy)?;
        }
        Ok(entry(stamp, digest))
    }

    fn link(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        stamp: Stamp,
    ) -> io::Result<Entry> {
        let target = readlinkat(folder, name, Vec::new()).ok();
        let digest = target
            .as_ref()
            .map(|target| Sha256::digest(target.as_bytes()).into());
        match target.zip(digest) {
            Some((target, digest)) => self.stash.add(digest, target.as_bytes())?,
            None => self.look.unreadable.add(path),
        }
        Ok(Entry {
            kind: Kind::Link,
            mode: 0o120_000,
            stamp,
            digest,
            newly_ignored: false,
        })
    }

    /// Looks at a path that the walk did not reach.
    fn single(&mut self, root: &OwnedFd, path: &[u8]) -> io::Result<()> {
        let start = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |at| at + 1);
        let Some(parent) = open_below(root, &path[..start]) else {
            return Ok(());
        };
        self.leaf(parent.as_fd(), path, start, false)
    }

    /// How many files an ignored folder has, as long as that is cheap; after that, 1.
    fn count(&self, folder: &OwnedFd, name: &[u8]) -> u64 {
        let mut left = self.limits.ignored.saturating_sub(self.look.ignored);
        count(folder, name, &mut left, self.limits.depth).max(1)
    }
}

/// Whether rules ignore a path. When time is up they do not.
fn is_ignored(rules: &RulesAbove, path: &[u8], is_folder: bool, until: Instant) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    for (above, rules) in rules.iter().rev() {
        if Instant::now() > until {
            return false;
        }
        if let Some(decision) = rules.decide(&path[*above..], is_folder) {
            return decision;
        }
    }
    false
}

/// A name such that sorting names sorts whole paths.
fn listed(name: &[u8], kind: FileType) -> Vec<u8> {
    let slash: &[u8] = if kind == FileType::Directory {
        b"/"
    } else {
        b""
    };
    [name, slash].concat()
}

/// What a name stands for, a symbolic link for itself; unknown if it is gone.
fn type_of(folder: &OwnedFd, name: &[u8]) -> FileType {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_or(FileType::Unknown, |stat| Stamp::of(&stat).file_type())
}

/// Opens a folder below another, step by step.
fn open_below(root: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    let mut folder = root.try_clone().ok()?;
    for name in path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        folder = openat(&folder, name, folder_flags(), Mode::empty()).ok()?;
    }
    Some(folder)
}

/// Opens a regular file for reading, and nothing else.
fn open_file(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<(File, Stamp)> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let stamp = Stamp::of(&fstat(&file)?);
    if stamp.file_type() == FileType::RegularFile {
        Ok((file, stamp))
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// The content of a file below `root`, if it is not longer than `longest`.
pub(super) fn content(root: &Path, path: &[u8], longest: u64) -> Option<Vec<u8>> {
    let start = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let parent = open_below(&open_root(root).ok()?, &path[..start])?;
    let (file, stamp) = open_file(parent.as_fd(), &path[start..]).ok()?;
    if stamp.size > longest {
        return None;
    }
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= longest).then_some(content)
}

/// Reads a file that may be growing: its digest, unless it is longer than `longest`; how much was
/// read; and its content, unless that is longer than `keep`.
fn read(
    mut file: File,
    longest: u64,
    keep: u64,
) -> io::Result<(Option<Digest>, u64, Option<Vec<u8>>)> {
    let mut kept = Vec::new();
    let mut length = (&mut file).take(keep + 1).read_to_end(&mut kept)? as u64;
    if length <= keep {
        return Ok((Some(Sha256::digest(&kept).into()), length, Some(kept)));
    }
    let mut hasher = Sha256::new_with_prefix(&kept);
    drop(kept);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        length += read as u64;
        if read == 0 {
            return Ok((Some(hasher.finalize().into()), length, None));
        }
        if length > longest {
            return Ok((None, length, None));
        }
        hasher.update(&buffer[..read]);
    }
}

/// How many files are in a folder of a folder, as long as some are left to be counted.
fn count(parent: &OwnedFd, name: &[u8], left: &mut u64, depth: usize) -> u64 {
    let mut counted = 0;
    if *left == 0 || depth == 0 {
        return 1;
    }
    let Ok(folder) = openat(parent, name, folder_flags(), Mode::empty()) else {
        return 1;
    };
    for item in Dir::read_from(&folder).into_iter().flatten().flatten() {
        let name = item.file_name().to_bytes();
        if *left == 0 {
            break;
        }
        if name == b"." || name == b".." {
            continue;
        }
        *left -= 1;
        counted += match item.file_type() {
            FileType::Directory => count(&folder, name, left, depth - 1),
            _ => 1,
        };
    }
    counted
}
