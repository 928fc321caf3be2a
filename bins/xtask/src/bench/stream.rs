//! Somebody who listens to the activity stream.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::failed;
use crate::shell::Failure;

/// Opens a stream and leaves it at the end of its head.
///
/// # Errors
/// When the server does not answer with a stream.
pub async fn open(address: SocketAddr, key: &str) -> Result<TcpStream, Failure> {
    let refused = |e: &dyn std::fmt::Display| failed("a stream", e);
    let mut socket = TcpStream::connect(address).await.map_err(|e| refused(&e))?;
    let request = format!(
        "GET /api/mission-control/activity/stream HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\r\n"
    );
    socket
        .write_all(request.as_bytes())
        .await
        .map_err(|e| refused(&e))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.map_err(|e| refused(&e))?);
    }
    if head.starts_with(b"HTTP/1.1 200 ") {
        Ok(socket)
    } else {
        Err(refused(&String::from_utf8_lossy(&head)))
    }
}

/// Reads a stream and counts its events.
pub struct Listener {
    reading: tokio::task::JoinHandle<u64>,
    end: tokio_util::sync::CancellationToken,
}

impl Listener {
    /// Begins.
    ///
    /// # Errors
    /// As [`open`].
    pub async fn open(address: SocketAddr, key: &str) -> Result<Self, Failure> {
        let socket = open(address, key).await?;
        let end = tokio_util::sync::CancellationToken::new();
        let reading = tokio::spawn(count(socket, end.clone()));
        Ok(Self { reading, end })
    }

    /// Ends it and says how many events there were.
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    pub async fn close(self) -> f64 {
        self.end.cancel();
        self.reading.await.unwrap_or_default() as f64
    }
}

async fn count(mut socket: TcpStream, end: tokio_util::sync::CancellationToken) -> u64 {
    let mut events = 0;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            () = end.cancelled() => return events,
            read = socket.read(&mut bytes) => read.unwrap_or(0),
        };
        if read == 0 {
            return events;
        }
        let text = bytes.get(..read).unwrap_or_default();
        events += text.windows(5).filter(|part| part == b"data:").count() as u64;
    }
}
