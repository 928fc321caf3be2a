//! Brings what a task prints to the server: numbered, in order, in few requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::ClientError;
use contract::{AppendLogs, LogEntry, LogStream, Timestamp};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

use crate::lease::{Lease, persist};

/// The least time between two requests that are not full: after the first, which goes at once, pieces
/// wait so long for others to share theirs.
const GATHER: Duration = Duration::from_millis(50);
/// How many bytes a request carries before it goes at once.
const REQUEST: usize = 256 << 10;
/// The longest entry.
const ENTRY: usize = 64 << 10;

/// A piece of what a task printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it came from.
    pub(crate) stream: LogStream,
    /// When it was read.
    pub(crate) at: Timestamp,
    /// The bytes, at most 64 KiB.
    pub(crate) bytes: Vec<u8>,
}

/// Sends pieces until there are no more, and says how many entries that made.
///
/// A request that fails is repeated until the server has it: entries it knows already, it ignores.
/// Meanwhile `pieces` fills up and the task waits in its writes.
///
/// # Errors
/// The server's final refusal; no piece is taken after it.
pub(crate) async fn pump(
    lease: Arc<impl Lease>,
    mut pieces: Receiver<Piece>,
) -> Result<i64, ClientError> {
    let mut seq = 0;
    let mut not_before = Instant::now();
    while let Some(first) = pieces.recv().await {
        let batch = gather(first, &mut pieces, not_before).await;
        not_before = Instant::now() + GATHER;
        let entries = batch.into_iter().zip(seq..).map(|(piece, seq)| LogEntry {
            seq,
            stream: piece.stream,
            at: piece.at,
            base64: STANDARD.encode(piece.bytes),
        });
        let logs = AppendLogs {
            entries: entries.collect(),
        };
        persist("sending log entries", || lease.append_logs(&logs)).await?;
        seq = logs.entries.last().map_or(seq, |entry| entry.seq + 1);
    }
    Ok(seq)
}

/// What there is beside `first`, and what comes until then, neighbours of one stream joined.
async fn gather(first: Piece, pieces: &mut Receiver<Piece>, until: Instant) -> Vec<Piece> {
    let mut bytes = first.bytes.len();
    let mut batch = vec![first];
    while bytes < REQUEST {
        let Ok(Some(piece)) = timeout_at(until, pieces.recv()).await else {
            break;
        };
        bytes += piece.bytes.len();
        match batch.last_mut() {
            Some(last)
                if last.stream == piece.stream && last.bytes.len() + piece.bytes.len() <= ENTRY =>
            {
                last.bytes.extend(piece.bytes);
            }
            _ => batch.push(piece),
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use contract::Code;
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock;
    use crate::lease::fake::FakeLease;

    fn piece(stream: LogStream, bytes: &[u8]) -> Piece {
        Piece {
            stream,
            at: clock::now(),
            bytes: bytes.to_vec(),
        }
    }

    fn decoded(entry: &LogEntry) -> Vec<u8> {
        STANDARD.decode(&entry.base64).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn order_is_kept_and_neighbours_of_one_stream_are_joined() {
        let lease = Arc::new(FakeLease::default());
        let (sender, receiver) = mpsc::channel(8);
        for (stream, bytes) in [
            (LogStream::Stdout, &b"a"[..]),
            (LogStream::Stdout, b"b"),
            (LogStream::Stderr, b"c"),
            (LogStream::Stdout, b"d"),
        ] {
            sender.send(piece(stream, bytes)).await.unwrap();
        }
        drop(sender);
        assert_eq!(pump(lease.clone(), receiver).await.unwrap(), 3);
        let seen: Vec<_> = lease
            .entries()
            .iter()
            .map(|entry| (entry.seq, entry.stream, decoded(entry)))
            .collect();
        assert_eq!(
            seen,
            [
                (0, LogStream::Stdout, b"ab".to_vec()),
                (1, LogStream::Stderr, b"c".to_vec()),
                (2, LogStream::Stdout, b"d".to_vec()),
            ]
        );
        assert_eq!(lease.requests.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn entries_and_requests_keep_their_sizes() {
        let lease = Arc::new(FakeLease::default());
        let (sender, receiver) = mpsc::channel(64);
        for _ in 0..20 {
            sender
                .send(piece(LogStream::Stdout, &vec![7; ENTRY]))
                .await
                .unwrap();
        }
        drop(sender);
        assert_eq!(pump(lease.clone(), receiver).await.unwrap(), 20);
        for request in lease.requests.lock().unwrap().iter() {
            assert_eq!(request.len(), 4, "256 KiB a request");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_piece_goes_at_once_and_the_next_ones_wait_for_each_other() {
        let lease = Arc::new(FakeLease::default());
        let (sender, receiver) = mpsc::channel(8);
        let pumping = tokio::spawn(pump(lease.clone(), receiver));
        let moment = Duration::from_millis(1);
        let requests = || lease.requests.lock().unwrap().len();
        for n in 0..3 {
            sender.send(piece(LogStream::Stdout, b"a")).await.unwrap();
            tokio::time::sleep(moment).await;
            assert_eq!(requests(), 1, "after piece {n}");
        }
        tokio::time::sleep(GATHER).await;
        assert_eq!(requests(), 2);
        assert_eq!(decoded(&lease.entries()[1]), b"aa");
        drop(sender);
        assert_eq!(pumping.await.unwrap().unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_request_is_repeated_with_the_same_numbers() {
        let lease = Arc::new(FakeLease::default());
        lease
            .appends
            .lock()
            .unwrap()
            .extend([Code::Unavailable, Code::Internal]);
        let (sender, receiver) = mpsc::channel(8);
        sender.send(piece(LogStream::Stdout, b"a")).await.unwrap();
        drop(sender);
        assert_eq!(pump(lease.clone(), receiver).await.unwrap(), 1);
        assert_eq!(lease.entries()[0].seq, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_ends_it() {
        let lease = Arc::new(FakeLease::default());
        lease.appends.lock().unwrap().push_back(Code::LeaseLost);
        let (sender, receiver) = mpsc::channel(8);
        sender.send(piece(LogStream::Stdout, b"a")).await.unwrap();
        let error = pump(lease.clone(), receiver).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::LeaseLost));
        assert!(sender.is_closed(), "writers notice");
        assert!(lease.entries().is_empty());
    }
}
