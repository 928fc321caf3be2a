//! A copy of a SQLite database as it is at one moment, made beside whatever else uses it (ADR 0021).
//!
//! The copy grows under the name `FILE.partial`, is written through to the disk and checked there, and
//! only then gets its name: a file of that name is a whole database or does not exist, whenever the
//! program ends. Everything here blocks.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diesel::dsl::sql;
use diesel::sql_types::Text;
use diesel::{RunQueryDsl, SqliteConnection, sql_query};
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::admin::Admin;
use crate::connection::{Conn, ConnectError, Role, connect_sqlite};
use crate::migrations::{self, MigrationError};
use crate::sabotage::Mistake;
use crate::url::DatabaseUrl;

/// How every SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What SQLite and we keep beside a database.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];
/// For its owner only: a copy holds everything the database does.
const MODE: u32 = 0o600;

/// Why there is no backup. What was begun has been removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something has the name already.
    #[error("{0} exists already; a backup replaces nothing")]
    Exists(String),
    /// The name is that of the database, or of a file that belongs to it.
    #[error("{0} belongs to the database itself")]
    Database(String),
    /// Another backup to the same file is under way.
    #[error("another backup is writing {0}")]
    Running(String),
    /// What is in the way is not what a killed backup leaves.
    #[error("{0} is in the way, and it is not what a backup left that was killed; remove it first")]
    InTheWay(String),
    /// A file cannot be made, written or renamed.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database cannot be opened, or the copy cannot.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// SQLite could not copy or read.
    #[error("cannot copy the database to {file}: {reason}")]
    Copy {
        /// The copy.
        file: String,
        /// What SQLite said.
        reason: String,
    },
    /// The database is damaged, and so is its copy.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The schema's history could not be read.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// A database of another program.
    #[error("{0} has no migration of this program: it is not a Countersign database")]
    NotOurs(String),
}

/// A whole and checked copy that does not have its name yet. Dropped, it is removed.
#[derive(Debug)]
pub struct Snapshot {
    partial: Partial,
    file: PathBuf,
}

impl Snapshot {
    /// Copies a database to what is to become `file`: one state of it, with every commit that was
    /// acknowledged before. Writers go on meanwhile; the write-ahead log is not folded back until it is
    /// done.
    ///
    /// The copy is on the disk, SQLite finds it whole, no row lacks its parent, and it has migrations of
    /// this program. One with pending or with newer migrations is copied as well: before an update and
    /// after going back are the times at which a backup is needed most.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn take(database: &Path, file: &Path) -> Result<Self, BackupError> {
        refuse_own_files(database, file)?;
        if file.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(shown(file)));
        }
        let partial = Partial::create(database, file)?;
        copy(database, &partial)?;
        partial
            .file
            .sync_all()
            .map_err(|source| cannot_write(&partial.path, source))?;
        check(database, &partial.path)?;
        Ok(Self {
            partial,
            file: file.to_owned(),
        })
    }

    /// For reading what was copied.
    pub fn admin(&self) -> Admin {
        Admin::of_copy(self.partial.path.clone())
    }

    /// Gives the copy its name, for good, and tells how many bytes it has.
    ///
    /// # Errors
    /// [`BackupError::Exists`] when something got that name meanwhile, or [`BackupError::Write`].
    pub fn publish(mut self) -> Result<u64, BackupError> {
        let failed = |source| cannot_write(&self.file, source);
        let bytes = self.partial.file.metadata().map_err(failed)?.len();
        match rename_without_replacing(&self.partial.path, &self.file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(shown(&self.file)));
            }
            done => done.map_err(failed)?,
        }
        self.partial.renamed = true;
        sync_folder(&self.file).map_err(failed)?;
        Ok(bytes)
    }
}

/// The copy while it grows. Held open and locked, so that only one backup at a time writes it; the
/// lock of a killed one is gone, and what it left is written over.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Partial {
    /// Makes the empty `FILE.partial`.
    fn create(database: &Path, file: &Path) -> Result<Self, BackupError> {
        let path = with_suffix(file, ".partial");
        refuse_own_files(database, &path)?;
        let failed = |source| cannot_write(&path, source);
        let mut handle = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        match handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Running(shown(&path))),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // who had the lock before may have renamed the file since it was opened here
        if !is_named(&handle, &path).map_err(failed)? {
            return Err(BackupError::Running(shown(&path)));
        }
        if is_named(&handle, database).map_err(failed)? {
            return Err(BackupError::Database(shown(&path)));
        }
        if !is_left_over(&mut handle).map_err(failed)? {
            return Err(BackupError::InTheWay(shown(&path)));
        }
        let permissions = Permissions::from_mode(MODE);
        handle.set_permissions(permissions).map_err(failed)?;
        handle.set_len(0).map_err(failed)?;
        let partial = Self {
            path,
            file: handle,
            renamed: false,
        };
        partial.remove_journal();
        Ok(partial)
    }

    /// What SQLite kept beside a copy that was not finished.
    fn remove_journal(&self) {
        // there is rarely one
        let _none = fs::remove_file(with_suffix(&self.path, "-journal"));
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.renamed {
            // the failure to report is the one that led here
            let _stays = fs::remove_file(&self.path);
            self.remove_journal();
        }
    }
}

/// Whether a file begins as one does that a killed backup left: empty, like a database, or with
/// nothing yet where a database begins.
fn is_left_over(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut begin = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == MAGIC || begin.iter().all(|byte| *byte == 0))
}

/// Whether an open file is the one that has this name, one of its names.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, path.metadata());
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
}

/// Refuses the database and what lies beside it, by whatever path.
fn refuse_own_files(database: &Path, file: &Path) -> Result<(), BackupError> {
    let wanted = absolute(file).map_err(|source| cannot_write(file, source))?;
    let database = absolute(database).map_err(|source| cannot_write(file, source))?;
    let companions = COMPANIONS.map(|suffix| with_suffix(&database, suffix));
    if wanted == database || companions.contains(&wanted) {
        return Err(BackupError::Database(shown(file)));
    }
    Ok(())
}

/// Where a file really is, or would be.
fn absolute(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name();
    let name = name.ok_or_else(|| io::Error::other("it has no file name"))?;
    match file.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(folder_of(file).canonicalize()?.join(name))
        }
        found => found,
    }
}

/// Copies one state of the database.
fn copy(database: &Path, partial: &Partial) -> Result<(), BackupError> {
    let failed = |reason: String| BackupError::Copy {
        file: shown(&partial.path),
        reason,
    };
    if Mistake::BackupByCopy.made() {
        let copied = fs::copy(database, &partial.path);
        return copied.map(drop).map_err(|error| failed(error.to_string()));
    }
    let mut conn = connect_sqlite(database)?;
    // an absolute path is never read as a URI
    let target = absolute(&partial.path).map_err(|error| failed(error.to_string()))?;
    let target = target.to_str();
    let target = target.ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
    sql_query("VACUUM INTO ?")
        .bind::<Text, _>(target)
        .execute(&mut conn)
        .map(drop)
        .map_err(|error| failed(error.to_string()))
}

/// Reads the copy as a whole.
fn check(database: &Path, copied: &Path) -> Result<(), BackupError> {
    let url = DatabaseUrl::Sqlite(copied.to_owned());
    let mut conn = Conn::open(&url, Role::Copy)?;
    if !migrations::is_ours(&mut conn)? {
        return Err(BackupError::NotOurs(shown(database)));
    }
    let Conn::Sqlite(conn) = &mut conn else {
        unreachable!("the URL is of SQLite");
    };
    let read = |conn: &mut SqliteConnection, query: &str| -> Result<Vec<String>, BackupError> {
        sql::<Text>(query).load(conn).map_err(damaged)
    };
    let integrity = read(conn, "PRAGMA integrity_check(10)")?;
    if integrity != ["ok"] {
        return Err(BackupError::Damaged(integrity.join("; ")));
    }
    let dangling = read(
        conn,
        "SELECT DISTINCT \"table\" FROM pragma_foreign_key_check",
    )?;
    if !dangling.is_empty() {
        let tables = dangling.join(", ");
        return Err(BackupError::Damaged(format!(
            "rows without their parent in {tables}"
        )));
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn damaged(error: diesel::result::Error) -> BackupError {
    BackupError::Damaged(error.to_string())
}

/// Renames so that nothing is replaced. A filesystem that cannot promise that is looked at first.
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        done => Ok(done?),
    }
}

fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn cannot_write(file: &Path, source: io::Error) -> BackupError {
    BackupError::Write {
        file: shown(file),
        source,
    }
}
