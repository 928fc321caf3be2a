//! A private PostgreSQL server: found or installed, started in a temporary directory, removed when
//! dropped, whatever ended the task.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::debian;
use crate::shell::{Failure, Shell};

/// The directory of PostgreSQL's server programs, newest version first, if there is one.
pub fn find(shell: &Shell) -> Option<PathBuf> {
    let configured = shell
        .output(Command::new("pg_config").arg("--bindir"))
        .map(|path| PathBuf::from(path.trim()));
    configured
        .into_iter()
        .chain(debian_directories())
        .find(|directory| {
            ["initdb", "pg_ctl", "postgres"]
                .iter()
                .all(|name| directory.join(name).is_file())
        })
}

/// `/usr/lib/postgresql/VERSION/bin`, newest first; Debian keeps them out of `PATH`.
fn debian_directories() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Installs Debian's server package.
///
/// # Errors
/// When apt-get fails.
pub fn install(shell: &Shell) -> Result<(), Failure> {
    debian::install(shell, &["postgresql"])
}

fn is_root(shell: &Shell) -> bool {
    user_id(shell, &["-u"]) == Some(0)
}

fn user_id(shell: &Shell, arguments: &[&str]) -> Option<u32> {
    let output = shell.output(Command::new("id").args(arguments)).ok()?;
    output.trim().parse().ok()
}

/// Whom the server runs as: initdb and postgres refuse root.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// `None` means ourselves.
    fn choose(shell: &Shell) -> Result<Option<Self>, Failure> {
        if !is_root(shell) {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| {
                let user = user_id(shell, &["-u", name])?;
                let group = user_id(shell, &["-g", name])?;
                Some(Some(Self { user, group }))
            })
            .ok_or_else(|| {
                Failure::Check(
                    "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
                        .to_owned(),
                )
            })
    }
}

/// What a server is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Many short tests; nothing has to survive a crash.
    Tests,
    /// Figures with full durability, and a count of statements.
    Benchmarks,
}

/// A running server with its data in a temporary directory.
pub struct Cluster {
    binaries: PathBuf,
    owner: Option<Owner>,
    port: u16,
    purpose: Purpose,
    /// Last: removed after the server has stopped.
    directory: TempDir,
}

/// Someone else may take the free port before the server does.
const ATTEMPTS: u32 = 5;

impl Cluster {
    /// Makes and starts a server on a free port of 127.0.0.1 and a socket in its directory. It
    /// trusts everybody on this machine.
    ///
    /// # Errors
    /// When initdb or the server fails; the message holds what they said.
    pub fn start(shell: &Shell, binaries: PathBuf, purpose: Purpose) -> Result<Self, Failure> {
        let directory =
            TempDir::with_prefix("countersign-pg-").map_err(|source| Failure::File {
                path: std::env::temp_dir(),
                source,
            })?;
        let owner = Owner::choose(shell)?;
        if let Some(owner) = owner {
            in_file(directory.path(), |path| {
                chown(path, Some(owner.user), Some(owner.group))
            })?;
        }
        let mut cluster = Self {
            binaries,
            owner,
            port: 0,
            purpose,
            directory,
        };
        shell.output(cluster.program("initdb").args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]))?;
        let mut attempt = 1;
        while let Err(failure) = cluster.try_start(shell) {
            if attempt == ATTEMPTS || matches!(failure, Failure::Interrupted) {
                return Err(failure);
            }
            attempt += 1;
        }
        Ok(cluster)
    }

    /// For `TEST_POSTGRES_URL`: the maintenance database, as its superuser.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn try_start(&mut self, shell: &Shell) -> Result<(), Failure> {
        self.port = free_port()?;
        in_file(&self.data().join("postgresql.auto.conf"), |path| {
            fs::write(path, self.settings())
        })?;
        let log = self.directory.path().join("log");
        let started = shell.output(
            self.program("pg_ctl")
                .arg("start")
                .args(["--silent", "--wait", "--log"])
                .arg(&log),
        );
        started.map(drop).map_err(|failure| match failure {
            Failure::Command { command, status } => Failure::Command {
                command,
                status: format!("{status}\n{}", fs::read_to_string(&log).unwrap_or_default()),
            },
            other => other,
        })
    }

    /// Tests start many servers of ours, each with several connections.
    fn settings(&self) -> String {
        let purpose = match self.purpose {
            Purpose::Tests => "fsync = off\nfull_page_writes = off\n",
            Purpose::Benchmarks => "shared_preload_libraries = 'pg_stat_statements'\n",
        };
        format!(
            "listen_addresses = '127.0.0.1'\n\
             port = {}\n\
             unix_socket_directories = '{}'\n\
             max_connections = 400\n\
             {purpose}",
            self.port,
            self.directory.path().display()
        )
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A server program, run as the owner in a process group of its own: Ctrl-C is for us, and we
    /// stop the server.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command
            .arg("--pgdata")
            .arg(self.data())
            .current_dir(self.directory.path())
            .process_group(0);
        if let Some(owner) = self.owner {
            command.gid(owner.group).uid(owner.user);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self
            .program("pg_ctl")
            .args(["stop", "--silent", "--mode=immediate", "--wait"])
            .output();
        let stopped = stopped.is_ok_and(|output| output.status.success());
        if !stopped && self.data().join("postmaster.pid").exists() {
            eprintln!(
                "xtask: the PostgreSQL server in {} could not be stopped",
                self.directory.path().display()
            );
        }
    }
}

fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    port.map(|address| address.port())
        .map_err(|source| Failure::Start {
            command: "a listener on 127.0.0.1".to_owned(),
            source,
        })
}

fn in_file<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, Failure> {
    work(path).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}
