//! The real server, as a process of its own on a fresh database.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::failed;
use crate::shell::{Failure, Shell};

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
    /// Where it tells what it counts.
    metrics: SocketAddr,
    /// A person's key with all capabilities.
    pub key: Rc<str>,
}

impl Server {
    /// Migrates the database, makes an account with a key and starts the server.
    pub async fn start(shell: &Shell, url: &str) -> Result<Self, Failure> {
        shell.output(program(shell, "migrate").args(["run", "--database-url", url]))?;
        let key = account(shell, url, "bench")?;
        Self::launch(shell, url, key, &["--rate-limit", "0"]).await
    }

    /// One more server on a database that has everything.
    pub async fn start_another(shell: &Shell, url: &str, key: Rc<str>) -> Result<Self, Failure> {
        Self::launch(shell, url, key, &["--rate-limit", "0"]).await
    }

    /// A server on a database that has everything, with the limits it has unless told otherwise.
    pub async fn start_limited(shell: &Shell, url: &str, key: Rc<str>) -> Result<Self, Failure> {
        Self::launch(shell, url, key, &[]).await
    }

    async fn launch(
        shell: &Shell,
        url: &str,
        key: Rc<str>,
        limits: &[&str],
    ) -> Result<Self, Failure> {
        let server = Self::spawn(shell, url, key, limits)?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The same, not yet listening.
    pub fn spawn(shell: &Shell, url: &str, key: Rc<str>, limits: &[&str]) -> Result<Self, Failure> {
        let address = free_address()?;
        let metrics = free_address()?;
        let process = program(shell, "api")
            .args(["serve", "--database-url", url, "--log", "warn"])
            .args(limits)
            .args(["--listen", &address.to_string()])
            .args(["--metrics-listen", &metrics.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Failure::Start {
                command: "api serve".to_owned(),
                source,
            })?;
        Ok(Self {
            process,
            address,
            metrics,
            key,
        })
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    async fn wait_until_ready(&self) -> Result<(), Failure> {
        for _ in 0..500 {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(failed("api serve", &"does not listen"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended by itself; nothing it still holds matters
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Makes an account and a person's key in it.
pub fn account(shell: &Shell, url: &str, name: &str) -> Result<Rc<str>, Failure> {
    let api = |arguments: &[&str]| {
        let mut command = program(shell, "api");
        shell.output(command.args(arguments).args(["--database-url", url]))
    };
    api(&["account", "create", "--name", name])?;
    let key = api(&[
        "key",
        "create",
        "--account",
        name,
        "--name",
        "bench",
        "--kind",
        "human",
    ])?;
    Ok(key.trim().into())
}

/// Batches the server has committed, and the commands in them.
#[derive(Clone, Copy)]
pub struct Batches {
    batches: f64,
    commands: f64,
}

impl Batches {
    /// As the server counts them.
    pub async fn read(server: &Server) -> Result<Self, Failure> {
        let page = metrics(server.metrics).await?;
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|text| text.trim().parse().ok())
                .unwrap_or(0.0)
        };
        Ok(Self {
            batches: value("countersign_batches_total "),
            commands: value("countersign_commands_total "),
        })
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            batches: self.batches - before.batches,
            commands: self.commands - before.commands,
        }
    }

    /// Commands a batch.
    pub fn mean(self) -> f64 {
        self.commands / self.batches
    }
}

async fn metrics(address: SocketAddr) -> Result<String, Failure> {
    let ask = async {
        let mut socket = TcpStream::connect(address).await?;
        socket
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut page = String::new();
        socket.read_to_string(&mut page).await?;
        Ok(page)
    };
    ask.await
        .map_err(|e: std::io::Error| failed("/metrics", &e))
}

/// A program of the release.
pub fn program(shell: &Shell, name: &str) -> Command {
    let path: PathBuf = shell.path("target/release").join(name);
    Command::new(path)
}

fn free_address() -> Result<SocketAddr, Failure> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|e| failed("a free port", &e))
}
