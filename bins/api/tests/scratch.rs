//! Folders of tests that mount filesystems and start databases: what a killed run leaves is removed by
//! the next one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use test_support::server::program;

/// Begins the names of the folders.
const PREFIX: &str = "countersign-scratch-";
/// Held by the living.
const LOCK: &str = "lock";
/// What the tests take at most.
const ROOM: u64 = 4 << 30;

/// A folder. Dropped, everything below it is unmounted and it is removed, also when a test panics.
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    pub fn new() -> Self {
        remove_leftovers();
        let folder = TempDir::with_prefix_in(PREFIX, place()).expect("a folder");
        // PostgreSQL has its data below it, and is another user
        let passable = Permissions::from_mode(0o711);
        fs::set_permissions(folder.path(), passable).expect("our folder");
        let lock = File::create(folder.path().join(LOCK)).expect("a lock file");
        lock.lock().expect("the lock");
        Self {
            folder,
            _lock: lock,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        unmount_below(self.path());
    }
}

/// Memory, where there is enough of it: thousands of commits that wait for a busy disk take long.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if free > ROOM {
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
            stop_postgres(&folder.join("cluster"));
            stop_postgres(&folder.join("disk/cluster"));
            unmount_below(&folder);
            // another test may be at it as well
            let _removed = fs::remove_dir_all(&folder);
        }
    }
}

/// Ends the database server whose data is in a folder, if there is one.
fn stop_postgres(cluster: &Path) {
    let data = cluster.join("data");
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let process = file.lines().next().and_then(|line| line.parse().ok());
    let Some(process) = process.and_then(Pid::from_raw) else {
        return;
    };
    // the number may be another process's by now
    let works_in = fs::read_link(format!("/proc/{}/cwd", process.as_raw_nonzero()));
    if works_in.is_ok_and(|folder| folder == data) {
        let _gone = kill_process(process, Signal::QUIT);
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
