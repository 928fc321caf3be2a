//! A disk that can lose its power: an ext4 in a file of an XFS in a file. A reflink copy of the inner
//! file is what the disk holds at that moment: what ext4 keeps in memory only is not in it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use test_support::server::program;

/// Begins the names of our folders, so that a later run finds what a killed one left.
const PREFIX: &str = "countersign-disk-";
/// Held by the living.
const LOCK: &str = "lock";
/// The outer filesystem; its file is as big as what was written to it.
const POOL_BYTES: u64 = 6 << 30;

/// A mounted disk. Dropped, it and everything below it is unmounted and removed, also when a test
/// panics.
pub struct Disk {
    folder: TempDir,
    /// How many images there have been.
    images: u32,
    _lock: File,
}

impl Disk {
    /// A fresh disk of so many bytes; `None` where there cannot be one, after saying why.
    pub fn new(bytes: u64) -> Option<Self> {
        if let Some(missing) = missing() {
            println!("skipped: a disk without power needs {missing}");
            return None;
        }
        remove_leftovers();
        let folder = TempDir::with_prefix_in(PREFIX, place()).expect("a folder");
        // PostgreSQL has its data below it, and is another user
        let passable = fs::Permissions::from_mode(0o711);
        fs::set_permissions(folder.path(), passable).expect("our folder");
        let lock = File::create(folder.path().join(LOCK)).expect("a lock file");
        lock.lock().expect("the lock");
        let disk = Self {
            folder,
            images: 0,
            _lock: lock,
        };
        let outer = disk.folder.path().join("pool.img");
        sparse_file(&outer, POOL_BYTES);
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&outer)]);
        if let Err(refused) = mount(&outer, &disk.pool()) {
            println!("skipped: no loop mounts here: {refused}");
            return None;
        }
        sparse_file(&disk.image(), bytes);
        let eager = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-F", "-E", eager, text(&disk.image())]);
        mount(&disk.image(), &disk.path()).expect("the disk");
        Some(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Cuts the power, for whoever is going to look after [`Disk::power_up`]. Until then the world
    /// goes on as if nothing had happened.
    pub fn cut(&mut self) {
        let before = self.image();
        self.images += 1;
        let now = self.image();
        run("cp", &["--reflink=always", text(&before), text(&now)]);
    }

    /// Mounts what the disk held when its power was cut. Nobody may use it any more.
    pub fn power_up(&mut self) {
        unmount(&self.path());
        mount(&self.image(), &self.path()).expect("the disk");
        let before = self.pool().join(format!("disk-{}.img", self.images - 1));
        fs::remove_file(before).expect("the disk before");
    }

    fn pool(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    fn image(&self) -> PathBuf {
        self.pool().join(format!("disk-{}.img", self.images))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount_below(self.folder.path());
    }
}

/// What is missing for a disk, if something is.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    ["mkfs.xfs", "mkfs.ext4", "mount", "umount"]
        .into_iter()
        .find(|name| !runs(name))
        .map(str::to_owned)
}

fn runs(name: &str) -> bool {
    program(name).arg("-V").output().is_ok()
}

/// Memory, where there is enough of it: thousands of commits that wait for a busy disk take long.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if free > POOL_BYTES {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Removes the folders of runs that were killed.
fn remove_leftovers() {
    for entry in fs::read_dir(place()).expect("a folder").flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let dead = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if dead {
            unmount_below(&folder);
            // another test may be at it as well
            let _removed = fs::remove_dir_all(&folder);
        }
    }
}

/// Unmounts everything below a folder, the last mount first.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|point| Path::new(point).starts_with(folder));
    for point in below.collect::<Vec<_>>().into_iter().rev() {
        let done = program("umount").args(["--lazy", point]).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{point} stays mounted");
        }
    }
}

fn sparse_file(path: &Path, bytes: u64) {
    let file = File::create(path).expect("a file");
    file.set_len(bytes).expect("room");
}

/// Mounts a file; the loop device goes with the mount.
fn mount(image: &Path, point: &Path) -> Result<(), String> {
    fs::create_dir_all(point).expect("a folder");
    said(program("mount").args(["-o", "loop", text(image), text(point)]))
}

/// Unmounts; who was killed a moment ago may still hold a file.
fn unmount(point: &Path) {
    for _ in 0..100 {
        if said(program("umount").arg(point)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} is in use", point.display());
}

fn run(name: &str, arguments: &[&str]) {
    said(program(name).args(arguments)).unwrap_or_else(|refused| panic!("{name}: {refused}"));
}

/// What a program says when it fails.
fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
