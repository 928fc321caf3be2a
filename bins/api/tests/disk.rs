//! A disk that can lose its power: an ext4 in a file of an XFS in a file. A reflink copy of the inner
//! file is what the disk holds at that moment: what ext4 keeps in memory only is not in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use test_support::server::program;

use crate::scratch::Scratch;

/// The outer filesystem; its file is as big as what was written to it.
const POOL_BYTES: u64 = 4 << 30;

/// A mounted disk, unmounted and removed with its folder.
pub struct Disk {
    folder: Scratch,
    /// How many images there have been.
    images: u32,
}

impl Disk {
    /// A fresh disk of so many bytes; `None` where there cannot be one, after saying why.
    pub fn new(bytes: u64) -> Option<Self> {
        if let Some(missing) = missing() {
            println!("skipped: a disk without power needs {missing}");
            return None;
        }
        let disk = Self {
            folder: Scratch::new(),
            images: 0,
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
