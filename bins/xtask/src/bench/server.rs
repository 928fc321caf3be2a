//! The real server, as a process of its own on a fresh database.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use super::failed;
use crate::shell::{Failure, Shell};

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
    /// A person's key with all capabilities.
    pub key: Rc<str>,
}

impl Server {
    /// Migrates the database, makes an account with a key and starts the server.
    pub async fn start(shell: &Shell, url: &str) -> Result<Self, Failure> {
        shell.output(program(shell, "migrate").args(["run", "--database-url", url]))?;
        let api = || program(shell, "api");
        shell.output(api().args([
            "account",
            "create",
            "--name",
            "bench",
            "--database-url",
            url,
        ]))?;
        let key = shell.output(api().args([
            "key",
            "create",
            "--name",
            "bench",
            "--kind",
            "human",
            "--database-url",
            url,
        ]))?;
        let address = free_address()?;
        let process = api()
            .args([
                "serve",
                "--database-url",
                url,
                "--rate-limit",
                "0",
                "--log",
                "warn",
            ])
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Failure::Start {
                command: "api serve".to_owned(),
                source,
            })?;
        let server = Self {
            process,
            address,
            key: key.trim().into(),
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    async fn wait_until_ready(&self) -> Result<(), Failure> {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
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
