//! A PostgreSQL server of a test's own, with full durability: one that may be restarted and killed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use test_support::server::program;

/// A server with its data in a folder. Dropped, it is stopped; the folder is whose it was.
pub struct Cluster {
    binaries: PathBuf,
    /// Whom it runs as, when we are root: the server refuses to.
    owner: Option<(u32, u32)>,
    folder: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes a server in an empty folder and starts it; `None` where there is no PostgreSQL, after
    /// saying so.
    pub fn start_in(folder: &Path) -> Option<Self> {
        let Some(binaries) = binaries() else {
            println!("skipped: PostgreSQL is missing (Debian: apt-get install postgresql)");
            return None;
        };
        let owner = rustix::process::geteuid().is_root().then(|| {
            let id = |what| number(&program("id").args([what, "postgres"]).output().expect("id"));
            (id("-u"), id("-g"))
        });
        let folder = folder.join("cluster");
        fs::create_dir(&folder).expect("a folder");
        if let Some((user, group)) = owner {
            chown(&folder, Some(user), Some(group)).expect("ours to give");
        }
        let cluster = Self {
            binaries,
            owner,
            port: free_port(),
            folder,
        };
        cluster.run(cluster.program("initdb").arg("--pgdata").args([
            cluster.data().as_os_str(),
            "--auth=trust".as_ref(),
            "--username=postgres".as_ref(),
            "--encoding=UTF8".as_ref(),
            "--locale=C".as_ref(),
        ]));
        fs::write(
            cluster.data().join("postgresql.auto.conf"),
            format!(
                "listen_addresses = '127.0.0.1'\n\
                 port = {}\n\
                 unix_socket_directories = ''\n\
                 max_wal_size = 64MB\n\
                 min_wal_size = 32MB\n",
                cluster.port
            ),
        )
        .expect("the settings");
        cluster.start();
        Some(cluster)
    }

    /// For `DATABASE_URL`: its maintenance database, as its superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// For `DATABASE_URL`: a new database with this name and every migration.
    pub fn create_database(&self, name: &str) -> String {
        self.query(&format!("CREATE DATABASE {name}"))
            .expect("a new database");
        let url = self.url_of(name);
        test_support::migrate(&url);
        url
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, after a crash with the recovery that it needs.
    pub fn start(&self) {
        // no server of ours runs here: the file is from before the power went, and init may not have
        // taken note yet that its process has ended
        let _stale = fs::remove_file(self.data().join("postmaster.pid"));
        // a file, because the server keeps the output that it is started with
        let log = self.folder.join("log");
        self.run(self.control("start").arg("--log").arg(log));
    }

    /// Stops it as a crash would: it saves nothing.
    pub fn crash(&self) {
        self.run(self.control("stop").arg("--mode=immediate"));
    }

    /// Runs one statement; what it gives, unadorned.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--dbname", &self.url(), "--command", sql]);
        let output = psql.output().expect("psql");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn control(&self, verb: &str) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg(verb).args(["--silent", "--wait", "--pgdata"]);
        command.arg(self.data());
        command
    }

    /// A program of PostgreSQL, run as the owner.
    fn program(&self, name: &str) -> Command {
        let mut command = program(self.binaries.join(name));
        command.current_dir("/").process_group(0);
        if let Some((user, group)) = self.owner {
            command.gid(group).uid(user);
        }
        command
    }

    fn run(&self, command: &mut Command) {
        let output = command.output().expect("a program of PostgreSQL");
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(output.status.success(), "{output:?}\n{}", log());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // it may have been stopped before
        let _stopped = self.control("stop").arg("--mode=immediate").output();
    }
}

/// The folder of PostgreSQL's server programs; Debian keeps them out of `PATH`.
pub fn binaries() -> Option<PathBuf> {
    let configured = program("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| {
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        PathBuf::from(path)
    });
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    configured
        .into_iter()
        .chain(debian)
        .find(|folder| folder.join("initdb").is_file())
}

fn number(output: &Output) -> u32 {
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("an id")
}

fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    socket.local_addr().expect("an address").port()
}
