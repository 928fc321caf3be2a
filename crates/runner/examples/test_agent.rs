//! An agent for tests: it speaks the Agent Client Protocol on its standard input and output, and
//! does what the lines of the prompt say, one after the other.
//!
//! | Line | What it does |
//! |---|---|
//! | `say TEXT`, `think TEXT` | a chunk of its message or of its thoughts, `\n` in it is a line break |
//! | `write FILE TEXT` | writes a file in its work folder, as a tool call with a diff |
//! | `ask PATH…` | asks for permission for an edit and says what the answer was, on its standard error too |
//! | `ask-for KIND [PATH…]` | the same for a tool of that kind |
//! | `ask-always PATH…` | the same for an edit, without an option to allow it once |
//! | `plan`, `mode` | a plan, a change of its mode |
//! | `flood N` | `N` chunks of 1 KiB, and says on its standard error how far it got |
//! | `long N` | `N` bytes in one chunk |
//! | `line N` | a line of `N` bytes that is no message |
//! | `read PATH` | asks the client to read a file and says what it answered |
//! | `sleep` | waits until it is cancelled, says so, and ends its turn as cancelled |
//! | `late` | waits until it is cancelled, and ends its turn as if it had come to its end |
//! | `hang` | waits forever, whatever it is told |
//! | `slow-ask PATH…` | waits until it is cancelled, then asks, and ends its turn as cancelled |
//! | `slow-garbage` | waits until it is cancelled and writes what is no message |
//! | `exit`, `garbage`, `mark` | ends at once; writes what is no message; plays a trick on the client |
//! | `unknown` | reports something of a kind that nobody knows |
//! | `refuse`, `tokens`, `fail`, `auth` | ends the turn in that way |
//!
//! A line that begins with none of these is repeated as a message. Started with `--auth`, it wants
//! to be signed in at `session/new`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::ConnectionTo;
use agent_client_protocol::v1::schema::{
    AuthMethod, AuthMethodAgent, CancelNotification, ContentBlock, ContentChunk, CurrentModeUpdate,
    Diff, InitializeRequest, InitializeResponse, NewSessionRequest, NewSessionResponse,
    PermissionOption, PermissionOptionKind, Plan, PlanEntry, PlanEntryPriority, PlanEntryStatus,
    PromptRequest, PromptResponse, ReadTextFileRequest, RequestPermissionOutcome,
    RequestPermissionRequest, SessionId, SessionNotification, SessionUpdate, StopReason,
    TextContent, ToolCall, ToolCallLocation, ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields,
    ToolKind,
};
use agent_client_protocol::{
    Agent, ByteStreams, Client, Error, JsonRpcMessage, RawJsonRpcMessage, TransportFrame,
    on_receive_notification, on_receive_request,
};
use tokio::sync::watch;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let demands_sign_in = env::args().skip(1).any(|argument| argument == "--auth");
    match serve(demands_sign_in).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(demands_sign_in: bool) -> Result<(), Error> {
    let folder = Arc::new(Mutex::new(PathBuf::new()));
    let cancelled = watch::Sender::new(false);
    let opened = folder.clone();
    let hears_cancel = cancelled.clone();
    Agent
        .v1()
        .name("test-agent")
        .on_receive_request(
            async move |_: InitializeRequest, responder, _client| {
                responder.respond(
                    InitializeResponse::new(ProtocolVersion::V1).auth_methods(vec![
                        AuthMethod::Agent(AuthMethodAgent::new("key", "A key of its own")),
                    ]),
                )
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |request: NewSessionRequest, responder, _client| {
                if demands_sign_in {
                    return responder.respond_with_error(Error::auth_required());
                }
                *opened.lock().unwrap() = request.cwd;
                responder.respond(NewSessionResponse::new("session"))
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |request: PromptRequest, responder, client: ConnectionTo<Client>| {
                let turn = Turn {
                    client: client.clone(),
                    session: request.session_id,
                    folder: folder.lock().unwrap().clone(),
                    cancelled: cancelled.subscribe(),
                };
                let text = text(&request.prompt);
                // Apart, so that what arrives during the turn is heard.
                client.spawn(async move {
                    let ended = turn.take(&text).await;
                    responder.respond_with_result(ended.map(PromptResponse::new))
                })
            },
            on_receive_request!(),
        )
        .on_receive_notification(
            async move |_: CancelNotification, _client| {
                hears_cancel.send_replace(true);
                Ok(())
            },
            on_receive_notification!(),
        )
        .connect_to(ByteStreams::new(
            tokio::io::stdout().compat_write(),
            tokio::io::stdin().compat(),
        ))
        .await
}

fn text(prompt: &[ContentBlock]) -> String {
    let texts = prompt.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// One turn of the conversation.
struct Turn {
    client: ConnectionTo<Client>,
    session: SessionId,
    folder: PathBuf,
    cancelled: watch::Receiver<bool>,
}

impl Turn {
    async fn take(mut self, prompt: &str) -> Result<StopReason, Error> {
        for line in prompt.lines() {
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            match command {
                "say" => self.say(&rest.replace("\\n", "\n"))?,
                "think" => self.think(&rest.replace("\\n", "\n"))?,
                "write" => self.write(rest)?,
                "ask" => {
                    self.ask(&format!("edit {rest}"), PermissionOptionKind::AllowOnce)
                        .await?;
                }
                "ask-for" => self.ask(rest, PermissionOptionKind::AllowOnce).await?,
                "ask-always" => {
                    self.ask(&format!("edit {rest}"), PermissionOptionKind::AllowAlways)
                        .await?;
                }
                "plan" => self.plan()?,
                "mode" => self.update(SessionUpdate::CurrentModeUpdate(CurrentModeUpdate::new(
                    "careful",
                )))?,
                "flood" => self.flood(number(rest)).await?,
                "long" => self.say(&"x".repeat(number(rest)))?,
                "line" => print(&"x".repeat(number(rest))),
                "read" => self.read(rest).await?,
                "sleep" => {
                    self.wait().await;
                    self.say(", and woken")?;
                    return Ok(StopReason::Cancelled);
                }
                "late" => {
                    self.wait().await;
                    return Ok(StopReason::EndTurn);
                }
                "hang" => std::future::pending().await,
                "slow-ask" => {
                    self.wait().await;
                    self.ask(&format!("edit {rest}"), PermissionOptionKind::AllowOnce)
                        .await?;
                    return Ok(StopReason::Cancelled);
                }
                "slow-garbage" => {
                    self.wait().await;
                    print("Segmentation fault");
                    std::future::pending::<()>().await;
                }
                "exit" => exit(),
                "garbage" => print("Segmentation fault"),
                "mark" => print(r#"{"jsonrpc":"2.0","method":"_countersign/handled"}"#),
                "unknown" => print(concat!(
                    r#"{"jsonrpc":"2.0","method":"session/update","params":"#,
                    r#"{"sessionId":"session","update":{"sessionUpdate":"hologram"}}}"#,
                )),
                "refuse" => return Ok(StopReason::Refusal),
                "tokens" => return Ok(StopReason::MaxTokens),
                "fail" => return Err(Error::internal_error().data("no more credit")),
                "auth" => return Err(Error::auth_required()),
                _ => self.say(line)?,
            }
        }
        Ok(StopReason::EndTurn)
    }

    fn update(&self, update: SessionUpdate) -> Result<(), Error> {
        let update = SessionNotification::new(self.session.clone(), update);
        self.client.send_notification(update)
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        self.update(SessionUpdate::AgentMessageChunk(chunk(text)))
    }

    fn think(&self, text: &str) -> Result<(), Error> {
        self.update(SessionUpdate::AgentThoughtChunk(chunk(text)))
    }

    fn write(&self, rest: &str) -> Result<(), Error> {
        let (file, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let path = self.folder.join(file);
        let before = fs::read_to_string(&path).ok();
        self.update(SessionUpdate::ToolCall(
            ToolCall::new("write", format!("Write {file}"))
                .kind(ToolKind::Edit)
                .locations(vec![ToolCallLocation::new(&path).line(1)]),
        ))?;
        let written = fs::write(&path, format!("{text}\n"));
        let fields = match &written {
            Ok(()) => ToolCallUpdateFields::new()
                .status(ToolCallStatus::Completed)
                .content(vec![
                    Diff::new(&path, format!("{text}\n"))
                        .old_text(before)
                        .into(),
                ]),
            Err(error) => ToolCallUpdateFields::new()
                .status(ToolCallStatus::Failed)
                .content(vec![error.to_string().into()]),
        };
        self.update(SessionUpdate::ToolCallUpdate(ToolCallUpdate::new(
            "write", fields,
        )))?;
        self.say(&match written {
            Ok(()) => format!("wrote {file}"),
            Err(error) => format!("could not write {file}: {error}"),
        })
    }

    /// Asks for permission, offering to allow for good before anything else.
    async fn ask(&self, rest: &str, allow: PermissionOptionKind) -> Result<(), Error> {
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let kind: ToolKind =
            serde_json::from_value(words.next().unwrap_or_default().into()).unwrap_or_default();
        let locations: Vec<_> = words.map(ToolCallLocation::new).collect();
        let call = ToolCallUpdateFields::new()
            .title("Do it")
            .kind(kind)
            .locations(locations);
        let options = [
            PermissionOptionKind::AllowAlways,
            allow,
            PermissionOptionKind::RejectOnce,
        ];
        let options = options.map(|kind| PermissionOption::new(format!("{kind:?}"), "x", kind));
        let request = RequestPermissionRequest::new(
            self.session.clone(),
            ToolCallUpdate::new(format!("ask {rest}"), call),
            options.to_vec(),
        );
        let answer = self.client.send_request(request).block_task().await?;
        let answer = match answer.outcome {
            RequestPermissionOutcome::Selected(option) => option.option_id.to_string(),
            _ => "Cancelled".to_owned(),
        };
        eprintln!("answer: {answer}");
        self.say(&format!("answer: {answer}\n"))
    }

    fn plan(&self) -> Result<(), Error> {
        let entry =
            |content: &str, status| PlanEntry::new(content, PlanEntryPriority::Medium, status);
        self.update(SessionUpdate::Plan(Plan::new(vec![
            entry("look", PlanEntryStatus::Completed),
            entry("think", PlanEntryStatus::InProgress),
            entry("do", PlanEntryStatus::Pending),
        ])))
    }

    /// Says much, as fast as the client reads it. The library would queue all of it without a
    /// bound, so this goes around its queue.
    async fn flood(&self, chunks: usize) -> Result<(), Error> {
        // An answer means that everything before has been written.
        self.request("/").await.map_or_else(drop, drop);
        for number in 1..=chunks {
            let text = format!("{number:08} {}\n", "x".repeat(1014));
            let update = SessionUpdate::AgentMessageChunk(chunk(&text));
            let update = SessionNotification::new(self.session.clone(), update);
            let message = update.to_untyped_message()?;
            let (method, params) = message.into_parts();
            let message = RawJsonRpcMessage::notification(method, params)?;
            print(&TransportFrame::Single(message).to_json()?);
            if number % 64 == 0 {
                eprintln!("{number}");
            }
        }
        Ok(())
    }

    async fn read(&self, path: &str) -> Result<(), Error> {
        self.say(&match self.request(path).await {
            Ok(content) => format!("read: {content}\n"),
            Err(error) => format!("error: {}\n", i32::from(error.code)),
        })
    }

    /// Asks the client for a file.
    async fn request(&self, path: &str) -> Result<String, Error> {
        let request = ReadTextFileRequest::new(self.session.clone(), Path::new(path));
        let answer = self.client.send_request(request).block_task().await?;
        Ok(answer.content)
    }

    async fn wait(&mut self) {
        let _ = self.cancelled.wait_for(|cancelled| *cancelled).await;
    }
}

fn chunk(text: &str) -> ContentChunk {
    ContentChunk::new(ContentBlock::Text(TextContent::new(text)))
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}

/// Writes a line past the library.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if written.is_err() {
        exit();
    }
}

#[expect(clippy::disallowed_methods, reason = "an agent that crashes")]
fn exit() -> ! {
    std::process::exit(3)
}
