//! Starts a program in a process group of its own, and reads what it prints.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use contract::LogStream;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::environment::Environment;
use crate::process_group::ProcessGroup;
use crate::pump::Piece;
use crate::utf8::unfinished;

/// How long processes that were asked to end may take. A supervisor needs four seconds for those that
/// do not listen, and more against those that fork all the time.
const GRACE: Duration = Duration::from_secs(8);
/// How long output may be awaited from what a finished shell left running.
const LINGER: Duration = Duration::from_secs(1);
/// How long a pipe may be silent once its group was killed, before it counts as read to the end.
const SILENCE: Duration = Duration::from_millis(100);
/// How much is read after that: a pipe of Linux holds at most so much, so nothing that the group
/// wrote is lost, and a process that escaped from the group cannot write forever.
const PIPE_CAPACITY: usize = 1 << 20;
/// The longest piece.
const PIECE: usize = 64 << 10;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 + the number of the signal that ended it.
    pub(crate) code: i64,
    /// What to say about it, unless the code was 0.
    pub(crate) error: Option<String>,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self {
                code: 0,
                error: None,
            },
            (Some(code), _) => Self {
                code: code.into(),
                error: Some(format!("exit code {code}")),
            },
            (None, signal) => Self {
                code: 128 + i64::from(signal.unwrap_or_default()),
                error: Some(format!("killed by {status}")),
            },
        }
    }
}

/// What a program finds on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nothing: it is at its end.
    Nothing,
    /// A text, and then its end.
    Text(String),
    /// Whatever its starter writes.
    Conversation,
}

/// Starts a program in `folder`, with exactly this environment.
pub(crate) fn start(
    command: &[OsString],
    folder: &Path,
    environment: Environment,
    input: Input,
) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(match input {
            Input::Nothing => Stdio::null(),
            Input::Text(_) | Input::Conversation => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    if let Input::Text(text) = input
        && let Some(mut stdin) = child.stdin.take()
    {
        // A program that does not read its input to the end is free to do so.
        tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
    }
    Ok(child)
}

/// Follows a started program to its end; what it prints goes into `pieces` as it comes, as far as
/// its pipes were not taken before.
///
/// When `stop` is cancelled, its process group is asked to end and killed after five seconds. What
/// the shell leaves running in its group when it exits is killed, after a second if it still holds
/// the output open. The pieces may go on for a moment after this returns: `pieces` is closed when
/// all are in.
pub(crate) async fn follow(
    mut child: Child,
    pieces: Sender<Piece>,
    stop: CancellationToken,
) -> io::Result<Exit> {
    let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = ProcessGroup::of(leader.ok_or(io::ErrorKind::NotFound)?);
    let group_ended = CancellationToken::new();
    let mut readers = JoinSet::new();
    if let Some(pipe) = child.stdout.take() {
        readers.spawn(read(
            pipe,
            LogStream::Stdout,
            pieces.clone(),
            group_ended.clone(),
        ));
    }
    if let Some(pipe) = child.stderr.take() {
        readers.spawn(read(pipe, LogStream::Stderr, pieces, group_ended.clone()));
    }

    leader_ended(&group, &stop).await;
    let _all_read = timeout(LINGER, async {
        while readers.join_next().await.is_some() {}
    })
    .await;
    group.end();
    group_ended.cancel();
    readers.detach_all();
    Ok(child.wait().await?.into())
}

/// Waits until the leader has exited, and makes it when `stop` is cancelled.
async fn leader_ended(group: &ProcessGroup, stop: &CancellationToken) {
    let mut exited = pin!(group.leader_exited());
    tokio::select! {
        () = &mut exited => return,
        () = stop.cancelled() => group.terminate(),
    }
    if timeout(GRACE, &mut exited).await.is_err() {
        group.kill();
        exited.await;
    }
}

/// Reads a pipe to its end, in pieces that do not tear characters apart.
async fn read(
    mut pipe: impl AsyncRead + Unpin,
    stream: LogStream,
    pieces: Sender<Piece>,
    group_ended: CancellationToken,
) {
    let mut buffer = vec![0; PIECE];
    let mut held = 0;
    let mut left = PIPE_CAPACITY;
    while left > 0 {
        let length = tokio::select! {
            biased;
            // An unreadable pipe has nothing more to say, like one at its end.
            read = pipe.read(&mut buffer[held..]) => read.unwrap_or(0),
            () = silence_after(&group_ended) => 0,
        };
        if length == 0 {
            break;
        }
        if group_ended.is_cancelled() {
            left = left.saturating_sub(length);
        }
        let end = held + length;
        held = unfinished(&buffer[..end]);
        let whole = end - held;
        if whole > 0 && !send(&pieces, stream, &buffer[..whole]).await {
            return;
        }
        buffer.copy_within(whole..end, 0);
    }
    if held > 0 {
        send(&pieces, stream, &buffer[..held]).await;
    }
}

/// Whether somebody still takes pieces.
async fn send(pieces: &Sender<Piece>, stream: LogStream, bytes: &[u8]) -> bool {
    let piece = Piece {
        stream,
        at: clock::now(),
        bytes: bytes.to_vec(),
    };
    pieces.send(piece).await.is_ok()
}

async fn silence_after(group_ended: &CancellationToken) {
    group_ended.cancelled().await;
    sleep(SILENCE).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc;

    use super::*;

    /// What a command did: its end, the time that took, and its output by stream.
    struct Done {
        exit: Exit,
        took: Duration,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    }

    fn sh(command: &str) -> Vec<OsString> {
        ["/bin/sh", "-c", command].map(OsString::from).to_vec()
    }

    async fn run_until(command: &str, stop: CancellationToken) -> Done {
        let folder = tempfile::tempdir().unwrap();
        let path = ("PATH".into(), std::env::var_os("PATH").unwrap());
        let child = start(&sh(command), folder.path(), vec![path], Input::Nothing).unwrap();
        let (sender, mut receiver) = mpsc::channel(4);
        let begin = Instant::now();
        let following = tokio::spawn(follow(child, sender, stop));
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(piece) = receiver.recv().await {
            assert!(!piece.bytes.is_empty() && piece.bytes.len() <= PIECE);
            match piece.stream {
                LogStream::Stdout => stdout.extend(piece.bytes),
                LogStream::Stderr | LogStream::Agent => stderr.extend(piece.bytes),
            }
        }
        let exit = following.await.unwrap().unwrap();
        Done {
            exit,
            took: begin.elapsed(),
            stdout,
            stderr,
        }
    }

    async fn run(command: &str) -> Done {
        run_until(command, CancellationToken::new()).await
    }

    /// Whether a process exists and is no zombie.
    fn alive(pid: &[u8]) -> bool {
        let pid = String::from_utf8(pid.to_vec()).unwrap();
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Killed processes need a moment to go.
    async fn is_gone(pid: &[u8]) -> bool {
        for _ in 0..50 {
            if !alive(pid) {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    #[tokio::test]
    async fn output_and_exit_code_are_the_commands() {
        let done = run("echo out; echo err >&2; exit 3").await;
        assert_eq!(
            done.exit,
            Exit {
                code: 3,
                error: Some("exit code 3".to_owned())
            }
        );
        assert_eq!(
            (&done.stdout[..], &done.stderr[..]),
            (&b"out\n"[..], &b"err\n"[..])
        );
        assert_eq!(
            run("true").await.exit,
            Exit {
                code: 0,
                error: None
            }
        );
    }

    #[tokio::test]
    async fn a_signal_is_named_and_counted_from_128() {
        let exit = run("kill -SEGV $$").await.exit;
        assert_eq!(exit.code, 139);
        assert!(exit.error.unwrap().contains("SIGSEGV"));
    }

    #[tokio::test]
    async fn there_is_no_input_and_no_foreign_variable() {
        let done = run("cat; env").await;
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.contains("PATH="));
        assert!(!text.contains("CARGO"), "{text}");
    }

    #[tokio::test]
    async fn a_text_is_the_input_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = ("PATH".into(), std::env::var_os("PATH").unwrap());
        let text = "é".repeat(200_000);
        for (command, length) in [("wc -c", "400000"), ("head -c 2 | wc -c; exit 0", "2")] {
            let input = Input::Text(text.clone());
            let child = start(&sh(command), folder.path(), vec![path.clone()], input).unwrap();
            let (sender, mut receiver) = mpsc::channel(4);
            let exit = follow(child, sender, CancellationToken::new()).await;
            assert_eq!(exit.unwrap().code, 0, "{command}");
            let said = receiver.recv().await.unwrap().bytes;
            assert_eq!(String::from_utf8(said).unwrap().trim(), length);
        }
    }

    #[tokio::test]
    async fn much_output_arrives_whole_and_in_order() {
        let done = run("seq 1 300000").await;
        let expected: String = (1..=300_000)
            .flat_map(|n| [n.to_string(), "\n".to_owned()])
            .collect();
        assert!(
            done.stdout == expected.as_bytes(),
            "{} bytes",
            done.stdout.len()
        );
    }

    #[tokio::test]
    async fn a_stopped_command_goes_with_its_grandchildren() {
        let stop = CancellationToken::new();
        let stopper = stop.clone();
        let running = tokio::spawn(run_until("sleep 60 & echo $!; wait", stop));
        sleep(Duration::from_millis(300)).await;
        stopper.cancel();
        let done = running.await.unwrap();
        assert_eq!(done.exit.code, 143);
        assert!(done.took < GRACE, "TERM was enough: {:?}", done.took);
        assert!(is_gone(&done.stdout).await);
    }

    #[tokio::test]
    async fn a_command_that_will_not_end_is_killed() {
        let stop = CancellationToken::new();
        let stopper = stop.clone();
        let running = tokio::spawn(run_until("trap '' TERM; while :; do sleep 1; done", stop));
        sleep(Duration::from_millis(300)).await;
        stopper.cancel();
        let done = running.await.unwrap();
        assert_eq!(done.exit.code, 137);
        assert!(done.took >= GRACE);
    }

    #[tokio::test]
    async fn what_stays_in_the_background_is_killed_and_holds_nobody_up() {
        let done = run("sleep 60 & echo $!").await;
        assert_eq!(done.exit.code, 0);
        assert!(
            done.took >= LINGER && done.took < LINGER * 3,
            "{:?}",
            done.took
        );
        assert!(is_gone(&done.stdout).await);

        let done = run("sleep 60 >/dev/null 2>&1 & echo $!").await;
        assert!(done.took < LINGER, "no output to wait for: {:?}", done.took);
        assert!(is_gone(&done.stdout).await);
    }

    #[tokio::test]
    async fn what_escapes_from_the_group_holds_nobody_up() {
        let done = run("setsid sh -c 'while :; do echo x; done' & sleep 0.2; echo end >&2").await;
        assert_eq!(done.exit.code, 0);
        assert!(done.took < LINGER * 5, "{:?}", done.took);
        assert_eq!(done.stderr, b"end\n");
    }

    #[tokio::test]
    async fn slow_readers_lose_nothing_after_the_exit() {
        let folder = tempfile::tempdir().unwrap();
        let path = ("PATH".into(), std::env::var_os("PATH").unwrap());
        let child = start(&sh("seq 1 9000"), folder.path(), vec![path], Input::Nothing).unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        follow(child, sender, CancellationToken::new())
            .await
            .unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = receiver.recv().await {
            sleep(SILENCE * 3).await;
            bytes.extend(piece.bytes);
        }
        assert!(bytes.ends_with(b"\n9000\n"), "{} bytes", bytes.len());
    }

    #[tokio::test]
    async fn characters_are_not_torn_apart() {
        let (mut writer, pipe) = tokio::io::duplex(1 << 20);
        let (sender, mut receiver) = mpsc::channel(64);
        let reader = tokio::spawn(read(
            pipe,
            LogStream::Stdout,
            sender,
            CancellationToken::new(),
        ));
        let text = format!("x{}", "€".repeat(PIECE));
        for part in [text.as_bytes(), b"\xe2", b"\x82", b"\xac\xe2"] {
            AsyncWriteExt::write_all(&mut writer, part).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(writer);
        let mut pieces = Vec::new();
        while let Some(piece) = receiver.recv().await {
            pieces.push(piece.bytes);
        }
        reader.await.unwrap();
        assert_eq!(
            pieces.pop().unwrap(),
            b"\xe2",
            "what never was whole comes last"
        );
        let whole: Vec<String> = pieces
            .into_iter()
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect();
        assert_eq!(whole.concat(), format!("{text}€"));
    }

    #[tokio::test]
    async fn a_dropped_command_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = ("PATH".into(), std::env::var_os("PATH").unwrap());
        let sleeper = sh("echo $$; exec sleep 60");
        let child = start(&sleeper, folder.path(), vec![path], Input::Nothing).unwrap();
        let (sender, mut receiver) = mpsc::channel(4);
        let following = tokio::spawn(follow(child, sender, CancellationToken::new()));
        let pid = receiver.recv().await.unwrap().bytes;
        assert!(alive(&pid));
        following.abort();
        assert!(is_gone(&pid).await);
    }
}
