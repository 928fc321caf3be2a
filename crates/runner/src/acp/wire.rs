//! The two pipes of an agent: lines of bounded length, read no faster than they are handled.
//!
//! The library takes messages through a channel without a bound. So a line is read only when the
//! one before it was handled: behind every message goes a mark, and because messages are handled in
//! order, the mark's turn comes when the message is done with. Answers that an agent does not read
//! pile up as well, so an agent that has many of them waiting is not read either.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;

use agent_client_protocol::{Channel, RawJsonRpcMessage, RawJsonRpcNotification, TransportFrame};
use futures_util::{Stream, StreamExt};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::acp::error::{Cause, quote, told};

/// The method of the mark. Agents may not use it.
pub(crate) const MARK: &str = "_countersign/handled";
/// The longest line, in bytes.
pub(crate) const LINE: usize = 16 << 20;
/// How many answers may wait for an agent to read them.
const ANSWERS: usize = 64;
/// How long an agent that takes nothing any more may still be listened to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Carries messages between an agent and `channel`, and gives what ended that. When the agent
/// closes its output, only the channel ends.
///
/// For every [`MARK`] that comes out of the channel, `handled` has to be notified.
pub(crate) async fn carry(
    stdin: impl AsyncWrite + Unpin,
    stdout: impl AsyncRead + Unpin,
    channel: Channel,
    handled: &Notify,
) -> Cause {
    let (frames, sender) = channel.into_parts();
    let forward = move |frame| sender.unbounded_send(frame).is_ok();
    let answers = Semaphore::new(ANSWERS);
    let mut listening = pin!(listen(stdout, forward, handled, &answers));
    let cause = tokio::select! {
        cause = &mut listening => return cause,
        cause = speak(stdin, frames, &answers) => cause,
    };
    // What it said before it closed its input may say why.
    timeout(LAST_WORDS, listening).await.unwrap_or(cause)
}

/// Reads messages into the channel, and gives what no message can come after. Once the agent has
/// closed its output or nobody takes messages any more, `forward` is dropped and nothing happens.
async fn listen(
    stdout: impl AsyncRead + Unpin,
    forward: impl Fn(TransportFrame) -> bool,
    handled: &Notify,
    answers: &Semaphore,
) -> Cause {
    let mut stdout = BufReader::new(stdout);
    loop {
        let line = match read_line(&mut stdout).await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(cause) => return cause,
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let message = match parse(&line) {
            Ok(message) => message,
            Err(cause) => return cause,
        };
        drop(line);
        if matches!(message, RawJsonRpcMessage::Request(_)) {
            match answers.acquire().await {
                // The answer gives it back when it is written.
                Ok(permit) => permit.forget(),
                Err(_closed) => break,
            }
        }
        if !forward(TransportFrame::Single(message)) || !forward(mark()) {
            break;
        }
        handled.notified().await;
    }
    drop(forward);
    pending().await
}

/// Writes what comes out of the channel, and gives what keeps it from that.
async fn speak(
    mut stdin: impl AsyncWrite + Unpin,
    mut frames: impl Stream<Item = TransportFrame> + Unpin,
    answers: &Semaphore,
) -> Cause {
    while let Some(frame) = frames.next().await {
        let mut line = match frame.to_json() {
            Ok(line) => line,
            Err(error) => return Cause::Connection(told(&error)),
        };
        line.push('\n');
        if let Err(error) = write(&mut stdin, line.as_bytes()).await {
            return if error.kind() == io::ErrorKind::BrokenPipe {
                Cause::Gone
            } else {
                Cause::Pipe(error)
            };
        }
        if matches!(
            frame,
            TransportFrame::Single(RawJsonRpcMessage::Response(_))
        ) {
            answers.add_permits(1);
        }
    }
    pending().await
}

async fn write(stdin: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stdin.write_all(bytes).await?;
    stdin.flush().await
}

/// The next line, which may lack its end at the end of everything; `None` is the end.
async fn read_line(stdout: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, Cause> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE).unwrap_or(u64::MAX).saturating_add(1);
    let length = stdout
        .take(limit)
        .read_until(b'\n', &mut line)
        .await
        .map_err(Cause::Pipe)?;
    if length > LINE && line.last() != Some(&b'\n') {
        return Err(Cause::TooLong(LINE));
    }
    Ok((length > 0).then_some(line))
}

/// The message in a line.
fn parse(line: &[u8]) -> Result<RawJsonRpcMessage, Cause> {
    let garbage = || Cause::Garbage(quote(line));
    let text = str::from_utf8(line).map_err(|_| garbage())?;
    match TransportFrame::parse_json(text) {
        TransportFrame::Single(RawJsonRpcMessage::Notification(message))
            if *message.method == *MARK =>
        {
            Err(garbage())
        }
        TransportFrame::Single(message) => Ok(message),
        _ => Err(garbage()),
    }
}

fn mark() -> TransportFrame {
    TransportFrame::Single(RawJsonRpcMessage::Notification(RawJsonRpcNotification {
        method: MARK.into(),
        params: None,
    }))
}
