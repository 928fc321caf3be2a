//! The floor of reads: a handler of actix-web that answers the same bytes from memory
//! (`crates/web/examples/from_memory.rs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use crate::bench::failed;
use crate::bench::server::program;
use crate::shell::{Failure, Shell};

/// The running floor; killed when dropped.
pub struct Floor {
    process: Child,
    pub address: SocketAddr,
}

impl Floor {
    /// Answers every GET with `body`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(shell: &Shell, body: &[u8]) -> Result<Self, Failure> {
        let mut process = program(shell, "examples/from_memory")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed("from_memory", &e))?;
        if let Some(mut input) = process.stdin.take() {
            input
                .write_all(body)
                .map_err(|e| failed("from_memory", &e))?;
        }
        let output = process.stdout.take();
        let mut line = String::new();
        if let Some(output) = output {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(|e| failed("from_memory", &e))?;
        }
        let address = line.trim().parse().map_err(|e| failed("from_memory", &e))?;
        Ok(Self { process, address })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // it may have ended by itself
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
