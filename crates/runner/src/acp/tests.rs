//! Conversations, most of them with an agent in a process of its own: `examples/test_agent.rs`,
//! which says what it does for which prompt.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use contract::LogStream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::error::{Cause, Step};
use super::text::Kept;
use super::wire::LINE;
use super::*;
use crate::pump::Piece;

/// The agent's program. Cargo builds examples before it runs tests and puts them beside these, but
/// not when it is told which tests to run: then they are built here.
fn test_agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let agent = tests
            .parent()
            .unwrap()
            .with_file_name("examples/test_agent");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/test_agent.rs");
        let changed = |path: &Path| path.metadata().and_then(|file| file.modified());
        if changed(&agent).is_ok_and(|built| built > changed(source.as_ref()).unwrap()) {
            return agent;
        }
        let release = tests.components().any(|part| part.as_os_str() == "release");
        let built = std::process::Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "runner",
                "--example",
                "test_agent",
            ])
            .args(release.then_some("--release"))
            .status();
        assert!(
            built.unwrap().success() && agent.exists(),
            "no {}",
            agent.display()
        );
        agent
    })
}

/// A conversation that is going on.
struct Talk {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    pieces: mpsc::Receiver<Piece>,
    conversation: tokio::task::JoinHandle<Result<Answer, AcpError>>,
    agent: Child,
    stderr: BufReader<ChildStderr>,
}

/// How it went.
struct Told {
    log: String,
    ended: Result<Answer, AcpError>,
}

impl Talk {
    fn begin(prompt: &str, permissions: Permissions, arguments: &[&str], queue: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::begin_in(folder, prompt, permissions, arguments, queue)
    }

    /// Starts the agent with `arguments`, and a log with room for `queue` pieces.
    fn begin_in(
        folder: tempfile::TempDir,
        prompt: &str,
        permissions: Permissions,
        arguments: &[&str],
        queue: usize,
    ) -> Self {
        let mut agent = Command::new(test_agent())
            .args(arguments)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (agent.stdin.take().unwrap(), agent.stdout.take().unwrap());
        let stderr = BufReader::new(agent.stderr.take().unwrap());
        let (sender, pieces) = mpsc::channel(queue);
        let stop = CancellationToken::new();
        let conversation = tokio::spawn({
            let (stop, prompt) = (stop.clone(), prompt.to_owned());
            let folder = folder.path().to_owned();
            async move {
                let prompt = Prompt {
                    text: &prompt,
                    folder: &folder,
                    permissions,
                };
                converse(stdin, stdout, prompt, sender, &stop).await
            }
        });
        Self {
            folder,
            stop,
            pieces,
            conversation,
            agent,
            stderr,
        }
    }

    /// Listens until `text` was said.
    async fn hear(&mut self, text: &str) {
        let mut log = String::new();
        while !log.contains(text) {
            let piece = timeout(Duration::from_secs(10), self.pieces.recv()).await;
            log.push_str(&read(
                piece.expect("it says something").expect("it goes on"),
            ));
        }
    }

    async fn end(mut self) -> Told {
        let ending = async {
            let mut log = String::new();
            while let Some(piece) = self.pieces.recv().await {
                log.push_str(&read(piece));
            }
            let ended = self.conversation.await.unwrap();
            Told { log, ended }
        };
        timeout(Duration::from_secs(20), ending)
            .await
            .expect("it ends")
    }
}

fn read(piece: Piece) -> String {
    assert_eq!(piece.stream, LogStream::Agent);
    assert!(!piece.bytes.is_empty() && piece.bytes.len() <= 64 << 10);
    String::from_utf8(piece.bytes).expect("no character is torn apart")
}

impl Told {
    fn answer(&self) -> &Answer {
        self.ended.as_ref().unwrap()
    }

    fn error(&self) -> &AcpError {
        self.ended.as_ref().unwrap_err()
    }
}

async fn ask(prompt: &str) -> Told {
    ask_with(prompt, Permissions::AllowOnce).await
}

async fn ask_with(prompt: &str, permissions: Permissions) -> Told {
    Talk::begin(prompt, permissions, &[], 16).end().await
}

#[tokio::test]
async fn a_turn_comes_into_the_log_as_it_happens() {
    let prompt = "say Hel\nsay lo.\\n\nthink hm\\nwell\nplan\nmode\nwrite file.txt text\nsay !";
    let talk = Talk::begin(prompt, Permissions::AllowOnce, &[], 16);
    let path = talk.folder.path().join("file.txt");
    let told = talk.end().await;
    let path = path.display();
    assert_eq!(
        told.log,
        format!(
            "Hello.\n\
             [thinking] hm\n\
             [thinking] well\n\
             [plan] [x] look\n\
             [plan] [~] think\n\
             [plan] [ ] do\n\
             [mode] careful\n\
             [tool] Write file.txt (edit) pending {path}:1\n\
             [tool] Write file.txt (edit) completed\n\
             \x20 diff {path} +1 -0\n\
             wrote file.txt!"
        )
    );
    assert_eq!(told.answer().output, "Hello.\n\nwrote file.txt!");
    assert_eq!(told.answer().error(), None);
}

#[tokio::test]
async fn the_agent_works_in_the_folder() {
    let mut talk = Talk::begin("write a b\nsleep", Permissions::Reject, &[], 16);
    talk.hear("wrote a").await;
    let written = std::fs::read_to_string(talk.folder.path().join("a")).unwrap();
    assert_eq!(written, "b\n");
}

#[tokio::test]
async fn what_is_said_is_in_the_log_before_the_turn_ends() {
    let mut talk = Talk::begin("say now\nsleep", Permissions::AllowOnce, &[], 16);
    talk.hear("now").await;
    assert!(!talk.conversation.is_finished());
}

#[tokio::test]
async fn how_a_turn_ends_is_told() {
    for (prompt, stop, error) in [
        ("refuse", StopReason::Refusal, "the agent refused"),
        (
            "tokens",
            StopReason::MaxTokens,
            "the agent reached its limit of tokens",
        ),
    ] {
        let told = ask(&format!("say so far\n{prompt}")).await;
        assert_eq!(told.answer().stop, stop);
        assert_eq!(told.answer().error().as_deref(), Some(error));
        assert_eq!(told.answer().output, "so far");
    }
    assert_eq!(
        ask("fail").await.error().to_string(),
        "the agent answered with an error: Internal error: no more credit [-32603] \
         (at session/prompt)"
    );
}

#[tokio::test]
async fn permission_is_given_inside_of_the_folder_only() {
    for (prompt, answer, line) in [
        (
            "ask file",
            "AllowOnce",
            "\"Do it\" (edit) file -> allowed once",
        ),
        (
            "ask sub/../file",
            "AllowOnce",
            "(edit) sub/../file -> allowed once",
        ),
        (
            "ask-for execute",
            "AllowOnce",
            "\"Do it\" (execute) -> allowed once",
        ),
        (
            "ask /etc/passwd",
            "RejectOnce",
            "(edit) /etc/passwd -> rejected: /etc/passwd is outside of the work folder",
        ),
        (
            "ask file ../file",
            "RejectOnce",
            "(edit) file ../file -> rejected: ../file is outside of the work folder",
        ),
        (
            "ask-for other",
            "RejectOnce",
            "(other) -> rejected: it does not say which paths it concerns",
        ),
        (
            "ask-always file",
            "RejectOnce",
            "(edit) file -> rejected: the agent does not offer to allow it once",
        ),
    ] {
        let told = ask(prompt).await;
        assert_eq!(
            told.answer().output,
            format!("answer: {answer}\n"),
            "{prompt}"
        );
        assert!(
            told.log.contains(&format!("{line}\nanswer")),
            "{prompt}: {}",
            told.log
        );
        assert!(
            told.log.starts_with("[permission] tool \"Do it\" ("),
            "{}",
            told.log
        );
    }
}

#[tokio::test]
async fn a_link_out_of_the_folder_leads_out_of_the_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder.path().join("out")).unwrap();
    let prompt = "ask out/file\nask out\nask file";
    let talk = Talk::begin_in(folder, prompt, Permissions::AllowOnce, &[], 16);
    assert_eq!(
        talk.end().await.answer().output,
        "answer: RejectOnce\n\nanswer: RejectOnce\n\nanswer: AllowOnce\n"
    );
}

#[tokio::test]
async fn a_desktop_that_rejects_rejects_everything() {
    for prompt in ["ask file", "ask-for read file", "ask-for execute"] {
        let told = ask_with(prompt, Permissions::Reject).await;
        assert_eq!(told.answer().output, "answer: RejectOnce\n");
        assert!(
            told.log
                .contains("-> rejected: this desktop rejects every request\n")
        );
    }
}

#[tokio::test]
async fn nothing_else_is_offered_to_the_agent() {
    let told = ask("read /etc/hostname").await;
    assert_eq!(told.answer().output, "error: -32601\n");
}

#[tokio::test]
async fn a_cancelled_turn_ends_as_the_agent_ends_it() {
    let mut talk = Talk::begin("say so far\nsleep", Permissions::AllowOnce, &[], 16);
    talk.hear("so far").await;
    talk.stop.cancel();
    let told = talk.end().await;
    assert_eq!(told.answer().stop, StopReason::Cancelled);
    assert_eq!(told.answer().output, "so far, and woken");
}

#[tokio::test]
async fn an_agent_that_does_not_listen_is_not_waited_for() {
    let mut talk = Talk::begin("say so far\nhang", Permissions::AllowOnce, &[], 16);
    talk.hear("so far").await;
    let begin = Instant::now();
    talk.stop.cancel();
    let told = talk.end().await;
    assert_eq!(told.answer().stop, StopReason::Cancelled);
    assert_eq!(told.answer().output, "so far");
    let took = begin.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(20),
        "{took:?}"
    );
}

#[tokio::test]
async fn an_agent_that_dies_of_the_stop_was_cancelled() {
    let mut talk = Talk::begin("say so far\nslow-garbage", Permissions::AllowOnce, &[], 16);
    talk.hear("so far").await;
    talk.stop.cancel();
    let told = talk.end().await;
    assert_eq!(told.answer().stop, StopReason::Cancelled);
    assert_eq!(told.answer().output, "so far");
}

#[tokio::test]
async fn what_is_asked_after_the_stop_is_cancelled() {
    let mut talk = Talk::begin("say so far\nslow-ask file", Permissions::AllowOnce, &[], 16);
    talk.hear("so far").await;
    talk.stop.cancel();
    let told = talk.end().await;
    assert!(
        told.answer().output.ends_with("answer: Cancelled\n"),
        "{:?}",
        told.answer()
    );
    assert!(
        told.log
            .contains("(edit) file -> rejected: the task is stopped\n"),
        "{}",
        told.log
    );
}

#[tokio::test]
async fn an_open_request_is_cancelled_by_the_stop_even_if_the_log_is_full() {
    let mut talk = Talk::begin("say a\nask file", Permissions::AllowOnce, &[], 1);
    let mut answers = talk.stderr.lines();
    // The message fills the log, so the request waits for room there.
    let early = timeout(Duration::from_millis(500), answers.next_line()).await;
    assert!(
        early.is_err(),
        "answered before it is in the log: {early:?}"
    );
    talk.stop.cancel();
    let answer = timeout(Duration::from_secs(10), answers.next_line()).await;
    assert_eq!(
        answer.unwrap().unwrap().as_deref(),
        Some("answer: Cancelled")
    );
    let ended = (&mut talk.conversation).await.unwrap().unwrap();
    assert_eq!(ended.stop, StopReason::Cancelled);
}

#[tokio::test]
async fn a_stop_before_the_turn_is_an_error() {
    let talk = Talk::begin("say a", Permissions::AllowOnce, &[], 16);
    talk.stop.cancel();
    let told = talk.end().await;
    assert!(
        matches!(told.error().cause, Cause::Stopped),
        "{:?}",
        told.error()
    );
}

#[tokio::test]
async fn an_agent_that_nobody_signed_in_is_an_error_that_says_what_to_do() {
    let talk = Talk::begin("say a", Permissions::AllowOnce, &["--auth"], 16);
    let at_the_session = talk.end().await;
    let at_the_prompt = ask("auth").await;
    for (told, step) in [
        (at_the_session, "session/new"),
        (at_the_prompt, "session/prompt"),
    ] {
        assert_eq!(
            told.error().to_string(),
            format!(
                "the agent wants to be signed in: sign it in on this desktop beforehand, as the \
                 user who runs the desktop (Authentication required [-32000]; it offers: A key \
                 of its own) (at {step})"
            )
        );
    }
}

#[tokio::test]
async fn an_agent_that_ends_in_the_middle_is_an_error_and_what_it_said_stays() {
    // A word to the client and its answer, so that all before is written.
    let told = ask("say so far\nread x\nexit").await;
    assert!(
        matches!(told.error().cause, Cause::Gone),
        "{:?}",
        told.error()
    );
    assert_eq!(told.error().step, Step::Prompt);
    assert!(told.log.starts_with("so far"));
}

#[tokio::test]
async fn what_is_no_message_is_an_error_that_shows_it() {
    assert_eq!(
        ask("garbage\nsleep").await.error().to_string(),
        "the agent wrote what is not the Agent Client Protocol: \"Segmentation fault\\n\" \
         (at session/prompt)"
    );
    assert!(matches!(
        ask("mark\nsleep").await.error().cause,
        Cause::Garbage(_)
    ));
}

#[tokio::test]
async fn news_of_a_kind_that_is_not_known_yet_disturbs_nobody() {
    let told = ask("unknown\nsay still here").await;
    assert_eq!(told.answer().output, "still here");
}

#[tokio::test]
async fn a_line_without_an_end_is_not_kept() {
    let told = ask(&format!("line {}\nsleep", LINE + 1)).await;
    assert!(
        matches!(told.error().cause, Cause::TooLong(LINE)),
        "{:?}",
        told.error()
    );
}

#[tokio::test]
async fn a_long_message_is_cut_in_the_answer_and_not_in_the_log() {
    let told = ask("long 900000\nlong 900000").await;
    assert_eq!(told.log.len(), 1_800_000);
    let output = &told.answer().output;
    assert!(output.len() <= Kept::LIMIT && output.len() > Kept::LIMIT - 128);
    let (head, last) = output.rsplit_once('\n').unwrap();
    assert!(head.bytes().all(|byte| byte == b'x'));
    assert_eq!(
        last,
        format!("[{} bytes are missing]", 1_800_000 - head.len())
    );
}

#[tokio::test]
async fn an_agent_is_read_as_fast_as_the_log_takes_it() {
    const CHUNKS: usize = 8192;
    let mut talk = Talk::begin(&format!("flood {CHUNKS}"), Permissions::AllowOnce, &[], 4);
    let mut lines = talk.stderr.lines();
    let mut written = 0;
    while let Ok(line) = timeout(Duration::from_secs(1), lines.next_line()).await {
        written = line.unwrap().expect("it goes on").parse().unwrap();
    }
    assert!(
        written <= 256,
        "{written} KiB are somewhere, with room for 4 chunks in the log"
    );
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let mut log = String::new();
    while let Some(piece) = talk.pieces.recv().await {
        log.push_str(&read(piece));
    }
    let answer = talk.conversation.await.unwrap().unwrap();
    assert_eq!(log.len(), CHUNKS << 10);
    let numbers = log.lines().map(|line| line[..8].parse::<usize>().unwrap());
    assert!(numbers.eq(1..=CHUNKS), "all in order");
    assert!(answer.output.len() <= Kept::LIMIT);
    talk.agent.kill().await.unwrap();
}

#[tokio::test]
async fn a_log_that_nobody_takes_ends_the_conversation() {
    let mut talk = Talk::begin("say a\nsleep", Permissions::AllowOnce, &[], 16);
    talk.hear("a").await;
    talk.pieces.close();
    let told = talk.end().await;
    assert!(
        matches!(told.error().cause, Cause::Unheard),
        "{:?}",
        told.error()
    );
}

/// A conversation with what a test writes by hand, and the test's ends of the pipes.
fn by_hand() -> (
    tokio::task::JoinHandle<Result<Answer, AcpError>>,
    DuplexStream,
    DuplexStream,
    mpsc::Receiver<Piece>,
) {
    let (stdin, reads) = duplex(1 << 10);
    let (writes, stdout) = duplex(1 << 10);
    let (sender, receiver) = mpsc::channel(16);
    let conversation = tokio::spawn(async move {
        let prompt = Prompt {
            text: "x",
            folder: Path::new("/"),
            permissions: Permissions::Reject,
        };
        converse(stdin, stdout, prompt, sender, &CancellationToken::new()).await
    });
    (conversation, reads, writes, receiver)
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_not_waited_for_forever() {
    let (conversation, _reads, _writes, _pieces) = by_hand();
    let begin = Instant::now();
    assert_eq!(
        conversation.await.unwrap().unwrap_err().to_string(),
        "the agent did not answer within 60 s (at initialize)"
    );
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn another_version_of_the_protocol_is_an_error() {
    let (conversation, reads, mut writes, _pieces) = by_hand();
    let mut greeting = String::new();
    BufReader::new(reads)
        .read_line(&mut greeting)
        .await
        .unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!(greeting["params"]["clientInfo"]["name"], "countersign");
    let offered = &greeting["params"]["clientCapabilities"];
    assert_ne!(offered["fs"]["readTextFile"], true);
    assert_ne!(offered["fs"]["writeTextFile"], true);
    assert_ne!(offered["terminal"], true);
    let id = &greeting["id"];
    let answer =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"protocolVersion\":7}}}}\n");
    writes.write_all(answer.as_bytes()).await.unwrap();
    assert_eq!(
        conversation.await.unwrap().unwrap_err().to_string(),
        "the agent speaks version 7 of the protocol, and this desktop version 1 (at initialize)"
    );
}

#[tokio::test]
async fn an_agent_that_never_was_one_is_an_error() {
    let (conversation, _reads, writes, _pieces) = by_hand();
    drop(writes);
    let error = conversation.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent ended before it answered (at initialize)"
    );

    let (conversation, reads, writes, _pieces) = by_hand();
    drop((reads, writes));
    let error = conversation.await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::Gone), "{error}");

    let (conversation, _reads, mut writes, _pieces) = by_hand();
    writes
        .write_all(b"\n \nsh: 1: agent: not found")
        .await
        .unwrap();
    drop(writes);
    let error = conversation.await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("\"sh: 1: agent: not found\""),
        "{error}"
    );
}

#[tokio::test]
async fn an_agent_that_reads_no_answers_is_not_read_either() {
    let (_conversation, mut reads, mut writes, _pieces) = by_hand();
    let asked = async {
        for id in 0..1000 {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"x/y\"}}\n");
            if timeout(Duration::from_secs(1), writes.write_all(line.as_bytes()))
                .await
                .is_err()
            {
                return id;
            }
        }
        1000
    };
    let asked = asked.await;
    assert!(asked < 256, "{asked} requests were read, and no answer");
    let mut some = [0; 1 << 10];
    reads.read_exact(&mut some).await.unwrap();
    timeout(Duration::from_secs(10), writes.write_all(b"\n"))
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn the_conversation_can_be_spawned_and_is_not_large() {
    let (stdin, stdout) = duplex(1);
    let (sender, _receiver) = mpsc::channel(1);
    let prompt = Prompt {
        text: "",
        folder: Path::new("/"),
        permissions: Permissions::Reject,
    };
    let stop = CancellationToken::new();
    let conversation = converse(stdin, stdout, prompt, sender, &stop);
    assert!(
        size_of_val(&conversation) < 16 << 10,
        "{}",
        size_of_val(&conversation)
    );
}
