//! Clients that hold connections: heads that come byte by byte, and bodies that never end. Whoever is
//! cut off comes back.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Outcome, on_this_thread};
use crate::shell::Failure;

/// Clients at a time.
const CLIENTS: u32 = 2_000;
/// A byte comes so often.
const PAUSE: Duration = Duration::from_secs(3);
/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(500);

/// Holds connections until the end.
pub fn dawdle(
    address: SocketAddr,
    server: u32,
    key: &str,
    end: CancellationToken,
) -> Result<Vec<Outcome>, Failure> {
    on_this_thread(async move {
        let opened = Rc::new(Cell::new(0_u32));
        let requests = beginnings(address, key);
        for (number, request) in (0..CLIENTS).zip(requests.into_iter().cycle()) {
            let opened = Rc::clone(&opened);
            tokio::task::spawn_local(async move {
                // not all in the same instant
                tokio::time::sleep(Duration::from_millis(u64::from(number) / 2)).await;
                loop {
                    // a connection that is refused or cut is what the server is there for
                    let _cut = hold(address, &request, &opened).await;
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        end.cancelled().await;
        Ok(vec![
            ("connections opened", f64::from(opened.get()), ""),
            (
                "sockets at the end, two a connection",
                f64::from(sockets(server)),
                "",
            ),
        ])
    })
}

/// What they begin with: never a whole request.
fn beginnings(address: SocketAddr, key: &str) -> Vec<String> {
    let json = "content-type: application/json";
    let form = "content-type: application/x-www-form-urlencoded";
    let upload = format!(
        "POST /api/mission-control/tasks/task_00000000000000000000000000/logs HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\nx-lease-token: none\r\n{json}\r\n"
    );
    vec![
        format!("GET /api/mission-control/approvals HTTP/1.1\r\nhost: {address}\r\nx-slow: "),
        format!("{upload}content-length: 60000\r\n\r\n{{\"entries\":["),
        format!(
            "POST /sign-in HTTP/1.1\r\nhost: {address}\r\n{form}\r\ncontent-length: 8000\r\n\r\nemail="
        ),
        format!("{upload}transfer-encoding: chunked\r\n\r\n5000000\r\n{{\"entries\":["),
    ]
}

/// Sends a beginning, and then a byte from time to time, until the server cuts it off.
async fn hold(address: SocketAddr, request: &str, opened: &Cell<u32>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    opened.set(opened.get() + 1);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 1_024];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = tokio::time::sleep(PAUSE) => stream.write_all(b" ").await?,
        }
    }
}

/// How many sockets a process has.
fn sockets(process: u32) -> u32 {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"));
    let links = entries.into_iter().flatten().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:"));
    u32::try_from(sockets.count()).unwrap_or(u32::MAX)
}
