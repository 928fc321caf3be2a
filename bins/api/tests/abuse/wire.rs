//! Bytes to the server and what it answers, to the byte: clients of their own send only what is right.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long an answer, or the end of a connection, may take where nothing is slow on purpose.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the server.
pub struct Wire {
    stream: TcpStream,
    /// What came and is not yet taken as an answer.
    unread: Vec<u8>,
    /// Whether the server has closed its side.
    closed: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1);
        let fields = lines.filter_map(|line| line.split_once(": "));
        let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }

    /// The code of its problem document; empty without one.
    pub fn code(&self) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = document["code"].as_str().unwrap_or_default().to_owned();
        let is_problem = self.header("content-type") == "application/problem+json";
        if is_problem { code } else { String::new() }
    }
}

impl Wire {
    pub async fn open(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("our address");
        Self {
            stream: TcpStream::connect(address).await.expect("a connection"),
            unread: Vec::new(),
            closed: false,
        }
    }

    /// Sends bytes. A server that has closed takes none, which is no failure.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next answer; `None` when the server closes instead, or says nothing for so long.
    pub async fn reply(&mut self, patience: Duration) -> Option<Reply> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some((reply, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Some(reply);
            }
            if self.closed || !self.read_until(deadline).await {
                return None;
            }
        }
    }

    /// Every answer until the server closes, or says nothing for so long.
    pub async fn replies(&mut self, silence: Duration) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply(silence).await {
            replies.push(reply);
        }
        let rest = String::from_utf8_lossy(&self.unread);
        assert!(rest.is_empty(), "something that is no answer: {rest}");
        replies
    }

    /// Whether the server closes the connection within so long.
    pub async fn closes(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.closed && self.read_until(deadline).await {}
        self.closed
    }

    /// Sends a byte each `pause` until the server has closed; how long that took.
    pub async fn dribble(&mut self, byte: &[u8], pause: Duration, patience: Duration) -> Duration {
        let begin = Instant::now();
        while !self.closed {
            assert!(begin.elapsed() < patience, "open after {patience:?}");
            self.send(byte).await;
            self.read_until(Instant::now() + pause).await;
        }
        begin.elapsed()
    }

    /// Reads something; false when nothing came in time.
    async fn read_until(&mut self, deadline: Instant) -> bool {
        let read = self.stream.read_buf(&mut self.unread);
        let Ok(read) = timeout(deadline - Instant::now(), read).await else {
            return false;
        };
        // a reset is an end as well
        self.closed |= read.unwrap_or(0) == 0;
        true
    }
}

/// The first whole answer in `bytes` and its length. Interim answers are skipped.
fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .or(head.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    let status: u16 = status.unwrap_or_else(|| panic!("no answer: {head:?}"));
    if status == 100 {
        let (reply, length) = parse(&bytes[end..])?;
        return Some((reply, end + length));
    }
    let mut reply = Reply {
        status,
        head,
        body: Vec::new(),
    };
    let rest = &bytes[end..];
    let length = if reply.header("transfer-encoding") == "chunked" {
        unchunk(rest, &mut reply.body)?
    } else {
        let length = reply.header("content-length").parse().unwrap_or(0);
        reply.body = rest.get(..length)?.to_vec();
        length
    };
    Some((reply, end + length))
}

/// Takes a chunked body apart; its length on the wire.
fn unchunk(bytes: &[u8], body: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).expect("a size");
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (at <= bytes.len()).then_some(at);
        }
    }
}

/// A whole request with a JSON body.
pub fn request(method: &str, path: &str, key: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("x-api-key: {key}\r\n")
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{key}{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The declaration of a JSON body.
pub const JSON: &str = "content-type: application/json\r\n";
