//! Bad keys: well-formed ones that nobody has, and nonsense, from many addresses.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Outcome, on_this_thread};
use crate::bench::failed;
use crate::shell::Failure;

/// Requests a second.
const RATE: f64 = 5_000.0;
/// Connections at a time.
const CONNECTIONS: u32 = 64;
/// Requests of a connection; the next one comes from another address.
const STAY: u32 = 25;

/// Sends them until the end.
pub fn knock(address: SocketAddr, end: CancellationToken) -> Result<Vec<Outcome>, Failure> {
    on_this_thread(async move {
        let begin = Instant::now();
        let sent = Rc::new(Cell::new(0_u32));
        let visits = Rc::new(Cell::new(0_u32));
        let mut workers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (sent, visits, end) = (Rc::clone(&sent), Rc::clone(&visits), end.clone());
            workers.spawn_local(async move {
                while !end.is_cancelled() {
                    visits.set(visits.get() + 1);
                    visit(address, visits.get(), &sent, begin, &end).await?;
                }
                Ok(())
            });
        }
        while let Some(worker) = workers.join_next().await {
            let done: std::io::Result<()> = worker.map_err(|e| failed("bad keys", &e))?;
            done.map_err(|e| failed("bad keys", &e))?;
        }
        let reached = f64::from(sent.get()) / begin.elapsed().as_secs_f64();
        Ok(vec![
            ("refused", reached, "/s"),
            ("addresses", f64::from(visits.get()), ""),
        ])
    })
}

/// One connection from an address that was not there before.
async fn visit(
    address: SocketAddr,
    number: u32,
    sent: &Cell<u32>,
    begin: Instant,
    end: &CancellationToken,
) -> std::io::Result<()> {
    let [_, b, c, d] = (number + 1).to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, b + 1, c, d), 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    for _ in 0..STAY {
        let turn = sent.get();
        sent.set(turn + 1);
        let due = begin + Duration::from_secs_f64(f64::from(turn) / RATE);
        tokio::time::sleep_until(due.into()).await;
        if end.is_cancelled() {
            return Ok(());
        }
        let request = format!(
            "GET /api/mission-control/approvals HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\n\r\n",
            bad_key(turn)
        );
        stream.write_all(request.as_bytes()).await?;
        let status = refusal(&mut stream).await?;
        if !matches!(status, 401 | 429) {
            let why = format!("a bad key was answered {status}");
            return Err(std::io::Error::other(why));
        }
    }
    Ok(())
}

/// Of three keys two have the form and the checksum of a key.
fn bad_key(number: u32) -> String {
    if number.is_multiple_of(3) {
        return format!("csk_human_{number:072}");
    }
    let digits = Sha256::digest(number.to_be_bytes());
    let digits = digits.iter().fold(String::new(), |mut text, byte| {
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    });
    let text = format!("csk_human_{digits}");
    let checksum = crc32fast::hash(text.as_bytes());
    format!("{text}{checksum:08x}")
}

/// Reads an answer with a `content-length`, and gives its status.
async fn refusal(stream: &mut TcpStream) -> std::io::Result<u16> {
    let mut answer = Vec::with_capacity(1_024);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
            return status.ok_or_else(|| std::io::Error::other(head.to_owned()));
        }
    }
}
